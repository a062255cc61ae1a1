//! All cells, in interleaved rounds, within the time that there is: how long each is measured, and whether there is time
//! for one more round.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::options::{Options, Pace};
use crate::progress::Progress;
use crate::results::Cell;
use crate::session::{self, Load, Round, Session};
use crate::workload::Workload;

/// The shortest time that a cell is measured.
const LEAST: Duration = Duration::from_millis(80);

/// And the longest: more only makes the run longer.
const MOST: Duration = Duration::from_secs(1);

/// Runs everything, and fills `cells`. Returns the number of rounds.
pub(crate) fn run(
    options: &Options,
    cells: &mut [Cell],
    upstream: Option<SocketAddr>,
    progress: &mut Progress,
) -> io::Result<usize> {
    let mut budget = Budget::new(options, cells);
    for round in 1..=options.rounds {
        let Some(unit) = budget.next_round() else { return Ok(round - 1) };
        let measured = one_round(options, cells, upstream, unit, &mut |part, what| {
            let done = (round - 1) as f64 + part;
            progress.show(
                done / options.rounds as f64,
                &format!("round {round} of {}: {what}", options.rounds),
            );
        });
        budget.round_is_over(measured?);
    }
    Ok(options.rounds)
}

/// Once over everything; `unit` is how long a cell of weight 1 is measured. Returns how long was measured in all.
fn one_round(
    options: &Options,
    cells: &mut [Cell],
    upstream: Option<SocketAddr>,
    unit: Duration,
    say: &mut dyn FnMut(f64, &str),
) -> io::Result<Duration> {
    let cores = session::cores();
    let (all, mut done, mut measured) = (cells.len() as f64, 0.0, Duration::ZERO);
    for &workload in &options.workloads {
        for &kind in options.servers.iter().filter(|kind| kind.is_compared_at(workload)) {
            let start = || {
                let cores = (&cores.0[..], &cores.1[..]);
                Session::start(kind, workload, options.wait_ms, upstream, cores)
            };
            let mut session = None;
            let mut refused: Option<Round> = None;
            for cell in cells.iter_mut().filter(|c| c.workload == workload && c.server == kind) {
                say(done / all, &format!("{workload}, {kind}, {} connections", cell.connections));
                done += 1.0;
                // What could not hold fewer will not hold more, nor will it the next time.
                let before = cell.rounds.iter().find(|round| round.open < cell.connections);
                if let Some(before) = before.or(refused.as_ref()).cloned() {
                    cell.rounds.push(before.clone());
                    refused = Some(before);
                    continue;
                }
                if options.pace == Pace::Full {
                    session = None;
                }
                let running: &mut Session = match &mut session {
                    Some(running) => running,
                    none => none.insert(start()?),
                };
                let load = load(options, cell, unit);
                if !workload.is_held() {
                    measured += load.time;
                }
                let round = running
                    .step(cell.connections, load)
                    .map_err(|error| io::Error::other(format!("{workload} on {kind}: {error}")))?;
                if round.open < cell.connections {
                    refused = Some(round.clone());
                }
                // Its queue is still full of them: a fresh server has none.
                if round.ran.as_ref().is_some_and(|ran| ran.cut > 0) {
                    session = None;
                }
                cell.rounds.push(round);
            }
        }
    }
    Ok(measured)
}

/// How much longer than others a cell is measured.
fn weight(workload: Workload, connections: usize) -> f64 {
    match workload {
        // Each client should have had some answers.
        Workload::Cpu => 5.0,
        _ => 1.0 + connections as f64 / 5000.0,
    }
}

fn load(options: &Options, cell: &Cell, unit: Duration) -> Load {
    let least = Duration::from_micros(20) * cell.connections as u32;
    let spread = match cell.workload {
        // Who waits for the same time after the same start answers in bursts.
        Workload::Sleep | Workload::Upstream | Workload::Cpu => {
            least.max(Duration::from_millis(options.wait_ms))
        }
        _ => least,
    };
    match options.pace {
        Pace::Full => Load {
            time: Duration::from_secs(120),
            requests: 25_000,
            messages: 100,
            spread,
            patience: Duration::from_secs(20),
        },
        Pace::Usual | Pace::Quick => Load {
            time: unit.mul_f64(weight(cell.workload, cell.connections)),
            requests: 0,
            messages: 10,
            spread,
            patience: Duration::from_millis(500),
        },
    }
}

/// Where the time goes: into measuring, and into what has to be done for it.
struct Budget {
    began: Instant,
    /// For all rounds; `None` without a limit.
    whole: Option<Duration>,
    /// Rounds that are still to come.
    left: usize,
    /// The user has said how many.
    fixed: bool,
    /// Of all cells that are measured.
    weights: f64,
    /// What a round took beside the measuring.
    beside: Duration,
    round_began: Instant,
}

impl Budget {
    fn new(options: &Options, cells: &[Cell]) -> Budget {
        let active = |cell: &&Cell| !cell.workload.is_held() && cell.workload != Workload::Fanout;
        let weights = cells.iter().filter(active).map(|c| weight(c.workload, c.connections)).sum();
        // A guess for the first round: servers are started, connections opened.
        let guess = |cell: &Cell| {
            Duration::from_millis(90) + Duration::from_micros(80) * cell.connections as u32
        };
        let now = Instant::now();
        Budget {
            began: now,
            whole: options.pace.limit(),
            left: options.rounds,
            fixed: options.rounds_given,
            weights,
            beside: cells.iter().map(guess).sum(),
            round_began: now,
        }
    }

    /// How long a cell of weight 1 is measured in the next round; `None` if there is no time for one.
    fn next_round(&mut self) -> Option<Duration> {
        self.round_began = Instant::now();
        let Some(whole) = self.whole else { return Some(MOST) };
        let left = whole.saturating_sub(self.began.elapsed());
        let least = self.beside + LEAST.mul_f64(self.weights);
        // The first is made in any case. Another that would take a little too long is still worth it.
        let is_first = self.round_began.duration_since(self.began) < Duration::from_millis(100);
        if !is_first && !self.fixed && left < least.mul_f64(0.95) {
            return None;
        }
        let share = (left / self.left.max(1) as u32).saturating_sub(self.beside);
        Some(share.div_f64(self.weights.max(1.0)).clamp(LEAST, MOST))
    }

    /// `measured`: what of the round was measuring.
    fn round_is_over(&mut self, measured: Duration) {
        self.left = self.left.saturating_sub(1);
        self.beside = self.round_began.elapsed().saturating_sub(measured);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(left: usize, spent: u64, beside: u64) -> Budget {
        let began = Instant::now() - Duration::from_secs(spent);
        Budget {
            began,
            whole: Some(Duration::from_secs(100)),
            left,
            fixed: false,
            weights: 100.0,
            beside: Duration::from_secs(beside),
            round_began: began,
        }
    }

    #[test]
    fn time_is_shared_between_the_rounds() {
        // 33 s for each, of which 13 s go elsewhere.
        let unit = budget(3, 0, 13).next_round().unwrap();
        assert!((0.19..0.21).contains(&unit.as_secs_f64()), "{unit:?}");
        // The first took long: 25 s for each of the others.
        let unit = budget(2, 50, 13).next_round().unwrap();
        assert!((0.11..0.13).contains(&unit.as_secs_f64()), "{unit:?}");
    }

    #[test]
    fn a_round_that_does_not_fit_is_not_made() {
        assert!(budget(2, 50, 60).next_round().is_none());
        assert!(Budget { fixed: true, ..budget(2, 50, 60) }.next_round().is_some());
        assert_eq!(budget(3, 0, 60).next_round(), Some(LEAST), "the first always is");
    }
}
