//! A redis-server of the test's own, with its files in a folder of its own, that can be killed and started again.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Killed when dropped, and its files with it.
pub(crate) struct Server {
    port: u16,
    options: &'static [&'static str],
    folder: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// One that keeps nothing when it is killed.
    pub(crate) fn forgetful() -> Server {
        Server::start(&["--appendonly", "no"])
    }

    /// One with these options.
    pub(crate) fn start(options: &'static [&'static str]) -> Server {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("sward-redis-{}-{}", name.0, name.1));
        // A port that was free a moment ago: who comes too late for it tries another.
        for _ in 0..10 {
            std::fs::create_dir_all(&folder).unwrap();
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let mut server = Server { port, options, folder: folder.clone(), process: None };
            if server.try_again() {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it where it was.
    pub(crate) fn start_again(&mut self) {
        assert!(self.try_again(), "redis-server does not start again");
    }

    fn try_again(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]);
        command.args(["--port", &self.port.to_string()]).arg("--dir").arg(&self.folder);
        command.args(self.options).stdin(Stdio::null()).stdout(Stdio::null());
        self.process = Some(command.spawn().expect("redis-server is installed"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            let client = redis::Client::open(self.url()).unwrap();
            let answer = client.get_connection().and_then(|mut connection| {
                redis::cmd("INFO").arg("server").query::<String>(&mut connection)
            });
            let ours = format!("process_id:{}\r\n", self.process_id());
            if answer.is_ok_and(|info| info.contains(&ours)) {
                return true;
            }
            if self.process.as_mut().expect("started").try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// What it says to a command.
    pub(crate) fn ask(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut connection).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
