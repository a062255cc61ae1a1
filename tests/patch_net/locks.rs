//! Locks on files, whose holder is a green thread of the same worker.

use std::fs::File;

use super::*;

/// The same file, opened twice, by the name of the test.
fn twice(name: &str) -> [File; 2] {
    let path = std::env::temp_dir().join(format!("sward-{name}-{}", std::process::id()));
    let files = [(); 2].map(|()| {
        File::options().create(true).truncate(false).read(true).write(true).open(&path).unwrap()
    });
    std::fs::remove_file(path).unwrap();
    files
}

/// As std's `File::lock` does it.
fn flock(file: &File, operation: i32) -> Result<usize, i32> {
    // SAFETY: touches no memory.
    outcome(unsafe { libc::flock(file.as_raw_fd(), operation) } as isize)
}

#[test]
fn whole_files() {
    alone("locks::whole_files", || {
        let [mine, other] = twice("flock");
        assert_eq!(flock(&other, libc::LOCK_EX), Ok(0));
        let busy = Err(libc::EWOULDBLOCK);
        assert_eq!(at_once(|| flock(&mine, libc::LOCK_SH | libc::LOCK_NB)), busy);
        let ended = sward::timeout(20 * TICK, || flock(&mine, libc::LOCK_EX)).unwrap();
        assert_eq!(ended, Err(libc::ETIMEDOUT));
        let act = move || assert_eq!(flock(&other, libc::LOCK_UN), Ok(0));
        while_another(act, || {
            cooperative(|| {
                set_errno(libc::EXDEV);
                assert_eq!(flock(&mine, libc::LOCK_EX), Ok(0));
                assert_eq!(errno(), libc::EXDEV, "what attempts ran into is not shown");
            });
        });
        assert_eq!(at_once(|| flock(&mine, libc::LOCK_UN)), Ok(0));
        assert_eq!(flock(&mine, libc::LOCK_EX | 64), Err(libc::EINVAL));
    });
}

/// Sets a lock on the first byte, as `command` does it.
fn lock(file: &File, command: i32, kind: i32) -> Result<usize, i32> {
    // SAFETY: all zeroes are a record.
    let mut record: libc::flock = unsafe { std::mem::zeroed() };
    (record.l_type, record.l_len) = (kind as libc::c_short, 1);
    // SAFETY: reads the record.
    outcome(unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut record) } as isize)
}

#[test]
fn record_locks() {
    alone("locks::record_locks", || {
        let [mine, other] = twice("record");
        assert_eq!(lock(&other, libc::F_OFD_SETLK, libc::F_WRLCK), Ok(0));
        assert_eq!(at_once(|| lock(&mine, libc::F_OFD_SETLK, libc::F_WRLCK)), Err(libc::EAGAIN));
        let act = move || drop(other);
        let taken = while_another(act, || lock(&mine, libc::F_OFD_SETLKW, libc::F_WRLCK));
        assert_eq!(taken, Ok(0));
        assert_eq!(
            lock(&mine, libc::F_OFD_SETLKW, 77),
            Err(libc::EINVAL),
            "the kernel's own errors"
        );
    });
}

#[test]
fn pinned_locks_wait() {
    alone("locks::pinned_locks_wait", || {
        let [mine, other] = twice("pinned");
        assert_eq!(flock(&other, libc::LOCK_EX), Ok(0));
        let act = move || drop(other);
        let taken = while_os_thread(act, || sward::patch::pinned(|| flock(&mine, libc::LOCK_EX)));
        assert_eq!(taken, Ok(0));
    });
}
