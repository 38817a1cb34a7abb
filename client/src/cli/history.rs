//! The command `history`.

use super::{
    payments::paid_for,
    purchases::status,
    report::{Align, Report, amount, bank_name, date, table},
};
use crate::{
    history::{HistoryEntry, HistoryMatter, IssuanceEntry},
    wallet::Wallet,
};
use anyhow::{Context, Result};
use farthing_node::{network_file::NetworkFile, table::spreadsheet_cell};
use farthing_protocol::money::Amount;
use serde_json::{Value, json};

/// The columns of the comma-separated values.
const CSV_COLUMNS: [&str; 8] = [
    "begun_utc",
    "matter",
    "number",
    "status",
    "amount",
    "currency",
    "party",
    "text",
];

/// An entry as it is shown.
struct Line {
    begun_ms: Option<u64>,
    matter: &'static str,
    number: u64,
    status: &'static str,
    amount: Amount,
    currency: String,
    party: String,
    text: String,
    of_purchase: Option<u64>,
}

/// Lists everything that the wallet has done. `csv` asks for comma-separated values.
pub(super) fn show(wallet: &Wallet, csv: bool) -> Result<Report> {
    let file = wallet.network_file()?;
    let mut lines = Vec::new();
    for entry in wallet.history()? {
        lines.push(line(wallet, entry, &file)?);
    }
    let json = json!({ "history": lines.iter().map(line_json).collect::<Vec<Value>>() });
    let text = match csv {
        true => comma_separated(&lines)?,
        false => lines_table(&lines),
    };
    Ok(Report::done(text, json))
}

fn line(wallet: &Wallet, entry: HistoryEntry, file: &NetworkFile) -> Result<Line> {
    let begun_ms = entry.begun_ms;
    Ok(match entry.matter {
        HistoryMatter::Withdrawal(issued) => issued_line(begun_ms, "withdrawal", issued, None, file),
        HistoryMatter::Exchange { issued, of_purchase } => {
            issued_line(begun_ms, "exchange", issued, of_purchase, file)
        }
        HistoryMatter::Received { issued, of_purchase } => {
            let text = match of_purchase {
                Some(number) => format!("owed for purchase {number}"),
                None => "a request or a gift".into(),
            };
            Line {
                text,
                ..issued_line(begun_ms, "received", issued, of_purchase, file)
            }
        }
        HistoryMatter::Purchase(number, row) => {
            let offer = &row.purchase.offer().body;
            let merchant = file.by_identity(&row.merchant.identity);
            Line {
                begun_ms,
                matter: "purchase",
                number,
                status: status(&row),
                amount: offer.price,
                currency: offer.currency.clone(),
                party: merchant.unwrap_or(&row.merchant).name.clone(),
                text: offer.title.clone(),
                of_purchase: None,
            }
        }
        HistoryMatter::Payment(number, row) => {
            let keys = wallet.known_keys(&row.deposit.bank)?;
            Line {
                begun_ms,
                matter: "payment",
                number,
                status: row.state.word(),
                amount: row.deposit.total().unwrap_or_default(),
                currency: keys.map(|keys| keys.list().currency.clone()).unwrap_or_default(),
                party: bank_name(&row.deposit.bank, file),
                text: paid_for(wallet, &row)?,
                of_purchase: None,
            }
        }
    })
}

fn issued_line(
    begun_ms: Option<u64>,
    matter: &'static str,
    issued: IssuanceEntry,
    of_purchase: Option<u64>,
    file: &NetworkFile,
) -> Line {
    Line {
        begun_ms,
        matter,
        number: issued.number,
        status: issued.progress.word(),
        amount: issued.amount,
        currency: issued.currency.unwrap_or_default(),
        party: bank_name(&issued.bank, file),
        text: of_purchase.map_or_else(String::new, |number| format!("coins of purchase {number}")),
        of_purchase,
    }
}

fn begun(line: &Line) -> String {
    line.begun_ms.map_or_else(String::new, date)
}

fn lines_table(lines: &[Line]) -> String {
    if lines.is_empty() {
        return "nothing was done with this wallet yet".into();
    }
    let rows: Vec<[String; 7]> = lines
        .iter()
        .map(|line| {
            [
                begun(line),
                line.matter.to_owned(),
                line.number.to_string(),
                line.status.to_owned(),
                format!("{} {}", line.amount, line.currency),
                line.party.clone(),
                line.text.clone(),
            ]
        })
        .collect();
    let columns = [
        ("BEGUN (UTC)", Align::Left),
        ("MATTER", Align::Left),
        ("NO", Align::Right),
        ("STATUS", Align::Left),
        ("AMOUNT", Align::Right),
        ("PARTY", Align::Left),
        ("TEXT", Align::Left),
    ];
    table(columns, &rows)
}

fn line_json(line: &Line) -> Value {
    json!({
        "begun_ms": line.begun_ms,
        "matter": line.matter,
        "number": line.number,
        "status": line.status,
        "amount": amount(line.amount),
        "currency": line.currency,
        "party": line.party,
        "title": (line.matter == "purchase").then_some(&line.text),
        "of_purchase": line.of_purchase,
    })
}

/// The lines as comma-separated values (RFC 4180), under a line of headings.
fn comma_separated(lines: &[Line]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(CSV_COLUMNS)?;
    for line in lines {
        writer.write_record([
            begun(line),
            line.matter.to_owned(),
            line.number.to_string(),
            line.status.to_owned(),
            line.amount.to_string(),
            spreadsheet_cell(&line.currency),
            spreadsheet_cell(&line.party),
            spreadsheet_cell(&line.text),
        ])?;
    }
    let text = String::from_utf8(writer.into_inner()?).context("a name is not UTF-8")?;
    // Printing adds the last end of line again.
    Ok(text.trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(begun_ms: Option<u64>, text: &str) -> Line {
        Line {
            begun_ms,
            matter: "purchase",
            number: 3,
            status: "delivered",
            amount: Amount(250),
            currency: "FTG".into(),
            party: "studio".into(),
            text: text.into(),
            of_purchase: None,
        }
    }

    #[test]
    fn a_line_has_a_date_only_if_it_is_known() {
        assert_eq!(
            lines_table(&[line(None, "A"), line(Some(1_709_164_800_000), "B")]),
            "BEGUN (UTC)       MATTER    NO  STATUS       AMOUNT  PARTY   TEXT\n                  \
             purchase   3  delivered  2.50 FTG  studio  A\n\
             2024-02-29 00:00  purchase   3  delivered  2.50 FTG  studio  B"
        );
        assert!(lines_table(&[]).contains("nothing"));
    }

    #[test]
    fn a_title_is_neither_a_formula_nor_two_cells_of_a_spreadsheet() {
        let text = comma_separated(&[line(Some(0), "=1+1"), line(None, "a, \"b\"\nc")]).unwrap();
        assert_eq!(
            text,
            "begun_utc,matter,number,status,amount,currency,party,text\n\
             1970-01-01 00:00,purchase,3,delivered,2.50,FTG,studio,'=1+1\n\
             ,purchase,3,delivered,2.50,FTG,studio,\"a, \"\"b\"\" c\""
        );
    }
}
