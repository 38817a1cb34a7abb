//! Servers and customers that cheat, each to its end. Honest parties lose nothing except what the test says. Wallets
//! end in a state that says what to do. The documents of honest parties convict the cheat and nobody else.
//! `docs/TESTING.md` has the list.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_bank::evidence::About;
use farthing_client::{
    error::WalletError,
    purchase::Wanted,
    purchase::goods::judge as judge_goods,
    rows::{CoinRow, CoinStatus, Delivery},
};
use farthing_coin::{Document, Seed, StatementDigest};
use farthing_kit::by_hand::ByHand;
use farthing_merchant::secret::MerchantSecret;
use farthing_protocol::{
    decision::Outcome,
    denial::{DenialCause, RequestKind, is_denied},
    documents::{AbortReason, Terms},
    evidence::{Breach, Charge, Culprit, Papers, Verdict},
    goods::GoodsKey,
    ids::{ItemId, NodeSecret, SealingContext},
    limits::{
        CANCELS_PER_COIN_MAX, CATALOG_PAGE_MAX, CATALOG_TEXT_MAX_BYTES, DESCRIPTION_MAX_BYTES,
        REASON_MAX_BYTES, SESSIONS_PER_ACCOUNT_MAX,
    },
    money::Amount,
    offer::CatalogFault,
    offered_key::OfferedKey,
    purchase::{OfferFault, Purchase, PurchaseError},
    refusal::{CoinFault, IssueFault, Later, PurchaseFault, Refusal},
    seal::derive_ephemeral,
};
use farthing_simulation::{
    cheats::{
        AbortsAfterRelease, Cause, DeniesCoins, DeniesCredits, DeniesHolds, DeniesSealedKeys, EndlessCatalog,
        FalseOffers, LeavesMerchantUnpaid, Lie, NeverReleases, Pretext, RefusesWithLongText, ShowsNoCatalog,
        SignsWithoutHold, SignsWrongKeys, SilentToCustomers, TellsCustomerAbort, cancels,
        describes_other_goods, overdue, seals_another_key, wraps_another_key, wraps_nothing,
    },
    foundation::Population,
    foundation::STORE,
    party::Party,
    setting::{self, Setting, convicts},
    world::World,
};
use farthing_store::limits::QUEUE_MAX_TRANSACTIONS;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

const ESCROW: Party = Party::Escrow(0);
const MERCHANT: Party = Party::Merchant(0);

/// The price of the picture.
const PRICE: Amount = Amount(725);

/// What the account has at first. The customer withdraws all of it.
const FUNDS: Amount = Amount(2000);

/// Runs a test in a world with one server of each role.
fn setting(seed: u64, test: impl AsyncFnOnce(Setting)) {
    setting_of(seed, Population::default(), test);
}

/// Runs a test in a world with this population.
fn setting_of(seed: u64, population: Population, test: impl AsyncFnOnce(Setting)) {
    setting::setting(seed, population, (FUNDS, FUNDS), test);
}

// ---- merchants ----------------------------------------------------------------------------------------------------

/// The customer pays, gets goods that are not as described, and proves it from the wallet's files.
fn sells_something_else(seed: u64, lie: impl FnOnce(&World) -> Lie, breach: Breach) {
    setting(seed, async |it| {
        let key = it.key(MERCHANT);
        it.world.cheat(
            MERCHANT,
            FalseOffers {
                key,
                lie: lie(&it.world),
            },
        );
        let (number, bought) = it.buy().await;
        let error = bought.unwrap_err();
        assert!(matches!(error, WalletError::NotAsDescribed(_)), "{error}");
        assert!(error.to_string().contains("farthing receipt show"), "{error}");
        assert_eq!(
            it.wallet.purchase(number).unwrap().delivery,
            Delivery::NotAsDescribed
        );
        assert!(!it.output().exists(), "what is not as described is not delivered");
        // It is proof and not a refund: the escrow has committed, and the merchant has the money.
        it.world.settle().await;
        assert_eq!(it.earned().await, PRICE);
        assert_eq!(it.balance().0, FUNDS.0 - PRICE.0);
        it.books_balance().await;

        let papers = it.wallet.papers(number).unwrap();
        let sealed = it.wallet.goods_file(number).unwrap();
        let verdict = judge_goods(&papers, &sealed).unwrap().unwrap();
        assert_eq!(verdict, Verdict::MerchantBrokeContract(breach));
        convicts(&[papers, it.sale().await], &[]);
        // A repetition changes nothing, and nothing more is paid.
        it.wallet.drive_purchase(number).await.unwrap();
        assert_eq!(it.balance().0, FUNDS.0 - PRICE.0);
    });
}

/// The escrow sees that the key unwraps nothing, and commits nothing.
#[test]
fn a_merchant_whose_key_opens_nothing_sells_nothing() {
    setting(1, async |it| {
        let (key, lie) = (it.key(MERCHANT), wraps_nothing());
        it.world.cheat(MERCHANT, FalseOffers { key, lie });
        let (number, bought) = it.buy().await;
        bought.unwrap();
        assert_eq!(it.status(number), "aborted");
        it.world.check(&[&it.wallet]).await;
        assert_eq!((it.balance(), it.earned().await), (FUNDS, Amount(0)));
    });
}

/// In a sealed offer, the escrow shows the merchant's fault.
#[test]
fn a_merchant_whose_sealed_key_opens_nothing_is_convicted() {
    setting_of(33, Population::sealed(), async |it| {
        let secret = MerchantSecret::load(&it.world.merchant_home(0)).unwrap();
        let lie: Lie = Box::new(move |offer| {
            offer.wrapped_key.tag = [66; 16];
            let goods_key = secret.goods_key(&offer.sale_id);
            let (ephemeral, escrow) = (secret.ephemeral(&offer.sale_id), offer.escrows[0]);
            let sealed = OfferedKey::seal(&ephemeral, &escrow, &offer.sealing_context(), &goods_key);
            offer.sealed_key = Some(sealed.unwrap());
        });
        let key = it.key(MERCHANT);
        it.world.cheat(MERCHANT, FalseOffers { key, lie });
        let (number, bought) = it.buy().await;
        bought.unwrap();
        assert_eq!(it.status(number), "aborted");
        it.world.check(&[&it.wallet]).await;
        assert_eq!((it.balance(), it.earned().await), (FUNDS, Amount(0)));
        let papers = it.wallet.papers(number).unwrap();
        convicts(&[papers], &[it.merchant(Charge::WrongSealedKey { shown: true })]);
    });
}

/// A party that copies another merchant's sealed key into its own offer sells nothing, and is shown nothing.
#[test]
fn an_offer_whose_sealed_key_its_merchant_has_not_proven_to_know_is_not_bought() {
    setting_of(34, Population::sealed(), async |it| {
        let lie: Lie = Box::new(|offer| {
            let stolen = derive_ephemeral(&NodeSecret::from_bytes([66; 32]), &offer.sale_id.into());
            let (escrow, key) = (offer.escrows[0], GoodsKey::from_bytes([66; 32]));
            let sealed = OfferedKey::seal(&stolen, &escrow, &SealingContext([1; 32]), &key);
            offer.sealed_key = Some(sealed.unwrap());
        });
        let key = it.key(MERCHANT);
        it.world.cheat(MERCHANT, FalseOffers { key, lie });
        let (parties, output) = (it.world.parties(), it.output());
        let begun = it.wallet.begin_purchase(&parties, "a picture", &output).await;
        let error = begun.unwrap_err();
        assert!(
            matches!(error, WalletError::Offer(OfferFault::SealedKeyUnproven(_))),
            "{error}"
        );
        assert_eq!((it.balance(), it.earned().await), (FUNDS, Amount(0)));
    });
}

#[test]
fn a_merchant_who_sells_the_key_of_other_goods_is_convicted() {
    let lie = |world: &World| {
        let secret = MerchantSecret::load(&world.merchant_home(0)).unwrap();
        wraps_another_key(move |sale_id| -> GoodsKey { secret.goods_key(sale_id) })
    };
    sells_something_else(2, lie, Breach::Undecryptable);
}

#[test]
fn a_merchant_who_describes_other_goods_is_convicted() {
    sells_something_else(3, |_| describes_other_goods(), Breach::Digest);
}

#[test]
fn a_merchant_who_seals_another_key_sells_nothing_and_is_convicted() {
    setting_of(31, Population::sealed(), async |it| {
        let (key, lie) = (it.key(MERCHANT), seals_another_key());
        it.world.cheat(MERCHANT, FalseOffers { key, lie });
        let (number, bought) = it.buy().await;
        bought.unwrap();
        assert_eq!(it.status(number), "aborted");
        it.world.check(&[&it.wallet]).await;
        assert_eq!((it.balance(), it.earned().await), (FUNDS, Amount(0)));
        let papers = it.wallet.papers(number).unwrap();
        let convicted = [it.merchant(Charge::WrongSealedKey { shown: true })];
        convicts(std::slice::from_ref(&papers), &convicted);
        // The sealed keys of its honest offers do not clear the merchant.
        convicts(&[it.sealing_secret(&papers), papers], &convicted);
    });
}

/// A customer who knows the whole id asks for the offer at once, and buys no other item and at no higher price than
/// they have said.
#[test]
fn an_offer_of_something_else_than_was_asked_for_is_refused_and_nothing_is_paid() {
    let dearer: fn() -> Lie = || Box::new(|offer| offer.price = Amount(PRICE.0 + 1));
    let renamed: fn() -> Lie = || Box::new(|offer| offer.title = "another picture".into());
    let other: fn() -> Lie = || Box::new(|offer| offer.item_id = ItemId([66; 32]));
    let too_high = OfferFault::PriceTooHigh {
        price: Amount(PRICE.0 + 1),
        at_most: PRICE,
    };
    setting(6, async |it| {
        let parties = it.world.parties();
        let items = it.wallet.catalog(&parties.merchant).next_page().await.unwrap();
        let item_id = hex::encode(items.unwrap()[0].item_id);
        let named = Wanted::from("a picture");
        let (listed, told) = (Wanted::from(item_id.as_str()), Some(PRICE));
        let limited = Wanted {
            at_most: told,
            ..listed
        };
        let cases = [
            (named, dearer(), OfferFault::NotAsListed("price")),
            (named, renamed(), OfferFault::NotAsListed("title")),
            (named, other(), OfferFault::OtherItem),
            (limited, dearer(), too_high.clone()),
            (
                Wanted {
                    at_most: told,
                    ..named
                },
                dearer(),
                too_high,
            ),
            (listed, other(), OfferFault::OtherItem),
        ];
        for (wanted, lie, fault) in cases {
            it.world.cheat(
                MERCHANT,
                FalseOffers {
                    key: it.key(MERCHANT),
                    lie,
                },
            );
            let bought = it.wallet.buy(&parties, wanted, &it.output()).await;
            assert!(
                matches!(&bought, Err(WalletError::Offer(found)) if *found == fault),
                "{bought:?} and not {fault}"
            );
        }
        assert!(it.wallet.purchases().unwrap().is_empty());
        assert_eq!(it.balance(), FUNDS);

        it.world.cheat(MERCHANT, ShowsNoCatalog);
        let bought = it.wallet.buy(&parties, named, &it.output()).await;
        assert!(bought.unwrap_err().is_silence());
        it.wallet.buy(&parties, limited, &it.output()).await.unwrap();
        assert!(it.has_goods());
        it.world.check(&[&it.wallet]).await;
        assert_eq!(it.balance().0, FUNDS.0 - PRICE.0);
    });
}

/// The wallet stops reading an endless or unordered catalogue when that shows. A customer who knows the item's id can
/// still buy it.
#[test]
fn a_catalogue_without_end_or_order_is_not_read_on() {
    let pages_max = CATALOG_TEXT_MAX_BYTES / (CATALOG_PAGE_MAX * DESCRIPTION_MAX_BYTES);
    setting(21, async |it| {
        let parties = it.world.parties();
        let items = it.wallet.catalog(&parties.merchant).next_page().await.unwrap();
        let item_id = hex::encode(items.unwrap()[0].item_id);
        for (in_order, fault, pages) in [
            (true, CatalogFault::Text, pages_max + 1),
            (false, CatalogFault::Order, 2),
        ] {
            let cheat = it.world.cheat(MERCHANT, EndlessCatalog::new(in_order));
            let bought = it.wallet.buy(&parties, "a picture", &it.output()).await;
            let refused = matches!(&bought, Err(WalletError::Catalog { why, .. }) if *why == fault);
            assert!(refused, "{bought:?} and not {fault}");
            assert!(cheat.pages() <= pages, "{} pages were read", cheat.pages());
        }
        assert!(it.wallet.purchases().unwrap().is_empty());
        it.wallet
            .buy(&parties, item_id.as_str(), &it.output())
            .await
            .unwrap();
        assert!(it.has_goods());
        it.world.check(&[&it.wallet]).await;
    });
}

#[test]
fn a_merchant_that_never_releases_gets_nothing_and_the_coins_come_back() {
    setting(4, async |it| {
        it.world.cheat(MERCHANT, NeverReleases);
        let (number, bought) = it.buy().await;
        let error = bought.unwrap_err();
        assert!(
            error.is_silence() && error.to_string().contains("nothing is lost"),
            "{error}"
        );
        assert_eq!(it.status(number), "held");
        it.wallet.cancel(number).await.unwrap();
        assert_eq!(it.status(number), "aborted");
        it.world.check(&[&it.wallet]).await;
        assert_eq!(it.balance(), FUNDS);
        convicts(&[it.wallet.papers(number).unwrap()], &[]);
    });
}

#[test]
fn a_merchant_that_never_releases_holds_the_coins_no_longer_than_the_deadline() {
    setting(5, async |it| {
        it.world.cheat(MERCHANT, NeverReleases);
        let (number, bought) = it.buy().await;
        assert!(bought.unwrap_err().is_silence());
        // The customer does nothing. The bank asks the escrow about the overdue hold.
        it.world.settle().await;
        it.wallet.resume().await.unwrap();
        assert!(matches!(
            it.wallet.purchase(number).unwrap().purchase,
            Purchase::Aborted(..)
        ));
        it.world.check(&[&it.wallet]).await;
        assert_eq!(it.balance(), FUNDS);
    });
}

/// Checks that a purchase ends, for any length of the merchant's refusal.
fn refuses_at_length(seed: u64, length: usize) {
    setting(seed, async |it| {
        it.world.cheat(MERCHANT, RefusesWithLongText::new(length));
        let (number, bought) = it.buy().await;
        bought.unwrap();
        let row = it.wallet.purchase(number).unwrap();
        assert_eq!(row.purchase.status(), "aborted");
        let why = row.refusal.unwrap();
        assert!(!why.is_empty() && why.len() <= REASON_MAX_BYTES, "{why}");
        assert!(it.wallet.resume().await.unwrap().open.is_empty());
        it.world.check(&[&it.wallet]).await;
        assert_eq!(it.balance(), FUNDS);
    });
}

#[test]
fn a_refusal_of_any_length_ends_a_purchase_and_the_coins_are_back() {
    for (seed, length) in [
        (30, 1),
        (31, REASON_MAX_BYTES),
        (32, REASON_MAX_BYTES + 1),
        (33, 100_000),
    ] {
        refuses_at_length(seed, length);
    }
}

// ---- escrows ------------------------------------------------------------------------------------------------------

#[test]
fn an_escrow_that_shows_an_abort_of_a_committed_purchase_costs_nobody_money() {
    setting(6, async |it| {
        let (key, bank) = (it.key(ESCROW), it.identity(Party::Bank));
        let waits_for_cancel = false;
        it.world.cheat(
            ESCROW,
            TellsCustomerAbort {
                key,
                bank,
                waits_for_cancel,
            },
        );
        let (number, bought) = it.buy().await;
        // An abort without a cause ends nothing. The bank is asked instead and has the commit: the customer has paid,
        // and gets the goods.
        bought.unwrap();
        assert_eq!(it.status(number), "committed");
        assert!(it.has_goods());
        it.world.honest(ESCROW);
        it.check_but_for(&["finality: "]).await;
        assert_eq!(it.earned().await, PRICE);
        assert_eq!(it.balance().0, FUNDS.0 - PRICE.0);
        let charges = [Charge::DecidedTwice, Charge::AbortedWithoutCause];
        let charges = charges.map(|charge| it.escrow(charge));
        convicts(&[it.wallet.papers(number).unwrap()], &charges);
        convicts(&[it.sale().await], &[]);
    });
}

#[test]
fn an_escrow_that_aborts_on_a_cancel_after_the_commit_costs_nobody_money() {
    setting(56, async |it| {
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
        let (number, _bought) = it.buy().await;
        // The wallet shows the bank the abort. The bank shows the commit that it has obeyed, so the customer gets the
        // goods.
        if it.status(number) != "committed" {
            it.wallet.cancel(number).await.unwrap();
        }
        assert_eq!(it.status(number), "committed");
        assert!(it.has_goods());
        it.world.honest(ESCROW);
        it.check_but_for(&["finality: "]).await;
        assert_eq!(it.earned().await, PRICE);
        assert_eq!(it.balance().0, FUNDS.0 - PRICE.0);

        let twice = [it.escrow(Charge::DecidedTwice)];
        convicts(&[it.wallet.papers(number).unwrap()], &twice);
        convicts(&it.banks_papers(&About::Contradictions), &twice);
        convicts(&[it.sale().await], &[]);
    });
}

/// An escrow that shows the bank an abort with this cause, and then commits. Returns the purchase, and whether the
/// bank has obeyed the abort.
async fn leaves_the_merchant_unpaid(it: &Setting, cause: Cause) -> (u64, bool) {
    let cheat = LeavesMerchantUnpaid {
        key: it.key(ESCROW),
        bank: it.world.bank(),
        cause,
        obeyed: false.into(),
    };
    let cheat = it.world.cheat(ESCROW, cheat);
    let (number, bought) = it.buy().await;
    bought.unwrap();
    (number, cheat.obeyed.load(Ordering::SeqCst))
}

#[test]
fn an_abort_without_a_cause_leaves_no_merchant_unpaid() {
    setting(57, async |it| {
        let (_, obeyed) = leaves_the_merchant_unpaid(&it, Box::new(|_| AbortReason::Cancelled)).await;
        assert!(!obeyed);
        it.world.settle().await;
        assert_eq!(it.earned().await, PRICE);
        assert!(it.has_goods());
        it.books_balance().await;
    });
}

#[test]
fn an_escrow_that_has_the_bank_abort_what_it_commits_costs_the_merchant_one_sale_and_is_convicted() {
    setting(7, async |it| {
        // The customer must conspire: the bank obeys no abort without a cause.
        let (number, obeyed) = leaves_the_merchant_unpaid(&it, cancels(it.seed())).await;
        assert!(obeyed);
        assert!(it.has_goods());
        // The merchant's sale has ended, and nothing is asked again and again.
        it.world.settle().await;
        assert_eq!(it.earned().await, Amount(0));
        it.books_balance().await;

        let sale = it.sale().await;
        assert!(
            sale.abort.is_some(),
            "the merchant keeps the abort that the bank obeyed"
        );
        let twice = [it.escrow(Charge::DecidedTwice)];
        convicts(&[sale], &twice);
        convicts(&it.banks_papers(&About::Contradictions), &twice);
        // The customer's documents alone convict nobody. They prove that the goods are as described.
        let papers = it.wallet.papers(number).unwrap();
        convicts(std::slice::from_ref(&papers), &[]);
        let sealed = it.wallet.goods_file(number).unwrap();
        assert_eq!(
            judge_goods(&papers, &sealed).unwrap().unwrap(),
            Verdict::Delivered
        );
        // The bank keeps one contradicting decision, no matter how many it is shown.
        let before = it.world.bank().store().head();
        for _ in 0..3 {
            it.world.merchant(0).sales_round().await.unwrap();
        }
        assert_eq!(it.world.bank().store().head(), before);
    });
}

/// The convicted party of a setting, and the charge.
type Charged = fn(&Setting) -> (Culprit, Charge);

/// An escrow aborts after the release, with an invalid cause. It has the goods key for nothing. But the bank releases
/// nothing, the customer believes nothing, and both the customer's and the merchant's papers convict the escrow.
fn aborts_without_cause(seed: u64, cause: impl FnOnce(&Setting) -> Cause, also: &[Charged]) {
    setting(seed, async |it| {
        let cheat = AbortsAfterRelease::new(it.key(ESCROW), it.world.bank(), cause(&it));
        let cheat = it.world.cheat(ESCROW, cheat);
        let (number, bought) = it.buy().await;
        let error = bought.unwrap_err();
        assert!(
            matches!(error, WalletError::Purchase(PurchaseError::WithoutCause(_))),
            "{error}"
        );
        assert!(
            !cheat.obeyed.load(Ordering::SeqCst),
            "the bank obeys an abort without a cause"
        );
        assert_eq!(it.status(number), "held");
        let charges: Vec<_> = [it.escrow(Charge::AbortedWithoutCause)]
            .into_iter()
            .chain(also.iter().map(|charge| charge(&it)))
            .collect();
        convicts(&[it.wallet.papers(number).unwrap()], &charges);
        convicts(&[it.sale().await], &charges);

        // The purchase is undecided. As soon as the escrow does what it must, the coins come back.
        it.world.honest(ESCROW);
        it.wallet.cancel(number).await.unwrap();
        assert_eq!(it.status(number), "aborted");
        it.world.check(&[&it.wallet]).await;
        assert_eq!((it.balance(), it.earned().await), (FUNDS, Amount(0)));
        it.books_balance().await;
        // The convicting documents stay.
        convicts(&[it.wallet.papers(number).unwrap()], &charges);
    });
}

#[test]
fn an_escrow_that_aborts_by_its_word_alone_is_convicted_by_its_hold() {
    aborts_without_cause(58, |_| Box::new(|_| AbortReason::Cancelled), &[]);
    aborts_without_cause(59, |_| Box::new(|_| AbortReason::DeadlinePassed), &[]);
}

#[test]
fn an_escrow_that_shows_the_cancel_of_another_purchase_is_convicted() {
    let another = |it: &Setting| -> Cause {
        let cancels = cancels(it.seed());
        Box::new(move |terms| {
            let others = Terms {
                deadline_ms: terms.deadline_ms + 1,
                ..terms.clone()
            };
            cancels(&others)
        })
    };
    aborts_without_cause(60, another, &[]);
}

#[test]
fn an_escrow_that_makes_up_the_banks_word_is_convicted() {
    aborts_without_cause(61, |it| overdue(it.key(ESCROW), 0), &[]);
}

#[test]
fn a_bank_that_calls_a_purchase_overdue_before_its_deadline_is_convicted_with_its_escrow() {
    let bank = |it: &Setting| it.bank(Charge::OverdueTooEarly);
    aborts_without_cause(62, |it| overdue(it.key(Party::Bank), 1), &[bank]);
}

#[test]
fn an_escrow_and_a_customer_who_conspire_cost_the_merchant_one_sale_and_leave_the_customers_cancel() {
    setting(63, async |it| {
        let cause = cancels(it.seed());
        let cheat = AbortsAfterRelease::new(it.key(ESCROW), it.world.bank(), cause);
        let cheat = it.world.cheat(ESCROW, cheat);
        let (number, bought) = it.buy().await;
        bought.unwrap();
        assert!(cheat.obeyed.load(Ordering::SeqCst));
        assert_eq!(it.status(number), "aborted");
        it.world.honest(ESCROW);
        it.world.settle().await;
        assert_eq!((it.balance(), it.earned().await), (FUNDS, Amount(0)));
        it.books_balance().await;
        // Nobody can tell that the cancel came after the release. But it exists and is signed.
        let sale = it.sale().await;
        let abort = sale.abort.clone().unwrap();
        assert!(matches!(abort.body.reason, AbortReason::CancelledBy(_)));
        convicts(&[sale], &[]);
    });
}

#[test]
fn an_escrow_that_holds_and_answers_nothing_keeps_the_coins_no_longer_than_the_deadline() {
    setting(64, async |it| {
        it.world.cheat(ESCROW, SilentToCustomers);
        let (number, bought) = it.buy().await;
        assert!(bought.unwrap_err().is_silence());
        assert_eq!(it.status(number), "holding");
        // The bank holds the coins, and denies the exchange: nothing changes.
        let cancelled = it.wallet.cancel(number).await;
        assert!(cancelled.unwrap_err().is_silence());
        assert_eq!(it.status(number), "cancelling");
        assert!(it.world.held().await > 0);
        // The bank asks the escrow how it ended, and shows the abort.
        it.world.settle().await;
        it.wallet.resume().await.unwrap();
        assert_eq!(it.status(number), "aborted");
        it.world.check(&[&it.wallet]).await;
        assert_eq!((it.balance(), it.earned().await), (FUNDS, Amount(0)));
        it.books_balance().await;
    });
}

#[test]
fn an_escrow_that_commits_and_answers_nothing_does_not_stop_the_goods() {
    setting_of(65, Population::sealed(), async |it| {
        it.world.cheat(ESCROW, SilentToCustomers);
        let (number, bought) = it.buy().await;
        if let Err(error) = bought {
            assert!(error.is_silence(), "{error}");
            // The bank holds the coins, even if it does not know of the commit yet.
            drop(it.wallet.cancel(number).await);
            assert_ne!(it.status(number), "recovered");
        }
        it.world.settle().await;
        it.wallet.resume().await.unwrap();
        assert_eq!(it.status(number), "committed");
        assert!(it.has_goods());
        it.world.check(&[&it.wallet]).await;
        assert_eq!(it.earned().await, PRICE);
        it.books_balance().await;
    });
}

#[test]
fn a_receipt_for_coins_that_the_bank_has_given_back_is_kept() {
    setting(66, async |it| {
        let parties = it.world.parties();
        let number = it
            .wallet
            .begin_purchase(&parties, "a picture", &it.output())
            .await
            .unwrap();
        let sale_id = it.wallet.purchase(number).unwrap().purchase.offer().body.sale_id;
        let secret = MerchantSecret::load(&it.world.merchant_home(0)).unwrap();
        let cheat = SignsWithoutHold {
            key: it.world.foundation.key(ESCROW),
            goods_key: secret.goods_key(&sale_id),
            is_asked: AtomicBool::new(false),
        };
        it.world.cheat(ESCROW, cheat);
        // Two commands at once: one waits for the escrow, the other asks the bank.
        let asks_bank = async {
            sleep(Duration::from_secs(1)).await;
            it.wallet.drive_purchase(number).await
        };
        let (waits, asks_bank) = tokio::join!(it.wallet.drive_purchase(number), asks_bank);
        asks_bank.unwrap();
        assert!(
            matches!(
                waits,
                Err(WalletError::Purchase(PurchaseError::PaidAfterRecovery))
            ),
            "{waits:?}"
        );
        assert_eq!(it.status(number), "recovered");
        assert!(!it.has_goods());
        assert!(it.wallet.papers(number).unwrap().receipt.is_some());
        assert_eq!((it.balance(), it.earned().await), (FUNDS, Amount(0)));
        it.books_balance().await;
    });
}

#[test]
fn an_escrow_that_denies_a_sealed_key_costs_nobody_money_and_is_convicted() {
    setting_of(32, Population::sealed(), async |it| {
        let key = it.key(ESCROW);
        it.world.cheat(ESCROW, DeniesSealedKeys { key });
        let (number, bought) = it.buy().await;
        bought.unwrap();
        assert_eq!(it.status(number), "aborted");
        assert_eq!((it.balance(), it.earned().await), (FUNDS, Amount(0)));
        it.books_balance().await;
        // The cause that the escrow had to show proves that the key is right. The merchant shows nothing.
        let papers = it.wallet.papers(number).unwrap();
        convicts(
            std::slice::from_ref(&papers),
            &[it.escrow(Charge::SealedKeyDenied)],
        );
    });
}

#[test]
fn an_escrow_that_signs_wrong_keys_does_not_stop_the_goods_if_the_bank_has_the_commit() {
    setting(8, async |it| {
        let key = it.key(ESCROW);
        it.world.cheat(ESCROW, SignsWrongKeys { key });
        let (number, bought) = it.buy().await;
        if let Err(error) = bought {
            // The bank had not been told yet.
            assert!(
                matches!(error, WalletError::Purchase(PurchaseError::WrongGoodsKey)),
                "{error}"
            );
            it.world.escrow(0).settle_round().await.unwrap();
            it.wallet.drive_purchase(number).await.unwrap();
        }
        assert_eq!(it.status(number), "committed");
        assert!(
            it.has_goods(),
            "the commit that the bank obeys has the right key sealed in it"
        );
        convicts(
            &[it.wallet.papers(number).unwrap()],
            &[it.escrow(Charge::WrongGoodsKey)],
        );
        it.world.honest(ESCROW);
        it.check_but_for(&["purchase 0: evidence: ", "same request, same reply: "])
            .await;
        assert_eq!(it.earned().await, PRICE);
    });
}

// ---- banks --------------------------------------------------------------------------------------------------------

#[test]
fn a_bank_that_denies_a_hold_is_convicted_by_it_and_the_commit() {
    setting(9, async |it| {
        it.world.cheat(Party::Bank, DeniesHolds);
        let (number, bought) = it.buy().await;
        bought.unwrap();
        assert!(it.has_goods(), "the customer gets what the escrow has committed");
        for _ in 0..3 {
            assert!(
                it.world.escrow(0).settle_round().await.unwrap() > 0,
                "it is tried again"
            );
            assert!(
                it.world.merchant(0).sales_round().await.unwrap() > 0,
                "it is tried again"
            );
        }
        assert_eq!(it.earned().await, Amount(0));
        let sale = it.sale().await;
        convicts(std::slice::from_ref(&sale), &[it.bank(Charge::CreditDenied)]);
        assert!(
            Charge::CreditDenied.unless().is_some(),
            "it can still clear itself"
        );
        convicts(&[it.wallet.papers(number).unwrap()], &[]);

        // It pays in the end, and its signed acknowledgement clears it.
        it.world.honest(Party::Bank);
        it.world.check(&[&it.wallet]).await;
        assert_eq!(it.earned().await, PRICE);
        let id = sale.contract.as_ref().unwrap().terms.purchase_id();
        let mut together = it.banks_papers(&About::Purchase { id });
        together.push(sale);
        convicts(&together, &[]);
        convicts(&[it.sale().await], &[]);
    });
}

#[test]
fn a_bank_that_signs_that_it_aborted_what_was_committed_pays_all_the_same_or_is_convicted() {
    setting(10, async |it| {
        let key = it.key(Party::Bank);
        it.world.cheat(Party::Bank, DeniesCredits { key });
        let (_, bought) = it.buy().await;
        bought.unwrap();
        assert!(
            it.world.merchant(0).sales_round().await.unwrap() > 0,
            "a false word ends nothing"
        );
        assert!(it.world.escrow(0).settle_round().await.unwrap() > 0);
        convicts(&[it.sale().await], &[it.bank(Charge::CreditDenied)]);
        it.world.honest(Party::Bank);
        it.check_but_for(&["same request, same reply: "]).await;
        assert_eq!(it.earned().await, PRICE);
    });
}

/// A bank refuses released coins, with a pretext that proves nothing.
fn denies_coins(seed: u64, pretext: Pretext) {
    setting(seed, async |it| {
        it.world.cheat(MERCHANT, NeverReleases);
        let key = it.key(Party::Bank);
        it.world.cheat(Party::Bank, DeniesCoins::new(key, pretext));
        let (number, bought) = it.buy().await;
        assert!(bought.unwrap_err().is_silence());
        let error = it.wallet.cancel(number).await.unwrap_err();
        let WalletError::CoinDenied { coin, .. } = &error else {
            panic!("{error}");
        };
        assert!(error.to_string().contains("farthing receipt denied"), "{error}");
        assert_eq!(it.status(number), "aborted");
        let rows = it.wallet.coins().unwrap();
        let row = rows.iter().find(|row| row.coin.public == *coin).unwrap();
        assert_eq!(
            row.status,
            CoinStatus::Released(number),
            "no coin is given up for an unproven word"
        );

        let papers = it.wallet.denied_coins().unwrap();
        convicts(&papers, &[it.bank(Charge::CoinDenied(*coin))]);
        assert_eq!(
            it.wallet.denied_coins().unwrap(),
            papers,
            "asking again adds nothing"
        );
        // Once the bank is honest, every coin is good and can be spent. Then the charge is cleared.
        it.world.honest(Party::Bank);
        it.world.honest(MERCHANT);
        it.wallet.resume().await.unwrap();
        it.world.check(&[&it.wallet]).await;
        assert_eq!(it.balance(), FUNDS);
        let mut together = it.banks_papers(&About::Coin { key: *coin });
        assert!(!together.is_empty(), "the bank shows what the coin was used for");
        together.extend(papers);
        convicts(&together, &[]);
    });
}

#[test]
fn a_bank_that_says_that_a_coin_has_expired_is_convicted_by_its_date() {
    denies_coins(11, Pretext::Expired);
}

#[test]
fn a_bank_that_makes_up_a_use_of_a_coin_is_convicted_by_its_denial() {
    denies_coins(12, Pretext::MadeUp);
}

#[test]
fn a_bank_that_shows_a_use_that_was_aborted_is_convicted_by_its_denial() {
    denies_coins(13, Pretext::Aborted);
}

// ---- customers ----------------------------------------------------------------------------------------------------

/// Coins worth the price.
const EXACT: [u64; 6] = [512, 128, 64, 16, 4, 1];

/// A customer with an account who makes every message by hand.
async fn by_hand(world: &World, name: &str) -> ByHand {
    let parties = world.parties();
    let cards = [parties.bank, parties.escrow, parties.merchant];
    let seed = Seed::from_bytes(&[name.len() as u8; 32]);
    let hand = ByHand::new(world.wire(), world.clock.clone(), cards, seed);
    world.open_account(hand.account(), name).await;
    world.pay_in(hand.account(), FUNDS, name).await;
    hand
}

#[test]
fn a_customer_who_replays_and_cancels_after_the_commit_pays_once_and_gets_one_sale() {
    setting(20, async |it| {
        let hand = by_hand(&it.world, "mallory").await;
        let withdrawal = hand.withdrawal_begun(&hand.withdrawal(&EXACT).await).await;
        let (issued, _) = hand.ask_raw(hand.withdraw_finish(&withdrawal)).await;
        let (again, told) = hand.ask_raw(hand.withdraw_finish(&withdrawal)).await;
        assert_eq!(issued, again, "withdrawn once, and told the same");
        let purse = hand.withdrawn(&withdrawal, &told.unwrap()).await;
        assert_eq!(it.world.account(hand.account()).await.0, FUNDS.0 - PRICE.0);

        let bought = hand.order(&purse).await;
        let hold = hand.held(&bought).await;
        assert_eq!(hand.held(&bought).await, hold);
        let receipt = hand.ask(bought.deliver(&hold)).await.unwrap();
        for _ in 0..3 {
            assert_eq!(hand.ask(bought.deliver(&hold)).await.unwrap(), receipt);
            let Outcome::Committed(late) = hand.ask(bought.cancel()).await.unwrap() else {
                panic!("a cancel after the commit gets the receipt");
            };
            assert_eq!(late.receipt, receipt);
            let committed = Refusal::from(PurchaseFault::Committed(bought.order.purchase()));
            assert_eq!(hand.ask(bought.hold()).await.unwrap_err(), committed);
            it.world.settle().await;
            assert_eq!(hand.ask(bought.bank_hold()).await.unwrap_err(), committed);
        }
        assert_eq!(it.earned().await, PRICE);
        it.books_balance().await;

        // The bank gives nothing for a spent coin, and shows the customer's signature.
        let exchange = hand.exchange(&purse, &EXACT).await;
        let begin = hand.exchange_begin(&exchange, &purse);
        let digest = begin.body.digest();
        let refusal = hand.ask(begin).await.unwrap_err();
        let Refusal::Denied(denial) = refusal else {
            panic!("{refusal}")
        };
        let bank = it.identity(Party::Bank);
        assert!(is_denied(&denial, &bank, RequestKind::ExchangeBegin, &digest));
        // Its denial shows the purchase, so it does not convict the bank.
        let coin = purse.coins.iter().find(|coin| denial.body.names(coin)).unwrap();
        let accusing = Papers {
            keys: Some(hand.keys().await.signed().clone()),
            coins: vec![*coin],
            denials: vec![*denial],
            ..Papers::default()
        };
        convicts(std::slice::from_ref(&accusing), &[]);
        let mut together = it.banks_papers(&About::Coin { key: coin.public });
        together.push(accusing);
        convicts(&together, &[]);
    });
}

#[test]
fn a_coin_offered_for_two_purchases_is_held_for_one_and_the_refusal_proves_itself() {
    setting(21, async |it| {
        let hand = by_hand(&it.world, "mallory").await;
        let purse = hand.withdraw(&EXACT).await;
        let (first, second) = (hand.order(&purse).await, hand.order(&purse).await);
        let hold = hand.held(&first).await;
        let refusal = hand.ask(second.hold()).await.unwrap_err();
        let Refusal::Denied(denial) = refusal else {
            panic!("{refusal}")
        };
        let (bank, id) = (it.identity(Party::Bank), second.order.purchase().0);
        assert!(is_denied(&denial, &bank, RequestKind::Hold, &StatementDigest(id)));
        let DenialCause::Coin { key_id, coin, what } = &denial.body.cause else {
            panic!("{denial:?}")
        };
        let used = what.authorized_use(key_id, coin).unwrap();
        assert_eq!(
            used.digest,
            first.order.purchase().digest(),
            "the own signature for the other purchase"
        );
        // Both merchants are honest: the one with the hold is paid, the other releases nothing.
        hand.ask(first.deliver(&hold)).await.unwrap();
        assert!(hand.ask(second.deliver(&hold)).await.is_err());
        it.world.settle().await;
        assert_eq!(it.earned().await, PRICE);
        it.books_balance().await;
    });
}

#[test]
fn a_coin_shown_to_two_escrows_is_held_at_one_and_pays_for_one_purchase() {
    let population = Population {
        escrows: 2,
        ..Population::default()
    };
    setting_of(22, population, async |it| {
        let [first, second] = [0, 1].map(|escrow| it.world.parties_of(0, escrow));
        let customer = it.customer.copy(&it.world, "twin");
        let (twin, other) = (customer.wallet(), it.world.dir().join("other.png"));
        let output = it.output();
        let both = tokio::join!(
            it.wallet.buy(&first, "a picture", &output),
            twin.buy(&second, "a picture", &other),
        );
        let ends = [&it.wallet, &twin].map(|wallet| wallet.purchases().unwrap()[0].1.purchase.status());
        let mut sorted = ends;
        sorted.sort_unstable();
        assert_eq!(sorted, ["aborted", "committed"], "{both:?}");
        // Goods in one place only, and paid for once.
        assert_eq!(
            [it.output(), other]
                .map(|path| path.exists())
                .iter()
                .filter(|there| **there)
                .count(),
            1
        );
        it.world.settle().await;
        // Until the winning purchase is settled, the coin may still come back, so the loser tries again.
        for wallet in [&it.wallet, &twin] {
            wallet.resume().await.unwrap();
        }
        assert_eq!(it.earned().await, PRICE);
        it.books_balance().await;
        // The loser believes the bank, because it shows the coin's own signature for the other purchase. Nobody is
        // convicted.
        let (winner, loser) = if ends[0] == "committed" {
            (&it.wallet, &twin)
        } else {
            (&twin, &it.wallet)
        };
        let paid = winner.purchases().unwrap()[0]
            .1
            .purchase
            .order()
            .unwrap()
            .purchase();
        let proven = |row: &CoinRow| matches!(row.status, CoinStatus::UsedElsewhere(used) if used.digest == paid.digest());
        assert!(
            loser.coins().unwrap().iter().any(proven),
            "the refusal proves itself"
        );
        assert_eq!(loser.denied_coins().unwrap(), []);
        let papers = [winner, loser].map(|wallet| wallet.papers(0).unwrap());
        convicts(&papers, &[]);
    });
}

// ---- floods -------------------------------------------------------------------------------------------------------

#[test]
fn a_flood_of_sessions_closes_none_but_the_floods_own() {
    setting(30, async |it| {
        let hand = by_hand(&it.world, "mallory").await;
        let honest = by_hand(&it.world, "bob").await;
        let bobs = honest.withdrawal_begun(&honest.withdrawal(&[1]).await).await;

        let first = hand.withdrawal_begun(&hand.withdrawal(&[1]).await).await;
        let mut last = first.clone();
        for _ in 0..SESSIONS_PER_ACCOUNT_MAX {
            last = hand.withdrawal_begun(&hand.withdrawal(&[1]).await).await;
        }
        let gone = hand.ask(hand.withdraw_finish(&first)).await.unwrap_err();
        assert_eq!(gone, Refusal::from(IssueFault::SessionGone));
        hand.ask(hand.withdraw_finish(&last)).await.unwrap();
        honest.ask(honest.withdraw_finish(&bobs)).await.unwrap();

        // One coin has one open session: a newer one closes the older.
        let purse = hand.withdraw(&[1]).await;
        let first = hand.exchange(&purse, &[1]).await;
        let first = hand.exchange_begun(&first, &purse).await;
        let second = hand.exchange(&purse, &[1]).await;
        let second = hand.exchange_begun(&second, &purse).await;
        let gone = hand.ask(hand.exchange_finish(&first, &purse)).await.unwrap_err();
        assert_eq!(gone, Refusal::from(IssueFault::SessionGone));
        hand.ask(hand.exchange_finish(&second, &purse)).await.unwrap();
        it.books_balance().await;
    });
}

/// Number of made-up purchases that a flood cancels at once: more than may wait for one durable write.
const FLOOD: usize = QUEUE_MAX_TRANSACTIONS + 500;

/// Upper bound of what a cancel of a made-up purchase leaves in a journal (bytes). Nothing purges a journal.
const TRACE_MAX_BYTES: u64 = 1024;

#[test]
fn a_flood_of_cancels_leaves_a_bounded_trace_each_and_honest_customers_get_through() {
    setting(31, async |it| {
        let hand = Arc::new(by_hand(&it.world, "mallory").await);
        let purse = hand.withdraw(&[1]).await;
        let offer = hand.offer().await;
        let journal = Path::new(STORE).join("journal");
        let size = |world: &World| -> u64 {
            let disks = world.disks();
            let journals = disks.iter().map(|disk| disk.bytes(&journal).unwrap());
            journals.map(|bytes| bytes.len() as u64).sum()
        };
        let before = size(&it.world);
        let mut flood = tokio::task::JoinSet::new();
        for number in 0..FLOOD as u64 {
            let cancel = hand.order_until(offer.clone(), &purse, number).cancel();
            let hand = hand.clone();
            flood.spawn_local(async move { hand.ask(cancel).await });
        }
        let (_, bought) = it.buy().await;
        bought.unwrap();
        let mut decided = 0u64;
        while let Some(answer) = flood.join_next().await {
            match answer.unwrap() {
                Ok(Outcome::Aborted(_)) => decided += 1,
                Ok(other) => panic!("{other:?}"),
                Err(Refusal::Coins(fault)) => assert_eq!(fault.what, CoinFault::CancelledTooOften),
                Err(refusal) => assert!(matches!(refusal, Refusal::Later(Later::Busy { .. })), "{refusal}"),
            }
        }
        assert!(it.has_goods());
        it.world.settle().await;
        it.books_balance().await;
        assert_eq!(it.earned().await, PRICE);
        assert_eq!(it.balance().0, FUNDS.0 - PRICE.0);
        assert_eq!(decided, CANCELS_PER_COIN_MAX, "what one coin cancels");
        let trace = (size(&it.world) - before) / decided.max(1);
        println!("{decided} of {FLOOD} cancels decided, {trace} bytes of journals each at escrow and bank");
        assert!(trace < 2 * TRACE_MAX_BYTES, "{trace} bytes each");
    });
}
