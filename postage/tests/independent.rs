//! Other programs read our pages: `zxing-cpp` the barcode, poppler the documents.
//!
//! `zxing-cpp` is a rewrite of `ZXing` in C++, and `rxing` is a port of `ZXing`. So both are of one family, and may
//! share a misunderstanding of the standard. What they do not share is code.
//!
//! A test whose program is not on this machine says `SKIPPED`. To have them:
//! `python3 -m venv target/zxing && target/zxing/bin/pip install zxing-cpp pillow`, and `apt-get install
//! poppler-utils`. Another Python is named by the variable `FARTHING_ZXING_PYTHON`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod kit;

use std::path::{Path, PathBuf};
use std::process::Command;

use farthing_postage::barcode::MAX_INDICIUM;
use farthing_postage::page::{self, Format};
use farthing_postage::reading;

/// Prints each barcode of a picture as its kind, its bytes in hexadecimal digits and its correction.
const PROGRAM: &str = "
import sys, zxingcpp
from PIL import Image
for code in zxingcpp.read_barcodes(Image.open(sys.argv[1])):
    print(str(code.format).split('.')[-1].replace('_', '').upper(), bytes(code.bytes).hex(), code.ec_level)
";

/// A Python that has `zxing-cpp`.
fn python() -> Option<PathBuf> {
    let own = std::env::var_os("FARTHING_ZXING_PYTHON").map(PathBuf::from);
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/zxing/bin/python");
    let works = |python: &PathBuf| {
        let output = Command::new(python).args(["-c", "import zxingcpp, PIL"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    own.into_iter()
        .chain([built, PathBuf::from("python3")])
        .find(works)
}

fn has(program: &str) -> bool {
    Command::new(program)
        .arg("-v")
        .output()
        .is_ok_and(|output| output.status.success())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn zxing_cpp_reads_our_pictures() {
    let Some(python) = python() else {
        println!("SKIPPED: this machine has no zxing-cpp");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    for (seed, format) in (1..).zip(Format::ALL) {
        for length in [1, 180, MAX_INDICIUM] {
            let mail = kit::piece(seed, length);
            let path = directory.path().join("page.png");
            std::fs::write(&path, page::png(&mail, format, 300).unwrap()).unwrap();
            let codes = run(Command::new(&python).args(["-c", PROGRAM]).arg(&path));
            let line = codes.lines().next().unwrap_or_default();
            let expected = format!("PDF417 {} ", hexadecimal(&mail.indicium));
            assert!(line.starts_with(&expected), "{format}, {length} bytes: {codes}");
            assert_eq!(codes.lines().count(), 1, "{codes}");
        }
    }
}

/// Poppler draws a document, and both readers read the picture. Poppler also finds the text.
#[test]
fn poppler_draws_and_reads_our_documents() {
    if !has("pdftoppm") || !has("pdftotext") {
        println!("SKIPPED: this machine has no poppler");
        return;
    }
    let python = python();
    if python.is_none() {
        println!("SKIPPED in part: this machine has no zxing-cpp");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mail.pdf");
    for (seed, format) in (20..).zip(Format::ALL) {
        let mails = [kit::piece(seed, 180), kit::piece(seed + 100, MAX_INDICIUM)];
        std::fs::write(&path, page::pdf(&mails, format).unwrap()).unwrap();
        let text = run(Command::new("pdftotext")
            .args(["-raw", "-enc", "UTF-8"])
            .arg(&path)
            .arg("-"));
        let address = mails[0].to.join("\n");
        assert_eq!(text.matches(&address).count(), 2, "{format}: {text}");
        assert_eq!(
            text.matches(&mails[0].from.join("\n")).count(),
            2,
            "{format}: {text}"
        );
        for field in [&mails[0].value, &mails[0].class, &mails[0].date, &mails[0].meter] {
            assert!(text.contains(field.as_str()), "{format}: {text}");
        }

        let dpi = if format == Format::C4 { "150" } else { "200" };
        let prefix = directory.path().join("page");
        run(Command::new("pdftoppm")
            .args(["-r", dpi, "-gray", "-png"])
            .arg(&path)
            .arg(&prefix));
        for (number, mail) in (1..).zip(&mails) {
            let picture = directory.path().join(format!("page-{number}.png"));
            let found = reading::read("page", &std::fs::read(&picture).unwrap()).unwrap();
            assert_eq!(found[0].indicium, mail.indicium, "{format}, page {number}");
            if let Some(python) = &python {
                let codes = run(Command::new(python).args(["-c", PROGRAM]).arg(&picture));
                assert!(
                    codes.contains(&hexadecimal(&mail.indicium)),
                    "{format}, page {number}: {codes}"
                );
            }
        }
    }
}

/// An SVG is well-formed and is drawn as the same page, if there is a program for it.
#[test]
fn rsvg_draws_our_pictures() {
    if !Command::new("rsvg-convert")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        println!("SKIPPED: this machine has no rsvg-convert");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mail.svg");
    for (seed, format) in (40..).zip(Format::ALL) {
        let mail = kit::piece(seed, 180);
        std::fs::write(&path, page::svg(&mail, format).unwrap()).unwrap();
        let picture = path.with_extension("png");
        run(Command::new("rsvg-convert")
            .args(["-d", "200", "-p", "200"])
            .arg(&path)
            .arg("-o")
            .arg(&picture));
        let found = reading::read("page", &std::fs::read(&picture).unwrap()).unwrap();
        assert_eq!(found[0].indicium, mail.indicium, "{format}");
    }
}
