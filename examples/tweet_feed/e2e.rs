//! Tests of the reader against the simulator, over real sockets, with every wait of the protocol
//! scaled down. The pure parts have their tests beside them; the whole program is tested in
//! `tests/tweet_feed.rs`.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sward::thread;

use crate::backoff::{Failure, Policy};
use crate::client;
use crate::feed::{Feed, json_of};
use crate::reader::{self, Upstream};
use crate::sim::people::TOPICS;
use crate::sim::{Sim, SimConfig};
use crate::source::mastodon::Mastodon;
use crate::source::x::XStream;

/// Twenty times as fast as in earnest: a stall is 1 s, the first HTTP back-off 250 ms.
const SCALE: f64 = 0.05;

struct World {
    sim: Sim,
    feed: Arc<Feed>,
}

impl World {
    fn new(rate: f64) -> World {
        let config = SimConfig { rate, seed: 1, time_scale: SCALE, token: "t".into() };
        let sim = Sim::start("127.0.0.1:0", config).unwrap();
        World { sim, feed: Arc::new(Feed::new(50)) }
    }

    fn stream(&self) -> XStream {
        let track: Vec<String> = TOPICS.iter().map(|t| (*t).to_owned()).collect();
        // `x` and not `sim`: no backfill, so that what was lost is not made up for.
        XStream::new(&self.sim.base(), "t", &track, "x", Policy::x().scaled(SCALE))
    }

    /// The reader as a closure, to be run on any kind of thread.
    fn reader(&self) -> impl FnOnce() + Send + 'static + use<> {
        let (stream, feed) = (self.stream(), self.feed.clone());
        move || reader::run(stream, Policy::x().scaled(SCALE), &feed)
    }

    fn fault(&self, order: &str) {
        let url = format!("{}/sim/fault", self.sim.base());
        let agent = client::agent(Duration::from_secs(5));
        assert_eq!(agent.post(&url).send(order).unwrap().status(), 200, "{order}");
    }

    fn rules(&self, body: &Value) -> (u16, Value) {
        self.rules_at("", body)
    }

    fn rules_at(&self, query: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/2/tweets/search/stream/rules{query}", self.sim.base());
        let agent = client::agent(Duration::from_secs(5));
        let request = agent.post(&url).header("authorization", "Bearer t");
        let request = request.content_type("application/json");
        let mut response = request.send(body.to_string()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap())
    }

    /// Times, in ms, and statuses of the attempts to connect.
    fn visits(&self) -> Vec<(u64, u64)> {
        let url = format!("{}/sim/connections", self.sim.base());
        let agent = client::agent(Duration::from_secs(5));
        let text = agent.get(&url).call().unwrap().body_mut().read_to_string().unwrap();
        let list: Vec<Value> = serde_json::from_str(&text).unwrap();
        let pair = |v: &Value| (v["at_ms"].as_u64().unwrap(), v["status"].as_u64().unwrap());
        list.iter().map(pair).collect()
    }

    #[track_caller]
    fn wait_until(&self, what: &str, done: impl Fn(&World) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.visits());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for so many more posts.
    #[track_caller]
    fn wait_for_posts(&self, n: u64) {
        let want = self.feed.posts_total() + n;
        self.wait_until("posts", |w| w.feed.posts_total() >= want);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.feed.close();
        self.sim.stop();
    }
}

/// Runs a test on a green thread.
fn green(test: impl FnOnce()) {
    sward::Builder::new().workers(2).run(test);
}

#[test]
fn each_post_once() {
    green(|| {
        let world = World::new(500.0);
        world.fault("split");
        world.fault("dup");
        world.fault("garbage");
        let (posts, _) = world.feed.join(None);
        thread::spawn(world.reader());
        let mut ids = Vec::new();
        while ids.len() < 1000 {
            let frame = posts.recv_timeout(Duration::from_secs(10)).unwrap().data;
            let post: Value = serde_json::from_slice(json_of(&frame)).unwrap();
            ids.push(post["id"].as_str().unwrap().parse::<u64>().unwrap());
        }
        assert!(ids.is_sorted_by(|a, b| a < b), "in order, and none twice");
        assert_eq!(world.visits().len(), 1, "one connection did it all");
    });
}

#[test]
fn same_reader_on_an_os_thread() {
    green(|| {
        let world = World::new(200.0);
        #[allow(clippy::disallowed_methods, reason = "this is what the test is about")]
        std::thread::spawn(world.reader());
        world.wait_for_posts(50);
        world.fault("drop");
        world.wait_until("a second connection", |w| w.visits().len() == 2);
        world.wait_for_posts(50);
    });
}

#[test]
fn lost_connections_come_back_at_once() {
    green(|| {
        let world = World::new(100.0);
        thread::spawn(world.reader());
        for (round, fault) in ["drop", "close", "disconnect"].into_iter().enumerate() {
            world.wait_for_posts(5);
            world.fault(fault);
            world.wait_until(fault, |w| w.visits().len() == round + 2);
        }
        world.wait_for_posts(5);
        assert!(world.visits().iter().all(|(_, status)| *status == 200), "{:?}", world.visits());
    });
}

#[test]
fn silence_is_noticed() {
    green(|| {
        let world = World::new(100.0);
        thread::spawn(world.reader());
        world.wait_for_posts(5);
        world.fault("stall");
        let stalled = Instant::now();
        world.wait_until("a new connection", |w| w.visits().len() == 2);
        let waited = stalled.elapsed();
        assert!(waited >= Duration::from_millis(950), "gave up after {waited:?}");
        world.wait_for_posts(5);
    });
}

#[test]
fn keep_alives_count_as_life() {
    green(|| {
        let world = World::new(0.001); // a post in a quarter of an hour
        thread::spawn(world.reader());
        world.wait_until("the connection", |w| w.visits().len() == 1);
        thread::sleep(Duration::from_millis(2500)); // two and a half stall limits
        assert_eq!(world.visits().len(), 1);
    });
}

#[test]
fn refusals_back_off() {
    green(|| {
        let world = World::new(100.0);
        world.fault("http:503*4");
        thread::spawn(world.reader());
        world.wait_for_posts(1);
        let visits = world.visits();
        assert_eq!(visits.iter().map(|v| v.1).collect::<Vec<_>>(), [503, 503, 503, 503, 200]);
        let gaps: Vec<u64> = visits.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        for (gap, want) in gaps.iter().zip([250, 500, 1000, 2000]) {
            assert!((want - 5..want + 400).contains(gap), "{gaps:?}");
        }
    });
}

#[test]
fn nobody_there_is_tried_again() {
    green(|| {
        let config = SimConfig { rate: 100.0, seed: 1, time_scale: SCALE, token: "t".into() };
        let first = Sim::start("127.0.0.1:0", config.clone()).unwrap();
        let (addr, feed) = (first.addr.to_string(), Arc::new(Feed::new(50)));
        let world = World { sim: first, feed };
        thread::spawn(world.reader());
        world.wait_for_posts(5);
        world.sim.stop();
        thread::sleep(Duration::from_millis(100));
        // The new one knows no rules: the reader must notice that as well.
        let feed = world.feed.clone();
        let second = sward::timeout(Duration::from_secs(10), || {
            loop {
                match Sim::start(&addr, config.clone()) {
                    Ok(sim) => break sim,
                    Err(_) => thread::sleep(Duration::from_millis(20)),
                }
            }
        });
        let world = World { sim: second.unwrap(), feed };
        world.wait_for_posts(5);
        assert_eq!(world.visits().first().unwrap().1, 409);
    });
}

#[test]
fn one_connection_only() {
    green(|| {
        let world = World::new(100.0);
        let answer = world.stream().connect().map(drop);
        assert_eq!(answer, Ok(()));
        // That one is gone, but the upstream may need a moment to see it.
        let mut first = loop {
            match world.stream().connect() {
                Ok(stream) => break stream,
                Err(Failure::Http(429, _)) => thread::sleep(Duration::from_millis(10)),
                Err(failure) => panic!("{failure}"),
            }
        };
        let Err(Failure::Http(429, why)) = world.stream().connect() else {
            panic!("a second stream")
        };
        assert!(why.contains("maximum allowed connection limit"), "{why}");
        let mut byte = [0];
        assert_eq!(first.read(&mut byte).unwrap(), 1, "the first one goes on");
    });
}

#[test]
fn rules_over_http() {
    green(|| {
        let world = World::new(100.0);
        let (status, added) = world.rules(&json!({"add": [
            {"value": "tea #green", "tag": "t"}, {"value": "lang:en"}, {"value": "coffee"}]}));
        assert_eq!(status, 201);
        assert_eq!(
            added["meta"]["summary"],
            json!({"created": 2, "not_created": 1, "valid": 2, "invalid": 1})
        );
        assert_eq!(added["errors"][0]["title"], "UnprocessableEntity");
        let (_, again) = world.rules(&json!({"add": [{"value": "coffee"}]}));
        assert_eq!(again["errors"][0]["title"], "DuplicateRule");
        assert_eq!(again["errors"][0]["id"], added["data"][1]["id"]);
        world.rules_at("?dry_run=true", &json!({"delete": {"values": ["coffee"]}}));
        let (_, gone) = world.rules(&json!({"delete": {"ids": [added["data"][0]["id"]],
            "values": ["coffee", "never was"]}}));
        assert_eq!(gone["meta"]["summary"], json!({"deleted": 2, "not_deleted": 1}));
        assert_eq!(world.rules(&json!({})).0, 400);

        let mut stranger = XStream::new(&world.sim.base(), "wrong", &[], "x", Policy::x());
        let Err(Failure::Http(401, _)) = stranger.connect() else { panic!("a wrong token") };
        let mut no_rules = XStream::new(&world.sim.base(), "t", &[], "x", Policy::x());
        let Err(Failure::Http(409, _)) = no_rules.connect() else { panic!("no rules") };
    });
}

#[test]
fn rules_change_while_reading() {
    green(|| {
        let world = World::new(300.0);
        let track = ["cats".to_owned()];
        let mut stream = XStream::new(&world.sim.base(), "t", &track, "x", Policy::x());
        let mut body = std::io::BufReader::new(stream.connect().unwrap_or_else(|e| panic!("{e}")));
        let mut next = || loop {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut body, &mut line).unwrap();
            if !line.trim().is_empty() {
                return serde_json::from_str::<Value>(&line).unwrap();
            }
        };
        assert_eq!(next()["matching_rules"][0]["tag"], "sward: cats");
        world.rules(&json!({"add": [{"value": "coffee", "tag": "c"}]}));
        world.rules(&json!({"delete": {"values": ["cats"]}}));
        let changed = (0..200).map(|_| next()).find(|post| post["matching_rules"][0]["tag"] == "c");
        assert!(changed.is_some());
    });
}

#[test]
fn mastodon_reads_and_comes_back() {
    green(|| {
        let world = World::new(100.0);
        let policy = Policy::mastodon().scaled(SCALE);
        let stream = Mastodon::new(&world.sim.base(), "t", &["cats".to_owned()], policy);
        let feed = world.feed.clone();
        let (posts, _) = feed.join(None);
        thread::spawn(move || reader::run(stream, policy, &feed));
        for (round, fault) in
            ["drop", "split", "close", "stall", "http:500"].into_iter().enumerate()
        {
            world.wait_for_posts(3);
            world.fault(fault);
            if fault == "http:500" {
                world.fault("close");
            }
            // `split` ends nothing, so from there on there is one less.
            let connections = round + 2 - usize::from(round > 0);
            world.wait_until(fault, |w| w.visits().len() >= connections);
        }
        world.wait_for_posts(3);
        let statuses: Vec<u64> = world.visits().iter().map(|v| v.1).collect();
        assert_eq!(statuses, [200, 200, 200, 200, 500, 200]);
        let frame = posts.try_recv().unwrap().data;
        let post: Value = serde_json::from_slice(json_of(&frame)).unwrap();
        assert!(post["content"].as_str().unwrap().to_lowercase().contains("#cats"), "{post}");
        assert_eq!(post["source"], "mastodon");
    });
}
