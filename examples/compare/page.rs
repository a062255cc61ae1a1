//! The page: what was measured, in charts that a reader who never saw the code understands. One file, nothing from
//! elsewhere.

use std::fmt::Write;

use crate::bars::{self, Group};
use crate::chart::{self, Lines, Points, Series, escape, short};
use crate::kind::Kind;
use crate::results::{Cell, Figure, Results};
use crate::workload::Workload;

/// Each chart: its file name, what it says to the reader, and the drawing.
pub(crate) fn charts(results: &Results) -> Vec<(String, String, String)> {
    let mut charts = Vec::new();
    let mut add = |name: &str, text: String, svg: Option<String>| {
        if let Some(svg) = svg {
            charts.push((name.to_owned(), text, svg));
        }
    };
    add(
        "memory",
        "A keep-alive connection that waits for its next request. An OS thread costs its stack twice, here and in the \
         kernel; a connection on the green server has no stack at all between two requests."
            .into(),
        sweep(results, Workload::Idle, "Memory of the server", "MB in all (lower is better)", |cell| {
            cell.total().map(|figure| scaled(figure, 1e-6))
        }),
    );
    add(
        "speed",
        format!(
            "A handler that waits {} ms for its backend, as most do. Who can have everybody wait at the same time serves \
             everybody; a pool serves as many as it has threads.",
            results.wait_ms
        ),
        sweep(
            results,
            Workload::Sleep,
            "Speed, with a backend",
            "requests per second (higher is better)",
            Cell::per_second,
        ),
    );
    add(
        "hello",
        "A page that is there already: nobody waits, and the servers lie closer together. Async is not faster by itself.".into(),
        sweep(results, Workload::Hello, "Speed, a page of 5 kB", "requests per second (higher is better)", Cell::per_second),
    );
    add(
        "latency",
        "How long the slowest one in a hundred waits for that page. A hollow point: that long or longer, as some had no answer \
         half a second after the end of the measurement."
            .into(),
        sweep(
            results,
            Workload::Hello,
            "Latency, a page of 5 kB",
            "p99 in milliseconds (lower is better)",
            Cell::p99,
        ),
    );
    add(
        "connection",
        "Connections that only wait, of three kinds: for their next request, for the next event, for an answer that comes when \
         there is news. A green subscriber follows its topic and needs no stack for that; green-loop is one that was written as a loop, which does."
            .into(),
        held(results),
    );
    let spelled: Vec<_> = results
        .spellings
        .iter()
        .map(|s| (s.name.to_owned(), s.lines as f64, s.bytes / 1000.0))
        .collect();
    add(
        "difficulty",
        "The same handler, written three times; the sources are below. Down and to the left is better: little memory, little \
         to write."
            .into(),
        (!spelled.is_empty()).then(|| {
            chart::points(&Points {
                title: "Memory against coding difficulty",
                note: "one handler that asks a backend three times, 1,000 requests in it",
                x: "lines of code of the handler (fewer is better)",
                y: "kB for each request (lower is better)",
                foot: &results.machine.short(),
                points: &spelled,
            })
        }),
    );
    add(
        "timelines",
        "Filled: the task computes. Dashed: it waits for its backend. Measured just now, on this machine.".into(),
        (!results.timelines.is_empty()).then(|| {
            chart::timelines(
                "Three tasks of 300, 100 and 200 ms",
                "they arrive together; shorter is better",
                &results.machine.short(),
                &results.timelines,
            )
        }),
    );
    charts
}

fn scaled(figure: Figure, by: f64) -> Figure {
    Figure {
        median: figure.median * by,
        least: figure.least * by,
        most: figure.most * by,
        ..figure
    }
}

fn sweep(
    results: &Results,
    workload: Workload,
    title: &str,
    y: &str,
    figure: impl Fn(&Cell) -> Option<Figure>,
) -> Option<String> {
    let mut places: Vec<usize> = results.of(workload).map(|cell| cell.connections).collect();
    places.sort_unstable();
    places.dedup();
    if places.len() < 2 {
        return None;
    }
    let series_of = |server: Kind| {
        let at = |place: &usize| {
            let mut cells = results.of(workload);
            cells.find(|cell| cell.server == server && cell.connections == *place).and_then(&figure)
        };
        Series {
            name: server.to_string(),
            colour: server.colour(),
            figures: places.iter().map(at).collect(),
        }
    };
    let is_here = |server: &Kind| results.of(workload).any(|cell| cell.server == *server);
    let series: Vec<_> = results.servers().into_iter().filter(is_here).map(series_of).collect();
    Some(chart::lines(&Lines {
        title,
        note: &format!(
            "{}; {}{}",
            workload.describe(results.wait_ms),
            results.how().to_lowercase(),
            if results.rounds > 1 { ", bars from least to most" } else { "" }
        ),
        y,
        x: "connections at the same time (not to scale)",
        foot: &results.machine.short(),
        places: &places,
        series: &series,
    }))
}

/// What a connection of each kind costs, at the number of connections that all were measured with.
fn held(results: &Results) -> Option<String> {
    let mut groups = Vec::new();
    for workload in results.workloads().into_iter().filter(|workload| workload.is_held()) {
        let measured = |cell: &&Cell| cell.connections <= 1000 && cell.whole().is_some();
        let all = results.of(workload).filter(measured).map(|cell| cell.connections);
        let Some(most) = all.max() else { continue };
        let at_most = results.of(workload).filter(|cell| cell.connections == most);
        let bar = |cell: &Cell| {
            Some((cell.server.to_string(), cell.server.colour(), scaled(cell.whole()?, 1e-3)))
        };
        groups.push(Group {
            name: format!("{workload}: {}, {most} of them", workload.describe(results.wait_ms)),
            bars: at_most.filter_map(bar).collect(),
        });
    }
    (!groups.is_empty()).then(|| {
        bars::bars(
            "Memory for each connection",
            "heap and stacks, page tables, and the kernel's stacks for OS threads",
            "kB for each connection (lower is better)",
            &results.machine.short(),
            &groups,
        )
    })
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#ddd;--soft:#666}\
@media(prefers-color-scheme:dark){:root{--line:#333;--soft:#999}}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.7rem;margin-bottom:.2rem}h2{margin-top:2.5rem}.soft{color:var(--soft)}\
figure{margin:2rem 0;border:1px solid var(--line);border-radius:8px;padding:1rem}\
figcaption{margin-top:.6rem}svg{width:100%;height:auto}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}\
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\
th:first-child,td:first-child{text-align:left}.no{color:var(--soft);text-align:left}\
pre{overflow-x:auto;border:1px solid var(--line);border-radius:8px;padding:.8rem;font-size:.85rem}\
small{color:var(--soft)}";

pub(crate) fn html(results: &Results) -> String {
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Green threads compared</title><style>{STYLE}</style>\
         <h1>Green threads compared</h1>\
         <p class=\"soft\">Measured on {}. Each server is a process of its own, its clients are another one on the same machine. \
         {}; differences under 10 % mean nothing.</p>",
        escape(&results.machine.line()),
        results.how()
    );
    if let Some(warning) = results.machine.warning() {
        let _ = write!(out, "<p><b>{warning}</b></p>");
    }
    out.push_str("<ul>");
    for server in results.servers() {
        let _ = write!(out, "<li><b>{server}</b>: {}", escape(&server.describe()));
    }
    out.push_str("</ul>");
    for (name, text, svg) in charts(results) {
        let _ = write!(
            out,
            "<figure id=\"{name}\">{svg}<figcaption>{}</figcaption></figure>",
            escape(&text)
        );
    }
    out.push_str("<h2>All figures</h2>");
    for workload in results.workloads() {
        rows(&mut out, results, workload);
    }
    out.push_str("<h2>The three spellings</h2>");
    for spelled in &results.spellings {
        let _ = write!(
            out,
            "<h3>{}: {} lines, {} kB for each request</h3><pre>{}</pre>",
            spelled.name,
            spelled.lines,
            short(spelled.bytes / 1000.0),
            escape(&spelled.source)
        );
    }
    out.push_str("</html>\n");
    out
}

type Column = (&'static str, fn(&Cell) -> Option<Figure>);

fn rows(out: &mut String, results: &Results, workload: Workload) {
    const MEMORY: [Column; 6] = [
        ("B per connection, all in all", Cell::whole),
        ("resident memory (RSS)", Cell::rss),
        ("the same, shared parts divided (PSS)", Cell::pss),
        ("page tables and kernel stacks", Cell::kernel),
        ("address space", Cell::virtual_size),
        ("OS threads", Cell::threads),
    ];
    const SPEED: [Column; 7] = [
        ("per second", Cell::per_second),
        ("CPU us each", Cell::cpu),
        ("p50 ms", Cell::p50),
        ("p99 ms", Cell::p99),
        ("max ms", Cell::max),
        ("switches each", Cell::switches),
        ("B per connection", Cell::whole),
    ];
    let columns: &[Column] = if workload.is_held() { &MEMORY } else { &SPEED };
    let _ = write!(
        out,
        "<h3>{workload}</h3><p class=\"soft\">{}</p><div class=\"scroll\"><table><tr><th>server<th>connections",
        escape(&workload.describe(results.wait_ms))
    );
    for (name, _) in columns {
        let _ = write!(out, "<th>{name}");
    }
    for cell in results.of(workload) {
        let _ = write!(out, "<tr><td>{}<td>{}", cell.server, cell.connections);
        if let Some(why) = cell.failure() {
            let _ = write!(
                out,
                "<td class=\"no\" colspan=\"{}\">cannot: {}",
                columns.len(),
                escape(&why)
            );
            continue;
        }
        for (_, figure) in columns {
            match figure(cell) {
                Some(Figure { median, least, most, at_least }) => {
                    let _ = write!(
                        out,
                        "<td>{}{} <small>{} to {}</small>",
                        if at_least { "&gt;" } else { "" },
                        short(median),
                        short(least),
                        short(most)
                    );
                }
                None => out.push_str("<td>-"),
            }
        }
    }
    out.push_str("</table></div>");
}
