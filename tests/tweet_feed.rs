//! The tweet feed as a stranger meets it: the built program, its flags, its endpoints, in all three
//! modes. What the page does with them is tested in `browser/`.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod http_support;
#[path = "tweet_feed_support/mod.rs"]
mod support;
mod ws_support;

use std::io::Write;
use std::process::Command;

use serde_json::{Value, json};
use support::{App, executable, tweet, wait_until};
use ws_support::Ws;

/// A feed that says nothing by itself, so that only what a test posts is there.
fn quiet(args: &[&str]) -> App {
    let mut all = vec!["--source", "file:/dev/null"];
    all.extend(args);
    App::start(&all)
}

fn ids(poll: &Value) -> Vec<&str> {
    poll["posts"].as_array().unwrap().iter().map(|post| post["id"].as_str().unwrap()).collect()
}

#[test]
fn posts_flow_in_every_mode() {
    for mode in ["green", "threads", "pool:64"] {
        let app = App::start(&["--mode", mode, "--rate", "50"]);
        let mut events = app.events("", None);
        for _ in 0..30 {
            let (id, post) = events.next_post().unwrap();
            assert!(id.contains('-'));
            assert_eq!(post["source"], "sim");
            assert!(!post["user"]["handle"].as_str().unwrap().is_empty());
        }
        let (status, page) = app.get("/");
        assert_eq!(status, 200);
        assert!(page.contains("data-source=\"sim\"") && !page.contains("{{"));
        for file in ["/style.css", "/feed.js"] {
            assert_eq!(app.get(file).0, 200);
        }
        assert_eq!(app.get("/nothing").0, 404);

        wait_until("the counters", || app.json("/stats")["switches_total"] != 0);
        let stats = app.json("/stats");
        assert_eq!(stats["mode"], mode);
        let mut names: Vec<&str> = stats.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "connections",
                "green_threads",
                "mode",
                "os_threads",
                "posts_per_second",
                "posts_total",
                "rss_bytes",
                "rss_per_connection_bytes",
                "subscribers",
                "switches_total",
                "workers",
            ]
        );
        assert_eq!(stats["subscribers"], 1);
        for positive in
            ["workers", "connections", "os_threads", "rss_bytes", "posts_total", "switches_total"]
        {
            assert!(stats[positive].as_u64().unwrap() > 0, "{positive} in {mode}: {stats}");
        }
    }
}

#[test]
fn replay_after_an_id() {
    let app = quiet(&["--history", "3"]);
    for n in 1..=5 {
        let (status, body) = app.api(&json!([tweet(&n.to_string(), "x")]).to_string(), &[]);
        assert_eq!((status, body.as_str()), (201, ""));
    }
    let mut fresh = app.events("", None);
    let seen: Vec<(String, Value)> = (0..3).map(|_| fresh.next_post().unwrap()).collect();
    assert_eq!(seen[0].1["id"], "3", "a new page gets the last --history posts");

    let id = seen[1].0.as_str();
    assert_eq!(app.events("", Some(id)).next_post().unwrap().1["id"], "5");
    assert_eq!(app.events(&format!("?last_event_id={id}"), None).next_post().unwrap().1["id"], "5");
    // An id from before a restart means nothing here: the history again.
    assert_eq!(app.events("", Some("0badcafe-4")).next_post().unwrap().1["id"], "3");
}

#[test]
fn long_poll() {
    let app = quiet(&[]);
    app.api(&json!([tweet("1", "a"), tweet("2", "b")]).to_string(), &[]);
    let first = app.json("/poll");
    assert_eq!(ids(&first), ["1", "2"]);
    let cursor = first["cursor"].as_str().unwrap().to_owned();
    let later = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| app.json(&format!("/poll?cursor={cursor}")));
        wait_until("the poll to wait", || app.json("/stats")["subscribers"] == 1);
        app.api(&json!([tweet("3", "c")]).to_string(), &[]);
        waiting.join().unwrap()
    });
    assert_eq!(ids(&later), ["3"]);
    assert_eq!(
        ids(&app.json(&format!("/poll?cursor={cursor}"))),
        ["3"],
        "a cursor can be used again"
    );
}

#[test]
fn api_takes_what_listeners_send() {
    let app = quiet(&[]);
    let mut events = app.events("", None);
    let danger = "&lt;img src=x onerror=alert(1)&gt; &amp; &lt;/script&gt;";
    assert_eq!(app.api(&json!([tweet("1", danger)]).to_string(), &[]), (201, String::new()));
    let (_, post) = events.next_post().unwrap();
    assert_eq!(
        post["content"], "<img src=x onerror=alert(1)> & </script>",
        "decoded once, plain text"
    );
    assert_eq!(post["source"], "api");
    assert_eq!(post["date"], "2015-10-29T12:48:43");
    assert_eq!(post["url"], "https://x.com/ada/status/1");

    // Always 201, and nothing of it shows.
    let good = json!([tweet("2", "x")]).to_string();
    for (body, headers) in [
        ("{not json", &[][..]),
        ("{}", &[]),
        ("[1, {}]", &[]),
        (good.as_str(), &[("host", "evil.example")]),
        (good.as_str(), &[("host", "localhost.evil.example")]),
        (good.as_str(), &[("origin", "http://evil.example")]),
    ] {
        assert_eq!(app.api(body, headers), (201, String::new()), "{body} {headers:?}");
    }
    app.api(&json!([tweet("3", "last")]).to_string(), &[("host", "localhost")]);
    assert_eq!(events.next_post().unwrap().1["id"], "3");
    assert_eq!(ids(&app.json("/poll")), ["1", "3"]);
}

#[test]
fn websocket_in_every_mode() {
    for mode in ["green", "threads", "pool:64"] {
        let mut app = quiet(&["--mode", mode, "--history", "2"]);
        app.api(&json!([tweet("1", "a"), tweet("2", "b"), tweet("3", "c")]).to_string(), &[]);
        let mut ws = Ws::connect(app.addr(), "/websocket");
        let next = |ws: &mut Ws| -> Vec<String> {
            let (first, payload) = ws.next();
            assert_eq!(first, 0x81);
            let posts: Value = serde_json::from_slice(&payload).unwrap();
            let ids = posts.as_array().unwrap().iter().map(|post| post["id"].as_str().unwrap());
            ids.map(str::to_owned).collect()
        };
        assert_eq!(next(&mut ws), ["3", "2"], "the history, newest first");
        app.api(&json!([tweet("4", "d"), tweet("5", "e")]).to_string(), &[]);
        assert_eq!((next(&mut ws), next(&mut ws)), (vec!["4".into()], vec!["5".into()]));
        // What it says does not matter; that it leaves does.
        ws.send([ws_support::text("hello?"), ws_support::close(1001)].concat());
        app.api(&json!([tweet("6", "f")]).to_string(), &[]);
        // It still gets post 6, unless its Close was there first.
        match ws.next() {
            (0x81, _) => ws.expect_close(1001),
            other => assert_eq!(other, (0x88, 1001_u16.to_be_bytes().to_vec())),
        }
        ws.expect_end();

        let mut other = Ws::connect(app.addr(), "/websocket");
        assert_eq!(other.next().0, 0x81);
        assert!(app.signal("TERM").success());
        other.expect_close(1001);
    }
}

#[test]
fn file_replay() {
    let path = std::env::temp_dir().join(format!("sward-feed-{}.ndjson", std::process::id()));
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, r#"{{"created_at":"Wed Feb 29 19:42:02 +0000 2012","id_str":"1","text":"v1 &amp; x","user":{{"screen_name":"ada","name":"Ada"}}}}"#).unwrap();
    writeln!(file, "\nnot json").unwrap();
    writeln!(file, r#"{{"data":{{"id":"2","text":"v2","author_id":"9","created_at":"2012-02-29T19:42:02.300Z"}},"includes":{{"users":[{{"id":"9","username":"bob","name":"Bob"}}]}}}}"#).unwrap();
    writeln!(file, "{}", tweet("3", "wire")).unwrap();
    for args in [&["--rate", "20"][..], &[]] {
        // Without a rate the third post, three years later by its date, does not come today.
        let source = format!("file:{}", path.display());
        let app = App::start(&[&["--source", &source], args].concat());
        let mut events = app.events("", None);
        let mut next = || events.next_post().unwrap().1;
        let (first, second) = (next(), next());
        assert_eq!((&first["content"], &second["content"]), (&json!("v1 & x"), &json!("v2")));
        if !args.is_empty() {
            assert_eq!(next()["content"], "wire");
        }
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_upstream_may_break() {
    let app = App::start(&["--rate", "50", "--time-scale", "0.02"]);
    let sim = app.sim.clone().unwrap();
    let mut events = app.events("", None);
    for fault in ["drop", "close", "stall", "disconnect", "http:503", "garbage"] {
        let ordered = support::agent().post(format!("{sim}/sim/fault")).send(fault).unwrap();
        assert_eq!(ordered.status(), 200);
        if fault == "http:503" {
            support::agent().post(format!("{sim}/sim/fault")).send("drop").unwrap();
        }
        let before = app.json("/stats")["posts_total"].as_u64().unwrap();
        wait_until(fault, || app.json("/stats")["posts_total"].as_u64().unwrap() > before + 20);
    }
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        let (id, post) = events.next_post().unwrap();
        assert!(seen.insert(post["id"].clone()), "{id}: twice");
    }
}

#[test]
fn a_thousand_pages() {
    let app = quiet(&[]);
    let mut pages: Vec<_> = (0..1000).map(|_| app.events("", None)).collect();
    wait_until("all pages to be there", || app.json("/stats")["subscribers"] == 1000);
    for n in 1..=3 {
        app.api(&json!([tweet(&n.to_string(), "hello")]).to_string(), &[]);
    }
    for page in &mut pages {
        for n in 1..=3 {
            assert_eq!(page.next_post().unwrap().1["id"], n.to_string());
        }
    }
    let stats = app.json("/stats");
    println!("1000 pages: {stats}");
    drop(pages);
    // A page that went away is noticed at the next write at the latest.
    app.api(&json!([tweet("4", "bye")]).to_string(), &[]);
    app.api(&json!([tweet("5", "bye")]).to_string(), &[]);
    wait_until("all pages to be gone", || app.json("/stats")["subscribers"] == 0);
}

#[test]
fn a_stalled_page_holds_nobody_up() {
    let app = quiet(&[]);
    let mut stalled = app.events("", None);
    let mut awake = app.events("", None);
    wait_until("both pages", || app.json("/stats")["subscribers"] == 2);
    let rss = |app: &App| app.json("/stats")["rss_bytes"].as_u64().unwrap();
    let before = rss(&app);
    let long = "x".repeat(1500);
    for batch in 0..40 {
        let ids = batch * 250..(batch + 1) * 250;
        let posts: Vec<Value> = ids.clone().map(|id| tweet(&id.to_string(), &long)).collect();
        app.api(&Value::from(posts).to_string(), &[]);
        for id in ids {
            assert_eq!(awake.next_post().unwrap().1["id"], id.to_string());
        }
    }
    // 18 MB went by; kept are the last 4,096 posts, not a queue per page.
    let grown = rss(&app).saturating_sub(before);
    assert!(grown < 16_000_000, "{grown} bytes");

    // When it wakes up it is told how much it missed, and goes on with what is left.
    let mut missed = 0;
    let last = loop {
        let (name, _, data) = stalled.next_event().unwrap();
        match name.as_str() {
            "lagged" => missed += data["missed"].as_u64().unwrap(),
            _ if data["id"] == "9999" => break data,
            _ => {}
        }
    };
    assert!(missed > 0, "{last}");
}

#[test]
fn ends_on_a_signal() {
    for (mode, signal) in [("green", "INT"), ("threads", "TERM"), ("pool:8", "INT")] {
        let mut app = App::start(&["--mode", mode]);
        let mut events = app.events("", None);
        events.next_post().unwrap();
        let status = app.signal(signal);
        assert!(status.success(), "{mode}: {status}");
        while events.next_post().is_some() {}
    }
}

/// `--compare`: both servers have all viewers, who get posts; the page can draw what each of them takes.
#[test]
fn two_servers_are_compared() {
    const VIEWERS: u64 = 60;

    let flags = ["--compare", "--viewers", "60", "--join", "0.5", "--rate", "20"];
    for ending in ["INT", "KILL"] {
        let mut app = App::start(&flags);
        let of = |server: usize, name: &str| {
            let (_, text) = app.get("/figures");
            let figures: Value = serde_json::from_str(&text).unwrap_or_default();
            figures["servers"][server][name].as_u64().unwrap_or(0)
        };
        for server in [0, 1] {
            wait_until("all viewers", || of(server, "viewers") == VIEWERS);
            wait_until("posts for them", || of(server, "delivered") > 3 * VIEWERS);
        }
        assert!(of(0, "os_threads") < 20 && of(1, "os_threads") > VIEWERS);
        let (green, threads) = (of(0, "bytes_per_viewer"), of(1, "bytes_per_viewer"));
        assert!(0 < green && green < threads, "{green} and {threads} bytes for each viewer");
        let (_, page) = app.get("/");
        assert!(page.contains("Lower is better") && !page.contains("{{"), "{page}");
        for (file, says) in [("/compare.js", "viewers of each server"), ("/compare.css", "--green")]
        {
            assert!(app.get(file).1.contains(says), "{file}");
        }
        assert_eq!(app.events_at("/curve").next_event().unwrap().2["servers"][1]["viewers"], 0);

        let children = app.children();
        assert_eq!(children.len(), 2);
        let status = app.signal(ending);
        assert_eq!(status.success(), ending == "INT", "{status}");
        let alive = |pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            !status.is_empty() && !status.contains("State:\tZ")
        };
        wait_until("the servers to end", || !children.iter().any(alive));
    }
}

#[test]
fn mistakes_end_with_2() {
    for (args, says) in [
        (&["--port", "1"][..], "the flags are"),
        (&["--mode", "fast"], "pool:N"),
        (&["--source", "bluesky:host"], "wss://"),
        (&["--source", "file:/no/such/file"], "/no/such/file"),
        (&["--source", "x", "--track", "tea"], "X_BEARER_TOKEN"),
        (&["--source", "mastodon:m.example"], "MASTODON_TOKEN"),
    ] {
        let mut command = Command::new(executable());
        let output = command
            .args(args)
            .env_remove("X_BEARER_TOKEN")
            .env_remove("MASTODON_TOKEN")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(says) && said.contains("--help"), "{args:?}: {said}");
        assert!(output.stdout.is_empty());
    }
    let help = Command::new(executable()).arg("--help").output().unwrap();
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("--time-scale"));
}

#[test]
fn taken_address_is_said() {
    let app = quiet(&[]);
    let output = Command::new(executable()).args(["--addr", app.addr()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(app.addr()), "{said}");
}
