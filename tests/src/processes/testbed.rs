//! A bank, an escrow and a merchant as processes, their customers, and the count at the end.

use super::{
    buyer::{Buyer, units},
    goods::{FILM, FILM_BYTES, POSTCARD, PRICE},
    run::{Wait, until},
};
use farthing_kit::{
    books::decisions,
    lines::Lines,
    market::{Dialled, Layout, Market, Offers},
};
use farthing_protocol::money::Amount;
use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};
use tempfile::TempDir;

/// What every customer withdraws at first.
pub const WITHDRAWN: &str = "20.00";

/// What every customer has in their account at first.
const PAID_IN: Amount = Amount(5000);

/// A testbed.
#[derive(Debug)]
pub struct Testbed {
    market: Market,
    paid_in: AtomicU64,
    // Dropped last.
    dir: TempDir,
}

impl Deref for Testbed {
    type Target = Market;

    fn deref(&self) -> &Market {
        &self.market
    }
}

impl Testbed {
    /// A testbed that sells a postcard, on `program`, which is the wallet and every node.
    pub fn new(program: &str) -> Testbed {
        Self::laid_out(program, Layout::default())
    }

    /// As [`new`](Testbed::new), with nodes and customers that tell of every point that they reach.
    pub fn probed(program: &str) -> Testbed {
        let dir = tempfile::tempdir().expect("a directory");
        let layout = Layout {
            probe: Some(dir.path().join("points")),
            ..Layout::default()
        };
        Self::build(program, dir, layout)
    }

    /// As [`new`](Testbed::new), laid out in another way. Nodes that have machines of their own dial each other directly.
    pub fn laid_out(program: &str, layout: Layout) -> Testbed {
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

    /// Leaves the testbed's directory where it is, with everything in it.
    pub fn keep(mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }

    /// Where what is sold as `title` came from.
    pub fn original(&self, title: &str) -> PathBuf {
        self.dir().join(title)
    }

    /// Puts `goods` up for sale at 7.25.
    pub fn sell(&self, title: &str, goods: &[u8]) {
        self.put_up(title, goods, Offers::Plain);
    }

    /// The same, with offers that are sealed.
    pub fn sell_sealed(&self, title: &str, goods: &[u8]) {
        self.put_up(title, goods, Offers::Sealed);
    }

    fn put_up(&self, title: &str, goods: &[u8], offers: Offers) {
        let file = self.original(title);
        fs::write(&file, goods).expect("the goods are written");
        self.market.sell(&file, title, Amount(PRICE), offers).wait();
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

    /// As [`newcomer`](Testbed::newcomer), with the wallet in `dir` and `program` to run it.
    pub fn newcomer_at(&self, program: &Path, dir: &Path) -> Buyer {
        let lines = match self.layout.dialled {
            Dialled::Directly => Lines::default(),
            Dialled::OverLines => self.open_wallet_lines().wait(),
        };
        let customer = self.market.newcomer(program, dir, lines.into(), PAID_IN).wait();
        self.paid_in.fetch_add(PAID_IN.0, Ordering::SeqCst);
        customer.into()
    }

    /// A customer who has withdrawn 20.00 of her 50.00.
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

    /// What the held coins are worth.
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

    /// What an account holds.
    pub fn account(&self, key: &str) -> u64 {
        self.books().wait().balance(key).0
    }

    /// How the escrow has decided, in the order of the purchases' ids.
    pub fn decisions(&self) -> Vec<String> {
        let decisions = decisions(&self.escrow).wait();
        decisions.into_values().map(|decided| decided.outcome).collect()
    }

    /// Whether the bank has told the escrow itself that it knows every decision: then it knows how far the escrow's
    /// journal had come with it, too. From the merchant it may have heard of a decision before.
    pub fn is_settled(&self) -> bool {
        let decisions = decisions(&self.escrow).wait();
        decisions.values().all(|decided| decided.settled)
    }

    /// Waits until the bank knows every decision, and counts: the books balance; what these customers have, who are
    /// all that there are, with what is in their accounts and the merchant's is what was paid in; everyone who paid
    /// has the goods, and no one else.
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
        assert_eq!(
            wallets, books.outstanding.0,
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
    fn paid_by(&self, customer: &Buyer) -> u64 {
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
