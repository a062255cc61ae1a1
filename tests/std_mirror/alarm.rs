//! A test that hangs names itself: one OS thread looks at all that run and ends the process when one takes too long.

use std::io::{self, Write};
use std::process;
use std::sync::{Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

/// Far more than any test here takes, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(60);

static RUNNING: Mutex<Vec<(String, Instant)>> = Mutex::new(Vec::new());

/// Runs a test's body under the alarm. The test harness has named this thread after the test.
pub(crate) fn watch<T>(body: impl FnOnce() -> T) -> T {
    static START: Once = Once::new();
    START.call_once(|| {
        thread::spawn(look);
    });
    let name = thread::current().name().unwrap_or("a test").to_string();
    let started = Instant::now();
    RUNNING.lock().unwrap().push((name, started));
    let _running = Running(started);
    body()
}

/// Takes its test off the list, after a panic too.
struct Running(Instant);

impl Drop for Running {
    fn drop(&mut self) {
        let name = thread::current().name().unwrap_or("a test").to_string();
        RUNNING.lock().unwrap().retain(|(other, started)| *other != name || *started != self.0);
    }
}

fn look() {
    loop {
        thread::sleep(Duration::from_millis(500));
        let running = RUNNING.lock().unwrap();
        let late: Vec<_> =
            running.iter().filter(|(_, started)| started.elapsed() > LIMIT).collect();
        if !late.is_empty() {
            for (name, _) in late {
                // Not `eprintln`, which the harness keeps for a report that it will not come to make.
                let _ = writeln!(io::stderr(), "alarm: {name} still runs after {LIMIT:?}");
            }
            process::abort();
        }
    }
}
