//! What the three spellings of one handler cost: lines to write, and memory while a thousand requests are in them.
//! The sources are those of `examples/spellings`.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use sward::http::{Mode, Next, Request, Router, Server};

use crate::machine;
use crate::serve::{ready, slow_config};

#[path = "../spellings/callbacks.rs"]
mod callbacks;
#[path = "../spellings/common.rs"]
mod common;
#[path = "../spellings/event_loop.rs"]
mod event_loop;
#[path = "../spellings/green.rs"]
mod green;
#[path = "../spellings/threads.rs"]
mod threads;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    Green,
    Threads,
    Callbacks,
}

pub(crate) const ALL: [Spelling; 3] = [Spelling::Green, Spelling::Threads, Spelling::Callbacks];

/// One of them, measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Spelled {
    pub(crate) name: &'static str,
    /// Of the handler, without comments and blank lines.
    pub(crate) lines: usize,
    pub(crate) requests: usize,
    /// Bytes for each request that is in the handler: memory, page tables, kernel stacks.
    pub(crate) bytes: f64,
    pub(crate) source: String,
}

impl Spelling {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Spelling::Green => "green threads",
            Spelling::Threads => "OS threads",
            Spelling::Callbacks => "callbacks",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Spelling::Green => "green",
            Spelling::Threads => "threads",
            Spelling::Callbacks => "callbacks",
        }
    }

    pub(crate) fn lines(self) -> Vec<&'static str> {
        common::handler_lines(match self {
            Spelling::Green => include_str!("../spellings/green.rs"),
            Spelling::Threads => include_str!("../spellings/threads.rs"),
            Spelling::Callbacks => include_str!("../spellings/callbacks.rs"),
        })
    }
}

/// `compare spell WORD BACKEND CORES`: a server of that spelling. `compare spell backend MS CORES`: what they ask.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let [word, of, cores] = args else { return ExitCode::from(2) };
    machine::raise_open_files();
    let cores: Vec<usize> = cores.split(',').filter_map(|core| core.parse().ok()).collect();
    machine::pin_to(&cores);
    // How many requests wait in the backend; the others have nothing that counts, since that would take memory.
    let waiting = Arc::new(AtomicUsize::new(0));
    let served = match (word.as_str(), of.parse::<SocketAddr>(), of.parse::<u64>()) {
        ("backend", _, Ok(ms)) => {
            let counted = waiting.clone();
            let app = common::backend(Duration::from_millis(ms));
            let app = app.with(move |req: &mut Request, next: Next| {
                counted.fetch_add(1, Ordering::Relaxed);
                let response = next.run(req);
                counted.fetch_sub(1, Ordering::Relaxed);
                response
            });
            serve(Mode::Green, app, cores.len(), waiting)
        }
        ("green", Ok(at), _) => {
            let app = Router::new().get("/", move |_: &mut Request| green::page(at));
            serve(Mode::Green, app, cores.len(), waiting)
        }
        ("threads", Ok(at), _) => {
            let app = Router::new().get("/", move |_: &mut Request| threads::page(at));
            serve(Mode::Threads, app, cores.len(), waiting)
        }
        ("callbacks", Ok(at), _) => {
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| {
                ready(listener.local_addr()?, || 0);
                event_loop::serve(listener, at, callbacks::page)
            })
        }
        _ => return ExitCode::from(2),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: the server {word} failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(mode: Mode, app: Router, workers: usize, waiting: Arc<AtomicUsize>) -> io::Result<()> {
    let server = Server::bind("127.0.0.1:0")?.mode(mode).config(slow_config());
    ready(server.local_addr()?, move || waiting.load(Ordering::Relaxed));
    sward::Builder::new().workers(workers.max(1)).run(move || server.serve(app))
}
