//! What the parties keep, their messages, and their steps.

/// How the goods are sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Offer {
    /// The merchant releases the key of each sale.
    Released,
    /// The key is in the offer, sealed to the escrow.
    Sealed,
}

/// A decision of the escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// Committed, with a goods key. `true`: it opens the goods.
    Commit(bool),
    /// Aborted. `true`: with its cause.
    Abort(bool),
}

/// Where the wallet stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing is at stake.
    #[default]
    Start,
    /// The coin is put to the purchase.
    Holding,
    /// The escrow has signed the hold.
    Held,
    /// The customer wants the coin back.
    Cancelling,
    /// The escrow has decided.
    Decided(Decision),
    /// Ended with a fresh coin.
    Recovered,
}

/// The coin at the bank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Coin {
    /// Not seen.
    #[default]
    Free,
    /// Held for the purchase.
    Held,
    /// Paid.
    Spent,
    /// Released by an abort.
    Released,
    /// Exchanged for a fresh coin.
    Exchanged,
}

/// The wallet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Wallet {
    pub(super) phase: Phase,
    /// An exchange of the coin is under way. The wallet repeats it until it is answered, however the purchase ends.
    pub(super) exchanging: bool,
    /// Fresh coins received. The same answer gives the same coin.
    pub(super) fresh: bool,
    /// A second, different coin for the same exchange.
    pub(super) fresh_twice: bool,
    /// The coin of an aborted purchase is used again as it is.
    pub(super) reused: bool,
    /// The encrypted goods are not those of the offer.
    pub(super) garbage: bool,
    /// The key came to the wallet past the protocol.
    pub(super) leaked: bool,
    /// The wallet has forgotten the purchase.
    pub(super) forgotten: bool,
    /// The customer has given the purchase up.
    pub(super) gave_up: bool,
    /// The session of its exchange.
    pub(super) session: u8,
}

/// The merchant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Merchant {
    /// It sells other goods than it describes.
    pub(super) lies: bool,
    /// The key in its sealed offer is wrong.
    pub(super) wrong_seal: bool,
    /// A sale is open: the key was released, or the offer is sealed.
    pub(super) releasing: bool,
    pub(super) knows: Option<Decision>,
}

/// The bank.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Bank {
    pub(super) coin: Coin,
    pub(super) credited: i8,
    pub(super) applied: Option<Decision>,
    pub(super) exchanges: i8,
    /// The session in which the coin may be exchanged. Each denial closes one.
    pub(super) session: u8,
    /// Coins that the bank has paid out without having them.
    pub(super) kept: i8,
}

/// The escrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Escrow {
    pub(super) decided: Option<Decision>,
    /// The key of the goods, released or opened.
    pub(super) has_key: bool,
    /// The customer's cancel or the bank's word that the deadline has passed.
    pub(super) has_cause: bool,
}

/// All parties, and the time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) wallet: Wallet,
    pub(super) merchant: Merchant,
    pub(super) bank: Bank,
    pub(super) escrow: Escrow,
    /// The deadline has passed.
    pub(super) late: bool,
}

/// Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The wallet asks the escrow to hold.
    Hold,
    /// The escrow asks the bank.
    BankHold,
    /// The bank holds the coin.
    BankHeld,
    /// The bank does not.
    BankRefuses,
    /// The escrow has it held.
    Held,
    /// The escrow passes a refusal on.
    Refused,
    /// The wallet asks the merchant for the key.
    Deliver,
    /// The merchant releases the key.
    Release(bool),
    /// The escrow's decision for the merchant.
    ToMerchant(Decision),
    /// The merchant passes the receipt on.
    Receipt(bool),
    /// The merchant asks for its sealed sales.
    Sales,
    /// The customer cancels.
    Cancel,
    /// The customer asks for the outcome.
    Outcome,
    /// The escrow's decision for the customer.
    ToCustomer(Decision),
    /// A decision is brought to the bank, by the escrow.
    Settle(Decision),
    /// The merchant brings a receipt to the bank.
    Claim(Decision),
    /// The customer brings an abort to the bank.
    Return(Decision),
    /// The customer asks the bank for the decision.
    Collect,
    /// The bank has applied this.
    Collected(Decision),
    /// The customer sends the coin to an exchange, in this session.
    Exchange(u8),
    /// That session is gone. The one that is open now.
    SessionGone(u8),
    /// The fresh coin. `true`: a second one.
    Exchanged(bool),
    /// The coin is held. That closes the session. The next one.
    DeniedHeld(u8),
    /// The coin was spent: with the commit.
    DeniedSpent(bool),
    /// The bank says that the purchase is overdue.
    Overdue,
    /// The escrow gives the key away.
    Leak,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The customer buys.
    Buy,
    /// The wallet asks again what its state asks.
    AskEscrow,
    /// The wallet asks the merchant for the key.
    AskMerchant,
    /// The wallet asks for the outcome.
    AskOutcome,
    /// The wallet asks the bank for the decision.
    AskBank,
    /// The customer gives up waiting.
    GiveUp,
    /// The wallet brings the abort to the bank.
    BringAbort,
    /// The wallet exchanges the coin.
    Exchange,
    /// The merchant releases again, or asks for its sealed sales.
    AskAgain,
    /// The merchant brings the receipt to the bank.
    Claim,
    /// The escrow brings its decision to the bank.
    Push,
    /// The deadline passes.
    Pass,
    /// The bank asks about an overdue hold.
    Chase,
    /// A customer that cheats exchanges the coin beside the purchase.
    SpendTwice,
    /// A customer that cheats forges an abort for the bank.
    ForgeAbort,
    /// A merchant that cheats sells other goods.
    SellOther,
    /// A merchant that cheats serves garbage in the place of the offer's encrypted goods.
    ServeGarbage,
    /// A merchant that cheats seals a wrong key.
    SealWrong,
    /// A merchant that cheats releases a wrong key.
    ReleaseWrong,
    /// An escrow that cheats signs this for everybody.
    Sign(Decision),
    /// An escrow that cheats gives the key away.
    Leak,
    /// A bank that cheats takes the coin for itself.
    TakeCoin,
}
