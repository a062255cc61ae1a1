//! What the tests of callbacks share.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use sward::webhook::Keys;

/// What a callback was called with, in order.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Value>>>);

impl Heard {
    /// A callback.
    pub(crate) fn callback(&self) -> impl Fn(&Value) + Send + Sync + 'static {
        let heard = self.clone();
        move |data| heard.0.lock().unwrap().push(data.clone())
    }

    pub(crate) fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until it was called so often.
    #[track_caller]
    pub(crate) fn times(&self, n: usize) -> Vec<Value> {
        eventually(&format!("{n} calls"), || self.all().len() >= n);
        assert_eq!(self.all().len(), n);
        self.all()
    }
}

#[track_caller]
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        sward::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn account(value: &str) -> Keys {
    Keys::new().with("account_id", value)
}
