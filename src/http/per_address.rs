//! How many connections each address has: counted while there is one, forgotten with the last.
//!
//! An IPv6 client has a whole /64 at least, so that is what counts as its address.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::sys::Lock;

/// Connections by address.
pub(crate) struct PerAddress(Lock<HashMap<IpAddr, usize>>);

impl Default for PerAddress {
    fn default() -> Self {
        PerAddress(Lock::new(HashMap::new()))
    }
}

impl PerAddress {
    /// Counts one more connection of `addr`; false, and nothing is counted, if there are `most` already.
    pub(crate) fn enter(&self, addr: IpAddr, most: usize) -> bool {
        let mut counts = self.0.lock();
        let count = counts.entry(key(addr)).or_insert(0);
        let fits = *count < most;
        if fits {
            *count += 1;
        } else if *count == 0 {
            counts.remove(&key(addr));
        }
        fits
    }

    /// One less.
    pub(crate) fn leave(&self, addr: IpAddr) {
        let mut counts = self.0.lock();
        if let Some(count) = counts.get_mut(&key(addr)) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&key(addr));
                // After an onslaught its room goes too.
                if counts.capacity() > 64 && counts.len() < counts.capacity() / 4 {
                    counts.shrink_to_fit();
                }
            }
        }
    }
}

fn key(addr: IpAddr) -> IpAddr {
    const HALF: u32 = 64;
    match addr.to_canonical() {
        IpAddr::V6(addr) => IpAddr::V6(Ipv6Addr::from_bits(addr.to_bits() >> HALF << HALF)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_those_that_are_gone() {
        let counts = PerAddress::default();
        let addr = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(counts.enter(addr("1.2.3.4"), 2) && counts.enter(addr("::ffff:1.2.3.4"), 2));
        assert!(!counts.enter(addr("1.2.3.4"), 2) && counts.enter(addr("1.2.3.5"), 2));
        assert!(counts.enter(addr("2001:db8::1"), 1), "another one");
        assert!(!counts.enter(addr("2001:db8::ffff:0:0:1"), 1), "the same network");
        assert!(counts.enter(addr("2001:db8:0:1::1"), 1), "the next network");
        assert!(!counts.enter(addr("9.9.9.9"), 0));
        for text in ["1.2.3.4", "1.2.3.4", "1.2.3.5", "2001:db8::2", "2001:db8:0:1::1"] {
            counts.leave(addr(text));
        }
        assert!(counts.0.lock().is_empty());
        for n in 0..1000u32 {
            assert!(counts.enter(IpAddr::V4(n.into()), 1));
        }
        for n in 0..1000u32 {
            counts.leave(IpAddr::V4(n.into()));
        }
        assert!(counts.0.lock().capacity() <= 64);
    }
}
