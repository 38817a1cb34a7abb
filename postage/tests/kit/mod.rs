//! Mail to print, and what happens to it on its way.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test uses a part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use farthing_postage::page::Mailpiece;
use farthing_postage::picture::Picture;

/// A small generator of numbers, the same in every run (xorshift).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    (0..length).map(|_| numbers.next() as u8).collect()
}

pub fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

pub fn piece(seed: u64, length: usize) -> Mailpiece {
    Mailpiece {
        from: lines("Bettina Größe\nRue de l'Évêché 12\n1003 Lausanne"),
        to: lines(
            "Ms Zoë O'Brien (2nd floor)\nCarnegie Mellon University\n5000 Forbes Avenue\nPittsburgh PA 15213\nUSA",
        ),
        class: "FIRST CLASS".to_owned(),
        value: "€1.35".to_owned(),
        date: "30 Nov 2026".to_owned(),
        meter: "7F3A 91C2".to_owned(),
        sequence: 1042,
        indicium: bytes(seed, length),
    }
}

/// Turns a picture clockwise by whole quarters.
pub fn quarters(picture: &Picture, count: usize) -> Picture {
    (0..count).fold(picture.clone(), |picture, _| {
        let (width, height) = (picture.height(), picture.width());
        let pixel = |x: usize, y: usize| picture.at(y, picture.height() - 1 - x);
        let gray = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| pixel(x, y))
            .collect();
        Picture::from_gray(width, height, gray).unwrap()
    })
}

/// Adds to each pixel the sum of four numbers, with a standard deviation of about `strength`.
pub fn noise(picture: &Picture, seed: u64, strength: usize) -> Picture {
    let mut numbers = Numbers::new(seed);
    let mut one = || numbers.below(2 * strength + 1) as i32 - strength as i32;
    let gray = picture.gray().iter().map(|&pixel| {
        // Four numbers from -s to s have a standard deviation of about 1.15 s; paper is gray, ink is not black.
        let sum = (one() + one() + one() + one()) * 7 / 8;
        (i32::from(pixel) * 180 / 255 + 40 + sum).clamp(0, 255) as u8
    });
    Picture::from_gray(picture.width(), picture.height(), gray.collect()).unwrap()
}

/// Turns single pixels black or white, one in `every`.
pub fn specks(picture: &Picture, seed: u64, every: usize) -> Picture {
    let mut numbers = Numbers::new(seed);
    let mut picture = picture.clone();
    for _ in 0..picture.gray().len() / every {
        let (x, y) = (numbers.below(picture.width()), numbers.below(picture.height()));
        picture.set(x, y, if numbers.below(2) == 0 { 0 } else { 255 });
    }
    picture
}

/// Covers a rectangle with ink. 255 hides all that is below.
pub fn smudge(picture: &Picture, [left, top, width, height]: [usize; 4], ink: u8) -> Picture {
    let mut picture = picture.clone();
    for y in top..top + height {
        for x in left..left + width {
            picture.darken(x, y, ink);
        }
    }
    picture
}

/// The rectangle of the symbol in a picture: left, top, width, height.
pub fn symbol(picture: &Picture) -> [usize; 4] {
    // The start pattern is the only black bar that is more than 60 pixels high at 300 dpi.
    let dark = |x: usize, y: usize| picture.at(x, y) < 128;
    let tall = |x: usize| {
        (0..picture.height())
            .collect::<Vec<_>>()
            .chunk_by(|&a, &b| dark(x, a) == dark(x, b))
            .filter(|run| dark(x, run[0]) && run.len() > 150)
            .map(|run| (run[0], run.len()))
            .next()
    };
    let columns: Vec<(usize, (usize, usize))> =
        (0..picture.width()).filter_map(|x| Some((x, tall(x)?))).collect();
    let (left, (top, height)) = columns[0];
    [left, top, columns.last().unwrap().0 + 1 - left, height]
}

/// A picture as a gray PNG.
pub fn gray_png(picture: &Picture) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, picture.width() as u32, picture.height() as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(picture.gray()).unwrap();
    writer.finish().unwrap();
    file
}
