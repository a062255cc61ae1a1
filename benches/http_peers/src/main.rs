//! sward's HTTP server beside may_minihttp, hyper, axum and actix-web: the same two handlers on each, each a process of
//! its own with one worker on one core, a client on another core, in one run.
//!
//! ```text
//! cargo run --release                       all of it: about 8 minutes
//! cargo run --release -- --quick            about 1 minute, for a first look
//! cargo run --release -- c64 may sward      plans and servers by parts of their names
//! cargo run --release -- --rounds 31        more rounds: the spread says when they are needed
//! cargo run --release --no-default-features -- c64          sward alone, quick to build
//! cargo run --release -- c64 sward sward@target/before      and beside it that of another build of this program
//! cargo run --release -- idle               what idle keep-alive connections hold; 10,000 need `ulimit -n 11000`
//! ```
//!
//! CPU is the server process's own, user and system, by the kernel's account, per request or per connection: client
//! and server share the machine, so requests per second say little. Rounds are short and interleaved over the servers,
//! and ratios are medians of the ratios of one round, so that what disturbs the machine disturbs all.
//!
//! In the `short` plans the last request of a connection says `Connection: close`, as a client should, and servers close
//! first. may_minihttp does not look at that header: there the client closes, and what the kernel does for closed
//! connections in the minute after falls to the client's core. In the `dropped` plans clients just close, and all are equal.
//!
//! Every request of a plan is the same, as benchmarks have it, and sward does not parse again what comes again. In the plan
//! `numbered` no two are the same.
//!
//! `floor` serves no HTTP: it makes the system calls that nobody with epoll can do without, and no others (src/floor.rs). How
//! far a server is above it is what can still be gained.
//!
//! What idle WebSockets hold is measured by `cargo bench --bench websockets` of the crate itself, since the others have
//! none of their own.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]

mod floor;
mod load;
mod process;
mod servers;
#[path = "../../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::time::Duration;

use load::{Client, Plan};
use process::Process;

/// Servers run on the one core, the client on the other.
const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
/// Connections that idle.
const IDLE: usize = 10_000;

const BASE: Plan = Plan {
    name: "",
    path: "/plaintext",
    connections: 64,
    pipelined: 1,
    per_connection: 0,
    announced: true,
    numbered: false,
};

const PLANS: &[Plan] = &[
    Plan { name: "plaintext-c64", ..BASE },
    Plan { name: "json-c64", path: "/json", ..BASE },
    Plan { name: "numbered-c64", numbered: true, ..BASE },
    Plan { name: "plaintext-c256", connections: 256, ..BASE },
    Plan { name: "plaintext-c1000", connections: 1000, ..BASE },
    Plan { name: "json-c1000", path: "/json", connections: 1000, ..BASE },
    Plan { name: "pipelined16-c64", pipelined: 16, ..BASE },
    Plan { name: "short1-c64", per_connection: 1, ..BASE },
    Plan { name: "short10-c64", per_connection: 10, ..BASE },
    Plan { name: "dropped1-c64", per_connection: 1, announced: false, ..BASE },
    Plan { name: "dropped10-c64", per_connection: 10, announced: false, ..BASE },
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [first, name, core] = &args[..]
        && first == "serve"
    {
        process::pin(core.parse().expect("a number"));
        process::answer_questions();
        return servers::serve(name);
    }
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        return help();
    }
    let settings = Settings::from_args(&args);
    println!("http_peers: {}", support::machine());
    process::pin(CLIENT_CORE);
    for plan in PLANS.iter().filter(|plan| settings.plans.contains(&plan.name)) {
        settings.compare(*plan);
    }
    if settings.idle {
        settings.idle();
    }
}

fn help() {
    println!(
        "Measures HTTP servers beside each other: CPU per request by the kernel's account, in interleaved rounds.\n\n\
         Usage: cargo run --release -- [PLANS] [SERVERS] [FLAGS]      parts of names will do; without any, all\n\n\
         Plans:\n  {}\n  idle             what {IDLE} idle keep-alive connections hold\n\n\
         Servers:\n  {}\n  NAME@PROGRAM     that server of another build of this program\n\n\
         Flags:\n  --quick          about 1 minute instead of 8\n  --rounds N       default 15, quick 3\n  \
         --help           this text",
        PLANS.iter().map(|plan| plan.name).collect::<Vec<_>>().join("\n  "),
        servers::NAMES.join(" ")
    );
}

/// A server, and the program that it is part of.
struct Which {
    name: String,
    program: PathBuf,
}

impl Which {
    fn start(&self) -> Process {
        Process::start(&self.program, &self.name, SERVER_CORE)
    }
}

/// What to run.
struct Settings {
    servers: Vec<Which>,
    plans: Vec<&'static str>,
    idle: bool,
    rounds: usize,
    time: Duration,
}

impl Settings {
    fn from_args(args: &[String]) -> Settings {
        let quick = args.iter().any(|arg| arg == "--quick");
        let rounds = args.iter().position(|arg| arg == "--rounds").and_then(|at| args.get(at + 1));
        let words: Vec<&String> =
            args.iter().filter(|arg| !arg.starts_with("--") && Some(*arg) != rounds).collect();
        let pick = |all: Vec<&'static str>| -> Vec<&'static str> {
            let named = |name: &&str| words.iter().any(|word| name.contains(word.as_str()));
            all.iter().copied().filter(named).collect()
        };
        let mut servers = pick(servers::NAMES.to_vec());
        let others = words.iter().filter_map(|word| word.split_once('@'));
        let others: Vec<(&str, PathBuf)> = others.map(|(name, at)| (name, at.into())).collect();
        let mut plans = pick(PLANS.iter().map(|plan| plan.name).collect());
        let mut idle = words.iter().any(|word| *word == "idle");
        if servers.is_empty() && others.is_empty() {
            servers = servers::NAMES.to_vec();
        }
        if plans.is_empty() && !idle {
            plans = PLANS.iter().map(|plan| plan.name).collect();
            idle = true;
        }
        let this = std::env::current_exe().expect("this program");
        let servers = servers.into_iter().map(|name| (name, this.clone())).chain(others);
        let servers = servers.map(|(name, program)| Which { name: name.to_string(), program });
        let default = if quick { 3 } else { 15 };
        Settings {
            servers: servers.collect(),
            plans,
            idle,
            rounds: rounds.map_or(default, |n| n.parse().expect("--rounds takes a number")),
            time: Duration::from_millis(if quick { 200 } else { 500 }),
        }
    }

    /// Runs one plan on every server, round by round, and prints the table.
    fn compare(&self, plan: Plan) {
        let servers: Vec<Process> = self.servers.iter().map(Which::start).collect();
        let mut rows: Vec<Row> = servers.iter().map(|_| Row::default()).collect();
        for round in 0..=self.rounds {
            for at in 0..servers.len() {
                let at = (at + round) % servers.len(); // nobody is always first
                let figures = measure(plan, &servers[at], self.time);
                // The first round warms up.
                if round > 0 {
                    rows[at].add(figures);
                }
            }
        }
        let each = if plan.per_connection > 0 { "connection" } else { "request" };
        println!(
            "\n{}: CPU-us per {each}, median of {} rounds (least to most); x: median ratio of a round",
            plan.name, self.rounds
        );
        let yardstick = |name| self.servers.iter().position(|server| server.name == name);
        let (may, axum) = (yardstick("may_minihttp"), yardstick("axum"));
        for (server, row) in self.servers.iter().zip(&rows) {
            let ratio = |other: Option<usize>| other.map(|at| row.ratio_to(&rows[at]));
            print!("  {:<13} {}", server.name, spread(&row.cpu));
            for (name, ratio) in [("may", ratio(may)), ("axum", ratio(axum))] {
                if let Some((middle, least, most)) = ratio {
                    print!("  {middle:.2}x {name} ({least:.2}-{most:.2})");
                }
            }
            let middle = |figures: &Vec<f64>| support::median(figures.clone());
            println!(
                "  {:>9.0}/s  p50 {:.2} p99 {:.2} ms",
                middle(&row.rate),
                middle(&row.p50),
                middle(&row.p99)
            );
        }
    }

    /// What connections that wait for their second request hold.
    fn idle(&self) {
        println!(
            "\n{IDLE} idle keep-alive connections, each after one request: bytes of user memory each"
        );
        for which in &self.servers {
            let mut server = which.start();
            let plan = Plan { connections: 64, ..BASE };
            // What everything costs once is paid now.
            Client::new(plan, server.addr).run(Duration::from_millis(300));
            std::thread::sleep(Duration::from_millis(500));
            let before = server.memory();
            let mut client = Client::new(Plan { connections: IDLE, ..BASE }, server.addr);
            client.run(Duration::ZERO);
            std::thread::sleep(Duration::from_millis(500));
            let after = server.memory();
            let each = |after: u64, before: u64| (after as f64 - before as f64) / IDLE as f64;
            println!(
                "  {:<13} resident {:>8.0}   heap in use {:>8.0}",
                which.name,
                each(after.resident, before.resident),
                each(after.heap, before.heap)
            );
        }
    }
}

/// One server's figures, by round.
#[derive(Default)]
struct Row {
    /// Microseconds per request, or per connection.
    cpu: Vec<f64>,
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

struct Figures {
    cpu: f64,
    rate: f64,
    p50: f64,
    p99: f64,
}

impl Row {
    fn add(&mut self, figures: Figures) {
        self.cpu.push(figures.cpu);
        self.rate.push(figures.rate);
        self.p50.push(figures.p50);
        self.p99.push(figures.p99);
    }

    /// Round by round: median, and the middle half.
    fn ratio_to(&self, other: &Row) -> (f64, f64, f64) {
        let mut ratios: Vec<f64> = self.cpu.iter().zip(&other.cpu).map(|(a, b)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        let at = |part: usize| ratios[(ratios.len() * part / 4).min(ratios.len() - 1)];
        (support::median(ratios.clone()), at(1), at(3))
    }
}

fn measure(plan: Plan, server: &Process, time: Duration) -> Figures {
    let mut client = Client::new(plan, server.addr);
    client.run(Duration::ZERO);
    std::thread::sleep(Duration::from_millis(20)); // closed connections of the round before are dealt with
    let before = server.cpu();
    let start = std::time::Instant::now();
    let mut outcome = client.run(time);
    let took = start.elapsed();
    if plan.per_connection > 0 {
        std::thread::sleep(Duration::from_millis(5)); // the last ones close
    }
    let cpu = server.cpu() - before;
    outcome.latencies.sort_unstable();
    let latency = |percent: usize| {
        let at = outcome.latencies.len() * percent / 100;
        f64::from(outcome.latencies[at]) / 1e6
    };
    let count = if plan.per_connection > 0 { outcome.connections } else { outcome.requests };
    Figures {
        cpu: cpu.as_nanos() as f64 / 1e3 / count as f64,
        rate: count as f64 / took.as_secs_f64(),
        p50: latency(50),
        p99: latency(99),
    }
}

fn spread(figures: &[f64]) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    format!("{:>7.3} ({least:.3}-{most:.3})", support::median(figures.to_vec()))
}
