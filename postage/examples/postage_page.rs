//! Writes one page of mail in every format, as PDF, PNG and SVG, into a directory.
//!
//! `cargo run -p farthing-postage --example postage_page -- DIRECTORY`

use std::path::PathBuf;

use farthing_postage::page::{self, Format, Mailpiece};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("say where to write the pages")?);
    std::fs::create_dir_all(&directory)?;
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let piece = Mailpiece {
        from: lines("Bettina Größe\nRue de l'Évêché 12\n1003 Lausanne"),
        to: lines("Ms Doug Tygar\nCarnegie Mellon University\n5000 Forbes Avenue\nPittsburgh PA 15213\nUSA"),
        class: "FIRST CLASS".to_owned(),
        value: "€1.35".to_owned(),
        date: "30 Nov 2026".to_owned(),
        meter: "7F3A 91C2".to_owned(),
        sequence: 1042,
        indicium: (0..180_u32)
            .map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect(),
    };
    for format in Format::ALL {
        let file = |ending: &str| directory.join(format!("{format}.{ending}"));
        std::fs::write(file("pdf"), page::pdf(std::slice::from_ref(&piece), format)?)?;
        std::fs::write(file("png"), page::png(&piece, format, 300)?)?;
        std::fs::write(file("svg"), page::svg(&piece, format)?)?;
    }
    Ok(())
}
