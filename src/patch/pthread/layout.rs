//! What must be known of the insides of glibc's objects, and how we know it.
//!
//! Of a mutex: fields that are part of the platform's ABI, since static initialisers are compiled into programs. Of
//! conditions and semaphores, whose insides have changed over time: nothing; where their flags are is found out by
//! making two that differ.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use libc::{c_int, pthread_cond_t, pthread_mutex_t, pthread_rwlock_t, sem_t};

use crate::patch::real;

/// The head of a `pthread_mutex_t`, on every 64-bit Linux.
#[repr(C)]
struct Mutex {
    word: AtomicI32,
    count: u32,
    /// The kernel's id of the OS thread that holds it.
    owner: AtomicI32,
    users: u32,
    kind: AtomicI32,
}

const _: () = {
    let bytes = size_of::<pthread_mutex_t>() / size_of::<c_int>();
    assert!(bytes >= 5 && size_of::<Mutex>() == 20 && align_of::<pthread_mutex_t>() >= 4);
    // SAFETY: as long as that, and without padding.
    let words: [c_int; 10] =
        unsafe { std::mem::transmute_copy(&libc::PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP) };
    assert!(words[4] == libc::PTHREAD_MUTEX_RECURSIVE, "where the kind is");
};

/// A look at a mutex.
#[derive(Clone, Copy)]
pub(super) struct View(*const Mutex);

impl View {
    /// # Safety
    /// `mutex` is valid as long as the view is used.
    pub(super) unsafe fn of(mutex: *const pthread_mutex_t) -> View {
        View(mutex.cast())
    }

    fn kind(self) -> c_int {
        // SAFETY: valid, by the contract of `of`; glibc itself reads it so.
        unsafe { &(*self.0).kind }.load(Ordering::Relaxed)
    }

    /// Whether it matters to the mutex who locks it: recursive and error-checking ones.
    #[inline]
    pub(super) fn knows_owner(self) -> bool {
        matches!(self.kind() & 3, libc::PTHREAD_MUTEX_RECURSIVE | libc::PTHREAD_MUTEX_ERRORCHECK)
    }

    /// Whether it says to be held for moments only.
    pub(super) fn is_adaptive(self) -> bool {
        self.kind() & 3 == libc::PTHREAD_MUTEX_ADAPTIVE_NP
    }

    /// Whether other processes may use it.
    pub(super) fn is_shared(self) -> bool {
        const SHARED: c_int = 128;
        self.kind() & SHARED != 0
    }

    /// Whether this OS thread holds it.
    pub(super) fn is_mine(self) -> bool {
        // SAFETY: valid, by the contract of `of`.
        let owner = unsafe { &(*self.0).owner }.load(Ordering::Relaxed);
        owner == thread_id()
    }
}

/// The kernel's id of this OS thread. (A forked child has another; nothing is hooked there.)
fn thread_id() -> c_int {
    thread_local! {
        static ID: Cell<c_int> = const { Cell::new(0) };
    }
    if ID.get() == 0 {
        // SAFETY: no arguments, no failure.
        ID.set(unsafe { libc::gettid() });
    }
    ID.get()
}

/// A flag: where it is and which bits it sets; 0 if it is not known yet. Found out once.
struct Flag(AtomicU64);

/// It could not be found out.
const NOWHERE: u64 = u64::MAX;

impl Flag {
    /// Whether `object` has the flag. `make` makes an object with or without it, in zeroed memory.
    ///
    /// # Safety
    /// `object` is valid, and is of the kind that `make` makes.
    unsafe fn is_set<T>(&self, object: *const T, make: impl Fn(*mut T, bool)) -> bool {
        let mut found = self.0.load(Ordering::Relaxed);
        if found == 0 {
            found = find(make).map_or(NOWHERE, |(at, bits)| (at as u64) << 32 | u64::from(bits));
            self.0.store(found, Ordering::Relaxed);
        }
        if found == NOWHERE {
            return false;
        }
        let (at, bits) = ((found >> 32) as usize, found as u32);
        // SAFETY: a place inside, which is aligned for a u32.
        let word = unsafe { object.cast::<AtomicU32>().add(at) };
        // SAFETY: valid, by our own contract.
        unsafe { &*word }.load(Ordering::Relaxed) & bits == bits
    }
}

/// The one word in which the two differ.
fn find<T>(make: impl Fn(*mut T, bool)) -> Option<(usize, u32)> {
    let words = size_of::<T>() / size_of::<u32>();
    let [mut without, mut with] = [MaybeUninit::<T>::zeroed(), MaybeUninit::<T>::zeroed()];
    make(without.as_mut_ptr(), false);
    make(with.as_mut_ptr(), true);
    let mut found = None;
    for at in 0..words {
        let word = |object: &MaybeUninit<T>| {
            // SAFETY: a place inside.
            let word = unsafe { object.as_ptr().cast::<u32>().add(at) };
            // SAFETY: aligned, as T is, and zeroed at least.
            unsafe { word.read() }
        };
        let (without, with) = (word(&without), word(&with));
        if without != with {
            if found.is_some() {
                return None;
            }
            found = Some((at, with & !without));
        }
    }
    found.filter(|(_, bits)| *bits != 0)
}

fn make_cond(cond: *mut pthread_cond_t, set: impl Fn(*mut libc::pthread_condattr_t)) {
    let mut attr = MaybeUninit::uninit();
    // SAFETY: makes the attributes.
    unsafe { libc::pthread_condattr_init(attr.as_mut_ptr()) };
    set(attr.as_mut_ptr());
    // SAFETY: made above; the condition is in memory of our own, and needs no destruction as nobody waits.
    unsafe { real::pthread_cond_init(cond, attr.as_ptr()) };
}

/// Whether the condition's times are on the monotonic clock.
///
/// # Safety
/// `cond` is valid.
pub(super) unsafe fn is_monotonic(cond: *const pthread_cond_t) -> bool {
    static FLAG: Flag = Flag(AtomicU64::new(0));
    let make = |cond, monotonic| {
        make_cond(cond, |attr| {
            let clock = if monotonic { libc::CLOCK_MONOTONIC } else { libc::CLOCK_REALTIME };
            // SAFETY: made by `make_cond`.
            unsafe { libc::pthread_condattr_setclock(attr, clock) };
        });
    };
    // SAFETY: the caller's duty.
    unsafe { FLAG.is_set(cond, make) }
}

/// Whether other processes may use the condition.
///
/// # Safety
/// `cond` is valid.
pub(super) unsafe fn is_shared_cond(cond: *const pthread_cond_t) -> bool {
    static FLAG: Flag = Flag(AtomicU64::new(0));
    let make = |cond, shared| {
        make_cond(cond, |attr| {
            let shared =
                if shared { libc::PTHREAD_PROCESS_SHARED } else { libc::PTHREAD_PROCESS_PRIVATE };
            // SAFETY: made by `make_cond`.
            unsafe { libc::pthread_condattr_setpshared(attr, shared) };
        });
    };
    // SAFETY: the caller's duty.
    unsafe { FLAG.is_set(cond, make) }
}

/// Whether other processes may use the read-write lock.
///
/// # Safety
/// `lock` is valid.
pub(super) unsafe fn is_shared_rwlock(lock: *const pthread_rwlock_t) -> bool {
    static FLAG: Flag = Flag(AtomicU64::new(0));
    let make = |lock, shared| {
        let mut attr = MaybeUninit::uninit();
        // SAFETY: makes the attributes.
        unsafe { libc::pthread_rwlockattr_init(attr.as_mut_ptr()) };
        let shared =
            if shared { libc::PTHREAD_PROCESS_SHARED } else { libc::PTHREAD_PROCESS_PRIVATE };
        // SAFETY: made above.
        unsafe { libc::pthread_rwlockattr_setpshared(attr.as_mut_ptr(), shared) };
        // SAFETY: made above; memory of our own.
        unsafe { libc::pthread_rwlock_init(lock, attr.as_ptr()) };
    };
    // SAFETY: the caller's duty.
    unsafe { FLAG.is_set(lock, make) }
}

/// Whether other processes may use the semaphore.
///
/// # Safety
/// `sem` is valid.
pub(super) unsafe fn is_shared_sem(sem: *const sem_t) -> bool {
    static FLAG: Flag = Flag(AtomicU64::new(0));
    // SAFETY: memory of our own.
    let make = |sem, shared| _ = unsafe { libc::sem_init(sem, c_int::from(shared), 0) };
    // SAFETY: the caller's duty.
    unsafe { FLAG.is_set(sem, make) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libc::{PTHREAD_PROCESS_PRIVATE, PTHREAD_PROCESS_SHARED};

    #[test]
    fn finds_its_way_in_conditions() {
        for clock in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC] {
            for shared in [PTHREAD_PROCESS_PRIVATE, PTHREAD_PROCESS_SHARED] {
                let mut cond = MaybeUninit::<pthread_cond_t>::zeroed();
                make_cond(cond.as_mut_ptr(), |attr| {
                    // SAFETY: made by `make_cond`.
                    unsafe { libc::pthread_condattr_setclock(attr, clock) };
                    // SAFETY: as above.
                    unsafe { libc::pthread_condattr_setpshared(attr, shared) };
                });
                // SAFETY: made above.
                let monotonic = unsafe { is_monotonic(cond.as_ptr()) };
                assert_eq!(monotonic, clock == libc::CLOCK_MONOTONIC);
                // SAFETY: made above.
                let found = unsafe { is_shared_cond(cond.as_ptr()) };
                assert_eq!(found, shared == PTHREAD_PROCESS_SHARED);
            }
        }
        let fixed = libc::PTHREAD_COND_INITIALIZER;
        // SAFETY: made above.
        assert!(!unsafe { is_monotonic(&raw const fixed) });
        // SAFETY: made above.
        assert!(!unsafe { is_shared_cond(&raw const fixed) });
    }

    #[test]
    fn finds_its_way_in_the_others() {
        for shared in [PTHREAD_PROCESS_PRIVATE, PTHREAD_PROCESS_SHARED] {
            let wanted = shared == PTHREAD_PROCESS_SHARED;
            let mut sem = MaybeUninit::<sem_t>::zeroed();
            // SAFETY: memory of our own.
            unsafe { libc::sem_init(sem.as_mut_ptr(), shared, 3) };
            // SAFETY: made above.
            assert_eq!(unsafe { is_shared_sem(sem.as_ptr()) }, wanted);

            let mut attr = MaybeUninit::uninit();
            // SAFETY: makes the attributes.
            unsafe { libc::pthread_rwlockattr_init(attr.as_mut_ptr()) };
            // SAFETY: made above.
            unsafe { libc::pthread_rwlockattr_setpshared(attr.as_mut_ptr(), shared) };
            let mut lock = MaybeUninit::<pthread_rwlock_t>::zeroed();
            // SAFETY: memory of our own, and attributes made above.
            unsafe { libc::pthread_rwlock_init(lock.as_mut_ptr(), attr.as_ptr()) };
            // SAFETY: made above.
            assert_eq!(unsafe { is_shared_rwlock(lock.as_ptr()) }, wanted);

            let mut attr = MaybeUninit::uninit();
            // SAFETY: makes the attributes.
            unsafe { libc::pthread_mutexattr_init(attr.as_mut_ptr()) };
            // SAFETY: made above.
            unsafe { libc::pthread_mutexattr_setpshared(attr.as_mut_ptr(), shared) };
            let mut mutex = MaybeUninit::<pthread_mutex_t>::zeroed();
            // SAFETY: memory of our own, and attributes made above.
            unsafe { libc::pthread_mutex_init(mutex.as_mut_ptr(), attr.as_ptr()) };
            // SAFETY: made above.
            let view = unsafe { View::of(mutex.as_ptr()) };
            assert_eq!(view.is_shared(), wanted);
            assert!(!view.is_mine());
            // SAFETY: made above.
            unsafe { real::pthread_mutex_lock(mutex.as_mut_ptr()) };
            assert!(view.is_mine());
            // SAFETY: ours.
            unsafe { real::pthread_mutex_unlock(mutex.as_mut_ptr()) };
            assert!(!view.is_mine());
        }
    }
}
