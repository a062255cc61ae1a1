//! postgres: blocking outside, tokio inside.

use std::time::Duration;

use foreign::check::{Check, many, on_os_threads, timed};
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
        let first = sward::thread::spawn(move || {
            one.query_one("SELECT 1 FROM pg_sleep(0.5)", &[]).unwrap().len()
        });
        sward::thread::sleep(Duration::from_millis(100));
        let second = sward::thread::spawn(move || two.query_one("SELECT 1", &[]).unwrap().len());
        let payload = second.join().unwrap_err();
        let said = payload.downcast_ref::<&str>().map(|text| text.to_string());
        let said = said.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap();
        assert!(said.contains("Cannot start a runtime from within a runtime"), "{said}");
        assert_eq!(first.join().unwrap(), 1);
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
