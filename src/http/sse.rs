//! Server-Sent Events as a response: the head at once, then events as the closure sends them.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use super::event::{Event, lines_of};
use super::follow::Follow;
use super::into_response::IntoResponse;
use super::response::{Body, Response};
use super::stream::BodyWriter;
use crate::pubsub::Topic;

/// A stream of events (`text/event-stream`), written by a closure that may block for as long as it likes.
///
/// ```
/// use std::time::Duration;
/// use sward::http::{Event, Request, Router, Sse, SseWriter};
///
/// let app = Router::new().get("/clock", |_: &mut Request| {
///     Sse::new(|tx: &mut SseWriter| {
///         for tick in 0.. {
///             tx.send(&Event::data(tick.to_string()))?;
///             sward::thread::sleep(Duration::from_secs(1));
///         }
///         Ok(())
///     })
/// });
/// # drop(app);
/// ```
pub struct Sse {
    response: Response,
    /// How long it may be silent; the producer looks when it starts.
    heartbeat: Rc<Cell<Option<Duration>>>,
}

/// The HTML standard's advice.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

impl Sse {
    /// A stream of the events that `producer` sends. When it returns, the stream ends, and browsers
    /// connect again.
    ///
    /// A client that went away ends what the producer waits for, in green mode, and is an error of its next send in
    /// every mode: see [`Response::stream`].
    pub fn new<F>(producer: F) -> Sse
    where
        F: FnOnce(&mut SseWriter<'_, '_>) -> io::Result<()> + 'static,
    {
        let heartbeat = Rc::new(Cell::new(Some(HEARTBEAT)));
        let every = heartbeat.clone();
        let producer = Box::new(move |body: &mut BodyWriter<'_>| match every.get() {
            Some(every) => body.with_heartbeat(every, |body| producer(&mut SseWriter { body })),
            None => producer(&mut SseWriter { body }),
        });
        let body = Body::Stream { producer, head_first: true };
        let response = Response {
            content_type: Some("text/event-stream"),
            body,
            ..Response::new(Default::default())
        };
        Sse { response: response.header("Cache-Control", "no-cache"), heartbeat }
    }

    /// A stream of what is published in `topic`, which costs no stack while it waits: see [`Follow`].
    pub fn follow(topic: &Topic) -> Follow {
        Follow::new(topic)
    }

    /// Sets for how long the stream may be silent before a comment is sent, which clients ignore: it keeps proxies on
    /// the way from taking the stream for dead, and finds out whether the client still is there. `None`: for ever.
    /// Default 15 s. The comment may be up to a second late.
    ///
    /// The comment is sent between two events, by a thread that does so for all streams. If the client takes nothing for
    /// [`Config::write_timeout`](super::Config::write_timeout), the connection is cut: whatever the producer waits for
    /// ends (in green mode), or its next send fails.
    pub fn heartbeat(self, every: impl Into<Option<Duration>>) -> Sse {
        self.heartbeat.set(every.into());
        self
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// As [`Response::header`] does.
    #[track_caller]
    pub fn header(self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Sse {
        Sse { response: self.response.header(name, value), ..self }
    }
}

impl IntoResponse for Sse {
    fn into_response(self) -> Response {
        self.response
    }
}

impl fmt::Debug for Sse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse")
            .field("heartbeat", &self.heartbeat.get())
            .field("response", &self.response)
            .finish()
    }
}

/// Sends events to one client. What the closure of [`Sse::new`] gets.
///
/// Each method but the `queue` ones sends at once.
///
/// # Errors
///
/// As [`BodyWriter`] has them: the client went away, or takes nothing.
#[derive(Debug)]
pub struct SseWriter<'w, 'c> {
    body: &'w mut BodyWriter<'c>,
}

impl SseWriter<'_, '_> {
    /// Sends an event.
    pub fn send(&mut self, event: &Event) -> io::Result<()> {
        self.queue(event)?;
        self.flush()
    }

    /// Sends bytes that are encoded already, by [`Event::encode`]; any number of whole events.
    pub fn send_raw(&mut self, encoded: impl AsRef<[u8]>) -> io::Result<()> {
        self.queue_raw(encoded)?;
        self.flush()
    }

    /// Adds an event to what the next send or flush takes along.
    pub fn queue(&mut self, event: &Event) -> io::Result<()> {
        self.body.write_all(event.lines())?;
        self.body.write_all(b"\n")
    }

    /// Adds encoded events to what the next send or flush takes along.
    pub fn queue_raw(&mut self, encoded: impl AsRef<[u8]>) -> io::Result<()> {
        self.body.write_all(encoded.as_ref())
    }

    /// Sends what was queued.
    pub fn flush(&mut self) -> io::Result<()> {
        self.body.flush()
    }

    /// Sends a comment, which clients ignore: it keeps the connection alive, and finds out whether the
    /// client still is there.
    pub fn comment(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        for line in lines_of(text.as_ref()) {
            for part in [": ", line, "\n"] {
                self.body.write_all(part.as_bytes())?;
            }
        }
        self.body.write_all(b"\n")?;
        self.flush()
    }

    /// Tells the browser how long to wait before it connects again.
    pub fn retry(&mut self, after: Duration) -> io::Result<()> {
        self.send(&Event::new().retry(after))
    }

    /// True once the server was told to stop: return, or be cut when its time is over.
    pub fn is_stopping(&self) -> bool {
        self.body.is_stopping()
    }
}
