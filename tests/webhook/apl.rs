//! The whole pipeline, line by line, with the example's own modules: instances on ports of their own, workers, users.

#[path = "../../examples/webhooks/accounts.rs"]
mod accounts;
#[path = "../../examples/webhooks/args.rs"]
#[allow(dead_code, reason = "its own tests use it")]
mod args;
#[path = "../../examples/tweet_feed/client.rs"]
#[allow(dead_code, reason = "the example uses all of it")]
mod client;
#[path = "../../examples/webhooks/gateway.rs"]
mod gateway;
#[path = "../../examples/webhooks/instance.rs"]
mod instance;
#[path = "../../examples/webhooks/jobs.rs"]
mod jobs;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sward::http::{Router, Server, ServerHandle};
use sward::thread;
use sward::webhook::hooks::{Hooks, Poster};
use sward::webhook::store::{MemoryStore, SqliteStore, Store, StoreError};
use sward::webhook::{
    Client, ClientConfig, Config, Dispatcher, Guard, Keys, Publication, Secret, Time, Webhooks,
};
use tungstenite::Message;

use crate::counting::Counting;
use crate::heard::eventually;
use accounts::{Accounts, KEY};
use gateway::Gateway;
use instance::Instance;
use jobs::Jobs;

/// Instances, workers, and what is between them.
struct World {
    store: Arc<Counting>,
    urls: Vec<String>,
    jobs: Jobs,
    servers: Vec<(ServerHandle, thread::JoinHandle<()>)>,
    accounts: Vec<Accounts>,
    _dispatcher: Option<Dispatcher>,
}

impl World {
    /// Two instances; results go by the durable registry, or directly.
    fn start(store: Arc<dyn Store>, durable: bool) -> World {
        let store = Arc::new(Counting::new(store));
        let guard = Guard::default().allow_loopback();
        let webhooks =
            Webhooks::new(store.clone(), Config { guard: guard.clone(), ..Config::default() });
        let client = Client::new(ClientConfig::default(), guard);
        let dispatcher = durable.then(|| webhooks.start());
        let keys = |account: &str| Keys::new().with(KEY, account);
        let jobs = if durable {
            let webhooks = webhooks.clone();
            Jobs::start(2, move |account: &str, result: &Value| {
                webhooks.publish(Publication::new(keys(account), result)).map(drop)
            })
        } else {
            let poster = Poster::new(store.clone(), client.clone());
            Jobs::start(2, move |account: &str, result: &Value| {
                poster.post(&keys(account), result)?;
                Ok::<_, StoreError>(())
            })
        };
        let mut world = World {
            store,
            urls: Vec::new(),
            jobs: jobs.clone(),
            servers: Vec::new(),
            accounts: Vec::new(),
            _dispatcher: dispatcher,
        };
        let workers = world.serve(|_| jobs.routes(Router::new()));
        for _ in 0..2 {
            let (store, client, workers) = (world.store.clone(), client.clone(), workers.clone());
            let (webhooks, mut accounts) = (webhooks.clone(), None);
            let url = world.serve(|url| {
                let hooks =
                    Hooks::new(store, format!("{url}/hooks")).secret(&Secret::random()).start();
                let here = accounts.insert(Accounts::new(hooks.clone())).clone();
                let gateway =
                    Gateway::new(url, &format!("{url}/backend"), Duration::from_millis(700));
                let (token, instances) = ("t".into(), Vec::new());
                Instance {
                    webhooks,
                    hooks,
                    accounts: here,
                    gateway,
                    jobs: workers,
                    client,
                    token,
                    instances,
                }
                .routes()
            });
            world.urls.push(url);
            world.accounts.extend(accounts);
        }
        world
    }

    fn serve(&mut self, app: impl FnOnce(&str) -> Router) -> String {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let (handle, app) = (server.handle(), app(&url));
        let serving = thread::spawn(move || server.serve(app).unwrap());
        self.servers.push((handle, serving));
        url
    }

    fn ask(&self, instance: usize, account: &str, ms: u64) -> Value {
        let url = format!("{}/accounts/{account}/tasks", self.urls[instance]);
        let body = json!({"task": "report", "ms": ms}).to_string();
        let post = ureq::post(&url).header("content-type", "application/json");
        let mut response = post.send(body).unwrap();
        assert_eq!(response.status(), 202);
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    }

    fn user(&self, instance: usize, account: &str, by: &str) -> User {
        User::connect(&self.urls[instance], account, by)
    }

    /// The URLs that the store has for an account.
    fn registered(&self, account: &str) -> usize {
        self.store.matching(&Keys::new().with(KEY, account), Time::now()).unwrap().len()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.accounts.iter().for_each(Accounts::close);
        for (handle, serving) in self.servers.drain(..) {
            handle.shutdown_now();
            drop(serving.join());
        }
    }
}

/// Somebody who listens, from when this is there.
enum User {
    Sse(BufReader<TcpStream>),
    WebSocket(Box<tungstenite::WebSocket<TcpStream>>),
    Poll(String, u64, Vec<Value>),
}

impl User {
    fn connect(url: &str, account: &str, by: &str) -> User {
        let address = url.strip_prefix("http://").unwrap();
        let stream = || {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream
        };
        match by {
            "sse" => {
                let mut stream = stream();
                let head =
                    format!("GET /accounts/{account}/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
                std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
                let mut user = BufReader::new(stream);
                let mut line = String::new();
                while !line.starts_with("event: ready") {
                    line.clear();
                    assert!(user.read_line(&mut line).unwrap() > 0);
                }
                User::Sse(user)
            }
            "ws" => {
                let url = format!("ws://{address}/accounts/{account}/ws");
                let (mut ws, _) = tungstenite::client(url, stream()).unwrap();
                assert!(ws.read().unwrap().to_text().unwrap().contains("ready"));
                User::WebSocket(Box::new(ws))
            }
            _ => {
                let mut user = User::Poll(format!("{url}/accounts/{account}/poll"), 0, Vec::new());
                user.poll("");
                user
            }
        }
    }

    fn poll(&mut self, query: &str) {
        let User::Poll(url, cursor, results) = self else { unreachable!() };
        let mut response = ureq::get(&format!("{url}{query}")).call().unwrap();
        let polled = response.body_mut().read_to_string().unwrap();
        let polled: Value = serde_json::from_str(&polled).unwrap();
        *cursor = polled["cursor"].as_u64().unwrap();
        results.extend(polled["results"].as_array().unwrap().iter().rev().cloned());
    }

    /// The next result.
    fn result(&mut self) -> Value {
        match self {
            User::Sse(stream) => loop {
                let mut line = String::new();
                assert!(stream.read_line(&mut line).unwrap() > 0, "the stream has ended");
                match line.trim().strip_prefix("data: ") {
                    Some("{}") | None => {}
                    Some(data) => return serde_json::from_str(data).unwrap(),
                }
            },
            User::WebSocket(ws) => match ws.read().unwrap() {
                Message::Text(text) => serde_json::from_str(&text).unwrap(),
                other => panic!("{other:?}"),
            },
            User::Poll(..) => loop {
                let User::Poll(_, cursor, results) = self else { unreachable!() };
                if let Some(result) = results.pop() {
                    return result;
                }
                let query = format!("?cursor={cursor}");
                self.poll(&query);
            },
        }
    }
}

fn stores() -> Vec<Arc<dyn Store>> {
    vec![Arc::new(MemoryStore::new()), Arc::new(SqliteStore::in_memory().unwrap())]
}

/// APL 1, 2 and 4, on each store, durable and direct. (SKY 6 with it: two instances, one post each.)
#[test]
fn one_job_for_all_users_of_an_account() {
    for durable in [true, false] {
        for store in stores() {
            let world = World::start(store, durable);
            let mut users: Vec<_> = [(0, "sse"), (0, "ws"), (1, "poll"), (1, "sse"), (1, "ws")]
                .map(|(instance, by)| world.user(instance, "42", by))
                .into();
            let mut stranger = world.user(0, "43", "sse");
            assert_eq!((world.registered("42"), world.registered("43")), (2, 1));
            let asked: Vec<_> = (0..5).map(|n| world.ask(n % 2, "42", 300)).collect();
            let joined: Vec<_> = asked.iter().map(|asked| asked["joined"] == true).collect();
            assert_eq!(joined, [false, true, true, true, true]);
            let results: Vec<_> = users.iter_mut().map(User::result).collect();
            assert!(results.iter().all(|result| *result == results[0]), "{results:#?}");
            assert_eq!(
                (&results[0]["task_id"], &results[0]["account"]),
                (&asked[0]["task_id"], &json!("42"))
            );
            assert_eq!(world.jobs.executed(), 1);
            // What the stranger gets first is the stranger's.
            world.ask(1, "43", 1);
            assert_eq!(stranger.result()["account"], "43");
            // And nobody got anything twice: what comes next is the next.
            let next = world.ask(0, "42", 1)["task_id"].clone();
            assert!(users.iter_mut().all(|user| user.result()["task_id"] == next));
        }
    }
}

/// APL 3
#[test]
fn get_gives_one_result_to_one_caller() {
    let world = World::start(Arc::new(MemoryStore::new()), false);
    let id = world.ask(0, "42", 200)["task_id"].clone();
    let waiters: Vec<_> = (0..5)
        .map(|n| {
            let url = format!("{}/tasks/{id}/get?wait_ms=1500", world.urls[n % 2]);
            std::thread::spawn(move || {
                let agent = client::agent(Duration::from_secs(20));
                agent.get(&url).call().unwrap().status().as_u16()
            })
        })
        .collect();
    let mut got: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
    got.sort_unstable();
    assert_eq!(got, [200, 410, 410, 410, 410]);
}

/// APL 5
#[test]
fn who_leaves_in_the_middle_is_forgotten() {
    for by in ["sse", "ws"] {
        let world = World::start(Arc::new(MemoryStore::new()), true);
        let (gone, mut stays) = (world.user(0, "42", by), world.user(1, "42", by));
        assert_eq!(world.registered("42"), 2);
        world.ask(1, "42", 500);
        drop(gone);
        eventually("the row is removed", || world.registered("42") == 1);
        assert_eq!(world.jobs.executed(), 0, "in the middle of the job");
        let posts = world.store.claimed.load(Ordering::Relaxed);
        assert_eq!(stays.result()["account"], "42");
        eventually("one post", || world.store.claimed.load(Ordering::Relaxed) == posts + 1);
        drop(stays);
        eventually("nobody is left", || world.registered("42") == 0);
    }
}

/// APL 6: while nothing happens nobody asks the store; and when something does, it is there at once. The median of 20, so that
/// one that a busy machine delays does not count.
#[test]
fn results_come_at_once_and_nobody_polls() {
    for durable in [true, false] {
        let world = World::start(Arc::new(MemoryStore::new()), durable);
        let mut user = world.user(0, "42", "sse");
        let mut took: Vec<_> = (0..20)
            .map(|_| {
                world.ask(1, "42", 1);
                let done = user.result()["done_ms"].as_u64().unwrap();
                Time::now().since(Time::from_millis(done))
            })
            .collect();
        took.sort_unstable();
        assert!(took[10] < Duration::from_millis(50), "durable: {durable}, {took:?}");
        // Whatever is still to be noted is noted.
        let calls = || world.store.calls.load(Ordering::Relaxed);
        let mut quiet = (calls(), Instant::now());
        eventually("the store is left alone for a second and a half", || {
            if calls() != quiet.0 {
                quiet = (calls(), Instant::now());
            }
            quiet.1.elapsed() > Duration::from_millis(1500)
        });
    }
}

/// APL 7
#[test]
fn the_gateway_holds_requests() {
    let world = World::start(Arc::new(MemoryStore::new()), false);
    let agent = client::agent(Duration::from_secs(20));
    let url = &world.urls[0];
    let get = |path: &str| {
        let mut response = agent.get(format!("{url}/gateway/{path}")).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    };
    assert_eq!(get("immediate"), (200, "here is the response\n".into()));
    assert_eq!(get("nothing").0, 404, "whatever the backend says");
    let start = Instant::now();
    let (status, body) = get("deferred?ms=100");
    assert_eq!((status, &body[..]), (200, r#"{"post":1,"thought_ms":100}"#));
    assert!(start.elapsed() >= Duration::from_millis(100));
    // The second post is ignored.
    assert_eq!(get("deferred?ms=50&times=3"), (200, r#"{"post":1,"thought_ms":50}"#.into()));
    assert_eq!(get("never").0, 504);
}

/// The rest of APL 7: what is posted late, twice, wrongly or for nobody.
#[test]
fn late_posts_are_told_so() {
    let (asked, hooks) = sward::sync::mpsc::channel();
    let backend = Server::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", backend.local_addr().unwrap());
    let handle = backend.handle();
    let app = Router::new().get("/think", move |req: &mut sward::http::Request<'_>| {
        asked.send(req.header("x-webhook-url").unwrap().to_owned()).unwrap();
        sward::http::StatusCode::ACCEPTED
    });
    let serving = thread::spawn(move || backend.serve(app).unwrap());
    let gate = Server::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gate.local_addr().unwrap());
    let gateway = Gateway::new(&url, &at, Duration::from_millis(600));
    let (gate_handle, app) = (gate.handle(), gateway.routes(Router::new()));
    let gating = thread::spawn(move || gate.serve(app).unwrap());

    let agent = client::agent(Duration::from_secs(20));
    let asking = || {
        let (agent, url) = (agent.clone(), format!("{url}/gateway/think"));
        std::thread::spawn(move || {
            let mut response = agent.get(url).call().unwrap();
            let kind =
                response.headers().get("content-type").map(|k| k.to_str().unwrap().to_owned());
            (response.status().as_u16(), kind, response.body_mut().read_to_string().unwrap())
        })
    };
    let post = |hook: &str, answer: Value| {
        let post = agent.post(hook).header("content-type", "application/json");
        post.send(answer.to_string()).unwrap().status().as_u16()
    };
    let client = asking();
    let hook = hooks.recv().unwrap();
    for wrong in [json!([]), json!({}), json!({"status": 99}), json!({"status": "200"})] {
        assert_eq!(post(&hook, wrong), 400);
    }
    let answer =
        json!({"status": 418, "headers": {"content-type": "text/html"}, "body": "<b>tea</b>"});
    assert_eq!(post(&hook, answer.clone()), 200);
    assert_eq!(client.join().unwrap(), (418, Some("text/html".into()), "<b>tea</b>".into()));
    assert_eq!(post(&hook, answer.clone()), 410, "the second is ignored");
    let late = asking();
    let hook = hooks.recv().unwrap();
    assert_eq!(late.join().unwrap().0, 504);
    assert_eq!(post(&hook, answer.clone()), 410, "too late");
    assert_eq!(post(&format!("{url}/gateway-hooks/nobody"), answer), 404);
    for (handle, serving) in [(handle, serving), (gate_handle, gating)] {
        handle.shutdown_now();
        serving.join().unwrap();
    }
}
