//! A chat over WebSockets, with a page: `cargo run --release --example chat -- [ADDRESS] [MODE]`, then open
//! http://127.0.0.1:8080/ in two windows. A client has two green threads, one for each direction.

#![forbid(unsafe_code)]

use std::io;

use serde_json::json;
use sward::http::ws::Message;
use sward::http::{Html, Mode, Request, Router, Server, WebSocket};
use sward::pubsub::Topic;
use sward::thread;

const PAGE: &str = r#"<!doctype html><html lang="en"><meta charset="utf-8"><title>Chat</title>
<meta name="viewport" content="width=device-width"><style>
body { font: 16px/1.5 system-ui, sans-serif; color-scheme: light dark; max-width: 38rem; margin: 0 auto; padding: 1rem }
ol { list-style: none; padding: 0; min-height: 60vh } li { padding: .2rem 0; overflow-wrap: anywhere }
b { color: #1f7a49; margin-right: .5rem } form { position: sticky; bottom: 1rem; display: flex; gap: .5rem }
input, button { font: inherit; padding: .5rem .8rem; border: 1px solid #8886; border-radius: .5rem; min-width: 0 }
#name { width: 8rem } #text { flex: 1 } #state { color: #888 }</style>
<h1>Chat</h1><p id="state" role="status">Connecting…</p><ol id="said" aria-live="polite"></ol>
<form><input id="name" aria-label="Your name" placeholder="Name" maxlength="20" required>
<input id="text" aria-label="What you say" placeholder="Say something" maxlength="500" required autocomplete="off">
<button>Send</button></form><script>
const $ = (id) => document.getElementById(id);
let ws;
function connect() {
  $("said").replaceChildren(); // the room tells what was said lately
  ws = new WebSocket(location.origin.replace("http", "ws") + "/chat");
  ws.onopen = () => $("state").textContent = "You are in.";
  ws.onclose = () => { $("state").textContent = "Lost the room. Trying again…"; setTimeout(connect, 1000); };
  ws.onmessage = (event) => {
    const { name, text } = JSON.parse(event.data), line = document.createElement("li"), who = document.createElement("b");
    who.textContent = name; // text, whatever is in it
    line.append(who, text);
    $("said").append(line);
    line.scrollIntoView({ block: "nearest" });
  };
}
connect();
document.forms[0].onsubmit = (event) => {
  event.preventDefault();
  if (ws.readyState === 1) { ws.send(JSON.stringify({ name: $("name").value, text: $("text").value })); $("text").value = ""; }
};
</script></html>"#;

/// One client, until it leaves.
fn chat(room: &Topic, ws: &mut WebSocket<'_>) -> io::Result<()> {
    let said = room.subscribe_after(0); // what was said lately comes first
    let (mut reader, writer) = ws.split();
    thread::scope(|s| {
        let telling = s.spawn(move || -> io::Result<()> {
            while let Ok(message) = said.recv() {
                writer.send_raw(&message.data)?;
            }
            writer.close(1001, "too slow for this room")
        });
        let heard = loop {
            match reader.read() {
                Ok(Some(message)) => say(room, &message),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        telling.cancel();
        _ = telling.join();
        heard
    })
}

/// Tells it to everybody, encoded once. What is not a name and a text is not told.
fn say(room: &Topic, message: &Message) {
    let said = message.as_text().and_then(|text| serde_json::from_str(text).ok());
    let said: serde_json::Value = said.unwrap_or_default();
    if let (Some(name), Some(text)) = (said["name"].as_str(), said["text"].as_str()) {
        room.publish(Message::Text(json!({"name": name, "text": text}).to_string()).encode());
    }
}

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let mode: Mode = args.next().map_or(Mode::Green, |arg| arg.parse().expect("a mode"));
    let room = Topic::new(100);
    let app = Router::new().get("/", |_: &mut Request| Html(PAGE)).get(
        "/chat",
        move |req: &mut Request| {
            let room = room.clone();
            WebSocket::upgrade(req, move |ws: &mut WebSocket| chat(&room, ws))
        },
    );
    sward::run(move || {
        let server = Server::bind(address)?.mode(mode).stop_on_signals();
        println!("chat: http://{}/ in {mode} mode", server.local_addr()?);
        server.serve(app)
    })
}
