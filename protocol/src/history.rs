//! History: bank and escrow remember how far each other's journal has come. So a node that was restored from an older
//! copy learns it before it decides or pays anything.
//!
//! ```text
//! a node                                      a peer of it, its witness
//!   WitnessRequest: the last head of the
//!   witness that the node remembers      ---->  checks that this head is in its own history
//!                                        <----  Testimony: the last head of the node that the witness remembers;
//!                                               its own head, and the hash in its journal at the head that the
//!                                               node remembers
//!   checks that the first head is in its own history
//! ```
//!
//! A node signs the heads of its own journal. So nobody can stop a node with a head that it never sent. A head that it
//! sent always proves that its journal was that long. The check of a head is the same on both sides: the hash at its
//! place in the journal has to equal the hash of the head.
//!
//! Every other question and answer between bank and escrow also has its sender's head ([`WithHead`]). Heads travel only
//! between servers. In a message that a customer carries or gets, a head would mark the customer.

use crate::{
    ids::{JournalRun, RecordHash, WitnessNonce},
    refusal::{ContractFault, Refusal, RequestFault},
    request::check_recipient,
};
use farthing_coin::{Document, PublicKey, Signed, Transcript, TranscriptExt};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// The end of a node's journal. It stands for the whole history. Signed by the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    /// The node that writes the journal.
    pub node: PublicKey,
    /// The node's run, drawn at its start. Within one run a journal only grows.
    pub run: JournalRun,
    /// The number of records in the journal.
    pub records: u64,
    /// The hash of the last record. It covers all records before it.
    pub hash: RecordHash,
}

impl Document for JournalHead {
    const LABEL: &'static str = "farthing journal head";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"node", &self.node.0);
        t.bytes(b"run", &self.run.0);
        t.u64(b"records", self.records);
        t.bytes(b"hash", &self.hash.0);
    }
}

impl JournalHead {
    /// Whether the head lies in the history of a journal.
    ///
    /// `hash_there` is the journal's hash at the place of the head, or `None` if the journal is shorter.
    pub fn lies_in(&self, hash_there: Option<RecordHash>) -> bool {
        hash_there == Some(self.hash)
    }
}

/// A question or an answer between bank and escrow, with the head of its sender's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithHead<T> {
    /// The question or the answer.
    pub body: T,
    /// The head. It was durable before the message was sent. In an answer, its journal has all that the answer says.
    ///
    /// It is absent if the sender does not know the other node as a peer, and in an answer to a question without a head.
    /// Nobody else has to learn how much the sender does.
    pub head: Option<Signed<JournalHead>>,
}

impl<T> WithHead<T> {
    /// Makes a message with `body` and without a head.
    pub fn without(body: T) -> Self {
        Self { body, head: None }
    }
}

/// From a node to a peer: asks what the peer remembers of the node. Signed by the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessRequest {
    /// The node that asks.
    pub asker: PublicKey,
    /// The peer that is asked.
    pub witness: PublicKey,
    /// Random, so that no earlier answer fits.
    pub nonce: WitnessNonce,
    /// The longest head of the witness that the asker remembers.
    pub remembered: Option<Signed<JournalHead>>,
}

impl Document for WitnessRequest {
    const LABEL: &'static str = "farthing witness request";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"asker", &self.asker.0);
        t.bytes(b"witness", &self.witness.0);
        t.bytes(b"nonce", &self.nonce.0);
        describe_head(t, self.remembered.as_ref());
    }
}

/// The peer's answer: what it remembers. Signed by the peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testimony {
    /// The peer that answers.
    pub witness: PublicKey,
    /// The node that asked.
    pub asker: PublicKey,
    /// The nonce of the question.
    pub nonce: WitnessNonce,
    /// The longest head of the asker that the witness remembers.
    pub remembered: Option<Signed<JournalHead>>,
    /// The witness's own journal. Absent if the witness does not know the asker.
    pub own: Option<OwnJournal>,
}

/// The journal of the witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnJournal {
    /// Its head.
    pub head: Signed<JournalHead>,
    /// The hash at the place of the head that the asker remembers. Absent if the asker remembers no head, or the journal
    /// is shorter.
    pub hash_there: Option<RecordHash>,
}

impl Document for Testimony {
    const LABEL: &'static str = "farthing testimony";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"witness", &self.witness.0);
        t.bytes(b"asker", &self.asker.0);
        t.bytes(b"nonce", &self.nonce.0);
        describe_head(t, self.remembered.as_ref());
        describe_head(t, self.own.as_ref().map(|own| &own.head));
        let hash_there = self.own.as_ref().and_then(|own| own.hash_there);
        t.bytes(
            b"hash there",
            hash_there.as_ref().map_or(&[], |hash| hash.0.as_slice()),
        );
    }
}

/// Writes the digest of a head. An absent head is written as no bytes.
fn describe_head(t: &mut Transcript, head: Option<&Signed<JournalHead>>) {
    let digest = head.map(|head| head.body.digest());
    t.bytes(b"head", digest.as_ref().map_or(&[], |digest| digest.0.as_slice()));
}

// ---- the witness ------------------------------------------------------------------------------------------

/// A verified question to this node. The head that the asker remembers is signed by this node.
///
/// Only [`verify_witness_request`] makes one.
#[derive(Debug)]
pub struct VerifiedWitnessRequest(WitnessRequest);

/// Verifies a question.
///
/// # Errors
/// When it is for another node, is not signed by its asker, or has a head that this node did not sign.
pub fn verify_witness_request(
    request: Signed<WitnessRequest>,
    self_id: &PublicKey,
) -> Result<VerifiedWitnessRequest, Refusal> {
    check_recipient(&request.body.witness, self_id)?;
    let asker = request.body.asker;
    request
        .verify(&asker)
        .map_err(|why| bad_signature("asker's", why))?;
    if let Some(head) = &request.body.remembered {
        verify_head(head, self_id)?;
    }
    Ok(VerifiedWitnessRequest(request.body))
}

impl VerifiedWitnessRequest {
    /// The node that asks.
    pub fn asker(&self) -> PublicKey {
        self.0.asker
    }

    /// The head of this node that the asker remembers. It must lie in this node's history.
    pub fn claim(&self) -> Option<&Signed<JournalHead>> {
        self.0.remembered.as_ref()
    }

    /// The answer, which this node signs.
    pub fn respond(&self, remembered: Option<Signed<JournalHead>>, own: Option<OwnJournal>) -> Testimony {
        Testimony {
            witness: self.0.witness,
            asker: self.0.asker,
            nonce: self.0.nonce,
            remembered,
            own,
        }
    }
}

// ---- the asker --------------------------------------------------------------------------------------------

/// A verified testimony: what the asker learns. Only [`verify_testimony`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedTestimony {
    /// The head of the asker that the witness remembers. The asker signed it, and it must lie in the asker's history.
    pub claim: Option<Signed<JournalHead>>,
    /// What the witness showed of its own history.
    pub witness: WitnessHistory,
}

/// What a witness shows of its own history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitnessHistory {
    /// Nothing, as the witness does not know the asker.
    Hidden,
    /// The head that the asker remembers lies in it. This is the current head.
    Proven(Signed<JournalHead>),
    /// The head that the asker remembers does not lie in it. The witness has lost records.
    Contradicted,
}

/// Verifies the answer to the question `asked`.
///
/// # Errors
/// When it answers another question, or a signature is invalid.
pub fn verify_testimony(
    answer: Signed<Testimony>,
    asked: &WitnessRequest,
) -> Result<VerifiedTestimony, Refusal> {
    let testimony = &answer.body;
    let fits =
        (testimony.witness, testimony.asker, testimony.nonce) == (asked.witness, asked.asker, asked.nonce);
    if !fits {
        return Err(ContractFault::DoesNotFit("testimony".into()).into());
    }
    answer
        .verify(&asked.witness)
        .map_err(|why| bad_signature("witness's", why))?;
    if let Some(head) = &testimony.remembered {
        verify_head(head, &asked.asker)?;
    }
    let witness = match testimony.own.clone() {
        None => WitnessHistory::Hidden,
        Some(own) => {
            verify_head(&own.head, &asked.witness)?;
            let remembered = asked.remembered.as_ref();
            match remembered.is_none_or(|head| head.body.lies_in(own.hash_there)) {
                true => WitnessHistory::Proven(own.head),
                false => WitnessHistory::Contradicted,
            }
        }
    };
    Ok(VerifiedTestimony {
        claim: answer.body.remembered,
        witness,
    })
}

/// Checks that `head` names `node` and is signed by it.
///
/// # Errors
/// When it names another node, or the signature is invalid.
pub fn verify_head(head: &Signed<JournalHead>, node: &PublicKey) -> Result<(), RequestFault> {
    if head.body.node != *node {
        return Err(RequestFault::Signature {
            whose: "journal head's".into(),
            why: format!("it is of {}, not of {node}", head.body.node),
        });
    }
    head.verify(node)
        .map_err(|why| bad_signature("journal head's", why))
}

fn bad_signature(whose: &str, why: farthing_coin::SignatureError) -> RequestFault {
    RequestFault::Signature {
        whose: whose.into(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests;
