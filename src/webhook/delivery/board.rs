//! [`Board`]: who may be delivered to now, and how many at once: the slots of this process, shared by the lanes. The clock is the
//! caller's.
//!
//! No lane can hold all slots: besides its own limit, it has at most a quarter as many in flight as there are free, or one. And a fifth of the slots is not
//! for endpoints whose last attempt failed, so that retries to many dead endpoints hold up nobody's first attempts.
//!
//! ```text
//!   due in the store --feed--> hungry --next--> claiming --begin, claimed--> in flight --ended-->
//!                                ^                 |
//!                                +-- as many as asked for: there may be more
//! ```

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::lane::{Lane, Limits, Outcome, Room};
use crate::webhook::id::EndpointId;
use crate::webhook::model::Endpoint;

/// A lane that holds nothing, and has done nothing for so long, is forgotten.
const IDLE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(in crate::webhook) struct Board {
    limits: Limits,
    /// All there are, and those that nobody holds.
    slots: usize,
    free: usize,
    /// Of these, the ones that are not for failing endpoints.
    reserve: usize,
    lanes: HashMap<EndpointId, Lane>,
    /// The hungry lanes, each once, in the order in which they will be looked at.
    hungry: VecDeque<EndpointId>,
    /// When the store is to be asked what is due.
    look_at: Option<Instant>,
}

/// What [`Board::next`] found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// Who is to be claimed for now.
    pub(super) ready: Vec<EndpointId>,
    /// When there may be more, if nothing else happens.
    pub(super) again: Option<Instant>,
}

impl Board {
    pub(super) fn new(concurrency: usize, limits: Limits, now: Instant) -> Board {
        let free = concurrency.max(1);
        Board {
            limits,
            free,
            slots: free,
            reserve: free / 5,
            lanes: HashMap::new(),
            hungry: VecDeque::new(),
            look_at: Some(now),
        }
    }

    // When to ask the store.

    /// The store is to be asked at this moment, or earlier.
    pub(super) fn look_by(&mut self, then: Instant) {
        self.look_at = Some(self.look_at.map_or(then, |at| at.min(then)));
    }

    /// When it is to be asked.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// It is being asked, without these: those that nothing can be claimed for now, and those that are hungry anyway. All of them are
    /// hungry from here on, since nobody asks for them.
    pub(super) fn looking(&mut self, now: Instant) -> Vec<EndpointId> {
        self.look_at = None;
        let mut without: Vec<_> = self.hungry.iter().cloned().collect();
        for (id, lane) in &mut self.lanes {
            if !lane.hungry
                && (lane.claiming || !matches!(lane.room(usize::MAX, now), Room::For(_)))
            {
                lane.hungry = true;
                self.hungry.push_back(id.clone());
                without.push(id.clone());
            }
        }
        without
    }

    // From hungry to in flight.

    /// There may be something due for this endpoint.
    pub(super) fn feed(&mut self, id: &EndpointId, now: Instant) {
        let lane = self.lanes.entry(id.clone()).or_insert_with(|| Lane::new(&self.limits, now));
        lane.used = now;
        if !lane.hungry {
            lane.hungry = true;
            self.hungry.push_back(id.clone());
        }
    }

    /// Takes out the hungry lanes that something may be claimed for now.
    pub(super) fn next(&mut self, now: Instant) -> Turn {
        let mut turn = Turn::default();
        let mut free = self.free;
        for _ in 0..self.hungry.len() {
            let Some(id) = self.hungry.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            let room = match lane.claiming {
                true => Room::Full,
                false => lane.room(share(lane, free, self.reserve), now),
            };
            match room {
                Room::For(_) => {
                    lane.claiming = true;
                    lane.hungry = false;
                    free -= 1;
                    turn.ready.push(id);
                    continue;
                }
                Room::Later(then) => turn.again = Some(turn.again.map_or(then, |t| t.min(then))),
                Room::Full => {}
            }
            self.hungry.push_back(id);
        }
        turn
    }

    /// Whether the endpoint itself has to be read first.
    pub(super) fn is_new(&self, id: &EndpointId) -> bool {
        self.lanes.get(id).is_none_or(|lane| !lane.primed)
    }

    /// What the endpoint's owner chose.
    pub(super) fn prime(&mut self, endpoint: &Endpoint, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&endpoint.id) {
            lane.prime(endpoint, &self.limits, now);
        }
    }

    /// How many to claim. They count as in flight from now on.
    pub(super) fn begin(&mut self, id: &EndpointId, now: Instant) -> usize {
        let Some(lane) = self.lanes.get_mut(id) else { return 0 };
        let at_most = share(lane, self.free, self.reserve);
        let Room::For(n) = lane.room(at_most, now) else { return 0 };
        let n = n.min(self.free);
        lane.took(n, now);
        self.free -= n;
        n
    }

    /// Of `asked`, so many were there: the others do not count as in flight any more. If all were, there may be more.
    pub(super) fn claimed(&mut self, id: &EndpointId, asked: usize, got: usize, now: Instant) {
        let missing = asked.saturating_sub(got);
        self.free += missing;
        let Some(lane) = self.lanes.get_mut(id) else { return };
        lane.put_back(missing);
        lane.claiming = false;
        if missing == 0 {
            self.feed(id, now);
        }
    }

    /// Nothing was asked for, and nothing is there.
    pub(super) fn unclaimed(&mut self, id: &EndpointId) {
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.claiming = false;
        }
    }

    /// What is in flight is there to see whether it is well again.
    pub(super) fn is_probing(&self, id: &EndpointId) -> bool {
        self.lanes.get(id).is_some_and(|lane| lane.breaker() == "half_open")
    }

    /// One in flight has ended. True: somebody may be waiting for its slot.
    pub(super) fn ended(&mut self, id: &EndpointId, outcome: Outcome, now: Instant) -> bool {
        self.free += 1;
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.ended(outcome, &self.limits, now);
        }
        !self.hungry.is_empty()
    }

    // Looking at it.

    /// Forgets the lanes that hold nothing.
    pub(super) fn tidy(&mut self, now: Instant) {
        let limits = &self.limits;
        let used = |lane: &Lane| now.saturating_duration_since(lane.used) < IDLE;
        self.lanes.retain(|_, lane| used(lane) || !lane.is_blank(limits, now));
    }

    /// Somebody asks the store for deliveries at this moment.
    pub(super) fn is_claiming(&self) -> bool {
        self.lanes.values().any(|lane| lane.claiming)
    }

    /// How many slots are taken.
    pub(in crate::webhook) fn in_flight(&self) -> usize {
        self.slots - self.free
    }

    /// How many breakers are in each state, and how many lanes are paused.
    pub(in crate::webhook) fn states(&self, now: Instant) -> (BTreeMap<&'static str, u64>, u64) {
        let mut breakers = BTreeMap::from([("closed", 0), ("half_open", 0), ("open", 0)]);
        let mut paused = 0;
        for lane in self.lanes.values() {
            *breakers.entry(lane.breaker()).or_default() += 1;
            paused += u64::from(lane.is_paused(now));
        }
        (breakers, paused)
    }
}

/// How many a lane may have in flight when so many slots are free: a quarter as many, and one if there is any for it.
fn share(lane: &Lane, free: usize, reserve: usize) -> usize {
    let free = if lane.failing { free.saturating_sub(reserve) } else { free };
    let first = lane.in_flight == 0 && free > 0;
    (free / 4).max(usize::from(first))
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::super::lane::Outcome;
    use super::{Board, Endpoint, EndpointId, Instant, Limits};

    fn board(concurrency: usize, now: Instant) -> Board {
        Board::new(concurrency, Limits { per_endpoint: 10, rate: None, breaking: None }, now)
    }

    /// As after many successes.
    fn warm(board: &mut Board, id: &EndpointId, now: Instant) {
        board.feed(id, now);
        for _ in 0..20 {
            board.free -= 1;
            board.ended(id, Outcome::Well, now);
        }
    }

    /// Everything that is due is there.
    fn claim(board: &mut Board, id: &EndpointId, now: Instant) -> usize {
        board.feed(id, now);
        let turn = board.next(now);
        if !turn.ready.contains(id) {
            return 0;
        }
        let n = board.begin(id, now);
        board.claimed(id, n, n, now);
        n
    }

    #[test]
    fn no_endpoint_takes_all_slots() {
        let now = Instant::now();
        let (mut board, greedy) = (board(10, now), EndpointId::random());
        warm(&mut board, &greedy, now);
        let mut held = 0;
        while let n @ 1.. = claim(&mut board, &greedy, now) {
            held += n;
        }
        assert_eq!(held, 2);
        assert!(claim(&mut board, &EndpointId::random(), now) > 0, "nothing is left for others");
    }

    #[test]
    fn failing_endpoints_leave_a_fifth() {
        let now = Instant::now();
        let mut board = board(20, now);
        let mut held = 0;
        for _ in 0..100 {
            let mut endpoint = Endpoint::new("http://a");
            endpoint.health.failures = 1;
            board.feed(&endpoint.id, now);
            board.prime(&endpoint, now);
            held += claim(&mut board, &endpoint.id, now);
        }
        assert_eq!(held, 16);
        assert_eq!(claim(&mut board, &EndpointId::random(), now), 1);
    }

    #[test]
    fn every_hungry_lane_gets_its_turn() {
        let now = Instant::now();
        let mut board = board(4, now);
        let ids: Vec<_> = (0..9).map(|_| EndpointId::random()).collect();
        ids.iter().for_each(|id| board.feed(id, now));
        let mut served = Vec::new();
        while served.len() < ids.len() {
            let turn = board.next(now);
            assert!(!turn.ready.is_empty(), "somebody is hungry and there are slots");
            for id in &turn.ready {
                let n = board.begin(id, now);
                // One was there.
                board.claimed(id, n, n.min(1), now);
                if n > 0 {
                    served.push(id.clone());
                    board.ended(id, Outcome::Well, now);
                }
            }
        }
        served.truncate(ids.len());
        assert_eq!(served, ids, "in the order in which they came");
    }

    #[test]
    fn who_is_left_out_of_a_look_is_asked_for_later() {
        let now = Instant::now();
        let (mut board, id) = (board(100, now), EndpointId::random());
        warm(&mut board, &id, now);
        assert_eq!(board.next(now).ready, slice::from_ref(&id));
        let n = board.begin(&id, now);
        assert_eq!(n, 10);
        // Something is published while the claim is on its way.
        assert_eq!(board.looking(now), slice::from_ref(&id));
        board.claimed(&id, n, 3, now);
        assert_eq!(board.next(now).ready, slice::from_ref(&id), "the look did not see it");
        let n = board.begin(&id, now);
        assert_eq!(n, 7);
        board.claimed(&id, n, 0, now);
        assert!(board.next(now).ready.is_empty());
        assert!(board.looking(now).is_empty());
    }

    #[test]
    fn a_lane_that_waits_says_when() {
        let now = Instant::now();
        let (mut board, id) = (board(100, now), EndpointId::random());
        warm(&mut board, &id, now);
        assert_eq!(claim(&mut board, &id, now), 10);
        let pause = std::time::Duration::from_secs(9);
        let throttled = Outcome::Throttled { pause: Some(pause), failed: false };
        assert!(board.ended(&id, throttled, now), "it is hungry");
        let turn = board.next(now);
        assert!(turn.ready.is_empty());
        assert_eq!(turn.again, Some(now + pause));
        for _ in 0..9 {
            board.ended(&id, Outcome::Nothing, now);
        }
        assert_eq!(board.next(now + pause).ready, slice::from_ref(&id));
        assert_eq!(board.begin(&id, now + pause), 1, "it said that there were too many");
    }

    #[test]
    fn the_store_is_asked_at_the_earliest() {
        let now = Instant::now();
        let mut board = board(1, now);
        assert_eq!(board.look_at(), Some(now));
        board.looking(now);
        assert_eq!(board.look_at(), None);
        let later = now + super::IDLE;
        board.look_by(later);
        board.look_by(now);
        board.look_by(later);
        assert_eq!(board.look_at(), Some(now));
    }

    #[test]
    fn lanes_that_hold_nothing_are_forgotten() {
        let now = Instant::now();
        let (mut board, id) = (board(100, now), EndpointId::random());
        assert_eq!(claim(&mut board, &id, now), 1);
        board.ended(&id, Outcome::Well, now);
        board.tidy(now + 2 * super::IDLE);
        assert_eq!(board.lanes.len(), 1, "it is hungry");
        assert_eq!(board.next(now).ready, slice::from_ref(&id));
        let n = board.begin(&id, now);
        board.claimed(&id, n, 0, now);
        board.tidy(now);
        assert_eq!(board.lanes.len(), 1, "it may come back");
        board.tidy(now + 2 * super::IDLE);
        assert_eq!(board.lanes.len(), 0);
    }
}
