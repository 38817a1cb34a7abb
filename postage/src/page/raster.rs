//! Pages as pictures.
//!
//! The letters are Noto Sans Mono, drawn no wider than the same text in Helvetica. So a picture has the layout of the
//! PDF. The symbol's modules are whole pixels.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};

use super::layout::{Layout, Line, MODULE};
use super::text;
use crate::barcode::ROW_HEIGHT;
use crate::picture::Picture;

/// The height of the letters' rasters in pixels.
const RASTER: f32 = 32.0;
/// The size of Helvetica whose capitals are as high as those of the rasters, in pixels.
const RASTER_SIZE: f32 = 26.5;
/// The row of the baseline in a raster.
const RASTER_BASELINE: f32 = 25.0;

/// Draws one page. `None` if the picture would exceed its bounds.
pub(super) fn draw(layout: &Layout, dpi: u32) -> Option<Picture> {
    let pixels_a_point = dpi as f32 / 72.0;
    let pixels = |points: f32| (points * pixels_a_point).round() as usize;
    let mut picture = Picture::white(pixels(layout.width), pixels(layout.height))?;
    for [x, y, width, height] in &layout.rules {
        let bottom = pixels(y + height).max(pixels(*y) + 1);
        for line in pixels(*y)..bottom {
            for column in pixels(*x)..pixels(x + width) {
                picture.set(column, line, 0);
            }
        }
    }
    for line in &layout.lines {
        write(&mut picture, line, pixels_a_point);
    }
    symbol(&mut picture, layout, pixels_a_point);
    Some(picture)
}

/// Draws the symbol. The edges of its modules are rounded to whole pixels.
fn symbol(picture: &mut Picture, layout: &Layout, pixels_a_point: f32) {
    let module = MODULE * pixels_a_point;
    let (left, top) = (layout.corner.0 * pixels_a_point, layout.corner.1 * pixels_a_point);
    let edge = |start: f32, modules: usize| (start.round() + modules as f32 * module).round() as usize;
    for (row, x, length) in layout.symbol.runs() {
        for line in edge(top, row * ROW_HEIGHT)..edge(top, (row + 1) * ROW_HEIGHT) {
            for column in edge(left, x)..edge(left, x + length) {
                picture.set(column, line, 0);
            }
        }
    }
}

/// Writes one line of text.
fn write(picture: &mut Picture, line: &Line, pixels_a_point: f32) {
    let count = line.text.chars().count().max(1) as f32;
    // Letters of their own proportions are 0.6 of their size wide.
    let advance =
        (text::width(&line.text, line.size, line.bold) / count).min(line.size * 0.6) * pixels_a_point;
    let top = (line.baseline - line.size / RASTER_SIZE * RASTER_BASELINE) * pixels_a_point;
    let height = line.size / RASTER_SIZE * RASTER * pixels_a_point;
    for (index, character) in line.text.chars().enumerate() {
        let left = line.x.mul_add(pixels_a_point, index as f32 * advance);
        for part in substitutes(character) {
            glyph(picture, part, line.bold, [left, top, advance, height]);
        }
    }
}

/// The letters that stand, one on the other, for a character. The raster font lacks some of WinAnsi.
fn substitutes(character: char) -> impl Iterator<Item = char> {
    let (first, second) = match character {
        '€' => ('C', Some('=')),
        '‘' | '’' | '‚' => ('\'', None),
        '“' | '”' | '„' => ('"', None),
        '–' | '—' => ('-', None),
        '•' => ('·', None),
        '‹' => ('<', None),
        '›' => ('>', None),
        other => (other, None),
    };
    std::iter::once(first).chain(second)
}

/// Draws a letter into a rectangle: left, top, width, height.
fn glyph(picture: &mut Picture, character: char, bold: bool, [left, top, width, height]: [f32; 4]) {
    let weight = if bold {
        FontWeight::Bold
    } else {
        FontWeight::Regular
    };
    let raster = |character| get_raster(character, weight, RasterHeight::Size32);
    let Some(letter) = raster(character).or_else(|| raster('?')) else {
        return;
    };
    let ink = |x: usize, y: usize| f32::from(letter.pixel(x, y).unwrap_or(0));
    let (across, down) = (letter.width() as f32 / width, RASTER / height);
    // Small letters are the mean of several places in the raster.
    let steps = down.max(across).ceil().clamp(1.0, 6.0) as usize;
    for y in top.max(0.0) as usize..=(top + height) as usize {
        for x in left.max(0.0) as usize..=(left + width) as usize {
            let mut sum = 0.0;
            for step in 0..steps * steps {
                let part = |number: usize| (number as f32 + 0.5) / steps as f32;
                let u = (x as f32 + part(step % steps) - left) * across - 0.5;
                let v = (y as f32 + part(step / steps) - top) * down - 0.5;
                sum += between(&ink, u, v);
            }
            picture.darken(x, y, (sum / (steps * steps) as f32).round() as u8);
        }
    }
}

/// The ink at a place between the pixels of a raster.
fn between(ink: &impl Fn(usize, usize) -> f32, x: f32, y: f32) -> f32 {
    if x < -0.5 || y < -0.5 {
        return 0.0;
    }
    let (left, top) = (x.max(0.0).floor(), y.max(0.0).floor());
    let (right_share, lower_share) = (x.max(0.0) - left, y.max(0.0) - top);
    let (column, row) = (left as usize, top as usize);
    let upper = ink(column, row) * (1.0 - right_share) + ink(column + 1, row) * right_share;
    let lower = ink(column, row + 1) * (1.0 - right_share) + ink(column + 1, row + 1) * right_share;
    upper * (1.0 - lower_share) + lower * lower_share
}
