//! Finds the part of a picture that holds a symbol, and the angle of the symbol.
//!
//! A PDF417 symbol is the densest part of a page of mail: many sharp edges, most of them across its rows. The place
//! is the group of blocks with the most edges. The angle is the main direction of brightness changes in that
//! place, which runs along the rows. It is known up to half a turn, and the reader tries both.

use crate::picture::Picture;

/// The longest side of the picture in which the place is searched.
const OVERVIEW_SIDE: usize = 1600;
/// The side of a block of that picture.
const BLOCK: usize = 16;
/// The share of the strongest block's edges that makes a block part of a symbol.
const DENSE: u64 = 4;
/// The longest side of a part that is also tried enlarged.
const ENLARGED_SIDE: usize = 1600;
/// An angle below this is not worth a turn: it moves a row of 1000 pixels by 4.
const LEVEL_ENOUGH: f32 = 0.004;

/// The versions of a part that are tried in turn: a factor of size, and the width and the height of a blur.
///
/// The plain one reads most pages. The enlarged ones read small modules and mend noise, which is averaged along the
/// bars more than across them. The reduced one bridges gaps.
const VERSIONS: [(f32, usize, usize); 5] = [(1.0, 1, 1), (2.0, 1, 1), (1.0, 1, 3), (2.0, 3, 5), (0.5, 1, 1)];

/// The pictures in which to look for a symbol, the most promising first. Each has its rows level. There are at most
/// ten. Each is made when it is asked for.
pub(super) fn candidates(picture: &Picture) -> impl Iterator<Item = Picture> {
    let parts = [densest, |picture: &Picture| Some(picture.clone())];
    parts
        .into_iter()
        .filter_map(|part| part(picture))
        .flat_map(|part| {
            let angle = angle_of(&part);
            VERSIONS
                .into_iter()
                .filter_map(move |version| level(&part, angle, version))
        })
}

/// One version of a part, turned back by the angle of its rows. `None` if it would be too large.
fn level(part: &Picture, angle: f32, (scale, across, down): (f32, usize, usize)) -> Option<Picture> {
    let same = (scale - 1.0).abs() < f32::EPSILON;
    if scale > 1.0 && part.width().max(part.height()) > ENLARGED_SIDE {
        return None;
    }
    let turned = if same && angle.abs() < LEVEL_ENOUGH {
        part.clone()
    } else {
        part.transform(scale, -angle)?
    };
    Some(if across.max(down) > 1 {
        turned.blur(across, down)
    } else {
        turned
    })
}

/// Cuts out the part with the most edges. `None` if there are hardly any.
fn densest(picture: &Picture) -> Option<Picture> {
    let factor = picture.width().max(picture.height()).div_ceil(OVERVIEW_SIDE);
    let overview = picture.reduce(factor)?;
    let (columns, lines) = (overview.width() / BLOCK, overview.height() / BLOCK);
    let mut edges = vec![0_u64; columns * lines];
    for y in 0..lines * BLOCK {
        let row = overview.row(y);
        for (x, pair) in row.windows(2).enumerate().take(columns * BLOCK) {
            if let [left, right] = pair
                && let Some(sum) = edges.get_mut(y / BLOCK * columns + x / BLOCK)
            {
                *sum += u64::from(left.abs_diff(*right)) + u64::from(left.abs_diff(overview.at(x, y + 1)));
            }
        }
    }
    let bounds = heaviest_group(&edges, columns, lines)?;
    let pixels = BLOCK * factor;
    let start = |block: usize| block.saturating_sub(1) * pixels;
    let length = |first: usize, last: usize| (last + 2) * pixels - start(first);
    picture.crop(
        start(bounds.left),
        start(bounds.top),
        length(bounds.left, bounds.right),
        length(bounds.top, bounds.bottom),
    )
}

/// The first and the last column and line of a group of blocks.
struct Group {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
    weight: u64,
}

/// The group of adjacent dense blocks with the most edges.
fn heaviest_group(edges: &[u64], columns: usize, lines: usize) -> Option<Group> {
    let threshold = edges.iter().max()? / DENSE;
    if threshold == 0 {
        return None;
    }
    let mut open: Vec<bool> = edges.iter().map(|&sum| sum > threshold).collect();
    let mut best: Option<Group> = None;
    for first in 0..open.len() {
        if !open.get(first).copied().unwrap_or(false) {
            continue;
        }
        let group = take_group(first, &mut open, edges, columns, lines);
        if best.as_ref().is_none_or(|best| group.weight > best.weight) {
            best = Some(group);
        }
    }
    best
}

/// Takes the blocks that touch `first`, also over one block between, out of the open ones.
fn take_group(first: usize, open: &mut [bool], edges: &[u64], columns: usize, lines: usize) -> Group {
    let mut group = Group {
        left: columns,
        right: 0,
        top: lines,
        bottom: 0,
        weight: 0,
    };
    let mut waiting = vec![first];
    while let Some(block) = waiting.pop() {
        if !open.get_mut(block).is_some_and(std::mem::take) {
            continue;
        }
        let (x, y) = (block % columns, block / columns);
        group.left = group.left.min(x);
        group.right = group.right.max(x);
        group.top = group.top.min(y);
        group.bottom = group.bottom.max(y);
        group.weight += edges.get(block).copied().unwrap_or(0);
        for line in y.saturating_sub(2)..(y + 3).min(lines) {
            for column in x.saturating_sub(2)..(x + 3).min(columns) {
                waiting.push(line * columns + column);
            }
        }
    }
    group
}

/// The angle in radians, clockwise, between the rows of a symbol and the rows of the picture, from -π/2 to π/2.
///
/// It is the main axis of the structure tensor: the sums of products of the brightness changes.
fn angle_of(picture: &Picture) -> f32 {
    // Pixels that are finer than a module show the edges of pixels, not of bars.
    let smooth = picture.blur(3, 3);
    let (mut across, mut down, mut both) = (0.0_f64, 0.0_f64, 0.0_f64);
    for y in 1..smooth.height().saturating_sub(1) {
        let (above, row, below) = (smooth.row(y - 1), smooth.row(y), smooth.row(y + 1));
        for ((above, row), below) in above.windows(3).zip(row.windows(3)).zip(below.windows(3)) {
            if let ([a, b, c], [d, _, f], [g, h, i]) = (above, row, below) {
                let value = |pixel: &u8| f64::from(*pixel);
                let x = value(c) + 2.0 * value(f) + value(i) - value(a) - 2.0 * value(d) - value(g);
                let y = value(g) + 2.0 * value(h) + value(i) - value(a) - 2.0 * value(b) - value(c);
                across += x * x;
                down += y * y;
                both += x * y;
            }
        }
    }
    (0.5 * (2.0 * both).atan2(across - down)) as f32
}
