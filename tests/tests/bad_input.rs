//! Bad input, one line for each case: each case gets its refusal, and no node writes anything.
//!
//! The roles are the real ones, over the simulation's network. The refusals are decoded from the bytes of replies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_bank::admin::{Cash, Command};
use farthing_client::error::WalletError;
use farthing_coin::{
    Challenge, ClientRandomness, Coin, EncodedPoint, EncodedScalar, KeyId, PublicKey, RequestId, SecretKey,
    Seed, Signature, Signed, StatementDigest,
};
use farthing_kit::by_hand::{Bought, ByHand, Purse, Questions};
use farthing_merchant::secret::MerchantSecret;
use farthing_node::{
    card::RoleName::{self, Bank, Escrow, Merchant},
    network::Lane,
};
use farthing_protocol::{
    api::{Call, KeysRequest, SettleOne},
    decision::{Committed, Outcome, SignedDecision},
    denial::{CoinDenial, DenialCause},
    deposit::DepositFrom,
    deposited::Payee,
    documents::{Abort, AbortReason, CoinUse, Commit, Hold, PurchaseKeyUse, Receipt, Settled},
    exchange::{Authorized, Exchange, ExchangeBegin, authorize},
    goods::GoodsKey,
    hold::{BankHoldRequest, HoldRequest},
    ids::ItemId,
    limits::{DEADLINE_HORIZON_MS, REQUEST_MAX_BYTES},
    money::Amount,
    offer::{OfferRequest, PieceRequest},
    purchase::{Purchase, PurchaseError},
    refusal::{
        AccountFault, CoinFault, CoinsFault, ContractFault, GoodsFault, IssueFault, Later, PurchaseFault,
        Refusal, RequestFault,
    },
    reserve::ReserveRequest,
    restore::{BucketRequest, Shelf},
    sealed::SalesRequest,
    withdraw::Withdrawal,
};
use farthing_simulation::money::spendable;
use farthing_simulation::{party::Party, world::World};
use farthing_store::entropy::{Entropy, SeededEntropy};
use std::{fs, path::Path, sync::Arc};

/// What everything costs.
const PRICE: u64 = 725;

/// Coins worth the price.
const EXACT: [u64; 6] = [512, 128, 64, 16, 4, 1];

/// Neither a canonical point nor a canonical scalar.
const NOT_CANONICAL: [u8; 32] = [255; 32];

// ---- how a line is checked ----------------------------------------------------------------------------------------

struct Desk {
    world: Arc<World>,
    hand: ByHand,
}

fn seed(number: u64) -> Seed {
    let entropy: &dyn Entropy = &SeededEntropy::new(number);
    Seed::generate(&mut entropy.rng())
}

/// A key that no party knows.
fn stranger() -> SecretKey {
    seed(66).account_key()
}

impl Desk {
    async fn open(number: u64) -> Desk {
        Desk::of(World::new(number).await, number).await
    }

    async fn of(world: Arc<World>, number: u64) -> Desk {
        let parties = world.parties();
        let cards = [parties.bank, parties.escrow, parties.merchant];
        let wire = world.wire();
        let hand = ByHand::new(wire, world.clock.clone(), cards, seed(number));
        world.open_account(hand.account(), "alice").await;
        world.pay_in(hand.account(), Amount(50_000), "alice").await;
        Desk { world, hand }
    }

    /// All bytes that the nodes have written.
    fn journals(&self) -> Vec<Option<Vec<u8>>> {
        let journal = Path::new("/store/journal");
        let journals: Vec<_> = self
            .world
            .disks()
            .iter()
            .map(|disk| disk.bytes(journal))
            .collect();
        assert!(journals.iter().all(Option::is_some));
        journals
    }

    /// The reply to `call`. It must be a refusal, and nothing may be written.
    async fn refused<C: Call>(&self, what: &str, call: C) -> Refusal
    where
        C::Server: Questions,
    {
        let before = self.journals();
        let refusal = self.hand.ask(call).await.err();
        let refusal = refusal.unwrap_or_else(|| panic!("{what} was granted"));
        assert!(
            self.journals() == before,
            "{what} was refused, and written: {refusal}"
        );
        refusal
    }

    /// The same for arbitrary bytes.
    async fn refused_bytes(&self, what: &str, to: RoleName, lane: Lane, request: Vec<u8>) -> Refusal {
        let before = self.journals();
        let reply = self.hand.send(to, lane, request).await;
        let refusal = KeysRequest::decode_reply(&reply).unwrap().err();
        assert!(self.journals() == before, "{what} was written");
        refusal.unwrap_or_else(|| panic!("{what} was granted"))
    }

    /// The reply to a request that was decided before. Nothing may be written.
    async fn told<C: Call>(&self, call: C) -> C::Reply
    where
        C::Server: Questions,
    {
        let before = self.journals();
        let told = self.hand.ask(call).await.unwrap();
        assert!(self.journals() == before, "it was written again");
        told
    }

    async fn balanced(&self) {
        let report = self.world.bank().audit().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
    }

    /// The key that the merchant releases for this purchase.
    fn goods_key(&self, bought: &Bought) -> GoodsKey {
        let secret = MerchantSecret::load(&self.world.merchant_home(0)).unwrap();
        secret.goods_key(&bought.order.contract.offer.body.sale_id)
    }
}

/// `good` with a change.
fn with<T: Clone>(good: &T, change: impl FnOnce(&mut T)) -> T {
    let mut bad = good.clone();
    change(&mut bad);
    bad
}

/// The table: name, request, refusal.
macro_rules! refused {
    ($desk:expr, $($what:literal, $call:expr => $refusal:pat $(if $guard:expr)?),+ $(,)?) => {
        $({
            let refusal = $desk.refused($what, $call).await;
            assert!(matches!(&refusal, $refusal $(if $guard)?), "{}: {refusal:?}", $what);
        })+
    };
}

/// A refusal of a coin.
macro_rules! coin {
    ($index:literal, $what:pat) => {
        Refusal::Coins(CoinsFault {
            index: $index,
            what: $what,
        })
    };
}

/// A denial that the bank has signed, for this cause.
macro_rules! denied {
    ($desk:expr, $refusal:expr, $cause:pat $(if $guard:expr)?) => {
        match $refusal {
            Refusal::Denied(denial) => {
                let bank = $desk.hand.key(Bank);
                denial.body.bank == bank
                    && denial.verify(&bank).is_ok()
                    && matches!(&denial.body.cause, $cause $(if $guard)?)
            }
            _ => false,
        }
    };
}

/// A denial of a coin.
macro_rules! coin_denied {
    ($desk:expr, $refusal:expr, $what:pat $(if $guard:expr)?) => {
        denied!($desk, $refusal, DenialCause::Coin { what: $what, .. } $(if $guard)?)
    };
}

macro_rules! request {
    ($what:pat) => {
        Refusal::Request($what)
    };
}

macro_rules! issue {
    ($what:pat) => {
        Refusal::Issue($what)
    };
}

macro_rules! contract {
    ($what:pat) => {
        Refusal::Contract($what)
    };
}

macro_rules! purchase {
    ($what:pat) => {
        Refusal::Purchase($what)
    };
}

// ---- bytes --------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_request() {
    let desk = Desk::open(1).await;
    let withdrawal = desk.hand.withdrawal(&[1]).await;
    let good = desk.hand.withdraw_begin(&withdrawal).encode().unwrap();
    let long_list = with(&good, |bytes| {
        // The length of the list of outputs, which follows three keys and the variant.
        bytes[4 + 96..4 + 104].copy_from_slice(&u64::MAX.to_le_bytes());
    });
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("nothing", vec![], ""),
        ("garbage", vec![255; 40], ""),
        ("an unknown question", vec![99, 0, 0, 0], ""),
        ("a request that is cut off", good[..good.len() - 1].to_vec(), ""),
        (
            "a byte too much",
            [good.as_slice(), &[0]].concat(),
            "1 trailing bytes",
        ),
        ("a list longer than its frame", long_list, ""),
        (
            "more than any request has",
            vec![0; REQUEST_MAX_BYTES + 1],
            "131073 bytes long, at most 131072",
        ),
    ];
    for (what, bytes, says) in cases {
        for to in [Bank, Escrow, Merchant] {
            let refusal = desk.refused_bytes(what, to, Lane::Anonymous, bytes.clone()).await;
            let request!(RequestFault::Malformed(why)) = &refusal else {
                panic!("{what}: {refusal:?}")
            };
            // A request to the bank alone may be malformed in another way for the others.
            assert!(to != Bank || why.contains(says), "{what}: {why}");
        }
    }
    for lane in [Lane::Anonymous, Lane::Peer] {
        let refusal = desk.refused_bytes("another lane", Bank, lane, good.clone()).await;
        assert!(
            matches!(refusal, request!(RequestFault::WrongLane(_))),
            "{refusal:?}"
        );
    }
    let narrow = BucketRequest {
        shelf: Shelf::Notes,
        prefix: serde_json::from_str(r#"{"bits":17,"value":0}"#).unwrap(),
        after: None,
    };
    refused! { desk,
        "a bucket for one", narrow => request!(RequestFault::BucketTooNarrow { got: 17, most: 16 }),
    }
}

// ---- withdrawals --------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn withdrawals() {
    let desk = Desk::open(2).await;
    let planned = desk.hand.withdrawal(&[4, 4]).await;
    begins_of_a_withdrawal(&desk, &planned).await;
    finishes_of_a_withdrawal(&desk, &planned).await;
    finishes_of_a_finished_withdrawal(&desk, &planned).await;
    withdrawals_beyond_the_balance(&desk).await;
    desk.balanced().await;
}

async fn begins_of_a_withdrawal(desk: &Desk, planned: &Withdrawal) {
    let hand = &desk.hand;
    let (mine, theirs) = (hand.seed.account_key(), stranger());
    let begin = hand.withdraw_begin(planned);
    let signed = |change: fn(&mut _)| Signed::sign(with(&begin.body, change), &mine);
    let next_epoch = {
        let keys = hand.keys().await;
        let current = keys.get(&planned.outputs[0]).unwrap();
        keys.issuing(4, current.issue_until_ms).unwrap().id()
    };
    let not_issued = Signed::sign(with(&begin.body, |b| b.outputs = vec![next_epoch]), &mine);
    let not_theirs = Signed::sign(begin.body.clone(), &theirs);
    let nobodys = Signed::sign(with(&begin.body, |b| b.account = stranger().public()), &theirs);
    let no_point = with(&begin, |b| b.body.account = PublicKey(NOT_CANONICAL));
    let no_commitment = with(&begin, |b| b.signature.commitment = EncodedPoint(NOT_CANONICAL));
    let no_response = with(&begin, |b| b.signature.response = EncodedScalar(NOT_CANONICAL));
    refused! { desk,
        "for another bank", signed(|b| b.bank = stranger().public())
            => request!(RequestFault::NotForMe { .. }),
        "no outputs", signed(|b| b.outputs.clear()) => request!(RequestFault::ListLength { got: 0, .. }),
        "65 outputs", signed(|b| b.outputs = vec![b.outputs[0]; 65])
            => request!(RequestFault::Malformed(why)) if why.contains("65 entries, at most 64"),
        "a key that never was", signed(|b| b.outputs = vec![KeyId([9; 32])])
            => said if denied!(desk, said, DenialCause::UnknownKey(KeyId([9, ..]))),
        "a key of the next epoch", not_issued => issue!(IssueFault::NotIssuing(key)) if *key == next_epoch,
        "signed by another", not_theirs => request!(RequestFault::Signature { .. }),
        "an account that is not there", nobodys
            => said if denied!(desk, said, DenialCause::UnknownAccount(key) if *key == stranger().public()),
        "an account that is no point", no_point
            => request!(RequestFault::Signature { why, .. }) if why.contains("canonical"),
        "a signature without a point", no_commitment
            => request!(RequestFault::Signature { why, .. }) if why.contains("canonical"),
        "a signature without a scalar", no_response
            => request!(RequestFault::Signature { why, .. }) if why.contains("scalar"),
    }
}

/// The last of these uses up the session of the request.
async fn finishes_of_a_withdrawal(desk: &Desk, planned: &Withdrawal) {
    let hand = &desk.hand;
    let (mine, theirs) = (hand.seed.account_key(), stranger());
    let begun = hand.withdrawal_begun(planned).await;
    let finish = hand.withdraw_finish(&begun);
    let signed = |change: fn(&mut _)| Signed::sign(with(&finish.body, change), &mine);
    refused! { desk,
        "a challenge that is no scalar", signed(|f| f.challenges[1] = Challenge(NOT_CANONICAL))
            => issue!(IssueFault::Challenge(1)),
        "a challenge too few", signed(|f| f.challenges.truncate(1))
            => request!(RequestFault::ListMismatch { got: 1, expected: 2, .. }),
        "a finish signed by another", Signed::sign(finish.body.clone(), &theirs)
            => request!(RequestFault::Signature { .. }),
        "a finish by another account",
            Signed::sign(with(&finish.body, |f| f.account = stranger().public()), &theirs)
            => issue!(IssueFault::SessionGone),
    }
    let other = hand.withdrawal_begun(&hand.withdrawal(&[4, 4]).await).await;
    let other = hand.withdraw_finish(&other);
    let borrowed = Signed::sign(with(&finish.body, |f| f.session = other.body.session), &mine);
    refused! { desk,
        "a session of another request", borrowed => issue!(IssueFault::SessionGone),
    }
}

/// The withdrawal is begun again, and finished.
async fn finishes_of_a_finished_withdrawal(desk: &Desk, planned: &Withdrawal) {
    let hand = &desk.hand;
    let mine = hand.seed.account_key();
    let begun = hand.withdrawal_begun(planned).await;
    let finish = hand.withdraw_finish(&begun);
    hand.ask(finish.clone()).await.unwrap();
    let swapped = Signed::sign(with(&finish.body, |f| f.challenges.swap(0, 1)), &mine);
    let fewer = with(&finish.body, |f| {
        f.outputs.truncate(1);
        f.challenges.truncate(1);
    });
    let reused = Signed::sign(with(&finish.body, |f| f.request_id = RequestId([5; 32])), &mine);
    refused! { desk,
        "other challenges under a finished request", swapped => issue!(IssueFault::OtherContent(_)),
        "other outputs under a finished request", Signed::sign(fewer, &mine)
            => issue!(IssueFault::OtherContent(_)),
        "a session that was used", reused => issue!(IssueFault::SessionGone),
    }
}

async fn withdrawals_beyond_the_balance(desk: &Desk) {
    let hand = &desk.hand;
    let too_dear = hand.withdraw_begin(&hand.withdrawal(&[2048; 25]).await);
    refused! { desk,
        "more than the account has", too_dear
            => said if denied!(
                desk, said, DenialCause::Balance { balance: Amount(49_992), asked: Amount(51_200) }
            ),
    }
    let half = hand.withdrawal_begun(&hand.withdrawal(&[2048; 13]).await).await;
    let dear = hand.withdrawal_begun(&hand.withdrawal(&[2048; 13]).await).await;
    hand.ask(hand.withdraw_finish(&half)).await.unwrap();
    let dear = hand.withdraw_finish(&dear);
    refused! { desk,
        "more than the account has by now", dear.clone()
            => said if denied!(
                desk, said, DenialCause::Balance { balance: Amount(23_368), asked: Amount(26_624) }
            ),
        "the same again", dear => issue!(IssueFault::SessionGone),
    }
}

// ---- coins --------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn coins() {
    let (desk, elsewhere) = (Desk::open(3).await, Desk::open(33).await);
    let purse = desk.hand.withdraw(&[8, 4]).await;
    let planned = desk.hand.exchange(&purse, &[8, 2, 2]).await;
    forged_coins(&desk, &elsewhere, &purse, &planned).await;
    exchanges_that_do_not_add_up(&desk, &purse, &planned).await;
    finish_that_the_coins_did_not_sign(&desk, &purse, &planned).await;
    used_coins(&desk, &purse).await;
    old_coins(&desk).await;
    desk.balanced().await;
}

/// An exchange with changed coins. A forger with the coins' keys signs the changed request.
fn forged(
    hand: &ByHand,
    purse: &Purse,
    planned: &Exchange,
    change: &dyn Fn(&mut Vec<Coin>),
) -> Authorized<ExchangeBegin> {
    let mut exchange = planned.clone();
    change(&mut exchange.inputs);
    hand.exchange_begin(&exchange, purse)
}

async fn forged_coins(desk: &Desk, elsewhere: &Desk, purse: &Purse, planned: &Exchange) {
    let hand = &desk.hand;
    let begin = hand.exchange_begin(planned, purse);
    let forged = |change: &dyn Fn(&mut Vec<Coin>)| forged(hand, purse, planned, change);
    let dearer = hand.outputs(&[2048]).await[0];
    let foreign = elsewhere.hand.withdraw(&[8, 4]).await;
    let foreign = hand.exchange_begin(&hand.exchange(&foreign, &[8, 4]).await, &foreign);
    refused! { desk,
        "coins of another bank", foreign => coin!(0, CoinFault::UnknownKey),
        "a coin of a made-up key", forged(&|c| c[1].key_id = KeyId([9; 32]))
            => coin!(1, CoinFault::UnknownKey),
        "a coin of another suite", forged(&|c| c[0].suite = 2) => coin!(0, CoinFault::Invalid(_)),
        "a coin whose key is no point", forged(&|c| c[0].public = PublicKey(NOT_CANONICAL))
            => coin!(0, CoinFault::Invalid(_)),
        "a coin whose key is the identity", forged(&|c| c[0].public = PublicKey([0; 32]))
            => coin!(0, CoinFault::Invalid(_)),
        "a coin whose R is no point", forged(&|c| c[1].r = EncodedPoint(NOT_CANONICAL))
            => coin!(1, CoinFault::Invalid(_)),
        "a coin whose R is the identity", forged(&|c| c[1].r = EncodedPoint([0; 32])) => coin!(1, CoinFault::Invalid(_)),
        "a coin whose z is no scalar", forged(&|c| c[0].z = EncodedScalar(NOT_CANONICAL))
            => coin!(0, CoinFault::Invalid(_)),
        "a coin whose y is no scalar", forged(&|c| c[0].y = EncodedScalar(NOT_CANONICAL))
            => coin!(0, CoinFault::Invalid(_)),
        "a coin whose y is zero", forged(&|c| c[0].y = EncodedScalar([0; 32])) => coin!(0, CoinFault::Invalid(_)),
        "a coin with another's signature", forged(&|c| c[0].z = c[1].z) => coin!(0, CoinFault::Invalid(_)),
        "a coin worth more than it is", forged(&|c| c[0].key_id = dearer)
            => coin!(0, CoinFault::Invalid(_)),
        "swapped authorizations", with(&begin, |b| b.authorizations.swap(0, 1))
            => coin!(0, CoinFault::Authorization(_)),
        "an authorization for something else", with(&begin, |b| b.body.client_randomness = ClientRandomness([0; 32]))
            => coin!(0, CoinFault::Authorization(_)),
        "an authorization without a scalar", with(&begin, |b| b.authorizations[1].response = EncodedScalar(NOT_CANONICAL))
            => coin!(1, CoinFault::Authorization(_)),
        "an authorization too few", with(&begin, |b| b.authorizations.truncate(1))
            => request!(RequestFault::ListMismatch { got: 1, expected: 2, .. }),
    }
}

async fn exchanges_that_do_not_add_up(desk: &Desk, purse: &Purse, planned: &Exchange) {
    let hand = &desk.hand;
    let twice = purse.and(purse);
    let twice = hand.exchange_begin(&hand.exchange(&twice, &[16, 8]).await, &twice);
    refused! { desk,
        "the same coin twice", twice => coin!(2, CoinFault::Twice),
        "no coins", forged(hand, purse, planned, &|c| c.clear()) => request!(RequestFault::ListLength { got: 0, .. }),
    }
    for (out, worth) in [(&[8, 2][..], 10), (&[8, 4, 1], 13)] {
        let unbalanced = hand.exchange_begin(&hand.exchange(purse, out).await, purse);
        refused! { desk,
            "too little or too much out",
                unbalanced
                => said if denied!(
                    desk, said, DenialCause::Unbalanced { inputs: Amount(12), outputs: Amount(got) } if *got == worth
                ),
        }
    }
}

async fn finish_that_the_coins_did_not_sign(desk: &Desk, purse: &Purse, planned: &Exchange) {
    let hand = &desk.hand;
    let begun = hand.exchange_begun(planned, purse).await;
    let finish = hand.exchange_finish(&begun, purse);
    refused! { desk,
        "a finish that the coins did not sign", with(&finish, |f| f.body.challenges.swap(0, 1))
            => coin!(0, CoinFault::Authorization(_)),
    }
}

/// Coins that were used before. Each refusal shows their holder's own signature.
async fn used_coins(desk: &Desk, purse: &Purse) {
    let hand = &desk.hand;
    let (held, spent) = (hand.withdraw(&EXACT).await, hand.withdraw(&EXACT).await);
    let bought = [hand.order(&held).await, hand.order(&spent).await];
    hand.held(&bought[0]).await;
    let hold = hand.held(&bought[1]).await;
    hand.ask(bought[1].deliver(&hold)).await.unwrap();
    hand.exchanged(purse, &[8, 4]).await;
    let commit = {
        let outcome = bought[1].order.outcome_request(&bought[1].purchase_key);
        let Outcome::Committed(committed) = hand.ask(outcome).await.unwrap() else {
            panic!("it was delivered")
        };
        SettleOne {
            escrow: hand.key(Escrow),
            decision: SignedDecision::Commit(committed.commit),
        }
    };
    let settled = hand.ask(commit).await.unwrap().body;
    assert_eq!(
        settled,
        Settled::committed(
            &bought[1].order.contract.terms,
            bought[1].order.contract.terms.price
        )
    );
    quiet().await;
    let again = hand.exchange_begin(&hand.exchange(purse, &[4, 8]).await, purse);
    refused! { desk,
        "an exchange of held coins", exchange_of(hand, &held).await
            => said if coin_denied!(desk, said, CoinDenial::Held(use_) if use_.verify(&held.coins[0]).is_ok()),
        "an exchange of spent coins", exchange_of(hand, &spent).await
            => said if coin_denied!(desk, said, CoinDenial::Spent { used: use_, .. } if use_.verify(&spent.coins[0]).is_ok()),
        "an exchange of exchanged coins", again
            => said if coin_denied!(desk, said, CoinDenial::Exchanged { used: use_, .. } if use_.verify(&purse.coins[0]).is_ok()),
        "a purchase with held coins", hand.order(&held).await.hold()
            => said if coin_denied!(desk, said, CoinDenial::Held(use_) if use_.verify(&held.coins[0]).is_ok()),
        "a purchase with spent coins", hand.order(&spent).await.hold()
            => said if coin_denied!(desk, said, CoinDenial::Spent { used: use_, .. } if use_.verify(&spent.coins[0]).is_ok()),
    }
}

async fn exchange_of(hand: &ByHand, purse: &Purse) -> Authorized<ExchangeBegin> {
    let planned = hand.exchange(purse, &EXACT).await;
    hand.exchange_begin(&planned, purse)
}

/// Coins whose time is over.
async fn old_coins(desk: &Desk) {
    let hand = &desk.hand;
    let old = hand.withdraw(&EXACT).await;
    let dates = hand.keys().await.get(&old.coins[0].key_id).unwrap().clone();
    desk.world.clock.jump_to(dates.spend_until_ms);
    desk.world.bank().extend_keys().await.unwrap();
    let late = hand.order(&old).await;
    refused! { desk,
        "a purchase with old coins", late.bank_hold()
            => said if coin_denied!(desk, said, CoinDenial::Expired { expired_ms } if *expired_ms == dates.spend_until_ms),
    }
    desk.world.clock.jump_to(dates.redeem_until_ms);
    desk.world.bank().extend_keys().await.unwrap();
    refused! { desk,
        "an exchange of old coins", exchange_of(hand, &old).await
            => said if coin_denied!(desk, said, CoinDenial::Expired { expired_ms } if *expired_ms == dates.redeem_until_ms),
    }
}

/// Lets all background work finish.
async fn quiet() {
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
}

// ---- holds --------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn holds_and_contracts() {
    let desk = Desk::open(4).await;
    let hand = &desk.hand;
    let purse = hand.withdraw(&EXACT).await;
    let bought = hand.order(&purse).await;
    changed_holds(&desk, &bought).await;
    let little = hand.order(&hand.withdraw(&[512, 128, 64, 16, 4]).await).await;
    holds_of_the_wrong_worth(&desk, &little).await;
    hold_with_a_past_deadline(&desk, &purse, &bought).await;
    holds_by_a_lying_escrow(&desk, &purse, &bought).await;
    let hold = hand.held(&bought).await;
    wrong_deliveries(&desk, &bought, &hold, &little).await;
    unknown_items_and_pieces(&desk, &bought).await;
    hand.ask(bought.deliver(&hold)).await.unwrap();
    desk.balanced().await;
}

async fn changed_holds(desk: &Desk, bought: &Bought) {
    let good = bought.hold();
    let bad = |change: fn(&mut HoldRequest)| with(&good, change);
    refused! { desk,
        "a forged offer", bad(|r| r.contract.offer.body.title = "two".into())
            => contract!(ContractFault::OfferForged(_)),
        "an offer out of bounds", bad(|r| r.contract.offer.body.title = "x".repeat(97))
            => request!(RequestFault::Malformed(why)) if why.contains("97 bytes of text, at most 96"),
        "a changed price", bad(|r| r.contract.terms.price = Amount(1))
            => contract!(ContractFault::DoesNotFit(what)) if what == "price",
        "a changed account", bad(|r| r.contract.terms.account = stranger().public())
            => contract!(ContractFault::DoesNotFit(what)) if what == "account",
        "a changed merchant", bad(|r| r.contract.terms.merchant = stranger().public())
            => contract!(ContractFault::DoesNotFit(_)),
        "a changed currency", bad(|r| r.contract.terms.currency = "XYZ".into())
            => contract!(ContractFault::DoesNotFit(what)) if what == "currency",
        "another escrow", bad(|r| r.contract.terms.escrow = stranger().public())
            => request!(RequestFault::NotForMe { .. }),
        "a deadline changed after it was signed", bad(|r| r.contract.terms.deadline_ms -= 1)
            => contract!(ContractFault::Forged(_)),
        "a contract signed by another", bad(|r| r.contract.signature = r.contract.offer.signature)
            => contract!(ContractFault::Forged(_)),
        "a purchase key that is no point", bad(|r| r.contract.terms.purchase_key = PublicKey(NOT_CANONICAL))
            => contract!(ContractFault::Forged(_)),
        "coins in another order", bad(|r| r.payment.coins.swap(0, 1))
            => contract!(ContractFault::OtherCoins),
        "other coins", bad(|r| r.payment.coins[0].public = stranger().public())
            => contract!(ContractFault::OtherCoins),
        "no coins", bad(|r| r.payment.coins.clear()) => request!(RequestFault::ListLength { got: 0, .. }),
        "another note", bad(|r| r.payment.note[7] ^= 1) => contract!(ContractFault::OtherNote),
        "a short note", bad(|r| r.payment.note.truncate(9))
            => request!(RequestFault::ListMismatch { got: 9, .. }),
        "a forged coin", bad(|r| r.payment.coins[1].z = r.payment.coins[0].z)
            => coin!(1, CoinFault::Invalid(_)),
        "swapped authorizations", bad(|r| r.payment.authorizations.swap(2, 3))
            => coin!(2, CoinFault::Authorization(_)),
        "an authorization too few", bad(|r| r.payment.authorizations.truncate(5))
            => request!(RequestFault::ListMismatch { got: 5, expected: 6, .. }),
    }
}

async fn holds_of_the_wrong_worth(desk: &Desk, little: &Bought) {
    let hand = &desk.hand;
    let half = hand.withdraw(&[256]).await;
    let twice = hand
        .order(&half.and(&half).and(&hand.withdraw(&[128, 64, 16, 4, 1]).await))
        .await;
    refused! { desk,
        "too little", little.hold()
            => contract!(ContractFault::Worth { worth: Amount(724), price: Amount(PRICE) }),
        "the same coin twice", twice.hold() => coin!(1, CoinFault::Twice),
    }
}

async fn hold_with_a_past_deadline(desk: &Desk, purse: &Purse, bought: &Bought) {
    let hand = &desk.hand;
    let now_ms = bought.order.contract.offer.body.expires_ms - 3_600_000;
    let soon = hand.order_until(hand.offer().await, purse, now_ms);
    refused! { desk,
        "a deadline that has passed", soon.hold() => contract!(ContractFault::DeadlineTooSoon),
    }
}

/// Requests of a lying escrow to the bank, authorized by the coins.
async fn holds_by_a_lying_escrow(desk: &Desk, purse: &Purse, bought: &Bought) {
    let lied = |change: &dyn Fn(&mut BankHoldRequest)| {
        let mut request = with(&bought.bank_hold(), |request| change(&mut request.body));
        let digest = request.body.terms.purchase_id().0;
        request.body.payment.authorizations =
            authorize(&purse.coins, &purse.keys, CoinUse::Hold, &StatementDigest(digest));
        request
    };
    refused! { desk,
        "at the bank: an escrow that it does not know", lied(&|r| r.terms.escrow = stranger().public())
            => contract!(ContractFault::UnknownParty { .. }),
        "at the bank: an account that is not there", lied(&|r| r.terms.account = stranger().public())
            => Refusal::Account(AccountFault::Unknown(_)),
        "at the bank: another currency", lied(&|r| r.terms.currency = "XYZ".into())
            => contract!(ContractFault::DoesNotFit(_)),
        "at the bank: less than the price", lied(&|r| r.terms.price = Amount(800))
            => contract!(ContractFault::Worth { .. }),
        "at the bank: a deadline too far", lied(&|r| r.terms.deadline_ms += DEADLINE_HORIZON_MS)
            => contract!(ContractFault::DeadlineTooFar),
        "at the bank: another bank", lied(&|r| r.terms.bank = stranger().public())
            => request!(RequestFault::NotForMe { .. }),
    }
}

/// Requests of a customer to the merchant, and a hold that a wallet refuses.
async fn wrong_deliveries(desk: &Desk, bought: &Bought, hold: &Signed<Hold>, little: &Bought) {
    let deliver = bought.deliver(hold);
    let forged_hold = Signed::sign(hold.body.clone(), &stranger());
    let less = with(hold, |hold| hold.body.bank_hold.body.total = Amount(1));
    refused! { desk,
        "a hold by somebody else", bought.deliver(&forged_hold) => contract!(ContractFault::Hold(_)),
        "a hold for less", bought.deliver(&less) => contract!(ContractFault::Hold(_)),
        "a hold for another purchase", little.deliver(hold) => contract!(ContractFault::Hold(_)),
        "another merchant's offer", with(&deliver, |d| d.contract.terms.merchant = stranger().public())
            => Refusal::Goods(GoodsFault::UnknownOffer),
        "an offer that the merchant did not sign",
            with(&deliver, |d| d.contract.offer.body.price = Amount(1))
            => contract!(ContractFault::OfferForged(_)),
    }
    let holding = Purchase::Holding(bought.order.clone());
    assert!(matches!(
        holding.on_hold(forged_hold),
        Err(PurchaseError::Contract(ContractFault::Hold(_)))
    ));
}

async fn unknown_items_and_pieces(desk: &Desk, bought: &Bought) {
    let hand = &desk.hand;
    let offer = &bought.order.contract.offer.body;
    let piece = |item_id, offset| PieceRequest {
        item_id,
        encrypted_digest: offer.encrypted_digest,
        offset,
    };
    let item = OfferRequest {
        item_id: ItemId([9; 32]),
        bank: hand.key(Bank),
        escrow: hand.key(Escrow),
    };
    refused! { desk,
        "an item that is not there", item => Refusal::Goods(GoodsFault::UnknownItem),
        "an escrow that the merchant does not know",
            OfferRequest { item_id: offer.item_id, escrow: stranger().public(), ..item }
            => Refusal::Goods(GoodsFault::NotAccepted(_)),
        "a piece of nothing", piece(ItemId([9; 32]), 0) => Refusal::Goods(GoodsFault::UnknownPiece),
        "a piece behind the end", piece(offer.item_id, offer.encrypted_bytes + 1)
            => Refusal::Goods(GoodsFault::UnknownPiece),
    }
}

// ---- decisions ----------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn decisions() {
    let desk = Desk::open(5).await;
    let hand = &desk.hand;
    let offer = hand.offer().await;
    let bought = hand.order_of(offer.clone(), &hand.withdraw(&EXACT).await);
    let rival = hand.order_of(offer, &hand.withdraw(&EXACT).await);
    let (hold, rivals_hold) = (hand.held(&bought).await, hand.held(&rival).await);
    let key = desk.goods_key(&bought);
    let sale = Sale {
        bought,
        hold,
        rival,
        rivals_hold,
        key,
    };
    wrong_releases_and_cancels(&desk, &sale).await;
    decisions_that_no_escrow_has_made(&desk, &sale).await;
    let committed = everything_after_the_commit(&desk, &sale).await;
    requests_signed_by_another(&desk, &sale).await;
    altered_commits(&desk, &committed).await;
    everything_after_the_abort(&desk, &sale).await;
    requests_after_the_deadline(&desk).await;
    desk.world.settle().await;
    desk.balanced().await;
}

/// Two orders for one offer, both held.
struct Sale {
    bought: Bought,
    hold: Signed<Hold>,
    rival: Bought,
    rivals_hold: Signed<Hold>,
    key: GoodsKey,
}

impl Sale {
    /// A signature for the first purchase.
    fn signed_by(&self, secret: &SecretKey, key_use: PurchaseKeyUse) -> Signature {
        let (order, purchase_key) = (&self.bought.order, &self.bought.purchase_key);
        secret.sign(&key_use.statement(&purchase_key.public(), &order.purchase()))
    }

    /// The first purchase in its customer's wallet.
    fn held(&self) -> Purchase {
        Purchase::Held(self.bought.order.clone(), self.hold.clone())
    }
}

async fn wrong_releases_and_cancels(desk: &Desk, sale: &Sale) {
    let Sale {
        bought,
        hold,
        rival,
        key,
        ..
    } = sale;
    let release = bought.release(hold, key);
    let wrong_key = bought.release(hold, &GoodsKey::from_bytes([9; 32]));
    let forged_hold = bought.release(&Signed::sign(hold.body.clone(), &stranger()), key);
    let by_another = with(&bought.cancel(), |c| {
        c.signature = sale.signed_by(&stranger(), PurchaseKeyUse::Cancel)
    });
    let for_another_use = with(&bought.cancel(), |c| {
        c.signature = sale.signed_by(&bought.purchase_key, PurchaseKeyUse::Outcome)
    });
    refused! { desk,
        "a wrong goods key", wrong_key => contract!(ContractFault::WrongGoodsKey),
        "a release with a forged hold", forged_hold => contract!(ContractFault::Hold(_)),
        "a release with another's hold", rival.release(hold, key) => contract!(ContractFault::Hold(_)),
        "a release of other terms", with(&release, |r| r.contract.terms.price = Amount(1))
            => contract!(ContractFault::DoesNotFit(_)),
        "a cancel without the purchase key", by_another => request!(RequestFault::Signature { .. }),
        "a cancel signed for something else", for_another_use => request!(RequestFault::Signature { .. }),
        "a cancel at another escrow", with(&bought.cancel(), |c| c.terms.escrow = stranger().public())
            => request!(RequestFault::NotForMe { .. }),
    }
}

fn settle(desk: &Desk, decision: SignedDecision) -> SettleOne {
    SettleOne {
        escrow: desk.hand.key(Escrow),
        decision,
    }
}

async fn decisions_that_no_escrow_has_made(desk: &Desk, sale: &Sale) {
    let bought = &sale.bought;
    let terms = &bought.order.contract.terms;
    let abort = Abort {
        purchase: bought.order.purchase(),
        bank: terms.bank,
        reason: AbortReason::Cancelled,
    };
    let forged_abort = Signed::sign(abort, &stranger());
    refused! { desk,
        "a forged abort", settle(desk, SignedDecision::Abort(forged_abort.clone()))
            => contract!(ContractFault::Decision(_)),
    }
    let elsewhere = SettleOne {
        escrow: stranger().public(),
        decision: SignedDecision::Abort(forged_abort.clone()),
    };
    refused! { desk,
        "an abort by an escrow that the bank does not know", elsewhere
            => contract!(ContractFault::UnknownParty { .. }),
    }
    assert!(matches!(
        sale.held().on_abort(forged_abort),
        Err(PurchaseError::Signature(_))
    ));
}

/// The purchase is committed. Nothing changes that.
async fn everything_after_the_commit(desk: &Desk, sale: &Sale) -> Committed {
    let Sale {
        bought,
        hold,
        rival,
        rivals_hold,
        key,
    } = sale;
    let hand = &desk.hand;
    let release = bought.release(hold, key);
    let committed = hand.ask(release.clone()).await.unwrap();
    quiet().await;
    let Outcome::Committed(late) = desk.told(bought.cancel()).await else {
        panic!("a cancel after the commit gets the receipt")
    };
    assert_eq!(*late, committed);
    assert_eq!(desk.told(release).await, committed);
    let receipt = committed.receipt.clone();
    let forged_receipt: Signed<Receipt> = Signed::sign(receipt.body.clone(), &stranger());
    assert!(matches!(
        sale.held().on_receipt(forged_receipt),
        Err(PurchaseError::Signature(_))
    ));
    let rivals = Purchase::Held(rival.order.clone(), rivals_hold.clone());
    assert!(matches!(
        rivals.on_receipt(receipt),
        Err(PurchaseError::Mismatch("purchase"))
    ));
    refused! { desk,
        "a hold of what is paid", bought.hold() => purchase!(PurchaseFault::Committed(_)),
        "a second sale of one offer", rival.release(rivals_hold, key) => purchase!(PurchaseFault::Sold),
    }
    committed
}

/// Requests about the committed purchase, without its purchase key.
async fn requests_signed_by_another(desk: &Desk, sale: &Sale) {
    let (order, purchase_key) = (&sale.bought.order, &sale.bought.purchase_key);
    let outcome = order.outcome_request(purchase_key);
    refused! { desk,
        "an outcome asked for by another",
            with(&outcome, |o| o.signature = sale.signed_by(&stranger(), PurchaseKeyUse::Outcome))
            => request!(RequestFault::Signature { .. }),
    }
    let collect = order.collect_request(purchase_key);
    refused! { desk,
        "a commit collected by another",
            with(&collect, |c| c.signature = sale.signed_by(&stranger(), PurchaseKeyUse::Collect))
            => request!(RequestFault::Signature { .. }),
    }
}

async fn altered_commits(desk: &Desk, committed: &Committed) {
    let commit = &committed.commit;
    let altered = |change: fn(&mut Commit)| {
        settle(
            desk,
            SignedDecision::Commit(with(commit, |c| change(&mut c.body))),
        )
    };
    refused! { desk,
        "a commit for more", altered(|c| c.amount = Amount(9999)) => contract!(ContractFault::Decision(_)),
        "a commit to another account", altered(|c| c.account = stranger().public())
            => contract!(ContractFault::Decision(_)),
        "a commit at another bank", altered(|c| c.bank = stranger().public())
            => request!(RequestFault::NotForMe { .. }),
    }
}

/// The rival's purchase is aborted. Nothing changes that either.
async fn everything_after_the_abort(desk: &Desk, sale: &Sale) {
    let Sale {
        rival,
        rivals_hold,
        key,
        ..
    } = sale;
    let hand = &desk.hand;
    let Outcome::Aborted(abort) = hand.ask(rival.cancel()).await.unwrap() else {
        panic!("it was open")
    };
    quiet().await;
    refused! { desk,
        "a release of what is cancelled", rival.release(rivals_hold, key)
            => purchase!(PurchaseFault::AbortedBy(_)),
        "a hold of what is cancelled", rival.hold() => purchase!(PurchaseFault::Aborted(_)),
        "a delivery of a cancelled purchase that was never released",
            with(&rival.deliver(rivals_hold), |d| d.hold.body.bank_hold.signature.response = EncodedScalar(NOT_CANONICAL))
            => contract!(ContractFault::Hold(_)),
    }
    assert_eq!(desk.told(rival.cancel()).await, Outcome::Aborted(abort.clone()));
    assert!(matches!(
        sale.held().on_abort(abort),
        Err(PurchaseError::Mismatch("purchase"))
    ));
}

async fn requests_after_the_deadline(desk: &Desk) {
    let hand = &desk.hand;
    let offer = hand.offer().await;
    let deadline_ms = offer.body.expires_ms - 3_600_000 + 10_000;
    let late = hand.order_until(offer, &hand.withdraw(&EXACT).await, deadline_ms);
    let hold = hand.held(&late).await;
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    refused! { desk,
        "a release after the deadline", late.release(&hold, &desk.goods_key(&late))
            => purchase!(PurchaseFault::DeadlinePassed(_)),
        "a hold after the deadline", late.hold() => contract!(ContractFault::DeadlineTooSoon),
    }
    hand.ask(late.cancel()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn sealed_offers() {
    let desk = Desk::of(World::sealed(8).await, 8).await;
    let hand = &desk.hand;
    let offer = hand.offer().await;
    let bought = hand.order_of(offer.clone(), &hand.withdraw(&EXACT).await);
    let rival = hand.order_of(offer, &hand.withdraw(&EXACT).await);
    let short = hand.order(&hand.withdraw(&EXACT[1..]).await).await;
    let paying = |change: fn(&mut HoldRequest)| with(&bought.pay(), |pay| change(&mut pay.0));
    let unsealed = |pay: &mut HoldRequest| pay.contract.offer.body.sealed_key = None;
    refused! { desk,
        "a payment at another escrow", paying(|pay| pay.contract.terms.escrow = stranger().public())
            => request!(RequestFault::NotForMe { .. }),
        "a payment for an offer whose sealed key is taken out", paying(unsealed)
            => contract!(ContractFault::OfferForged(_)),
        "a payment for a sealed key that was changed",
            paying(|pay| pay.contract.offer.body.sealed_key.as_mut().unwrap().sealed.body.0[0] ^= 1)
            => contract!(ContractFault::OfferForged(_)),
        "a payment of other terms", paying(|pay| pay.contract.terms.price = Amount(1))
            => contract!(ContractFault::DoesNotFit(_)),
        "a payment with another's coins", with(&bought.pay(), |pay| pay.0.payment = rival.order.payment.clone())
            => contract!(ContractFault::OtherNote),
        "a payment that nobody agreed to", paying(|pay| pay.contract.signature.response.0[0] ^= 1)
            => contract!(ContractFault::Forged(_)),
        "a payment with a coin that nobody authorized", paying(|pay| pay.payment.authorizations[0].response.0[0] ^= 1)
            => coin!(0, CoinFault::Authorization(_)),
        "a payment of too little", short.pay() => contract!(ContractFault::Worth { .. }),
    }
    let merchant = desk.world.foundation.key(Party::Merchant(0));
    let request = SalesRequest {
        escrow: hand.key(Escrow),
        merchant: merchant.public(),
        known: 0,
    };
    let elsewhere = SalesRequest {
        escrow: stranger().public(),
        ..request
    };
    refused! { desk,
        "sales asked for by another", Signed::sign(request, &stranger()) => request!(RequestFault::Signature { .. }),
        "sales asked for at another escrow", Signed::sign(elsewhere, &merchant)
            => request!(RequestFault::NotForMe { .. }),
    }

    let outcome = hand.ask(bought.pay()).await.unwrap();
    quiet().await;
    assert!(matches!(outcome, Outcome::Committed(_)));
    assert_eq!(desk.told(bought.pay()).await, outcome);
    refused! { desk,
        "a hold of what is paid", bought.hold() => purchase!(PurchaseFault::Committed(_)),
    }
    // The coins of the second order are held before the escrow finds that the offer is sold.
    let sold = hand.ask(rival.pay()).await.unwrap_err();
    assert_eq!(sold, PurchaseFault::Sold.into());
    hand.ask(rival.cancel()).await.unwrap();
    desk.world.settle().await;
    desk.balanced().await;

    // An offer without a sealed key cannot be paid by `pay`.
    let desk = Desk::open(9).await;
    let hand = &desk.hand;
    let bought = hand.order(&hand.withdraw(&EXACT).await).await;
    refused! { desk,
        "a payment for an offer that is not sealed", bought.pay() => contract!(ContractFault::DoesNotFit(_)),
    }
}

// ---- goods and disks ----------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn corrupted_goods_are_refused_by_the_wallet_before_anything_is_paid() {
    let desk = Desk::open(6).await;
    let world = &desk.world;
    let alice = world.customer("bob", Amount(2000)).await;
    let wallet = alice.wallet();
    let parties = world.parties();
    wallet.withdraw(&parties.bank, Amount(2000)).await.unwrap();
    let shelf = world.merchant_home(0).join("goods");
    let sealed = fs::read_dir(shelf).unwrap().next().unwrap().unwrap().path();
    let good = fs::read(&sealed).unwrap();
    let output = |name: &str| world.dir().join(name);
    for at in [0, good.len() / 2, good.len() - 1] {
        fs::write(&sealed, with(&good, |bytes| bytes[at] ^= 1)).unwrap();
        let before = desk.journals();
        let refused = wallet
            .buy(&parties, "a picture", &output("corrupt.png"))
            .await
            .unwrap_err();
        assert!(matches!(refused, WalletError::WrongGoods), "{refused}");
        assert!(desk.journals() == before, "something was paid for");
        assert_eq!(spendable(&wallet), Amount(2000));
        let number = wallet.purchases().unwrap().len() as u64 - 1;
        wallet.cancel(number).await.unwrap();
    }
    fs::write(&sealed, good).unwrap();
    wallet
        .buy(&parties, "a picture", &output("bought.png"))
        .await
        .unwrap();
    world.check(&[&wallet]).await;
}

// ---- payments -----------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn payments() {
    let desk = Desk::open(8).await;
    deposits(&desk).await;
    reserves(&desk).await;
    refunds(&desk).await;
    desk.balanced().await;
}

async fn deposits(desk: &Desk) {
    let hand = &desk.hand;
    let purse = hand.withdraw(&[8, 4]).await;
    let (mine, others) = (
        Payee::Account(hand.account()),
        Payee::Reserve(stranger().public()),
    );
    let pays = |outputs: &[(Payee, u64)]| hand.deposit_of(&purse, outputs);
    let good = pays(&[(mine, 12)]);
    let four = [0, 1, 2, 3].map(|number| (Payee::Reserve(hand.seed.reserve_key(number).public()), 3));
    let twice = hand.deposit_of(&purse.and(&purse), &[(mine, 24)]);
    let no_coins = hand.deposit(DepositFrom::Coins(Vec::new()), &[(mine, 12)]);
    let nobodys = pays(&[(Payee::Account(stranger().public()), 12)]);
    refused! { desk,
        "for another bank", with(&good, |d| d.body.bank = stranger().public())
            => request!(RequestFault::NotForMe { .. }),
        "no payee", pays(&[]) => request!(RequestFault::ListLength { got: 0, .. }),
        "four payees", pays(&four) => request!(RequestFault::Malformed(_)),
        "a payee twice", pays(&[(mine, 4), (mine, 8)]) => request!(RequestFault::Output),
        "nothing for a payee", pays(&[(mine, 12), (others, 0)]) => request!(RequestFault::Output),
        "for a reserve that nobody can own", pays(&[(Payee::Reserve(PublicKey([0xff; 32])), 12)])
            => request!(RequestFault::Output),
        "more than the coins are worth", pays(&[(mine, 13)])
            => issue!(IssueFault::Unbalanced { inputs: Amount(12), outputs: Amount(13) }),
        "less than the coins are worth", pays(&[(mine, 11)]) => issue!(IssueFault::Unbalanced { .. }),
        "a sum that overflows", pays(&[(mine, u64::MAX), (others, 13)]) => issue!(IssueFault::Overflow),
        "no coins", no_coins.authorized(&[]) => request!(RequestFault::ListLength { got: 0, .. }),
        "the same coin twice", twice => coin!(2, CoinFault::Twice),
        "an authorization too few", with(&good, |d| d.authorizations.truncate(1))
            => request!(RequestFault::ListMismatch { got: 1, expected: 2, .. }),
        "swapped authorizations", with(&good, |d| d.authorizations.swap(0, 1))
            => coin!(0, CoinFault::Authorization(_)),
        "another payee than the coins have signed for", with(&good, |d| d.body.outputs[0].to = others)
            => coin!(0, CoinFault::Authorization(_)),
        "an account that is not there", nobodys => said if denied!(desk, said, DenialCause::UnknownAccount(_)),
    }
    let held = hand.withdraw(&EXACT).await;
    hand.held(&hand.order(&held).await).await;
    hand.ask(good).await.unwrap();
    refused! { desk,
        "coins that are held", hand.deposit_of(&held, &[(mine, PRICE)])
            => said if coin_denied!(desk, said, CoinDenial::Held(_)),
        "coins that were deposited for another payee", pays(&[(others, 12)])
            => said if coin_denied!(desk, said, CoinDenial::Deposited { deposited: Some(_), .. }),
    }
}

async fn reserves(desk: &Desk) {
    let hand = &desk.hand;
    let (reserve, thief) = (hand.seed.reserve_key(7), stranger());
    hand.fill(&reserve.public(), &[8]).await;
    let asked = ReserveRequest {
        bank: hand.key(Bank),
        reserve: reserve.public(),
    };
    let mine = Payee::Account(hand.account());
    let pays = |amount| hand.deposit_from(&reserve, &[(mine, amount)]);
    let stolen = hand.deposit(DepositFrom::Reserve(reserve.public()), &[(mine, 8)]);
    refused! { desk,
        "the sums for another bank", Signed::sign(with(&asked, |r| r.bank = thief.public()), &reserve)
            => request!(RequestFault::NotForMe { .. }),
        "the sums of another's reserve", Signed::sign(asked, &thief) => request!(RequestFault::Signature { .. }),
        "a deposit of another's reserve", stolen.authorized(std::slice::from_ref(&thief))
            => request!(RequestFault::Signature { .. }),
        "a deposit that nobody has signed", with(&pays(8), |d| d.authorizations.clear())
            => request!(RequestFault::ListMismatch { got: 0, expected: 1, .. }),
        "a deposit of more than the reserve has", pays(9)
            => said if denied!(desk, said, DenialCause::Reserve(fault) if fault.asked == Amount(9)),
    }
    let planned = hand.reserve_withdrawal(&reserve.public(), &[8]).await;
    let begin = hand.reserve_begin(&planned, &reserve);
    let dear = hand.reserve_withdrawal(&reserve.public(), &[16]).await;
    let as_account = Signed {
        body: begin.body.0.clone(),
        signature: begin.signature,
    };
    refused! { desk,
        "a withdrawal that another begins", hand.reserve_begin(&planned, &thief)
            => request!(RequestFault::Signature { .. }),
        "a withdrawal of more than the reserve has", hand.reserve_begin(&dear, &reserve)
            => said if denied!(desk, said, DenialCause::Reserve(fault) if fault.asked == Amount(16)),
        "a reserve as an account", as_account => request!(RequestFault::Signature { .. }),
    }
    let begun = hand.reserve_begun(&planned, &reserve).await.unwrap();
    hand.ask(pays(8)).await.unwrap();
    refused! { desk,
        "a withdrawal that another finishes", hand.reserve_finish(&begun, &thief)
            => request!(RequestFault::Signature { .. }),
        "a withdrawal of what the reserve has no more", hand.reserve_finish(&begun, &reserve)
            => said if denied!(desk, said, DenialCause::Reserve(_)),
        "the same again", hand.reserve_finish(&begun, &reserve) => issue!(IssueFault::SessionGone),
    }
}

async fn refunds(desk: &Desk) {
    let hand = &desk.hand;
    let merchant = MerchantSecret::load(&desk.world.merchant_home(0)).unwrap();
    let (merchant, customer) = (merchant.account_key(), hand.seed.account_key());
    let sold = hand.order(&hand.withdraw(&EXACT).await).await;
    let aborted = hand.order(&hand.withdraw(&EXACT).await).await;
    let terms = &sold.order.contract.terms;
    let hold = hand.held(&sold).await;
    refused! { desk,
        "before the bank has credited it", hand.refund(terms, 1, &merchant)
            => purchase!(PurchaseFault::Unknown(_)),
    }
    hand.ask(sold.deliver(&hold)).await.unwrap();
    hand.held(&aborted).await;
    hand.ask(aborted.cancel()).await.unwrap();
    desk.world.settle().await;
    let good = hand.refund(terms, 1, &merchant);
    refused! { desk,
        "for another bank", Signed::sign(with(&good.body, |r| r.bank = stranger().public()), &merchant)
            => request!(RequestFault::NotForMe { .. }),
        "signed by another", Signed::sign(good.body, &customer) => request!(RequestFault::Signature { .. }),
        "another's sale", hand.refund(terms, 1, &customer) => purchase!(PurchaseFault::Unknown(_)),
        "more than the price", hand.refund(terms, PRICE + 1, &merchant)
            => purchase!(PurchaseFault::RefundTooHigh { .. }),
        "an aborted purchase", hand.refund(&aborted.order.contract.terms, 1, &merchant)
            => purchase!(PurchaseFault::Aborted(_)),
    }
    hand.ask(hand.refund(terms, 100, &merchant)).await.unwrap();
    for total in [0, 1, 100] {
        assert_eq!(
            desk.told(hand.refund(terms, total, &merchant)).await.body.total,
            Amount(total)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_for_now() {
    let desk = Desk::open(7).await;
    let hand = &desk.hand;
    let (purse, other) = (hand.withdraw(&EXACT).await, hand.withdraw(&EXACT).await);
    let (bought, cancelled) = (hand.order(&purse).await, hand.order(&other).await);
    let withdrawal = hand.withdrawal_begun(&hand.withdrawal(&[1]).await).await;
    let exchange = hand.exchange(&purse, &EXACT).await;
    let exchange = hand.exchange_begun(&exchange, &purse).await;
    let disks = desk.world.disks();
    for disk in &disks {
        disk.set_capacity(Some(0));
    }
    // Room that was reserved before is used up first.
    for number in 0..10_000 {
        let cash = Cash {
            key: hand.account(),
            amount: Amount(1),
            reference: format!("fill {number}"),
        };
        if desk
            .world
            .bank()
            .administer(Command::AccountCredit(cash))
            .await
            .is_err()
        {
            break;
        }
    }
    let full = |refusal: &Refusal| *refusal == Later::Unavailable("its disk is full".into()).into();
    refused! { desk,
        "a withdrawal", hand.withdraw_finish(&withdrawal) => refusal if full(refusal),
        "an exchange", hand.exchange_finish(&exchange, &purse) => refusal if full(refusal),
        "a hold", bought.hold() => refusal if full(refusal),
    }
    for disk in &disks {
        disk.set_capacity(None);
    }
    let hold = hand.held(&bought).await;
    hand.ask(bought.deliver(&hold)).await.unwrap();
    hand.ask(cancelled.cancel()).await.unwrap();
    desk.world.settle().await;
    desk.balanced().await;
}
