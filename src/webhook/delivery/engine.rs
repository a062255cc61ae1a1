//! [`Engine`]: what the dispatcher's green threads share, and the one that finds out who has something due.
//!
//! ```text
//!   run ---- asks the store who has something due, and the board who may have it now
//!     \--- serve, one per endpoint that may: claims
//!            \--- fly, one per delivery: posts, judges, records
//! ```
//!
//! It asks when something was published in this process, when the next delivery is due, and as often as the store says that it must
//! because others put things in. Who cannot have anything now is left out; the board remembers to ask for them.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::board::Board;
use super::flight::{Phase, fly};
use super::lane::{Limits, Outcome};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use crate::thread::{self, JoinHandle};
use crate::webhook::id::{DeliveryId, EndpointId};
use crate::webhook::registry::Inner;
use crate::webhook::store::{Claim, Next, Result};
use crate::webhook::time::Time;

/// So many endpoints are asked for at once.
const BATCH: usize = 256;
/// After something was due there is often more.
const SOON: Duration = Duration::from_millis(100);
/// What is due and cannot be had hides what will be due: the store is asked again after this, to be sure.
const TO_BE_SURE: Duration = Duration::from_secs(1);
/// Waits after a store failed: the first, and the longest.
const TROUBLE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How much longer a claim is than the longest attempt.
const MARGIN: Duration = Duration::from_secs(30);

pub(in crate::webhook) struct Engine {
    pub(super) inner: Arc<Inner>,
    board: Mutex<Board>,
    flights: Mutex<HashMap<DeliveryId, Flight>>,
    /// Notified when a flight has ended.
    landing: Condvar,
    /// Nothing more is claimed.
    stopping: AtomicBool,
    /// What the store does not take now stays claimed until that lapses.
    given_up: AtomicBool,
    /// How long to leave a store in peace that fails; zero if it does not.
    trouble: Mutex<Duration>,
}

/// A delivery on its way.
struct Flight {
    thread: JoinHandle<()>,
    phase: Arc<Phase>,
}

impl Engine {
    pub(super) fn new(inner: Arc<Inner>) -> Arc<Engine> {
        let config = &inner.config;
        let limits = Limits {
            per_endpoint: config.per_endpoint,
            rate: config.rate,
            breaking: config.breaker.clone(),
        };
        let board = Board::new(config.concurrency, limits, Instant::now());
        Arc::new(Engine {
            inner,
            board: Mutex::new(board),
            flights: Mutex::new(HashMap::new()),
            landing: Condvar::new(),
            stopping: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            trouble: Mutex::new(Duration::ZERO),
        })
    }

    pub(in crate::webhook) fn board(&self) -> MutexGuard<'_, Board> {
        locked(&self.board)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }

    pub(super) fn has_given_up(&self) -> bool {
        self.given_up.load(SeqCst)
    }

    /// Until it is to stop.
    pub(super) fn run(self: Arc<Engine>) {
        while !self.is_stopping() {
            // A store is other people's code: if it panics, that is one look that failed.
            let Ok(again) = catch_unwind(AssertUnwindSafe(|| self.turn())) else {
                self.inner.metrics.store_failed();
                thread::sleep(TO_BE_SURE);
                self.board().look_by(Instant::now());
                continue;
            };
            match again {
                Some(then) => {
                    self.inner.wake.wait_timeout(then.saturating_duration_since(Instant::now()));
                }
                None => self.inner.wake.wait(),
            }
        }
    }

    /// Starts what can be started; when to come again unless woken.
    fn turn(self: &Arc<Engine>) -> Option<Instant> {
        // In this order: whoever sets `look` and then wakes is seen now or wakes us.
        self.inner.wake.clear();
        let now = Instant::now();
        if self.inner.look.swap(false, SeqCst) {
            self.board().look_by(now);
        }
        if self.board().look_at().is_some_and(|at| at <= now) {
            self.look();
        }
        let turn = self.board().next(Instant::now());
        for id in turn.ready {
            let engine = Arc::clone(self);
            thread::spawn(move || engine.serve(&id));
        }
        let look_at = self.board().look_at();
        [turn.again, look_at].into_iter().flatten().min()
    }

    /// Asks the store who has something due.
    fn look(&self) {
        let store = &self.inner.store;
        let (now, time) = (Instant::now(), Time::now());
        let without = self.board().looking(now);
        let found = store.due(time, &without, BATCH).and_then(|due| {
            let next = if due.is_empty() { store.next_due()? } else { None };
            Ok((due, next))
        });
        let Some((due, next)) = self.noted(found) else { return };
        let mut board = self.board();
        due.iter().for_each(|id| board.feed(id, now));
        match next {
            _ if due.len() == BATCH => board.look_by(now),
            _ if !due.is_empty() => board.look_by(now + SOON),
            Some(next) if next > time => board.look_by(now + next.since(time)),
            Some(_) => board.look_by(now + TO_BE_SURE),
            None => {}
        }
        if let Some(every) = store.poll_every() {
            board.look_by(now + every);
        }
    }

    /// Claims for an endpoint what it may have, and sends it off.
    fn serve(self: &Arc<Engine>, id: &EndpointId) {
        let mut claiming = Claiming { engine: self, id, asked: 0, got: 0, over: false };
        let store = &self.inner.store;
        if self.board().is_new(id) {
            match self.noted(store.endpoint(id)).flatten() {
                Some(endpoint) => self.board().prime(&endpoint, Instant::now()),
                // Gone, or the store will be asked again.
                None => {
                    claiming.over = true;
                    return;
                }
            }
        }
        claiming.asked = self.board().begin(id, Instant::now());
        if claiming.asked == 0 || self.is_stopping() {
            return;
        }
        let time = Time::now();
        let length = self.inner.post.longest() + MARGIN;
        let until = Instant::now() + length;
        let claimed = store.claim(id, time, time + length, claiming.asked);
        let claims = self.noted(claimed).unwrap_or_default();
        claiming.got = claims.len();
        if let Some(claim) = claims.first() {
            self.board().prime(&claim.endpoint, Instant::now());
        }
        for claim in claims {
            self.send_off(claim, until);
        }
    }

    fn send_off(self: &Arc<Engine>, claim: Claim, until: Instant) {
        let (engine, phase) = (Arc::clone(self), Phase::new());
        let (id, theirs) = (claim.delivery.id.clone(), Arc::clone(&phase));
        // Locked until it is in: it takes itself out.
        let mut flights = locked(&self.flights);
        let thread = thread::spawn(move || fly(&engine, &claim, until, &theirs));
        flights.insert(id, Flight { thread, phase });
    }

    /// A flight has ended.
    pub(super) fn landed(&self, delivery: &DeliveryId, endpoint: &EndpointId, outcome: Outcome) {
        if self.board().ended(endpoint, outcome, Instant::now()) {
            self.inner.wake.set();
        }
        locked(&self.flights).remove(delivery);
        self.landing.notify_all();
    }

    /// For those who wait for a landing and have looked at the board: they hold the lock from the look to the wait.
    fn tell_who_waits(&self) {
        drop(locked(&self.flights));
        self.landing.notify_all();
    }

    /// Claims nothing more.
    pub(super) fn stop_claiming(&self) {
        self.stopping.store(true, SeqCst);
        self.inner.wake.set();
    }

    /// Waits for what is in flight until `deadline`; what is still being posted then is given back to the store.
    pub(super) fn drain(&self, deadline: Instant) {
        self.wait_for_landing(deadline);
        let released: Vec<_> = {
            let mut flights = locked(&self.flights);
            flights.extract_if(|_, flight| flight.phase.release()).collect()
        };
        for (id, flight) in &released {
            flight.thread.cancel();
            // An error: its claim will lapse.
            self.inner.noted(self.inner.store.finish(id, None, Next::Retry(Time::now())));
        }
        // What has an answer is being recorded: that takes as long as the store takes.
        self.given_up.store(true, SeqCst);
        self.wait_for_landing(Instant::now() + MARGIN);
    }

    fn wait_for_landing(&self, deadline: Instant) {
        let mut flights = locked(&self.flights);
        // A claim on its way has no flight yet.
        while !flights.is_empty() || self.board().is_claiming() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.landing.wait_timeout(flights, left);
            (flights, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The result, if the store did not fail. If it did, it is asked what is due after a while, longer each time.
    fn noted<T>(&self, result: Result<T>) -> Option<T> {
        let result = self.inner.noted(result);
        let mut trouble = locked(&self.trouble);
        if result.is_some() {
            *trouble = Duration::ZERO;
        } else {
            *trouble = (*trouble * 2).clamp(TROUBLE.0, TROUBLE.1);
            self.board().look_by(Instant::now() + *trouble);
        }
        result
    }
}

/// An endpoint is being claimed for; says what came of it, whatever happens in between.
struct Claiming<'a> {
    engine: &'a Engine,
    id: &'a EndpointId,
    asked: usize,
    got: usize,
    /// Nothing was asked for, and nothing is to be asked again.
    over: bool,
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        let mut board = self.engine.board();
        match self.over {
            true => board.unclaimed(self.id),
            false => board.claimed(self.id, self.asked, self.got, Instant::now()),
        }
        drop(board);
        self.engine.tell_who_waits();
        // There may be more, or others may have the slots that were not needed.
        self.engine.inner.wake.set();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
