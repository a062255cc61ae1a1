//! Other people's clients against the server, over everything that it does: curl, wrk, h2load, Python, Node, Go. None
//! of them may complain. They need these programs, so they are run by hand and by the checks that have them:
//! `cargo test --test clients -- --ignored`. A browser is in `tests/browser`.
//!
//! Each client is given a [`Target`]: in green mode and with OS threads, and over TLS the same again.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod app;
mod curl;
#[path = "../http_support/mod.rs"]
mod http_support;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http_support::{Running, eventually};
use sward::http::Mode;

/// A server for clients to try.
pub(crate) struct Target {
    /// `http://127.0.0.1:PORT`, or `https`.
    pub(crate) base: String,
    /// Whom to trust, if the base is `https`.
    pub(crate) ca: Option<PathBuf>,
    /// What is served at `/file`, and what may be sent: the pattern, of a length that is not round.
    pub(crate) file: PathBuf,
    server: Running,
}

/// Length of the file.
pub(crate) const FILE: usize = 300_007;

impl Target {
    fn new(mode: Mode, tls: bool, name: &str) -> Target {
        support::alarm_after(Duration::from_secs(400));
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.bin"));
        std::fs::write(&file, app::pattern(FILE)).unwrap();
        let (server, base) = app::serve(mode, tls, &file);
        println!("{name}: {base}");
        Target { base, ca: tls.then(|| app::tls_file("authority.pem")), file, server }
    }

    /// Runs a client, and shows what it says if it complains. All its connections must end with it.
    fn try_with(&self, command: &mut Command) -> String {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
        eventually("its connections end", || self.server.handle.connections() == 0);
        stdout
    }

    /// For a script: the base, and the certificate if there is one.
    fn script(&self, program: &str, script: &str) -> Command {
        let mut command = Command::new(program);
        command.arg(Path::new("tests/clients").join(script)).arg(&self.base);
        command.args(&self.ca).current_dir(env!("CARGO_MANIFEST_DIR"));
        if let Some(ca) = &self.ca {
            command.env("NODE_EXTRA_CA_CERTS", ca);
        }
        command
    }
}

/// The same test against each kind of server.
fn each(name: &str, test: impl Fn(&Target)) {
    for (mode, tls) in
        [(Mode::Green, false), (Mode::Threads, false), (Mode::Green, true), (Mode::Threads, true)]
    {
        let protocol = if tls { "https" } else { "http" };
        test(&Target::new(mode, tls, &format!("{name}-{mode}-{protocol}")));
    }
}

#[test]
#[ignore = "needs curl"]
fn curl() {
    each("curl", curl::everything);
}

#[test]
#[ignore = "needs python3 and its requests"]
fn python() {
    let has_requests = |program: &&str| {
        let mut command = Command::new(program);
        command.args(["-c", "import requests"]).output().is_ok_and(|output| output.status.success())
    };
    let programs = ["python3", "/usr/bin/python3"];
    let python = programs.iter().find(|program| has_requests(program)).expect("requests");
    each("python", |target| {
        let said = target.try_with(target.script(python, "client.py").env("PYTHONUTF8", "1"));
        assert_eq!(said, "fine\n");
    });
}

#[test]
#[ignore = "needs node"]
fn node() {
    each("node", |target| {
        assert_eq!(target.try_with(&mut target.script("node", "client.mjs")), "fine\n");
    });
}

#[test]
#[ignore = "needs go"]
fn go() {
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("clients-go");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg("tests/clients/client.go");
    build.current_dir(env!("CARGO_MANIFEST_DIR")).env("GO111MODULE", "off");
    build.env("GOCACHE", program.with_file_name("clients-go-cache")).env("GOFLAGS", "");
    let built = build.output().expect("go is installed");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    each("go", |target| {
        let mut command = Command::new(&program);
        assert_eq!(target.try_with(command.arg(&target.base).args(&target.ca)), "fine\n");
    });
}

#[test]
#[ignore = "needs wrk"]
fn wrk() {
    each("wrk", |target| {
        for path in ["/", "/pieces", "/text", "/file"] {
            let url = format!("{}{path}", target.base);
            let said = target.try_with(Command::new("wrk").args(["-t2", "-c32", "-d1s", &url]));
            assert!(said.contains("Requests/sec:"), "{said}");
            let complains = said.contains("Socket errors") || said.contains("Non-2xx");
            assert!(!complains, "{path}: {said}");
        }
    });
}

#[test]
#[ignore = "needs h2load"]
fn h2load() {
    each("h2load", |target| {
        // The second keeps 10 requests under way on each connection.
        for (path, in_flight) in [("/", "1"), ("/", "10"), ("/pieces", "1"), ("/file", "4")] {
            let url = format!("{}{path}", target.base);
            let said = target.try_with(
                Command::new("h2load")
                    .args(["--h1", "-n", "2000", "-c", "20", "-m", in_flight, &url]),
            );
            let wanted = "2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout";
            assert!(said.contains(wanted), "{path}, {in_flight}: {said}");
            assert!(said.contains("status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{said}");
        }
    });
}
