//! Heartbeats of streams that have nothing to say: a comment now and then, so that proxies on the way do not take them
//! for dead, and that a client which is gone is noticed.
//!
//! One wheel for each worker, and one for all OS threads. It turns once a second while it has members, and comes to each
//! of them once per interval: there is no timer per stream, and a message costs no more than noting that it was sent. The
//! comment is sent from the wheel's thread, between two messages and never inside one:
//!
//! ```text
//!   stream:  QUIET ──► BUSY from the first byte of a message to the end of its flush ──► QUIET, sent now
//!   wheel:   QUIET, for long ──► BEATING: sends without waiting ──► QUIET
//! ```

#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::*};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use crate::blocking::os_thread;
use crate::hub;
use crate::lent::Lent;
use crate::sys::Lock;
use crate::thread;

/// Buckets of the wheel. Longer intervals go round it more than once.
const BUCKETS: usize = 64;
/// What a step of the wheel lasts.
const STEP: Duration = Duration::from_secs(1);

const QUIET: u8 = 0;
const BUSY: u8 = 1;
const BEATING: u8 = 2;

/// A stream's part: what it and the wheel tell each other.
pub(crate) struct Beat {
    wheel: Arc<Wheel>,
    lent: Arc<Lent>,
    state: AtomicU8,
    /// The wheel's time when something was sent last.
    sent: AtomicU32,
    /// How much of the comment the socket did not take yet: it goes before anything else.
    owed: AtomicU8,
    /// Since when the socket takes nothing; 0: it does.
    stuck: AtomicU32,
    /// Steps between two comments, and before a client that takes nothing is given up.
    every: u32,
    patience: u32,
    comment: &'static [u8],
}

/// What a wheel knows of its members.
pub(crate) struct Wheel {
    /// Steps since it was made, from 1.
    now: AtomicU32,
    turning: Lock<Turning>,
}

struct Turning {
    buckets: Vec<Vec<(u32, Weak<Beat>)>>,
    members: usize,
    /// Somebody turns it.
    runs: bool,
}

impl Beat {
    /// A member of the caller's wheel, busy at first. `comment` means nothing at the place where the stream is when it is
    /// quiet; the function lent sends it.
    pub(crate) fn join(
        lent: &Arc<Lent>,
        comment: &'static [u8],
        every: Duration,
        write_timeout: Duration,
    ) -> Arc<Beat> {
        Beat::join_at(&Wheel::here(), lent, comment, every, write_timeout)
    }

    fn join_at(
        wheel: &Arc<Wheel>,
        lent: &Arc<Lent>,
        comment: &'static [u8],
        every: Duration,
        write_timeout: Duration,
    ) -> Arc<Beat> {
        let beat = Arc::new(Beat {
            state: AtomicU8::new(BUSY),
            sent: AtomicU32::new(wheel.now.load(Relaxed)),
            owed: AtomicU8::new(0),
            stuck: AtomicU32::new(0),
            // Of the first step an unknown part is over.
            every: steps(every).saturating_add(1),
            patience: steps(write_timeout),
            lent: lent.clone(),
            comment,
            wheel: wheel.clone(),
        });
        wheel.add(&beat);
        beat
    }

    /// A message begins. Returns what must be sent before it.
    #[inline]
    pub(crate) fn begin(&self) -> &'static [u8] {
        while self.state.compare_exchange_weak(QUIET, BUSY, Acquire, Relaxed).is_err() {
            // For the length of a call to the system that does not wait, on an OS thread of the wheel.
            std::hint::spin_loop();
        }
        match self.owed.load(Relaxed) {
            0 => b"",
            owed => {
                self.owed.store(0, Relaxed);
                &self.comment[self.comment.len() - usize::from(owed)..]
            }
        }
    }

    /// Everything was sent.
    #[inline]
    pub(crate) fn end(&self) {
        self.sent.store(self.wheel.now.load(Relaxed), Relaxed);
        self.stuck.store(0, Relaxed);
        self.state.store(QUIET, Release);
    }

    /// The wheel has come to it. Returns when to come again.
    fn turn(&self, now: u32) -> u32 {
        if self.state.compare_exchange(QUIET, BEATING, Acquire, Relaxed).is_err() {
            return now + self.every;
        }
        let mut again = self.sent.load(Relaxed) + self.every;
        if again <= now {
            again = now + self.beat(now);
        }
        self.state.store(QUIET, Release);
        again
    }

    /// Sends the comment, or what is left of one. Returns how long to wait from now.
    fn beat(&self, now: u32) -> u32 {
        let owed = match self.owed.load(Relaxed) {
            0 => self.comment.len(),
            owed => usize::from(owed),
        };
        let stuck = self.stuck.load(Relaxed);
        match self.lent.call(Some(&self.comment[self.comment.len() - owed..])) {
            Some(Ok(n)) => {
                // OK to cast: a comment is a few bytes.
                self.owed.store((owed - n) as u8, Relaxed);
                if n == owed {
                    self.sent.store(now, Relaxed);
                    self.stuck.store(0, Relaxed);
                    return self.every;
                }
                self.stuck.store(now, Relaxed);
            }
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {
                if stuck == 0 {
                    self.stuck.store(now, Relaxed);
                } else if now - stuck >= self.patience {
                    self.hang_up();
                }
            }
            Some(Err(_)) => self.hang_up(),
            None => {} // it has just ended
        }
        self.patience.min(self.every)
    }

    /// The client is gone, or as good as gone: the stream's next send fails, and a green thread's wait ends now.
    #[cold]
    fn hang_up(&self) {
        let _ended = self.lent.call(None);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.wheel.turning.lock().members -= 1;
    }
}

/// How many steps of the wheel, at least one.
fn steps(time: Duration) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(STEP.as_nanos()))
        .unwrap_or(u32::MAX / 4)
        .clamp(1, u32::MAX / 4)
}

impl Wheel {
    fn new() -> Arc<Wheel> {
        let buckets = std::iter::repeat_with(Vec::new).take(BUCKETS).collect();
        let turning = Lock::new(Turning { buckets, members: 0, runs: false });
        Arc::new(Wheel { now: AtomicU32::new(1), turning })
    }

    /// The caller's worker's, or that of the OS threads.
    fn here() -> Arc<Wheel> {
        static OS: LazyLock<Arc<Wheel>> = LazyLock::new(Wheel::new);
        thread_local! {
            static WORKER: Arc<Wheel> = Wheel::new();
        }
        if hub::is_green() { WORKER.with(Arc::clone) } else { OS.clone() }
    }

    fn add(self: &Arc<Wheel>, beat: &Arc<Beat>) {
        let due = self.now.load(Relaxed) + beat.every;
        let member = (due, Arc::downgrade(beat));
        let mut turning = self.turning.lock();
        turning.members += 1;
        turning.buckets[due as usize % BUCKETS].push(member);
        let starts = !std::mem::replace(&mut turning.runs, true);
        drop(turning);
        if starts {
            self.start();
        }
    }

    /// Turns it from now on, until it has no members.
    fn start(self: &Arc<Wheel>) {
        let turner = Turner(Some(self.clone()));
        let run = move || turner.run();
        // OK to ignore the error of either: there are no heartbeats then, and the next stream tries again.
        if hub::is_green() {
            let _ = thread::Builder::new().name("http-heartbeat".into()).spawn_local(run);
        } else {
            let _ = os_thread("sward-heartbeat", run);
        }
    }

    /// False if nobody needs to turn it any more, and from now on nobody does.
    fn is_wanted(&self) -> bool {
        let mut turning = self.turning.lock();
        if turning.members == 0 {
            turning.buckets.iter_mut().for_each(|bucket| *bucket = Vec::new());
            turning.runs = false;
        }
        turning.runs
    }

    fn step(&self) {
        let now = self.now.load(Relaxed) + 1;
        self.now.store(now, Relaxed);
        let bucket = std::mem::take(&mut self.turning.lock().buckets[now as usize % BUCKETS]);
        for (at, (due, member)) in bucket.into_iter().enumerate() {
            let Some(beat) = member.upgrade() else { continue };
            let due = if due > now { due } else { beat.turn(now) };
            self.turning.lock().buckets[due as usize % BUCKETS].push((due, member));
            // The last count, if the stream has ended meanwhile: dropped without the lock.
            drop(beat);
            if at % 64 == 63 {
                thread::yield_now();
            }
        }
    }
}

/// Who turns a wheel.
struct Turner(Option<Arc<Wheel>>);

impl Turner {
    fn run(mut self) {
        let mut next = Instant::now();
        while let Some(wheel) = &self.0 {
            if !wheel.is_wanted() {
                self.0 = None;
                return;
            }
            next += STEP;
            thread::sleep_until(next);
            wheel.step();
        }
    }
}

impl Drop for Turner {
    /// Its thread could not be started, or was cancelled.
    fn drop(&mut self) {
        if let Some(wheel) = &self.0 {
            wheel.turning.lock().runs = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;

    /// A socket that takes so many bytes, and what it got.
    #[derive(Default)]
    struct Socket {
        takes: Mutex<Option<usize>>,
        broken: Mutex<bool>,
        got: Mutex<Vec<u8>>,
        hung_up: Mutex<bool>,
    }

    impl Socket {
        fn send(&self, bytes: Option<&[u8]>) -> io::Result<usize> {
            let Some(bytes) = bytes else {
                *self.hung_up.lock().unwrap() = true;
                return Ok(0);
            };
            if *self.broken.lock().unwrap() {
                return Err(ErrorKind::ConnectionReset.into());
            }
            let mut takes = self.takes.lock().unwrap();
            let n = takes.map_or(bytes.len(), |takes| takes.min(bytes.len()));
            *takes = takes.map(|takes| takes - n);
            self.got.lock().unwrap().extend_from_slice(&bytes[..n]);
            if n == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(n) }
        }

        fn got(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.got.lock().unwrap())).unwrap()
        }

        fn hung_up(&self) -> bool {
            *self.hung_up.lock().unwrap()
        }
    }

    /// Runs `check` with a member that beats after 2 whole steps of silence, and is patient for 5.
    fn member(check: impl FnOnce(&Wheel, &Beat, &Socket)) {
        let wheel = Wheel::new();
        wheel.turning.lock().runs = true; // by this test
        let socket = Socket::default();
        let send = |bytes: Option<&[u8]>| socket.send(bytes);
        Lent::scope(&send, |lent| {
            let time = |steps| STEP * steps;
            let beat = Beat::join_at(&wheel, lent, b"comment", time(2), time(5));
            assert!(wheel.is_wanted());
            beat.end();
            check(&wheel, &beat, &socket);
        });
        assert!(!wheel.is_wanted(), "its only member is gone");
    }

    fn steps_of(wheel: &Wheel, n: usize) {
        (0..n).for_each(|_| wheel.step());
    }

    #[test]
    fn silence_is_filled() {
        member(|wheel, beat, socket| {
            steps_of(wheel, 2);
            assert_eq!(socket.got(), "");
            steps_of(wheel, 1);
            assert_eq!(socket.got(), "comment");
            steps_of(wheel, 7);
            assert_eq!(socket.got(), "commentcomment");
            // Something was said: the interval begins anew.
            assert_eq!(beat.begin(), b"");
            beat.end();
            steps_of(wheel, 2);
            assert_eq!(socket.got(), "");
            steps_of(wheel, 2);
            assert_eq!(socket.got(), "comment");
        });
    }

    #[test]
    fn not_inside_a_message() {
        member(|wheel, beat, socket| {
            assert_eq!(beat.begin(), b"");
            steps_of(wheel, 100);
            assert_eq!(socket.got(), "");
            beat.end();
            steps_of(wheel, 7);
            assert_ne!(socket.got(), "");
        });
    }

    #[test]
    fn what_a_full_socket_took_is_completed() {
        member(|wheel, beat, socket| {
            *socket.takes.lock().unwrap() = Some(4);
            steps_of(wheel, 3);
            assert_eq!(socket.got(), "comm");
            assert_eq!(beat.begin(), b"ent");
            beat.end();
            assert_eq!(beat.begin(), b"", "only once");
        });
        member(|wheel, beat, socket| {
            *socket.takes.lock().unwrap() = Some(4);
            steps_of(wheel, 3);
            *socket.takes.lock().unwrap() = None;
            steps_of(wheel, 3);
            assert_eq!(socket.got(), "comment");
            assert_eq!(beat.begin(), b"");
        });
    }

    #[test]
    fn who_takes_nothing_is_cut() {
        member(|wheel, _, socket| {
            *socket.takes.lock().unwrap() = Some(0);
            steps_of(wheel, 3);
            steps_of(wheel, 4);
            assert!(!socket.hung_up());
            steps_of(wheel, 3);
            assert!(socket.hung_up());
        });
        // One that takes something now and then is slow, but there.
        member(|wheel, _, socket| {
            for _ in 0..10 {
                *socket.takes.lock().unwrap() = Some(0);
                steps_of(wheel, 4);
                *socket.takes.lock().unwrap() = None;
                steps_of(wheel, 4);
                assert!(socket.got().ends_with("comment"));
            }
            assert!(!socket.hung_up());
        });
    }

    #[test]
    fn who_is_gone_is_cut() {
        member(|wheel, _, socket| {
            *socket.broken.lock().unwrap() = true;
            steps_of(wheel, 3);
            assert!(socket.hung_up());
        });
    }

    /// A worker's own wheel, turned by a green thread that goes when nobody needs it.
    #[test]
    fn turns_while_it_is_needed() {
        let runtime = crate::hub::runtime::Builder::new().workers(1);
        runtime.run(|| {
            let sent = AtomicU32::new(0);
            let count = |_: Option<&[u8]>| {
                sent.fetch_add(1, Relaxed);
                Ok(7)
            };
            Lent::scope(&count, |lent| {
                let beat = Beat::join(lent, b"comment", STEP, STEP);
                beat.end();
                assert!(beat.wheel.turning.lock().runs);
                while sent.load(Relaxed) == 0 {
                    thread::sleep(STEP / 10);
                }
            });
            let wheel = Wheel::here();
            while wheel.turning.lock().runs {
                thread::sleep(STEP / 10);
            }
        });
    }
}
