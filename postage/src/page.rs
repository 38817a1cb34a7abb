//! Mail as pages: an envelope or a label with its indicium, as PDF, PNG or SVG.

mod format;
mod layout;
mod pdf;
mod raster;
mod svg;
pub(crate) mod text;

use png::{BitDepth, ColorType, Compression, Encoder, PixelDimensions, Unit};

pub use format::Format;
pub(crate) use pdf::{ADDRESS, INDICIUM, PRODUCER};

use crate::barcode::BarcodeError;
use crate::picture::Picture;

/// The most lines of an address.
pub const MAX_LINES: usize = 7;
/// The most characters of a line of an address.
pub const MAX_LINE: usize = 60;
/// The most characters of the class, the value, the date and the meter's name.
pub const MAX_FIELD: usize = 24;
/// The most pages of one document.
pub const MAX_PAGES: usize = 1000;
/// The fewest dots per inch of a picture. Below, a module is smaller than 1.3 pixels.
pub const MIN_DPI: u32 = 100;
/// The most dots per inch of a picture.
pub const MAX_DPI: u32 = 900;

/// What is printed on one piece of mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailpiece {
    /// The lines of the sender's address. There may be none.
    pub from: Vec<String>,
    /// The lines of the recipient's address.
    pub to: Vec<String>,
    /// The mail class, such as "FIRST CLASS".
    pub class: String,
    /// The postage, such as "£1.35".
    pub value: String,
    /// The date of posting.
    pub date: String,
    /// The name of the meter.
    pub meter: String,
    /// The meter's sequence number.
    pub sequence: u64,
    /// The bytes of the barcode.
    pub indicium: Vec<u8>,
}

/// Why a page is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The name of a format is not known.
    #[error("there is no format `{0}`; the formats are {names}", names = Format::names())]
    UnknownFormat(String),
    /// A document without pages.
    #[error("there is no mail to print")]
    NoPages,
    /// A document with more than [`MAX_PAGES`] pages.
    #[error("{0} pieces of mail are too many for one document, which has at most {MAX_PAGES} pages")]
    TooManyPages(usize),
    /// The recipient's address has no lines.
    #[error("the address is empty")]
    NoAddress,
    /// An address has more than [`MAX_LINES`] lines.
    #[error("the {field} has {lines} lines, and at most {MAX_LINES} fit")]
    TooManyLines {
        /// The part of the page.
        field: &'static str,
        /// The number of lines.
        lines: usize,
    },
    /// A text has no visible character.
    #[error("the {0} has an empty line")]
    Blank(&'static str),
    /// A text has too many characters.
    #[error("a line of the {field} has {characters} characters, and at most {limit} are allowed")]
    TooLong {
        /// The part of the page.
        field: &'static str,
        /// The number of characters.
        characters: usize,
        /// The most characters.
        limit: usize,
    },
    /// A line would be too small to read if it were made to fit.
    #[error("the line `{text}` of the {field} is too wide for the page")]
    TooWide {
        /// The part of the page.
        field: &'static str,
        /// The line.
        text: String,
    },
    /// The fonts of PDF lack a character.
    #[error(
        "the {field} has the character {character:?}, which the page's font lacks; write it with other letters"
    )]
    Character {
        /// The part of the page.
        field: &'static str,
        /// The character.
        character: char,
    },
    /// The resolution is out of range.
    #[error("{0} dots per inch are out of range; a picture has {MIN_DPI} to {MAX_DPI}")]
    Dpi(u32),
    /// The barcode could not be made.
    #[error(transparent)]
    Barcode(#[from] BarcodeError),
    /// The picture could not be written.
    #[error("the picture cannot be written: {0}")]
    Picture(String),
}

/// Makes a PDF with one page for each piece of mail.
///
/// # Errors
/// Too many pieces, a text that does not fit, or an indicium that no barcode carries.
pub fn pdf(pieces: &[Mailpiece], format: Format) -> Result<Vec<u8>, PageError> {
    if pieces.is_empty() {
        return Err(PageError::NoPages);
    }
    if pieces.len() > MAX_PAGES {
        return Err(PageError::TooManyPages(pieces.len()));
    }
    let pages = pieces
        .iter()
        .map(|piece| checked_layout(piece, format))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(pdf::write(&pages))
}

/// Draws a piece of mail as a picture, at a number of dots per inch.
///
/// # Errors
/// A text that does not fit, an indicium that no barcode carries, or a resolution out of range.
pub fn picture(piece: &Mailpiece, format: Format, dpi: u32) -> Result<Picture, PageError> {
    if !(MIN_DPI..=MAX_DPI).contains(&dpi) {
        return Err(PageError::Dpi(dpi));
    }
    raster::draw(&checked_layout(piece, format)?, dpi).ok_or(PageError::Dpi(dpi))
}

/// Makes a PNG of a piece of mail, at a number of dots per inch.
///
/// # Errors
/// The same as [`picture()`].
pub fn png(piece: &Mailpiece, format: Format, dpi: u32) -> Result<Vec<u8>, PageError> {
    let picture = picture(piece, format, dpi)?;
    write_png(&picture, dpi).map_err(|error| PageError::Picture(error.to_string()))
}

/// Makes an SVG of a piece of mail.
///
/// # Errors
/// A text that does not fit, or an indicium that no barcode carries.
pub fn svg(piece: &Mailpiece, format: Format) -> Result<String, PageError> {
    Ok(svg::write(&checked_layout(piece, format)?))
}

/// Writes a picture as a gray PNG that states its resolution.
fn write_png(picture: &Picture, dpi: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
    let mut encoder = Encoder::new(&mut file, side(picture.width()), side(picture.height()));
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    let dots_a_metre = (f64::from(dpi) / 0.0254).round() as u32;
    encoder.set_pixel_dims(Some(PixelDimensions {
        xppu: dots_a_metre,
        yppu: dots_a_metre,
        unit: Unit::Meter,
    }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.gray())?;
    writer.finish()?;
    Ok(file)
}

/// Checks all texts and lays out the page.
fn checked_layout(piece: &Mailpiece, format: Format) -> Result<layout::Layout, PageError> {
    if piece.to.is_empty() {
        return Err(PageError::NoAddress);
    }
    for (field, lines) in [("address", &piece.to), ("sender's address", &piece.from)] {
        if lines.len() > MAX_LINES {
            return Err(PageError::TooManyLines {
                field,
                lines: lines.len(),
            });
        }
        lines.iter().try_for_each(|line| check(field, line, MAX_LINE))?;
    }
    let fields = [
        ("class", &piece.class),
        ("value", &piece.value),
        ("date", &piece.date),
        ("meter", &piece.meter),
    ];
    fields
        .into_iter()
        .try_for_each(|(field, text)| check(field, text, MAX_FIELD))?;
    layout::layout(piece, format)
}

fn check(field: &'static str, text: &str, limit: usize) -> Result<(), PageError> {
    let characters = text.chars().count();
    if characters > limit {
        return Err(PageError::TooLong {
            field,
            characters,
            limit,
        });
    }
    if text.trim().is_empty() {
        return Err(PageError::Blank(field));
    }
    match text.chars().find(|&character| text::byte(character).is_none()) {
        Some(character) => Err(PageError::Character { field, character }),
        None => Ok(()),
    }
}
