//! The blindness game: two worlds in which two customers' coins are swapped.
//!
//! In the first world Alice withdraws coin one and Bob coin two. In the second world they have each other's coin,
//! with the blinders that link each coin to the other session. Both coins are then spent. All that bank, escrow and
//! merchant receive and store is the same, byte for byte. So nothing that they have, or could compute, tells the
//! worlds apart.
//!
//! The coins are withdrawn from accounts or from reserves, and spent in purchases or in deposits.

use farthing_coin::{
    Blinders, Challenge, ClientRandomness, Coin, Commitment, KeyBook, KeyId, RecoveryRecordId, RequestId,
    Response, SecretKey, Seed, Signed, blind, joining_blinders, recover,
};
use farthing_node::{
    call::ask,
    card::Card,
    network::{Channel, Lane},
};
use farthing_protocol::{
    api::{Call, KeysRequest},
    deposit::{Deposit, DepositFrom},
    deposited::{DepositOutput, Payee},
    documents::Issued,
    ids::TextDigest,
    issue::{Begun, session_digest},
    limits::REPLY_TIMEOUT,
    money::Amount,
    offer::{CatalogRequest, DeliverRequest, OfferRequest},
    purchase::{Ask, Order, OrderParts, Plan, Purchase},
    reserve::FromReserve,
    seal::SEALED_RECORD_BYTES,
    withdraw::{WithdrawBegin, WithdrawFinish},
};
use farthing_simulation::{network::Sent, world::World};
use farthing_store::{
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use std::{path::Path, sync::Arc};

/// What the bank saw when one coin was made.
#[derive(Clone, Copy)]
struct Session {
    commitment: Commitment,
    challenge: Challenge,
    response: Response,
}

/// How a customer makes a coin: a coin key, and blinders after the commitment is known.
struct Making<'a> {
    coin_key: &'a SecretKey,
    blinders: &'a dyn Fn(&Commitment) -> Blinders,
}

async fn connect(world: &World, card: &Card, lane: Lane) -> Arc<dyn Channel> {
    world.wire().connect(card, lane).await.unwrap()
}

fn key(salt: u64) -> SecretKey {
    let entropy: &dyn Entropy = &SeededEntropy::new(salt);
    SecretKey::generate(&mut entropy.rng())
}

/// From what coins are withdrawn.
#[derive(Clone, Copy, PartialEq)]
enum Payer {
    Account,
    Reserve,
}

impl Payer {
    /// The key of a customer's account or reserve.
    fn key(self, customer: u8) -> SecretKey {
        match self {
            Payer::Account => key(100 + u64::from(customer)),
            Payer::Reserve => key(300 + u64::from(customer)),
        }
    }

    fn lane(self) -> Lane {
        match self {
            Payer::Account => Lane::Identified,
            Payer::Reserve => Lane::Anonymous,
        }
    }
}

/// Sends the first message of a withdrawal.
async fn begin(payer: Payer, channel: &dyn Channel, begin: WithdrawBegin, key: &SecretKey) -> Begun {
    match payer {
        Payer::Account => asked(channel, Signed::sign(begin, key)).await,
        Payer::Reserve => asked(channel, Signed::sign(FromReserve(begin), key)).await,
    }
}

/// Sends the second message of a withdrawal.
async fn finish(
    payer: Payer,
    channel: &dyn Channel,
    finish: WithdrawFinish,
    key: &SecretKey,
) -> Signed<Issued> {
    match payer {
        Payer::Account => asked(channel, Signed::sign(finish, key)).await,
        Payer::Reserve => asked(channel, Signed::sign(FromReserve(finish), key)).await,
    }
}

async fn asked<C: Call>(channel: &dyn Channel, call: C) -> C::Reply {
    ask(channel, call, REPLY_TIMEOUT).await.unwrap()
}

async fn withdraw(
    world: &World,
    keys: &KeyBook,
    output: KeyId,
    (payer, customer): (Payer, u8),
    making: Making<'_>,
) -> (Session, Coin) {
    let bank = world.parties().bank;
    let payer_key = payer.key(customer);
    let account = payer_key.public();
    let request_id = RequestId([customer; 32]);
    let channel = connect(world, &bank, payer.lane()).await;
    let first = WithdrawBegin {
        bank: bank.identity,
        account,
        request_id,
        outputs: vec![output],
        client_randomness: ClientRandomness([customer; 32]),
    };
    let begun = begin(payer, channel.as_ref(), first, &payer_key).await;
    let commitment = begun.commitments[0];
    let blinders = (making.blinders)(&commitment);
    let denomination = keys.get(&output).unwrap();
    let public = making.coin_key.public();
    let challenge = blind(denomination, &public, &commitment, &blinders).unwrap();
    let second = WithdrawFinish {
        bank: bank.identity,
        account,
        request_id,
        outputs: vec![output],
        session: session_digest(&begun.commitments),
        challenges: vec![challenge],
    };
    let issued = finish(payer, channel.as_ref(), second, &payer_key).await;
    issued.verify(&bank.identity).unwrap();
    let response = issued.body.responses[0];
    let coin = recover(denomination, &public, &challenge, &response, |_, sent| {
        assert_eq!(*sent, commitment);
        blinders
    })
    .unwrap();
    (
        Session {
            commitment,
            challenge,
            response,
        },
        coin,
    )
}

/// For what coins are spent.
#[derive(Clone, Copy)]
enum Spending {
    Purchase,
    Deposit,
}

impl Spending {
    async fn spend(self, world: &World, coin: Coin, coin_key: &SecretKey, number: u64) {
        match self {
            Spending::Purchase => buy(world, coin, coin_key, number).await,
            Spending::Deposit => deposit(world, coin, coin_key, &key(400 + number)).await,
        }
    }
}

/// Deposits a coin for a reserve.
async fn deposit(world: &World, coin: Coin, coin_key: &SecretKey, reserve: &SecretKey) {
    let bank = world.parties().bank;
    let deposit = Deposit {
        bank: bank.identity,
        from: DepositFrom::Coins(vec![coin]),
        outputs: vec![DepositOutput {
            to: Payee::Reserve(reserve.public()),
            amount: Amount(512),
        }],
        text: TextDigest([7; 32]),
    };
    let request = deposit.clone().authorized(std::slice::from_ref(coin_key));
    let channel = connect(world, &bank, Lane::Anonymous).await;
    let deposited = asked(channel.as_ref(), request).await;
    assert!(deposit.is_answered_by(&deposited));
}

async fn buy(world: &World, coin: Coin, coin_key: &SecretKey, number: u64) {
    let parties = world.parties();
    let merchant = connect(world, &parties.merchant, Lane::Anonymous).await;
    let catalog = ask(merchant.as_ref(), CatalogRequest { after: None }, REPLY_TIMEOUT)
        .await
        .unwrap();
    let request = OfferRequest {
        item_id: catalog.items[0].item_id,
        bank: parties.bank.identity,
        escrow: parties.escrow.identity,
    };
    let offered = ask(merchant.as_ref(), request, REPLY_TIMEOUT).await.unwrap();
    let deadline_ms = offered.offer.body.expires_ms;
    let plan = Plan {
        bank: parties.bank.identity,
        escrow: parties.escrow.identity,
        offer: offered.offer,
    };
    let purchase_key = key(200 + number);
    let order = Order::new(OrderParts {
        counter: number,
        plan: &plan,
        coins: vec![coin],
        coin_keys: std::slice::from_ref(coin_key),
        purchase_key: &purchase_key,
        note_id: RecoveryRecordId([number as u8; 32]),
        note: vec![number as u8; SEALED_RECORD_BYTES],
        deadline_ms,
    })
    .unwrap();
    // A hold and a delivery use no secret of a seed.
    let unused = Seed::from_bytes(&[0; 32]);
    let holding = Purchase::Holding(order);
    let Ask::Hold(request) = holding.ask(&unused) else {
        panic!("a hold is next")
    };
    let escrow = connect(world, &parties.escrow, Lane::Anonymous).await;
    let hold = ask(escrow.as_ref(), *request, REPLY_TIMEOUT).await.unwrap();
    let held = holding.on_hold(hold).unwrap();
    let Ask::Deliver(request) = held.ask(&unused) else {
        panic!("the delivery is next")
    };
    let request: DeliverRequest = *request;
    let receipt = ask(merchant.as_ref(), request, REPLY_TIMEOUT).await.unwrap();
    assert_eq!(held.on_receipt(receipt).unwrap().status(), "committed");
}

/// All that the nodes have at the end.
#[derive(PartialEq)]
struct Views {
    received: Vec<Sent>,
    stored: Vec<Vec<u8>>,
}

async fn views(world: &World) -> Views {
    world.settle().await;
    let journal = |disk: &MemoryDisk| disk.bytes(Path::new("/store/journal")).expect("a journal");
    Views {
        received: world.network.sent(),
        stored: world.disks().iter().map(journal).collect(),
    }
}

/// A world with two customers, each with an account or a reserve, and the key of the coins that both withdraw from it.
async fn beginning(payer: Payer) -> (Arc<World>, KeyBook, KeyId) {
    let world = World::with_price(7, Amount(512)).await;
    for customer in [1u64, 2] {
        let account = key(100 + customer).public();
        world.open_account(account, "customer").await;
        world.pay_in(account, Amount(512), &customer.to_string()).await;
    }
    world.network.schedule([]);
    let bank = world.parties().bank;
    let channel = connect(&world, &bank, Lane::Anonymous).await;
    let signed = ask(channel.as_ref(), KeysRequest, REPLY_TIMEOUT).await.unwrap();
    let keys = KeyBook::new(signed, &bank.identity).unwrap();
    let epoch = keys.list().epochs[0].epoch;
    let output = keys.denomination(512, epoch).unwrap().id();
    if payer == Payer::Reserve {
        for customer in [1, 2] {
            let coin_key = key(20 + u64::from(customer));
            let making = Making {
                coin_key: &coin_key,
                blinders: &fresh(20 + u64::from(customer)),
            };
            let from = (Payer::Account, customer);
            let (_, coin) = withdraw(&world, &keys, output, from, making).await;
            deposit(&world, coin, &coin_key, &payer.key(customer)).await;
        }
    }
    (world, keys, output)
}

fn fresh(salt: u64) -> impl Fn(&Commitment) -> Blinders {
    move |_| {
        let entropy: &dyn Entropy = &SeededEntropy::new(salt);
        Blinders::generate(&mut entropy.rng())
    }
}

#[tokio::test(start_paused = true)]
async fn swapped_coins_leave_the_same_bytes_everywhere() {
    coins_are_swapped(Payer::Account, Spending::Purchase).await;
}

#[tokio::test(start_paused = true)]
async fn swapped_coins_that_are_deposited_leave_the_same_bytes_everywhere() {
    coins_are_swapped(Payer::Account, Spending::Deposit).await;
}

#[tokio::test(start_paused = true)]
async fn swapped_coins_of_two_reserves_leave_the_same_bytes_everywhere() {
    coins_are_swapped(Payer::Reserve, Spending::Purchase).await;
    coins_are_swapped(Payer::Reserve, Spending::Deposit).await;
}

async fn coins_are_swapped(payer: Payer, spending: Spending) {
    let (one, two) = (key(1), key(2));

    let (world, keys, output) = beginning(payer).await;
    let making = Making {
        coin_key: &one,
        blinders: &fresh(11),
    };
    let (alices, coin_one) = withdraw(&world, &keys, output, (payer, 1), making).await;
    let making = Making {
        coin_key: &two,
        blinders: &fresh(12),
    };
    let (bobs, coin_two) = withdraw(&world, &keys, output, (payer, 2), making).await;
    spending.spend(&world, coin_one, &one, 1).await;
    spending.spend(&world, coin_two, &two, 2).await;
    let straight = views(&world).await;

    let (world, keys, output) = beginning(payer).await;
    let denomination = keys.get(&output).unwrap().clone();
    let join = |session: Session, coin: Coin| {
        let denomination = denomination.clone();
        move |commitment: &Commitment| {
            assert_eq!(*commitment, session.commitment);
            joining_blinders(
                &denomination,
                commitment,
                &session.challenge,
                &session.response,
                &coin,
            )
            .expect("any session joins to any coin of its key")
        }
    };
    let making = Making {
        coin_key: &two,
        blinders: &join(alices, coin_two),
    };
    let (_, alices_coin) = withdraw(&world, &keys, output, (payer, 1), making).await;
    let making = Making {
        coin_key: &one,
        blinders: &join(bobs, coin_one),
    };
    let (_, bobs_coin) = withdraw(&world, &keys, output, (payer, 2), making).await;
    assert_eq!(
        (alices_coin, bobs_coin),
        (coin_two, coin_one),
        "the coins are swapped"
    );
    spending.spend(&world, bobs_coin, &one, 1).await;
    spending.spend(&world, alices_coin, &two, 2).await;
    let swapped = views(&world).await;

    assert_eq!(straight.received.len(), swapped.received.len());
    assert!(
        straight.received == swapped.received,
        "the nodes received different bytes"
    );
    assert!(
        straight.stored == swapped.stored,
        "the nodes stored different bytes"
    );
}

#[tokio::test(start_paused = true)]
async fn the_views_do_differ_when_something_that_nodes_see_differs() {
    let (one, two) = (key(1), key(2));
    let mut all = Vec::new();
    for (first, second) in [(&one, &two), (&two, &one)] {
        let (world, keys, output) = beginning(Payer::Account).await;
        let making = Making {
            coin_key: first,
            blinders: &fresh(11),
        };
        let (_, coin) = withdraw(&world, &keys, output, (Payer::Account, 1), making).await;
        let making = Making {
            coin_key: second,
            blinders: &fresh(12),
        };
        withdraw(&world, &keys, output, (Payer::Account, 2), making).await;
        buy(&world, coin, first, 1).await;
        all.push(views(&world).await);
    }
    let swapped = all.pop().unwrap();
    let straight = all.pop().unwrap();
    assert!(
        straight.received != swapped.received,
        "blinders that were not solved to match must show"
    );
    assert!(straight.stored != swapped.stored, "and in what is stored as well");
}
