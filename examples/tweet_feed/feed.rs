//! The middle of the program: posts go in from a reader or from `POST /api`, and come out of a topic
//! to every page. A post is encoded to its SSE frame once, here; every subscriber sends those bytes.
//! Not a database: it remembers the last few and forgets the rest. `web.rs` reads from it.

#![forbid(unsafe_code)]

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use sward::http::Event;
use sward::pubsub::{Subscriber, Topic};
use sward::sync::Mutex;

use crate::date;
use crate::post::Post;

/// How many posts a page may fall behind before it misses some; also how far back a page that
/// reconnects can ask.
const RING: usize = 4096;
/// How many ids of recent posts are kept to drop what the upstream sends twice.
const REMEMBERED: usize = 8192;

#[derive(Debug)]
pub(crate) struct Feed {
    topic: Topic,
    /// Ids are `epoch-number`: after a restart the numbers begin again, and the epoch tells an old
    /// page's last id from one of ours.
    epoch: String,
    history: usize,
    posts: AtomicU64,
    closed: AtomicBool,
    gate: Mutex<Gate>,
}

/// What one publisher at a time may touch. The lock also makes the topic's next id known before the
/// frame that must contain it is encoded.
#[derive(Debug)]
struct Gate {
    seen: HashSet<(&'static str, String)>,
    order: VecDeque<(&'static str, String)>,
    rate: Rate,
}

impl Feed {
    pub(crate) fn new(history: usize) -> Feed {
        Feed {
            topic: Topic::new(history.max(RING)),
            epoch: format!("{:x}", date::now_ms()),
            history,
            posts: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            gate: Mutex::new(Gate {
                seen: HashSet::new(),
                order: VecDeque::new(),
                rate: Rate::new(Instant::now()),
            }),
        }
    }

    /// Publishes a post, always.
    pub(crate) fn publish(&self, post: &Post) {
        let mut gate = self.gate.lock().unwrap_or_else(|e| e.into_inner());
        self.send(&mut gate, post);
    }

    /// Publishes a post unless its source has sent one with this id lately. Streams promise each
    /// post at least once, and repeat some after a reconnect.
    pub(crate) fn publish_once(&self, post: &Post) -> bool {
        let mut gate = self.gate.lock().unwrap_or_else(|e| e.into_inner());
        let key = (post.source, post.id.clone());
        if !gate.seen.insert(key.clone()) {
            return false;
        }
        gate.order.push_back(key);
        if gate.order.len() > REMEMBERED
            && let Some(old) = gate.order.pop_front()
        {
            gate.seen.remove(&old);
        }
        self.send(&mut gate, post);
        true
    }

    fn send(&self, gate: &mut Gate, post: &Post) {
        let id = self.id(self.topic.last_id() + 1);
        let frame = Event::data(post.to_json().to_string()).id(id).event("post").encode();
        self.topic.publish(frame);
        self.posts.fetch_add(1, Ordering::Relaxed);
        gate.rate.count(Instant::now());
    }

    /// Joins after the event that a page saw last; a new page, or one from before a restart, first
    /// gets the history. No post is missed or doubled between the replay and what follows live.
    ///
    /// Returns also the number of the event that it joined after.
    pub(crate) fn join(&self, last_event_id: Option<&str>) -> (Subscriber, u64) {
        let after = self.after(last_event_id);
        (self.topic.subscribe_after(after), after)
    }

    /// The number of the event to join after.
    pub(crate) fn after(&self, last_event_id: Option<&str>) -> u64 {
        let newest = self.topic.last_id();
        last_event_id
            .and_then(|id| self.number(id))
            .filter(|after| *after <= newest)
            .unwrap_or(newest.saturating_sub(self.history as u64))
    }

    pub(crate) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The public form of an event's number.
    pub(crate) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.epoch)
    }

    fn number(&self, id: &str) -> Option<u64> {
        let (epoch, number) = id.trim().split_once('-')?;
        if epoch == self.epoch { number.parse().ok() } else { None }
    }

    pub(crate) fn posts_total(&self) -> u64 {
        self.posts.load(Ordering::Relaxed)
    }

    pub(crate) fn posts_per_second(&self) -> f64 {
        let mut gate = self.gate.lock().unwrap_or_else(|e| e.into_inner());
        gate.rate.per_second(Instant::now())
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.topic.subscribers()
    }

    /// Ends every stream and the reader, so that the program can stop.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.topic.close();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// The JSON inside an encoded frame. OK because a post's JSON is an object on one line and the
/// other fields hold no brace.
pub(crate) fn json_of(frame: &[u8]) -> &[u8] {
    let start = frame.iter().position(|b| *b == b'{').unwrap_or(0);
    let end = frame.iter().rposition(|b| *b == b'}').map_or(frame.len(), |at| at + 1);
    &frame[start..end]
}

/// Counts per second, over the last ten full seconds.
#[derive(Debug)]
struct Rate {
    start: Instant,
    second: u64,
    counts: [u32; Rate::WINDOW + 1],
}

impl Rate {
    const WINDOW: usize = 10;

    fn new(start: Instant) -> Rate {
        Rate { start, second: 0, counts: [0; Rate::WINDOW + 1] }
    }

    fn turn(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.start).as_secs();
        let stale = (second - self.second).min(self.counts.len() as u64);
        for i in 0..stale {
            self.counts[((second - i) % self.counts.len() as u64) as usize] = 0;
        }
        self.second = second;
    }

    fn count(&mut self, now: Instant) {
        self.turn(now);
        self.counts[(self.second % self.counts.len() as u64) as usize] += 1;
    }

    fn per_second(&mut self, now: Instant) -> f64 {
        self.turn(now);
        let running = (self.second % self.counts.len() as u64) as usize;
        let sum: u32 = self.counts.iter().sum::<u32>() - self.counts[running];
        let seconds = self.second.min(Rate::WINDOW as u64);
        if seconds == 0 { f64::from(self.counts[running]) } else { f64::from(sum) / seconds as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn post(id: u64) -> Post {
        Post { id: id.to_string(), content: "a } and { b".into(), source: "sim", ..Post::default() }
    }

    fn ids((sub, _): &(Subscriber, u64)) -> Vec<u64> {
        std::iter::from_fn(|| sub.try_recv().ok()).map(|m| m.id).collect()
    }

    #[test]
    fn join_replays() {
        let feed = Feed::new(3);
        (1..=5).for_each(|n| feed.publish(&post(n)));
        assert_eq!(ids(&feed.join(None)), [3, 4, 5]);
        assert_eq!(ids(&feed.join(Some(&feed.id(4)))), [5]);
        assert_eq!(ids(&feed.join(Some(&feed.id(5)))), [0u64; 0]);
        assert_eq!(ids(&feed.join(Some(&feed.id(99)))), [3, 4, 5]);
        assert_eq!(ids(&feed.join(Some("feed-2"))), [3, 4, 5], "an id from another run");
        assert_eq!(ids(&feed.join(Some("nonsense"))), [3, 4, 5]);
    }

    #[test]
    fn frame_has_id_and_json() {
        let feed = Feed::new(3);
        feed.publish(&post(1));
        let frame = feed.join(None).0.try_recv().unwrap().data;
        let text = std::str::from_utf8(&frame).unwrap();
        assert!(text.contains(&format!("id: {}\n", feed.id(1))), "{text}");
        assert!(text.contains("\nevent: post\n") && text.ends_with("\n\n"), "{text}");
        let json: serde_json::Value = serde_json::from_slice(json_of(&frame)).unwrap();
        assert_eq!(json["content"], "a } and { b");
    }

    #[test]
    fn doubles_are_dropped() {
        let feed = Feed::new(3);
        assert!(feed.publish_once(&post(1)));
        assert!(!feed.publish_once(&post(1)));
        assert!(feed.publish_once(&Post { source: "x", ..post(1) }));
        assert_eq!(feed.posts_total(), 2);
    }

    #[test]
    fn rate_forgets() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for s in 0..20 {
            (0..5).for_each(|_| rate.count(start + Duration::from_secs(s)));
        }
        assert_eq!(rate.per_second(start + Duration::from_secs(20)), 5.0);
        assert_eq!(rate.per_second(start + Duration::from_secs(25)), 2.5);
        assert_eq!(rate.per_second(start + Duration::from_secs(1000)), 0.0);
    }
}
