//! The clients, as a process of its own: `compare drive ADDR WORKLOAD PATH CORES`. A green thread per connection.
//!
//! Commands come line by line on the standard input, and each is answered by a line of JSON:
//! - `open N`: opens connections until there are N, and leaves each in the state that the workload holds it in;
//! - `run MS REQUESTS`: lets all connections ask again and again for so long, or (if not 0) until so many requests are done;
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
const OPENING: Duration = Duration::from_secs(3);

/// How long the clients may take to get going before a run counts, for each of them.
const RAMP: Duration = Duration::from_micros(100);

/// How long after the end of a run an answer may still come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connections that are being opened at a time.
const AT_ONCE: usize = 64;

pub(crate) struct Role {
    addr: SocketAddr,
    workload: Workload,
    path: String,
    cores: Vec<usize>,
}

impl Role {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Option<Role> {
        let addr = args.next()?.parse().ok()?;
        let workload = Workload::parse(&args.next()?).ok()?;
        let path = args.next()?;
        let cores = args.next()?.split(',').filter_map(|core| core.parse().ok()).collect();
        Some(Role { addr, workload, path, cores })
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
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
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
                "run" => {
                    serde_json::to_string(&fleet.run(Duration::from_millis(number(1)), number(2)))
                }
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
}

/// What the connections of one command share.
#[derive(Default)]
struct Tally {
    done: Cell<u64>,
    in_time: Cell<u64>,
    errors: Cell<u64>,
    /// Of each request or message, in microseconds.
    times: RefCell<Vec<f32>>,
}

impl Tally {
    fn add(&self, took: Duration, in_time: bool) {
        self.done.set(self.done.get() + 1);
        self.in_time.set(self.in_time.get() + u64::from(in_time));
        self.times.borrow_mut().push(took.as_secs_f32() * 1e6);
    }

    fn error(&self) {
        self.errors.set(self.errors.get() + 1);
    }

    fn sum(&self, time: Duration) -> Ran {
        let mut times = self.times.borrow_mut();
        times.sort_by(f32::total_cmp);
        let at = |part: f64| {
            let index = (times.len() as f64 * part) as usize;
            times.get(index.min(times.len().saturating_sub(1))).map_or(0.0, |t| f64::from(*t))
        };
        Ran {
            done: self.done.get(),
            errors: self.errors.get(),
            time: time.as_secs_f64() * 1e6,
            in_time: self.in_time.get(),
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

impl Fleet {
    fn new(role: Role) -> Fleet {
        Fleet { role: Rc::new(role), open: Vec::new() }
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
        let mut opened = Opened { open: self.open.len(), error: failed.take() };
        if opened.error.is_none() && self.role.workload == Workload::Longpoll {
            // That a request was sent does not say that anybody has taken it.
            if let Err((waiting, error)) = self.role.all_wait(opened.open) {
                opened = Opened { open: waiting, error: Some(error.to_string()) };
            }
        }
        opened
    }

    fn run(&mut self, time: Duration, requests: u64) -> Ran {
        let tally = Rc::new(Tally::default());
        // Until all of them have begun, it is their beginning that would be measured.
        let from = Instant::now() + Duration::from_millis(50) + RAMP * self.open.len() as u32;
        let until = from + time;
        let clients: Vec<_> = std::mem::take(&mut self.open)
            .into_iter()
            .map(|http| {
                let (role, tally) = (self.role.clone(), tally.clone());
                thread::spawn_local(move || role.ask_again(http, &tally, from..until, requests))
            })
            .collect();
        // Each closes its connection at the end, so that a server with fewer threads than clients gets through all of them.
        clients.into_iter().for_each(|client| drop(client.join()));
        // With a number of requests it is over when they are done.
        tally.sum(if requests > 0 { from.elapsed().min(time) } else { time })
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
                            tally.add(published.get().elapsed(), true);
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
            _ => {}
        }
        Ok(http)
    }

    /// Waits until the server says that so many wait. Otherwise: how many do, and why that is all that is known.
    fn all_wait(&self, n: usize) -> Result<(), (usize, io::Error)> {
        let (before, mut waiting) = (Instant::now(), 0);
        while waiting < n {
            let said = sward::timeout(OPENING, || {
                let mut http = Http::new(TcpStream::connect(self.addr)?);
                http.ask("/waiting")?;
                http.text()
            });
            let late = || Err(io::Error::other("the server does not answer any more"));
            let said = said.unwrap_or_else(|_| late()).map_err(|error| (waiting, error))?;
            waiting = said.parse().unwrap_or(0);
            if waiting < n && before.elapsed() > OPENING {
                return Err((waiting, io::Error::other("the others do not get a turn")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// One client: asks, and asks again, with a fresh connection now and then.
    fn ask_again(
        &self,
        http: Http<TcpStream>,
        tally: &Tally,
        counts: Range<Instant>,
        requests: u64,
    ) {
        let (mut http, mut asked) = (Some(http), 0);
        // The last answer may take longer than the time that is measured, but not for ever.
        let patience = counts.end + PATIENCE;
        while Instant::now() < counts.end && (requests == 0 || tally.done.get() < requests) {
            let began = Instant::now();
            let left = patience.saturating_duration_since(began);
            let answered = sward::timeout(left, || {
                let mut now = match http.take() {
                    Some(http) if asked < self.workload.requests_per_connection() => http,
                    _ => {
                        asked = 0;
                        let stream = TcpStream::connect(self.addr)?;
                        stream.set_nodelay(true)?;
                        Http::new(stream)
                    }
                };
                now.get(&self.path)?;
                io::Result::Ok(now)
            });
            match answered {
                Ok(Ok(now)) => {
                    asked += 1;
                    tally.add(began.elapsed(), counts.contains(&Instant::now()));
                    http = Some(now);
                }
                _ => {
                    tally.error();
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
}
