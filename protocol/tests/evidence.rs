//! The judge: each charge, the document that clears of it, and that a cheat cannot frame an honest party.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_coin::{Document, SharedPoint, Signed};
use farthing_protocol::{
    cause::CauseFault,
    contract::{check_hold, sign_hold},
    documents::{
        Abort, AbortReason, BankHold, Commit, Contract, Offer, Overdue, PurchaseId, PurchaseKeyUse, Receipt,
        Settled, Terms,
    },
    evidence::{Charge, Conviction, Culprit, PAPERS_MAX, Papers, judge},
    goods::{GoodsKey, PurchaseSecret, SealingSecret},
    ids::{ObliviousKey, SealingContext},
    limits::CLAIM_MS,
    money::Amount,
    oblivious::EncryptionKey,
    offered_key::OfferedKey,
    purchase::{PurchaseError, check_abort_cause},
};
use support::{
    BANK, CUSTOMER, ESCROW, MERCHANT, commit_of, contract_of, goods_key, key, offer, receipt_of, secret,
};

const OTHER_ESCROW: u8 = 5;
const SEALER: u8 = 6;

fn contract() -> Contract {
    contract_with(|_| {})
}

/// The contract of an offer in which `sealed` is sealed to the escrow.
fn sealed_contract(sealed: &GoodsKey) -> Contract {
    contract_with(|offer| {
        let sealed_key = OfferedKey::seal(&secret(SEALER), &key(ESCROW), &offer.sealing_context(), sealed);
        offer.sealed_key = Some(sealed_key.unwrap());
    })
}

/// The contract of an offer of version 1, with a sealed key without a proof.
fn sealed_contract_v1(sealed: &GoodsKey) -> Contract {
    contract_with(|offer| {
        let sealed_key = OfferedKey::seal(&secret(SEALER), &key(ESCROW), &offer.sealing_context(), sealed);
        offer.sealed_key = Some(OfferedKey {
            proof: None,
            ..sealed_key.unwrap()
        });
    })
}

fn contract_with(change: impl FnOnce(&mut Offer)) -> Contract {
    let mut offer = offer();
    change(&mut offer);
    contract_of(offer, &secret(CUSTOMER))
}

fn terms() -> Terms {
    contract().terms
}

fn receipt(goods_key: GoodsKey) -> Receipt {
    receipt_of(&terms(), goods_key)
}

fn commit(sealed: GoodsKey) -> Commit {
    commit_of(&terms(), &sealed)
}

fn abort() -> Abort {
    Abort {
        purchase: terms().purchase_id(),
        bank: key(BANK),
        reason: AbortReason::Cancelled,
    }
}

fn by<D: Document>(who: u8, document: D) -> Option<Signed<D>> {
    Some(Signed::sign(document, &secret(who)))
}

/// The point with which the holder of this key opens the goods key in a commit.
fn point(who: u8, commit: &Commit) -> SharedPoint {
    let context = SealingContext::from(commit.purchase);
    let shown = secret(who).show_shared_point(&commit.sealed_key.ephemeral, &context.0);
    shown.unwrap()
}

/// All papers of an honest purchase.
fn honest() -> Papers {
    Papers {
        contract: Some(contract()),
        bank_hold: by(BANK, BankHold::of(&terms())),
        receipt: by(ESCROW, receipt(goods_key())),
        commit: by(ESCROW, commit(goods_key())),
        purchase_point: Some(point(CUSTOMER, &commit(goods_key()))),
        settled: by(BANK, Settled::committed(&terms(), terms().price)),
        ..Papers::default()
    }
}

fn aborted_settled() -> Option<Signed<Settled>> {
    by(BANK, Settled::aborted(terms().purchase_id(), key(ESCROW)))
}

fn of_terms() -> Papers {
    Papers {
        terms: Some(terms()),
        ..Papers::default()
    }
}

#[track_caller]
fn proves(papers: &[Papers], expected: &[(Culprit, Charge)]) {
    let expected: Vec<Conviction> = expected
        .iter()
        .map(|(culprit, charge)| Conviction {
            culprit: *culprit,
            charge: *charge,
            purchase: match charge {
                Charge::TwoEncryptionKeys { .. } => None,
                _ => Some(terms().purchase_id()),
            },
        })
        .collect();
    assert_eq!(judge(papers, 0), expected);
}

fn escrow(charge: Charge) -> (Culprit, Charge) {
    (Culprit::Escrow(key(ESCROW)), charge)
}

fn bank(charge: Charge) -> (Culprit, Charge) {
    (Culprit::Bank(key(BANK)), charge)
}

#[test]
fn an_honest_purchase_convicts_nobody() {
    proves(&[honest()], &[]);
    proves(&[], &[]);
    let cancelled = Papers {
        abort: by(ESCROW, abort()),
        bank_hold: by(BANK, BankHold::of(&terms())),
        settled: aborted_settled(),
        ..of_terms()
    };
    proves(&[cancelled], &[]);
}

#[test]
fn an_escrow_that_signed_both_outcomes_is_convicted_by_either_pair() {
    let aborted = Papers {
        abort: by(ESCROW, abort()),
        ..of_terms()
    };
    proves(&[honest(), aborted.clone()], &[escrow(Charge::DecidedTwice)]);
    // The papers are two files that name the escrow, without contract and terms.
    let named = |papers: Papers| Papers {
        escrow: Some(key(ESCROW)),
        terms: None,
        ..papers
    };
    let committed = named(Papers {
        commit: by(ESCROW, commit(goods_key())),
        ..Papers::default()
    });
    proves(&[committed, named(aborted)], &[escrow(Charge::DecidedTwice)]);
}

#[test]
fn an_escrow_that_signed_or_sealed_a_wrong_key_is_convicted() {
    let wrong = GoodsKey::from_bytes([1; 32]);
    let signed = Papers {
        contract: Some(contract()),
        receipt: by(ESCROW, receipt(wrong.clone())),
        ..Papers::default()
    };
    proves(&[signed], &[escrow(Charge::WrongGoodsKey)]);
    let sealed = Papers {
        receipt: None,
        commit: by(ESCROW, commit(wrong)),
        ..honest()
    };
    proves(std::slice::from_ref(&sealed), &[escrow(Charge::WrongGoodsKey)]);
    // A file of version 1 shows the purchase key instead.
    let of_secret = |who: u8| Papers {
        purchase_point: None,
        purchase_secret: Some(PurchaseSecret::from_bytes(*secret(who).to_bytes())),
        ..sealed.clone()
    };
    proves(&[of_secret(CUSTOMER)], &[escrow(Charge::WrongGoodsKey)]);
    proves(&[of_secret(MERCHANT)], &[]);
    // Without key or point nobody can check the sealed key, and those of others prove nothing.
    let mut forged = point(CUSTOMER, &commit(goods_key()));
    forged.point = point(MERCHANT, &commit(goods_key())).point;
    for purchase_point in [None, Some(point(MERCHANT, &commit(goods_key()))), Some(forged)] {
        let papers = Papers {
            purchase_point,
            ..sealed.clone()
        };
        proves(&[papers], &[]);
    }
}

/// The papers of a wallet whose purchase was aborted by `escrow` for a wrong sealed key.
fn aborted_for_sealed_key(contract: &Contract, escrow: u8) -> Papers {
    let abort = Abort {
        purchase: contract.terms.purchase_id(),
        bank: key(BANK),
        reason: AbortReason::WrongSealedKey,
    };
    Papers {
        contract: Some(contract.clone()),
        escrow: Some(key(escrow)),
        abort: by(escrow, abort),
        ..Papers::default()
    }
}

fn sealing_secret(who: u8) -> Papers {
    Papers {
        sealing_secret: Some(SealingSecret::from_bytes(*secret(who).to_bytes())),
        ..Papers::default()
    }
}

#[test]
fn a_merchant_with_a_denied_sealed_key_is_convicted_unless_they_show_that_it_is_right() {
    let merchant = (
        Culprit::Merchant(key(MERCHANT)),
        Charge::WrongSealedKey { shown: false },
    );
    let escrow = (Culprit::Escrow(key(ESCROW)), Charge::SealedKeyDenied);
    let wrong = sealed_contract_v1(&GoodsKey::from_bytes([66; 32]));
    let right = sealed_contract_v1(&goods_key());
    let proven = sealed_contract(&GoodsKey::from_bytes([66; 32]));
    let said = |papers: &[Papers]| -> Vec<(Culprit, Charge)> {
        judge(papers, 0)
            .iter()
            .map(|it| (it.culprit, it.charge))
            .collect()
    };
    for (contract, shown, expected) in [
        (&wrong, None, merchant),
        (&wrong, Some(SEALER), merchant),
        (&right, None, merchant),
        (&right, Some(OTHER_ESCROW), merchant),
        (&right, Some(SEALER), escrow),
        // For a key with a proof the escrow has to show the point.
        (&proven, None, escrow),
        // Without a sealed key nothing can be wrong with it.
        (&contract(), None, escrow),
    ] {
        let papers: Vec<Papers> = [aborted_for_sealed_key(contract, ESCROW)]
            .into_iter()
            .chain(shown.map(sealing_secret))
            .collect();
        assert_eq!(said(&papers), [expected], "{shown:?}");
    }
    // The word of another escrow proves nothing. Neither does the word of an escrow that has also committed, or that
    // aborted for another reason.
    assert_eq!(said(&[aborted_for_sealed_key(&right, OTHER_ESCROW)]), []);
    let mut cancelled = aborted_for_sealed_key(&right, ESCROW);
    cancelled.abort.as_mut().unwrap().body.reason = AbortReason::Cancelled;
    cancelled.abort = by(ESCROW, cancelled.abort.unwrap().body);
    assert_eq!(said(&[cancelled]), []);
    let twice = Papers {
        receipt: by(
            ESCROW,
            Receipt {
                purchase: right.terms.purchase_id(),
                ..receipt(goods_key())
            },
        ),
        ..aborted_for_sealed_key(&right, ESCROW)
    };
    assert_eq!(
        said(&[twice]),
        [(Culprit::Escrow(key(ESCROW)), Charge::DecidedTwice)]
    );
}

#[test]
fn the_ephemeral_secret_clears_a_merchant_of_a_version_1_abort_only() {
    assert!(Charge::WrongSealedKey { shown: false }.unless().is_some());
    let right = sealed_contract_v1(&goods_key());
    let said = aborted_for_sealed_key(&right, ESCROW);
    let convicted = judge(&[said, sealing_secret(SEALER)], 0);
    assert_eq!(convicted[0].charge, Charge::SealedKeyDenied);

    // A shared point shows what the key opens. The secret that sealed it opens the same.
    assert_eq!(Charge::WrongSealedKey { shown: true }.unless(), None);
    let wrong = sealed_contract(&GoodsKey::from_bytes([66; 32]));
    let context = wrong.offer.body.sealing_context();
    let point = secret(ESCROW).show_shared_point(&key(SEALER), &context.0);
    let shown = aborted_with_point(&wrong, point.unwrap());
    for papers in [vec![shown.clone()], vec![shown, sealing_secret(SEALER)]] {
        assert_eq!(
            judge(&papers, 0)[0].charge,
            Charge::WrongSealedKey { shown: true }
        );
    }
}

/// The papers of a wallet whose purchase was aborted for a wrong sealed key, with the point that the escrow shows.
fn aborted_with_point(contract: &Contract, shown: SharedPoint) -> Papers {
    let mut papers = aborted_for_sealed_key(contract, ESCROW);
    let mut abort = papers.abort.unwrap().body;
    abort.reason = AbortReason::WrongKey(Box::new(shown));
    papers.abort = by(ESCROW, abort);
    papers
}

/// The merchant shows nothing. The point that the escrow shows says who is at fault.
#[test]
fn a_shown_point_convicts_the_merchant_of_a_wrong_key_and_the_escrow_if_the_key_is_right() {
    let merchant = (
        Culprit::Merchant(key(MERCHANT)),
        Charge::WrongSealedKey { shown: true },
    );
    let escrow = (Culprit::Escrow(key(ESCROW)), Charge::SealedKeyDenied);
    let said = |papers: &[Papers]| -> Vec<(Culprit, Charge)> {
        judge(papers, 0)
            .iter()
            .map(|it| (it.culprit, it.charge))
            .collect()
    };
    let point = |contract: &Contract, by: u8| {
        let offer = &contract.offer.body;
        secret(by)
            .show_shared_point(&key(SEALER), &offer.sealing_context().0)
            .unwrap()
    };
    let wrong = sealed_contract(&GoodsKey::from_bytes([66; 32]));
    let right = sealed_contract(&goods_key());
    let wraps_nothing = contract_with(|offer| {
        offer.wrapped_key.tag[0] ^= 1;
        let context = offer.sealing_context();
        let sealed = OfferedKey::seal(&secret(SEALER), &key(ESCROW), &context, &goods_key());
        offer.sealed_key = Some(sealed.unwrap());
    });
    let unproven = contract_with(|offer| {
        let context = offer.sealing_context();
        let other = GoodsKey::from_bytes([66; 32]);
        let sealed = OfferedKey::seal(&secret(SEALER), &key(ESCROW), &context, &other).unwrap();
        offer.sealed_key = Some(OfferedKey {
            proof: None,
            ..sealed
        });
    });
    for (contract, shown, expected) in [
        (&wrong, point(&wrong, ESCROW), merchant),
        (&wraps_nothing, point(&wraps_nothing, ESCROW), merchant),
        (&right, point(&right, ESCROW), escrow),
        // A point of another escrow, or of another offer, proves nothing about this offer.
        (&wrong, point(&wrong, OTHER_ESCROW), escrow),
        (&wrong, point(&wraps_nothing, ESCROW), escrow),
        // An escrow must not show a point of a key without a proof, or without a sealed key.
        (&unproven, point(&unproven, ESCROW), escrow),
        (&contract(), point(&wrong, ESCROW), escrow),
    ] {
        assert_eq!(said(&[aborted_with_point(contract, shown)]), [expected]);
        // The secret with which a merchant clears themselves of an abort of version 1 changes nothing.
        let papers = [aborted_with_point(contract, shown), sealing_secret(SEALER)];
        assert_eq!(said(&papers), [expected]);
    }
}

fn aborted_for(reason: AbortReason) -> Papers {
    let abort = Abort { reason, ..abort() };
    Papers {
        abort: by(ESCROW, abort),
        ..of_terms()
    }
}

/// The escrow's hold: with the promise to show causes, or of version 1.
fn held(promised: bool, escrow: u8) -> Papers {
    let hold = sign_hold(
        by(BANK, BankHold::of(&terms())).unwrap(),
        promised,
        &secret(escrow),
    );
    Papers {
        hold: Some(hold),
        ..Papers::default()
    }
}

fn cancel_of(purchase: &PurchaseId) -> AbortReason {
    let statement = PurchaseKeyUse::Cancel.statement(&key(CUSTOMER), purchase);
    AbortReason::CancelledBy(secret(CUSTOMER).sign(&statement))
}

fn overdue(who: u8, change: impl FnOnce(&mut Overdue)) -> AbortReason {
    let terms = terms();
    let mut overdue = Overdue {
        purchase: terms.purchase_id(),
        escrow: terms.escrow,
        deadline_ms: terms.deadline_ms,
        at_ms: terms.deadline_ms,
    };
    change(&mut overdue);
    AbortReason::Overdue(Box::new(Signed::sign(overdue, &secret(who))))
}

#[test]
fn an_abort_with_its_cause_convicts_nobody() {
    for reason in [cancel_of(&terms().purchase_id()), overdue(BANK, |_| {})] {
        assert_eq!(reason.check(&terms()), Ok(()));
        proves(&[aborted_for(reason), held(true, ESCROW)], &[]);
    }
}

#[test]
fn an_abort_without_its_cause_convicts_the_escrow_that_promised_to_show_one() {
    let promised = held(true, ESCROW);
    for reason in [AbortReason::Cancelled, AbortReason::DeadlinePassed] {
        let papers = aborted_for(reason);
        proves(
            &[papers.clone(), promised.clone()],
            &[escrow(Charge::AbortedWithoutCause)],
        );
        // An escrow of version 1 has promised nothing. The promise of another escrow does not bind it.
        proves(&[papers.clone(), held(false, ESCROW)], &[]);
        proves(&[papers.clone(), held(true, OTHER_ESCROW)], &[]);
        // The customer cannot add the promise by signing a new contract after the abort.
        let contract = contract();
        assert!(contract.wants_causes());
        let papers = Papers {
            contract: Some(contract),
            ..papers
        };
        proves(&[papers], &[]);
    }
    assert_eq!(Charge::AbortedWithoutCause.unless(), None);
}

#[test]
fn an_abort_with_a_false_cause_convicts_the_escrow_and_a_bank_that_signed_too_early() {
    let other = PurchaseId([66; 32]);
    let made_up = [
        cancel_of(&other),
        overdue(ESCROW, |_| {}),
        overdue(BANK, |it| it.purchase = other),
    ];
    for reason in made_up {
        proves(&[aborted_for(reason)], &[escrow(Charge::AbortedWithoutCause)]);
    }
    let early = overdue(BANK, |it| it.at_ms -= 1);
    proves(
        &[aborted_for(early)],
        &[escrow(Charge::AbortedWithoutCause), bank(Charge::OverdueTooEarly)],
    );
    let of_other_deadline = overdue(BANK, |it| it.deadline_ms -= 1);
    proves(
        &[aborted_for(of_other_deadline)],
        &[escrow(Charge::AbortedWithoutCause), bank(Charge::NotAsAgreed)],
    );
}

#[test]
fn an_abort_with_a_false_cause_clears_no_bank() {
    let owed = Papers {
        settled: None,
        ..honest()
    };
    proves(
        &[owed, aborted_for(cancel_of(&PurchaseId([66; 32])))],
        &[
            escrow(Charge::DecidedTwice),
            escrow(Charge::AbortedWithoutCause),
            bank(Charge::CreditDenied),
        ],
    );
}

#[test]
fn a_contract_of_version_1_is_valid_and_wants_no_causes() {
    let new = contract();
    let old = Contract {
        signature: secret(CUSTOMER)
            .sign(&PurchaseKeyUse::AgreeV1.statement(&key(CUSTOMER), &new.terms.purchase_id())),
        ..new.clone()
    };
    assert!(new.clone().verified().unwrap().wants_causes());
    assert!(!old.clone().verified().unwrap().wants_causes());
    let hold = |promised| held(promised, ESCROW).hold.unwrap();
    assert_eq!(check_hold(&new, &hold(true)), Ok(()));
    assert!(
        check_hold(&new, &hold(false)).is_err(),
        "it has to promise causes"
    );
    assert_eq!(check_hold(&old, &hold(false)), Ok(()));
    assert_eq!(check_hold(&old, &hold(true)), Ok(()));
    // A wallet accepts an abort of version 1 only for a contract of version 1.
    let abort = by(ESCROW, abort()).unwrap();
    assert_eq!(check_abort_cause(&abort, &old), Ok(()));
    assert_eq!(
        check_abort_cause(&abort, &new),
        Err(PurchaseError::WithoutCause(CauseFault::NotShown))
    );
}

#[test]
fn a_party_that_signs_a_document_against_the_terms_is_convicted() {
    let dearer = Receipt {
        amount: Amount(151),
        ..receipt(goods_key())
    };
    let elsewhere = Commit {
        account: key(ESCROW),
        ..commit(goods_key())
    };
    let other_bank = Abort {
        bank: key(ESCROW),
        ..abort()
    };
    for papers in [
        Papers {
            receipt: by(ESCROW, dearer),
            ..of_terms()
        },
        Papers {
            commit: by(ESCROW, elsewhere),
            ..of_terms()
        },
        Papers {
            abort: by(ESCROW, other_bank),
            ..of_terms()
        },
    ] {
        proves(&[papers], &[escrow(Charge::NotAsAgreed)]);
    }
    let other_terms = Terms {
        account: key(BANK),
        ..terms()
    };
    let credited_itself = Settled {
        purchase: terms().purchase_id(),
        ..Settled::committed(&other_terms, other_terms.price)
    };
    let held_less = BankHold {
        total: Amount(1),
        ..BankHold::of(&terms())
    };
    for papers in [
        Papers {
            settled: by(BANK, credited_itself),
            ..of_terms()
        },
        Papers {
            bank_hold: by(BANK, held_less),
            ..of_terms()
        },
    ] {
        proves(&[papers], &[bank(Charge::NotAsAgreed)]);
    }
}

#[test]
fn a_bank_that_denies_a_credit_is_convicted_unless_it_clears_itself() {
    let owed = Papers {
        settled: None,
        ..honest()
    };
    proves(std::slice::from_ref(&owed), &[bank(Charge::CreditDenied)]);
    assert!(Charge::CreditDenied.unless().is_some());
    // It clears itself with its statement that it has paid.
    let paid = Papers {
        settled: by(BANK, Settled::committed(&terms(), terms().price)),
        ..of_terms()
    };
    proves(&[owed.clone(), paid], &[]);
    // It also clears itself with the escrow's abort, which convicts the escrow.
    let aborted = Papers {
        abort: by(ESCROW, abort()),
        settled: aborted_settled(),
        ..of_terms()
    };
    proves(&[owed.clone(), aborted], &[escrow(Charge::DecidedTwice)]);
    // Its own statement that the escrow aborted does not clear it.
    let pretended = Papers {
        settled: aborted_settled(),
        ..of_terms()
    };
    proves(
        &[owed.clone(), pretended],
        &[bank(Charge::CreditDenied), bank(Charge::ReleasedThoughCommitted)],
    );
    // A commit for coins that it never held does not bind it.
    let never_held = Papers {
        bank_hold: None,
        ..owed
    };
    proves(&[never_held], &[]);
}

#[test]
fn a_bank_that_settles_both_ways_or_without_a_decision_is_convicted() {
    let committed = Papers {
        settled: by(BANK, Settled::committed(&terms(), terms().price)),
        ..of_terms()
    };
    let released = Papers {
        settled: aborted_settled(),
        ..of_terms()
    };
    proves(
        &[committed.clone(), released.clone()],
        &[bank(Charge::SettledTwice)],
    );
    let aborted = Papers {
        abort: by(ESCROW, abort()),
        ..of_terms()
    };
    proves(
        &[committed.clone(), aborted.clone()],
        &[bank(Charge::SpentThoughAborted)],
    );
    let commit = Papers {
        commit: by(ESCROW, commit(goods_key())),
        ..of_terms()
    };
    // The commit that it applied clears it.
    proves(
        &[committed, aborted, commit.clone()],
        &[escrow(Charge::DecidedTwice)],
    );
    proves(&[released, commit], &[bank(Charge::ReleasedThoughCommitted)]);
}

#[test]
fn a_charge_that_a_document_could_clear_is_heard_for_a_year() {
    let contract = || Papers {
        contract: Some(contract()),
        ..Papers::default()
    };
    let owed = Papers {
        bank_hold: by(BANK, BankHold::of(&terms())),
        commit: by(ESCROW, commit(goods_key())),
        ..contract()
    };
    let spent = Papers {
        settled: by(BANK, Settled::committed(&terms(), terms().price)),
        abort: by(ESCROW, abort()),
        ..contract()
    };
    let released = Papers {
        settled: aborted_settled(),
        commit: by(ESCROW, commit(goods_key())),
        ..contract()
    };
    let last_ms = terms().deadline_ms + CLAIM_MS - 1;
    let charges = |papers: &Papers, at_ms: u64| -> Vec<Charge> {
        let judged = judge(std::slice::from_ref(papers), at_ms).into_iter();
        judged.map(|conviction| conviction.charge).collect()
    };
    for (papers, charge) in [
        (owed, Charge::CreditDenied),
        (spent, Charge::SpentThoughAborted),
        (released, Charge::ReleasedThoughCommitted),
    ] {
        assert_eq!(charges(&papers, last_ms), [charge]);
        assert_eq!(charges(&papers, last_ms + 1), []);
    }
    // Nothing that the escrow could show would clear it.
    let twice = Papers {
        abort: by(ESCROW, abort()),
        ..honest()
    };
    assert_eq!(charges(&twice, u64::MAX), [Charge::DecidedTwice]);
}

#[test]
fn a_bank_that_holds_no_coins_contradicts_nothing() {
    let not_held = |papers: Papers| Papers {
        settled: by(BANK, Settled::not_held(terms().purchase_id(), key(ESCROW))),
        ..papers
    };
    let paid = honest();
    proves(&[not_held(of_terms()), paid], &[]);
    let released = Papers {
        settled: aborted_settled(),
        abort: by(ESCROW, abort()),
        ..of_terms()
    };
    proves(&[not_held(of_terms()), released], &[]);
    // It pays nothing either.
    let owed = Papers {
        settled: None,
        ..honest()
    };
    proves(&[not_held(owed)], &[bank(Charge::CreditDenied)]);
}

#[test]
fn another_escrow_cannot_frame_the_bank_or_the_purchases_own_escrow() {
    // The other escrow aborts a purchase that is not its own before the hold. The bank signs that it has applied this
    // abort, and names the other escrow.
    let framed = Papers {
        escrow: Some(key(OTHER_ESCROW)),
        abort: by(OTHER_ESCROW, abort()),
        settled: by(BANK, Settled::aborted(terms().purchase_id(), key(OTHER_ESCROW))),
        ..Papers::default()
    };
    proves(&[honest(), framed], &[]);
}

#[test]
fn a_document_that_a_cheat_signs_for_others_convicts_nobody() {
    for cheat in [MERCHANT, CUSTOMER, OTHER_ESCROW] {
        let forged = Papers {
            abort: by(cheat, abort()),
            settled: by(cheat, Settled::aborted(terms().purchase_id(), key(ESCROW))),
            receipt: by(cheat, receipt(GoodsKey::from_bytes([1; 32]))),
            bank_hold: by(cheat, BankHold::of(&terms())),
            ..of_terms()
        };
        proves(&[honest(), forged], &[]);
    }
    // A bank cannot make up an escrow's abort, and an escrow cannot make up a bank's hold.
    let by_bank = Papers {
        settled: None,
        abort: by(BANK, abort()),
        ..honest()
    };
    proves(&[by_bank], &[bank(Charge::CreditDenied)]);
    let by_escrow = Papers {
        settled: None,
        bank_hold: by(ESCROW, BankHold::of(&terms())),
        ..honest()
    };
    proves(&[by_escrow], &[]);
}

/// The papers of a wallet that was told this key of the merchant's, signed by `signer`.
fn told(signer: u8, target: u8, day: u32, key_byte: u8) -> Papers {
    let body = EncryptionKey {
        target: key(target),
        day,
        key: ObliviousKey([key_byte; 32]),
    };
    Papers {
        encryption_keys: by(signer, body).into_iter().collect(),
        ..Papers::default()
    }
}

#[test]
fn a_server_with_two_encryption_keys_for_one_day_is_convicted_whoever_was_told_which() {
    let first = told(MERCHANT, MERCHANT, 7, 1);
    let server = |day| (Culprit::Server(key(MERCHANT)), Charge::TwoEncryptionKeys { day });
    proves(&[first.clone(), told(MERCHANT, MERCHANT, 7, 2)], &[server(7)]);
    let mut both = first.clone();
    both.encryption_keys
        .extend(told(MERCHANT, MERCHANT, 7, 2).encryption_keys);
    both.encryption_keys
        .extend(told(MERCHANT, MERCHANT, 7, 3).encryption_keys);
    proves(&[both.clone()], &[server(7)]);
    let next = [told(MERCHANT, MERCHANT, 8, 4), told(MERCHANT, MERCHANT, 8, 5)];
    proves(&[&[both], &next[..]].concat(), &[server(7), server(8)]);
    assert!(server(7).1.unless().is_none());
    for honest in [
        first.clone(),
        // Another day, another target, and a key that the target has not signed.
        told(MERCHANT, MERCHANT, 8, 2),
        told(ESCROW, ESCROW, 7, 2),
        told(ESCROW, MERCHANT, 7, 2),
        told(MERCHANT, ESCROW, 7, 2),
    ] {
        proves(&[first.clone(), honest], &[]);
    }
}

#[test]
fn papers_beyond_the_bound_are_not_judged() {
    let mut papers = vec![honest(); PAPERS_MAX];
    papers.push(Papers {
        abort: by(ESCROW, abort()),
        ..of_terms()
    });
    proves(&papers, &[]);
}
