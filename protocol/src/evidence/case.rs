//! One purchase: what its documents together prove about escrow, bank and merchant.

use super::{
    conviction::{Charge, Conviction, Culprit},
    papers::{Papers, ShownTick},
};
use crate::{
    cause::CauseFault,
    contract::VerifiedContract,
    documents::{
        Abort, AbortReason, BankHold, Commit, Contract, Overdue, Receipt, Settled, SettledAs, Terms,
        promises_causes,
    },
    forgetting::claims_expired,
    goods::SealingSecret,
    ids::{CoinsDigest, PurchaseId},
    money::Amount,
    purchase::{PurchaseError, check_abort_signed, check_commit, check_receipt, check_shown_commit},
    seal::{opens, reopen_goods_key},
    sealed::shows_wrong_key,
    settle::{check_commit as check_payment, spends},
    stream::{Opened, Raised, Voucher},
};
use farthing_coin::{Document, PublicKey, SecretKey, SharedPoint, Signed};
use std::collections::BTreeSet;

/// The documents of one purchase at one escrow. Each signature is valid.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) purchase: PurchaseId,
    pub(super) escrow: PublicKey,
    terms: Option<&'a Terms>,
    pub(super) contract: Option<Contract>,
    pub(super) points: Vec<&'a SharedPoint>,
    secret: Option<SecretKey>,
    sealing_secrets: Vec<&'a SealingSecret>,
    /// Whether the escrow has promised to show the cause of an abort.
    promises_causes: bool,
    holds: Vec<&'a Signed<BankHold>>,
    receipts: Vec<&'a Signed<Receipt>>,
    pub(super) commits: Vec<&'a Signed<Commit>>,
    pub(super) aborts: Vec<&'a Signed<Abort>>,
    settled: Vec<&'a Signed<Settled>>,
    /// The escrow's promises that the stream is open.
    opened: Vec<&'a Signed<Opened>>,
    /// The customer's vouchers, if it is a stream.
    pub(super) vouchers: Vec<&'a Signed<Voucher>>,
    pub(super) raised: Vec<&'a Signed<Raised>>,
    pub(super) ticks: Vec<&'a ShownTick>,
}

/// What the points say about the key in the commit of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShownKey {
    /// Nothing.
    Unknown,
    /// It is the key of this tick, and the papers have the voucher.
    Fits(u32),
    /// It fits no voucher of the papers. A voucher for other ticks of the same amount may fit.
    FitsNoVoucher,
    /// It is the key of no ticks that cost the amount of the commit.
    Wrong,
}

/// A case for each purchase and escrow that the papers name.
pub(super) fn cases(papers: &[Papers]) -> Vec<Case<'_>> {
    let named = papers.iter().flat_map(|paper| {
        let by_terms = paper.terms().map(|terms| (terms.purchase_id(), terms.escrow));
        let decided = (paper.receipt.iter().map(|d| d.body.purchase))
            .chain(paper.commit.iter().map(|d| d.body.purchase))
            .chain(paper.abort.iter().map(|d| d.body.purchase));
        let escrows = paper.escrow.iter();
        by_terms.chain(escrows.flat_map(move |escrow| decided.clone().map(|purchase| (purchase, *escrow))))
    });
    let named: BTreeSet<(PurchaseId, PublicKey)> = named.collect();
    named
        .into_iter()
        .map(|(purchase, escrow)| Case::new(purchase, escrow, papers))
        .collect()
}

impl<'a> Case<'a> {
    fn new(purchase: PurchaseId, escrow: PublicKey, papers: &'a [Papers]) -> Self {
        let terms = papers
            .iter()
            .flat_map(Papers::terms)
            .find(|terms| terms.purchase_id() == purchase && terms.escrow == escrow);
        let contract = papers
            .iter()
            .filter_map(|paper| verified(paper.contract.clone()?))
            .find(|contract| contract.purchase() == purchase);
        let secret = papers
            .iter()
            .filter_map(|paper| paper.purchase_secret.as_ref()?.key())
            .find(|secret| terms.is_some_and(|terms| terms.purchase_key == secret.public()));
        let bank = terms.map(|terms| terms.bank);
        let of_bank = |about: PurchaseId, at: PublicKey| about == purchase && at == escrow;
        Case {
            purchase,
            escrow,
            terms,
            contract: contract.map(|contract| contract.contract().clone()),
            points: papers
                .iter()
                .filter_map(|paper| paper.purchase_point.as_ref())
                .collect(),
            secret,
            sealing_secrets: papers
                .iter()
                .filter_map(|paper| paper.sealing_secret.as_ref())
                .collect(),
            promises_causes: papers.iter().filter_map(|paper| paper.hold.as_ref()).any(|hold| {
                let held = &hold.body.bank_hold.body;
                of_bank(held.purchase, held.escrow) && promises_causes(hold, &escrow)
            }),
            holds: signed(papers, bank, |p| &p.bank_hold, |d| of_bank(d.purchase, d.escrow)),
            receipts: signed(papers, Some(escrow), |p| &p.receipt, |d| d.purchase == purchase),
            commits: signed(papers, Some(escrow), |p| &p.commit, |d| d.purchase == purchase),
            aborts: signed(papers, Some(escrow), |p| &p.abort, |d| d.purchase == purchase),
            settled: signed(papers, bank, |p| &p.settled, |d| of_bank(d.purchase, d.escrow)),
            opened: signed(
                papers,
                Some(escrow),
                |p| &p.opened,
                |d| d.bank_hold.body.purchase == purchase,
            ),
            vouchers: signed(
                papers,
                terms.map(|terms| terms.purchase_key),
                |p| &p.voucher,
                |d| d.purchase == purchase,
            ),
            raised: signed(papers, Some(escrow), |p| &p.raised, |d| d.purchase == purchase),
            ticks: papers.iter().filter_map(|paper| paper.tick.as_ref()).collect(),
        }
    }

    /// How many ticks the offer has, if it is a stream's.
    pub(super) fn offered_ticks(&self) -> Option<u32> {
        self.contract.as_ref()?.offer.body.ticks()
    }

    /// Whether the purchase is, or may be, one on a stream: nobody shows that it is none.
    fn may_be_stream(&self) -> bool {
        self.contract.is_none() || self.offered_ticks().is_some()
    }

    /// Whether a commit pays what the terms or a voucher say. A bank does not know how many ticks a stream has, so it
    /// compares amounts only.
    fn pays(&self, commit: &Commit, terms: &Terms) -> bool {
        let mut vouchers = self.vouchers.iter().map(|voucher| &voucher.body);
        let voucher = vouchers.find(|voucher| voucher.amount == commit.amount);
        check_payment(commit, terms, voucher.filter(|_| self.may_be_stream())).is_ok()
    }

    /// Whether the papers have a commit or a receipt of the escrow.
    fn is_committed(&self) -> bool {
        !self.receipts.is_empty() || !self.commits.is_empty()
    }

    /// Whether the papers have an abort of the escrow, and neither a commit nor a receipt.
    pub(super) fn is_only_aborted(&self) -> bool {
        !self.aborts.is_empty() && !self.is_committed()
    }

    /// The terms, if the papers have them.
    pub(super) fn terms(&self) -> Option<&Terms> {
        self.terms
    }

    /// Whether the escrow of the terms has committed the purchase with the coins of these terms, and its bank is `bank`.
    pub(super) fn spends(&self, bank: &PublicKey) -> bool {
        let Some(terms) = self.terms.filter(|terms| terms.bank == *bank) else {
            return false;
        };
        let mut commits = self.commits.iter().map(|signed| &signed.body);
        commits.any(|commit| commit.bank == *bank && spends(commit, terms))
    }

    /// What the escrow of the terms has committed on these terms, if their bank is `bank`.
    pub(super) fn paid(&self, bank: &PublicKey) -> Option<Amount> {
        let terms = self.terms.filter(|terms| terms.bank == *bank)?;
        let mut commits = self.commits.iter().map(|signed| &signed.body);
        let paid = commits.find(|commit| commit.bank == *bank && self.pays(commit, terms))?;
        Some(paid.amount)
    }

    /// The convictions that the documents prove at `at_ms`.
    pub(super) fn judge(&self, at_ms: u64) -> Vec<Conviction> {
        let escrow = Culprit::Escrow(self.escrow);
        let mut proven: Vec<(Culprit, Charge)> = Vec::new();
        if (self.is_committed() && !self.aborts.is_empty()) || self.has_two_commits() {
            proven.push((escrow, Charge::DecidedTwice));
        }
        proven.extend(self.charges_of_stream());
        if self.has_wrong_key() {
            proven.push((escrow, Charge::WrongGoodsKey));
        }
        proven.extend(self.charge_of_sealed_key());
        if let Some(terms) = self.terms {
            if self.escrow_departs(terms) {
                proven.push((escrow, Charge::NotAsAgreed));
            }
            if self.aborts.iter().any(|abort| !self.may_abort(abort, terms)) {
                proven.push((escrow, Charge::AbortedWithoutCause));
            }
            let bank = Culprit::Bank(terms.bank);
            proven.extend(
                self.charges_of_bank(terms)
                    .into_iter()
                    .map(|charge| (bank, charge)),
            );
        }
        let convict = |(culprit, charge)| Conviction {
            culprit,
            charge,
            purchase: Some(self.purchase),
        };
        // The document that clears the accused may be forgotten by now.
        let has_expired = self
            .terms
            .is_some_and(|terms| claims_expired(terms.deadline_ms, at_ms));
        proven.retain(|(_, charge)| !has_expired || charge.unless().is_none());
        proven.into_iter().map(convict).collect()
    }

    /// Whether the escrow has committed two amounts.
    fn has_two_commits(&self) -> bool {
        let mut amounts = self.commits.iter().map(|commit| commit.body.amount);
        let first = amounts.next();
        amounts.any(|amount| Some(amount) != first)
    }

    fn has_wrong_key(&self) -> bool {
        let Some(contract) = &self.contract else {
            return false;
        };
        let mut receipts = self.receipts.iter();
        let mut commits = self.commits.iter();
        let sealed_wrong = |commit: &Signed<Commit>| {
            if let Some(ticks) = contract.offer.body.ticks() {
                return self.shown_key(commit, contract, ticks) == ShownKey::Wrong;
            }
            let secret = self.secret.as_ref();
            let by_point = |shown| is_wrong_key(&check_shown_commit(commit, contract, shown).map(drop));
            self.points.iter().any(|shown| by_point(*shown))
                || secret
                    .is_some_and(|secret| is_wrong_key(&check_commit(commit, contract, secret).map(drop)))
        };
        receipts.any(|receipt| is_wrong_key(&check_receipt(receipt, contract)))
            || commits.any(|commit| sealed_wrong(commit))
    }

    /// The charge that follows from an abort for a wrong sealed key.
    ///
    /// The abort shows a point that proves who is at fault. An abort of version 1 shows nothing. Then the merchant is at
    /// fault, unless the merchant shows that the sealed key is right.
    fn charge_of_sealed_key(&self) -> Option<(Culprit, Charge)> {
        // If there are terms, the escrow is the one that they name. An escrow that has also committed proves nothing.
        let (true, Some(_)) = (self.is_only_aborted(), self.terms) else {
            return None;
        };
        let offer = &self.contract.as_ref()?.offer.body;
        let shown = self.aborts.iter().find_map(|abort| match &abort.body.reason {
            AbortReason::WrongKey(shown) => Some(shown),
            _ => None,
        });
        if let Some(shown) = shown {
            return Some(match shows_wrong_key(shown, &self.escrow, offer) {
                true => (
                    Culprit::Merchant(offer.merchant),
                    Charge::WrongSealedKey { shown: true },
                ),
                false => (Culprit::Escrow(self.escrow), Charge::SealedKeyDenied),
            });
        }
        let mut aborts = self.aborts.iter();
        aborts.find(|abort| abort.body.reason == AbortReason::WrongSealedKey)?;
        if self.promises_causes {
            return None;
        }
        let sealed = offer.sealed_key.map(|offered| offered.sealed);
        let is_right = |secret: &SealingSecret| {
            let reopened = |key: SecretKey| {
                reopen_goods_key(&key, &self.escrow, &offer.sealing_context(), &sealed?).ok()
            };
            let goods_key = secret.key().and_then(reopened);
            goods_key.is_some_and(|goods_key| opens(&offer.key_commitment, &goods_key))
        };
        // Without a sealed key nothing can be wrong with it. A key with a proof is of version 2, so the escrow has to show
        // the point.
        if sealed.is_none()
            || offer.has_proven_key()
            || self.sealing_secrets.iter().any(|secret| is_right(secret))
        {
            return Some((Culprit::Escrow(self.escrow), Charge::SealedKeyDenied));
        }
        Some((
            Culprit::Merchant(offer.merchant),
            Charge::WrongSealedKey { shown: false },
        ))
    }

    /// Whether a document of the escrow contradicts the terms.
    fn escrow_departs(&self, terms: &Terms) -> bool {
        let paid = |bank, coins: CoinsDigest, account, amount| {
            (bank, coins, account, amount) == (terms.bank, terms.coins_digest, terms.account, terms.price)
        };
        let mut receipts = self.receipts.iter().map(|signed| &signed.body);
        let mut commits = self.commits.iter().map(|signed| &signed.body);
        // A voucher says what a stream costs: see `charges_of_stream`.
        let amount_of = |commit: &Commit| match self.may_be_stream() {
            true => terms.price.max(commit.amount),
            false => commit.amount,
        };
        receipts.any(|d| !paid(d.bank, d.coins_digest, d.account, d.amount))
            || commits.any(|d| !paid(d.bank, d.coins_digest, d.account, amount_of(d)))
            || (self.aborts.iter()).any(|abort| check_abort_signed(abort, terms).is_err())
    }

    /// Whether an abort shows a valid cause, or shows no cause and its escrow has not promised to show one. An open stream
    /// ends for its merchant or for the bank.
    fn may_abort(&self, abort: &Signed<Abort>, terms: &Terms) -> bool {
        let reason = &abort.body.reason;
        if !self.opened.is_empty() && !matches!(reason, AbortReason::Closed(_) | AbortReason::Overdue(_)) {
            return false;
        }
        match reason.check(terms) {
            Ok(()) => true,
            Err(CauseFault::NotShown) => !self.promises_causes,
            Err(_) => false,
        }
    }

    /// The bank's statements, from aborts, that this purchase is overdue.
    fn overdues(&self, terms: &Terms) -> impl Iterator<Item = &Overdue> {
        let (bank, purchase) = (terms.bank, self.purchase);
        let shown = self.aborts.iter().filter_map(|abort| match &abort.body.reason {
            AbortReason::Overdue(overdue) => Some(overdue),
            _ => None,
        });
        shown
            .filter(move |overdue| overdue.body.purchase == purchase && overdue.verify(&bank).is_ok())
            .map(|overdue| &overdue.body)
    }

    fn charges_of_bank(&self, terms: &Terms) -> Vec<Charge> {
        let held = |hold: &&Signed<BankHold>| hold.body == BankHold::of(terms);
        let (mut credited, mut released, mut departs) = (None, false, !self.holds.iter().all(held));
        for settled in &self.settled {
            match settled.body.outcome {
                SettledAs::Aborted => released = true,
                SettledAs::Committed { account, amount }
                    if account == terms.account
                        && (amount == terms.price || (amount < terms.price && self.may_be_stream())) =>
                {
                    credited = credited.max(Some(amount));
                }
                SettledAs::Committed { .. } => departs = true,
                SettledAs::NotHeld => {}
            }
        }
        let mut early = false;
        for overdue in self.overdues(terms) {
            early |= overdue.at_ms < terms.deadline_ms;
            departs |= (overdue.escrow, overdue.deadline_ms) != (terms.escrow, terms.deadline_ms);
        }
        // A bank never releases held coins for an abort with a false cause. It may have to for an abort of version 1.
        let mut aborts = self.aborts.iter();
        let applicable =
            aborts.any(|abort| matches!(abort.body.reason.check(terms), Ok(()) | Err(CauseFault::NotShown)));
        let committed = self.commits.iter().map(|signed| &signed.body);
        let fitting = committed.filter(|commit| self.pays(commit, terms));
        let owed = fitting.map(|commit| commit.amount).max();
        let owes = self.holds.iter().any(held) && owed > credited;
        let credited = credited.is_some();
        let charges = [
            (departs, Charge::NotAsAgreed),
            (early, Charge::OverdueTooEarly),
            (credited && released, Charge::SettledTwice),
            (owes && !applicable, Charge::CreditDenied),
            (credited && self.is_only_aborted(), Charge::SpentThoughAborted),
            (
                released && self.is_committed() && self.aborts.is_empty(),
                Charge::ReleasedThoughCommitted,
            ),
        ];
        charges
            .into_iter()
            .filter_map(|(proven, charge)| proven.then_some(charge))
            .collect()
    }
}

/// The contract, if it is one on goods or on a stream.
fn verified(contract: Contract) -> Option<VerifiedContract> {
    match contract.offer.body.ticks() {
        Some(_) => contract.verified_stream().ok(),
        None => contract.verified().ok(),
    }
}

fn is_wrong_key(checked: &Result<(), PurchaseError>) -> bool {
    matches!(
        checked,
        Err(PurchaseError::WrongGoodsKey | PurchaseError::Sealed(_))
    )
}

/// The documents of one kind that `about` selects and that `signer` signed.
fn signed<'a, D: Document>(
    papers: &'a [Papers],
    signer: Option<PublicKey>,
    kind: impl Fn(&'a Papers) -> &'a Option<Signed<D>>,
    about: impl Fn(&D) -> bool,
) -> Vec<&'a Signed<D>> {
    let Some(signer) = signer else {
        return Vec::new();
    };
    let documents = papers.iter().filter_map(|paper| kind(paper).as_ref());
    documents
        .filter(|signed| about(&signed.body) && signed.verify(&signer).is_ok())
        .collect()
}
