//! The probe of a process. It adds the probe points to the store, the network and the service of the process.

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

/// The probe of a process. Almost all processes have none.
#[derive(Clone, Default)]
pub struct ProcessProbe(Option<Arc<dyn MessageProbe>>);

impl std::fmt::Debug for ProcessProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ProcessProbe").field(&self.0.is_some()).finish()
    }
}

impl ProcessProbe {
    /// The probe that [`PROBE_VARIABLE`] configures, if it is set. `party` is the name of the process in its reports.
    #[must_use]
    pub fn from_environment(party: &'static str) -> Self {
        let socket = std::env::var_os(PROBE_VARIABLE).filter(|path| !path.is_empty());
        let probe = socket.map(|path| {
            tracing::warn!("every step waits for a fault test: {PROBE_VARIABLE} is set");
            Arc::new(SocketProbe::new(path.into(), party)) as Arc<dyn MessageProbe>
        });
        ProcessProbe(probe)
    }

    /// The options with which the process opens its store.
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

    /// Adds probe points to all questions over `network`.
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

    /// Adds probe points to all questions to `service`, a server of this role.
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
