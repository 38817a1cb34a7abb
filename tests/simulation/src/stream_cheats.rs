//! Servers that cheat with streams.

use super::{
    cheats::changed,
    front::{Cheat, Honest},
};
use async_trait::async_trait;
use farthing_coin::{SecretKey, Seed, Signed};
use farthing_node::network::Lane;
use farthing_protocol::{
    api::{EscrowRequest, MerchantRequest, encode_reply},
    decision::Outcome,
    documents::{Commit, Terms},
    goods::{GoodsKey, TAG_BYTES},
    ids::SealingContext,
    money::Amount,
    seal::seal_goods_key,
    stream::{Batch, OpenRequest, RaiseRequest, StreamCommit, Ticks, TicksRequest, Voucher, WatchRequest},
};
use std::sync::{Mutex, PoisonError};

/// What a merchant does with its answers about ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickLie {
    /// It keeps every key.
    KeepsKeys,
    /// It gives other keys.
    OtherKeys,
    /// It signs ticks that do not open.
    DoNotOpen,
    /// It sends nonsense under somebody else's signature.
    Unsigned,
    /// It says after the first payment that there are no more.
    EndsEarly,
    /// It says that the customer has paid for everything.
    SaysAllIsPaid,
}

/// A merchant that lies about ticks.
pub struct LiesAboutTicks {
    /// Its identity key.
    pub key: SecretKey,
    /// The lie.
    pub lie: TickLie,
}

impl LiesAboutTicks {
    fn lies(&self, asked: &TicksRequest, ticks: Ticks) -> Ticks {
        match self.lie {
            TickLie::KeepsKeys => Ticks { key: None, ..ticks },
            TickLie::OtherKeys => Ticks {
                key: ticks.key.map(|_| GoodsKey::from_bytes([9; 32])),
                ..ticks
            },
            TickLie::DoNotOpen => nonsense(asked, ticks, &self.key),
            TickLie::Unsigned => nonsense(asked, ticks, &Seed::from_bytes(&[9; 32]).account_key()),
            TickLie::EndsEarly if asked.voucher.is_some() => Ticks {
                batch: None,
                ended: true,
                ..ticks
            },
            TickLie::EndsEarly | TickLie::SaysAllIsPaid => ticks,
        }
    }
}

/// The same ticks with bytes that do not open, signed with `key`.
fn nonsense(asked: &TicksRequest, ticks: Ticks, key: &SecretKey) -> Ticks {
    let batch = ticks.batch.map(|batch| {
        let nonsense = batch.ticks.iter().map(|_| vec![7; TAG_BYTES + 5].into());
        Batch::sign(asked.purchase, batch.signed.body.first, nonsense.collect(), key)
    });
    Ticks { batch, ..ticks }
}

#[async_trait]
impl Cheat for LiesAboutTicks {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let asked = MerchantRequest::decode(&request);
        let reply = honest.answer(lane, request).await;
        match asked {
            Ok(MerchantRequest::Ticks(asked)) => {
                changed::<TicksRequest>(reply, |ticks| self.lies(&asked, ticks))
            }
            Ok(MerchantRequest::Watch(asked)) if self.lie == TickLie::SaysAllIsPaid => {
                let terms = &asked.contract.terms;
                let voucher = Voucher {
                    purchase: terms.purchase_id(),
                    ticks: asked.contract.offer.body.ticks().unwrap_or_default(),
                    amount: terms.price,
                };
                changed::<WatchRequest>(reply, |_| Some(Signed::sign(voucher, &self.key)))
            }
            _ => reply,
        }
    }
}

/// An escrow that promises to commit each voucher that it is shown, and commits the first one.
pub struct CommitsTheFirstVoucher {
    /// Its identity key.
    pub key: SecretKey,
    /// The terms of the stream, and its first voucher with the key.
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    terms: Option<Terms>,
    first: Option<(Signed<Voucher>, GoodsKey)>,
}

impl CommitsTheFirstVoucher {
    /// The escrow with this key.
    pub fn new(key: SecretKey) -> Self {
        Self {
            key,
            seen: Mutex::default(),
        }
    }

    fn commits(&self) -> Option<Outcome> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (terms, (voucher, key)) = seen.terms.as_ref().zip(seen.first.as_ref())?;
        let purchase = terms.purchase_id();
        let context = SealingContext::from(purchase);
        let sealed_key = seal_goods_key(&self.key, &terms.purchase_key, &context, key).ok()?;
        let commit = Commit {
            purchase,
            bank: terms.bank,
            coins_digest: terms.coins_digest,
            account: terms.account,
            amount: voucher.body.amount,
            sealed_key,
        };
        Some(Outcome::Streamed(Box::new(StreamCommit {
            commit: Signed::sign(commit, &self.key),
            voucher: voucher.clone(),
        })))
    }
}

#[async_trait]
impl Cheat for CommitsTheFirstVoucher {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let asked = EscrowRequest::decode(&request);
        match asked {
            Ok(EscrowRequest::Open(OpenRequest(hold))) => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.terms = Some(hold.contract.terms);
            }
            Ok(EscrowRequest::Raise(RaiseRequest { voucher, .. })) => {
                let asked = EscrowRequest::from(RaiseRequest {
                    voucher: voucher.clone(),
                    wants_key: true,
                });
                let asked = farthing_protocol::wire::encode(&asked).expect("a question is not too long");
                let reply = honest.answer(lane, asked).await;
                let key = <RaiseRequest as farthing_protocol::api::Call>::decode_reply(&reply);
                if let Ok(Ok(reply)) = key
                    && let Some(key) = reply.key
                {
                    let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.first.get_or_insert((voucher, key));
                }
            }
            Ok(EscrowRequest::Close(_) | EscrowRequest::Outcome(_)) => {
                if let Some(outcome) = self.commits() {
                    return encode_reply(&Ok(outcome));
                }
            }
            _ => {}
        }
        honest.answer(lane, request).await
    }
}

/// The price of one tick of the simulation's stream.
const TICK_PRICE: u64 = 100;

/// The price of so many ticks of it.
pub fn price(ticks: u32) -> Amount {
    Amount(TICK_PRICE * u64::from(ticks))
}
