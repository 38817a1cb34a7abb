//! Evidence that the wallet can show: how a purchase ended, that a bank denies a coin or a reserve, and that a server has
//! signed two encryption keys for one day.

use crate::{
    coin_finding::{claimed_use, own_purchase},
    error::WalletError,
    rows::{
        COINS, DENIALS, DENIED, Exhibit, PurchaseRow, RESERVE_DENIALS, RESERVES, ReserveOrigin, ReserveRow,
        TWO_KEYS, all,
    },
    wallet::Wallet,
};
use farthing_coin::{PublicKey, SharedPoint, Signed};
use farthing_node::card::RoleName;
use farthing_protocol::{
    documents::Commit,
    evidence::{Papers, ShownUse},
    ids::SealingContext,
    oblivious::TwoKeys,
    purchase::{Order, Proof, Purchase},
};

impl Wallet {
    /// The documents that prove to anyone how a purchase ended.
    ///
    /// # Errors
    /// [`WalletError::NoReceipt`] when the escrow has signed nothing yet. When the purchase is unknown or the store
    /// fails.
    pub fn papers(&self, number: u64) -> Result<Papers, WalletError> {
        let row = self.purchase(number)?;
        let papers = papers_of(self, &row);
        papers.ok_or(WalletError::NoReceipt {
            number,
            status: row.purchase.status(),
        })
    }

    /// The documents that prove that a bank denies coins that it has issued, by bank.
    ///
    /// # Errors
    /// When the store fails.
    pub fn denied_coins(&self) -> Result<Vec<Papers>, WalletError> {
        let view = self.rows();
        let mut papers: Vec<Papers> = Vec::new();
        let older = all(&view, &DENIED)?.into_iter();
        let older = older.map(|(key, used)| (key, None, used));
        let signed = all(&view, &DENIALS)?.into_iter();
        let signed = signed.map(|(key, denial)| (key, Some(denial), None));
        for (key, denial, used) in signed.chain(older) {
            // A coin that was accepted in the end is among the past coins.
            let Some(row) = COINS.peek(&view, &key)? else {
                continue;
            };
            let bank = self.party_by_key(RoleName::Bank, &row.bank)?;
            let uses = used.map(|used| ShownUse {
                key_id: key.0,
                coin: key.1,
                used,
                issued: None,
                deposited: None,
            });
            let claimed = denial.as_ref().and_then(claimed_use).or(used);
            let known = |paper: &&mut Papers| {
                let list = paper.keys.as_ref();
                list.is_some_and(|list| list.body.bank == row.bank)
            };
            let paper = match papers.iter_mut().find(known) {
                Some(paper) => paper,
                None => {
                    papers.push(Papers {
                        keys: self.stored_keys(&bank)?.map(|book| book.signed().clone()),
                        ..Papers::default()
                    });
                    papers
                        .last_mut()
                        .ok_or(WalletError::Inconsistent("papers are missing"))?
                }
            };
            if !paper.coins.contains(&row.coin) {
                paper.coins.push(row.coin);
            }
            paper.denials.extend(denial);
            paper.uses.extend(uses);
            // The purchase for which the bank says that the coin was used, if that purchase was aborted.
            if let Some(used) = claimed
                && let Some((_, row)) = own_purchase(&view, &used.purchase())?
            {
                papers.extend(papers_of(self, &row));
            }
        }
        Ok(papers)
    }
}

impl Wallet {
    /// The documents about reserves that banks deny and of which the wallet has got less than was credited. With them a bank
    /// has to show who has the rest: a copy of this wallet may have it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn denied_reserves(&self) -> Result<Vec<Papers>, WalletError> {
        let view = self.rows();
        let mut papers = Vec::new();
        for (at, denial) in all(&view, &RESERVE_DENIALS)? {
            let Some(row) = RESERVES.peek(&view, &at)?.filter(ReserveRow::is_lacking) else {
                continue;
            };
            let bank = self.party_by_key(RoleName::Bank, &at.0)?;
            papers.push(Papers {
                keys: self.stored_keys(&bank)?.map(|book| book.signed().clone()),
                denials: vec![denial],
                ..self.papers_of_change(&at.0, &row.origin)?
            });
        }
        Ok(papers)
    }

    /// The documents of the purchase whose change is in a reserve, with its coins. None, if it is not of a purchase.
    fn papers_of_change(&self, bank: &PublicKey, origin: &ReserveOrigin) -> Result<Papers, WalletError> {
        let mut purchases = self.purchases()?.into_iter();
        let found = purchases.find(|(_, row)| row.is_paid_at(bank, origin));
        let papers = found.and_then(|(_, row)| {
            let coins = row.purchase.order()?.payment.coins.clone();
            Some(Papers {
                coins,
                ..papers_of(self, &row)?
            })
        });
        Ok(papers.unwrap_or_default())
    }
}

impl Wallet {
    /// The proofs that servers have signed two encryption keys for one day, by the servers' identity keys.
    ///
    /// # Errors
    /// When the store fails.
    pub fn two_keys(&self) -> Result<Vec<(PublicKey, TwoKeys)>, WalletError> {
        Ok(all(&self.rows(), &TWO_KEYS)?)
    }

    /// The documents that prove that servers have signed two encryption keys for one day, by server.
    ///
    /// # Errors
    /// When the store fails.
    pub fn two_keys_papers(&self) -> Result<Vec<Papers>, WalletError> {
        let papers = |(_, TwoKeys { first, second })| Papers {
            encryption_keys: vec![first, second],
            ..Papers::default()
        };
        Ok(self.two_keys()?.into_iter().map(papers).collect())
    }
}

fn papers_of(wallet: &Wallet, row: &PurchaseRow) -> Option<Papers> {
    let order = row.purchase.order()?;
    let mut papers = Papers {
        contract: Some(order.contract.clone()),
        ..Papers::default()
    };
    match &row.purchase {
        Purchase::Committed(_, Proof::Receipt(receipt)) => papers.receipt = Some((**receipt).clone()),
        Purchase::Committed(_, Proof::Commit(commit, _)) => papers.commit = Some((**commit).clone()),
        Purchase::Committed(_, Proof::Stream(stream, _)) => {
            papers.commit = Some(stream.commit.clone());
            papers.voucher = Some(stream.voucher.clone());
        }
        Purchase::Streaming(_, opened) => papers.opened = Some(opened.clone()),
        Purchase::Committed(_, Proof::Free(receipt)) => papers.free_receipt = Some((**receipt).clone()),
        Purchase::Aborted(_, abort) => papers.abort = Some(abort.clone()),
        _ => {}
    }
    // A document that convicts the escrow replaces one that does not.
    for exhibit in &row.exhibits {
        match exhibit {
            Exhibit::Receipt(receipt) => papers.receipt = Some((**receipt).clone()),
            Exhibit::Commit(commit) => papers.commit = Some((**commit).clone()),
            Exhibit::Abort(abort) => papers.abort = Some(abort.clone()),
            Exhibit::Hold(hold) => papers.hold = Some((**hold).clone()),
            Exhibit::Stream(stream) => {
                papers.commit = Some(stream.commit.clone());
                papers.voucher = Some(stream.voucher.clone());
            }
            Exhibit::Raised(raised) => papers.raised = Some((**raised).clone()),
            Exhibit::Tick(tick) => papers.tick = Some((**tick).clone()),
        }
    }
    if papers.commit.is_some() {
        papers.purchase_point = papers
            .commit
            .as_ref()
            .and_then(|commit| point(wallet, order, commit));
    }
    let has_an_end = papers.receipt.is_some()
        || papers.free_receipt.is_some()
        || papers.commit.is_some()
        || papers.abort.is_some()
        || papers.tick.is_some();
    has_an_end.then_some(papers)
}

/// The point that opens the goods key in a commit, and nothing else.
fn point(wallet: &Wallet, order: &Order, commit: &Signed<Commit>) -> Option<SharedPoint> {
    let terms = &order.contract.terms;
    let purchase_key = wallet.seed_for(&terms.bank).purchase_key(order.counter);
    let context = SealingContext::from(terms.purchase_id());
    let ephemeral = &commit.body.sealed_key.ephemeral;
    purchase_key.show_shared_point(ephemeral, &context.0).ok()
}
