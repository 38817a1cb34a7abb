//! PDF417 (ISO/IEC 15438): the bytes of an indicium as a symbol of dark and light modules, and back.
//!
//! The library `rxing` writes and reads the symbols. It is a port of `ZXing`. Its reader has assertions that an odd
//! picture can break, so a panic of the reader counts as "no symbol". Its arithmetic is built with overflow
//! checks, so a wrong number ends a reading and cannot become a long loop.
//!
//! Every symbol has correction level 6: 128 correction codewords, which mend 64 wrong or missing codewords. Symbols
//! of another level are no indicia and are not read. So damage to the row indicators, which state the level,
//! cannot turn a damaged symbol into one with weak correction.

mod locate;

use rxing::common::{CharacterSet, GlobalHistogramBinarizer, HybridBinarizer};
use rxing::pdf417::PDF417Reader;
use rxing::pdf417::encoder::{Compaction, PDF417};
use rxing::{Binarizer, BinaryBitmap, DecodeHints, ImmutableReader, Luma8Source, RXingResult};
use rxing::{RXingResultMetadataType, RXingResultMetadataValue};

use crate::picture::Picture;
use crate::quiet;

/// The most bytes of an indicium.
pub const MAX_INDICIUM: usize = 400;
/// The correction level of every symbol (ISO/IEC 15438, 5.7). Level n has 2^(n+1) correction codewords.
pub const LEVEL: u32 = 6;
/// The height of a row, in modules. The standard asks for three or more.
pub const ROW_HEIGHT: usize = 3;
/// The white border of a symbol, in modules. The standard asks for two.
pub const QUIET_ZONE: usize = 2;

/// The fewest and the most rows of a symbol, by the standard.
const ROWS: std::ops::RangeInclusive<usize> = 3..=90;
/// The most columns of codewords in a symbol, by the standard.
const MAX_COLUMNS: usize = 30;
/// The most pixels that are searched for a symbol at once. Larger pictures are reduced first.
const SEARCHED_PIXELS: usize = 12_000_000;

/// Why bytes do not become a symbol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarcodeError {
    /// There is nothing to encode.
    #[error("the indicium is empty")]
    Empty,
    /// The bytes exceed [`MAX_INDICIUM`].
    #[error("the indicium has {0} bytes, and a barcode carries at most {MAX_INDICIUM}")]
    TooLong(usize),
    /// The symbol does not fit into the space for it.
    #[error("the barcode does not fit into {columns} columns and {rows} rows")]
    NoSpace {
        /// The most columns of codewords in that space.
        columns: usize,
        /// The most rows in that space.
        rows: usize,
    },
    /// The library refused the bytes.
    #[error("the barcode cannot be made: {0}")]
    Library(String),
}

/// The space for a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most columns of codewords. A symbol of c columns is 17c + 69 modules wide.
    pub columns: usize,
    /// The most rows.
    pub rows: usize,
}

impl Bounds {
    /// The narrowest symbol of at most `self.rows` rows for this number of codewords.
    fn shape(self, codewords: usize) -> Result<(usize, usize), BarcodeError> {
        for columns in 1..=self.columns.min(MAX_COLUMNS) {
            let rows = codewords.div_ceil(columns).max(*ROWS.start());
            if rows <= self.rows.min(*ROWS.end()) {
                return Ok((columns, rows));
            }
        }
        Err(BarcodeError::NoSpace {
            columns: self.columns,
            rows: self.rows,
        })
    }
}

/// A symbol as rows of modules, without its white border. Each row is printed [`ROW_HEIGHT`] modules high.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modules {
    rows: Vec<Vec<bool>>,
}

impl Modules {
    /// The rows from the top. True is dark.
    #[must_use]
    pub fn rows(&self) -> &[Vec<bool>] {
        &self.rows
    }

    /// The width in modules.
    #[must_use]
    pub fn width(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// The height in modules.
    #[must_use]
    pub fn height(&self) -> usize {
        self.rows.len() * ROW_HEIGHT
    }

    /// The dark runs of all rows: the row, the first module and the number of modules.
    pub fn runs(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.rows.iter().enumerate().flat_map(|(y, row)| {
            let mut x = 0;
            row.chunk_by(|left, right| left == right).filter_map(move |run| {
                let start = x;
                x += run.len();
                (run.first() == Some(&true)).then_some((y, start, run.len()))
            })
        })
    }

    /// The symbol as a picture with its white border. `None` if that exceeds the bounds of a picture.
    #[must_use]
    pub fn picture(&self, pixels_a_module: usize) -> Option<Picture> {
        let side = |modules: usize| (modules + 2 * QUIET_ZONE) * pixels_a_module;
        let mut picture = Picture::white(side(self.width()), side(self.height()))?;
        for (y, x, length) in self.runs() {
            for line in side_of(y * ROW_HEIGHT, ROW_HEIGHT, pixels_a_module) {
                for column in side_of(x, length, pixels_a_module) {
                    picture.set(column, line, 0);
                }
            }
        }
        Some(picture)
    }
}

fn side_of(start: usize, length: usize, pixels: usize) -> std::ops::Range<usize> {
    (start + QUIET_ZONE) * pixels..(start + length + QUIET_ZONE) * pixels
}

/// Makes the symbol of an indicium: the narrowest one that has few enough rows.
///
/// # Errors
/// No bytes, too many bytes, or too little space.
pub fn encode(bytes: &[u8], bounds: Bounds) -> Result<Modules, BarcodeError> {
    if bytes.is_empty() {
        return Err(BarcodeError::Empty);
    }
    if bytes.len() > MAX_INDICIUM {
        return Err(BarcodeError::TooLong(bytes.len()));
    }
    // Six bytes are five codewords, a rest stays as it is; the length and the mode are a codeword each.
    let codewords = bytes.len() / 6 * 5 + bytes.len() % 6 + 2 + (2 << LEVEL);
    let (columns, rows) = bounds.shape(codewords)?;
    let library = |error: rxing::Exceptions| BarcodeError::Library(error.to_string());
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);

    let mut encoder = PDF417::new();
    // One character a byte. Only byte mode is used: the automatic mode of rxing 0.9.3 loses bytes.
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    encoder.setCompaction(Compaction::BYTE);
    encoder.setEncoding(Some(CharacterSet::ISO8859_1));
    encoder.setDimensions(side(columns), side(columns), side(rows), side(rows));
    encoder.generateBarcodeLogic(&text, LEVEL).map_err(library)?;
    let matrix = encoder
        .getBarcodeMatrix()
        .as_ref()
        .ok_or_else(|| BarcodeError::Library("it made no symbol".to_owned()))?;
    // The library's rows begin at the bottom.
    let mut rows = matrix.getMatrix();
    rows.reverse();
    Ok(Modules {
        rows: rows
            .iter()
            .map(|row| row.iter().map(|&module| module == 1).collect())
            .collect(),
    })
}

/// Finds the symbol of an indicium in a picture and reads it. The picture may be turned by any angle. `None` if
/// there is none, or if it is damaged beyond correction. A picture never makes it panic.
///
/// A picture with several symbols gives one of them.
#[must_use]
pub fn decode(picture: &Picture) -> Option<Vec<u8>> {
    let factor = (1..).find(|factor| picture.gray().len() / (factor * factor) <= SEARCHED_PIXELS)?;
    let reduced = if factor > 1 {
        Some(picture.reduce(factor)?)
    } else {
        None
    };
    let picture = reduced.as_ref().unwrap_or(picture);
    locate::candidates(picture).find_map(|candidate| read_symbol(&candidate))
}

/// Reads the symbol of a picture whose rows of modules are level.
pub(crate) fn read_symbol(picture: &Picture) -> Option<Vec<u8>> {
    let source = || {
        let (width, height) = (
            u32::try_from(picture.width()).ok()?,
            u32::try_from(picture.height()).ok()?,
        );
        Luma8Source::new_with_slice(picture.gray(), width, height).ok()
    };
    run_reader(HybridBinarizer::new(source()?))
        .or_else(|| run_reader(GlobalHistogramBinarizer::new(source()?)))
}

fn run_reader<B: Binarizer>(binarizer: B) -> Option<Vec<u8>> {
    let result = quiet::catch(|| {
        let mut bitmap = BinaryBitmap::new(binarizer);
        PDF417Reader::new()
            .immutable_decode_with_hints(&mut bitmap, &DecodeHints::default())
            .ok()
    })??;
    indicium_of(&result)
}

/// The bytes of a symbol, if it is of our correction level and of bytes alone.
fn indicium_of(result: &RXingResult) -> Option<Vec<u8>> {
    let level = result
        .getRXingResultMetadata()
        .get(&RXingResultMetadataType::ERROR_CORRECTION_LEVEL)?;
    if !matches!(level, RXingResultMetadataValue::ErrorCorrectionLevel(level) if *level == LEVEL.to_string())
    {
        return None;
    }
    let bytes = result
        .getText()
        .chars()
        .map(|character| u8::try_from(u32::from(character)).ok());
    bytes
        .collect::<Option<Vec<u8>>>()
        .filter(|bytes| (1..=MAX_INDICIUM).contains(&bytes.len()))
}
