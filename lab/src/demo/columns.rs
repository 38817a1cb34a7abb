//! Amounts and tables, as programs and people see them.

use farthing_protocol::money::Amount;
use serde_json::{Value, json};

/// An amount, as programs see it.
pub fn amount(amount: Amount) -> Value {
    json!({ "units": amount.0, "text": amount.to_string() })
}

/// A table with its first row as headings, its columns as wide as they have to be. Those of `numbers` stand right.
pub fn columns<const N: usize>(rows: &[[String; N]], numbers: &[usize]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if numbers.contains(&column) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        cells.collect::<Vec<String>>().join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    let rule = widths.iter().sum::<usize>() + 2 * N.saturating_sub(1);
    lines.insert(1.min(lines.len()), "-".repeat(rule));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "bb"], ["ccc", "d"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows, &[]), "a    bb\n-------\nccc  d");
        assert_eq!(columns(&rows, &[0, 1]), "  a  bb\n-------\nccc   d");
    }
}
