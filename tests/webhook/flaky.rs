//! A store that fails while it is told to, before it does anything; and counts its calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use sward::webhook::store::{MemoryStore, Store, StoreError};

use crate::calls::*;

#[derive(Debug, Default)]
pub(crate) struct Flaky {
    inner: MemoryStore,
    pub(crate) failing: AtomicBool,
    failed: Mutex<HashMap<&'static str, usize>>,
}

impl Flaky {
    pub(crate) fn new() -> Arc<Flaky> {
        Arc::default()
    }

    /// How often this call has failed.
    pub(crate) fn failed(&self, call: &str) -> usize {
        self.failed.lock().unwrap().get(call).copied().unwrap_or(0)
    }

    fn call(&self, name: &'static str) -> Result<()> {
        if !self.failing.load(SeqCst) {
            return Ok(());
        }
        *self.failed.lock().unwrap().entry(name).or_default() += 1;
        Err(StoreError::new(name, "it was told to fail"))
    }
}

macro_rules! as_inside {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        impl Store for Flaky {
            $(fn $name(&self, $($arg: $type),*) -> Result<$out> {
                self.call(stringify!($name))?;
                self.inner.$name($($arg),*)
            })*
        }
    };
}

each_call!(as_inside);
