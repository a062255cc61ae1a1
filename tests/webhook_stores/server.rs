//! A server for one test: started on a free port in a folder that goes with it, and killed by its process id.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

pub(crate) struct Server {
    name: &'static str,
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    command: fn(&Server) -> Command,
    child: Option<Child>,
}

impl Server {
    /// Starts it, and waits until it takes connections.
    pub(crate) fn start(name: &'static str, command: fn(&Server) -> Command) -> Server {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("sward-{name}-{}-{number}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut server = Server { name, folder, port: 0, command, child: None };
        // Somebody may take the port before it does: then another one.
        for _ in 0..5 {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if server.begin() {
                return server;
            }
        }
        panic!("{name} does not start: {}", server.log());
    }

    /// False if it ended.
    pub(crate) fn begin(&mut self) -> bool {
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let mut command = (self.command)(self);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child =
            command.spawn().unwrap_or_else(|why| panic!("{} cannot be started: {why}", self.name));
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            let late = begun.elapsed() > Duration::from_secs(60);
            assert!(!late, "{} does not answer: {}", self.name, self.log());
            thread::sleep(Duration::from_millis(5));
        }
        self.child = Some(child);
        true
    }

    /// As `kill -9` does, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
