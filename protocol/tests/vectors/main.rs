//! Checks all vectors of documents, messages, sealing and goods. The vectors of version 1 are independent. This
//! implementation makes the vectors of version 2 itself. See `vectors/README.md`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod described;
mod digests;
mod documents;
mod goods;
mod made;
mod nonces;
mod refused;
mod refused_replies;
mod relay;
mod reserves;
mod seal;
mod streams;
mod support;
mod wire;

use farthing_vectors::{Check, check_all, file};

const CHECKS: &[Check] = &[
    ("parties", "items", goods::item),
    ("digests", "key_lists", digests::key_list),
    ("digests", "coins", digests::coins),
    ("digests", "sessions", digests::session),
    ("digests", "notes", digests::note),
    ("digests", "terms", digests::terms),
    ("digests", "offers", digests::offer),
    ("digests", "exchanges", digests::exchange),
    ("documents", "documents", documents::document),
    ("documents", "statements", documents::statement),
    ("keys", "goods_keys", seal::goods_key),
    ("keys", "content_keys", seal::content_key),
    ("keys", "wrapped_keys", seal::wrapped_key),
    ("keys", "sealed_in_commits", seal::sealed_in_commit),
    ("keys", "sealed_in_offers", seal::sealed_in_offer),
    ("keys", "notes", seal::note),
    ("keys", "memos", seal::memo),
    ("goods", "goods", goods::goods),
    ("wire_bank", "frames", wire::bank),
    ("wire_escrow", "frames", wire::escrow),
    ("wire_merchant", "frames", wire::merchant),
    ("wire_refusals", "frames", wire::refusal),
    ("negatives_coin", "batches", refused::batch),
    ("negatives_protocol", "documents", documents::refused),
    ("negatives_protocol", "issuing", refused_replies::issuing),
    ("negatives_protocol", "key_lists", refused_replies::key_list),
    ("negatives_protocol", "contracts", refused::contract),
    ("negatives_protocol", "sealed_keys", seal::refused_key),
    ("negatives_protocol", "goods", goods::refused),
    ("negatives_protocol", "notes", seal::refused_note),
    ("negatives_protocol", "frames", refused::frame),
];

/// The checks of version 2. Its cases have the form of the cases of version 1.
const CHECKS_2: &[Check] = &[
    ("documents", "documents", documents::document),
    ("documents", "statements", documents::statement),
    ("keys", "shared_points", seal::shared_point),
    ("issue", "nonces", nonces::session),
    ("reserves", "secrets", reserves::check_secret),
    ("reserves", "sources", reserves::check_source),
    ("reserves", "paid", reserves::check_paid),
    ("reserves", "texts", reserves::check_text),
    ("reserves", "credits", reserves::check_credit),
    ("streams", "chains", streams::check_chain),
    ("streams", "ticks", streams::check_tick),
    ("streams", "documents", documents::document),
    ("streams", "statements", documents::statement),
    ("streams", "escrow", wire::escrow),
    ("streams", "merchant", wire::merchant),
    ("streams", "bank", wire::bank),
    ("wire_bank", "frames", wire::bank),
    ("wire_escrow", "frames", wire::escrow),
    ("wire_merchant", "frames", wire::merchant),
    ("wire_refusals", "frames", wire::refusal),
    ("wire_relay", "relay", wire::relay),
    ("wire_relay", "target", wire::target),
    ("relay", "padding", relay::check_padding),
    ("relay", "requests", relay::check_request),
    ("relay", "replies", relay::check_reply),
];

#[test]
fn every_case_of_version_2_agrees() {
    assert!(check_all("v2", "protocol", CHECKS_2) > 50);
}

#[test]
fn the_vectors_of_version_2_are_made_again_without_a_change() {
    for (name, made) in made::files() {
        let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
        assert!(
            made == file("v2", name),
            "{name} has changed: was what is signed or sent changed on purpose?"
        );
    }
}

#[test]
fn every_case_agrees() {
    assert!(check_all("v1", "protocol", CHECKS) > 1500);
}
