//! The cash desk: it opens accounts and pays money in and out, for the operator.
//!
//! Money enters and leaves the books only here. Every movement has a reference that the operator chooses. A command that
//! is repeated after a lost reply then moves money once.

use crate::ledger::{self, Posting, move_balance, posting_reads};
use crate::movement::MovementKind;
use crate::policy::Policy;
use crate::rows::{ACCOUNTS, Account, Direction, MOVEMENTS, Movement, TOTALS};
use farthing_coin::PublicKey;
use farthing_protocol::money::Amount;
use farthing_store::{RowKey, StoreError, Transaction};

/// The longest reference, and the longest name of an account (characters).
pub const LABEL_MAX_CHARS: usize = 64;

/// A refusal of the cash desk. Nothing is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// The account is unknown.
    #[error("there is no account {0}; open it with `farthing-bank account open`")]
    Unknown(PublicKey),
    /// The key is not a public key.
    #[error("{0} is not a public key; ask its owner to copy it again")]
    NotAKey(PublicKey),
    /// The account is open under another name.
    #[error("the account is already open under the name `{0}`; leave --name away or give the same")]
    OtherName(String),
    /// A name or a reference is out of bounds.
    #[error("a {0} has 1 to {LABEL_MAX_CHARS} printable characters")]
    Label(&'static str),
    /// The amount is zero.
    #[error("the amount is 0.00; nothing would be moved")]
    Nothing,
    /// The reference belongs to another movement.
    #[error(
        "the reference `{reference}` was used for another movement: {was}; choose another reference for a new one"
    )]
    Reference {
        /// The reference.
        reference: String,
        /// That movement.
        was: String,
    },
    /// The account holds too little.
    #[error("the balance is {balance}, so {amount} cannot be paid out; nothing was moved")]
    Balance {
        /// The balance.
        balance: Amount,
        /// The requested amount.
        amount: Amount,
    },
    /// The books cannot hold that much.
    #[error("{0} is more than the books can hold")]
    TooMuch(Amount),
}

/// A requested movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The direction.
    pub direction: Direction,
    /// The account.
    pub account: PublicKey,
    /// The amount.
    pub amount: Amount,
    /// The operator's name for this one movement.
    pub reference: String,
}

/// Whether a command did something now, or an earlier one had done it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// This command did it.
    Now,
    /// An earlier command did it. This one changed nothing.
    Before,
}

/// The rows that [`open_account`] reads.
pub fn open_account_reads(key: &PublicKey) -> [RowKey; 1] {
    [ACCOUNTS.key(key)]
}

/// Opens an account. Opening it again changes nothing.
///
/// # Errors
/// The outer error is the store's, the inner one the desk's.
pub fn open_account(
    tx: &mut Transaction<'_>,
    key: PublicKey,
    name: Option<&str>,
    now_ms: u64,
) -> Result<Result<Done, DeskError>, StoreError> {
    if key.check().is_err() {
        return Ok(Err(DeskError::NotAKey(key)));
    }
    if name.is_some_and(|name| !is_label(name)) {
        return Ok(Err(DeskError::Label("name")));
    }
    if let Some(account) = ACCOUNTS.get(tx, &key)? {
        let same = name.is_none_or(|name| account.name.as_deref() == Some(name));
        return Ok(match same {
            true => Ok(Done::Before),
            false => Err(DeskError::OtherName(account.name.unwrap_or_default())),
        });
    }
    let account = Account {
        balance: Amount(0),
        name: name.map(str::to_owned),
        opened_ms: now_ms,
    };
    ACCOUNTS.put(tx, &key, &account)?;
    ledger::begin(tx, &key)?;
    Ok(Ok(Done::Now))
}

/// The rows that [`move_money`] reads.
pub fn move_money_reads(asked: &Move) -> [RowKey; 5] {
    let [end, sums] = posting_reads(&asked.account, kind(asked.direction));
    [
        MOVEMENTS.key(&asked.reference),
        ACCOUNTS.key(&asked.account),
        TOTALS.key(&()),
        end,
        sums,
    ]
}

fn kind(direction: Direction) -> MovementKind {
    match direction {
        Direction::In => MovementKind::CashIn,
        Direction::Out => MovementKind::CashOut,
    }
}

/// Pays money in or out, and writes the report that `policy` asks for. A repetition with the same reference changes nothing
/// and returns the first movement.
///
/// # Errors
/// The outer error is the store's, the inner one the desk's.
pub fn move_money(
    tx: &mut Transaction<'_>,
    asked: &Move,
    policy: &Policy,
    now_ms: u64,
) -> Result<Result<(Movement, Done), DeskError>, StoreError> {
    if !is_label(&asked.reference) {
        return Ok(Err(DeskError::Label("reference")));
    }
    if let Some(stored) = MOVEMENTS.get(tx, &asked.reference)? {
        return Ok(repeated(asked, stored));
    }
    let Some(account) = ACCOUNTS.get(tx, &asked.account)? else {
        return Ok(Err(DeskError::Unknown(asked.account)));
    };
    let mut totals = TOTALS.get(tx, &())?.unwrap_or_default();
    let balance = match new_balance(asked, account.balance) {
        Ok(balance) => balance,
        Err(error) => return Ok(Err(error)),
    };
    // Every other sum is a part of what was paid in, so this is the only one that can grow too large.
    let desk = match asked.direction {
        Direction::In => &mut totals.paid_in,
        Direction::Out => &mut totals.paid_out,
    };
    let sums = desk.checked_add(asked.amount).zip(match asked.direction {
        Direction::In => totals.accounts.checked_add(asked.amount),
        Direction::Out => totals.accounts.checked_sub(asked.amount),
    });
    let Some((moved, accounts)) = sums else {
        return Ok(Err(DeskError::TooMuch(asked.amount)));
    };
    *desk = moved;
    totals.accounts = accounts;
    let movement = Movement {
        direction: asked.direction,
        account: asked.account,
        amount: asked.amount,
        balance,
        at_ms: now_ms,
    };
    TOTALS.put(tx, &(), &totals)?;
    let posting = Posting {
        account: asked.account,
        kind: kind(asked.direction),
        amount: asked.amount,
        balance,
        at_ms: now_ms,
        reference: Some(asked.reference.clone()),
    };
    move_balance(tx, policy, account, posting)?;
    MOVEMENTS.put(tx, &asked.reference, &movement)?;
    Ok(Ok((movement, Done::Now)))
}

fn new_balance(asked: &Move, balance: Amount) -> Result<Amount, DeskError> {
    let amount = asked.amount;
    if amount == Amount(0) {
        return Err(DeskError::Nothing);
    }
    match asked.direction {
        Direction::In => balance.checked_add(amount).ok_or(DeskError::TooMuch(amount)),
        Direction::Out => balance
            .checked_sub(amount)
            .ok_or(DeskError::Balance { balance, amount }),
    }
}

fn repeated(asked: &Move, stored: Movement) -> Result<(Movement, Done), DeskError> {
    let same = stored.direction == asked.direction
        && stored.account == asked.account
        && stored.amount == asked.amount;
    if same {
        return Ok((stored, Done::Before));
    }
    let way = match stored.direction {
        Direction::In => "credit of",
        Direction::Out => "payout of",
    };
    Err(DeskError::Reference {
        reference: asked.reference.clone(),
        was: format!("{way} {} for account {}", stored.amount, stored.account),
    })
}

fn is_label(text: &str) -> bool {
    let chars = text.chars().count();
    (1..=LABEL_MAX_CHARS).contains(&chars) && text.chars().all(|c| !c.is_control())
}
