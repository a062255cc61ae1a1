//! Waiting for signals: Ctrl-C, termination, reload.
//!
//! A signal is an event that a thread waits for, green or not; there are no handlers to write. While somebody
//! watches a signal it does nothing else; when the last watcher is gone it does again what it did before, so a
//! second Ctrl-C ends a program that takes too long over the first.
//!
//! ```no_run
//! sward::run(|| {
//!     sward::thread::spawn(|| {
//!         sward::signal::ctrl_c().expect("signals can be waited for");
//!         println!("stopping");
//!         // ... tell the servers
//!     });
//!     // ... serve
//! });
//! ```
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::io::{self as calls, Descriptor};
use crate::sys::signal::Watch;

/// A signal, by its number on Linux.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(i32);

macro_rules! signals {
    ($($(#[$doc:meta])* $NAME:ident = $number:literal;)*) => {
        $($(#[$doc])* pub const $NAME: Signal = Signal($number);)*

        impl Signal {
            fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($NAME)),)*
                    _ => None,
                }
            }
        }
    };
}

signals! {
    /// The terminal is gone; for servers by custom: read your configuration again.
    SIGHUP = 1;
    /// Ctrl-C.
    SIGINT = 2;
    /// Ctrl-\.
    SIGQUIT = 3;
    /// Free for the program's own use.
    SIGUSR1 = 10;
    /// Free for the program's own use.
    SIGUSR2 = 12;
    /// An alarm(2) has gone off.
    SIGALRM = 14;
    /// Please end: what `kill` and service managers send.
    SIGTERM = 15;
    /// A child process has ended.
    SIGCHLD = 17;
    /// The terminal has a new size.
    SIGWINCH = 28;
}

impl Signal {
    /// The signal of that number; whether it can be waited for is seen when somebody tries.
    pub const fn from_raw(number: i32) -> Signal {
        Signal(number)
    }

    /// Its number.
    pub const fn as_raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Watches some signals from when it is made until it is dropped; none is missed in between.
///
/// A signal that comes several times before somebody waits counts once, as everywhere on Unix. Each `Signals` is
/// told of each signal; of several threads that wait in one `Signals`, one is.
///
/// ```
/// use sward::signal::{SIGINT, SIGTERM, Signals};
///
/// let signals = Signals::new(&[SIGINT, SIGTERM])?;
/// assert_eq!(signals.pending(), None);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Signals {
    watch: Watch,
    bell: Descriptor,
    ended: AtomicBool,
}

impl Signals {
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for signals that cannot be waited for (SIGKILL, SIGSTOP,
    /// faults) or none at all,
    /// and the system's. At most 32 can be alive at once.
    pub fn new(signals: &[Signal]) -> io::Result<Signals> {
        let numbers: Vec<i32> = signals.iter().map(|signal| signal.0).collect();
        let watch = Watch::new(&numbers)?;
        // `new`: its O_NONBLOCK is ours, and no wish of the program's to be told EAGAIN.
        let bell = Descriptor::new(watch.bell()?);
        Ok(Signals { watch, bell, ended: AtomicBool::new(false) })
    }

    /// Waits for the next of the signals.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) in a [`timeout`](crate::timeout()) scope that elapses; ECANCELED when the
    /// green thread is cancelled.
    pub fn wait(&self) -> io::Result<Signal> {
        loop {
            if let Some(signal) = self.pending() {
                return Ok(signal);
            }
            if self.ended.load(Ordering::SeqCst) {
                return Err(io::Error::other("nobody is to wait for signals any more"));
            }
            let mut count = [0; 8];
            calls::read(&self.bell, &mut count, None)?;
        }
    }

    /// The one thread that waits, or will, gets an error once there is no signal left to tell it.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.watch.ring();
    }

    /// The next of the signals that came already, without waiting.
    pub fn pending(&self) -> Option<Signal> {
        self.watch.take().map(Signal)
    }
}

/// Waits for one of `signals`, from now on, and says which came. See [`Signals`] for more than one.
///
/// # Errors
/// As [`Signals::new`] and [`Signals::wait`].
pub fn wait(signals: &[Signal]) -> io::Result<Signal> {
    Signals::new(signals)?.wait()
}

/// Waits until somebody wants the program to end: Ctrl-C (SIGINT) or SIGTERM.
///
/// # Errors
/// As [`wait()`].
pub fn ctrl_c() -> io::Result<()> {
    wait(&[SIGINT, SIGTERM]).map(drop)
}
