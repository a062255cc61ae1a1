//! Waiting for a descriptor without a stack: the record that is held meanwhile, and the green thread that comes of it.
//! The waiting itself is `hub`'s.
#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::Instant;

use super::Descriptor;
use crate::fiber::{Start, Woken};
use crate::hub::{self, Interrupt};

/// Runs `f` on a fresh green thread of this worker once `d` is readable, and holds no stack until then, only the two
/// (DESIGN.md D4). `d` is the descriptor, or whatever keeps it. `f` gets `Ok`, or `TimedOut` at the deadline, or ECANCELED when its group is ended ([`end_idle`]) or
/// the runtime stops.
///
/// Readable means: bytes, the end of the stream or an error came. It may also mean nothing (another thread was
/// quicker): `f` tries to read, and comes back here if there is nothing.
///
/// # Errors
/// If the descriptor cannot be watched, or the caller is not on a green thread; `d` and `f` are dropped.
pub(crate) fn start_when_readable<D, F>(
    d: D,
    group: usize,
    deadline: Option<Instant>,
    f: F,
) -> io::Result<()>
where
    D: Borrow<Descriptor> + 'static,
    F: FnOnce(D, io::Result<()>) + 'static,
{
    let hub = hub::here().ok_or_else(not_green)?;
    let descriptor: &Descriptor = d.borrow();
    descriptor.check_open()?;
    let token = hub.watch_idle(descriptor.as_fd(), descriptor.source)?;
    hub.wait_idle(token, deadline, Box::new(Idle { d, group, f }));
    Ok(())
}

/// Runs `f` on a fresh green thread of this worker when its turn comes, as [`start_when_readable`] does, but without waiting:
/// `f` looks itself whether there is something to read, and goes there if not. For who expects that there is.
///
/// # Errors
/// If the caller is not on a green thread; `d` and `f` are dropped.
pub(crate) fn start_soon<D, F>(d: D, group: usize, f: F) -> io::Result<()>
where
    D: Borrow<Descriptor> + 'static,
    F: FnOnce(D, io::Result<()>) + 'static,
{
    let hub = hub::here().ok_or_else(not_green)?;
    hub.start_soon(Box::new(Idle { d, group, f }), Woken::Ready);
    Ok(())
}

#[cold]
fn not_green() -> io::Error {
    let why = "only a green thread can leave a descriptor to its worker";
    io::Error::new(ErrorKind::Unsupported, why)
}

/// All that is held of what waits without a stack.
struct Idle<D, F> {
    d: D,
    group: usize,
    f: F,
}

impl<D, F: FnOnce(D, io::Result<()>)> Start for Idle<D, F> {
    fn group(&self) -> usize {
        self.group
    }

    fn start(self: Box<Self>, why: Woken) {
        let why = match why {
            Woken::Ready => Ok(()),
            Woken::TimedOut => Err(Interrupt::TimedOut.into_io()),
            Woken::Cancelled => Err(Interrupt::Cancelled.into_io()),
        };
        // Taken apart in there, as what is moved to be moved again stays on the stack twice.
        hub::runtime::run_detached(move || {
            let Idle { d, f, .. } = *self;
            f(d, why);
        });
    }
}

/// Starts, with ECANCELED, everything of `group` that waits on the caller's worker without a stack. Returns how
/// many there were.
pub(crate) fn end_idle(group: usize) -> usize {
    hub::here().map_or(0, |hub| hub.end_idle(Some(group)))
}
