//! Measures how many pages of mail are made and read in a second, on one core.
//!
//! `cargo run --release -p farthing-postage --example postage_rate`

use std::hint::black_box;
use std::time::Instant;

use farthing_postage::page::{self, Format, Mailpiece};
use farthing_postage::picture::Picture;
use farthing_postage::{barcode, reading};

/// Bytes of an indicium.
const INDICIUM: u32 = 180;
/// Pages of each measurement.
const PAGES: u64 = 40;

fn piece(number: u64) -> Mailpiece {
    let byte = |place: u32| (place.wrapping_mul(2_654_435_761).wrapping_add(number as u32 * 97) >> 13) as u8;
    Mailpiece {
        from: vec![
            "Alice".to_owned(),
            "1 First Street".to_owned(),
            "Springfield 12345".to_owned(),
        ],
        to: vec![
            "Bob".to_owned(),
            "2 Second Street".to_owned(),
            "Springfield 54321".to_owned(),
        ],
        class: "FIRST CLASS".to_owned(),
        value: "£1.35".to_owned(),
        date: "30 Nov 2026".to_owned(),
        meter: "7F3A 91C2".to_owned(),
        sequence: number,
        indicium: (0..INDICIUM).map(byte).collect(),
    }
}

/// Prints the rate of an operation on each of the pages.
fn measure<T>(what: &str, inputs: &[T], operation: impl Fn(&T)) {
    let start = Instant::now();
    inputs.iter().for_each(operation);
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<44} {:>9.1} pages a second", inputs.len() as f64 / seconds);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pieces: Vec<Mailpiece> = (0..PAGES).map(piece).collect();
    println!("indicia of {INDICIUM} bytes on envelopes DL, {PAGES} pages each, one core");
    measure("make a PDF", &pieces, |piece| {
        let _ = black_box(page::pdf(std::slice::from_ref(piece), Format::Dl));
    });
    measure("make a PNG, 300 dpi", &pieces, |piece| {
        let _ = black_box(page::png(piece, Format::Dl, 300));
    });
    let document = page::pdf(&pieces, Format::Dl)?;
    let start = Instant::now();
    let found = reading::read("document", &document)?.len();
    let rate = found as f64 / start.elapsed().as_secs_f64();
    println!("{:<44} {rate:>9.1} pages a second", "read one PDF with all pages");
    for dpi in [150, 300, 600] {
        let files = pieces
            .iter()
            .map(|piece| page::png(piece, Format::Dl, dpi))
            .collect::<Result<Vec<_>, _>>()?;
        measure(&format!("read a PNG, {dpi} dpi"), &files, |file| {
            assert!(reading::read("page", file).is_ok(), "a clean page is read");
        });
    }
    let pages = pieces
        .iter()
        .map(|piece| page::picture(piece, Format::Dl, 300))
        .collect::<Result<Vec<_>, _>>()?;
    measure("read a picture in memory, 300 dpi", &pages, |page| {
        assert!(barcode::decode(page).is_some(), "a clean page is read");
    });
    let turned: Vec<Picture> = pages
        .iter()
        .filter_map(|page| page.transform(1.0, 0.12))
        .collect();
    measure("the same, turned by 7 degrees", &turned, |page| {
        assert!(barcode::decode(page).is_some(), "a turned page is read");
    });
    let ruined: Vec<Picture> = pages.iter().take(8).filter_map(ruin).collect();
    measure("give up on a page, 300 dpi", &ruined, |page| {
        assert!(barcode::decode(page).is_none(), "a ruined page is not read");
    });
    Ok(())
}

/// Covers the middle of the symbol with white.
fn ruin(page: &Picture) -> Option<Picture> {
    let mut ruined = page.clone();
    let (left, right) = (page.width() * 7 / 10, page.width() * 85 / 100);
    (0..page.height() / 2).for_each(|y| (left..right).for_each(|x| ruined.set(x, y, u8::MAX)));
    Some(ruined)
}
