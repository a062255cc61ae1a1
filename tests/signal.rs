//! Signals as events: every test sends real signals to its own process, so each uses a signal of its own.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test")]

mod support;

use std::io::ErrorKind;
use std::process::{Command, Stdio};
use std::time::Duration;

use sward::signal::{SIGALRM, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, Signal, Signals};
use sward::{signal, thread, timeout};

fn send(signal: Signal) {
    let me = std::process::id().to_string();
    let number = format!("-{}", signal.as_raw());
    assert!(Command::new("kill").args([&number, &me]).status().unwrap().success());
}

fn soon(signal: Signal) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        send(signal);
    })
}

#[test]
fn parks_a_green_thread() {
    support::alarm();
    let signals = Signals::new(&[SIGUSR1]).unwrap();
    let sender = soon(SIGUSR1);
    let turns = sward::Builder::new().workers(1).run(move || {
        let waiter = thread::spawn(move || signals.wait().unwrap());
        let mut turns = 0;
        while !waiter.is_finished() {
            thread::sleep(Duration::from_millis(5));
            turns += 1;
        }
        assert_eq!(waiter.join().unwrap(), SIGUSR1);
        turns
    });
    assert!(turns > 1, "others ran meanwhile");
    sender.join().unwrap();
}

#[test]
fn blocks_an_os_thread() {
    support::alarm();
    let signals = Signals::new(&[SIGUSR2]).unwrap();
    let sender = soon(SIGUSR2);
    assert_eq!(signals.wait().unwrap(), SIGUSR2);
    sender.join().unwrap();
}

#[test]
fn is_kept_until_somebody_waits() {
    support::alarm();
    let one = Signals::new(&[SIGHUP, SIGALRM]).unwrap();
    let two = Signals::new(&[SIGHUP]).unwrap();
    send(SIGHUP);
    send(SIGHUP);
    send(SIGALRM);
    assert_eq!(one.wait().unwrap(), SIGHUP);
    assert_eq!(one.wait().unwrap(), SIGALRM);
    assert_eq!(one.pending(), None, "twice before the wait counts once");
    assert_eq!(two.wait().unwrap(), SIGHUP, "everybody is told");
}

#[test]
fn gives_up_in_time() {
    support::alarm();
    sward::run(|| {
        let signals = Signals::new(&[SIGWINCH]).unwrap();
        let result = timeout(Duration::from_millis(20), || signals.wait()).unwrap();
        assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

/// The signal does again what it did, so a second Ctrl-C works. In a child, which it ends.
#[test]
fn the_second_one_kills() {
    support::alarm();
    const CHILD: &str = "SWARD_TEST_SIGNAL_CHILD";
    if std::env::var_os(CHILD).is_some() {
        println!("ready");
        signal::ctrl_c().unwrap();
        println!("first");
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_second_one_kills", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let kill = || assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut until = |word: &str| while !lines.next().unwrap().unwrap().contains(word) {};
    until("ready");
    std::thread::sleep(Duration::from_millis(100)); // "ready" is said just before the watch begins
    kill();
    until("first");
    kill();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
}
