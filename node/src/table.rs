//! The tables that programs print. Each column is as wide as its longest cell.

use crate::terminal::one_line;
use comfy_table::{CellAlignment, Table, presets};

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// For text.
    Left,
    /// For numbers.
    Right,
}

/// A table with aligned columns under their headings. Each cell is one line and cannot control the terminal.
pub fn table<const N: usize>(columns: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.map(|(heading, _)| heading));
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| one_line(cell))));
    let last = N.saturating_sub(1);
    for (column, (place, (_, align))) in table.column_iter_mut().zip(columns.iter().enumerate()) {
        column.set_padding((0, if place == last { 0 } else { 2 }));
        column.set_cell_alignment(match align {
            Align::Left => CellAlignment::Left,
            Align::Right => CellAlignment::Right,
        });
    }
    table.trim_fmt()
}

/// The characters at which a spreadsheet begins a formula.
const FORMULA_STARTS: [char; 4] = ['=', '+', '-', '@'];

/// Text of another party for a cell of a spreadsheet, on one line. It cannot control a terminal. An apostrophe goes before
/// a formula, so that no spreadsheet computes it.
pub fn spreadsheet_cell(text: &str) -> String {
    let text = one_line(text);
    match text.starts_with(FORMULA_STARTS) {
        true => format!("'{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Align::*, table};

    #[test]
    fn columns_are_aligned_and_no_cell_can_control_the_terminal() {
        let rows = [
            ["8.00".to_owned(), "a\u{1b}[2Jb\nc".to_owned()],
            ["10.24".to_owned(), "d".to_owned()],
        ];
        let text = table([("VALUE", Right), ("TITLE", Left)], &rows);
        assert_eq!(text, "VALUE  TITLE\n 8.00  a\u{fffd}[2Jb c\n10.24  d");
    }

    #[test]
    fn columns_are_as_wide_as_their_visible_text() {
        let rows = [["猫", "1"], ["ab", "22"]].map(|row| row.map(str::to_owned));
        let text = table([("A", Left), ("B", Right)], &rows);
        assert_eq!(text, "A    B\n猫   1\nab  22");
        assert_eq!(table([("A", Left)], &[]), "A");
    }
}
