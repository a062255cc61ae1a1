//! The thread that reads: it joins the topics that this process uses, and feeds them.
//!
//! ```text
//!   join       subscribe to the channel, then read the stream: what is in both is recognised by its id
//!   live       the next id: to the topic; an id that has been: dropped; any other: read the stream again
//!   new link   all topics again, each from the last id that it has got
//! ```
//!
//! So nothing depends on Redis delivering what it announces: a message that does not come is noticed at the next one, or when the
//! connection is new.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Connection, PubSub, RedisResult, Value, cmd, pipe};

use super::wire::{self, Backoff, Entry};
use super::writer::millis;
use super::{PRESENCE, Shared};
use crate::pubsub::{EventId, Topic};

/// How long it listens before it looks after other things; and how long Redis may take to answer meanwhile.
const TICK: Duration = Duration::from_secs(2);
/// How long a topic is fed that nobody uses.
const UNUSED: Duration = Duration::from_secs(60);
/// So many topics are read at once, and so many entries of each.
const TOPICS: usize = 50;
const PAGE: usize = 1000;

/// Runs until the bus is closed.
pub(super) fn run(shared: &Shared) {
    let mut backoff = Backoff::default();
    loop {
        // OK to ignore the error: whatever it was, the next connection goes on where this one was.
        let _ = session(shared, &mut backoff);
        shared.local.set_connected(false);
        if shared.local.pause(backoff.next()) {
            return;
        }
    }
}

/// The life of a pair of connections.
fn session(shared: &Shared, backoff: &mut Backoff) -> RedisResult<()> {
    let patience = shared.settings.patience;
    let mut commands = wire::connect(&shared.client, patience)?;
    let present = wire::load(&mut commands, wire::PRESENT)?;
    let mut listening = wire::connect(&shared.client, patience)?;
    let mut channels = listening.as_pubsub();
    channels.set_read_timeout(Some(TICK))?;
    let calls = shared.calls();
    channels.subscribe(&calls)?;

    let (all, asked) = shared.local.begin();
    join(shared, &all, &mut channels, &mut commands)?;
    shared.local.settle(asked);
    shared.local.set_connected(true);
    backoff.reset();

    let streams = shared.stream("");
    let mut presence = Presence { script: present, said: HashMap::new(), at: Instant::now() };
    let mut ticked = Instant::now();
    while let Some(wanted) = shared.local.wanted() {
        join(shared, &wanted, &mut channels, &mut commands)?;
        match channels.get_message() {
            Ok(message) if message.get_channel_name() == calls => {
                let ticket = std::str::from_utf8(message.get_payload_bytes()).ok();
                shared.local.settle(ticket.and_then(|ticket| ticket.parse().ok()).unwrap_or(0));
            }
            Ok(message) => {
                let name = message.get_channel_name().strip_prefix(&streams);
                if let (Some(name), Some(entry)) =
                    (name, wire::announced(message.get_payload_bytes()))
                {
                    live(shared, name, entry, &mut commands)?;
                }
            }
            Err(error) if error.is_timeout() => drop(channels.ping::<Value>()?),
            Err(error) => return Err(error),
        }
        if ticked.elapsed() >= TICK {
            ticked = Instant::now();
            for name in shared.local.sweep(UNUSED) {
                channels.unsubscribe(shared.stream(&name))?;
            }
            presence.say(shared, &mut commands)?;
        }
    }
    Ok(())
}

/// Joins topics, or joins them again.
fn join(
    shared: &Shared,
    names: &[Arc<str>],
    channels: &mut PubSub<'_>,
    commands: &mut Connection,
) -> RedisResult<()> {
    for names in names.chunks(TOPICS) {
        // One by one: the crate waits for one answer to each, and what is read before the answer could have a gap behind it.
        for name in names {
            channels.subscribe(shared.stream(name))?;
        }
        read(shared, names, commands)?;
    }
    Ok(())
}

/// Reads what topics have not got yet.
fn read(shared: &Shared, names: &[Arc<str>], commands: &mut Connection) -> RedisResult<()> {
    let mut asking = pipe();
    let mut places = Vec::new();
    for name in names {
        let Some((topic, last)) = shared.local.place(name) else { continue };
        let stream = shared.stream(name);
        asking.add_command(match last {
            None => wire::newest(&stream, shared.settings.history),
            Some(last) => wire::from(&stream, last, PAGE),
        });
        places.push((name, stream, topic, last));
    }
    if places.is_empty() {
        return Ok(());
    }
    let replies: Vec<Value> = asking.query(commands)?;
    for ((name, stream, topic, last), reply) in places.into_iter().zip(replies) {
        let mut entries = wire::entries(reply);
        let last = match last {
            Some(last) => go_on(&stream, &topic, last, entries, commands)?,
            None => {
                entries.reverse();
                feed(&topic, entries).unwrap_or(EventId::START)
            }
        };
        shared.local.advance(name, last);
    }
    Ok(())
}

/// Feeds a topic with what comes after `last` in its stream, of which `page` is the beginning, and says what is missing. The
/// new last.
fn go_on(
    stream: &str,
    topic: &Topic,
    mut last: EventId,
    mut page: Vec<Entry>,
    commands: &mut Connection,
) -> RedisResult<EventId> {
    loop {
        let whole = page.len() >= PAGE;
        match page.first() {
            Some((first, _)) if *first == last => drop(page.remove(0)),
            Some((first, _)) => {
                if let Some(missed) = missed(last, *first) {
                    topic.gap(missed);
                }
            }
            None if last == EventId::START => return Ok(last),
            None => {
                // Redis has lost what we have had. What it has left was there before, and is not told again; but something new
                // may have come just now.
                topic.gap(0);
                let left = wire::entries(wire::up_to(stream, last).query(commands)?);
                last = left.first().map_or(EventId::START, |(id, _)| *id);
                page = wire::entries(wire::from(stream, last, PAGE).query(commands)?);
                continue;
            }
        }
        last = feed(topic, page).unwrap_or(last);
        if !whole {
            return Ok(last);
        }
        page = wire::entries(wire::from(stream, last, PAGE).query(commands)?);
    }
}

/// How many are missing between two that follow each other in a stream which does not have the first any more: nothing, so
/// many, or (0) nobody knows.
fn missed(last: EventId, first: EventId) -> Option<u64> {
    let same_life = last.epoch == first.epoch || last == EventId::START;
    match first.seq.checked_sub(last.seq + 1).filter(|_| same_life) {
        Some(0) => None,
        Some(missed) => Some(missed),
        None => Some(0),
    }
}

/// Feeds a topic; the last id, if there was anything.
fn feed(topic: &Topic, entries: Vec<Entry>) -> Option<EventId> {
    let last = entries.last().map(|(id, _)| *id);
    entries.into_iter().for_each(|(id, data)| topic.feed(id, data));
    last
}

/// A message was announced.
fn live(
    shared: &Shared,
    name: &str,
    (id, data): Entry,
    commands: &mut Connection,
) -> RedisResult<()> {
    let Some((topic, Some(last))) = shared.local.place(name) else { return Ok(()) };
    if id <= last {
        return Ok(()); // it was read from the stream
    }
    if missed(last, id).is_some() {
        return read(shared, &[name.into()], commands);
    }
    topic.feed(id, data);
    shared.local.advance(name, id);
    Ok(())
}

/// What Redis has been told of who is here.
struct Presence {
    script: String,
    said: HashMap<Arc<str>, usize>,
    /// When all of it was said.
    at: Instant,
}

impl Presence {
    /// Says what has changed, and all of it now and then, before the last word is too old.
    fn say(&mut self, shared: &Shared, commands: &mut Connection) -> RedisResult<()> {
        let all = self.at.elapsed() >= PRESENCE / 3;
        let mut counts = shared.local.counts();
        if all {
            self.at = Instant::now();
            let left: HashMap<_, _> = counts.iter().cloned().collect();
            self.said.retain(|name, _| left.contains_key(name));
        }
        counts.retain(|(name, count)| {
            let before = self.said.insert(name.clone(), *count).unwrap_or(0);
            *count != before || (all && *count > 0)
        });
        let keep_for = millis(shared.settings.keep_for);
        for some in counts.chunks(500) {
            let mut script = cmd("EVALSHA");
            script.arg(&self.script).arg(2 * some.len());
            for (name, _) in some {
                script.arg(shared.hash(name)).arg(shared.stream(name));
            }
            script.arg(millis(PRESENCE)).arg(&shared.name).arg(keep_for);
            for (_, count) in some {
                script.arg(*count);
            }
            script.exec(commands)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_between_two() {
        let id = |epoch, seq| EventId { epoch, seq };
        assert_eq!(missed(id(1, 5), id(1, 6)), None);
        assert_eq!(missed(id(1, 5), id(1, 9)), Some(3));
        assert_eq!(missed(EventId::START, id(7, 1)), None);
        assert_eq!(missed(EventId::START, id(7, 4)), Some(3));
        // Another life: its numbers say nothing of this one's, whatever they are.
        for seq in [1, 5, 6, 900] {
            assert_eq!(missed(id(1, 5), id(2, seq)), Some(0));
        }
    }
}
