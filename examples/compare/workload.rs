//! What the servers are made to do: names, paths, and what is measured.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    Idle,
    Sse,
    Longpoll,
    Hello,
    Json,
    Sleep,
    Upstream,
    Cpu,
    Churn,
    Fanout,
}

use Workload::{Churn, Cpu, Fanout, Hello, Idle, Json, Longpoll, Sleep, Sse, Upstream};

const ALL: [Workload; 10] = [Idle, Sse, Longpoll, Hello, Json, Sleep, Upstream, Cpu, Churn, Fanout];

/// Rounds of the computation that stand for a millisecond, about, on a machine of 2024.
const HASHES_PER_MS: u64 = 90_000;

impl Workload {
    pub(crate) fn usual(quick: bool) -> Vec<Workload> {
        if quick { vec![Idle, Sse, Longpoll, Hello, Sleep, Cpu] } else { ALL.to_vec() }
    }

    pub(crate) fn parse(text: &str) -> Result<Workload, String> {
        ALL.into_iter().find(|w| w.name() == text).ok_or_else(|| {
            let names: Vec<_> = ALL.iter().map(|w| w.name()).collect();
            format!("unknown workload {text:?}: {}", names.join(", "))
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Idle => "idle",
            Sse => "sse",
            Longpoll => "longpoll",
            Hello => "hello",
            Json => "json",
            Sleep => "sleep",
            Upstream => "upstream",
            Cpu => "cpu",
            Churn => "churn",
            Fanout => "fanout",
        }
    }

    /// One line for table and page; `wait` is W.
    pub(crate) fn describe(self, wait: u64) -> String {
        match self {
            Idle => "keep-alive connections that made one request and wait".into(),
            Sse => "subscribers to a stream of events, waiting".into(),
            Longpoll => "requests that wait for news".into(),
            Hello => "a page of 5 kB".into(),
            Json => "a small JSON document".into(),
            Sleep => format!("a handler that waits {wait} ms for its backend"),
            Upstream => format!("a handler that asks another HTTP server, which takes {wait} ms"),
            Cpu => format!("a handler that computes for about {:.1} ms", self.cpu_ms(wait)),
            Churn => "a connection per request".into(),
            Fanout => "one message to every subscriber".into(),
        }
    }

    /// Connections are held and nothing is asked: memory is the figure.
    pub(crate) fn is_held(self) -> bool {
        matches!(self, Idle | Sse | Longpoll)
    }

    /// Run over the whole range of connections by default.
    pub(crate) fn is_sweep(self) -> bool {
        matches!(self, Idle | Hello | Sleep)
    }

    /// What is asked for.
    pub(crate) fn path(self, wait: u64) -> String {
        match self {
            Idle | Json => "/json".into(),
            Sse | Fanout => "/sse".into(),
            Longpoll => "/poll".into(),
            Hello | Churn => "/hello".into(),
            Sleep => format!("/sleep/{wait}"),
            Upstream => format!("/upstream/{wait}"),
            Cpu => format!("/cpu/{}", (self.cpu_ms(wait) * HASHES_PER_MS as f64) as u64),
        }
    }

    /// Requests on one connection before the client makes a new one.
    pub(crate) fn requests_per_connection(self) -> u64 {
        if self == Churn { 1 } else { 10 }
    }

    fn cpu_ms(self, wait: u64) -> f64 {
        wait as f64 / 10.0
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The computation of `/cpu/N`: N rounds of a small hash. The same code in every server.
pub(crate) fn compute(rounds: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for round in 0..rounds {
        for byte in round.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    std::hint::black_box(hash)
}

/// The page of `/hello`: as long as the one that was asked for in the measurements behind the talk's charts.
pub(crate) static PAGE: [u8; 5000] = [b'.'; 5000];
