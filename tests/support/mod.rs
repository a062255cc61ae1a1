//! What tests share: the alarm.

use std::sync::Once;
use std::time::Duration;

/// Ends the test binary with a message if it hangs: a hang must name itself. The first call starts the clock.
#[allow(dead_code, reason = "or the next")]
pub(crate) fn alarm() {
    alarm_after(Duration::from_secs(90));
}

/// The same, for tests that take longer.
pub(crate) fn alarm_after(limit: Duration) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::thread::spawn(move || {
            std::thread::sleep(limit);
            eprintln!(
                "alarm: the tests of this binary have not ended within {limit:?}; something hangs"
            );
            std::process::abort();
        });
    });
}
