//! Pages as SVG: real text, and the symbol as one path.

use std::fmt::Write as _;

use super::layout::{Layout, MODULE};
use crate::barcode::ROW_HEIGHT;

/// Writes one page.
pub(super) fn write(layout: &Layout) -> String {
    let Layout { width, height, .. } = layout;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}pt\" height=\"{height}pt\" \
         viewBox=\"0 0 {width} {height}\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <g font-family=\"Helvetica, Arial, sans-serif\">\n"
    );
    for line in &layout.lines {
        let weight = if line.bold { " font-weight=\"bold\"" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\"{weight} xml:space=\"preserve\">{}</text>",
            line.x,
            line.baseline,
            line.size,
            escape(&line.text)
        );
    }
    svg.push_str("</g>\n");
    for [x, y, width, height] in &layout.rules {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }
    let (left, top) = layout.corner;
    let _ = write!(
        svg,
        "<path shape-rendering=\"crispEdges\" transform=\"translate({left} {top}) scale({MODULE})\" d=\""
    );
    for (row, x, length) in layout.symbol.runs() {
        let _ = write!(svg, "M{x} {}h{length}v{ROW_HEIGHT}h-{length}z", row * ROW_HEIGHT);
    }
    svg.push_str("\"/>\n</svg>\n");
    svg
}

/// Replaces the characters that have a meaning in XML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
