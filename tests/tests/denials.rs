//! Final refusals. A wallet gives up nothing unless the bank has signed a denial of that request. A coin counts as
//! used only with what was issued for it. Banks, escrows and customers cheat about this, each to its end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use farthing_bank::evidence::About;
use farthing_client::{
    error::WalletError,
    receive::{Change, Destination, Taken},
    rows::{CoinRow, CoinStatus, DepositState},
};
use farthing_coin::{PublicKey, SecretKey, Seed, Signed};
use farthing_kit::by_hand::ByHand;
use farthing_node::card::RoleName;
use farthing_protocol::{
    denial::Denial,
    deposited::Payee,
    evidence::{Charge, Papers},
    money::Amount,
    refusal::Refusal,
    reserve_sums::ReserveSums,
};
use farthing_simulation::{
    cheats::NeverReleases,
    denials::{AnswersWithRefusals, ForgesDenials, SignsWithAnotherKey, StealsInExchange, Theft},
    foundation::Population,
    party::Party,
    payments::{DeniesDeposits, KeepsReserves, LearnsLate},
    setting::{self, Setting, convicts},
    shopping::{SENT, request_of_bob},
};

const BANK: Party = Party::Bank;
const ESCROW: Party = Party::Escrow(0);
const MERCHANT: Party = Party::Merchant(0);

/// What the account has at first.
const FUNDS: Amount = Amount(4000);

/// What the customer withdraws.
const WITHDRAWN: Amount = Amount(2000);

fn setting(seed: u64, test: impl AsyncFnOnce(Setting)) {
    setting::setting(seed, Population::default(), (FUNDS, WITHDRAWN), test);
}

// ---- exchanges that are denied by their own signatures ------------------------------------------------------------

/// The bank has the wallet's signatures of a finish that it did not answer.
fn steals(seed: u64, theft: Theft) {
    setting(seed, async |it| {
        let coin = it.largest();
        let key = coin.coin.public;
        it.bank_cheats(StealsInExchange::new(it.key(BANK), theft));
        if theft == Theft::ProofOfAnother {
            let mut coins = it.wallet.present_coins().unwrap();
            coins.retain(|row| row.coin.public != key);
            it.wallet.exchange(vec![coins[0].clone()]).await.unwrap();
        }
        let outcome = it.wallet.exchange(vec![coin]).await;
        match theft {
            // It is not signed, so the exchange stays under way.
            Theft::Unsigned => {
                assert!(
                    outcome.as_ref().is_err_and(WalletError::is_silence),
                    "{outcome:?}"
                );
                assert!(matches!(it.row(&key).status, CoinStatus::InExchange(_)));
                assert_eq!(it.wallet.denied_coins().unwrap(), []);
            }
            // The bank has taken the coin and shows what it issued for it. The wallet takes that.
            Theft::Belated => {
                outcome.unwrap();
                assert!(matches!(it.row(&key).status, CoinStatus::Exchanged(_)));
                assert_eq!(it.balance(), WITHDRAWN);
                assert_eq!(it.wallet.denied_coins().unwrap(), []);
            }
            // No coin is given up, and the denial convicts the bank, no matter what it showed.
            Theft::WithoutProof | Theft::ProofOfAnother | Theft::Kept => {
                let error = outcome.unwrap_err();
                assert!(
                    matches!(error, WalletError::CoinDenied { coin, .. } if coin == key),
                    "{error}"
                );
                assert_eq!(it.row(&key).status, CoinStatus::Available);
                convicts(
                    &it.wallet.denied_coins().unwrap(),
                    &[it.bank(Charge::CoinDenied(key))],
                );
            }
        }
        let papers = it.wallet.denied_coins().unwrap();
        it.ends_well().await;
        // The later use of the coin clears the bank that issued for it.
        let mut together = it.coin_papers(&key);
        together.extend(papers);
        convicts(&together, &[]);
    });
}

/// The bank has carried the payment out, and denies a coin without what it has credited for it.
#[test]
fn a_bank_that_denies_a_payment_that_it_has_carried_out_is_convicted() {
    setting(31, async |it| {
        it.bank_cheats(DeniesDeposits(it.key(BANK)));
        let bank = it.world.parties().bank;
        let error = it.wallet.redeem(&bank, WITHDRAWN, false).await.unwrap_err();
        let WalletError::CoinDenied { coin, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(it.row(&coin).status, CoinStatus::Available);
        let papers = it.wallet.denied_coins().unwrap();
        convicts(&papers, &[it.bank(Charge::CoinDenied(coin))]);
        // The next use of the coin shows the deposit. That is the answer to the payment, and clears the bank.
        let outcome = it.wallet.exchange(vec![it.row(&coin)]).await;
        assert!(matches!(outcome, Err(WalletError::Refused { .. })), "{outcome:?}");
        let state = it.wallet.payment(0).unwrap().state;
        assert!(matches!(state, DepositState::Done(_)), "{state:?}");
        assert!(matches!(it.row(&coin).status, CoinStatus::Deposited(0)));
        it.ends_well().await;
        let mut together = it.coin_papers(&coin);
        together.extend(papers);
        convicts(&together, &[]);
    });
}

/// A customer who makes every message by hand. Other customers pay to the reserves of its wallet.
fn by_hand(it: &Setting, name: &str) -> ByHand {
    let parties = it.world.parties();
    let cards = [parties.bank, parties.escrow, parties.merchant];
    let seed = it.world.foundation.seed_of(name).for_bank(&it.identity(BANK));
    ByHand::new(it.world.wire(), it.world.clock.clone(), cards, seed)
}

/// The bank's denial of a withdrawal from the reserve.
async fn denied_withdrawal(hand: &ByHand, reserve: &SecretKey, values: &[u64]) -> Signed<Denial> {
    let withdrawal = hand.reserve_withdrawal(&reserve.public(), values).await;
    match hand.reserve_begun(&withdrawal, reserve).await {
        Err(Refusal::Denied(denial)) => *denial,
        other => panic!("it is not denied: {other:?}"),
    }
}

/// The bank says that less was paid to a reserve than it has signed to the payer, and pays nothing from it.
#[test]
fn a_bank_that_keeps_what_was_paid_for_a_request_is_convicted() {
    setting(32, async |it| {
        let (uri, hand) = (request_of_bob(&it.world), by_hand(&it, "bob"));
        let reserve = hand.seed.reserve_key(0);
        let payee = reserve.public();
        assert_eq!(uri.to, Payee::Reserve(payee));
        let charge = [it.bank(Charge::ReserveDenied(payee))];
        it.wallet.pay(&uri, SENT, false).await.unwrap();
        // Papers of an honest bank that denies more than there is.
        let accusing = |denial| Papers {
            deposits: it.wallet.payment_proof(0).unwrap().deposits,
            keys: Some(it.world.bank().keys().book().signed().clone()),
            denials: vec![denial],
            ..Papers::default()
        };
        let too_much = accusing(denied_withdrawal(&hand, &reserve, &[256]).await);
        convicts(std::slice::from_ref(&too_much), &[]);

        it.bank_cheats(KeepsReserves {
            key: it.key(BANK),
            kept: SENT,
        });
        assert_eq!(hand.sums(&reserve).await, ReserveSums::default());
        let kept = accusing(denied_withdrawal(&hand, &reserve, &[128]).await);
        convicts(std::slice::from_ref(&kept), &charge);
        // Without what the payer has, or without the denial, they convict nobody.
        let without: [fn(&mut Papers); 2] =
            [|papers| papers.deposits.clear(), |papers| papers.denials.clear()];
        for leave_out in without {
            let mut papers = kept.clone();
            leave_out(&mut papers);
            convicts(&[papers], &[]);
        }

        // The honest bank pays. It shows the debit, and is cleared of a denial of more than is left.
        it.world.honest(BANK);
        let withdrawal = hand.reserve_withdrawal(&payee, &[128]).await;
        let begun = hand.reserve_begun(&withdrawal, &reserve).await.unwrap();
        hand.ask(hand.reserve_finish(&begun, &reserve)).await.unwrap();
        let left = accusing(denied_withdrawal(&hand, &reserve, &[128]).await);
        convicts(std::slice::from_ref(&left), &charge);
        let own = it.banks_papers(&About::Reserve { key: payee });
        convicts(&[own, vec![left, kept, too_much]].concat(), &[]);
        it.books_balance().await;
    });
}

/// A purchase that gives change, which the wallet has not received. Returns its number, its change and the reserve.
async fn bought_with_change(it: &Setting) -> (u64, Change, PublicKey) {
    let output = it.world.dir().join("picture.png");
    let number = it
        .wallet
        .buy(&it.world.parties(), "a picture", &output)
        .await
        .unwrap();
    it.world.settle().await;
    let change = it.wallet.change_of_purchase(number).unwrap();
    assert!(
        change.amount > Amount(0) && change.due == change.amount,
        "{change:?}"
    );
    let purchase = it.wallet.purchase(number).unwrap().purchase;
    let reserve = purchase.order().unwrap().contract.terms.purchase_key;
    (number, change, reserve)
}

/// The bank learns of the change when it is asked for it. It pays, denies nothing, and the wallet knows what it got.
#[test]
fn a_bank_that_learns_of_the_change_when_it_is_asked_for_it_pays_it() {
    let (population, funds) = (Population::with_price(Amount(350)), Amount(800));
    setting::setting(34, population, (funds, funds), async |it| {
        let (number, change, _) = bought_with_change(&it).await;
        it.bank_cheats(LearnsLate::new(KeepsReserves {
            key: it.key(BANK),
            kept: change.amount,
        }));
        let taken = it.wallet.receive_of_purchase(number, Destination::Coins).await;
        let (credited, now) = (change.amount, change.amount);
        assert_eq!(taken.unwrap(), Taken { credited, now });
        assert_eq!(it.wallet.denied_reserves().unwrap(), []);
        assert_eq!(it.wallet.change_of_purchase(number).unwrap().due, Amount(0));
        it.books_balance().await;
    });
}

/// The bank says that it owes no change. The wallet asks for it, and keeps the denial. The merchant has the escrow's commit.
#[test]
fn a_bank_that_keeps_the_change_of_a_purchase_is_convicted_by_its_customer() {
    // No coins of the withdrawal are worth this price together.
    let (population, funds) = (Population::with_price(Amount(350)), Amount(800));
    setting::setting(33, population, (funds, funds), async |it| {
        let (number, change, reserve) = bought_with_change(&it).await;
        assert_eq!(it.wallet.denied_reserves().unwrap(), []);

        it.bank_cheats(KeepsReserves {
            key: it.key(BANK),
            kept: change.amount,
        });
        let kept = it.wallet.receive_change(number).await;
        assert!(kept.as_ref().is_err_and(WalletError::is_silence), "{kept:?}");
        let accusing = [it.wallet.denied_reserves().unwrap(), vec![it.sale().await]].concat();
        convicts(&accusing, &[it.bank(Charge::ReserveDenied(reserve))]);
        convicts(&accusing[1..], &[]);
        // The honest bank pays, and the wallet accuses it no more. Whoever kept the papers convicts nobody with them.
        it.world.honest(BANK);
        it.wallet.receive_change(number).await.unwrap();
        assert_eq!(it.wallet.denied_reserves().unwrap(), []);
        let own = it.banks_papers(&About::Reserve { key: reserve });
        convicts(&[own, accusing].concat(), &[]);
        it.books_balance().await;
    });
}

#[test]
fn a_bank_that_refuses_unsigned_what_it_has_signatures_for_ends_nothing() {
    steals(1, Theft::Unsigned);
}

#[test]
fn a_bank_that_denies_a_coin_by_a_finish_that_it_never_answered_is_convicted() {
    steals(2, Theft::WithoutProof);
}

#[test]
fn a_bank_that_shows_what_it_gave_for_other_coins_is_convicted() {
    steals(3, Theft::ProofOfAnother);
}

#[test]
fn a_bank_that_has_taken_a_coin_in_and_shows_nothing_for_it_is_convicted_and_the_coin_is_made_good_later() {
    steals(4, Theft::Kept);
}

#[test]
fn a_bank_that_shows_at_last_what_it_gave_has_given_it() {
    steals(5, Theft::Belated);
}

// ---- refusals that do not decide the request ----------------------------------------------------------------------

#[test]
fn a_withdrawal_that_was_debited_and_refused_without_a_signature_is_carried_on() {
    setting(11, async |it| {
        it.bank_cheats(AnswersWithRefusals::always(AnswersWithRefusals::balance()));
        let bank = it.world.parties().bank;
        let outcome = it.wallet.withdraw(&bank, Amount(700)).await;
        assert!(
            outcome.as_ref().is_err_and(WalletError::is_silence),
            "{outcome:?}"
        );
        it.ends_well().await;
        assert_eq!(it.balance().0, WITHDRAWN.0 + 700);
    });
}

#[test]
fn an_exchange_that_was_carried_out_and_refused_without_a_signature_is_carried_on() {
    setting(12, async |it| {
        it.bank_cheats(AnswersWithRefusals::always(AnswersWithRefusals::balance()));
        let outcome = it.wallet.exchange(vec![it.largest()]).await;
        assert!(
            outcome.as_ref().is_err_and(WalletError::is_silence),
            "{outcome:?}"
        );
        it.ends_well().await;
        assert_eq!(it.balance(), WITHDRAWN);
    });
}

#[test]
fn a_denial_of_another_request_ends_nothing() {
    setting(13, async |it| {
        let bank = it.world.parties().bank;
        it.bank_cheats(AnswersWithRefusals::replayed());
        // The honest bank denies a request of another customer.
        let other = it.world.customer("bob", Amount(1)).await.wallet();
        let keys = other.withdraw(&bank, Amount(2000)).await.unwrap_err();
        assert!(matches!(keys, WalletError::Refused { .. }), "{keys}");
        for _ in 0..2 {
            let outcome = it.wallet.withdraw(&bank, Amount(700)).await;
            assert!(
                outcome.as_ref().is_err_and(WalletError::is_silence),
                "{outcome:?}"
            );
        }
        let outcome = it.wallet.exchange(vec![it.largest()]).await;
        assert!(
            outcome.as_ref().is_err_and(WalletError::is_silence),
            "{outcome:?}"
        );
        it.ends_well().await;
        assert_eq!(it.balance().0, WITHDRAWN.0 + 1400);
    });
}

#[test]
fn a_denial_that_another_key_has_signed_ends_nothing_and_convicts_nobody() {
    setting(14, async |it| {
        let cheat = SignsWithAnotherKey {
            bank: it.identity(BANK),
            other: it.key(ESCROW),
        };
        it.bank_cheats(cheat);
        let outcome = it.wallet.exchange(vec![it.largest()]).await;
        assert!(
            outcome.as_ref().is_err_and(WalletError::is_silence),
            "{outcome:?}"
        );
        assert_eq!(it.wallet.denied_coins().unwrap(), []);
        it.ends_well().await;
    });
}

#[test]
fn an_honest_denial_ends_a_withdrawal_and_nothing_is_debited_later() {
    setting(15, async |it| {
        let bank = it.world.parties().bank;
        let error = it.wallet.withdraw(&bank, Amount(3000)).await.unwrap_err();
        let WalletError::Refused { refusal, .. } = &error else {
            panic!("{error}")
        };
        assert!(matches!(**refusal, Refusal::Denied(_)), "{error}");
        it.world.pay_in(it.account(), Amount(3000), "later").await;
        let resumed = it.wallet.resume().await.unwrap();
        assert!(resumed.open.is_empty(), "{:?}", resumed.open);
        assert_eq!(it.balance(), WITHDRAWN);
        assert_eq!(it.world.account(it.account()).await, Amount(5000));
    });
}

/// An escrow shows a coin's signature for a purchase that was never held.
fn makes_up_denials(seed: u64, is_signed: bool) {
    setting(seed, async |it| {
        let (key, bank) = (it.key(ESCROW), it.identity(BANK));
        it.world.cheat(ESCROW, ForgesDenials::new(key, bank, is_signed));
        let parties = it.world.parties();
        // A copy of the wallet shows the escrow the coins first.
        let twin = it.customer.copy(&it.world, "twin").wallet();
        let others = it.world.dir().join("other.png");
        let bought = twin.buy(&parties, "a picture", &others).await;
        assert!(bought.as_ref().is_err_and(WalletError::is_silence), "{bought:?}");
        let output = it.world.dir().join("picture.png");
        let number = it
            .wallet
            .begin_purchase(&parties, "a picture", &output)
            .await
            .unwrap();
        it.wallet.drive_purchase(number).await.unwrap();
        assert_eq!(it.wallet.purchase(number).unwrap().purchase.status(), "aborted");
        let used = |row: &CoinRow| {
            matches!(
                row.status,
                CoinStatus::UsedElsewhere(_) | CoinStatus::HeldElsewhere(_)
            )
        };
        assert!(
            !it.wallet.coins().unwrap().iter().any(used),
            "a coin is given up for it"
        );
        assert_eq!(it.wallet.denied_coins().unwrap(), []);
        assert_eq!(it.balance(), WITHDRAWN);
        it.books_balance().await;
    });
}

#[test]
fn an_escrow_that_makes_up_a_refusal_takes_no_coin() {
    makes_up_denials(16, false);
}

#[test]
fn an_escrow_that_makes_up_a_denial_takes_no_coin() {
    makes_up_denials(17, true);
}

// ---- customers who accuse an honest bank --------------------------------------------------------------------------

#[test]
fn nobody_convicts_an_honest_bank_by_an_unused_an_exchanged_or_a_spent_coin() {
    setting(21, async |it| {
        let parties = it.world.parties();
        let unused = it.largest();
        // A copy of the wallet pays with coins. Then the wallet tries to exchange them.
        let customer = it.customer.copy(&it.world, "twin");
        let twin = customer.wallet();
        let output = it.world.dir().join("picture.png");
        twin.buy(&parties, "a picture", &output).await.unwrap();
        it.world.settle().await;
        let spent = twin.coins().unwrap();
        let spent = spent
            .into_iter()
            .find(|row| matches!(row.status, CoinStatus::Spent(_)));
        let spent = spent.unwrap();
        let brought = it.row(&spent.coin.public);
        let error = it.wallet.exchange(vec![brought]).await.unwrap_err();
        let WalletError::Refused { refusal, .. } = error else {
            panic!("{error}")
        };
        let status = it.row(&spent.coin.public).status;
        assert!(matches!(status, CoinStatus::UsedElsewhere(_)), "{status:?}");
        // A customer with hand-made messages shows an exchanged coin again.
        let cards = [parties.bank, parties.escrow, parties.merchant];
        let seed = Seed::from_bytes(&[7; 32]);
        let hand = ByHand::new(it.world.wire(), it.world.clock.clone(), cards, seed);
        it.world.open_account(hand.account(), "mallory").await;
        it.world.pay_in(hand.account(), FUNDS, "mallory").await;
        let purse = hand.withdraw(&[8]).await;
        hand.exchanged(&purse, &[4, 4]).await;
        let again = hand.exchange(&purse, &[8]).await;
        let denied = hand.ask(hand.exchange_begin(&again, &purse)).await.unwrap_err();

        for (coin, refusal) in [(spent.coin, *refusal), (purse.coins[0], denied)] {
            let Refusal::Denied(denial) = refusal else {
                panic!("{refusal}")
            };
            let accusing = it.accusing(coin, vec![*denial]);
            convicts(std::slice::from_ref(&accusing), &[]);
            let mut together = it.coin_papers(&coin.public);
            assert!(!together.is_empty());
            together.push(accusing);
            convicts(&together, &[]);
        }
        convicts(&[it.accusing(unused.coin, Vec::new())], &[]);
        assert_eq!(it.wallet.denied_coins().unwrap(), []);
    });
}

#[test]
fn a_coin_that_is_held_is_denied_and_convicts_nobody() {
    setting(22, async |it| {
        it.world.cheat(MERCHANT, NeverReleases);
        let customer = it.customer.copy(&it.world, "twin");
        let twin = customer.wallet();
        let output = it.world.dir().join("picture.png");
        let bought = twin.buy(&it.world.parties(), "a picture", &output).await;
        assert!(bought.as_ref().is_err_and(WalletError::is_silence), "{bought:?}");
        let held = twin.coins().unwrap();
        let held = held
            .into_iter()
            .find(|row| matches!(row.status, CoinStatus::InPurchase(_)))
            .unwrap();
        let row = it.row(&held.coin.public);
        let error = it.wallet.exchange(vec![row.clone()]).await.unwrap_err();
        let WalletError::Refused { refusal, .. } = &error else {
            panic!("{error}")
        };
        let Refusal::Denied(denial) = &**refusal else {
            panic!("{error}")
        };
        let status = it.row(&held.coin.public).status;
        assert!(matches!(status, CoinStatus::HeldElsewhere(_)), "{status:?}");
        convicts(&[it.accusing(row.coin, vec![(**denial).clone()])], &[]);
        assert_eq!(
            it.wallet.party(RoleName::Bank, None).unwrap().identity,
            it.identity(BANK)
        );

        // The copy's purchase is paid, so the coin is used up. The wallet finds that out at once, and nothing stays
        // open.
        it.world.honest(MERCHANT);
        let resumed = twin.resume().await.unwrap();
        assert!(resumed.open.is_empty(), "{:?}", resumed.open);
        it.world.settle().await;
        let resumed = it.wallet.resume().await.unwrap();
        assert!(resumed.open.is_empty(), "{:?}", resumed.open);
        let status = it.row(&held.coin.public).status;
        assert!(matches!(status, CoinStatus::UsedElsewhere(_)), "{status:?}");
        assert_eq!(it.wallet.denied_coins().unwrap(), []);
    });
}
