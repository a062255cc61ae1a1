//! One of the servers that are compared: a process, where it listens, how many view it, and what the kernel says of it.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::{Value, json};
use sward::sync::Mutex;

/// The kernel's stack for an OS thread, on the machines that we run on. No process is charged for it.
const KERNEL_STACK: u64 = 16 << 10;

/// A server in a process of its own. Ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) mode: &'static str,
    pub(crate) addr: SocketAddr,
    /// Posts that have reached a viewer.
    pub(crate) delivered: AtomicU64,
    viewers: AtomicUsize,
    /// What it took before the first of them.
    before: u64,
    child: Mutex<Child>,
}

/// A viewer. Leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Joined<'m>(&'m AtomicUsize);

impl Member {
    /// Starts this program again, in `mode`, and waits until it serves.
    pub(crate) fn start(mode: &'static str, shared: &[String]) -> Result<Member, String> {
        // This very program, even if a build has put another one in its place.
        let mut child = Command::new("/proc/self/exe")
            .args(["--addr", "127.0.0.1:0", "--mode", mode, "--until-eof"])
            .args(shared)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start a server: {e}"))?;
        let out = child.stdout.take().expect("piped");
        let mut member = Member {
            mode,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            delivered: AtomicU64::new(0),
            viewers: AtomicUsize::new(0),
            before: 0,
            child: Mutex::new(child),
        };
        let line = sward::blocking(move || {
            let mut line = String::new();
            // Kept open for as long as it runs: it prints more.
            let mut out = BufReader::new(out);
            let read = out.read_line(&mut line);
            std::mem::forget(out);
            read.map(|_| line)
        });
        let line = line.map_err(|e| e.to_string())?;
        let addr = line.split_once("http://").and_then(|(_, rest)| rest.split('/').next());
        member.addr = addr
            .and_then(|addr| addr.parse().ok())
            .ok_or_else(|| format!("the server in mode {mode} did not start"))?;
        member.before = member.memory().0;
        Ok(member)
    }

    /// One viewer more, until what this returns is dropped.
    pub(crate) fn join(&self) -> Joined<'_> {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        Joined(&self.viewers)
    }

    /// What it takes now. Bytes; 0 when it has ended.
    pub(crate) fn figures(&self) -> Value {
        let viewers = self.viewers.load(Ordering::Relaxed) as u64;
        let (bytes, threads) = self.memory();
        json!({
            "viewers": viewers,
            "bytes": bytes,
            "bytes_per_viewer": bytes.saturating_sub(self.before).checked_div(viewers),
            "os_threads": threads,
            "delivered": self.delivered.load(Ordering::Relaxed),
        })
    }

    /// What the machine gives for it, and its OS threads.
    fn memory(&self) -> (u64, u64) {
        let pid = self.child.lock().unwrap_or_else(|e| e.into_inner()).id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let threads = field(&status, "Threads:");
        let kilobytes = field(&status, "RssAnon:") + field(&status, "VmPTE:");
        (kilobytes * 1024 + threads * KERNEL_STACK, threads)
    }
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

impl Drop for Member {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(|e| e.into_inner());
        let _ = child.kill();
        // It has been killed: this takes no time.
        #[allow(clippy::disallowed_methods, reason = "as above")]
        let _ = child.wait();
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What all of it runs on.
pub(crate) fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = model.unwrap_or("an unknown processor").trim_start_matches(['\t', ' ', ':']);
    format!("{cores} cores of {model}, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let status = "Name:\tx\nVmPTE:\t      44 kB\nThreads:\t7\n";
        assert_eq!((field(status, "VmPTE:"), field(status, "Threads:")), (44, 7));
        assert_eq!(field(status, "RssAnon:"), 0);
    }
}
