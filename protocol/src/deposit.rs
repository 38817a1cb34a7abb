//! Deposit: coins, or the money of one reserve, are paid to accounts and reserves at the bank.
//!
//! ```text
//! wallet                                  bank
//!   Authorized<Deposit> ---------------->   spends the coins, or debits the reserve, and credits the payees in one write
//!                       <----------------   Signed<Deposited>, the same for each repeated request
//! ```
//!
//! A wallet puts its own coins back into its account with it, and pays a person: a reserve needs nobody who is online. A
//! text goes in as a digest with a salt. The payer shows the text to whom they want, and the bank sees none of it.
//!
//! The deposit's id is the digest of the request. A wallet that has sent one gives it up only by an exchange of one of its
//! coins: after that the deposit cannot be carried out any more.

use crate::{
    bounded,
    coins::{CoinState, VerifiedCoins, check_length, verify},
    deposited::{DepositBody, DepositOutput, Deposited, Payee, coins_paid, reserve_paid},
    documents::{CoinUse, EarlierUse},
    exchange::{Authorized, authorize, check_exchangeable},
    ids::{DepositId, DepositSource, TextDigest},
    limits::{COINS_PER_REQUEST_MAX, DEPOSIT_OUTPUTS_MAX},
    money::Amount,
    refusal::{AccountFault, IssueFault, Refusal, RequestFault},
    request::{check_bound, check_matching, check_recipient, check_signature},
    reserve_sums::ReserveSums,
};
use farthing_coin::{Coin, Document, KeyBook, KeyId, PublicKey, SecretKey, Signature, Signed, Transcript};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

// ---- messages ---------------------------------------------------------------------------------------------

/// What a deposit is paid with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DepositFrom {
    /// Coins, worth the sum of the outputs.
    Coins(#[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")] Vec<Coin>),
    /// A reserve, which is debited with the sum of the outputs.
    Reserve(PublicKey),
}

impl DepositFrom {
    /// The digest under which the bank's answer names it.
    pub fn source(&self) -> DepositSource {
        match self {
            DepositFrom::Coins(coins) => coins_paid(coins),
            DepositFrom::Reserve(reserve) => reserve_paid(reserve),
        }
    }
}

/// Asks the bank to pay. Each coin's key signs its digest, or the reserve's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// The recipient.
    pub bank: PublicKey,
    /// What pays.
    pub from: DepositFrom,
    /// The credits: 1 to [`DEPOSIT_OUTPUTS_MAX`], to different payees.
    #[serde(deserialize_with = "bounded::list::<_, _, DEPOSIT_OUTPUTS_MAX>")]
    pub outputs: Vec<DepositOutput>,
    /// The digest of what the payment is for. Also without a text it is a digest that looks random.
    pub text: TextDigest,
}

impl Document for Deposit {
    const LABEL: &'static str = DepositBody::LABEL;

    fn describe(&self, t: &mut Transcript) {
        DepositBody {
            bank: &self.bank,
            source: &self.from.source(),
            outputs: &self.outputs,
            text: &self.text,
        }
        .describe(t);
    }
}

impl Deposit {
    /// The id of the deposit: the digest of the request.
    pub fn id(&self) -> DepositId {
        DepositId(self.digest().0)
    }

    /// The coins that pay. None, if a reserve pays.
    pub fn coins(&self) -> &[Coin] {
        match &self.from {
            DepositFrom::Coins(coins) => coins,
            DepositFrom::Reserve(_) => &[],
        }
    }

    /// The sum of the outputs. `None` if it does not fit in an amount.
    pub fn total(&self) -> Option<Amount> {
        Amount::sum(self.outputs.iter().map(|output| output.amount.0))
    }

    /// The request, signed. `keys` are the coins' keys in their order, or the reserve's key alone.
    #[must_use]
    pub fn authorized(self, keys: &[SecretKey]) -> Authorized<Deposit> {
        let digest = self.digest();
        let authorizations = match &self.from {
            DepositFrom::Coins(coins) => authorize(coins, keys, CoinUse::Deposit, &digest),
            DepositFrom::Reserve(reserve) => {
                let statement = self.statement(reserve);
                keys.iter().map(|key| key.sign(&statement)).collect()
            }
        };
        Authorized {
            body: self,
            authorizations,
        }
    }
}

// ---- the wallet -------------------------------------------------------------------------------------------

impl Deposit {
    /// Whether `deposited` is its bank's statement that this deposit is carried out.
    pub fn is_answered_by(&self, deposited: &Signed<Deposited>) -> bool {
        deposited.body.deposit_id() == self.id() && deposited.verify(&self.bank).is_ok()
    }
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// A deposit whose coins are valid and authorized, or whose reserve's key signed it. Only [`verify_deposit`] makes one.
#[derive(Debug)]
pub struct VerifiedDeposit {
    body: Deposit,
    id: DepositId,
    total: Amount,
    coins: Option<VerifiedCoins>,
    signature: Option<Signature>,
}

/// Verifies a deposit.
///
/// # Errors
/// When it is for another bank, a list has a wrong length, two outputs have one payee, an amount is 0, the key of a
/// reserve is none, the sums differ, or a coin or authorization is invalid.
pub fn verify_deposit(
    request: Authorized<Deposit>,
    self_id: &PublicKey,
    keys: &KeyBook,
    rng: &mut impl CryptoRng,
) -> Result<VerifiedDeposit, Refusal> {
    let Authorized { body, authorizations } = request;
    check_recipient(&body.bank, self_id)?;
    check_bound("outputs", body.outputs.len(), DEPOSIT_OUTPUTS_MAX)?;
    let mut payees = BTreeSet::new();
    for output in &body.outputs {
        // The bank would keep the money of such a reserve for ever. An account was opened with a key.
        let is_lost = matches!(&output.to, Payee::Reserve(reserve) if !reserve.is_valid());
        if output.amount == Amount(0) || is_lost || !payees.insert(output.to) {
            return Err(RequestFault::Output.into());
        }
    }
    let total = body.total().ok_or(IssueFault::Overflow)?;
    let digest = body.digest();
    let mut coins = None;
    let mut signature = None;
    match &body.from {
        DepositFrom::Coins(inputs) => {
            check_length("coins", inputs.len())?;
            let verified = verify(inputs, &authorizations, CoinUse::Deposit, &digest, keys, rng)?;
            let worth = verified.total();
            if worth != total {
                return Err(IssueFault::Unbalanced {
                    inputs: worth,
                    outputs: total,
                }
                .into());
            }
            coins = Some(verified);
        }
        DepositFrom::Reserve(reserve) => {
            check_matching("authorizations", authorizations.len(), 1)?;
            if let Some(first) = authorizations.first() {
                check_signature("reserve's", reserve, &body.statement(reserve), first)?;
            }
            signature = authorizations.first().copied();
        }
    }
    Ok(VerifiedDeposit {
        id: DepositId(digest.0),
        body,
        total,
        coins,
        signature,
    })
}

/// The rows that a deposit writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositWrites {
    /// The new states of the coins, in their order.
    pub states: Vec<CoinState>,
    /// The new sums of the reserve that paid.
    pub sums: Option<ReserveSums>,
    /// The record that is stored and signed.
    pub deposited: Deposited,
}

impl VerifiedDeposit {
    /// The id.
    pub fn id(&self) -> DepositId {
        self.id
    }

    /// The row keys of the coins that pay, in their order.
    pub fn coins(&self) -> Vec<(KeyId, PublicKey)> {
        self.coins
            .as_ref()
            .map(VerifiedCoins::row_keys)
            .unwrap_or_default()
    }

    /// The reserve that pays, with the signature of its key.
    pub fn reserve(&self) -> Option<(PublicKey, Signature)> {
        match self.body.from {
            DepositFrom::Reserve(reserve) => self.signature.map(|signature| (reserve, signature)),
            DepositFrom::Coins(_) => None,
        }
    }

    /// The sum of the outputs.
    pub fn total(&self) -> Amount {
        self.total
    }

    /// The credits.
    pub fn outputs(&self) -> &[DepositOutput] {
        &self.body.outputs
    }

    /// Decides a deposit that was not carried out before: all of it, or nothing.
    ///
    /// `states` are the states of the coins in their order, and `sums` those of the reserve that pays. `is_account` says
    /// whether there is an account with this key.
    ///
    /// # Errors
    /// When a coin is used or its time has ended, the reserve holds too little, or an account is unknown.
    pub fn respond(
        &self,
        states: &[CoinState],
        sums: ReserveSums,
        is_account: impl Fn(&PublicKey) -> bool,
        now_ms: u64,
    ) -> Result<DepositWrites, Refusal> {
        for output in &self.body.outputs {
            if let Payee::Account(account) = &output.to
                && !is_account(account)
            {
                return Err(AccountFault::Unknown(*account).into());
            }
        }
        if let Some(coins) = &self.coins {
            check_exchangeable(coins, states, now_ms)?;
        }
        let sums = match &self.body.from {
            DepositFrom::Reserve(reserve) => Some(
                sums.after_debit(reserve, self.total)
                    .map_err(AccountFault::from)?,
            ),
            DepositFrom::Coins(_) => None,
        };
        let deposited = |authorization| {
            CoinState::Deposited(EarlierUse {
                operation: CoinUse::Deposit,
                digest: self.id.into(),
                authorization,
            })
        };
        let coins = self.coins.iter().flat_map(VerifiedCoins::coins);
        Ok(DepositWrites {
            states: coins.map(|coin| deposited(coin.authorization)).collect(),
            sums,
            deposited: Deposited {
                bank: self.body.bank,
                source: self.body.from.source(),
                outputs: self.body.outputs.clone(),
                text: self.body.text,
                at_ms: now_ms,
            },
        })
    }
}
