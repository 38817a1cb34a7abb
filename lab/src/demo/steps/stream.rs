//! A stream that is cut in the middle, and closed to the tick.

use super::{
    super::{
        amount::amount,
        report::{DemoReport, Label, Summary},
        scene::Scene,
        shopper::{Shopper, of},
    },
    must_be,
};
use farthing_client::purchase::{TickSink, WatchEnd, WatchLimits};
use farthing_kit::{
    error::{RunError, must},
    lines::Lines,
};
use farthing_node::card::RoleName;
use farthing_protocol::money::Amount;
use serde_json::json;
use std::{fs, io, sync::Arc};

/// The records of the stream. They are the pieces of a file of this many bytes each.
const RECORD_BYTES: usize = 16;
const RECORDS: u32 = 40;

/// The price of each record, as the merchant's operator types it, and in all.
const PRICE_PER_TICK: &str = "0.05";
const PRICE: Amount = Amount(5);

/// The record after which the merchant's answers are lost.
const CUT_AFTER: u32 = 3;

/// Keeps what it has seen, and cuts the line to the merchant.
struct Viewer {
    seen: Vec<u8>,
    lines: Arc<Lines>,
}

impl TickSink for Viewer {
    fn record(&mut self, tick: u32, _: Amount, record: &[u8]) -> io::Result<()> {
        self.seen.extend_from_slice(record);
        if tick == CUT_AFTER {
            self.lines.lose_answers_of(&[RoleName::Merchant]);
        }
        Ok(())
    }
}

/// A customer watches a stream and pays for each record. In the middle the merchant's answers are lost: a record is paid for,
/// and its key does not come. The escrow gives it. Then the line heals, and the stream is closed.
///
/// # Errors
/// When a check fails.
pub async fn stream(
    scene: &Scene,
    grace: &Shopper,
    cash: Amount,
    report: &mut DemoReport,
) -> Result<(), RunError> {
    report.begin(
        "stream-cut",
        "A stream is cut in the middle, with a record paid for and its key lost",
    );
    grace.withdraw(scene, cash).await?;
    let (records, item) = put_up(scene).await?;
    let earned = scene.credited().await?;
    let mut viewer = Viewer {
        seen: Vec::new(),
        lines: scene.wallet_lines.clone(),
    };
    let limits = WatchLimits {
        at_most: None,
        ticks: None,
        window: 1,
    };
    let watched = grace
        .wallet
        .watch(&scene.parties(), item.as_str(), limits, &mut viewer)
        .await;
    let watched = watched.map_err(of(grace.name))?;
    let seen = viewer.seen.len() / RECORD_BYTES;
    must(
        seen == CUT_AFTER as usize + 1 && matches!(watched.end, WatchEnd::Merchant(_)),
        || format!("{seen} records were seen: {watched:?}"),
    )?;
    must(records.starts_with(&viewer.seen), || {
        "they are not the merchant's".into()
    })?;
    report.line(
        Label::Lost,
        format!("grace paid for record {seen}, and the merchant's answer with its key was lost; the escrow gave the key"),
    );
    scene.wallet_lines.heal();
    grace.resume().await?;
    let row = grace.wallet.purchase(watched.number).map_err(of(grace.name))?;
    let paid = row.purchase.paid().unwrap_or_default();
    must_be("what was paid", paid, Amount(PRICE.0 * seen as u64))?;
    must_be(
        "what the merchant has earned",
        scene.credited().await?,
        Amount(earned.0 + paid.0),
    )?;
    let left = cash.checked_sub(paid).unwrap_or_default();
    must_be("grace's coins", grace.worth()?, left)?;
    report.line(
        Label::Ended,
        format!("the stream was closed after {seen} of {RECORDS} records: {paid} for the merchant, and the rest came back"),
    );
    report.end(Summary {
        lost: "a key of a record".into(),
        acted: format!("took {seen} payments"),
        wallet: "asked the escrow".into(),
        charged: paid,
        ended: format!("{seen} records, to the tick"),
        facts: json!({ "records": seen, "paid": amount(paid) }),
    });
    Ok(())
}

/// Offers a stream of records. Returns them, and the item's id.
async fn put_up(scene: &Scene) -> Result<(Vec<u8>, String), RunError> {
    let records: Vec<u8> = (1..=RECORDS)
        .flat_map(|number| format!("record {number:8}\n").into_bytes())
        .collect();
    let file = scene.dir().join("records.txt");
    fs::write(&file, &records).map_err(RunError::io(file.display()))?;
    let item = scene
        .sell_by_tick(&file, "Records", PRICE_PER_TICK, RECORD_BYTES)
        .await?;
    Ok((records, item))
}
