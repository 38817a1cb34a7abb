//! The command `audit`.

use super::office::open;
use crate::office::audit::Books;
use anyhow::Result;
use farthing_node::{
    operator::Report,
    table::{Align, table},
};
use serde_json::json;
use std::path::Path;

/// Counts the books of the office in `dir`.
pub(super) fn execute(dir: &Path) -> Result<Report> {
    let office = open(dir)?;
    let books = office.audit()?;
    let conflicts = office.conflicts()?.len();
    office.close()?;
    let mut report = Report::new(
        text(&books, conflicts),
        json!({ "books": books, "conflicts": conflicts }),
    );
    report.exit = u8::from(!books.faults.is_empty());
    Ok(report)
}

fn text(books: &Books, conflicts: usize) -> String {
    let line = |name: &str, amount: farthing_protocol::money::Amount| [name.to_owned(), amount.to_string()];
    let rows = [
        line("deposits on the account", books.deposited),
        line("reissued after settlement", books.reissued),
        line("refills sold", books.sold),
        line("postage printed", books.printed),
        line("held by meters", books.held),
        line("not applied yet", books.pending),
        line("carried by stations", books.carried),
    ];
    let sums = table([("BOOKS", Align::Left), ("AMOUNT", Align::Right)], &rows);
    let verdict = match books.faults.is_empty() {
        true => "the books add up".to_owned(),
        false => format!("the books do not add up:\n  {}", books.faults.join("\n  ")),
    };
    let counts = format!(
        "{} deposits, {} letters reported, {conflicts} sequence numbers used twice",
        books.deposits, books.letters
    );
    format!("{sums}\n{counts}\n{verdict}")
}
