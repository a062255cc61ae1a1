//! The server under a storm: this test program once more, as a process of its own, so that its memory and its
//! descriptors are its own and the clients have theirs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sward::http::{
    BodyWriter, Config, Event, Json, Mode, Request, Response, Router, Server, ServerHandle, Sse,
    SseWriter, WebSocket,
};

use crate::http_support::{Client, get};

/// In the child: which test it is for.
const ROLE: &str = "SWARD_STORM_SERVER";
/// One storm at a time: each would see the other's as a loaded machine.
static TURN: Mutex<()> = Mutex::new(());
/// For a while after a storm, what is on its way may end.
const SETTLING: Duration = Duration::from_secs(15);

/// A test in one mode.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// As the test harness calls it.
    pub(crate) name: &'static str,
    pub(crate) mode: Mode,
}

impl Case {
    pub(crate) fn is_green(self) -> bool {
        matches!(self.mode, Mode::Green)
    }

    /// `green` in green mode, else a number that OS threads can bear.
    pub(crate) fn many(self, green: usize, threads: usize) -> usize {
        if self.is_green() { green } else { threads }
    }
}

/// Lets this process have as many descriptors as it may; returns how many.
pub(crate) fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // OK to ignore: the result is read back.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |n| n as usize)
}

/// What a handler sees of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    /// The one that asks is among them.
    pub(crate) connections: usize,
    pub(crate) green_threads: usize,
}

/// The running server, and a connection to ask it for its figures that was there before the storm.
pub(crate) struct Stormed {
    pub(crate) addr: SocketAddr,
    case: Case,
    child: Child,
    control: Client,
    stderr: Option<JoinHandle<String>>,
    /// Green threads and descriptors when nothing but the control connection is there.
    calm: (usize, usize),
    /// Memory then.
    cold: usize,
    _turn: MutexGuard<'static, ()>,
}

impl Stormed {
    /// Starts it. In the child this is where the server runs, and it does not return.
    pub(crate) fn start(case: Case, change: fn(&mut Config)) -> Stormed {
        Stormed::start_with(case, usize::MAX, change)
    }

    /// The same, with no more than so many descriptors.
    pub(crate) fn start_with(case: Case, descriptors: usize, change: fn(&mut Config)) -> Stormed {
        if std::env::var(ROLE).is_ok_and(|name| name == case.name) {
            serve(case.mode, descriptors, change);
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        crate::support::alarm_after(Duration::from_secs(300));
        raise_limit();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", case.name, "--nocapture", "--test-threads=1"])
            .env(ROLE, case.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let addr = lines.map_while(Result::ok).find_map(|line| line.parse().ok());
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let addr: SocketAddr = addr.expect("the server says where it is");
        let mut control = connect(addr);
        // What everything costs once is paid now, on each worker: whoever accepts first serves.
        for _ in 0..20 {
            control.send(get("/"));
            control.response();
            assert!(one_shot(addr).is_ok());
        }
        let calm = (0, 0);
        let mut server = Stormed {
            addr,
            case,
            child,
            control,
            stderr: Some(stderr),
            calm,
            cold: 0,
            _turn: turn,
        };
        // In green mode: the one that serves, an acceptor per worker, and the one that answers.
        let (start, green) = (Instant::now(), if case.is_green() { 4 } else { 1 });
        while server.figures() != (Figures { connections: 1, green_threads: green }) {
            assert!(start.elapsed() < SETTLING, "{case}: {:?}", server.figures(), case = case.name);
            std::thread::sleep(Duration::from_millis(5));
        }
        server.calm = (green, server.descriptors());
        server.cold = server.memory();
        server
    }

    pub(crate) fn figures(&mut self) -> Figures {
        self.control.send(get("/figures"));
        let text = self.control.response().1;
        let (connections, green) = text.split_once(' ').expect(&text);
        let (connections, green_threads) = (connections.parse().unwrap(), green.parse().unwrap());
        Figures { connections, green_threads }
    }

    /// Green threads when there is nothing to do.
    pub(crate) fn calm_green_threads(&self) -> usize {
        self.calm.0
    }

    /// Resident memory, in bytes, without what the C library's allocator keeps for later.
    pub(crate) fn memory(&mut self) -> usize {
        self.control.send(get("/trim"));
        self.control.response();
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    pub(crate) fn descriptors(&self) -> usize {
        self.descriptors_below(usize::MAX)
    }

    /// A limit is for the numbers, and some that were inherited may be higher.
    pub(crate) fn descriptors_below(&self, limit: usize) -> usize {
        let all = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let numbers = all.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse());
        numbers.filter(|number: &Result<usize, _>| *number.as_ref().unwrap() < limit).count()
    }

    /// CPU of all its threads.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanos = tasks.flatten().map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
        });
        Duration::from_nanos(nanos.sum())
    }

    /// A first round, with these: waits until it has them all, resets them, and says how much memory that leaves.
    pub(crate) fn warm_up(&mut self, streams: Vec<TcpStream>) -> usize {
        let (start, all) = (Instant::now(), streams.len() + 1);
        while self.figures().connections < all {
            assert!(start.elapsed() < SETTLING, "{}: not all are served", self.case.name);
            std::thread::sleep(Duration::from_millis(5));
        }
        streams.into_iter().for_each(crate::clients::reset);
        self.settle();
        self.steady_memory()
    }

    /// Memory when it does not fall any more: workers give back what they do not need after a while.
    pub(crate) fn steady_memory(&mut self) -> usize {
        let mut before = self.memory();
        loop {
            std::thread::sleep(Duration::from_millis(400));
            let now = self.memory();
            if now + (256 << 10) > before {
                return now;
            }
            before = now;
        }
    }

    /// Waits until everything is as before the storm: connections, green threads, descriptors.
    #[track_caller]
    pub(crate) fn settle(&mut self) {
        let calm = (Figures { connections: 1, green_threads: self.calm.0 }, self.calm.1);
        let start = Instant::now();
        loop {
            let now = (self.figures(), self.descriptors());
            if now == calm {
                return;
            }
            let name = self.case.name;
            assert!(start.elapsed() < SETTLING, "{name}: not as before: {now:?}, not {calm:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Memory is back at `base`, but for a little, and not far from where it was at first.
    #[track_caller]
    pub(crate) fn settle_memory(&mut self, base: usize) {
        /// What pools may have grown by, with luck for one round and none for the other.
        const MARGIN: usize = 4 << 20;
        /// What pools keep for good: some stacks and buffers of each worker, the tables of descriptors.
        const KEPT: usize = 16 << 20;

        self.settle();
        let (name, most) = (self.case.name, (base + MARGIN).min(self.cold + KEPT));
        let start = Instant::now();
        let mut now = self.memory();
        while now > most {
            assert!(start.elapsed() < SETTLING, "{name}: {} KiB, not {}", now >> 10, most >> 10);
            std::thread::sleep(Duration::from_millis(50));
            now = self.memory();
        }
        let (cold, base, now) = (self.cold >> 10, base >> 10, now >> 10);
        println!("{name}: memory {cold} KiB at first, {base} before the storm, {now} after it");
    }

    /// Stops it: it ends well, and nothing has panicked in it.
    pub(crate) fn stop(mut self) {
        self.settle();
        drop(self.child.stdin.take());
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < SETTLING, "{}: the server does not end", self.case.name);
            std::thread::sleep(Duration::from_millis(5));
        };
        let stderr = self.stderr.take().unwrap().join().unwrap();
        let fine = status.success() && !stderr.contains("panicked");
        assert!(fine, "{}: {status}\n{stderr}", self.case.name);
    }
}

impl Drop for Stormed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(stderr) = self.stderr.take() {
            eprintln!("the server's stderr: {}", stderr.join().unwrap_or_default());
        }
    }
}

pub(crate) fn connect(addr: SocketAddr) -> Client {
    let stream = crate::clients::connect(addr);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Client(stream)
}

/// A request on a connection of its own.
pub(crate) fn one_shot(addr: SocketAddr) -> std::io::Result<()> {
    let mut client = connect(addr);
    client.0.write_all(crate::http_support::get_once("/").as_bytes())?;
    let mut answer = String::new();
    client.0.read_to_string(&mut answer)?;
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer:?}");
    Ok(())
}

/// The child: says its address, and serves until nobody listens to it any more.
fn serve(mode: Mode, descriptors: usize, change: fn(&mut Config)) -> ! {
    let most = raise_limit().min(descriptors) as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) }).unwrap();
    let mut config = Config::default();
    config.backlog = 4096;
    change(&mut config);
    let server = Server::bind("127.0.0.1:0").unwrap().mode(mode).config(config);
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    println!("\n{addr}");
    let app = app(handle.clone());
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        handle.shutdown();
    });
    sward::Builder::new().workers(2).run(move || server.serve(app)).unwrap();
    std::process::exit(0)
}

fn app(handle: ServerHandle) -> Router {
    let big: Arc<[u8]> = std::iter::repeat_n(b'x', 8 << 20).collect();
    Router::new()
        .get("/", |_: &mut Request| "hello")
        .get("/figures", move |_: &mut Request| {
            format!("{} {}", handle.connections(), sward::stats().green_threads)
        })
        .get("/trim", |_: &mut Request| {
            #[cfg(target_env = "gnu")]
            // SAFETY: takes no pointer and may be called by any thread at any time.
            unsafe {
                libc::malloc_trim(0);
            }
        })
        .get("/big", move |_: &mut Request| {
            Response::new(sward::http::StatusCode::OK).body_shared(big.clone())
        })
        .post("/echo", |req: &mut Request| req.bytes())
        .post("/json", |req: &mut Request| req.json::<serde_json::Value>().map(Json))
        .post("/form", |req: &mut Request| req.form().map(|pairs| pairs.len().to_string()))
        .get("/add/{a}/{b}", |req: &mut Request| -> Result<String, sward::http::Error> {
            Ok((req.param::<u8>("a")? as u32 + req.param::<u8>("b")? as u32).to_string())
        })
        .get("/drip", |_: &mut Request| {
            Response::stream(|w: &mut BodyWriter| {
                loop {
                    w.write_all(&[b'x'; 100])?;
                    w.flush()?;
                    sward::thread::sleep(Duration::from_millis(20));
                }
            })
        })
        .get("/events", |_: &mut Request| {
            Sse::new(|tx: &mut SseWriter| {
                while !tx.is_stopping() {
                    tx.send(&Event::data("tick"))?;
                    sward::thread::sleep(Duration::from_millis(20));
                }
                Ok(())
            })
        })
        .get("/ws", |req: &mut Request| {
            WebSocket::upgrade(req, |ws: &mut WebSocket| {
                while let Some(message) = ws.read()? {
                    ws.send(message)?;
                }
                Ok(())
            })
        })
}
