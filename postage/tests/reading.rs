//! Printed mail is read back: as a document, as a picture, and as a picture of what the way did to it.
//!
//! The measure is a page at 300 dpi. Every case that is read must give the very bytes; a case that is not read must
//! give nothing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod kit;

use farthing_postage::barcode::{self, Bounds, LEVEL, MAX_INDICIUM};
use farthing_postage::page::{self, Format};
use farthing_postage::picture::Picture;
use farthing_postage::reading::{self, Found, ReadingError};
use kit::{noise, piece, quarters, smudge, specks, symbol};

/// The bytes of a usual indicium.
const USUAL: usize = 180;

fn printed(format: Format, seed: u64) -> (Picture, Vec<u8>) {
    let piece = piece(seed, USUAL);
    (page::picture(&piece, format, 300).unwrap(), piece.indicium)
}

/// The picture is read, and to the right bytes.
#[track_caller]
fn reads(what: &str, picture: &Picture, indicium: &[u8]) {
    let found = barcode::decode(picture);
    assert_eq!(
        found.as_deref(),
        Some(indicium),
        "{what}, {} by {}",
        picture.width(),
        picture.height()
    );
}

#[test]
fn every_length_becomes_a_symbol_and_bytes_again() {
    for length in (1..=40).chain([100, 179, 180, 181, 182, 183, 184, 185, 399, MAX_INDICIUM]) {
        for bytes in [
            kit::bytes(length as u64, length),
            vec![0; length],
            vec![255; length],
            vec![b'7'; length],
        ] {
            let modules = barcode::encode(
                &bytes,
                Bounds {
                    columns: 14,
                    rows: 34,
                },
            )
            .unwrap();
            assert_eq!(
                barcode::decode(&modules.picture(3).unwrap()),
                Some(bytes),
                "{length} bytes"
            );
        }
    }
}

#[test]
fn every_format_is_read_back_as_pdf_and_png() {
    for format in Format::ALL {
        for length in [USUAL, MAX_INDICIUM] {
            let pieces = [piece(1, length), piece(2, length)];
            let found = reading::read("mail", &page::pdf(&pieces, format).unwrap()).unwrap();
            let expected: Vec<Found> = (1..)
                .zip(&pieces)
                .map(|(page, piece)| Found {
                    page,
                    indicium: piece.indicium.clone(),
                    address: Some(piece.to.clone()),
                })
                .collect();
            assert_eq!(found, expected, "{format}");

            let file = page::png(&pieces[0], format, 300).unwrap();
            let found = reading::read("mail", &file).unwrap();
            let indicium = pieces[0].indicium.clone();
            assert_eq!(
                found,
                [Found {
                    page: 1,
                    indicium,
                    address: None
                }],
                "{format}"
            );
        }
    }
}

#[test]
fn an_address_in_a_document_keeps_every_character() {
    let mut mail = piece(3, USUAL);
    mail.to = kit::lines(
        "(Parenthesis) \\ back\\\\slash\n) BT EMC Tj (\nendstream\nŠŽœ€ – “ÿ”\n<hex> [x] {y} %z /A",
    );
    let found = reading::read("mail", &page::pdf(&[mail.clone()], Format::C5).unwrap()).unwrap();
    assert_eq!(found[0].address.as_ref(), Some(&mail.to));
}

#[test]
fn turned_pages_are_read() {
    for (seed, format) in (10..).zip([Format::Dl, Format::Label4x6]) {
        let (picture, indicium) = printed(format, seed);
        for count in 1..4 {
            reads(
                &format!("{format}, {count} quarters"),
                &quarters(&picture, count),
                &indicium,
            );
        }
        for degrees in [-1.0, 0.4, 2.0, 3.0, 5.0, -8.0, 15.0, 45.0, 100.0, 187.0] {
            let turned = picture.transform(1.0, f32::to_radians(degrees)).unwrap();
            reads(&format!("{format}, {degrees} degrees"), &turned, &indicium);
        }
    }
}

#[test]
fn scaled_pages_are_read() {
    for (seed, format) in (20..).zip([Format::Dl, Format::LabelA6]) {
        let (picture, indicium) = printed(format, seed);
        for scale in [0.5, 0.63, 0.8, 1.25, 1.7, 2.0, 3.0] {
            reads(
                &format!("{format}, {scale}"),
                &picture.transform(scale, 0.0).unwrap(),
                &indicium,
            );
        }
        for scale in [0.5, 2.0] {
            let turned = picture.transform(scale, 0.07).unwrap();
            reads(&format!("{format}, {scale} and 4 degrees"), &turned, &indicium);
        }
    }
}

#[test]
fn pages_of_every_resolution_are_read() {
    for dpi in [page::MIN_DPI, 120, 150, 203, 300, 600, page::MAX_DPI] {
        let piece = piece(25, USUAL);
        reads(
            &format!("{dpi} dpi"),
            &page::picture(&piece, Format::Dl, dpi).unwrap(),
            &piece.indicium,
        );
    }
}

#[test]
fn noisy_pages_are_read() {
    let (picture, indicium) = printed(Format::Dl, 30);
    for strength in [10, 30, 50] {
        reads(
            &format!("noise {strength}"),
            &noise(&picture, 31, strength),
            &indicium,
        );
    }
    for every in [400, 50, 20] {
        reads(
            &format!("a speck in {every} pixels"),
            &specks(&picture, 32, every),
            &indicium,
        );
    }
    let hard = noise(&picture.transform(0.7, 0.1).unwrap(), 33, 20);
    reads("smaller, turned and noisy", &hard, &indicium);
}

/// Half of the symbol under a gray smear is read, as the bars are still darker than the gaps. Under ink that hides all,
/// a tenth of the symbol may be lost at any place.
#[test]
fn smudged_pages_are_read() {
    for (seed, format) in (40..).zip([Format::Dl, Format::Label4x6]) {
        let (picture, indicium) = printed(format, seed);
        let [left, top, width, height] = symbol(&picture);
        for ink in [100, 160, 200] {
            let half = [left + width / 2, top, width - width / 2, height];
            reads(
                &format!("{format}, smear {ink}"),
                &smudge(&picture, half, ink),
                &indicium,
            );
        }
        for (name, blot) in [
            ("the left tenth", [left, top, width / 10, height]),
            (
                "the right tenth",
                [left + width - width / 10, top, width / 10, height],
            ),
            ("the upper tenth", [left, top, width, height / 10]),
            (
                "the lower tenth",
                [left, top + height - height / 10, width, height / 10],
            ),
            (
                "a tenth in the middle",
                [
                    left + width / 3,
                    top + height / 3,
                    width * 33 / 100,
                    height * 3 / 10,
                ],
            ),
        ] {
            reads(
                &format!("{format}, blot on {name}"),
                &smudge(&picture, blot, 255),
                &indicium,
            );
        }
    }
}

/// The correction mends half as many codewords as it has of its own: 64, whether they are wrong or missing. A blot
/// also spoils some codewords beside it, as their first bar seems to begin where the blot begins.
#[test]
fn the_correction_mends_sixty_four_codewords() {
    assert_eq!(LEVEL, 6);
    let (picture, indicium) = printed(Format::Dl, 45);
    let [left, top, width, height] = symbol(&picture);
    // Nine columns and 32 rows, with 4 pixels a module. Two patterns stand at the left of the first column.
    assert_eq!([width, height], [(9 * 17 + 69) * 4, 32 * 3 * 4]);
    let blot = |rows: usize| [left + (2 + 3) * 17 * 4, top + 5 * 3 * 4, 3 * 17 * 4, rows * 3 * 4];
    reads(
        "48 codewords are hidden",
        &smudge(&picture, blot(16), 255),
        &indicium,
    );
    assert_eq!(
        barcode::decode(&smudge(&picture, blot(23), 255)),
        None,
        "69 codewords are hidden"
    );
}

/// Beyond the correction nothing is read, and never something wrong. Blots of all sizes and places are tried; small
/// ones are read and large ones are not.
#[test]
fn a_ruined_symbol_is_never_read_wrongly() {
    let (picture, indicium) = printed(Format::Dl, 50);
    let [left, top, width, height] = symbol(&picture);
    // Only the symbol, so that a failure takes less time.
    let near = picture
        .crop(left - 30, top - 30, width + 60, height + 60)
        .unwrap();
    let mut numbers = kit::Numbers::new(51);
    let (mut read, mut unread) = (0, 0);
    for round in 0..40 {
        let (w, h) = (width * (10 + round * 2) / 100, height * (10 + round * 2) / 100);
        let (x, y) = (
            30 + numbers.below(width - w + 1),
            30 + numbers.below(height - h + 1),
        );
        match barcode::decode(&smudge(&near, [x, y, w, h], 255)) {
            Some(found) => {
                assert_eq!(found, indicium, "round {round}");
                read += 1;
            }
            None => unread += 1,
        }
    }
    assert!(read >= 10 && unread >= 10, "{read} read, {unread} not");
    let half = smudge(&picture, [left + width / 4, top, width / 2, height], 255);
    assert_eq!(barcode::decode(&half), None);
}

#[test]
fn a_jpeg_is_read() {
    // A page of mail at 150 dpi, saved with quality 40 and 4:2:0 colours.
    let found = reading::read("mail.jpg", include_bytes!("data/mail.jpg")).unwrap();
    assert_eq!(
        found,
        [Found {
            page: 1,
            indicium: kit::bytes(60, USUAL),
            address: None
        }]
    );
}

#[test]
fn a_page_without_a_symbol_is_unreadable() {
    let white = Picture::white(500, 300).unwrap();
    assert_eq!(barcode::decode(&white), None);
    let error = reading::read("white.png", &kit::gray_png(&white)).unwrap_err();
    assert_eq!(
        error,
        ReadingError::Unreadable {
            name: "white.png".to_owned(),
            page: 1
        }
    );
}
