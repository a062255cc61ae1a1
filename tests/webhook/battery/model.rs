//! The same random calls to two stores: this one, and the memory store, which is plain enough to be believed.
//!
//! Ids, keys and times are few, so that calls meet each other's traces. A failure names its seed and its call.

use std::fmt::Debug;
use std::sync::Arc;

use sward::webhook::store::{Change, Filter, MemoryStore, Next, Store};
use sward::webhook::{
    Attempt, Delivery, DeliveryState, Endpoint, EndpointState, Health, Keys, Message, Settings,
    SigningKey,
};

use super::random::Random;
use super::*;

const CALLS: usize = 500;

pub(crate) fn random_calls_have_the_same_answers(store: &Arc<dyn Store>) {
    compare(store, 0x5eed, CALLS);
}

/// Makes `calls` calls by chance, and compares all there is at the end.
pub(crate) fn compare(store: &Arc<dyn Store>, seed: u64, calls: usize) {
    let mut pair = Pair {
        store: store.clone(),
        model: Arc::new(MemoryStore::new()),
        random: Random::new(seed),
        now: 100,
        made: 0,
        accepted: 0,
        seed,
        call: 0,
    };
    for call in 0..calls {
        pair.call = call;
        pair.step();
    }
    pair.everything();
}

struct Pair {
    store: Arc<dyn Store>,
    model: Arc<dyn Store>,
    random: Random,
    now: u64,
    made: usize,
    /// How many deliveries there have been.
    accepted: usize,
    seed: u64,
    call: usize,
}

impl Pair {
    /// The answer that both give.
    fn both<T: PartialEq + Debug>(&self, what: &str, call: impl Fn(&dyn Store) -> T) -> T {
        let (real, expected) = (call(&*self.store), call(&*self.model));
        assert!(
            real == expected,
            "{what}, call {} of seed {:#x}:\nthe store says {real:?}\nthe model says {expected:?}",
            self.call,
            self.seed
        );
        expected
    }

    fn endpoint(&mut self) -> EndpointId {
        const NAMES: [&str; 7] = ["e0", "e1", "e2", "e3", "e4", "e5", "e6"];
        endpoint_id(NAMES[self.random.below(NAMES.len())])
    }

    fn message(&mut self) -> MessageId {
        let made = self.made.max(1);
        let recent = made.min(12);
        let number = made - 1 - self.random.below(recent);
        MessageId::parse(&format!("m{number}")).unwrap()
    }

    fn delivery(&mut self) -> DeliveryId {
        let (message, endpoint) = (self.message(), self.endpoint());
        DeliveryId::of(&message, &endpoint)
    }

    fn keys(&mut self) -> Keys {
        let mut keys = Keys::new();
        for _ in 0..1 + self.random.below(3) {
            let name = *self.random.pick(&["k", "l", "$m.n"]);
            keys.insert(name, *self.random.pick(&["1", "2", ""]));
        }
        keys
    }

    /// Mostly near now, sometimes long ago, sometimes far ahead.
    fn time(&mut self) -> Time {
        let far = if self.random.once_in(8) { 500 } else { 40 };
        at(self.now + 20 + self.random.below(far) as u64 - self.random.below(60) as u64)
    }

    fn state(&mut self) -> EndpointState {
        match self.random.below(12) {
            0 => EndpointState::Unverified,
            1 => EndpointState::Paused,
            2 => EndpointState::Disabled { why: "by chance".into(), at: self.time() },
            _ => EndpointState::Active,
        }
    }

    fn step(&mut self) {
        self.now += self.random.below(6) as u64;
        let now = at(self.now);
        match self.random.below(32) {
            0..=1 => self.register(),
            2 => self.change(),
            3 => {
                if self.random.once_in(6) {
                    let id = self.endpoint();
                    self.both("remove", |store| store.remove_endpoint(&id, now).unwrap());
                }
            }
            4..=6 => {
                let (id, keys) = (self.endpoint(), self.keys());
                let until = if self.random.once_in(2) { None } else { Some(self.time()) };
                self.both("subscribe", |s| s.subscribe(&id, &keys, now, until).unwrap());
            }
            7 => {
                let (id, keys) = (self.endpoint(), self.keys());
                self.both("unsubscribe", |store| store.unsubscribe(&id, &keys).unwrap());
            }
            8 => {
                self.both("expire", |store| store.expire(now).unwrap());
            }
            9 => {
                let keys = self.keys();
                self.both("matching", |store| store.matching(&keys, now).unwrap());
            }
            10..=15 => self.publish(),
            16 => {
                if self.random.once_in(4) {
                    let (keys, messages) = (self.time(), self.time() - Duration::from_millis(60));
                    self.both("prune", |store| store.prune(keys, messages).unwrap());
                }
            }
            17..=18 => {
                let except = [self.endpoint(), self.endpoint()];
                let except = &except[self.random.below(3)..];
                let limit = self.random.below(7);
                self.both("due", |store| store.due(now, except, limit).unwrap());
                self.both("next due", |store| store.next_due().unwrap());
            }
            19..=22 => {
                let (id, until, limit) = (self.endpoint(), self.time(), self.random.below(4));
                self.both("claim", |store| {
                    let claims = store.claim(&id, now, until, limit).unwrap();
                    let parts = |claim: Claim| (claim.delivery, claim.message, claim.endpoint);
                    claims.into_iter().map(parts).collect::<Vec<_>>()
                });
            }
            23..=27 => self.finish(),
            28 => {
                let id = self.delivery();
                self.both("resend", |store| store.resend(&id, now).unwrap());
            }
            29 => {
                if self.random.once_in(2) {
                    let (id, since) = (self.endpoint(), self.time());
                    self.both("recover", |store| store.recover(&id, since, now).unwrap());
                }
            }
            30 => self.pages(),
            _ => {
                let id = self.endpoint();
                self.both("totals", |store| store.totals(None).unwrap());
                self.both("its totals", |store| store.totals(Some(&id)).unwrap());
                self.both("subscriptions", |store| store.subscriptions(&id).unwrap());
            }
        }
    }

    fn register(&mut self) {
        let id = self.endpoint();
        // A removed endpoint's id does not come again, except by the URL of one that is there.
        let mut endpoint = Endpoint::new(format!("http://{id}.example/"));
        endpoint.created = at(self.now);
        endpoint.id = id.clone();
        endpoint.settings.ordered = self.random.once_in(3);
        endpoint.state = self.state();
        let its = Filter { endpoint: Some(id), ..Filter::default() };
        if self.both("its", |store| store.deliveries(&its, None, 1).unwrap()).is_empty() {
            self.both("add", |store| store.add_endpoint(&endpoint).unwrap());
        }
    }

    fn change(&mut self) {
        let id = self.endpoint();
        let mut change = Change::default();
        match self.random.below(4) {
            0 | 1 => change.state = Some(self.state()),
            2 => {
                let mut settings = Settings::default();
                settings.ordered = self.random.once_in(2);
                change.settings = Some(settings);
            }
            _ => {
                change.health = Some(Health { failures: 7, ..Health::default() });
                change.keys = Some(vec![SigningKey { text: "whsec_eA".into(), expires: None }]);
            }
        }
        self.both("change", |store| store.change_endpoint(&id, &change).unwrap());
        self.both("endpoint", |store| store.endpoint(&id).unwrap());
    }

    fn publish(&mut self) {
        let repeat = self.random.once_in(10);
        let id = match repeat {
            true => self.message(),
            false => MessageId::parse(&format!("m{}", self.made)).unwrap(),
        };
        self.made += usize::from(!repeat);
        let key = format!("key {}", self.random.below(10));
        let message = Message {
            published: if self.random.once_in(4) { self.time() } else { at(self.now) },
            keys: self.keys(),
            idempotency_key: self.random.once_in(4).then_some(key),
            id,
            ..message("any", at(0), &[])
        };
        let extra = match self.random.once_in(6) {
            true => vec![self.endpoint(), self.endpoint()],
            false => Vec::new(),
        };
        let accepted = self.both("publish", |store| store.publish(&message, &extra).unwrap());
        self.accepted += accepted.deliveries;
        self.both("message", |store| store.message(&message.id).unwrap());
    }

    fn finish(&mut self) {
        // Of what there is: by chance hardly any would be met.
        let wanted = *self.random.pick(&[DeliveryState::InFlight, DeliveryState::Pending]);
        let filter = Filter { state: Some(wanted), ..Filter::default() };
        let found = self.both("some", |store| store.deliveries(&filter, None, 30).unwrap());
        let id = match found.is_empty() || self.random.once_in(6) {
            true => self.delivery(),
            false => self.random.pick(&found).id.clone(),
        };
        let number = 1 + self.random.below(4) as u32;
        let attempt = Attempt { number, ..failed(&id, 1, at(self.now)) };
        let attempt = (!self.random.once_in(4)).then_some(attempt);
        let next = match self.random.below(5) {
            0 | 1 => Next::Delivered(at(self.now)),
            2 => Next::Dead(at(self.now)),
            _ => Next::Retry(self.time()),
        };
        self.both("finish", |store| store.finish(&id, attempt.as_ref(), next).unwrap());
        self.both("delivery", |store| store.delivery(&id).unwrap());
        self.both("attempts", |store| store.attempts(&id).unwrap());
    }

    fn pages(&mut self) {
        let states = [
            None,
            Some(DeliveryState::Pending),
            Some(DeliveryState::InFlight),
            Some(DeliveryState::Delivered),
            Some(DeliveryState::Dead),
            Some(DeliveryState::Cancelled),
        ];
        let filter = Filter {
            endpoint: if self.random.once_in(2) { None } else { Some(self.endpoint()) },
            message: if self.random.once_in(4) { Some(self.message()) } else { None },
            state: *self.random.pick(&states),
        };
        let (after, message) = (self.delivery(), self.message());
        let after = (!self.random.once_in(3)).then_some(after);
        let message = (!self.random.once_in(3)).then_some(message);
        let (since, limit) = (self.time(), 1 + self.random.below(9));
        self.both("deliveries", |store| store.deliveries(&filter, after.as_ref(), limit).unwrap());
        self.both("messages", |store| store.messages(since, message.as_ref(), limit).unwrap());
    }

    fn everything(&mut self) {
        self.both("endpoints", |store| store.endpoints(None, 99).unwrap());
        self.both("messages", |store| store.messages(at(0), None, 9_999).unwrap());
        let any = Filter::default();
        let all: Vec<Delivery> =
            self.both("deliveries", |store| store.deliveries(&any, None, 9_999).unwrap());
        for delivery in &all {
            self.both("attempts", |store| store.attempts(&delivery.id).unwrap());
        }
        self.both("totals", |store| store.totals(None).unwrap());
        assert!(self.accepted > self.call / 5, "too little happened: {} deliveries", self.accepted);
    }
}
