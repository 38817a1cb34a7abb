//! What a merchant sells.

use super::report::{Align, Report, amount, size, table};
use crate::wallet::Wallet;
use anyhow::Result;
use farthing_node::card::RoleName;
use farthing_protocol::offer::CatalogItem;
use serde_json::{Value, json};

/// What a merchant sells.
pub(super) async fn show(wallet: &Wallet, merchant: Option<&str>) -> Result<Report> {
    let merchant = wallet.party(RoleName::Merchant, merchant)?;
    let items = wallet.catalog(&merchant).await?;
    let json = json!({
        "merchant": merchant.name,
        "items": items.iter().map(item_json).collect::<Vec<Value>>(),
    });
    Ok(Report::done(items_table(&items), json))
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

fn items_table(items: &[CatalogItem]) -> String {
    if items.is_empty() {
        return "nothing is for sale".into();
    }
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
    table(columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::money::Amount;

    #[test]
    fn a_catalogue_is_a_table_and_a_list() {
        let item = CatalogItem {
            item_id: [0xab; 32],
            title: "Evening postcard".into(),
            description: "a view".into(),
            media_type: "text/plain".into(),
            size_bytes: 2048,
            price: Amount(150),
            currency: "FTG".into(),
        };
        assert_eq!(item_json(&item)["price"]["text"], "1.50");
        let text = items_table(&[item]);
        assert!(
            text.ends_with("abababab  1.50 FTG  2.00 KiB  text/plain  Evening postcard  a view"),
            "{text}"
        );
    }
}
