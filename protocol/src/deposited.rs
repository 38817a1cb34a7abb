//! What a [deposit](crate::deposit) credits, and the bank's statement that it is carried out.

use crate::{
    bounded,
    documents::coins_digest,
    ids::{DepositId, DepositSource, TextDigest},
    limits::DEPOSIT_OUTPUTS_MAX,
    money::Amount,
};
use farthing_coin::{Coin, Document, PublicKey, Signature, TextSalt, Transcript, TranscriptExt};
use serde::{Deserialize, Serialize};

/// What is credited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Payee {
    /// An account, which must exist.
    Account(PublicKey),
    /// A reserve. The credit opens it, if there is none.
    Reserve(PublicKey),
}

impl Payee {
    fn describe(&self, t: &mut Transcript) {
        match self {
            Payee::Account(key) => t.bytes(b"account", &key.0),
            Payee::Reserve(key) => t.bytes(b"reserve", &key.0),
        }
    }
}

/// One credit of a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositOutput {
    /// Who is credited.
    pub to: Payee,
    /// The amount. Not 0.
    pub amount: Amount,
}

/// A [`Deposit`](crate::deposit::Deposit), with the digest of what pays.
pub(crate) struct DepositBody<'a> {
    pub(crate) bank: &'a PublicKey,
    pub(crate) source: &'a DepositSource,
    pub(crate) outputs: &'a [DepositOutput],
    pub(crate) text: &'a TextDigest,
}

impl Document for DepositBody<'_> {
    const LABEL: &'static str = "farthing deposit";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"source", &self.source.0);
        t.u64(b"outputs", self.outputs.len() as u64);
        for output in self.outputs {
            output.to.describe(t);
            t.u64(b"amount", output.amount.0);
        }
        t.bytes(b"text", &self.text.0);
    }
}

/// The bank's statement that it has carried a deposit out. Signed by the bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposited {
    /// The bank.
    pub bank: PublicKey,
    /// The digest of what paid: [`DepositFrom::source`](crate::deposit::DepositFrom::source).
    pub source: DepositSource,
    /// The credits.
    #[serde(deserialize_with = "bounded::list::<_, _, DEPOSIT_OUTPUTS_MAX>")]
    pub outputs: Vec<DepositOutput>,
    /// The digest of what the payment is for.
    pub text: TextDigest,
    /// The time of the credit (ms since 1970, the bank's clock).
    pub at_ms: u64,
}

impl Document for Deposited {
    const LABEL: &'static str = "farthing deposited";

    fn describe(&self, t: &mut Transcript) {
        self.body().describe(t);
        t.u64(b"at", self.at_ms);
    }
}

impl Deposited {
    fn body(&self) -> DepositBody<'_> {
        DepositBody {
            bank: &self.bank,
            source: &self.source,
            outputs: &self.outputs,
            text: &self.text,
        }
    }

    /// The id of the deposit.
    pub fn deposit_id(&self) -> DepositId {
        DepositId(self.body().digest().0)
    }

    /// Whether this reserve has paid the deposit, and `signature` is its key's under the request.
    pub fn is_paid_by(&self, reserve: &PublicKey, signature: &Signature) -> bool {
        let statement = self.body().statement(reserve);
        self.source == reserve_paid(reserve) && reserve.verify(&statement, signature).is_ok()
    }

    /// The amount that this payee was credited with. 0 if it was not.
    pub fn credited(&self, payee: &Payee) -> Amount {
        let output = self.outputs.iter().find(|output| output.to == *payee);
        output.map_or(Amount(0), |output| output.amount)
    }
}

/// The digest of a text. Nobody finds the text by trying, without its salt.
pub fn text_digest(salt: &TextSalt, text: &str) -> TextDigest {
    let mut t = Transcript::start(b"farthing text");
    t.bytes(b"salt", salt.as_bytes());
    t.bytes(b"text", text.as_bytes());
    TextDigest(t.digest32(b"digest"))
}

/// The digest of coins that pay for a deposit.
pub(crate) fn coins_paid(coins: &[Coin]) -> DepositSource {
    let mut t = Transcript::start(b"farthing deposit source");
    t.bytes(b"coins", &coins_digest(coins).0);
    DepositSource(t.digest32(b"digest"))
}

/// The digest of a reserve that pays for a deposit.
pub(crate) fn reserve_paid(reserve: &PublicKey) -> DepositSource {
    let mut t = Transcript::start(b"farthing deposit source");
    t.bytes(b"reserve", &reserve.0);
    DepositSource(t.digest32(b"digest"))
}
