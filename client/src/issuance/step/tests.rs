#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use farthing_coin::SecretKey;
use farthing_node::card::RoleName;
use farthing_protocol::{ids::SessionDigest, issue::IssueState, refusal::AccountFault, withdraw::Withdrawal};
use farthing_store::{
    Store, StoreOptions,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use std::path::Path;

/// A withdrawal of a wallet with an empty store.
struct Fixture {
    store: Store,
    seed: Seed,
    account: SecretKey,
    bank: Card,
}

impl Fixture {
    fn new() -> Fixture {
        let options = StoreOptions::simulated(MemoryDisk::new(), 1);
        let (store, _) = Store::open(Path::new("/wallet"), options).unwrap();
        let entropy: &dyn Entropy = &SeededEntropy::new(1);
        let seed = Seed::generate(&mut entropy.rng());
        let bank = Card {
            role: RoleName::Bank,
            name: "bank".into(),
            address: "127.0.0.1:1".parse().unwrap(),
            fingerprint: [0; 32].into(),
            identity: PublicKey([9; 32]),
            fields: Default::default(),
        };
        Fixture {
            store,
            account: seed.account_key(),
            seed,
            bank,
        }
    }

    fn withdrawal(&self, state: IssueState) -> Withdrawal {
        Withdrawal {
            bank: self.bank.identity,
            account: self.account.public(),
            request_id: self.seed.withdraw_id(0),
            outputs: vec![KeyId([7; 32])],
            state,
        }
    }

    /// The step after an event in this state.
    fn step(&self, state: IssueState, event: &Event) -> Step<Withdrawal> {
        let known = Known {
            at: (self.bank.identity, 0),
            row: &self.withdrawal(state),
            signers: &self.account,
            rows: &self.store.view(),
            keys: None,
            are_keys_fresh: false,
            seed: &self.seed,
            bank: &self.bank,
            now_ms: 1,
        };
        step(&known, event).unwrap()
    }
}

fn finishing() -> IssueState {
    IssueState::Finishing {
        session: SessionDigest([3; 32]),
        challenges: Vec::new(),
    }
}

/// A refusal without the bank's signature.
fn unsigned() -> Event {
    Event::Refused(Refusal::Account(AccountFault::Unknown(PublicKey([9; 32]))))
}

#[test]
fn a_withdrawal_asks_for_a_session_and_writes_nothing_for_that() {
    let step = Fixture::new().step(IssueState::Beginning, &Event::Resumed);
    assert!(step.write.is_none());
    assert!(matches!(step.then, Then::Begin(_)));
}

#[test]
fn a_session_that_is_gone_is_begun_again_once_that_is_written() {
    let gone = Event::Refused(Refusal::Issue(IssueFault::SessionGone));
    let step = Fixture::new().step(finishing(), &gone);
    assert_eq!(step.write.unwrap().next().state, IssueState::Beginning);
    assert!(matches!(step.then, Then::Pause(_)));
}

#[test]
fn an_unsigned_refusal_ends_nothing_once_a_finish_may_have_been_sent() {
    let step = Fixture::new().step(finishing(), &unsigned());
    assert!(step.write.is_none());
    assert!(matches!(step.then, Then::End(Err(WalletError::Silent { .. }))));
}

#[test]
fn an_unsigned_refusal_ends_a_withdrawal_of_which_nothing_is_at_stake() {
    let step = Fixture::new().step(IssueState::Beginning, &unsigned());
    let refused = step.write.unwrap().next().state.clone();
    assert!(matches!(refused, IssueState::Refused { .. }));
    assert!(matches!(step.then, Then::End(Err(WalletError::Refused { .. }))));
}

#[test]
fn keys_that_are_not_known_are_fetched_before_an_answer_is_taken() {
    let begun = Event::Begun(Begun {
        commitments: Vec::new(),
    });
    let fixture = Fixture::new();
    for (state, event) in [
        (IssueState::Beginning, begun),
        (
            finishing(),
            Event::Refused(Refusal::Issue(IssueFault::NotIssuing(KeyId([7; 32])))),
        ),
    ] {
        let step = fixture.step(state, &event);
        assert!(step.write.is_none());
        assert!(matches!(step.then, Then::FetchKeys));
    }
}
