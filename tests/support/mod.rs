//! What tests share: the alarm.

use std::sync::Once;
use std::time::Duration;

/// Ends the test binary with a message if it hangs: a hang must name itself. The first call starts the clock.
pub(crate) fn alarm() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(90));
            eprintln!(
                "alarm: the tests of this binary have not ended within 90 s; something hangs"
            );
            std::process::abort();
        });
    });
}
