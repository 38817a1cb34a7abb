//! The command `refund`.

use crate::admin::AdminRequest;
use crate::cli_home::{ask, open};
use crate::refunds::RefundLine;
use anyhow::Result;
use clap::Args;
use farthing_node::operator::Report;
use farthing_protocol::money::Amount;
use serde_json::to_value;
use std::{path::PathBuf, time::Duration};
use tokio::time::sleep;

/// How often the running node is asked whether the bank has confirmed the refund.
const LOOKS_MAX: u32 = 25;

/// The pause before each further look.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The exit code if the bank has not confirmed the refund yet.
const EXIT_UNKNOWN: u8 = 1;

#[derive(Debug, Args)]
pub(crate) struct RefundArgs {
    /// The merchant's directory.
    dir: PathBuf,
    /// The purchase id of the sale or its first characters.
    sale: String,
    /// What is refunded of the sale in all. Without it, the whole price. The same total typed again refunds nothing more.
    total: Option<Amount>,
}

pub(crate) async fn execute(args: RefundArgs) -> Result<Report> {
    open(&args.dir)?;
    let request = AdminRequest::Refund {
        sale: args.sale,
        total: args.total,
    };
    let mut refund: RefundLine = ask(&args.dir, request.clone()).await?;
    for _ in 0..LOOKS_MAX {
        if refund.confirmed >= refund.total || refund.why.is_some() {
            break;
        }
        sleep(LOOK_EVERY).await;
        refund = ask(&args.dir, request.clone()).await?;
    }
    let is_confirmed = refund.confirmed >= refund.total;
    let mut report = Report::new(text(&refund, is_confirmed), to_value(&refund)?);
    if !is_confirmed {
        report.exit = EXIT_UNKNOWN;
    }
    Ok(report)
}

fn text(refund: &RefundLine, is_confirmed: bool) -> String {
    let RefundLine {
        purchase,
        price,
        currency,
        total,
        ..
    } = refund;
    let what = format!("{total} of {price} {currency} of the sale {purchase}");
    match (&refund.why, is_confirmed) {
        (_, true) => format!(
            "{what} are refunded: the bank has them for the key of the purchase, and nobody learns who the customer is"
        ),
        (Some(why), false) => format!(
            "{what} are to be refunded, and the bank has refused so far: {why}; the running node asks it again, and \
             `refund` shows how it stands"
        ),
        (None, false) => format!(
            "{what} are to be refunded, and the bank has not confirmed it yet; the running node brings it to the bank, and \
             `refund` shows how it stands"
        ),
    }
}
