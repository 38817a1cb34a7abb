//! History: bank and escrow remember how far each other's journal has come, so that one that was restored from an
//! older copy is told, before it decides or pays anything.
//!
//! ```text
//! a node                                      a peer of it, its witness
//!   WitnessRequest: what do you remember
//!   of me? I remember this head of yours ---->  is that head in its own history?
//!                                        <----  Testimony: the last head of yours that I was told; my own,
//!                                               and what stands in my journal where you remember a head
//!   is that head in my history?
//! ```
//!
//! A head is signed by the node whose journal it ends, so nobody can stop a node with one that it never told, and one
//! that it did tell proves for ever that its journal was that long. Both questions that are asked of a head are the
//! same: does the hash at its place in the journal equal it?
//!
//! Besides, every question and answer between bank and escrow carries its sender's head ([`WithHead`]). Heads travel
//! between servers alone: in anything that a customer carries or gets they would mark her.

use crate::{
    ids::{JournalRun, RecordHash, WitnessNonce},
    refusal::{ContractFault, Refusal, RequestFault},
    request::check_recipient,
};
use farthing_coin::{Document, PublicKey, Signed, Transcript, TranscriptExt};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// Where a node's journal ends: what stands for its whole history. Signed by the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    /// Whose journal.
    pub node: PublicKey,
    /// Random, chosen at the node's start. Within one run a journal only grows.
    pub run: JournalRun,
    /// How many records it has.
    pub records: u64,
    /// The hash of the last one, which covers all before it.
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
    /// Whether it lies in the history of a journal, of which `hash_there` is the hash at its place, if the journal
    /// reaches that far.
    pub fn lies_in(&self, hash_there: Option<RecordHash>) -> bool {
        hash_there == Some(self.hash)
    }
}

/// A question or an answer between bank and escrow, and the head of its sender's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithHead<T> {
    /// The question or the answer.
    pub body: T,
    /// Durable before the message was sent; of an answer, with all that the answer says. Absent if the sender does not
    /// know the other as a peer, and from an answer to a question without one: how much the sender does is nobody
    /// else's business.
    pub head: Option<Signed<JournalHead>>,
}

impl<T> WithHead<T> {
    /// `body` without a head.
    pub fn without(body: T) -> Self {
        Self { body, head: None }
    }
}

/// From a node to a peer: what do you remember of me? Signed by the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessRequest {
    /// Who asks.
    pub asker: PublicKey,
    /// Who is asked.
    pub witness: PublicKey,
    /// Random, so that no earlier answer can stand for this one.
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

/// What a peer remembers. Signed by the peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testimony {
    /// Who answers.
    pub witness: PublicKey,
    /// Who asked.
    pub asker: PublicKey,
    /// The question's.
    pub nonce: WitnessNonce,
    /// The longest head of the asker that the witness remembers.
    pub remembered: Option<Signed<JournalHead>>,
    /// The witness's own journal; absent if it does not know the asker.
    pub own: Option<OwnJournal>,
}

/// The journal of a node that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnJournal {
    /// Where it ends.
    pub head: Signed<JournalHead>,
    /// The hash at the place of the head that the asker remembers; absent if it remembers none, or the journal does not
    /// reach that far.
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

/// A head is described by its digest, an absent one by no bytes.
fn describe_head(t: &mut Transcript, head: Option<&Signed<JournalHead>>) {
    let digest = head.map(|head| head.body.digest());
    t.bytes(b"head", digest.as_ref().map_or(&[], |digest| digest.0.as_slice()));
}

// ---- the witness ------------------------------------------------------------------------------------------

/// A question by its asker to this node. What it remembers of this node is signed by this node. Only
/// [`verify_witness_request`] makes one.
#[derive(Debug)]
pub struct VerifiedWitnessRequest(WitnessRequest);

/// Verifies a question.
///
/// # Errors
/// When it is for another node, not signed by its asker, or remembers what this node has not signed.
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
    /// Who asks.
    pub fn asker(&self) -> PublicKey {
        self.0.asker
    }

    /// What the asker remembers of this node, which must lie in its history.
    pub fn claim(&self) -> Option<&Signed<JournalHead>> {
        self.0.remembered.as_ref()
    }

    /// The answer, to be signed.
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

/// What an asker has learned. Only [`verify_testimony`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// What the witness remembers of the asker, signed by the asker itself: it must lie in the asker's history.
    pub claim: Option<Signed<JournalHead>>,
    /// What came of what the asker remembers of the witness.
    pub witness: WitnessHistory,
}

/// What a witness has shown of its own history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitnessHistory {
    /// Nothing: it does not know the asker.
    Hidden,
    /// The head that the asker remembers lies in it, and it has come as far as this.
    Proven(Signed<JournalHead>),
    /// The head that the asker remembers does not lie in it: the witness has forgotten something.
    Contradicted,
}

/// Verifies the answer to `asked`.
///
/// # Errors
/// When it answers another question, or a signature is not what it should be.
pub fn verify_testimony(answer: Signed<Testimony>, asked: &WitnessRequest) -> Result<Learned, Refusal> {
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
    Ok(Learned {
        claim: answer.body.remembered,
        witness,
    })
}

/// Checks that `head` is one of `node`'s, and signed by it.
///
/// # Errors
/// When it is not.
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
