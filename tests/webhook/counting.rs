//! A store that counts what it is asked.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sward::webhook::store::Store;

use crate::calls::*;

#[derive(Debug)]
pub(crate) struct Counting {
    to: Arc<dyn Store>,
    pub(crate) calls: AtomicU64,
    /// Deliveries that were handed out.
    pub(crate) claimed: AtomicU64,
}

impl Counting {
    pub(crate) fn new(to: Arc<dyn Store>) -> Counting {
        Counting { to, calls: AtomicU64::new(0), claimed: AtomicU64::new(0) }
    }
}

macro_rules! counting {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        impl Store for Counting {
            $(fn $name(&self, $($arg: $type),*) -> Result<$out> {
                self.calls.fetch_add(1, Ordering::Relaxed);
                let out = self.to.$name($($arg),*)?;
                if let Some(claims) = (&out as &dyn Any).downcast_ref::<Vec<Claim>>() {
                    self.claimed.fetch_add(claims.len() as u64, Ordering::Relaxed);
                }
                Ok(out)
            })*

            fn poll_every(&self) -> Option<Duration> {
                self.to.poll_every()
            }
        }
    };
}

each_call!(counting);
