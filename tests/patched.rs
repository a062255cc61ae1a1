//! `examples/patched.rs`, which opens the README: it is short, and does what is said of it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

use std::process::Command;
use std::time::{Duration, Instant};

#[path = "support/example.rs"]
mod example;
mod support;

#[test]
fn the_whole_idea_on_a_page() {
    let text = include_str!("../examples/patched.rs");
    assert!(text.lines().count() <= 60, "it has grown to {} lines", text.lines().count());
}

#[test]
fn five_hundred_blocking_requests_on_one_os_thread() {
    let program = example::executable("patched");
    support::alarm(); // not before: building may take its time
    let start = Instant::now();
    let output = Command::new(program).output().unwrap();
    let took = start.elapsed();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        stdout.starts_with("500 requests of 200ms each on one OS thread: 3000 bytes, "),
        "{stdout}"
    );
    // One after the other they would take 100 s.
    assert!(took < Duration::from_secs(20), "{took:?}");
}
