//! What a process passes to its store, its network and its service, so that they reach the points of its probe.

use super::{
    message_probe::MessageProbe,
    messages::{Asked, Asking},
    socket::{PROBE_VARIABLE, SocketProbe},
};
use crate::{
    card::RoleName,
    network::{Network, Service},
};
use farthing_store::{StoreOptions, probe::NoProbe};
use std::sync::Arc;

/// The probe of a process, which almost always has none.
#[derive(Clone, Default)]
pub struct ProcessProbe(Option<Arc<dyn MessageProbe>>);

impl std::fmt::Debug for ProcessProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ProcessProbe").field(&self.0.is_some()).finish()
    }
}

impl ProcessProbe {
    /// The probe that [`PROBE_VARIABLE`] asks for, if it does; `party` is what the process is called to it.
    #[must_use]
    pub fn from_environment(party: &'static str) -> Self {
        let socket = std::env::var_os(PROBE_VARIABLE).filter(|path| !path.is_empty());
        let probe = socket.map(|path| {
            tracing::warn!("every step waits for a fault test: {PROBE_VARIABLE} is set");
            Arc::new(SocketProbe::new(path.into(), party)) as Arc<dyn MessageProbe>
        });
        ProcessProbe(probe)
    }

    /// How a program opens its store.
    #[must_use]
    pub fn store_options(&self) -> StoreOptions {
        StoreOptions {
            probe: match self.0.clone() {
                Some(probe) => probe,
                None => Arc::new(NoProbe),
            },
            ..StoreOptions::default()
        }
    }

    /// `network`, with points around every question that is asked over it.
    #[must_use]
    pub fn around_network(&self, network: Arc<dyn Network>) -> Arc<dyn Network> {
        match &self.0 {
            None => network,
            Some(probe) => Arc::new(Asking {
                network,
                probe: Arc::clone(probe),
            }),
        }
    }

    /// `service`, with points around every question that a server of this role is asked.
    #[must_use]
    pub fn around_service(&self, service: Arc<dyn Service>, role: RoleName) -> Arc<dyn Service> {
        match &self.0 {
            None => service,
            Some(probe) => Arc::new(Asked {
                service,
                role,
                probe: Arc::clone(probe),
            }),
        }
    }
}
