//! What handlers can take and return: parameters, JSON, forms, streams, events; in the mode that you choose.
//!
//! `cargo run --release --example routes -- [green|threads|pool:N] [ADDRESS]`

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sward::http::{
    BodyWriter, Error, Event, Json, Mode, Request, Response, Router, Server, Sse, SseWriter,
    StatusCode,
};
use sward::sync::Mutex;

#[derive(Clone, Serialize, Deserialize)]
struct Note {
    text: String,
}

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let mode: Mode = args.next().map_or(Mode::Green, |mode| mode.parse().expect("a mode"));
    let address = args.next().unwrap_or("127.0.0.1:8080".into());

    // State is what the closures share.
    let notes = Arc::new(Mutex::new(Vec::<Note>::new()));
    let (add, list) = (notes.clone(), notes);

    let app = Router::new()
        .get("/", |_: &mut Request| "try /notes, /add/1/2, /countdown, /clock\n")
        .get("/add/{a}/{b}", |req: &mut Request| -> Result<String, Error> {
            let (a, b): (i64, i64) = (req.param("a")?, req.param("b")?);
            Ok(format!("{}\n", a + b))
        })
        .get("/notes", move |_: &mut Request| Json(list.lock().unwrap().clone()))
        .post("/notes", move |req: &mut Request| -> Result<StatusCode, Error> {
            let note: Note = req.json()?;
            add.lock().unwrap().push(note);
            Ok(StatusCode::CREATED)
        })
        .get("/countdown", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                for n in (0..5).rev() {
                    writeln!(w, "{n}")?;
                    w.flush()?;
                    sward::thread::sleep(Duration::from_millis(500));
                }
                Ok(())
            })
        })
        .get("/clock", |_: &mut Request| {
            Sse::new(|tx: &mut SseWriter| {
                let mut tick = 0_u64;
                while !tx.is_stopping() {
                    tx.send(&Event::data(tick.to_string()).event("tick"))?;
                    sward::thread::sleep(Duration::from_secs(1));
                    tick += 1;
                }
                Ok(())
            })
        });

    let server = Server::bind(address)?.mode(mode).stop_on_signals();
    println!("http://{} in mode {mode}", server.local_addr()?);
    sward::run(|| server.serve(app))
}
