//! minreq: std's sockets and nothing else.

use std::net::TcpListener;
use std::time::Duration;

use foreign::check::{Check, many, timed};
use foreign::peer;
use foreign::table::MINREQ;

#[test]
fn fifty_at_once() {
    Check::of(MINREQ).run(|| {
        let at = peer::serve(|stream| peer::http(stream, Duration::from_millis(200)));
        timed("50 x minreq of 200 ms", Duration::from_secs(3), || {
            many(50, move |_| {
                let answer = minreq::get(format!("http://{at}/")).send().unwrap();
                assert_eq!(answer.as_str().unwrap(), "hello");
            })
        });
    });
}

#[test]
fn own_timeout() {
    Check::of(MINREQ).run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        timed("10 x a time-out of 1 s", Duration::from_secs(3), || {
            many(10, move |_| {
                let result = minreq::get(format!("http://{at}/")).with_timeout(1).send();
                assert!(result.is_err(), "nobody answers");
            })
        });
    });
}
