//! A customer of the tests. Each command of the wallet blocks until it ends.

use super::{
    goods::POSTCARD,
    run::{Wait, until},
};
use farthing_kit::{
    customer::Customer,
    points::Party,
    process::{Running, Said},
};
use farthing_node::card::{
    Card,
    RoleName::{self, Escrow, Merchant},
};
use serde_json::Value;
use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
};

/// A request of a purchase that tests wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurchaseRequest {
    /// The wallet asks the escrow to have the coins held.
    Hold,
    /// The wallet shows the merchant the hold, and asks for the key.
    Deliver,
}

impl PurchaseRequest {
    /// The role of the server that gets the request.
    pub fn server(self) -> RoleName {
        match self {
            PurchaseRequest::Hold => Escrow,
            PurchaseRequest::Deliver => Merchant,
        }
    }

    /// The text in the wallet's log when it sends the request.
    pub fn logged(self) -> &'static str {
        match self {
            PurchaseRequest::Hold => r#"question: "hold""#,
            PurchaseRequest::Deliver => r#"question: "deliver""#,
        }
    }
}

/// The exit code of a command that is not finished because a party is silent.
pub const SILENT: i32 = 10;

/// A customer with blocking commands. A command that does not end as the test expects panics.
#[derive(Debug)]
pub struct Buyer(Customer);

impl From<Customer> for Buyer {
    fn from(customer: Customer) -> Buyer {
        Buyer(customer)
    }
}

impl Deref for Buyer {
    type Target = Customer;

    fn deref(&self) -> &Customer {
        &self.0
    }
}

impl Buyer {
    /// The same customer with only the 24 words. A new wallet goes into `dir`.
    pub fn with_words_only(self, dir: &Path) -> Buyer {
        Buyer(self.0.with_words_only(dir))
    }

    /// Restores the wallet from the words and these cards.
    pub fn restores(&self, cards: &[&Card], patience: &str) -> Said {
        let words = self.dir().with_extension("words");
        fs::write(&words, &self.words).expect("the words are written");
        let mut args = vec!["--patience", patience, "restore", "--phrase-file"];
        args.push(words.to_str().expect("a path in UTF-8"));
        let cards: Vec<String> = cards
            .iter()
            .map(|card| self.lines.card(Party::Wallet, card).to_string())
            .collect();
        args.extend(cards.iter().flat_map(|card| ["--card", card]));
        self.run(&args)
    }

    /// Restores the wallet into `dir` from the words and the cards of bank and escrow. Returns the customer and the output
    /// of the restore.
    pub fn restored(self, dir: &Path, cards: [&Card; 2]) -> (Buyer, Value) {
        let buyer = self.with_words_only(dir);
        let restored = buyer.restores(&cards, "60").json(0);
        (buyer, restored)
    }

    /// Runs a command of the wallet to its end.
    pub fn run(&self, args: &[&str]) -> Said {
        self.0.run(args).wait()
    }

    /// Runs a command of the wallet, which must succeed.
    #[track_caller]
    pub fn done(&self, args: &[&str]) -> Value {
        self.run(args).json(0)
    }

    /// Runs a command. While a party is silent, runs `resume` until everything has ended.
    #[track_caller]
    pub fn carries_on(&self, args: &[&str]) {
        let mut said = self.run(args);
        until("everything has ended", || {
            if said.code != Some(SILENT) {
                said.must_end_with(0);
                return Some(());
            }
            said = self.run(&["resume"]);
            None
        });
    }

    /// Cancels a purchase until the customer has the coins back, or the goods.
    #[track_caller]
    pub fn cancels(&self, purchase: &str) {
        let said = until("the purchase has ended", || {
            let said = self.run(&["cancel", purchase]);
            (said.code != Some(SILENT)).then_some(said)
        });
        // Exit code 1: the purchase was already paid, and the goods are delivered.
        assert!(matches!(said.code, Some(0 | 1)), "{said:?}");
        let number = purchase.parse().expect("a number");
        let ends: &[&str] = if said.code == Some(0) {
            &["aborted", "recovered"]
        } else {
            &["committed"]
        };
        let status = self.status(number);
        assert!(ends.contains(&status.as_str()), "{status}: {said:?}");
    }

    /// Fetches the goods of past purchases that a restore has found, one by one.
    pub fn fetches_what_was_restored(&self) {
        for purchase in self.purchases() {
            if purchase["delivery"] == "on_demand" {
                self.carries_on(&["resume", &purchase["number"].to_string()]);
            }
        }
    }

    /// Runs a command with a patience of 2 s. It must give up because of silence.
    #[track_caller]
    pub fn into_silence(&self, args: &[&str]) -> Value {
        self.run(&[&["--patience", "2"], args].concat()).json(SILENT)
    }

    /// Starts a command of the wallet.
    pub fn start_quietly(&self, args: &[&str]) -> Running {
        self.0.start(args).wait()
    }

    /// Starts a command of the wallet, with its log on standard error.
    pub fn start(&self, args: &[&str]) -> Running {
        self.0.start_with_log(args).wait()
    }

    /// The output path of the purchase called `name`.
    pub fn goods(&self, name: &str) -> PathBuf {
        let dir = self.dir().with_extension("bought");
        fs::create_dir_all(&dir).expect("a directory");
        dir.join(name)
    }

    /// The arguments that buy `title` into [`goods`](Buyer::goods) `name`, even if the same purchase is under way.
    pub fn buying(&self, title: &str, name: &str) -> Vec<String> {
        let output = self.goods(name).to_str().expect("a path in UTF-8").to_owned();
        ["buy", "studio", title, "--again", "-o", &output]
            .map(str::to_owned)
            .to_vec()
    }

    /// Buys `title` into [`goods`](Buyer::goods) `name`, which must succeed.
    #[track_caller]
    pub fn buys(&self, title: &str, name: &str) -> Value {
        self.buy(title, name).json(0)
    }

    /// Tries to buy `title` into [`goods`](Buyer::goods) `name`.
    pub fn buy(&self, title: &str, name: &str) -> Said {
        let args = self.buying(title, name);
        self.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Tries to buy with a patience of 2 s. The command must give up because of silence.
    #[track_caller]
    pub fn buys_into_silence(&self, title: &str, name: &str) -> Value {
        let args = self.buying(title, name);
        self.into_silence(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts to buy, with this patience (s).
    pub fn starts_buying(&self, title: &str, name: &str, patience: &str) -> Running {
        let args = self.buying(title, name);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.start(&[&["--patience", patience], args.as_slice()].concat())
    }

    /// Starts to buy a postcard, and returns when the wallet sends `request`. The request arrives only after the test
    /// heals the line to its server.
    pub fn starts_buying_up_to(&self, request: PurchaseRequest, patience: &str) -> Running {
        self.lines.lose_requests_to(&[Escrow]);
        let mut buying = self.starts_buying(POSTCARD, "goods", patience);
        buying.until_says(PurchaseRequest::Hold.logged()).wait();
        if request == PurchaseRequest::Deliver {
            self.lines.lose_requests_to(&[Merchant]);
            self.lines.to(Escrow).heal();
            buying.until_says(PurchaseRequest::Deliver.logged()).wait();
        }
        buying
    }

    /// Brings the first purchase, a postcard, to the state `held`: its coins are held, and the key is not released.
    pub fn waits_with_a_hold(&self) {
        self.lines.lose_requests_to(&[Escrow]);
        self.buys_into_silence(POSTCARD, "goods");
        assert_eq!(self.status(0), "holding");
        self.lines.heal();
        self.lines.lose_requests_to(&[Merchant]);
        self.into_silence(&["resume", "0"]);
        assert_eq!(self.status(0), "held");
        self.lines.heal();
    }

    /// The balance: available, in purchases, in exchanges (units).
    pub fn balance(&self) -> [u64; 3] {
        let balance = &self.done(&["balance"])["balances"][0];
        ["available", "in_purchases", "in_exchanges"].map(|part| units(&balance[part]))
    }

    /// The purchases of the wallet.
    pub fn purchases(&self) -> Vec<Value> {
        self.0.purchases().wait()
    }

    /// The status of the purchase of this number.
    pub fn status(&self, number: usize) -> String {
        let purchases = self.purchases();
        let status = purchases[number]["status"].as_str();
        status.expect("a status").to_owned()
    }

    /// The files of encrypted goods that are complete.
    pub fn sealed(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir().join("goods")).expect("a folder of goods");
        entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "sealed"))
            .collect()
    }

    /// Size of the goods that are not complete yet (bytes).
    pub fn fetched_bytes(&self) -> u64 {
        let entries = fs::read_dir(self.dir().join("goods")).expect("a folder of goods");
        entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "part"))
            .filter_map(|entry| entry.metadata().ok())
            .map(|metadata| metadata.len())
            .sum()
    }
}

/// An amount in the smallest units.
pub fn units(amount: &Value) -> u64 {
    amount["units"].as_u64().expect("an amount")
}
