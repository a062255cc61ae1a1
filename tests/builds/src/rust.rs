//! What Rust programs wait in, through std alone.

use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::Duration;

use crate::{Checked, ensure, meanwhile, on_the_pool, text, when_others_ran};

pub(crate) fn sleep() -> Checked {
    meanwhile(|| std::thread::sleep(Duration::from_millis(20)))
}

/// A server and its clients, green threads of one worker. No answer comes before all are connected.
pub(crate) fn tcp() -> Checked {
    const CLIENTS: usize = 50;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(text)?;
    let addr = listener.local_addr().map_err(text)?;
    let all = Arc::new(Barrier::new(CLIENTS));
    let server = sward::thread::spawn(move || {
        let serve = |mut stream: TcpStream, all: Arc<Barrier>| {
            let mut word = [0; 5];
            stream.read_exact(&mut word).map_err(text)?;
            all.wait();
            stream.write_all(&word).map_err(text)
        };
        let connections: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (stream, all) = (listener.accept().map_err(text)?.0, all.clone());
                Ok(sward::thread::spawn(move || serve(stream, all)))
            })
            .collect::<Result<_, String>>()?;
        connections.into_iter().try_for_each(|one| one.join().map_err(text)?)
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            sward::thread::spawn(move || {
                let mut stream = TcpStream::connect(addr).map_err(text)?;
                stream.write_all(b"hello").map_err(text)?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).map_err(text)?;
                ensure(answer == "hello", answer)
            })
        })
        .collect();
    clients.into_iter().try_for_each(|one| one.join().map_err(text)?)?;
    server.join().map_err(text)?
}

/// Who has the lock sleeps, and the others want it.
pub(crate) fn mutex() -> Checked {
    let count = Arc::new(Mutex::new(0));
    let threads: Vec<_> = (0..20)
        .map(|_| {
            let count = count.clone();
            sward::thread::spawn(move || {
                let mut count = count.lock().unwrap();
                let before = *count;
                std::thread::sleep(Duration::from_millis(1));
                *count = before + 1;
            })
        })
        .collect();
    threads.into_iter().try_for_each(|one| one.join().map_err(text))?;
    let count = *count.lock().map_err(text)?;
    ensure(count == 20, count)
}

pub(crate) fn condvar() -> Checked {
    meanwhile(|| {
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let theirs = pair.clone();
        let waker = when_others_ran(move || {
            *theirs.0.lock().unwrap() = true;
            theirs.1.notify_one();
        });
        drop(pair.1.wait_while(pair.0.lock().unwrap(), |ready| !*ready));
        waker.join().map_err(text)
    })?
}

pub(crate) fn park() -> Checked {
    meanwhile(|| {
        let (flag, me) = (Arc::new(AtomicBool::new(false)), std::thread::current());
        let theirs = flag.clone();
        let waker = when_others_ran(move || {
            theirs.store(true, SeqCst);
            me.unpark();
        });
        while !flag.load(SeqCst) {
            std::thread::park();
        }
        waker.join().map_err(text)
    })?
}

pub(crate) fn join() -> Checked {
    meanwhile(|| when_others_ran(|| ()).join().map_err(text))?
}

pub(crate) fn dns() -> Checked {
    // Many times, as one is soon over, for the kernel's counters too.
    on_the_pool(|| {
        (0..50).try_for_each(|_| {
            let found = "localhost:80".to_socket_addrs().map_err(text)?.count();
            ensure(found > 0, "localhost has no address")
        })
    })?
}

pub(crate) fn command() -> Checked {
    let output = meanwhile(|| Command::new("sh").args(["-c", "sleep 0.05; echo done"]).output())?;
    let output = output.map_err(text)?;
    ensure(output.status.success() && output.stdout == b"done\n", output)
}

pub(crate) fn timeout() -> Checked {
    let (mut silent, _other) = UnixStream::pair().map_err(text)?;
    // Without the patch it ends all the same, with another error.
    silent.set_read_timeout(Some(Duration::from_secs(2))).map_err(text)?;
    let read = sward::timeout(Duration::from_millis(20), || silent.read(&mut [0]));
    let kind = read.map_err(text)?.map_err(|error| error.kind());
    ensure(kind == Err(ErrorKind::TimedOut), kind)
}

pub(crate) fn cancel() -> Checked {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(text)?;
    let waits =
        sward::thread::spawn(move || listener.accept().map(drop).map_err(|e| e.raw_os_error()));
    sward::thread::sleep(Duration::from_millis(5));
    waits.cancel();
    let result = waits.join().map_err(text)?;
    ensure(result == Err(Some(libc::ECANCELED)), result)
}

/// The write end of the pipe of the signal handler.
static PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn handler(_: libc::c_int) {
    // SAFETY: one byte, to a descriptor that is open while the handler is installed.
    unsafe { libc::write(PIPE.load(SeqCst), b"x".as_ptr().cast(), 1) };
}

/// A handler writes to a pipe, whoever it interrupts on the worker; a green thread reads.
pub(crate) fn signal() -> Checked {
    let (mut reader, writer): (PipeReader, PipeWriter) = std::io::pipe().map_err(text)?;
    PIPE.store(writer.as_raw_fd(), SeqCst);
    // SAFETY: all zeroes are a valid action: no flags (so calls are interrupted), nothing blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    // SAFETY: the handler only writes to a pipe.
    let installed = unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
    ensure(installed == 0, "no handler")?;

    let over = Arc::new(AtomicBool::new(false));
    let seen = over.clone();
    // SAFETY: no arguments.
    let worker = unsafe { libc::pthread_self() };
    let raiser = std::thread::spawn(move || {
        while !seen.load(SeqCst) {
            // SAFETY: the worker lives until this thread has been joined.
            unsafe { libc::pthread_kill(worker, libc::SIGUSR1) };
            std::thread::sleep(Duration::from_micros(100));
        }
    });
    let read = meanwhile(|| {
        let mut bytes = [0; 200];
        for byte in &mut bytes {
            reader.read_exact(std::slice::from_mut(byte))?;
            // Everything that a signal may interrupt: a sleep, a lock, a descriptor.
            std::thread::sleep(Duration::from_micros(50));
        }
        Ok::<_, std::io::Error>(bytes)
    });
    over.store(true, SeqCst);
    raiser.join().map_err(text)?;
    let bytes = read?.map_err(text)?;
    ensure(bytes == [b'x'; 200], "not what was written")
}
