//! PNG and JPEG files into gray pictures.
//!
//! The size is checked before memory is taken. A panic of a decoder counts as a damaged file.

use std::io::Cursor;

use png::{ColorType, Decoder, Limits, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::ReadingError;
use crate::picture::{self, Picture, WHITE};
use crate::quiet;

/// The most memory of the PNG decoder beside the picture itself.
const PNG_MEMORY: usize = 64 << 20;
/// The most scans of a progressive JPEG.
const JPEG_SCANS: usize = 64;

/// Reads a PNG.
pub(super) fn png(name: &str, bytes: &[u8]) -> Result<Picture, ReadingError> {
    quiet::catch(|| read_png(name, bytes)).unwrap_or_else(|| Err(damaged(name, "the decoder failed")))
}

/// Reads a JPEG.
pub(super) fn jpeg(name: &str, bytes: &[u8]) -> Result<Picture, ReadingError> {
    quiet::catch(|| read_jpeg(name, bytes)).unwrap_or_else(|| Err(damaged(name, "the decoder failed")))
}

fn damaged(name: &str, cause: impl ToString) -> ReadingError {
    ReadingError::Damaged {
        name: name.to_owned(),
        cause: cause.to_string(),
    }
}

fn check_size(name: &str, width: usize, height: usize) -> Result<(), ReadingError> {
    if picture::fits(width, height) {
        Ok(())
    } else {
        Err(ReadingError::PictureSize {
            name: name.to_owned(),
            width,
            height,
        })
    }
}

fn read_png(name: &str, bytes: &[u8]) -> Result<Picture, ReadingError> {
    let bad = |error: png::DecodingError| damaged(name, error);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: PNG_MEMORY });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(bad)?;
    let (width, height) = (header.width as usize, header.height as usize);
    check_size(name, width, height)?;
    if header.interlaced {
        return Err(damaged(name, "interlaced pictures are not read"));
    }
    let mut reader = decoder.read_info().map_err(bad)?;
    let channels = reader.output_color_type().0.samples();
    let color = reader.output_color_type().0;
    let mut gray = Vec::with_capacity(width * height);
    while gray.len() < width * height {
        let row = reader
            .next_row()
            .map_err(bad)?
            .ok_or_else(|| damaged(name, "rows are missing"))?;
        gray.extend(
            row.data()
                .chunks_exact(channels)
                .map(|pixel| gray_of(color, pixel)),
        );
    }
    Picture::from_gray(width, height, gray).ok_or_else(|| damaged(name, "rows have a wrong length"))
}

/// The brightness of a pixel in front of white (ITU-R BT.601).
fn gray_of(color: ColorType, pixel: &[u8]) -> u8 {
    let light = |red: u8, green: u8, blue: u8| {
        (u32::from(red) * 299 + u32::from(green) * 587 + u32::from(blue) * 114) / 1000
    };
    let (light, alpha) = match (color, pixel) {
        (ColorType::GrayscaleAlpha, &[gray, alpha]) => (u32::from(gray), alpha),
        (ColorType::Rgb, &[red, green, blue]) => (light(red, green, blue), u8::MAX),
        (ColorType::Rgba, &[red, green, blue, alpha]) => (light(red, green, blue), alpha),
        (_, &[gray, ..]) => (u32::from(gray), u8::MAX),
        (_, []) => (u32::from(WHITE), u8::MAX),
    };
    let alpha = u32::from(alpha);
    u8::try_from((light * alpha + u32::from(WHITE) * (255 - alpha)) / 255).unwrap_or(WHITE)
}

fn read_jpeg(name: &str, bytes: &[u8]) -> Result<Picture, ReadingError> {
    let options = DecoderOptions::new_safe()
        .set_max_width(picture::MAX_SIDE)
        .set_max_height(picture::MAX_SIDE)
        .jpeg_set_max_scans(JPEG_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder
        .decode_headers()
        .map_err(|error| damaged(name, format!("{error:?}")))?;
    let header = decoder.info().ok_or_else(|| damaged(name, "it has no header"))?;
    let (width, height) = (usize::from(header.width), usize::from(header.height));
    check_size(name, width, height)?;
    let gray = decoder
        .decode()
        .map_err(|error| damaged(name, format!("{error:?}")))?;
    Picture::from_gray(width, height, gray).ok_or_else(|| damaged(name, "its colours are not read"))
}
