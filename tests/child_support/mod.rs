//! A server in a process of its own: signals, inherited descriptors and restarts are a whole process's matters.
//!
//! The test program starts itself again for the one test, with a variable that tells the two apart.
#![allow(dead_code, reason = "each test uses a part")]

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdout, Command, Stdio};

use sward::http::Mode;

const CHILD: &str = "SWARD_TEST_SERVER";

/// What the parent gave the child along, if this is the child of that test.
pub(crate) fn is_child(test: &str) -> Option<String> {
    let told = std::env::var(CHILD).ok()?;
    let (name, with) = told.split_once(' ')?;
    (name == test).then(|| with.to_string())
}

/// The command that runs this test again as a child.
pub(crate) fn command(test: &str, with: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"]);
    command.env(CHILD, format!("{test} {with}")).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// The name that `in_each_mode!` gives a test.
pub(crate) fn name_in(mode: Mode, test: &str) -> String {
    let module = match mode {
        Mode::Green => "green",
        Mode::Threads => "threads",
        Mode::Pool(_) => "pool",
    };
    format!("{module}::{test}")
}

/// A child that runs; killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    lines: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(mut command: Command) -> Child {
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Child { process, lines }
    }

    /// What follows `word` in the next line that has it.
    pub(crate) fn says(&mut self, word: &str) -> String {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim().to_string();
            }
            line.clear();
        }
        panic!("the child ended without saying {word:?}");
    }

    pub(crate) fn kill(&self, signal: &str) {
        send(signal, self.process.id());
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its exit code, or the negative of the signal that ended it.
    pub(crate) fn status(&mut self) -> i32 {
        let status = self.process.wait().unwrap();
        status.code().unwrap_or_else(|| -status.signal().unwrap())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // OK to ignore: most have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a signal by its name.
pub(crate) fn send(signal: &str, pid: u32) {
    let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}
