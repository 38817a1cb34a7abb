//! What a relay and its network see: who asks, which server, and which of a few sizes. Nothing else.

use super::super::{network::Sent, party::Party};
use farthing_node::network::Lane;
use farthing_protocol::{
    api::{Call, ForwardRequest, RelayRequest, TargetKeyRequest, TargetRequest},
    goods::TAG_BYTES,
    oblivious::{REPLY_CHUNK_BYTES, SIZE_CLASSES, SealedReply, SealedRequest},
};
use std::collections::{BTreeMap, BTreeSet};

/// The length of the nonce of a reply (bytes).
const NONCE_BYTES: usize = 32;

/// Checks all messages to a relay and from it.
pub(super) fn check(sealed: &[Sent], safety: &mut Vec<String>) {
    let mut drawn = BTreeSet::new();
    let mut forwarded = BTreeSet::new();
    for message in sealed.iter().filter(|message| message.to == Party::Relay) {
        if message.lane != Lane::Anonymous {
            safety.push("anonymity: a relay is asked on another lane than the anonymous one".into());
        }
        match RelayRequest::decode(&message.request) {
            Ok(RelayRequest::Key(_)) => {}
            Ok(RelayRequest::Forward(ForwardRequest { request, .. })) => {
                if matches!(message.from, Party::Customer(_)) && !drawn.insert(request.encapsulated.0) {
                    safety.push("anonymity: two requests are encrypted under one key".into());
                }
                has_a_size(request.body.len().checked_sub(TAG_BYTES), safety);
                forwarded.insert(request.encode().expect("a request is not too long"));
            }
            // A stranger's.
            Err(_) if message.from == Party::Stranger => {}
            Err(_) => safety.push("anonymity: a relay is sent what it does not understand".into()),
        }
    }
    let key = TargetKeyRequest.encode().expect("a question is short");
    let mut replies: BTreeMap<(Party, &[u8]), BTreeSet<Vec<u8>>> = BTreeMap::new();
    for message in sealed.iter().filter(|message| message.from == Party::Relay) {
        if message.request != key && !forwarded.contains(&message.request) {
            safety.push(format!(
                "anonymity: {} gets more from the relay than what a wallet has encrypted",
                message.to
            ));
        }
        if !matches!(
            TargetRequest::decode(&message.request),
            Ok(TargetRequest::Forward(_))
        ) {
            continue;
        }
        let of_request = replies.entry((message.to, &message.request)).or_default();
        let sealed = message.replies.iter();
        let sealed = sealed.filter_map(|reply| SealedRequest::decode_reply(reply).ok()?.ok());
        for SealedReply(reply) in sealed {
            has_a_size(plaintext_bytes(&reply), safety);
            // Equal content under one key has an equal ciphertext, whatever its nonce is.
            let body = reply.get(NONCE_BYTES..).unwrap_or_default().to_vec();
            if !of_request.insert(body) {
                safety.push("anonymity: two replies are encrypted under one key".into());
            }
        }
    }
}

/// Checks that a padded plaintext has one of the sizes.
fn has_a_size(plaintext_bytes: Option<usize>, safety: &mut Vec<String>) {
    if plaintext_bytes.is_none_or(|bytes| !SIZE_CLASSES.contains(&bytes)) {
        safety.push("anonymity: the size of a message tells what it is".into());
    }
}

/// The length of the padded plaintext of a sealed reply.
fn plaintext_bytes(reply: &[u8]) -> Option<usize> {
    let chunks = reply.len().checked_sub(NONCE_BYTES)?;
    let number = chunks.div_ceil(REPLY_CHUNK_BYTES + TAG_BYTES);
    chunks.checked_sub(number * TAG_BYTES)
}
