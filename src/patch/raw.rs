//! System calls by instruction: for what must work without libc, or must not be seen by our own hooks.
//!
//! Not a place for logic. Results are the kernel's: a negative number is an error's, negated.

use libc::{c_int, c_long};

use super::errno::{self, Failure};

/// A system call with up to six arguments; unused ones are 0.
///
/// # Safety
/// As the system call `number` demands of its arguments.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn syscall6(number: c_long, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = args;
    let result: isize;
    // SAFETY: the kernel's calling convention: number in rax, arguments as below, rcx and r11 lost.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A system call with up to six arguments; unused ones are 0.
///
/// # Safety
/// As the system call `number` demands of its arguments.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(super) unsafe fn syscall6(number: c_long, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = args;
    let result: isize;
    // SAFETY: the kernel's calling convention: number in x8, arguments and result as below.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            in("x4") e,
            in("x5") f,
            options(nostack),
        );
    }
    result
}

/// What libc would return for `result`: errors go to errno.
#[inline(always)]
pub(super) fn answer<T: Failure + Narrow>(result: isize) -> T {
    if (-4095..0).contains(&result) {
        errno::set(-result as c_int);
        return T::FAILED;
    }
    T::narrow(result)
}

/// From the width of a register to the width of a C type.
pub(super) trait Narrow {
    /// Cuts to size; the kernel's results fit.
    fn narrow(value: isize) -> Self;
}

impl Narrow for c_int {
    #[inline(always)]
    fn narrow(value: isize) -> Self {
        value as c_int
    }
}

impl Narrow for isize {
    #[inline(always)]
    fn narrow(value: isize) -> Self {
        value
    }
}

impl Narrow for c_long {
    #[inline(always)]
    fn narrow(value: isize) -> Self {
        value as c_long
    }
}

/// `syscall!(SYS_x, a, b, ...)`: the kernel's answer as libc would give it. Inside an `unsafe` block.
macro_rules! syscall {
    (@pad) => { [0, 0, 0, 0, 0, 0] };
    (@pad $a:expr) => { [$a as usize, 0, 0, 0, 0, 0] };
    (@pad $a:expr, $b:expr) => { [$a as usize, $b as usize, 0, 0, 0, 0] };
    (@pad $a:expr, $b:expr, $c:expr) => { [$a as usize, $b as usize, $c as usize, 0, 0, 0] };
    (@pad $a:expr, $b:expr, $c:expr, $d:expr) => {
        [$a as usize, $b as usize, $c as usize, $d as usize, 0, 0]
    };
    (@pad $a:expr, $b:expr, $c:expr, $d:expr, $e:expr) => {
        [$a as usize, $b as usize, $c as usize, $d as usize, $e as usize, 0]
    };
    (@pad $a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr) => {
        [$a as usize, $b as usize, $c as usize, $d as usize, $e as usize, $f as usize]
    };
    ($number:expr $(, $arg:expr)* $(,)?) => {
        $crate::patch::raw::answer($crate::patch::raw::syscall6(
            $number,
            $crate::patch::raw::syscall!(@pad $($arg),*),
        ))
    };
}
pub(super) use syscall;
