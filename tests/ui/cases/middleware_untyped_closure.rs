//! A middleware as a closure without the types of its arguments.

use sward::http::Router;

fn main() {
    let _ = Router::new().with(|req, next| next.run(req));
}
