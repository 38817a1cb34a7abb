//! A barcode that was read, and why a file is not read.

/// The most bytes of a file.
pub const MAX_FILE: usize = 64 << 20;

/// A barcode that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The page, from 1. A picture is one page.
    pub page: usize,
    /// The bytes of the barcode. Nothing about them is verified.
    pub indicium: Vec<u8>,
    /// The lines of the recipient's address. `None` for a picture.
    pub address: Option<Vec<String>>,
}

/// Why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadingError {
    /// The file is larger than [`MAX_FILE`].
    #[error("{name} has {bytes} bytes, and at most {MAX_FILE} are read")]
    FileTooLarge {
        /// The name of the file.
        name: String,
        /// Its size.
        bytes: usize,
    },
    /// The first bytes are of no known kind.
    #[error("{name} is no PNG, JPEG or PDF file")]
    UnknownKind {
        /// The name of the file.
        name: String,
    },
    /// The picture exceeds the bounds of [`crate::picture`].
    #[error("{name} is a picture of {width} by {height} pixels, which is too large or empty")]
    PictureSize {
        /// The name of the file.
        name: String,
        /// The width in pixels.
        width: usize,
        /// The height in pixels.
        height: usize,
    },
    /// The file is damaged.
    #[error("{name} is damaged: {cause}")]
    Damaged {
        /// The name of the file.
        name: String,
        /// What the decoder says.
        cause: String,
    },
    /// The PDF is of another program.
    #[error(
        "{name} was not made by this program; make pictures of its pages, for example with \
         `pdftoppm -r 300 -gray -png`, and read those"
    )]
    ForeignDocument {
        /// The name of the file.
        name: String,
    },
    /// The PDF has more than [`crate::page::MAX_PAGES`] pages.
    #[error("{name} has more than {limit} pages", limit = crate::page::MAX_PAGES)]
    TooManyPages {
        /// The name of the file.
        name: String,
    },
    /// A page has no barcode, or one that is damaged beyond correction.
    #[error("no readable barcode on page {page} of {name}")]
    Unreadable {
        /// The name of the file.
        name: String,
        /// The page, from 1.
        page: usize,
    },
}
