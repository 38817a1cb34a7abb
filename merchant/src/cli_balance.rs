//! The command `balance`: what the merchant's banks say that its accounts hold.

use crate::cli_home::open;
use crate::secret::MerchantSecret;
use anyhow::Result;
use farthing_coin::{SecretKey, Signed};
use farthing_node::call::{CallError, ask};
use farthing_node::card::{Card, RoleName};
use farthing_node::link::Link;
use farthing_node::network::{Lane, Network};
use farthing_node::operator::Report;
use farthing_node::quic::QuicNetwork;
use farthing_node::table::{Align, table};
use farthing_protocol::{limits::REPLY_TIMEOUT, money::Amount, restore::AccountRequest};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// The exit code if a bank has not answered.
const EXIT_UNKNOWN: u8 = 1;

/// Asks each pinned bank for the balance of the merchant's account. The node need not run.
pub(crate) async fn execute(dir: &Path) -> Result<Report> {
    let home = open(dir)?;
    let key = MerchantSecret::load(dir)?.account_key();
    let network: Arc<dyn Network> = Arc::new(QuicNetwork::new());
    let mut rows = Vec::new();
    let mut accounts = Vec::new();
    let mut all_known = true;
    for card in home.network()?.cards() {
        if card.role != RoleName::Bank {
            continue;
        }
        let answer = balance(&network, card, &key).await;
        all_known &= answer.is_ok();
        let (text, amount, error) = match answer {
            Ok(amount) => (String::new(), Some(amount.to_string()), None),
            Err(error) => (error.to_string(), None, Some(error.to_string())),
        };
        rows.push([card.name.clone(), amount.clone().unwrap_or_default(), text]);
        accounts.push(json!({ "bank": card.name, "balance": amount, "error": error }));
    }
    let columns = [
        ("BANK", Align::Left),
        ("BALANCE", Align::Right),
        ("REASON", Align::Left),
    ];
    let text = match rows.is_empty() {
        true => "no bank is known; add one with `network add DIR CARD`".to_owned(),
        false => table(columns, &rows),
    };
    let mut report = Report::new(text, Value::from_iter([("accounts", accounts)]));
    if !all_known {
        report.exit = EXIT_UNKNOWN;
    }
    Ok(report)
}

async fn balance(network: &Arc<dyn Network>, bank: &Card, key: &SecretKey) -> Result<Amount, CallError> {
    let request = AccountRequest {
        bank: bank.identity,
        account: key.public(),
    };
    let link = Link::new(Arc::clone(network), bank.clone(), Lane::Identified);
    ask(&link, Signed::sign(request, key), REPLY_TIMEOUT).await
}
