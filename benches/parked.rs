//! What a parked green thread costs: 1,000,000 of them in one process, with the kernel's default settings.
//!
//! ```text
//! cargo bench --bench parked                  1,000,000 green threads (needs about 5 GB)
//! cargo bench --bench parked -- 100000        as many as you like
//! ```
//!
//! Each green thread is an ordinary `thread::spawn` whose closure waits for an event. Resident memory, page tables
//! and mappings are the kernel's own figures, after minus before. Then all are woken and joined.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]

mod support;

use std::sync::Arc;
use std::time::Instant;

use support::status;

fn main() {
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    println!("parked: {}", support::machine());
    let max = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    println!("vm.max_map_count = {}, stacks of 256 KiB of address space", max.trim());
    sward::Builder::new().workers(1).run(|| park(count));
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap_or_default().lines().count()
}

fn park(count: usize) {
    let gate = Arc::new(sward::sync::Event::new());
    let mut threads = Vec::with_capacity(count);
    // Touched now, so that it does not count as the threads' memory.
    threads.resize_with(count, || None);
    threads.clear();
    let (rss, tables, maps) = (status("VmRSS:"), status("VmPTE:"), mappings());

    let start = Instant::now();
    for n in 0..count {
        let gate = gate.clone();
        threads.push(Some(sward::thread::spawn(move || gate.wait())));
        if n % 1_000 == 999 {
            sward::thread::yield_now(); // lets them start, and park
        }
    }
    sward::thread::yield_now();
    let spawned = start.elapsed();
    let live = sward::stats().green_threads as usize;
    assert!(live > count, "all of them are alive ({live})");

    let each = |bytes: u64| bytes as f64 / count as f64;
    println!("{count} parked green threads:");
    println!("  resident memory     {:>10.0} bytes each", each(status("VmRSS:") - rss));
    println!("  page tables         {:>10.0} bytes each", each(status("VmPTE:") - tables));
    println!("  mappings            {:>10} in all", mappings() - maps);
    println!("  spawn until parked  {:>10.0} ns each", each(spawned.as_nanos() as u64));

    let start = Instant::now();
    gate.set();
    for thread in threads {
        let _ = thread.expect("filled above").join();
    }
    println!("  wake and join       {:>10.0} ns each", each(start.elapsed().as_nanos() as u64));
    println!("  left afterwards     {:>10} green threads", sward::stats().green_threads - 1);
}
