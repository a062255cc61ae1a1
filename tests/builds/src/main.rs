//! What of the patch works in this build: each check runs on green threads of one worker and says OK or what is wrong.
//!
//! Ends with 0 if all is as documented: what works elsewhere works here, and what the table in [`main`] declares as not
//! working does not. `--not-installed` leaves the patch out, as a proof that the checks can fail. No time is measured:
//! each check has work that cannot end unless others run meanwhile.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod c;
mod child;
mod rust;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// What a check says if it fails.
type Checked = Result<(), String>;

/// A check, and why it does not work in this build, if so.
type Check = (&'static str, fn() -> Checked, Option<&'static str>);

const STATIC: bool = cfg!(target_feature = "crt-static");
const ABORTS: bool = cfg!(panic = "abort");

const NO_RESOLVER: &str =
    "getaddrinfo is not hooked in a static program: nothing finds glibc's own there";
const NO_PTHREAD: &str =
    "pthread's functions are not hooked in a static program: nothing finds glibc's own there";
const NO_CHECKED: &str = "the functions of fortified C are not hooked in a static program";
const NO_SLEEP: &str = "sleep and usleep are not hooked in a static program; nanosleep is";
const NO_LOADING: &str = "a static program loads no libraries";

fn main() -> ExitCode {
    let only = std::env::args().nth(1);
    let installed = only.as_deref() != Some("--not-installed");
    if installed {
        // SAFETY: nothing here keeps anything in thread-locals across a wait, or waits under a lock of an OS thread.
        if let Err(error) = unsafe { sward::patch::install() } {
            println!("the patch cannot be installed: {error}");
            return ExitCode::FAILURE;
        }
    }
    if only.as_deref() == Some("--panics") {
        return child::panics();
    }
    alarm(Duration::from_secs(if installed { 60 } else { 5 }));

    let in_static = |why: &'static str| STATIC.then_some(why);
    let checks: &[Check] = &[
        ("sleep", rust::sleep, None),
        ("std Condvar", rust::condvar, None),
        ("std park", rust::park, None),
        ("std thread's join", rust::join, in_static(NO_PTHREAD)),
        ("DNS", rust::dns, in_static(NO_RESOLVER)),
        ("Command", rust::command, None),
        ("timeout into read", rust::timeout, None),
        ("C, linked: sockets", c::linked_sockets, None),
        ("C, linked: fortified", c::linked_fortified, in_static(NO_CHECKED)),
        ("C, linked: sleeps", c::linked_sleeps, in_static(NO_SLEEP)),
        ("C, linked: mutex", c::linked_mutex, in_static(NO_PTHREAD)),
        ("C, linked: DNS", c::linked_resolver, in_static(NO_RESOLVER)),
        ("C, loaded: sockets", c::loaded_sockets, in_static(NO_LOADING)),
        ("C, loaded: fortified", c::loaded_fortified, in_static(NO_LOADING)),
        ("C, loaded: sleeps", c::loaded_sleeps, in_static(NO_LOADING)),
        ("C, loaded: mutex", c::loaded_mutex, in_static(NO_LOADING)),
        ("C, loaded: DNS", c::loaded_resolver, in_static(NO_LOADING)),
        ("fork and exec, pre_exec", child::pre_exec, None),
        ("fork without exec", child::fork, None),
        ("panic of a green thread", child::panic, None),
        ("signal handler writes", rust::signal, None),
        ("std TCP", rust::tcp, None),
        ("std Mutex across a sleep", rust::mutex, None),
        ("cancel into accept", rust::cancel, None),
    ];
    let mut wrong = 0;
    for (name, check, not) in checks {
        let result = sward::Builder::new().workers(1).run(check);
        match (result, not) {
            (Ok(()), None) => println!("{name}: OK"),
            (Err(_), Some(why)) => println!("{name}: not in this build: {why}"),
            (Ok(()), Some(why)) => {
                wrong += 1;
                println!("{name}: WRONG: works, against what is documented: {why}");
            }
            (Err(what), None) => {
                wrong += 1;
                println!("{name}: WRONG: {what}");
            }
        }
    }
    println!("{} checks, {wrong} wrong", checks.len());
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A hang names itself.
fn alarm(limit: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        println!("alarm: WRONG: something hangs");
        std::process::exit(1);
    });
}

/// How often the other green thread of [`meanwhile`] has run.
static TURNS: AtomicU64 = AtomicU64::new(0);

/// Runs `f` beside a green thread that yields all the time. Fails unless that one ran while `f` did.
fn meanwhile<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    let over = Arc::new(AtomicBool::new(false));
    let seen = over.clone();
    let start = TURNS.load(SeqCst);
    let other = sward::thread::spawn(move || {
        while !seen.load(SeqCst) {
            TURNS.fetch_add(1, SeqCst);
            sward::thread::yield_now();
        }
    });
    // Once it is known to run, so that what is counted below is not its start.
    while TURNS.load(SeqCst) == start {
        sward::thread::yield_now();
    }
    let before = TURNS.load(SeqCst);
    let result = f();
    let turns = TURNS.load(SeqCst) - before;
    over.store(true, SeqCst);
    other.join().map_err(|_| "the other one panicked")?;
    if turns == 0 { Err("nobody else ran meanwhile".into()) } else { Ok(result) }
}

/// Runs `f`. Fails unless threads of sward's pool have run for it. (They may be done before their caller comes to wait, so
/// that others run meanwhile is not certain.)
fn on_the_pool<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    let before = turns_of_the_pool()?;
    let result = f();
    if turns_of_the_pool()? == before {
        Err("the pool had no part in it".into())
    } else {
        Ok(result)
    }
}

/// How often threads of the pool have had the processor, by the kernel's count.
fn turns_of_the_pool() -> Result<u64, String> {
    let mut turns = 0;
    for task in std::fs::read_dir("/proc/self/task").map_err(text)?.flatten() {
        // One that has ended since has no status.
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        if status.starts_with("Name:\tsward-blocking") {
            let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
            turns +=
                counts.filter_map(|line| line.split('\t').nth(1)?.parse::<u64>().ok()).sum::<u64>();
        }
    }
    Ok(turns)
}

/// On an OS thread: `act`, but only when a green thread has run since; or after a while, so that what is not patched
/// fails instead of hanging.
fn when_others_ran(act: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
    let before = TURNS.load(SeqCst);
    std::thread::spawn(move || {
        for _ in 0..300 {
            if TURNS.load(SeqCst) != before {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        act();
    })
}

/// An error unless `held`.
fn ensure(held: bool, what: impl std::fmt::Debug) -> Checked {
    if held { Ok(()) } else { Err(format!("{what:?}")) }
}

/// Any error, as text.
fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
