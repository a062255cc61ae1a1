//! The tweet feed: a page that shows posts in real time, fed by a reader that is plain blocking code,
//! on green threads. Needs no account and no network:
//!
//! ```text
//! cargo run --release --example tweet_feed          # then open http://127.0.0.1:8080/
//! curl -N http://127.0.0.1:8080/events
//! cargo run --release --example tweet_feed -- --compare     # beside OS threads, their memory drawn as viewers join
//! ```
//!
//! Read in this order: `post.rs` and `parse.rs` (what a post is), `reader.rs` with `source/` (how posts
//! come in), `feed.rs` (how one encoding reaches everybody), `web.rs` and `websocket.rs` (the page and its endpoints),
//! `sim/` (the upstream that makes it all work at home), `compare/` (two of them, measured).

#![forbid(unsafe_code)]

mod args;
mod backoff;
mod client;
mod compare;
mod date;
#[cfg(test)]
mod e2e;
mod feed;
mod parse;
mod post;
mod reader;
mod sim;
mod source;
mod stats;
mod text;
mod web;
mod websocket;

use std::env;
use std::fs::File;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sward::http::{Mode, Server, ServerHandle};
use sward::signal::{SIGINT, SIGQUIT, SIGTERM, Signals};
use sward::sync::Mutex;
use sward::thread;

use args::{Options, Source};
use backoff::Policy;
use feed::Feed;
use sim::{Sim, SimConfig};
use source::bluesky::Jetstream;
use source::mastodon::Mastodon;
use source::x::XStream;

/// The simulator's password. It guards made-up posts on a loopback port.
const SIM_TOKEN: &str = "sim";

fn main() -> ExitCode {
    let options = match args::parse(env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => return misused(&message),
    };
    if options.until_eof {
        end_with_input();
    }
    let input = match Input::open(&options) {
        Ok(input) => input,
        Err(message) => return misused(&message),
    };
    stats::raise_open_files();
    let mut runtime = sward::Builder::new();
    if let Some(workers) = options.workers {
        runtime = runtime.workers(workers);
    }
    let program = move || match options.compare {
        true => compare::serve(&options),
        false => serve(options, input),
    };
    match runtime.run(program) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("tweet_feed: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Whoever holds the other end of the standard input has started this program, and may end in any way.
fn end_with_input() {
    #[allow(clippy::disallowed_methods, reason = "nothing else ends a read of the standard input")]
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(0);
    });
}

fn misused(message: &str) -> ExitCode {
    eprintln!("tweet_feed: {message}\nRun with --help to see all flags.");
    ExitCode::from(2)
}

/// A source whose needs were checked before anything started.
#[derive(Debug)]
enum Input {
    Sim,
    File(File),
    X(String),
    Mastodon(String, String),
    Bluesky(Option<String>),
}

impl Input {
    fn open(options: &Options) -> Result<Input, String> {
        let token = |name: &str| {
            let needed = format!("--source {} needs a token in {name}", options.source.name());
            env::var(name).ok().filter(|token| !token.is_empty()).ok_or(needed)
        };
        Ok(match &options.source {
            Source::Sim => Input::Sim,
            Source::X => Input::X(token("X_BEARER_TOKEN")?),
            Source::Mastodon(host) => Input::Mastodon(host.clone(), token("MASTODON_TOKEN")?),
            Source::Bluesky(server) => Input::Bluesky(server.clone()),
            Source::File(path) => {
                let file = File::open(path).map_err(|e| format!("--source file:{path}: {e}"))?;
                Input::File(file)
            }
        })
    }
}

/// The program proper, on the first green thread.
fn serve(options: Options, input: Input) -> Result<(), String> {
    let bound = Server::bind(options.addr.as_str());
    let server = bound.map_err(|e| format!("cannot listen on {}: {e}", options.addr))?;
    let server = server.mode(options.mode);
    let addr = server.local_addr().map_err(|e| e.to_string())?;
    let signals = Signals::new(&[SIGINT, SIGTERM]).map_err(|e| format!("no signals: {e}"))?;
    let feed = Arc::new(Feed::new(options.history));

    let sim = match input {
        Input::Sim => Some(start_sim(&options).map_err(|e| format!("no simulator: {e}"))?),
        _ => None,
    };
    let upstream = sim.as_ref().map(Sim::base);
    start_reader(input, upstream, &options, feed.clone()).map_err(|e| format!("no reader: {e}"))?;

    let web = web::Web {
        feed: feed.clone(),
        mode: options.mode,
        runtime: watch_runtime().map_err(|e| e.to_string())?,
        source: options.source.name(),
        keep: options.history,
        server: server.handle(),
        rss_at_start: stats::rss_bytes(),
    };
    println!("tweet_feed: http://{addr}/ (source {}, mode {})", web.source, options.mode);
    if let Some(sim) = &sim {
        println!("tweet_feed: simulated upstream on {}", sim.base());
    }
    end_on_signal(signals, feed, sim, server.handle()).map_err(|e| e.to_string())?;
    report_on_quit().map_err(|e| e.to_string())?;
    server.serve(web::routes(web)).map_err(|e| e.to_string())
}

/// Ctrl-C or SIGTERM end the streams first, then the server, so that nobody's answer is cut short.
fn end_on_signal(
    signals: Signals,
    feed: Arc<Feed>,
    sim: Option<Sim>,
    server: ServerHandle,
) -> io::Result<()> {
    let end = move || {
        if signals.wait().is_ok() {
            feed.close();
            sim.iter().for_each(Sim::stop);
            server.shutdown();
        }
    };
    thread::Builder::new().name("signals".into()).spawn(end).map(drop)
}

/// Ctrl-\ (SIGQUIT) prints what every green thread does, and the program goes on.
fn report_on_quit() -> io::Result<()> {
    let signals = Signals::new(&[SIGQUIT])?;
    let report = move || {
        while signals.wait().is_ok() {
            eprint!("{}", sward::dump(true));
        }
    };
    thread::Builder::new().name("report".into()).spawn(report).map(drop)
}

/// The runtime's counters, fresh four times a second.
fn watch_runtime() -> io::Result<Arc<Mutex<sward::Stats>>> {
    let latest = Arc::new(Mutex::new(sward::stats()));
    let shared = latest.clone();
    thread::Builder::new().name("counters".into()).spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(250));
            *shared.lock().unwrap_or_else(|e| e.into_inner()) = sward::stats();
        }
    })?;
    Ok(latest)
}

fn start_sim(options: &Options) -> io::Result<Sim> {
    let config = SimConfig {
        rate: options.rate.unwrap_or(2.0),
        seed: options.seed,
        time_scale: options.time_scale,
        token: SIM_TOKEN.into(),
    };
    Sim::start("127.0.0.1:0", config)
}

/// Starts the reader: a green thread in green mode, an OS thread in the others. It is the same code.
fn start_reader(
    input: Input,
    upstream: Option<String>,
    options: &Options,
    feed: Arc<Feed>,
) -> io::Result<()> {
    let (mode, options) = (options.mode, options.clone());
    let read = move || {
        let [x, mastodon, bluesky] = [Policy::x(), Policy::mastodon(), Policy::bluesky()]
            .map(|policy| policy.scaled(options.time_scale));
        match input {
            Input::Sim => {
                let base = upstream.unwrap_or_default();
                let stream = XStream::new(&base, SIM_TOKEN, &options.track, "sim", x);
                reader::run(stream, x, &feed);
            }
            Input::X(token) => {
                let stream = XStream::new("https://api.x.com", &token, &options.track, "x", x);
                reader::run(stream, x, &feed);
            }
            Input::Mastodon(host, token) => {
                let stream = Mastodon::new(&host, &token, &options.track, mastodon);
                reader::run(stream, mastodon, &feed);
            }
            Input::Bluesky(server) => {
                let stream = Jetstream::new(server.as_deref(), &options.track, bluesky);
                reader::run(stream, bluesky, &feed);
            }
            Input::File(file) => match source::file::replay(file, options.rate, &feed) {
                Ok(count) => eprintln!("tweet_feed: the file is over, {count} posts"),
                Err(error) => eprintln!("tweet_feed: cannot read the file: {error}"),
            },
        }
    };
    if mode == Mode::Green {
        // TLS and ureq like more stack than a handler needs; it is only address space until touched.
        thread::Builder::new().name("reader".into()).stack_size(1 << 20).spawn(read).map(drop)
    } else {
        #[allow(clippy::disallowed_methods, reason = "these modes are about OS threads")]
        std::thread::Builder::new().name("reader".into()).spawn(read).map(drop)
    }
}
