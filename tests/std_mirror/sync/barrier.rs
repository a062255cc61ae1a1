//! Barrier: nobody passes before all have come, one of them leads, and it can be used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::rt::sync::Barrier;
use super::rt::{case, thread};

#[test]
fn all_meet() {
    case(|| {
        const PARTIES: usize = 6;
        const ROUNDS: usize = 20;
        let shared = Arc::new((Barrier::new(PARTIES), AtomicUsize::new(0), AtomicUsize::new(0)));
        let all: Vec<_> = (0..PARTIES)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (barrier, come, leaders) = &*shared;
                    for round in 1..=ROUNDS {
                        come.fetch_add(1, SeqCst);
                        if barrier.wait().is_leader() {
                            leaders.fetch_add(1, SeqCst);
                        }
                        assert!(come.load(SeqCst) >= round * PARTIES);
                        // So that nobody counts for the next round before all have looked.
                        barrier.wait();
                        assert!(leaders.load(SeqCst) >= round);
                    }
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(shared.2.load(SeqCst), ROUNDS);
    });
}

#[test]
fn alone() {
    case(|| {
        for parties in [0, 1] {
            let barrier = Barrier::new(parties);
            assert!(barrier.wait().is_leader());
            assert!(barrier.wait().is_leader());
        }
    });
}

#[test]
fn prints_as_std() {
    case(|| {
        let barrier = Barrier::new(1);
        assert_eq!(format!("{barrier:?}"), "Barrier { .. }");
        assert_eq!(format!("{:?}", barrier.wait()), "BarrierWaitResult { is_leader: true }");
    });
}
