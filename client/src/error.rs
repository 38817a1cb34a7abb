//! Why a wallet could not do what it was asked.

use farthing_coin::{KeyListError, PublicKey};
use farthing_node::{call::CallError, network::NetworkError, network_file::NetworkFileError};
use farthing_protocol::{
    issue::MintFault,
    money::Amount,
    offer::CatalogFault,
    purchase::{OfferFault, PurchaseError},
    refusal::{ContractFault, Refusal},
};
use farthing_store::StoreError;
use std::path::PathBuf;

/// Why a wallet could not do what it was asked. Whatever it is, no coin is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// A party did not answer within the wallet's patience.
    #[error("{party} has not answered ({question}): {why}; nothing is lost")]
    Silent {
        /// Which party.
        party: String,
        /// What was asked.
        question: &'static str,
        /// What the network said last.
        why: String,
    },
    /// A party that the wallet must not talk to, or cannot.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A party refused.
    #[error("{party} refused ({question}): {refusal}")]
    Refused {
        /// Which party.
        party: String,
        /// What was asked.
        question: &'static str,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// A party's reply is not one.
    #[error("{party}: {why}")]
    Garbled {
        /// Which party.
        party: String,
        /// What is wrong.
        why: String,
    },
    /// A bank's list of keys is not acceptable.
    #[error("the list of keys of {bank} is not acceptable: {why}")]
    KeyList {
        /// Which bank.
        bank: String,
        /// Why.
        why: KeyListError,
    },
    /// A bank shows another history of its keys than before.
    #[error(
        "{0} shows another list of keys than before, one that does not continue it; do not use it: \
         keys of your own would mark your coins"
    )]
    KeyListChanged(String),
    /// The bank issues no coin of this value now.
    #[error("the bank issues no coins worth {0} now; is this machine's clock right?")]
    NotIssued(Amount),
    /// A withdrawal of too many coins.
    #[error("that would be {coins} coins, at most {most} can be withdrawn at a time; withdraw it in parts")]
    TooManyCoins {
        /// How many it would be.
        coins: usize,
        /// The most.
        most: usize,
    },
    /// The merchant has not seen the keys of enough of the wallet's coins.
    #[error(
        "the merchant does not know the newest of the bank's keys yet, which {0} of this wallet's coins are made \
         with; try again in a few minutes"
    )]
    NewKeys(Amount),
    /// The amount cannot be made of the bank's coins.
    #[error("{0} cannot be made of the bank's coins")]
    NoCoins(Amount),
    /// The bank issued something that is not acceptable.
    #[error("what the bank issued is not acceptable: {0}")]
    Mint(#[from] MintFault),
    /// The wallet holds too little.
    #[error(
        "{short} is missing: the wallet has {available}, the price is {price}; `farthing withdraw {short}`"
    )]
    Short {
        /// By how much.
        short: Amount,
        /// What can be spent.
        available: Amount,
        /// What it takes.
        price: Amount,
    },
    /// An offer is not acceptable.
    #[error("the merchant's offer is not acceptable: {0}")]
    Offer(#[from] OfferFault),
    /// A purchase's documents are not acceptable.
    #[error(transparent)]
    Purchase(#[from] PurchaseError),
    /// A contract could not be made.
    #[error(transparent)]
    Contract(#[from] ContractFault),
    /// No such purchase.
    #[error("there is no purchase `{0}`; `farthing purchases` lists them")]
    NoPurchase(String),
    /// A merchant's catalogue that is not read to its end.
    #[error(
        "the catalogue of {merchant} breaks the rules: {why}; nothing was bought. An item whose whole id you know can be \
             bought without it"
    )]
    Catalog {
        /// Whose.
        merchant: String,
        /// How.
        why: CatalogFault,
    },
    /// No such item.
    #[error("the merchant has no item `{0}`; `farthing catalog` lists what there is")]
    NoItem(String),
    /// Several items.
    #[error("several items match `{0}`; give more of the item's id")]
    SeveralItems(String),
    /// The purchase has no receipt.
    #[error("purchase {number} has nothing yet that proves how it ended: it is {status}")]
    NoReceipt {
        /// Which.
        number: u64,
        /// How it stands.
        status: &'static str,
    },
    /// The bank denies a coin that it has issued, and proves nothing.
    #[error(
        "{bank} denies the coin {coin} without proof that it was used ({refusal}); the coin stays in this wallet, and \
         `farthing receipt denied -o FILE` writes what convicts the bank"
    )]
    CoinDenied {
        /// Which bank.
        bank: String,
        /// The coin's key.
        coin: PublicKey,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// The goods that were served are not those of the offer.
    #[error("the merchant served other bytes than the offer describes; nothing was paid")]
    WrongGoods,
    /// The goods that were paid for are not as described.
    #[error(
        "the goods of purchase {0} are not what the merchant described; \
         `farthing receipt show {0} -o FILE` and `farthing receipt verify` prove it to anyone"
    )]
    NotAsDescribed(u64),
    /// A party that is not pinned.
    #[error(transparent)]
    Card(#[from] NetworkFileError),
    /// A party that is needed is not pinned.
    #[error("no card of the {0} is pinned; `farthing network add CARD`")]
    NoCard(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bank knows no account of this wallet's.
    #[error(
        "bank `{bank}` knows no account of this wallet, so nothing can be found there. If the wallet was made when \
         account keys were the same at every bank (protocol version 1), repeat the restore with `--shared-account \
         {bank}`. If it never had an account there, do without the bank's card (`farthing network remove bank {bank}`)"
    )]
    NoAccount {
        /// The bank's name.
        bank: String,
    },
    /// A wallet made from its phrase that was not restored from this bank.
    #[error(
        "this wallet was made from its phrase and is not restored from {0} yet: run `farthing restore` again, \
         else it would use numbers twice that it used before"
    )]
    NotRestored(String),
    /// A file.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The wallet's directory.
    #[error("{0}")]
    Home(String),
    /// Something that should not happen did: a bug, or a damaged store.
    #[error("the wallet's own data does not fit together: {0}")]
    Inconsistent(&'static str),
}

impl WalletError {
    /// A file error at `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> WalletError {
        let path = path.into();
        move |source| WalletError::Io { path, source }
    }

    /// Whether the party just did not answer, so that carrying on later may help.
    pub fn is_silence(&self) -> bool {
        matches!(self, WalletError::Silent { .. })
    }
}

/// What a single question came to, when it was not answered.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// Asking again may help.
    Again(String),
    /// The party refused.
    Refused(Refusal),
    /// Asking again does not help.
    Final(WalletError),
}

impl Unanswered {
    pub(crate) fn of(party: &str, error: CallError) -> Unanswered {
        match error {
            CallError::Network(error) if error.is_final() => Unanswered::Final(error.into()),
            CallError::Network(error) => Unanswered::Again(error.to_string()),
            CallError::Refused(refusal @ Refusal::Later(_)) => Unanswered::Again(refusal.to_string()),
            CallError::Refused(refusal) => Unanswered::Refused(refusal),
            CallError::Garbled(error) => Unanswered::Final(WalletError::Garbled {
                party: party.into(),
                why: error.to_string(),
            }),
        }
    }
}
