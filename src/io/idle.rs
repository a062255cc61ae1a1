//! Waiting for a descriptor without a stack: the record that is held meanwhile, and the green thread that comes of it.
//! The waiting itself is `hub`'s.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

use super::Descriptor;
use crate::fiber::{Start, Woken};
use crate::hub::clock::Moment;
use crate::hub::{self, Interrupt};

/// What can wait for its descriptor without a stack. The box that it is in is all that is held meanwhile, and who has to
/// wait again waits in the same one.
pub(crate) trait OnReadable: 'static {
    fn descriptor(&self) -> &Descriptor;

    /// Those of one group can be ended together ([`end_idle`]).
    fn group(&self) -> usize;

    /// Runs on a green thread. `why` is `Ok` if something can be read, or `TimedOut` at the deadline, or ECANCELED when the group
    /// is ended or the runtime stops.
    ///
    /// Readable means: bytes, the end of the stream or an error came. It may also mean nothing (another thread was
    /// quicker): this tries to read, and waits again if there is nothing.
    fn on_readable(self: Box<Self>, why: io::Result<()>);
}

/// Lets `waiting` run on a green thread of this worker once its descriptor is readable, and holds no stack until then
/// (DESIGN.md D4).
///
/// # Errors
/// If the descriptor cannot be watched, or the caller is not on a green thread; `waiting` is dropped.
pub(crate) fn start_when_readable(
    waiting: Box<impl OnReadable>,
    deadline: Moment,
) -> io::Result<()> {
    let hub = hub::here().ok_or_else(not_green)?;
    let descriptor = waiting.descriptor();
    descriptor.check_open()?;
    let token = hub.watch_idle(descriptor.as_fd(), descriptor.source)?;
    hub.wait_idle(token, deadline, waiting);
    Ok(())
}

/// Lets `waiting` run when its turn comes, as [`start_when_readable`] does, but without waiting: it looks itself whether there is
/// something to read, and goes there if not. For who expects that there is.
///
/// # Errors
/// If the caller is not on a green thread; `waiting` is dropped.
pub(crate) fn start_soon(waiting: Box<impl OnReadable>) -> io::Result<()> {
    let hub = hub::here().ok_or_else(not_green)?;
    hub.start_soon(waiting, Woken::Ready);
    Ok(())
}

#[cold]
fn not_green() -> io::Error {
    let why = "only a green thread can leave a descriptor to its worker";
    io::Error::new(ErrorKind::Unsupported, why)
}

impl<W: OnReadable> Start for W {
    fn group(&self) -> usize {
        OnReadable::group(self)
    }

    fn start(self: Box<Self>, why: Woken) {
        let why = match why {
            Woken::Ready => Ok(()),
            Woken::TimedOut => Err(Interrupt::TimedOut.into_io()),
            Woken::Cancelled => Err(Interrupt::Cancelled.into_io()),
        };
        hub::runtime::run_detached(move || self.on_readable(why));
    }
}

/// Starts, with ECANCELED, everything of `group` that waits on the caller's worker without a stack. Returns how
/// many there were.
pub(crate) fn end_idle(group: usize) -> usize {
    hub::here().map_or(0, |hub| hub.end_idle(Some(group)))
}
