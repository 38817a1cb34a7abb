//! What is printed on one piece of mail, its bounds, and what is wrong with it.

use crate::barcode::BarcodeError;

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
