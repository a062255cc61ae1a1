//! One delivery, from claim to record: plain sequential code, on a green thread of its own.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::json;

use super::engine::Engine;
use super::judge::{Verdict, is_cancelled, judge, why};
use super::lane::Outcome;
use crate::thread;
use crate::webhook::client::Answer;
use crate::webhook::model::{Attempt, Endpoint, EndpointState, Health};
use crate::webhook::signature::{ID, SIGNATURE, Secret, TIMESTAMP, sign};
use crate::webhook::store::{Change, Claim, Next};
use crate::webhook::time::Time;

/// How far a flight is. Whoever moves it on from `POSTING` ends the claim: its own green thread when it has an answer, or the
/// dispatcher when it stops.
#[derive(Debug)]
pub(super) struct Phase(AtomicU8);

const POSTING: u8 = 0;
const FINISHING: u8 = 1;
const RELEASED: u8 = 2;

impl Phase {
    pub(super) fn new() -> Arc<Phase> {
        Arc::new(Phase(AtomicU8::new(POSTING)))
    }

    /// The attempt has ended; false: the claim is somebody else's.
    fn finish(&self) -> bool {
        self.0.compare_exchange(POSTING, FINISHING, SeqCst, SeqCst).is_ok()
    }

    /// The claim is to be given back; false: the attempt has ended, and is being recorded.
    pub(super) fn release(&self) -> bool {
        self.0.compare_exchange(POSTING, RELEASED, SeqCst, SeqCst).is_ok()
    }

    fn is_released(&self) -> bool {
        self.0.load(SeqCst) == RELEASED
    }
}

/// A slot in flight; gives it back, whatever happens in between.
struct Slot<'a> {
    engine: &'a Engine,
    claim: &'a Claim,
    phase: &'a Phase,
    outcome: Outcome,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if !self.phase.is_released() {
            self.engine.landed(&self.claim.delivery.id, &self.claim.endpoint.id, self.outcome);
        }
    }
}

/// Attempts a delivery that was claimed until `until`, and records what came of it.
pub(super) fn fly(engine: &Engine, claim: &Claim, until: Instant, phase: &Phase) {
    let mut slot = Slot { engine, claim, phase, outcome: Outcome::Nothing };
    let (delivery, endpoint) = (&claim.delivery, &claim.endpoint);
    let inner = &engine.inner;

    let at = Time::now();
    let answer = post(engine, claim, at);
    if is_cancelled(&answer) || !phase.finish() {
        return;
    }
    let now = Time::now();
    let verdict = judge(&answer);
    let made = delivery.attempts.saturating_add(1);
    let schedule = &inner.config.schedule;
    let next = match &verdict {
        Verdict::Taken => Next::Delivered(now),
        Verdict::Gone => Next::Dead(now),
        failed => match schedule.wait(made, failed.asked(), chance()) {
            Some(wait) => Next::Retry(now + wait),
            None => Next::Dead(now),
        },
    };
    let (status, response, truncated) = match &answer.result {
        Ok(reply) => (Some(reply.status), reply.body.clone(), reply.truncated),
        Err(_) => (None, String::new(), false),
    };
    let attempt = Attempt {
        delivery: delivery.id.clone(),
        number: made,
        at,
        took: answer.took,
        address: answer.address.map(|address| address.to_string()),
        status,
        error: why(&answer, &verdict),
        response,
        truncated,
    };
    inner.metrics.attempt(verdict.name(), answer.took);

    let health = record(engine, claim, &attempt, next, until);
    tell(engine, claim, &attempt, next);
    let probing = engine.board().is_probing(&endpoint.id);
    slot.outcome = verdict.outcome(schedule.longest_pause());
    if let Next::Retry(due) = next {
        engine.board().look_by(Instant::now() + due.since(Time::now()));
    }
    if matches!(next, Next::Dead(_)) {
        inner.metrics.dead();
    }
    if verdict == Verdict::Gone {
        disable(engine, endpoint, "it answered 410 Gone");
    } else if let Some(health) = health {
        // Not before a delivery has had all its attempts: one that fails twice in two weeks has not failed for two weeks. While
        // its breaker is open few get that far; but then it is not one or two that have failed.
        let at_the_end = matches!(next, Next::Dead(_)) || probing;
        give_up(engine, endpoint, &health, at_the_end, now);
    }
}

fn post(engine: &Engine, claim: &Claim, at: Time) -> Answer {
    let (message, endpoint) = (&claim.message, &claim.endpoint);
    let valid = endpoint.keys.iter().filter(|key| key.expires.is_none_or(|end| at < end));
    let secrets: Vec<Secret> = valid.filter_map(|key| Secret::parse(&key.text).ok()).collect();
    let timestamp = at.as_secs().to_string();
    let signature = sign(&secrets, message.id.as_str(), at.as_secs(), &message.body);
    let mut headers = vec![
        ("content-type", message.content_type.as_str()),
        (ID, message.id.as_str()),
        (TIMESTAMP, &timestamp),
    ];
    if !signature.is_empty() {
        headers.push((SIGNATURE, &signature));
    }
    engine.inner.post.post(&endpoint.url, &headers, &message.body)
}

/// Ends the claim in the store. A store that fails is asked again, for as long as the claim is ours; after that somebody will
/// deliver it once more, under the same id, which is better than not at all.
fn record(
    engine: &Engine,
    claim: &Claim,
    attempt: &Attempt,
    next: Next,
    until: Instant,
) -> Option<Health> {
    let mut pause = Duration::from_millis(20);
    loop {
        match engine.inner.store.finish(&claim.delivery.id, Some(attempt), next) {
            Ok(health) => return health,
            Err(_) => engine.inner.metrics.store_failed(),
        }
        if Instant::now() + pause >= until || engine.has_given_up() {
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Disables or forgets an endpoint that has failed for too long.
fn give_up(engine: &Engine, endpoint: &Endpoint, health: &Health, at_the_end: bool, now: Time) {
    if endpoint.settings.forget_after.is_some_and(|most| health.failures >= most) {
        let removed = engine.inner.store.remove_endpoint(&endpoint.id, now);
        if engine.inner.noted(removed) == Some(true) {
            let failures = health.failures;
            engine.inner.tell(
                "forgotten",
                now,
                || json!({ "endpoint": endpoint.id, "url": endpoint.url, "failures": failures }),
            );
        }
        return;
    }
    let after = engine.inner.config.disable_after;
    if at_the_end && health.failing_since.is_some_and(|since| now.since(since) >= after) {
        disable(engine, endpoint, "it has failed for too long");
    }
}

fn disable(engine: &Engine, endpoint: &Endpoint, why: &str) {
    let at = Time::now();
    let state = Some(EndpointState::Disabled { why: why.to_owned(), at });
    let changed =
        engine.inner.store.change_endpoint(&endpoint.id, &Change { state, ..Change::default() });
    if engine.inner.noted(changed) == Some(true) {
        engine.inner.metrics.disabled();
        engine.inner.tell(
            "disabled",
            at,
            || json!({ "endpoint": endpoint.id, "url": endpoint.url, "why": why }),
        );
    }
}

fn tell(engine: &Engine, claim: &Claim, attempt: &Attempt, next: Next) {
    let (event, due) = match next {
        Next::Delivered(_) => ("delivered", None),
        Next::Retry(due) => ("attempt", Some(due)),
        Next::Dead(_) => ("dead", None),
    };
    engine.inner.tell(event, attempt.at, || {
        json!({
            "delivery": claim.delivery.id, "message": claim.message.id, "type": claim.message.kind,
            "endpoint": claim.endpoint.id, "url": claim.endpoint.url, "attempt": attempt.number,
            "status": attempt.status, "error": attempt.error,
            "took_ms": attempt.took.as_secs_f64() * 1000.0, "next": due.map(|due| due.to_string()),
        })
    });
}

/// From 0 to 1.
fn chance() -> f64 {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0; 4];
    // Without chance: the middle.
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}
