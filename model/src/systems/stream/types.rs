//! What the parties keep, their messages, and their steps.

use crate::facts::Party;

/// The most unpaid ticks whose ciphertexts the merchant gives ahead.
pub const WINDOW: u8 = 2;

/// A decision of the escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// Committed for this many ticks, with their voucher and a key. `true`: the key opens them.
    Commit(u8, bool),
    /// Aborted. `true`: with its cause.
    Abort(bool),
}

/// Where the wallet stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing is at stake.
    #[default]
    Start,
    /// The coins are put to the stream.
    Opening,
    /// The customer wants the coins back, before the stream is known to be open.
    Cancelling,
    /// The stream is open.
    Streaming,
    /// The customer wants no more ticks.
    Stopping,
    /// The escrow has decided.
    Decided(Decision),
}

/// The coins at the bank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Coins {
    /// Not seen.
    #[default]
    Free,
    /// Held for the stream.
    Held,
    /// Paid, with the change on the purchase key's reserve.
    Spent,
    /// Released by an abort.
    Released,
    /// Used for something else.
    Elsewhere,
    /// Taken by a bank that cheats.
    Taken,
}

/// The wallet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Wallet {
    pub(super) phase: Phase,
    /// The ticks whose ciphertexts and signed digests it has written down, from the first on.
    pub(super) held: u8,
    /// The ticks of its highest voucher.
    pub(super) signed: u8,
    /// The ticks that its best key opens.
    pub(super) key: u8,
    /// The customer has cancelled or stopped.
    pub(super) gave_up: bool,
}

/// The merchant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Merchant {
    /// It sells other ticks than it describes.
    pub(super) lies: bool,
    /// The key in its sealed offer is wrong.
    pub(super) wrong_seal: bool,
    /// The sale is written down.
    pub(super) sells: bool,
    /// The ticks of the highest voucher. A crash takes it.
    pub(super) voucher: u8,
    /// The ticks that the escrow has acknowledged. A crash takes the number.
    pub(super) raised: u8,
    /// It takes no voucher any more, and has the stream decided.
    pub(super) closing: bool,
    pub(super) knows: Option<Decision>,
}

impl Merchant {
    /// Whether it takes vouchers, and gives ticks and keys.
    pub(super) const fn serves(&self) -> bool {
        self.sells && !self.closing && self.knows.is_none()
    }
}

/// The bank.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Bank {
    pub(super) coins: Coins,
    pub(super) credited: u8,
    /// The rest, on the purchase key's reserve.
    pub(super) change: u8,
    pub(super) applied: Option<Decision>,
}

/// The escrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Escrow {
    /// The coins are held, and the key is right.
    pub(super) is_open: bool,
    /// The ticks of the highest voucher that it has written down.
    pub(super) stored: u8,
    pub(super) decided: Option<Decision>,
    /// The ticks of the highest voucher that an escrow that cheats was shown. It may have lower ones too.
    pub(super) shown: u8,
    /// A cancel, a close without a voucher, or the bank's word that the deadline has passed. For an escrow that cheats.
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

/// Messages. A number is a number of ticks, counted from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The wallet asks the escrow to hold its coins, and to open the stream.
    Open,
    /// The escrow asks the bank.
    BankHold,
    /// The bank holds the coins.
    BankHeld,
    /// The bank does not.
    BankRefuses,
    /// The stream is open.
    Opened,
    /// The escrow passes a refusal on.
    Refused,
    /// The customer cancels.
    Cancel,
    /// The wallet shows the merchant that the stream is open.
    Watch,
    /// The ciphertext of this tick, with its signed digest.
    Tick(u8),
    /// The voucher for these ticks, for the merchant.
    Voucher(u8),
    /// The merchant's key for these ticks.
    Key(u8),
    /// The customer wants no more ticks.
    Stop,
    /// This party shows the escrow the voucher for these ticks.
    Raise(Party, u8),
    /// The escrow has written the voucher for these ticks down, and gives their key.
    Raised(Party, u8),
    /// The merchant ends the stream, with the voucher for these ticks, or without one.
    Close(u8),
    /// The merchant asks for its sales.
    Sales,
    /// The customer asks for the outcome.
    Outcome,
    /// The escrow's decision for this party.
    Told(Party, Decision),
    /// This party brings a decision to the bank.
    Bring(Party, Decision),
    /// The customer asks the bank for the decision.
    Collect,
    /// The bank has applied this.
    Collected(Decision),
    /// The bank says that the stream is overdue.
    Overdue,
    /// A customer who cheats uses the coins for something else.
    Elsewhere,
    /// An escrow that cheats gives the key of all ticks away.
    Leak,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The customer opens a stream.
    Open,
    /// The wallet asks the escrow again what its state asks.
    AskEscrow,
    /// The wallet asks the bank for the decision.
    AskBank,
    /// The customer cancels.
    GiveUp,
    /// The wallet shows the merchant that the stream is open.
    Watch,
    /// The customer signs a voucher for all ticks that they hold.
    Sign,
    /// The wallet shows its voucher to the merchant again.
    Ask,
    /// The customer shows the voucher to the escrow.
    Raise,
    /// The customer wants no more ticks.
    Stop,
    /// The wallet asks the merchant again to end the stream.
    AskStop,
    /// The wallet asks for the outcome.
    AskOutcome,
    /// The wallet brings the abort to the bank.
    BringAbort,
    /// The merchant shows its voucher to the escrow.
    RaiseSale,
    /// The merchant ends the stream, or asks again.
    Close,
    /// The merchant asks for its sales.
    AskSales,
    /// The merchant brings the commit to the bank.
    Claim,
    /// The escrow brings its decision to the bank.
    Push,
    /// The deadline passes.
    Pass,
    /// The bank asks about an overdue hold.
    Chase,
    /// A customer who cheats cancels at any time.
    CancelLate,
    /// A customer who cheats uses the coins beside the stream.
    SpendElsewhere,
    /// A customer who cheats signs a voucher for these ticks for the merchant, and holds none of them.
    SignAhead(u8),
    /// The same, for the escrow.
    RaiseAhead(u8),
    /// A merchant that cheats sells other ticks.
    SellOther,
    /// A merchant that cheats seals a wrong key.
    SealWrong,
    /// A merchant that cheats gives the key of all ticks away.
    GiveAll,
    /// A merchant that cheats closes without its voucher.
    CloseLow,
    /// An escrow that cheats signs this for everybody.
    Decide(Decision),
    /// An escrow that cheats gives the key of all ticks away.
    Leak,
    /// A bank that cheats takes the coins for itself.
    TakeCoins,
}
