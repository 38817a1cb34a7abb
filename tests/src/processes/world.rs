//! A bank, an escrow and a merchant as processes, their customers, and the count at the end.

use super::{
    customer::{Customer, units},
    goods::{FILM, FILM_BYTES, POSTCARD},
    lines::{BETWEEN_NODES, Lines, NodeLines},
    node::Node,
    run::until,
};
use farthing_kit::ports;
use farthing_node::card::{Card, RoleName};
use farthing_protocol::money::Amount;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What every customer withdraws at first.
pub const WITHDRAWN: &str = "20.00";

/// Where nodes listen that have a machine of their own.
const HOST_PORT: u16 = 7001;

/// A machine of its own for a node or a wallet.
#[derive(Debug, Clone)]
pub struct Host {
    /// What runs the program there.
    pub program: PathBuf,
    /// Where it is reached.
    pub address: IpAddr,
}

/// Where nodes are put that are not where they usually are.
#[derive(Debug, Default)]
pub struct Layout {
    /// The disks of nodes that are not on the world's own.
    pub disks: BTreeMap<RoleName, PathBuf>,
    /// The machines of nodes that are not on this one. Where there are any, everybody dials everybody directly.
    pub hosts: BTreeMap<RoleName, Host>,
    /// Whether the nodes, and the customers' commands, tell of every point that they reach.
    pub probed: bool,
}

/// A world.
#[derive(Debug)]
pub struct World {
    program: PathBuf,
    /// The bank.
    pub bank: Node,
    /// The escrow.
    pub escrow: Node,
    /// The merchant.
    pub merchant: Node,
    /// The key of the merchant's account (hex).
    pub merchant_account: String,
    /// The lines between the nodes.
    pub lines: NodeLines,
    directly: bool,
    /// The socket that is told of every point that is reached, if anyone listens there.
    pub probe: Option<PathBuf>,
    runtime: Arc<Runtime>,
    paid_in: AtomicU64,
    // Dropped last.
    dir: TempDir,
}

impl World {
    /// A world that sells a postcard, on `program`, which is the wallet and every node.
    pub fn new(program: &str) -> World {
        Self::laid_out(program, &Layout::default())
    }

    /// As [`new`](World::new), laid out in another way.
    pub fn laid_out(program: &str, layout: &Layout) -> World {
        let program = Path::new(program);
        let dir = tempfile::tempdir().expect("a directory");
        let probe = layout.probed.then(|| dir.path().join("points"));
        let init = |role: RoleName| {
            let disk = layout.disks.get(&role).map_or(dir.path(), PathBuf::as_path);
            let host = layout.hosts.get(&role);
            let program = host.map_or(program, |host| &host.program);
            let address = host.map_or(IpAddr::from(Ipv4Addr::LOCALHOST), |host| host.address);
            let port = host.map_or_else(|| ports::free().expect("a port"), |_| HOST_PORT);
            let listen = SocketAddr::new(address, port);
            let node = Node::init(program, role, &disk.join(role.as_str()), &listen.to_string());
            node.probed(probe.as_deref())
        };
        let [bank, escrow, merchant] = RoleName::ALL.map(init);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let runtime = Arc::new(runtime);
        let directly = !layout.hosts.is_empty();
        let lines = NodeLines::open(&runtime, directly, &[bank.card(), escrow.card(), merchant.card()]);
        let account = merchant.ask(&["account"], &[]);
        let world = World {
            program: program.to_owned(),
            bank,
            escrow,
            merchant,
            merchant_account: account["account"].as_str().expect("an account").to_owned(),
            lines,
            directly,
            probe,
            runtime,
            paid_in: AtomicU64::new(0),
            dir,
        };
        for (from, to) in BETWEEN_NODES {
            let card = world.lines.card(from, world.node(to).card());
            world.node(from).knows(&card);
        }
        world.bank.ask(
            &["account", "open"],
            &[&world.merchant_account, "--name", "studio"],
        );
        world.sell(POSTCARD, b"Greetings from the seaside.\n");
        for role in RoleName::ALL {
            world.node(role).start();
        }
        world
    }

    /// Leaves the world's directory where it is, with everything in it.
    pub fn keep(mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }

    /// The world's own directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What runs the network between customers and nodes.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The node of this role.
    pub fn node(&self, role: RoleName) -> &Node {
        match role {
            RoleName::Bank => &self.bank,
            RoleName::Escrow => &self.escrow,
            RoleName::Merchant => &self.merchant,
        }
    }

    /// Where what is sold as `title` came from.
    pub fn original(&self, title: &str) -> PathBuf {
        self.dir.path().join(title)
    }

    /// Puts `goods` up for sale at 7.25.
    pub fn sell(&self, title: &str, goods: &[u8]) {
        self.put_up(title, goods, &[]);
    }

    /// The same, with offers that are sealed.
    pub fn sell_sealed(&self, title: &str, goods: &[u8]) {
        self.put_up(title, goods, &["--sealed"]);
    }

    fn put_up(&self, title: &str, goods: &[u8], how: &[&str]) {
        let file = self.original(title);
        fs::write(&file, goods).expect("the goods are written");
        let file = file.to_str().expect("a path in UTF-8");
        let args = [file, "--title", title, "--price", "7.25"];
        self.merchant.ask(&["goods", "add"], &[&args, how].concat());
    }

    /// Puts the film up for sale.
    pub fn sell_film(&self) {
        let film: Vec<u8> = (0..FILM_BYTES).map(|at| (at / 7 % 251) as u8).collect();
        self.sell(FILM, &film);
    }

    fn cards(&self) -> [&Card; 3] {
        RoleName::ALL.map(|role| self.node(role).card())
    }

    /// Lines of one's own to the nodes.
    pub fn customer_lines(&self) -> Lines {
        let cards = self.cards();
        Lines::open(&self.runtime, if self.directly { &[] } else { &cards })
    }

    /// A customer with an empty wallet, and an account of 50.00.
    pub fn newcomer(&self, name: &str) -> Customer {
        self.newcomer_at(&self.program, &self.dir.path().join(name))
    }

    /// As [`newcomer`](World::newcomer), with her wallet in `dir` and `program` to run it.
    pub fn newcomer_at(&self, program: &Path, dir: &Path) -> Customer {
        let mut customer = Customer::new(program, dir, self.customer_lines(), self.cards());
        customer.probe = self.probe.clone();
        let name = dir.file_name().and_then(|name| name.to_str()).expect("a name");
        self.bank
            .ask(&["account", "open"], &[&customer.account, "--name", name]);
        self.pay_in(&customer.account, 5000);
        customer
    }

    /// A customer who has withdrawn 20.00 of her 50.00.
    pub fn customer(&self, name: &str) -> Customer {
        let customer = self.newcomer(name);
        customer.done(&["withdraw", WITHDRAWN]);
        customer
    }

    /// Pays cash in for an account.
    pub fn pay_in(&self, account: &str, amount: u64) {
        self.bank
            .ask(&["account", "credit"], &[account, &Amount(amount).to_string()]);
        self.paid_in.fetch_add(amount, Ordering::SeqCst);
    }

    /// Where a node could listen instead of another.
    pub fn address_of(&self, role: RoleName) -> SocketAddr {
        self.node(role).card().address
    }

    /// How many coins are held.
    pub fn held(&self) -> u64 {
        let audit = self.bank.ask(&["audit"], &[]);
        let lines = audit["coins"].as_array().expect("a list");
        lines
            .iter()
            .map(|line| line["held"].as_u64().expect("a number"))
            .sum()
    }

    /// What an account holds.
    pub fn account(&self, key: &str) -> u64 {
        let list = self.bank.ask(&["account", "list"], &[]);
        let accounts = list["accounts"].as_array().expect("a list").clone();
        let found = accounts.iter().find(|account| account["key"] == key);
        amount(&found.expect("the account")["balance"])
    }

    /// How the escrow has decided, in the order of the purchases' ids.
    pub fn decisions(&self) -> Vec<String> {
        let list = self.escrow.ask(&["purchases"], &[]);
        let purchases = list["purchases"].as_array().expect("a list");
        let outcome = |line: &Value| line["outcome"].as_str().expect("an outcome").to_owned();
        purchases.iter().map(outcome).collect()
    }

    /// Whether the bank has told the escrow itself that it knows every decision: then it knows how far the escrow's
    /// journal had come with it, too. From the merchant it may have heard of a decision before.
    pub fn is_settled(&self) -> bool {
        let list = self.escrow.ask(&["purchases"], &[]);
        let purchases = list["purchases"].as_array().expect("a list");
        purchases.iter().all(|line| line["settled"] == true)
    }

    /// Waits until the bank knows every decision, and counts: the books balance; what these customers have, who are
    /// all that there are, with what is in their accounts and the merchant's is what was paid in; everyone who paid
    /// has the goods, and no one else.
    #[track_caller]
    pub fn check(&self, customers: &[&Customer]) {
        until("no coin is held", || (self.held() == 0).then_some(()));
        let audit = self.bank.ask(&["audit"], &[]);
        assert_eq!(audit["problems"], serde_json::json!([]), "{audit}");
        assert_eq!(audit["counted_rows"], true, "{audit}");
        let paid_in = self.paid_in.load(Ordering::SeqCst);
        assert_eq!(amount(&audit["paid_in"]), paid_in);
        assert_eq!(amount(&audit["paid_out"]), 0);
        let (mut wallets, mut accounts, mut paid) = (0, 0, 0);
        for customer in customers {
            let [available, in_purchases, in_exchanges] = customer.balance();
            assert_eq!(
                (in_purchases, in_exchanges),
                (0, 0),
                "something is still under way in {}",
                customer.dir().display()
            );
            wallets += available;
            accounts += self.account(&customer.account);
            paid += self.paid_by(customer);
        }
        let earned = self.account(&self.merchant_account);
        assert_eq!(
            wallets,
            amount(&audit["outstanding"]),
            "what the wallets have is not what the books say"
        );
        assert_eq!(
            earned, paid,
            "what the merchant earned is not what the customers have goods for"
        );
        assert_eq!(
            wallets + accounts + earned,
            paid_in,
            "money was lost, or made of nothing"
        );
    }

    /// What a customer has paid, each of whose purchases has ended with the goods or without a price.
    fn paid_by(&self, customer: &Customer) -> u64 {
        let mut paid = 0;
        for purchase in customer.purchases() {
            let output = Path::new(purchase["output"].as_str().expect("a path"));
            let title = purchase["title"].as_str().expect("a title");
            if purchase["status"] == "committed" {
                assert_eq!(purchase["delivery"], "delivered", "{purchase}");
                let same = fs::read(output).expect("the goods are there")
                    == fs::read(self.original(title)).expect("the original");
                assert!(same, "other goods were delivered: {purchase}");
                paid += units(&purchase["price"]);
            } else {
                let over = ["aborted", "dropped", "recovered"]
                    .iter()
                    .any(|end| purchase["status"] == *end);
                assert!(over, "{purchase}");
                assert!(!output.exists(), "delivered, and not paid: {purchase}");
            }
        }
        paid
    }
}

/// An amount as nodes print it.
fn amount(text: &Value) -> u64 {
    let text = text.as_str().expect("an amount");
    text.parse::<Amount>().expect("an amount").0
}
