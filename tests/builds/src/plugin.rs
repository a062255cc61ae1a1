//! sward inside a library that a C program loads. Its functions come after libc's there, so the patch must refuse.

/// 0: the patch says that it cannot be installed here, and why. 1: it claims to be.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_installs() -> i32 {
    // SAFETY: nothing runs on green threads in this process.
    match unsafe { sward::patch::install() } {
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
            println!("{error}");
            0
        }
        other => {
            println!("{other:?}");
            1
        }
    }
}
