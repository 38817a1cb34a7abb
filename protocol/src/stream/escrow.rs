//! The escrow's part of a stream: it opens, is raised, and ends.

use super::{
    chain::{fits, key_at},
    documents::{Opened, Raised, Voucher},
    merchant::{check_voucher, check_voucher_signature},
};
use crate::{
    contract::HeldContract,
    decide::{Release, VerifiedOverdue, VerifiedRelease},
    decision::{Decided, Decision},
    documents::{AbortReason, Close, Contract, Overdue, Terms},
    goods::GoodsKey,
    hold::{AgreedHold, HoldRequest},
    ids::{PurchaseId, SaleId, SealingContext},
    limits::{RAISES_MAX, RAISES_PER_CUSTOMER_MAX},
    refusal::{ContractFault, Later, PurchaseFault, Refusal, RequestFault},
    request::check_recipient,
    seal::{SealedKey, open_goods_key, seal_goods_key},
    sealed::check_sealed,
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// From the wallet to the escrow: hold the coins, and open the stream. The answer is how the purchase stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest(pub HoldRequest);

/// From wallet or merchant to the escrow: shows a voucher.
///
/// Who has the voucher is paid with it, or has paid with it. So nobody else signs the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaiseRequest {
    /// The voucher.
    pub voucher: Signed<Voucher>,
    /// Whether the key of its last tick is wanted. The merchant has it.
    pub wants_key: bool,
}

/// The answer to a voucher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaiseReply {
    /// The escrow's promise to commit at least the voucher's ticks.
    pub raised: Signed<Raised>,
    /// The key of the voucher's last tick, if it was wanted.
    pub key: Option<GoodsKey>,
}

impl RaiseReply {
    /// Whether the escrow of these terms promises to commit what the voucher pays for.
    pub fn promises(&self, voucher: &Voucher, terms: &Terms) -> bool {
        let Voucher { purchase, ticks, .. } = *voucher;
        self.raised.body == Raised { purchase, ticks } && self.raised.verify(&terms.escrow).is_ok()
    }
}

/// From the merchant to the escrow: end the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseRequest {
    /// The merchant's word. If there is no voucher, it becomes the cause of the abort.
    pub close: Signed<Close>,
    /// The highest voucher that the merchant has.
    pub voucher: Option<Signed<Voucher>>,
}

// ---- open -------------------------------------------------------------------------------------------------

/// An open stream as the escrow keeps it. The decision takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenStream {
    /// The terms.
    pub terms: Terms,
    /// How many ticks the offer has.
    pub ticks: u32,
    /// The key of the last tick.
    pub last_key: GoodsKey,
    /// The bank's hold and the escrow's promise.
    pub opened: Opened,
    /// The highest voucher that the escrow was shown.
    pub voucher: Option<Signed<Voucher>>,
    /// How many vouchers it has stored.
    pub raises: u16,
    /// How many of them came from the customer.
    pub customers_raises: u8,
}

/// Verifies the parts of a request to open a stream that do not depend on time or on the bank's keys.
///
/// # Errors
/// Names the first part that is wrong.
pub fn verify_open(request: OpenRequest, self_id: &PublicKey) -> Result<AgreedHold, Refusal> {
    let OpenRequest(HoldRequest { contract, payment }) = request;
    check_recipient(&contract.terms.escrow, self_id)?;
    let contract = contract.verified_stream()?;
    check_sealed(&contract)?;
    Ok(AgreedHold::new(contract, payment))
}

/// A contract on a stream, whose coins are held, with the key of its last tick. Only [`open_stream`] makes one.
#[derive(Debug)]
pub struct VerifiedOpen {
    stream: OpenStream,
    purchase: PurchaseId,
    sale: (PublicKey, SaleId),
}

/// Opens the goods key of a stream's offer with the escrow's own `key`. The coins are held.
///
/// A key that does not open, or does not lead to the offer's commitment, is the merchant's fault. Then the result is the
/// release of the coins, as on any sealed offer.
///
/// # Errors
/// When the offer is no stream's, or [`open_release`](crate::sealed::open_release) would refuse it.
pub fn open_stream(
    held: HeldContract,
    key: &SecretKey,
    ephemeral: impl FnOnce(&PurchaseId) -> SecretKey,
) -> Result<Result<VerifiedOpen, VerifiedRelease>, Refusal> {
    let Contract { terms, offer, .. } = held.contract();
    let offer = &offer.body;
    let no_stream = || ContractFault::DoesNotFit("stream, which it is none of".into());
    let (ticks, sealed) = offer
        .ticks()
        .zip(offer.sealed_key.as_ref())
        .ok_or_else(no_stream)?;
    let context = offer.sealing_context();
    let opened = open_goods_key(key, &context, &sealed.sealed).ok();
    let Some(last_key) = opened.filter(|last| fits(&offer.key_commitment, last, ticks)) else {
        let shown = key.show_shared_point(&sealed.sealed.ephemeral, &context.0);
        let shown = shown.map_err(|_| no_stream())?;
        let release = Release::Coins(AbortReason::WrongKey(Box::new(shown)));
        return VerifiedRelease::new(terms.clone(), offer, release, ephemeral).map(Err);
    };
    Ok(Ok(VerifiedOpen {
        purchase: terms.purchase_id(),
        sale: (offer.merchant, offer.sale_id),
        stream: OpenStream {
            terms: terms.clone(),
            ticks,
            last_key,
            opened: Opened {
                bank_hold: held.bank_hold().clone(),
            },
            voucher: None,
            raises: 0,
            customers_raises: 0,
        },
    }))
}

impl VerifiedOpen {
    /// The terms.
    pub fn terms(&self) -> &Terms {
        &self.stream.terms
    }

    /// The purchase. The escrow loads its row.
    pub fn purchase(&self) -> PurchaseId {
        self.purchase
    }

    /// Merchant and sale id. A stream is sold once, as its keys are one chain. The escrow loads the row of this sale.
    pub fn single_sale(&self) -> (PublicKey, SaleId) {
        self.sale
    }

    /// The row of the open stream, unless it is open already.
    ///
    /// `sold_to` is the purchase that has the sale.
    ///
    /// # Errors
    /// When the deadline has passed, or another purchase has the sale.
    pub fn respond(
        &self,
        open: Option<&OpenStream>,
        sold_to: Option<PurchaseId>,
        now_ms: u64,
    ) -> Result<Option<OpenStream>, PurchaseFault> {
        if open.is_some() {
            return Ok(None);
        }
        if now_ms >= self.stream.terms.deadline_ms {
            return Err(PurchaseFault::DeadlinePassed(self.purchase));
        }
        if sold_to.is_some_and(|other| other != self.purchase) {
            return Err(PurchaseFault::Sold);
        }
        Ok(Some(self.stream.clone()))
    }
}

// ---- raise ------------------------------------------------------------------------------------------------

/// A voucher that pays for ticks of an open or decided stream. Only [`verify_raise`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedRaise {
    voucher: Signed<Voucher>,
    by_customer: bool,
}

/// What the escrow knows of a stream: it is open, or it was committed.
#[derive(Debug, Clone, Copy)]
pub enum KnownStream<'a> {
    /// The row of an open stream.
    Open(&'a OpenStream),
    /// The terms, voucher and key of a committed one.
    Committed(&'a Terms, &'a Signed<Voucher>, &'a GoodsKey),
}

impl<'a> KnownStream<'a> {
    /// What the rows of a purchase say. `None` if they are not those of a stream.
    pub fn of(open: Option<&'a OpenStream>, decision: Option<&'a Decision>) -> Option<Self> {
        match (decision, open) {
            (
                Some(Decision::Streamed {
                    terms, voucher, key, ..
                }),
                _,
            ) => Some(KnownStream::Committed(terms, voucher, key)),
            (None, Some(open)) => Some(KnownStream::Open(open)),
            _ => None,
        }
    }
}

/// Verifies a voucher against a stream that is open or was committed.
///
/// # Errors
/// When the purchase key did not sign it, or it does not pay what its ticks cost. When the stream was committed with fewer
/// ticks.
pub fn verify_raise(
    voucher: &Signed<Voucher>,
    known: KnownStream<'_>,
    by_customer: bool,
) -> Result<VerifiedRaise, Refusal> {
    match known {
        KnownStream::Open(open) => check_voucher(voucher, &open.terms, open.ticks)?,
        KnownStream::Committed(terms, last, _) => {
            if voucher.body.ticks > last.body.ticks {
                return Err(PurchaseFault::Committed(voucher.body.purchase).into());
            }
            check_voucher_signature(voucher, terms)?;
        }
    }
    Ok(VerifiedRaise {
        voucher: voucher.clone(),
        by_customer,
    })
}

impl VerifiedRaise {
    /// The purchase. The escrow loads its row.
    pub fn purchase(&self) -> PurchaseId {
        self.voucher.body.purchase
    }

    /// The stream with this voucher, or `None` if a voucher for as many ticks is stored.
    ///
    /// # Errors
    /// When the customer, or anyone, has shown too many.
    pub fn respond(&self, open: &OpenStream) -> Result<Option<OpenStream>, Refusal> {
        let stored = open.voucher.as_ref().map_or(0, |voucher| voucher.body.ticks);
        if self.voucher.body.ticks <= stored {
            return Ok(None);
        }
        let too_many = self.by_customer && open.customers_raises >= RAISES_PER_CUSTOMER_MAX;
        if too_many || open.raises >= RAISES_MAX {
            return Err(ContractFault::DoesNotFit("number of vouchers shown to the escrow".into()).into());
        }
        Ok(Some(OpenStream {
            voucher: Some(self.voucher.clone()),
            raises: open.raises.saturating_add(1),
            customers_raises: open.customers_raises.saturating_add(self.by_customer.into()),
            ..open.clone()
        }))
    }

    /// The answer, after the voucher is durable. `known` is the stream from before or after that.
    pub fn reply(&self, known: KnownStream<'_>, wants_key: bool, key: &SecretKey) -> RaiseReply {
        let Voucher { purchase, ticks, .. } = self.voucher.body;
        let (last, at) = match known {
            KnownStream::Open(open) => (&open.last_key, open.ticks),
            KnownStream::Committed(_, voucher, key) => (key, voucher.body.ticks),
        };
        RaiseReply {
            raised: Signed::sign(Raised { purchase, ticks }, key),
            key: wants_key.then(|| key_at(last, at, ticks)),
        }
    }
}

// ---- end --------------------------------------------------------------------------------------------------

/// Why a stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The merchant closes it.
    Closed(Signed<Close>),
    /// The bank says that it is overdue.
    Overdue(Signed<Overdue>),
}

/// A merchant's word that ends an open stream, with the highest voucher that it has. Only [`verify_close`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedClose {
    ending: Ending,
    voucher: Option<Signed<Voucher>>,
}

/// Verifies a merchant's word that ends an open stream.
///
/// # Errors
/// When it is for another escrow, the merchant did not sign it, or the voucher does not pay for ticks of the stream.
pub fn verify_close(
    request: &CloseRequest,
    open: &OpenStream,
    self_id: &PublicKey,
) -> Result<VerifiedClose, Refusal> {
    let CloseRequest { close, voucher } = request;
    check_recipient(&close.body.escrow, self_id)?;
    close
        .verify(&open.terms.merchant)
        .map_err(|why| RequestFault::Signature {
            whose: "merchant's".into(),
            why: why.to_string(),
        })?;
    if let Some(voucher) = voucher {
        check_voucher(voucher, &open.terms, open.ticks)?;
    }
    Ok(VerifiedClose {
        ending: Ending::Closed(close.clone()),
        voucher: voucher.clone(),
    })
}

impl VerifiedClose {
    /// Prepares the decision that the row `open` leads to.
    ///
    /// # Errors
    /// When the purchase key of the terms is none.
    pub fn prepare(
        self,
        open: &OpenStream,
        ephemeral: impl FnOnce(&PurchaseId) -> SecretKey,
    ) -> Result<PreparedEnding, Refusal> {
        PreparedEnding::new(open, self.ending, self.voucher, ephemeral)
    }
}

/// A decision on an open stream, made before its transaction: the key is sealed outside of the serial part.
#[derive(Debug)]
pub struct PreparedEnding {
    terms: Terms,
    purchase: PurchaseId,
    ending: Ending,
    paid: Option<(Signed<Voucher>, GoodsKey, SealedKey)>,
}

impl PreparedEnding {
    /// The decision on a stream that is overdue, as its bank says.
    ///
    /// # Errors
    /// When the purchase key of the terms is none.
    pub fn overdue(
        open: &OpenStream,
        overdue: &VerifiedOverdue,
        ephemeral: impl FnOnce(&PurchaseId) -> SecretKey,
    ) -> Result<Self, Refusal> {
        Self::new(
            open,
            Ending::Overdue(overdue.statement().clone()),
            None,
            ephemeral,
        )
    }

    /// The decision for the higher of two vouchers: the one in the row and the one that is `shown`.
    ///
    /// # Errors
    /// When the purchase key of the terms is none.
    pub fn new(
        open: &OpenStream,
        ending: Ending,
        shown: Option<Signed<Voucher>>,
        ephemeral: impl FnOnce(&PurchaseId) -> SecretKey,
    ) -> Result<Self, Refusal> {
        let purchase = open.terms.purchase_id();
        let highest = [open.voucher.clone(), shown]
            .into_iter()
            .flatten()
            .max_by_key(|voucher| voucher.body.ticks);
        let paid = match highest {
            None => None,
            Some(voucher) => {
                let key = key_at(&open.last_key, open.ticks, voucher.body.ticks);
                let sealed = seal_goods_key(
                    &ephemeral(&purchase),
                    &open.terms.purchase_key,
                    &SealingContext::from(purchase),
                    &key,
                )
                .map_err(|_| ContractFault::DoesNotFit("purchase key".into()))?;
                Some((voucher, key, sealed))
            }
        };
        Ok(Self {
            terms: open.terms.clone(),
            purchase,
            ending,
            paid,
        })
    }

    /// The terms.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The purchase. The escrow loads its rows.
    pub fn purchase(&self) -> PurchaseId {
        self.purchase
    }

    /// Whether the bank ends the stream, as it is overdue.
    pub fn is_overdue(&self) -> bool {
        matches!(self.ending, Ending::Overdue(_))
    }

    /// Ends the stream, unless it has ended.
    ///
    /// # Errors
    /// [`Later::NotYet`] if a higher voucher was stored since the decision was prepared. Then it is prepared again.
    pub fn respond(&self, existing: Option<Decision>, open: Option<&OpenStream>) -> Result<Decided, Later> {
        if let Some(decision) = existing {
            return Ok(Decided::Before(decision));
        }
        let stored = open
            .and_then(|open| open.voucher.as_ref())
            .map_or(0, |voucher| voucher.body.ticks);
        let prepared = self.paid.as_ref().map_or(0, |(voucher, ..)| voucher.body.ticks);
        if stored > prepared {
            return Err(Later::NotYet);
        }
        let terms = self.terms.clone();
        Ok(Decided::Now(match &self.paid {
            Some((voucher, key, sealed_key)) => Decision::Streamed {
                terms,
                voucher: voucher.clone(),
                key: key.clone(),
                sealed_key: *sealed_key,
            },
            None => Decision::Aborted {
                terms,
                reason: match &self.ending {
                    Ending::Closed(close) => AbortReason::Closed(Box::new(close.clone())),
                    Ending::Overdue(overdue) => AbortReason::Overdue(Box::new(overdue.clone())),
                },
            },
        }))
    }
}
