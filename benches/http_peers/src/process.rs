//! A server in a process of its own, and what the kernel says of it: CPU and memory.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A running server.
pub(crate) struct Process {
    child: Child,
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
    pub(crate) addr: SocketAddr,
}

/// What a process holds, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) heap: u64,
}

impl Process {
    /// Starts `program`, this one or another build of it, as the server `name`, on core `core`.
    pub(crate) fn start(program: &Path, name: &str, core: usize) -> Process {
        let mut child = Command::new(program)
            .args(["serve", name, &core.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server starts");
        let mut says = BufReader::new(child.stdout.take().expect("piped"));
        let asks = child.stdin.take().expect("piped");
        let mut line = String::new();
        says.read_line(&mut line).expect("an address");
        let addr = line.trim().parse().expect("an address");
        Process { child, asks, says, addr }
    }

    /// CPU of all its threads so far, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("tasks");
        let nanos = tasks.flatten().map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
        });
        Duration::from_nanos(nanos.sum())
    }

    pub(crate) fn memory(&mut self) -> Memory {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = std::fs::read_to_string(path).expect("the server lives");
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).expect("a figure");
        let resident = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024;
        self.asks.write_all(b"heap\n").expect("the server lives");
        let mut line = String::new();
        self.says.read_line(&mut line).expect("the server lives");
        Memory { resident, heap: line.trim().parse().expect("a number") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the server: says how much of the heap is in use, for every line that it is asked.
pub(crate) fn answer_questions() {
    std::thread::spawn(|| {
        for _ in std::io::stdin().lines() {
            // SAFETY: takes nothing and gives numbers.
            let heap = unsafe { libc::mallinfo2() };
            println!("{}", heap.uordblks + heap.hblkhd);
        }
    });
}

/// Keeps the calling thread, and those that it starts, on one core.
pub(crate) fn pin(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core % std::thread::available_parallelism().map_or(1, |n| n.get()));
    // OK to ignore: a container may forbid it; the figures are noisier then.
    let _ = rustix::thread::sched_setaffinity(None, &set);
}
