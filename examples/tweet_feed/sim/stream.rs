//! The stream itself: with X one connection at a time, a JSON object a line, an empty line when there
//! was nothing else for a while. A plain loop that waits for the next due moment and writes; what it
//! writes depends on the dialect, of which `mastodon.rs` holds the other one.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sward::http::{BodyWriter, Request, Response};

use super::fault::Fault;
use super::people::AUTHORS;
use super::talk::Draft;
use super::{State, StoredRule, World, answer, mastodon};
use crate::date;
use crate::post::words_after;
use crate::text::escape;

/// How many posts `backfill_minutes` can bring back.
const RECENT: usize = 200;

/// The language of a stream.
#[derive(Debug)]
pub(super) enum Dialect {
    X,
    Mastodon { tag: Option<String> },
}

impl Dialect {
    /// What is sent when there is nothing to say, and after how long.
    fn keep_alive(&self) -> (&'static [u8], Duration) {
        match self {
            // X promises a byte at least every 20 s; like it, we stay a little under that.
            Dialect::X => (b"\r\n", Duration::from_secs(18)),
            Dialect::Mastodon { .. } => (b":thump\n", Duration::from_secs(15)),
        }
    }

    /// The post as this stream sends it; `None` if nobody asked for it.
    fn encode(&self, rules: &[StoredRule], draft: &Draft, now: i64) -> Option<String> {
        match self {
            Dialect::Mastodon { tag: Some(tag) } if !mastodon::tagged(draft, tag) => None,
            Dialect::Mastodon { .. } => Some(mastodon::encode(draft, now)),
            Dialect::X => {
                let hits = rules.iter().filter(|stored| stored.rule.matches(draft));
                let hits: Vec<Value> = hits
                    .map(|stored| json!({"id": stored.id.to_string(), "tag": stored.tag}))
                    .collect();
                (!hits.is_empty()).then(|| format!("{}\r\n", encode(draft, now, hits)))
            }
        }
    }
}

/// `GET /2/tweets/search/stream`.
pub(crate) fn open(world: &Arc<World>, req: &mut Request<'_>) -> Response {
    let refused = world.refuse(req).map(|response| (401, response));
    let refused = refused.or_else(|| world.lock().obstacle());
    let backfill: i64 = req.query("backfill_minutes").ok().flatten().unwrap_or(0);
    match begin(world, refused, Dialect::X) {
        Err(response) => response,
        Ok(place) => Response::stream(move |out| place.pump(out, backfill))
            .header("content-type", "application/json"),
    }
}

/// Notes the visit, and makes it the newest stream unless it was refused.
pub(super) fn begin(
    world: &Arc<World>,
    refused: Option<(u16, Response)>,
    dialect: Dialect,
) -> Result<Place, Response> {
    let mut state = world.lock();
    let gone = || (503, answer(503, &json!({"title": "Shutting down"})));
    let refused = refused.or_else(|| state.ended.then(gone));
    let at = world.start.elapsed().as_millis() as u64;
    state.visits.push((at, refused.as_ref().map_or(200, |(status, _)| *status)));
    if let Some((_, response)) = refused {
        return Err(response);
    }
    state.streams += 1;
    let number = state.streams;
    if matches!(dialect, Dialect::X) {
        state.holder = Some(number);
    }
    drop(state);
    world.changed.notify_all(); // lets a stalled predecessor go
    Ok(Place { world: world.clone(), number, dialect })
}

impl State {
    /// Why the stream cannot be had now.
    fn obstacle(&mut self) -> Option<(u16, Response)> {
        let problem = |status: u16, title: &str, issue: &str, detail: &str| {
            let body = json!({"title": title, "detail": detail, "connection_issue": issue,
                "type": "https://api.x.com/2/problems/streaming-connection"});
            Some((status, answer(status, &body)))
        };
        if let Some(status) = self.faults.answers.pop_front() {
            return problem(status, "Simulated", "Simulated", "This answer was ordered.");
        }
        if self.rules.is_empty() {
            let detail = "You must define rules on your client app before connecting.";
            return problem(409, "ConnectionException", "RuleConfigurationIssue", detail);
        }
        if self.holder.is_some() {
            let detail = "This stream is currently at the maximum allowed connection limit.";
            return problem(429, "ConnectionException", "TooManyConnections", detail);
        }
        None
    }

    /// The next post that somebody asked for. If the rules are narrow there may be none for now.
    fn line(&mut self, dialect: &Dialect, now: i64) -> Option<String> {
        for _ in 0..64 {
            let draft = self.talk.next();
            if let Some(line) = dialect.encode(&self.rules, &draft, now) {
                self.recent.push_back((now, line.clone()));
                if self.recent.len() > RECENT {
                    self.recent.pop_front();
                }
                return Some(line);
            }
        }
        None
    }
}

/// A running stream, and with X the hold on its one connection, given back however it ends.
pub(super) struct Place {
    world: Arc<World>,
    number: u64,
    dialect: Dialect,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.world.lock();
        if state.holder == Some(self.number) {
            state.holder = None;
        }
    }
}

impl Place {
    pub(super) fn pump(&self, out: &mut BodyWriter<'_>, backfill: i64) -> io::Result<()> {
        let (still_here, keep_alive) = self.dialect.keep_alive();
        let keep_alive = keep_alive.mul_f64(self.world.config.time_scale);
        if let Dialect::Mastodon { .. } = self.dialect {
            out.write_all(b":)\n")?;
        }
        for line in self.backfill(backfill) {
            out.write_all(line.as_bytes())?;
        }
        out.flush()?;
        let mut due = Instant::now();
        let mut alive = due + keep_alive;
        loop {
            let now = Instant::now();
            if due <= now {
                let line = self.world.lock().line(&self.dialect, date::now_ms());
                if let Some(line) = line {
                    self.send(out, &line)?;
                    alive = now + keep_alive;
                }
                due = self.next_due(due, now);
                continue;
            }
            if alive <= now {
                out.write_all(still_here)?;
                alive = now + keep_alive;
            }
            out.flush()?;
            match self.wait(due.min(alive)) {
                None => {}
                Some(Fault::Drop) => return Err(io::Error::other("dropped on purpose")),
                Some(Fault::Close) => return Ok(()),
                Some(Fault::Stall) => return self.stall(),
                Some(Fault::Garbage) => out.write_all(b"<html>502 \"Bad Gateway\"\r\n")?,
                Some(Fault::Disconnect) => {
                    let error = json!({"errors": [{"title": "operational-disconnect",
                        "disconnect_type": "UpstreamOperationalDisconnect",
                        "detail": "This stream has been disconnected for operational reasons.",
                        "type": "https://api.x.com/2/problems/operational-disconnect"}]});
                    write!(out, "{error}\r\n")?;
                    return Ok(());
                }
                Some(Fault::Burst(n)) => {
                    for _ in 0..n {
                        let line = self.world.lock().line(&self.dialect, date::now_ms());
                        self.send(out, line.as_deref().unwrap_or(""))?;
                    }
                }
            }
            if self.world.lock().ended {
                return Ok(());
            }
        }
    }

    /// Waits until then, or until a fault is ordered.
    fn wait(&self, until: Instant) -> Option<Fault> {
        let state = self.world.lock();
        let left = until.saturating_duration_since(Instant::now());
        let idle = |state: &mut State| state.faults.once.is_empty() && !state.ended;
        let waited = self.world.changed.wait_timeout_while(state, left, idle);
        let (mut state, _) = waited.unwrap_or_else(|e| e.into_inner());
        state.faults.once.pop_front()
    }

    /// Holds the connection without a word until the next one comes.
    fn stall(&self) -> io::Result<()> {
        let mut state = self.world.lock();
        state.holder = None;
        let stuck = |state: &mut State| state.streams == self.number && !state.ended;
        drop(self.world.changed.wait_while(state, stuck).unwrap_or_else(|e| e.into_inner()));
        Err(io::Error::other("stalled on purpose"))
    }

    /// Uneven, as people are, but `rate` in the mean; a stream that was held up does not catch up.
    fn next_due(&self, due: Instant, now: Instant) -> Instant {
        let uneven = 0.3 + 1.4 * self.world.lock().pace.unit();
        let next = due + Duration::from_secs_f64(uneven / self.world.config.rate);
        next.max(now.checked_sub(Duration::from_secs(1)).unwrap_or(now))
    }

    /// What was sent in the last `minutes`. The first time there is nothing yet, so a handful is made
    /// up, spread over the last minute: the page should not begin empty.
    fn backfill(&self, minutes: i64) -> Vec<String> {
        if minutes <= 0 {
            return Vec::new();
        }
        let now = date::now_ms();
        let mut state = self.world.lock();
        if state.recent.is_empty() {
            for i in (1..=12i64).rev() {
                state.line(&self.dialect, now - i * i * 400);
            }
        }
        let since = now - minutes.min(5) * 60_000;
        state.recent.iter().filter(|(at, _)| *at >= since).map(|(_, line)| line.clone()).collect()
    }

    fn send(&self, out: &mut BodyWriter<'_>, line: &str) -> io::Result<()> {
        let (split, dup) = {
            let state = self.world.lock();
            (state.faults.split, state.faults.dup)
        };
        for _ in 0..1 + usize::from(dup) {
            if split {
                // Seven is odd enough to cut words, numbers and letters of several bytes.
                for part in line.as_bytes().chunks(7) {
                    out.write_all(part)?;
                    out.flush()?;
                }
            } else {
                out.write_all(line.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// A post in the v2 shape, with the fields that our reader asks for. Positions count code points.
fn encode(draft: &Draft, now: i64, matching_rules: Vec<Value>) -> Value {
    let author = AUTHORS[draft.author];
    let id = draft.id.to_string();
    let span = |at: usize, len: usize| {
        let start = draft.text[..at].chars().count();
        (start, start + draft.text[at..at + len].chars().count())
    };
    let mut entities = json!({});
    let words = |sign, name: &str| -> Vec<Value> {
        words_after(&draft.text, sign)
            .map(|(at, word)| {
                let (start, end) = span(at, word.len() + 1);
                json!({"start": start, "end": end, name: word})
            })
            .collect()
    };
    for (key, list) in [("hashtags", words('#', "tag")), ("mentions", words('@', "username"))] {
        if !list.is_empty() {
            entities[key] = Value::Array(list);
        }
    }
    if let Some((short, display, long)) = &draft.url {
        let (start, end) = span(draft.text.find(short.as_str()).unwrap_or(0), short.len());
        entities["urls"] = json!([{"start": start, "end": end, "url": short,
            "expanded_url": long, "display_url": display}]);
    }
    json!({
        "data": {
            "id": id, "text": escape(&draft.text), "author_id": author.0.to_string(),
            "created_at": date::iso_ms(now), "edit_history_tweet_ids": [id],
            "lang": draft.lang, "entities": entities,
        },
        "includes": {"users": [{
            "id": author.0.to_string(), "username": author.1, "name": escape(author.2),
            "profile_image_url": format!("https://images.example/{}_normal.png", author.1),
        }]},
        "matching_rules": matching_rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::sim::talk::Talk;

    #[test]
    fn our_parser_reads_it() {
        let mut talk = Talk::new(3);
        for _ in 0..500 {
            let draft = talk.next();
            let post = parse::x_v2(&encode(&draft, 1_767_261_600_250, Vec::new()), "sim").unwrap();
            assert_eq!(post.content, draft.text);
            assert_eq!(post.user.full_name, AUTHORS[draft.author].2);
            assert_eq!(post.date_ms, 1_767_261_600_250);
            assert_eq!(post.urls.len(), usize::from(draft.url.is_some()));
        }
    }
}
