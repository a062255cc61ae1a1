//! A test in a process of its own: the patch is for the whole process and for good, a pinned worker may hang, and
//! some tests are about what a program says on stderr.
//!
//! `child::case("name of the test", Duration, || { ... })` starts this test program again, for that one test, and runs
//! the closure there. The parent checks that it ended well and in time, and hands back what it said.

#![allow(dead_code, reason = "each test program uses a part")]

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const CHILD: &str = "SWARD_TEST_CHILD";

/// What a child said.
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

/// Runs `body` in a child process, which must succeed within `limit`. `None` in the child itself, when it is done.
pub(crate) fn case(name: &str, limit: Duration, body: impl FnOnce()) -> Option<Said> {
    let outcome = attempt(name, limit, body)?;
    let (said, ended_well) = outcome;
    assert!(
        ended_well,
        "the child failed after {:?}:\n--- stdout\n{}\n--- stderr\n{}",
        said.took, said.stdout, said.stderr
    );
    Some(said)
}

/// As `case`, and tells whether the child succeeded; false too if it had to be killed after `limit`.
pub(crate) fn attempt(name: &str, limit: Duration, body: impl FnOnce()) -> Option<(Said, bool)> {
    if std::env::var(CHILD).is_ok_and(|wanted| wanted == name) {
        body();
        return None;
    }
    let mut command = Command::new(std::env::current_exe().expect("a name"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1", "--include-ignored"]);
    command.env(CHILD, name).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let child = command.spawn().expect("the test program starts");
    let pid = child.id();
    let (done, watch) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if watch.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            // Not waited for yet, so the number is still its own.
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    });
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    drop(done);
    watchdog.join().expect("the watchdog");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let said = Said { stdout: text(stdout), stderr: text(stderr), took: began.elapsed() };
    // A name that matches no test succeeds too; nobody would notice.
    assert!(said.stdout.contains("running 1 test"), "no test is called {name:?}");
    Some((said, status.success()))
}

/// Installs the patch and runs `body` on a green thread of the only worker.
pub(crate) fn patched<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: these tests keep the contract, or are about what happens if somebody does not.
    unsafe { sward::patch::install() }.expect("the patch can be installed");
    sward::Builder::new().workers(1).run(body)
}
