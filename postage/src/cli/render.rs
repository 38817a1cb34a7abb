//! The files that a print is written to.

use super::letter::{Letter, Mailing};
use crate::{
    indicium::{SignedIndicium, encode},
    page::{self, Format, Mailpiece},
};
use anyhow::{Result, bail};
use std::{fmt, path::Path, str::FromStr};

/// The resolution of pictures (dots per inch).
const PICTURE_DPI: u32 = 300;

/// What a file of a print is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A PDF file of the page, in its real size.
    Pdf,
    /// A picture of the page.
    Png,
    /// A drawing of the page.
    Svg,
    /// The bytes of the indicium alone.
    Bytes,
}

/// Why a text is no kind of file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of file that is printed: write pdf, png, svg or bin")]
pub(super) struct KindError(String);

impl FileKind {
    const ALL: [FileKind; 4] = [FileKind::Pdf, FileKind::Png, FileKind::Svg, FileKind::Bytes];

    /// The ending of its files.
    pub(super) fn ending(self) -> &'static str {
        match self {
            FileKind::Pdf => "pdf",
            FileKind::Png => "png",
            FileKind::Svg => "svg",
            FileKind::Bytes => "bin",
        }
    }

    /// The kind of the file with this name.
    pub(super) fn of(path: &Path) -> Result<FileKind> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some(ending) => Ok(ending.parse()?),
            None => bail!(
                "{} has no ending; name it .pdf, .png, .svg or .bin",
                path.display()
            ),
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.ending())
    }
}

impl FromStr for FileKind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<FileKind, KindError> {
        let found = Self::ALL.into_iter().find(|kind| kind.ending() == text);
        found.ok_or_else(|| KindError(text.to_owned()))
    }
}

/// The page of a letter. Without an indicium it is what [`check`] lays out.
fn mailpiece(
    letter: &Letter,
    mailing: &Mailing,
    meter: String,
    sequence: u64,
    indicium: Vec<u8>,
) -> Mailpiece {
    Mailpiece {
        from: mailing.from.clone(),
        to: letter.to.clone(),
        class: letter.class.name().to_uppercase(),
        value: letter.value.to_string(),
        date: mailing.day.to_string(),
        meter,
        sequence,
        indicium,
    }
}

/// Checks that a letter fits on its page, before it is paid.
pub(super) fn check(letter: &Letter, mailing: &Mailing, kind: FileKind) -> Result<()> {
    if kind != FileKind::Bytes {
        let sample = vec![0; crate::indicium::INDICIUM_MAX_BYTES];
        page::svg(
            &mailpiece(letter, mailing, "0".repeat(8), u64::MAX, sample),
            mailing.sheet,
        )?;
    }
    Ok(())
}

/// The bytes of the file.
pub(super) fn render(
    indicium: &SignedIndicium,
    letter: &Letter,
    mailing: &Mailing,
    kind: FileKind,
) -> Result<Vec<u8>> {
    let bytes = encode(indicium);
    if kind == FileKind::Bytes {
        return Ok(bytes);
    }
    let body = &indicium.body;
    let piece = mailpiece(
        letter,
        mailing,
        super::files::short(&body.meter),
        body.sequence,
        bytes,
    );
    let sheet: Format = mailing.sheet;
    Ok(match kind {
        FileKind::Png => page::png(&piece, sheet, PICTURE_DPI)?,
        FileKind::Svg => page::svg(&piece, sheet)?.into_bytes(),
        _ => page::pdf(&[piece], sheet)?,
    })
}
