//! Bars, as SVG: what a connection of each kind costs, server by server.

use std::fmt::Write;

use crate::chart::{COLOURS, WIDTH, open, scale, short, text};
use crate::results::Figure;

/// Bars that belong together.
pub(crate) struct Group {
    pub(crate) name: String,
    /// Name, colour, figure.
    pub(crate) bars: Vec<(String, usize, Figure)>,
}

const LEFT: f64 = 110.0;
const RIGHT: f64 = 120.0;
const TOP: f64 = 66.0;
const BAR: f64 = 22.0;
const GAP: f64 = 40.0;

/// `x`: what is measured, with its unit, and which way is better.
pub(crate) fn bars(title: &str, note: &str, x: &str, foot: &str, groups: &[Group]) -> String {
    let all = groups.iter().flat_map(|group| &group.bars);
    let (top, step) = scale(all.clone().map(|bar| bar.2.most).fold(0.0, f64::max));
    let height = TOP + all.count() as f64 * BAR + groups.len() as f64 * GAP + 66.0;
    let mut svg = open(WIDTH, height, title, note);
    let x_of = |value: f64| LEFT + (WIDTH - LEFT - RIGHT) * value.max(0.0) / top;
    let bottom = height - 66.0;
    for at in 0..=(top / step + 0.001) as usize {
        let value = at as f64 * step;
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>",
            x_of(value)
        );
        text(&mut svg, x_of(value), bottom + 18.0, "", "middle", &short(value));
    }
    text(&mut svg, x_of(top / 2.0), bottom + 38.0, "note", "middle", x);
    text(&mut svg, 20.0, height - 8.0, "foot", "start", foot);
    let mut y = TOP + 14.0;
    for group in groups {
        text(&mut svg, 20.0, y + 4.0, "", "start", &group.name);
        y += 14.0;
        for (name, colour, figure) in &group.bars {
            let colour = COLOURS[colour % COLOURS.len()];
            text(&mut svg, LEFT - 8.0, y + 13.0, "", "end", name);
            let _ = write!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"16\" fill=\"{colour}\"/>",
                (x_of(figure.median) - LEFT).max(1.0)
            );
            let end = x_of(figure.median) + 8.0;
            text(&mut svg, end, y + 13.0, "", "start", &short(figure.median));
            y += BAR;
        }
        y += GAP - 14.0;
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bar_has_its_name_and_its_number() {
        let figure = |median| Figure { median, least: median, most: median, at_least: false };
        let bars_of = vec![("a".into(), 0, figure(250.0)), ("b<".into(), 1, figure(42_000.0))];
        let svg = bars("T", "", "x", "foot", &[Group { name: "G".into(), bars: bars_of }]);
        for part in ["<svg", ">a<", ">b&lt;<", ">250<", ">42k<", ">G<", ">foot<"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
    }
}
