//! A server that is measured: this program once more, as a process of its own whose figures are the kernel's.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{cpu_of, status_of};

/// The child process. Ends when this is dropped.
pub(crate) struct Measured {
    child: Child,
}

impl Measured {
    /// Starts this program with `role` set to `value` in its environment. With it comes the first line that it says.
    pub(crate) fn start(role: &str, value: &str) -> (Measured, String) {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .env(role, value)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        (Measured { child }, line.trim().to_owned())
    }

    /// Another program, that somebody has started.
    pub(crate) fn of(child: Child) -> Measured {
        Measured { child }
    }

    /// A field of its `/proc/PID/status`, in bytes.
    pub(crate) fn status(&self, field: &str) -> u64 {
        match status_of(&self.child.id().to_string(), field) {
            0 => panic!("no figure {field}: does the server live?"),
            bytes => bytes,
        }
    }

    /// CPU of all its threads.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(&self.child.id().to_string())
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
