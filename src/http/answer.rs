//! Writing a response: its head and small bodies into the buffer where a batch of responses comes together, large
//! bodies from where they are. Streams are only begun here; `stream.rs` writes them.

#![forbid(unsafe_code)]

use std::io;
use std::time::Instant;

use super::encode::{self, Exchange};
use super::link::Link;
use super::response::{Body, Producer, Response};

/// Larger bodies are not copied behind their head, but sent from where they are.
pub(crate) const COPY: usize = 16 << 10;

/// Appends a response to `out`, or sends a large one; gives a streamed body's producer back.
pub(crate) fn write_response(
    out: &mut Vec<u8>,
    link: &Link<'_>,
    response: &mut Response,
    exchange: Exchange,
    now: Instant,
) -> io::Result<Option<(Producer, bool)>> {
    encode::head(out, response, exchange, link.config, now);
    if !exchange.sends_body(response.status) {
        return Ok(None);
    }
    match (response.body.bytes(), &response.body) {
        (Some(bytes), _) if bytes.len() <= COPY => out.extend_from_slice(bytes),
        (Some(bytes), _) => {
            let sent = link.send_both(out, bytes);
            out.clear();
            sent?;
        }
        (None, Body::File(file)) => file.send(link, out)?,
        (None, _) => {}
    }
    if response.body.len().is_some() {
        return Ok(None);
    }
    Ok(match std::mem::replace(&mut response.body, Body::Static(b"")) {
        Body::Stream { producer, head_first } => Some((producer, head_first)),
        _ => None,
    })
}
