//! The readings as metrics for Prometheus, in the OpenMetrics text format. Labels have few values: no label is about a
//! customer, a coin, a purchase or an account.

use super::recorder::{Published, Sample};
use crate::books::FigureUnit;
use crate::card::RoleName;
use crate::history::status::StandingStatus;
use crate::operator::status::{KeyListStatus, Status};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt::Error;

/// The prefix of every name.
const PREFIX: &str = "farthing";

/// The smallest units of money in one unit of the currency.
const UNITS: f64 = 100.0;

/// What one answer has.
#[derive(Debug)]
pub(super) struct Exposition {
    pub(super) role: RoleName,
    pub(super) sample: Sample,
    pub(super) published: Option<Published>,
    pub(super) is_ready: bool,
    pub(super) is_stopped: bool,
}

impl Exposition {
    /// The text of the metrics.
    ///
    /// # Errors
    /// Never: text is written to memory.
    pub(super) fn text(self) -> Result<String, Error> {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut written = String::new();
        text::encode(&mut written, &registry)?;
        Ok(written)
    }
}

/// Writes metrics.
struct Writer<'e>(DescriptorEncoder<'e>);

impl Writer<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    fn count(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, u64, u64>(&value, None)
    }

    fn seconds(&mut self, name: &str, help: &str, us: u64) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, f64, u64>(&(us as f64 / 1e6), None)
    }

    /// Gauges of one name that differ in one label.
    fn gauges<'l, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'l str, V)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (of, value) in values {
            metric.encode_family(&[(label, of)])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Counters of one name that differ in one label.
    fn counts(&mut self, name: &str, help: &str, label: &str, values: [(&str, u64); 5]) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (of, value) in values {
            let labels = [(label, of)];
            let mut one = metric.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
        }
        Ok(())
    }
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut to = Writer(encoder);
        self.health(&mut to)?;
        let status = &self.sample.status;
        server(&mut to, status)?;
        store(&mut to, status)?;
        machine(&mut to, status)?;
        peers(&mut to, status)?;
        if let Some(keys) = &status.keys {
            key_list(&mut to, keys)?;
        }
        self.books(&mut to)
    }
}

impl Exposition {
    fn health(&self, to: &mut Writer<'_>) -> Result<(), Error> {
        let labels = [
            ("role", self.role.as_str()),
            ("version", env!("CARGO_PKG_VERSION")),
        ];
        let mut info =
            to.0.encode_descriptor("build", "The program", None, MetricType::Info)?;
        info.encode_info(&labels)?;
        let status = &self.sample.status;
        to.gauge(
            "ready",
            "Whether the node is ready to serve (1) or not (0)",
            u32::from(self.is_ready),
        )?;
        to.gauge(
            "stopped",
            "Whether the store has stopped (1): restart the node",
            u32::from(self.is_stopped),
        )?;
        to.gauge("up_seconds", "Time since the start", status.up_ms as f64 / 1e3)?;
        let read = self.sample.at_ms as f64 / 1e3;
        to.gauge(
            "read_timestamp_seconds",
            "When the node was read; it is read once a minute",
            read,
        )?;
        to.gauge(
            "complaints",
            "Things that go wrong again and again; the log says which",
            status.state.complaints,
        )
    }

    fn books(&self, to: &mut Writer<'_>) -> Result<(), Error> {
        let Some(Published { at_ms, books }) = &self.published else {
            return Ok(());
        };
        let read = *at_ms as f64 / 1e3;
        to.gauge(
            "books_read_timestamp_seconds",
            "When the published books were read",
            read,
        )?;
        let of = |unit: FigureUnit| books.figures.iter().filter(move |figure| figure.unit == unit);
        let money = of(FigureUnit::Money).map(|figure| (figure.name, figure.value as f64 / UNITS));
        to.gauges(
            "books_money",
            "Sums of the books, in units of the currency",
            "of",
            money,
        )?;
        let counts = of(FigureUnit::Count).map(|figure| (figure.name, figure.value));
        to.gauges("books_count", "Counts of the books", "of", counts)
    }
}

fn server(to: &mut Writer<'_>, status: &Status) -> Result<(), Error> {
    let Status { network, state, .. } = status;
    to.count(
        "connections",
        "Completed handshakes, in tens",
        network.connections,
    )?;
    to.count(
        "requests",
        "Requests, in tens, refused ones included",
        network.requests,
    )?;
    let replies = [
        ("answered", state.replies.answered),
        ("refused", state.replies.refused),
        ("later", state.replies.later),
        ("faulty", state.replies.faulty),
        ("busy", network.busy),
    ];
    to.counts("replies", "How requests ended, in tens", "as", replies)?;
    let load = [
        ("connections", state.load.connections),
        ("handshakes", state.load.handshakes),
        ("requests", state.load.requests),
        ("reserved", state.load.reserved),
    ];
    let now = load.map(|(what, taken)| (what, taken.now));
    to.gauges("under_way", "What is under way now", "what", now)?;
    let most = load.map(|(what, taken)| (what, taken.most));
    to.gauges("under_way_max", "The bound of what is under way", "what", most)
}

fn store(to: &mut Writer<'_>, status: &Status) -> Result<(), Error> {
    if let Some(store) = &status.store {
        to.count(
            "transactions",
            "Finished transactions since the start, in tens",
            store.transactions,
        )?;
        to.count(
            "syncs",
            "Records of the journal, in tens. Each is one sync",
            store.records,
        )?;
        to.seconds(
            "sync_seconds",
            "Time that syncs have taken since the start",
            store.sync_us,
        )?;
        to.gauge(
            "journal_bytes",
            "Length of the journal, in whole MiB",
            store.journal_bytes,
        )?;
        to.gauge(
            "unverified_records",
            "Records that are still to be verified",
            store.unverified,
        )?;
    }
    if let Some(history) = &status.history {
        let decides = u32::from(history.standing == StandingStatus::Up);
        to.gauge(
            "decides",
            "Whether the node may decide and pay (1) or not (0)",
            decides,
        )?;
        to.gauge(
            "witnesses",
            "Peers that can be asked what they remember",
            history.witnesses,
        )?;
        to.gauge(
            "witnesses_proven",
            "Peers that have forgotten nothing since the start",
            history.proven,
        )?;
    }
    Ok(())
}

fn machine(to: &mut Writer<'_>, status: &Status) -> Result<(), Error> {
    let Status { process, state, .. } = status;
    to.seconds("cpu_seconds", "CPU time of the process", process.cpu_us)?;
    to.gauge(
        "memory_peak_bytes",
        "The most memory that the process had",
        process.memory_peak_bytes,
    )?;
    to.gauge(
        "disk_free_bytes",
        "Room on the disk of the node's directory",
        state.disk.free_bytes,
    )?;
    to.gauge("disk_size_bytes", "Size of that disk", state.disk.size_bytes)
}

fn peers(to: &mut Writer<'_>, status: &Status) -> Result<(), Error> {
    let by_role = status.state.peers.by_role();
    let pinned = by_role.map(|(role, count)| (role.as_str(), count.pinned));
    to.gauges("peers", "Servers with a pinned card", "role", pinned)?;
    let connected = by_role.map(|(role, count)| (role.as_str(), count.connected));
    to.gauges(
        "peers_connected",
        "Servers to which there is a connection",
        "role",
        connected,
    )?;
    let failing = by_role.map(|(role, count)| (role.as_str(), count.failing));
    to.gauges(
        "peers_failing",
        "Servers that could not be reached at the last attempt",
        "role",
        failing,
    )
}

fn key_list(to: &mut Writer<'_>, keys: &KeyListStatus) -> Result<(), Error> {
    to.gauge("key_epochs", "Epochs on the list of keys", keys.epochs)?;
    to.gauge(
        "key_epochs_max",
        "Epochs for which there is room",
        keys.epochs_max,
    )?;
    let until = keys.issues_until_ms as f64 / 1e3;
    to.gauge(
        "keys_issue_until_timestamp_seconds",
        "When the last key stops issuing coins",
        until,
    )?;
    to.gauge(
        "clock_doubted",
        "Whether the bank does not believe its clock (1)",
        u32::from(keys.doubt.is_some()),
    )
}
