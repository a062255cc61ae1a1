//! `examples/compare` as a stranger runs it: small, and interrupted.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[path = "support/example.rs"]
mod example;
mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn compare() -> Command {
    support::alarm_after(Duration::from_secs(300));
    let mut command = Command::new(example::executable("compare"));
    command.stdin(Stdio::null());
    command
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sward-compare-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn a_small_run_has_its_table_its_page_and_its_figures() {
    let folder = folder("run");
    let (json, html) = (folder.join("all.json"), folder.join("all.html"));
    let output = compare()
        .args(["--quick", "--servers", "green,threads,pool:8"])
        .args(["--workloads", "idle,hello,fanout", "--connections", "10,40"])
        .arg("--json")
        .arg(&json)
        .arg("--html")
        .arg(&html)
        .arg("--svg")
        .arg(folder.join("charts"))
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("idle: keep-alive connections"), "{out}");
    // A pool of eight has a thread for eight of them.
    assert!(out.contains("cannot: 8 of 10"), "{out}");
    assert!(out.contains("callbacks"), "{out}");

    let all: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let cells = all["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 3 * 3 * 2);
    let of = |server: &str, workload: &str, connections: u64| {
        let wanted = |cell: &&Value| {
            cell["server"] == server
                && cell["workload"] == workload
                && cell["connections"] == connections
        };
        &cells.iter().find(wanted).unwrap()["rounds"][0]
    };
    for server in ["green", "threads"] {
        let round = of(server, "hello", 40);
        assert!(round["ran"]["done"].as_u64().unwrap() > 40, "{round}");
        assert_eq!(round["ran"]["errors"], 0, "{round}");
        assert!(round["cpu"].as_f64().unwrap() > 0.0, "{round}");
        // Each message reaches each of them, once.
        let round = of(server, "fanout", 40);
        assert_eq!(round["ran"]["done"], 40 * 10, "{round}");
    }
    let threads = |server| of(server, "idle", 40)["with"]["threads"].as_u64().unwrap();
    assert!(threads("threads") >= 40 && threads("green") < 20);

    let page = std::fs::read_to_string(&html).unwrap();
    assert!(
        page.contains("<svg") && page.contains("lower is better") && page.ends_with("</html>\n")
    );
    assert!(!page.contains("src=") && !page.contains("href="), "nothing from elsewhere");
    let charts = std::fs::read_dir(folder.join("charts")).unwrap().count();
    assert!(charts >= 4, "{charts}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn mistakes_end_with_2_and_say_what_to_do() {
    for (args, words) in [
        (vec!["--servers", "grean"], "unknown server \"grean\": green, green-loop, threads"),
        (vec!["--fast"], "--help"),
        (vec!["--servers", "axum"], "--features peers"),
    ] {
        let output = compare().args(&args).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
        assert!(output.stdout.is_empty());
    }
    let help = compare().arg("--help").output().unwrap();
    assert!(
        help.status.success() && String::from_utf8(help.stdout).unwrap().contains("--workloads")
    );
}

/// Whichever way it ends, its servers and clients end too.
#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    for signal in ["-INT", "-KILL"] {
        let mut running = compare()
            .args(["--servers", "green,threads", "--workloads", "sleep", "--connections", "100"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        let children = loop {
            let pid = running.id();
            let path = format!("/proc/{pid}/task/{pid}/children");
            let children = std::fs::read_to_string(path).unwrap_or_default();
            let children: Vec<u32> =
                children.split_whitespace().map(|c| c.parse().unwrap()).collect();
            if children.len() == 2 {
                break children;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "no server and clients");
            std::thread::sleep(Duration::from_millis(5));
        };
        // Only itself, as `kill` does; Ctrl-C would reach them all.
        let pid = running.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        running.wait().unwrap();
        let start = Instant::now();
        let alive = |pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            !status.is_empty() && !status.contains("State:\tZ")
        };
        while children.iter().any(alive) {
            assert!(start.elapsed() < Duration::from_secs(10), "{signal}: still there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
