//! What the patch costs: each hook where it has nothing to do, and patched sockets beside sward's own and beside OS threads.
//!
//! ```text
//! cargo bench --bench patch                       everything
//! cargo bench --bench patch -- pass               the pass-through only (echo, tcp, pipe: the other parts)
//! ```
//!
//! *pass*: a call on an OS thread, by our function against libc's own (found by dlsym), in turns; first with the patch linked
//! in but not installed, then installed. The difference of each round is taken and the median of those printed, because what
//! the call itself takes in the kernel drifts by more. Calls are chosen to fail or to end at once.
//!
//! *echo*: one thread sends itself 64 bytes, so nothing ever waits. *tcp* and *pipe*: two threads, to and fro, so that every
//! read waits.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "that is what is measured here"
)]

mod support;

use std::ffi::CStr;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ptr::{null, null_mut};
use std::time::Instant;

use libc::{c_int, c_void};
use support::{Bench, Row, median};

const ROUNDS: usize = 9;

fn main() {
    let bench = Bench::from_args("patch", ROUNDS);
    let mut pairs = pairs();
    let before = bench.wants("pass").then(|| pass(&mut pairs));
    // SAFETY: nothing here keeps anything in a thread-local across a wait.
    unsafe { sward::patch::install() }.expect("the patch can be installed");
    if let Some(before) = before {
        let after = pass(&mut pairs);
        report(&pairs, &before, &after);
    }
    echo(&bench);
    tcp(&bench);
    pipe(&bench);
}

/// Nanoseconds per call of `f`, over `n` calls.
fn nanos(n: u64, mut f: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..n {
        f();
    }
    start.elapsed().as_nanos() as f64 / n as f64
}

// --- Pass-through -----------------------------------------------------------------------------------------------------

/// One function, ours and libc's: nanoseconds per call over so many calls.
struct Pair {
    name: &'static str,
    ours: Box<dyn Fn(u64) -> f64>,
    libcs: Box<dyn Fn(u64) -> f64>,
}

/// libc's own function.
fn find(name: &CStr) -> *mut c_void {
    // SAFETY: the name ends with NUL.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    assert!(!found.is_null(), "libc has no {name:?}");
    found
}

/// `name: type => |f| a call of f`, both by pointer, so that they differ in nothing else.
macro_rules! pair {
    ($name:ident: $type:ty => |$f:ident| $call:expr) => {{
        let name = concat!(stringify!($name), "\0");
        let found = find(CStr::from_bytes_with_nul(name.as_bytes()).expect("one NUL"));
        // SAFETY: libc's function of this name has the type that the crate libc declares.
        let libcs = unsafe { std::mem::transmute::<*mut c_void, $type>(found) };
        let ours = black_box(libc::$name as $type);
        if ours as usize == libcs as usize {
            println!("{} is not hooked", stringify!($name));
        }
        let run = |$f: $type| {
            Box::new(move |n| {
                // SAFETY: each fails at once, or is harmless.
                nanos(n, || unsafe {
                    black_box($call);
                })
            })
        };
        Pair { name: stringify!($name), ours: run(ours), libcs: run(libcs) }
    }};
}

#[rustfmt::skip] // a table
fn pairs() -> Vec<Pair> {
    use libc::{addrinfo, epoll_event, fd_set, iovec, msghdr, pid_t, pollfd, sockaddr, socklen_t, ssize_t, timespec, timeval};
    type Mutex = *mut libc::pthread_mutex_t;
    type Cond = *mut libc::pthread_cond_t;
    type Rwlock = *mut libc::pthread_rwlock_t;
    // A time that no call takes.
    static NEVER: timespec = timespec { tv_sec: 0, tv_nsec: -1 };
    let mutex = Box::leak(Box::new(libc::PTHREAD_MUTEX_INITIALIZER)) as Mutex as usize;
    let cond = Box::leak(Box::new(libc::PTHREAD_COND_INITIALIZER)) as Cond as usize;
    let rwlock = Box::leak(Box::new(libc::PTHREAD_RWLOCK_INITIALIZER)) as Rwlock as usize;
    // SAFETY: all zeroes are a semaphore of the value 0, for this process.
    let sem = Box::leak(Box::new(unsafe { std::mem::zeroed::<libc::sem_t>() })) as *mut libc::sem_t as usize;
    vec![
        pair!(recv: unsafe extern "C" fn(c_int, *mut c_void, usize, c_int) -> ssize_t => |f| f(-1, null_mut(), 0, 0)),
        pair!(recvmsg: unsafe extern "C" fn(c_int, *mut msghdr, c_int) -> ssize_t => |f| f(-1, null_mut(), 0)),
        pair!(send: unsafe extern "C" fn(c_int, *const c_void, usize, c_int) -> ssize_t => |f| f(-1, null(), 0, 0)),
        pair!(sendmsg: unsafe extern "C" fn(c_int, *const msghdr, c_int) -> ssize_t => |f| f(-1, null(), 0)),
        pair!(accept4: unsafe extern "C" fn(c_int, *mut sockaddr, *mut socklen_t, c_int) -> c_int => |f| f(-1, null_mut(), null_mut(), 0)),
        pair!(connect: unsafe extern "C" fn(c_int, *const sockaddr, socklen_t) -> c_int => |f| f(-1, null(), 0)),
        pair!(read: unsafe extern "C" fn(c_int, *mut c_void, usize) -> ssize_t => |f| f(-1, null_mut(), 0)),
        pair!(write: unsafe extern "C" fn(c_int, *const c_void, usize) -> ssize_t => |f| f(-1, null(), 0)),
        pair!(readv: unsafe extern "C" fn(c_int, *const iovec, c_int) -> ssize_t => |f| f(-1, null(), 0)),
        pair!(writev: unsafe extern "C" fn(c_int, *const iovec, c_int) -> ssize_t => |f| f(-1, null(), 0)),
        pair!(poll: unsafe extern "C" fn(*mut pollfd, libc::nfds_t, c_int) -> c_int => |f| f(null_mut(), 0, 0)),
        pair!(select: unsafe extern "C" fn(c_int, *mut fd_set, *mut fd_set, *mut fd_set, *mut timeval) -> c_int => |f| f(-1, null_mut(), null_mut(), null_mut(), null_mut())),
        pair!(epoll_wait: unsafe extern "C" fn(c_int, *mut epoll_event, c_int, c_int) -> c_int => |f| f(-1, null_mut(), 1, 0)),
        pair!(close: unsafe extern "C" fn(c_int) -> c_int => |f| f(-1)),
        pair!(fcntl: unsafe extern "C" fn(c_int, c_int, ...) -> c_int => |f| f(-1, libc::F_GETFL)),
        pair!(ioctl: unsafe extern "C" fn(c_int, libc::c_ulong, ...) -> c_int => |f| f(-1, libc::FIONBIO, null::<c_int>())),
        pair!(nanosleep: unsafe extern "C" fn(*const timespec, *mut timespec) -> c_int => |f| f(&raw const NEVER, null_mut())),
        pair!(clock_nanosleep: unsafe extern "C" fn(libc::clockid_t, c_int, *const timespec, *mut timespec) -> c_int => |f| f(libc::CLOCK_MONOTONIC, 0, &raw const NEVER, null_mut())),
        pair!(getaddrinfo: unsafe extern "C" fn(*const libc::c_char, *const libc::c_char, *const addrinfo, *mut *mut addrinfo) -> c_int => |f| f(null(), null(), null(), null_mut())),
        pair!(waitpid: unsafe extern "C" fn(pid_t, *mut c_int, c_int) -> pid_t => |f| f(-1, null_mut(), libc::WNOHANG)),
        pair!(syscall: unsafe extern "C" fn(libc::c_long, ...) -> libc::c_long => |f| f(libc::SYS_futex, null::<u32>(), -1, 0, null::<timespec>(), null::<u32>(), 0)),
        pair!(pthread_mutex_lock: unsafe extern "C" fn(Mutex) -> c_int => |f| f(mutex as Mutex) + libc::pthread_mutex_unlock(mutex as Mutex)),
        pair!(pthread_mutex_unlock: unsafe extern "C" fn(Mutex) -> c_int => |f| libc::pthread_mutex_trylock(mutex as Mutex) + f(mutex as Mutex)),
        pair!(pthread_cond_signal: unsafe extern "C" fn(Cond) -> c_int => |f| f(cond as Cond)),
        pair!(pthread_rwlock_rdlock: unsafe extern "C" fn(Rwlock) -> c_int => |f| f(rwlock as Rwlock) + libc::pthread_rwlock_unlock(rwlock as Rwlock)),
        pair!(sem_post: unsafe extern "C" fn(*mut libc::sem_t) -> c_int => |f| f(sem as *mut libc::sem_t) + libc::sem_trywait(sem as *mut libc::sem_t)),
    ]
}

/// Of one pair, in one state of the patch: what a call of libc's takes, and how much more ours, round by round.
struct Measured {
    libcs: Vec<f64>,
    more: Vec<f64>,
}

fn pass(pairs: &mut [Pair]) -> Vec<Measured> {
    // Short turns and many of them: the median then is of turns that nobody interrupted.
    const CALLS: u64 = 500;
    const TURNS: usize = 1_001;
    let measure = |pair: &mut Pair| {
        let mut measured = Measured { libcs: Vec::new(), more: Vec::new() };
        for turn in 0..=TURNS {
            // Who goes first has the colder caches.
            let (ours, libcs);
            if turn % 2 == 0 {
                ours = (pair.ours)(CALLS);
                libcs = (pair.libcs)(CALLS);
            } else {
                libcs = (pair.libcs)(CALLS);
                ours = (pair.ours)(CALLS);
            }
            if turn > 0 {
                measured.libcs.push(libcs);
                measured.more.push(ours - libcs);
            }
        }
        measured
    };
    pairs.iter_mut().map(measure).collect()
}

fn report(pairs: &[Pair], before: &[Measured], after: &[Measured]) {
    println!(
        "\npass: ns per call on an OS thread, and what the hook adds (middle half of the rounds)"
    );
    println!("  {:<24} {:>8}   {:<26} installed", "", "libc's", "not installed");
    for ((pair, before), after) in pairs.iter().zip(before).zip(after) {
        let more = |more: &[f64]| {
            let mut sorted = more.to_vec();
            sorted.sort_by(f64::total_cmp);
            let quarter = sorted.len() / 4;
            let (low, high) = (sorted[quarter], sorted[sorted.len() - 1 - quarter]);
            format!("{:>+6.1}  ({low:+.1} to {high:+.1})", median(sorted))
        };
        let libcs = median(before.libcs.clone());
        println!(
            "  {:<24} {libcs:>8.1}   {:<26} {}",
            pair.name,
            more(&before.more),
            more(&after.more)
        );
    }
}

// --- Sockets ----------------------------------------------------------------------------------------------------------

const MESSAGE: [u8; 64] = [7; 64];

fn std_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (two, _) = listener.accept().unwrap();
    one.set_nodelay(true).unwrap();
    two.set_nodelay(true).unwrap();
    (one, two)
}

fn sward_pair() -> (sward::net::TcpStream, sward::net::TcpStream) {
    let listener = sward::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let one = sward::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (two, _) = listener.accept().unwrap();
    one.set_nodelay(true).unwrap();
    two.set_nodelay(true).unwrap();
    (one, two)
}

fn green<T>(body: impl FnOnce() -> T) -> T {
    sward::Builder::new().workers(1).run(body)
}

fn send_to_itself(n: u64, (mut one, mut two): (impl Write, impl Read)) -> f64 {
    nanos(n, || {
        one.write_all(&MESSAGE).unwrap();
        two.read_exact(&mut [0; MESSAGE.len()]).unwrap();
    })
}

fn echo(bench: &Bench) {
    const N: u64 = 50_000;
    let rows = vec![
        Row::new("std::net, OS thread", || send_to_itself(N, std_pair())),
        Row::new("std::net, patched, green", || green(|| send_to_itself(N, std_pair()))),
        Row::new("sward::net, green", || green(|| send_to_itself(N, sward_pair()))),
    ];
    bench.run("echo", "ns per send and recv that do not wait", rows);
}

fn answer(n: u64, mut stream: impl Read + Write) {
    let mut message = [0; MESSAGE.len()];
    for _ in 0..n {
        stream.read_exact(&mut message).unwrap();
        stream.write_all(&message).unwrap();
    }
}

fn ask(n: u64, mut stream: impl Read + Write) -> f64 {
    let mut message = MESSAGE;
    nanos(n, || {
        stream.write_all(&message).unwrap();
        stream.read_exact(&mut message).unwrap();
    })
}

fn tcp(bench: &Bench) {
    const N: u64 = 20_000;
    let rows = vec![
        Row::new("std::net, OS threads", || {
            let (one, two) = std_pair();
            let other = std::thread::spawn(move || answer(N, two));
            let result = ask(N, one);
            other.join().unwrap();
            result
        }),
        Row::new("std::net, patched, green, one worker", || {
            green(|| {
                let (one, two) = std_pair();
                let other = sward::thread::spawn(move || answer(N, two));
                let result = ask(N, one);
                other.join().unwrap();
                result
            })
        }),
        Row::new("sward::net, green, one worker", || {
            green(|| {
                let (one, two) = sward_pair();
                let other = sward::thread::spawn(move || answer(N, two));
                let result = ask(N, one);
                other.join().unwrap();
                result
            })
        }),
    ];
    bench.run("tcp", "ns per round trip of 64 bytes", rows);
}

fn pipe(bench: &Bench) {
    const N: u64 = 20_000;
    fn ends() -> (impl Read + Write + Send, impl Read + Write + Send) {
        let (from_two, to_one) = std::io::pipe().unwrap();
        let (from_one, to_two) = std::io::pipe().unwrap();
        (Ends(from_two, to_two), Ends(from_one, to_one))
    }
    let rows = vec![
        Row::new("std pipes, OS threads", || {
            let (one, two) = ends();
            let other = std::thread::spawn(move || answer(N, two));
            let result = ask(N, one);
            other.join().unwrap();
            result
        }),
        Row::new("std pipes, patched, green, one worker", || {
            green(|| {
                let (one, two) = ends();
                let other = sward::thread::spawn(move || answer(N, two));
                let result = ask(N, one);
                other.join().unwrap();
                result
            })
        }),
    ];
    bench.run("pipe", "ns per round trip of 64 bytes", rows);
}

/// Two pipes as one stream.
struct Ends(std::io::PipeReader, std::io::PipeWriter);

impl Read for Ends {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Ends {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
