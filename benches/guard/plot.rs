//! A plot of what the guard adds.

use std::fmt::Write as _;
use std::time::Duration;

/// Points of one plot; `x` grows by powers, so its axis is logarithmic.
pub(crate) struct Series {
    label: &'static str,
    points: Vec<(usize, Duration)>,
}

impl Series {
    pub(crate) fn new(label: &'static str) -> Self {
        Self { label, points: Vec::new() }
    }

    pub(crate) fn point(&mut self, x: usize, y: Duration) {
        self.points.push((x, y));
    }
}

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 240.0;
const MARGIN: f64 = 48.0;

/// The series side by side, as SVG.
pub(crate) fn svg(all: &[Series]) -> String {
    let width = WIDTH * f64::from(u32::try_from(all.len()).unwrap_or(1));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, series) in (0_u32..).zip(all) {
        panel(&mut svg, series, WIDTH * f64::from(number));
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, series: &Series, left: f64) {
    let ms = |y: Duration| y.as_secs_f64() * 1e3;
    let top = series.points.iter().map(|(_, y)| ms(*y)).fold(0.1, f64::max) * 1.2;
    let log = |x: usize| f64::from(u32::try_from(x).unwrap_or(u32::MAX)).ln();
    let (Some(first), Some(last)) = (series.points.first(), series.points.last()) else { return };
    let (from, to) = (log(first.0), log(last.0));
    let across = |x: usize| left + MARGIN + (log(x) - from) / (to - from) * (WIDTH - 2.0 * MARGIN);
    let up = |y: f64| HEIGHT - MARGIN - y / top * (HEIGHT - 2.0 * MARGIN);
    let (bottom, right) = (up(0.0), left + WIDTH - MARGIN);
    let mut draw = |line: std::fmt::Arguments<'_>| {
        svg.write_fmt(line).expect("a string takes everything");
        svg.push('\n');
    };
    draw(format_args!(
        "<path d=\"M{0} {1} V{bottom} H{right}\" fill=\"none\" stroke=\"#888\"/>",
        left + MARGIN,
        up(top)
    ));
    let path: Vec<String> =
        series.points.iter().map(|&(x, y)| format!("{:.1},{:.1}", across(x), up(ms(y)))).collect();
    draw(format_args!(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#1f6feb\" stroke-width=\"2\"/>",
        path.join(" ")
    ));
    for &(x, y) in &series.points {
        let (cx, cy) = (across(x), up(ms(y)));
        draw(format_args!("<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\" fill=\"#1f6feb\"/>"));
        draw(format_args!(
            "<text x=\"{cx:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.2} ms</text>",
            cy - 8.0,
            ms(y)
        ));
        draw(format_args!(
            "<text x=\"{cx:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{x}</text>",
            bottom + 14.0
        ));
    }
    let middle = left + WIDTH / 2.0;
    draw(format_args!(
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        bottom + 32.0,
        series.label
    ));
    draw(format_args!(
        "<text x=\"{middle}\" y=\"20\" text-anchor=\"middle\">what the guard adds to one call</text>"
    ));
}
