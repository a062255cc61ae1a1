//! A middleware with the arguments of a handler.

use sward::http::{Request, Response, Router};

fn logged(_: &mut Request<'_>) -> Response {
    Response::text("hi")
}

fn main() {
    let _ = Router::new().with(logged);
}
