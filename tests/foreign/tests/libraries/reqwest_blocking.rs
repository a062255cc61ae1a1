//! reqwest's blocking client: its runtime is on an OS thread, the caller parks until it is told.

use std::net::TcpListener;
use std::time::Duration;

use foreign::check::{Check, many, timed};
use foreign::peer;
use foreign::table::REQWEST;
use reqwest::blocking::Client;

fn client(timeout: Duration) -> Client {
    Client::builder().no_proxy().timeout(timeout).build().unwrap()
}

#[test]
fn fifty_at_once() {
    Check::of(REQWEST).run(|| {
        let at = peer::serve(|stream| peer::http(stream, Duration::from_millis(200)));
        let client = client(Duration::from_secs(10));
        timed("50 x reqwest::blocking of 200 ms", Duration::from_secs(3), || {
            many(50, move |i| {
                // Half of them by a name, which it has resolved by threads of its own.
                let host = if i % 2 == 0 { "localhost" } else { "127.0.0.1" };
                let answer = client.get(format!("http://{host}:{}/", at.port())).send().unwrap();
                assert_eq!(answer.text().unwrap(), "hello");
            })
        });
    });
}

#[test]
fn own_timeout() {
    Check::of(REQWEST).run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        timed("20 x a time-out of 300 ms", Duration::from_secs(2), || {
            many(20, move |_| {
                let result = client(Duration::from_millis(300)).get(format!("http://{at}/")).send();
                assert!(result.unwrap_err().is_timeout());
            })
        });
    });
}
