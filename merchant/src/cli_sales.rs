//! The command `sales`.

use crate::admin::AdminRequest;
use crate::cli_home::{ask, open};
use crate::sales::{ForgottenLine, SaleFilter, SaleLine, SalesPage};
use anyhow::{Context, Result};
use clap::Args;
use farthing_node::operator::Report;
use farthing_node::table::{Align, spreadsheet_cell, table};
use farthing_protocol::money::Amount;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

/// The columns of the comma-separated values.
const CSV_COLUMNS: [&str; 10] = [
    "begun_utc",
    "changed_utc",
    "purchase",
    "item",
    "title",
    "amount",
    "currency",
    "status",
    "reason",
    "refunded",
];

/// The words for the states of a sale, in the order of the totals.
const STATES: [&str; 8] = [
    "releasing",
    "streaming",
    "closing",
    "committed",
    "credited",
    "unpaid",
    "ended",
    "aborted",
];

#[derive(Debug, Args)]
pub(crate) struct SalesArgs {
    /// The merchant's directory.
    dir: PathBuf,
    /// Only sales since this day or time (UTC), such as 2026-11-01 or 2026-11-01T12:00:00Z.
    #[arg(long, value_name = "DATE", value_parser = since_ms)]
    since: Option<u64>,
    /// Only sales up to this day, or before this time (UTC).
    #[arg(long, value_name = "DATE", value_parser = until_ms)]
    until: Option<u64>,
    /// Only sales of the item with this id. Its first characters are enough.
    #[arg(long)]
    item: Option<String>,
    /// Only sales in this state. Several with commas between them.
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(STATES))]
    status: Vec<String>,
    /// Print comma-separated values, for spreadsheets.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub(crate) async fn execute(args: SalesArgs) -> Result<Report> {
    open(&args.dir)?;
    let filter = SaleFilter {
        since_ms: args.since,
        until_ms: args.until,
        item: args.item,
        states: args.status,
    };
    let (mut sales, mut after) = (Vec::new(), None);
    let forgotten = loop {
        let request = AdminRequest::Sales {
            after,
            filter: filter.clone(),
        };
        let page: SalesPage = ask(&args.dir, request).await?;
        sales.extend(page.lines);
        match (page.more, page.last) {
            (true, Some(last)) => after = Some(last),
            _ => break page.forgotten,
        }
    };
    sales.sort_by_key(|sale| (sale.begun_ms, sale.purchase));
    if args.csv {
        return Ok(Report::new(comma_separated(&sales)?, Value::Null));
    }
    let totals = totals(&sales);
    let is_filtered = filter != SaleFilter::default();
    let text = sales_text(&sales, &totals, &forgotten, is_filtered);
    let totals: Vec<Value> = totals.into_iter().map(Total::json).collect();
    let json = json!({ "sales": sales, "totals": totals, "forgotten": forgotten });
    Ok(Report::new(text, json))
}

fn sales_text(
    sales: &[SaleLine],
    totals: &[Total],
    forgotten: &[ForgottenLine],
    is_filtered: bool,
) -> String {
    let mut text = match (sales.is_empty(), is_filtered) {
        (true, true) => "no sale fits these filters".to_owned(),
        (true, false) if forgotten.is_empty() => "nothing was sold yet".to_owned(),
        (true, false) => "all sales are long past and forgotten".to_owned(),
        (false, _) => format!("{}\n\n{}", sales_table(sales), totals_table(totals)),
    };
    // Their dates and items are forgotten, so a filter cannot choose among them.
    if !is_filtered && !forgotten.is_empty() {
        text.push_str(&format!("\n\n{}", forgotten_table(forgotten)));
    }
    text
}

/// The sum of the sales in one state.
#[derive(Debug, PartialEq, Eq)]
struct Total {
    state: String,
    currency: String,
    sales: u64,
    amount: Amount,
}

impl Total {
    fn json(self) -> Value {
        json!({
            "state": self.state,
            "currency": self.currency,
            "sales": self.sales,
            "amount": self.amount.to_string(),
        })
    }
}

/// The totals by currency and state.
fn totals(sales: &[SaleLine]) -> Vec<Total> {
    let mut sums: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for sale in sales {
        let sum = sums.entry((&sale.currency, &sale.state)).or_default();
        sum.0 = sum.0.saturating_add(1);
        sum.1 = sum.1.saturating_add(sale.amount.0);
    }
    let total = |((currency, state), (sales, amount)): ((&str, &str), _)| Total {
        state: state.into(),
        currency: currency.into(),
        sales,
        amount: Amount(amount),
    };
    sums.into_iter().map(total).collect()
}

fn sales_table(sales: &[SaleLine]) -> String {
    let row = |sale: &SaleLine| {
        [
            date(sale.begun_ms),
            sale.purchase.to_string(),
            sale.amount.to_string(),
            sale.refunded.to_string(),
            sale.currency.clone(),
            sale.state.to_string(),
            sale.title.clone(),
            sale.why.clone().unwrap_or_default(),
        ]
    };
    let columns = [
        ("BEGUN (UTC)", Align::Left),
        ("PURCHASE", Align::Left),
        ("AMOUNT", Align::Right),
        ("REFUNDED", Align::Right),
        ("CURRENCY", Align::Left),
        ("STATUS", Align::Left),
        ("TITLE", Align::Left),
        ("REASON", Align::Left),
    ];
    table(columns, &sales.iter().map(row).collect::<Vec<_>>())
}

fn totals_table(totals: &[Total]) -> String {
    let row = |total: &Total| {
        [
            total.state.clone(),
            total.sales.to_string(),
            total.amount.to_string(),
            total.currency.clone(),
        ]
    };
    let columns = [
        ("STATUS", Align::Left),
        ("SALES", Align::Right),
        ("AMOUNT", Align::Right),
        ("CURRENCY", Align::Left),
    ];
    table(columns, &totals.iter().map(row).collect::<Vec<_>>())
}

fn forgotten_table(forgotten: &[ForgottenLine]) -> String {
    let row = |line: &ForgottenLine| {
        [
            line.state.clone(),
            line.sales.to_string(),
            line.amount.to_string(),
            line.refunded.to_string(),
            line.currency.clone(),
        ]
    };
    let columns = [
        ("FORGOTTEN", Align::Left),
        ("SALES", Align::Right),
        ("AMOUNT", Align::Right),
        ("REFUNDED", Align::Right),
        ("CURRENCY", Align::Left),
    ];
    table(columns, &forgotten.iter().map(row).collect::<Vec<_>>())
}

/// The sales as comma-separated values (RFC 4180), under a line of headings.
fn comma_separated(sales: &[SaleLine]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(CSV_COLUMNS)?;
    for sale in sales {
        writer.write_record([
            date(sale.begun_ms),
            date(sale.changed_ms),
            sale.purchase.to_string(),
            sale.item_id.to_string(),
            spreadsheet_cell(&sale.title),
            sale.amount.to_string(),
            spreadsheet_cell(&sale.currency),
            sale.state.clone(),
            spreadsheet_cell(sale.why.as_deref().unwrap_or_default()),
            sale.refunded.to_string(),
        ])?;
    }
    let text = String::from_utf8(writer.into_inner()?).context("a title is not UTF-8")?;
    // Printing adds the last end of line again.
    Ok(text.trim_end_matches('\n').to_owned())
}

/// A time in UTC, to the second. Empty if it is unknown.
fn date(ms: Option<u64>) -> String {
    ms.and_then(|ms| i64::try_from(ms).ok())
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .map_or_else(String::new, |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// The time (ms since 1970) at which a day begins, or the time itself.
fn since_ms(text: &str) -> Result<u64, String> {
    time_ms(text, 0)
}

/// The time (ms since 1970) at which a day ends, or the time itself.
fn until_ms(text: &str) -> Result<u64, String> {
    time_ms(text, 1)
}

fn time_ms(text: &str, days: i32) -> Result<u64, String> {
    let refuse = || format!("`{text}` is not a date: write it like 2026-11-01 or 2026-11-01T12:00:00Z");
    let time = match text.parse::<Date>() {
        Ok(date) if !text.contains(':') => date
            .checked_add(days.days())
            .and_then(|date| date.to_zoned(TimeZone::UTC))
            .map_err(|_| refuse())?
            .timestamp(),
        _ => text.parse::<Timestamp>().map_err(|_| refuse())?,
    };
    u64::try_from(time.as_millisecond()).map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::{documents::PurchaseId, ids::ItemId};

    fn sale(state: &str, amount: u64, begun_ms: Option<u64>) -> SaleLine {
        SaleLine {
            purchase: PurchaseId([1; 32]),
            begun_ms,
            changed_ms: begun_ms,
            title: "=HYPERLINK(1), \"x\"".into(),
            item_id: ItemId([2; 32]),
            amount: Amount(amount),
            currency: "FTH".into(),
            state: state.into(),
            why: None,
            refunded: Amount(0),
        }
    }

    #[test]
    fn a_day_ends_where_the_next_one_begins() {
        assert_eq!(since_ms("1970-01-02"), Ok(86_400_000));
        assert_eq!(until_ms("1970-01-02"), Ok(2 * 86_400_000));
        for parse in [since_ms, until_ms] {
            assert_eq!(parse("1970-01-01T00:00:01Z"), Ok(1_000));
            assert!(parse("yesterday").is_err() && parse("1969-12-30").is_err());
        }
        assert!(until_ms("9999-12-31").is_err());
    }

    #[test]
    fn totals_are_by_currency_and_state() {
        let sales = [
            sale("credited", 450, None),
            sale("credited", 50, None),
            sale("ended", 7, None),
        ];
        let total = |state: &str, sales, amount| Total {
            state: state.into(),
            currency: "FTH".into(),
            sales,
            amount: Amount(amount),
        };
        assert_eq!(totals(&sales), [total("credited", 2, 500), total("ended", 1, 7)]);
    }

    #[test]
    fn forgotten_sales_are_shown_as_sums_unless_there_is_a_filter() {
        let forgotten = [ForgottenLine {
            state: "credited".into(),
            currency: "FTH".into(),
            sales: 3,
            amount: Amount(720),
            refunded: Amount(10),
        }];
        let text = |forgotten: &[ForgottenLine], is_filtered| sales_text(&[], &[], forgotten, is_filtered);
        assert_eq!(text(&[], false), "nothing was sold yet");
        assert_eq!(text(&forgotten, true), "no sale fits these filters");
        let all = text(&forgotten, false);
        assert!(all.starts_with("all sales are long past and forgotten"), "{all}");
        let last: Vec<&str> = all
            .lines()
            .next_back()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        assert_eq!(last, ["credited", "3", "7.20", "0.10", "FTH"]);
    }

    #[test]
    fn comma_separated_values_have_dates_and_no_formula() {
        let text = comma_separated(&[sale("credited", 450, Some(1_000))]).unwrap();
        let line = text.lines().nth(1).unwrap();
        let ids = format!("{},{}", "01".repeat(32), "02".repeat(32));
        let expected = format!(
            "1970-01-01 00:00:01,1970-01-01 00:00:01,{ids},\"'=HYPERLINK(1), \"\"x\"\"\",4.50,FTH,credited,,0.00"
        );
        assert_eq!(line, expected);
    }
}
