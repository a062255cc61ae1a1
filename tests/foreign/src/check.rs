//! One test: its body on a green thread of a runtime with one worker and the patch, in a child process with a time
//! limit. If the body goes wrong, hangs or takes the whole process down, the test says so and shows what was printed.
//!
//! `SWARD_FOREIGN=os` runs the same bodies on plain OS threads without the patch, to see that the bodies are right;
//! `SWARD_FOREIGN=unpatched` on green threads without the patch, to see that they can fail.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use sward::patch::{self, PinKind};

use crate::server::Server;
use crate::table::{Row, Verdict};

/// Set in the child: the port of the server, or 0.
const PORT: &str = "SWARD_FOREIGN_PORT";
/// Printed by the child when its body has returned and its claims held.
const DONE: &str = "== the body is done";
/// How long a body may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Whether the bodies run on plain OS threads.
pub fn on_os_threads() -> bool {
    how() == "os"
}

fn how() -> String {
    env::var("SWARD_FOREIGN").unwrap_or_default()
}

/// A test of the library of `row`.
#[derive(Debug)]
pub struct Check {
    row: &'static Row,
    verdict: Verdict,
    limit: Duration,
    stuck: Option<&'static str>,
}

impl Check {
    /// Expects what the row says.
    pub fn of(row: &'static Row) -> Self {
        Check { row, verdict: row.verdict, limit: LIMIT, stuck: None }
    }

    /// For a use of the library that comes out otherwise than the row says.
    pub fn but(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    /// The body never ends, and says why: what it prints within a few seconds holds `message`.
    pub fn stuck(mut self, message: &'static str) -> Self {
        self.stuck = Some(message);
        self.limit = Duration::from_secs(12);
        self
    }

    /// Runs `body`.
    pub fn run<B: FnOnce()>(self, body: B) {
        self.start(&path_of::<B>(), || None, |_| body());
    }

    /// Runs `body` with the port of the server that `server` starts.
    pub fn run_with<B: FnOnce(u16)>(self, server: impl FnOnce() -> Option<Server>, body: B) {
        self.start(&path_of::<B>(), server, body);
    }

    fn start(self, path: &str, server: impl FnOnce() -> Option<Server>, body: impl FnOnce(u16)) {
        match env::var(PORT) {
            Ok(port) => self.inside(|| body(port.parse().expect("a port"))),
            Err(_) => self.outside(path, server()),
        }
    }

    /// In the child.
    fn inside(self, body: impl FnOnce()) {
        if on_os_threads() {
            assert!(self.stuck.is_none(), "on OS threads this would be no test");
            body();
            return println!("{DONE}");
        }
        if how() != "unpatched" {
            // SAFETY: nothing runs yet in this process but this thread and the test runner that waits for it; what
            // the libraries do with thread-local state is what the tests are about.
            unsafe { patch::install() }.expect("the patch can be installed");
        }
        let lag = sward::Builder::new().workers(1).run(|| {
            let (lag, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
            let beat = sward::thread::spawn({
                let (lag, stop) = (lag.clone(), stop.clone());
                move || heartbeat(&lag, &stop)
            });
            body();
            stop.store(true, Ordering::Relaxed);
            beat.join().expect("the heartbeat ends");
            lag.load(Ordering::Relaxed)
        });
        let pins = patch::pins();
        println!("pins: {pins:?}; the longest that others had to wait: {lag} ms");
        let local = pins.iter().any(|pin| pin.kind == PinKind::ThreadLocal);
        match self.verdict {
            Verdict::Cooperative => {
                assert!(pins.is_empty(), "it pins: {}", pins[0]);
            }
            Verdict::Pins => assert!(local, "it does not pin: it is better than its row says"),
            Verdict::Unsupported => {}
        }
        println!("{DONE}");
    }

    /// In the test runner.
    fn outside(self, path: &str, server: Option<Server>) {
        let module = path.split("::").next().unwrap_or_default();
        assert_eq!(module, self.row.module, "the row is of another library");
        let log = Log::new(path);
        let mut command = Command::new(env::current_exe().expect("the test binary"));
        command.args(["--exact", path, "--include-ignored", "--nocapture", "--test-threads=1"]);
        command.env(PORT, server.as_ref().map_or(0, Server::port).to_string());
        command.env("RUST_BACKTRACE", "1");
        command.stdin(std::process::Stdio::null());
        command.stdout(log.handle()).stderr(log.handle());
        let began = Instant::now();
        let mut child = command.spawn().expect("the test binary starts");
        if let Some(message) = self.stuck {
            return stuck(&mut child, &log, message, self.limit);
        }
        let Some(status) = within(&mut child, self.limit) else {
            interrupt(&mut child);
            panic!("{path} is not done after {:?}. {}\n{log}", self.limit, self.verdict);
        };
        let text = log.text();
        // Without the line, it was not this test that ran.
        assert!(status.success() && text.contains(DONE), "{path}: {status}\n{log}");
        let said = |line: &&str| !line.is_empty() && !line.starts_with("running") && *line != DONE;
        for line in text.lines().filter(said) {
            println!("{line}");
        }
        println!("{path}: {:?}", began.elapsed());
    }
}

/// `libraries::redis::blpops::{{closure}}` is the body of the test `redis::blpops`.
fn path_of<B>() -> String {
    let name = std::any::type_name::<B>();
    let name = name.split("::{{closure}}").next().unwrap_or(name);
    name.split_once("::").map_or(name, |(_, path)| path).to_owned()
}

/// What another green thread of the worker sees: the longest time that it could not run.
fn heartbeat(lag: &AtomicU32, stop: &AtomicBool) {
    let beat = Duration::from_millis(10);
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        sward::thread::sleep(beat);
        let late = last.elapsed().saturating_sub(beat);
        lag.fetch_max(u32::try_from(late.as_millis()).unwrap_or(u32::MAX), Ordering::Relaxed);
        last = Instant::now();
    }
}

fn within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Ends a child that hangs, after it had a second to list its green threads.
fn interrupt(child: &mut Child) {
    _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
    thread::sleep(Duration::from_secs(1));
    _ = child.kill();
    _ = child.wait();
}

fn stuck(child: &mut Child, log: &Log, message: &str, limit: Duration) {
    let deadline = Instant::now() + limit;
    let mut said = false;
    while !said && Instant::now() < deadline {
        // An end with the message is as good: the point is that nobody is left wondering.
        let ended = child.try_wait().expect("a child of ours").is_some();
        thread::sleep(Duration::from_millis(20));
        said = log.text().contains(message);
        if ended {
            break;
        }
    }
    if said {
        _ = child.kill();
        _ = child.wait();
    } else {
        interrupt(child);
    }
    assert!(said, "it does not say {message:?} within {limit:?}\n{log}");
    println!("{log}");
}

/// Where a child prints to. A file, because a pipe is full at some time, and the child may have children.
struct Log(PathBuf);

impl Log {
    fn new(path: &str) -> Self {
        let name = format!("sward-foreign-{}-{}.log", std::process::id(), path.replace("::", "-"));
        Log(env::temp_dir().join(name))
    }

    fn handle(&self) -> File {
        let open = || File::options().append(true).create(true).open(&self.0);
        open().expect("a log can be written")
    }

    fn text(&self) -> String {
        fs::read(&self.0).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }
}

impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in self.text().lines() {
            writeln!(f, "    | {line}")?;
        }
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.0);
    }
}

/// A green thread on green threads, an OS thread on OS threads.
pub fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> impl FnOnce() -> T {
    enum Handle<T> {
        Green(sward::thread::JoinHandle<T>),
        Os(thread::JoinHandle<T>),
    }
    let handle = match sward::thread::is_green() {
        true => Handle::Green(sward::thread::spawn(body)),
        false => Handle::Os(thread::spawn(body)),
    };
    move || {
        let result = match handle {
            Handle::Green(handle) => handle.join(),
            Handle::Os(handle) => handle.join(),
        };
        result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }
}

/// Runs `body` `n` times at once, and returns what each returned, in order.
pub fn many<T: Send + 'static>(
    n: usize,
    body: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let body = Arc::new(body);
    let start = |i| {
        let body = body.clone();
        spawn(move || body(i))
    };
    let handles: Vec<_> = (0..n).map(start).collect();
    handles.into_iter().map(|join| join()).collect()
}

/// Runs `body`, prints how long it took, and fails if that was longer than `limit`.
pub fn timed<T>(what: &str, limit: Duration, body: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = body();
    let took = began.elapsed();
    println!("{what}: {took:?}");
    assert!(took < limit, "{what} took {took:?}, more than {limit:?}");
    result
}

/// The fastest of up to three times, each printed, is under `limit`: what it takes on a machine that has nothing else to
/// do, when it has.
pub fn best_of_three(what: &str, limit: Duration, mut body: impl FnMut()) {
    let within_limit = |_| {
        let began = Instant::now();
        body();
        let took = began.elapsed();
        println!("{what}: {took:?}");
        took < limit
    };
    assert!((0..3).any(within_limit), "{what} took more than {limit:?} three times");
}

/// A directory of its own, removed when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty one.
    pub fn new(name: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let at = format!("sward-{name}-{}-{number}", std::process::id());
        let at = env::temp_dir().join(at);
        fs::create_dir_all(&at)?;
        Ok(Scratch(at))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}
