//! How bank and escrow find out that one of them runs from an older copy of its journal.
//!
//! Each remembers, durably, the longest journal head that each of its peers has told it, and each is told with every
//! message between them. A node that starts asks its peers first: until one has answered it writes nothing new, and
//! one of whose own heads is not in its own history stops for good. What is said is in `farthing_protocol::history`,
//! what it catches and what not in `docs/PROTOCOL.md`.
//!
//! | module | holds |
//! |---|---|
//! | this one | what a node knows: of its peers, and whether it may decide |
//! | [`witness`] | asking the peers, and answering them |
//! | [`status`] | how it stands, for the operator |

pub mod status;
pub mod witness;

use crate::{
    call::{self, TxError, unavailable},
    card::RoleName,
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

/// The longest head that each peer has told, by the peer. Under the node's own key is the head that stopped it.
pub type HeadsTable = Table<PublicKey, Signed<JournalHead>>;

/// What a node's history is made of.
pub struct HistoryParts {
    /// Signs its heads.
    pub key: Arc<SecretKey>,
    /// Its journal.
    pub store: Store,
    /// Where it remembers the heads of its peers.
    pub heads: HeadsTable,
    /// Whom it works with.
    pub peers: Arc<Peers>,
    /// Which of them are its witnesses.
    pub witnesses: RoleName,
    /// Its randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Whether a node may decide and pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It has just started, and no witness has answered.
    Unwitnessed,
    /// It may.
    Up,
    /// It has told this head once, which is not in its journal.
    Behind(Box<Signed<JournalHead>>),
}

/// A node's journal, and what it knows of those of its peers.
pub struct History {
    self_id: PublicKey,
    parts: HistoryParts,
    /// Random, chosen at the start: within it the journal only grows.
    run: JournalRun,
    standing: watch::Sender<Standing>,
    known: Mutex<Known>,
    /// Tells the loop that a peer should be asked now.
    nudge: Notify,
}

/// What is known, in memory.
struct Known {
    /// The longest head of each peer; at least what is in its row.
    heads: BTreeMap<PublicKey, Signed<JournalHead>>,
    /// The run in which each peer has proven, to this process, that it has forgotten nothing that was remembered of it.
    proven: BTreeMap<PublicKey, JournalRun>,
    /// The first durable record since `decided` in which something was decided.
    untold: Option<u64>,
    /// The record that is being gathered, if something is decided in it.
    gathered: Option<u64>,
    /// Where the journal ended when a head was last told, or before.
    decided: Head,
    /// The head of that, signed, once it was told.
    own: Option<Signed<JournalHead>>,
    /// The heads that were told last, so that a peer's memory of them costs no look into the journal.
    told: BTreeMap<u64, RecordHash>,
}

/// How many of the heads that were told are kept in memory.
const TOLD_MAX: usize = 1024;

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History")
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

impl History {
    /// The history of a node that has just opened its store. It is up at once if nobody could be asked, and stays
    /// stopped if it was.
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
        });
        match history.stopped_before() {
            Ok(Some(head)) => drop(history.stop(&head, "a peer, as it was told at an earlier start,")),
            Ok(None) if history.witnesses().is_empty() => history.confirm("no peer could remember anything"),
            Ok(None) => tracing::info!("nothing is decided before a peer has told what it remembers"),
            Err(error) => tracing::error!(%error, "it cannot be read whether this node was stopped before"),
        }
        history
    }

    /// Whether the node may decide and pay.
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

    /// Runs `transaction` over `reads` as [`call::decide`] does. While the node may not decide, only what was decided before is
    /// repeated: a transaction that has written something, or refuses, which could rest on what was forgotten, is
    /// undone.
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

    /// Called in a transaction that writes something which must not be forgotten: its record is going to be the next,
    /// and is told from when it is durable. A transaction that runs again may call it again.
    pub fn mark_decision(&self) {
        let mut known = self.known();
        let durable = self.parts.store.head().sequence;
        if let Some(gathered) = known.gathered.filter(|record| *record <= durable) {
            known.untold.get_or_insert(gathered);
        }
        known.gathered = Some(durable.saturating_add(1));
    }

    /// The head of the journal, signed: whatever was decided in a record that is durable by now is below it, however many
    /// more are under way. It ends where something was decided, and not with what was only remembered since: two idle
    /// nodes would write for ever because the other has written, and a node that was restored and has decided nothing
    /// would tell of a history of its own.
    pub fn head(&self) -> Signed<JournalHead> {
        let mut known = self.known();
        // Behind the lock, so that it is no older than what `mark_decision` has seen.
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

    /// `body`, a question to `peer`, with the head of the journal if that is a peer.
    pub fn with_head<T>(&self, peer: &PublicKey, body: T) -> WithHead<T> {
        let head = self.is_peer(peer).then(|| self.head());
        WithHead { body, head }
    }

    /// `body`, the answer to a question that came with the head `asked`, which `peer` was [heard](History::hear) to have
    /// signed. Only a question with a head gets one: whoever merely names a peer could count this node's writes.
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

    /// Takes up the head that came with a message of `peer`, and says whether it can be relied on: not before the peer
    /// has proven, in the run that the head is of, that it has forgotten nothing. Until then an older head is worth
    /// more, as the new one may end another history.
    ///
    /// # Errors
    /// When the peer has not signed it.
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

    /// What [`History::remember`] reads.
    pub fn remembers(&self, peer: &PublicKey) -> RowKey {
        self.parts.heads.key(peer)
    }

    /// Writes the longest head of `peer` that is known, if its row has a shorter one. It belongs into every transaction
    /// that rests on what the peer has said, so that the peer's word and the proof of how far it had come are one
    /// write.
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

    /// The longest head of `peer` that is known.
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

    /// The node may decide from now on, if it was only waiting.
    fn confirm(&self, why: &str) {
        let confirmed = self.standing.send_if_modified(|standing| {
            let waited = *standing == Standing::Unwitnessed;
            if waited {
                *standing = Standing::Up;
            }
            waited
        });
        if confirmed {
            tracing::info!(why, "requests are decided from now on");
        }
    }

    /// The node decides and pays nothing from now on: it has told `head` once, which is not in its journal. Says whether
    /// that is news.
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

    /// Writes down what has stopped the node, so that it stays stopped at its next start though no witness should be
    /// there to say it again.
    fn keep_stopped(self: &Arc<Self>, head: Signed<JournalHead>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let store = this.parts.store.clone();
            let kept = store.transact(Reads::none(), move |tx| {
                this.parts.heads.put(tx, &this.self_id, &head)
            });
            if let Err(error) = kept.await {
                tracing::error!(%error, "it could not be written down that this node is behind");
            }
        });
    }

    /// The head that stopped the node at an earlier start, if one has and the journal is still the one without it.
    fn stopped_before(&self) -> Result<Option<Signed<JournalHead>>, StoreError> {
        let store = &self.parts.store;
        let Some(head) = self.parts.heads.peek(&store.view(), &self.self_id)? else {
            return Ok(None);
        };
        let there = store.hash_at(head.body.records)?;
        Ok(Some(head).filter(|head| !head.body.lies_in(there)))
    }

    /// The cards of those who are asked.
    fn witnesses(&self) -> Vec<crate::card::Card> {
        self.parts.peers.cards(self.parts.witnesses)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Takes `head` up if it is longer than what is known.
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
