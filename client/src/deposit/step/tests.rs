#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use farthing_coin::{Coin, EncodedPoint, EncodedScalar, KeyId, PublicKey, SecretKey, StatementDigest};
use farthing_node::card::RoleName;
use farthing_protocol::{
    denial::DenialCause,
    deposit::DepositFrom,
    deposited::{DepositOutput, Payee, text_digest},
    money::Amount,
    refusal::AccountFault,
    restore::Origin,
};
use farthing_store::{
    Store, StoreOptions,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use std::path::Path;

const PAYEE: PublicKey = PublicKey([5; 32]);

/// A payment of one coin, and its bank's key.
struct Fixture {
    store: Store,
    seed: Seed,
    key: SecretKey,
    bank: Card,
    row: DepositRow,
}

impl Fixture {
    fn new() -> Fixture {
        let options = StoreOptions::simulated(MemoryDisk::new(), 1);
        let (store, _) = Store::open(Path::new("/wallet"), options).unwrap();
        let entropy: &dyn Entropy = &SeededEntropy::new(1);
        let seed = Seed::generate(&mut entropy.rng());
        let key = SecretKey::generate(&mut entropy.rng());
        let bank = Card {
            role: RoleName::Bank,
            name: "bank".into(),
            address: "127.0.0.1:1".parse().unwrap(),
            fingerprint: [0; 32].into(),
            identity: key.public(),
            fields: Default::default(),
        };
        let coin = Coin {
            suite: farthing_coin::SUITE,
            key_id: KeyId([7; 32]),
            public: PublicKey([4; 32]),
            r: EncodedPoint([1; 32]),
            z: EncodedScalar([2; 32]),
            y: EncodedScalar([3; 32]),
        };
        let output = DepositOutput {
            to: Payee::Reserve(PAYEE),
            amount: Amount(4),
        };
        let deposit = Deposit {
            bank: bank.identity,
            from: DepositFrom::Coins(vec![coin]),
            outputs: vec![output],
            text: text_digest(&seed.text_salt(0), "lunch"),
        };
        let row = DepositRow {
            deposit,
            origins: vec![Origin::withdrawn(0, 0)],
            text: "lunch".into(),
            begun_ms: 1,
            state: DepositState::Sending,
        };
        Fixture {
            store,
            seed,
            key,
            bank,
            row,
        }
    }

    fn step(&self, event: &Event) -> Result<Step, WalletError> {
        let known = Known {
            number: 0,
            row: &self.row,
            rows: &self.store.view(),
            keys: None,
            are_keys_fresh: false,
            seed: &self.seed,
            bank: &self.bank,
            now_ms: 1,
        };
        step(&known, event)
    }

    /// The bank's statement that it has carried out this payment.
    fn deposited(&self) -> Deposited {
        let deposit = &self.row.deposit;
        Deposited {
            bank: deposit.bank,
            source: deposit.from.source(),
            outputs: deposit.outputs.clone(),
            text: deposit.text,
            at_ms: 2,
        }
    }

    fn denial(&self, kind: RequestKind, request: StatementDigest, cause: DenialCause) -> Event {
        let denial = Denial {
            bank: self.bank.identity,
            kind,
            request,
            cause,
            at_ms: 2,
        };
        Event::Refused(Refusal::Denied(Box::new(Signed::sign(denial, &self.key))))
    }
}

#[test]
fn a_payment_is_sent_again_byte_for_byte_and_nothing_is_written_for_that() {
    let mut fixture = Fixture::new();
    let sent = || match fixture.step(&Event::Resumed).unwrap() {
        Step {
            write: None,
            then: Then::Send(request),
        } => request,
        other => panic!("{other:?}"),
    };
    assert_eq!(sent(), sent());
    fixture.row.state = DepositState::GivenUp;
    let step = fixture.step(&Event::Resumed).unwrap();
    assert!(matches!(step.then, Then::End(Ok(()))));
}

#[test]
fn only_the_banks_statement_about_this_payment_ends_it_as_done() {
    let fixture = Fixture::new();
    let right = Signed::sign(fixture.deposited(), &fixture.key);
    match fixture.step(&Event::Answered(right.clone())).unwrap().write {
        Some(Write::Done(row)) => assert_eq!(row.state, DepositState::Done(Box::new(right.clone()))),
        other => panic!("{other:?}"),
    }
    let mut less = fixture.deposited();
    less.outputs[0].amount = Amount(3);
    let forged = Signed {
        body: right.body.clone(),
        signature: Signed::sign(less.clone(), &fixture.key).signature,
    };
    for wrong in [Signed::sign(less, &fixture.key), forged] {
        let error = fixture.step(&Event::Answered(wrong)).unwrap_err();
        assert!(matches!(error, WalletError::Garbled { .. }), "{error}");
    }
}

#[test]
fn only_a_signed_denial_of_this_payment_is_final() {
    let fixture = Fixture::new();
    let id = StatementDigest::from(fixture.row.deposit.id());
    let unknown = || DenialCause::UnknownAccount(PAYEE);
    let event = fixture.denial(RequestKind::Deposit, id, unknown());
    let step = fixture.step(&event).unwrap();
    assert!(matches!(step.write, Some(Write::Refused { finding: None, .. })));
    assert!(matches!(step.then, Then::End(Err(WalletError::Refused { .. }))));
    for event in [
        Event::Refused(Refusal::Account(AccountFault::Unknown(PAYEE))),
        fixture.denial(RequestKind::Deposit, StatementDigest([1; 32]), unknown()),
        fixture.denial(RequestKind::ExchangeFinish, id, unknown()),
    ] {
        let error = fixture.step(&event).unwrap_err();
        assert!(error.is_silence(), "{error}");
    }
}

#[test]
fn the_keys_are_fetched_before_a_denied_coin_is_judged() {
    let fixture = Fixture::new();
    let [coin] = fixture.row.deposit.coins() else {
        panic!("one coin");
    };
    let cause = DenialCause::Coin {
        key_id: coin.key_id,
        coin: coin.public,
        what: farthing_protocol::denial::CoinDenial::Expired { expired_ms: 1 },
    };
    let event = fixture.denial(RequestKind::Deposit, fixture.row.deposit.id().into(), cause);
    let step = fixture.step(&event).unwrap();
    assert!(step.write.is_none() && matches!(step.then, Then::FetchKeys));
}
