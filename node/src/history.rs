//! Detects a bank or escrow that runs from an older copy of its journal.
//!
//! Each node durably remembers the longest journal head of each peer. Every message between peers carries a head. A node
//! that starts asks its peers first, and writes nothing new until one has answered. A node stops permanently if a peer
//! has a head of it that is not in its own journal. `farthing_protocol::history` has the messages. `docs/PROTOCOL.md`
//! (History) says what this detects and what it misses.
//!
//! | module | holds |
//! |---|---|
//! | this one | what a node knows of its peers, and whether it may decide |
//! | [`witness`] | questions to the peers, and answers to theirs |
//! | [`status`] | the node's standing, for the operator |

pub mod status;
pub mod witness;

use crate::{
    call::{self, TxError, unavailable},
    card::RoleName,
    complaints::Complaints,
    peers::Peers,
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use farthing_protocol::{
    history::{JournalHead, WithHead, verify_head},
    ids::{JournalRun, RecordHash},
    refusal::{Later, Refusal},
};
use farthing_store::{Head, Reads, RowKey, Store, StoreError, Table, Transaction, entropy::Entropy};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, watch};

/// The longest known head of each peer, by the peer's key. The row under the node's own key is the head that stopped it.
pub type HeadsTable = Table<PublicKey, Signed<JournalHead>>;

/// The parts of a [`History`].
pub struct HistoryParts {
    /// Signs its heads.
    pub key: Arc<SecretKey>,
    /// Its journal.
    pub store: Store,
    /// The table of its peers' heads.
    pub heads: HeadsTable,
    /// The nodes that it works with.
    pub peers: Arc<Peers>,
    /// The role of the peers that are its witnesses.
    pub witnesses: RoleName,
    /// Its randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Whether a node may decide and pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The node has just started, and no witness has answered.
    Unwitnessed,
    /// The node may decide and pay.
    Up,
    /// The node once signed this head, and its journal lacks it.
    Behind(Box<Signed<JournalHead>>),
}

/// The head of a node's journal, and the heads of its peers.
pub struct History {
    self_id: PublicKey,
    parts: HistoryParts,
    /// Random id, drawn at the start. Within one run the journal only grows.
    run: JournalRun,
    standing: watch::Sender<Standing>,
    known: Mutex<Known>,
    /// Wakes the loop that asks the peers.
    nudge: Notify,
    /// What the comparison of journals has found wrong.
    complaints: Complaints,
}

/// What the node knows, in memory.
struct Known {
    /// The longest head of each peer. It is as long as the stored row or longer.
    heads: BTreeMap<PublicKey, Signed<JournalHead>>,
    /// The run in which each peer has proven to this process that its journal continues the remembered head.
    proven: BTreeMap<PublicKey, JournalRun>,
    /// The first durable record after `decided` that has a decision.
    untold: Option<u64>,
    /// The record that the committer gathers now, if it has a decision.
    gathered: Option<u64>,
    /// The end of the journal up to which a head was signed last, or an earlier end.
    decided: Head,
    /// The signed head of `decided`, once it was sent.
    own: Option<Signed<JournalHead>>,
    /// The heads that were sent last. A peer's memory of one of them is checked without a read of the journal.
    told: BTreeMap<u64, RecordHash>,
}

/// How many sent heads are kept in memory.
const TOLD_MAX: usize = 1024;

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History")
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

impl History {
    /// Creates the history of a node that has just opened its store.
    ///
    /// The node is up at once if it has no witness. A node that was stopped at an earlier start stays stopped.
    pub fn new(parts: HistoryParts) -> Arc<Self> {
        let mut run = [0; 32];
        parts.entropy.fill(&mut run);
        let decided = parts.store.head();
        let known = Known {
            heads: BTreeMap::new(),
            proven: BTreeMap::new(),
            untold: None,
            gathered: None,
            decided,
            own: None,
            told: BTreeMap::new(),
        };
        let history = Arc::new(Self {
            self_id: parts.key.public(),
            parts,
            run: JournalRun(run),
            standing: watch::Sender::new(Standing::Unwitnessed),
            known: Mutex::new(known),
            nudge: Notify::new(),
            complaints: Complaints::default(),
        });
        match history.stopped_before() {
            Ok(Some(head)) => drop(history.stop(&head, "a peer, as this node heard at an earlier start,")),
            Ok(None) if history.witnesses().is_empty() => {
                history.confirm("no peer is pinned that could remember anything")
            }
            Ok(None) => {
                tracing::info!("the node waits: it decides nothing before a peer has told what it remembers")
            }
            Err(error) => {
                tracing::error!(%error, "cannot read whether this node was stopped before; it decides nothing until it can")
            }
        }
        history
    }

    /// Checks that the node may decide and pay.
    ///
    /// # Errors
    /// [`Later::Unwitnessed`] and [`Later::Behind`].
    pub fn standing(&self) -> Result<(), Later> {
        match &*self.standing.borrow() {
            Standing::Up => Ok(()),
            Standing::Unwitnessed => Err(Later::Unwitnessed),
            Standing::Behind(_) => Err(Later::Behind),
        }
    }

    /// Runs `transaction` over `reads`, as [`call::decide`] does.
    ///
    /// While the node may not decide, it only repeats earlier decisions. A transaction that writes is undone. A refusal is
    /// replaced by the standing, as the refusal could rest on a forgotten record.
    ///
    /// # Errors
    /// As [`call::decide`], and as [`History::standing`].
    pub fn decide<T: Send + 'static>(
        self: &Arc<Self>,
        reads: impl Into<Reads>,
        transaction: impl Fn(&mut Transaction<'_>) -> Result<T, TxError> + Send + 'static,
    ) -> impl Future<Output = Result<T, Refusal>> + Send {
        let this = Arc::clone(self);
        call::decide(&self.parts.store, reads, move |tx| {
            let outcome = transaction(tx);
            match (this.standing(), outcome) {
                (Ok(()), outcome) => {
                    if tx.has_written() {
                        this.mark_decision();
                    }
                    outcome
                }
                (Err(_), Ok(repeated)) if !tx.has_written() => Ok(repeated),
                (Err(_), Err(TxError::Store(error))) => Err(error.into()),
                (Err(why), _) => Err(why.into()),
            }
        })
    }

    /// Marks the next record as a decision that must not be forgotten. Call it inside the transaction that writes it.
    ///
    /// The next head that is signed after the record is durable covers it. A transaction that runs again may call it
    /// again.
    pub fn mark_decision(&self) {
        let mut known = self.known();
        let durable = self.parts.store.head().sequence;
        if let Some(gathered) = known.gathered.filter(|record| *record <= durable) {
            known.untold.get_or_insert(gathered);
        }
        known.gathered = Some(durable.saturating_add(1));
    }

    /// Returns the signed head of the journal. It covers every decision that is durable now.
    ///
    /// The head ends at a decision, not at a record that only remembers a peer's head, for two reasons. Two idle nodes
    /// would otherwise write forever, each because the other has written. And a restored node that has decided nothing
    /// would announce a new history.
    pub fn head(&self) -> Signed<JournalHead> {
        let mut known = self.known();
        // Read under the lock, so that it is no older than the head that `mark_decision` has read.
        let now = self.parts.store.head();
        let is_due = |record: Option<u64>| record.is_some_and(|record| record <= now.sequence);
        let (untold, gathered) = (is_due(known.untold), is_due(known.gathered));
        if untold || gathered {
            known.untold = None;
            known.gathered = known.gathered.filter(|_| !gathered);
            known.decided = now;
            known.own = None;
        }
        if let Some(head) = &known.own {
            return head.clone();
        }
        let head = JournalHead {
            node: self.self_id,
            run: self.run,
            records: known.decided.sequence,
            hash: known.decided.hash,
        };
        let signed = Signed::sign(head, &self.parts.key);
        known.own = Some(signed.clone());
        known.told.insert(head.records, head.hash);
        if known.told.len() > TOLD_MAX {
            known.told.pop_first();
        }
        signed
    }

    /// Adds the head of the journal to `body`, a question to `peer`, if `peer` is one.
    pub fn with_head<T>(&self, peer: &PublicKey, body: T) -> WithHead<T> {
        let head = self.is_peer(peer).then(|| self.head());
        WithHead { body, head }
    }

    /// Adds the head of the journal to `body`, the answer to a question of `peer` that came with the head `asked`.
    ///
    /// The caller has [checked](History::hear) that `peer` signed `asked`. A question without a head gets an answer without
    /// one. Otherwise anyone could name a peer and count this node's writes.
    pub fn answer<T>(&self, peer: &PublicKey, asked: Option<&Signed<JournalHead>>, body: T) -> WithHead<T> {
        if asked.is_none() {
            return WithHead::without(body);
        }
        self.with_head(peer, body)
    }

    fn is_peer(&self, node: &PublicKey) -> bool {
        let card = self.parts.peers.card(self.parts.witnesses, node);
        card.is_some()
    }

    /// Remembers the head that came with a message of `peer`. Returns whether it is reliable.
    ///
    /// A head is reliable once the peer has proven, in the run of the head, that it has forgotten nothing. Until then the
    /// older head is kept, as the new one may belong to another history.
    ///
    /// # Errors
    /// When the peer has not signed the head.
    pub fn hear(&self, peer: &PublicKey, head: Option<&Signed<JournalHead>>) -> Result<bool, Refusal> {
        let Some(head) = head else {
            return Ok(false);
        };
        if self.known().heads.get(peer) != Some(head) {
            verify_head(head, peer)?;
        }
        let mut known = self.known();
        if known.proven.get(peer) != Some(&head.body.run) {
            drop(known);
            if self.is_peer(peer) {
                self.nudge.notify_one();
            }
            return Ok(false);
        }
        known.grow(peer, head);
        Ok(true)
    }

    /// The row that [`History::remember`] reads.
    pub fn remembers(&self, peer: &PublicKey) -> RowKey {
        self.parts.heads.key(peer)
    }

    /// Writes the longest known head of `peer`, if its row has a shorter one.
    ///
    /// Every transaction that rests on a peer's message calls it. The message and the peer's head are then one write.
    ///
    /// # Errors
    /// When the store fails.
    pub fn remember(&self, tx: &mut Transaction<'_>, peer: &PublicKey) -> Result<(), StoreError> {
        match self.standing() {
            Ok(()) => self.write(tx, peer),
            Err(_) => Ok(()),
        }
    }

    fn write(&self, tx: &mut Transaction<'_>, peer: &PublicKey) -> Result<(), StoreError> {
        let Some(head) = self.known().heads.get(peer).cloned() else {
            return Ok(());
        };
        let row = self.parts.heads.get(tx, peer)?;
        if row.is_some_and(|row| row.body.records >= head.body.records) {
            return Ok(());
        }
        self.parts.heads.put(tx, peer, &head)
    }

    /// Returns the longest known head of `peer`.
    fn remembered(&self, peer: &PublicKey) -> Result<Option<Signed<JournalHead>>, Refusal> {
        let known = self.known().heads.get(peer).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let row = self.parts.heads.peek(&self.parts.store.view(), peer);
        let row = row.map_err(|e| unavailable(&e))?;
        if let Some(head) = &row {
            self.known().grow(peer, head);
        }
        Ok(self.known().heads.get(peer).cloned())
    }

    /// Lets a waiting node decide from now on.
    fn confirm(&self, why: &str) {
        let confirmed = self.standing.send_if_modified(|standing| {
            let waited = *standing == Standing::Unwitnessed;
            if waited {
                *standing = Standing::Up;
            }
            waited
        });
        if confirmed {
            tracing::info!(why, "the node decides requests from now on");
        }
    }

    /// Stops the node: it decides and pays nothing from now on, as its journal lacks `head`, which it once signed.
    ///
    /// Returns false if it was stopped before.
    fn stop(&self, head: &Signed<JournalHead>, who: &str) -> bool {
        let told = head.body;
        let stopped = self.standing.send_if_modified(|standing| {
            let was_not = !matches!(standing, Standing::Behind(_));
            if was_not {
                *standing = Standing::Behind(Box::new(head.clone()));
            }
            was_not
        });
        if !stopped {
            return false;
        }
        tracing::error!(
            who,
            remembers = told.records,
            hash = hex::encode(told.hash),
            records = self.parts.store.head().sequence,
            "this node runs from an older copy of its journal, so it decides and pays nothing: {who} remembers a record \
             that is not in it. Stop it, put the newest journal in place, and start it again (OPERATIONS.md, A node that \
             is behind)"
        );
        true
    }

    /// Stores the head that has stopped the node. The node then stays stopped at its next start without a witness.
    fn keep_stopped(self: &Arc<Self>, head: Signed<JournalHead>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let store = this.parts.store.clone();
            let kept = store.transact(Reads::none(), move |tx| {
                this.parts.heads.put(tx, &this.self_id, &head)
            });
            if let Err(error) = kept.await {
                tracing::error!(%error, "cannot store that this node is behind; it may forget it at its next start if no peer answers");
            }
        });
    }

    /// Returns the head that stopped the node at an earlier start, if the journal still lacks it.
    fn stopped_before(&self) -> Result<Option<Signed<JournalHead>>, StoreError> {
        let store = &self.parts.store;
        let Some(head) = self.parts.heads.peek(&store.view(), &self.self_id)? else {
            return Ok(None);
        };
        let there = store.hash_at(head.body.records)?;
        Ok(Some(head).filter(|head| !head.body.lies_in(there)))
    }

    /// The cards of the witnesses.
    fn witnesses(&self) -> Vec<crate::card::Card> {
        self.parts.peers.cards(self.parts.witnesses)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Remembers `head` if it is longer than the known one.
    fn grow(&mut self, peer: &PublicKey, head: &Signed<JournalHead>) {
        let longer = self
            .heads
            .get(peer)
            .is_none_or(|known| known.body.records < head.body.records);
        if longer {
            self.heads.insert(*peer, head.clone());
        }
    }
}
