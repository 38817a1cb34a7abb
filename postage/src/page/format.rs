//! The sizes of envelopes and labels.

use std::fmt;
use std::str::FromStr;

/// The name of a format is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no format `{0}`; the formats are {names}", names = Format::names())]
pub struct UnknownFormat(String);

/// The characters of an unknown name that are shown.
const SHOWN: usize = 24;

/// Points in a millimetre. A point is 1/72 inch.
const POINTS_A_MM: f32 = 72.0 / 25.4;

/// Converts millimetres to points.
pub(super) const fn mm(length: f32) -> f32 {
    length * POINTS_A_MM
}

/// An envelope or a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The envelope DL of ISO 269, 220 by 110 mm.
    Dl,
    /// The envelope C5 of ISO 269, 229 by 162 mm.
    C5,
    /// The envelope C4 of ISO 269, 324 by 229 mm.
    C4,
    /// The American envelope number 10, 9 1/2 by 4 1/8 inches.
    No10,
    /// A label of size A6 (ISO 216), 105 by 148 mm.
    LabelA6,
    /// The parcel label of 4 by 6 inches.
    Label4x6,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] = [
        Self::Dl,
        Self::C5,
        Self::C4,
        Self::No10,
        Self::LabelA6,
        Self::Label4x6,
    ];

    /// The name, as [`FromStr`] reads it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dl => "dl",
            Self::C5 => "c5",
            Self::C4 => "c4",
            Self::No10 => "no10",
            Self::LabelA6 => "label-a6",
            Self::Label4x6 => "label-4x6",
        }
    }

    /// The names of all formats, with commas between them.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The width and the height in points.
    #[must_use]
    pub const fn size(self) -> (f32, f32) {
        match self {
            Self::Dl => (mm(220.0), mm(110.0)),
            Self::C5 => (mm(229.0), mm(162.0)),
            Self::C4 => (mm(324.0), mm(229.0)),
            Self::No10 => (684.0, 297.0),
            Self::LabelA6 => (mm(105.0), mm(148.0)),
            Self::Label4x6 => (288.0, 432.0),
        }
    }

    /// Says if it is a label, which has everything below each other.
    #[must_use]
    pub const fn is_label(self) -> bool {
        matches!(self, Self::LabelA6 | Self::Label4x6)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| UnknownFormat(text.chars().take(SHOWN).collect()))
    }
}
