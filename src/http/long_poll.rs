//! Long poll: a request that is answered when there is something to say. For clients that cannot do better; a stream costs
//! less for each message.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::error::ClientGone;
use super::request::Request;
use crate::pubsub::{EventId, Message, RecvError, Subscriber, Topic};

/// Answers a request with what was published after a cursor, and waits for it if that is nothing.
///
/// While it waits it has its green thread (or OS thread), as every handler; between two polls nothing. In green mode a
/// client that goes away ends the wait.
///
/// ```
/// use sward::http::{ClientGone, Json, LongPoll, Request, Router};
/// use sward::pubsub::Topic;
///
/// let news = Topic::new(1000);
/// let app = Router::new().get("/poll", move |req: &mut Request| {
///     let cursor = req.query("cursor").ok().flatten();
///     let polled = LongPoll::new(&news).poll(req, cursor)?;
///     let texts: Vec<_> =
///         polled.messages.iter().map(|news| String::from_utf8_lossy(&news.data).into_owned()).collect();
///     Ok::<_, ClientGone>(Json((polled.cursor, polled.missed, texts)))
/// });
/// # drop(app);
/// ```
#[derive(Debug)]
pub struct LongPoll {
    topic: Topic,
    limit: Duration,
    at_most: usize,
}

/// What a [`LongPoll`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Polled {
    /// The messages, oldest first. Empty if none came in time.
    pub messages: Vec<Message>,
    /// How many were lost before the first of them, because the cursor was older than what the topic keeps, or one that it
    /// has not given out. At least 1 then, if nobody knows.
    pub missed: u64,
    /// The cursor for the client's next request.
    pub cursor: u64,
    /// The same for [`poll_event`](LongPoll::poll_event).
    pub after: EventId,
}

impl LongPoll {
    /// With the defaults.
    pub fn new(topic: &Topic) -> LongPoll {
        LongPoll { topic: topic.clone(), limit: Duration::from_secs(25), at_most: 500 }
    }

    /// Sets how long it waits for the first message. Default 25 s: less than the half minute after which some proxies give
    /// up.
    pub fn limit(mut self, limit: Duration) -> LongPoll {
        self.limit = limit;
        self
    }

    /// Sets how many messages it returns at most; 0 counts as 1. Default 500.
    pub fn at_most(mut self, n: usize) -> LongPoll {
        self.at_most = n.max(1);
        self
    }

    /// Waits for a message after `cursor`, or without a cursor for the next one that is published, and takes along what
    /// else there is. Returns with none when the time is over, when the topic is closed, or after a loss, which the client
    /// should know of at once.
    ///
    /// # Errors
    ///
    /// [`ClientGone`] if the client went away meanwhile, in green mode: as [`Request::while_connected`] has it.
    pub fn poll(&self, request: &Request<'_>, cursor: Option<u64>) -> Result<Polled, ClientGone> {
        let subscriber = match cursor {
            Some(id) => self.topic.subscribe_after(id),
            None => self.topic.subscribe(),
        };
        self.take(request, subscriber, EventId::START)
    }

    /// The same by an id that means something to other processes and after a restart: for the topics of a
    /// [`Bus`](crate::pubsub::Bus), where the next request may come to another instance.
    ///
    /// ```
    /// use sward::http::testing::Client;
    /// use sward::http::{Error, Json, LongPoll, Request, Router};
    /// use sward::pubsub::{EventId, Topics};
    ///
    /// let accounts = Topics::new(100);
    /// let topic = accounts.topic("42");
    /// let app = Router::new().get("/poll", move |req: &mut Request| {
    ///     let cursor = req.query::<EventId>("after")?;
    ///     let polled = LongPoll::new(&topic).poll_event(req, cursor)?;
    ///     Ok::<_, Error>(Json((polled.after.to_string(), polled.messages.len(), polled.missed)))
    /// });
    /// let client = Client::new(app);
    /// let first = accounts.publish("42", &b"one"[..]);
    /// let second = accounts.publish("42", &b"two"[..]);
    /// let answer = client.get(&format!("/poll?after={first}")).send();
    /// assert_eq!(answer.text(), format!("[\"{second}\",1,0]"));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`poll`](LongPoll::poll).
    pub fn poll_event(
        &self,
        request: &Request<'_>,
        cursor: Option<EventId>,
    ) -> Result<Polled, ClientGone> {
        let from = cursor.unwrap_or_else(|| self.newest());
        self.take(request, self.topic.subscribe_after_event(from), from)
    }

    fn newest(&self) -> EventId {
        self.topic.history(1).first().map_or(EventId::START, |newest| newest.event_id)
    }

    /// Waits and takes, for a subscriber that begins after the event `after`.
    fn take(
        &self,
        request: &Request<'_>,
        subscriber: Subscriber,
        after: EventId,
    ) -> Result<Polled, ClientGone> {
        let (messages, cursor) = (Vec::new(), subscriber.seen());
        let mut polled = Polled { messages, missed: 0, cursor, after };
        let deadline = Instant::now().checked_add(self.limit);
        let mut next = subscriber.try_recv();
        if let Err(RecvError::Empty) = next {
            next = request.while_connected(|| first(&subscriber, deadline))?;
        }
        loop {
            match next {
                Ok(message) => polled.messages.push(message),
                Err(RecvError::Lagged { missed }) => {
                    // A loss is said, though nobody knows how great it is.
                    polled.missed += missed.max(1);
                    polled.after = self.newest();
                }
                Err(_) => break, // nothing more for now
            }
            if polled.messages.len() == self.at_most {
                break;
            }
            next = subscriber.try_recv();
        }
        polled.cursor = subscriber.seen();
        if let Some(last) = polled.messages.last() {
            polled.after = last.event_id;
        }
        Ok(polled)
    }
}

fn first(subscriber: &Subscriber, deadline: Option<Instant>) -> Result<Message, RecvError> {
    match deadline {
        Some(deadline) => subscriber.recv_deadline(deadline),
        None => subscriber.recv(),
    }
}
