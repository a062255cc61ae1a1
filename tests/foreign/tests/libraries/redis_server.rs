//! redis, with redis-server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use foreign::check::{Check, many, spawn, timed};
use foreign::server;
use foreign::table::REDIS;
use redis::{Commands as _, Connection, RedisResult};

fn connect(port: u16) -> Connection {
    redis::Client::open(format!("redis://127.0.0.1:{port}/")).unwrap().get_connection().unwrap()
}

#[test]
#[ignore = "needs redis-server"]
fn blocking_pops() {
    Check::of(REDIS).run_with(server::redis, |port| {
        timed("200 x BLPOP, fed by one", Duration::from_secs(5), || {
            let feeder = spawn(move || {
                let mut connection = connect(port);
                // Until all wait: none is served before all are there.
                loop {
                    let clients: String =
                        redis::cmd("CLIENT").arg("LIST").query(&mut connection).unwrap();
                    if clients.matches("cmd=blpop").count() == 200 {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                for i in 0..200 {
                    let _: usize = connection.rpush(format!("queue:{i}"), i).unwrap();
                }
            });
            let popped = many(200, move |i| {
                let key = format!("queue:{i}");
                let (from, value): (String, usize) = connect(port).blpop(&key, 20.0).unwrap();
                assert_eq!(from, key);
                value
            });
            feeder();
            assert_eq!(popped, (0..200).collect::<Vec<_>>());
        });
    });
}

/// One connection for all, behind std's lock, which is held across its I/O.
#[test]
#[ignore = "needs redis-server"]
fn shared_connection() {
    Check::of(REDIS).run_with(server::redis, |port| {
        let shared = Arc::new(Mutex::new(connect(port)));
        let last = shared.clone();
        many(50, move |_| {
            for _ in 0..20 {
                let _: usize = shared.lock().unwrap().incr("count", 1).unwrap();
            }
        });
        let count: usize = last.lock().unwrap().get("count").unwrap();
        assert_eq!(count, 1000);
    });
}

#[test]
#[ignore = "needs redis-server"]
fn publish_and_subscribe() {
    Check::of(REDIS).run_with(server::redis, |port| {
        let readers = spawn(move || {
            many(20, move |_| {
                let mut connection = connect(port);
                let mut feed = connection.as_pubsub();
                feed.subscribe("news").unwrap();
                let next = |_| feed.get_message().unwrap().get_payload::<usize>().unwrap();
                (0..10).map(next).sum::<usize>()
            })
        });
        let mut connection = connect(port);
        let publish = |connection: &mut Connection, n: usize| -> usize {
            redis::cmd("PUBLISH").arg("news").arg(n).query(connection).unwrap()
        };
        let listening = |connection: &mut Connection| -> usize {
            let (_, n): (String, usize) =
                redis::cmd("PUBSUB").arg("NUMSUB").arg("news").query(connection).unwrap();
            n
        };
        while listening(&mut connection) < 20 {
            std::thread::sleep(Duration::from_millis(5));
        }
        for n in 1..=10 {
            assert_eq!(publish(&mut connection, n), 20);
        }
        assert_eq!(readers(), [55; 20]);
    });
}

#[test]
#[ignore = "needs redis-server"]
fn read_timeout() {
    Check::of(REDIS).run_with(server::redis, |port| {
        timed("20 x a read time-out of 300 ms", Duration::from_secs(2), || {
            many(20, move |_| {
                let mut connection = connect(port);
                connection.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
                let result: RedisResult<(String, String)> = connection.blpop("nothing", 0.0);
                assert!(result.unwrap_err().is_timeout());
            })
        });
    });
}
