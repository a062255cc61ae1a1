//! The clients, as a process of its own: `compare drive ADDR WORKLOAD PATH CORES`. A green thread per connection.
//!
//! Commands come line by line on the standard input, and each is answered by a line of JSON:
//! - `open N`: opens connections until there are N, and leaves each in the state that the workload holds it in;
//! - `run MS REQUESTS SPREAD PATIENCE`: lets all connections ask again and again for so long, or (if not 0) until so many
//!   requests are done. They begin one after the other over SPREAD ms; who has no answer PATIENCE ms after the end is cut;
//! - `fan MESSAGES`: has messages published and waits until every subscriber has each of them.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, ErrorKind, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sward::net::TcpStream;
use sward::sync::Semaphore;
use sward::thread;

use crate::machine;
use crate::talk::Http;
use crate::workload::Workload;

/// How long a connection may take to get where the workload wants it, before it counts as refused.
const OPENING: Duration = Duration::from_secs(2);

/// Connections that are being opened at a time.
const AT_ONCE: usize = 64;

pub(crate) struct Role {
    addr: SocketAddr,
    workload: Workload,
    path: String,
    cores: Vec<usize>,
    /// Each connection has an answer before it counts.
    knocks: bool,
}

impl Role {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Option<Role> {
        let addr = args.next()?.parse().ok()?;
        let workload = Workload::parse(&args.next()?).ok()?;
        let path = args.next()?;
        let cores = args.next()?.split(',').filter_map(|core| core.parse().ok()).collect();
        let knocks = args.next()? == "knock";
        Some(Role { addr, workload, path, cores, knocks })
    }
}

/// The answer to `open`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    pub(crate) open: usize,
    /// The first thing that went wrong.
    pub(crate) error: Option<String>,
}

/// The answer to `run` and `fan`. Times in microseconds.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Ran {
    /// Requests that were answered, or messages that were delivered.
    pub(crate) done: u64,
    pub(crate) errors: u64,
    /// How long it was to last, and how many of them were answered in it.
    pub(crate) time: f64,
    pub(crate) in_time: u64,
    /// Requests without an answer when the patience was over. They are in what follows with the time they had had.
    pub(crate) cut: u64,
    pub(crate) p50: Time,
    pub(crate) p99: Time,
    pub(crate) max: Time,
}

/// How long a request took, in microseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Time {
    pub(crate) us: f64,
    /// It was longer than that: some that rank up to here never had an answer.
    pub(crate) at_least: bool,
}

/// How the clients are let loose.
struct Course {
    time: Duration,
    /// 0: as many as go into the time.
    requests: u64,
    /// They begin one after the other over so long, so that they do not march in step.
    spread: Duration,
    /// How long after the end an answer may still come.
    patience: Duration,
}

pub(crate) fn run(role: Role) -> ExitCode {
    machine::raise_open_files();
    machine::pin_to(&role.cores);
    sward::Builder::new().workers(1).run(|| {
        let (said, commands) = sward::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    return;
                }
            }
            // Nobody is interested any more: the connections go with the process.
            std::process::exit(0);
        });
        let mut fleet = Fleet::new(role);
        while let Ok(command) = commands.recv() {
            let words: Vec<&str> = command.split(' ').collect();
            let number = |at: usize| words.get(at).and_then(|n| n.parse().ok()).unwrap_or(0);
            let answer = match words[0] {
                "open" => serde_json::to_string(&fleet.open(number(1) as usize)),
                "run" => serde_json::to_string(&fleet.run(&Course {
                    time: Duration::from_millis(number(1)),
                    requests: number(2),
                    spread: Duration::from_millis(number(3)),
                    patience: Duration::from_millis(number(4)),
                })),
                "fan" => serde_json::to_string(&fleet.fan(number(1))),
                _ => continue,
            };
            let mut out = io::stdout().lock();
            // OK to ignore: without a reader the end of the standard input follows.
            let _ = writeln!(out, "{}", answer.unwrap_or_default()).and_then(|()| out.flush());
        }
        ExitCode::SUCCESS
    })
}

/// All connections.
struct Fleet {
    role: Rc<Role>,
    open: Vec<Http<TcpStream>>,
    /// Of those that were cut. Closed with the process: who closed them now would give the server something to do.
    cut: Vec<Http<TcpStream>>,
}

/// What the connections of one command share.
#[derive(Default)]
struct Tally {
    done: Cell<u64>,
    in_time: Cell<u64>,
    errors: Cell<u64>,
    /// Of each request or message, in microseconds.
    times: RefCell<Vec<f32>>,
    /// The same of those that were cut.
    cut: RefCell<Vec<f32>>,
    left: RefCell<Vec<Http<TcpStream>>>,
}

impl Tally {
    fn add(&self, took: Duration) {
        self.done.set(self.done.get() + 1);
        self.times.borrow_mut().push(took.as_secs_f32() * 1e6);
    }

    fn error(&self) {
        self.errors.set(self.errors.get() + 1);
    }

    fn sum(&self, time: Duration) -> Ran {
        let (mut times, mut cut) = (self.times.take(), self.cut.take());
        let cuts = cut.len() as u64;
        let shortest = cut.iter().copied().fold(f32::INFINITY, f32::min);
        times.append(&mut cut);
        times.sort_by(f32::total_cmp);
        let at = |part: f64| {
            let index = (times.len() as f64 * part) as usize;
            let time = times.get(index.min(times.len().saturating_sub(1)));
            time.map_or(Time::default(), |t| Time { us: f64::from(*t), at_least: *t >= shortest })
        };
        Ran {
            done: self.done.get(),
            errors: self.errors.get(),
            time: time.as_secs_f64() * 1e6,
            in_time: self.in_time.get(),
            cut: cuts,
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

impl Fleet {
    fn new(role: Role) -> Fleet {
        Fleet { role: Rc::new(role), open: Vec::new(), cut: Vec::new() }
    }

    fn open(&mut self, wanted: usize) -> Opened {
        let slots = Rc::new(Semaphore::new(AT_ONCE));
        let failed = Rc::new(RefCell::new(None));
        let mut opening = Vec::new();
        for _ in self.open.len()..wanted {
            slots.acquire().forget();
            if failed.borrow().is_some() {
                break;
            }
            let (role, slots, failed) = (self.role.clone(), slots.clone(), failed.clone());
            opening.push(thread::spawn_local(move || {
                let opened = sward::timeout(OPENING, || role.enter());
                slots.release();
                let opened = opened.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
                let said = |error: io::Error| match error.kind() {
                    ErrorKind::TimedOut => format!("no answer within {} s", OPENING.as_secs()),
                    _ => error.to_string(),
                };
                opened.map_err(|error| *failed.borrow_mut() = Some(said(error))).ok()
            }));
        }
        self.open.extend(opening.into_iter().filter_map(|opening| opening.join().ok().flatten()));
        Opened { open: self.open.len(), error: failed.take() }
    }

    fn run(&mut self, course: &Course) -> Ran {
        let tally = Rc::new(Tally::default());
        let (start, n) = (Instant::now(), self.open.len() as u32);
        // What is measured begins when all of them have begun.
        let from = start + course.spread + Duration::from_millis(20);
        let counts = from..from + course.time;
        let (requests, patience) = (course.requests, course.patience);
        let clients: Vec<_> = std::mem::take(&mut self.open)
            .into_iter()
            .zip(0..)
            .map(|(http, at)| {
                let (role, tally, counts) = (self.role.clone(), tally.clone(), counts.clone());
                let first = start + course.spread * at / n;
                thread::spawn_local(move || {
                    thread::sleep_until(first);
                    role.ask_again(http, &tally, counts, requests, patience);
                })
            })
            .collect();
        // Each closes its connection at the end, so that a server with fewer threads than clients gets through all of them.
        clients.into_iter().for_each(|client| drop(client.join()));
        self.cut.append(&mut tally.left.borrow_mut());
        // With a number of requests it is over when they are done.
        tally.sum(if requests > 0 { from.elapsed().min(course.time) } else { course.time })
    }

    fn fan(&mut self, messages: u64) -> Ran {
        let (tally, before) = (Rc::new(Tally::default()), Instant::now());
        let published = Rc::new(Cell::new(before));
        let mut publisher = match TcpStream::connect(self.role.addr) {
            Ok(stream) => Http::new(stream),
            Err(_) => return Ran { errors: 1, ..Ran::default() },
        };
        for _ in 0..messages {
            published.set(Instant::now());
            let readers: Vec<_> = std::mem::take(&mut self.open)
                .into_iter()
                .map(|mut http| {
                    let (tally, published) = (tally.clone(), published.clone());
                    thread::spawn_local(move || match sward::timeout(OPENING, || http.event()) {
                        Ok(Ok(())) => {
                            tally.add(published.get().elapsed());
                            tally.in_time.set(tally.in_time.get() + 1);
                            Some(http)
                        }
                        _ => {
                            tally.error();
                            None
                        }
                    })
                })
                .collect();
            if publisher.get("/publish").is_err() {
                tally.error();
            }
            self.open =
                readers.into_iter().filter_map(|reader| reader.join().ok().flatten()).collect();
        }
        tally.sum(before.elapsed())
    }
}

impl Role {
    /// A connection in the state in which the workload holds it.
    fn enter(&self) -> io::Result<Http<TcpStream>> {
        let stream = TcpStream::connect(self.addr)?;
        stream.set_nodelay(true)?;
        let mut http = Http::new(stream);
        match self.workload {
            Workload::Idle => http.get(&self.path)?,
            Workload::Longpoll => http.ask(&self.path)?,
            Workload::Sse | Workload::Fanout => {
                http.ask(&self.path)?;
                let head = http.head()?;
                http.forget(head);
            }
            Workload::Churn => {}
            // Who is answered has been accepted. Without it thousands are in the queue of a server that accepts slowly, the
            // kernel drops what does not fit, and the client tries again a second later.
            _ if self.knocks => http.get(Workload::Idle.path(0).as_str())?,
            _ => {}
        }
        Ok(http)
    }

    /// One client: asks, and asks again, with a fresh connection now and then.
    fn ask_again(
        &self,
        http: Http<TcpStream>,
        tally: &Tally,
        counts: Range<Instant>,
        requests: u64,
        patience: Duration,
    ) {
        let (mut http, mut asked) = (Some(http), 0);
        let until = counts.end + patience;
        while Instant::now() < counts.end && (requests == 0 || tally.done.get() < requests) {
            let began = Instant::now();
            let answered = sward::timeout(until.saturating_duration_since(began), || {
                if asked == self.workload.requests_per_connection() {
                    http = None;
                    asked = 0;
                }
                if http.is_none() {
                    let stream = TcpStream::connect(self.addr)?;
                    stream.set_nodelay(true)?;
                    http = Some(Http::new(stream));
                }
                http.as_mut().expect("as just made").get(&self.path)
            });
            let now = Instant::now();
            match answered {
                Ok(Ok(())) => {
                    asked += 1;
                    tally.add(now - began);
                    tally.in_time.set(tally.in_time.get() + u64::from(counts.contains(&now)));
                }
                _ if now >= until => {
                    tally.cut.borrow_mut().push((now - began).as_secs_f32() * 1e6);
                    tally.left.borrow_mut().extend(http.take());
                }
                _ => {
                    tally.error();
                    http = None;
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_cut_counts_as_longer_than_that() {
        let tally = Tally::default();
        (1..=90).for_each(|ms| tally.add(Duration::from_millis(ms)));
        assert_eq!(tally.sum(Duration::from_secs(1)).max, Time { us: 90_000.0, at_least: false });

        (1..=90).for_each(|ms| tally.add(Duration::from_millis(ms)));
        tally.cut.borrow_mut().extend([80_500.0; 10]);
        let ran = tally.sum(Duration::from_secs(1));
        assert_eq!((ran.cut, ran.p50), (10, Time { us: 51_000.0, at_least: false }));
        assert_eq!(ran.p99, Time { us: 90_000.0, at_least: true });
        assert!(ran.max.at_least);
    }
}
