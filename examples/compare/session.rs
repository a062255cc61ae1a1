//! One server and its clients, each a process: started, driven, measured, ended.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::drive::{Opened, Ran};
use crate::kind::Kind;
use crate::machine::{self, Sample};
use crate::spelling::{Spelled, Spelling};
use crate::workload::Workload;

/// A process of ours that is talked to by lines. Ends when this is dropped.
struct Worker {
    child: Child,
    say: Option<ChildStdin>,
    hear: BufReader<ChildStdout>,
}

impl Worker {
    fn start(args: &[String]) -> io::Result<Worker> {
        // This very program, even if a build has put another one in its place.
        let mut child = Command::new("/proc/self/exe")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let say = child.stdin.take();
        let hear = BufReader::new(child.stdout.take().expect("piped"));
        Ok(Worker { child, say, hear })
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.say.as_mut().expect("only taken when dropped"), "{line}")
    }

    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.hear.read_line(&mut line)? == 0 {
            return Err(io::Error::other("a process of the comparison has ended"));
        }
        Ok(line.trim().to_owned())
    }

    fn ask<T: DeserializeOwned>(&mut self, line: &str) -> io::Result<T> {
        self.tell(line)?;
        serde_json::from_str(&self.hear()?).map_err(io::Error::other)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends when nobody can tell it anything any more. A server with ten thousand threads takes its time, so it is
        // not waited for politely.
        self.say = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that runs.
pub(crate) struct Server {
    worker: Worker,
    pub(crate) addr: SocketAddr,
}

impl Server {
    pub(crate) fn start(
        kind: Kind,
        workload: Option<Workload>,
        upstream: Option<SocketAddr>,
        cores: &[usize],
    ) -> io::Result<Server> {
        let upstream = upstream.map_or("-".into(), |addr| addr.to_string());
        let workload = workload.map_or("-".into(), |workload| workload.to_string());
        let addr = "127.0.0.1:0".into();
        let args = ["serve".into(), kind.to_string(), addr, upstream, list(cores), workload];
        Server::await_ready(Worker::start(&args)?)
    }

    /// A server of one of the spellings, or their backend.
    pub(crate) fn spell(word: &str, of: &str, cores: &[usize]) -> io::Result<Server> {
        Server::await_ready(Worker::start(&["spell".into(), word.into(), of.into(), list(cores)])?)
    }

    fn await_ready(mut worker: Worker) -> io::Result<Server> {
        let line = worker.hear()?;
        let addr = line.strip_prefix("ready ").and_then(|addr| addr.parse().ok());
        let addr = addr.ok_or_else(|| io::Error::other(format!("the server said {line:?}")))?;
        Ok(Server { worker, addr })
    }

    fn cpu(&mut self) -> io::Result<Duration> {
        let nanos: u64 = self.worker.ask("cpu")?;
        Ok(Duration::from_nanos(nanos))
    }

    /// Waits until so many handlers wait for news. If they do not become more for a while: how many do.
    fn await_waiting(&mut self, wanted: usize) -> io::Result<usize> {
        const STALLED: Duration = Duration::from_secs(1);

        let (mut most, mut since) = (0, Instant::now());
        loop {
            let waiting: usize = self.worker.ask("waiting")?;
            if waiting > most {
                (most, since) = (waiting, Instant::now());
            }
            if waiting >= wanted || since.elapsed() > STALLED {
                return Ok(waiting.min(wanted));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn sample(&self) -> Sample {
        Sample::take(self.worker.child.id())
    }

    fn switches(&self) -> u64 {
        machine::switches_of(self.worker.child.id())
    }
}

fn list(cores: &[usize]) -> String {
    cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// How one cell is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) time: Duration,
    /// 0: as many as go into the time.
    pub(crate) requests: u64,
    pub(crate) messages: u64,
    /// Over how long the clients begin.
    pub(crate) spread: Duration,
    /// How long after the time an answer may still come.
    pub(crate) patience: Duration,
}

/// What one round of one cell gave.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    /// Connections that were open; fewer than wanted is as far as this kind of server can go.
    pub(crate) open: usize,
    pub(crate) why_not_all: Option<String>,
    /// The server before the first connection, and with all of them (at work, if there was any).
    pub(crate) before: Sample,
    pub(crate) with: Sample,
    pub(crate) ran: Option<Ran>,
    /// Processor time of the server for what was done, in microseconds.
    pub(crate) cpu: f64,
    /// Context switches of the server meanwhile.
    pub(crate) switches: u64,
}

/// A server with its clients, for one workload and growing numbers of connections.
pub(crate) struct Session {
    server: Server,
    driver: Worker,
    kind: Kind,
    workload: Workload,
    before: Sample,
}

impl Session {
    pub(crate) fn start(
        kind: Kind,
        workload: Workload,
        wait: u64,
        upstream: Option<SocketAddr>,
        (theirs, ours): (&[usize], &[usize]),
    ) -> io::Result<Session> {
        let mut server = Server::start(kind, Some(workload), upstream, theirs)?;
        warm_up(server.addr)?;
        let before = server.sample();
        server.cpu()?;
        let args = [
            "drive".into(),
            server.addr.to_string(),
            workload.to_string(),
            workload.path(wait),
            list(ours),
            // A pool has no thread to answer those with that it does not serve yet.
            if kind.most().is_none() { "knock" } else { "-" }.into(),
        ];
        let driver = Worker::start(&args)?;
        Ok(Session { server, driver, kind, workload, before })
    }

    /// One cell.
    pub(crate) fn step(&mut self, connections: usize, load: Load) -> io::Result<Round> {
        let opened = self.open(connections)?;
        let mut round = Round {
            open: opened.open,
            why_not_all: opened.error,
            before: self.before,
            with: self.before,
            ran: None,
            cpu: 0.0,
            switches: 0,
        };
        if round.why_not_all.is_some() {
            return Ok(round);
        }
        if self.workload.is_held() {
            round.with = self.server.sample();
            return Ok(round);
        }
        let Load { time, requests, messages, spread, patience } = load;
        let ms = [spread, patience].map(|time| time.as_millis());
        let command = match self.workload {
            Workload::Fanout => format!("fan {messages}"),
            _ => format!("run {} {requests} {} {}", time.as_millis(), ms[0], ms[1]),
        };
        if self.workload == Workload::Fanout {
            round.with = self.server.sample();
        }
        let (cpu, switches) = (self.server.cpu()?, self.server.switches());
        self.driver.tell(&command)?;
        if self.workload != Workload::Fanout {
            // In the middle of it: what a server takes while it works.
            std::thread::sleep(spread + time / 2);
            round.with = self.server.sample();
        }
        let ran: Ran = serde_json::from_str(&self.driver.hear()?).map_err(io::Error::other)?;
        round.cpu = (self.server.cpu()? - cpu).as_secs_f64() * 1e6;
        round.switches = self.server.switches().saturating_sub(switches);
        round.ran = Some(ran);
        Ok(round)
    }

    /// Brings the connections where the workload has them.
    fn open(&mut self, connections: usize) -> io::Result<Opened> {
        let mut opened: Opened = self.driver.ask(&format!("open {connections}"))?;
        if opened.error.is_none() && self.workload == Workload::Longpoll {
            // That a request was sent does not say that anybody has taken it.
            opened.open = self.server.await_waiting(connections)?;
            if opened.open < connections {
                opened.error = Some("the others do not get a turn".into());
            }
        }
        if let (Some(error), Some(n)) = (&mut opened.error, self.kind.most())
            && opened.open == n
        {
            // What it looks like from outside (no answer) has this reason.
            *error = format!("its {n} threads hold one each, the rest wait for one of them");
        }
        Ok(opened)
    }
}

/// The memory that a request costs while it is in the handler of a spelling: `requests` of them are sent, and none is
/// answered before the backend has taken its time.
pub(crate) fn spelled(spelling: Spelling, requests: usize) -> io::Result<Spelled> {
    const WAIT: Duration = Duration::from_secs(4);
    let (theirs, ours) = cores();
    let mut backend = Server::spell("backend", &WAIT.as_millis().to_string(), &ours)?;
    let server = Server::spell(spelling.word(), &backend.addr.to_string(), &theirs)?;
    let mut clients = Vec::with_capacity(requests);
    // One first, for what is allocated once.
    let client = |addr| -> io::Result<_> {
        let mut http = crate::talk::Http::new(std::net::TcpStream::connect(addr)?);
        http.ask("/")?;
        Ok(http)
    };
    clients.push(client(server.addr)?);
    backend.await_waiting(1)?;
    let before = server.sample();
    for _ in 1..requests {
        clients.push(client(server.addr)?);
    }
    // Until all are in the handler, which is before the first answer.
    let waiting = backend.await_waiting(requests)?;
    if waiting < requests {
        return Err(io::Error::other(format!(
            "{}: {waiting} of {requests} requests got to the backend in time",
            spelling.name()
        )));
    }
    let bytes = server.sample().whole() as f64 - before.whole() as f64;
    let lines = spelling.lines();
    Ok(Spelled {
        name: spelling.name(),
        lines: lines.len(),
        requests,
        bytes: bytes / (requests - 1) as f64,
        source: lines.join("\n"),
    })
}

/// What is allocated once, by the first requests, is no connection's.
fn warm_up(addr: SocketAddr) -> io::Result<()> {
    for _ in 0..20 {
        let stream = std::net::TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        crate::talk::Http::new(stream).get("/json")?;
    }
    // Threads of the warm-up that are still ending would be counted.
    std::thread::sleep(Duration::from_millis(20));
    Ok(())
}

/// Who may use which cores: the server, and its clients. Apart, if there is more than one.
pub(crate) fn divide(cores: &[usize]) -> (Vec<usize>, Vec<usize>) {
    match cores {
        [one] => (vec![*one], vec![*one]),
        [clients, server @ ..] => (server.to_vec(), vec![*clients]),
        [] => (Vec::new(), Vec::new()),
    }
}

/// The cores of this machine, divided.
pub(crate) fn cores() -> (Vec<usize>, Vec<usize>) {
    divide(&machine::cores())
}
