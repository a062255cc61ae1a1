//! ureq over plain HTTP.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use foreign::check::{Check, many, on_os_threads, timed};
use foreign::peer;
use foreign::table::UREQ;

const DELAY: Duration = Duration::from_millis(200);

/// Accepts, and never answers.
fn silent() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().proxy(None).build().into()
}

fn get(url: &str) -> String {
    agent().get(url).call().unwrap().body_mut().read_to_string().unwrap()
}

#[test]
fn hundred_at_once() {
    Check::of(UREQ).run(|| {
        let url = format!("http://{}/", peer::serve(|stream| peer::http(stream, DELAY)));
        let answers = timed("100 x ureq::get of 200 ms", Duration::from_secs(3), || {
            many(100, move |_| get(&url))
        });
        assert!(answers.iter().all(|answer| answer == "hello"));
    });
}

#[test]
fn names_are_resolved() {
    Check::of(UREQ).run(|| {
        let at = peer::serve(|stream| peer::http(stream, DELAY));
        let url = format!("http://localhost:{}/", at.port());
        let answers = timed("20 x ureq::get by name", Duration::from_secs(3), || {
            many(20, move |_| get(&url))
        });
        assert!(answers.iter().all(|answer| answer == "hello"));
    });
}

#[test]
fn agent_is_shared() {
    Check::of(UREQ).run(|| {
        let url = format!("http://{}/", peer::serve(|stream| peer::http(stream, Duration::ZERO)));
        let agent = agent();
        let sums = many(30, move |i| {
            let call = |n: usize| {
                let body = "x".repeat(i * 100 + n);
                let mut answer = agent.post(&url).send(&body).unwrap();
                let text = answer.body_mut().read_to_string().unwrap();
                assert_eq!(text, if body.is_empty() { "hello" } else { &body });
                text.len()
            };
            (1..=5).map(call).sum::<usize>()
        });
        assert_eq!(sums.iter().sum::<usize>(), (0..30).map(|i| 5 * i * 100 + 15).sum::<usize>());
    });
}

#[test]
fn large_bodies() {
    Check::of(UREQ).run(|| {
        let url = format!("http://{}/", peer::serve(|stream| peer::http(stream, Duration::ZERO)));
        let body: Vec<u8> = (0..4 << 20).map(|n: u32| (n >> 3) as u8).collect();
        many(4, move |_| {
            let mut answer = agent().post(&url).send(&body[..]).unwrap();
            let back = answer.body_mut().with_config().limit(16 << 20).read_to_vec().unwrap();
            assert!(back == body, "the bytes come back as they were");
        });
    });
}

/// ureq's own time-outs: SO_RCVTIMEO on the socket.
#[test]
fn own_timeouts() {
    Check::of(UREQ).run(|| {
        let listener = silent();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        timed("20 x a time-out of 300 ms", Duration::from_secs(2), || {
            many(20, move |_| {
                let config = ureq::Agent::config_builder().proxy(None);
                let agent: ureq::Agent =
                    config.timeout_global(Some(Duration::from_millis(300))).build().into();
                let error = agent.get(&url).call().unwrap_err();
                assert!(matches!(error, ureq::Error::Timeout(_)), "{error}");
            })
        });
    });
}

/// A scope of ours around a call that knows nothing of it.
#[test]
fn timeout_around() {
    Check::of(UREQ).run(|| {
        if on_os_threads() {
            return; // a deadline is a green thread's
        }
        let listener = silent();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let began = Instant::now();
        let result =
            sward::timeout(Duration::from_millis(50), || agent().get(&url).call().map(drop));
        let took = began.elapsed();
        println!("ureq::get of a silent server in a timeout of 50 ms: {took:?}, {result:?}");
        assert!(took >= Duration::from_millis(50) && took < Duration::from_millis(500), "{took:?}");
        match result {
            Ok(Err(ureq::Error::Io(error))) => {
                assert_eq!(error.kind(), std::io::ErrorKind::TimedOut)
            }
            Ok(Err(ureq::Error::Timeout(_))) | Err(_) => {}
            other => panic!("{other:?}"),
        }
    });
}
