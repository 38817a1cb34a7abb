//! What the wallet can prove: how a purchase went, and that a bank denies a coin.

use crate::{
    error::WalletError,
    late::look_again,
    recover::status_in,
    rows::{
        COINS, CoinStatus, DENIALS, DENIED, Delivery, EXCHANGES, ExchangeRow, Exhibit, PURCHASES,
        PurchaseRow, SENT_FINISHES,
    },
    wallet::Wallet,
};
use farthing_coin::{Coin, PublicKey, Signed};
use farthing_node::card::{Card, RoleName};
use farthing_protocol::{
    denial::{CoinDenial, Denial, DenialCause},
    documents::{EarlierUse, Issued},
    evidence::{Papers, ShownUse},
    goods::PurchaseSecret,
    purchase::{Order, Proof, Purchase},
};
use farthing_store::{StoreError, Transaction};

/// What a bank's signed denial says of one of the wallet's coins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CoinWord {
    /// It is used by something that this wallet does not know, such as a copy of it, or what it had sent before it was
    /// lost; and what it is then.
    Used(PublicKey, CoinStatus),
    /// It is used by this purchase of the wallet's own, which came to light after the coin was put to something else.
    Mine(PublicKey, u64),
    /// It went into the exchange of this number of the wallet's own, and this was given for it.
    Exchanged(Coin, u64, Box<Signed<Issued>>),
    /// It is not good, and nothing proves that.
    Denied(Coin, Box<Signed<Denial>>),
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
                let status = status_in(&row.purchase, number);
                if row.delivery == Delivery::OnDemand {
                    let delivery = Delivery::Pending;
                    PURCHASES.put(tx, &number, &PurchaseRow { delivery, ..row })?;
                }
                Some((coin, status))
            }
            CoinWord::Exchanged(..) => None,
            CoinWord::Denied(coin, denial) => {
                DENIALS.put(tx, &(coin.key_id, coin.public), &denial)?;
                None
            }
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
        let older = self.all(&DENIED)?.into_iter();
        let older = older.map(|(key, used)| (key, None, used));
        let signed = self.all(&DENIALS)?.into_iter();
        let signed = signed.map(|(key, denial)| (key, Some(denial), None));
        for (key, denial, used) in signed.chain(older) {
            // One that was taken after all is among those of the past.
            let Some(row) = COINS.peek(&view, &key)? else {
                continue;
            };
            let bank = self.party_by_key(RoleName::Bank, &row.bank)?;
            let uses = used.map(|used| ShownUse {
                key_id: key.0,
                coin: key.1,
                used,
                issued: None,
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
            // The purchase that the bank says it was used for, if that was aborted.
            if let Some(used) = claimed
                && let Some((_, row)) = self.own_purchase(&used.digest)?
            {
                papers.extend(self.papers_of(&row));
            }
        }
        Ok(papers)
    }

    /// What a denial of an exchange of `coins` says of one of them. What this wallet itself has done with a coin is no use
    /// by somebody else. The bank has been shown the abort of purchase `released`, if any.
    pub(crate) async fn coin_word(
        &self,
        coins: &[Coin],
        denial: &Signed<Denial>,
        bank: &Card,
        released: Option<u64>,
    ) -> Result<Option<CoinWord>, WalletError> {
        let (Some(coin), Some(what)) = (named(coins, denial), coin_denial(denial)) else {
            return Ok(None);
        };
        let keys = match what {
            CoinDenial::Exchanged {
                issued: Some(issued), ..
            } => self.keys_of(bank, &issued.body.outputs).await?,
            _ => self.keys_of(bank, &[coin.key_id]).await?,
        };
        let key = keys.get(&coin.key_id).ok_or(WalletError::Inconsistent(
            "a coin's key is not in the list of keys",
        ))?;
        if !denial.body.is_right(key, &keys, std::iter::empty()) {
            return Ok(Some(CoinWord::Denied(coin, Box::new(denial.clone()))));
        }
        let Some(used) = what.used() else { return Ok(None) };
        if let CoinDenial::Exchanged {
            issued: Some(issued), ..
        } = what
            && let Some(number) = self.own_exchange(&bank.identity, issued, &used.digest)?
        {
            return Ok(Some(CoinWord::Exchanged(coin, number, issued.clone())));
        }
        let status = match what {
            // What it is held for may be aborted yet.
            CoinDenial::Held(_) => CoinStatus::HeldElsewhere(*used),
            _ => CoinStatus::UsedElsewhere(*used),
        };
        Ok(match self.own_purchase(&used.digest)? {
            Some((number, _)) if released == Some(number) => None,
            // The bank has shown that it cannot be held for that.
            Some((_, row)) if matches!(row.purchase, Purchase::Recovered(_)) => {
                Some(CoinWord::Used(coin.public, status))
            }
            Some((number, row)) => is_of(&row, &coin).then_some(CoinWord::Mine(coin.public, number)),
            None => Some(CoinWord::Used(coin.public, status)),
        })
    }

    /// What a denial of the hold of `coins` for `purchase` says of one of them, as an escrow passes it on. No coin is given
    /// up for it: it is put to an exchange, where the bank has to show what was given for it.
    pub(crate) fn hold_word(
        &self,
        coins: &[Coin],
        denial: &Signed<Denial>,
        purchase: &[u8; 32],
    ) -> Result<Option<CoinWord>, WalletError> {
        let (Some(coin), Some(what)) = (named(coins, denial), coin_denial(denial)) else {
            return Ok(None);
        };
        if what.used().is_none() {
            return Ok(None);
        }
        let Some(used) = what.authorized_use(&coin.key_id, &coin.public) else {
            return Ok(Some(CoinWord::Denied(coin, Box::new(denial.clone()))));
        };
        Ok(match self.own_purchase(&used.digest)? {
            Some((number, row)) => {
                let is_other = used.digest != *purchase && is_of(&row, &coin);
                is_other.then_some(CoinWord::Mine(coin.public, number))
            }
            None => Some(CoinWord::Used(coin.public, CoinStatus::HeldElsewhere(used))),
        })
    }

    /// The number of the exchange of this wallet's own that `issued` was given for, whose finish has this digest.
    fn own_exchange(
        &self,
        bank: &PublicKey,
        issued: &Signed<Issued>,
        finish: &[u8; 32],
    ) -> Result<Option<u64>, WalletError> {
        let id = issued.body.request_id;
        if let Some(sent) = SENT_FINISHES.peek(&self.store.view(), &(id, *finish))? {
            return Ok(Some(sent.number));
        }
        // One that an older version has sent, or a copy of this wallet.
        let rows = self.all(&EXCHANGES)?;
        let own =
            |((of, _), row): &&((PublicKey, u64), ExchangeRow)| of == bank && row.exchange.request_id == id;
        Ok(rows.iter().find(own).map(|((_, number), _)| *number))
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

/// What a denial says of the coin that it names.
fn coin_denial(denial: &Signed<Denial>) -> Option<&CoinDenial> {
    match &denial.body.cause {
        DenialCause::Coin { what, .. } => Some(what),
        _ => None,
    }
}

/// The use that a denial claims.
fn claimed_use(denial: &Signed<Denial>) -> Option<EarlierUse> {
    coin_denial(denial)?.used().copied()
}

/// The one of `coins` that a denial names.
fn named(coins: &[Coin], denial: &Signed<Denial>) -> Option<Coin> {
    coins.iter().find(|coin| denial.body.names(coin)).copied()
}

/// Whether a coin was put to a purchase.
fn is_of(row: &PurchaseRow, coin: &Coin) -> bool {
    let order = row.purchase.order();
    order.is_some_and(|order| order.payment.coins.contains(coin))
}
