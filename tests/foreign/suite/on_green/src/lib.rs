//! `#[on_green::test]`: a test whose body runs on a green thread of a runtime with one worker, with the patch installed.
//! `SWARD_SUITE=os` leaves it on the OS thread, to see what the suite does by itself.

pub use on_green_attribute::test;

/// Runs the body of a test.
pub fn run<T>(body: impl FnOnce() -> T) -> T {
    if std::env::var("SWARD_SUITE").is_ok_and(|how| how == "os") {
        return body();
    }
    // SAFETY: the suites run one test at a time; what they do with thread-local state is what is tried here.
    unsafe { sward::patch::install() }.expect("the patch can be installed");
    // Debug code takes large frames.
    let builder = sward::Builder::new().workers(1).stack_size(1 << 20);
    let result = builder.run(|| {
        // Inside of the runtime, or it would be true of nobody.
        assert!(sward::thread::is_green());
        body()
    });
    for pin in sward::patch::pins() {
        eprintln!("{pin}");
    }
    result
}
