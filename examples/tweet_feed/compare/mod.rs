//! `--compare`: the same feed by two servers, one on green threads and one on OS threads, and a page that draws the memory of
//! both while simulated viewers join them.
//!
//! The servers are this program again, each as a process of its own with the same flags, so that the kernel can say what
//! each of them takes. The viewers are green threads of this process; `member.rs` is a server as it is seen from here.

#![forbid(unsafe_code)]

mod member;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sward::http::{
    Event, Request, Response, Router, Server, ServerHandle, Sse, SseWriter, StatusCode,
};
use sward::net::TcpStream;
use sward::pubsub::{RecvError, Topic};
use sward::signal::{SIGINT, SIGTERM, Signals};
use sward::thread;

use crate::args::Options;
use crate::web::{POLICY, asset};
use member::Member;

/// How often both are looked at.
const EVERY: Duration = Duration::from_millis(250);

/// How much of the curve a page that comes late gets.
const KEPT: usize = 8192;

/// The program proper, on the first green thread.
pub(crate) fn serve(options: &Options) -> Result<(), String> {
    let bound = Server::bind(options.addr.as_str());
    let server = bound.map_err(|e| format!("cannot listen on {}: {e}", options.addr))?;
    let addr = server.local_addr().map_err(|e| e.to_string())?;
    let signals = Signals::new(&[SIGINT, SIGTERM]).map_err(|e| format!("no signals: {e}"))?;

    // They end when this is dropped, and when this process ends in any other way.
    let members = ["green", "threads"]
        .map(|mode| Member::start(mode, &options.shared).map(Arc::new))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    println!("tweet_feed: http://{addr}/ (compares, {} viewers)", options.viewers);
    for member in &members {
        println!("tweet_feed: mode {} on http://{}/", member.mode, member.addr);
    }
    let curve = Topic::new(KEPT);
    let (sampled, drawn, theirs) = (members.clone(), curve.clone(), members.clone());
    let (viewers, over) = (options.viewers, Duration::from_secs_f64(options.join));
    let spawn = |name: &str, f: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(name.into()).spawn(f).map(drop).map_err(|e| e.to_string())
    };
    spawn("curve", Box::new(move || draw(&sampled, &drawn)))?;
    spawn("viewers", Box::new(move || join(&theirs, viewers, over)))?;
    end_on_signal(signals, curve.clone(), server.handle(), &spawn)?;
    server.serve(routes(&members, viewers, curve)).map_err(|e| e.to_string())
}

type Spawn<'s> = &'s dyn Fn(&str, Box<dyn FnOnce() + Send>) -> Result<(), String>;

fn end_on_signal(
    signals: Signals,
    curve: Topic,
    server: ServerHandle,
    spawn: Spawn<'_>,
) -> Result<(), String> {
    spawn(
        "signals",
        Box::new(move || {
            if signals.wait().is_ok() {
                curve.close();
                server.shutdown();
            }
        }),
    )
}

fn routes(members: &[Arc<Member>], viewers: usize, curve: Topic) -> Router {
    let about = json!({
        "viewers": viewers,
        "machine": member::machine(),
        "servers": members.iter().map(|m| json!({"mode": m.mode, "addr": m.addr.to_string()})).collect::<Vec<_>>(),
    });
    let page = include_str!("../page/compare.html").replace("{{about}}", &escaped(&about));
    let latest = curve.clone();
    Router::new()
        .get("/", move |_: &mut Request<'_>| {
            Response::html(page.as_str())
                .header("content-security-policy", POLICY)
                .header("cache-control", "no-cache")
        })
        .get("/compare.css", |_: &mut Request<'_>| {
            asset("text/css; charset=utf-8", include_str!("../page/compare.css"))
        })
        .get("/compare.js", |_: &mut Request<'_>| {
            asset("text/javascript; charset=utf-8", include_str!("../page/compare.js"))
        })
        // What was drawn so far, and then what comes.
        .get("/curve", move |_: &mut Request<'_>| {
            let points = curve.subscribe_after(0);
            Sse::new(move |tx: &mut SseWriter<'_, '_>| {
                loop {
                    match points.recv() {
                        Ok(point) => tx.send(&Event::data(String::from_utf8_lossy(&point.data)))?,
                        Err(RecvError::Lagged { .. }) => {}
                        Err(_) => return Ok(()), // closed: the program stops
                    }
                }
            })
        })
        .get("/figures", move |_: &mut Request<'_>| {
            let last = latest.history(1).pop().map_or_else(Vec::new, |point| point.data.to_vec());
            Response::new(StatusCode::OK)
                .body(last)
                .header("content-type", "application/json")
                .header("cache-control", "no-store")
        })
}

/// For an attribute between double quotes.
fn escaped(value: &Value) -> String {
    value.to_string().replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

/// Looks at both again and again, until nobody wants to know any more.
fn draw(members: &[Arc<Member>], curve: &Topic) {
    let began = Instant::now();
    let mut last = Value::Null;
    loop {
        let figures: Vec<Value> = members.iter().map(|member| member.figures()).collect();
        let figures = Value::from(figures);
        // Without news a point a second is enough.
        let second = began.elapsed().as_millis() % 1000 < EVERY.as_millis();
        if second || figures != last {
            let t = (began.elapsed().as_secs_f64() * 100.0).round() / 100.0;
            curve.publish(json!({"t": t, "servers": figures}).to_string().into_bytes());
            last = figures;
        }
        thread::sleep(EVERY);
    }
}

/// Lets so many viewers join each server, evenly over that time.
fn join(members: &[Arc<Member>], viewers: usize, over: Duration) {
    let began = Instant::now() + Duration::from_secs(1);
    for n in 0..viewers {
        thread::sleep_until(began + over.mul_f64(n as f64 / viewers as f64));
        for member in members {
            let member = member.clone();
            thread::spawn(move || {
                loop {
                    // OK to ignore: a viewer who is sent away comes back, as browsers do.
                    let _ = view(&member);
                    thread::sleep(Duration::from_secs(1));
                }
            });
        }
    }
}

/// One viewer: asks for the events, and takes what comes.
fn view(member: &Member) -> std::io::Result<()> {
    let addr: SocketAddr = member.addr;
    let mut stream = TcpStream::connect(addr)?;
    write!(stream, "GET /events HTTP/1.1\r\nHost: {addr}\r\nAccept: text/event-stream\r\n\r\n")?;
    let mut joined = None;
    let mut some = [0; 1024];
    loop {
        let n = stream.read(&mut some)?;
        if n == 0 {
            return Ok(());
        }
        joined.get_or_insert_with(|| member.join());
        // An event that comes in two pieces may be missed; nobody keeps books here.
        let posts = some[..n].windows(7).filter(|bytes| bytes == b"\ndata: ").count();
        member.delivered.fetch_add(posts as u64, Ordering::Relaxed);
    }
}
