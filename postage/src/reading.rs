//! Pictures and documents of mail into indicia.
//!
//! PNG and JPEG files are searched for a barcode as a camera would see it. There is no recognition of letters, so
//! a picture gives no address.
//!
//! Of PDF, only documents of [`crate::page::pdf`] are read: the address and the barcode are taken from the drawing
//! itself. Other documents are refused, with the advice to make pictures of their pages. The reader trusts the tags
//! in the document, not what a viewer shows, so a document says less than a picture of the paper.

mod document;
mod found;
mod image;

pub use found::{Found, MAX_FILE, ReadingError};

use crate::barcode;

/// Reads all indicia of a file. Its kind is told by its first bytes. The name is only for messages.
///
/// # Errors
/// A file that is too large, of no known kind, or damaged, and a page without a readable barcode.
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<Found>, ReadingError> {
    let name = || name.to_owned();
    if bytes.len() > MAX_FILE {
        return Err(ReadingError::FileTooLarge {
            name: name(),
            bytes: bytes.len(),
        });
    }
    if bytes.starts_with(b"%PDF-") {
        return document::read(&name(), bytes);
    }
    let picture = match bytes {
        [0x89, b'P', b'N', b'G', ..] => image::png(&name(), bytes)?,
        [0xFF, 0xD8, 0xFF, ..] => image::jpeg(&name(), bytes)?,
        _ => return Err(ReadingError::UnknownKind { name: name() }),
    };
    let indicium = barcode::decode(&picture).ok_or_else(|| ReadingError::Unreadable {
        name: name(),
        page: 1,
    })?;
    Ok(vec![Found {
        page: 1,
        indicium,
        address: None,
    }])
}
