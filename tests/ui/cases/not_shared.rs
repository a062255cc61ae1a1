//! A handler that only one thread at a time may call.

use std::cell::Cell;

use sward::http::{Request, Router};

fn main() {
    let count = Cell::new(0);
    let _ = Router::new().get("/", move |_: &mut Request| {
        count.set(count.get() + 1);
        "counted"
    });
}
