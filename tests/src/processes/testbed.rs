//! A bank, an escrow and a merchant as processes, their customers, and the final count.

use super::{
    buyer::{Buyer, units},
    goods::{FILM, FILM_BYTES, POSTCARD, PRICE},
    run::{Wait, until},
};
use farthing_client::purchase::STREAM_OUTPUT;
use farthing_database::Cluster;
use farthing_kit::{
    books::decisions,
    lines::Lines,
    market::{Dialled, Layout, Market, Offers, stores_in},
};
use farthing_protocol::money::Amount;
use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tempfile::TempDir;

/// The amount that each customer withdraws first.
pub const WITHDRAWN: &str = "20.00";

/// The first balance of each customer's account.
const PAID_IN: Amount = Amount(5000);

/// The environment variable that chooses the stores of the nodes: `postgres`, or none for their directories.
pub const STORE_VARIABLE: &str = "FARTHING_STORE";

/// The PostgreSQL server of all testbeds of this program, if they have their stores there.
fn server() -> Option<&'static Cluster> {
    static SERVER: OnceLock<Option<Cluster>> = OnceLock::new();
    let is_wanted = std::env::var(STORE_VARIABLE).is_ok_and(|store| store == "postgres");
    let started = is_wanted.then(|| SERVER.get_or_init(Cluster::start));
    started.and_then(Option::as_ref)
}

/// The layout, with stores in the database if [`STORE_VARIABLE`] says so. Nodes on machines of their own do not reach it.
fn in_database(layout: Layout) -> Layout {
    match server() {
        Some(server) if layout.stores.is_empty() && layout.hosts.is_empty() => Layout {
            stores: stores_in(&server.database()),
            ..layout
        },
        _ => layout,
    }
}

/// A testbed.
#[derive(Debug)]
pub struct Testbed {
    market: Market,
    paid_in: AtomicU64,
    // Declared last, so dropped last.
    dir: TempDir,
}

impl Deref for Testbed {
    type Target = Market;

    fn deref(&self) -> &Market {
        &self.market
    }
}

impl Testbed {
    /// Makes a testbed that sells a postcard. `program` is the wallet and every node.
    pub fn new(program: &str) -> Testbed {
        Self::laid_out(program, Layout::default())
    }

    /// As [`new`](Testbed::new), with nodes and customers that report every named point that they reach.
    pub fn probed(program: &str) -> Testbed {
        let dir = tempfile::tempdir().expect("a directory");
        let layout = Layout {
            probe: Some(dir.path().join("points")),
            ..Layout::default()
        };
        Self::build(program, dir, in_database(layout))
    }

    /// As [`new`](Testbed::new), with another layout. Nodes on machines of their own dial each other directly.
    pub fn laid_out(program: &str, layout: Layout) -> Testbed {
        Self::with_files(program, in_database(layout))
    }

    /// As [`laid_out`](Testbed::laid_out), for a test of what is in the nodes' directories. Their stores are there in any case.
    pub fn with_files(program: &str, layout: Layout) -> Testbed {
        Self::build(program, tempfile::tempdir().expect("a directory"), layout)
    }

    fn build(program: &str, dir: TempDir, mut layout: Layout) -> Testbed {
        if layout.hosts.is_empty() {
            layout.dialled = Dialled::OverLines;
        }
        let market = Market::make(Path::new(program), dir.path(), layout).wait();
        let testbed = Testbed {
            market,
            paid_in: AtomicU64::new(0),
            dir,
        };
        testbed.sell(POSTCARD, b"Greetings from the seaside.\n");
        testbed.start().wait();
        testbed
    }

    /// Keeps the directory of the testbed, with all files. Returns its path.
    pub fn keep(mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }

    /// The original file of the goods that are sold as `title`.
    pub fn original(&self, title: &str) -> PathBuf {
        self.dir().join(title)
    }

    /// Puts `goods` up for sale at 7.25.
    pub fn sell(&self, title: &str, goods: &[u8]) {
        self.put_up(title, goods, PRICE, Offers::Plain);
    }

    /// As [`sell`](Testbed::sell), with sealed offers.
    pub fn sell_sealed(&self, title: &str, goods: &[u8]) {
        self.put_up(title, goods, PRICE, Offers::Sealed);
    }

    /// Puts these goods up for nothing.
    pub fn give(&self, title: &str, goods: &[u8]) {
        self.put_up(title, goods, 0, Offers::Plain);
    }

    fn put_up(&self, title: &str, goods: &[u8], price: u64, offers: Offers) {
        let file = self.original(title);
        fs::write(&file, goods).expect("the goods are written");
        self.market.sell(&file, title, Amount(price), offers).wait();
    }

    /// Puts the film up for sale.
    pub fn sell_film(&self) {
        let film: Vec<u8> = (0..FILM_BYTES).map(|at| (at / 7 % 251) as u8).collect();
        self.sell(FILM, &film);
    }

    /// A customer with an empty wallet, and an account of 50.00.
    pub fn newcomer(&self, name: &str) -> Buyer {
        self.newcomer_at(self.program(), &self.dir().join(name))
    }

    /// As [`newcomer`](Testbed::newcomer), with the wallet in `dir`, run by `program`.
    pub fn newcomer_at(&self, program: &Path, dir: &Path) -> Buyer {
        let lines = match self.layout.dialled {
            Dialled::Directly => Lines::default(),
            Dialled::OverLines => self.open_wallet_lines().wait(),
        };
        let customer = self.market.newcomer(program, dir, lines.into(), PAID_IN).wait();
        self.paid_in.fetch_add(PAID_IN.0, Ordering::SeqCst);
        customer.into()
    }

    /// A customer who has withdrawn 20.00 of 50.00.
    pub fn customer(&self, name: &str) -> Buyer {
        let customer = self.newcomer(name);
        customer.done(&["withdraw", WITHDRAWN]);
        customer
    }

    /// Pays cash in for an account.
    pub fn pay_in(&self, account: &str, amount: u64) {
        self.market.pay_in(account, Amount(amount)).wait();
        self.paid_in.fetch_add(amount, Ordering::SeqCst);
    }

    /// The worth of the held coins (units).
    pub fn held(&self) -> u64 {
        self.books().wait().held.0
    }

    /// Whether the bank holds the coins of this purchase.
    pub fn holds(&self, customer: &Buyer, number: usize) -> bool {
        let id = &customer.purchases()[number]["purchase_id"];
        let list = self.bank.admin(&["holds"], &[]).wait();
        let holds = list["holds"].as_array().expect("a list");
        holds.iter().any(|hold| hold["purchase"] == *id)
    }

    /// The balance of an account (units).
    pub fn account(&self, key: &str) -> u64 {
        self.books().wait().balance(key).0
    }

    /// The decisions of the escrow, in the order of the purchase ids.
    pub fn decisions(&self) -> Vec<String> {
        let decisions = decisions(&self.escrow).wait();
        decisions.into_values().map(|decided| decided.outcome).collect()
    }

    /// Whether the bank has acknowledged every decision to the escrow itself. Then the bank also knows the head of the
    /// escrow's journal at that decision. A merchant may bring the decision to the bank before.
    pub fn is_settled(&self) -> bool {
        let decisions = decisions(&self.escrow).wait();
        decisions.values().all(|decided| decided.settled)
    }

    /// Waits until the bank knows every decision, and counts. `customers` must be all customers of the testbed.
    ///
    /// The books must balance. The money in wallets, accounts and the merchant's account must be the money paid in. The
    /// customers who paid have the goods, and nobody else has them.
    #[track_caller]
    pub fn check(&self, customers: &[&Buyer]) {
        let books = until("no coin is held", || {
            let books = self.books().wait();
            (books.held == Amount(0)).then_some(books)
        });
        assert_eq!(books.problems, Vec::<String>::new());
        assert!(books.counted_rows, "only the sums were compared");
        let paid_in = self.paid_in.load(Ordering::SeqCst);
        assert_eq!((books.paid_in, books.paid_out), (Amount(paid_in), Amount(0)));
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
            accounts += books.balance(&customer.account).0;
            paid += self.paid_by(customer);
        }
        let earned = books.balance(&self.merchant_account).0;
        assert_eq!(wallets, books.outstanding.0, "the wallets and the books disagree");
        assert_eq!(
            earned, paid,
            "the merchant's earnings differ from the price of the delivered goods"
        );
        assert_eq!(wallets + accounts + earned, paid_in, "money was lost or created");
    }

    /// The sum that a customer has paid (units). Each purchase must have ended, with the goods or unpaid.
    fn paid_by(&self, customer: &Buyer) -> u64 {
        let mut paid = 0;
        for purchase in customer.purchases() {
            let output = Path::new(purchase["output"].as_str().expect("a path"));
            let title = purchase["title"].as_str().expect("a title");
            if purchase["output"] == STREAM_OUTPUT {
                paid += units(&purchase["paid"]);
            } else if purchase["status"] == "committed" {
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
                assert!(!output.exists(), "delivered but not paid: {purchase}");
            }
        }
        paid
    }
}
