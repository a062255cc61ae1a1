//! The worker's side of skyhooks: who is posted to, and who is forgotten.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sward::http::testing::Client as Inside;
use sward::http::{Request, Response, Router, Server, ServerHandle, StatusCode};
use sward::webhook::hooks::{Form, Hooks, Poster};
use sward::webhook::store::{MemoryStore, SqliteStore, Store};
use sward::webhook::{Client, ClientConfig, Guard, Secret, Time, sign};

use crate::heard::{Heard, account, eventually};

/// An instance on a port of its own.
struct Instance {
    hooks: Hooks,
    handle: ServerHandle,
    /// Whether it answers, and how often it was asked.
    well: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
}

impl Instance {
    fn start(store: &Arc<dyn Store>, options: impl FnOnce(Hooks) -> Hooks) -> Instance {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hooks", server.local_addr().unwrap());
        let hooks = options(Hooks::new(store.clone(), url));
        let (well, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let (handle, answer) = (server.handle(), hooks.handler());
        let (fine, count) = (well.clone(), asked.clone());
        let app = Router::new().post("/hooks", move |req: &mut Request<'_>| {
            count.fetch_add(1, Ordering::Relaxed);
            match fine.load(Ordering::Relaxed) {
                true => answer(req),
                false => Response::new(StatusCode::INTERNAL_SERVER_ERROR),
            }
        });
        sward::thread::spawn(move || server.serve(app).unwrap());
        Instance { hooks, handle, well, asked }
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.handle.shutdown_now();
    }
}

fn poster(store: &Arc<dyn Store>) -> Poster {
    Poster::new(
        store.clone(),
        Client::new(ClientConfig::default(), Guard::default().allow_loopback()),
    )
}

fn stores() -> [Arc<dyn Store>; 2] {
    [Arc::new(MemoryStore::new()), Arc::new(SqliteStore::in_memory().unwrap())]
}

fn registered(store: &Arc<dyn Store>) -> usize {
    store.matching(&account("42"), Time::now()).unwrap().len()
}

/// SKY 6
#[test]
fn one_post_for_each_instance_and_everybody_hears() {
    for store in stores() {
        let instances = [(); 2].map(|()| Instance::start(&store, |hooks| hooks));
        let heard = [(); 4].map(|()| Heard::default());
        for (n, heard) in heard.iter().enumerate() {
            instances[n % 2].hooks.register(&account("42"), heard.callback()).unwrap();
        }
        let posted = poster(&store).post(&account("42"), &json!({"x": 1})).unwrap();
        assert_eq!(posted.len(), 2);
        assert!(posted.iter().all(|posted| posted.is_taken()), "{posted:?}");
        heard.iter().for_each(|heard| assert_eq!(heard.times(1), [json!({"x": 1})]));
        assert_eq!(instances.each_ref().map(Instance::asked), [1, 1]);
        assert_eq!(poster(&store).post(&account("43"), &json!(1)).unwrap(), []);
    }
}

/// SKY 7: an instance that is gone is forgotten after so many failures, or when its lease is over; the other one misses nothing.
#[test]
fn an_instance_that_is_gone_is_forgotten() {
    for store in stores() {
        let gone = Instance::start(&store, |hooks| hooks.forget_after(3));
        let lapses = Instance::start(&store, |hooks| hooks.lease(Duration::from_millis(200)));
        let stays = Instance::start(&store, |hooks| hooks.forget_after(3));
        let heard = Heard::default();
        gone.hooks.register(&account("42"), |_| {}).unwrap();
        stays.hooks.register(&account("42"), heard.callback()).unwrap();
        lapses.hooks.register(&account("44"), |_| {}).unwrap();
        gone.handle.shutdown_now();
        gone.handle.wait();
        let poster = poster(&store);
        let mut forgotten = Vec::new();
        for n in 0..5 {
            let posted = poster.post(&account("42"), &json!(n + 1)).unwrap();
            forgotten.push(posted.iter().filter(|posted| posted.forgotten).count());
        }
        assert_eq!(forgotten, [0, 0, 1, 0, 0]);
        assert_eq!(heard.times(5), [1, 2, 3, 4, 5]);
        assert_eq!(registered(&store), 1);
        // The lease: nobody renews it, and nobody posts to it.
        eventually("it lapses", || store.matching(&account("44"), Time::now()).unwrap().is_empty());
        assert_eq!(poster.clean().unwrap(), 1);
        assert_eq!(store.totals(None).unwrap().subscriptions, 1);
        assert_eq!(lapses.asked(), 0);
    }
}

/// SKY 7 with a process that is killed: what it leaves behind is forgotten, and the other one misses nothing.
#[test]
fn a_killed_instance_is_forgotten() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "poster::an_instance_to_be_killed", "--nocapture"]);
    let mut child = command.env(CHILD, "1").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.map(|line| line.unwrap()).find_map(|line| {
        line.split_once("http://").map(|(_, rest)| format!("http://{}", rest.trim()))
    });
    let gone = Hooks::new(store.clone(), url.expect("the child says where it is")).forget_after(3);
    gone.register(&account("42"), |_| {}).unwrap();
    let stays = Instance::start(&store, |hooks| hooks.forget_after(3));
    let heard = Heard::default();
    stays.hooks.register(&account("42"), heard.callback()).unwrap();
    let poster = poster(&store);
    let taken = |n: u32| {
        let posted = poster.post(&account("42"), &json!(n)).unwrap();
        posted.iter().filter(|posted| posted.is_taken()).count()
    };
    assert_eq!(taken(1), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!([2, 3, 4, 5].map(taken), [1; 4]);
    assert_eq!(registered(&store), 1);
    assert_eq!(heard.times(5), [1, 2, 3, 4, 5]);
}

const CHILD: &str = "SWARD_TEST_INSTANCE";

/// Does nothing, unless it is run as a process of its own by the test above, which kills it.
#[test]
fn an_instance_to_be_killed() {
    if std::env::var_os(CHILD).is_some() {
        let server = Server::bind("127.0.0.1:0").unwrap();
        println!("http://{}/hooks", server.local_addr().unwrap());
        sward::run(|| server.serve(|_: &mut Request<'_>| "")).unwrap();
    }
}

/// A failure that passes is not held against anybody; and one who says 410 is asked no more.
#[test]
fn failures_count_only_in_a_row() {
    for store in stores() {
        let instance = Instance::start(&store, |hooks| hooks.forget_after(3));
        instance.hooks.register(&account("42"), |_| {}).unwrap();
        let poster = poster(&store);
        for well in [false, false, true, false, false, true] {
            instance.well.store(well, Ordering::Relaxed);
            let posted = poster.post(&account("42"), &json!(1)).unwrap();
            assert_eq!(posted.iter().map(|posted| posted.is_taken()).collect::<Vec<_>>(), [well]);
        }
        assert_eq!(registered(&store), 1);
        let endpoint = store.endpoint_at(instance.hooks.url()).unwrap().unwrap();
        assert_eq!(endpoint.health.failures, 0);
        assert!(endpoint.health.last_success.is_some());
    }
}

/// SKY 11
#[test]
fn nothing_is_not_posted() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let instance = Instance::start(&store, |hooks| hooks);
    instance.hooks.register(&account("42"), |_| {}).unwrap();
    for nothing in [Value::Null, json!(""), json!([]), json!({})] {
        assert_eq!(poster(&store).post(&account("42"), &nothing).unwrap(), [], "{nothing}");
    }
    assert_eq!(instance.asked(), 0);
    for something in [json!(0), json!(false), json!([null])] {
        assert_eq!(poster(&store).post(&account("42"), &something).unwrap().len(), 1);
    }
    assert_eq!(instance.asked(), 3);
}

/// The form before skyhooks had one: the data alone.
#[test]
fn the_oldest_form_is_the_data() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let server = Server::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks", server.local_addr().unwrap());
    let handle = server.handle();
    let (heard, posts) = sward::sync::mpsc::channel();
    sward::thread::spawn(move || {
        server.serve(move |req: &mut Request<'_>| {
            let kind = req.header("content-type").unwrap_or_default().to_owned();
            heard.send((kind, req.text().unwrap())).unwrap();
        })
    });
    Hooks::new(store.clone(), url).register(&account("42"), |_| {}).unwrap();
    let poster = poster(&store).form(Form::Data);
    let post = |data: Value| {
        assert!(poster.post(&account("42"), &data).unwrap()[0].is_taken());
        posts.recv().unwrap()
    };
    let (kind, body) = post(json!({"a": "b c&d", "n": 1}));
    assert_eq!((&kind[..], &body[..]), ("application/x-www-form-urlencoded", "a=b+c%26d&n=1"));
    assert_eq!(post(json!([1])), ("application/json".into(), "[1]".into()));
    handle.shutdown_now();
}

/// With a secret: what workers post is taken; what others make up, repeat or change is not. (Must-show 8.)
#[test]
fn what_is_not_signed_is_refused() {
    let secret = Secret::random();
    for store in stores() {
        let instance = Instance::start(&store, |hooks| hooks.secret(&secret));
        let heard = Heard::default();
        instance.hooks.register(&account("42"), heard.callback()).unwrap();
        let posted = poster(&store).post(&account("42"), &json!("signed")).unwrap();
        assert!(posted[0].is_taken(), "{posted:?}");
        assert_eq!(heard.times(1), ["signed"]);
        let inside = Inside::new(Router::new().post("/hooks", instance.hooks.handler()));
        let body = r#"{"keys":{"account_id":"42"},"data":"again"}"#;
        let now = Time::now().as_secs();
        let send = |id: &str, at: u64, signature: &str, body: &str| {
            let reply = inside
                .post("/hooks")
                .header("webhook-id", id)
                .header("webhook-timestamp", at.to_string())
                .header("webhook-signature", signature)
                .body(body)
                .send();
            let status = reply.status().as_u16();
            if status >= 400 {
                assert!(reply.json::<Value>()["error"]["message"].is_string());
            }
            status
        };
        let signed =
            |id: &str, at: u64| sign(std::slice::from_ref(&secret), id, at, body.as_bytes());
        assert_eq!(inside.post("/hooks").body(body).send().status(), 400, "no signature");
        assert_eq!(send("m1", now, "v1,nonsense", body), 403);
        assert_eq!(send("m1", now, &signed("m2", now), body), 403, "of another message");
        assert_eq!(send("m1", now, &signed("m1", now), &body.replace("42", "43")), 403, "changed");
        assert_eq!(send("m1", now - 600, &signed("m1", now - 600), body), 403, "too old");
        assert_eq!(heard.all().len(), 1);
        assert_eq!(send("m1", now, &signed("m1", now), body), 200);
        assert_eq!(send("m1", now, &signed("m1", now), body), 409, "a replay");
        assert_eq!(
            send("m1", now + 1, &signed("m1", now + 1), body),
            200,
            "another attempt is known"
        );
        assert_eq!(heard.times(2), ["signed", "again"]);
        assert_eq!(registered(&store), 1);
    }
}
