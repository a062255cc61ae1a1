//! A handler that returns what it borrows from the request.

use sward::http::{Request, Router};

fn main() {
    let _ = Router::new().get("/", |req: &mut Request| req.path());
}
