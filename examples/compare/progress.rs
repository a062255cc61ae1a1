//! How far it is: a line that is written over on a terminal, and now and then a line elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

pub(crate) struct Progress {
    began: Instant,
    said: Option<Instant>,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        let terminal = io::stderr().is_terminal();
        Progress { began: Instant::now(), said: None, terminal }
    }

    /// So much of all is done, and `what` begins.
    pub(crate) fn show(&mut self, part: f64, what: &str) {
        const WIDTH: usize = 24;
        let filled = ((part * WIDTH as f64) as usize).min(WIDTH);
        let bar = "#".repeat(filled) + &".".repeat(WIDTH - filled);
        let line = format!("[{bar}] {:>3.0} %  {what}", (part * 100.0).min(100.0));
        let mut out = io::stderr().lock();
        // OK to ignore errors: progress that nobody sees is no failure.
        if self.terminal {
            let _ = write!(out, "\r\x1b[K{}", line.chars().take(110).collect::<String>());
        } else if self.said.is_none_or(|said| said.elapsed() > Duration::from_secs(10)) {
            self.said = Some(Instant::now());
            let _ = writeln!(out, "{line}");
        }
        let _ = out.flush();
    }

    pub(crate) fn end(&self) {
        let mut out = io::stderr().lock();
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        let _ = writeln!(out, "{clear}measured in {} s", self.began.elapsed().as_secs());
    }
}
