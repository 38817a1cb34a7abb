//! The judge is shown every choice of the documents that each run leaves with its parties: honest runs, and each cheat that
//! leaves documents. Nobody honest is convicted by any choice, and nobody guilty is cleared. See `farthing_tests::court`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_bank::evidence::About;
use farthing_client::wallet::Wallet;
use farthing_coin::{SecretKey, Seed};
use farthing_node::admin::AdminHandler;
use farthing_protocol::{
    documents::AbortReason,
    evidence::{Culprit, Papers},
    money::Amount,
};
use farthing_tests::{
    court::{Witness, judge_every_choice},
    simulation::{
        cheats::{
            AbortsWhatIsReleased, Cause, DeniesCredits, DeniesHolds, DeniesSealedKeys, FalseOffers,
            LeavesHimUnpaid, NeverReleases, SignsWrongKeys, TellsHerAbort, cancels, overdue,
            seals_another_key,
        },
        foundation::Population,
        local,
        party::Party,
        world::World,
    },
};
use serde_json::json;
use std::sync::Arc;

const ESCROW: Party = Party::Escrow(0);
const MERCHANT: Party = Party::Merchant(0);
const FUNDS: Amount = Amount(2000);

/// One purchase in a world, and the documents that it leaves.
struct Run {
    world: Arc<World>,
    wallet: Wallet,
    number: u64,
}

fn run(seed: u64, population: Population, test: impl AsyncFnOnce(&mut Run)) {
    local(async {
        let world = World::of(seed, population).await;
        let wallet = world.customer("alice", FUNDS).await.wallet();
        wallet.withdraw(&world.parties().bank, FUNDS).await.unwrap();
        let mut run = Run {
            world,
            wallet,
            number: 0,
        };
        test(&mut run).await;
    });
}

impl Run {
    fn key(&self, party: Party) -> SecretKey {
        self.world.foundation.key(party)
    }

    /// The seed of the customer's wallet at the bank.
    fn seed(&self) -> Seed {
        let seed = self.world.foundation.seed_of("alice");
        seed.for_bank(&self.key(Party::Bank).public())
    }

    fn bank(&self) -> Culprit {
        Culprit::Bank(self.key(Party::Bank).public())
    }

    fn escrow(&self) -> Culprit {
        Culprit::Escrow(self.key(ESCROW).public())
    }

    fn merchant(&self) -> Culprit {
        Culprit::Merchant(self.key(MERCHANT).public())
    }

    /// Buys the picture, as far as that goes.
    async fn buy(&mut self) {
        let output = self.world.dir().join("picture.png");
        let parties = self.world.parties();
        self.number = self
            .wallet
            .begin_purchase(&parties, "a picture", &output)
            .await
            .unwrap();
        // How it ends is in the documents.
        let _ended = self.wallet.drive_purchase(self.number).await;
    }

    /// What each party has by now.
    async fn witnesses(&self) -> Vec<Witness> {
        let purchase = self.wallet.purchase(self.number).unwrap().purchase;
        let id = purchase.order().unwrap().purchase().to_string();
        let mut customer: Vec<Papers> = self.wallet.papers(self.number).into_iter().collect();
        customer.extend(self.wallet.denied_coins().unwrap());
        // The terms and the contract are with whoever has taken part, however it ended.
        customer.push(Papers {
            contract: Some(purchase.order().unwrap().contract.clone()),
            ..Papers::default()
        });
        let mut bank = self
            .world
            .bank()
            .evidence(&About::Purchase { id: id.clone() })
            .unwrap();
        bank.extend(self.world.bank().evidence(&About::Contradictions).unwrap());
        let evidence = json!({ "do": "evidence", "sale": id });
        let sale = self.world.merchant(0).admin(evidence).await;
        let sale = sale
            .ok()
            .map(|answer| serde_json::from_value(answer["evidence"].clone()).unwrap());
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
                papers: sale.into_iter().collect(),
            },
            Witness {
                name: "escrow",
                accused: Some(self.escrow()),
                papers: Vec::new(),
            },
        ]
    }

    async fn judged(&self, guilty: &[(Culprit, &str)]) {
        let judged = judge_every_choice(&self.witnesses().await, guilty);
        println!("{judged} choices of documents judged");
        assert!(judged > 0);
    }
}

#[test]
fn an_honest_purchase_convicts_nobody() {
    for (seed, population) in [(1, Population::default()), (2, Population::sealed())] {
        run(seed, population, async |it| {
            it.buy().await;
            // Whoever shows a bank the commit has it obeyed: until then, the bank has no word that it has credited.
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
        let (key, bank) = (it.key(ESCROW), it.key(Party::Bank).public());
        let waits_for_cancel = true;
        it.world.cheat(
            ESCROW,
            TellsHerAbort {
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
        let cheat = LeavesHimUnpaid {
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
        let cheat = AbortsWhatIsReleased::new(it.key(ESCROW), it.world.bank(), bare);
        it.world.cheat(ESCROW, cheat);
        it.buy().await;
        it.judged(&[(it.escrow(), "customer"), (it.escrow(), "merchant")])
            .await;
    });
    run(11, Population::default(), async |it| {
        let early = overdue(it.key(Party::Bank), 1);
        let cheat = AbortsWhatIsReleased::new(it.key(ESCROW), it.world.bank(), early);
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
