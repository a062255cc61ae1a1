//! Starts the built `tweet_feed` example as a stranger would, and talks to it over HTTP.
//! Shared by two test programs, of which neither uses all of it.

#![allow(dead_code)]

use std::io::{BufRead, BufReader, Lines, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "../support/example.rs"]
pub(crate) mod example;

/// The example's executable, built once.
pub(crate) fn executable() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| example::executable("tweet_feed"))
}

/// A running example. Killed when dropped.
pub(crate) struct App {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) base: String,
    /// The simulator's address, if there is one.
    pub(crate) sim: Option<String>,
    /// Open as long as it runs: it has more to say, and whoever cannot say it panics.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl App {
    /// Starts the example on a port of its own, unless `--addr` says otherwise.
    pub(crate) fn start(args: &[&str]) -> App {
        let mut command = Command::new(executable());
        if !args.contains(&"--addr") {
            command.args(["--addr", "127.0.0.1:0"]);
        }
        let mut child =
            command.args(args).stdout(Stdio::piped()).spawn().expect("the example starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut said = || lines.next().expect("a line on stdout").expect("UTF-8");
        let first = said();
        let base = first.split_whitespace().find(|word| word.starts_with("http://"));
        let base = base.expect("an address").trim_end_matches('/').to_owned();
        let sim = first.contains("source sim").then(said);
        let sim = sim.map(|line| line.split_whitespace().last().unwrap_or("").to_owned());
        App { child, base, sim, _stdout: lines }
    }

    pub(crate) fn addr(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// The processes that it has started.
    pub(crate) fn children(&self) -> Vec<u32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let of = |task: std::fs::DirEntry| {
            std::fs::read_to_string(task.path().join("children")).unwrap_or_default()
        };
        let all: String = tasks.flatten().map(of).collect();
        all.split_whitespace().map(|pid| pid.parse().expect("a number")).collect()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut response = agent().get(format!("{}{path}", self.base)).call().expect("an answer");
        (response.status().as_u16(), response.body_mut().read_to_string().expect("a body"))
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// `POST /api`; returns status and body.
    pub(crate) fn api(&self, body: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = agent().post(format!("{}/api", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send(body).expect("an answer");
        (response.status().as_u16(), response.body_mut().read_to_string().expect("a body"))
    }

    /// Opens `/events`.
    pub(crate) fn events(&self, query: &str, last_event_id: Option<&str>) -> Events {
        let mut request = agent().get(format!("{}/events{query}", self.base));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        stream_of(request)
    }

    /// Opens another stream of events.
    pub(crate) fn events_at(&self, path: &str) -> Events {
        stream_of(agent().get(format!("{}{path}", self.base)))
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn signal(&mut self, name: &str) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.expect("kill runs").success());
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "still there 5 s after SIG{name}");
            nap();
        }
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.kill();
    }
}

fn stream_of(request: ureq::RequestBuilder<ureq::typestate::WithoutBody>) -> Events {
    let response = request.call().expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Events(BufReader::new(Box::new(response.into_body().into_reader())))
}

/// A running `/events`.
pub(crate) struct Events(BufReader<Box<dyn Read + Send>>);

impl Events {
    /// The next post and its event id. `None` when the stream has ended.
    pub(crate) fn next_post(&mut self) -> Option<(String, Value)> {
        loop {
            let (name, id, data) = self.next_event()?;
            if name == "post" {
                return Some((id, data));
            }
        }
    }

    /// The next event: its name, its id, its data. `None` when the stream has ended.
    pub(crate) fn next_event(&mut self) -> Option<(String, String, Value)> {
        let (mut name, mut id, mut data) = (String::new(), String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() && !data.is_empty() {
                return Some((name, id, serde_json::from_str(&data).expect("JSON")));
            }
            match line.split_once(": ") {
                Some(("id", value)) => id = value.to_owned(),
                Some(("data", value)) => data = value.to_owned(),
                Some(("event", value)) => name = value.to_owned(),
                _ => {}
            }
        }
    }
}

/// A client for tests: answers of every status, and a limit on every wait.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_connect(Some(Duration::from_secs(5)))
        .timeout_per_read(Some(Duration::from_secs(40)))
        .build()
        .into()
}

/// A short wait in a loop that checks a condition.
pub(crate) fn nap() {
    std::thread::sleep(Duration::from_millis(20));
}

/// Waits until `done`, at most 20 s.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        nap();
    }
}

/// A post in tweefee's wire format.
pub(crate) fn tweet(id: &str, content: &str) -> Value {
    serde_json::json!({"content": content, "date": "2015-10-29T12:48:43", "id": id,
        "entities": {"urls": [], "hashtags": [], "user_mentions": []},
        "user": {"handle": "ada", "full_name": "Ada L.", "avatar_url": "http://a.example/a.png"}})
}
