//! Child processes: std's `Command`, and waitpid's kin.

#![allow(clippy::zombie_processes, reason = "what waits for them is the call under test")]

use std::ffi::{CStr, CString};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::ptr;
use std::time::Instant;

use libc::{c_int, idtype_t, pid_t, rusage, siginfo_t};

use super::*;

unsafe extern "C" {
    fn wait3(status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t;
}

/// What it has of ours would keep a test that failed from ending.
fn quiet(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn sleeper(seconds: &str) -> Child {
    quiet(Command::new("sleep").arg(seconds))
}

fn pid(child: &Child) -> pid_t {
    child.id() as pid_t
}

fn waitpid(pid: pid_t, options: c_int) -> (pid_t, c_int) {
    let mut status = -1;
    // SAFETY: writes to `status`.
    (unsafe { libc::waitpid(pid, &raw mut status, options) }, status)
}

#[test]
fn fifty_of_a_second() {
    alone("process::fifty_of_a_second", || {
        // A machine that is busy with other tests may be slow to start 50 processes: one of three will do. One after
        // the other they would take 50 s.
        let attempt = || {
            let start = Instant::now();
            let waiters: Vec<_> = (0..50).map(|_| thread::spawn(sleep_a_second)).collect();
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
            start.elapsed() < 3 * SECOND / 2
        };
        assert!((0..3).any(|_| attempt()), "never under 1.5 s");
    });
}

fn sleep_a_second() {
    let began = Instant::now();
    assert!(Command::new("sleep").arg("1").status().unwrap().success());
    assert!(began.elapsed() >= SECOND);
}

#[test]
fn output() {
    alone("process::output", || {
        let script = "echo out; echo err >&2; sleep 0.1; echo more; exit 3";
        let output = cooperative(|| Command::new("sh").args(["-c", script]).output()).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((output.stdout, output.stderr), (b"out\nmore\n".into(), b"err\n".into()));
        // More than pipes hold, both ways at once.
        let script = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2";
        let output = cooperative(|| Command::new("sh").args(["-c", script]).output()).unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (300_000, 300_000));
        // Many at once.
        let children: Vec<_> = (0..20)
            .map(|n| {
                thread::spawn(move || {
                    let script = format!("sleep 0.2; echo {n}");
                    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
                    assert_eq!(output.stdout, format!("{n}\n").into_bytes());
                })
            })
            .collect();
        children.into_iter().for_each(|child| child.join().unwrap());
    });
}

/// A child that ends when another green thread lets go of what it reads; `then` is the end of a shell's line.
struct Told {
    pid: pid_t,
    stdin: ChildStdin,
}

fn told(then: &str) -> Told {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("cat; {then}")]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    Told { pid: pid(&child), stdin: child.stdin.take().unwrap() }
}

impl Told {
    /// Makes `call` while another green thread lets this child end.
    fn during<T>(self, call: impl FnOnce() -> T) -> (pid_t, T) {
        (self.pid, while_another(move || drop(self.stdin), call))
    }
}

#[test]
fn by_pid() {
    alone("process::by_pid", || {
        let child = told("exit 5");
        let twin = child.pid;
        let (pid, (got, status)) = child.during(|| waitpid(twin, 0));
        assert_eq!((got, libc::WEXITSTATUS(status)), (pid, 5));
        assert_eq!((waitpid(pid, 0).0, errno()), (-1, libc::ECHILD));
        let child = told("exit 6");
        let twin = child.pid;
        // SAFETY: all zeroes are valid.
        let mut usage: rusage = unsafe { std::mem::zeroed() };
        let mut status = 0;
        // SAFETY: writes to both.
        let wait = || unsafe { libc::wait4(twin, &raw mut status, 0, &raw mut usage) };
        let (pid, got) = child.during(wait);
        assert_eq!((got, libc::WEXITSTATUS(status)), (pid, 6));
        assert!(usage.ru_maxrss > 0);
        assert_eq!(pool_threads(), 0, "a pidfd tells");
    });
}

#[test]
fn any_child() {
    alone("process::any_child", || {
        // SAFETY: no status is wanted.
        let wait = || unsafe { libc::wait(ptr::null_mut()) };
        // SAFETY: nothing is wanted.
        let wait3 = || unsafe { wait3(ptr::null_mut(), 0, ptr::null_mut()) };
        let ways: [&dyn Fn() -> pid_t; 4] =
            [&wait, &wait3, &|| waitpid(-1, 0).0, &|| waitpid(0, 0).0];
        for way in ways {
            let (late, early) = (told("exit"), told("exit"));
            for child in [early, late] {
                let (pid, got) = child.during(way);
                assert_eq!(got, pid);
            }
            assert_eq!((way(), errno()), (-1, libc::ECHILD));
        }
        let leader = quiet(Command::new("sleep").arg("20").process_group(0));
        let mut member = Command::new("cat");
        member.stdin(Stdio::piped()).process_group(pid(&leader));
        let mut member = member.spawn().unwrap();
        let act = {
            let stdin = member.stdin.take();
            move || drop(stdin)
        };
        let got = while_another(act, || waitpid(-pid(&leader), 0).0);
        assert_eq!(got, pid(&member), "of a group");
        // SAFETY: a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(pid(&leader), libc::SIGKILL) }, 0);
        assert_eq!(waitpid(-1, 0).0, pid(&leader));
        // Two who ask the same, and each gets one.
        let children = [sleeper("0.1"), sleeper("0.2")];
        let waiters = [0; 2].map(|_| thread::spawn(|| waitpid(-1, 0).0));
        let mut got = waiters.map(|waiter| waiter.join().unwrap());
        let mut wanted = [pid(&children[0]), pid(&children[1])];
        got.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(got, wanted);
    });
}

fn waitid(kind: idtype_t, id: libc::id_t, options: c_int) -> (c_int, pid_t, c_int) {
    // SAFETY: all zeroes are valid.
    let mut info: siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: writes to `info`.
    let result = unsafe { libc::waitid(kind, id, &raw mut info, options) };
    // SAFETY: waitid fills these, or they are zero.
    (result, unsafe { info.si_pid() }, info.si_code)
}

#[test]
fn by_waitid() {
    alone("process::by_waitid", || {
        let (child, exited) = (told("exit"), libc::WEXITED);
        let id = child.pid as libc::id_t;
        let (pid, seen) = child.during(|| waitid(libc::P_PID, id, exited | libc::WNOWAIT));
        assert_eq!(seen, (0, pid, libc::CLD_EXITED));
        assert_eq!(waitid(libc::P_PID, id, exited), seen, "it is still there");
        // SAFETY: our child's.
        let pidfd =
            |pid: pid_t, flags: c_int| unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) };
        let child = told("exit");
        let by_fd = pidfd(child.pid, 0) as libc::id_t;
        let (pid, (_, got, _)) = child.during(|| waitid(libc::P_PIDFD, by_fd, exited));
        assert_eq!(got, pid);
        let child = told("exit");
        let by_fd = pidfd(child.pid, libc::O_NONBLOCK) as libc::id_t;
        assert_eq!((waitid(libc::P_PIDFD, by_fd, exited).0, errno()), (-1, libc::EAGAIN));
        let (pid, (_, got, _)) = child.during(|| waitid(libc::P_ALL, 0, exited));
        assert_eq!(got, pid);
        let child = told("exit");
        let id = child.pid as libc::id_t;
        // SAFETY: nothing is to be written.
        let wait = || unsafe { libc::waitid(libc::P_PID, id, ptr::null_mut(), exited) };
        assert_eq!(child.during(wait).1, 0);
        assert_eq!((waitid(libc::P_PID, id, exited).0, errno()), (-1, libc::ECHILD));
    });
}

/// Children of this very OS thread only: nobody can wait in its stead.
#[test]
fn of_this_thread_only_pins() {
    alone("process::of_this_thread_only_pins", || {
        let child = sleeper("0.05");
        let before = pinned(sward::patch::PinKind::Unsupported);
        let ((got, _), ran) = beside(|| waitpid(-1, libc::__WNOTHREAD));
        assert_eq!((got, ran), (pid(&child), 0));
        assert_eq!(pinned(sward::patch::PinKind::Unsupported), before + 1);
    });
}

/// A pidfd tells only of the end.
#[test]
fn stopped_and_continued() {
    alone("process::stopped_and_continued", || {
        let child = sleeper("20");
        let twin = pid(&child);
        let wait = |signal, options| {
            let act = move || {
                // SAFETY: a child that has not been waited for: the number is its.
                unsafe { libc::kill(twin, signal) };
            };
            while_another(act, || waitpid(twin, options)).1
        };
        assert!(libc::WIFSTOPPED(wait(libc::SIGSTOP, libc::WUNTRACED)));
        assert!(libc::WIFCONTINUED(wait(libc::SIGCONT, libc::WCONTINUED)));
        assert!(libc::WIFSIGNALED(wait(libc::SIGKILL, libc::WUNTRACED)));
    });
}

#[test]
fn a_question_never_switches() {
    alone("process::a_question_never_switches", || {
        let mut child = sleeper("20");
        let ask = || {
            let start = Instant::now();
            while start.elapsed() < 5 * TICK {
                assert_eq!(waitpid(pid(&child), libc::WNOHANG).0, 0);
                assert_eq!(waitid(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG).1, 0);
            }
        };
        assert_eq!(beside(ask).1, 0);
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn cut_short() {
    alone("process::cut_short", || {
        let mut child = sleeper("20");
        let wait = || sward::timeout(50 * TICK, || child.wait().unwrap_err().kind());
        assert_eq!(takes(50 * TICK, 5 * SECOND, wait), Ok(ErrorKind::TimedOut));
        // However often: one thread of the pool is taken, not one each.
        for _ in 0..30 {
            let wait = || (waitpid(-1, 0).0, errno());
            assert_eq!(sward::timeout(5 * TICK, wait), Ok((-1, libc::ETIMEDOUT)));
        }
        assert!(pool_threads() < 5, "{} threads", pool_threads());
        let waiter = thread::spawn(|| (waitpid(-1, 0).0, errno()));
        thread::sleep(20 * TICK);
        waiter.cancel();
        assert_eq!(waiter.join().unwrap(), (-1, libc::ECANCELED));
        // The last one gets what the abandoned ones waited for.
        let twin = pid(&child);
        let act = move || {
            // SAFETY: a child that has not been waited for.
            unsafe { libc::kill(twin, libc::SIGKILL) };
        };
        assert_eq!(while_another(act, || waitpid(-1, 0)).0, pid(&child));
        assert_eq!((waitpid(pid(&child), 0).0, errno()), (-1, libc::ECHILD));
    });
}

#[test]
fn by_shell() {
    alone("process::by_shell", || {
        // SAFETY: a C string.
        let system = |command: &CStr| unsafe { libc::system(command.as_ptr()) };
        let (command, writer) = until_written("exit 7");
        let status = while_another(move || drop(writer), || system(&command));
        assert_eq!(libc::WEXITSTATUS(status), 7);
        // SAFETY: null asks whether there is a shell.
        assert_ne!(unsafe { libc::system(ptr::null()) }, 0);
        let cut = || sward::timeout(50 * TICK, || (system(c"sleep 4 >&- 2>&-"), errno()));
        assert_eq!(takes(50 * TICK, 3 * SECOND, cut), Ok((-1, libc::ETIMEDOUT)));
        let (command, writer) = until_written("exit 9");
        // SAFETY: two C strings.
        let stream = unsafe { libc::popen(command.as_ptr(), c"r".as_ptr()) };
        assert!(!stream.is_null());
        // SAFETY: popen's, and closed once.
        let close = || unsafe { libc::pclose(stream) };
        let status = while_another(move || drop(writer), close);
        assert_eq!(libc::WEXITSTATUS(status), 9);
    });
}

/// A shell's line that ends when the pipe's end is dropped.
fn until_written(then: &str) -> (CString, OwnedFd) {
    let (reader, writer) = pipe();
    // SAFETY: takes a number; the copy is not closed at exec.
    let inherited = unsafe { libc::dup(reader.as_raw_fd()) };
    let line = format!("cat /proc/self/fd/{inherited} >&-; {then}");
    (CString::new(line).unwrap(), writer)
}

/// Killed while the parent reads: both pipes end, and the status says why.
#[test]
fn a_child_that_is_killed() {
    alone("process::a_child_that_is_killed", || {
        let mut command = Command::new("sleep");
        command.arg("20").stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let twin = pid(&child);
        let act = move || {
            // SAFETY: a child that has not been waited for.
            unsafe { libc::kill(twin, libc::SIGKILL) };
        };
        let output = while_another(act, || child.wait_with_output()).unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9));
    });
}
