//! Hold, the first phase of a purchase: the bank holds all coins for the terms, or none.
//!
//! ```text
//! wallet                     escrow                      bank
//!   HoldRequest   --------->   verifies contract and coins
//!                              BankHoldRequest --------->  verifies the coins itself; holds in one write
//!                              <-----------------------  Signed<BankHold>
//!                 <---------  Signed<Hold>
//! ```
//!
//! The escrow stores nothing. A hold is the escrow's signature over the hold that the bank has stored.

use crate::{
    bounded,
    coins::{CoinState, VerifiedCoins, check_length, verify},
    contract::{VerifiedContract, check_deadline},
    decision::Decision,
    documents::{
        BankHold, CoinUse, Contract, EarlierUse, SaleLimit, Terms, coins_digest, recovery_record_digest,
    },
    ids::PurchaseId,
    limits::{COINS_PER_REQUEST_MAX, SETTLEMENT_MARGIN_MS, SINGLE_SALE_HORIZON_MS},
    refusal::{CoinFault, CoinsFault, ContractFault, PurchaseFault, Refusal, RequestFault},
    request::check_matching,
    request::check_recipient,
    seal::SEALED_RECORD_BYTES,
    settle::BankPurchase,
};
use farthing_coin::{Coin, KeyBook, PublicKey, RecoveryRecordId, Signature};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// From the wallet to the escrow: hold the coins for the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRequest {
    /// Terms and offer, signed by both sides.
    pub contract: Contract,
    /// The part that the escrow passes on to the bank with the terms.
    pub payment: Payment,
}

/// The coins that pay, and the wallet's recovery record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The coins, in the order of their digest in the terms.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub coins: Vec<Coin>,
    /// The signature of each coin's key over the purchase id.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub authorizations: Vec<Signature>,
    /// The id under which the bank keeps the recovery record.
    pub note_id: RecoveryRecordId,
    /// The recovery record, encrypted with a key of the wallet. It always has [`SEALED_RECORD_BYTES`].
    #[serde(
        serialize_with = "serde_bytes::serialize",
        deserialize_with = "bounded::bytes::<_, SEALED_RECORD_BYTES>"
    )]
    pub note: Vec<u8>,
}

/// From the escrow to the bank: hold the coins for the terms. The bank never sees the offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankHoldRequest {
    /// The terms of the purchase.
    pub terms: Terms,
    /// The coins.
    pub payment: Payment,
}

// ---- the escrow -------------------------------------------------------------------------------------------

/// A hold request with a verified contract. Only [`verify_hold_contract`] and [`verify_open`](crate::stream::verify_open)
/// make one.
#[derive(Debug)]
pub struct AgreedHold {
    contract: VerifiedContract,
    payment: Payment,
}

/// Verifies the parts of a hold request that do not depend on time or on the bank's keys.
///
/// For a decided purchase the escrow checks nothing else. So the customer learns the decision also after all dates and
/// keys have ended.
///
/// # Errors
/// Names the first part that is wrong.
pub fn verify_hold_contract(request: HoldRequest, self_id: &PublicKey) -> Result<AgreedHold, Refusal> {
    let HoldRequest { contract, payment } = request;
    check_recipient(&contract.terms.escrow, self_id)?;
    let contract = contract.verified()?;
    Ok(AgreedHold { contract, payment })
}

impl AgreedHold {
    /// The coins that `payment` puts to a verified contract.
    pub(crate) fn new(contract: VerifiedContract, payment: Payment) -> Self {
        Self { contract, payment }
    }

    /// The contract.
    pub fn contract(&self) -> &VerifiedContract {
        &self.contract
    }

    /// The coins. They are not verified yet.
    pub fn coins(&self) -> &[Coin] {
        &self.payment.coins
    }

    /// Checks that the purchase is not decided. For a decided purchase no coins are held.
    ///
    /// # Errors
    /// Says how the purchase ended.
    pub fn check_open(&self, existing: Option<&Decision>) -> Result<(), PurchaseFault> {
        let purchase = self.contract.purchase();
        match existing {
            Some(Decision::Committed { .. } | Decision::Streamed { .. }) => {
                Err(PurchaseFault::Committed(purchase))
            }
            Some(Decision::Aborted { .. }) => Err(PurchaseFault::Aborted(purchase)),
            None => Ok(()),
        }
    }

    /// Checks the parts that need no key of the bank: the deadline, the recovery record, and the digests in the terms.
    ///
    /// An offer that is sold once ends within a day. So it has ended long before the escrow forgets that it was sold.
    ///
    /// # Errors
    /// Names the first part that is wrong.
    pub fn check_payment(&self, now_ms: u64) -> Result<(), Refusal> {
        check_deadline(self.contract.terms(), now_ms)?;
        let offer = &self.contract.contract().offer.body;
        let ends_ms = now_ms.saturating_add(SINGLE_SALE_HORIZON_MS);
        if offer.sales == SaleLimit::Once && offer.expires_ms > ends_ms {
            let why = "it is sold once, and expires in more than two days";
            return Err(ContractFault::OfferBounds(why.into()).into());
        }
        check_shape(self.contract.terms(), &self.payment)
    }

    /// Verifies the rest: the deadline, the recovery record, the coins and their authorizations.
    ///
    /// # Errors
    /// Names the first part that is wrong.
    pub fn verify(
        self,
        keys: &KeyBook,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<VerifiedHold, Refusal> {
        check_deadline(self.contract.terms(), now_ms)?;
        verify_payment(self.contract.terms(), &self.payment, keys, rng)?;
        Ok(VerifiedHold {
            contract: self.contract,
            payment: self.payment,
        })
    }
}

/// A verified hold request, which the escrow passes on. Only [`AgreedHold::verify`] makes one.
#[derive(Debug)]
pub struct VerifiedHold {
    contract: VerifiedContract,
    payment: Payment,
}

impl VerifiedHold {
    /// The contract.
    pub fn contract(&self) -> &VerifiedContract {
        &self.contract
    }

    /// The request to the bank.
    pub fn for_bank(self) -> BankHoldRequest {
        BankHoldRequest {
            terms: self.contract.terms().clone(),
            payment: self.payment,
        }
    }
}

/// Checks that recovery record and coins have the digests in the terms, and that each coin has an authorization. It does
/// not verify coins or authorizations.
fn check_shape(terms: &Terms, payment: &Payment) -> Result<(), Refusal> {
    check_length("coins", payment.coins.len())?;
    check_matching(
        "authorizations",
        payment.authorizations.len(),
        payment.coins.len(),
    )?;
    if payment.note.len() != SEALED_RECORD_BYTES {
        let got = payment.note.len();
        return Err(RequestFault::ListMismatch {
            what: "bytes of the note".into(),
            got,
            expected: SEALED_RECORD_BYTES,
        }
        .into());
    }
    if recovery_record_digest(&payment.note_id, &payment.note) != terms.note_digest {
        return Err(ContractFault::OtherNote.into());
    }
    if coins_digest(&payment.coins) != terms.coins_digest {
        return Err(ContractFault::OtherCoins.into());
    }
    Ok(())
}

/// Verifies coins and authorizations, and checks worth and recovery record against the terms.
fn verify_payment(
    terms: &Terms,
    payment: &Payment,
    keys: &KeyBook,
    rng: &mut impl CryptoRng,
) -> Result<VerifiedCoins, Refusal> {
    check_shape(terms, payment)?;
    let purchase = terms.purchase_id();
    let coins = verify(
        &payment.coins,
        &payment.authorizations,
        CoinUse::Hold,
        &purchase.digest(),
        keys,
        rng,
    )?;
    if coins.total() < terms.price {
        return Err(ContractFault::Worth {
            worth: coins.total(),
            price: terms.price,
        }
        .into());
    }
    Ok(coins)
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// A hold request that fits its terms and has valid, authorized coins. Only [`verify_bank_hold`] makes one.
#[derive(Debug)]
pub struct VerifiedBankHold {
    terms: Terms,
    purchase: PurchaseId,
    coins: VerifiedCoins,
    note_id: RecoveryRecordId,
    note: Vec<u8>,
}

/// Verifies a hold request at the bank. A bank does not rely on the checks of an escrow.
///
/// # Errors
/// Names the first part that is wrong.
pub fn verify_bank_hold(
    request: BankHoldRequest,
    self_id: &PublicKey,
    keys: &KeyBook,
    rng: &mut impl CryptoRng,
) -> Result<VerifiedBankHold, Refusal> {
    let BankHoldRequest { terms, payment } = request;
    check_recipient(&terms.bank, self_id)?;
    // This also bounds the currency, as the terms are stored.
    if terms.currency != keys.list().currency {
        return Err(ContractFault::DoesNotFit("currency".into()).into());
    }
    let coins = verify_payment(&terms, &payment, keys, rng)?;
    let purchase = terms.purchase_id();
    Ok(VerifiedBankHold {
        terms,
        purchase,
        coins,
        note_id: payment.note_id,
        note: payment.note,
    })
}

/// The bank's decision on a hold request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldDecision {
    /// The hold was made before. The bank repeats its answer.
    Repeated(BankHold),
    /// The hold is new. The bank writes the rows, then answers.
    New {
        /// The row of the purchase.
        purchase: Box<BankPurchase>,
        /// The new states of the coins, in their order.
        states: Vec<CoinState>,
        /// The answer, which the bank signs.
        hold: BankHold,
    },
}

impl VerifiedBankHold {
    /// The terms.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The purchase.
    pub fn purchase(&self) -> PurchaseId {
        self.purchase
    }

    /// The coins, whose rows the bank loads.
    pub fn coins(&self) -> &VerifiedCoins {
        &self.coins
    }

    /// The recovery record and its id.
    pub fn recovery_record(&self) -> (&RecoveryRecordId, &[u8]) {
        (&self.note_id, &self.note)
    }

    /// Decides: holds all coins or none.
    ///
    /// `states` are in the coins' order. `account_known` says whether the merchant's account exists.
    ///
    /// # Errors
    /// When the purchase has ended, a coin is used, a date does not fit, or the account is unknown.
    pub fn respond(
        &self,
        purchase: Option<&BankPurchase>,
        states: &[CoinState],
        account_known: bool,
        now_ms: u64,
    ) -> Result<HoldDecision, Refusal> {
        let hold = BankHold::of(&self.terms);
        match purchase {
            Some(BankPurchase::Held { .. }) => return Ok(HoldDecision::Repeated(hold)),
            Some(BankPurchase::Committed { .. } | BankPurchase::Streamed { .. }) => {
                return Err(PurchaseFault::Committed(self.purchase).into());
            }
            Some(BankPurchase::Aborted { .. } | BankPurchase::NotHeld { .. }) => {
                return Err(PurchaseFault::Aborted(self.purchase).into());
            }
            None => {}
        }
        if !account_known {
            return Err(crate::refusal::AccountFault::Unknown(self.terms.account).into());
        }
        check_deadline(&self.terms, now_ms)?;
        self.check_holdable(states, now_ms)?;
        let held = |authorization: Signature| {
            CoinState::Held(EarlierUse {
                operation: CoinUse::Hold,
                digest: self.purchase.digest(),
                authorization,
            })
        };
        let coins = self.coins.coins();
        Ok(HoldDecision::New {
            purchase: Box::new(BankPurchase::Held {
                terms: self.terms.clone(),
                coins: coins.iter().map(|coin| coin.row_key()).collect(),
            }),
            states: coins.iter().map(|coin| held(coin.authorization)).collect(),
            hold,
        })
    }

    fn check_holdable(&self, states: &[CoinState], now_ms: u64) -> Result<(), CoinsFault> {
        let settled_by_ms = self.terms.deadline_ms.saturating_add(SETTLEMENT_MARGIN_MS);
        for (index, (coin, state)) in self.coins.coins().iter().zip(states).enumerate() {
            let fault = |what| Err(CoinsFault { index, what });
            if let Some(what) = state.taken() {
                return fault(what);
            }
            if now_ms >= coin.spend_until_ms {
                return fault(CoinFault::Expired {
                    expired_ms: coin.spend_until_ms,
                });
            }
            if settled_by_ms > coin.spend_until_ms {
                return fault(CoinFault::EndsTooSoon);
            }
        }
        Ok(())
    }
}
