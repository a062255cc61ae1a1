//! The table on the terminal: a block for each workload, a line for each server and number of connections.

use std::fmt::Write;

use crate::chart::short;
use crate::results::{Cell, Figure, Results};

pub(crate) fn of(results: &Results) -> String {
    let mut out = String::new();
    for workload in results.workloads() {
        let _ = writeln!(out, "\n{workload}: {}", workload.describe(results.wait_ms));
        let columns = columns(workload.is_held());
        let _ = write!(out, "  {:<12} {:>11}", "server", "connections");
        for (name, width, _) in &columns {
            let _ = write!(out, "  {name:>width$}");
        }
        out.push('\n');
        for cell in results.of(workload) {
            let _ = write!(out, "  {:<12} {:>11}", cell.server.to_string(), cell.connections);
            match cell.failure() {
                Some(why) => {
                    let _ = write!(out, "  cannot: {why}");
                }
                None => {
                    for (_, width, figure) in &columns {
                        let _ = write!(out, "  {:>width$}", figure(cell));
                    }
                }
            }
            if cell.errors() > 0 {
                let _ = write!(out, "  {} errors", cell.errors());
            }
            out.push('\n');
        }
    }
    let _ =
        writeln!(out, "\nOne handler in three spellings, memory while 1,000 requests are in it:");
    for spelled in &results.spellings {
        let _ = writeln!(
            out,
            "  {:<14} {:>3} lines  {:>8} B for each request",
            spelled.name,
            spelled.lines,
            short(spelled.bytes)
        );
    }
    let _ = writeln!(out, "\nThree tasks of 300, 100 and 200 ms that arrive together:");
    for timeline in &results.timelines {
        let _ = writeln!(out, "  {:<44} {:>5.0} ms", timeline.title, timeline.total);
    }
    let _ = writeln!(
        out,
        "\n{}; in brackets the least and the most. B/conn is what the whole machine gives for a connection:\n\
         heap and stacks, page tables, and the stacks that the kernel has for OS threads. CPU is the server's own processor\n\
         time. >: some had no answer half a second after the end, and were cut. Differences under 10 % mean nothing.",
        results.how()
    );
    if let Some(warning) = results.machine.warning() {
        let _ = writeln!(out, "{warning}");
    }
    out
}

type Column = (&'static str, usize, fn(&Cell) -> String);

fn columns(held: bool) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    if !held {
        columns.extend([
            ("per second", 22, (|cell| spread(cell.per_second())) as fn(&Cell) -> String),
            ("CPU us", 18, |cell| spread(cell.cpu())),
            ("p50 ms", 8, |cell| plain(cell.p50())),
            ("p99 ms", 8, |cell| plain(cell.p99())),
            ("max ms", 8, |cell| plain(cell.max())),
            ("switches", 9, |cell| plain(cell.switches())),
        ]);
    }
    let whole: (usize, fn(&Cell) -> String) = match held {
        true => (24, |cell| spread(cell.whole())),
        false => (8, |cell| plain(cell.whole())),
    };
    columns.extend([
        ("B/conn", whole.0, whole.1),
        ("RSS", 8, |cell| plain(cell.rss())),
        ("kernel", 8, |cell| plain(cell.kernel())),
        ("virtual", 8, |cell| plain(cell.virtual_size())),
        ("threads", 8, |cell| plain(cell.threads())),
    ]);
    columns
}

fn plain(figure: Option<Figure>) -> String {
    figure.map_or("-".into(), |figure| {
        let least = if figure.at_least { ">" } else { "" };
        format!("{least}{}", short(figure.median))
    })
}

fn spread(figure: Option<Figure>) -> String {
    let Some(Figure { median, least, most, .. }) = figure else { return "-".into() };
    format!("{} ({} {})", short(median), short(least), short(most))
}
