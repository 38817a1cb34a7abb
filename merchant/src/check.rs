//! Checks of an escrow's or a bank's documents before the merchant stores them.

use farthing_coin::{PublicKey, Signed};
use farthing_protocol::{
    contract::check_hold,
    decision::Committed,
    documents::{Abort, Contract, Hold, PurchaseId, Settled, Terms},
    money::Amount,
    offer::VerifiedDeliver,
    purchase::{check_abort_signed, check_receipt, check_stream_commit},
    refusal::{ContractFault, GoodsFault, Refusal, RequestFault},
    sealed::SealedSale,
    settle::{Answers, on_settled},
    stream::{
        StreamCommit, VerifiedWatch,
        chain::{KeyChain, key_at},
    },
};

use crate::secret::MerchantSecret;
use farthing_protocol::{goods::GoodsKey, seal::opens};

/// A delivery on an offer of this merchant, with its goods key. Only [`own_delivery`] makes one.
#[derive(Debug)]
pub struct OwnDelivery {
    pub(crate) deliver: VerifiedDeliver,
    pub(crate) goods_key: GoodsKey,
}

/// Checks that a verified delivery is on an offer that derives from `secret` and pays into `account`.
///
/// A node with the same identity key and another secret could not deliver on it.
///
/// # Errors
/// [`GoodsFault::UnknownOffer`].
pub fn own_delivery(
    deliver: VerifiedDeliver,
    secret: &MerchantSecret,
    account: &PublicKey,
) -> Result<OwnDelivery, Refusal> {
    let offer = deliver.offer();
    let goods_key = secret.goods_key(&offer.sale_id);
    if !opens(&offer.key_commitment, &goods_key) || deliver.contract().terms().account != *account {
        return Err(GoodsFault::UnknownOffer.into());
    }
    Ok(OwnDelivery { deliver, goods_key })
}

/// An open stream on an offer of this merchant. Only [`own_stream`] makes one.
#[derive(Debug)]
pub struct OwnStream {
    pub(crate) watch: VerifiedWatch,
}

/// Checks that a verified stream is on an offer that derives from `secret` and pays into `account`, and returns its keys too.
/// It hashes once for each tick.
///
/// # Errors
/// [`GoodsFault::UnknownOffer`].
pub fn own_stream(
    watch: VerifiedWatch,
    secret: &MerchantSecret,
    account: &PublicKey,
) -> Result<(OwnStream, KeyChain), Refusal> {
    let offer = &watch.contract().offer.body;
    let chain = KeyChain::new(&secret.goods_key(&offer.sale_id), watch.ticks());
    if chain.commitment() != offer.key_commitment || watch.contract().terms.account != *account {
        return Err(GoodsFault::UnknownOffer.into());
    }
    Ok((OwnStream { watch }, chain))
}

/// An escrow's commit of a stream that fits its contract. Only [`streamed`] makes one.
#[derive(Debug, Clone)]
pub struct CheckedStream {
    pub(crate) purchase: PurchaseId,
    pub(crate) stream: StreamCommit,
}

/// Checks that the escrow signed `stream` for this contract, and the customer its voucher. `last` is the key of the last tick.
///
/// # Errors
/// [`ContractFault::Decision`] names the field that does not fit.
pub fn streamed(
    contract: &Contract,
    stream: StreamCommit,
    last: &GoodsKey,
) -> Result<CheckedStream, ContractFault> {
    let ticks = contract.offer.body.ticks().unwrap_or_default();
    // The key is sealed to the customer. This is the key that it has to be.
    let own_key = key_at(last, ticks, stream.voucher.body.ticks);
    check_stream_commit(&stream, contract, |_, _| Ok(own_key))
        .map_err(|e| ContractFault::Decision(e.to_string()))?;
    Ok(CheckedStream {
        purchase: contract.terms.purchase_id(),
        stream,
    })
}

/// Receipt and commit that fit their contract. Only [`committed`] makes one.
#[derive(Debug, Clone)]
pub struct CheckedCommit {
    pub(crate) purchase: PurchaseId,
    pub(crate) committed: Committed,
}

/// Checks that the escrow signed receipt and commit for this contract.
///
/// # Errors
/// [`ContractFault::Decision`] names the field that does not fit.
pub fn committed(contract: &Contract, committed: Committed) -> Result<CheckedCommit, ContractFault> {
    let refuse = |why: String| ContractFault::Decision(why);
    check_receipt(&committed.receipt, contract).map_err(|e| refuse(e.to_string()))?;
    let terms = &contract.terms;
    let purchase = terms.purchase_id();
    committed
        .commit
        .verify(&terms.escrow)
        .map_err(|e| refuse(format!("the commit's signature: {e}")))?;
    let commit = &committed.commit.body;
    let fits = commit.purchase == purchase
        && commit.bank == terms.bank
        && commit.coins_digest == terms.coins_digest
        && commit.account == terms.account
        && commit.amount == terms.price;
    if !fits {
        return Err(refuse("the commit is not for this purchase".into()));
    }
    Ok(CheckedCommit { purchase, committed })
}

/// A sale that an escrow has committed on a sealed offer of this merchant. Only [`sealed_sale`] makes one.
#[derive(Debug, Clone)]
pub struct CheckedSale {
    pub(crate) contract: Contract,
    pub(crate) hold: Signed<Hold>,
    pub(crate) commit: CheckedCommit,
}

/// Checks that a sale in the list of `escrow` is of the merchant `self_id`, at that escrow.
///
/// # Errors
/// Names the field that does not fit.
pub fn sealed_sale(
    sale: SealedSale,
    here: &PublicKey,
    escrow: &PublicKey,
) -> Result<CheckedSale, ContractFault> {
    let contract = sale.contract.verified()?;
    let terms = contract.terms();
    if terms.merchant != *here || terms.escrow != *escrow {
        return Err(ContractFault::DoesNotFit("merchant or escrow".into()));
    }
    check_hold(contract.contract(), &sale.hold)?;
    let contract = contract.contract().clone();
    Ok(CheckedSale {
        commit: committed(&contract, sale.committed)?,
        contract,
        hold: sale.hold,
    })
}

/// An abort of a sale by its escrow. Only [`aborted`] makes one.
#[derive(Debug, Clone)]
pub struct CheckedAbort {
    pub(crate) purchase: PurchaseId,
    pub(crate) abort: Signed<Abort>,
}

/// Checks that the escrow of `terms` signed `abort` for these terms. The cause is not checked: an abort without a cause is
/// stored too, as it convicts the escrow.
///
/// # Errors
/// [`ContractFault::Decision`] names the field that does not fit.
pub fn aborted(terms: &Terms, abort: Signed<Abort>) -> Result<CheckedAbort, ContractFault> {
    check_abort_signed(&abort, terms).map_err(|e| ContractFault::Decision(e.to_string()))?;
    Ok(CheckedAbort {
        purchase: terms.purchase_id(),
        abort,
    })
}

/// A bank's signed word that it has credited a purchase. Only [`credited`] makes one.
#[derive(Debug, Clone)]
pub struct CheckedCredit {
    pub(crate) settled: Signed<Settled>,
}

/// Checks which purchases `bank` has signed as credited, each with its amount and the account of its terms.
///
/// # Errors
/// When the number of answers differs. For one purchase: the bank's refusal, or the field that does not fit.
pub fn credited<'t>(
    bank: &PublicKey,
    sales: impl Iterator<Item = (&'t Terms, Amount)>,
    answers: Answers,
) -> Result<Vec<Result<CheckedCredit, Refusal>>, RequestFault> {
    let expected: Vec<Settled> = sales
        .map(|(terms, amount)| Settled::committed(terms, amount))
        .collect();
    let answers = on_settled(answers, &expected, bank)?;
    let checked = |settled| CheckedCredit { settled };
    Ok(answers.into_iter().map(|answer| answer.map(checked)).collect())
}
