//! libcurl, a C library that waits in `poll`, and resolves names on a thread of its own.

use std::net::TcpListener;
use std::time::Duration;

use curl::easy::Easy;
use foreign::check::{Check, many, timed};
use foreign::peer;
use foreign::table::CURL;

fn get(url: &str, timeout: Duration) -> Result<Vec<u8>, curl::Error> {
    let (mut easy, mut body) = (Easy::new(), Vec::new());
    easy.url(url)?;
    easy.timeout(timeout)?;
    easy.signal(false)?;
    let mut transfer = easy.transfer();
    transfer.write_function(|bytes| {
        body.extend_from_slice(bytes);
        Ok(bytes.len())
    })?;
    transfer.perform()?;
    drop(transfer);
    Ok(body)
}

#[test]
fn fifty_at_once() {
    Check::of(CURL).run(|| {
        curl::init();
        let at = peer::serve(|stream| peer::http(stream, Duration::from_millis(200)));
        timed("50 x libcurl of 200 ms", Duration::from_secs(3), || {
            many(50, move |_| {
                let url = format!("http://localhost:{}/", at.port());
                assert_eq!(get(&url, Duration::from_secs(10)).unwrap(), b"hello");
            })
        });
    });
}

#[test]
fn own_timeout() {
    Check::of(CURL).run(|| {
        curl::init();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        timed("20 x a time-out of 300 ms", Duration::from_secs(2), || {
            many(20, move |_| {
                let error = get(&url, Duration::from_millis(300)).unwrap_err();
                assert!(error.is_operation_timedout(), "{error}");
            })
        });
    });
}
