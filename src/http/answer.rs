//! What becomes of one request, and writing its response: head and small bodies into the buffer where a batch of responses
//! comes together, large bodies from where they are. Streams are only begun here; `stream.rs` writes them.

#![forbid(unsafe_code)]

use std::io;
use std::sync::atomic::Ordering;

use http::{Method, StatusCode};

use super::buffer;
use super::encode::{self, Exchange};
use super::follow::Following;
use super::head::{Head, Refused};
use super::into_response::IntoResponse;
use super::link::Link;
use super::request::Request;
use super::response::{Body, Producer, Response, Takeover};
use super::turn::Context;
use crate::hub::clock::Moment;

/// What became of one request.
pub(crate) enum Step {
    /// Answered; the response is in `out` or sent.
    Done,
    /// The head is not complete.
    Partial,
    /// It is not known, or has more lines than there were slots.
    Slots,
    /// Answered; nothing follows.
    Last {
        /// The client may still be sending.
        linger: bool,
    },
    /// The head is in `out`, the body is to be produced.
    Stream { producer: Producer, head_first: bool, exchange: Exchange, linger: bool },
    /// The head of a 101 is in `out`.
    Upgrade(Takeover),
    /// The head is in `out`; a topic follows, in chunks or not.
    Follow(Box<Following>, bool),
}

/// Why a request was not answered by its handler.
pub(crate) enum StepError {
    Refused(Refused),
    Io,
}

impl From<io::Error> for StepError {
    fn from(_: io::Error) -> StepError {
        StepError::Io
    }
}

/// Larger bodies are not copied behind their head, but sent from where they are.
const COPY: usize = 16 << 10;

/// Appends a response to `out`, or sends a large one; gives a streamed body's producer back.
fn write_response(
    out: &mut Vec<u8>,
    link: &Link<'_>,
    response: &mut Response,
    exchange: Exchange,
    now: Moment,
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

#[cold]
pub(crate) fn panicked() -> Response {
    Response { close: true, ..StatusCode::INTERNAL_SERVER_ERROR.into_response() }
}

/// `out`, which has a buffer only from here on: a handler that waits holds none.
#[inline]
fn with_buffer(out: &mut Vec<u8>) -> &mut Vec<u8> {
    if out.capacity() == 0 {
        *out = buffer::output();
    }
    out
}

/// Writes the response, or its head if the rest is to come. Never inlined: nothing of this lies below a handler's frame.
#[inline(never)]
pub(crate) fn reply(
    context: &Context,
    link: &Link<'_>,
    now: &mut Option<Moment>,
    head: &Head<'_, '_>,
    request: &mut Request<'_>,
    response: &mut Response,
) -> io::Result<Step> {
    let body = request.body();
    let stays = head.is_11 && head.keep_alive && !context.state.stopping.load(Ordering::Relaxed);
    if stays
        && body.is_finished()
        && head.method != Method::HEAD
        && let Some(bytes) = response.usual().filter(|bytes| bytes.len() <= COPY)
    {
        let at = *now.get_or_insert_with(Moment::about_now);
        encode::usual(with_buffer(body.out()), response.content_type, bytes, link.config, at);
        return Ok(Step::Done);
    }
    reply_in_full(context, link, now, head, request, response)
}

/// The same for whatever it is.
#[inline(never)]
fn reply_in_full(
    context: &Context,
    link: &Link<'_>,
    now: &mut Option<Moment>,
    head: &Head<'_, '_>,
    request: &mut Request<'_>,
    response: &mut Response,
) -> io::Result<Step> {
    let body = request.body();
    // As after most requests: there is nothing to skip, now or later.
    let had_all = body.is_finished();
    if !had_all {
        body.skip(false);
    }
    let len = response.body.len();
    let is_stream = len.is_none();
    let takeover = response.take_upgrade();
    let following = response.take_following(link.can_detach());
    let keep_alive = head.keep_alive
        && !response.close
        && (had_all || body.can_be_skipped())
        && following.is_none()
        && !(is_stream && (!head.is_11 || !body.is_done()))
        && !context.state.stopping.load(Ordering::Relaxed);
    let exchange = Exchange::new(&head.method, head.is_11, keep_alive || takeover.is_some());
    let at = *now.get_or_insert_with(Moment::about_now);
    let is_long = len.is_some_and(|len| len > COPY as u64);
    let stream = write_response(with_buffer(body.out()), link, response, exchange, at)?;
    if is_long {
        // Sending it may have taken minutes; the time-out of what follows does not count from before.
        *now = None;
    }
    if keep_alive && !had_all {
        body.skip(true);
    }
    let finished = had_all || body.is_finished();
    Ok(match (takeover, stream, following) {
        (Some(takeover), ..) => Step::Upgrade(takeover),
        (None, Some(_), Some(following)) => Step::Follow(following, exchange.is_11),
        (None, Some((producer, head_first)), None) => {
            Step::Stream { producer, head_first, exchange, linger: !finished }
        }
        (None, None, _) if keep_alive && finished => Step::Done,
        (None, None, _) => Step::Last { linger: !finished },
    })
}
