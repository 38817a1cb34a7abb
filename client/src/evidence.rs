//! What the wallet can prove: how a purchase went, and that a bank denies a coin.

use crate::{
    error::WalletError,
    late::look_again,
    rows::{COINS, CoinStatus, DENIED, Delivery, Exhibit, PURCHASES, PurchaseRow},
    wallet::Wallet,
};
use farthing_coin::{Coin, PublicKey};
use farthing_node::{
    card::RoleName,
    store::{StoreError, Transaction},
};
use farthing_protocol::{
    documents::EarlierUse,
    evidence::{Papers, ShownUse},
    goods::PurchaseSecret,
    purchase::{Order, Proof, Purchase},
    refusal::{CoinFault, CoinsFault, Refusal},
};

/// What a bank's refusal says of one of the wallet's coins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CoinWord {
    /// It is used by something that this wallet does not know, such as a copy of it, or what it had sent before it was
    /// lost; and what it is then.
    Used(PublicKey, CoinStatus),
    /// It is used by this purchase of the wallet's own, which came to light after the coin was put to something else.
    Mine(PublicKey, u64),
    /// It is not good, and nothing proves that it was used.
    Denied(Coin, Option<EarlierUse>),
}

impl CoinWord {
    /// The coin that is used otherwise, and what it is from now on. What uses it is looked for, or carried on.
    pub(crate) fn take_effect(
        self,
        tx: &mut Transaction<'_>,
        bank: &PublicKey,
        now_ms: u64,
    ) -> Result<Option<(PublicKey, CoinStatus)>, StoreError> {
        Ok(match self {
            CoinWord::Used(coin, status) => {
                look_again(tx, bank, now_ms)?;
                Some((coin, status))
            }
            CoinWord::Mine(coin, number) => {
                let Some(row) = PURCHASES.get(tx, &number)? else {
                    return Ok(None);
                };
                let status = match row.purchase {
                    Purchase::Committed(..) => CoinStatus::Spent(number),
                    Purchase::Aborted(..) => CoinStatus::Released(number),
                    _ => CoinStatus::InPurchase(number),
                };
                if row.delivery == Delivery::OnDemand {
                    let delivery = Delivery::Pending;
                    PURCHASES.put(tx, &number, &PurchaseRow { delivery, ..row })?;
                }
                Some((coin, status))
            }
            CoinWord::Denied(..) => None,
        })
    }
}

impl Wallet {
    /// What proves to anyone how a purchase went.
    ///
    /// # Errors
    /// When the escrow has signed nothing yet.
    pub fn papers(&self, number: u64) -> Result<Papers, WalletError> {
        let row = self.purchase(number)?;
        let papers = self.papers_of(&row);
        papers.ok_or(WalletError::NoReceipt {
            number,
            status: row.purchase.status(),
        })
    }

    fn papers_of(&self, row: &PurchaseRow) -> Option<Papers> {
        let order = row.purchase.order()?;
        let mut papers = Papers {
            contract: Some(order.contract.clone()),
            ..Papers::default()
        };
        match &row.purchase {
            Purchase::Committed(_, Proof::Receipt(receipt)) => papers.receipt = Some((**receipt).clone()),
            Purchase::Committed(_, Proof::Commit(commit, _)) => papers.commit = Some((**commit).clone()),
            Purchase::Aborted(_, abort) => papers.abort = Some(abort.clone()),
            _ => {}
        }
        // What convicts the escrow comes before what does not.
        for exhibit in &row.exhibits {
            match exhibit {
                Exhibit::Receipt(receipt) => papers.receipt = Some((**receipt).clone()),
                Exhibit::Commit(commit) => papers.commit = Some((**commit).clone()),
                Exhibit::Abort(abort) => papers.abort = Some(abort.clone()),
                Exhibit::Hold(hold) => papers.hold = Some((**hold).clone()),
            }
        }
        if papers.commit.is_some() {
            papers.purchase_secret = Some(self.purchase_secret(order));
        }
        let decided = papers.receipt.is_some() || papers.commit.is_some() || papers.abort.is_some();
        decided.then_some(papers)
    }

    /// The purchase's key, disclosed: what opens the goods key in a commit.
    fn purchase_secret(&self, order: &Order) -> PurchaseSecret {
        let seed = self.seed_for(&order.contract.terms.bank);
        PurchaseSecret::from_bytes(*seed.purchase_key(order.counter).to_bytes())
    }

    /// What proves that a bank denies coins that it has issued, by bank.
    ///
    /// # Errors
    /// When the store fails.
    pub fn denied_coins(&self) -> Result<Vec<Papers>, WalletError> {
        let view = self.store.view();
        let mut papers: Vec<Papers> = Vec::new();
        for (key, used) in self.all(&DENIED)? {
            // One that was taken after all is among those of the past.
            let Some(row) = COINS.peek(&view, &key)? else {
                continue;
            };
            let bank = self.party_by_key(RoleName::Bank, &row.bank)?;
            let uses = used.map(|used| ShownUse {
                key_id: key.0,
                coin: key.1,
                used,
            });
            let known = |paper: &&mut Papers| {
                let list = paper.keys.as_ref();
                list.is_some_and(|list| list.body.bank == row.bank)
            };
            match papers.iter_mut().find(known) {
                Some(paper) => {
                    paper.coins.push(row.coin);
                    paper.uses.extend(uses);
                }
                None => papers.push(Papers {
                    keys: self.stored_keys(&bank)?.map(|book| book.signed().clone()),
                    coins: vec![row.coin],
                    uses: uses.into_iter().collect(),
                    ..Papers::default()
                }),
            }
            // The purchase that the bank says it was used for, if that was aborted.
            if let Some(used) = used
                && let Some((_, row)) = self.own_purchase(&used.digest)?
            {
                papers.extend(self.papers_of(&row));
            }
        }
        Ok(papers)
    }

    /// What a refusal of the request of `digest` says of one of `coins`, whatever it proves. What this wallet itself has
    /// done with a coin is no use by somebody else. The bank has been shown the abort of purchase `released`, if any.
    pub(crate) fn coin_word(
        &self,
        coins: &[Coin],
        refusal: &Refusal,
        digest: &[u8; 32],
        released: Option<u64>,
    ) -> Result<Option<CoinWord>, WalletError> {
        let Refusal::Coins(CoinsFault { index, what }) = refusal else {
            return Ok(None);
        };
        let Some(coin) = coins.get(*index) else {
            return Ok(None);
        };
        let used = match what {
            CoinFault::AlreadyHeld(used)
            | CoinFault::AlreadySpent(used)
            | CoinFault::AlreadyExchanged(used) => Some(*used),
            // The wallet has verified it, when it came.
            CoinFault::UnknownKey | CoinFault::Invalid(_) => None,
            _ => return Ok(None),
        };
        let denied = Some(CoinWord::Denied(*coin, used));
        let Some(used) = used else {
            return Ok(denied);
        };
        match self.own_purchase(&used.digest)? {
            Some((number, _)) if released == Some(number) => Ok(denied),
            Some((number, row)) => {
                let order = row.purchase.order().filter(|_| used.digest != *digest);
                let is_mine = order.is_some_and(|order| order.payment.coins.contains(coin));
                let is_proven = is_mine && used.verify(coin).is_ok();
                Ok(is_proven.then_some(CoinWord::Mine(coin.public, number)))
            }
            None if used.verify(coin).is_err() => Ok(denied),
            None => {
                let status = match what {
                    // What it is held for may be aborted yet.
                    CoinFault::AlreadyHeld(_) => CoinStatus::HeldElsewhere(used),
                    _ => CoinStatus::UsedElsewhere(used),
                };
                let proven = what.proven_use(coin, digest);
                Ok(proven.map(|_| CoinWord::Used(coin.public, status)))
            }
        }
    }

    /// The purchase of this wallet's with this id, and its number.
    fn own_purchase(&self, id: &[u8; 32]) -> Result<Option<(u64, PurchaseRow)>, WalletError> {
        let is_it = |(_, row): &(u64, PurchaseRow)| {
            row.purchase
                .order()
                .is_some_and(|order| order.purchase().0 == *id)
        };
        Ok(self.all(&PURCHASES)?.into_iter().find(is_it))
    }
}
