//! Files of strangers end in an error of their own, soon, and never in a panic.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod kit;

use std::time::{Duration, Instant};

use farthing_postage::page::{self, Format};
use farthing_postage::picture::Picture;
use farthing_postage::reading::{self, MAX_FILE, ReadingError};
use farthing_postage::{barcode, picture};
use kit::Numbers;

/// No file here may take longer, also on a busy machine.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn other_files_are_refused() {
    let name = || "x".to_owned();
    let read = |bytes: &[u8]| reading::read("x", bytes).unwrap_err();
    assert_eq!(read(b""), ReadingError::UnknownKind { name: name() });
    assert_eq!(read(b"GIF89a"), ReadingError::UnknownKind { name: name() });
    assert_eq!(
        read(b"%PDF-1.4 of another program"),
        ReadingError::ForeignDocument { name: name() }
    );
    let large = vec![0; MAX_FILE + 1];
    assert_eq!(
        read(&large),
        ReadingError::FileTooLarge {
            name: name(),
            bytes: MAX_FILE + 1
        }
    );
    let pages = "%PDF-1.7\n/Producer (Farthing postage)\n".to_owned();
    assert_eq!(
        read(pages.as_bytes()),
        ReadingError::Unreadable {
            name: name(),
            page: 1
        }
    );
}

/// A few bytes that claim a huge picture take no memory.
#[test]
fn a_huge_picture_is_refused_by_its_header() {
    let mut file = kit::gray_png(&Picture::white(10, 10).unwrap());
    for (width, height) in [
        (picture::MAX_SIDE + 1, 1),
        (picture::MAX_SIDE, picture::MAX_SIDE),
        (0, 5),
    ] {
        file[16..20].copy_from_slice(&(width as u32).to_be_bytes());
        file[20..24].copy_from_slice(&(height as u32).to_be_bytes());
        let crc = crc32(&file[12..29]);
        file[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = reading::read("x", &file).unwrap_err();
        let fits = matches!(error, ReadingError::PictureSize { .. });
        assert!(
            fits || (width == 0 && matches!(error, ReadingError::Damaged { .. })),
            "{error:?}"
        );
    }
}

/// CRC-32 as PNG has it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    })
}

/// Damaged files of each kind: bytes changed, cut off, repeated.
#[test]
fn damaged_files_never_panic() {
    let piece = kit::piece(1, 60);
    let near = page::picture(&piece, Format::LabelA6, 100).unwrap();
    let files = [
        page::pdf(&[piece], Format::Dl).unwrap(),
        kit::gray_png(&near),
        include_bytes!("data/mail.jpg").to_vec(),
    ];
    let mut numbers = Numbers::new(2);
    let start = Instant::now();
    let (mut read, mut refused) = (0, 0);
    for round in 0..90 {
        let mut file = files[round % 3].clone();
        for _ in 0..=numbers.below(4) {
            let place = numbers.below(file.len());
            match numbers.below(4) {
                0 => file.truncate(place.max(12)),
                1 => file[place] ^= 1 << numbers.below(8),
                2 => file[place] = numbers.next() as u8,
                _ => {
                    let end = (place + numbers.below(64)).min(file.len());
                    let part = file[place..end].to_vec();
                    file.splice(place..place, part);
                }
            }
        }
        match reading::read("x", &file) {
            Ok(_) => read += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 20, "{refused} refused");
    println!("{read} read, {refused} refused, {:?}", start.elapsed());
}

/// Pictures that look like symbols in part: bars, start patterns alone, noise, symbols torn and mixed.
#[test]
fn odd_pictures_never_panic() {
    let [one, other] = [3, 4].map(|seed| {
        let modules =
            barcode::encode(&kit::bytes(seed, 90), barcode::Bounds { columns: 8, rows: 90 }).unwrap();
        modules.picture(2).unwrap()
    });
    let (width, height) = (one.width(), one.height());
    let mut numbers = Numbers::new(5);
    for round in 0..60 {
        let mut odd = if round % 4 == 0 {
            Picture::white(width, height).unwrap()
        } else {
            one.clone()
        };
        for _ in 0..1 + numbers.below(30) {
            // A rectangle of another picture, or of one pixel line drawn out to bars.
            let (w, h) = (1 + numbers.below(width / 2), 1 + numbers.below(height / 2));
            let (x, y) = (numbers.below(width - w), numbers.below(height - h));
            let (from_x, from_y) = (numbers.below(width - w), numbers.below(height - h));
            let bars = numbers.below(3) == 0;
            let noisy = numbers.below(6) == 0;
            for row in 0..h {
                for column in 0..w {
                    let line = if bars { 0 } else { row };
                    let value = other.at(from_x + column, from_y + line);
                    let value = if noisy { numbers.next() as u8 } else { value };
                    odd.set(x + column, y + row, value);
                }
            }
        }
        let start = Instant::now();
        if let Some(found) = barcode::decode(&odd) {
            assert!(
                [3, 4].iter().any(|&seed| found == kit::bytes(seed, 90)),
                "round {round}: read wrongly"
            );
        }
        assert!(start.elapsed() < SOON, "round {round} took {:?}", start.elapsed());
    }
}

#[test]
fn pictures_of_every_small_size_are_searched() {
    for width in 1..40 {
        for height in [1, 2, 3, 7, 16, 33, 39] {
            let gray = (0..width * height)
                .map(|place| if place % 3 == 0 { 0 } else { 255 })
                .collect();
            assert_eq!(
                barcode::decode(&Picture::from_gray(width, height, gray).unwrap()),
                None
            );
        }
    }
}

/// The largest picture, full of bars, is given up.
#[test]
fn the_largest_picture_is_given_up() {
    let (width, height) = (picture::MAX_SIDE, picture::MAX_PIXELS / picture::MAX_SIDE);
    let start_pattern = [8, 1, 1, 1, 1, 1, 1, 3];
    let row: Vec<u8> = (0..)
        .flat_map(|bar: usize| vec![if bar.is_multiple_of(2) { 0 } else { 255 }; 4 * start_pattern[bar % 8]])
        .take(width)
        .collect();
    let start = Instant::now();
    let bars = Picture::from_gray(width, height, row.repeat(height)).unwrap();
    assert_eq!(barcode::decode(&bars), None);
    println!("{:?}", start.elapsed());
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}
