//! `std::process::Command`.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use foreign::check::{Check, best_of_three, many, spawn};
use foreign::table::COMMAND;

#[test]
fn fifty_sleeps() {
    Check::of(COMMAND).run(|| {
        best_of_three("50 x Command `sleep 1`", Duration::from_millis(1500), || {
            many(50, |_| assert!(Command::new("sleep").arg("1").status().unwrap().success()));
        });
    });
}

#[test]
fn outputs() {
    Check::of(COMMAND).run(|| {
        many(10, |i| {
            let script = format!("head -c 1000000 /dev/zero; printf oops >&2; exit {i}");
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(output.status.code(), Some(i as i32));
            assert_eq!((output.stdout.len(), &output.stderr[..]), (1_000_000, &b"oops"[..]));
        });
    });
}

#[test]
fn pipeline() {
    Check::of(COMMAND).run(|| {
        many(5, |_| {
            let mut child =
                Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            // More than the pipes hold: who writes waits for who reads.
            let writer = spawn(move || to.write_all(&[7; 1 << 20]).unwrap());
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            writer();
            assert_eq!(bytes.len(), 1 << 20);
            assert!(child.wait().unwrap().success());
        });
    });
}
