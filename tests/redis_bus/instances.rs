//! Three instances of a web server on one Redis, 3,000 pages that follow 300 accounts, 1,000 messages a second from a worker; one
//! instance is killed and started again. Each page checks what it gets: every message of its account once and in order.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sward::http::{Event, Request, Router, Server, Sse};
use sward::net::TcpStream;
use sward::pubsub::redis::Redis;
use sward::pubsub::{Bus, Message};
use sward::thread;

use crate::child_support::{Child, command, is_child};
use crate::{LONG, alarm, server, wait_until};

const INSTANCES: usize = 3;
const KILLED: usize = 1;
const ACCOUNTS: usize = 300;
const PAGES: usize = 3000;
/// Messages a second, in all, and how long.
const RATE: usize = 1000;
const SECONDS: usize = 8;

const TEST: &str = "instances::three_instances";

/// What anybody would write: accounts' events, by id.
fn serve(with: &str) {
    let (port, url) = with.split_once(' ').unwrap();
    let bus = Redis::builder(url).patience(LONG).connect().unwrap();
    let server = Server::bind(format!("127.0.0.1:{port}")).unwrap();
    println!("port {}", server.local_addr().unwrap().port());
    let app = Router::new().get("/accounts/{id}/events", move |req: &mut Request<'_>| {
        let topic = bus.topic(&req.param::<String>("id")?)?;
        Ok::<_, sward::http::Error>(Sse::follow(&topic).encode(event).resume(req))
    });
    server.serve(app).unwrap();
}

fn event(message: &Message) -> Vec<u8> {
    let text = String::from_utf8_lossy(&message.data);
    Event::data(text).id(message.event_id.to_string()).encode()
}

/// A page: where it is, and what it has seen.
struct Page {
    account: usize,
    instance: usize,
    /// `Last-Event-ID`, and the number in that message.
    last: Option<(String, usize)>,
}

/// What all pages have in common.
#[derive(Default)]
struct World {
    ports: Vec<u16>,
    /// Streams that have begun and not ended.
    open: AtomicUsize,
    received: AtomicUsize,
    resumed: AtomicUsize,
    /// The last number of each account, when it is known.
    ends: Vec<AtomicUsize>,
    over: AtomicBool,
    /// Nobody waits for the pages any more.
    gone: AtomicBool,
    /// What the first saw who saw something wrong.
    fault: Mutex<Option<String>>,
}

impl Page {
    /// Until it has everything.
    fn live(mut self, world: &World) {
        loop {
            if self.connect(world).is_ok() || world.gone.load(Ordering::Relaxed) {
                return;
            }
            // Half of them wait for their instance, the others go to the next one.
            if self.account.is_multiple_of(2) {
                self.instance = (self.instance + 1) % INSTANCES;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn connect(&mut self, world: &World) -> io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", world.ports[self.instance]))?;
        let resume = match &self.last {
            Some((id, _)) => format!("Last-Event-ID: {id}\r\n"),
            None => String::new(),
        };
        write!(
            stream,
            "GET /accounts/{}/events HTTP/1.1\r\nHost: test\r\n{resume}\r\n",
            self.account
        )?;
        let mut lines = BufReader::with_capacity(1024, stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            assert!(!line.starts_with("HTTP/") || line.contains(" 200 "), "{line}");
        }
        world.resumed.fetch_add(usize::from(self.last.is_some()), Ordering::Relaxed);
        world.open.fetch_add(1, Ordering::Relaxed);
        let end = self.read(&mut lines, world);
        world.open.fetch_sub(1, Ordering::Relaxed);
        end
    }

    fn read(&mut self, lines: &mut impl BufRead, world: &World) -> io::Result<()> {
        let (mut line, mut data) = (String::new(), None);
        loop {
            if self.last.as_ref().map(|last| last.1) == world.end(self.account)
                && self.last.is_some()
            {
                return Ok(());
            }
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // What a chunk says of itself is neither of these.
            let text = line.trim_end();
            if text.contains("lagged") {
                return world.fault(format!(
                    "account {}: told of a loss after {:?}",
                    self.account, self.last
                ));
            }
            if let Some(number) = text.strip_prefix("data: ") {
                data = number.parse::<usize>().ok();
            } else if let (Some(id), Some(number)) = (text.strip_prefix("id: "), data) {
                if let Some((before, last)) = &self.last
                    && number != last + 1
                {
                    let which = format!("{last} and {number}, {before} and {id}");
                    return world
                        .fault(format!("account {}: one after the other: {which}", self.account));
                }
                self.last = Some((id.to_owned(), number));
                world.received.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl World {
    /// Its page has seen enough.
    fn fault(&self, what: String) -> io::Result<()> {
        self.fault.lock().unwrap().get_or_insert(what);
        Ok(())
    }

    fn end(&self, account: usize) -> Option<usize> {
        let over = self.over.load(Ordering::Acquire);
        over.then(|| self.ends[account].load(Ordering::Relaxed))
    }
}

/// The end of the test, however it comes: pages that wait for their instance wait no more.
struct End(Arc<World>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn three_instances() {
    if let Some(with) = is_child(TEST) {
        return sward::run(|| serve(&with));
    }
    alarm::watch(|| sward::Builder::new().workers(2).run(storm));
}

fn start(port: u16, url: &str) -> (Child, u16) {
    let mut child = Child::start(command(TEST, &format!("{port} {url}")));
    let port = child.says("port ").parse().unwrap();
    (child, port)
}

fn storm() {
    let redis = server::Server::forgetful();
    let mut instances: Vec<_> = (0..INSTANCES).map(|_| start(0, &redis.url())).collect();
    let world = Arc::new(World {
        ports: instances.iter().map(|(_, port)| *port).collect(),
        ends: (0..ACCOUNTS).map(|_| AtomicUsize::new(0)).collect(),
        ..World::default()
    });
    let _end = End(world.clone());
    let worker = Redis::builder(&redis.url()).patience(LONG).connect().unwrap();
    let pages: Vec<_> = (0..PAGES)
        .map(|n| {
            let page =
                Page { account: n % ACCOUNTS, instance: n / ACCOUNTS % INSTANCES, last: None };
            let world = world.clone();
            thread::spawn(move || page.live(&world))
        })
        .collect();
    wait_until("all pages are open", || world.open.load(Ordering::Relaxed) == PAGES);
    // A first message for everybody: who has an id can resume.
    for account in 0..ACCOUNTS {
        worker.publish(&account.to_string(), b"0"[..].into()).unwrap();
    }
    wait_until("everybody has an id", || world.received.load(Ordering::Relaxed) == PAGES);

    // The worker: ten green threads, each with accounts of its own.
    let began = Instant::now();
    let voices: Vec<_> = (0..10)
        .map(|voice| {
            let (worker, world) = (worker.clone(), world.clone());
            thread::spawn(move || {
                for n in 0..RATE * SECONDS / 10 {
                    let account = voice + n * 10 % ACCOUNTS;
                    let number = world.ends[account].fetch_add(1, Ordering::Relaxed) + 1;
                    let text = number.to_string().into_bytes();
                    worker.publish(&account.to_string(), text.into()).unwrap();
                    let due = began + Duration::from_secs(10) * (n as u32 + 1) / RATE as u32;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            })
        })
        .collect();

    thread::sleep(Duration::from_secs(2));
    let (killed, port) = instances.remove(KILLED);
    drop(killed); // SIGKILL
    thread::sleep(Duration::from_secs(2));
    instances.insert(KILLED, start(port, &redis.url()));

    voices.into_iter().for_each(|voice| voice.join().unwrap());
    let took = began.elapsed();
    // One more for each, by which everybody knows that it was all.
    let lasts: Vec<_> =
        world.ends.iter().map(|end| end.fetch_add(1, Ordering::Relaxed) + 1).collect();
    assert_eq!(*world.fault.lock().unwrap(), None);
    world.over.store(true, Ordering::Release);
    for (account, last) in lasts.into_iter().enumerate() {
        worker.publish(&account.to_string(), last.to_string().into_bytes().into()).unwrap();
    }
    pages.into_iter().for_each(|page| page.join().unwrap());
    assert_eq!(*world.fault.lock().unwrap(), None);

    let (received, resumed) =
        (world.received.load(Ordering::Relaxed), world.resumed.load(Ordering::Relaxed));
    let messages = ACCOUNTS * 2 + RATE * SECONDS;
    assert_eq!(received, messages * PAGES / ACCOUNTS, "each message by each page once");
    let of_killed = (0..PAGES).filter(|n| n / ACCOUNTS % INSTANCES == KILLED).count();
    assert_eq!(resumed, of_killed, "those of the killed one came back");
    println!(
        "{messages} messages, {:.0} a second, to {PAGES} pages: {received} received, {resumed} times resumed",
        (RATE * SECONDS) as f64 / took.as_secs_f64()
    );
}
