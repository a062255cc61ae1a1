//! A handler as a closure without the type of its argument.

use sward::http::Server;

fn main() {
    let _ = Server::bind("127.0.0.1:0").unwrap().serve(|req| req.path().to_string());
}
