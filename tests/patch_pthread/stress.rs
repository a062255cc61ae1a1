//! All of it at once: two workers and OS threads.

use super::native::*;
use super::*;

/// Jobs go through a bounded queue of permits, under a mutex and two conditions, as in many a C program.
struct Queue {
    mutex: Object,
    changed: Object,
    items: AtomicUsize,
    permits: Object,
    table: Object,
    writers: AtomicUsize,
    /// What was taken out.
    taken: AtomicUsize,
}

impl Queue {
    fn put(&self, n: usize) {
        for turn in 0..n {
            assert_eq!(semaphore_wait(self.permits), 0);
            assert_eq!(mutex_lock(self.mutex), 0);
            self.items.store(self.items.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            if turn % 3 == 0 {
                thread::yield_now(); // with the mutex held
            }
            assert_eq!(cond_signal(self.changed), 0);
            assert_eq!(mutex_unlock(self.mutex), 0);
        }
    }

    fn take(&self, n: usize) {
        for turn in 0..n {
            assert_eq!(mutex_lock(self.mutex), 0);
            while self.items.load(Ordering::Relaxed) == 0 {
                let result = match turn % 4 {
                    0 => cond_timed(self.changed, self.mutex, 1, 1),
                    _ => cond_wait(self.changed, self.mutex),
                };
                assert!(matches!(result, 0 | libc::ETIMEDOUT), "{result}");
                if result == libc::ETIMEDOUT {
                    // Whoever gives up hands on a signal that may have been meant for him.
                    assert_eq!(cond_signal(self.changed), 0);
                }
            }
            self.items.store(self.items.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
            assert_eq!(mutex_unlock(self.mutex), 0);
            assert_eq!(semaphore_post(self.permits), 0);
            self.taken.fetch_add(1, Ordering::Relaxed);
            if turn % 5 == 0 {
                assert_eq!(rw_write(self.table), 0);
                assert_eq!(self.writers.fetch_add(1, Ordering::SeqCst), 0);
                thread::yield_now();
                self.writers.fetch_sub(1, Ordering::SeqCst);
            } else {
                assert_eq!(rw_read(self.table), 0);
                assert_eq!(self.writers.load(Ordering::SeqCst), 0);
            }
            assert_eq!(rw_unlock(self.table), 0);
        }
    }
}

#[test]
fn two_workers_and_os_threads() {
    case("stress::two_workers_and_os_threads", 2 * LIMIT, || {
        native::load();
        // SAFETY: the library and these tests bear it.
        unsafe { sward::patch::install() }.unwrap();
        const EACH: usize = 300;
        for kind in [libc::PTHREAD_MUTEX_NORMAL, libc::PTHREAD_MUTEX_RECURSIVE] {
            let queue = Arc::new(Queue {
                mutex: mutex_new(kind, 0),
                changed: cond_new(1, 0),
                items: AtomicUsize::new(0),
                permits: semaphore_new(4),
                table: rw_new(),
                writers: AtomicUsize::new(0),
                taken: AtomicUsize::new(0),
            });
            let os: Vec<_> = (0..4)
                .map(|n| {
                    let queue = queue.clone();
                    std::thread::spawn(
                        move || if n % 2 == 0 { queue.put(EACH) } else { queue.take(EACH) },
                    )
                })
                .collect();
            sward::Builder::new().workers(2).run({
                let queue = queue.clone();
                move || {
                    let green: Vec<_> = (0..16)
                        .map(|n| {
                            let queue = queue.clone();
                            thread::spawn(move || {
                                if n % 2 == 0 { queue.put(EACH) } else { queue.take(EACH) }
                            })
                        })
                        .collect();
                    green.into_iter().for_each(|thread| thread.join().unwrap());
                }
            });
            os.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(queue.taken.load(Ordering::SeqCst), 10 * EACH);
            assert_eq!(queue.items.load(Ordering::SeqCst), 0);
        }
    });
}
