//! A topic as an event stream: the response, what becomes of clients that are too slow for it, and the loop that sends it
//! from a thread of the connection's own. Without one, which is the usual case, `detached.rs` sends it.

#![forbid(unsafe_code)]

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use super::event::Event;
use super::into_response::IntoResponse;
use super::request::Request;
use super::response::{Body, Producer, Response};
use super::sse::HEARTBEAT;
use super::stream::BodyWriter;
use crate::pubsub::{EventId, Lagging, Message, RecvError, Subscriber, Topic};

/// What is published in a topic, as an event stream (`text/event-stream`): from [`Sse::follow`](super::Sse::follow). The
/// messages are whole events, encoded by [`Event::encode`].
///
/// In green mode the connection is handed to its worker once the head is sent: it has no green thread and no stack, only
/// a record of some hundred bytes. One green thread per topic and worker sends each message to all of them. A client that
/// does not take it at once gets a green thread of its own until it has caught up; if it takes nothing for
/// [`Config::write_timeout`](super::Config::write_timeout), it is cut. A client that goes away, or ends its sending side, is
/// noticed at once. When the server stops, or the topic is closed, what was published before is sent, and the stream ends
/// properly.
///
/// In the other modes, and where every client needs bytes of its own (compression), a thread per connection does the same
/// in a loop.
///
/// ```
/// use sward::http::{Event, Request, Router, Sse};
/// use sward::pubsub::Topic;
///
/// let news = Topic::new(1000);
/// let theirs = news.clone();
/// let app = Router::new().get("/news", move |req: &mut Request| Sse::follow(&theirs).resume(req));
/// news.publish(Event::data("hello").id("1").encode());
/// # drop(app);
/// ```
///
/// Where the messages are something else, or do not know their ids, [`encode`](Follow::encode) makes events of them. What it
/// cannot do is to send each client something of its own: for that, write the loop, in [`Sse::new`](super::Sse::new).
#[must_use = "it is a response"]
pub struct Follow {
    topic: Topic,
    after: Option<After>,
    encode: Option<Encode>,
    lagging: Lagging,
    heartbeat: Option<Duration>,
    first: Vec<u8>,
    response: Response,
}

/// Where a stream begins.
#[derive(Debug, Clone, Copy)]
enum After {
    Message(u64),
    Event(EventId),
}

/// Makes an event of a message.
pub(crate) type Encode = fn(&Message) -> Vec<u8>;

impl Follow {
    pub(crate) fn new(topic: &Topic) -> Follow {
        let response = Response {
            content_type: Some("text/event-stream"),
            ..Response::new(Default::default())
        };
        Follow {
            topic: topic.clone(),
            after: None,
            encode: None,
            lagging: Lagging::default(),
            heartbeat: Some(HEARTBEAT),
            first: Vec::new(),
            response: response.header("Cache-Control", "no-cache"),
        }
    }

    /// Sends first what was published after the message with this id, as far as the topic still keeps it (0: everything), and
    /// says so if that is not all. Without it the stream begins with what is published next.
    pub fn after(mut self, id: impl Into<Option<u64>>) -> Follow {
        self.after = id.into().map(After::Message);
        self
    }

    /// The same for an id that others have kept.
    pub fn after_event(mut self, id: impl Into<Option<EventId>>) -> Follow {
        self.after = id.into().map(After::Event);
        self
    }

    /// Takes the id from the request's `Last-Event-ID`, which a browser sends when it connects again. For topics whose events
    /// have the ids of their messages, as [`Message::event_id`] writes them; if the header is missing or something else, nothing
    /// changes.
    pub fn resume(self, request: &Request<'_>) -> Follow {
        match request.header("last-event-id").and_then(|id| id.trim().parse::<EventId>().ok()) {
            Some(id) => self.after_event(id),
            None => self,
        }
    }

    /// Makes an event of each message: for topics whose messages are no encoded events, or do not know their ids. It is called
    /// once for each message and worker, whatever the number of clients, and again for those that are behind.
    ///
    /// ```
    /// use sward::http::{Event, Request, Router, Sse};
    /// use sward::pubsub::{Message, Topics};
    ///
    /// fn event(message: &Message) -> Vec<u8> {
    ///     let text = String::from_utf8_lossy(&message.data);
    ///     Event::data(text).id(message.event_id.to_string()).encode()
    /// }
    ///
    /// let accounts = Topics::new(100);
    /// let app = Router::new().get("/accounts/{id}/events", move |req: &mut Request| {
    ///     let topic = accounts.topic(&req.param::<String>("id")?);
    ///     Ok::<_, sward::http::Error>(Sse::follow(&topic).encode(event).resume(req))
    /// });
    /// # drop(app);
    /// ```
    pub fn encode(mut self, event: fn(&Message) -> Vec<u8>) -> Follow {
        self.encode = Some(event);
        self
    }

    /// Sets what becomes of clients that are too slow. Default [`Lagging::Disconnect`].
    pub fn lagging(mut self, lagging: Lagging) -> Follow {
        self.lagging = lagging;
        self
    }

    /// As [`Sse::heartbeat`](super::Sse::heartbeat). Default 15 s.
    pub fn heartbeat(mut self, every: impl Into<Option<Duration>>) -> Follow {
        self.heartbeat = every.into();
        self
    }

    /// Sends an event before all others: to say how soon to connect again ([`Event::retry`]), or what the state is.
    pub fn first(mut self, event: &Event) -> Follow {
        self.first.extend_from_slice(&event.encode());
        self
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// As [`Response::header`] does.
    #[track_caller]
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Follow {
        self.response = self.response.header(name, value);
        self
    }
}

impl IntoResponse for Follow {
    fn into_response(self) -> Response {
        let subscriber = match self.after {
            Some(After::Message(id)) => self.topic.subscribe_after(id),
            Some(After::Event(id)) => self.topic.subscribe_after_event(id),
            None => self.topic.subscribe(),
        };
        let Follow { encode, lagging, heartbeat, first, .. } = self;
        let held = Vec::new();
        let following = Following { subscriber, encode, lagging, heartbeat, first, held };
        Response { body: Body::Follow(Box::new(following)), ..self.response }
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow")
            .field("topic", &self.topic)
            .field("after", &self.after)
            .field("lagging", &self.lagging)
            .field("heartbeat", &self.heartbeat)
            .finish_non_exhaustive()
    }
}

/// The body of such a response.
pub(crate) struct Following {
    pub(crate) subscriber: Subscriber,
    pub(crate) encode: Option<Encode>,
    pub(crate) lagging: Lagging,
    pub(crate) heartbeat: Option<Duration>,
    /// Events that go before all others.
    pub(crate) first: Vec<u8>,
    /// Kept until its end.
    pub(crate) held: Vec<Box<dyn Any>>,
}

/// What a client gets next.
pub(crate) enum Piece {
    /// A message.
    Frame(Message),
    /// That so many are lost to it.
    Missed(u64),
    /// Nothing: it has everything.
    Nothing,
    /// The end of the topic.
    Closed,
    /// The end of its patience.
    Cut,
}

/// How often a loop with nothing to send looks whether the server stops.
const LOOK: Duration = Duration::from_secs(1);

impl Lagging {
    /// What a client gets next that fell behind when the newest message was `until`.
    pub(crate) fn next(self, subscriber: &Subscriber, until: u64) -> Piece {
        loop {
            let newest = subscriber.newest();
            let behind = newest.saturating_sub(subscriber.seen());
            match self {
                Lagging::Latest if behind > 1 => subscriber.skip_to(newest - 1),
                Lagging::DropNewest if behind > 0 && subscriber.seen() >= until => {
                    subscriber.skip_to(newest);
                    return Piece::Missed(behind);
                }
                _ => {}
            }
            return match subscriber.try_recv() {
                Ok(message) => Piece::Frame(message),
                Err(RecvError::Closed) => Piece::Closed,
                Err(RecvError::Lagged { missed }) => match self {
                    Lagging::Latest => continue,
                    Lagging::Disconnect => Piece::Cut,
                    _ => Piece::Missed(missed),
                },
                Err(_) => Piece::Nothing,
            };
        }
    }
}

/// A message, as an event.
pub(crate) fn event(message: &Message, encode: Option<Encode>) -> Cow<'_, [u8]> {
    encode.map_or(Cow::Borrowed(&message.data), |encode| encode(message).into())
}

/// The event that says that messages were lost.
pub(crate) fn lagged(missed: u64) -> Vec<u8> {
    Event::data(format!("{{\"missed\":{missed}}}")).event("lagged").encode()
}

impl Following {
    pub(crate) fn hold(&mut self, value: impl Sized + 'static) {
        self.held.push(Box::new(value));
    }

    /// A loop that sends it from a thread of the connection's own.
    pub(crate) fn producer(self: Box<Self>) -> Producer {
        Box::new(move |body: &mut BodyWriter<'_>| match self.heartbeat {
            Some(every) => body.with_heartbeat(every, |body| self.send(body)),
            None => self.send(body),
        })
    }

    fn send(&self, body: &mut BodyWriter<'_>) -> io::Result<()> {
        if !self.first.is_empty() {
            body.write_all(&self.first)?;
        }
        let (mut lagging, mut until) = (Lagging::DropOldest, 0); // of a replay nothing is lost in silence
        loop {
            match lagging.next(&self.subscriber, until) {
                Piece::Frame(message) => body.write_all(&event(&message, self.encode))?,
                Piece::Missed(missed) => body.write_all(&lagged(missed))?,
                Piece::Closed => return Ok(()),
                Piece::Cut => return Err(cut()),
                Piece::Nothing => {
                    body.flush()?;
                    lagging = self.lagging;
                    loop {
                        match self.subscriber.recv_timeout(LOOK) {
                            Err(RecvError::Timeout) if body.is_stopping() => return Ok(()),
                            Err(RecvError::Timeout) => {}
                            Err(RecvError::Lagged { missed }) => {
                                match self.lagging {
                                    Lagging::Latest => {}
                                    Lagging::Disconnect => return Err(cut()),
                                    _ => body.write_all(&lagged(missed))?,
                                }
                                break;
                            }
                            Err(_) => return Ok(()),
                            Ok(message) => {
                                body.write_all(&event(&message, self.encode))?;
                                break;
                            }
                        }
                    }
                    body.flush()?;
                    // What came while that was being sent is what it is behind with.
                    until = self.subscriber.newest();
                }
            }
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the client is too slow for the topic")
}
