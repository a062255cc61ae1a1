//! Delivering: [`Dispatcher`].
//!
//! It is being built: nothing is posted yet.

#![forbid(unsafe_code)]

mod board;
mod lane;

use std::time::Duration;

use super::registry::Webhooks;

/// What delivers, while it is there. Dropping it stops it at once.
#[derive(Debug)]
#[must_use = "dropping it stops it"]
pub struct Dispatcher {
    webhooks: Webhooks,
}

impl Dispatcher {
    /// Claims nothing more, waits for what is in flight for at most `deadline`, and gives the rest back to the store, to be
    /// delivered later or by others.
    pub fn stop(self, deadline: Duration) {
        let _ = (self.webhooks, deadline);
    }
}

impl Webhooks {
    /// Delivers from now on, on green threads.
    ///
    /// # Panics
    /// If it delivers already.
    pub fn start(&self) -> Dispatcher {
        Dispatcher { webhooks: self.clone() }
    }
}
