//! The thread that publishes: whatever has come while it was busy goes in one script, and many wait for one answer.
//!
//! A batch whose answer has not come is sent again over the next connection, under the same number, by which Redis knows
//! whether it has it already.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Connection, RedisError, RedisResult, cmd};

use super::wire::{self, Backoff};
use super::{PRESENCE, Shared};
use crate::pubsub::{BusError, EventId};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What goes into one script: while it runs Redis does nothing else.
const AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 1 << 20;

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Outgoing {
    queue: Mutex<Queue>,
    /// There is something to do.
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Publishing>,
    counts: Vec<Counting>,
    /// The reader is to be called.
    poke: bool,
    closed: bool,
}

struct Publishing {
    stream: String,
    data: Arc<[u8]>,
    slot: Arc<Slot<EventId>>,
}

struct Counting {
    hash: String,
    slot: Arc<Slot<u64>>,
}

/// Where an answer is awaited.
pub(super) struct Slot<T> {
    progress: Mutex<Progress<T>>,
    done: Condvar,
}

enum Progress<T> {
    Waiting,
    /// Redis may have it.
    Sent,
    Done(Result<T, BusError>),
    /// Nobody waits any more.
    Abandoned,
}

impl Outgoing {
    pub(super) fn publish(
        &self,
        stream: String,
        data: Arc<[u8]>,
        holds: usize,
    ) -> Result<Arc<Slot<EventId>>, BusError> {
        let mut queue = self.lock()?;
        if queue.messages.len() >= holds {
            return Err(BusError::Full);
        }
        let slot = Arc::new(Slot::new());
        queue.messages.push_back(Publishing { stream, data, slot: slot.clone() });
        self.work.notify_one();
        Ok(slot)
    }

    pub(super) fn count(&self, hash: String) -> Result<Arc<Slot<u64>>, BusError> {
        let mut queue = self.lock()?;
        let slot = Arc::new(Slot::new());
        queue.counts.push(Counting { hash, slot: slot.clone() });
        self.work.notify_one();
        Ok(slot)
    }

    /// Has the reader look for what is new. With it goes the last ticket, which so comes behind all that was published before.
    pub(super) fn poke(&self) {
        // OK to ignore the error: then the reader ends too.
        if let Ok(mut queue) = self.lock() {
            queue.poke = true;
            self.work.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.any().closed = true;
        self.work.notify_one();
    }

    /// The next things to do; `None` if all is done and no more will come.
    fn next(&self) -> Option<Work> {
        let mut queue = self.any();
        loop {
            let mut bytes = 0;
            let mut batch = Vec::new();
            while batch.len() < AT_ONCE && bytes < BYTES_AT_ONCE {
                let Some(next) = queue.messages.pop_front() else { break };
                if next.slot.send() {
                    bytes += next.data.len();
                    batch.push(next);
                }
            }
            let (counts, poke) =
                (std::mem::take(&mut queue.counts), std::mem::take(&mut queue.poke));
            if poke || !batch.is_empty() || !counts.is_empty() {
                return Some(Work { batch, counts, poke });
            }
            if queue.closed {
                return None;
            }
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for that long; true if no more will come. What nobody waits for any more is forgotten.
    fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut queue = self.any();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if queue.closed || left.is_zero() {
                queue.messages.retain(|message| !message.slot.is_abandoned());
                queue.counts.retain(|count| !count.slot.is_abandoned());
                return queue.closed;
            }
            let waited = self.work.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Nothing that waits will be done.
    fn give_up(&self) {
        let mut queue = self.any();
        queue.messages.drain(..).for_each(|message| message.slot.finish(Err(BusError::Closed)));
        queue.counts.drain(..).for_each(|count| count.slot.finish(Err(BusError::Closed)));
    }

    fn lock(&self) -> Result<MutexGuard<'_, Queue>, BusError> {
        let queue = self.any();
        if queue.closed { Err(BusError::Closed) } else { Ok(queue) }
    }

    fn any(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Slot<T> {
    fn new() -> Slot<T> {
        Slot { progress: Mutex::new(Progress::Waiting), done: Condvar::new() }
    }

    pub(super) fn wait(&self, deadline: Instant) -> Result<T, BusError> {
        // A green thread may be ended in its wait.
        let _leaving = Leaving(self);
        let mut progress = self.lock();
        loop {
            if let Progress::Done(_) = *progress {
                let Progress::Done(result) = std::mem::replace(&mut *progress, Progress::Abandoned)
                else {
                    unreachable!("nobody changes it under the lock")
                };
                return result;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let sent = matches!(*progress, Progress::Sent);
                return Err(if sent { BusError::TimedOut } else { BusError::Unreachable });
            }
            let waited = self.done.wait_timeout(progress, left);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// It goes out now; false if nobody wants it any more.
    fn send(&self) -> bool {
        let mut progress = self.lock();
        let wanted = !matches!(*progress, Progress::Abandoned);
        if wanted {
            *progress = Progress::Sent;
        }
        wanted
    }

    fn finish(&self, result: Result<T, BusError>) {
        let mut progress = self.lock();
        if !matches!(*progress, Progress::Abandoned) {
            *progress = Progress::Done(result);
            self.done.notify_one();
        }
    }

    fn is_abandoned(&self) -> bool {
        matches!(*self.lock(), Progress::Abandoned)
    }

    fn lock(&self) -> MutexGuard<'_, Progress<T>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Leaving<'a, T>(&'a Slot<T>);

impl<T> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        *self.0.lock() = Progress::Abandoned;
    }
}

/// What the writer is at. What is done is taken out, so that the rest can be done over another connection.
#[derive(Default)]
struct Work {
    batch: Vec<Publishing>,
    counts: Vec<Counting>,
    poke: bool,
}

/// Runs until the bus is closed and everything is out.
pub(super) fn run(shared: &Shared) {
    let (mut work, mut number, mut backoff) = (Work::default(), 0, Backoff::default());
    while session(shared, &mut work, &mut number, &mut backoff).is_err() {
        if shared.outgoing.pause(backoff.next()) {
            let end = |message: Publishing| message.slot.finish(Err(BusError::TimedOut));
            work.batch.into_iter().for_each(end);
            work.counts.into_iter().for_each(|count| count.slot.finish(Err(BusError::Closed)));
            shared.outgoing.give_up();
            return;
        }
    }
}

/// The life of a connection.
fn session(
    shared: &Shared,
    work: &mut Work,
    number: &mut u64,
    backoff: &mut Backoff,
) -> RedisResult<()> {
    let mut link = Link::new(shared)?;
    loop {
        if !work.batch.is_empty() {
            match link.publish(shared, &work.batch, *number) {
                Err(error) if wire::passes(&error) => return Err(error),
                result => finish(&mut work.batch, result),
            }
        }
        while let Some(count) = work.counts.last() {
            match link.count(shared, &count.hash) {
                Err(error) if wire::passes(&error) => return Err(error),
                result => count.slot.finish(result.map_err(refused)),
            }
            work.counts.pop();
        }
        if work.poke {
            let () = cmd("PUBLISH")
                .arg(shared.calls())
                .arg(shared.local.asked())
                .query(&mut link.connection)?;
        }
        backoff.reset();
        let Some(next) = shared.outgoing.next() else {
            // The reader hears of the end by that. OK to ignore the error: it finds out by itself.
            let _ = cmd("PUBLISH").arg(shared.calls()).arg(0).exec(&mut link.connection);
            return Ok(());
        };
        *work = next;
        *number += u64::from(!work.batch.is_empty());
    }
}

/// A connection that the server knows our scripts over.
struct Link {
    connection: Connection,
    run_id: String,
    publish: String,
    present: String,
}

impl Link {
    fn new(shared: &Shared) -> RedisResult<Link> {
        let mut connection = wire::connect(&shared.client, shared.settings.patience)?;
        let run_id = wire::run_id(&mut connection)?;
        let publish = wire::load(&mut connection, wire::PUBLISH)?;
        let present = wire::load(&mut connection, wire::PRESENT)?;
        Ok(Link { connection, run_id, publish, present })
    }

    fn publish(
        &mut self,
        shared: &Shared,
        batch: &[Publishing],
        number: u64,
    ) -> RedisResult<String> {
        let settings = &shared.settings;
        let mut script = cmd("EVALSHA");
        script.arg(&self.publish).arg(batch.len() + 2);
        script.arg(format!("{}:state", settings.prefix));
        script.arg(format!("{}:w:{}", settings.prefix, shared.name));
        for message in batch {
            script.arg(&message.stream);
        }
        script.arg(&self.run_id).arg(settings.history).arg(millis(settings.keep_for)).arg(number);
        for message in batch {
            script.arg(&message.data[..]);
        }
        script.query(&mut self.connection)
    }

    fn count(&mut self, shared: &Shared, hash: &str) -> RedisResult<u64> {
        let mut script = cmd("EVALSHA");
        script.arg(&self.present).arg(2).arg(hash).arg("").arg(millis(PRESENCE)).arg(&shared.name);
        script.query(&mut self.connection)
    }
}

/// At least 1, as Redis wants it, and no more than it can count.
pub(super) fn millis(time: Duration) -> u64 {
    time.as_millis().clamp(1, 1 << 50) as u64
}

/// Tells everybody in the batch what became of theirs.
fn finish(batch: &mut Vec<Publishing>, result: RedisResult<String>) {
    let result = result.map_err(refused);
    let mut ids = result.as_deref().unwrap_or_default().split('\n');
    for message in batch.drain(..) {
        let own = match (&result, ids.next()) {
            (Err(error), _) => Err(error.clone()),
            (Ok(_), Some(id)) => match id.parse() {
                Ok(id) => Ok(id),
                Err(_) => Err(BusError::Refused(id.trim_start_matches('!').to_owned())),
            },
            (Ok(_), None) => Err(BusError::TimedOut),
        };
        message.slot.finish(own);
    }
}

fn refused(error: RedisError) -> BusError {
    BusError::Refused(error.to_string())
}
