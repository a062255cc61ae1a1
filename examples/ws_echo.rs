//! A WebSocket that sends back what it gets, and a page to try it.
//!
//! ```text
//! cargo run --release --example ws_echo                    # then open http://127.0.0.1:8081/
//! cargo run --release --example ws_echo -- 9001 threads    # another port, another mode
//! ```
//!
//! It takes large messages and compresses, so that a conformance suite (Autobahn's) has all to try.

#![forbid(unsafe_code)]

use sward::http::ws::Config;
use sward::http::{Html, Mode, Request, Router, Server, WebSocket};

const PAGE: &str = "<!doctype html><title>echo</title><input autofocus placeholder='say something'>
<ul></ul><script>
const ws = new WebSocket('ws://' + location.host + '/echo'), input = document.querySelector('input');
input.onchange = () => { ws.send(input.value); input.value = ''; };
ws.onmessage = (e) => document.querySelector('ul').append(
  Object.assign(document.createElement('li'), { textContent: e.data }));
</script>";

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let port: u16 = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(8081);
    let mode: Mode = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or_default();

    let mut config = Config::default();
    config.max_message = 64 << 20;
    config.max_frame = 64 << 20;
    config.deflate = true;
    let app = Router::new().get("/", |_: &mut Request| Html(PAGE)).get(
        "/echo",
        move |req: &mut Request| {
            WebSocket::upgrade_with(&config, req, |ws: &mut WebSocket| {
                while let Some(message) = ws.read()? {
                    ws.send(message)?;
                }
                Ok(())
            })
        },
    );
    sward::run(move || {
        let server = Server::bind(("127.0.0.1", port))?.mode(mode).stop_on_signals();
        println!("ws_echo: http://{}/ in {mode} mode", server.local_addr()?);
        server.serve(app)
    })
}
