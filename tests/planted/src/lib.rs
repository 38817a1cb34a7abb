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
    GoodsNamedByDigest: "The wallet names a file of encrypted goods by their digest, which is public.",
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
