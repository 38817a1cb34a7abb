//! Shows the judge every subset of the documents of each run: honest runs, and each cheat that leaves documents. No
//! subset convicts an honest party or clears a guilty one. See `farthing_tests::court`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use farthing_bank::evidence::About;
use farthing_client::{error::WalletError, rows::CoinStatus};
use farthing_coin::{Coin, PublicKey, Seed, Signed};
use farthing_kit::by_hand::ByHand;
use farthing_merchant::secret::MerchantSecret;
use farthing_node::admin::AdminHandler;
use farthing_protocol::{
    denial::DenialCause,
    deposited::Payee,
    documents::AbortReason,
    evidence::{Culprit, Papers},
    money::Amount,
    refusal::Refusal,
};
use farthing_simulation::{
    cheats::{
        AbortsAfterRelease, Cause, DeniesCoins, DeniesCredits, DeniesHolds, DeniesSealedKeys, FalseOffers,
        LeavesMerchantUnpaid, NeverReleases, Pretext, ShowsOtherKeys, SignsWrongKeys, TellsCustomerAbort,
        cancels, overdue, seals_another_key,
    },
    denials::{StealsInExchange, Theft},
    foundation::{ITEM, Population},
    hostile_relay::SecondKey,
    machine::Death,
    party::Party,
    setting::{Setting, setting},
    stream_cheats::{LiesAboutTicks, TickLie},
    streams::watch_once,
};
use farthing_store::clock::Clock;
use farthing_tests::court::{KINDS, Witness, judge_every_choice, kinds};
use serde_json::json;
use std::{cell::RefCell, collections::BTreeSet, ops::Deref};

const ESCROW: Party = Party::Escrow(0);
const MERCHANT: Party = Party::Merchant(0);
const FUNDS: Amount = Amount(2000);

/// Coins worth the price.
const EXACT: [u64; 6] = [512, 128, 64, 16, 4, 1];

thread_local! {
    /// The kinds of documents in the runs of this thread.
    static OCCURRED: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
}

/// One purchase in a world, and its documents.
struct Run {
    setting: Setting,
    number: u64,
    /// Further documents of customers, and the coins whose denial they accuse the bank of.
    accusing: Vec<Papers>,
}

fn run(seed: u64, population: Population, test: impl AsyncFnOnce(&mut Run)) {
    setting(seed, population, (FUNDS, FUNDS), async |setting| {
        let mut run = Run {
            setting,
            number: 0,
            accusing: Vec::new(),
        };
        test(&mut run).await;
    });
}

impl Deref for Run {
    type Target = Setting;

    fn deref(&self) -> &Setting {
        &self.setting
    }
}

impl Run {
    fn bank(&self) -> Culprit {
        Culprit::Bank(self.identity(Party::Bank))
    }

    fn escrow(&self) -> Culprit {
        Culprit::Escrow(self.identity(ESCROW))
    }

    fn merchant(&self) -> Culprit {
        Culprit::Merchant(self.identity(MERCHANT))
    }

    /// Buys the picture, as far as possible.
    async fn buy(&mut self) {
        // The documents show how it ended.
        let (number, _ended) = self.setting.buy().await;
        self.number = number;
    }

    /// A customer accuses the bank of denying this coin, rightly or not.
    fn accuses(&mut self, coin: Coin, refusal: Refusal) {
        let Refusal::Denied(denial) = refusal else {
            panic!("{refusal}")
        };
        let papers = self.accusing(coin, vec![*denial]);
        self.accusing.push(papers);
    }

    /// The documents of each party about the purchase.
    async fn witnesses(&self) -> Vec<Witness> {
        let purchase = self.wallet.purchase(self.number).unwrap().purchase;
        let id = purchase.order().unwrap().purchase();
        let mut customer: Vec<Papers> = self.wallet.papers(self.number).into_iter().collect();
        // Every party of the purchase has the terms and the contract, however it ended.
        customer.push(Papers {
            contract: Some(purchase.order().unwrap().contract.clone()),
            ..Papers::default()
        });
        let mut bank = self.banks_papers(&About::Purchase { id });
        bank.extend(self.banks_papers(&About::Contradictions));
        let evidence = json!({ "do": "evidence", "sale": id });
        let sale = self.world.merchant(0).admin(evidence).await;
        let sale: Option<Papers> = sale
            .ok()
            .map(|answer| serde_json::from_value(answer["evidence"].clone()).unwrap());
        let contract = purchase.order().unwrap().contract.clone();
        let sealed = contract.offer.body.sealed_key.is_some();
        let sealing = sealed.then(|| {
            self.sealing_secret(&Papers {
                contract: Some(contract),
                ..Papers::default()
            })
        });
        // The escrow has the voucher that it has committed.
        let escrow = customer.iter().filter(|papers| papers.voucher.is_some());
        let escrow = escrow.map(|papers| Papers {
            voucher: papers.voucher.clone(),
            ..Papers::default()
        });
        let escrow: Vec<Papers> = escrow.collect();
        let mut parties = self.parties(customer, bank, sale.into_iter().chain(sealing).collect());
        if let Some(last) = parties.last_mut() {
            last.papers = escrow;
        }
        parties
    }

    /// The documents of each party about the denied coins.
    fn coin_witnesses(&self) -> Vec<Witness> {
        let mut customer = self.wallet.denied_coins().unwrap();
        customer.extend(self.accusing.iter().cloned());
        let coins = customer.iter().flat_map(|papers| &papers.coins);
        let coins: BTreeSet<PublicKey> = coins.map(|coin| coin.public).collect();
        assert!(!coins.is_empty(), "nobody was denied a coin");
        let bank = coins.iter().flat_map(|coin| self.coin_papers(coin)).collect();
        self.parties(customer, bank, Vec::new())
    }

    fn parties(&self, customer: Vec<Papers>, bank: Vec<Papers>, merchant: Vec<Papers>) -> Vec<Witness> {
        vec![
            Witness {
                name: "customer",
                accused: None,
                papers: customer,
            },
            Witness {
                name: "bank",
                accused: Some(self.bank()),
                papers: bank,
            },
            Witness {
                name: "merchant",
                accused: Some(self.merchant()),
                papers: merchant,
            },
            Witness {
                name: "escrow",
                accused: Some(self.escrow()),
                papers: Vec::new(),
            },
        ]
    }

    async fn judged(&self, guilty: &[(Culprit, &str)]) {
        all_judged(&self.witnesses().await, guilty);
    }

    /// Like [`judged`](Run::judged), for coins.
    fn coins_judged(&self, guilty: &[(Culprit, &str)]) {
        all_judged(&self.coin_witnesses(), guilty);
    }
}

fn all_judged(witnesses: &[Witness], guilty: &[(Culprit, &str)]) {
    let papers = witnesses.iter().flat_map(|witness| &witness.papers);
    OCCURRED.with_borrow_mut(|occurred| occurred.extend(papers.flat_map(kinds)));
    let judged = judge_every_choice(witnesses, guilty);
    println!("{judged} choices of documents judged");
    assert!(judged > 0);
}

#[test]
fn an_honest_purchase_convicts_nobody() {
    for (seed, population) in [
        (1, Population::default()),
        (2, Population::sealed()),
        (14, Population::with_price(Amount(0))),
    ] {
        run(seed, population, async |it| {
            it.buy().await;
            // Anyone can show the bank the commit, and the bank obeys it. Until then it has no acknowledgement.
            it.world.settle().await;
            it.judged(&[]).await;
        });
    }
}

#[test]
fn a_purchase_that_is_cancelled_or_overdue_convicts_nobody() {
    for cancelled in [true, false] {
        run(3, Population::default(), async |it| {
            it.world.cheat(MERCHANT, NeverReleases);
            it.buy().await;
            if cancelled {
                it.wallet.cancel(it.number).await.unwrap();
                it.judged(&[]).await;
            }
            it.world.settle().await;
            it.wallet.resume().await.unwrap();
            it.judged(&[]).await;
        });
    }
}

#[test]
fn a_merchant_who_seals_another_key_is_never_cleared() {
    run(4, Population::sealed(), async |it| {
        let (key, lie) = (it.key(MERCHANT), seals_another_key());
        it.world.cheat(MERCHANT, FalseOffers { key, lie });
        it.buy().await;
        it.judged(&[(it.merchant(), "customer")]).await;
    });
}

#[test]
fn an_escrow_that_decides_twice_is_never_cleared() {
    run(5, Population::default(), async |it| {
        let (key, bank) = (it.key(ESCROW), it.identity(Party::Bank));
        let waits_for_cancel = true;
        it.world.cheat(
            ESCROW,
            TellsCustomerAbort {
                key,
                bank,
                waits_for_cancel,
            },
        );
        it.buy().await;
        let _ended = it.wallet.cancel(it.number).await;
        it.world.honest(ESCROW);
        it.world.settle().await;
        it.judged(&[(it.escrow(), "customer"), (it.escrow(), "bank")])
            .await;
    });
    run(6, Population::default(), async |it| {
        let (key, bank) = (it.key(ESCROW), it.world.bank());
        let cheat = LeavesMerchantUnpaid {
            key,
            bank,
            cause: cancels(it.seed()),
            obeyed: false.into(),
        };
        it.world.cheat(ESCROW, cheat);
        it.buy().await;
        it.world.settle().await;
        it.judged(&[(it.escrow(), "merchant"), (it.escrow(), "bank")])
            .await;
    });
}

#[test]
fn an_escrow_that_denies_a_sealed_key_is_never_cleared() {
    run(10, Population::sealed(), async |it| {
        let key = it.key(ESCROW);
        it.world.cheat(ESCROW, DeniesSealedKeys { key });
        it.buy().await;
        it.judged(&[(it.escrow(), "customer")]).await;
    });
}

#[test]
fn an_escrow_that_aborts_without_a_cause_is_never_cleared() {
    run(12, Population::default(), async |it| {
        let bare: Cause = Box::new(|_| AbortReason::Cancelled);
        let cheat = AbortsAfterRelease::new(it.key(ESCROW), it.world.bank(), bare);
        it.world.cheat(ESCROW, cheat);
        it.buy().await;
        it.judged(&[(it.escrow(), "customer"), (it.escrow(), "merchant")])
            .await;
    });
    run(11, Population::default(), async |it| {
        let early = overdue(it.key(Party::Bank), 1);
        let cheat = AbortsAfterRelease::new(it.key(ESCROW), it.world.bank(), early);
        it.world.cheat(ESCROW, cheat);
        it.buy().await;
        it.judged(&[(it.escrow(), "customer"), (it.bank(), "merchant")])
            .await;
    });
}

#[test]
fn an_escrow_that_signs_wrong_keys_is_never_cleared() {
    run(7, Population::default(), async |it| {
        let key = it.key(ESCROW);
        it.world.cheat(ESCROW, SignsWrongKeys { key });
        it.buy().await;
        it.world.escrow(0).settle_round().await.unwrap();
        it.wallet.resume().await.unwrap();
        it.judged(&[(it.escrow(), "customer")]).await;
    });
}

#[test]
fn a_bank_that_denies_a_hold_or_a_credit_is_cleared_by_nothing_but_the_credit() {
    run(8, Population::default(), async |it| {
        it.world.cheat(Party::Bank, DeniesHolds);
        it.buy().await;
        it.world.merchant(0).sales_round().await.unwrap();
        it.judged(&[(it.bank(), "merchant")]).await;
        it.world.honest(Party::Bank);
        it.world.settle().await;
        it.judged(&[]).await;
    });
    run(9, Population::default(), async |it| {
        let key = it.key(Party::Bank);
        it.world.cheat(Party::Bank, DeniesCredits { key });
        it.buy().await;
        it.world.merchant(0).sales_round().await.unwrap();
        it.judged(&[(it.bank(), "merchant")]).await;
        it.world.honest(Party::Bank);
        it.world.settle().await;
        it.judged(&[]).await;
    });
}

#[test]
fn a_server_that_signs_two_encryption_keys_for_one_day_is_never_cleared() {
    run(21, Population::default().relayed(), async |it| {
        it.buy().await;
        it.world.settle().await;
        let mut witnesses = it.witnesses().await;
        it.world.cheat(Party::Relay, SecondKey::of(&it.world, MERCHANT));
        let wallet = it.customer.wallet_after(Death::Killed);
        let (parties, output) = (it.world.parties(), it.world.dir().join("second.png"));
        let bought = wallet.buy(&parties, ITEM, &output).await;
        assert!(
            matches!(bought, Err(WalletError::TwoKeys { .. })),
            "{:?}",
            bought.err()
        );
        witnesses[0].papers.extend(wallet.two_keys_papers().unwrap());
        let server = Culprit::Server(it.identity(MERCHANT));
        witnesses.push(Witness {
            name: "server",
            accused: Some(server),
            papers: Vec::new(),
        });
        all_judged(&witnesses, &[(server, "customer")]);
    });
}

// ---- coins --------------------------------------------------------------------------------------------------------

#[test]
fn a_bank_that_takes_no_coin_back_is_cleared_by_nothing_that_it_has() {
    for (seed, pretext) in [
        (13, Pretext::Expired),
        (14, Pretext::MadeUp),
        (15, Pretext::Aborted),
    ] {
        run(seed, Population::default(), async |it| {
            it.world.cheat(MERCHANT, NeverReleases);
            let key = it.key(Party::Bank);
            it.world.cheat(Party::Bank, DeniesCoins::new(key, pretext));
            it.buy().await;
            let denied = it.wallet.cancel(it.number).await;
            assert!(
                matches!(denied, Err(WalletError::CoinDenied { .. })),
                "{denied:?}"
            );
            it.coins_judged(&[(it.bank(), "customer")]);
        });
    }
}

#[test]
fn a_bank_that_steals_coins_in_an_exchange_is_cleared_by_nothing_that_it_has() {
    for (seed, theft) in [(16, Theft::WithoutProof), (17, Theft::ProofOfAnother)] {
        run(seed, Population::default(), async |it| {
            let coin = it.largest();
            it.bank_cheats(StealsInExchange::new(it.key(Party::Bank), theft));
            if theft == Theft::ProofOfAnother {
                let mut others = it.wallet.present_coins().unwrap();
                others.retain(|row| row.coin != coin.coin);
                it.wallet.exchange(others).await.unwrap();
            }
            let denied = it.wallet.exchange(vec![coin]).await;
            assert!(
                matches!(denied, Err(WalletError::CoinDenied { .. })),
                "{denied:?}"
            );
            it.coins_judged(&[(it.bank(), "customer")]);
            // What was issued for the coin in the end clears the bank.
            it.ends_well().await;
            it.coins_judged_if_denied();
        });
    }
}

#[test]
fn a_bank_that_shows_two_lists_of_keys_convicts_nobody_else() {
    run(18, Population::default(), async |it| {
        let other = ShowsOtherKeys {
            key: it.key(Party::Bank),
            change: |list| drop(list.epochs.pop()),
        };
        let honest = it.accusing(it.largest().coin, Vec::new());
        it.bank_cheats(other);
        let shown = by_hand(it, "bob").await.keys().await.signed().clone();
        assert_ne!(Some(&shown), honest.keys.as_ref());
        let coins = it.wallet.present_coins().unwrap();
        it.accusing.push(honest);
        it.accusing.push(Papers {
            keys: Some(shown),
            coins: coins.iter().map(|row| row.coin).take(1).collect(),
            ..Papers::default()
        });
        it.coins_judged(&[]);
    });
}

/// A customer who makes messages by hand, with money in the account.
async fn by_hand(it: &Run, name: &str) -> ByHand {
    let parties = it.world.parties();
    let cards = [parties.bank, parties.escrow, parties.merchant];
    let seed = Seed::from_bytes(&[7; 32]);
    let hand = ByHand::new(it.world.wire(), it.world.clock.clone(), cards, seed);
    it.world.open_account(hand.account(), name).await;
    it.world.pay_in(hand.account(), FUNDS, name).await;
    hand
}

#[test]
fn a_bank_that_denies_a_held_a_spent_or_an_exchanged_coin_is_honest() {
    run(19, Population::default(), async |it| {
        let hand = by_hand(it, "mallory").await;
        // An exchanged coin.
        let purse = hand.withdraw(&[8]).await;
        hand.exchanged(&purse, &[4, 4]).await;
        let again = hand.exchange(&purse, &[8]).await;
        let denied = hand.ask(hand.exchange_begin(&again, &purse)).await.unwrap_err();
        it.accuses(purse.coins[0], denied);
        it.coins_judged(&[]);
        it.accusing.clear();
        // A held coin, which a copy of the wallet then spends.
        it.world.cheat(MERCHANT, NeverReleases);
        let twin = it.customer.copy(&it.world, "twin").wallet();
        let output = it.world.dir().join("other.png");
        let bought = twin.buy(&it.world.parties(), "a picture", &output).await;
        assert!(bought.as_ref().is_err_and(WalletError::is_silence), "{bought:?}");
        let rows = twin.coins().unwrap().into_iter();
        let held = rows.filter(|row| matches!(row.status, CoinStatus::InPurchase(_)));
        let held: Vec<Coin> = held.map(|row| row.coin).collect();
        it.brings(held[0]).await;
        it.coins_judged(&[]);
        it.world.honest(MERCHANT);
        twin.resume().await.unwrap();
        it.world.settle().await;
        it.brings(held[1]).await;
        it.coins_judged(&[]);
    });
}

#[test]
fn a_bank_that_denies_a_deposited_coin_is_honest() {
    run(21, Population::default(), async |it| {
        let hand = by_hand(it, "mallory").await;
        let purse = hand.withdraw(&[8]).await;
        let payee = |number| [(Payee::Reserve(hand.seed.reserve_key(number).public()), 8)];
        hand.ask(hand.deposit_of(&purse, &payee(0))).await.unwrap();
        let again = hand.deposit_of(&purse, &payee(1));
        let denied = hand.ask(again).await.unwrap_err();
        it.accuses(purse.coins[0], denied);
        it.coins_judged(&[]);
    });
}

/// A purchase is refunded to a reserve that has every kind of debit. The bank then denies a withdrawal. If it `lies`, it
/// denies what it could pay.
fn a_reserve_is_denied(seed: u64, lies: bool) {
    run(seed, Population::default(), async |it| {
        let hand = by_hand(it, "mallory").await;
        let bought = hand.order(&hand.withdraw(&EXACT).await).await;
        let hold = hand.held(&bought).await;
        hand.ask(bought.deliver(&hold)).await.unwrap();
        it.world.settle().await;
        let merchant = MerchantSecret::load(&it.world.merchant_home(0)).unwrap();
        let (terms, reserve) = (&bought.order.contract.terms, &bought.purchase_key);
        let refund = hand.refund(terms, 100, &merchant.account_key());
        let refunded = hand.ask(refund).await.unwrap();
        let purse = hand.withdraw(&[8]).await;
        let filled = hand.deposit_of(&purse, &[(Payee::Reserve(reserve.public()), 8)]);
        let deposited = hand.ask(filled).await.unwrap();
        let withdrawal = hand.reserve_withdrawal(&reserve.public(), &[64]).await;
        let begun = hand.reserve_begun(&withdrawal, reserve).await.unwrap();
        hand.ask(hand.reserve_finish(&begun, reserve)).await.unwrap();
        let payout = hand.deposit_from(reserve, &[(Payee::Account(hand.account()), 40)]);
        hand.ask(payout).await.unwrap();
        let last = hand.reserve_withdrawal(&reserve.public(), &[8]).await;
        let Err(Refusal::Denied(denial)) = hand.reserve_begun(&last, reserve).await else {
            panic!("the reserve has 4 left")
        };
        let mut denial = *denial;
        if lies {
            let DenialCause::Reserve(fault) = &mut denial.body.cause else {
                panic!("{denial:?}")
            };
            fault.asked = Amount(4);
            denial = Signed::sign(denial.body, &it.key(Party::Bank));
        }
        let customer = Papers {
            keys: Some(hand.keys().await.signed().clone()),
            deposits: vec![deposited],
            refunds: vec![refunded],
            denials: vec![denial],
            ..Papers::default()
        };
        let own = it.banks_papers(&About::Reserve {
            key: reserve.public(),
        });
        let witnesses = it.parties(vec![customer], own, Vec::new());
        let guilty: &[(Culprit, &str)] = if lies { &[(it.bank(), "customer")] } else { &[] };
        all_judged(&witnesses, guilty);
    });
}

#[test]
fn a_bank_that_denies_more_than_a_reserve_holds_is_honest() {
    a_reserve_is_denied(22, false);
}

#[test]
fn a_bank_that_denies_what_a_reserve_holds_is_never_cleared() {
    a_reserve_is_denied(23, true);
}

#[test]
fn an_older_list_of_keys_convicts_no_bank_that_shows_its_own() {
    run(20, Population::default(), async |it| {
        let hand = by_hand(it, "mallory").await;
        let purse = hand.withdraw(&[8]).await;
        let older = hand.keys().await.signed().clone();
        // The issued coins have keys that are not in that list yet.
        it.world
            .clock
            .jump_to(it.world.clock.now_ms() + 2 * older.body.calendar.epoch_ms);
        it.world.bank().extend_keys().await.unwrap();
        hand.exchanged(&purse, &[4, 4]).await;
        let again = hand.exchange(&purse, &[8]).await;
        let denied = hand.ask(hand.exchange_begin(&again, &purse)).await.unwrap_err();
        it.accuses(purse.coins[0], denied);
        assert_ne!(it.accusing[0].keys.as_ref(), Some(&older));
        it.accusing[0].keys = Some(older);
        it.coins_judged(&[]);
    });
}

impl Run {
    /// Like [`coins_judged`](Run::coins_judged), unless no claim is left.
    fn coins_judged_if_denied(&self) {
        if !self.wallet.denied_coins().unwrap().is_empty() {
            self.coins_judged(&[]);
        }
    }

    /// The wallet tries to exchange a coin that its copy has used, and accuses the bank of its denial.
    async fn brings(&mut self, coin: Coin) {
        let row = self.row(&coin.public);
        let error = self.wallet.exchange(vec![row]).await.unwrap_err();
        let WalletError::Refused { refusal, .. } = error else {
            panic!("{error}")
        };
        self.accuses(coin, *refusal);
    }
}

/// Watches a stream with the merchant's lie about its ticks, if there is one.
fn a_stream(seed: u64, lie: Option<TickLie>, guilty: impl Fn(&Run) -> Vec<(Culprit, &'static str)>) {
    run(seed, Population::streaming(), async |it| {
        if let Some(lie) = lie {
            let key = it.key(MERCHANT);
            it.world.cheat(MERCHANT, LiesAboutTicks { key, lie });
        }
        it.number = watch_once(&it.world, &it.wallet).await.unwrap().number;
        it.world.honest(MERCHANT);
        it.world.settle().await;
        it.judged(&guilty(it)).await;
    });
}

#[test]
fn a_stream_convicts_nobody_who_is_honest() {
    a_stream(31, None, |_| Vec::new());
    a_stream(32, Some(TickLie::KeepsKeys), |_| Vec::new());
}

#[test]
fn a_merchant_whose_ticks_do_not_open_is_never_cleared() {
    a_stream(33, Some(TickLie::DoNotOpen), |it| {
        vec![(it.merchant(), "customer")]
    });
}

/// Every field of the papers, and every kind of denial and use, occurs in a run.
#[test]
fn everything_that_papers_have_occurs_in_a_run() {
    let runs = [
        an_honest_purchase_convicts_nobody,
        a_merchant_who_seals_another_key_is_never_cleared,
        an_escrow_that_decides_twice_is_never_cleared,
        an_escrow_that_aborts_without_a_cause_is_never_cleared,
        an_escrow_that_signs_wrong_keys_is_never_cleared,
        a_server_that_signs_two_encryption_keys_for_one_day_is_never_cleared,
        a_bank_that_takes_no_coin_back_is_cleared_by_nothing_that_it_has,
        a_bank_that_denies_a_held_a_spent_or_an_exchanged_coin_is_honest,
        a_bank_that_denies_a_deposited_coin_is_honest,
        a_bank_that_denies_more_than_a_reserve_holds_is_honest,
        a_stream_convicts_nobody_who_is_honest,
        a_merchant_whose_ticks_do_not_open_is_never_cleared,
    ];
    runs.iter().for_each(|run| run());
    let missing: Vec<&str> = OCCURRED.with_borrow(|occurred| {
        let kinds = KINDS.iter().copied();
        kinds.filter(|kind| !occurred.contains(kind)).collect()
    });
    assert!(missing.is_empty(), "no run produces {missing:?}");
}
