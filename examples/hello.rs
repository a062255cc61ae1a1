//! The smallest server: `cargo run --release --example hello`, then `curl http://127.0.0.1:8080/hello/you`.

use sward::http::{Html, Request, Router, Server};

fn main() -> std::io::Result<()> {
    let app = Router::new()
        .get("/", |_: &mut Request| Html("<h1>A green thread says hi.</h1>"))
        .get("/hello/{name}", |req: &mut Request| {
            req.param::<String>("name").map(|name| format!("Hello, {name}!\n"))
        });
    sward::run(|| Server::bind("127.0.0.1:8080")?.stop_on_signals().serve(app))
}
