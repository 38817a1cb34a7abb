//! Stories of a relay that breaks the protocol, and of what it sees when it keeps to it.

use crate::{
    customer::CustomerMachine,
    foundation::{ITEM, Population},
    front::{Cheat, Honest},
    money::spendable,
    network::Sent,
    party::Party,
    schedule::{FUNDS, WITHDRAWN},
    shopping::picture,
    world::World,
};
use async_trait::async_trait;
use farthing_client::wallet::Wallet;
use farthing_coin::Signed;
use farthing_node::network::Lane;
use farthing_protocol::{
    api::{Call, ForwardRequest, RelayKeyRequest, RelayRequest, TargetRequest, encode_reply},
    documents::PurchaseId,
    evidence::{Culprit, judge},
    ids::ObliviousKey,
    oblivious::{EncryptionKey, MS_PER_DAY, SealedReply},
    refusal::{Later, PurchaseFault, Refusal, RelayFault},
};
use farthing_store::clock::Clock;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How a relay treats a request that it should forward.
#[derive(Clone, Debug)]
enum How {
    /// It refuses it.
    Refuses(Refusal),
    /// It forwards it, and then refuses it.
    ForwardsAndRefuses(Refusal),
    /// It says these bytes.
    Says(Vec<u8>),
    /// It cuts the reply off after so many thousandths.
    Truncates(usize),
    /// It brings the reply to the request before.
    Swaps,
    /// It sends every request to this party.
    Redirects(Party),
    /// It sends every request twice, and brings the second reply.
    Replays,
}

/// A hostile relay. The first requests are treated as they should be.
struct Hostile {
    how: How,
    honest_first: usize,
    targets: BTreeMap<Party, farthing_coin::PublicKey>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Vec<Vec<u8>>,
    last_reply: Vec<u8>,
}

#[async_trait]
impl Cheat for Hostile {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let Ok(RelayRequest::Forward(forward)) = RelayRequest::decode(&request) else {
            return honest.answer(lane, request).await;
        };
        let number = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.requests.push(request.clone());
            seen.requests.len()
        };
        if number <= self.honest_first {
            return honest.answer(lane, request).await;
        }
        match &self.how {
            How::Refuses(refusal) => encode_reply::<SealedReply>(&Err(refusal.clone())),
            How::ForwardsAndRefuses(refusal) => {
                honest.answer(lane, request).await;
                encode_reply::<SealedReply>(&Err(refusal.clone()))
            }
            How::Says(bytes) => bytes.clone(),
            How::Truncates(thousandths) => {
                let mut reply = honest.answer(lane, request).await;
                reply.truncate(reply.len() * thousandths / 1000);
                reply
            }
            How::Swaps => {
                let reply = honest.answer(lane, request).await;
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut seen.last_reply, reply)
            }
            How::Redirects(to) => {
                let target = self.targets[to];
                let forward = ForwardRequest { target, ..forward };
                honest.answer(lane, forward.encode().expect("a request")).await
            }
            How::Replays => {
                honest.answer(lane, request.clone()).await;
                honest.answer(lane, request).await
            }
        }
    }
}

/// Everything that a relay can invent or do.
fn hostilities() -> Vec<How> {
    let purchase = PurchaseId([3; 32]);
    let refusals: [Refusal; 11] = [
        Later::Busy { retry_after_ms: 1 }.into(),
        Later::NotYet.into(),
        Later::PeerSilent("bank".into()).into(),
        RelayFault::UnknownTarget.into(),
        RelayFault::OldKey.into(),
        RelayFault::DoesNotOpen.into(),
        PurchaseFault::Unknown(purchase).into(),
        PurchaseFault::Aborted(purchase).into(),
        PurchaseFault::Committed(purchase).into(),
        PurchaseFault::DeadlinePassed(purchase).into(),
        PurchaseFault::Sold.into(),
    ];
    let refused = refusals.iter().cloned().map(How::Refuses);
    let forwarded = refusals.iter().cloned().map(How::ForwardsAndRefuses);
    let said = [
        Vec::new(),
        vec![0],
        vec![0xFF; 100],
        encode_reply(&Ok(())),
        encode_reply(&Ok(SealedReply(vec![]))),
        encode_reply(&Ok(SealedReply(vec![7; 1_100]))),
    ];
    let cuts = [0, 1, 30, 500, 985, 999];
    let redirects = [Party::Bank, Party::Escrow(0), Party::Merchant(0)];
    refused
        .chain(forwarded)
        .chain(said.map(How::Says))
        .chain(cuts.map(How::Truncates))
        .chain(redirects.map(How::Redirects))
        .chain([How::Swaps, How::Replays])
        .collect()
}

async fn shop(seed: u64) -> (Arc<World>, CustomerMachine) {
    let population = Population {
        goods_bytes: 2_000,
        ..Population::default()
    };
    let world = World::of(seed, population.relayed()).await;
    let customer = world.customer("alice", FUNDS).await;
    let wallet = customer.wallet();
    let withdrawn = wallet.withdraw(&world.parties().bank, WITHDRAWN).await;
    withdrawn.expect("a withdrawal");
    wallet.close().expect("the wallet closes");
    (world, customer)
}

fn ends(wallet: &Wallet) -> Vec<&'static str> {
    let rows = wallet.purchases().expect("the purchases").into_iter();
    rows.map(|(_, row)| row.purchase.status()).collect()
}

/// Whatever the relay says, from whichever request on, the wallet takes it for silence.
pub async fn nothing_that_a_hostile_relay_says_is_final() {
    let (morning, customer) = shop(31).await;
    for how in hostilities() {
        for honest_first in 0..7 {
            let world = morning.fork().await;
            let customer = customer.fork(&world, "alice");
            let _told = world.network.trace.told_on_panic();
            let wallet = customer.wallet();
            world.network.schedule([]);
            let targets = world.servers().into_iter();
            let hostile = world.cheat(
                Party::Relay,
                Hostile {
                    how: how.clone(),
                    honest_first,
                    targets: targets.map(|party| (party, world.card(party).identity)).collect(),
                    seen: Mutex::default(),
                },
            );
            let bought = wallet.buy(&world.parties(), ITEM, &picture(&world, 1)).await;
            let is_silent = bought.as_ref().err().is_none_or(|error| error.is_silence());
            assert!(is_silent, "{how:?} after {honest_first}: {bought:?}");
            if !matches!(how, How::Replays) {
                let ends = ends(&wallet);
                let is_open = |end: &&str| !matches!(*end, "aborted" | "dropped" | "recovered");
                assert!(ends.iter().all(is_open), "{how:?} after {honest_first}: {ends:?}");
            }
            world.honest(Party::Relay);
            tokio::time::sleep(Duration::from_secs(10)).await;
            let resumed = wallet.resume().await.expect("the wallet resumes");
            assert!(
                resumed.open.is_empty(),
                "{how:?} after {honest_first}: {:?}",
                resumed.open
            );
            // A day later, everything that it has seen once more.
            world.clock.jump_to(world.clock.now_ms() + MS_PER_DAY);
            let before = spendable(&wallet);
            if honest_first == 6 {
                let channel = world
                    .wire()
                    .connect(world.card(Party::Relay), Lane::Anonymous)
                    .await;
                let channel = channel.expect("a connection");
                let requests = {
                    let seen = hostile.seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.requests.clone()
                };
                for request in requests.into_iter().rev() {
                    let brought = channel.call(request, Duration::from_secs(60)).await;
                    brought.expect("a reply");
                }
            }
            assert_eq!(spendable(&wallet), before);
            world.check(&[&wallet]).await;
        }
    }
}

/// A relay that tells a second key of the same day for a server, signed by the server.
pub struct SecondKey(farthing_coin::SecretKey);

impl SecondKey {
    /// For `server`.
    #[must_use]
    pub fn of(world: &World, server: Party) -> Self {
        Self(world.foundation.key(server))
    }
}

#[async_trait]
impl Cheat for SecondKey {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let asked = RelayRequest::decode(&request);
        let reply = honest.answer(lane, request).await;
        match (asked, RelayKeyRequest::decode_reply(&reply)) {
            (Ok(RelayRequest::Key(asked)), Ok(Ok(told))) if asked.target == self.0.public() => {
                let mut key = [0; 32];
                key[0] = 9;
                let key = ObliviousKey(key);
                encode_reply(&Ok(Signed::sign(EncryptionKey { key, ..told.body }, &self.0)))
            }
            _ => reply,
        }
    }
}

/// The key that a relay tells for a server, or `None` for the honest one.
type TellKey = dyn Fn(&farthing_coin::PublicKey) -> Option<Signed<EncryptionKey>> + Send + Sync;

/// A relay that tells keys of its own choice.
struct KeyTeller(Box<TellKey>);

#[async_trait]
impl Cheat for KeyTeller {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        if let Ok(RelayRequest::Key(RelayKeyRequest { target })) = RelayRequest::decode(&request)
            && let Some(key) = (self.0)(&target)
        {
            return encode_reply(&Ok(key));
        }
        honest.answer(lane, request).await
    }
}

/// A key of `party` for the day of its first key, signed by `signer`.
fn other_key(world: &World, party: Party, signer: Party) -> Signed<EncryptionKey> {
    // A target draws its first key for the day after its first start.
    let day = u32::try_from(world.clock.now_ms() / MS_PER_DAY + 1).expect("a day");
    let mut key = [0; 32];
    key[0] = 9;
    let target = world.card(party).identity;
    let body = EncryptionKey {
        target,
        day,
        key: ObliviousKey(key),
    };
    Signed::sign(body, &world.foundation.key(signer))
}

/// The relay tells a key of its own. Nothing is encrypted to it.
pub async fn a_key_that_the_server_has_not_signed_is_not_used() {
    let (world, customer) = shop(32).await;
    let forged = other_key(&world, Party::Merchant(0), Party::Relay);
    let merchant = world.card(Party::Merchant(0)).identity;
    world.network.schedule([]);
    let told = move |target: &farthing_coin::PublicKey| (*target == merchant).then(|| forged.clone());
    world.cheat(Party::Relay, KeyTeller(Box::new(told)));
    let wallet = customer.wallet();
    let bought = wallet.buy(&world.parties(), ITEM, &picture(&world, 1)).await;
    assert!(
        bought.as_ref().is_err_and(|error| error.is_silence()),
        "{bought:?}"
    );
    let sent = world.network.sent();
    assert!(
        !sent
            .iter()
            .any(|it| it.to == Party::Merchant(0) && it.lane == Lane::Relayed)
    );
    let forwards = sent.iter().filter(|it| it.to == Party::Relay);
    let asks_merchant = |it: &Sent| {
        matches!(
            RelayRequest::decode(&it.request),
            Ok(RelayRequest::Forward(forward)) if forward.target == merchant
        )
    };
    assert_eq!(
        forwards.filter(|it| asks_merchant(it)).count(),
        0,
        "a request was encrypted to it"
    );
    assert!(wallet.two_keys().expect("the rows").is_empty());
    world.honest(Party::Relay);
    let bought = wallet.buy(&world.parties(), ITEM, &picture(&world, 2)).await;
    bought.expect("a purchase");
    world.check(&[&wallet]).await;
}

/// The server has signed two keys of one day, and the relay tells one after the other.
pub async fn two_keys_of_one_day_stop_the_wallet_and_convict_the_server() {
    let (world, customer) = shop(33).await;
    let wallet = customer.wallet();
    let bought = wallet.buy(&world.parties(), ITEM, &picture(&world, 1)).await;
    bought.expect("a purchase");
    drop(wallet);
    let merchant = world.card(Party::Merchant(0)).identity;
    world.cheat(Party::Relay, SecondKey::of(&world, Party::Merchant(0)));
    let wallet = customer.wallet_after(crate::machine::Death::Killed);
    let bought = wallet.buy(&world.parties(), ITEM, &picture(&world, 2)).await;
    let error = bought.expect_err("nothing is sent");
    assert!(error.to_string().contains("two encryption keys"), "{error}");
    let kept = wallet.two_keys().expect("the rows");
    assert_eq!(kept.len(), 1);
    assert!(kept[0].0 == merchant && kept[0].1.convict(&merchant));
    let judged = judge(&wallet.two_keys_papers().expect("the rows"), 0);
    let convicted: Vec<_> = judged.iter().map(|it| it.culprit).collect();
    assert_eq!(convicted, [Culprit::Server(merchant)]);
    world.honest(Party::Relay);
    world.check(&[&wallet]).await;
}

/// A target that tells a new key at each question, and an honest relay before it.
struct ManyKeys {
    identity: farthing_coin::SecretKey,
    day: u32,
    told: Mutex<u8>,
}

#[async_trait]
impl Cheat for ManyKeys {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        if lane != Lane::Relayed || !matches!(TargetRequest::decode(&request), Ok(TargetRequest::Key(_))) {
            return honest.answer(lane, request).await;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told += 1;
        let mut key = [0; 32];
        key[0] = 8 + *told;
        let body = EncryptionKey {
            target: self.identity.public(),
            day: self.day,
            key: ObliviousKey(key),
        };
        encode_reply(&Ok(Signed::sign(body, &self.identity)))
    }
}

/// A server tells the relay a new key at each question. Wallets get the first.
pub async fn an_honest_relay_tells_no_two_keys_of_one_day() {
    let (world, _) = shop(34).await;
    let identity = world.foundation.key(Party::Merchant(0));
    let target = identity.public();
    world.cheat(
        Party::Merchant(0),
        ManyKeys {
            identity,
            day: u32::try_from(world.clock.now_ms() / MS_PER_DAY).expect("a day"),
            told: Mutex::default(),
        },
    );
    let mut keys = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let channel = world
            .wire()
            .connect(world.card(Party::Relay), Lane::Anonymous)
            .await;
        let question = RelayKeyRequest { target }.encode().expect("a question");
        let reply = channel
            .expect("a connection")
            .call(question, Duration::from_secs(60))
            .await;
        let told = RelayKeyRequest::decode_reply(&reply.expect("a reply")).expect("a reply");
        keys.extend(told.ok().map(|key| key.body.key.0));
        tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    }
    assert_eq!(
        keys.len(),
        1,
        "anonymity: the relay tells different keys to different wallets"
    );
}

/// A server loses its keys, and draws new ones.
pub async fn a_target_that_has_lost_its_keys_signs_no_second_one_for_a_day() {
    let (world, customer) = shop(35).await;
    for number in 0..3 {
        world.clock.jump_to(world.clock.now_ms() + 2 * MS_PER_DAY);
        // Once with the key of the day, and once more after it is lost.
        for half in 0..2 {
            let wallet = customer.wallet_after(crate::machine::Death::Killed);
            let prepared = wallet.balances();
            prepared.expect("balances");
            let output = picture(&world, format!("{number}-{half}"));
            let offer = wallet.begin_purchase(&world.parties(), ITEM, &output).await;
            offer.expect("an offer");
            assert!(wallet.two_keys().expect("the rows").is_empty());
            drop(wallet);
            world.machine(Party::Merchant(0)).keys.lose();
            for party in [Party::Merchant(0), Party::Relay] {
                world.restart(party, crate::machine::Death::Killed).await;
            }
        }
    }
}

/// What one relay process sees of a message: who, to whom, on which connection, and the lengths of ciphertexts.
fn seen_by_the_relay(sent: &[Sent]) -> Vec<String> {
    let is_seen = |it: &&Sent| it.to == Party::Relay || it.from == Party::Relay;
    let shown = |it: &Sent| {
        let asked = match (
            RelayRequest::decode(&it.request),
            TargetRequest::decode(&it.request),
        ) {
            (Ok(RelayRequest::Forward(forward)), _) if it.to == Party::Relay => {
                format!(
                    "{} {} {}",
                    forward.target,
                    forward.request.day,
                    forward.request.body.len()
                )
            }
            (_, Ok(TargetRequest::Forward(request))) if it.from == Party::Relay => {
                format!("{} {}", request.day, request.body.len())
            }
            _ => format!("{:?}", it.request),
        };
        let replies: Vec<String> = it
            .replies
            .iter()
            .map(|reply| match ForwardRequest::decode_reply(reply) {
                Ok(Ok(SealedReply(bytes))) => format!("{}", bytes.len()),
                _ => format!("{reply:?}"),
            })
            .collect();
        format!(
            "{} {} {:?} {}: {asked} {replies:?}",
            it.from, it.to, it.lane, it.connection
        )
    };
    sent.iter().filter(is_seen).map(shown).collect()
}

/// Two worlds with other coins and other purchases. All that reaches the relay is the same, except for ciphertexts.
pub async fn two_worlds_that_differ_in_what_is_asked_are_the_same_at_the_relay() {
    let world = async |name: &'static str| {
        let world = World::of(36, Population::default().relayed()).await;
        let customer = world.customer(name, FUNDS).await;
        let wallet = customer.wallet();
        world.network.schedule([]);
        let withdrawn = wallet.withdraw(&world.parties().bank, WITHDRAWN).await;
        withdrawn.expect("a withdrawal");
        let bought = wallet.buy(&world.parties(), ITEM, &picture(&world, 1)).await;
        bought.expect("a purchase");
        let opened = world.network.all_opened().into_iter().map(|it| it.request);
        (
            seen_by_the_relay(&world.network.sent()),
            opened.collect::<Vec<_>>(),
        )
    };
    let ((one, asked), (other, asked_there)) = (world("alice").await, world("bella").await);
    assert!(
        asked
            .iter()
            .zip(&asked_there)
            .filter(|(one, other)| one != other)
            .count()
            > 1
    );
    assert!(one.len() > 10);
    let differ = one.iter().zip(&other).find(|(one, other)| one != other);
    assert!(
        one == other,
        "anonymity: the relay can tell what is asked: {differ:?}"
    );
}
