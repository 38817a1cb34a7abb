//! A bank in memory that mints coins, holds them, and applies decisions; and the network that leads to it.

use async_trait::async_trait;
use farthing_coin::{
    Blinders, BootId, Calendar, ClientRandomness, Coin, DenominationSecret, EpochKeys, KeyBook, KeyList,
    MasterSecret, Nonces, PublicKey, SecretKey, Signed, blind, recover,
};
use farthing_node::card::{Card, RoleName};
use farthing_node::fingerprint::Fingerprint;
use farthing_node::network::{Channel, Lane, Network, NetworkError, Service};
use farthing_protocol::{
    api::{AskBank, BankRequest, encode_reply},
    decision::SignedDecision,
    documents::{BankHold, PurchaseId, Settled, SettledAs},
    history::{JournalHead, OwnJournal, WithHead, verify_witness_request},
    hold::verify_bank_hold,
    ids::{JournalRun, RecordHash},
    money::Amount,
    refund::Refunded,
    refusal::{PurchaseFault, Refusal},
    settle::{Answers, SettleRequest, VerifiedDecision, verify_settle},
};
use farthing_store::entropy::{Entropy, SeededEntropy};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const EPOCH_MS: u64 = 30 * 24 * 3_600_000;
pub const EPOCH: u32 = 100;
/// In the middle of the epoch.
pub const START_MS: u64 = EPOCH_MS * EPOCH as u64 + EPOCH_MS / 2;
pub const VALUES: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
const MASTER: [u8; 32] = [7; 32];

pub fn secret_key(seed: u64) -> SecretKey {
    let entropy: &dyn Entropy = &SeededEntropy::new(seed);
    SecretKey::generate(&mut entropy.rng())
}

pub fn card(role: RoleName, name: &str, key: &PublicKey) -> Card {
    Card {
        role,
        name: name.into(),
        address: "127.0.0.1:7001".parse().unwrap(),
        fingerprint: Fingerprint([7; 32]),
        identity: *key,
        fields: Default::default(),
    }
}

/// Servers by identity. A server that is not in the map is unreachable.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<BTreeMap<PublicKey, Arc<dyn Service>>>>);

impl Wire {
    pub fn attach(&self, key: PublicKey, service: Arc<dyn Service>) {
        self.0.lock().unwrap().insert(key, service);
    }

    pub fn detach(&self, key: &PublicKey) {
        self.0.lock().unwrap().remove(key);
    }
}

struct End(Wire, Card, Lane);

#[async_trait]
impl Network for Wire {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        Ok(Arc::new(End(self.clone(), card.clone(), lane)))
    }
}

impl End {
    async fn reply(&self, request: Vec<u8>) -> Result<Vec<u8>, NetworkError> {
        let service = self.0.0.lock().unwrap().get(&self.1.identity).cloned();
        match service {
            Some(service) => Ok(service.call(self.2, request).await),
            None => Err(NetworkError::Unreachable {
                peer: self.1.title(),
                reason: "it is down".into(),
            }),
        }
    }
}

#[async_trait]
impl Channel for End {
    async fn call_into(
        &self,
        request: Vec<u8>,
        _: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        *reply = self.reply(request).await?;
        Ok(())
    }
}

/// How the bank behaves.
#[derive(Clone, Default)]
pub enum Mood {
    #[default]
    Honest,
    /// Refuses holds and settlements with this refusal.
    Refusing(Refusal),
    /// Signs holds and acknowledgements for another purchase.
    Lying,
    /// Refuses to settle this purchase, and settles all others.
    Denying(PurchaseId),
}

pub struct TestBank {
    pub identity: SecretKey,
    pub book: KeyBook,
    entropy: SeededEntropy,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mood: Mood,
    held: Vec<PurchaseId>,
    settled: Vec<PurchaseId>,
    requests: Vec<usize>,
    reserve: Option<PublicKey>,
    refunds: Vec<Amount>,
    remembered: Option<Signed<JournalHead>>,
    /// The list of keys, if it has grown.
    longer: Option<KeyBook>,
}

/// The bank's list with the epochs from [`EPOCH`] on.
fn book_up_to(last: u32, identity: &SecretKey) -> KeyBook {
    let key = |value: &u64, epoch| {
        DenominationSecret::derive(&MasterSecret::from_bytes(MASTER), *value, epoch).public()
    };
    let list = KeyList {
        bank: identity.public(),
        currency: "FTH".into(),
        calendar: Calendar {
            epoch_ms: EPOCH_MS,
            spend_epochs: 2,
            redeem_epochs: 1,
        },
        values: VALUES.to_vec(),
        epochs: (EPOCH..=last)
            .map(|epoch| EpochKeys {
                epoch,
                keys: VALUES.iter().map(|value| key(value, epoch)).collect(),
            })
            .collect(),
    };
    KeyBook::new(Signed::sign(list, identity), &identity.public()).unwrap()
}

fn hash_of(records: u64) -> RecordHash {
    RecordHash([records as u8; 32])
}

impl TestBank {
    pub fn new(seed: u64) -> Arc<TestBank> {
        let identity = secret_key(seed);
        let book = book_up_to(EPOCH, &identity);
        Arc::new(TestBank {
            identity,
            book,
            entropy: SeededEntropy::new(seed + 1000),
            state: Mutex::default(),
        })
    }

    pub fn key(&self) -> PublicKey {
        self.identity.public()
    }

    /// Shows a list with epochs up to this one.
    pub fn add_epochs(&self, last: u32) {
        self.state.lock().unwrap().longer = Some(book_up_to(last, &self.identity));
    }

    pub fn set_mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// The purchases that the bank held coins for, in order.
    pub fn held(&self) -> Vec<PurchaseId> {
        self.state.lock().unwrap().held.clone()
    }

    /// The purchases of the decisions that the bank received, in order and with repetitions.
    pub fn settled(&self) -> Vec<PurchaseId> {
        self.state.lock().unwrap().settled.clone()
    }

    /// The number of decisions in each settle request that the bank received.
    pub fn brought(&self) -> Vec<usize> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Sets the purchase key of the purchase that is refunded.
    pub fn refund_to(&self, reserve: PublicKey) {
        self.state.lock().unwrap().reserve = Some(reserve);
    }

    /// The totals that the bank was asked to refund, in order and with repetitions.
    pub fn refunds(&self) -> Vec<Amount> {
        self.state.lock().unwrap().refunds.clone()
    }

    /// Mints a coin, and returns it with its key.
    pub fn mint(&self, value: u64) -> (Coin, SecretKey) {
        self.mint_in(EPOCH, value)
    }

    /// Mints a coin of this epoch.
    pub fn mint_in(&self, epoch: u32, value: u64) -> (Coin, SecretKey) {
        let entropy: &dyn Entropy = &self.entropy;
        let rng = &mut entropy.rng();
        let secret = DenominationSecret::derive(&MasterSecret::from_bytes(MASTER), value, epoch);
        let book = book_up_to(epoch, &self.identity);
        let denomination = book.denomination(value, epoch).unwrap();
        let (nonces, commitment) =
            Nonces::generate(rng, &BootId([1; 32]), b"session", &ClientRandomness([2; 32]));
        let key = SecretKey::generate(rng);
        let blinders = Blinders::generate(rng);
        let challenge = blind(denomination, &key.public(), &commitment, &blinders).unwrap();
        let response = nonces.respond(&secret, &challenge).unwrap();
        let coin = recover(denomination, &key.public(), &challenge, &response, |_, _| {
            blinders
        });
        (coin.unwrap(), key)
    }

    /// Sets the head of the escrow's journal that the bank remembers.
    pub fn remember(&self, head: Option<Signed<JournalHead>>) {
        self.state.lock().unwrap().remembered = head;
    }

    /// The bank's journal has one record for each hold and each settlement.
    fn head(&self, state: &State) -> Signed<JournalHead> {
        let records = state.held.len() + state.settled.len();
        let head = JournalHead {
            node: self.key(),
            run: JournalRun([1; 32]),
            records: records as u64,
            hash: hash_of(records as u64),
        };
        Signed::sign(head, &self.identity)
    }

    fn with_head<T>(&self, state: &State, body: T) -> WithHead<T> {
        WithHead {
            body,
            head: Some(self.head(state)),
        }
    }

    fn settle(&self, state: &mut State, request: SettleRequest) -> Result<Answers, Refusal> {
        let entropy: &dyn Entropy = &self.entropy;
        let decisions = verify_settle(request, &self.key(), |_| Ok(None), &mut entropy.rng())?;
        state.requests.push(decisions.len());
        let settle = |decision: Result<VerifiedDecision, Refusal>| {
            let decision = decision?;
            let purchase = decision.row_key().0;
            match state.mood {
                Mood::Denying(denied) if denied == purchase => Err(PurchaseFault::Unknown(purchase).into()),
                _ => Ok(self.obey(state, &decision)),
            }
        };
        Ok(decisions.into_iter().map(settle).collect())
    }

    fn obey(&self, state: &mut State, decision: &VerifiedDecision) -> Signed<Settled> {
        let (purchase, escrow) = decision.row_key();
        state.settled.push(purchase);
        let mut settled = Settled::aborted(purchase, escrow);
        let commit = match decision.decision() {
            SignedDecision::Commit(commit) => Some(commit),
            SignedDecision::Stream(stream) => Some(&stream.commit),
            SignedDecision::Abort(_) => None,
        };
        if let Some(Signed { body, .. }) = commit {
            let (account, amount) = (body.account, body.amount);
            settled.outcome = SettledAs::Committed { account, amount };
        }
        if matches!(state.mood, Mood::Lying) {
            settled.purchase = PurchaseId([0; 32]);
        }
        Signed::sign(settled, &self.identity)
    }

    fn answer(&self, request: BankRequest) -> Result<Vec<u8>, Refusal> {
        let mut state = self.state.lock().unwrap();
        match request {
            BankRequest::Keys(_) => {
                let book = state.longer.as_ref().unwrap_or(&self.book);
                return Ok(encode_reply(&Ok(book.signed().clone())));
            }
            BankRequest::Witness(AskBank(asked)) => {
                let asked = verify_witness_request(asked, &self.key())?;
                let own = OwnJournal {
                    head: self.head(&state),
                    hash_there: asked.claim().map(|claim| hash_of(claim.body.records)),
                };
                let testimony = asked.respond(state.remembered.clone(), Some(own));
                return Ok(encode_reply(&Ok(Signed::sign(testimony, &self.identity))));
            }
            _ => {}
        }
        if let Mood::Refusing(refusal) = &state.mood {
            return Err(refusal.clone());
        }
        let lying = matches!(state.mood, Mood::Lying);
        match request {
            BankRequest::Hold(request) => {
                let entropy: &dyn Entropy = &self.entropy;
                let hold = verify_bank_hold(request.body, &self.key(), &self.book, &mut entropy.rng())?;
                state.held.push(hold.purchase());
                let hold = BankHold {
                    purchase: if lying {
                        PurchaseId([0; 32])
                    } else {
                        hold.purchase()
                    },
                    escrow: hold.terms().escrow,
                    coins_digest: hold.terms().coins_digest,
                    total: hold.terms().price,
                };
                let hold = Signed::sign(hold, &self.identity);
                Ok(encode_reply(&Ok(self.with_head(&state, hold))))
            }
            BankRequest::Settle(request) => Ok(encode_reply(&Ok(self.settle(&mut state, request)?))),
            BankRequest::Push(request) => {
                let settled = self.settle(&mut state, request.body)?;
                Ok(encode_reply(&Ok(self.with_head(&state, settled))))
            }
            BankRequest::Refund(request) => {
                request.verify(&request.body.account).unwrap();
                let (reserve, request) = (state.reserve.unwrap(), request.body);
                state.refunds.push(request.total);
                let refunded = Refunded {
                    bank: self.key(),
                    purchase: request.purchase,
                    reserve,
                    total: if lying { Amount(0) } else { request.total },
                };
                Ok(encode_reply(&Ok(Signed::sign(refunded, &self.identity))))
            }
            other => panic!("nobody asks a bank here for {other:?}"),
        }
    }
}

#[async_trait]
impl Service for TestBank {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        assert_eq!(lane, Lane::Peer, "servers speak to each other on the peers' lane");
        let request = BankRequest::decode(&request).unwrap();
        self.answer(request)
            .unwrap_or_else(|refusal| encode_reply::<()>(&Err(refusal)))
    }
}
