//! Errors of the wallet.

use farthing_coin::{KeyListError, PublicKey};
use farthing_node::{
    call::CallError, home::files::OutputError, network::NetworkError, network_file::NetworkFileError,
    uri::UriError,
};
use farthing_protocol::{
    api::Question,
    issue::IssuanceFault,
    limits::COINS_PER_REQUEST_MAX,
    money::Amount,
    offer::CatalogFault,
    purchase::{OfferFault, PurchaseError},
    refusal::{ContractFault, Refusal},
};
use farthing_store::StoreError;
use std::path::PathBuf;

/// Why a wallet could not do what it was asked. No error loses a coin.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// A party did not answer within the time of the [`RetryPolicy`](crate::peer_client::RetryPolicy).
    #[error("{party} has not answered ({question}): {why}; nothing is lost")]
    Silent {
        /// The party.
        party: String,
        /// Name of the request.
        question: Question,
        /// The last error of the network.
        why: String,
    },
    /// A party cannot be reached, or must not be used.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A party refused.
    #[error("{party} refused ({question}): {refusal}")]
    Refused {
        /// The party.
        party: String,
        /// Name of the request.
        question: Question,
        /// The reason.
        refusal: Box<Refusal>,
    },
    /// A party's reply breaks the protocol.
    #[error("{party}: {why}")]
    Garbled {
        /// The party.
        party: String,
        /// What is wrong with it.
        why: String,
    },
    /// A bank's list of keys is not acceptable.
    #[error("the list of keys of {bank} is not acceptable: {why}")]
    KeyList {
        /// The bank.
        bank: String,
        /// The reason.
        why: KeyListError,
    },
    /// A bank's list of keys does not continue the list that the wallet saw before.
    #[error(
        "{0} shows a list of keys that does not continue the one from before; do not use this bank: \
         keys that only you see would mark your coins"
    )]
    KeyListChanged(String),
    /// The bank issues no coin of this value now.
    #[error("the bank issues no coins worth {0} now; is this machine's clock right?")]
    NotIssued(Amount),
    /// A withdrawal would take too many coins.
    #[error("this amount takes {coins} coins, and one withdrawal takes at most {most}; withdraw it in parts")]
    TooManyCoins {
        /// How many coins the amount takes.
        coins: usize,
        /// The most coins of one withdrawal.
        most: usize,
    },
    /// The merchant does not know the keys of enough of the wallet's coins yet.
    #[error(
        "the merchant does not know the newest of the bank's keys yet, which {0} of this wallet's coins are made \
         with; try again in a few minutes"
    )]
    NewKeys(Amount),
    /// No set of the bank's coins is worth this amount.
    #[error("no set of the bank's coins is worth {0}; choose another amount")]
    NoCoins(Amount),
    /// The bank's answer to a withdrawal or an exchange is not acceptable.
    #[error(
        "the bank's answer is not acceptable: {0}; nothing of it was stored, and `farthing resume` asks again"
    )]
    Mint(#[from] IssuanceFault),
    /// The wallet has too little money.
    #[error(
        "{short} is missing: the wallet has {available}, the price is {price}; `farthing withdraw {short}`"
    )]
    Short {
        /// The missing amount.
        short: Amount,
        /// What the wallet can spend.
        available: Amount,
        /// The price.
        price: Amount,
    },
    /// No payment can have this price: it would take too many coins of the bank's values.
    #[error(
        "no payment can be worth {price}: it has at most {COINS_PER_REQUEST_MAX} coins, and the bank's largest coin is \
         worth {largest}. The highest price up to {price} that can be paid is {highest}; nothing was paid"
    )]
    NotPayable {
        /// The price.
        price: Amount,
        /// The value of the bank's largest coin.
        largest: Amount,
        /// The highest price up to it that can be paid.
        highest: Amount,
    },
    /// An offer is not acceptable.
    #[error("the merchant's offer is not acceptable: {0}; nothing was paid")]
    Offer(#[from] OfferFault),
    /// A purchase's documents are not acceptable.
    #[error(transparent)]
    Purchase(#[from] PurchaseError),
    /// A contract could not be made.
    #[error(transparent)]
    Contract(#[from] ContractFault),
    /// A stream is not bought whole.
    #[error("this item is a stream, which is paid by the tick; `farthing watch` watches it")]
    IsStream,
    /// An item that is sold whole is not watched.
    #[error("this item is not a stream; `farthing buy` buys it")]
    NoStream,
    /// The records of a stream cannot be written. The stream is as it was.
    #[error(
        "the records cannot be written: {0}; the stream is as it was, `farthing watch --on` goes on with it, and \
         `farthing resume` ends it"
    )]
    NoOutput(String),
    /// There is no such purchase.
    #[error("there is no purchase `{0}`; `farthing purchases` lists them")]
    NoPurchase(String),
    /// There is no such payment.
    #[error("there is no payment {0}; `farthing payments` lists them")]
    NoPayment(u64),
    /// The payment with this number is no gift of this wallet.
    #[error("payment {0} is no gift; `farthing payments` lists all")]
    NoGift(u64),
    /// A bank owes nothing for a purchase that has not paid.
    #[error(
        "purchase {0} was not paid with coins, so the bank owes neither change nor a refund for it; `farthing purchases` \
         lists all"
    )]
    NothingOwed(u64),
    /// A text is not a gift or not a request for a payment, or cannot be in one.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// A link to an account, where a request for one payment is needed.
    #[error(
        "this link names an account, and is no request for one payment; `farthing donate` pays into the account"
    )]
    NotARequest,
    /// A request for one payment, where a link to an account is needed.
    #[error("this link is a request for one payment, and names no account; `farthing send` pays it")]
    NotAnAccount,
    /// A payment of nothing.
    #[error("nothing to pay; give an amount such as 20.00")]
    NothingToPay,
    /// The payee of a request was paid before.
    #[error(
        "payment {number} to the same payee is {status}, so nothing more was paid; `farthing payments` shows it, and \
         `--again` pays once more"
    )]
    PaidBefore {
        /// Number of the payment.
        number: u64,
        /// Its status.
        status: &'static str,
    },
    /// A merchant's catalogue breaks the rules, so it was not read to its end.
    #[error(
        "the catalogue of {merchant} breaks the rules: {why}; nothing was bought. An item whose whole id you know can be \
             bought without it"
    )]
    Catalog {
        /// The merchant.
        merchant: String,
        /// The rule that it breaks.
        why: CatalogFault,
    },
    /// No item matches.
    #[error("the merchant has no item `{0}`; `farthing catalog` lists what there is")]
    NoItem(String),
    /// Several items match.
    #[error("several items match `{0}`; give more of the item's id")]
    SeveralItems(String),
    /// Nothing proves yet how the purchase ended.
    #[error("nothing proves yet how purchase {number} ended: it is {status}")]
    NoReceipt {
        /// Number of the purchase.
        number: u64,
        /// Its status.
        status: &'static str,
    },
    /// The bank has not confirmed a payment.
    #[error("nothing proves payment {number}: it is {status}")]
    NoPaymentProof {
        /// Number of the payment.
        number: u64,
        /// Its status.
        status: &'static str,
    },
    /// A server has signed two encryption keys for one day.
    #[error(
        "{party} has signed two encryption keys for one day, so it may be telling wallets apart; this wallet sends it \
         nothing for some days, and `farthing receipt keys -o FILE` writes what convicts it"
    )]
    TwoKeys {
        /// The server.
        party: String,
    },
    /// The bank denies a coin that it has issued, without proof.
    #[error(
        "{bank} denies the coin {coin} without proof that it was used ({refusal}); the coin stays in this wallet, and \
         `farthing receipt denied -o FILE` writes what convicts the bank"
    )]
    CoinDenied {
        /// The bank.
        bank: String,
        /// The coin's public key.
        coin: PublicKey,
        /// The bank's refusal.
        refusal: Box<Refusal>,
    },
    /// The encrypted goods are not the bytes that the offer describes.
    #[error(
        "the encrypted goods are not the bytes that the offer describes; they were discarded, and nothing more was paid"
    )]
    WrongGoods,
    /// The goods that were paid for are not what the offer describes.
    #[error(
        "the goods of purchase {0} are not what the merchant described; \
         `farthing receipt show {0} -o FILE` and `farthing receipt verify` prove it to anyone"
    )]
    NotAsDescribed(u64),
    /// The goods cannot be written to their file, so no coin was put to the purchase.
    #[error("{0}. Nothing was paid; `-o FILE` names another file")]
    NoPlace(PlaceFault),
    /// Goods that are paid for cannot be written to their file.
    #[error(
        "purchase {number} is paid for, but its goods cannot be delivered: {why}. \
         `farthing resume {number} -o FILE` writes them to another file"
    )]
    NotDelivered {
        /// Number of the purchase.
        number: u64,
        /// The reason.
        why: PlaceFault,
    },
    /// The file of pinned cards.
    #[error(transparent)]
    Card(#[from] NetworkFileError),
    /// No card of a party is pinned.
    #[error("no card of the {0} is pinned; add it with `farthing network add CARD`")]
    NoCard(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bank knows no account of this wallet.
    #[error(
        "bank `{bank}` knows no account of this wallet, so nothing was restored from there. For a wallet of protocol \
         version 1, repeat the restore with `--shared-account {bank}`. If the wallet never had an account there, \
         remove the bank's card with `farthing network remove bank {bank}`"
    )]
    NoAccount {
        /// The bank's name.
        bank: String,
    },
    /// This wallet was made from its phrase, and is not restored from this bank yet.
    #[error(
        "this wallet was made from its words and is not restored from {0} yet: run `farthing restore` again. Before \
         that it does nothing there, as it would use secrets twice"
    )]
    NotRestored(String),
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// There is no wallet in this directory.
    #[error("there is no wallet in {}; make one with `farthing init`", .0.display())]
    NoWallet(PathBuf),
    /// The wallet has a password, and none was given.
    #[error("the wallet in {} has a password; type it on a terminal, or give it with --password-file FILE or in FARTHING_PASSWORD", .0.display())]
    Locked(PathBuf),
    /// The password is wrong, or the vault file was changed.
    #[error(
        "the password is wrong; nothing was changed. If nobody remembers it, `farthing restore` makes the wallet again from its 24 words"
    )]
    WrongPassword,
    /// The wallet's directory cannot be used.
    #[error("{0}")]
    Home(String),
    /// The wallet's rows contradict each other: a bug, or a damaged store.
    #[error(
        "the wallet's rows contradict each other: {0}; keep a copy of the wallet's directory, and report this"
    )]
    Inconsistent(&'static str),
}

impl WalletError {
    /// Turns an I/O error at `path` into a wallet error.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> WalletError {
        let path = path.into();
        move |source| WalletError::Io { path, source }
    }

    /// Whether a party did not answer, so that a later `resume` may help.
    pub fn is_silence(&self) -> bool {
        matches!(self, WalletError::Silent { .. })
    }
}

/// Why goods cannot be written to their file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceFault {
    /// No file can be put there.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The disk has too little room.
    #[error(
        "the disk is full: {dir} has {free_bytes} bytes free, and {needed_bytes} are needed; free some space",
        dir = dir.display()
    )]
    NoRoom {
        /// A directory on the disk.
        dir: PathBuf,
        /// What the goods need, with the room that stays free (bytes).
        needed_bytes: u64,
        /// What is free (bytes).
        free_bytes: u64,
    },
}

/// Why a single request has no reply.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// A repetition may help.
    Again(String),
    /// The party refused the request.
    Refused(Refusal),
    /// A repetition does not help.
    Final(WalletError),
}

impl Unanswered {
    pub(crate) fn of(party: &str, error: CallError) -> Unanswered {
        match error {
            CallError::Network(NetworkError::TwoKeys { peer }) => {
                Unanswered::Final(WalletError::TwoKeys { party: peer })
            }
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
