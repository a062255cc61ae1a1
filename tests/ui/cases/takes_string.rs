//! A handler with an argument of another type.

use sward::http::Router;

fn hello(name: String) -> String {
    name
}

fn main() {
    let _ = Router::new().get("/", hello);
}
