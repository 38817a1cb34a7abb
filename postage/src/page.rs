//! Mail as pages: an envelope or a label with its indicium, as PDF, PNG or SVG.

mod format;
mod layout;
mod pdf;
mod piece;
mod raster;
mod svg;
pub(crate) mod text;

use png::{BitDepth, ColorType, Compression, Encoder, PixelDimensions, Unit};

pub use format::{Format, UnknownFormat};
pub(crate) use pdf::{ADDRESS, INDICIUM, PRODUCER};
pub use piece::{MAX_DPI, MAX_FIELD, MAX_LINE, MAX_LINES, MAX_PAGES, MIN_DPI, Mailpiece, PageError};

use crate::picture::Picture;

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
