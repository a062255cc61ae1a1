//! What the user asked for, out of the command line. No library: the flags are few, and their errors should be ours.

use std::path::PathBuf;
use std::time::Duration;

use crate::kind::Kind;
use crate::workload::Workload;

pub(crate) const HELP: &str = "\
Starts web servers of several kinds, each as a process of its own, drives them from another process, and compares
memory and speed: the picture of \"async is not faster, it's smarter, and lighter\", from your own machine.

Usage: cargo run --release --example compare -- [FLAGS]

What is compared:
  --servers LIST      green      a green thread per connection with work; subscribers have none while they wait
                      green-loop the same, but each subscriber is a loop with a stack of its own
                      threads, pool:N, processes:N; with --features peers also may, axum
                      [default: green,green-loop,threads,pool:64; with peers: and may,axum]
  --workloads LIST    idle      keep-alive connections after one request (memory)
                      sse       subscribers to a stream of events (memory)
                      longpoll  requests that wait for news (memory)
                      hello     a page of 5 kB
                      json      a small JSON document
                      sleep     a backend that takes W ms
                      upstream  the handler asks another HTTP server, which takes W ms
                      cpu       a computation of about W/10 ms: here async cannot win
                      churn     a connection per request
                      fanout    a message to all subscribers
                      [default: all]
  --connections LIST  [default: 50,100,500,1000,1500,2000,2500,3000,10000 for idle, hello and sleep;
                       50 for cpu, 1000 for the rest]
  --wait MS           W [default: 50]

How long:
  (nothing)           under 3 minutes: three rounds, each cell for as long as there is time; fewer rounds on a slow machine
  --quick             under 30 s: fewer workloads and connections, one round
  --full              every workload at every number of connections, a server started anew for each, 25,000 requests a cell
  --rounds N          how often everything is repeated, interleaved over the servers, however long it takes

What comes out (a table on the terminal in any case):
  --html FILE         a page with charts, in one file
  --svg DIR           the charts alone
  --json FILE         every figure, every round

  --help              this text

Without the peers:  cargo run --release --example compare
With them:          cargo run --release --features peers --example compare
";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) servers: Vec<Kind>,
    pub(crate) workloads: Vec<Workload>,
    /// As given; `None` is the default, which differs between workloads.
    pub(crate) connections: Option<Vec<usize>>,
    pub(crate) wait_ms: u64,
    pub(crate) rounds: usize,
    /// As given: as many are made, however long it takes.
    pub(crate) rounds_given: bool,
    pub(crate) pace: Pace,
    pub(crate) html: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Quick,
    Usual,
    Full,
}

impl Pace {
    /// How long the rounds may take in all. What comes beside them takes a quarter of a minute.
    pub(crate) fn limit(self) -> Option<Duration> {
        match self {
            Pace::Quick => Some(Duration::from_secs(15)),
            Pace::Usual => Some(Duration::from_secs(165)),
            Pace::Full => None,
        }
    }
}

/// The concurrencies of the talk's charts, and one that it had no server for.
pub(crate) const SWEEP: [usize; 9] = [50, 100, 500, 1000, 1500, 2000, 2500, 3000, 10_000];

impl Options {
    /// The numbers of connections that `workload` is run with.
    pub(crate) fn steps(&self, workload: Workload) -> Vec<usize> {
        match (&self.connections, self.pace) {
            (Some(given), _) => given.clone(),
            (None, Pace::Full) => SWEEP.to_vec(),
            (None, Pace::Quick) if workload.is_sweep() => vec![50, 300, 1000],
            (None, Pace::Usual) if workload.is_sweep() => SWEEP.to_vec(),
            // More would only wait for each other.
            (None, _) if workload == Workload::Cpu => vec![50],
            (None, _) => vec![1000],
        }
    }
}

/// `Ok(None)`: help is wanted. `Err`: what is wrong, for the user.
pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        servers: Kind::usual(),
        workloads: Vec::new(),
        connections: None,
        wait_ms: 50,
        rounds: 0,
        rounds_given: false,
        pace: Pace::Usual,
        html: None,
        svg: None,
        json: None,
    };
    let mut args = args;
    while let Some(arg) = args.next() {
        let (flag, given) = match arg.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        let mut value =
            || given.clone().or_else(|| args.next()).ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--help" | "-h" => return Ok(None),
            "--quick" => options.pace = Pace::Quick,
            "--full" => options.pace = Pace::Full,
            "--servers" => options.servers = list(&value()?, Kind::parse)?,
            "--workloads" => options.workloads = list(&value()?, Workload::parse)?,
            "--connections" => options.connections = Some(list(&value()?, count)?),
            "--wait" => options.wait_ms = count(&value()?)? as u64,
            "--rounds" => options.rounds = count(&value()?)?,
            "--html" => options.html = Some(value()?.into()),
            "--svg" => options.svg = Some(value()?.into()),
            "--json" => options.json = Some(value()?.into()),
            other => return Err(format!("unknown flag {other}")),
        }
    }
    if options.workloads.is_empty() {
        options.workloads = Workload::usual(options.pace == Pace::Quick);
    }
    options.rounds_given = options.rounds > 0;
    if !options.rounds_given {
        options.rounds = if options.pace == Pace::Quick { 1 } else { 3 };
    }
    if let Some(counts) = &mut options.connections {
        counts.sort_unstable();
        counts.dedup();
    }
    Ok(Some(options))
}

fn list<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items: Result<Vec<T>, String> =
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(one).collect();
    match items {
        Ok(items) if items.is_empty() => Err("an empty list".into()),
        items => items,
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.replace('_', "").parse() {
        Ok(0) | Err(_) => Err(format!("{text:?} is no number above 0")),
        Ok(n) => Ok(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Options>, String> {
        parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn defaults() {
        let options = parsed("").unwrap().unwrap();
        assert_eq!((options.rounds, options.wait_ms), (3, 50));
        assert_eq!(options.workloads.len(), 10);
        assert_eq!(options.steps(Workload::Idle), SWEEP);
        assert_eq!(options.steps(Workload::Json), [1000]);
        assert_eq!(parsed("--quick").unwrap().unwrap().rounds, 1);
        assert_eq!(parsed("--full").unwrap().unwrap().steps(Workload::Json), SWEEP);
        assert!(parsed("--help").unwrap().is_none());
    }

    #[test]
    fn lists() {
        let options =
            parsed("--servers green,pool:8 --workloads=idle --connections 500,50").unwrap();
        let options = options.unwrap();
        assert_eq!(options.servers, [Kind::Green, Kind::Pool(8)]);
        assert_eq!(options.workloads, [Workload::Idle]);
        assert_eq!(options.steps(Workload::Idle), [50, 500]);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("--servers grean", "grean"),
            ("--servers pool:0", "pool:0"),
            ("--connections many", "many"),
            ("--connections 0", "0"),
            ("--workloads ,", "empty"),
            ("--html", "--html"),
            ("--fast", "--fast"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
