//! Answers the commands to a running node that are the same for all roles.

use super::drain::DrainStatus;
use super::network::reload;
use super::requests::{DurableHead, NodeRequest};
use super::state::StateSources;
use super::status::{KeyListStatus, Status};
use crate::admin::{AdminHandler, reply};
use crate::card::RoleName;
use crate::drain::{Drain, UnderWay};
use crate::history::History;
use crate::peers::{PeerCount, Peers};
use crate::transport::ServerCounters;
use crate::usage::Usage;
use async_trait::async_trait;
use farthing_store::clock::{Clock, SystemClock};
use farthing_store::{Store, StoreError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The handler of all commands to a running node: it answers a [`NodeRequest`], and passes other requests to the role.
pub(crate) struct NodeHandler<R> {
    /// The directory of the network file.
    pub(crate) dir: PathBuf,
    pub(crate) role: Arc<R>,
    pub(crate) store: Option<Store>,
    pub(crate) server: Arc<ServerCounters>,
    pub(crate) history: Option<Arc<History>>,
    pub(crate) peers: fn(&R) -> &Peers,
    pub(crate) key_list: fn(&R) -> Option<KeyListStatus>,
    pub(crate) reached: fn(&R, RoleName) -> PeerCount,
    pub(crate) complaints: fn(&R) -> usize,
    pub(crate) sources: StateSources,
    pub(crate) drain: fn(&R) -> Option<&Drain>,
    pub(crate) under_way: fn(&R) -> Result<UnderWay, StoreError>,
    /// The time of the node's start.
    pub(crate) since: Instant,
}

#[async_trait]
impl<R: AdminHandler> AdminHandler for NodeHandler<R> {
    async fn admin(&self, request: Value) -> Result<Value, String> {
        match NodeRequest::deserialize(&request) {
            Ok(NodeRequest::Status) => reply(&self.status()),
            Ok(NodeRequest::Drain { on }) => reply(&self.drain(on)?),
            Ok(NodeRequest::Head) => reply(&self.head()?),
            Ok(NodeRequest::NetworkReload) => {
                let cards = reload(&self.dir, (self.peers)(&self.role)).map_err(|e| e.to_string())?;
                Ok(json!({ "cards": cards }))
            }
            Err(_) => self.role.admin(request).await,
        }
    }
}

impl<R> NodeHandler<R> {
    fn drain(&self, on: Option<bool>) -> Result<DrainStatus, String> {
        let drain = (self.drain)(&self.role).ok_or("this node has nothing to drain")?;
        let now_ms = SystemClock.now_ms();
        if let Some(on) = on {
            let done = drain.set(on, now_ms);
            done.map_err(|error| format!("the node cannot note it down: {error}; nothing has changed"))?;
        }
        let under_way = (self.under_way)(&self.role).map_err(|e| e.to_string())?;
        Ok(DrainStatus {
            since_ms: drain.since_ms(),
            done: under_way.is_done(now_ms),
            under_way,
        })
    }

    fn head(&self) -> Result<DurableHead, String> {
        let store = self.store.as_ref().ok_or("this node has no journal")?;
        let head = store.head();
        Ok(DurableHead {
            record: head.sequence,
            hash: head.hash,
        })
    }

    /// The status of the node: the one source of the commands, the metrics and the page.
    pub(crate) fn status(&self) -> Status {
        Status {
            up_ms: u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            store: self.store.as_ref().map(Store::counts),
            network: self.server.counts(),
            process: Usage::of_this_process(),
            history: self.history.as_ref().map(|history| history.status()),
            keys: (self.key_list)(&self.role),
            state: self.sources.read(
                &self.dir,
                |of| (self.reached)(&self.role, of),
                (self.complaints)(&self.role),
            ),
            draining: (self.drain)(&self.role).is_some_and(|drain| drain.since_ms().is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Card;
    use crate::fingerprint::Fingerprint;
    use crate::network_file::NetworkFile;
    use crate::quic::QuicNetwork;
    use farthing_store::disk::MemoryDisk;
    use farthing_store::{Reads, StoreOptions};
    use std::path::Path;

    /// A role that returns each request.
    struct Echo(Peers);

    #[async_trait]
    impl AdminHandler for Echo {
        async fn admin(&self, request: Value) -> Result<Value, String> {
            Ok(request)
        }
    }

    async fn node(dir: &Path) -> NodeHandler<Echo> {
        let options = StoreOptions::simulated(MemoryDisk::new(), 1);
        let (store, _) = Store::open(Path::new("/store"), options).unwrap();
        for key in [[1], [2]] {
            let put = store.transact(Reads::none(), move |tx| tx.put(&key, vec![7]));
            put.await.unwrap();
        }
        NodeHandler {
            dir: dir.to_owned(),
            role: Arc::new(Echo(Peers::new(Arc::new(QuicNetwork::new()), Vec::new()))),
            store: Some(store),
            server: Arc::default(),
            history: None,
            peers: |role| &role.0,
            key_list: |_| None,
            reached: |role, of| role.0.reached(of),
            complaints: |_| 0,
            sources: StateSources::default(),
            drain: |_| None,
            under_way: |_| Ok(UnderWay::default()),
            since: Instant::now(),
        }
    }

    #[tokio::test]
    async fn a_status_request_is_answered_and_others_go_to_the_role() {
        let node = node(Path::new("/")).await;
        let other = json!({ "do": "audit" });
        assert_eq!(node.admin(other.clone()).await.unwrap(), other);
        let status = node.admin(json!({ "do": "status" })).await.unwrap();
        let status: Status = serde_json::from_value(status).unwrap();
        let store = status.store.unwrap();
        assert_eq!((store.records, store.transactions), (2, 2));
        assert!(store.journal_bytes > 0);
        assert!(status.process.cpu_us > 0);
    }

    #[tokio::test]
    async fn a_running_node_reads_its_network_file_again() {
        let dir = tempfile::tempdir().unwrap();
        let node = node(dir.path()).await;
        let reload = json!({ "do": "network-reload" });
        assert_eq!(node.admin(reload.clone()).await.unwrap()["cards"], 0);
        let identity = farthing_coin::SecretKey::from_bytes(&[1; 32]).unwrap().public();
        let card = Card {
            role: RoleName::Bank,
            name: "central".into(),
            address: "127.0.0.1:7001".parse().unwrap(),
            fingerprint: Fingerprint([1; 32]),
            identity,
            fields: Default::default(),
        };
        NetworkFile::load(dir.path()).unwrap().add(card.clone()).unwrap();
        assert_eq!(node.admin(reload.clone()).await.unwrap()["cards"], 1);
        assert_eq!(node.role.0.cards(RoleName::Bank), [card]);
        NetworkFile::load(dir.path())
            .unwrap()
            .remove(RoleName::Bank, "central")
            .unwrap();
        assert_eq!(node.admin(reload).await.unwrap()["cards"], 0);
        assert!(node.role.0.cards(RoleName::Bank).is_empty());
    }
}
