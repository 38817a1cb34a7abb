//! Questions to the peers about their memory of this node, and answers to their questions.

use super::{History, Standing};
use crate::{
    call::{CallError, ask, unavailable},
    card::{Card, RoleName},
    process::StopToken,
};
use farthing_coin::{PublicKey, Signed};
use farthing_protocol::{
    api::{AskBank, AskEscrow},
    history::{
        JournalHead, OwnJournal, Testimony, WitnessHistory, WitnessRequest, verify_testimony,
        verify_witness_request,
    },
    ids::{RecordHash, WitnessNonce},
    refusal::{Later, Refusal},
};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// How often a node that may decide compares its journal with its peers' memory (ms).
///
/// Some records, such as withdrawals, are told to peers in no other message. Their loss stays undetected for at most this
/// long.
pub const COMPARE_MS: u64 = 10_000;

/// How long a question to a witness may take.
pub const WITNESS_TIMEOUT: Duration = Duration::from_secs(3);

/// The first pause between questions while the node waits for a witness (ms). It doubles each time.
pub const WAIT_FIRST_MS: u64 = 100;

/// The longest pause between questions while the node waits for a witness (ms).
pub const WAIT_MAX_MS: u64 = 2_000;

/// The most peers that are asked at once.
pub const ASKED_AT_ONCE_MAX: usize = 16;

/// The topics of the complaints about the histories.
const TOPIC_UNREADABLE: &str = "unreadable";
const TOPIC_FORGOTTEN: &str = "forgotten";
const TOPIC_UNSTORED: &str = "unstored";

impl History {
    /// Asks all peers repeatedly, until `stop`.
    pub async fn watch(self: Arc<Self>, stop: StopToken) {
        let mut pause_ms = WAIT_FIRST_MS;
        loop {
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = self.ask_all() => {}
            }
            let wait_ms = match self.standing() {
                Err(Later::Unwitnessed) => pause_ms,
                _ => COMPARE_MS,
            };
            pause_ms = pause_ms.saturating_mul(2).min(WAIT_MAX_MS);
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = self.nudge.notified() => tokio::time::sleep(Duration::from_millis(WAIT_FIRST_MS)).await,
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            }
        }
    }

    /// Asks the peers until the node may decide, for at most `timeout`.
    ///
    /// # Errors
    /// As [`History::standing`].
    pub async fn up_within(self: &Arc<Self>, timeout: Duration) -> Result<(), Later> {
        let mut standing = self.standing.subscribe();
        let asking = async {
            loop {
                self.ask_all().await;
                tokio::time::sleep(Duration::from_millis(WAIT_FIRST_MS)).await;
            }
        };
        let _over = tokio::time::timeout(timeout, async {
            tokio::select! {
                biased;
                _known = standing.wait_for(|standing| *standing != Standing::Unwitnessed) => {}
                () = asking => {}
            }
        })
        .await;
        self.standing()
    }

    /// Asks every peer once, and waits for all answers.
    ///
    /// The node may decide if at least one peer has answered, and none has shown that this node has forgotten a record.
    pub async fn ask_all(self: &Arc<Self>) {
        let mut left = self.witnesses().into_iter();
        let mut heard = match left.len() {
            0 => Some("no peer is pinned that could remember anything".to_owned()),
            _ => None,
        };
        let mut asked = JoinSet::new();
        loop {
            while asked.len() < ASKED_AT_ONCE_MAX
                && let Some(card) = left.next()
            {
                let this = Arc::clone(self);
                asked.spawn(async move { (card.title(), this.compare(&card.identity).await) });
            }
            match asked.join_next().await {
                None => break,
                Some(Ok((who, Ok(())))) => {
                    heard = Some(format!("{who} remembers nothing that is not in the journal"));
                }
                Some(Ok((who, Err(refusal)))) => {
                    tracing::debug!(who, %refusal, "a peer did not tell what it remembers; it is asked again");
                }
                Some(Err(error)) => tracing::error!(%error, "the question to a peer has failed"),
            }
        }
        // The head that stopped this node at an earlier start may not have been readable at this start. Read it again.
        match (heard, self.stopped_before()) {
            (Some(why), Ok(None)) => self.confirm(&why),
            (_, Err(error)) => {
                self.complaints.tell(TOPIC_UNREADABLE, &"", |times| {
                    tracing::error!(%error, times, "cannot read whether this node was stopped before; it decides nothing until it can");
                });
            }
            _ => {}
        }
    }

    /// Asks one peer what it remembers of this node, and remembers the peer's head.
    ///
    /// # Errors
    /// When the peer does not answer, or when the peer or this node has forgotten a record.
    pub async fn compare(self: &Arc<Self>, peer: &PublicKey) -> Result<(), Refusal> {
        let role = self.parts.witnesses;
        let link = self.parts.peers.link(role, peer)?;
        let mut nonce = [0; 32];
        self.parts.entropy.fill(&mut nonce);
        let asked = WitnessRequest {
            asker: self.self_id,
            witness: *peer,
            nonce: WitnessNonce(nonce),
            remembered: self.remembered(peer)?,
        };
        let signed = Signed::sign(asked.clone(), &self.parts.key);
        let answer = match role {
            RoleName::Bank => ask(&*link, AskBank(signed), WITNESS_TIMEOUT).await,
            _ => ask(&*link, AskEscrow(signed), WITNESS_TIMEOUT).await,
        };
        let learned = verify_testimony(answer.map_err(|e| silent(role, e))?, &asked)?;
        let who = link.card().title();
        // The claim is checked first. A node that is behind remembers nothing new.
        if let Some(claim) = &learned.claim {
            self.check(claim, &who)?;
        }
        match learned.witness {
            WitnessHistory::Hidden => {}
            WitnessHistory::Proven(head) => self.take(peer, asked.remembered.as_ref(), &head).await?,
            WitnessHistory::Contradicted => {
                self.known().proven.remove(peer);
                self.complaints.tell(TOPIC_FORGOTTEN, peer, |times| tracing::error!(
                    who,
                    times,
                    "this peer has forgotten records that it had told this node: it runs from an older copy of its \
                     journal, or beside a copy of its machine; nothing is decided with it; ask its operator"
                ));
                return Err(Later::PeerSilent(role.to_string()).into());
            }
        }
        Ok(())
    }

    /// Makes sure that `head`, which came with an answer of `peer`, is reliable. Asks the peer if necessary.
    ///
    /// # Errors
    /// When the peer does not prove that it has forgotten nothing.
    pub async fn rely_on(
        self: &Arc<Self>,
        peer: &PublicKey,
        head: Option<&Signed<JournalHead>>,
    ) -> Result<(), Refusal> {
        if self.hear(peer, head)? {
            return Ok(());
        }
        self.compare(peer).await?;
        match self.hear(peer, head)? {
            true => Ok(()),
            false => Err(Later::PeerSilent(self.parts.witnesses.to_string()).into()),
        }
    }

    /// Answers a peer's question: what this node remembers of it. The node answers even while it may not decide.
    ///
    /// # Errors
    /// When the question is not signed or not for this node, or the store cannot be read.
    pub fn testify(self: &Arc<Self>, request: Signed<WitnessRequest>) -> Result<Signed<Testimony>, Refusal> {
        let request = verify_witness_request(request, &self.self_id)?;
        let asker = request.asker();
        let card = self.parts.peers.card(self.parts.witnesses, &asker);
        if let Some(claim) = request.claim() {
            let who = card.as_ref().map_or_else(|| "a node".into(), Card::title);
            // The answer is sent in any case. The peer sees for itself which record the journal lacks.
            let _stopped = self.check(claim, &who);
        }
        let own = card.map(|_| self.own_journal(request.claim())).transpose()?;
        let remembered = self.remembered(&asker)?;
        if own.is_some() {
            self.heard_from(&asker);
        }
        let testimony = request.respond(remembered, own);
        Ok(Signed::sign(testimony, &self.parts.key))
    }

    /// Stops the node if its journal lacks `claim`, a head of this node that `who` remembers.
    fn check(self: &Arc<Self>, claim: &Signed<JournalHead>, who: &str) -> Result<(), Refusal> {
        let there = self.hash_there(claim)?;
        if claim.body.lies_in(there) {
            return Ok(());
        }
        if self.stop(claim, who) {
            self.keep_stopped(claim.clone());
        }
        Err(Later::Behind.into())
    }

    /// The hash of the journal's record with the number of `claim`, a head that this node has signed.
    fn hash_there(&self, claim: &Signed<JournalHead>) -> Result<Option<RecordHash>, Refusal> {
        // Heads of the present run are looked up too: a copy of the running machine has the same run.
        if let Some(told) = self.known().told.get(&claim.body.records) {
            return Ok(Some(*told));
        }
        let there = self.parts.store.hash_at(claim.body.records);
        there.map_err(|e| unavailable(&e))
    }

    fn own_journal(&self, claim: Option<&Signed<JournalHead>>) -> Result<OwnJournal, Refusal> {
        let hash_there = claim.map(|claim| self.hash_there(claim)).transpose()?.flatten();
        Ok(OwnJournal {
            head: self.head(),
            hash_there,
        })
    }

    /// Asks a peer at once after its question, if this node waits for it or has no proof of it.
    fn heard_from(&self, peer: &PublicKey) {
        let waits = self.standing() == Err(Later::Unwitnessed);
        if waits {
            self.parts.peers.renew_link(peer);
        }
        if waits || !self.known().proven.contains_key(peer) {
            self.nudge.notify_one();
        }
    }

    /// Durably remembers `head`, which `peer` has proven to continue `asked`.
    async fn take(
        self: &Arc<Self>,
        peer: &PublicKey,
        asked: Option<&Signed<JournalHead>>,
        head: &Signed<JournalHead>,
    ) -> Result<(), Refusal> {
        {
            let mut known = self.known();
            let now = known.heads.get(peer);
            // A head of another run arrived while the question was under way. The answer proves nothing about it.
            if now != asked && now.is_some_and(|now| now.body.run != head.body.run) {
                return Err(Later::PeerSilent(self.parts.witnesses.to_string()).into());
            }
            known.grow(peer, head);
        }
        let (this, row) = (Arc::clone(self), *peer);
        let reads = [self.remembers(peer)];
        let written = self.parts.store.transact(reads, move |tx| this.write(tx, &row));
        // A failed write is no danger: a store that takes no writes decides nothing. The next decision or comparison
        // writes the head.
        if let Err(error) = written.await {
            self.complaints.tell(TOPIC_UNSTORED, peer, |times| {
                tracing::warn!(%error, times, "cannot store the head of a peer; it is tried again");
            });
        }
        self.known().proven.insert(*peer, head.body.run);
        Ok(())
    }
}

fn silent(role: RoleName, error: CallError) -> Refusal {
    match error {
        CallError::Refused(refusal) => refusal,
        other => {
            tracing::debug!(error = %other, "a witness did not answer");
            Later::PeerSilent(role.to_string()).into()
        }
    }
}
