//! Charts as SVG, by hand: lines over the number of connections, points in a plane, and timelines. Text only; what is
//! shown is chosen in `page.rs`.

use std::fmt::Write;

use crate::results::Figure;
use crate::timeline::Timeline;

/// Told apart by people who do not see all colours, too.
pub(crate) const COLOURS: [&str; 7] =
    ["#009e73", "#d55e00", "#0072b2", "#cc79a7", "#e69f00", "#7f7f7f", "#56b4e9"];

const TASK_COLOURS: [&str; 3] = ["#0072b2", "#e69f00", "#d55e00"];

const STYLE: &str = "<style>\
text{font-family:system-ui,sans-serif;font-size:13px;fill:#222}\
.title{font-size:17px;font-weight:600}.note,.foot{fill:#666}.foot{font-size:11px}.grid{stroke:#ddd}.axis{stroke:#888}\
.back{fill:#fff}.wait{fill:#00000000}\
@media(prefers-color-scheme:dark){text{fill:#ddd}.note,.foot{fill:#999}.grid{stroke:#333}.back{fill:#16181c}}\
</style>";

/// A line of figures, one for each place on the x axis; none where there is nothing to show.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) colour: usize,
    pub(crate) figures: Vec<Option<Figure>>,
}

/// A chart of lines.
pub(crate) struct Lines<'a> {
    pub(crate) title: &'a str,
    pub(crate) note: &'a str,
    /// With its unit, and which way is better.
    pub(crate) y: &'a str,
    pub(crate) x: &'a str,
    /// Where it was measured.
    pub(crate) foot: &'a str,
    pub(crate) places: &'a [usize],
    pub(crate) series: &'a [Series],
}

pub(crate) const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 436.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 74.0;

pub(crate) fn open(width: f64, height: f64, title: &str, note: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">{STYLE}\
         <title>{0}</title><rect class=\"back\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>",
        escape(title)
    );
    text(&mut svg, 20.0, 28.0, "title", "start", title);
    text(&mut svg, 20.0, 47.0, "note", "start", note);
    svg
}

pub(crate) fn text(svg: &mut String, x: f64, y: f64, class: &str, anchor: &str, what: &str) {
    let _ = write!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{}</text>",
        escape(what)
    );
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A round number at or above `most`, and a step that divides it.
pub(crate) fn scale(most: f64) -> (f64, f64) {
    if most.is_nan() || most <= 0.0 {
        return (1.0, 0.25);
    }
    let power = 10_f64.powf(most.log10().floor());
    for (top, step) in
        [(1.0, 0.25), (1.5, 0.5), (2.0, 0.5), (3.0, 1.0), (4.0, 1.0), (5.0, 1.0), (8.0, 2.0)]
    {
        if most <= top * power {
            return (top * power, step * power);
        }
    }
    (10.0 * power, 2.0 * power)
}

/// As short as it can be read.
pub(crate) fn short(number: f64) -> String {
    let whole = |number: f64, unit: &str| {
        let digits = usize::from(number.fract().abs() > 0.05 && number.abs() < 20.0);
        format!("{number:.digits$}{unit}")
    };
    match number.abs() {
        n if n >= 1e6 => whole(number / 1e6, "M"),
        n if n >= 10_000.0 => whole(number / 1e3, "k"),
        n if n >= 20.0 || n == 0.0 => format!("{number:.0}"),
        n if n >= 1.0 => whole(number, ""),
        _ => format!("{number:.2}"),
    }
}

pub(crate) fn lines(chart: &Lines<'_>) -> String {
    let mut svg = open(WIDTH, HEIGHT, chart.title, chart.note);
    let figures = chart.series.iter().flat_map(|series| series.figures.iter().flatten());
    let (top, step) = scale(figures.map(|figure| figure.most).fold(0.0, f64::max));
    let width = WIDTH - LEFT - RIGHT;
    let height = HEIGHT - TOP - BOTTOM;
    let x_of = |at: usize| LEFT + width * (at as f64 + 0.5) / chart.places.len() as f64;
    let y_of = |value: f64| TOP + height * (1.0 - value / top);

    let mut value = 0.0;
    while value <= top * 1.001 {
        let y = y_of(value);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            LEFT + width
        );
        text(&mut svg, LEFT - 8.0, y + 4.0, "", "end", &short(value));
        value += step;
    }
    for (at, place) in chart.places.iter().enumerate() {
        text(&mut svg, x_of(at), HEIGHT - BOTTOM + 18.0, "", "middle", &place.to_string());
    }
    text(&mut svg, LEFT + width / 2.0, HEIGHT - 30.0, "note", "middle", chart.x);
    text(&mut svg, 20.0, HEIGHT - 10.0, "foot", "start", chart.foot);
    let _ = write!(
        svg,
        "<text class=\"note\" transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        TOP + height / 2.0,
        escape(chart.y)
    );

    let mut names = Vec::new();
    for series in chart.series {
        let colour = COLOURS[series.colour % COLOURS.len()];
        let points: Vec<(f64, Figure)> = series
            .figures
            .iter()
            .enumerate()
            .filter_map(|(at, figure)| Some((x_of(at), (*figure)?)))
            .collect();
        let path: Vec<String> =
            points.iter().map(|(x, figure)| format!("{x:.1},{:.1}", y_of(figure.median))).collect();
        let _ = write!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
            path.join(" ")
        );
        for (x, figure) in &points {
            let _ = write!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>\
                 <circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3.5\" {}><title>{}: {}{} ({} to {})</title></circle>",
                y_of(figure.least),
                y_of(figure.most),
                y_of(figure.median),
                match figure.at_least {
                    true => format!("class=\"back\" stroke=\"{colour}\" stroke-width=\"1.5\""),
                    false => format!("fill=\"{colour}\""),
                },
                escape(&series.name),
                if figure.at_least { "at least " } else { "" },
                short(figure.median),
                short(figure.least),
                short(figure.most)
            );
        }
        match points.last() {
            Some((x, figure)) => names.push((*x, y_of(figure.median), colour, series.name.clone())),
            None => names.push((LEFT, f64::NAN, colour, format!("{}: not possible", series.name))),
        }
    }
    name_lines(&mut svg, names);
    svg + "</svg>\n"
}

/// Names at the ends of the lines, moved apart where they would lie on each other.
fn name_lines(svg: &mut String, mut names: Vec<(f64, f64, &str, String)>) {
    const APART: f64 = 16.0;

    names.iter_mut().filter(|name| name.1.is_nan()).for_each(|name| {
        (name.0, name.1) = (WIDTH - RIGHT, TOP);
    });
    names.sort_by(|a, b| a.1.total_cmp(&b.1));
    // Downwards each below the one before; then upwards, so that none lies below the axis.
    for at in 1..names.len() {
        names[at].1 = names[at].1.max(names[at - 1].1 + APART);
    }
    let mut lowest = HEIGHT - BOTTOM;
    for name in names.iter_mut().rev() {
        name.1 = name.1.min(lowest);
        lowest = name.1 - APART;
    }
    for (x, at, colour, name) in names {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" style=\"fill:{colour};font-weight:600\">{}</text>",
            x + 9.0,
            at + 4.0,
            escape(&name)
        );
    }
}

/// Points in a plane: name, x, y.
pub(crate) struct Points<'a> {
    pub(crate) title: &'a str,
    pub(crate) note: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    /// Where it was measured.
    pub(crate) foot: &'a str,
    pub(crate) points: &'a [(String, f64, f64)],
}

pub(crate) fn points(chart: &Points<'_>) -> String {
    let mut svg = open(WIDTH, HEIGHT, chart.title, chart.note);
    let most = |of: fn(&(String, f64, f64)) -> f64| chart.points.iter().map(of).fold(0.0, f64::max);
    let ((right, x_step), (top, y_step)) = (scale(most(|p| p.1) * 1.1), scale(most(|p| p.2) * 1.1));
    let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let x_of = |value: f64| LEFT + width * value / right;
    let y_of = |value: f64| TOP + height * (1.0 - value / top);
    for at in 0..=(top / y_step + 0.001) as usize {
        let (value, y) = (at as f64 * y_step, y_of(at as f64 * y_step));
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            LEFT + width
        );
        text(&mut svg, LEFT - 8.0, y + 4.0, "", "end", &short(value));
    }
    for at in 0..=(right / x_step + 0.001) as usize {
        let value = at as f64 * x_step;
        text(&mut svg, x_of(value), HEIGHT - BOTTOM + 18.0, "", "middle", &short(value));
    }
    text(&mut svg, LEFT + width / 2.0, HEIGHT - 30.0, "note", "middle", chart.x);
    text(&mut svg, 20.0, HEIGHT - 10.0, "foot", "start", chart.foot);
    let _ = write!(
        svg,
        "<text class=\"note\" transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        TOP + height / 2.0,
        escape(chart.y)
    );
    for (at, (name, x, y)) in chart.points.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let _ = write!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"8\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" style=\"fill:{colour};font-weight:600\">{}</text>",
            x_of(*x),
            y_of(*y),
            x_of(*x) + 13.0,
            y_of(*y) + 5.0,
            escape(name)
        );
    }
    svg + "</svg>\n"
}

/// Timelines one below the other, on one scale.
pub(crate) fn timelines(title: &str, note: &str, foot: &str, all: &[Timeline]) -> String {
    const LANE: f64 = 30.0;
    const GAP: f64 = 66.0;

    let lanes: usize = all.iter().map(|timeline| timeline.lanes * tasks_of(timeline)).sum();
    let height = TOP + lanes as f64 * LANE + all.len() as f64 * GAP + 48.0;
    let mut svg = open(WIDTH, height, title, note);
    let (right, step) = scale(all.iter().map(|timeline| timeline.total).fold(0.0, f64::max));
    let x_of = |ms: f64| LEFT + (WIDTH - LEFT - 40.0) * ms / right;
    let mut y = TOP + 16.0;
    for timeline in all {
        text(
            &mut svg,
            20.0,
            y + 4.0,
            "",
            "start",
            &format!("{}: {:.0} ms", timeline.title, timeline.total),
        );
        text(&mut svg, 20.0, y + 22.0, "note", "start", timeline.note);
        y += 32.0;
        // On one thread that switches every task has a row of its own, so that what overlaps can be seen.
        let rows = timeline.lanes * tasks_of(timeline);
        for span in &timeline.spans {
            let row = if tasks_of(timeline) > 1 { span.task } else { span.lane };
            let (from, to) = (x_of(span.from), x_of(span.to).max(x_of(span.from) + 0.5));
            let colour = TASK_COLOURS[span.task % 3];
            let (fill, opacity) = if span.works { (colour, 1.0) } else { ("none", 0.8) };
            let _ = write!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"20\" fill=\"{fill}\" \
                 stroke=\"{colour}\" stroke-dasharray=\"{}\" opacity=\"{opacity}\"/>",
                y + row as f64 * LANE,
                to - from,
                if span.works { "none" } else { "3 3" }
            );
        }
        for row in 0..rows {
            let name = match tasks_of(timeline) > 1 {
                true => format!("task {}", row + 1),
                false => format!("thread {}", row + 1),
            };
            text(&mut svg, 20.0, y + row as f64 * LANE + 15.0, "note", "start", &name);
        }
        y += rows as f64 * LANE + GAP - 32.0;
    }
    for at in 0..=(right / step + 0.001) as usize {
        let ms = at as f64 * step;
        text(&mut svg, x_of(ms), height - 30.0, "note", "middle", &format!("{ms:.0} ms"));
    }
    text(&mut svg, 20.0, height - 10.0, "foot", "start", foot);
    svg + "</svg>\n"
}

/// Rows for each thread: one for each task where they share it.
fn tasks_of(timeline: &Timeline) -> usize {
    if timeline.shared { TASK_COLOURS.len() } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round_and_reach() {
        for most in [0.3, 1.0, 7.0, 12.0, 99.0, 1234.0, 6e6] {
            let (top, step) = scale(most);
            assert!(top >= most && top <= most * 2.6, "{most}: {top}");
            let steps = top / step;
            assert!((steps - steps.round()).abs() < 1e-6 && steps <= 6.0, "{most}: {steps}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (1.5, "1.5"),
            (7.0, "7"),
            (250.0, "250"),
            (12_500.0, "12.5k"),
            (3e6, "3M"),
        ] {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn a_chart_names_its_lines_and_what_is_impossible() {
        let figure = Figure { median: 5.0, least: 4.0, most: 6.0, at_least: false };
        let series = [
            Series { name: "a<b".into(), colour: 0, figures: vec![Some(figure), None] },
            Series { name: "none".into(), colour: 1, figures: vec![None, None] },
        ];
        let svg = lines(&Lines {
            title: "T",
            note: "",
            y: "y",
            x: "x",
            foot: "here",
            places: &[1, 2],
            series: &series,
        });
        assert!(svg.contains("a&lt;b") && svg.contains("none: not possible"), "{svg}");
        assert!(svg.contains(">here<"), "{svg}");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    }
}
