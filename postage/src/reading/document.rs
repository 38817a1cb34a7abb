//! PDF documents of our own: the address and the barcode of each page, from its drawing.
//!
//! [`crate::page::pdf`] writes drawings without compression and marks both parts with tags. So a reader needs only
//! the operators of those parts: `Tj` shows a text, `re` adds a rectangle of modules.

use super::{Found, ReadingError};
use crate::barcode;
use crate::page::{self, text};
use crate::picture::Picture;

/// The most operands of an operator. Ours have six.
const MAX_OPERANDS: usize = 8;
/// The most modules of a symbol in one direction: 30 columns, or 90 rows.
const MAX_MODULES: usize = 600;
/// The side of a module in the picture that is decoded.
const PIXELS: usize = 3;

/// Reads all pages.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Found>, ReadingError> {
    let producer = format!("/Producer ({})", page::PRODUCER);
    if find(bytes, producer.as_bytes()).is_none() {
        return Err(ReadingError::ForeignDocument {
            name: name.to_owned(),
        });
    }
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(start) = find(rest, b"\nstream\n") {
        let page = found.len() + 1;
        if page > page::MAX_PAGES {
            return Err(ReadingError::TooManyPages {
                name: name.to_owned(),
            });
        }
        let damaged = || ReadingError::Damaged {
            name: name.to_owned(),
            cause: format!("the drawing of page {page} is none of this program"),
        };
        let drawing = rest.get(start + 8..).ok_or_else(damaged)?;
        let end = find(drawing, b"\nendstream").ok_or_else(damaged)?;
        let (drawing, after) = drawing.split_at(end);
        let mut parts = Parts::default();
        parts.read(drawing).ok_or_else(damaged)?;
        let indicium = parts.indicium().ok_or_else(|| ReadingError::Unreadable {
            name: name.to_owned(),
            page,
        })?;
        found.push(Found {
            page,
            indicium,
            address: Some(parts.address),
        });
        rest = after;
    }
    if found.is_empty() {
        return Err(ReadingError::Unreadable {
            name: name.to_owned(),
            page: 1,
        });
    }
    Ok(found)
}

/// The place of a text in bytes.
fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// A piece of a drawing.
enum Token<'a> {
    Number(f32),
    Name(&'a [u8]),
    Text(Vec<u8>),
    Operator(&'a [u8]),
}

/// What a drawing shows.
#[derive(Default)]
struct Parts {
    address: Vec<String>,
    /// Dark rectangles of the symbol in modules: left, top, width, height.
    rectangles: Vec<[usize; 4]>,
    /// The modules of all rectangles together.
    area: usize,
}

impl Parts {
    /// Takes the parts out of a drawing. `None` if it is not one of ours.
    fn read(&mut self, mut drawing: &[u8]) -> Option<()> {
        let mut tag: &[u8] = b"";
        let (mut numbers, mut name, mut shown) = (Vec::new(), b"".as_slice(), Vec::new());
        while let Some(token) = next(&mut drawing)? {
            match token {
                Token::Number(number) if numbers.len() < MAX_OPERANDS => numbers.push(number),
                Token::Number(_) => return None,
                Token::Name(operand) => name = operand,
                Token::Text(text) => shown = text,
                Token::Operator(operator) => {
                    match operator {
                        b"BMC" => tag = name,
                        b"EMC" => tag = b"",
                        b"Tj" if tag == page::ADDRESS => self.add_line(&shown)?,
                        b"re" if tag == page::INDICIUM => self.add_rectangle(&numbers)?,
                        _ => {}
                    }
                    numbers.clear();
                }
            }
        }
        Some(())
    }

    fn add_line(&mut self, bytes: &[u8]) -> Option<()> {
        if self.address.len() >= page::MAX_LINES || bytes.len() > page::MAX_LINE {
            return None;
        }
        self.address.push(
            bytes
                .iter()
                .map(|&byte| text::character(byte))
                .collect::<Option<String>>()?,
        );
        Some(())
    }

    fn add_rectangle(&mut self, numbers: &[f32]) -> Option<()> {
        let modules: Vec<usize> = numbers
            .iter()
            .filter(|number| number.fract() == 0.0 && (0.0..=MAX_MODULES as f32).contains(*number))
            .map(|&number| number as usize)
            .collect();
        let rectangle: [usize; 4] = modules.try_into().ok()?;
        let [x, y, width, height] = rectangle;
        // Rectangles that do not overlap cannot cover more.
        self.area += width * height;
        let fits = x + width <= MAX_MODULES
            && y + height <= MAX_MODULES
            && width * height > 0
            && self.area <= MAX_MODULES * MAX_MODULES;
        fits.then(|| self.rectangles.push(rectangle))
    }

    /// Draws the rectangles and reads the symbol.
    fn indicium(&self) -> Option<Vec<u8>> {
        let right = self.rectangles.iter().map(|[x, _, width, _]| x + width).max()?;
        let bottom = self.rectangles.iter().map(|[_, y, _, height]| y + height).max()?;
        let border = barcode::QUIET_ZONE;
        let mut picture = Picture::white((right + 2 * border) * PIXELS, (bottom + 2 * border) * PIXELS)?;
        for [x, y, width, height] in &self.rectangles {
            for line in (y + border) * PIXELS..(y + height + border) * PIXELS {
                for column in (x + border) * PIXELS..(x + width + border) * PIXELS {
                    picture.set(column, line, 0);
                }
            }
        }
        barcode::read_symbol(&picture)
    }
}

/// Takes the next token. `Some(None)` at the end, `None` if there is something that we never write.
fn next<'a>(drawing: &mut &'a [u8]) -> Option<Option<Token<'a>>> {
    *drawing = drawing.trim_ascii_start();
    let Some(&first) = drawing.first() else {
        return Some(None);
    };
    let token = match first {
        b'(' => Token::Text(literal(drawing)?),
        b'<' => Token::Text(hexadecimal(drawing)?),
        b'/' => {
            *drawing = drawing.get(1..)?;
            Token::Name(word(drawing))
        }
        b'0'..=b'9' | b'-' | b'.' => Token::Number(
            std::str::from_utf8(word(drawing))
                .ok()?
                .parse()
                .ok()
                .filter(|n: &f32| n.is_finite())?,
        ),
        b'A'..=b'Z' | b'a'..=b'z' => Token::Operator(word(drawing)),
        _ => return None,
    };
    Some(Some(token))
}

/// Takes the bytes up to a space or a delimiter.
fn word<'a>(drawing: &mut &'a [u8]) -> &'a [u8] {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"()<>[]{}/%".contains(byte);
    let (word, rest) = drawing.split_at(drawing.iter().position(ends).unwrap_or(drawing.len()));
    *drawing = rest;
    word
}

/// Takes a text in parentheses (ISO 32000-1, 7.3.4.2).
fn literal(drawing: &mut &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut depth = 0_u32;
    loop {
        match take(drawing)? {
            b'\\' => text.push(escaped(drawing)?),
            b'(' => {
                depth += 1;
                if depth > 1 {
                    text.push(b'(');
                }
            }
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(text);
                }
                text.push(b')');
            }
            other => text.push(other),
        }
    }
}

/// Takes what follows a backslash.
fn escaped(drawing: &mut &[u8]) -> Option<u8> {
    let digit = |byte: u8| (b'0'..=b'7').contains(&byte).then(|| u32::from(byte - b'0'));
    let byte = take(drawing)?;
    let Some(mut value) = digit(byte) else {
        return b"()\\".contains(&byte).then_some(byte);
    };
    for _ in 0..2 {
        let Some(more) = drawing.first().copied().and_then(digit) else {
            break;
        };
        value = value * 8 + more;
        take(drawing)?;
    }
    u8::try_from(value).ok()
}

/// Takes a text in hexadecimal digits.
fn hexadecimal(drawing: &mut &[u8]) -> Option<Vec<u8>> {
    take(drawing)?;
    let end = drawing.iter().position(|&byte| byte == b'>')?;
    let (digits, rest) = drawing.split_at(end);
    *drawing = rest.get(1..)?;
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

fn take(drawing: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = drawing.split_first()?;
    *drawing = rest;
    Some(first)
}
