//! Links as QR codes on a terminal.

use fast_qr::QRBuilder;

/// The error of a link that no QR code has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link is too long for a QR code; leave out `--qr`")]
pub struct TooLong;

/// A link, under its QR code if `qr` asks for one.
///
/// # Errors
/// [`TooLong`]: no QR code has room for the link.
pub fn drawn(link: String, qr: bool) -> Result<String, TooLong> {
    match qr {
        true => {
            let code = QRBuilder::new(link.clone()).build().map_err(|_| TooLong)?;
            Ok(format!("{}\n{link}", code.to_str()))
        }
        false => Ok(link),
    }
}
