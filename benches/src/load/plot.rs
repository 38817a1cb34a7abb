//! Rate and latency against the number under way, as an SVG picture.

use crate::run::Measured;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 640.0;
/// The left and right edges of the plots.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 640.0;
/// The height of each of the two plots.
const PANEL: f64 = 230.0;
/// The top of each of the two plots.
const TOPS: [f64; 2] = [70.0, 360.0];

/// The space for the name of a line.
const NAME_HEIGHT: f64 = 15.0;

/// A line of a plot.
struct Series<'a> {
    name: &'a str,
    colour: &'a str,
    values: Vec<f64>,
}

/// The picture.
pub(crate) fn svg(results: &[Measured]) -> String {
    let under_way: Vec<u64> = results.iter().map(|result| result.under_way).collect();
    let take = |of: fn(&Measured) -> f64| results.iter().map(of).collect::<Vec<f64>>();
    let (noun, coins) = results
        .first()
        .map_or(("", 0), |r| (r.kind.mode.noun(), r.kind.coins));
    let rate = [Series {
        name: "rate",
        colour: "#1b6ca8",
        values: take(|r| r.per_second),
    }];
    let latency = [
        ("p99", "#b3462c", take(|r| r.latency.p99)),
        ("p90", "#d98a3d", take(|r| r.latency.p90)),
        ("p50", "#4a8f5c", take(|r| r.latency.p50)),
    ]
    .map(|(name, colour, values)| Series { name, colour, values });
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"17\">Farthing: {noun}s of {coins} coins, everything durable</text>\n"
    );
    let [top, bottom] = TOPS;
    panel(&mut out, top, &format!("{noun}s a second"), &under_way, &rate);
    panel(&mut out, bottom, "latency, ms", &under_way, &latency);
    let middle = (LEFT + RIGHT) / 2.0;
    let foot = bottom + PANEL + 40.0;
    let _ = writeln!(
        out,
        "<text x=\"{middle}\" y=\"{foot}\" text-anchor=\"middle\">under way</text>\n</svg>"
    );
    out
}

/// The step of an axis: the smallest of 1, 2 or 5 times a power of ten with at most four steps up to `most`.
fn step(most: f64) -> f64 {
    let rough = (most / 4.0).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|times| times * power >= rough);
    times.unwrap_or(10.0) * power
}

/// The horizontal position of each number under way, on a logarithmic scale.
fn places(under_way: &[u64]) -> Vec<f64> {
    let log = |n: &u64| (*n as f64).log2();
    let least = under_way.iter().map(log).fold(f64::INFINITY, f64::min);
    let most = under_way.iter().map(log).fold(f64::NEG_INFINITY, f64::max);
    let span = if most > least { most - least } else { 1.0 };
    let at = |n: &u64| LEFT + 20.0 + (log(n) - least) / span * (RIGHT - LEFT - 40.0);
    under_way.iter().map(at).collect()
}

fn panel(out: &mut String, top: f64, title: &str, under_way: &[u64], series: &[Series<'_>]) {
    let bottom = top + PANEL;
    let most = series.iter().flat_map(|s| &s.values).copied().fold(0.0, f64::max);
    let step = step(most);
    let ticks = (most / step).ceil().max(1.0);
    let y = |value: f64| bottom - value / (step * ticks) * PANEL;
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"600\">{title}</text>",
        top - 12.0
    );
    for tick in 0..=ticks as u32 {
        let value = f64::from(tick) * step;
        let at = y(value);
        let label = if step < 1.0 {
            format!("{value:.1}")
        } else {
            format!("{value:.0}")
        };
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e3e3e3\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{label}</text>",
            LEFT - 8.0,
            at + 4.0
        );
    }
    let xs = places(under_way);
    for (x, n) in xs.iter().zip(under_way) {
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{n}</text>",
            bottom + 18.0
        );
    }
    // Overlapping names move down. The lines come from the highest to the lowest.
    let mut free = f64::NEG_INFINITY;
    for Series { name, colour, values } in series {
        let points: Vec<(f64, f64)> = xs.iter().zip(values).map(|(x, v)| (*x, y(*v))).collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        for (x, y) in &points {
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
            );
        }
        if let (Some((x, y)), Some(value)) = (points.last(), values.last()) {
            let at = (y + 4.0).max(free);
            free = at + NAME_HEIGHT;
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{at:.1}\" fill=\"{colour}\">{name} {}</text>",
                x + 10.0,
                if *value < 10.0 {
                    format!("{value:.1}")
                } else {
                    format!("{value:.0}")
                }
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        for (most, expected) in [(3.0, 1.0), (310.0, 100.0), (1000.0, 500.0), (0.7, 0.2)] {
            assert!((step(most) - expected).abs() < 1e-9, "{most}: {}", step(most));
        }
    }

    #[test]
    fn places_grow_with_the_logarithm_and_one_alone_has_one() {
        let xs = places(&[1, 8, 64]);
        let [first, middle, last] = xs.as_slice() else {
            panic!("{xs:?}");
        };
        assert!((middle - first - (last - middle)).abs() < 1e-9);
        assert!(places(&[64]).iter().all(|x| x.is_finite()));
    }
}
