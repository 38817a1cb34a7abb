//! The types of a purchase's step: event, input and output.

use super::{record::Write, state::State};
use crate::{
    error::{Unanswered, WalletError},
    issuance::At,
    rows::{CoinRow, PurchaseRow, SMALL_GOODS, SmallGoods},
};
use farthing_coin::{KeyBook, Seed, Signed};
use farthing_node::card::Card;
use farthing_protocol::{
    api::{Question, SettleOne},
    bounded::cut,
    decide::{CancelRequest, OutcomeRequest},
    decision::Outcome,
    documents::{FreeReceipt, Hold, Offer, Receipt, Settled},
    free::TakeRequest,
    goods::GoodsKey,
    hold::HoldRequest,
    limits::REASON_MAX_BYTES,
    offer::DeliverRequest,
    purchase::{Plan, Purchase},
    refusal::Refusal,
    sealed::PayRequest,
    settle::{CollectRequest, Collected},
    stream::{OpenRequest, StopRequest},
};
use farthing_store::View;
use std::path::PathBuf;

/// The reply to a request, or why there is none.
pub(crate) type Reply<T> = Result<T, Unanswered>;

/// An event of a purchase.
pub(crate) enum Event {
    /// The purchase continues from its state.
    Resumed,
    /// Another task of this program has changed the purchase before the last step was written. The row in the store,
    /// if there is one, and the action that was planned.
    Overtaken(Option<Box<PurchaseRow>>, Box<Then>),
    /// A new offer was fetched in the place of the expired one, or an error.
    Renewed(Result<Box<Renewed>, WalletError>),
    /// The encrypted goods were fetched, or an error.
    Goods(Result<Option<SmallGoods>, WalletError>),
    /// Coins that pay exactly were chosen.
    Chosen(Result<Vec<CoinRow>, WalletError>),
    /// The escrow was asked to hold the coins.
    Hold(Reply<Signed<Hold>>),
    /// The escrow was asked to hold and commit.
    Pay(Reply<Outcome>),
    /// The merchant was asked to release the key.
    Deliver(Reply<Signed<Receipt>>),
    /// The merchant was asked for the key of a free item.
    Take(Reply<Signed<FreeReceipt>>),
    /// The escrow was asked to abort.
    Cancel(Reply<Outcome>),
    /// The escrow was asked to hold the coins and open the stream.
    StreamOpened(Reply<Outcome>),
    /// The merchant was asked to end the stream.
    Stop(Reply<Outcome>),
    /// The escrow was asked for the outcome, for this reason.
    Outcome(String, Reply<Outcome>),
    /// The bank was asked for the decision, because this request got no good reply.
    Collect(UnansweredQuestion, Reply<Collected>),
    /// The bank has seen the abort.
    Settle(Result<Result<Signed<Settled>, Refusal>, WalletError>),
    /// An exchange of the purchase's coins was carried on.
    CarriedOn(Aim, Result<(), WalletError>),
    /// Coins of the purchase were put to exchanges.
    Exchanged(Aim, Result<(), WalletError>),
    /// The result of the exchanges is stored.
    Recovered(WalletError, Result<(), WalletError>),
    /// A party was silent for the time of the retry policy.
    Silent(Silence),
    /// The purchase is undecided with this error, and the bank knows of no decision.
    Undecided(WalletError),
    /// The goods were decrypted.
    Opened(Result<Opened, WalletError>),
}

/// The action after the writes.
pub(crate) enum Then {
    /// Fetch a new offer from the merchant, as the plan's offer has expired.
    Renew(Box<Plan>),
    /// Fetch the encrypted goods from the merchant.
    Goods(Box<Offer>),
    /// Choose coins, and exchange coins for change if needed.
    Choose(Box<Plan>),
    /// Ask the escrow to hold the coins.
    Hold(Box<HoldRequest>),
    /// Ask the escrow to hold the coins and commit.
    Pay(Box<PayRequest>),
    /// Ask the merchant to release the key.
    Deliver(Box<DeliverRequest>),
    /// Ask the merchant for the key of a free item.
    Take(Box<TakeRequest>),
    /// Ask the escrow to abort.
    Cancel(Box<CancelRequest>),
    /// Ask the escrow to hold the coins and open the stream.
    OpenStream(Box<OpenRequest>),
    /// Ask the merchant to end the stream.
    Stop(Box<StopRequest>),
    /// Ask the escrow for the outcome, for this reason.
    Outcome(OutcomeRequest, String),
    /// Ask the bank for the decision, because this request got no good reply.
    Collect(CollectRequest, UnansweredQuestion),
    /// Show the abort to the bank.
    Settle(Box<SettleOne>),
    /// Carry on an exchange that is under way.
    CarryOn(At, Aim),
    /// Exchange these coins for fresh ones.
    Exchange(Vec<CoinRow>, Aim),
    /// Decrypt the goods.
    Open(Box<Offer>, GoodsKey),
    /// Continue after a pause, because this party was silent.
    Pause(Silence),
    /// Send nothing, and continue with this event.
    Happened(Box<Event>),
    /// Stop: the purchase has ended, or cannot continue now.
    End(Result<(), WalletError>),
}

/// A new offer in the place of one that has expired.
pub(crate) struct Renewed {
    /// The offer.
    pub(crate) offer: Signed<Offer>,
    /// The encrypted goods, if they came with it.
    pub(crate) goods: Option<SmallGoods>,
}

/// A party that was silent.
pub(crate) struct Silence {
    /// The party.
    pub(crate) party: String,
    /// Name of the request.
    pub(crate) question: Question,
    /// The error of the network.
    pub(crate) why: String,
}

/// The result of decrypting the goods.
pub(crate) enum Opened {
    /// Written to this path.
    At(PathBuf),
    /// The goods are not as described.
    NotAsDescribed,
    /// The file of encrypted goods has changed since it was fetched. It is fetched again next time.
    Damaged,
}

/// The output of a step.
pub(crate) struct Step {
    /// The writes, in one transaction.
    pub(crate) writes: Vec<Write>,
    /// The action after they are durable.
    pub(crate) then: Then,
}

/// The input of a step, besides the purchase.
pub(crate) struct Known<'k> {
    /// The wallet's other rows.
    pub(crate) rows: &'k View,
    /// The seed for the bank.
    pub(crate) seed: &'k Seed,
    /// The bank.
    pub(crate) bank: &'k Card,
    /// The escrow, as its card names it.
    pub(crate) escrow: &'k str,
    /// The merchant, as its card names it.
    pub(crate) merchant: &'k str,
    /// The bank's keys as the wallet last saw them, if the purchase is aborted or a year old.
    pub(crate) keys: Option<&'k KeyBook>,
    /// The time (ms since 1970).
    pub(crate) now_ms: u64,
}

/// The result of a step function. An error stops the purchase for now.
pub(crate) type StepResult = Result<Step, WalletError>;

/// A request without a good reply.
pub(crate) struct UnansweredQuestion {
    /// Name of the request.
    pub(crate) question: Question,
    /// Why it has no good reply.
    pub(crate) unanswered: Unanswered,
}

/// Why coins of a purchase are exchanged.
pub(crate) enum Aim {
    /// The purchase is undecided with this error, and its coins are recovered.
    Recover {
        /// The error.
        undecided: WalletError,
        /// Number of coins before the exchange.
        coins: usize,
    },
    /// The purchase is aborted, and nothing may link its coins to the next purchase.
    Release {
        /// Number of coins before the exchange.
        coins: usize,
    },
}

impl Step {
    /// A step that continues from the purchase's state.
    pub(crate) fn resumed() -> Step {
        Step::sends(Then::Happened(Box::new(Event::Resumed)))
    }

    /// A step that writes nothing.
    pub(crate) fn sends(then: Then) -> Step {
        Step {
            writes: Vec::new(),
            then,
        }
    }

    /// Adds a write of the purchase's state before all other writes, unless there is one.
    pub(crate) fn saved_first(mut self, state: &State) -> Step {
        if !self.writes.iter().any(Write::saves) {
            self.writes.splice(0..0, save(state));
        }
        self
    }

    /// A step that stores the purchase's state first.
    pub(crate) fn saves(state: &State, then: Then) -> Step {
        Step::sends(then).saved_first(state)
    }
}

/// Whether the goods are in memory. Small goods are loaded from the store.
pub(crate) fn has_goods(known: &Known<'_>, state: &mut State) -> Result<bool, WalletError> {
    if state.goods.is_none() {
        state.goods = SMALL_GOODS.peek(known.rows, &state.number)?;
    }
    Ok(state.goods.is_some())
}

/// Takes the purchase's new state. It is not stored on its own.
pub(crate) fn advance(state: &mut State, purchase: Purchase) -> StepResult {
    state.row.purchase = purchase;
    Ok(Step::resumed())
}

/// Starts to cancel after a refusal or a bad reply, and records the reason. The escrow decides.
pub(crate) fn give_up(state: &mut State, why: String) -> StepResult {
    let purchase = state.row.purchase.clone().on_cancel()?;
    state.row.refusal = Some(cut(&why, REASON_MAX_BYTES).to_owned());
    state.row.purchase = purchase;
    Ok(Step::resumed().saved_first(state))
}

/// The write of the purchase's state, unless it is already stored.
pub(crate) fn save(state: &State) -> Vec<Write> {
    match &state.stored {
        None => vec![Write::Begin {
            row: state.row.clone(),
            goods: state.goods.clone(),
            replaceable: state.replaceable,
        }],
        Some(stored) if *stored == state.row => Vec::new(),
        Some(stored) => vec![Write::Save {
            number: state.number,
            before: stored.purchase.clone(),
            row: state.row.clone(),
        }],
    }
}
