//! A wallet's network, a relay and two servers in one process: what a relay carries, and what a hostile one achieves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use async_trait::async_trait;
use farthing_coin::{PublicKey, SecretKey, Signed};
use farthing_node::{
    card::{Card, RoleName},
    fingerprint::Fingerprint,
    network::{Acted, Channel, Lane, Network, NetworkError, Service},
    oblivious::{KeyPlace, ObliviousParts, ObliviousService},
    relayed::{KeyWitness, RelayedNetwork},
};
use farthing_protocol::{
    api::{ForwardRequest, RelayRequest, encode_reply},
    ids::{ObliviousKey, PurchaseId},
    oblivious::{EncryptionKey, MS_PER_DAY, SealedReply},
    refusal::{Later, PurchaseFault, Refusal, RelayFault},
    wire,
};
use farthing_relay::{Relay, RelayParts};
use farthing_store::{clock::Clock, entropy::SystemEntropy};
use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use zeroize::Zeroizing;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Noon of some day (ms since 1970).
const NOON_MS: u64 = 20_000 * MS_PER_DAY + MS_PER_DAY / 2;

/// Services by identity key. A channel is a direct call.
#[derive(Clone, Default)]
struct Wires(Arc<Mutex<BTreeMap<PublicKey, Arc<dyn Service>>>>);

#[async_trait]
impl Network for Wires {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        Ok(Arc::new(Wire(self.clone(), card.identity, lane)))
    }
}

/// A channel to whoever answers for the key at the time of a call.
struct Wire(Wires, PublicKey, Lane);

#[async_trait]
impl Channel for Wire {
    async fn call_into(
        &self,
        request: Vec<u8>,
        _: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        let service = self.0.0.lock().unwrap()[&self.1].clone();
        *reply = service.call(self.2, request).await;
        Ok(())
    }
}

/// A server that says its name, the lane and the request. It counts requests.
struct Echo(&'static str, AtomicU64);

#[async_trait]
impl Service for Echo {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let request = String::from_utf8(request).unwrap();
        format!("{} {lane:?} {request}", self.0).into_bytes()
    }
}

/// A clock that a test sets.
struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Keys in memory.
#[derive(Default)]
struct Kept(Mutex<Option<Vec<u8>>>);

impl KeyPlace for Kept {
    fn load(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        Ok(self.0.lock().unwrap().clone().map(Zeroizing::new))
    }

    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        *self.0.lock().unwrap() = Some(bytes.to_vec());
        Ok(())
    }

    fn name(&self) -> String {
        "memory".into()
    }
}

/// The keys that a wallet was told.
#[derive(Default)]
struct Told(Mutex<Vec<Signed<EncryptionKey>>>);

#[async_trait]
impl KeyWitness for Told {
    async fn remember(&self, key: &Signed<EncryptionKey>) -> Result<bool, String> {
        let mut told = self.0.lock().unwrap();
        let differs = |other: &Signed<EncryptionKey>| {
            other.body.target == key.body.target
                && other.body.day == key.body.day
                && other.body.key != key.body.key
        };
        let agrees = !told.iter().any(differs);
        told.push(key.clone());
        Ok(agrees)
    }
}

/// What a hostile relay does with a request and the honest reply to it.
type Cheat = Box<dyn Fn(&RelayRequest, Vec<u8>) -> Vec<u8> + Send + Sync>;

/// A relay that cheats.
struct Hostile(Arc<Relay>, Cheat);

#[async_trait]
impl Service for Hostile {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let decoded = RelayRequest::decode(&request).unwrap();
        let honest = self.0.call(lane, request).await;
        (self.1)(&decoded, honest)
    }
}

fn card(role: RoleName, identity: PublicKey) -> Card {
    Card {
        role,
        name: role.as_str().into(),
        address: "127.0.0.1:1".parse().unwrap(),
        fingerprint: Fingerprint([0; 32]),
        identity,
        fields: Default::default(),
    }
}

/// A bank and a merchant behind a relay.
struct Scene {
    wires: Wires,
    clock: Arc<SetClock>,
    bank: (SecretKey, Card, Arc<Echo>),
    merchant: (SecretKey, Card, Arc<Echo>),
    bank_keys: Arc<Kept>,
    relay: (Card, Arc<Relay>),
}

impl Scene {
    fn new() -> Scene {
        let wires = Wires::default();
        let clock = Arc::new(SetClock(NOON_MS.into()));
        let key = |byte| SecretKey::from_bytes(&[byte; 32]).unwrap();
        let party = |role, name, secret: SecretKey| {
            let card = card(role, secret.public());
            (secret, card, Arc::new(Echo(name, AtomicU64::new(0))))
        };
        let bank = party(RoleName::Bank, "bank", key(1));
        let merchant = party(RoleName::Merchant, "merchant", key(2));
        let relay = Arc::new(Relay::new(RelayParts {
            network: Arc::new(wires.clone()),
            cards: vec![bank.1.clone(), merchant.1.clone()],
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
        }));
        let relay_card = card(RoleName::Relay, key(3).public());
        let scene = Scene {
            wires,
            clock,
            bank,
            merchant,
            bank_keys: Arc::default(),
            relay: (relay_card, relay),
        };
        scene.start(&scene.bank, scene.bank_keys.clone());
        scene.start(&scene.merchant, Arc::default());
        scene.relay_is(scene.relay.1.clone());
        scene
    }

    fn start(&self, (secret, card, echo): &(SecretKey, Card, Arc<Echo>), place: Arc<Kept>) {
        let parts = ObliviousParts {
            is_known_server: Arc::new(|_| true),
            identity: SecretKey::from_bytes(&secret.to_bytes()).unwrap(),
            place,
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy),
        };
        let service = ObliviousService::new(echo.clone(), parts).unwrap();
        self.attach(card, Arc::new(service));
    }

    fn attach(&self, card: &Card, service: Arc<dyn Service>) {
        self.wires.0.lock().unwrap().insert(card.identity, service);
    }

    fn relay_is(&self, service: Arc<dyn Service>) {
        self.attach(&self.relay.0, service);
    }

    fn cheats(&self, cheat: impl Fn(&RelayRequest, Vec<u8>) -> Vec<u8> + Send + Sync + 'static) {
        self.relay_is(Arc::new(Hostile(self.relay.1.clone(), Box::new(cheat))));
    }

    fn wallet(&self) -> RelayedNetwork {
        let direct = Arc::new(self.wires.clone());
        RelayedNetwork::new(
            direct,
            self.relay.0.clone(),
            Arc::<Told>::default(),
            self.clock.clone(),
            Arc::new(SystemEntropy),
        )
    }

    async fn ask(&self, wallet: &RelayedNetwork, card: &Card, what: &str) -> Result<String, NetworkError> {
        let channel = wallet.connect(card, Lane::Anonymous).await?;
        let reply = channel.call(what.as_bytes().to_vec(), TIMEOUT).await?;
        Ok(String::from_utf8(reply).unwrap())
    }
}

/// Asserts that the answer is silence: not final, and nothing is known of the server.
fn must_be_silence(outcome: Result<String, NetworkError>) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, NetworkError::NotBrought { .. }), "{error}");
    assert!(!error.is_final() && error.acted() == Acted::Unknown, "{error}");
}

#[tokio::test]
async fn a_request_reaches_its_server_and_looks_anonymous_there() {
    let scene = Scene::new();
    let wallet = scene.wallet();
    let said = scene.ask(&wallet, &scene.bank.1, "one").await.unwrap();
    assert_eq!(said, "bank Anonymous one");
    let said = scene.ask(&wallet, &scene.merchant.1, "two").await.unwrap();
    assert_eq!(said, "merchant Anonymous two");
    // An identified request goes to the bank itself.
    let direct = wallet.connect(&scene.bank.1, Lane::Identified).await.unwrap();
    let reply = direct.call(b"three".to_vec(), TIMEOUT).await.unwrap();
    assert_eq!(reply, b"bank Identified three");
}

#[tokio::test]
async fn keys_change_at_midnight_and_survive_a_restart() {
    let scene = Scene::new();
    let wallet = scene.wallet();
    scene.ask(&wallet, &scene.bank.1, "one").await.unwrap();
    for day in 1..5 {
        scene.clock.0.store(NOON_MS + day * MS_PER_DAY, Ordering::SeqCst);
        scene.ask(&wallet, &scene.bank.1, "next").await.unwrap();
        scene.start(&scene.bank, scene.bank_keys.clone());
        scene.ask(&wallet, &scene.bank.1, "restarted").await.unwrap();
    }
    // Days later, the wallet's key is gone.
    scene.clock.0.store(NOON_MS + 20 * MS_PER_DAY, Ordering::SeqCst);
    scene.ask(&scene.wallet(), &scene.bank.1, "fresh").await.unwrap();
    scene.ask(&wallet, &scene.bank.1, "late").await.unwrap();
    // The file is lost: the next key is one of tomorrow, so that there are never two of one day.
    *scene.bank_keys.0.lock().unwrap() = None;
    scene.start(&scene.bank, scene.bank_keys.clone());
    scene.clock.0.fetch_add(61_000, Ordering::SeqCst);
    let said = scene.ask(&wallet, &scene.bank.1, "after a loss").await;
    assert_eq!(said.unwrap(), "bank Anonymous after a loss");
}

#[tokio::test]
async fn what_a_relay_says_itself_is_silence() {
    let scene = Scene::new();
    let wallet = scene.wallet();
    scene.ask(&wallet, &scene.bank.1, "one").await.unwrap();
    let refusals: Vec<Refusal> = vec![
        PurchaseFault::Aborted(PurchaseId([1; 32])).into(),
        RelayFault::UnknownTarget.into(),
        RelayFault::OldKey.into(),
        RelayFault::DoesNotOpen.into(),
        Later::Unavailable("the bank is gone for ever".into()).into(),
        Later::Busy { retry_after_ms: 7 }.into(),
    ];
    for refusal in refusals {
        scene.cheats(move |request, honest| match request {
            RelayRequest::Forward(_) => encode_reply::<SealedReply>(&Err(refusal.clone())),
            _ => honest,
        });
        must_be_silence(scene.ask(&wallet, &scene.bank.1, "two").await);
    }
    let garbage: [&[u8]; 4] = [b"", b"\0\0\0\0", &[7; 100], b"bank Anonymous two"];
    for garbage in garbage {
        let plain = encode_reply(&Ok(SealedReply(garbage.to_vec())));
        for reply in [garbage.to_vec(), plain] {
            scene.cheats(move |request, honest| match request {
                RelayRequest::Forward(_) => reply.clone(),
                _ => honest,
            });
            must_be_silence(scene.ask(&wallet, &scene.bank.1, "two").await);
        }
    }
    scene.relay_is(scene.relay.1.clone());
    scene.ask(&wallet, &scene.bank.1, "two").await.unwrap();
}

#[tokio::test]
async fn replies_that_are_cut_or_belong_to_another_request_are_silence() {
    let scene = Scene::new();
    let wallet = scene.wallet();
    scene.ask(&wallet, &scene.bank.1, "one").await.unwrap();
    for cut in [0, 4, 11, 12, 40, 500, 1000] {
        scene.cheats(move |request, honest| match request {
            RelayRequest::Forward(_) => honest[..cut].to_vec(),
            _ => honest,
        });
        must_be_silence(scene.ask(&wallet, &scene.bank.1, "two").await);
    }
    // The reply to the request before.
    let earlier = Mutex::new(Vec::new());
    scene.cheats(move |request, honest| match request {
        RelayRequest::Forward(_) => std::mem::replace(&mut *earlier.lock().unwrap(), honest),
        _ => honest,
    });
    must_be_silence(scene.ask(&wallet, &scene.bank.1, "three").await);
    must_be_silence(scene.ask(&wallet, &scene.bank.1, "four").await);
}

/// Forwards each request to another server, or twice.
struct Misdirects {
    relay: Arc<Relay>,
    to: Option<PublicKey>,
}

#[async_trait]
impl Service for Misdirects {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let RelayRequest::Forward(mut forward) = RelayRequest::decode(&request).unwrap() else {
            return self.relay.call(lane, request).await;
        };
        if self.to.is_none() {
            let _first = self.relay.call(lane, request.clone()).await;
        }
        forward.target = self.to.unwrap_or(forward.target);
        let forward: RelayRequest = ForwardRequest { ..forward }.into();
        self.relay.call(lane, wire::encode(&forward).unwrap()).await
    }
}

#[tokio::test]
async fn a_request_opens_at_no_other_server_and_a_repeated_one_is_answered_again() {
    let scene = Scene::new();
    let wallet = scene.wallet();
    for card in [&scene.bank.1, &scene.merchant.1] {
        scene.ask(&wallet, card, "one").await.unwrap();
    }
    let relay = scene.relay.1.clone();
    let to = Some(scene.merchant.1.identity);
    scene.relay_is(Arc::new(Misdirects {
        relay: relay.clone(),
        to,
    }));
    let before = scene.merchant.2.1.load(Ordering::SeqCst);
    must_be_silence(scene.ask(&wallet, &scene.bank.1, "two").await);
    assert_eq!(
        scene.merchant.2.1.load(Ordering::SeqCst),
        before,
        "nothing was opened"
    );
    scene.relay_is(Arc::new(Misdirects { relay, to: None }));
    let before = scene.bank.2.1.load(Ordering::SeqCst);
    scene.ask(&wallet, &scene.bank.1, "three").await.unwrap();
    assert_eq!(scene.bank.2.1.load(Ordering::SeqCst), before + 2);
}

#[tokio::test]
async fn keys_of_a_relays_own_making_are_not_used_and_two_of_one_day_are_noticed() {
    let scene = Scene::new();
    let own = SecretKey::from_bytes(&[9; 32]).unwrap();
    let told = |signer: &SecretKey, target: PublicKey, day: u32| {
        let key = ObliviousKey([9; 32]);
        encode_reply(&Ok(Signed::sign(EncryptionKey { target, day, key }, signer)))
    };
    let bank = scene.bank.1.identity;
    let forged = [
        told(&own, bank, 20_000),
        told(&own, own.public(), 20_000),
        told(&scene.merchant.0, scene.merchant.1.identity, 20_000),
    ];
    for forged in forged {
        scene.cheats(move |request, honest| match request {
            RelayRequest::Key(_) => forged.clone(),
            _ => honest,
        });
        must_be_silence(scene.ask(&scene.wallet(), &scene.bank.1, "one").await);
    }
    // The bank itself signs a second key for the day of its first.
    scene.relay_is(scene.relay.1.clone());
    let wallet = scene.wallet();
    scene.ask(&wallet, &scene.bank.1, "one").await.unwrap();
    let day = u32::try_from(NOON_MS / MS_PER_DAY).unwrap() + 1;
    let second = told(&scene.bank.0, bank, day);
    scene.cheats(move |request, _| match request {
        RelayRequest::Key(_) => second.clone(),
        _ => encode_reply::<SealedReply>(&Err(RelayFault::OldKey.into())),
    });
    let error = scene.ask(&wallet, &scene.bank.1, "two").await.unwrap_err();
    assert!(matches!(error, NetworkError::TwoKeys { .. }), "{error}");
    assert!(error.is_final());
}

/// The bank signs a point of a small order for its key: what is encrypted to it does not depend on the bank.
#[tokio::test]
async fn a_signed_key_to_which_nothing_can_be_encrypted_is_a_fault_of_its_server() {
    let scene = Scene::new();
    let wallet = scene.wallet();
    let body = EncryptionKey {
        target: scene.bank.1.identity,
        day: u32::try_from(NOON_MS / MS_PER_DAY).unwrap(),
        key: ObliviousKey([0; 32]),
    };
    let bad = encode_reply(&Ok(Signed::sign(body, &scene.bank.0)));
    scene.cheats(move |request, honest| match request {
        RelayRequest::Key(_) => bad.clone(),
        RelayRequest::Forward(_) => honest,
    });
    let error = scene.ask(&wallet, &scene.bank.1, "one").await.unwrap_err();
    assert!(matches!(error, NetworkError::BadKey { .. }), "{error}");
    assert!(error.is_final() && error.acted() == Acted::No);
    assert_eq!(scene.bank.2.1.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_relay_forwards_only_to_the_servers_that_it_has_pinned() {
    let scene = Scene::new();
    let stranger = card(RoleName::Bank, SecretKey::from_bytes(&[8; 32]).unwrap().public());
    must_be_silence(scene.ask(&scene.wallet(), &stranger, "one").await);
    scene.relay.1.peers().set_cards(vec![scene.merchant.1.clone()]);
    must_be_silence(scene.ask(&scene.wallet(), &scene.bank.1, "one").await);
    scene
        .ask(&scene.wallet(), &scene.merchant.1, "one")
        .await
        .unwrap();
}
