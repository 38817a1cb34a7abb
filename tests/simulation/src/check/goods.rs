//! Goods: a customer has them if and only if the customer paid, and the merchant was credited. And the evidence of
//! it.

use super::World;
use crate::streams::seen_problem;
use farthing_bank::rows::REFUNDS;
use farthing_client::{
    purchase::goods::judge,
    rows::{CoinStatus, Delivery, PurchaseRow},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::admin::AdminHandler;
use farthing_protocol::{
    documents::PurchaseId,
    evidence::{Verdict, judge as judge_papers},
    money::Amount,
    purchase::Purchase,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

impl World {
    /// What the merchant has refunded of a purchase.
    fn refunded(&self, purchase: &PurchaseId, escrow: &PublicKey) -> Amount {
        let row = REFUNDS.peek(&self.bank().store().view(), &(*purchase, *escrow));
        row.expect("the bank's row").unwrap_or_default()
    }

    pub(super) async fn check_goods(&self, wallets: &[&Wallet], all_ended: bool, safety: &mut Vec<String>) {
        let sold = self.sold().await;
        let mut paid = BTreeMap::new();
        let mut delivered = BTreeSet::new();
        let mut not_delivered = Vec::new();
        for wallet in wallets {
            for (number, row) in wallet.purchases().expect("the purchases") {
                let problem = match &row.purchase {
                    Purchase::Committed(order, _) => {
                        let terms = &order.contract.terms;
                        let refunded = self.refunded(&order.purchase(), &terms.escrow);
                        let price = row.purchase.paid().expect("a committed purchase was paid");
                        paid.insert(order.purchase(), (terms.account, price.0 - refunded.0));
                        let is_free = order.contract.offer.body.is_free();
                        if all_ended && !is_free && !sold.contains(&order.purchase().to_string()) {
                            safety.push(format!(
                                "goods: purchase {number} is paid, and its merchant has no receipt"
                            ));
                        }
                        if row.purchase.committed_ticks().is_some() {
                            stream_problem(wallet, number, &row)
                        } else {
                            delivered.insert(row.output.clone());
                            self.committed_problem(wallet, number, &row)
                        }
                    }
                    Purchase::Aborted(..) | Purchase::Dropped(_) | Purchase::Recovered(_) => {
                        let is_stream = row.purchase.offer().body.ticks().is_some();
                        if !is_stream {
                            not_delivered.push(row.output.clone());
                        }
                        let seen = is_stream.then(|| seen_problem(wallet, number, &row)).flatten();
                        seen.or_else(|| aborted_problem(wallet, number, &row))
                    }
                    _ => None,
                };
                safety.extend(problem.map(|problem| format!("purchase {number}: {problem}")));
            }
        }
        // A copy of the wallet may have finished a purchase that this one had begun.
        for output in not_delivered
            .iter()
            .filter(|output| output.exists() && !delivered.contains(*output))
        {
            safety.push(format!("goods: {} was delivered and not paid", output.display()));
        }
        let mut due: BTreeMap<PublicKey, u64> = BTreeMap::new();
        for (account, price) in paid.into_values() {
            *due.entry(account).or_default() += price;
        }
        for number in 0..self.foundation.population.prices.len() {
            let account = self.merchant(number).account();
            let (earned, due) = (
                self.account(account).await.0,
                due.get(&account).copied().unwrap_or(0),
            );
            if all_ended && earned != due {
                safety.push(format!(
                    "goods: merchant-{number} earned {earned}, goods worth {due} were delivered"
                ));
            }
        }
    }

    /// The purchases (hex) for which merchants have the escrow's decision.
    pub(in super::super) async fn sold(&self) -> BTreeSet<String> {
        let mut sold = BTreeSet::new();
        for number in 0..self.foundation.population.prices.len() {
            let asked = json!({ "do": "sales", "after": null });
            let sales = self.merchant(number).admin(asked).await.expect("the sales");
            for sale in sales["lines"].as_array().expect("lines") {
                if ["committed", "credited", "unpaid"]
                    .iter()
                    .any(|state| sale["state"] == *state)
                {
                    sold.insert(sale["purchase"].as_str().expect("a purchase").to_owned());
                }
            }
        }
        sold
    }

    fn committed_problem(&self, wallet: &Wallet, number: u64, row: &PurchaseRow) -> Option<String> {
        let offer = &row.purchase.order()?.contract.offer.body;
        match row.delivery {
            Delivery::Delivered => {}
            Delivery::Pending | Delivery::OnDemand => return None,
            Delivery::NotAsDescribed => return Some("goods: paid, and not as described".into()),
        }
        let Ok(goods) = std::fs::read(&row.output) else {
            return Some("goods: paid, delivered, and not there".into());
        };
        let merchants = self.foundation.population.prices.len();
        let seller = (0..merchants).find(|number| self.merchant(*number).self_id() == offer.merchant);
        if seller.is_none_or(|seller| self.foundation.goods(seller) != goods) {
            return Some("goods: other bytes than the merchant's".into());
        }
        let papers = wallet.papers(number).expect("the papers of what was committed");
        let sealed = wallet.goods_file(number).expect("the encrypted goods");
        match judge(&papers, &sealed) {
            Ok(Ok(Verdict::Delivered)) => None,
            other => Some(format!("evidence: {other:?}")),
        }
    }
}

fn aborted_problem(wallet: &Wallet, number: u64, row: &PurchaseRow) -> Option<String> {
    let coins = wallet.coins().expect("the coins");
    let spent = coins.iter().any(|coin| coin.status == CoinStatus::Spent(number));
    spent.then(|| format!("money: {}, and its coins are spent", row.purchase.status()))
}

/// What is wrong with a stream that was committed. Its papers convict nobody.
fn stream_problem(wallet: &Wallet, number: u64, row: &PurchaseRow) -> Option<String> {
    let papers = wallet.papers(number).expect("the papers of what was committed");
    match judge_papers(&[papers], 0).as_slice() {
        [] => seen_problem(wallet, number, row),
        convictions => Some(format!("evidence: {convictions:?}")),
    }
}
