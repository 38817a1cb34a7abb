//! Planted defects: mistakes that someone could make in Farthing, to see by which check each is found.
//!
//! Each is a patch in `patches/`, plain wrong code ([`patch`]). [`tree`] copies the workspace, and puts one into the copy,
//! or [`hooks`] puts all of them into one copy, each behind a switch, so that one build is enough. The program of this
//! crate does the latter, and runs the checks there: `cargo run -p farthing-planted -- [NAME]...`
//!
//! Some are still lines `is_planted(Defect::...)` at the places where they would be made. Without the feature `planted`,
//! [`is_planted`] is a constant `false`, and the lines behind it are not compiled into anything. The feature is asked for
//! by the dev-dependencies of the tests alone, which no program is built with. With it, a switch belongs to one thread: a
//! simulated world runs on the thread of its test, and other tests beside it notice nothing.

pub mod hooks;
pub mod patch;
pub mod tree;

/// Makes the list of defects from one sentence each.
macro_rules! defects {
    ($($name:ident: $mistake:literal,)*) => {
        /// A mistake that someone could make.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Defect {
            $(#[doc = $mistake] $name,)*
        }

        #[cfg(feature = "planted")]
        impl Defect {
            /// Every one.
            pub const ALL: &[Defect] = &[$(Defect::$name,)*];

            /// The mistake, in one sentence.
            pub const fn mistake(self) -> &'static str {
                match self {
                    $(Defect::$name => $mistake,)*
                }
            }
        }

        #[cfg(feature = "planted")]
        impl AsRef<str> for Defect {
            fn as_ref(&self) -> &str {
                match self {
                    $(Defect::$name => stringify!($name),)*
                }
            }
        }
    };
}

defects! {
    // The store.
    ReplyDespiteFailedWrite: "The store answers without waiting for whether the write became durable.",
    SyncSkipped: "The journal is written and not synced.",
    TornRecordAccepted: "Recovery takes a record whose end is missing for a whole one.",
    RecordHashUnchecked: "Recovery reads records without checking their hash.",
    DamageTakenForTorn: "Recovery cuts a damaged record off as if it had never been acknowledged.",
    ForeignIndexTrusted: "Recovery keeps an index that was made from another journal.",
    VersionNotRaised: "An older directory is brought up to date, and its header still lets older programs open it.",
    VersionBeforeRows: "A migration writes the new version before it has converted the rows.",
    // The journals that bank and escrow remember of each other.
    WitnessNotAwaited: "A node that has just started decides before a peer has told what it remembers.",
    ShorterJournalTaken: "A node whose journal ends before the head that a peer remembers takes itself for up to date.",
    DecidesBehind: "A node that has been told that it runs from an older copy decides all the same.",
    HeadNotKept: "What a node does on a peer's word is written without how far the peer's journal had come.",
    StopNotKept: "A node that runs from an older copy does not write down that it was told.",
    HeadToStrangers: "A node tells the head of its journal to whoever names one of its peers.",
    HeadWithAbort: "The escrow tells the head of its journal to whoever shows it a bank's word that a purchase is overdue.",
    HeadBehindAnswer: "A node that has more to write tells a head that does not cover its answer.",
    CloneTrusted: "A node takes every head of its own run for its own, without looking into its journal.",
    UnprovenTrusted: "The escrow vouches for a hold of a bank that has not shown that it has forgotten nothing.",
    // The bank.
    CreditedTwice: "The bank credits the merchant again when it is shown a commit again.",
    DebitedTwice: "The bank does not look whether a withdrawal was finished before.",
    ExchangeNotRepeated: "The bank does not look whether an exchange was finished before.",
    NoncesRepeated: "The bank's generator of nonces begins anew with every start.",
    FullListStops: "A bank whose list of keys is full does not start.",
    MemosUncounted: "The bank lets an account replace its memo as often as it likes.",
    OverdueNotChased: "The bank never asks how overdue holds ended.",
    NoteNotKept: "The bank holds coins and does not keep the customer's note.",
    // The escrow.
    SealedSaleUnlisted: "The escrow commits on a sealed offer, and does not note that the merchant is to be told.",
    OutboxNotWritten: "The escrow decides, and does not note that the bank is to be told.",
    KeyListForgotten: "A node that was restarted takes whatever list of keys a bank shows it.",
    FailuresForgotten: "A node asks a silent bank for its keys once for each request that waits for them.",
    // The merchant.
    SaleLeftOpen: "The merchant begins to release a sale, and does not note that it is open.",
    // The wallet.
    SilenceTakenForRefusal: "The wallet gives a withdrawal up when the bank is silent.",
    DenialTakenForRecovery: "The wallet ends a cancelled purchase as recovered when the bank denies the exchange of its coins.",
    SentBeforeWritten: "The wallet sends an order before it is written down.",
    BurntNumbersReused: "The restored wallet begins with the first number again.",
    RefusedNumberDropped: "The wallet takes a new number for the same coins each time that their exchange is refused.",
    GapNotReserved: "The wallet uses numbers behind any gap without a word of it in its scan record.",
    GapBelieved: "A restore takes a gap for the end, whatever its coins went into.",
    OneHeldCoinStopsAll: "A coin that is held elsewhere keeps the wallet from exchanging those that were asked for with it.",
    LateNotLookedFor: "The restored wallet does not look for what comes through later.",
    ReleasedCoinsReused: "The wallet pays with the coins of an aborted purchase, without exchanging them.",
    KeysAskedByName: "The wallet fetches the bank's keys over the connection that says who it is.",
    GoodsUnchecked: "The wallet pays without checking the digest of the encrypted goods.",
    UnsignedRefusalFinal: "The wallet takes a bank's refusal that is not signed for its last word.",
    // Everybody.
    TextShownRaw: "What others wrote is printed as they wrote it.",
    OutputOverwritten: "A file that is there is overwritten, though nobody said so.",
    NetworkFileUnlocked: "A card is added to the network file as it was when it was read.",
    GoodsNamedByDigest: "The wallet names a file of encrypted goods by their digest, which is public.",
    HomeLeftOpen: "A directory that others can read is opened as it is.",
}

/// Whether `defect` is switched on. Here it never is.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is_planted(_defect: Defect) -> bool {
    false
}

#[cfg(feature = "planted")]
mod switch;

#[cfg(feature = "planted")]
pub use switch::{MARKER, Planted, is_any_planted, is_planted, plant};
