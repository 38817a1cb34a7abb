//! A purchase on a stream: what vouchers, promises and ticks prove.

use super::{
    case::{Case, ShownKey},
    conviction::{Charge, Culprit},
};
use crate::{
    documents::{Commit, Contract},
    purchase::{PurchaseError, check_shown_stream},
    stream::{StreamCommit, Voucher, price_of},
};
use farthing_coin::Signed;

impl Case<'_> {
    /// The charges that only a stream has.
    pub(super) fn charges_of_stream(&self) -> Vec<(Culprit, Charge)> {
        let Some((contract, ticks)) = self.contract.as_ref().zip(self.offered_ticks()) else {
            return Vec::new();
        };
        let escrow = Culprit::Escrow(self.escrow);
        let mut proven = Vec::new();
        let without_voucher = |commit: &Signed<Commit>| {
            self.vouchers_for(&commit.body, contract, ticks).next().is_none()
                || self.shown_key(commit, contract, ticks) == ShownKey::FitsNoVoucher
        };
        if self.commits.iter().any(|commit| without_voucher(commit)) {
            proven.push((escrow, Charge::CommittedWithoutVoucher));
        }
        let promised = self.raised.iter().map(|raised| raised.body.ticks).max();
        if promised.is_some_and(|promised| !self.keeps(promised, contract, ticks)) {
            proven.push((escrow, Charge::RaisedNotKept));
        }
        let broken = self.ticks.iter().find(|tick| tick.breaks(contract));
        proven.extend(broken.map(|tick| {
            (
                Culprit::Merchant(contract.terms.merchant),
                Charge::TickDoesNotOpen { tick: tick.index },
            )
        }));
        proven
    }

    /// Whether each decision of the escrow is a commit for at least the `promised` ticks.
    fn keeps(&self, promised: u32, contract: &Contract, ticks: u32) -> bool {
        let price = price_of(promised, ticks, contract.terms.price);
        let kept = |commit: &Signed<Commit>| {
            commit.body.amount >= price
                && !matches!(self.shown_key(commit, contract, ticks), ShownKey::Fits(paid) if paid < promised)
        };
        self.aborts.is_empty() && self.commits.iter().all(|commit| kept(commit))
    }

    /// The vouchers for the amount of a commit, at the price of their ticks.
    fn vouchers_for<'b>(
        &'b self,
        commit: &'b Commit,
        contract: &'b Contract,
        ticks: u32,
    ) -> impl Iterator<Item = &'b Signed<Voucher>> {
        let fits = move |voucher: &Voucher| {
            voucher.amount == commit.amount
                && (1..=ticks).contains(&voucher.ticks)
                && voucher.amount == price_of(voucher.ticks, ticks, contract.terms.price)
        };
        let vouchers = self.vouchers.iter().copied();
        vouchers.filter(move |voucher| fits(&voucher.body))
    }

    /// What the points say about the key in the commit of a stream.
    pub(super) fn shown_key(&self, commit: &Signed<Commit>, contract: &Contract, ticks: u32) -> ShownKey {
        let mut said = ShownKey::Unknown;
        for voucher in self.vouchers_for(&commit.body, contract, ticks) {
            let stream = StreamCommit {
                commit: commit.clone(),
                voucher: voucher.clone(),
            };
            for shown in &self.points {
                match check_shown_stream(&stream, contract, shown) {
                    Ok(_) => return ShownKey::Fits(voucher.body.ticks),
                    Err(PurchaseError::Sealed(_)) => said = ShownKey::Wrong,
                    Err(PurchaseError::WrongGoodsKey) if said == ShownKey::Unknown => {
                        said = match is_only_one(&voucher.body, contract, ticks) {
                            true => ShownKey::Wrong,
                            false => ShownKey::FitsNoVoucher,
                        };
                    }
                    Err(_) => {}
                }
            }
        }
        said
    }
}

/// Whether no other number of ticks costs what the ticks of this voucher cost.
fn is_only_one(voucher: &Voucher, contract: &Contract, of: u32) -> bool {
    let costs = |ticks| price_of(ticks, of, contract.terms.price);
    let next = voucher.ticks.saturating_add(1);
    costs(voucher.ticks.saturating_sub(1)) < voucher.amount && (next > of || costs(next) > voucher.amount)
}
