//! Papers: the documents that are judged.

use crate::{
    decision::SignedDecision,
    denial::Denial,
    deposited::Deposited,
    documents::{
        Abort, BankHold, Commit, Contract, EarlierUse, FreeReceipt, Hold, Issued, Receipt, Settled, Terms,
    },
    goods::{GoodsKey, PurchaseSecret, SealingSecret},
    oblivious::EncryptionKey,
    refund::Refunded,
    reserve::ReserveBalance,
    stream::{Opened, Raised, TickBatch, Voucher, chain, tick_digest},
};
use farthing_coin::{Coin, KeyId, KeyList, PublicKey, SharedPoint, Signature, Signed};
use serde::{Deserialize, Serialize};

/// The documents that a party has of one purchase, of coins, of reserves, or of encryption keys. Each document is optional.
///
/// It is a JSON file (bytes in hex), so that anyone can judge it. Nobody can spend a coin with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Papers {
    /// The contract, signed by both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// The terms, if there is no contract. They need no signature, as the purchase id is their digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// The escrow, if there are no terms either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escrow: Option<PublicKey>,
    /// The escrow's hold, with the bank's hold inside. It says whether an abort will show its cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Signed<Hold>>,
    /// The bank's hold. It names the escrow whose decision the bank will apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank_hold: Option<Signed<BankHold>>,
    /// The escrow's receipt, with the goods key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Signed<Receipt>>,
    /// The merchant's receipt for a free item, with the goods key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_receipt: Option<Signed<FreeReceipt>>,
    /// The escrow's commit for the bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<Signed<Commit>>,
    /// The point that opens the goods key in the commit. The purchase key, which is the key of a reserve, stays secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchase_point: Option<SharedPoint>,
    /// In a file of version 1, the purchase key in place of the point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchase_secret: Option<PurchaseSecret>,
    /// The escrow's abort.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<Signed<Abort>>,
    /// The escrow's word that a stream is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened: Option<Signed<Opened>>,
    /// The customer's voucher for ticks of a stream. It belongs to a commit of its amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voucher: Option<Signed<Voucher>>,
    /// The escrow's promise to commit at least so many ticks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raised: Option<Signed<Raised>>,
    /// A tick of a stream that does not open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick: Option<ShownTick>,
    /// The secret that opens the sealed goods key in the contract's offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealing_secret: Option<SealingSecret>,
    /// The bank's statement that it has applied the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Signed<Settled>>,
    /// The bank's key list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Signed<KeyList>>,
    /// Coins that the bank denies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coins: Vec<Coin>,
    /// The bank's denials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Signed<Denial>>,
    /// The uses of coins that the bank shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<ShownUse>,
    /// What the bank has carried out of deposits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deposits: Vec<Signed<Deposited>>,
    /// What the bank has refunded of purchases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Signed<Refunded>>,
    /// The bank's statements of the sums of reserves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub balances: Vec<Signed<ReserveBalance>>,
    /// The debits of reserves that the bank shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub debits: Vec<ShownDebit>,
    /// Encryption keys, each signed by its server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub encryption_keys: Vec<Signed<EncryptionKey>>,
}

impl Papers {
    /// All terms: the contract's terms and the separate terms.
    pub fn terms(&self) -> impl Iterator<Item = &Terms> {
        let contract = self.contract.iter().map(|contract| &contract.terms);
        contract.chain(&self.terms)
    }

    /// The papers of one decision of `escrow`.
    #[must_use]
    pub fn decided(escrow: PublicKey, terms: Option<Terms>, decision: SignedDecision) -> Papers {
        let papers = Papers {
            terms,
            escrow: Some(escrow),
            ..Papers::default()
        };
        match decision {
            SignedDecision::Commit(commit) => Papers {
                commit: Some(commit),
                ..papers
            },
            SignedDecision::Abort(abort) => Papers {
                abort: Some(abort),
                ..papers
            },
            SignedDecision::Stream(stream) => Papers {
                commit: Some(stream.commit),
                voucher: Some(stream.voucher),
                ..papers
            },
        }
    }
}

/// A tick of a stream, as its customer shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownTick {
    /// The merchant's signature over ticks, the shown one among them.
    pub batch: Signed<TickBatch>,
    /// The number of the tick.
    pub index: u32,
    /// The encrypted tick.
    #[serde(with = "hex::serde")]
    pub tick: Vec<u8>,
    /// The key of the tick.
    pub key: GoodsKey,
}

impl ShownTick {
    /// Whether the merchant of this contract has signed the tick, and it does not open with its key. A tick that the offer
    /// does not have costs no digests.
    pub fn breaks(&self, contract: &Contract) -> bool {
        let TickBatch {
            purchase,
            first,
            digests,
        } = &self.batch.body;
        let place = self
            .index
            .checked_sub(*first)
            .and_then(|place| usize::try_from(place).ok());
        let signed = place.and_then(|place| digests.get(place));
        let ticks = contract.offer.body.ticks().unwrap_or_default();
        self.index <= ticks
            && *purchase == contract.terms.purchase_id()
            && signed.is_some_and(|digest| *digest == tick_digest(&self.tick))
            && self.batch.verify(&contract.terms.merchant).is_ok()
            && chain::fits(&contract.offer.body.key_commitment, &self.key, self.index)
            && chain::decrypt_tick(&self.key, purchase, self.index, self.tick.clone()).is_none()
    }
}

/// A debit of a reserve, as its bank shows it. The bank shows the record of what it gave: coins, or credits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownDebit {
    /// The reserve.
    pub reserve: PublicKey,
    /// The signature of its key under the request.
    pub signature: Signature,
    /// The coins that were issued, if they were withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Signed<Issued>>,
    /// The credits, if the reserve was deposited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposited: Option<Signed<Deposited>>,
}

/// A use of a coin, as its bank shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownUse {
    /// The denomination of the coin.
    pub key_id: KeyId,
    /// The coin key.
    pub coin: PublicKey,
    /// The use.
    pub used: EarlierUse,
    /// The record of what was given for it, if it was exchanged. Signed by the bank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Signed<Issued>>,
    /// The record of what was credited for it, if it was deposited. Signed by the bank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposited: Option<Signed<Deposited>>,
}
