//! A handler that takes the request instead of borrowing it.

use sward::http::{Request, Router};

fn main() {
    let _ = Router::new().get("/", |_: Request| "hi");
}
