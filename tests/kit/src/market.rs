//! A bank, an escrow and a merchant that know each other, as processes.

use crate::{
    books::Books,
    customer::Customer,
    error::RunError,
    lines::{BETWEEN_NODES, Lines},
    nodes::Node,
    points::Party,
    process::ProcessError,
};
use farthing_client::purchase::Parties;
use farthing_node::card::{Card, RoleName};
use farthing_protocol::money::Amount;
use farthing_store::entropy::{Entropy, SystemEntropy};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The listening address of nodes on machines of their own.
const HOST_PORT: u16 = 7001;

/// The name of the merchant's account at the bank.
const MERCHANT_NAME: &str = "merchant";

/// A separate machine for a node or a wallet.
#[derive(Debug, Clone)]
pub struct Host {
    /// The command that runs a program there.
    pub program: PathBuf,
    /// The machine's address.
    pub address: IpAddr,
}

/// The connections between nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialled {
    /// Each node dials the other directly.
    #[default]
    Directly,
    /// Lines that can be faulted.
    OverLines,
}

/// The way of the wallets' anonymous requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WalletRoute {
    /// Each wallet dials the nodes.
    #[default]
    Direct,
    /// Through a relay, which each wallet has pinned.
    Relayed,
}

/// The places of a market's nodes, and the connections between them.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// The way of the wallets' anonymous requests.
    pub route: WalletRoute,
    /// The connections between nodes.
    pub dialled: Dialled,
    /// The disks of nodes that are not on the market's own disk.
    pub disks: BTreeMap<RoleName, PathBuf>,
    /// The URLs of the databases of nodes that have their stores there.
    pub stores: BTreeMap<RoleName, String>,
    /// The machines of nodes that are not on this machine.
    pub hosts: BTreeMap<RoleName, Host>,
    /// The socket that is told of every point that the nodes reach, if there is a listener.
    pub probe: Option<PathBuf>,
    /// The level of the nodes' logs, if it is not the usual one.
    pub log_level: Option<String>,
}

/// Stores of a bank, an escrow and a merchant in the database at `url`, each in a new schema.
pub fn stores_in(url: &str) -> BTreeMap<RoleName, String> {
    let mut number = [0; 8];
    SystemEntropy.fill(&mut number);
    let number = hex::encode(number);
    let separator = if url.contains('?') { '&' } else { '?' };
    let store = |role: RoleName| format!("{url}{separator}schema={}_{number}", role.as_str());
    RoleName::PARTIES.map(|role| (role, store(role))).into()
}

/// The kind of offers for goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offers {
    /// The merchant releases the key.
    Plain,
    /// The key is sealed in the offer.
    Sealed,
}

/// The nodes of a market.
#[derive(Debug)]
pub struct Market {
    program: PathBuf,
    dir: PathBuf,
    /// The layout of the nodes.
    pub layout: Layout,
    /// The bank.
    pub bank: Node,
    /// The escrow.
    pub escrow: Node,
    /// The merchant.
    pub merchant: Node,
    /// The relay, if wallets use one.
    pub relay: Option<Node>,
    /// The key of the merchant's account at the bank (hex).
    pub merchant_account: String,
    /// The lines between the nodes.
    pub lines: Lines,
}

impl Market {
    /// Creates the nodes in `dir`, adds their cards to each other, and opens the merchant's account. `program` is the
    /// executable of the wallet and of every node.
    ///
    /// # Errors
    /// When a command of a node fails.
    pub async fn make(program: &Path, dir: &Path, layout: Layout) -> Result<Market, ProcessError> {
        let init = |role| init(program, dir, &layout, role);
        let nodes = tokio::try_join!(
            init(RoleName::Bank),
            init(RoleName::Escrow),
            init(RoleName::Merchant)
        )?;
        let relay = match layout.route {
            WalletRoute::Direct => None,
            WalletRoute::Relayed => Some(init(RoleName::Relay).await?),
        };
        let mut market = Self::of(program, dir, layout, nodes, relay).await?;
        if market.layout.dialled == Dialled::OverLines {
            market.lines = Lines::between_nodes(market.cards()).await?;
        }
        market.introduce().await?;
        let account = &market.merchant_account;
        market.open_account(account, MERCHANT_NAME).await?;
        Ok(market)
    }

    /// Gives every node the cards of the nodes that it asks, and of the relay, with their current addresses.
    ///
    /// # Errors
    /// When a node refuses.
    pub async fn introduce(&self) -> Result<(), ProcessError> {
        for (from, to) in BETWEEN_NODES {
            let card = self.lines.card(Party::Node(from), self.node(to).card());
            self.node(from).knows(&card).await?;
        }
        if let Some(relay) = &self.relay {
            for node in self.nodes() {
                relay.knows(node.card()).await?;
                node.knows(relay.card()).await?;
            }
        }
        Ok(())
    }

    /// Opens existing nodes in `dir`, which may be running.
    ///
    /// # Errors
    /// When a node does not exist.
    pub async fn existing(program: &Path, dir: &Path) -> Result<Market, ProcessError> {
        let of = |role: RoleName| dir.join(role.as_str());
        let relay = match of(RoleName::Relay).exists() {
            true => Some(Node::existing(program, RoleName::Relay, &of(RoleName::Relay)).await?),
            false => None,
        };
        let nodes = (
            Node::existing(program, RoleName::Bank, &of(RoleName::Bank)).await?,
            Node::existing(program, RoleName::Escrow, &of(RoleName::Escrow)).await?,
            Node::existing(program, RoleName::Merchant, &of(RoleName::Merchant)).await?,
        );
        Self::of(program, dir, Layout::default(), nodes, relay).await
    }

    async fn of(
        program: &Path,
        dir: &Path,
        layout: Layout,
        (bank, escrow, merchant): (Node, Node, Node),
        relay: Option<Node>,
    ) -> Result<Market, ProcessError> {
        let account = merchant.admin(&["account"], &[]).await?;
        let account = account.get("account").and_then(Value::as_str);
        Ok(Market {
            program: program.to_owned(),
            dir: dir.to_owned(),
            layout,
            merchant_account: account.unwrap_or_default().to_owned(),
            lines: Lines::default(),
            bank,
            escrow,
            merchant,
            relay,
        })
    }

    /// Starts the nodes, the bank first. A node that asks before the bank runs would retry only after a pause.
    ///
    /// # Errors
    /// When a node does not become ready.
    pub async fn start(&self) -> Result<(), ProcessError> {
        for node in self.nodes().into_iter().chain(&self.relay) {
            node.start().await?;
        }
        Ok(())
    }

    /// Kills the nodes, and waits until their processes have ended.
    ///
    /// # Errors
    /// When the operating system cannot tell how a process ended.
    pub async fn kill(&self) -> Result<(), ProcessError> {
        for node in self.nodes().into_iter().chain(&self.relay) {
            node.kill().await?;
        }
        Ok(())
    }

    /// The executable of the wallet and of every node.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The market's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The node of this role.
    ///
    /// # Panics
    /// When the market has no relay, and it is asked for.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a test asks for the relay that it has made")]
    pub fn node(&self, role: RoleName) -> &Node {
        match role {
            RoleName::Bank => &self.bank,
            RoleName::Escrow => &self.escrow,
            RoleName::Merchant => &self.merchant,
            RoleName::Relay => self.relay.as_ref().expect("the market has a relay"),
        }
    }

    /// Bank, escrow and merchant.
    #[must_use]
    pub fn nodes(&self) -> [&Node; 3] {
        [&self.bank, &self.escrow, &self.merchant]
    }

    /// The cards of bank, escrow and merchant.
    #[must_use]
    pub fn cards(&self) -> [&Card; 3] {
        self.nodes().map(Node::card)
    }

    /// The parties of every purchase.
    #[must_use]
    pub fn parties(&self) -> Parties {
        Parties {
            merchant: self.merchant.card().clone(),
            escrow: self.escrow.card().clone(),
            bank: self.bank.card().clone(),
        }
    }

    /// Puts a file up for sale, and returns the item's id (hex).
    ///
    /// # Errors
    /// When the merchant refuses.
    pub async fn sell(
        &self,
        file: &Path,
        title: &str,
        price: Amount,
        offers: Offers,
    ) -> Result<String, RunError> {
        let price = price.to_string();
        let mut args = vec![name_of(file)?, "--title", title, "--price", &price];
        if offers == Offers::Sealed {
            args.push("--sealed");
        }
        self.add_item(&["goods", "add"], &args).await
    }

    /// Puts a file up for sale in chunks of so many bytes, as the ticks of a stream, and returns the item's id (hex).
    ///
    /// # Errors
    /// When the merchant refuses.
    pub async fn sell_by_tick(
        &self,
        file: &Path,
        title: &str,
        price_per_tick: &str,
        chunk_bytes: usize,
    ) -> Result<String, RunError> {
        let chunk = chunk_bytes.to_string();
        let args = [
            "--title",
            title,
            "--price-per-tick",
            price_per_tick,
            "--file",
            name_of(file)?,
            "--chunk",
            &chunk,
        ];
        self.add_item(&["stream", "add"], &args).await
    }

    async fn add_item(&self, command: &[&str], args: &[&str]) -> Result<String, RunError> {
        let added = self.merchant.admin(command, args).await?;
        let item = added.get("item_id").and_then(Value::as_str);
        let missing = || RunError::Answer {
            role: RoleName::Merchant,
            what: "item_id".into(),
        };
        Ok(item.ok_or_else(missing)?.to_owned())
    }

    /// Opens an account at the bank. An open account does not change.
    ///
    /// # Errors
    /// When the bank refuses.
    pub async fn open_account(&self, key: &str, name: &str) -> Result<(), ProcessError> {
        let args = [key, "--name", name];
        self.bank.admin(&["account", "open"], &args).await?;
        Ok(())
    }

    /// Deposits cash into an account.
    ///
    /// # Errors
    /// When the bank refuses.
    pub async fn pay_in(&self, key: &str, amount: Amount) -> Result<(), ProcessError> {
        let args = [key, &amount.to_string()];
        self.bank.admin(&["account", "credit"], &args).await?;
        Ok(())
    }

    /// Opens lines for wallets, one to each of the nodes, the relay included.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub async fn open_wallet_lines(&self) -> Result<Lines, ProcessError> {
        let nodes = self.nodes().into_iter().chain(&self.relay);
        let cards: Vec<&Card> = nodes.map(Node::card).collect();
        Lines::of_wallet(&cards).await
    }

    /// Opens lines for wallets that use the relay, and lines from the relay to the nodes, which it uses from now on.
    ///
    /// # Errors
    /// When no socket can be opened, or the relay refuses the new addresses.
    pub async fn open_relayed_lines(&self) -> Result<Lines, ProcessError> {
        let relay = self.node(RoleName::Relay);
        let lines = Lines::through(relay.card(), self.cards()).await?;
        for card in self.cards() {
            relay
                .knows(&lines.card(Party::Node(RoleName::Relay), card))
                .await?;
        }
        Ok(lines)
    }

    /// A new customer with an empty wallet in `dir`, run by `program`, and an account with a deposit of `cash`. The
    /// wallet's commands report their points to the same socket as the nodes.
    ///
    /// # Errors
    /// When a command of the wallet or the bank fails.
    pub async fn newcomer(
        &self,
        program: &Path,
        dir: &Path,
        lines: Arc<Lines>,
        cash: Amount,
    ) -> Result<Customer, ProcessError> {
        let customer = Customer::new(program, dir, lines, self.cards()).await?;
        if let Some(relay) = &self.relay {
            customer.knows(relay.card()).await?;
        }
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        self.open_account(&customer.account, &name).await?;
        self.pay_in(&customer.account, cash).await?;
        Ok(customer.with_probe(self.layout.probe.clone()))
    }

    /// The bank's books.
    ///
    /// # Errors
    /// As [`Books::of`].
    pub async fn books(&self) -> Result<Books, RunError> {
        Books::of(&self.bank).await
    }
}

/// Creates the node of this role where `layout` puts it.
async fn init(program: &Path, dir: &Path, layout: &Layout, role: RoleName) -> Result<Node, ProcessError> {
    let disk = layout.disks.get(&role).map_or(dir, PathBuf::as_path);
    let host = layout.hosts.get(&role);
    let program = host.map_or(program, |host| &host.program);
    let listen = host.map(|host| SocketAddr::new(host.address, HOST_PORT));
    let store = layout.stores.get(&role).map(String::as_str);
    let node = Node::init_in(program, role, &disk.join(role.as_str()), listen, store).await?;
    let node = node.with_probe(layout.probe.clone());
    Ok(node.with_log_level(layout.log_level.clone()))
}

fn name_of(file: &Path) -> Result<&str, RunError> {
    file.to_str().ok_or_else(|| RunError::Goods {
        path: file.to_owned(),
        why: "its name is not UTF-8; give it another".into(),
    })
}
