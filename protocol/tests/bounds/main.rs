//! Every list and text of every message has a bound in the decoder.
//!
//! This file lists no fields. It finds the fields of requests, replies and refusals by decoding each message from a
//! [`shape`]. The shape records what the decoder asks for, in every variant of every enum. Then each list, text and byte
//! string grows until the decoder refuses it. A new field without a bound fails the test. A new request does not compile
//! until its reply is tested.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod shape;

use farthing_protocol::{
    api::{BankRequest, Call, EscrowRequest, MerchantRequest, encode_reply},
    bounded::cut,
    decision::Decision,
    documents::Issued,
    limits::{REASON_MAX_BYTES, REPLY_MAX_BYTES, REQUEST_MAX_BYTES},
    offer::{CatalogPage, DeliverRequest},
    purchase::Purchase,
    refusal::{Refusal, RequestFault},
    stream::{OpenStream, WatchRequest},
    wire::{FRAME_MAX_BYTES, decode, encode},
};
use serde::{Serialize, de::DeserializeOwned};
use shape::{Node, bytes_of, names, resize, shapes};
use std::{any::type_name, collections::BTreeMap};

/// The longest message in a row (bytes). `VALUE_MAX_BYTES` of the store is 64 KiB, which leaves room for other fields of
/// the row.
const ROW_BYTES: usize = 56 * 1024;

/// The bound of each counted field, by the field's name.
type Bounds = BTreeMap<String, usize>;

/// Decodes a shape as a `T`.
fn outcome<T: DeserializeOwned>(nodes: &[Node]) -> Result<T, String> {
    decode(&bytes_of(nodes), FRAME_MAX_BYTES).map_err(|error| error.to_string())
}

fn resized(nodes: &[Node], name: &str, count: usize) -> Vec<Node> {
    let mut nodes = nodes.to_vec();
    resize(&mut nodes, name, count);
    nodes
}

/// The most entries of the field `name` that the decoder accepts. Fails if there is no bound, or the error names another
/// bound.
fn bound_of<T: DeserializeOwned + Serialize>(nodes: &[Node], name: &str) -> usize {
    let accepts = |count: usize| outcome::<T>(&resized(nodes, name, count)).is_ok();
    let mut above = 2;
    while accepts(above) {
        above *= 2;
        assert!(
            above <= FRAME_MAX_BYTES,
            "{}: {name} has no bound",
            type_name::<T>()
        );
    }
    let mut most = above / 2;
    while above - most > 1 {
        let middle = most.midpoint(above);
        match accepts(middle) {
            true => most = middle,
            false => above = middle,
        }
    }
    let refused = outcome::<T>(&resized(nodes, name, above))
        .err()
        .expect("a refusal");
    let said = format!("at most {most} are allowed");
    assert!(
        refused.contains(&said),
        "{name}: expected `{said}`, got `{refused}`"
    );
    let at_bound = resized(nodes, name, most);
    let value = outcome::<T>(&at_bound).expect("it is accepted at its bound");
    assert_eq!(encode(&value).unwrap(), bytes_of(&at_bound), "{name}");
    most
}

/// The bounds of all counted fields of `T`. Checks that a `T` with all fields at their bounds has at most `max_bytes`.
fn bounds_of<T: DeserializeOwned + Serialize>(max_bytes: usize) -> Bounds {
    let mut bounds = Bounds::new();
    for nodes in shapes::<T>() {
        let mut full = nodes.clone();
        for name in names(&nodes) {
            let most = *bounds
                .entry(name.clone())
                .or_insert_with(|| bound_of::<T>(&nodes, &name));
            resize(&mut full, &name, most);
        }
        // A key list with the most epochs and the most values would not fit, nor would the most ticks of the greatest
        // length. Their own bounds of bytes apply.
        let length = bytes_of(&full).len();
        let has_own = ["KeyList", "stream::merchant::Ticks"];
        assert!(
            length <= max_bytes || has_own.iter().any(|name| type_name::<T>().contains(name)),
            "{}: {length} bytes",
            type_name::<T>()
        );
    }
    bounds
}

/// The bounds of the reply to a request.
fn reply_to<C: Call>(_: C) -> Bounds {
    bounds_of::<Result<C::Reply, Refusal>>(REPLY_MAX_BYTES)
}

/// The bounds of all requests of a server and of their replies.
fn server<S: DeserializeOwned + Serialize>(reply: impl Fn(S) -> Bounds) -> Bounds {
    let mut bounds = bounds_of::<S>(REQUEST_MAX_BYTES);
    for nodes in shapes::<S>() {
        let replies = reply(outcome(&nodes).expect("a request"));
        bounds.extend(replies);
    }
    bounds
}

#[test]
fn every_counted_field_of_a_bank_has_a_bound() {
    let bounds = server(|request| match request {
        BankRequest::Keys(call) => reply_to(call),
        BankRequest::Account(call) => reply_to(call),
        BankRequest::WithdrawBegin(call) => reply_to(call),
        BankRequest::WithdrawFinish(call) => reply_to(call),
        BankRequest::Withdrawals(call) => reply_to(call),
        BankRequest::ExchangeBegin(call) => reply_to(call),
        BankRequest::ExchangeFinish(call) => reply_to(call),
        BankRequest::Hold(call) => reply_to(call),
        BankRequest::Settle(call) => reply_to(call),
        BankRequest::Collect(call) => reply_to(call),
        BankRequest::Bucket(call) => reply_to(call),
        BankRequest::Memo(call) => reply_to(call),
        BankRequest::Push(call) => reply_to(call),
        BankRequest::Witness(call) => reply_to(call),
        BankRequest::Reserve(call) => reply_to(call),
        BankRequest::ReserveBegin(call) => reply_to(call),
        BankRequest::ReserveFinish(call) => reply_to(call),
        BankRequest::Deposit(call) => reply_to(call),
        BankRequest::Refund(call) => reply_to(call),
    });
    // The walk finds some fields that are known to exist.
    let found = |end: &str| bounds.iter().find(|(name, _)| name.ends_with(end));
    assert_eq!(
        found("payment.coins").map(|(_, most)| *most),
        Some(64),
        "{bounds:?}"
    );
    assert_eq!(found("terms.currency").map(|(_, most)| *most), Some(12));
    assert_eq!(
        found("Signature.why").map(|(_, most)| *most),
        Some(REASON_MAX_BYTES)
    );
    assert!(bounds.len() > 40, "{bounds:?}");
}

#[test]
fn every_counted_field_of_an_escrow_has_a_bound() {
    let bounds = server(|request| match request {
        EscrowRequest::Hold(call) => reply_to(call),
        EscrowRequest::Release(call) => reply_to(call),
        EscrowRequest::Cancel(call) => reply_to(call),
        EscrowRequest::Outcome(call) => reply_to(call),
        EscrowRequest::Overdue(call) => reply_to(call),
        EscrowRequest::Witness(call) => reply_to(call),
        EscrowRequest::Pay(call) => reply_to(call),
        EscrowRequest::Sales(call) => reply_to(call),
        EscrowRequest::Open(call) => reply_to(call),
        EscrowRequest::Raise(call) => reply_to(call),
        EscrowRequest::Close(call) => reply_to(call),
    });
    assert!(bounds.len() > 40, "{bounds:?}");
}

#[test]
fn every_counted_field_of_a_merchant_has_a_bound() {
    let bounds = server(|request| match request {
        MerchantRequest::Catalog(call) => reply_to(call),
        MerchantRequest::Offer(call) => reply_to(call),
        MerchantRequest::Piece(call) => reply_to(call),
        MerchantRequest::Deliver(call) => reply_to(call),
        MerchantRequest::Take(call) => reply_to(call),
        MerchantRequest::Watch(call) => reply_to(call),
        MerchantRequest::Ticks(call) => reply_to(call),
        MerchantRequest::Stop(call) => reply_to(call),
    });
    assert!(bounds.len() > 40, "{bounds:?}");
}

#[test]
fn rows_with_parts_of_messages_fit_into_the_store() {
    bounds_of::<Purchase>(ROW_BYTES);
    bounds_of::<Decision>(ROW_BYTES);
    bounds_of::<Issued>(ROW_BYTES);
    bounds_of::<DeliverRequest>(ROW_BYTES);
    bounds_of::<OpenStream>(ROW_BYTES);
    bounds_of::<WatchRequest>(ROW_BYTES);
}

#[test]
fn every_refusal_at_its_bounds_has_a_text_that_can_be_cut() {
    for mut nodes in shapes::<Refusal>() {
        for name in names(&nodes) {
            let most = bound_of::<Refusal>(&nodes, &name);
            resize(&mut nodes, &name, most);
        }
        let refusal: Refusal = outcome(&nodes).expect("a refusal at its bounds");
        let shown = refusal.to_string();
        assert!(!shown.is_empty());
        assert!(cut(&shown, REASON_MAX_BYTES).len() <= REASON_MAX_BYTES);
    }
}

#[test]
fn a_long_refusal_is_cut_before_it_is_sent() {
    let refusal = Refusal::from(RequestFault::Malformed("é".repeat(REASON_MAX_BYTES)));
    let sent = encode_reply::<()>(&Err(refusal));
    let got: Result<(), Refusal> = decode(&sent, REPLY_MAX_BYTES).expect("it decodes");
    assert_eq!(
        got,
        Err(RequestFault::Malformed("é".repeat(REASON_MAX_BYTES / 2)).into())
    );
}

#[test]
fn a_count_is_refused_before_its_entries_are_read() {
    let begun = |count: u64| {
        let mut bytes = encode(&RequestFault::Malformed(String::new())).unwrap();
        bytes.truncate(bytes.len() - 8);
        bytes.extend(count.to_le_bytes());
        decode::<RequestFault>(&bytes, REPLY_MAX_BYTES)
    };
    assert!(begun(0).is_ok());
    // Nothing follows the count.
    for count in [1, u64::MAX] {
        assert!(begun(count).is_err());
    }
    let mut page = encode(&[(); 0].as_slice()).unwrap();
    page[0] = 65;
    let refused = decode::<CatalogPage>(&page, REPLY_MAX_BYTES).unwrap_err();
    assert!(refused.to_string().contains("there are 65 entries"), "{refused}");
}
