//! A handler without an argument.

use sward::http::Router;

fn main() {
    let _ = Router::new().get("/", || "hi");
}
