//! Banks that cheat with denials, and an escrow that makes up a denial.

use super::front::{Cheat, Honest, refuse};
use async_trait::async_trait;
use farthing_coin::{Coin, Document, PublicKey, SecretKey, Signed, StatementDigest};
use farthing_node::network::Lane;
use farthing_protocol::{
    api::{BankRequest, Call, EscrowRequest},
    denial::{CoinDenial, Denial, DenialCause, RequestKind},
    documents::{CoinUse, EarlierUse, Issued},
    exchange::{Authorized, ExchangeFinish},
    money::Amount,
    refusal::{AccountFault, CoinFault, CoinsFault, IssueFault, Later, Refusal},
    withdraw::WithdrawBegin,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A denial of a coin, signed by `key`. Its time does not matter.
pub fn deny(key: &SecretKey, kind: RequestKind, request: [u8; 32], coin: &Coin, what: CoinDenial) -> Refusal {
    let denial = Denial {
        bank: key.public(),
        kind,
        request: StatementDigest(request),
        cause: DenialCause::Coin {
            key_id: coin.key_id,
            coin: coin.public,
            what,
        },
        at_ms: 1,
    };
    Refusal::Denied(Box::new(Signed::sign(denial, key)))
}

/// What a bank does with the first finish of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theft {
    /// It keeps the signatures, issues nothing, and refuses without its own signature.
    Unsigned,
    /// It keeps the signatures, issues nothing, and signs that the coin was exchanged.
    WithoutProof,
    /// The same, with what it issued for other coins as proof.
    ProofOfAnother,
    /// It takes the coins, issues nothing, and signs that the coin was exchanged, without proof.
    Kept,
    /// It takes the coins, denies that, and shows later what it issued for them.
    Belated,
}

/// A bank that answers the first finish of an exchange with "session gone". The later request it refuses with the
/// claim that the coins were exchanged, and shows the signatures of that first finish.
pub struct StealsInExchange {
    key: SecretKey,
    theft: Theft,
    state: Mutex<Stolen>,
}

#[derive(Default)]
struct Stolen {
    used: BTreeMap<PublicKey, EarlierUse>,
    issued: Option<Signed<Issued>>,
}

impl StealsInExchange {
    /// A bank with this identity key.
    pub fn new(key: SecretKey, theft: Theft) -> Self {
        Self {
            key,
            theft,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Stolen> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The refusal of a request of this kind for coins whose signatures it has kept.
    fn refusal(&self, kind: RequestKind, request: [u8; 32], inputs: &[Coin]) -> Option<Refusal> {
        let state = self.state();
        let stolen = inputs.iter().enumerate();
        let mut stolen =
            stolen.filter_map(|(index, coin)| Some((index, coin, *state.used.get(&coin.public)?)));
        let (index, coin, used) = stolen.next()?;
        Some(match self.theft {
            Theft::Unsigned => {
                let what = CoinFault::AlreadyExchanged(used);
                CoinsFault { index, what }.into()
            }
            Theft::WithoutProof | Theft::Kept => {
                let what = CoinDenial::Exchanged { used, issued: None };
                deny(&self.key, kind, request, coin, what)
            }
            Theft::ProofOfAnother | Theft::Belated => {
                let issued = state.issued.clone().map(Box::new);
                deny(
                    &self.key,
                    kind,
                    request,
                    coin,
                    CoinDenial::Exchanged { used, issued },
                )
            }
        })
    }
}

#[async_trait]
impl Cheat for StealsInExchange {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match BankRequest::decode(&request) {
            Ok(BankRequest::ExchangeBegin(begin)) => {
                // It continues to a second finish, unless it has taken the coins.
                let refusal = self.refusal(
                    RequestKind::ExchangeBegin,
                    begin.body.digest().0,
                    &begin.body.inputs,
                );
                let is_over = matches!(self.theft, Theft::Kept | Theft::Belated);
                match refusal.filter(|_| is_over) {
                    Some(refusal) => refuse(refusal),
                    None => honest.answer(lane, request).await,
                }
            }
            Ok(BankRequest::ExchangeFinish(finish)) => {
                let digest = finish.body.digest();
                if let Some(refusal) =
                    self.refusal(RequestKind::ExchangeFinish, digest.0, &finish.body.inputs)
                {
                    return refuse(refusal);
                }
                for (coin, authorization) in finish.body.inputs.iter().zip(&finish.authorizations) {
                    let used = EarlierUse {
                        operation: CoinUse::Exchange,
                        digest,
                        authorization: *authorization,
                    };
                    if self.theft == Theft::ProofOfAnother && self.state().issued.is_none() {
                        continue;
                    }
                    self.state().used.insert(coin.public, used);
                }
                let is_first = self.theft == Theft::ProofOfAnother && self.state().issued.is_none();
                if is_first || matches!(self.theft, Theft::Kept | Theft::Belated) {
                    let reply = honest.answer(lane, request).await;
                    let issued = Authorized::<ExchangeFinish>::decode_reply(&reply);
                    self.state().issued = Some(issued.expect("a reply").expect("an exchange"));
                    if is_first {
                        return reply;
                    }
                }
                refuse(IssueFault::SessionGone)
            }
            _ => honest.answer(lane, request).await,
        }
    }
}

/// A bank that carries out finishes, and answers with a refusal of another request, or with an unsigned one.
pub struct AnswersWithRefusals {
    /// Its reply to a finish. `None`: the last denial that the honest bank signed.
    pub refusal: Option<Refusal>,
    /// That denial.
    pub last: Mutex<Option<Refusal>>,
}

impl AnswersWithRefusals {
    /// The same refusal for every request.
    pub fn always(refusal: Refusal) -> Self {
        Self {
            refusal: Some(refusal),
            last: Mutex::default(),
        }
    }

    /// The last denial of another request.
    pub fn replayed() -> Self {
        Self {
            refusal: None,
            last: Mutex::default(),
        }
    }

    /// A refusal that says that the account has too little money.
    pub fn balance() -> Refusal {
        let (balance, asked) = (Amount(1), Amount(2));
        AccountFault::Balance { balance, asked }.into()
    }
}

#[async_trait]
impl Cheat for AnswersWithRefusals {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let asked = BankRequest::decode(&request);
        let reply = honest.answer(lane, request).await;
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Err(denied @ Refusal::Denied(_))) = Signed::<WithdrawBegin>::decode_reply(&reply) {
            *last() = Some(denied);
            return reply;
        }
        let is_finish = matches!(
            asked,
            Ok(BankRequest::WithdrawFinish(_) | BankRequest::ExchangeFinish(_))
        );
        let refusal = self.refusal.clone().or_else(|| last().clone());
        match refusal.filter(|_| is_finish) {
            Some(refusal) => refuse(refusal),
            None => reply,
        }
    }
}

/// A bank that denies every exchange, in documents signed with another key.
pub struct SignsWithAnotherKey {
    /// The bank that it claims to be.
    pub bank: PublicKey,
    /// The key with which it signs.
    pub other: SecretKey,
}

#[async_trait]
impl Cheat for SignsWithAnotherKey {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let (kind, digest, inputs) = match BankRequest::decode(&request) {
            Ok(BankRequest::ExchangeFinish(finish)) => {
                let digest = finish.body.digest();
                (RequestKind::ExchangeFinish, digest, finish.body.inputs)
            }
            _ => return honest.answer(lane, request).await,
        };
        let coin = inputs.first().expect("an exchange has inputs");
        let what = CoinDenial::Expired { expired_ms: 1 };
        let Refusal::Denied(mut denial) = deny(&self.other, kind, digest.0, coin, what) else {
            panic!("a denial");
        };
        denial.body.bank = self.bank;
        let statement = denial.body.statement(&self.other.public());
        denial.signature = self.other.sign(&statement);
        refuse(Refusal::Denied(denial))
    }
}

/// An escrow that keeps a coin's signature for one purchase, without a hold at the bank. It shows that signature for
/// every other purchase with the coin, as the bank's claim that the coin was spent.
pub struct ForgesDenials {
    /// Its identity key.
    key: SecretKey,
    /// The bank in whose name it speaks.
    bank: PublicKey,
    /// Whether it makes up a signed document.
    is_signed: bool,
    kept: Mutex<BTreeMap<PublicKey, EarlierUse>>,
}

impl ForgesDenials {
    /// Makes an escrow that forges denials of `bank`.
    pub fn new(key: SecretKey, bank: PublicKey, is_signed: bool) -> Self {
        Self {
            key,
            bank,
            is_signed,
            kept: Mutex::default(),
        }
    }
}

#[async_trait]
impl Cheat for ForgesDenials {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let Ok(EscrowRequest::Hold(hold)) = EscrowRequest::decode(&request) else {
            return honest.answer(lane, request).await;
        };
        let purchase = hold.contract.terms.purchase_id().0;
        let coin = hold.payment.coins.first().expect("a payment has coins");
        let authorization = hold.payment.authorizations.first().expect("each is authorized");
        let kept = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            *kept.entry(coin.public).or_insert(EarlierUse {
                operation: CoinUse::Hold,
                digest: StatementDigest(purchase),
                authorization: *authorization,
            })
        };
        if kept.digest == StatementDigest(purchase) {
            return refuse(Later::PeerSilent("bank".into()));
        }
        if !self.is_signed {
            let what = CoinFault::AlreadySpent(kept);
            return refuse(CoinsFault { index: 0, what });
        }
        let what = CoinDenial::Spent {
            used: kept,
            proof: None,
        };
        let Refusal::Denied(mut denial) = deny(&self.key, RequestKind::Hold, purchase, coin, what) else {
            panic!("a denial");
        };
        denial.body.bank = self.bank;
        refuse(Refusal::Denied(denial))
    }
}
