//! A function that its owner lends out for as long as a call of his lasts: others, on any thread, may call it meanwhile
//! through a handle that they keep, and find it gone afterwards.
//!
//! For what cannot be owned by those who need it now and then: `http`'s heartbeats send on connections that belong to
//! frames of other threads. Not for long functions: the owner waits for a call that is under way, and the next caller
//! too.

use std::io;
use std::sync::Arc;

use crate::sys::Lock;

/// What can be lent: it gets bytes, or `None`, and must neither wait nor call its own handle.
pub(crate) type Function<'f> = dyn Fn(Option<&[u8]>) -> io::Result<usize> + Sync + 'f;

/// The handle.
pub(crate) struct Lent {
    /// Null when the owner has taken it back.
    function: Lock<Option<Pointer>>,
}

struct Pointer(*const Function<'static>);

// SAFETY: what it points to is `Sync`, and it is used under the lock only.
unsafe impl Send for Pointer {}

impl Lent {
    /// Runs `body`, during which the handle that it gets can be used to call `function`.
    pub(crate) fn scope<T>(function: &Function<'_>, body: impl FnOnce(&Arc<Lent>) -> T) -> T {
        struct Back(Arc<Lent>);
        impl Drop for Back {
            fn drop(&mut self) {
                *self.0.function.lock() = None;
            }
        }
        let pointer: *const Function<'_> = function;
        // SAFETY: only the lifetime is changed. The pointer is used by `call` under the lock, and this frame, which
        // borrows the function, takes it out under the same lock before it ends, by an unwind too.
        let pointer = unsafe {
            std::mem::transmute::<*const Function<'_>, *const Function<'static>>(pointer)
        };
        let lent = Arc::new(Lent { function: Lock::new(Some(Pointer(pointer))) });
        let back = Back(lent);
        body(&back.0)
    }

    /// Calls the function; `None` if its owner has taken it back.
    pub(crate) fn call(&self, bytes: Option<&[u8]>) -> Option<io::Result<usize>> {
        let function = self.function.lock();
        let pointer = function.as_ref()?;
        // SAFETY: it is there, so its owner is still in `scope`, and cannot leave before we let go of the lock.
        Some(unsafe { &*pointer.0 }(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn can_be_called_inside_the_scope_only() {
        let calls = AtomicUsize::new(0);
        let add = |bytes: Option<&[u8]>| {
            Ok(calls.fetch_add(bytes.map_or(1, <[u8]>::len), Ordering::SeqCst))
        };
        let kept = Lent::scope(&add, |lent| {
            let theirs = lent.clone();
            std::thread::spawn(move || theirs.call(Some(b"four")))
                .join()
                .unwrap()
                .unwrap()
                .unwrap();
            assert_eq!(lent.call(None).unwrap().unwrap(), 4);
            lent.clone()
        });
        assert!(kept.call(None).is_none());
        assert_eq!(calls.load(Ordering::SeqCst), 5);
    }

    #[test]
    fn an_unwind_takes_it_back() {
        let mut kept = None;
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            Lent::scope(&|_| Ok(0), |lent| {
                kept = Some(lent.clone());
                std::panic::resume_unwind(Box::new(()));
            })
        }));
        assert!(ran.is_err() && kept.unwrap().call(None).is_none());
    }

    /// The owner does not leave while somebody is at it.
    #[test]
    fn its_owner_waits_for_a_call_that_is_under_way() {
        for _ in 0..200 {
            let alive = AtomicUsize::new(1);
            let function = |_: Option<&[u8]>| {
                std::thread::yield_now();
                Ok(alive.load(Ordering::SeqCst))
            };
            let caller = Lent::scope(&function, |lent| {
                let theirs = lent.clone();
                let caller = std::thread::spawn(move || {
                    let mut results = 0;
                    while let Some(result) = theirs.call(None) {
                        assert_eq!(result.unwrap(), 1);
                        results += 1;
                    }
                    results
                });
                std::thread::yield_now();
                caller
            });
            alive.store(0, Ordering::SeqCst);
            caller.join().unwrap();
        }
    }
}
