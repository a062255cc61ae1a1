//! The kinds of server that are compared: their names, and what is said of them.

use std::fmt;

use crate::workload::Workload;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Green,
    Loop,
    Threads,
    Pool(usize),
    Processes(usize),
    May,
    Axum,
}

impl Kind {
    /// What is compared if nobody says otherwise.
    pub(crate) fn usual() -> Vec<Kind> {
        let mut kinds = vec![Kind::Green, Kind::Loop, Kind::Threads, Kind::Pool(64)];
        if cfg!(feature = "peers") {
            kinds.extend([Kind::May, Kind::Axum]);
        }
        kinds
    }

    pub(crate) fn parse(text: &str) -> Result<Kind, String> {
        let (name, n) = match text.split_once(':') {
            Some((name, n)) => match n.parse() {
                Ok(n) if n > 0 => (name, Some(n)),
                _ => return Err(format!("{text:?}: the number after the colon must be above 0")),
            },
            None => (text, None),
        };
        let kind = match (name, n) {
            ("green", None) => Kind::Green,
            ("green-loop", None) => Kind::Loop,
            ("threads", None) => Kind::Threads,
            ("pool", n) => Kind::Pool(n.unwrap_or(64)),
            ("processes", n) => Kind::Processes(n.unwrap_or(8)),
            ("may", None) => Kind::May,
            ("axum", None) => Kind::Axum,
            _ => {
                return Err(format!(
                    "unknown server {text:?}: green, green-loop, threads, pool:N, processes:N, may or axum"
                ));
            }
        };
        if kind.is_peer() && !cfg!(feature = "peers") {
            return Err(format!(
                "{text} is not in this build; it comes with:\n  \
                 cargo run --release --features peers --example compare"
            ));
        }
        Ok(kind)
    }

    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Kind::May | Kind::Axum)
    }

    /// Whether there is anything to compare: subscribers apart, it is the green server.
    pub(crate) fn is_compared_at(self, workload: Workload) -> bool {
        self != Kind::Loop || matches!(workload, Workload::Sse | Workload::Fanout)
    }

    /// How many connections it serves at a time, if that was decided beforehand.
    pub(crate) fn most(self) -> Option<usize> {
        match self {
            Kind::Pool(n) | Kind::Processes(n) => Some(n),
            _ => None,
        }
    }

    /// One line on what it is, for the page.
    pub(crate) fn describe(self) -> String {
        match self {
            Kind::Green => {
                "sward: a green thread per connection with work, plain blocking code; subscribers follow a topic".into()
            }
            Kind::Loop => {
                "the green server, each subscriber a loop that receives and sends, with a stack of its own"
                    .into()
            }
            Kind::Threads => "the same program in mode threads: an OS thread per connection".into(),
            Kind::Pool(n) => format!("the same program in mode pool:{n}: {n} OS threads"),
            Kind::Processes(n) => {
                format!("the same program as {n} processes, a connection at a time each")
            }
            Kind::May => "may and may_minihttp: stackful coroutines".into(),
            Kind::Axum => "axum on tokio: async/await".into(),
        }
    }

    /// Its place among the colours of the charts.
    pub(crate) fn colour(self) -> usize {
        match self {
            Kind::Green => 0,
            Kind::Threads => 1,
            Kind::Pool(_) => 2,
            Kind::May => 3,
            Kind::Axum => 4,
            Kind::Processes(_) => 5,
            Kind::Loop => 6,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Green => f.write_str("green"),
            Kind::Loop => f.write_str("green-loop"),
            Kind::Threads => f.write_str("threads"),
            Kind::Pool(n) => write!(f, "pool:{n}"),
            Kind::Processes(n) => write!(f, "processes:{n}"),
            Kind::May => f.write_str("may"),
            Kind::Axum => f.write_str("axum"),
        }
    }
}
