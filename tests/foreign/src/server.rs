//! The real servers: started by a test as a child process, on a port and in a directory of their own, ended with it.
//!
//! They are not shared between tests: a server that a test has upset would upset the next.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::check::Scratch;

/// How long a server may take until it answers.
const READY: Duration = Duration::from_secs(60);

/// A server that runs; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    /// The signal that ends it at once and leaves nothing behind.
    end: &'static str,
    // After the child in order, so that it goes when nobody uses it any more.
    _directory: Scratch,
}

impl Server {
    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn start(mut command: Command, directory: Scratch, port: u16, end: &'static str) -> Self {
        let log = directory.path().join("output.log");
        let output = fs::File::create(&log).expect("a log can be written");
        command.stdin(Stdio::null());
        command.stderr(output.try_clone().expect("a second handle")).stdout(output);
        let child = command.spawn().expect("the server can be started");
        let mut server = Server { child, port, end, _directory: directory };
        let deadline = Instant::now() + READY;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = server.child.try_wait().expect("a child of ours");
            if ended.is_some() || Instant::now() > deadline {
                panic!(
                    "the server does not answer: {}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        signal(&self.child, self.end);
        _ = self.child.wait();
    }
}

fn signal(child: &Child, signal: &str) {
    _ = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
}

/// Nobody listens there now, and nobody else is given it soon.
fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    probe.local_addr().expect("it is bound").port()
}

/// Where Debian keeps it, if it is not in the path.
fn find(program: &str, elsewhere: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(elsewhere.iter().map(PathBuf::from));
    let mut places = places.map(|place| place.join(program));
    places.find(|file| file.is_file()).unwrap_or_else(|| panic!("{program} is not installed"))
}

/// Runs `program` as `user` if we are root, since it refuses to run as root; and ends it if we end.
fn as_user(user: &str, program: &Path, directory: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]);
    if is_root() {
        let whole = format!("{user}:");
        run(Command::new("chown").arg(whole).arg(directory));
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.arg(program).current_dir(directory);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn directory(name: &str) -> Scratch {
    let made: io::Result<Scratch> = Scratch::new(name);
    made.expect("a directory can be made")
}

/// `redis-server`, empty, nothing written to disk. Its Unix socket is not used.
pub fn redis() -> Option<Server> {
    let (directory, port) = (directory("redis"), free_port());
    let mut command = as_user("redis", &find("redis-server", &[]), directory.path());
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--appendonly", "no", "--maxclients", "1000"]);
    Some(Server::start(command, directory, port, "KILL"))
}

/// `mariadbd`, with root and no password, and 300 connections.
pub fn mariadb() -> Option<Server> {
    let (directory, port) = (directory("mariadb"), free_port());
    let at = directory.path().to_owned();
    let data = format!("--datadir={}", at.join("data").display());
    let mut install = as_user("mysql", &find("mariadb-install-db", &[]), &at);
    install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
    run(install.arg(&data));
    let mut command = as_user("mysql", &find("mariadbd", &["/usr/sbin"]), &at);
    command.args(["--no-defaults", "--bind-address=127.0.0.1", "--max-connections=300"]);
    command.args(["--skip-log-bin", "--innodb-flush-log-at-trx-commit=0"]);
    command.arg(&data).arg(format!("--port={port}"));
    command.arg(format!("--socket={}", at.join("socket").display()));
    command.arg(format!("--pid-file={}", at.join("pid").display()));
    Some(Server::start(command, directory, port, "KILL"))
}

/// `postgres`, with the user and the database `postgres` and no password, and 300 connections.
pub fn postgres() -> Option<Server> {
    let (directory, port) = (directory("postgres"), free_port());
    let at = directory.path().to_owned();
    let places: Vec<String> =
        (13..=18).rev().map(|version| format!("/usr/lib/postgresql/{version}/bin")).collect();
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    let mut initdb = as_user("postgres", &find("initdb", &places), &at);
    initdb.args(["--auth=trust", "--username=postgres", "--no-sync", "--pgdata=data"]);
    run(&mut initdb);
    let mut command = as_user("postgres", &find("postgres", &places), &at);
    command.args(["-D", "data", "-h", "127.0.0.1", "-p", &port.to_string(), "-k", ""]);
    command.args(["-c", "max_connections=300", "-c", "fsync=off"]);
    let ready = find("pg_isready", &places);
    // Killed, it would leave its shared memory to the system.
    let server = Server::start(command, directory, port, "QUIT");
    let ask =
        || Command::new(&ready).args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status();
    // It listens before it is ready.
    while !ask().expect("pg_isready runs").success() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(server)
}
