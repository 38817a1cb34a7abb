//! The command `catalog`.

use super::{
    exit::Exit,
    report::{Align, Report, amount, chain, size, table},
};
use crate::{error::WalletError, wallet::Wallet};
use anyhow::Result;
use farthing_node::{
    card::RoleName,
    terminal::{json_line, print_error, print_part},
};
use farthing_protocol::offer::CatalogItem;
use serde_json::{Value, json};
use std::io;

/// Prints a merchant's catalogue page by page, as it arrives.
pub(super) async fn show(wallet: &Wallet, merchant: Option<&str>, as_json: bool) -> Result<Report> {
    let merchant = wallet.party(RoleName::Merchant, merchant)?;
    let mut catalog = wallet.catalog(&merchant);
    // Without a first page, the error is the only output.
    let mut page = catalog.next_page().await?;
    let mut listing = Listing::new(as_json);
    let mut failed = None;
    while let Some(items) = page {
        if listing.page(&merchant.name, &items, print_part).is_err() {
            // The reader has closed the pipe.
            return Ok(Report::done("", Value::Null));
        }
        page = match catalog.next_page().await {
            Ok(page) => page,
            Err(error) => {
                failed = Some(error);
                None
            }
        };
    }
    let exit = failed.as_ref().map_or(Exit::Done, Exit::of_wallet);
    let why = failed.map(|error: WalletError| chain(&error.into()));
    let _gone = listing.end(why.as_deref().map(|why| (why, exit)), print_part);
    if let Some(why) = why {
        print_error(&why);
    }
    let mut report = Report::done("", Value::Null);
    report.exit = exit;
    Ok(report)
}

/// A list that is printed in parts: a table for people, one JSON object for programs.
struct Listing {
    as_json: bool,
    items: usize,
}

impl Listing {
    fn new(as_json: bool) -> Self {
        Self { as_json, items: 0 }
    }

    fn page(
        &mut self,
        merchant: &str,
        items: &[CatalogItem],
        print: impl Fn(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        let is_first = self.items == 0;
        self.items = self.items.saturating_add(items.len());
        if !self.as_json {
            return match items.is_empty() {
                true => Ok(()),
                false => print(&format!("{}\n", items_table(items, is_first))),
            };
        }
        let mut text = String::new();
        if is_first {
            text.push_str(&format!("{{\"merchant\":{},\"items\":[", json_line(&merchant)));
        }
        for (number, item) in items.iter().enumerate() {
            if !is_first || number > 0 {
                text.push(',');
            }
            text.push_str(&json_line(&item_json(item)));
        }
        print(&text)
    }

    /// Ends the list, with an error if it is not complete.
    fn end(&self, failed: Option<(&str, Exit)>, print: impl Fn(&str) -> io::Result<()>) -> io::Result<()> {
        match (self.as_json, failed) {
            (true, None) => print("]}\n"),
            (true, Some((why, exit))) => print(&format!(
                "],\"error\":{},\"code\":{}}}\n",
                json_line(&why),
                exit.code()
            )),
            (false, None) if self.items == 0 => print("nothing is for sale\n"),
            (false, _) => Ok(()),
        }
    }
}

fn item_json(item: &CatalogItem) -> Value {
    json!({
        "item_id": hex::encode(item.item_id),
        "title": item.title,
        "description": item.description,
        "media_type": item.media_type,
        "size_bytes": item.size_bytes,
        "price": amount(item.price),
        "currency": item.currency,
    })
}

/// The items as a table. Only the first part has headings.
fn items_table(items: &[CatalogItem], is_first: bool) -> String {
    let rows: Vec<[String; 6]> = items
        .iter()
        .map(|item| {
            [
                hex::encode(item.item_id).chars().take(8).collect(),
                format!("{} {}", item.price, item.currency),
                size(item.size_bytes),
                item.media_type.clone(),
                item.title.clone(),
                item.description.clone(),
            ]
        })
        .collect();
    let columns = [
        ("ITEM", Align::Left),
        ("PRICE", Align::Right),
        ("SIZE", Align::Right),
        ("TYPE", Align::Left),
        ("TITLE", Align::Left),
        ("DESCRIPTION", Align::Left),
    ];
    let text = table(columns, &rows);
    match (is_first, text.split_once('\n')) {
        (false, Some((_headings, lines))) => lines.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::{ids::ItemId, money::Amount};

    #[test]
    fn a_catalogue_is_a_table_and_a_list() {
        let item = CatalogItem {
            item_id: ItemId([0xab; 32]),
            title: "Evening postcard".into(),
            description: "a view".into(),
            media_type: "text/plain".into(),
            size_bytes: 2048,
            price: Amount(150),
            currency: "FTG".into(),
        };
        assert_eq!(item_json(&item)["price"]["text"], "1.50");
        let line = "abababab  1.50 FTG  2.00 KiB  text/plain  Evening postcard  a view";
        let text = items_table(std::slice::from_ref(&item), true);
        assert!(text.starts_with("ITEM") && text.ends_with(line), "{text}");
        assert_eq!(items_table(&[item], false), line);
    }

    #[test]
    fn a_list_printed_in_parts_is_one_json_value() {
        let item = |number| CatalogItem {
            item_id: ItemId([number; 32]),
            title: "a\u{9b}\u{202e}b".into(),
            description: String::new(),
            media_type: "text/plain".into(),
            size_bytes: 1,
            price: Amount(1),
            currency: "FTG".into(),
        };
        let printed = |pages: &[Vec<CatalogItem>], failed| {
            let text = std::cell::RefCell::new(String::new());
            let print = |part: &str| {
                text.borrow_mut().push_str(part);
                Ok(())
            };
            let mut listing = Listing::new(true);
            for page in pages {
                listing.page("studio", page, print).unwrap();
            }
            listing.end(failed, print).unwrap();
            let text = text.into_inner();
            assert_eq!(text.lines().count(), 1, "{text}");
            serde_json::from_str::<Value>(&text).unwrap()
        };
        assert_eq!(
            printed(&[vec![]], None),
            json!({ "merchant": "studio", "items": [] })
        );
        let pages = [vec![item(1), item(2)], vec![item(3)]];
        let items: Vec<Value> = pages.iter().flatten().map(item_json).collect();
        let mut all = json!({ "merchant": "studio", "items": items });
        assert_eq!(printed(&pages, None), all);
        all["error"] = json!("no \"more\"");
        all["code"] = json!(1);
        assert_eq!(printed(&pages, Some(("no \"more\"", Exit::Failed))), all);
    }
}
