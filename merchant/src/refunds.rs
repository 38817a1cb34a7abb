//! Refunds: what the merchant gives back of a sale. The operator sets the total, and it is brought to the bank until the
//! bank confirms it.
//!
//! The customer stays unknown. The bank credits the reserve of the purchase key, which only the customer's wallet has.

use crate::events::{append, event_reads};
use crate::merchant::Merchant;
use crate::rows::{EventKind, OPEN_REFUNDS, REFUNDS, Refund, SALES, Sale, SaleState};
use farthing_coin::{PublicKey, Signed};
use farthing_node::call::{CallError, ask};
use farthing_node::card::RoleName;
use farthing_node::process::StopToken;
use farthing_protocol::{
    documents::{PurchaseId, Terms},
    limits::REPLY_TIMEOUT,
    money::{Amount, amount_text},
    refund::{RefundRequest, Refunded},
};
use farthing_store::{Reads, RowKey, StoreError, Transaction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// The most open refunds that are read at once.
pub const REFUNDS_PAGE_MAX: usize = 64;

/// The first pause after a round that leaves refunds open (ms). It doubles with each further one.
pub const RETRY_FIRST_MS: u64 = 500;

/// The longest pause while refunds are open (ms).
pub const RETRY_MAX_MS: u64 = 60_000;

/// How often an empty list of open refunds is read (ms).
pub const IDLE_MS: u64 = 60_000;

/// The topic of the complaints about refunds that a bank refuses.
const TOPIC_REFUSED: &str = "refund refused";

/// The topic of the complaints about a list that cannot be read.
const TOPIC_UNREADABLE: &str = "refunds unreadable";

/// What was refunded of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundLine {
    /// The sale.
    pub purchase: PurchaseId,
    /// What was paid: the price, or less for a stream.
    #[serde(with = "amount_text")]
    pub price: Amount,
    /// The currency.
    pub currency: String,
    /// What is refunded of it in all.
    #[serde(with = "amount_text")]
    pub total: Amount,
    /// What the bank has confirmed of it.
    #[serde(with = "amount_text")]
    pub confirmed: Amount,
    /// Why the bank has not refunded all of it, as far as it has said.
    pub why: Option<String>,
}

impl RefundLine {
    pub(crate) fn new(purchase: PurchaseId, sale: &Sale, refund: &Refund) -> Self {
        let terms = &sale.contract.terms;
        Self {
            purchase,
            price: sale.paid().unwrap_or(terms.price),
            currency: terms.currency.clone(),
            total: refund.total,
            confirmed: refund.confirmed(),
            why: refund.why.clone(),
        }
    }
}

/// The total of a new refund of `sale`, after the refund that there is.
///
/// # Errors
/// A message for the operator.
pub(crate) fn check(sale: &Sale, before: Option<&Refund>, total: Option<Amount>) -> Result<Amount, String> {
    let price = sale.paid().unwrap_or(sale.contract.terms.price);
    let total = total.unwrap_or(price);
    let before = before.map(|refund| refund.total).unwrap_or_default();
    match &sale.state {
        SaleState::Credited(..) | SaleState::StreamCredited(..) => {}
        other => {
            return Err(format!(
                "the sale is `{}`, and only a sale that the bank has credited can be refunded; nothing was changed",
                other.as_str()
            ));
        }
    }
    if total > price {
        return Err(format!(
            "{price} were paid, so {total} cannot be refunded; nothing was changed"
        ));
    }
    if total == Amount(0) || total < before {
        return Err(format!(
            "{before} of this sale are refunded already, and a refund is not taken back; give the total of all its refunds, \
             from {before} to {price}"
        ));
    }
    Ok(total)
}

/// The rows that [`begin`] reads.
pub(crate) fn begin_reads(purchase: &PurchaseId) -> [RowKey; 2] {
    [SALES.key(purchase), REFUNDS.key(purchase)]
}

/// Raises what is refunded of a sale to `total`. The background work brings it to the bank.
///
/// # Errors
/// When the sale was forgotten since it was found, or the store fails.
pub(crate) fn begin(
    tx: &mut Transaction<'_>,
    purchase: &PurchaseId,
    total: Amount,
) -> Result<Refund, StoreError> {
    if SALES.get(tx, purchase)?.is_none() {
        return Err(StoreError::Refused(
            "the sale is long past and was just forgotten; nothing was changed".into(),
        ));
    }
    let before = REFUNDS.get(tx, purchase)?.unwrap_or_default();
    if before.total >= total {
        return Ok(before);
    }
    let refund = Refund {
        total,
        why: None,
        ..before
    };
    REFUNDS.put(tx, purchase, &refund)?;
    OPEN_REFUNDS.put(tx, purchase, &())?;
    Ok(refund)
}

/// The rows that [`keep_answer`] reads.
fn answer_reads(purchase: &PurchaseId) -> [RowKey; 3] {
    [REFUNDS.key(purchase), OPEN_REFUNDS.key(purchase), event_reads()]
}

/// Stores the bank's answer to the request for `asked`.
fn keep_answer(
    tx: &mut Transaction<'_>,
    purchase: &PurchaseId,
    asked: Amount,
    answer: &Result<Signed<Refunded>, String>,
    now_ms: u64,
) -> Result<(), StoreError> {
    let Some(refund) = REFUNDS.get(tx, purchase)? else {
        return Ok(());
    };
    let refund = match answer {
        Ok(refunded) if asked > refund.confirmed() => {
            append(tx, now_ms, EventKind::Refunded(*purchase, asked))?;
            Refund {
                refunded: Some(refunded.clone()),
                why: None,
                ..refund
            }
        }
        Ok(_) => return Ok(()),
        Err(why) if refund.why.as_ref() == Some(why) => return Ok(()),
        Err(why) => Refund {
            why: Some(why.clone()),
            ..refund
        },
    };
    // The operator may have raised the total in the meantime.
    if refund.confirmed() >= refund.total {
        OPEN_REFUNDS.delete(tx, purchase)?;
    }
    REFUNDS.put(tx, purchase, &refund)
}

/// Whether the bank's answer is about this request.
fn fits(refunded: &Signed<Refunded>, request: &RefundRequest, terms: &Terms) -> bool {
    let expected = Refunded {
        bank: request.bank,
        purchase: request.purchase,
        reserve: terms.purchase_key,
        total: request.total,
    };
    refunded.body == expected && refunded.verify(&request.bank).is_ok()
}

impl Merchant {
    pub(crate) async fn keep_refunds(self: &Arc<Self>, stop: &StopToken) {
        let mut pause_ms = RETRY_FIRST_MS;
        loop {
            let open = self.refunds_round().await.unwrap_or_else(|error| {
                self.complaints.tell(TOPIC_UNREADABLE, &"", |times| {
                    tracing::error!(%error, times, "cannot read the open refunds; it is tried again");
                });
                1
            });
            let wait_ms = if open == 0 { IDLE_MS } else { pause_ms };
            pause_ms = match open {
                0 => RETRY_FIRST_MS,
                _ => pause_ms.saturating_mul(2).min(RETRY_MAX_MS),
            };
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = self.refund_asked.notified() => pause_ms = RETRY_FIRST_MS,
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            }
        }
    }

    /// Brings every open refund to its bank. Returns how many are still open.
    ///
    /// A bank that does not answer is asked once in a round. Refunds at other banks do not wait for its other refunds.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn refunds_round(&self) -> Result<usize, StoreError> {
        let mut open: usize = 0;
        let mut last: Option<PurchaseId> = None;
        let mut silent: BTreeSet<PublicKey> = BTreeSet::new();
        loop {
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = OPEN_REFUNDS.scan(&self.store.view(), from, REFUNDS_PAGE_MAX)?;
            let Some((end, ())) = page.last() else {
                return Ok(open);
            };
            last = Some(*end);
            for (purchase, ()) in page {
                let is_done = self.refund(purchase, &mut silent).await?;
                open = open.saturating_add(usize::from(!is_done));
            }
        }
    }

    /// Brings one refund to its bank, unless it is one of the `silent` banks. Returns whether it is confirmed.
    async fn refund(
        &self,
        purchase: PurchaseId,
        silent: &mut BTreeSet<PublicKey>,
    ) -> Result<bool, StoreError> {
        let view = self.store.view();
        let (Some(sale), Some(refund)) = (SALES.peek(&view, &purchase)?, REFUNDS.peek(&view, &purchase)?)
        else {
            return Ok(true);
        };
        let terms = &sale.contract.terms;
        if silent.contains(&terms.bank) {
            return Ok(false);
        }
        let request = RefundRequest {
            bank: terms.bank,
            account: terms.account,
            purchase,
            escrow: terms.escrow,
            total: refund.total,
        };
        let answer = match self.ask_refund(request).await {
            Ok(refunded) if fits(&refunded, &request, terms) => Ok(refunded),
            Ok(_) => Err("the bank's answer does not fit the refund".to_owned()),
            Err(CallError::Refused(refusal)) => Err(refusal.to_string()),
            Err(error) => {
                tracing::debug!(%purchase, %error, "a bank does not answer; the refund is sent again");
                if matches!(error, CallError::Network(_)) {
                    silent.insert(terms.bank);
                }
                return Ok(false);
            }
        };
        match &answer {
            Ok(_) => {
                self.complaints.clear(TOPIC_REFUSED, &purchase);
            }
            Err(why) => self.complaints.tell(TOPIC_REFUSED, &purchase, |times| {
                tracing::error!(%purchase, %why, times, "a bank has not carried out a refund; it is sent again");
            }),
        }
        let (is_confirmed, total, now_ms) = (answer.is_ok(), refund.total, self.clock.now_ms());
        let kept = self
            .store
            .transact(Reads::from(answer_reads(&purchase)), move |tx| {
                keep_answer(tx, &purchase, total, &answer, now_ms)
            });
        kept.await?;
        Ok(is_confirmed)
    }

    async fn ask_refund(&self, request: RefundRequest) -> Result<Signed<Refunded>, CallError> {
        let link = self.peers.link(RoleName::Bank, &request.bank)?;
        let signed = Signed::sign(request, &self.secret.account_key());
        ask(&*link, signed, REPLY_TIMEOUT).await
    }
}
