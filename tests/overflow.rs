//! A stack overflow ends the process with a message that names the green thread; both kinds of guard catch it.
//! Each case runs in a child process, which is this very binary told to run one test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

use std::process::{Command, Output};

use sward::{Builder, StackGuard, thread};

mod support;

const CHILD: &str = "SWARD_TEST_CHILD";

fn child(test: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap()
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

#[allow(unconditional_recursion, reason = "that is the point")]
#[inline(never)]
fn dive(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    dive(depth + 1) + frame[depth as usize % 64]
}

fn overflow(guard: StackGuard) {
    Builder::new().workers(1).stack_guard(guard).run(|| {
        let diver = thread::Builder::new().name("diver".into()).spawn(|| dive(0)).unwrap();
        let _ = diver.join();
    });
}

fn assert_named(output: &Output) {
    use std::os::unix::process::ExitStatusExt;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("green thread 'diver'"), "{stderr}");
    assert!(stderr.contains("overflowed its stack of 256 KiB"), "{stderr}");
    assert_eq!(output.status.signal(), Some(6), "ends by SIGABRT");
}

#[test]
fn marker_guard_names_the_green_thread() {
    support::alarm();
    if is_child() {
        return overflow(StackGuard::Auto);
    }
    assert_named(&child("marker_guard_names_the_green_thread"));
}

#[test]
fn protection_guard_names_the_green_thread() {
    support::alarm();
    if is_child() {
        return overflow(StackGuard::Protection);
    }
    assert_named(&child("protection_guard_names_the_green_thread"));
}

/// The canary: std's report for OS threads still works, ours does not claim it.
#[test]
fn an_os_thread_is_reported_by_std() {
    support::alarm();
    if is_child() {
        sward::run(|| {});
        let diver = std::thread::Builder::new().name("os-diver".into()).spawn(|| dive(0)).unwrap();
        let _ = diver.join();
        return;
    }
    let output = child("an_os_thread_is_reported_by_std");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("os-diver") && stderr.contains("overflowed its stack"), "{stderr}");
    assert!(!stderr.contains("green thread"), "{stderr}");
}

/// A fault that is no overflow is no business of ours: the process ends by SIGSEGV, without our message.
#[test]
fn another_fault_is_left_alone() {
    support::alarm();
    if is_child() {
        return sward::run(|| {
            let nowhere = std::hint::black_box(16 as *const u64);
            // SAFETY: none: the fault is what is tested, in a process of its own.
            std::hint::black_box(unsafe { nowhere.read_volatile() });
        });
    }
    use std::os::unix::process::ExitStatusExt;
    let output = child("another_fault_is_left_alone");
    assert_eq!(output.status.signal(), Some(11));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("overflowed"));
}

#[test]
fn a_larger_stack_dives_deeper() {
    support::alarm();
    #[inline(never)]
    fn dive(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 64]);
        if depth == 0 { 0 } else { dive(depth - 1) + frame[63] }
    }
    sward::run(|| {
        let deep = thread::Builder::new().stack_size(64 << 20).spawn(|| dive(20_000)).unwrap();
        assert_eq!(deep.join().unwrap(), 200_010_000);
    });
}
