//! The report of a stack overflow: a SIGSEGV handler that recognises the guard of the running green thread.
//!
//! What it does: prints one line on stderr and aborts. What it does not: recover. A fault anywhere else is
//! passed to the handler that was there before (std's, which reports overflows of OS threads), or to the default.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

/// Given the address of a fault, writes the report if the fault is an overflow. Runs inside a signal handler on
/// an alternate stack: no allocation, no locks, no unwinding.
pub(crate) type Describe = fn(address: usize, line: &mut Line) -> bool;

/// A line of text being put together without allocation; what does not fit is cut off.
#[derive(Debug)]
pub(crate) struct Line {
    bytes: [u8; 400],
    len: usize,
}

impl Line {
    pub(crate) fn text(&mut self, text: &str) {
        let room = self.bytes.len() - self.len;
        let take = text.len().min(room);
        self.bytes[self.len..self.len + take].copy_from_slice(&text.as_bytes()[..take]);
        self.len += take;
    }

    pub(crate) fn number(&mut self, mut n: u64) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        // OK to unwrap: ASCII digits only.
        self.text(std::str::from_utf8(&digits[at..]).unwrap_or(""));
    }
}

struct Handler {
    describe: Describe,
    previous: libc::sigaction,
}

static HANDLER: OnceLock<Handler> = OnceLock::new();

/// Installs the handler, once per process.
pub(crate) fn install(describe: Describe) {
    HANDLER.get_or_init(|| {
        let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: a null new action only reads the present one into `previous`.
        unsafe { libc::sigaction(libc::SIGSEGV, ptr::null(), previous.as_mut_ptr()) };
        // SAFETY: zeroed, then filled by the kernel.
        let previous = unsafe { previous.assume_init() };
        Handler { describe, previous }
    });
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all-zero is a valid sigaction: no flags, empty mask, default handler.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `on_fault` has the signature that SA_SIGINFO asks for and does only async-signal-safe things.
    unsafe { libc::sigaction(libc::SIGSEGV, action, ptr::null_mut()) };
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo_t to an SA_SIGINFO handler.
    let info_here = unsafe { &*info };
    // SAFETY: SIGSEGV is one of the signals that have an address.
    let address = unsafe { info_here.si_addr() } as usize;
    let Some(handler) = HANDLER.get() else { return };
    let mut line = Line { bytes: [0; 400], len: 0 };
    if (handler.describe)(address, &mut line) {
        #[allow(
            clippy::disallowed_methods,
            reason = "the last words of the process: nobody parks"
        )]
        // SAFETY: write(2) is async-signal-safe, and the bytes are ours.
        unsafe {
            libc::write(2, line.bytes.as_ptr().cast(), line.len)
        };
        // SAFETY: abort(3) is async-signal-safe.
        unsafe { libc::abort() };
    }
    pass_on(&handler.previous, signal, info, context);
}

fn pass_on(
    previous: &libc::sigaction,
    signal: i32,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    let to = previous.sa_sigaction;
    if to == libc::SIG_DFL || to == libc::SIG_IGN {
        // Back to the default; the faulting instruction runs again and ends the process with the right status.
        // SAFETY: restores an action that the kernel gave us.
        unsafe { libc::sigaction(libc::SIGSEGV, previous, ptr::null_mut()) };
    } else if previous.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: the previous owner registered this address with SA_SIGINFO, hence with this signature.
        let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void) =
            unsafe { std::mem::transmute(to) };
        handler(signal, info, context);
    } else {
        // SAFETY: registered without SA_SIGINFO, hence with this signature.
        let handler: extern "C" fn(i32) = unsafe { std::mem::transmute(to) };
        handler(signal);
    }
}

/// An alternate signal stack for this OS thread; given back on drop, by the same thread.
#[derive(Debug)]
pub(crate) struct AltStack {
    memory: Option<Box<[u8]>>,
}

impl AltStack {
    const SIZE: usize = 64 * 1024;

    /// Gives this thread an alternate stack unless it has one (std gives one to the threads it starts).
    pub(crate) fn ensure() -> Self {
        let mut present = MaybeUninit::<libc::stack_t>::zeroed();
        // SAFETY: a null new stack only reads the present one.
        unsafe { libc::sigaltstack(ptr::null(), present.as_mut_ptr()) };
        // SAFETY: zeroed, then filled by the kernel.
        let present = unsafe { present.assume_init() };
        if present.ss_flags & libc::SS_DISABLE == 0 && present.ss_size >= libc::SIGSTKSZ {
            return AltStack { memory: None };
        }
        let mut memory = vec![0u8; Self::SIZE].into_boxed_slice();
        let stack =
            libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: Self::SIZE };
        // SAFETY: the memory outlives its use: `drop` disables it before the box goes.
        unsafe { libc::sigaltstack(&stack, ptr::null_mut()) };
        AltStack { memory: Some(memory) }
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        if self.memory.is_some() {
            let off =
                libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: disables the stack that `ensure` installed on this thread.
            unsafe { libc::sigaltstack(&off, ptr::null_mut()) };
        }
    }
}
