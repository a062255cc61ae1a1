//! Medians and spreads of what the rounds gave, and who was compared with whom.

use serde::Serialize;

use crate::drive::{Ran, Time};
use crate::kind::Kind;
use crate::session::Round;
use crate::workload::Workload;

/// A median with the least and the most of its rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// The truth is this or more: a time that was cut off.
    pub(crate) at_least: bool,
}

impl Figure {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Figure> {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => (values[middle - 1] + values[middle]) / 2.0,
        };
        Some(Figure { median, least, most, at_least: false })
    }
}

/// One kind of server at one workload with one number of connections.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cell {
    #[serde(serialize_with = "as_text")]
    pub(crate) server: Kind,
    #[serde(serialize_with = "as_text")]
    pub(crate) workload: Workload,
    pub(crate) connections: usize,
    pub(crate) rounds: Vec<Round>,
}

fn as_text<T: std::fmt::Display, S: serde::Serializer>(
    value: &T,
    out: S,
) -> Result<S::Ok, S::Error> {
    out.collect_str(value)
}

impl Cell {
    /// Why there are no figures, if there are none.
    pub(crate) fn failure(&self) -> Option<String> {
        let refused = self.rounds.iter().find(|round| round.open < self.connections)?;
        let why = refused.why_not_all.as_deref().unwrap_or("no reason given");
        Some(format!("{} of {}: {why}", refused.open, self.connections))
    }

    fn figure(&self, of: impl Fn(&Round) -> Option<f64>) -> Option<Figure> {
        if self.failure().is_some() {
            return None;
        }
        Figure::of(self.rounds.iter().filter_map(of).collect())
    }

    fn per_connection(&self, of: impl Fn(&crate::machine::Sample) -> u64) -> Option<Figure> {
        let n = self.connections as f64;
        self.figure(|round| Some((of(&round.with) as f64 - of(&round.before) as f64) / n))
    }

    fn ran(&self, of: impl Fn(&Ran) -> f64) -> Option<Figure> {
        self.figure(|round| round.ran.as_ref().map(&of))
    }

    /// Bytes that each connection costs the machine: memory, page tables, kernel stacks.
    pub(crate) fn whole(&self) -> Option<Figure> {
        self.per_connection(|sample| sample.whole())
    }

    pub(crate) fn rss(&self) -> Option<Figure> {
        self.per_connection(|sample| sample.rss)
    }

    pub(crate) fn pss(&self) -> Option<Figure> {
        self.per_connection(|sample| sample.pss)
    }

    /// What the kernel keeps for each on the process's behalf.
    pub(crate) fn kernel(&self) -> Option<Figure> {
        self.per_connection(|sample| sample.page_tables + sample.kernel_stacks)
    }

    pub(crate) fn virtual_size(&self) -> Option<Figure> {
        self.per_connection(|sample| sample.virtual_size)
    }

    /// Bytes of the server in all.
    pub(crate) fn total(&self) -> Option<Figure> {
        self.figure(|round| {
            let extra = round.with.kernel_stacks as f64 - round.before.kernel_stacks as f64;
            Some((round.with.rss + round.with.page_tables) as f64 + extra)
        })
    }

    pub(crate) fn threads(&self) -> Option<Figure> {
        self.figure(|round| Some(round.with.threads as f64))
    }

    pub(crate) fn per_second(&self) -> Option<Figure> {
        self.ran(|ran| ran.in_time as f64 / (ran.time / 1e6))
    }

    /// Microseconds of the server's processor time for each request or delivery.
    pub(crate) fn cpu(&self) -> Option<Figure> {
        self.figure(|round| {
            let done = round.ran.as_ref()?.done;
            (done > 0).then(|| round.cpu / done as f64)
        })
    }

    pub(crate) fn switches(&self) -> Option<Figure> {
        self.figure(|round| {
            let done = round.ran.as_ref()?.done;
            (done > 0).then(|| round.switches as f64 / done as f64)
        })
    }

    pub(crate) fn p50(&self) -> Option<Figure> {
        self.time(|ran| ran.p50)
    }

    pub(crate) fn p99(&self) -> Option<Figure> {
        self.time(|ran| ran.p99)
    }

    pub(crate) fn max(&self) -> Option<Figure> {
        self.time(|ran| ran.max)
    }

    /// In milliseconds.
    fn time(&self, of: impl Fn(&Ran) -> Time) -> Option<Figure> {
        let is_cut = |round: &Round| round.ran.as_ref().is_some_and(|ran| of(ran).at_least);
        let at_least = self.rounds.iter().any(is_cut);
        self.ran(|ran| of(ran).us / 1000.0).map(|figure| Figure { at_least, ..figure })
    }

    pub(crate) fn errors(&self) -> u64 {
        self.rounds.iter().filter_map(|round| round.ran.as_ref()).map(|ran| ran.errors).sum()
    }
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: crate::machine::Machine,
    pub(crate) wait_ms: u64,
    /// Those that were made; there is a limit to the time of a run.
    pub(crate) rounds: usize,
    /// How long it took in all.
    pub(crate) seconds: f64,
    pub(crate) cells: Vec<Cell>,
    pub(crate) timelines: Vec<crate::timeline::Timeline>,
    pub(crate) spellings: Vec<crate::spelling::Spelled>,
}

impl Results {
    pub(crate) fn of(&self, workload: Workload) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.workload == workload)
    }

    /// What a figure is.
    pub(crate) fn how(&self) -> String {
        match self.rounds {
            1 => "A single round".into(),
            n => format!("Medians of {n} interleaved rounds"),
        }
    }

    /// Workloads that have cells, in the order of the run.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        let mut seen = Vec::new();
        for cell in &self.cells {
            if !seen.contains(&cell.workload) {
                seen.push(cell.workload);
            }
        }
        seen
    }

    pub(crate) fn servers(&self) -> Vec<Kind> {
        let mut seen = Vec::new();
        for cell in &self.cells {
            if !seen.contains(&cell.server) {
                seen.push(cell.server);
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(Figure::of(vec![]), None);
        assert_eq!(
            Figure::of(vec![3.0, 1.0, 2.0]),
            Some(Figure { median: 2.0, least: 1.0, most: 3.0, at_least: false })
        );
        assert_eq!(Figure::of(vec![1.0, 4.0]).unwrap().median, 2.5);
    }
}
