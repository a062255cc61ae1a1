//! A server of something that is no handler.

use sward::http::Server;

fn main() {
    let _ = Server::bind("127.0.0.1:0").unwrap().serve("hi");
}
