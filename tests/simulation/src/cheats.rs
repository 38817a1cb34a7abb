//! Servers that cheat: a server in front of an honest one, with its key, answers some requests dishonestly.
//!
//! A [`Cheat`] gets each request. It passes the request on, changes the reply, or makes one up and signs it. The
//! honest server answers the rest, so a cheat has only the code of its deception. To add one, implement [`Cheat`],
//! put it in front with [`World::cheat`](super::world::World::cheat), and state in `tests/tests/cheats.rs` what must
//! hold.

use super::{
    denials::deny,
    front::{Cheat, Honest, refuse},
};
use async_trait::async_trait;
use farthing_coin::{
    Coin, Document, EncodedPoint, EncodedScalar, KeyList, PublicKey, SecretKey, Seed, Signature, Signed,
    StatementDigest,
};
use farthing_escrow::settle::GATHER_MS;
use farthing_node::network::{Lane, Service};
use farthing_protocol::{
    api::{BankRequest, Call, EscrowRequest, KeysRequest, MerchantRequest, SettleOne, encode_reply},
    decide::{OutcomeRequest, ReleaseRequest},
    decision::{Committed, Outcome, SignedDecision},
    denial::{CoinDenial, RequestKind},
    documents::{
        Abort, AbortReason, CoinUse, Commit, EarlierUse, Offer, Overdue, PurchaseId, PurchaseKeyUse, Receipt,
        Settled, Terms,
    },
    goods::{ContentKey, GoodsKey},
    history::WithHead,
    ids::{GoodsDigest, ItemId, NodeSecret, SaleId, SealingContext},
    limits::{CATALOG_PAGE_MAX, DESCRIPTION_MAX_BYTES},
    money::Amount,
    offer::{CatalogItem, CatalogPage, OfferRequest, Offered},
    offered_key::OfferedKey,
    refusal::{GoodsFault, Later, PurchaseFault, Refusal, RequestFault},
    seal::{derive_ephemeral, seal_goods_key, wrap},
    sealed::PayRequest,
    settle::{Answers, SettleRequest},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// The reply to a request of type `C`, changed unless it is a refusal.
pub(super) fn changed<C: Call>(reply: Vec<u8>, change: impl FnOnce(C::Reply) -> C::Reply) -> Vec<u8> {
    match C::decode_reply(&reply) {
        Ok(Ok(answer)) => encode_reply(&Ok(change(answer))),
        _ => reply,
    }
}

// ---- escrows that say nothing -------------------------------------------------------------------------------------

/// An escrow that carries out customers' requests and answers none.
pub struct SilentToCustomers;

#[async_trait]
impl Cheat for SilentToCustomers {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        use EscrowRequest::{Cancel, Hold, Outcome, Pay};
        let asked = EscrowRequest::decode(&request);
        let busy = || refuse(Later::Busy { retry_after_ms: 1 });
        match asked {
            Ok(Hold(_) | Pay(_)) => {
                drop(honest.answer(lane, request).await);
                busy()
            }
            Ok(Cancel(_) | Outcome(_)) => busy(),
            _ => honest.answer(lane, request).await,
        }
    }
}

/// An escrow that holds nothing, answers the first cancel late with a receipt, and refuses all other requests of
/// customers.
pub struct SignsWithoutHold {
    /// Its identity key.
    pub key: SecretKey,
    /// The goods key of every purchase. The merchant conspires and gives it.
    pub goods_key: GoodsKey,
    /// Whether it was asked to cancel.
    pub is_asked: AtomicBool,
}

impl SignsWithoutHold {
    /// Delay of the answer, shorter than a wallet's patience.
    const LATE: Duration = Duration::from_secs(3);

    fn commits(&self, terms: &Terms) -> Committed {
        let (purchase, bank, coins_digest) = (terms.purchase_id(), terms.bank, terms.coins_digest);
        let (account, amount) = (terms.account, terms.price);
        let sealed_key = seal_goods_key(
            &self.key,
            &terms.purchase_key,
            &SealingContext::from(purchase),
            &self.goods_key,
        );
        let commit = Commit {
            purchase,
            bank,
            coins_digest,
            account,
            amount,
            sealed_key: sealed_key.expect("it seals"),
        };
        let receipt = Receipt {
            purchase,
            bank,
            coins_digest,
            account,
            amount,
            goods_key: self.goods_key.clone(),
        };
        Committed {
            receipt: Signed::sign(receipt, &self.key),
            commit: Signed::sign(commit, &self.key),
        }
    }
}

#[async_trait]
impl Cheat for SignsWithoutHold {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match EscrowRequest::decode(&request) {
            Ok(EscrowRequest::Cancel(asked)) if !self.is_asked.swap(true, Ordering::SeqCst) => {
                tokio::time::sleep(Self::LATE).await;
                let committed = self.commits(&asked.terms);
                encode_reply(&Ok(Outcome::Committed(Box::new(committed))))
            }
            Ok(
                EscrowRequest::Hold(_)
                | EscrowRequest::Pay(_)
                | EscrowRequest::Outcome(_)
                | EscrowRequest::Cancel(_),
            ) => refuse(RequestFault::Malformed("not today".into())),
            _ => honest.answer(lane, request).await,
        }
    }
}

// ---- merchants ----------------------------------------------------------------------------------------------------

/// The change of an offer before the merchant signs it.
pub type Lie = Box<dyn Fn(&mut Offer) + Send + Sync>;

/// A merchant whose signed offers differ from what it delivers.
pub struct FalseOffers {
    /// Its identity key.
    pub key: SecretKey,
    /// The false part of the offer.
    pub lie: Lie,
}

/// The offer's key unwraps a content key that is not the key of the goods.
pub fn wraps_another_key(goods_key: impl Fn(&SaleId) -> GoodsKey + Send + Sync + 'static) -> Lie {
    Box::new(move |offer| {
        let other = ContentKey::from_bytes([66; 32]);
        offer.wrapped_key = wrap(&goods_key(&offer.sale_id), &offer.sale_id, &other).expect("a wrapped key");
    })
}

/// The goods key unwraps nothing.
pub fn wraps_nothing() -> Lie {
    Box::new(|offer| offer.wrapped_key.tag = [66; 16])
}

/// The offer describes other goods than the merchant serves.
pub fn describes_other_goods() -> Lie {
    Box::new(|offer| offer.goods_digest = GoodsDigest([66; 32]))
}

/// The key that is sealed to the escrow differs from the key to which the offer commits.
pub fn seals_another_key() -> Lie {
    Box::new(|offer| {
        let ephemeral = derive_ephemeral(&NodeSecret::from_bytes([66; 32]), &offer.sale_id.into());
        let (to, other) = (offer.escrows[0], GoodsKey::from_bytes([66; 32]));
        let sealed_key = OfferedKey::seal(&ephemeral, &to, &offer.sealing_context(), &other);
        offer.sealed_key = Some(sealed_key.expect("a sealed key"));
    })
}

#[async_trait]
impl Cheat for FalseOffers {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let is_offer = matches!(MerchantRequest::decode(&request), Ok(MerchantRequest::Offer(_)));
        let reply = honest.answer(lane, request).await;
        if !is_offer {
            return reply;
        }
        changed::<OfferRequest>(reply, |offered| {
            let mut body = offered.offer.body;
            (self.lie)(&mut body);
            let offer = Signed::sign(body, &self.key);
            Offered { offer, ..offered }
        })
    }
}

/// A merchant that never shows its catalogue.
pub struct ShowsNoCatalog;

#[async_trait]
impl Cheat for ShowsNoCatalog {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match MerchantRequest::decode(&request) {
            Ok(MerchantRequest::Catalog(_)) => refuse(Later::Unavailable("it is being printed".into())),
            _ => honest.answer(lane, request).await,
        }
    }
}

/// A merchant with an endless catalogue: every page is full and says that there is more.
pub struct EndlessCatalog {
    in_order: bool,
    pages: AtomicUsize,
}

impl EndlessCatalog {
    /// Makes a merchant with an endless catalogue: items in the order of their ids, or repeated items.
    pub fn new(in_order: bool) -> Self {
        let pages = AtomicUsize::new(0);
        Self { in_order, pages }
    }

    /// Number of pages that were requested.
    pub fn pages(&self) -> usize {
        self.pages.load(Ordering::Relaxed)
    }

    fn page(&self) -> CatalogPage {
        let page = self.pages.fetch_add(1, Ordering::Relaxed);
        let first = if self.in_order { page * CATALOG_PAGE_MAX } else { 0 };
        let item = |number: usize| {
            let mut item_id = [0; 32];
            item_id[24..].copy_from_slice(&(number as u64).to_be_bytes());
            CatalogItem {
                item_id: ItemId(item_id),
                title: "a poster".into(),
                description: "x".repeat(DESCRIPTION_MAX_BYTES),
                media_type: "image/png".into(),
                size_bytes: 1,
                price: Amount(1),
                currency: "FTH".into(),
            }
        };
        CatalogPage {
            items: (first..first + CATALOG_PAGE_MAX).map(item).collect(),
            more: true,
        }
    }
}

#[async_trait]
impl Cheat for EndlessCatalog {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match MerchantRequest::decode(&request) {
            Ok(MerchantRequest::Catalog(_)) => encode_reply(&Ok(self.page())),
            _ => honest.answer(lane, request).await,
        }
    }
}

/// A merchant that takes holds and releases nothing.
pub struct NeverReleases;

#[async_trait]
impl Cheat for NeverReleases {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match MerchantRequest::decode(&request) {
            Ok(MerchantRequest::Deliver(_)) => refuse(Later::PeerSilent("escrow".into())),
            _ => honest.answer(lane, request).await,
        }
    }
}

/// A merchant that is silent once, and then refuses to deliver with a long text.
pub struct RefusesWithLongText {
    /// Length of the text (bytes).
    pub length: usize,
    asked: AtomicUsize,
}

impl RefusesWithLongText {
    /// The text has `length` bytes.
    pub fn new(length: usize) -> Self {
        let asked = AtomicUsize::new(0);
        RefusesWithLongText { length, asked }
    }
}

/// A refusal with a text of `length` bytes, which no honest encoder writes.
fn refuse_at_length(length: usize) -> Vec<u8> {
    let mut reply = refuse(GoodsFault::NotAccepted(String::new()));
    // The last bytes are the text's length.
    reply.truncate(reply.len() - size_of::<u64>());
    reply.extend((length as u64).to_le_bytes());
    reply.extend(vec![b'x'; length]);
    reply
}

#[async_trait]
impl Cheat for RefusesWithLongText {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match MerchantRequest::decode(&request) {
            Ok(MerchantRequest::Deliver(_)) => match self.asked.fetch_add(1, Ordering::SeqCst) {
                0 => refuse(Later::PeerSilent("escrow".into())),
                _ => refuse_at_length(self.length),
            },
            _ => honest.answer(lane, request).await,
        }
    }
}

// ---- escrows ------------------------------------------------------------------------------------------------------

/// An escrow that commits and tells the bank, but tells the merchant nothing, and tells the customer that it has
/// aborted. The abort has no cause, or the customer's cancel as its cause.
pub struct TellsCustomerAbort {
    /// Its identity key.
    pub key: SecretKey,
    /// The bank that it names.
    pub bank: PublicKey,
    /// Whether it answers only cancels.
    pub waits_for_cancel: bool,
}

#[async_trait]
impl Cheat for TellsCustomerAbort {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let (purchase, cause) = match EscrowRequest::decode(&request) {
            Ok(EscrowRequest::Release(_)) => {
                let _committed = honest.answer(lane, request).await;
                // The bank has the commit before the customer shows it the abort.
                tokio::time::sleep(Duration::from_millis(2 * GATHER_MS)).await;
                return refuse(Later::Unavailable("its store has stopped".into()));
            }
            Ok(EscrowRequest::Outcome(_)) if self.waits_for_cancel => {
                return encode_reply(&Ok(Outcome::Undecided));
            }
            Ok(EscrowRequest::Outcome(outcome)) => (outcome.purchase, AbortReason::Cancelled),
            Ok(EscrowRequest::Cancel(cancel)) => (
                cancel.terms.purchase_id(),
                AbortReason::CancelledBy(cancel.signature),
            ),
            _ => return honest.answer(lane, request).await,
        };
        let abort = sign_abort(purchase, self.bank, cause, &self.key);
        encode_reply(&Ok(Outcome::Aborted(abort)))
    }
}

/// The cause that an escrow shows for an abort of the purchase with these terms.
pub type Cause = Box<dyn Fn(&Terms) -> AbortReason + Send + Sync>;

/// The signature of the customer with this seed under a cancel. Only a party that conspires with the customer has it.
pub fn cancels(seed: Seed) -> Cause {
    Box::new(move |terms| {
        let mut keys = (0..100).map(|counter| seed.purchase_key(counter));
        let key = keys.find(|key| key.public() == terms.purchase_key);
        let key = key.expect("it is one of the customer's purchases");
        let statement = PurchaseKeyUse::Cancel.statement(&terms.purchase_key, &terms.purchase_id());
        AbortReason::CancelledBy(key.sign(&statement))
    })
}

/// An "overdue" signed by this key, as a bank signs it, `before_ms` before the deadline.
pub fn overdue(key: SecretKey, before_ms: u64) -> Cause {
    Box::new(move |terms| {
        let overdue = Overdue {
            purchase: terms.purchase_id(),
            escrow: terms.escrow,
            deadline_ms: terms.deadline_ms,
            at_ms: terms.deadline_ms - before_ms,
        };
        AbortReason::Overdue(Box::new(Signed::sign(overdue, &key)))
    })
}

/// An escrow that aborts purchases after the release, so that it has the goods key for nothing. It shows the abort to
/// everyone, the bank first.
pub struct AbortsAfterRelease {
    /// Its identity key.
    pub key: SecretKey,
    /// The cause that it shows.
    pub cause: Cause,
    /// The bank to which it shows the abort.
    pub bank: Arc<dyn Service>,
    /// The purchases that it has aborted.
    pub aborted: Mutex<BTreeMap<PurchaseId, Signed<Abort>>>,
    /// Whether the bank has obeyed the abort.
    pub obeyed: AtomicBool,
}

impl AbortsAfterRelease {
    /// Sets the bank that it tells.
    pub fn new(key: SecretKey, bank: Arc<dyn Service>, cause: Cause) -> Self {
        Self {
            key,
            cause,
            bank,
            aborted: Mutex::default(),
            obeyed: AtomicBool::new(false),
        }
    }

    fn abort_of(&self, purchase: &PurchaseId) -> Option<Signed<Abort>> {
        let aborted = self.aborted.lock().unwrap_or_else(PoisonError::into_inner);
        aborted.get(purchase).cloned()
    }

    async fn abort(&self, terms: &Terms) -> Signed<Abort> {
        let purchase = terms.purchase_id();
        let abort = sign_abort(purchase, terms.bank, (self.cause)(terms), &self.key);
        let settled = bring(&*self.bank, &self.key, SignedDecision::Abort(abort.clone())).await;
        self.obeyed.store(settled.is_ok(), Ordering::SeqCst);
        let mut aborted = self.aborted.lock().unwrap_or_else(PoisonError::into_inner);
        aborted.insert(purchase, abort.clone());
        abort
    }
}

#[async_trait]
impl Cheat for AbortsAfterRelease {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let asked = match EscrowRequest::decode(&request) {
            Ok(EscrowRequest::Release(release)) => {
                let abort = self.abort(&release.contract.terms).await;
                return refuse(PurchaseFault::AbortedBy(Box::new(abort)));
            }
            Ok(EscrowRequest::Outcome(outcome)) => self.abort_of(&outcome.purchase),
            Ok(EscrowRequest::Cancel(cancel)) => self.abort_of(&cancel.terms.purchase_id()),
            _ => None,
        };
        match asked {
            Some(abort) => encode_reply(&Ok(Outcome::Aborted(abort))),
            None => honest.answer(lane, request).await,
        }
    }
}

/// Brings a bank a decision of the escrow with this key.
async fn bring(
    bank: &dyn Service,
    escrow: &SecretKey,
    decision: SignedDecision,
) -> Result<Signed<Settled>, Refusal> {
    let settle = SettleOne {
        escrow: escrow.public(),
        decision,
    };
    let asked = settle.encode().expect("a question is not too long");
    SettleOne::decode_reply(&bank.call(Lane::Peer, asked).await).expect("a reply is one")
}

/// An escrow that shows the bank an abort, and then gives a commit to merchant and customer.
pub struct LeavesMerchantUnpaid {
    /// Its identity key.
    pub key: SecretKey,
    /// The bank to which it shows the abort.
    pub bank: Arc<dyn Service>,
    /// The cause that it shows for the abort.
    pub cause: Cause,
    /// Whether the bank has obeyed the abort.
    pub obeyed: AtomicBool,
}

#[async_trait]
impl Cheat for LeavesMerchantUnpaid {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let Ok(EscrowRequest::Release(release)) = EscrowRequest::decode(&request) else {
            return honest.answer(lane, request).await;
        };
        let terms = &release.contract.terms;
        let abort = sign_abort(terms.purchase_id(), terms.bank, (self.cause)(terms), &self.key);
        let settled = bring(&*self.bank, &self.key, SignedDecision::Abort(abort)).await;
        self.obeyed.store(settled.is_ok(), Ordering::SeqCst);
        encode_reply(&Ok(sign_commit(terms, &release.goods_key, &self.key)))
    }
}

/// An escrow that calls correct sealed keys wrong, and aborts.
pub struct DeniesSealedKeys {
    /// Its identity key.
    pub key: SecretKey,
}

#[async_trait]
impl Cheat for DeniesSealedKeys {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let Ok(EscrowRequest::Pay(PayRequest(hold))) = EscrowRequest::decode(&request) else {
            return honest.answer(lane, request).await;
        };
        let offer = &hold.contract.offer.body;
        let sealed = offer.sealed_key.expect("a sealed offer").sealed;
        let shown = self
            .key
            .show_shared_point(&sealed.ephemeral, &offer.sealing_context().0);
        let abort = Abort {
            purchase: hold.contract.terms.purchase_id(),
            bank: hold.contract.terms.bank,
            reason: AbortReason::WrongKey(Box::new(shown.expect("a point"))),
        };
        encode_reply(&Ok(Outcome::Aborted(Signed::sign(abort, &self.key))))
    }
}

/// An escrow that signs receipts with another key than was released.
pub struct SignsWrongKeys {
    /// Its identity key.
    pub key: SecretKey,
}

impl SignsWrongKeys {
    fn alter(&self, committed: Committed) -> Committed {
        let receipt = Receipt {
            goods_key: GoodsKey::from_bytes([66; 32]),
            ..committed.receipt.body
        };
        Committed {
            receipt: Signed::sign(receipt, &self.key),
            ..committed
        }
    }
}

#[async_trait]
impl Cheat for SignsWrongKeys {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let question = EscrowRequest::decode(&request);
        let reply = honest.answer(lane, request).await;
        match question {
            Ok(EscrowRequest::Release(_)) => {
                changed::<ReleaseRequest>(reply, |committed| self.alter(committed))
            }
            Ok(EscrowRequest::Outcome(_)) => changed::<OutcomeRequest>(reply, |outcome| match outcome {
                Outcome::Committed(committed) => Outcome::Committed(Box::new(self.alter(*committed))),
                other => other,
            }),
            _ => reply,
        }
    }
}

/// An abort by the escrow of this key.
pub fn sign_abort(
    purchase: PurchaseId,
    bank: PublicKey,
    reason: AbortReason,
    key: &SecretKey,
) -> Signed<Abort> {
    let abort = Abort {
        purchase,
        bank,
        reason,
    };
    Signed::sign(abort, key)
}

/// Both documents of a commit, by the escrow of this key.
pub fn sign_commit(terms: &Terms, goods_key: &GoodsKey, key: &SecretKey) -> Committed {
    let purchase = terms.purchase_id();
    let (bank, coins_digest) = (terms.bank, terms.coins_digest);
    let (account, amount) = (terms.account, terms.price);
    let receipt = Receipt {
        purchase,
        bank,
        coins_digest,
        account,
        amount,
        goods_key: goods_key.clone(),
    };
    let sealed_key = seal_goods_key(
        key,
        &terms.purchase_key,
        &SealingContext::from(purchase),
        goods_key,
    )
    .expect("a sealed key");
    let commit = Commit {
        purchase,
        bank,
        coins_digest,
        account,
        amount,
        sealed_key,
    };
    Committed {
        receipt: Signed::sign(receipt, key),
        commit: Signed::sign(commit, key),
    }
}

// ---- banks --------------------------------------------------------------------------------------------------------

/// A bank that takes holds, and denies them when their commits come.
pub struct DeniesHolds;

#[async_trait]
impl Cheat for DeniesHolds {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let unknown = |decision: &SignedDecision| Err(PurchaseFault::Unknown(decision.purchase()).into());
        let denied = |settle: &SettleRequest| -> Answers { settle.decisions.iter().map(unknown).collect() };
        match BankRequest::decode(&request) {
            Ok(BankRequest::Settle(settle)) if has_commit(&settle) => encode_reply(&Ok(denied(&settle))),
            Ok(BankRequest::Push(push)) if has_commit(&push.body) => {
                encode_reply(&Ok(WithHead::without(denied(&push.body))))
            }
            _ => honest.answer(lane, request).await,
        }
    }
}

/// A bank that obeys a commit, and signs that it obeyed an abort.
pub struct DeniesCredits {
    /// Its identity key.
    pub key: SecretKey,
}

#[async_trait]
impl Cheat for DeniesCredits {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let aborted = |settle: &SettleRequest| -> Answers {
            let sign = |decision: &SignedDecision| {
                let settled = Settled::aborted(decision.purchase(), settle.escrow);
                Ok(Signed::sign(settled, &self.key))
            };
            settle.decisions.iter().map(sign).collect()
        };
        match BankRequest::decode(&request) {
            Ok(BankRequest::Settle(settle)) if has_commit(&settle) => encode_reply(&Ok(aborted(&settle))),
            Ok(BankRequest::Push(push)) if has_commit(&push.body) => {
                encode_reply(&Ok(WithHead::without(aborted(&push.body))))
            }
            _ => honest.answer(lane, request).await,
        }
    }
}

fn has_commit(settle: &SettleRequest) -> bool {
    let mut decisions = settle.decisions.iter();
    decisions.any(|decision| matches!(decision, SignedDecision::Commit(_)))
}

/// What a bank shows when it denies a coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pretext {
    /// That the coin's key has ended, too early.
    Expired,
    /// A made-up signature.
    MadeUp,
    /// The coin's own signature for a purchase that was aborted.
    Aborted,
}

/// A bank that takes back no coin, and signs a denial.
pub struct DeniesCoins {
    key: SecretKey,
    pretext: Pretext,
    /// The last authorization that it has seen of each coin.
    seen: Mutex<BTreeMap<PublicKey, EarlierUse>>,
}

impl DeniesCoins {
    /// A bank with this pretext and this identity key.
    pub fn new(key: SecretKey, pretext: Pretext) -> Self {
        Self {
            key,
            pretext,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<PublicKey, EarlierUse>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deny(&self, coin: &Coin) -> CoinDenial {
        let used = match self.pretext {
            Pretext::Expired => return CoinDenial::Expired { expired_ms: 1 },
            Pretext::MadeUp => EarlierUse {
                operation: CoinUse::Hold,
                digest: StatementDigest([66; 32]),
                authorization: Signature {
                    commitment: EncodedPoint(coin.public.0),
                    response: EncodedScalar([1; 32]),
                },
            },
            Pretext::Aborted => *self.seen().get(&coin.public).expect("the coin was held before"),
        };
        CoinDenial::Spent { used, proof: None }
    }
}

#[async_trait]
impl Cheat for DeniesCoins {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match BankRequest::decode(&request) {
            Ok(BankRequest::ExchangeBegin(begin)) => {
                let coin = begin.body.inputs.first().expect("an exchange has inputs");
                let (kind, digest) = (RequestKind::ExchangeBegin, begin.body.digest());
                refuse(deny(&self.key, kind, digest.0, coin, self.deny(coin)))
            }
            Ok(BankRequest::Hold(hold)) => {
                let digest = hold.body.terms.purchase_id().0;
                let coins = hold
                    .body
                    .payment
                    .coins
                    .iter()
                    .zip(&hold.body.payment.authorizations);
                for (coin, authorization) in coins {
                    let used = EarlierUse {
                        operation: CoinUse::Hold,
                        digest: StatementDigest(digest),
                        authorization: *authorization,
                    };
                    self.seen().insert(coin.public, used);
                }
                honest.answer(lane, request).await
            }
            _ => honest.answer(lane, request).await,
        }
    }
}

// ---- lists of keys ------------------------------------------------------------------------------------------------

/// A bank that shows another list of keys than before.
pub struct ShowsOtherKeys {
    /// Its identity key.
    pub key: SecretKey,
    /// The change of the list.
    pub change: fn(&mut KeyList),
}

#[async_trait]
impl Cheat for ShowsOtherKeys {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let is_keys = matches!(BankRequest::decode(&request), Ok(BankRequest::Keys(_)));
        let reply = honest.answer(lane, request).await;
        if !is_keys {
            return reply;
        }
        changed::<KeysRequest>(reply, |signed| {
            let mut list = signed.body;
            (self.change)(&mut list);
            Signed::sign(list, &self.key)
        })
    }
}

/// A bank that never answers requests for its list of keys.
pub struct HidesKeys;

#[async_trait]
impl Cheat for HidesKeys {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        if matches!(BankRequest::decode(&request), Ok(BankRequest::Keys(_))) {
            std::future::pending::<()>().await;
        }
        honest.answer(lane, request).await
    }
}
