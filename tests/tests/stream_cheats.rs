//! Streams whose merchant, escrow or customer cheats, is gone, or comes back. Nobody pays for a tick whose key they cannot
//! have, and nobody gives a key that is not paid for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_client::{
    error::WalletError,
    purchase::{Seen, WatchEnd, WatchLimits},
};
use farthing_node::{
    admin::AdminHandler,
    card::{Card, RoleName},
};
use farthing_protocol::{
    api::{EscrowRequest, MerchantRequest},
    evidence::{Charge, Papers},
    money::Amount,
};
use farthing_simulation::{
    customer::CustomerMachine,
    foundation::{ITEM, Population, TICKS},
    machine::Death,
    party::Party,
    setting::{self, Setting, convicts},
    shopping::UNTIL_AFTER_THE_DEADLINE,
    stream_cheats::{CommitsTheFirstVoucher, LiesAboutTicks, TickLie, price},
    streams::{Viewer, WANTED, WINDOW, limits, watch_once},
};
use serde_json::json;
use tokio::time::sleep;

const ESCROW: Party = Party::Escrow(0);
const MERCHANT: Party = Party::Merchant(0);

/// What the customer has. The whole price of the stream is held at first.
const FUNDS: Amount = Amount(2000);

fn streaming(seed: u64, test: impl AsyncFnOnce(Setting)) {
    setting::setting(seed, Population::streaming(), (FUNDS, FUNDS), test);
}

async fn watches(it: &Setting) -> Result<Seen, WalletError> {
    watch_once(&it.world, &it.wallet).await
}

/// The ticks of the only purchase, which has ended. All money is where it belongs.
async fn ends_with(it: &Setting, ticks: u32) {
    let resumed = it.wallet.resume().await.unwrap();
    assert!(resumed.open.is_empty(), "{:?}", resumed.open);
    it.world.settle().await;
    let purchases = it.wallet.purchases().unwrap();
    let ended: Vec<_> = purchases
        .iter()
        .map(|(_, row)| row.purchase.committed_ticks())
        .collect();
    assert_eq!(ended, [(ticks > 0).then_some(ticks)]);
    assert_eq!(it.earned().await, price(ticks));
    assert_eq!(it.balance().0, FUNDS.0 - price(ticks).0);
    it.books_balance().await;
}

fn is_stop(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Merchant
        && matches!(MerchantRequest::decode(request), Ok(MerchantRequest::Stop(_)))
}

/// Watches all that is wanted. The request to end the stream is lost.
async fn left_open(it: &Setting) -> u64 {
    it.world.network.block(is_stop);
    let left = watches(it).await;
    assert!(left.as_ref().is_err_and(WalletError::is_silence), "{left:?}");
    it.world.network.unblock();
    let (number, row) = it.wallet.purchases().unwrap().pop().unwrap();
    assert_eq!(row.purchase.status(), "streaming");
    number
}

// ---- merchants ----------------------------------------------------------------------------------------------------

/// A merchant lies about the key of the first payment. The escrow gives the key, and nothing more is paid.
fn keeps_a_key(seed: u64, lie: TickLie) {
    streaming(seed, async |it| {
        let key = it.key(MERCHANT);
        it.world.cheat(MERCHANT, LiesAboutTicks { key, lie });
        let seen = watches(&it).await.unwrap();
        assert_eq!(seen.ticks, u32::from(WINDOW));
        assert!(matches!(seen.end, WatchEnd::Merchant(_)), "{:?}", seen.end);
        it.world.honest(MERCHANT);
        ends_with(&it, WINDOW.into()).await;
        it.world.check(&[&it.wallet]).await;
    });
}

#[test]
fn a_merchant_that_keeps_a_key_is_paid_no_more_and_the_escrow_gives_the_key() {
    keeps_a_key(1, TickLie::KeepsKeys);
}

#[test]
fn a_merchant_that_gives_another_key_is_paid_no_more_and_the_escrow_gives_the_key() {
    keeps_a_key(2, TickLie::OtherKeys);
}

#[test]
fn a_merchant_whose_ticks_do_not_open_is_convicted() {
    streaming(3, async |it| {
        let (key, lie) = (it.key(MERCHANT), TickLie::DoNotOpen);
        it.world.cheat(MERCHANT, LiesAboutTicks { key, lie });
        let seen = watches(&it).await.unwrap();
        assert_eq!(seen.end, WatchEnd::DoesNotOpen(1));
        // It is proof and not a refund: what one voucher pays for is lost.
        ends_with(&it, WINDOW.into()).await;
        let papers = it.wallet.papers(seen.number).unwrap();
        let charge = it.merchant(Charge::TickDoesNotOpen { tick: 1 });
        convicts(&[papers, it.sale().await], &[charge]);
    });
}

#[test]
fn a_merchant_that_has_not_signed_its_ticks_is_paid_nothing() {
    streaming(13, async |it| {
        let (key, lie) = (it.key(MERCHANT), TickLie::Unsigned);
        it.world.cheat(MERCHANT, LiesAboutTicks { key, lie });
        let seen = watches(&it).await.unwrap();
        assert_eq!(seen.ticks, 0);
        assert!(matches!(seen.end, WatchEnd::Merchant(_)), "{:?}", seen.end);
        it.world.honest(MERCHANT);
        ends_with(&it, 0).await;
    });
}

#[test]
fn a_merchant_that_ends_a_stream_after_one_payment_is_paid_once() {
    streaming(4, async |it| {
        let (key, lie) = (it.key(MERCHANT), TickLie::EndsEarly);
        it.world.cheat(MERCHANT, LiesAboutTicks { key, lie });
        let seen = watches(&it).await.unwrap();
        assert_eq!((seen.ticks, seen.end), (u32::from(WINDOW), WatchEnd::AllSeen));
        // The wallet opens no second one.
        ends_with(&it, WINDOW.into()).await;
    });
}

#[test]
fn a_merchant_that_says_that_all_is_paid_is_not_believed() {
    streaming(5, async |it| {
        let (key, lie) = (it.key(MERCHANT), TickLie::SaysAllIsPaid);
        it.world.cheat(MERCHANT, LiesAboutTicks { key, lie });
        let seen = watches(&it).await.unwrap();
        assert_eq!((seen.ticks, seen.end), (WANTED, WatchEnd::Stopped));
        ends_with(&it, WANTED).await;
        it.world.check(&[&it.wallet]).await;
    });
}

// ---- escrows ------------------------------------------------------------------------------------------------------

#[test]
fn an_escrow_that_commits_less_than_it_has_promised_is_convicted() {
    streaming(6, async |it| {
        let cheat = it
            .world
            .cheat(ESCROW, CommitsTheFirstVoucher::new(it.key(ESCROW)));
        let all = WatchLimits {
            ticks: None,
            window: 1,
            ..limits()
        };
        let mut viewer = Viewer::new(&it.world, &it.wallet);
        let parties = it.world.parties();
        let seen = it.wallet.watch(&parties, ITEM, all, &mut viewer).await.unwrap();
        drop(cheat);
        assert_eq!((seen.ticks, seen.end), (TICKS, WatchEnd::AllSeen));
        it.world.honest(ESCROW);
        it.world.settle().await;
        // The merchant has shown the vouchers for two and for four ticks.
        let (_, row) = it.wallet.purchases().unwrap().pop().unwrap();
        assert_eq!(row.purchase.committed_ticks(), Some(2));
        assert_eq!(it.earned().await, price(2));
        let papers = it.wallet.papers(seen.number).unwrap();
        let charge = it.escrow(Charge::RaisedNotKept);
        convicts(&[papers, it.sale().await], &[charge]);
    });
}

/// A merchant shows a commit without the voucher, which the escrow has.
#[test]
fn an_escrow_that_is_accused_of_a_commit_without_a_voucher_shows_it() {
    streaming(14, async |it| {
        watches(&it).await.unwrap();
        ends_with(&it, WANTED).await;
        let papers = it.sale().await;
        let purchase = papers.commit.as_ref().unwrap().body.purchase;
        let accusing = Papers {
            voucher: None,
            ..papers
        };
        let charge = it.escrow(Charge::CommittedWithoutVoucher);
        convicts(std::slice::from_ref(&accusing), &[charge]);
        let escrow = it.world.escrow(0);
        let asked = escrow
            .admin(json!({ "do": "evidence", "purchase": purchase }))
            .await;
        let shown: Papers = serde_json::from_value(asked.unwrap()).unwrap();
        convicts(&[accusing, shown], &[]);
    });
}

#[test]
fn the_dates_pass_while_the_escrow_is_down_and_what_it_was_shown_is_paid() {
    streaming(7, async |it| {
        left_open(&it).await;
        it.world.stop(ESCROW);
        sleep(UNTIL_AFTER_THE_DEADLINE).await;
        it.world.start(ESCROW).await;
        it.world.settle().await;
        let resumed = it.wallet.resume().await.unwrap();
        assert!(resumed.open.is_empty(), "{:?}", resumed.open);
        let (_, row) = it.wallet.purchases().unwrap().pop().unwrap();
        let paid = row.purchase.committed_ticks().unwrap();
        // The merchant has shown what two ticks cost, or could show all before the bank asked.
        assert!((u32::from(WINDOW)..=WANTED).contains(&paid), "{paid}");
        ends_with(&it, paid).await;
    });
}

// ---- customers ----------------------------------------------------------------------------------------------------

#[test]
fn a_stream_that_is_open_cannot_be_cancelled() {
    streaming(8, async |it| {
        let number = left_open(&it).await;
        it.world.network.block(is_stop);
        let cancelled = it.wallet.cancel(number).await;
        assert!(
            cancelled.as_ref().is_err_and(WalletError::is_silence),
            "{cancelled:?}"
        );
        assert_eq!(it.status(number), "streaming");
        it.world.network.unblock();
        ends_with(&it, WANTED).await;
    });
}

/// The customer cancels without knowing that the escrow has opened the stream.
#[test]
fn a_cancel_that_comes_after_the_opening_finds_the_stream_open() {
    streaming(9, async |it| {
        let lost = |card: &Card, request: &[u8]| {
            card.role == RoleName::Escrow
                && matches!(EscrowRequest::decode(request), Ok(EscrowRequest::Open(_)))
        };
        let parties = it.world.parties();
        let number = it
            .wallet
            .begin_purchase(&parties, ITEM, &it.output())
            .await
            .unwrap();
        it.world.network.block(lost);
        let stuck = it.wallet.drive_purchase(number).await;
        assert!(stuck.as_ref().is_err_and(WalletError::is_silence), "{stuck:?}");
        it.world.network.unblock();
        // Nothing was held, so the cancel aborts.
        it.wallet.cancel(number).await.unwrap();
        assert_eq!(it.status(number), "aborted");
        ends_with(&it, 0).await;
    });
}

#[test]
fn a_wallet_that_is_restored_in_the_middle_of_a_stream_ends_it() {
    streaming(10, async |it| {
        left_open(&it).await;
        let copy = CustomerMachine::with_phrase_of(&it.world, &it.customer, "restored");
        let wallet = copy.wallet();
        wallet
            .restore(&it.world.parties().bank, it.world.dir())
            .await
            .unwrap();
        let resumed = wallet.resume().await.unwrap();
        assert!(resumed.open.is_empty(), "{:?}", resumed.open);
        it.world.settle().await;
        let (_, row) = wallet.purchases().unwrap().pop().unwrap();
        assert_eq!(row.purchase.committed_ticks(), Some(WANTED));
        assert_eq!(it.earned().await, price(WANTED));
        let left = farthing_simulation::money::spendable(&wallet);
        assert_eq!(left.0, FUNDS.0 - price(WANTED).0);
        it.books_balance().await;
    });
}

#[test]
fn a_wallet_goes_on_after_the_last_voucher() {
    streaming(11, async |it| {
        let number = left_open(&it).await;
        let mut viewer = Viewer::new(&it.world, &it.wallet);
        let seen = it.wallet.watch_on(number, limits(), &mut viewer).await.unwrap();
        // The stream has two ticks more.
        assert_eq!((seen.ticks, seen.end), (2, WatchEnd::AllSeen));
        ends_with(&it, WANTED + 2).await;
    });
}

#[test]
fn a_merchant_that_dies_in_the_middle_goes_on_with_a_file() {
    streaming(12, async |it| {
        let number = left_open(&it).await;
        it.world.restart(MERCHANT, Death::PowerLost).await;
        let mut viewer = Viewer::new(&it.world, &it.wallet);
        let seen = it.wallet.watch_on(number, limits(), &mut viewer).await.unwrap();
        // The merchant has lost the last voucher, and the wallet has it.
        assert_eq!((seen.ticks, seen.end), (2, WatchEnd::AllSeen));
        ends_with(&it, WANTED + 2).await;
    });
}
