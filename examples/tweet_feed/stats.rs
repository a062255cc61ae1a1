//! What the kernel says about this process, from /proc (zero where it says nothing), and the one thing
//! that we ask of it.

#![forbid(unsafe_code)]

use std::fs;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Resident memory in bytes.
pub(crate) fn rss_bytes() -> u64 {
    // The second field counts pages, and a page is 4 KiB on the machines that we run on.
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// OS threads of this process.
pub(crate) fn os_threads() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    line.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

/// Lets this process open as many files as it is allowed to. Many systems start programs with 1,024,
/// which is as many pages as could be open.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit); // if not, then not
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process() {
        assert!(super::rss_bytes() > 100_000);
        assert!(super::os_threads() >= 1);
    }
}
