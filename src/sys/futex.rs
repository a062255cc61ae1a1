//! Waiting of OS threads on a word of memory, straight through the system call (futex(2)).
//!
//! Not for green threads: whoever waits here blocks its OS thread.
#![forbid(unsafe_code)]

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::fs::Timespec;
use rustix::thread::futex::{self, Flags};

/// Blocks while `*word == expected`, until woken or until `timeout` has passed. May return for no reason.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    // OK to ignore the result: EAGAIN, EINTR and ETIMEDOUT all mean "look again", which every caller does.
    match timeout {
        None => {
            let _ = futex::wait(word, Flags::PRIVATE, expected, None);
        }
        Some(timeout) => {
            let timeout = Timespec {
                tv_sec: timeout.as_secs().min(i64::MAX as u64) as i64,
                tv_nsec: timeout.subsec_nanos().into(),
            };
            let _ = futex::wait(word, Flags::PRIVATE, expected, Some(&timeout));
        }
    }
}

/// Wakes one thread that waits on `word`. Safe from any thread.
pub(crate) fn wake_one(word: &AtomicU32) {
    let _ = futex::wake(word, Flags::PRIVATE, 1);
}
