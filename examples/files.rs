//! A server of files: `cargo run --release --example files -- FOLDER [MODE] [ADDRESS]`, then
//! `curl --compressed http://127.0.0.1:8080/`. Lists folders without an index.html, takes parts of files, and
//! compresses text for those who want it.

use std::path::PathBuf;

use sward::http::middleware::{AccessLog, Compression};
use sward::http::{Mode, Router, ServeDir, Server};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let folder = PathBuf::from(args.next().unwrap_or_else(|| ".".into()));
    let mut args = args.map(|arg| arg.to_string_lossy().into_owned());
    let mode: Mode = args.next().map_or(Mode::Green, |arg| arg.parse().expect("a mode"));
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:8080".into());

    let files = ServeDir::new(&folder).listing(true).precompressed(true).cache_control("no-cache");
    let mut app = Router::new().mount("/", files).with(Compression::new());
    if std::env::var_os("QUIET").is_none() {
        app = app.with(AccessLog::common(std::io::stderr()));
    }
    sward::run(move || {
        let server = Server::bind(&addr)?.mode(mode).stop_on_signals();
        println!("{} on http://{}", folder.display(), server.local_addr()?);
        server.serve(app)
    })
}
