//! Parties of which the wallet has no card. The words alone do not bring the cards back.

use crate::{
    error::WalletError,
    rows::{Delivery, PurchaseRow},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::card::{Card, RoleName};
use farthing_protocol::purchase::Purchase;
use std::collections::BTreeMap;

/// A party of the wallet's coins or purchases of which it has no card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LackingParty {
    /// The party's role.
    pub role: RoleName,
    /// The party's key.
    pub identity: PublicKey,
    /// The party's card, for a merchant: recovery records have it.
    pub card: Option<Card>,
    /// The numbers of the purchases that name the party.
    pub purchases: Vec<u64>,
    /// Whether one of these purchases is under way.
    pub is_under_way: bool,
}

impl Wallet {
    /// The parties of which the wallet has no card: banks of coins, banks and escrows of purchases that are not finished,
    /// and merchants of all purchases.
    ///
    /// # Errors
    /// When the store fails, or the file of cards cannot be read.
    pub fn lacking(&self) -> Result<Vec<LackingParty>, WalletError> {
        let banks = self.present_coins()?.into_iter().map(|row| row.bank);
        let purchases = self.purchases()?;
        let cards = self.network_file()?;
        let mut lacking = all_parties(banks, &purchases);
        lacking.retain(|party| cards.by_identity(&party.identity).is_none());
        Ok(lacking)
    }
}

/// Every party of these coins' banks and purchases, by role and key.
fn all_parties(
    banks: impl Iterator<Item = PublicKey>,
    purchases: &[(u64, PurchaseRow)],
) -> Vec<LackingParty> {
    let mut parties: BTreeMap<(RoleName, PublicKey), LackingParty> = BTreeMap::new();
    let mut add = |role, identity, card: Option<&Card>, purchase: Option<(u64, &PurchaseRow)>| {
        let party = parties.entry((role, identity)).or_insert_with(|| LackingParty {
            role,
            identity,
            card: card.cloned(),
            purchases: Vec::new(),
            is_under_way: false,
        });
        if let Some((number, row)) = purchase {
            party.purchases.push(number);
            party.is_under_way |= row.is_under_way();
        }
    };
    for bank in banks {
        add(RoleName::Bank, bank, None, None);
    }
    for (number, row) in purchases {
        let purchase = Some((*number, row));
        if let Some((bank, escrow)) = row.bank_and_escrow().filter(|_| !is_finished(row)) {
            add(RoleName::Bank, bank, None, purchase);
            add(RoleName::Escrow, escrow, None, purchase);
        }
        add(
            RoleName::Merchant,
            row.merchant.identity,
            Some(&row.merchant),
            purchase,
        );
    }
    parties.into_values().collect()
}

/// Whether a purchase needs no party any more.
fn is_finished(row: &PurchaseRow) -> bool {
    let has_ended = matches!(
        row.purchase,
        Purchase::Aborted(..) | Purchase::Dropped(_) | Purchase::Recovered(_)
    );
    has_ended || !(row.is_under_way() || row.delivery == Delivery::OnDemand)
}
