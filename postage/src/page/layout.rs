//! Where everything stands on an envelope or a label.
//!
//! Coordinates are points from the top left corner; the baseline of a text is stated.
//!
//! On an envelope the indicium lies in the top right corner, the sender in the top left one. The recipient stands
//! right of the middle and below 50 mm. The lowest 16 mm stay free for the sorter's own barcode, and so do 15 mm at
//! the sides (Royal Mail's and the US Postal Service's area for reading addresses). A label has all below each other.

use super::format::mm;
use super::text;
use super::{Format, Mailpiece, PageError};
use crate::barcode::{self, BarcodeError, Bounds, Modules};

/// The side of a module, in points: 0.34 mm, which is 4 dots at 300 dpi.
pub(super) const MODULE: f32 = 0.96;
/// The distance between baselines, as a share of the size.
const LEADING: f32 = 1.22;
/// No text is smaller, in points.
const SMALLEST: f32 = 5.0;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A line of the recipient's address.
    Address,
    /// Anything else.
    Note,
}

/// One line of text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) x: f32,
    pub(super) baseline: f32,
    pub(super) size: f32,
    pub(super) bold: bool,
    pub(super) role: Role,
    pub(super) text: String,
}

/// A page: its lines of text, its rules and its symbol.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) width: f32,
    pub(super) height: f32,
    pub(super) lines: Vec<Line>,
    /// Black rectangles: left, top, width, height.
    pub(super) rules: Vec<[f32; 4]>,
    /// The left and the top edge of the symbol.
    pub(super) corner: (f32, f32),
    pub(super) symbol: Modules,
}

/// A style of text in a column.
#[derive(Clone, Copy)]
struct Style {
    size: f32,
    bold: bool,
    role: Role,
}

const fn note(size: f32) -> Style {
    Style {
        size,
        bold: false,
        role: Role::Note,
    }
}

const fn bold(size: f32) -> Style {
    Style {
        size,
        bold: true,
        role: Role::Note,
    }
}

/// A column of text that grows downwards.
struct Column<'a> {
    lines: &'a mut Vec<Line>,
    x: f32,
    y: f32,
    width: f32,
}

impl Column<'_> {
    /// Adds a line below the others. A line that is too wide gets smaller.
    fn add(&mut self, field: &'static str, text: &str, style: Style) -> Result<(), PageError> {
        let full = text::width(text, style.size, style.bold);
        let size = if full > self.width {
            style.size * self.width / full
        } else {
            style.size
        };
        if size < SMALLEST {
            return Err(PageError::TooWide {
                field,
                text: text.to_owned(),
            });
        }
        // The baseline keeps its place in a line of the full size.
        let baseline = self.y + style.size * 0.95;
        let Style { bold, role, .. } = style;
        self.lines.push(Line {
            x: self.x,
            baseline,
            size,
            bold,
            role,
            text: text.to_owned(),
        });
        self.y += style.size * LEADING;
        Ok(())
    }

    fn add_all(&mut self, field: &'static str, texts: &[String], style: Style) -> Result<(), PageError> {
        // All lines of an address have the size of the widest.
        let widest = texts
            .iter()
            .map(|text| text::width(text, style.size, style.bold))
            .fold(0.0, f32::max);
        let size = if widest > self.width {
            style.size * self.width / widest * 0.999
        } else {
            style.size
        };
        texts
            .iter()
            .try_for_each(|text| self.add(field, text, Style { size, ..style }))
    }
}

/// Lays out one piece of mail.
pub(super) fn layout(piece: &Mailpiece, format: Format) -> Result<Layout, PageError> {
    if format.is_label() {
        label(piece, format)
    } else {
        envelope(piece, format)
    }
}

/// The width and the height of a symbol in points.
fn extent(symbol: &Modules) -> (f32, f32) {
    (symbol.width() as f32 * MODULE, symbol.height() as f32 * MODULE)
}

fn envelope(piece: &Mailpiece, format: Format) -> Result<Layout, PageError> {
    let (width, height) = format.size();
    let symbol = barcode::encode(
        &piece.indicium,
        Bounds {
            columns: 14,
            rows: 34,
        },
    )?;
    let (symbol_width, _) = extent(&symbol);
    let margin = mm(10.0);
    let corner = (width - margin - symbol_width, mm(8.0));
    let notes_width = mm(30.0);
    let notes_x = corner.0 - mm(3.0) - notes_width;
    let mut lines = Vec::new();

    let mut notes = Column {
        lines: &mut lines,
        x: notes_x,
        y: corner.1,
        width: notes_width,
    };
    notes.add("name", "FARTHING POST", bold(7.0))?;
    notes.y += 2.0;
    notes.add("value", &piece.value, bold(19.0))?;
    notes.add("class", &piece.class, bold(9.0))?;
    notes.y += 2.0;
    notes.add("date", &piece.date, note(8.5))?;
    notes.add("meter", &format!("Meter {}", piece.meter), note(7.0))?;
    notes.add("sequence", &format!("No. {}", piece.sequence), note(7.0))?;

    let sender_width = notes_x - margin - mm(4.0);
    let mut sender = Column {
        lines: &mut lines,
        x: margin,
        y: mm(9.0),
        width: sender_width,
    };
    sender.add_all("sender", &piece.from, note(8.5))?;

    let address_x = width * 0.42;
    let address_y = mm(52.0).max(height * 0.5);
    let size = (height / mm(16.0) + 5.5).clamp(12.0, 15.0);
    let address_width = width - mm(15.0) - address_x;
    let mut address = Column {
        lines: &mut lines,
        x: address_x,
        y: address_y,
        width: address_width,
    };
    address.add_all(
        "address",
        &piece.to,
        Style {
            size,
            bold: false,
            role: Role::Address,
        },
    )?;

    Ok(Layout {
        width,
        height,
        lines,
        rules: Vec::new(),
        corner,
        symbol,
    })
}

fn label(piece: &Mailpiece, format: Format) -> Result<Layout, PageError> {
    let (width, height) = format.size();
    let symbol = label_symbol(&piece.indicium)?;
    let (_, symbol_height) = extent(&symbol);
    let margin = mm(6.0);
    let inner = width - 2.0 * margin;
    let half = inner / 2.0 - mm(1.0);
    let mut lines = Vec::new();

    let mut left = Column {
        lines: &mut lines,
        x: margin,
        y: mm(5.0),
        width: half,
    };
    left.add("name", "FARTHING POST", bold(7.0))?;
    left.add("value", &piece.value, bold(22.0))?;
    let mut right = Column {
        lines: &mut lines,
        x: width - margin - half,
        y: mm(5.0),
        width: half,
    };
    right.add("class", &piece.class, bold(10.0))?;
    right.add("date", &piece.date, note(8.0))?;
    right.add("meter", &format!("Meter {}", piece.meter), note(6.5))?;
    right.add("sequence", &format!("No. {}", piece.sequence), note(6.5))?;

    let corner = (margin, mm(20.0));
    let first_rule = corner.1 + symbol_height + mm(3.5);
    let mut sender = Column {
        lines: &mut lines,
        x: margin,
        y: first_rule + mm(2.0),
        width: inner,
    };
    if !piece.from.is_empty() {
        sender.add("from", "FROM", bold(6.0))?;
    }
    sender.add_all("sender", &piece.from, note(8.0))?;
    let second_rule = sender.y + mm(1.5);
    let y = second_rule + mm(2.5);
    let mut address = Column {
        lines: &mut lines,
        x: margin,
        y,
        width: inner,
    };
    address.add("to", "TO", bold(6.0))?;
    address.y += mm(1.0);
    address.add_all(
        "address",
        &piece.to,
        Style {
            size: 14.0,
            bold: false,
            role: Role::Address,
        },
    )?;

    let rules = [first_rule, second_rule]
        .map(|y| [margin, y, inner, 0.75])
        .to_vec();
    Ok(Layout {
        width,
        height,
        lines,
        rules,
        corner,
        symbol,
    })
}

/// A symbol as wide as a label, and as low as it can be.
fn label_symbol(indicium: &[u8]) -> Result<Modules, BarcodeError> {
    let columns = 11;
    let low = barcode::encode(indicium, Bounds { columns, rows: 26 });
    if matches!(low, Err(BarcodeError::NoSpace { .. })) {
        return barcode::encode(indicium, Bounds { columns, rows: 44 });
    }
    low
}
