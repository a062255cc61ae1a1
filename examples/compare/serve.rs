//! A server, as a process of its own: `compare serve KIND ADDR UPSTREAM CORES WORKLOAD`. The handlers are one program; the kind says
//! what runs them. `peers.rs` has the same work for other runtimes.
//!
//! It says `ready ADDR` on its standard output, answers `cpu` with the nanoseconds of processor time it has used and `waiting`
//! with the number of handlers that wait for news, and ends when its standard input does: whoever started it can vanish in
//! any way and leaves nothing behind.

use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use sward::http::{Config, Error, Event, Json, Listener, Mode, Request, Response, Router, Server};
use sward::http::{Sse, SseWriter};
use sward::net::TcpStream;
use sward::pubsub::Topic;

use crate::kind::Kind;
use crate::machine;
use crate::talk::Http;
use crate::workload::{PAGE, Workload, compute};

/// What the program was called with, after `serve`.
pub(crate) struct Role {
    kind: Kind,
    addr: SocketAddr,
    upstream: Option<SocketAddr>,
    cores: Vec<usize>,
    /// Who cannot do everything chooses by it.
    #[cfg_attr(not(feature = "peers"), allow(dead_code, reason = "ours do everything"))]
    workload: Option<Workload>,
}

impl Role {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Option<Role> {
        let kind = Kind::parse(&args.next()?).ok()?;
        let addr = args.next()?.parse().ok()?;
        let upstream = args.next()?.parse().ok();
        let cores = args.next()?.split(',').filter_map(|core| core.parse().ok()).collect();
        let workload = args.next().and_then(|name| Workload::parse(&name).ok());
        Some(Role { kind, addr, upstream, cores, workload })
    }
}

pub(crate) fn run(role: Role) -> ExitCode {
    machine::raise_open_files();
    machine::pin_to(&role.cores);
    let served = match role.kind {
        Kind::Green | Kind::Loop => serve(&role, Mode::Green),
        Kind::Threads => serve(&role, Mode::Threads),
        Kind::Pool(n) => serve(&role, Mode::Pool(n)),
        Kind::Processes(n) => processes(&role, n),
        #[cfg(feature = "peers")]
        Kind::May => crate::peers::may(role.addr, role.upstream, role.cores.len(), role.workload),
        #[cfg(feature = "peers")]
        Kind::Axum => crate::peers::axum(role.addr, role.upstream, role.cores.len()),
        #[cfg(not(feature = "peers"))]
        Kind::May | Kind::Axum => unreachable!("refused by Kind::parse"),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: the server {} failed: {error}", role.kind);
            ExitCode::FAILURE
        }
    }
}

/// Says that clients may come, and ends the process when its parent is gone. `waiting`: how many handlers wait for news.
pub(crate) fn ready(addr: SocketAddr, waiting: impl Fn() -> usize + Send + 'static) {
    say_ready(addr);
    std::thread::spawn(move || {
        obey(|question| match question {
            "cpu" => Some(machine::cpu_of_this_process().as_nanos() as u64),
            "waiting" => Some(waiting() as u64),
            _ => None,
        })
    });
}

fn say_ready(addr: SocketAddr) {
    let mut out = io::stdout().lock();
    // OK to ignore: without a reader the end of the standard input follows.
    let _ = writeln!(out, "ready {addr}").and_then(|()| out.flush());
}

/// Answers questions until there is nobody to ask them.
fn obey(mut answer: impl FnMut(&str) -> Option<u64>) -> ! {
    for line in io::stdin().lock().lines() {
        let Some(number) = line.ok().and_then(|question| answer(&question)) else { break };
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{number}").and_then(|()| out.flush());
    }
    std::process::exit(0)
}

fn serve(role: &Role, mode: Mode) -> io::Result<()> {
    let news = Topic::new(64);
    let app = app(&news, role);
    let server = Server::new().listen(Listener::bind(role.addr)?).mode(mode).config(slow_config());
    ready(server.local_addr()?, move || news.subscribers());
    sward::Builder::new().workers(role.cores.len().max(1)).run(move || server.serve(app))
}

pub(crate) fn slow_config() -> Config {
    let mut config = Config::default();
    // The driver may take its time while it opens thousands of connections.
    config.header_timeout = Duration::from_secs(60);
    config.keep_alive_timeout = Duration::from_secs(600);
    config
}

fn app(news: &Topic, role: &Role) -> Router {
    let (upstream, published, polled) = (role.upstream, news.clone(), news.clone());
    let app = Router::new()
        .get("/json", |_: &mut Request| Json(serde_json::json!({ "message": "Hello, World!" })))
        .get("/publish", move |_: &mut Request| {
            published.publish(Event::data("x".repeat(100)).encode());
            "published"
        })
        .get("/hello", |_: &mut Request| {
            Response::bytes_static(&PAGE).header("Content-Type", "image/png")
        })
        .get("/sleep/{ms}", |req: &mut Request| -> Result<_, Error> {
            sward::thread::sleep(Duration::from_millis(req.param("ms")?));
            Ok("slept")
        })
        .get("/upstream/{ms}", move |req: &mut Request| -> Result<_, Error> {
            let ms: u64 = req.param("ms")?;
            let upstream = upstream.ok_or_else(|| io::Error::other("no upstream"))?;
            let mut backend = Http::new(TcpStream::connect(upstream)?);
            backend.get(&format!("/sleep/{ms}"))?;
            Ok("asked")
        })
        .get("/cpu/{rounds}", |req: &mut Request| -> Result<_, Error> {
            Ok(compute(req.param("rounds")?).to_string())
        })
        .get("/poll", move |_: &mut Request| {
            let news = polled.subscribe();
            news.recv().map(|message| message.data).map_err(io::Error::other)
        });
    let news = news.clone();
    if role.kind != Kind::Loop {
        return app.get("/sse", move |_: &mut Request| Sse::follow(&news));
    }
    app.get("/sse", move |_: &mut Request| {
        let news = news.subscribe();
        Sse::new(move |tx: &mut SseWriter| {
            while let Ok(message) = news.recv() {
                tx.send_raw(&message.data)?;
            }
            Ok(())
        })
    })
}

/// A listening socket that so many processes accept from, one connection at a time each.
fn processes(role: &Role, n: usize) -> io::Result<()> {
    // Whoever binds first names the port; SO_REUSEPORT lets the others join, and the kernel deals out the connections.
    let mut children = Vec::new();
    let mut addr = role.addr;
    for _ in 0..n {
        let child = Member::start(addr, role)?;
        addr = child.addr;
        children.push(child);
    }
    say_ready(addr);
    obey(|question| Some(children.iter_mut().map(|child| child.ask(question)).sum()))
}

/// One of the processes of `processes:N`, as its parent sees it.
struct Member {
    child: Child,
    addr: SocketAddr,
    out: io::BufReader<std::process::ChildStdout>,
}

impl Member {
    fn start(addr: SocketAddr, role: &Role) -> io::Result<Member> {
        let cores: Vec<_> = role.cores.iter().map(usize::to_string).collect();
        let upstream = role.upstream.map_or("-".into(), |addr| addr.to_string());
        // This very program, even if a build has put another one in its place.
        let mut child = Command::new("/proc/self/exe")
            .args(["serve", "pool:1", &addr.to_string(), &upstream, &cores.join(",")])
            .env("SWARD_REUSEPORT", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut out = io::BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        out.read_line(&mut line)?;
        let addr = line.trim().strip_prefix("ready ").and_then(|addr| addr.parse().ok());
        let addr = addr.ok_or_else(|| io::Error::other("a member process did not start"))?;
        Ok(Member { child, addr, out })
    }

    fn ask(&mut self, question: &str) -> u64 {
        let mut line = String::new();
        let asked = writeln!(self.child.stdin.as_ref().expect("piped"), "{question}")
            .and_then(|()| self.out.read_line(&mut line));
        asked.ok().and_then(|_| line.trim().parse().ok()).unwrap_or(0)
    }
}
