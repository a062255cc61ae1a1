//! What the benches share: interleaved rounds, medians with their spread, and what they ran on.
#![allow(dead_code, unused_imports, reason = "each bench uses its part")]

mod child;

use std::time::Duration;

pub(crate) use child::Measured;

/// One runtime doing the work; gives its figure.
pub(crate) struct Row {
    name: String,
    run: Box<dyn FnMut() -> f64>,
}

impl Row {
    pub(crate) fn new(name: &str, run: impl FnMut() -> f64 + 'static) -> Self {
        Row { name: name.into(), run: Box::new(run) }
    }
}

/// The settings of this run.
pub(crate) struct Bench {
    rounds: usize,
    only: Vec<String>,
}

impl Bench {
    /// Reads the names of the wanted rows and `--rounds=N` from the command line, and prints what this runs on.
    pub(crate) fn from_args(name: &str, rounds: usize) -> Self {
        let only = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
        let given = std::env::args().find_map(|arg| arg.strip_prefix("--rounds=")?.parse().ok());
        println!("{name}: {}", machine());
        Bench { rounds: given.unwrap_or(rounds), only }
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only.as_str()))
    }

    pub(crate) fn run(&self, name: &str, unit: &str, rows: Vec<Row>) {
        self.run_rounds(name, unit, rows, self.rounds);
    }

    /// Runs every row once per round and prints the medians; ratios are to the first row.
    pub(crate) fn run_rounds(&self, name: &str, unit: &str, mut rows: Vec<Row>, rounds: usize) {
        if !self.wants(name) {
            return;
        }
        let mut figures: Vec<Vec<f64>> = vec![Vec::new(); rows.len()];
        for round in 0..=rounds {
            for (row, figures) in rows.iter_mut().zip(&mut figures) {
                let figure = (row.run)();
                // The first round warms up, unless it is the only one.
                if round > 0 || rounds == 1 {
                    figures.push(figure);
                }
            }
            if rounds == 1 {
                break;
            }
        }
        println!(
            "\n{name}: {unit}, median of {rounds} rounds (least to most), x: times the first row"
        );
        let first = median(figures[0].clone());
        for (row, figures) in rows.iter().zip(figures) {
            let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
            let most = figures.iter().copied().fold(0.0, f64::max);
            let middle = median(figures);
            println!(
                "  {:<44} {middle:>11.1}  ({least:.1} to {most:.1})  {:.2}x",
                row.name,
                middle / first
            );
        }
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    if figures.is_empty() { f64::NAN } else { figures[figures.len() / 2] }
}

/// CPU time of this process so far, user and system.
pub(crate) fn cpu_time() -> Duration {
    cpu_of("self")
}

/// The same of a process, by what it is called in /proc: the sum over its threads.
pub(crate) fn cpu_of(process: &str) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let nanos = tasks.map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanos.sum())
}

/// A field of /proc/self/status, in bytes.
pub(crate) fn status(field: &str) -> u64 {
    status_of("self", field)
}

/// The same of a process; 0 if it is not there.
pub(crate) fn status_of(process: &str, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Machine, compiler and commit: a figure without them is worth nothing.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or(": ?");
    let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
    let kernel = read("/proc/sys/kernel/osrelease");
    let output = |command: &str, args: &[&str]| {
        let output = std::process::Command::new(command).args(args).output();
        output.map_or_else(|_| "?".into(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
    };
    format!(
        "{cores} cores of {}, Linux {}, {}, commit {}",
        model.trim_start_matches([' ', '\t', ':']),
        kernel.trim(),
        output("rustc", &["--version"]),
        output("git", &["rev-parse", "--short", "HEAD"])
    )
}
