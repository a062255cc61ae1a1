//! The feed over a WebSocket, in tweefee's wire format: first the history as one JSON array, newest first; then each
//! post as an array of one. The page uses it with `?transport=ws`; it replays nothing, unlike `/events`.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use sward::http::ws::{Config, Origins};
use sward::http::{Request, Response, WebSocket};
use sward::pubsub::RecvError;

use crate::feed::{Feed, json_of};

/// How long the client is not looked at while no post comes.
const LOOK: Duration = Duration::from_secs(15);

/// `GET /websocket`. Any page may listen, as with the original: these posts are for everybody.
pub(crate) fn answer(feed: &Arc<Feed>, req: &Request<'_>) -> Response {
    let feed = feed.clone();
    let mut config = Config::default();
    config.origins = Origins::Any;
    WebSocket::upgrade_with(&config, req, move |ws: &mut WebSocket<'_>| follow(&feed, ws))
}

fn follow(feed: &Feed, ws: &mut WebSocket<'_>) -> io::Result<()> {
    let (posts, _) = feed.join(None);
    let mut history = Vec::new();
    while let Ok(post) = posts.try_recv() {
        history.push(post.data);
    }
    ws.send_text(array(history.iter().rev().map(|frame| &frame[..])))?;
    loop {
        match posts.recv_timeout(LOOK) {
            Ok(post) => ws.send_text(array([&post.data[..]]))?,
            // The format cannot say that posts were missed.
            Err(RecvError::Timeout | RecvError::Lagged { .. }) => {}
            Err(_) => return ws.close(1001, "the server stops"), // the feed was closed
        }
        // Answers pings, and notices who left. What a client says does not matter.
        loop {
            match ws.try_read() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Posts that are JSON already, as an array.
fn array<'f>(frames: impl IntoIterator<Item = &'f [u8]>) -> String {
    let mut text = String::from("[");
    for frame in frames {
        if text.len() > 1 {
            text.push(',');
        }
        text += &String::from_utf8_lossy(json_of(frame));
    }
    text + "]"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays() {
        let frames = [&b"id: 1\ndata: {\"a\":1}\n\n"[..], b"data: {}\n\n"];
        assert_eq!(array([]), "[]");
        assert_eq!(array(frames), r#"[{"a":1},{}]"#);
    }
}
