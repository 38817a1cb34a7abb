//! Streams: what merchant, escrow and wallet accept and refuse.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_coin::{PublicKey, Signed};
use farthing_protocol::{
    decide::{ReleaseRequest, verify_release},
    decision::{Decided, Decision, Outcome},
    documents::{Contract, Offer, PurchaseId, PurchaseKeyUse, SaleLimit},
    goods::TAG_BYTES,
    hold::verify_hold_contract,
    ids::TickDigest,
    limits::{GOODS_PIECE_BYTES, RAISES_MAX, RAISES_PER_CUSTOMER_MAX, TICK_MAX_BYTES, TICKS_PER_REPLY_MAX},
    money::Amount,
    offer::{DeliverRequest, verify_deliver},
    offered_key::OfferedKey,
    refusal::{ContractFault, GoodsFault, Later, PurchaseFault, Refusal, RequestFault},
    sealed::check_sealed,
    stream::{
        Batch, Close, CloseRequest, Ending, KnownStream, OpenRequest, OpenStream, Opened, PreparedEnding,
        StopRequest, StreamCommit, Voucher, WatchRequest, chain, check_batch, check_voucher, pay_until_ms,
        verify_close, verify_open, verify_raise, verify_stop, verify_watch,
    },
    wire,
};
use serde_bytes::ByteBuf;
use support::{
    BANK, CUSTOMER, ESCROW, MERCHANT, key, secret,
    stream::{
        PRICE, TICKS, abort, batch, by, closed, commit_of, contract, contract_on, hold_request, key_of,
        last_key, opened, order, purchase_key, raised, record, stream_commit, stream_offer, voucher,
        voucher_body, whole,
    },
};

#[track_caller]
fn does_not_fit<T: std::fmt::Debug>(refused: Result<T, impl Into<Refusal>>, what: &str) {
    match refused.map_err(Into::into) {
        Err(Refusal::Contract(ContractFault::DoesNotFit(said))) => assert!(said.contains(what), "{said}"),
        other => panic!("expected a refusal of the {what}, got {other:?}"),
    }
}

#[track_caller]
fn not_signed<T: std::fmt::Debug>(refused: Result<T, Refusal>) {
    assert!(
        matches!(refused, Err(Refusal::Request(RequestFault::Signature { .. }))),
        "{refused:?}"
    );
}

// ---- vouchers ---------------------------------------------------------------------------------------------

#[test]
fn a_voucher_pays_exactly_what_its_ticks_cost() {
    let contract = contract();
    let terms = &contract.terms;
    for ticks in 1..=TICKS {
        let voucher = voucher(&contract, ticks);
        assert_eq!(voucher.body.amount, Amount(25 * u64::from(ticks)));
        assert_eq!(check_voucher(&voucher, terms, TICKS), Ok(()));
    }
    let signed = |change: fn(&mut Voucher)| {
        let mut body = voucher_body(&contract, 2);
        change(&mut body);
        check_voucher(&Signed::sign(body, &purchase_key()), terms, TICKS)
    };
    let changes: [fn(&mut Voucher); 7] = [
        |voucher| voucher.amount.0 += 1,
        |voucher| voucher.amount.0 -= 1,
        |voucher| voucher.ticks = 3,
        |voucher| (voucher.ticks, voucher.amount) = (0, Amount(0)),
        |voucher| (voucher.ticks, voucher.amount) = (TICKS + 1, Amount(PRICE)),
        |voucher| (voucher.ticks, voucher.amount) = (u32::MAX, Amount(PRICE)),
        |voucher| voucher.purchase = PurchaseId([9; 32]),
    ];
    for change in changes {
        does_not_fit(signed(change), "voucher");
    }
    for other in [secret(MERCHANT), secret(ESCROW), secret(CUSTOMER)] {
        let forged = Signed::sign(voucher_body(&contract, 2), &other);
        not_signed(check_voucher(&forged, terms, TICKS));
    }
}

// ---- batches ----------------------------------------------------------------------------------------------

#[test]
fn a_customer_takes_ticks_only_in_their_order_with_the_merchants_signature() {
    let contract = contract();
    let terms = &contract.terms;
    let fits = |batch: &Batch| check_batch(batch, terms, 1, 2);
    let good = batch(terms, 2, 3);
    assert_eq!(fits(&good), Ok(()));

    does_not_fit(fits(&batch(terms, 3, 4)), "number of the first tick");
    does_not_fit(fits(&batch(terms, 1, 2)), "number of the first tick");
    does_not_fit(fits(&batch(terms, 2, 4)), "number of ticks");
    does_not_fit(check_batch(&good, terms, u32::MAX, 2), "number of the first tick");

    let changed = |change: fn(&mut Batch)| {
        let mut changed = good.clone();
        change(&mut changed);
        fits(&changed)
    };
    does_not_fit(changed(|it| it.ticks.truncate(1)), "number of ticks");
    does_not_fit(changed(|it| it.ticks.clear()), "number of ticks");
    does_not_fit(changed(|it| it.ticks.swap(0, 1)), "digest");
    does_not_fit(changed(|it| it.ticks[1][0] ^= 1), "digest");
    does_not_fit(
        changed(|it| it.signed.body.digests[0] = TickDigest([0; 32])),
        "digest",
    );
    does_not_fit(
        changed(|it| it.signed.body.purchase = PurchaseId([9; 32])),
        "purchase",
    );

    let signed = |ticks: Vec<Vec<u8>>, by: u8| {
        let ticks = ticks.into_iter().map(ByteBuf::from).collect();
        fits(&Batch::sign(terms.purchase_id(), 2, ticks, &secret(by)))
    };
    does_not_fit(signed(Vec::new(), MERCHANT), "number of ticks");
    does_not_fit(signed(vec![vec![0; TAG_BYTES - 1]], MERCHANT), "length");
    let long = vec![vec![0; GOODS_PIECE_BYTES / 2]; 2];
    assert_eq!(signed(long.clone(), MERCHANT), Ok(()));
    let mut longer = long;
    longer[0].push(0);
    does_not_fit(signed(longer, MERCHANT), "length");
    let other = signed(vec![vec![0; TAG_BYTES]], ESCROW);
    assert!(matches!(other, Err(ContractFault::Forged(_))), "{other:?}");
}

#[test]
fn the_decoder_refuses_too_many_ticks_and_a_tick_that_is_too_long() {
    let decoded = |ticks: usize, bytes: usize| {
        let ticks = vec![ByteBuf::from(vec![0; bytes]); ticks];
        let batch = Batch::sign(PurchaseId([1; 32]), 1, ticks, &secret(MERCHANT));
        let encoded = wire::encode(&batch).unwrap();
        wire::decode::<Batch>(&encoded, wire::FRAME_MAX_BYTES).is_ok_and(|decoded| decoded == batch)
    };
    assert!(decoded(TICKS_PER_REPLY_MAX, TAG_BYTES));
    assert!(!decoded(TICKS_PER_REPLY_MAX + 1, TAG_BYTES));
    assert!(decoded(1, TICK_MAX_BYTES + TAG_BYTES));
    assert!(!decoded(1, TICK_MAX_BYTES + TAG_BYTES + 1));
}

#[test]
fn the_ticks_of_a_batch_open_with_their_keys() {
    let contract = contract();
    let purchase = contract.terms.purchase_id();
    for (tick, encrypted) in (2..).zip(batch(&contract.terms, 2, 4).ticks) {
        let encrypted = encrypted.into_vec();
        assert_eq!(
            chain::decrypt_tick(&key_of(tick), &purchase, tick, encrypted.clone()),
            Some(record(tick))
        );
        assert_eq!(
            chain::decrypt_tick(&key_of(tick - 1), &purchase, tick, encrypted),
            None
        );
    }
}

// ---- offers -----------------------------------------------------------------------------------------------

#[test]
fn an_offer_is_sold_by_1_to_65536_ticks_once_and_with_a_proof() {
    let bounded = |change: fn(&mut Offer)| {
        let mut offer = stream_offer();
        change(&mut offer);
        offer.check_bounds()
    };
    let ticks = |offer: &mut Offer, ticks: u32| offer.sealed_key.as_mut().unwrap().ticks = Some(ticks);
    assert_eq!(bounded(|_| {}), Ok(()));
    for (number, fits) in [
        (0, false),
        (1, true),
        (65_536, true),
        (65_537, false),
        (u32::MAX, false),
    ] {
        let mut offer = stream_offer();
        ticks(&mut offer, number);
        assert_eq!(offer.check_bounds().is_ok(), fits, "{number}");
    }
    assert!(bounded(|offer| offer.sealed_key.as_mut().unwrap().proof = None).is_err());
    assert!(bounded(|offer| offer.sales = SaleLimit::Unlimited).is_err());
    assert!(bounded(|offer| offer.escrows.push(key(BANK))).is_err());
    assert!(bounded(|offer| offer.price = Amount(0)).is_err());
}

#[test]
fn the_number_of_ticks_is_encoded_and_signed() {
    let offer = stream_offer();
    let bytes = wire::encode(&offer).unwrap();
    assert_eq!(
        wire::decode::<Offer>(&bytes, wire::FRAME_MAX_BYTES).unwrap(),
        offer
    );
    let json = serde_json::to_string(&offer).unwrap();
    assert!(json.contains("\"ticks\":4"), "{json}");
    assert_eq!(serde_json::from_str::<Offer>(&json).unwrap(), offer);

    let mut whole = offer.clone();
    whole.sealed_key.as_mut().unwrap().ticks = None;
    let mut more = offer.clone();
    more.sealed_key.as_mut().unwrap().ticks = Some(TICKS + 1);
    let signed = Signed::sign(offer, &secret(MERCHANT));
    for other in [whole, more] {
        let moved = Signed {
            body: other,
            signature: signed.signature,
        };
        assert!(moved.verify(&key(MERCHANT)).is_err());
    }
    // Forms after the last one are refused.
    let form = bytes.len() - (1 + 32 + 32 + 16 + 64 + 4);
    assert_eq!(bytes[form], 3);
    let mut unknown = bytes;
    unknown[form] = 4;
    assert!(wire::decode::<Offer>(&unknown, wire::FRAME_MAX_BYTES).is_err());
}

#[test]
fn an_offer_without_ticks_is_encoded_as_before() {
    let mut offer = stream_offer();
    let OfferedKey { sealed, proof, .. } = offer.sealed_key.unwrap();
    let proof = proof.unwrap();
    let start = |offer: &Offer| {
        let none = Offer {
            sealed_key: None,
            ..offer.clone()
        };
        let mut bytes = wire::encode(&none).unwrap();
        assert_eq!(bytes.pop(), Some(0));
        bytes
    };
    let parts = |form: u8, parts: &[Vec<u8>]| [&[form][..], &parts.concat()].concat();
    let (key_bytes, proof_bytes) = (wire::encode(&sealed).unwrap(), wire::encode(&proof).unwrap());
    for (proof, expected) in [
        (None, parts(1, std::slice::from_ref(&key_bytes))),
        (Some(proof), parts(2, &[key_bytes.clone(), proof_bytes])),
    ] {
        offer.sealed_key = Some(OfferedKey {
            sealed,
            proof,
            ticks: None,
        });
        assert_eq!(wire::encode(&offer).unwrap(), [start(&offer), expected].concat());
        let json = serde_json::to_string(&offer).unwrap();
        assert!(!json.contains("ticks"), "{json}");
        assert_eq!(serde_json::from_str::<Offer>(&json).unwrap(), offer);
    }
}

// ---- contracts and requests -------------------------------------------------------------------------------

#[test]
fn a_stream_is_verified_as_a_stream_and_nothing_else_is() {
    does_not_fit(contract().verified(), "sold by ticks");
    does_not_fit(whole().verified_stream(), "not sold by ticks");
    assert_eq!(contract().verified_stream().unwrap().contract(), &contract());
    assert!(whole().verified().is_ok());
    let mut free = stream_offer();
    free.price = Amount(0);
    assert!(contract_on(free).verified_stream().is_err());
    let mut forged = contract();
    forged.signature = secret(CUSTOMER)
        .sign(&PurchaseKeyUse::Agree.statement(&purchase_key().public(), &forged.terms.purchase_id()));
    assert!(forged.verified_stream().is_err());
}

#[test]
fn hold_release_and_delivery_refuse_a_stream_and_open_refuses_other_offers() {
    let escrow = key(ESCROW);
    does_not_fit(
        verify_hold_contract(hold_request(contract()), &escrow),
        "sold by ticks",
    );
    let bank_hold = support::stream::bank_hold(&contract().terms);
    let hold = farthing_protocol::contract::sign_hold(bank_hold, true, &secret(ESCROW));
    let release = ReleaseRequest {
        contract: contract(),
        hold: hold.clone(),
        goods_key: last_key(),
    };
    does_not_fit(verify_release(release, &escrow, |_| secret(9)), "sold by ticks");
    let deliver = DeliverRequest {
        contract: contract(),
        hold,
    };
    does_not_fit(verify_deliver(deliver, &key(MERCHANT)), "sold by ticks");

    let open = |contract| verify_open(OpenRequest(hold_request(contract)), &escrow);
    assert!(open(contract()).is_ok());
    does_not_fit(open(whole()), "not sold by ticks");
    let elsewhere = verify_open(OpenRequest(hold_request(contract())), &key(BANK));
    assert!(
        matches!(elsewhere, Err(Refusal::Request(RequestFault::NotForMe { .. }))),
        "{elsewhere:?}"
    );
    // A proof that was made for another offer.
    let mut stolen = stream_offer();
    stolen.title.push('!');
    assert!(open(contract_on(stolen)).is_err());
    assert!(check_sealed(&contract().verified_stream().unwrap()).is_ok());
}

#[test]
fn a_merchant_lets_watch_only_who_has_opened_one_of_its_streams() {
    let contract = contract();
    let terms = &contract.terms;
    let watch = |contract: &Contract, opened: Signed<Opened>, now_ms| {
        let contract = contract.clone();
        verify_watch(WatchRequest { contract, opened }, &key(MERCHANT), now_ms)
    };
    let until = pay_until_ms(terms);
    assert_eq!(until, 1000);
    let verified = watch(&contract, opened(terms), until - 1).unwrap();
    assert_eq!(
        (verified.ticks(), verified.purchase()),
        (TICKS, terms.purchase_id())
    );
    assert_eq!(
        watch(&contract, opened(terms), until).unwrap_err(),
        PurchaseFault::DeadlinePassed(terms.purchase_id()).into()
    );
    let request = WatchRequest {
        contract: contract.clone(),
        opened: opened(terms),
    };
    assert_eq!(
        verify_watch(request, &key(BANK), 0).unwrap_err(),
        GoodsFault::UnknownOffer.into()
    );
    does_not_fit(watch(&whole(), opened(&whole().terms), 0), "not sold by ticks");
    let refused = |opened: Signed<Opened>| {
        let refused = watch(&contract, opened, 0).unwrap_err();
        assert!(
            matches!(refused, Refusal::Contract(ContractFault::Hold(_))),
            "{refused}"
        );
    };
    refused(by(MERCHANT, opened(terms).body));
    refused(opened(&whole().terms));
    // The bank's hold inside is not the bank's.
    let bank_hold = by(ESCROW, opened(terms).body.bank_hold.body);
    refused(by(ESCROW, Opened { bank_hold }));
}

#[test]
fn only_the_purchase_key_stops_a_stream() {
    let terms = contract().terms;
    let order = order();
    let stop = order.stop_request(&purchase_key());
    assert_eq!(verify_stop(&stop, &terms), Ok(()));
    assert!(verify_stop(&order.stop_request(&secret(CUSTOMER)), &terms).is_err());
    let cancel = order.cancel_request(&purchase_key());
    let reused = StopRequest {
        signature: cancel.signature,
        ..stop
    };
    assert!(verify_stop(&reused, &terms).is_err());
}

// ---- the escrow -------------------------------------------------------------------------------------------

fn open_stream(voucher: Option<Signed<Voucher>>) -> OpenStream {
    let terms = contract().terms;
    OpenStream {
        ticks: TICKS,
        last_key: last_key(),
        opened: opened(&terms).body,
        voucher,
        raises: 0,
        customers_raises: 0,
        terms,
    }
}

fn raised_by(open: &OpenStream, ticks: u32, by_customer: bool) -> Result<Option<OpenStream>, Refusal> {
    verify_raise(&voucher(&contract(), ticks), KnownStream::Open(open), by_customer)?.respond(open)
}

#[test]
fn an_escrow_stores_the_highest_voucher_and_counts_those_of_the_customer() {
    let open = open_stream(None);
    let first = raised_by(&open, 2, true).unwrap().unwrap();
    assert_eq!(
        (first.voucher.as_ref(), first.customers_raises),
        (Some(&voucher(&contract(), 2)), 1)
    );
    for lower in [1, 2] {
        assert_eq!(raised_by(&first, lower, true), Ok(None));
    }
    let second = raised_by(&first, 3, false).unwrap().unwrap();
    assert_eq!(second.customers_raises, 1, "the merchant's do not count");
    let all = OpenStream {
        raises: RAISES_MAX,
        ..second.clone()
    };
    does_not_fit(raised_by(&all, 4, false), "number of vouchers");
    let full = OpenStream {
        customers_raises: RAISES_PER_CUSTOMER_MAX,
        ..second
    };
    does_not_fit(raised_by(&full, 4, true), "number of vouchers");
    assert_eq!(raised_by(&full, 3, true), Ok(None), "a repetition is answered");
    let last = raised_by(&full, 4, false).unwrap().unwrap();
    assert_eq!(last.customers_raises, RAISES_PER_CUSTOMER_MAX);
}

#[test]
fn the_answer_to_a_voucher_has_its_key_and_is_the_same_after_the_end() {
    let open = open_stream(Some(voucher(&contract(), 3)));
    let StreamCommit { voucher: last, .. } = stream_commit(&contract(), 3);
    let committed = Decision::Streamed {
        terms: open.terms.clone(),
        voucher: last,
        key: key_of(3),
        sealed_key: commit_of(&open.terms, Amount(75), &key_of(3)).body.sealed_key,
    };
    let known = |decided| KnownStream::of(Some(&open), decided).unwrap();
    for ticks in 1..=3 {
        let voucher = voucher(&contract(), ticks);
        let reply = |known: KnownStream<'_>, wants| {
            let raise = verify_raise(&voucher, known, true).unwrap();
            raise.reply(known, wants, &secret(ESCROW))
        };
        let before = reply(known(None), true);
        assert_eq!(before.raised, raised(&open.terms, ticks));
        assert_eq!(before.key, Some(key_of(ticks)));
        assert_eq!(reply(known(Some(&committed)), true), before);
        assert_eq!(reply(known(Some(&committed)), false).key, None);
    }
    let late = verify_raise(&voucher(&contract(), 4), known(Some(&committed)), false);
    assert_eq!(
        late.unwrap_err(),
        PurchaseFault::Committed(open.terms.purchase_id()).into()
    );
    let forged = by(MERCHANT, voucher_body(&contract(), 2));
    not_signed(verify_raise(&forged, known(Some(&committed)), false));
    not_signed(verify_raise(&forged, known(None), false));
    // Nothing is known of a stream that was aborted.
    let aborted = Decision::Aborted {
        terms: open.terms.clone(),
        reason: closed(&open.terms),
    };
    assert!(KnownStream::of(Some(&open), Some(&aborted)).is_none());
    assert!(KnownStream::of(None, None).is_none());
}

#[test]
fn only_the_merchant_closes_a_stream() {
    let open = open_stream(None);
    let body = Close {
        purchase: open.terms.purchase_id(),
        escrow: key(ESCROW),
    };
    let close = |close: Signed<Close>, voucher, at: PublicKey| {
        verify_close(&CloseRequest { close, voucher }, &open, &at).map(drop)
    };
    let at = key(ESCROW);
    assert_eq!(close(by(MERCHANT, body), None, at), Ok(()));
    assert_eq!(
        close(by(MERCHANT, body), Some(voucher(&contract(), 2)), at),
        Ok(())
    );
    for other in [CUSTOMER, ESCROW, BANK] {
        not_signed(close(by(other, body), None, at));
    }
    let elsewhere = close(by(MERCHANT, body), None, key(BANK));
    assert!(
        matches!(elsewhere, Err(Refusal::Request(RequestFault::NotForMe { .. }))),
        "{elsewhere:?}"
    );
    let forged = by(MERCHANT, voucher_body(&contract(), 2));
    not_signed(close(by(MERCHANT, body), Some(forged), at));
}

#[test]
fn a_stream_ends_with_the_highest_voucher_that_was_shown() {
    let end = |stored: Option<u32>, shown: Option<u32>| {
        let of = |ticks: Option<u32>| ticks.map(|ticks| voucher(&contract(), ticks));
        let open = open_stream(of(stored));
        let body = Close {
            purchase: open.terms.purchase_id(),
            escrow: key(ESCROW),
        };
        let ending = Ending::Closed(by(MERCHANT, body));
        let prepared = PreparedEnding::new(&open, ending, of(shown), |_| secret(9)).unwrap();
        match prepared.respond(None, Some(&open)).unwrap() {
            Decided::Now(decision) => decision,
            Decided::Before(_) => panic!("it was open"),
        }
    };
    for (stored, shown, paid) in [
        (Some(2), None, 2),
        (None, Some(2), 2),
        (Some(3), Some(1), 3),
        (Some(1), Some(3), 3),
        (Some(2), Some(2), 2),
        (None, Some(TICKS), TICKS),
    ] {
        let Outcome::Streamed(stream) = end(stored, shown).outcome(&secret(ESCROW)) else {
            panic!("ticks were paid for")
        };
        assert_eq!(*stream, stream_commit(&contract(), paid));
    }
    let none = end(None, None);
    let terms = contract().terms;
    assert_eq!(
        none.outcome(&secret(ESCROW)),
        Outcome::Aborted(abort(&terms, closed(&terms)))
    );
    assert_eq!(closed(&terms).check(&terms), Ok(()));
}

#[test]
fn a_voucher_that_was_stored_meanwhile_is_not_forgotten() {
    let (before, after) = (open_stream(None), open_stream(Some(voucher(&contract(), 2))));
    let body = Close {
        purchase: before.terms.purchase_id(),
        escrow: key(ESCROW),
    };
    let ending = || Ending::Closed(by(MERCHANT, body));
    for shown in [None, Some(voucher(&contract(), 1))] {
        let prepared = PreparedEnding::new(&before, ending(), shown, |_| secret(9)).unwrap();
        assert_eq!(prepared.respond(None, Some(&after)).unwrap_err(), Later::NotYet);
    }
    let higher = Some(voucher(&contract(), 3));
    let prepared = PreparedEnding::new(&before, ending(), higher, |_| secret(9)).unwrap();
    assert!(prepared.respond(None, Some(&after)).is_ok());
}
