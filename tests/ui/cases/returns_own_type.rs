//! A handler that returns a type of its own.

use sward::http::{Request, Router};

struct User;

fn user(_: &mut Request<'_>) -> User {
    User
}

fn main() {
    let _ = Router::new().get("/", user);
}
