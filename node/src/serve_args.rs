//! The settings of one run of a node: flags and environment variables that go before the configuration file.

use crate::address::Addresses;
use crate::home::Home;
use clap::Args;
use clap::builder::FalseyValueParser;
use std::net::SocketAddr;
use std::num::NonZeroU32;

/// The settings of one run. Each goes before the setting of the same name in the configuration file, which stays as it is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings of this run, before those in config.toml")]
pub struct ServeArgs {
    /// Listen on this address.
    #[arg(long, value_name = "IP:PORT", env = "FARTHING_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// The addresses in the card that `serve` prints: where others reach the node, with commas between them.
    #[arg(long, value_name = "HOST:PORT", env = "FARTHING_ADVERTISE")]
    pub advertise: Option<Addresses>,
    /// The memory for the cache of the index (MiB).
    #[arg(long, value_name = "MIB", env = "FARTHING_CACHE_MIB")]
    pub cache_mib: Option<NonZeroU32>,
    /// Answer HTTP requests for metrics, health and a page on this address, such as 127.0.0.1:9101. Off by default.
    #[arg(long, value_name = "IP:PORT", env = "FARTHING_METRICS")]
    pub metrics: Option<SocketAddr>,
    /// Allow an address for --metrics that other machines reach. There is no password and no encryption.
    #[arg(long, env = "FARTHING_METRICS_OPEN", value_parser = FalseyValueParser::new())]
    pub metrics_open: bool,
}

impl ServeArgs {
    /// The node with these settings.
    #[must_use]
    pub fn over<C>(self, mut home: Home<C>) -> Home<C> {
        let config = home.config_mut();
        config.listen = self.listen.unwrap_or(config.listen);
        config.advertise = self.advertise.or(config.advertise.take());
        config.cache_mib = self.cache_mib.or(config.cache_mib);
        // The file allows the address of the file only.
        config.metrics_open = self.metrics_open || (self.metrics.is_none() && config.metrics_open);
        config.metrics = self.metrics.or(config.metrics);
        home
    }
}
