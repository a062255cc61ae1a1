//! Memory and speed of green threads beside OS threads, a pool, processes and (with `--features peers`) may and axum:
//! each server in a process of its own, driven from another process.
//!
//! ```text
//! cargo run --release --example compare -- --html compare.html
//! cargo run --release --features peers --example compare -- --help
//! ```
//!
//! Read in this order: `workload.rs` (what is asked), `serve.rs` (the handlers, one program for all modes), `drive.rs` (the
//! clients), `session.rs` (a server with its clients, measured), `schedule.rs` (all of them, in the time there is),
//! `results.rs`, and how it is shown: `table.rs`, `chart.rs`, `page.rs`. `spelling.rs` and `timeline.rs` are measurements of their own.

#![cfg_attr(not(feature = "peers"), forbid(unsafe_code))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod bars;
mod chart;
mod drive;
mod kind;
mod machine;
mod options;
mod page;
#[cfg(feature = "peers")]
mod peers;
mod progress;
mod results;
mod schedule;
mod serve;
mod session;
mod spelling;
mod table;
mod talk;
mod timeline;
mod workload;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use kind::Kind;
use options::{HELP, Options};
use progress::Progress;
use results::{Cell, Results};
use session::Server;
use workload::Workload;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // The parts that this program plays as its own child.
    let mut rest = args.iter().skip(1).cloned();
    match args.first().map(String::as_str) {
        Some("serve") => return serve::Role::parse(rest).map_or(ExitCode::from(2), serve::run),
        Some("drive") => {
            return drive::Role::parse(&mut rest).map_or(ExitCode::from(2), drive::run);
        }
        Some("spell") => return spelling::run(&args[1..]),
        _ => {}
    }
    let options = match options::parse(args.into_iter()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("compare: {message}\nRun with --help to see all flags.");
            return ExitCode::from(2);
        }
    };
    if cfg!(debug_assertions) {
        eprintln!("compare: this is a debug build, its figures mean nothing: use --release");
    }
    match measure(&options).and_then(|results| show(&results, &options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything, in interleaved rounds.
fn measure(options: &Options) -> io::Result<Results> {
    let began = Instant::now();
    machine::raise_open_files();
    let machine = machine::Machine::look();
    println!("compare: {}", machine.line());
    if !cfg!(feature = "peers") {
        println!("compare: may and axum come with --features peers");
    }
    let cores = session::cores();
    let upstream = match options.workloads.contains(&Workload::Upstream) {
        true => Some(Server::start(Kind::Green, None, None, &cores.1)?),
        false => None,
    };
    let upstream_addr = upstream.as_ref().map(|server| server.addr);
    let mut progress = Progress::new();

    let mut cells = Vec::new();
    for &workload in &options.workloads {
        for &server in options.servers.iter().filter(|kind| kind.is_compared_at(workload)) {
            for connections in options.steps(workload) {
                cells.push(Cell { server, workload, connections, rounds: Vec::new() });
            }
        }
    }
    let rounds = schedule::run(options, &mut cells, upstream_addr, &mut progress)?;
    if rounds < options.rounds {
        let planned = options.rounds;
        eprintln!(
            "\ncompare: {rounds} of {planned} rounds, there was no time for more; --rounds {planned} takes it"
        );
    }
    progress.show(1.0, "three spellings of one handler");
    let spellings = spelling::ALL.iter().map(|spelling| session::spelled(*spelling, 1000));
    let spellings = spellings.collect::<io::Result<Vec<_>>>()?;
    progress.show(1.0, "three tasks in time");
    let timelines = timeline::measure();
    progress.end();
    Ok(Results {
        machine,
        wait_ms: options.wait_ms,
        rounds,
        seconds: began.elapsed().as_secs_f64(),
        cells,
        timelines,
        spellings,
    })
}

fn show(results: &Results, options: &Options) -> io::Result<()> {
    print!("{}", table::of(results));
    if let Some(path) = &options.json {
        write(path, &serde_json::to_string_pretty(results).map_err(io::Error::other)?)?;
    }
    if let Some(path) = &options.html {
        write(path, &page::html(results))?;
    }
    if let Some(folder) = &options.svg {
        std::fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
        for (name, _, svg) in page::charts(results) {
            write(&folder.join(format!("{name}.svg")), &svg)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    std::fs::write(path, text).map_err(|error| named(path, &error))?;
    println!("compare: wrote {}", path.display());
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
