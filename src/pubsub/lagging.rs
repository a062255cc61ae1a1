//! [`Lagging`]: what becomes of those who are too slow.

#![forbid(unsafe_code)]

/// What becomes of a subscriber that is so slow, or was away for so long, that the topic no longer keeps the next message for
/// it: of one that is read in a loop ([`Subscriber::lagging`](super::Subscriber::lagging)), and of a client of an event stream
/// (`http::Follow::lagging`).
///
/// Whatever is lost is said, by [`RecvError::Lagged`](super::RecvError::Lagged), and in an event stream by an event of type
/// `lagged` with the data `{"missed":N}` and no id, where 0 is that nobody knows how many (but not with
/// [`Latest`](Lagging::Latest)). So it is, in streams with all of them, when a client resumes too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Lagging {
    /// It is cut off. For clients of an event stream this is the default: they are cut in the middle, so that browsers connect
    /// again, with `Last-Event-ID`, and are told then. A subscriber gets `Lagged` and then `Closed`.
    #[default]
    Disconnect,
    /// It misses the oldest messages, and goes on with the oldest that is kept. For subscribers this is the default.
    DropOldest,
    /// It gets what there is when it falls behind; what is published before it has taken that is lost to it. A client is behind
    /// when its connection takes no more; a subscriber when half of what the topic keeps waits for it.
    DropNewest,
    /// As soon as it is behind it gets only the newest message. For topics whose messages each say everything.
    Latest,
}
