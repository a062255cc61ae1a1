//! Child processes: between fork and exec nothing is hooked, and without an exec neither. And how a panic ends.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode};

use crate::{ABORTS, Checked, ensure, meanwhile, text, when_others_ran};

/// As much as a child may do that waits: each call would park, and nobody is there to wake it.
fn wait_in_the_child(fd: libc::c_int) -> bool {
    let time = libc::timespec { tv_sec: 0, tv_nsec: 5_000_000 };
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut byte = 0_u8;
    // SAFETY: plain calls on memory of this frame.
    unsafe {
        libc::nanosleep(&time, std::ptr::null_mut()) == 0
            && libc::poll(&mut poll, 1, -1) == 1
            && libc::read(fd, (&raw mut byte).cast(), 1) == 1
            && libc::sched_yield() == 0
            && byte == b'x'
    }
}

/// `Command` with a closure that waits between fork and exec.
pub(crate) fn pre_exec() -> Checked {
    let (reader, mut writer) = std::io::pipe().map_err(text)?;
    let fd = reader.as_raw_fd();
    let mut command = Command::new("sh");
    command.args(["-c", "echo executed"]);
    // SAFETY: it makes system calls only.
    unsafe {
        command.pre_exec(move || match wait_in_the_child(fd) {
            true => Ok(()),
            false => Err(std::io::Error::from_raw_os_error(libc::EPROTO)),
        })
    };
    // `spawn` waits until the child has become another program.
    let output = meanwhile(|| {
        let opener = when_others_ran(move || drop(writer.write_all(b"x")));
        let output = command.output();
        opener.join().map_err(text)?;
        output.map_err(text)
    })??;
    ensure(output.status.success() && output.stdout == b"executed\n", output)
}

/// A child that goes on as a copy of this program, on the stack of a green thread.
pub(crate) fn fork() -> Checked {
    let (reader, mut writer) = std::io::pipe().map_err(text)?;
    let fd = reader.as_raw_fd();
    // SAFETY: the child makes system calls only, and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let fine = wait_in_the_child(fd);
        // SAFETY: ends the child, running nothing of the parent's.
        unsafe { libc::_exit(if fine { 7 } else { 8 }) };
    }
    ensure(pid > 0, "fork fails")?;
    let status = meanwhile(|| {
        let opener = when_others_ran(move || drop(writer.write_all(b"x")));
        let mut status = 0;
        // SAFETY: our own child.
        let ended = unsafe { libc::waitpid(pid, &mut status, 0) };
        opener.join().map_err(text)?;
        ensure(ended == pid, ended).map(|()| status)
    })??;
    ensure(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, status)
}

/// In a program of its own, which ends at the panic if this build has it so.
pub(crate) fn panic() -> Checked {
    let me = std::env::current_exe().map_err(text)?;
    let output = Command::new(me).arg("--panics").output().map_err(text)?;
    let expected = if ABORTS {
        output.status.signal() == Some(libc::SIGABRT)
    } else {
        output.status.success() && output.stdout == b"survived\n"
    };
    ensure(expected && String::from_utf8_lossy(&output.stderr).contains("on purpose"), output)
}

/// That program: a green thread panics right after a patched call, and others go on.
pub(crate) fn panics() -> ExitCode {
    let survived = sward::Builder::new().workers(1).run(|| {
        let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
        let panics = sward::thread::spawn(move || {
            let _ = reader.read(&mut [0]);
            panic!("on purpose");
        });
        sward::thread::yield_now();
        writer.write_all(b"x").expect("somebody reads");
        panics.join().is_err() && crate::rust::sleep().is_ok()
    });
    if survived {
        println!("survived");
    }
    ExitCode::from(u8::from(!survived))
}
