//! A middleware that returns what is no response.

use sward::http::{Next, Request, Router};

fn main() {
    let _ = Router::new().with(|_: &mut Request, _: Next| 42_u32);
}
