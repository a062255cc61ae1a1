//! A handler that returns what is no response.

use sward::http::{Request, Router};

fn main() {
    let _ = Router::new().get("/", |_: &mut Request| 42_u32);
}
