//! The judge on streams: each charge, and that no papers of honest parties convict one of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use farthing_coin::Signed;
use farthing_protocol::{
    documents::{Contract, Terms},
    evidence::{Charge, Culprit, PAPERS_MAX, Papers, ShownTick, judge},
    goods::GoodsKey,
    money::Amount,
    stream::{Batch, Raised, Voucher, chain},
};
use support::{
    BANK, CUSTOMER, ESCROW, MERCHANT, key, secret,
    stream::{
        TICKS, abort, bank_hold, batch, by, cancelled, closed, commit_of, contract, contract_on, credited,
        key_of, last_key, offer_of, opened, overdue, point, purchase_key, raised, released, stream_commit,
        voucher, voucher_body,
    },
};

fn escrow(charge: Charge) -> (Culprit, Charge) {
    (Culprit::Escrow(key(ESCROW)), charge)
}

fn bank(charge: Charge) -> (Culprit, Charge) {
    (Culprit::Bank(key(BANK)), charge)
}

fn merchant(charge: Charge) -> (Culprit, Charge) {
    (Culprit::Merchant(key(MERCHANT)), charge)
}

fn proven(papers: &[Papers]) -> Vec<(Culprit, Charge)> {
    let convictions = judge(papers, 0).into_iter();
    convictions.map(|it| (it.culprit, it.charge)).collect()
}

/// The contract and the escrow's name, which every accuser shows.
fn of_contract() -> Papers {
    Papers {
        contract: Some(contract()),
        ..Papers::default()
    }
}

/// The commit of an honest escrow for `ticks`, with the voucher.
fn committed(ticks: u32) -> Papers {
    let stream = stream_commit(&contract(), ticks);
    Papers {
        commit: Some(stream.commit),
        voucher: Some(stream.voucher),
        ..of_contract()
    }
}

fn promised(ticks: u32) -> Papers {
    Papers {
        raised: Some(raised(&contract().terms, ticks)),
        ..of_contract()
    }
}

fn shown(voucher: Signed<Voucher>) -> Papers {
    Papers {
        voucher: Some(voucher),
        ..Papers::default()
    }
}

// ---- honest parties ---------------------------------------------------------------------------------------

/// Which parties have a paper, so that they can show it when they are accused.
#[derive(Clone)]
struct Shared {
    papers: Papers,
    known_to: &'static [u8],
}

const ALL: &[u8] = &[BANK, ESCROW, MERCHANT];

fn paper(known_to: &'static [u8], fill: impl FnOnce(&mut Papers)) -> Shared {
    let mut papers = Papers::default();
    fill(&mut papers);
    Shared { papers, known_to }
}

/// The papers of every purchase: terms, contract, names and the bank's hold.
fn basis(contract: &Contract) -> Vec<Shared> {
    let terms = &contract.terms;
    vec![
        paper(&[ESCROW, MERCHANT], |it| it.contract = Some(contract.clone())),
        paper(ALL, |it| {
            it.terms = Some(terms.clone());
            it.escrow = Some(terms.escrow);
        }),
        paper(ALL, |it| it.escrow = Some(terms.escrow)),
        paper(ALL, |it| it.bank_hold = Some(bank_hold(terms))),
    ]
}

/// The papers of a stream that ended with `paid` ticks, after vouchers for `vouchers` were signed.
fn honest_stream(contract: &Contract, vouchers: &[u32], paid: u32) -> Vec<Shared> {
    let terms = &contract.terms;
    let stream = stream_commit(contract, paid);
    let amount = stream.voucher.body.amount.0;
    let mut all = basis(contract);
    all.push(paper(&[ESCROW, MERCHANT], |it| it.opened = Some(opened(terms))));
    for ticks in vouchers {
        all.push(paper(&[MERCHANT], |it| {
            it.voucher = Some(voucher(contract, *ticks))
        }));
        all.push(paper(&[ESCROW], |it| it.raised = Some(raised(terms, *ticks))));
    }
    all.push(paper(ALL, |it| it.voucher = Some(stream.voucher.clone())));
    all.push(paper(ALL, |it| it.commit = Some(stream.commit.clone())));
    all.push(paper(&[], |it| it.purchase_point = Some(point(&stream.commit))));
    all.push(paper(&[BANK], |it| it.settled = Some(credited(terms, amount))));
    all
}

/// Checks that no subset of the papers of honest parties convicts one of them, unless the accused has kept back the paper
/// that clears it.
#[track_caller]
fn convicts_nobody(all: &[Shared]) {
    assert!(all.len() <= PAPERS_MAX);
    let whole: Vec<Papers> = all.iter().map(|it| it.papers.clone()).collect();
    assert_eq!(proven(&whole), []);
    for subset in 0..1_usize << all.len() {
        let is_shown = |place: &usize| subset >> place & 1 == 1;
        let places: Vec<usize> = (0..all.len()).filter(is_shown).collect();
        let papers: Vec<Papers> = places.iter().map(|place| whole[*place].clone()).collect();
        for (culprit, charge) in proven(&papers) {
            assert!(charge.unless().is_some(), "{places:?}: {culprit:?}, {charge:?}");
            let who = match culprit {
                Culprit::Escrow(_) => ESCROW,
                Culprit::Bank(_) => BANK,
                _ => MERCHANT,
            };
            let own = |place: &usize| is_shown(place) || all[*place].known_to.contains(&who);
            let defended: Vec<Papers> = (0..all.len())
                .filter(own)
                .map(|place| whole[place].clone())
                .collect();
            let still = proven(&defended);
            assert!(
                still.iter().all(|(other, _)| *other != culprit),
                "{places:?}: {still:?}"
            );
        }
    }
}

#[test]
fn no_papers_of_a_stream_that_ended_early_convict_an_honest_party() {
    convicts_nobody(&honest_stream(&contract(), &[1, 2], 3));
}

#[test]
fn no_papers_of_a_stream_that_was_paid_in_full_convict_an_honest_party() {
    convicts_nobody(&honest_stream(&contract(), &[1], TICKS));
}

/// Ticks that cost less than a unit: vouchers for different ticks have one amount.
#[test]
fn no_papers_of_a_stream_of_cheap_ticks_convict_an_honest_party() {
    let contract = contract_on(offer_of(8, 2, &last_key()));
    assert_eq!(voucher(&contract, 1).body.amount, Amount(1));
    assert_eq!(voucher(&contract, 4).body.amount, Amount(1));
    convicts_nobody(&honest_stream(&contract, &[1, 3], 4));
    convicts_nobody(&honest_stream(&contract, &[2, 4], 8));
}

#[test]
fn no_papers_of_a_stream_without_a_paid_tick_convict_an_honest_party() {
    let contract = contract();
    let terms = &contract.terms;
    for (is_open, reason) in [
        (true, closed(terms)),
        (true, overdue(terms)),
        (false, cancelled(terms)),
        (false, overdue(terms)),
    ] {
        let mut all = basis(&contract);
        if is_open {
            all.push(paper(&[ESCROW, MERCHANT], |it| it.opened = Some(opened(terms))));
        }
        // The customer has signed it, and has shown it to nobody in time.
        all.push(paper(&[], |it| it.voucher = Some(voucher(&contract, 1))));
        all.push(paper(ALL, |it| it.abort = Some(abort(terms, reason.clone()))));
        all.push(paper(&[BANK], |it| it.settled = Some(released(terms))));
        convicts_nobody(&all);
    }
}

#[test]
fn no_honest_tick_convicts_its_merchant() {
    let contract = contract();
    let batch = batch(&contract.terms, 1, 3);
    let mut all = basis(&contract);
    for index in 1..=3_u32 {
        let shown = ShownTick {
            batch: batch.signed.clone(),
            index,
            tick: batch.ticks[index as usize - 1].clone().into_vec(),
            key: key_of(index),
        };
        all.push(paper(&[MERCHANT], |it| it.tick = Some(shown)));
    }
    convicts_nobody(&all);
}

// ---- charges ----------------------------------------------------------------------------------------------

#[test]
fn an_escrow_that_commits_without_a_voucher_is_convicted_unless_it_shows_one() {
    assert!(Charge::CommittedWithoutVoucher.unless().is_some());
    let charge = escrow(Charge::CommittedWithoutVoucher);
    let terms = contract().terms;
    for amount in [1, 50, 100] {
        let commit = Papers {
            commit: Some(commit_of(&terms, Amount(amount), &key_of(2))),
            ..of_contract()
        };
        assert_eq!(proven(std::slice::from_ref(&commit)), [charge], "{amount}");
        // A voucher of another key, for another amount, or of another purchase.
        let other = contract_on(offer_of(TICKS, 200, &last_key()));
        for voucher in [
            by(MERCHANT, voucher_body(&contract(), 2)),
            voucher(&contract(), 3),
            voucher(&other, 1),
        ] {
            assert_eq!(proven(&[commit.clone(), shown(voucher)]), [charge], "{amount}");
        }
    }
    let commit = Papers {
        voucher: None,
        ..committed(2)
    };
    assert_eq!(proven(&[commit.clone(), shown(voucher(&contract(), 2))]), []);
    // The voucher is for the amount, and its ticks cost another one. The customer signed it, to frame the escrow or the
    // bank. An honest escrow accepts none.
    let odd = Voucher {
        ticks: 3,
        ..voucher_body(&contract(), 2)
    };
    let odd = shown(Signed::sign(odd, &purchase_key()));
    assert_eq!(proven(&[commit, odd]), [charge]);
    // A commit of more than the price contradicts the terms.
    let dear = Papers {
        commit: Some(commit_of(&terms, Amount(101), &key_of(2))),
        ..of_contract()
    };
    assert_eq!(proven(&[dear]), [charge, escrow(Charge::NotAsAgreed)]);
}

#[test]
fn an_escrow_that_does_not_keep_what_it_promised_is_convicted() {
    assert_eq!(Charge::RaisedNotKept.unless(), None);
    let charge = escrow(Charge::RaisedNotKept);
    let terms = contract().terms;
    assert_eq!(proven(&[committed(2), promised(3)]), [charge]);
    assert_eq!(proven(&[committed(2), promised(2)]), []);
    assert_eq!(proven(&[committed(2), promised(1)]), []);
    for reason in [closed(&terms), overdue(&terms)] {
        let aborted = Papers {
            abort: Some(abort(&terms, reason)),
            ..of_contract()
        };
        assert_eq!(proven(&[aborted.clone(), promised(1)]), [charge]);
        assert_eq!(proven(&[aborted]), []);
    }
    // The word of another party, and about another purchase.
    let other = contract_on(offer_of(TICKS, 200, &last_key())).terms;
    let body: Raised = raised(&terms, 3).body;
    for raised in [by(MERCHANT, body), by(CUSTOMER, body), raised(&other, 3)] {
        let papers = Papers {
            raised: Some(raised),
            ..of_contract()
        };
        assert_eq!(proven(&[committed(2), papers]), []);
    }
}

/// The commit says only an amount. The point shows how many ticks its key opens.
#[test]
fn an_escrow_that_seals_the_key_of_fewer_cheap_ticks_than_it_promised_is_convicted() {
    let contract = contract_on(offer_of(8, 2, &last_key()));
    let commit = |ticks| {
        let stream = stream_commit(&contract, ticks);
        Papers {
            contract: Some(contract.clone()),
            purchase_point: Some(point(&stream.commit)),
            commit: Some(stream.commit),
            voucher: Some(stream.voucher),
            ..Papers::default()
        }
    };
    let promised = Papers {
        raised: Some(raised(&contract.terms, 3)),
        ..Papers::default()
    };
    for (ticks, expected) in [
        (1, vec![escrow(Charge::RaisedNotKept)]),
        (3, vec![]),
        (4, vec![]),
        (8, vec![]),
    ] {
        assert_eq!(proven(&[commit(ticks), promised.clone()]), expected, "{ticks}");
    }
}

#[test]
fn an_escrow_that_aborts_an_open_stream_for_its_customer_is_convicted() {
    let terms = contract().terms;
    let charge = escrow(Charge::AbortedWithoutCause);
    let open = Papers {
        opened: Some(opened(&terms)),
        ..of_contract()
    };
    let aborted = |reason| Papers {
        abort: Some(abort(&terms, reason)),
        ..of_contract()
    };
    for (reason, expected) in [
        (cancelled(&terms), vec![charge]),
        (farthing_protocol::documents::AbortReason::Cancelled, vec![charge]),
        (closed(&terms), vec![]),
        (overdue(&terms), vec![]),
    ] {
        assert_eq!(proven(&[open.clone(), aborted(reason.clone())]), expected);
        // Another party did not promise that the stream is open.
        let forged = Papers {
            opened: Some(by(MERCHANT, opened(&terms).body)),
            ..of_contract()
        };
        assert_eq!(proven(&[forged, aborted(reason)]), []);
    }
    // A bank that has applied the abort is honest.
    let settled = Papers {
        bank_hold: Some(bank_hold(&terms)),
        settled: Some(released(&terms)),
        ..aborted(cancelled(&terms))
    };
    assert_eq!(proven(&[open, settled]), [charge]);
}

#[test]
fn an_escrow_that_closes_a_stream_without_its_merchants_word_is_convicted() {
    let terms = contract().terms;
    let other = contract_on(offer_of(TICKS, 200, &last_key())).terms;
    let farthing_protocol::documents::AbortReason::Closed(close) = closed(&terms) else {
        return;
    };
    let forged = by(CUSTOMER, close.body);
    for reason in [
        closed(&other),
        farthing_protocol::documents::AbortReason::Closed(Box::new(forged)),
    ] {
        let aborted = Papers {
            abort: Some(abort(&terms, reason)),
            ..of_contract()
        };
        assert_eq!(proven(&[aborted]), [escrow(Charge::AbortedWithoutCause)]);
    }
}

#[test]
fn an_escrow_that_commits_two_amounts_is_convicted() {
    let twice = [committed(2), committed(3)];
    assert_eq!(proven(&twice), [escrow(Charge::DecidedTwice)]);
    assert_eq!(proven(&[committed(2), committed(2)]), []);
    // The bank shows them without a contract.
    let terms = contract().terms;
    let named = twice.map(|papers| Papers {
        contract: None,
        terms: Some(terms.clone()),
        ..papers
    });
    assert_eq!(proven(&named), [escrow(Charge::DecidedTwice)]);
    let aborted = Papers {
        abort: Some(abort(&terms, closed(&terms))),
        ..of_contract()
    };
    assert_eq!(proven(&[committed(2), aborted]), [escrow(Charge::DecidedTwice)]);
}

#[test]
fn a_shown_point_convicts_an_escrow_of_a_wrong_key() {
    let charge = escrow(Charge::WrongGoodsKey);
    let of = |amount: u64, goods_key: &GoodsKey| {
        let commit = commit_of(&contract().terms, Amount(amount), goods_key);
        Papers {
            purchase_point: Some(point(&commit)),
            commit: Some(commit),
            voucher: Some(voucher(&contract(), 2)),
            ..of_contract()
        }
    };
    assert_eq!(proven(&[of(50, &key_of(2))]), []);
    for wrong in [key_of(1), key_of(3), last_key(), GoodsKey::from_bytes([1; 32])] {
        let papers = of(50, &wrong);
        assert_eq!(proven(std::slice::from_ref(&papers)), [charge]);
        let hidden = Papers {
            purchase_point: None,
            ..papers
        };
        assert_eq!(
            proven(&[hidden]),
            [],
            "nobody can check a sealed key without the point"
        );
    }
    let commit = of(50, &key_of(2)).commit.unwrap();
    let context = contract().terms.purchase_id().0;
    let others = secret(MERCHANT).show_shared_point(&commit.body.sealed_key.ephemeral, &context);
    let papers = Papers {
        purchase_point: Some(others.unwrap()),
        ..of(50, &key_of(1))
    };
    assert_eq!(proven(&[papers]), [], "the point of another key shows nothing");
}

/// A voucher may be for the same amount and other ticks. So a wrong key of cheap ticks convicts unless the escrow shows
/// the voucher that the key fits.
#[test]
fn a_wrong_key_of_cheap_ticks_convicts_unless_the_escrow_shows_its_voucher() {
    let contract = contract_on(offer_of(8, 2, &last_key()));
    let commit = |goods_key: &GoodsKey| {
        let commit = commit_of(&contract.terms, Amount(1), goods_key);
        Papers {
            contract: Some(contract.clone()),
            purchase_point: Some(point(&commit)),
            commit: Some(commit),
            voucher: Some(voucher(&contract, 1)),
            ..Papers::default()
        }
    };
    let charge = escrow(Charge::CommittedWithoutVoucher);
    let honest = commit(&chain::key_at(&last_key(), 8, 4));
    assert_eq!(proven(std::slice::from_ref(&honest)), [charge]);
    assert_eq!(proven(&[honest, shown(voucher(&contract, 4))]), []);
    let wrong = commit(&GoodsKey::from_bytes([1; 32]));
    let all = [1, 2, 3, 4].map(|ticks| shown(voucher(&contract, ticks)));
    assert_eq!(proven(&[&[wrong], &all[..]].concat()), [charge]);
}

#[test]
fn a_merchant_whose_tick_does_not_open_is_convicted() {
    let terms = contract().terms;
    let purchase = terms.purchase_id();
    let garbage = |by: u8| {
        let mut ticks = batch(&terms, 1, 3).ticks;
        ticks[1][0] ^= 1;
        Batch::sign(purchase, 1, ticks, &secret(by))
    };
    let show = |batch: &Batch, index: u32, key: GoodsKey| Papers {
        tick: Some(ShownTick {
            batch: batch.signed.clone(),
            index,
            tick: batch.ticks[index as usize - 1].clone().into_vec(),
            key,
        }),
        ..of_contract()
    };
    let bad = garbage(MERCHANT);
    let charge = merchant(Charge::TickDoesNotOpen { tick: 2 });
    assert_eq!(Charge::TickDoesNotOpen { tick: 2 }.unless(), None);
    assert_eq!(proven(&[show(&bad, 2, key_of(2))]), [charge]);
    // Other ticks open. Another key, another signer, and other bytes prove nothing.
    for papers in [
        show(&bad, 1, key_of(1)),
        show(&bad, 3, key_of(3)),
        show(&bad, 2, key_of(1)),
        show(&bad, 2, GoodsKey::from_bytes([1; 32])),
        show(&garbage(CUSTOMER), 2, key_of(2)),
    ] {
        assert_eq!(proven(&[papers]), []);
    }
    let mut other_bytes = show(&bad, 2, key_of(2));
    other_bytes.tick.as_mut().unwrap().tick.push(0);
    assert_eq!(proven(&[other_bytes]), []);
    let mut no_such = show(&bad, 2, key_of(2));
    no_such.tick.as_mut().unwrap().index = 4;
    assert_eq!(proven(&[no_such]), []);
}

/// A tick after the last one costs the judge no long chain of digests.
#[test]
fn a_tick_that_the_stream_does_not_have_is_not_judged() {
    let terms = contract().terms;
    let far = u32::MAX - 1;
    let batch = Batch::sign(
        terms.purchase_id(),
        far,
        vec![serde_bytes::ByteBuf::from(vec![0; 16])],
        &secret(MERCHANT),
    );
    let tick = ShownTick {
        batch: batch.signed,
        index: far,
        tick: vec![0; 16],
        key: key_of(1),
    };
    let papers = Papers {
        tick: Some(tick),
        ..of_contract()
    };
    assert_eq!(proven(&[papers]), []);
}

#[test]
fn a_bank_owes_what_the_voucher_of_a_stream_pays() {
    let terms = contract().terms;
    let held = Papers {
        bank_hold: Some(bank_hold(&terms)),
        ..committed(2)
    };
    let settled = |amount| Papers {
        settled: Some(credited(&terms, amount)),
        ..of_contract()
    };
    assert_eq!(proven(std::slice::from_ref(&held)), [bank(Charge::CreditDenied)]);
    assert_eq!(proven(&[held.clone(), settled(50)]), []);
    assert_eq!(
        proven(&[held.clone(), settled(25)]),
        [bank(Charge::CreditDenied)],
        "it was credited too little"
    );
    assert_eq!(
        proven(&[held.clone(), settled(101)]),
        [bank(Charge::CreditDenied), bank(Charge::NotAsAgreed)]
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
    );
    let release = Papers {
        settled: Some(released(&terms)),
        ..of_contract()
    };
    assert_eq!(
        proven(&[held, release]),
        [bank(Charge::CreditDenied), bank(Charge::ReleasedThoughCommitted)]
    );
}

/// What is sold whole has one price, whatever the customer signs.
#[test]
fn a_voucher_changes_nothing_for_goods_that_are_sold_whole() {
    let mut offer = offer_of(TICKS, 100, &last_key());
    offer.sealed_key.as_mut().unwrap().ticks = None;
    let contract = contract_on(offer);
    let terms: &Terms = &contract.terms;
    let body = Voucher {
        purchase: terms.purchase_id(),
        ticks: 2,
        amount: Amount(50),
    };
    let papers = Papers {
        contract: Some(contract.clone()),
        commit: Some(commit_of(terms, Amount(50), &key_of(2))),
        voucher: Some(Signed::sign(body, &purchase_key())),
        ..Papers::default()
    };
    assert_eq!(proven(&[papers]), [escrow(Charge::NotAsAgreed)]);
}
