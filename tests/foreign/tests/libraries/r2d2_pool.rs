//! r2d2, with more green threads than connections: its pool waits in parking_lot's `Condvar`.

use std::convert::Infallible;
use std::time::Duration;

use foreign::check::{Check, many, on_os_threads, spawn, timed};
use foreign::table::{R2D2, Verdict};
use r2d2::{ManageConnection, Pool};

struct Numbers;

impl ManageConnection for Numbers {
    type Connection = u32;
    type Error = Infallible;

    fn connect(&self) -> Result<u32, Infallible> {
        Ok(7)
    }

    fn is_valid(&self, _: &mut u32) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u32) -> bool {
        false
    }
}

fn pool(size: u32) -> Pool<Numbers> {
    Pool::builder()
        .max_size(size)
        .connection_timeout(Duration::from_millis(500))
        .build(Numbers)
        .unwrap()
}

/// As many connections as are used at once, made before, off the worker: nobody waits in it.
#[test]
fn enough_connections() {
    Check::of(R2D2).but(Verdict::Cooperative).run(|| {
        let pool = sward::blocking(|| pool(10));
        timed("10 users of 10 connections, 200 ms each", Duration::from_secs(1), || {
            many(10, move |_| {
                let connection = pool.get().unwrap();
                std::thread::sleep(Duration::from_millis(200));
                assert_eq!(*connection, 7);
            })
        });
    });
}

/// Too few: the one that waits holds the worker, so the other cannot give its connection back; the time-out ends it, with
/// an error.
#[test]
fn too_few_connections() {
    Check::of(R2D2).run(|| {
        let pool = pool(1);
        let own = pool.clone();
        let holder = spawn(move || {
            let connection = own.get().unwrap();
            std::thread::sleep(Duration::from_millis(200));
            *connection
        });
        std::thread::sleep(Duration::from_millis(50));
        let waited = pool.get();
        assert!(
            on_os_threads() || waited.is_err(),
            "the holder could give it back meanwhile: say so in the row"
        );
        drop(waited);
        assert_eq!(holder(), 7);
        assert_eq!(*pool.get().unwrap(), 7, "and the pool is as good as new");
    });
}
