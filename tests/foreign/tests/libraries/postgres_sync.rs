//! postgres: blocking outside, tokio inside.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use foreign::check::{Check, many, on_os_threads, spawn, timed};
use foreign::server;
use foreign::table::{POSTGRES, Verdict};
use postgres::{Client, NoTls};

fn connect(port: u16) -> Client {
    Client::connect(&format!("host=127.0.0.1 port={port} user=postgres"), NoTls).unwrap()
}

/// Loud, and the worker goes on: whoever came second panics, whoever came first is served.
#[test]
#[ignore = "needs postgresql"]
fn second_call_panics() {
    Check::of(POSTGRES).run_with(server::postgres, |port| {
        if on_os_threads() {
            return;
        }
        let (mut one, mut two) = (connect(port), connect(port));
        let first = spawn(move || one.query_one("SELECT 1 FROM pg_sleep(0.5)", &[]).unwrap().len());
        sward::thread::sleep(Duration::from_millis(100));
        // It must not be dropped now: it would panic again, while it unwinds.
        let query = AssertUnwindSafe(|| two.query_one("SELECT 1", &[]).map(drop));
        let payload = catch_unwind(query).unwrap_err();
        let said = payload.downcast_ref::<&str>().map(|text| text.to_string());
        let said = said.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap();
        assert!(said.contains("Cannot start a runtime from within a runtime"), "{said}");
        assert_eq!(first(), 1);
        assert_eq!(two.query_one("SELECT 1", &[]).unwrap().len(), 1, "one at a time is fine");
    });
}

#[test]
#[ignore = "needs postgresql"]
fn on_the_pool() {
    Check::of(POSTGRES).but(Verdict::Cooperative).run_with(server::postgres, |port| {
        timed("20 x pg_sleep(0.5) by postgres in sward::blocking", Duration::from_secs(5), || {
            many(20, move |_| {
                let query = move || {
                    connect(port).query_one("SELECT 1 FROM pg_sleep(0.5)", &[]).unwrap().len()
                };
                assert_eq!(sward::blocking(query), 1);
            })
        });
    });
}
