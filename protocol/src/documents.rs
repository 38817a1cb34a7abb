//! The documents that the parties sign.
//!
//! Each document is written field by field into a transcript under its own label (see
//! [`farthing_coin::Document`]). So a signature under one document never fits another. A recipient checks the
//! signer against the party that the document names. It also checks that the document names the recipient itself.

use crate::{
    bounded,
    goods::GoodsKey,
    ids::{
        CoinsDigest, EncryptedDigest, GoodsDigest, IssueSource, ItemId, KeyCommitment, OfferDigest,
        RecoveryRecordDigest, SaleId, SealingContext,
    },
    limits::{
        COINS_PER_REQUEST_MAX, CURRENCY_MAX_BYTES, DESCRIPTION_MAX_BYTES, MEDIA_TYPE_MAX_BYTES,
        OFFER_PARTIES_MAX, TITLE_MAX_BYTES,
    },
    money::Amount,
    offered_key::OfferedKey,
    seal::{SealedKey, WrappedKey},
    stream::chain::TICKS_MAX,
};
use farthing_coin::{
    Challenge, Coin, Document, KeyId, KeyListDigest, PublicKey, RecoveryRecordId, RequestId, Response,
    SecretKey, SharedPoint, Signature, SignatureError, Signed, Statement, StatementDigest, Transcript,
    TranscriptExt, is_currency,
};
use serde::{Deserialize, Serialize};

pub use crate::ids::PurchaseId;

/// How often an offer can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaleLimit {
    /// Once. The offer names exactly one escrow, which enforces it.
    Once,
    /// Any number of times.
    Unlimited,
}

/// A bank whose coins an offer accepts, with the digest of the key list that the merchant has from it.
///
/// A bank could mark a customer with a key list of their own. So the wallet refuses an offer with another list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedBank {
    /// The bank's identity key.
    pub bank: PublicKey,
    /// The merchant's account at this bank.
    pub account: PublicKey,
    /// The digest of the bank's key list as the merchant sees it.
    pub key_list_digest: KeyListDigest,
}

/// A merchant's promise to deliver goods for a price. Signed by the merchant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The merchant's identity key.
    pub merchant: PublicKey,
    /// Names this offer. It is random, and the goods key is derived from it.
    pub sale_id: SaleId,
    /// Names the item in the merchant's catalogue.
    pub item_id: ItemId,
    /// The item's title.
    #[serde(deserialize_with = "bounded::text::<_, TITLE_MAX_BYTES>")]
    pub title: String,
    /// The item's description.
    #[serde(deserialize_with = "bounded::text::<_, DESCRIPTION_MAX_BYTES>")]
    pub description: String,
    /// The item's media type, such as `image/png`.
    #[serde(deserialize_with = "bounded::text::<_, MEDIA_TYPE_MAX_BYTES>")]
    pub media_type: String,
    /// The size of the goods (bytes).
    pub size_bytes: u64,
    /// The size of the encrypted goods (bytes).
    pub encrypted_bytes: u64,
    /// SHA-256 of the salt and the goods.
    pub goods_digest: GoodsDigest,
    /// SHA-256 of the encrypted goods.
    pub encrypted_digest: EncryptedDigest,
    /// The content key of the goods, wrapped under the goods key of this sale.
    pub wrapped_key: WrappedKey,
    /// The commitment to the goods key of this sale.
    pub key_commitment: KeyCommitment,
    /// The price.
    pub price: Amount,
    /// The currency of the price.
    #[serde(deserialize_with = "bounded::text::<_, CURRENCY_MAX_BYTES>")]
    pub currency: String,
    /// The escrows that the merchant accepts, by identity key.
    #[serde(deserialize_with = "bounded::list::<_, _, OFFER_PARTIES_MAX>")]
    pub escrows: Vec<PublicKey>,
    /// The banks that the merchant accepts.
    #[serde(deserialize_with = "bounded::list::<_, _, OFFER_PARTIES_MAX>")]
    pub banks: Vec<AcceptedBank>,
    /// The latest deadline of a purchase of this offer (ms since 1970, the escrow's clock).
    pub expires_ms: u64,
    /// The end of the time in which the merchant serves the encrypted goods (ms since 1970).
    pub served_until_ms: u64,
    /// How often this offer can be bought.
    pub sales: SaleLimit,
    /// The goods key, sealed to the offer's one escrow for its [`sealing_context`](Offer::sealing_context).
    ///
    /// With it the escrow releases the goods key. Without it the merchant does. It also says whether the goods key is sold
    /// by ticks.
    #[serde(with = "crate::offered_key::optional")]
    pub sealed_key: Option<OfferedKey>,
}

impl Document for Offer {
    const LABEL: &'static str = "farthing offer";

    fn describe(&self, t: &mut Transcript) {
        Unsealed(self).describe(t);
        match &self.sealed_key {
            None => t.u8(b"sealed", 0),
            Some(OfferedKey {
                sealed, proof: None, ..
            }) => {
                t.u8(b"sealed", 1);
                describe_sealed_key(t, sealed);
            }
            Some(OfferedKey {
                sealed,
                proof: Some(proof),
                ticks,
            }) => {
                t.u8(b"sealed", if ticks.is_none() { 2 } else { 3 });
                describe_sealed_key(t, sealed);
                t.bytes(b"sealed key proof commitment", &proof.commitment.0);
                t.bytes(b"sealed key proof response", &proof.response.0);
                if let Some(ticks) = ticks {
                    t.u64(b"ticks", (*ticks).into());
                }
            }
        }
    }
}

/// All fields of an offer except its sealed key.
struct Unsealed<'a>(&'a Offer);

impl Document for Unsealed<'_> {
    const LABEL: &'static str = "farthing offer to seal for";

    fn describe(&self, t: &mut Transcript) {
        let Unsealed(offer) = self;
        t.bytes(b"merchant", &offer.merchant.0);
        t.bytes(b"sale id", &offer.sale_id.0);
        t.bytes(b"item id", &offer.item_id.0);
        t.bytes(b"title", offer.title.as_bytes());
        t.bytes(b"description", offer.description.as_bytes());
        t.bytes(b"media type", offer.media_type.as_bytes());
        t.u64(b"size", offer.size_bytes);
        t.u64(b"encrypted size", offer.encrypted_bytes);
        t.bytes(b"goods digest", &offer.goods_digest.0);
        t.bytes(b"encrypted digest", &offer.encrypted_digest.0);
        t.bytes(b"wrapped key body", &offer.wrapped_key.body.0);
        t.bytes(b"wrapped key tag", &offer.wrapped_key.tag);
        t.bytes(b"key commitment", &offer.key_commitment.0);
        t.u64(b"price", offer.price.0);
        t.bytes(b"currency", offer.currency.as_bytes());
        t.u64(b"escrows", offer.escrows.len() as u64);
        for escrow in &offer.escrows {
            t.bytes(b"escrow", &escrow.0);
        }
        t.u64(b"banks", offer.banks.len() as u64);
        for accepted in &offer.banks {
            t.bytes(b"bank", &accepted.bank.0);
            t.bytes(b"account", &accepted.account.0);
            t.bytes(b"key list", &accepted.key_list_digest.0);
        }
        t.u64(b"expires", offer.expires_ms);
        t.u64(b"served until", offer.served_until_ms);
        t.u8(b"sales", matches!(offer.sales, SaleLimit::Once).into());
    }
}

impl Offer {
    /// The context of its sealed key: a digest of every other field.
    ///
    /// It binds the sealed key to its offer. Otherwise a thief could copy another merchant's sealed key into an offer of
    /// their own, and buy that offer at a price of their choice. The escrow would open the key.
    pub fn sealing_context(&self) -> SealingContext {
        SealingContext(Unsealed(self).digest().0)
    }

    /// Whether the offer has a sealed key with a proof, as an escrow requires. The proof is not checked here, but with
    /// the offer.
    pub fn has_proven_key(&self) -> bool {
        self.sealed_key.is_some_and(|offered| offered.proof.is_some())
    }

    /// How many ticks a stream has. `None` for goods that are sold whole.
    pub fn ticks(&self) -> Option<u32> {
        self.sealed_key.and_then(|offered| offered.ticks)
    }

    /// Whether it costs nothing. Then no coins are put to it, and the merchant alone gives its goods key.
    pub fn is_free(&self) -> bool {
        self.price.0 == 0
    }

    /// Checks that every field is within its bound.
    ///
    /// # Errors
    /// The name of the first field that is not.
    pub fn check_bounds(&self) -> Result<(), &'static str> {
        let bounded = [
            (self.title.len() <= TITLE_MAX_BYTES, "title"),
            (self.description.len() <= DESCRIPTION_MAX_BYTES, "description"),
            (self.media_type.len() <= MEDIA_TYPE_MAX_BYTES, "media type"),
            (is_currency(&self.currency), "currency"),
            (
                (1..=OFFER_PARTIES_MAX).contains(&self.escrows.len()),
                "list of escrows",
            ),
            (
                (1..=OFFER_PARTIES_MAX).contains(&self.banks.len()),
                "list of banks",
            ),
            (
                self.sales != SaleLimit::Once || self.escrows.len() == 1,
                "list of escrows of a single sale",
            ),
            (
                self.sealed_key.is_none() || self.escrows.len() == 1,
                "list of escrows of a sealed key",
            ),
            (
                self.sealed_key.is_none() || !self.is_free(),
                "sealed key of a free item",
            ),
            (
                self.ticks().is_none_or(|ticks| (1..=TICKS_MAX).contains(&ticks)),
                "number of ticks",
            ),
            (
                self.ticks().is_none() || (self.has_proven_key() && self.sales == SaleLimit::Once),
                "sealed key of a stream",
            ),
        ];
        bounded
            .into_iter()
            .find(|(fits, _)| !fits)
            .map_or(Ok(()), |(_, field)| Err(field))
    }
}

/// The part of a contract that escrow and bank see. Its digest is the purchase id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The bank whose coins pay.
    pub bank: PublicKey,
    /// The currency.
    #[serde(deserialize_with = "bounded::text::<_, CURRENCY_MAX_BYTES>")]
    pub currency: String,
    /// The price. The coins may be worth more: the bank credits the rest to the reserve of the purchase key.
    pub price: Amount,
    /// The merchant's account at the bank.
    pub account: PublicKey,
    /// The merchant's identity key.
    pub merchant: PublicKey,
    /// The escrow's identity key.
    pub escrow: PublicKey,
    /// The time from which the escrow accepts no release (ms since 1970, the escrow's clock).
    pub deadline_ms: u64,
    /// [`coins_digest`] of the ordered coins.
    pub coins_digest: CoinsDigest,
    /// The customer's key for this purchase alone.
    pub purchase_key: PublicKey,
    /// The digest of the offer. The bank never sees the offer itself.
    pub private_digest: OfferDigest,
    /// [`recovery_record_digest`] of the wallet's recovery record, which the bank keeps with the hold.
    pub note_digest: RecoveryRecordDigest,
}

impl Document for Terms {
    const LABEL: &'static str = "farthing terms";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"currency", self.currency.as_bytes());
        t.u64(b"price", self.price.0);
        t.bytes(b"account", &self.account.0);
        t.bytes(b"merchant", &self.merchant.0);
        t.bytes(b"escrow", &self.escrow.0);
        t.u64(b"deadline", self.deadline_ms);
        t.bytes(b"coins", &self.coins_digest.0);
        t.bytes(b"purchase key", &self.purchase_key.0);
        t.bytes(b"private part", &self.private_digest.0);
        t.bytes(b"note", &self.note_digest.0);
    }
}

impl Terms {
    /// The id of the purchase with these terms.
    pub fn purchase_id(&self) -> PurchaseId {
        PurchaseId(self.digest().0)
    }

    /// The change of coins with this worth for a credit of `amount`, if they are worth more. The amount is the price, or what
    /// a voucher pays.
    pub fn change(&self, worth: Amount, amount: Amount) -> Option<Amount> {
        worth.checked_sub(amount).filter(|change| *change > Amount(0))
    }
}

/// The digest of an ordered list of coins. Of each coin it covers the key id and the coin key.
pub fn coins_digest(coins: &[Coin]) -> CoinsDigest {
    let mut t = Transcript::start(b"farthing coins");
    t.u64(b"coins", coins.len() as u64);
    for coin in coins {
        t.bytes(b"key id", &coin.key_id.0);
        t.bytes(b"coin key", &coin.public.0);
    }
    CoinsDigest(t.digest32(b"digest"))
}

/// The digest of a recovery record and its id.
pub fn recovery_record_digest(note_id: &RecoveryRecordId, note: &[u8]) -> RecoveryRecordDigest {
    let mut t = Transcript::start(b"farthing note");
    t.bytes(b"note id", &note_id.0);
    t.bytes(b"note", note);
    RecoveryRecordDigest(t.digest32(b"digest"))
}

/// Terms and offer together, signed by the customer's purchase key. The merchant has signed the offer, so both sides
/// have signed (as in NetBill, 1995).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The part that escrow and bank see.
    pub terms: Terms,
    /// The merchant's offer. The bank never sees it.
    pub offer: Signed<Offer>,
    /// The purchase key's signature over the purchase id. Its context says whether the escrow has to show causes: see
    /// [`PurchaseKeyUse`].
    pub signature: Signature,
}

/// A use of the purchase key: what it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurchaseKeyUse {
    /// To agree to a contract whose escrow has to show the cause of an abort.
    Agree,
    /// To agree to a contract of version 1, whose escrow need not show a cause. No new contract is signed in this way.
    AgreeV1,
    /// To cancel, at the escrow.
    Cancel,
    /// To ask for the outcome, at the escrow.
    Outcome,
    /// To ask for what the bank knows of the purchase.
    Collect,
    /// To end a stream, at the merchant.
    Stop,
}

impl PurchaseKeyUse {
    /// The statement that the purchase key `key` signs for `purchase`.
    pub fn statement(self, key: &PublicKey, purchase: &PurchaseId) -> Statement {
        let context = match self {
            PurchaseKeyUse::Agree => "farthing contract 2",
            PurchaseKeyUse::AgreeV1 => "farthing contract",
            PurchaseKeyUse::Cancel => "farthing cancel",
            PurchaseKeyUse::Outcome => "farthing outcome",
            PurchaseKeyUse::Collect => "farthing collect",
            PurchaseKeyUse::Stop => "farthing stop",
        };
        Statement {
            context,
            key_id: KeyId(key.0),
            digest: purchase.digest(),
        }
    }
}

/// A use of a coin's key: what it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoinUse {
    /// A hold of the coin for a purchase. The digest is the purchase id.
    Hold,
    /// The begin of an exchange. The digest is the digest of [`crate::exchange::ExchangeBegin`].
    ExchangeBegin,
    /// An exchange. The digest is the digest of [`crate::exchange::ExchangeFinish`].
    Exchange,
    /// A deposit. The digest is the deposit's id.
    Deposit,
}

impl CoinUse {
    /// The statement that the key of a coin of the denomination `key_id` signs.
    pub fn statement(self, key_id: &KeyId, digest: &StatementDigest) -> Statement {
        let context = match self {
            CoinUse::Hold => "farthing coin hold",
            CoinUse::ExchangeBegin => "farthing coin exchange begin",
            CoinUse::Exchange => "farthing coin exchange",
            CoinUse::Deposit => "farthing coin deposit",
        };
        Statement {
            context,
            key_id: *key_id,
            digest: *digest,
        }
    }
}

/// A use that a coin was put to before, with the signature of the coin's key. So a bank cannot make it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierUse {
    /// The kind of the use.
    pub operation: CoinUse,
    /// The purchase id, the deposit's id, or the digest of the exchange's request.
    pub digest: StatementDigest,
    /// The signature of the coin's key.
    pub authorization: Signature,
}

impl EarlierUse {
    /// The purchase, if the coin was used for a hold.
    pub fn purchase(&self) -> PurchaseId {
        PurchaseId(self.digest.0)
    }

    /// Checks that the coin's key signed this use.
    ///
    /// # Errors
    /// When the signature is not by the coin's key. Then the bank that showed the use has lied.
    pub fn verify(&self, coin: &Coin) -> Result<(), SignatureError> {
        self.verify_by(&coin.key_id, &coin.public)
    }

    /// As [`verify`](EarlierUse::verify), for the coin with this denomination and coin key.
    ///
    /// # Errors
    /// As [`verify`](EarlierUse::verify).
    pub fn verify_by(&self, key_id: &KeyId, coin: &PublicKey) -> Result<(), SignatureError> {
        let statement = self.operation.statement(key_id, &self.digest);
        coin.verify(&statement, &self.authorization)
    }
}

/// The bank's statement that the coins of a purchase are held. Signed by the bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankHold {
    /// The purchase. Its id is the digest of the terms.
    pub purchase: PurchaseId,
    /// The escrow whose decision the bank will apply.
    pub escrow: PublicKey,
    /// The digest of the coins.
    pub coins_digest: CoinsDigest,
    /// The price, which the coins cover. What they are worth beyond it is nobody's affair but the customer's.
    pub total: Amount,
}

impl BankHold {
    /// The statement of a bank that holds the coins of `terms`.
    pub fn of(terms: &Terms) -> BankHold {
        BankHold {
            purchase: terms.purchase_id(),
            escrow: terms.escrow,
            coins_digest: terms.coins_digest,
            total: terms.price,
        }
    }
}

impl Document for BankHold {
    const LABEL: &'static str = "farthing bank hold";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"purchase", &self.purchase.0);
        t.bytes(b"escrow", &self.escrow.0);
        t.bytes(b"coins", &self.coins_digest.0);
        t.u64(b"total", self.total.0);
    }
}

/// The escrow's promise to accept a release for this purchase, with the bank's hold inside. Signed by the escrow.
///
/// A hold of version 1 is signed under its own label. For a contract of version 2 it is signed as [`HoldWithCauses`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The bank's hold.
    pub bank_hold: Signed<BankHold>,
}

impl Document for Hold {
    const LABEL: &'static str = "farthing hold";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank hold", &self.bank_hold.body.digest().0);
        t.bytes(b"bank commitment", &self.bank_hold.signature.commitment.0);
        t.bytes(b"bank response", &self.bank_hold.signature.response.0);
    }
}

/// A [`Hold`] in which the escrow also promises that an abort of this purchase will show its cause.
///
/// This hold and an abort without a cause convict an escrow together. The customer's signature under the contract would
/// not be enough. The customer could sign a new contract after an escrow of version 1 has aborted the purchase.
#[derive(Clone, Copy, Debug)]
pub struct HoldWithCauses<'a>(pub &'a Hold);

impl Document for HoldWithCauses<'_> {
    const LABEL: &'static str = "farthing hold 2";

    fn describe(&self, t: &mut Transcript) {
        self.0.describe(t);
    }
}

impl Hold {
    /// Signs the hold, with the promise to show causes.
    pub fn sign_with_causes(self, key: &SecretKey) -> Signed<Hold> {
        let signature = key.sign(&HoldWithCauses(&self).statement(&key.public()));
        Signed {
            body: self,
            signature,
        }
    }
}

/// Whether `escrow` signed this hold with the promise to show causes.
pub fn promises_causes(hold: &Signed<Hold>, escrow: &PublicKey) -> bool {
    let statement = HoldWithCauses(&hold.body).statement(escrow);
    escrow.verify(&statement, &hold.signature).is_ok()
}

/// The escrow's decision to commit, with the goods key in clear. Signed by the escrow, for merchant and customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The bank that pays.
    pub bank: PublicKey,
    /// The digest of the coins that pay.
    pub coins_digest: CoinsDigest,
    /// The account that is credited.
    pub account: PublicKey,
    /// The amount of the credit.
    pub amount: Amount,
    /// The goods key of the sale.
    pub goods_key: GoodsKey,
}

impl Document for Receipt {
    const LABEL: &'static str = "farthing receipt";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"purchase", &self.purchase.0);
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"coins", &self.coins_digest.0);
        t.bytes(b"account", &self.account.0);
        t.u64(b"amount", self.amount.0);
        t.bytes(b"goods key", self.goods_key.as_bytes());
    }
}

/// The merchant's statement that it gives the goods key of a free item. Signed by the merchant. The contract that it names
/// is signed by the purchase key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeReceipt {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The goods key of the offer.
    pub goods_key: GoodsKey,
}

impl Document for FreeReceipt {
    const LABEL: &'static str = "farthing free receipt";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"purchase", &self.purchase.0);
        t.bytes(b"goods key", self.goods_key.as_bytes());
    }
}

/// The escrow's decision to commit as the bank sees it: the goods key is sealed to the customer. Signed by the escrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The bank that pays.
    pub bank: PublicKey,
    /// The digest of the coins that pay.
    pub coins_digest: CoinsDigest,
    /// The account that is credited.
    pub account: PublicKey,
    /// The amount of the credit.
    pub amount: Amount,
    /// The goods key, sealed to the purchase key. With it the customer gets the goods also if the escrow is gone.
    pub sealed_key: SealedKey,
}

impl Document for Commit {
    const LABEL: &'static str = "farthing commit";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"purchase", &self.purchase.0);
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"coins", &self.coins_digest.0);
        t.bytes(b"account", &self.account.0);
        t.u64(b"amount", self.amount.0);
        describe_sealed_key(t, &self.sealed_key);
    }
}

fn describe_sealed_key(t: &mut Transcript, sealed_key: &SealedKey) {
    t.bytes(b"sealed key ephemeral", &sealed_key.ephemeral.0);
    t.bytes(b"sealed key body", &sealed_key.body.0);
    t.bytes(b"sealed key tag", &sealed_key.tag);
}

/// The bank's statement that a purchase is overdue: its coins are held, and its deadline has passed by the bank's clock.
/// Signed by the bank, for the escrow. The escrow aborts by its own clock and shows this as the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overdue {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The escrow that is asked.
    pub escrow: PublicKey,
    /// The deadline of the terms (ms since 1970).
    pub deadline_ms: u64,
    /// The time of the signature (ms since 1970, the bank's clock). Not before the deadline.
    pub at_ms: u64,
}

impl Document for Overdue {
    const LABEL: &'static str = "farthing overdue";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"purchase", &self.purchase.0);
        t.bytes(b"escrow", &self.escrow.0);
        t.u64(b"deadline", self.deadline_ms);
        t.u64(b"at", self.at_ms);
    }
}

/// The merchant's word that it ends a stream. Signed by the merchant, for the escrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The escrow.
    pub escrow: PublicKey,
}

impl Document for Close {
    const LABEL: &'static str = "farthing stream close";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"purchase", &self.purchase.0);
        t.bytes(b"escrow", &self.escrow.0);
    }
}

/// Why a purchase was aborted.
///
/// The first three reasons are of version 1: nothing but the escrow's word. No escrow gives them any more. The others
/// are causes that anyone can [check](AbortReason::check).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AbortReason {
    /// Version 1: the customer cancelled it.
    Cancelled,
    /// Version 1: its deadline passed by the escrow's clock.
    DeadlinePassed,
    /// Version 1: the offer's sealed key does not open, or is not the key that the offer commits to.
    WrongSealedKey,
    /// The customer cancelled it. The signature is by the purchase key over the purchase id.
    CancelledBy(Signature),
    /// Its deadline passed by the escrow's clock and by the bank's clock. The bank signed this.
    Overdue(Box<Signed<Overdue>>),
    /// The offer's sealed key does not keep what the offer promises, as this point
    /// [shows](crate::sealed::shows_wrong_key). It is the merchant's fault.
    WrongKey(Box<SharedPoint>),
    /// The merchant closed a stream of which the escrow was shown no voucher.
    Closed(Box<Signed<Close>>),
}

impl AbortReason {
    /// The number of the reason, in the document and on the wire.
    fn code(&self) -> u8 {
        match self {
            AbortReason::Cancelled => 0,
            AbortReason::DeadlinePassed => 1,
            AbortReason::WrongSealedKey => 2,
            AbortReason::CancelledBy(_) => 3,
            AbortReason::Overdue(_) => 4,
            AbortReason::WrongKey(_) => 5,
            AbortReason::Closed(_) => 6,
        }
    }

    /// Writes the number of the reason, and the cause.
    fn describe(&self, t: &mut Transcript) {
        t.u8(b"reason", self.code());
        match self {
            AbortReason::Cancelled | AbortReason::DeadlinePassed | AbortReason::WrongSealedKey => {}
            AbortReason::CancelledBy(signature) => {
                t.bytes(b"cancel commitment", &signature.commitment.0);
                t.bytes(b"cancel response", &signature.response.0);
            }
            AbortReason::Overdue(overdue) => {
                t.bytes(b"overdue", &overdue.body.digest().0);
                t.bytes(b"bank commitment", &overdue.signature.commitment.0);
                t.bytes(b"bank response", &overdue.signature.response.0);
            }
            AbortReason::WrongKey(shown) => {
                t.bytes(b"shared point", &shown.point.0);
                t.bytes(b"shared point challenge", &shown.challenge.0);
                t.bytes(b"shared point response", &shown.response.0);
            }
            AbortReason::Closed(close) => {
                t.bytes(b"close", &close.body.digest().0);
                t.bytes(b"merchant commitment", &close.signature.commitment.0);
                t.bytes(b"merchant response", &close.signature.response.0);
            }
        }
    }
}

/// The escrow's decision to abort. Signed by the escrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The bank that releases the coins.
    pub bank: PublicKey,
    /// The reason, with its cause.
    pub reason: AbortReason,
}

impl Document for Abort {
    const LABEL: &'static str = "farthing abort";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"purchase", &self.purchase.0);
        t.bytes(b"bank", &self.bank.0);
        self.reason.describe(t);
    }
}

/// How the bank has settled a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettledAs {
    /// The coins are spent and the account is credited.
    Committed {
        /// The account that is credited.
        account: PublicKey,
        /// The amount of the credit.
        amount: Amount,
    },
    /// The coins are released.
    Aborted,
    /// No coins are held. The bank knows no purchase with this id, or has forgotten it. So this says nothing about what
    /// was or will be.
    NotHeld,
}

/// The bank's statement that it has applied a decision. Signed by the bank.
///
/// It names the escrow. Another escrow may have decided the purchase before its hold, though it is not the escrow of the
/// terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The escrow that decided.
    pub escrow: PublicKey,
    /// How the purchase was settled.
    pub outcome: SettledAs,
}

impl Document for Settled {
    const LABEL: &'static str = "farthing settled";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"purchase", &self.purchase.0);
        t.bytes(b"escrow", &self.escrow.0);
        match &self.outcome {
            SettledAs::Committed { account, amount } => {
                t.u8(b"outcome", 0);
                t.bytes(b"account", &account.0);
                t.u64(b"amount", amount.0);
            }
            SettledAs::Aborted => t.u8(b"outcome", 1),
            SettledAs::NotHeld => t.u8(b"outcome", 2),
        }
    }
}

impl Settled {
    /// The statement of a bank that has committed the purchase of `terms` for `amount`: the price, or what a voucher pays.
    pub fn committed(terms: &Terms, amount: Amount) -> Settled {
        Settled {
            purchase: terms.purchase_id(),
            escrow: terms.escrow,
            outcome: SettledAs::Committed {
                account: terms.account,
                amount,
            },
        }
    }

    /// The statement of a bank that has applied the abort of `purchase` by `escrow`.
    pub fn aborted(purchase: PurchaseId, escrow: PublicKey) -> Settled {
        Settled {
            purchase,
            escrow,
            outcome: SettledAs::Aborted,
        }
    }

    /// The statement of a bank that was brought an abort of `purchase` by `escrow`, and holds no coins for it.
    pub fn not_held(purchase: PurchaseId, escrow: PublicKey) -> Settled {
        Settled {
            purchase,
            escrow,
            outcome: SettledAs::NotHeld,
        }
    }
}

/// The bank's answers to the challenges of one withdrawal or exchange. Signed by the bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The request.
    pub request_id: RequestId,
    /// The account that was debited, the digest of the coins that were taken in, or that of the reserve and the request.
    pub source: IssueSource,
    /// The denomination key of each new coin.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub outputs: Vec<KeyId>,
    /// The wallet's blinded challenges.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub challenges: Vec<Challenge>,
    /// The bank's responses.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub responses: Vec<Response>,
}

impl Document for Issued {
    const LABEL: &'static str = "farthing issued";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"request", &self.request_id.0);
        t.bytes(b"source", &self.source.0);
        describe_outputs(t, &self.outputs);
        describe_challenges(t, &self.challenges);
        t.u64(b"responses", self.responses.len() as u64);
        for response in &self.responses {
            t.bytes(b"z", &response.z.0);
            t.bytes(b"b", &response.b.0);
            t.bytes(b"y", &response.y.0);
        }
    }
}

/// Writes a list of key ids.
pub(crate) fn describe_outputs(t: &mut Transcript, outputs: &[KeyId]) {
    t.u64(b"outputs", outputs.len() as u64);
    for output in outputs {
        t.bytes(b"output", &output.0);
    }
}

/// Writes a list of challenges.
pub(crate) fn describe_challenges(t: &mut Transcript, challenges: &[Challenge]) {
    t.u64(b"challenges", challenges.len() as u64);
    for challenge in challenges {
        t.bytes(b"challenge", &challenge.0);
    }
}
