//! How the server runs its handlers. Only the names; `accept.rs` gives them their meaning.

#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

/// How a [`Server`](super::Server) runs its handlers. The same handlers work in each mode.
///
/// ```
/// use sward::http::Mode;
///
/// assert_eq!("pool:64".parse::<Mode>().unwrap(), Mode::Pool(64));
/// assert_eq!(Mode::Green.to_string(), "green");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// A green thread per connection that has work; a connection that waits for its next request has
    /// none, and costs a small record only.
    #[default]
    Green,
    /// An OS thread per connection.
    Threads,
    /// So many OS threads in all. A connection holds its thread until it closes, idle or not, so at
    /// most that many clients are served at a time and the others wait in a queue.
    Pool(usize),
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Green => f.write_str("green"),
            Mode::Threads => f.write_str("threads"),
            Mode::Pool(n) => write!(f, "pool:{n}"),
        }
    }
}

/// What [`Mode::from_str`] answers to anything but `green`, `threads` and `pool:N` with N above 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseModeError(());

impl fmt::Display for ParseModeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the mode is one of: green, threads, pool:N")
    }
}

impl std::error::Error for ParseModeError {}

impl FromStr for Mode {
    type Err = ParseModeError;

    fn from_str(text: &str) -> Result<Mode, ParseModeError> {
        match text {
            "green" => Ok(Mode::Green),
            "threads" => Ok(Mode::Threads),
            _ => text
                .strip_prefix("pool:")
                .and_then(|n| n.parse().ok())
                .filter(|&n| n > 0)
                .map(Mode::Pool)
                .ok_or(ParseModeError(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for mode in [Mode::Green, Mode::Threads, Mode::Pool(7)] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        for bad in ["", "Green", "pool", "pool:", "pool:0", "pool:-1"] {
            assert!(bad.parse::<Mode>().is_err(), "{bad:?}");
        }
    }
}
