//! Listening sockets from other processes: systemd's, and those of the process before, in a hot restart under load.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod child_support;
#[macro_use]
mod http_support;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use child_support::{Child, command, is_child, name_in, send};
use http_support::{body_of, eventually, get, get_once};
use sward::http::{Listener, Mode, Request, Router, Server};
use sward::signal::SIGUSR2;

in_each_mode! {
    sockets_from_systemd
    restarts_under_load
    a_broken_program_leaves_the_old_one
}

fn socket_path(name: &str) -> PathBuf {
    let name = name.replace(':', "-");
    std::env::temp_dir().join(format!("sward-{name}-{}.sock", std::process::id()))
}

fn ask(mut stream: impl Read + Write, path: &str) -> std::io::Result<String> {
    stream.write_all(get_once(path).as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_string()),
        _ => Err(std::io::Error::other(format!("no good answer: {text:?}"))),
    }
}

/// A shell that makes `first` and `second` descriptors 3 and 4, as systemd does, and becomes `command`.
fn activate(command: &Command, pid: &str, first: OwnedFd, second: OwnedFd) -> Command {
    let script = format!(
        "export LISTEN_PID={pid} LISTEN_FDS=2 LISTEN_FDNAMES=http:local
         exec 3<&0 4<&2 2>&1 </dev/null
         exec \"$@\""
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap());
    }
    shell.stdin(Stdio::from(first)).stderr(Stdio::from(second)).stdout(Stdio::piped());
    shell
}

fn sockets_from_systemd(mode: Mode) {
    support::alarm();
    let test = name_in(mode, "sockets_from_systemd");
    if let Some(with) = is_child(&test) {
        let listeners = match Listener::inherited() {
            Ok(listeners) => listeners,
            Err(error) => return println!("\nerror {error}"),
        };
        if with == "not for us" {
            return println!("\nhas {}", listeners.len());
        }
        assert!(Listener::inherited().unwrap().is_empty(), "they are taken");
        let seen = Command::new("readlink").arg("/proc/self/fd/3").output().unwrap();
        assert!(!seen.status.success(), "children do not get them: {seen:?}");
        let own = Listener::bind("127.0.0.1:0").unwrap();
        println!("\nown {own}");
        let mut server = Server::new().listen(own).mode(mode).stop_on_signals();
        for listener in listeners {
            println!("\nlistener {listener}");
            server = server.listen(listener);
        }
        let app = Router::new().get("/", |_: &mut Request| "hi");
        return sward::Builder::new().workers(2).run(|| server.serve(app)).unwrap();
    }
    let path = socket_path(&test);
    let _ = std::fs::remove_file(&path);
    let (tcp, unix) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let fds =
        || (OwnedFd::from(tcp.try_clone().unwrap()), OwnedFd::from(unix.try_clone().unwrap()));

    let (first, second) = fds();
    let mut child = Child::start(activate(&command(&test, ""), "$$", first, second));
    let own = child.says("own ");
    let addr = tcp.local_addr().unwrap();
    assert_eq!(child.says("listener "), format!("http at {addr}"));
    assert_eq!(child.says("listener "), format!("local at unix:{}", path.display()));
    assert_eq!(ask(TcpStream::connect(addr).unwrap(), "/").unwrap(), "hi");
    assert_eq!(ask(TcpStream::connect(&own).unwrap(), "/").unwrap(), "hi");
    assert_eq!(ask(UnixStream::connect(&path).unwrap(), "/").unwrap(), "hi");
    child.kill("TERM");
    assert_eq!(child.status(), 0);
    // The sockets are not the server's to end.
    assert!(TcpStream::connect(addr).is_ok() && UnixStream::connect(&path).is_ok());
    assert!(TcpStream::connect(&own).is_err());

    // For another process.
    let (first, second) = fds();
    let mut child = Child::start(activate(&command(&test, "not for us"), "1", first, second));
    assert_eq!(child.says("has "), "0");

    // No listening socket.
    let (first, _) = fds();
    let file = OwnedFd::from(std::fs::File::open("Cargo.toml").unwrap());
    let mut child = Child::start(activate(&command(&test, ""), "$$", first, file));
    let error = child.says("error ");
    assert!(error.contains("descriptor 4 (local) is not a socket"), "{error}");
    std::fs::remove_file(&path).unwrap();
}

/// What the restarted program does, whichever process it is.
fn program(mode: Mode, path: &Path) {
    let server = Server::bind("127.0.0.1:0").unwrap().mode(mode);
    println!("\naddr {}", server.local_addr().unwrap());
    let handle = server.handle();
    let broken = move |req: &mut Request| -> String {
        let mut command = match req.query::<String>("how").unwrap().unwrap().as_str() {
            "missing" => Command::new("/no/such/program"),
            "silent" => Command::new("false"),
            how => {
                let mut command = Command::new("sh");
                command.args(["-c", how]);
                command
            }
        };
        command.stdout(Stdio::null());
        handle.restart_with(command).unwrap_err().to_string()
    };
    let app = Router::new()
        .get("/", |_: &mut Request| std::process::id().to_string())
        .get("/broken", broken);
    let server = server.listen(Listener::unix(path).unwrap());
    let server = server.stop_on_signals().restart_on(SIGUSR2);
    sward::Builder::new().workers(2).run(|| server.serve(app)).unwrap();
}

/// Kills the process that serves at last, whatever became of the test.
struct Last(u32);

impl Drop for Last {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-KILL", &self.0.to_string()])
            .stderr(Stdio::null())
            .status();
    }
}

fn pid_at(addr: &str) -> u32 {
    ask(TcpStream::connect(addr).unwrap(), "/").unwrap().parse().unwrap()
}

/// Asks on one connection; when it is closed before an answer has begun, as a server may do with an idle one, on the
/// next. Returns how many connections it took.
fn keep_asking(addr: &str, stop: &AtomicBool, asked: &AtomicUsize) -> std::io::Result<usize> {
    let mut connections = 0;
    let mut answer = [0; 4096];
    while !stop.load(Ordering::SeqCst) {
        let mut stream = TcpStream::connect(addr)?;
        connections += 1;
        let mut is_reused = false;
        while !stop.load(Ordering::SeqCst) {
            let sent = stream.write_all(get("/").as_bytes());
            match sent.and_then(|()| stream.read(&mut answer)) {
                Ok(0) if is_reused => break,
                Err(error)
                    if is_reused
                        && [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe]
                            .contains(&error.kind()) =>
                {
                    break;
                }
                Err(error) => return Err(error),
                Ok(n) => {
                    let text = String::from_utf8_lossy(&answer[..n]);
                    if !text.starts_with("HTTP/1.1 200") || body_of(&text).is_empty() {
                        return Err(std::io::Error::other(format!("no good answer: {text:?}")));
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                    if text.contains("Connection: close") {
                        break;
                    }
                }
            }
            is_reused = true;
        }
    }
    Ok(connections)
}

fn restarts_under_load(mode: Mode) {
    const TIMES: usize = 5;
    support::alarm();
    let test = name_in(mode, "restarts_under_load");
    if let Some(path) = is_child(&test) {
        return program(mode, Path::new(&path));
    }
    let path = socket_path(&test);
    let mut child = Child::start(command(&test, path.to_str().unwrap()));
    let addr = child.says("addr ");
    let mut last = Last(child.id());
    assert_eq!(pid_at(&addr), child.id());

    let stop = Arc::new(AtomicBool::new(false));
    let asked = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let fresh = {
        let (addr, stop, asked) = (addr.clone(), stop.clone(), asked[0].clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let stream = TcpStream::connect(&addr).expect("a connection");
                ask(stream, "/").expect("an answer on a fresh connection");
                asked.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let unix = {
        let (path, stop, asked) = (path.clone(), stop.clone(), asked[1].clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let stream = UnixStream::connect(&path).expect("a connection by the file");
                ask(stream, "/").expect("an answer by the file");
                asked.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let kept = {
        let (addr, stop, asked) = (addr.clone(), stop.clone(), asked[2].clone());
        std::thread::spawn(move || keep_asking(&addr, &stop, &asked).expect("answers on one"))
    };
    for turn in 0..TIMES {
        let before: Vec<_> = asked.iter().map(|asked| asked.load(Ordering::SeqCst)).collect();
        send("USR2", last.0);
        assert_eq!(child.says("addr "), addr, "{turn}: the new one listens at the same port");
        eventually("another process serves", || {
            let pid = pid_at(&addr);
            let is_new = pid != last.0;
            last.0 = if is_new { pid } else { last.0 };
            is_new
        });
        if turn == 0 {
            assert_eq!(child.status(), 0, "the first process has ended well");
        }
        eventually("all clients are served", || {
            assert!(!fresh.is_finished() && !unix.is_finished() && !kept.is_finished(), "{turn}");
            let now = asked.iter().map(|asked| asked.load(Ordering::SeqCst));
            now.zip(&before).all(|(now, before)| now > before + 20)
        });
    }
    stop.store(true, Ordering::SeqCst);
    fresh.join().unwrap();
    unix.join().unwrap();
    let connections = kept.join().unwrap();
    assert!((TIMES..=TIMES * 2 + 1).contains(&connections), "{connections}");

    assert!(path.exists());
    send("TERM", last.0);
    eventually("the last process ends", || TcpStream::connect(&addr).is_err());
    eventually("with its file", || !path.exists());
}

fn a_broken_program_leaves_the_old_one(mode: Mode) {
    support::alarm();
    let test = name_in(mode, "a_broken_program_leaves_the_old_one");
    if let Some(path) = is_child(&test) {
        return program(mode, Path::new(&path));
    }
    let path = socket_path(&test);
    let mut child = Child::start(command(&test, path.to_str().unwrap()));
    let addr = child.says("addr ");
    let mut last = Last(child.id());
    let long = "exit+3";
    for (how, why) in [
        ("missing", "/no/such/program cannot be started"),
        ("silent", "did not serve; it ended with exit status: 1"),
        (long, "exit status: 3"),
    ] {
        let text = ask(TcpStream::connect(&addr).unwrap(), &format!("/broken?how={how}")).unwrap();
        assert!(text.contains(why), "{how}: {text}");
        assert_eq!(pid_at(&addr), child.id());
        let stream = UnixStream::connect(&path).unwrap();
        assert_eq!(ask(stream, "/").unwrap(), child.id().to_string());
    }
    // And then a good one.
    child.kill("USR2");
    child.says("addr ");
    assert_eq!(child.status(), 0);
    last.0 = pid_at(&addr);
    assert_ne!(last.0, child.id());
    assert!(path.exists());
    send("TERM", last.0);
    eventually("the last process ends", || TcpStream::connect(&addr).is_err());
    eventually("with its file", || !path.exists());
}
