//! What a step of a purchase is made of: what has happened, what is known, and what follows.

use super::{record::Write, state::State};
use crate::{
    error::{Unanswered, WalletError},
    issuance::At,
    rows::{CoinRow, PurchaseRow, SMALL_GOODS, SmallGoods},
};
use farthing_coin::{KeyBook, Seed, Signed};
use farthing_node::card::Card;
use farthing_protocol::{
    api::SettleOne,
    bounded::cut,
    decide::{CancelRequest, OutcomeRequest},
    decision::Outcome,
    documents::{Hold, Offer, Receipt, Settled},
    goods::GoodsKey,
    hold::HoldRequest,
    limits::REASON_MAX_BYTES,
    offer::DeliverRequest,
    purchase::{Plan, Purchase},
    refusal::Refusal,
    sealed::PayRequest,
    settle::{CollectRequest, Collected},
};
use farthing_store::View;
use std::path::PathBuf;

/// What a question came to.
pub(crate) type Reply<T> = Result<T, Unanswered>;

/// What has happened.
pub(crate) enum Event {
    /// The purchase is carried on from where it stands.
    Resumed,
    /// Another part of this program was quicker than the last step: this is where the purchase stands, if it is written
    /// down.
    Overtaken(Option<Box<PurchaseRow>>, Box<Then>),
    /// The encrypted goods are here, or not.
    Goods(Result<Option<SmallGoods>, WalletError>),
    /// Coins are chosen that pay exactly.
    Chosen(Result<Vec<CoinRow>, WalletError>),
    /// The escrow was asked to hold the coins.
    Hold(Reply<Signed<Hold>>),
    /// The escrow was asked to hold and commit.
    Pay(Reply<Outcome>),
    /// The merchant was asked to release the key.
    Deliver(Reply<Signed<Receipt>>),
    /// The escrow was asked to abort.
    Cancel(Reply<Outcome>),
    /// The escrow was asked for the outcome, because of this.
    Outcome(String, Reply<Outcome>),
    /// The bank was asked for what it knows, instead of this.
    Collect(UnansweredQuestion, Reply<Collected>),
    /// The bank was shown the abort.
    Settle(Result<Result<Signed<Settled>, Refusal>, WalletError>),
    /// An exchange of the purchase's coins was carried on.
    CarriedOn(Aim, Result<(), WalletError>),
    /// Coins of the purchase were put to exchanges.
    Exchanged(Aim, Result<(), WalletError>),
    /// What the exchanges have come to is written down.
    Recovered(WalletError, Result<(), WalletError>),
    /// A party was silent for as long as the wallet waits.
    Silent(Silence),
    /// Nobody has decided the purchase, which was this error, and the bank knows of no decision.
    Undecided(WalletError),
    /// The goods were decrypted.
    Opened(Result<Opened, WalletError>),
}

/// What is done after the writes.
pub(crate) enum Then {
    /// The encrypted goods are fetched from the merchant.
    Goods(Box<Offer>),
    /// Coins are chosen, and exchanged for change where it takes that.
    Choose(Box<Plan>),
    /// The escrow: to hold the coins.
    Hold(Box<HoldRequest>),
    /// The escrow: to hold the coins and commit.
    Pay(Box<PayRequest>),
    /// The merchant: to release the key.
    Deliver(Box<DeliverRequest>),
    /// The escrow: to abort.
    Cancel(Box<CancelRequest>),
    /// The escrow: for the outcome, because of this.
    Outcome(OutcomeRequest, String),
    /// The bank: for what it knows, instead of this.
    Collect(CollectRequest, UnansweredQuestion),
    /// The bank: is shown the abort.
    Settle(Box<SettleOne>),
    /// The bank: an exchange that is under way is carried on.
    CarryOn(At, Aim),
    /// The bank: these coins are exchanged for fresh ones.
    Exchange(Vec<CoinRow>, Aim),
    /// The goods are decrypted.
    Open(Box<Offer>, GoodsKey),
    /// The purchase is carried on after a pause, as this party was silent.
    Pause(Silence),
    /// Nothing is sent: this has happened.
    Happened(Box<Event>),
    /// The purchase has ended, or cannot be carried on now.
    End(Result<(), WalletError>),
}

/// Who was silent.
pub(crate) struct Silence {
    /// Which party.
    pub(crate) party: String,
    /// To which question.
    pub(crate) question: &'static str,
    /// What the network said.
    pub(crate) why: String,
}

/// What decrypting the goods came to.
pub(crate) enum Opened {
    /// They are there.
    At(PathBuf),
    /// They are not as described.
    NotAsDescribed,
    /// The encrypted goods are not any more what was fetched; they are fetched again the next time.
    Damaged,
}

/// What follows from an event.
pub(crate) struct Step {
    /// What is written, in one transaction.
    pub(crate) writes: Vec<Write>,
    /// What is done once that is durable.
    pub(crate) then: Then,
}

/// What a step knows besides the purchase.
pub(crate) struct Known<'k> {
    /// The wallet's other rows.
    pub(crate) rows: &'k View,
    /// What the bank's secrets are derived from.
    pub(crate) seed: &'k Seed,
    /// The bank.
    pub(crate) bank: &'k Card,
    /// The escrow, as its card names it.
    pub(crate) escrow: &'k str,
    /// The merchant, as its card names it.
    pub(crate) merchant: &'k str,
    /// The bank's keys as the wallet last saw them, where the purchase is aborted.
    pub(crate) keys: Option<&'k KeyBook>,
    /// What time it is (ms since 1970).
    pub(crate) now_ms: u64,
}

/// A step, unless there is an error, which ends the purchase for now.
pub(crate) type StepResult = Result<Step, WalletError>;

/// A question without a good answer.
pub(crate) struct UnansweredQuestion {
    /// What was asked.
    pub(crate) question: &'static str,
    /// What it came to.
    pub(crate) unanswered: Unanswered,
}

/// Why coins of a purchase are exchanged.
pub(crate) enum Aim {
    /// Nobody has decided the purchase, which was this error.
    Recover {
        /// The error.
        undecided: WalletError,
        /// How many coins there were.
        coins: usize,
    },
    /// The purchase is aborted, and nothing is to link its coins to the next one.
    Release {
        /// How many coins there were.
        coins: usize,
    },
}

impl Step {
    /// The purchase is carried on from where it stands.
    pub(crate) fn resumed() -> Step {
        Step::sends(Then::Happened(Box::new(Event::Resumed)))
    }

    /// Nothing is written.
    pub(crate) fn sends(then: Then) -> Step {
        Step {
            writes: Vec::new(),
            then,
        }
    }

    /// Where the purchase stands is written down before all else, unless a write does that already.
    pub(crate) fn saved_first(mut self, state: &State) -> Step {
        if !self.writes.iter().any(Write::saves) {
            self.writes.splice(0..0, save(state));
        }
        self
    }

    /// Where the purchase stands is written down first.
    pub(crate) fn saves(state: &State, then: Then) -> Step {
        Step::sends(then).saved_first(state)
    }
}

/// Whether the encrypted goods are at hand, if they are small.
pub(crate) fn has_goods(known: &Known<'_>, state: &mut State) -> Result<bool, WalletError> {
    if state.goods.is_none() {
        state.goods = SMALL_GOODS.peek(known.rows, &state.number)?;
    }
    Ok(state.goods.is_some())
}

/// The purchase has got on; nothing is written for that alone.
pub(crate) fn advance(state: &mut State, purchase: Purchase) -> StepResult {
    state.row.purchase = purchase;
    Ok(Step::resumed())
}

/// Asks for the coins back, and notes why: after a refusal, or an answer that is none. The escrow decides.
pub(crate) fn give_up(state: &mut State, why: String) -> StepResult {
    let purchase = state.row.purchase.clone().on_cancel()?;
    state.row.refusal = Some(cut(&why, REASON_MAX_BYTES).to_owned());
    state.row.purchase = purchase;
    Ok(Step::resumed().saved_first(state))
}

/// Where the purchase stands is written down, unless it is already.
pub(crate) fn save(state: &State) -> Vec<Write> {
    match &state.stored {
        None => vec![Write::Begin {
            row: state.row.clone(),
            goods: state.goods.clone(),
        }],
        Some(stored) if *stored == state.row => Vec::new(),
        Some(stored) => vec![Write::Save {
            number: state.number,
            before: stored.purchase.clone(),
            row: state.row.clone(),
        }],
    }
}
