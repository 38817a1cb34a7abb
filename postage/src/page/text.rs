//! Text in the base-14 fonts of PDF: the encoding WinAnsi and the widths of Helvetica.

/// The characters of the bytes 0x80 to 0x9F of WinAnsi (ISO 32000-1, annex D). The others equal Latin-1.
const WINDOWS: [Option<char>; 32] = [
    Some('€'),
    None,
    Some('‚'),
    Some('ƒ'),
    Some('„'),
    Some('…'),
    Some('†'),
    Some('‡'),
    Some('ˆ'),
    Some('‰'),
    Some('Š'),
    Some('‹'),
    Some('Œ'),
    None,
    Some('Ž'),
    None,
    None,
    Some('‘'),
    Some('’'),
    Some('“'),
    Some('”'),
    Some('•'),
    Some('–'),
    Some('—'),
    Some('˜'),
    Some('™'),
    Some('š'),
    Some('›'),
    Some('œ'),
    None,
    Some('ž'),
    Some('Ÿ'),
];

/// A hyphen that is seen only at the end of a line. Programs that read text drop it.
const SOFT_HYPHEN: char = '\u{AD}';

/// Widths of the characters from space to tilde in Helvetica, in thousandths of the size (Adobe's font metrics).
const HELVETICA: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556,
    556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278,
    500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469,
    556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500,
    278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];
/// An upper bound of the width of the other characters. Most are narrower.
const OTHER: u16 = 1000;
/// Helvetica-Bold is at most this much wider, in hundredths.
const BOLD: f32 = 1.12;

/// The byte of a printable character. `None` if WinAnsi has none.
pub(super) fn byte(character: char) -> Option<u8> {
    match character {
        ' '..='~' => u8::try_from(u32::from(character)).ok(),
        SOFT_HYPHEN => None,
        '\u{A0}'..='\u{FF}' => u8::try_from(u32::from(character)).ok(),
        _ => {
            let place = WINDOWS.iter().position(|windows| *windows == Some(character))?;
            u8::try_from(0x80 + place).ok()
        }
    }
}

/// The bytes of a text. Characters that WinAnsi lacks are left out; pages are checked for them before.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    text.chars().filter_map(byte).collect()
}

/// The character of a byte of WinAnsi.
pub(crate) fn character(byte: u8) -> Option<char> {
    match byte {
        0x80..=0x9F => WINDOWS.get(usize::from(byte) - 0x80).copied().flatten(),
        0x20..=0x7E | 0xA0..=0xFF => Some(char::from(byte)),
        _ => None,
    }
}

/// The width of a text in points, or a little more.
pub(super) fn width(text: &str, size: f32, bold: bool) -> f32 {
    let thousandths: u32 = text
        .chars()
        .map(|character| {
            let place = u32::from(character)
                .checked_sub(32)
                .and_then(|place| usize::try_from(place).ok());
            u32::from(
                place
                    .and_then(|place| HELVETICA.get(place))
                    .copied()
                    .unwrap_or(OTHER),
            )
        })
        .sum();
    thousandths as f32 / 1000.0 * size * if bold { BOLD } else { 1.0 }
}
