//! A customer as tests have them buy: with the commands of the wallet, which block.

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

/// A question on the way of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// She asks the escrow for a hold of her coins.
    Hold,
    /// She asks the merchant for the key, and shows him the hold.
    Deliver,
}

impl Question {
    /// Who is asked.
    pub fn asked(self) -> RoleName {
        match self {
            Question::Hold => Escrow,
            Question::Deliver => Merchant,
        }
    }

    /// What her wallet says when it asks.
    pub fn says(self) -> &'static str {
        match self {
            Question::Hold => r#"question: "hold""#,
            Question::Deliver => r#"question: "deliver""#,
        }
    }
}

/// The exit code of a command that is not finished because a party is silent.
pub const SILENT: i32 = 10;

/// A customer who buys with blocking commands, which must do what tests expect of them.
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
    /// The same customer with nothing but her words, and room for a new wallet in `dir`.
    pub fn with_nothing_but_words(self, dir: &Path) -> Buyer {
        Buyer(self.0.with_nothing_but_words(dir))
    }

    /// Builds her wallet again from her words and these cards.
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

    /// The same customer with nothing but her words and the cards of bank and escrow: a new wallet in `dir`. What the
    /// restore said.
    pub fn restored(self, dir: &Path, cards: [&Card; 2]) -> (Buyer, Value) {
        let buyer = self.with_nothing_but_words(dir);
        let restored = buyer.restores(&cards, "60").json(0);
        (buyer, restored)
    }

    /// Runs a command of her wallet to its end.
    pub fn run(&self, args: &[&str]) -> Said {
        self.0.run(args).wait()
    }

    /// Runs a command of her wallet, which must succeed.
    #[track_caller]
    pub fn done(&self, args: &[&str]) -> Value {
        self.run(args).json(0)
    }

    /// Runs a command, and where a party was silent has it carried on until everything has ended.
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

    /// Asks for the coins of a purchase back until she has them, or the goods.
    #[track_caller]
    pub fn cancels(&self, purchase: &str) {
        let said = until("the purchase has ended", || {
            let said = self.run(&["cancel", purchase]);
            (said.code != Some(SILENT)).then_some(said)
        });
        // 1: it was paid already, and the goods are there.
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

    /// Fetches the goods of the past that a restore has found, which is done one by one.
    pub fn fetches_what_was_restored(&self) {
        for purchase in self.purchases() {
            if purchase["delivery"] == "on_demand" {
                self.carries_on(&["resume", &purchase["number"].to_string()]);
            }
        }
    }

    /// Runs a command that gives up after two seconds of silence, and must.
    #[track_caller]
    pub fn into_silence(&self, args: &[&str]) -> Value {
        self.run(&[&["--patience", "2"], args].concat()).json(SILENT)
    }

    /// Starts a command of her wallet.
    pub fn start_quietly(&self, args: &[&str]) -> Running {
        self.0.start(args).wait()
    }

    /// Starts a command of her wallet, which tells on standard error what it does.
    pub fn start(&self, args: &[&str]) -> Running {
        self.0.start_with_log(args).wait()
    }

    /// Where the goods of her purchase go that is called `name`.
    pub fn goods(&self, name: &str) -> PathBuf {
        let dir = self.dir().with_extension("bought");
        fs::create_dir_all(&dir).expect("a directory");
        dir.join(name)
    }

    /// The arguments that buy `title` into [`goods`](Buyer::goods) `name`, even if she is buying one already.
    pub fn buying(&self, title: &str, name: &str) -> Vec<String> {
        let output = self.goods(name).to_str().expect("a path in UTF-8").to_owned();
        ["buy", "studio", title, "--again", "-o", &output]
            .map(str::to_owned)
            .to_vec()
    }

    /// Buys `title` into [`goods`](Buyer::goods) `name`.
    #[track_caller]
    pub fn buys(&self, title: &str, name: &str) -> Value {
        self.buy(title, name).json(0)
    }

    /// Tries to.
    pub fn buy(&self, title: &str, name: &str) -> Said {
        let args = self.buying(title, name);
        self.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Tries to, and gives up after two seconds of silence, as she must.
    #[track_caller]
    pub fn buys_into_silence(&self, title: &str, name: &str) -> Value {
        let args = self.buying(title, name);
        self.into_silence(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts to, with this much patience (s).
    pub fn starts_buying(&self, title: &str, name: &str, patience: &str) -> Running {
        let args = self.buying(title, name);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.start(&[&["--patience", patience], args.as_slice()].concat())
    }

    /// Starts to buy a postcard, and returns when she asks the question of `moment`, which cannot arrive before the
    /// line to who is asked lets requests through again.
    pub fn starts_buying_up_to(&self, moment: Question, patience: &str) -> Running {
        self.lines.lose_requests_to(&[Escrow]);
        let mut buying = self.starts_buying(POSTCARD, "goods", patience);
        buying.until_says(Question::Hold.says()).wait();
        if moment == Question::Deliver {
            self.lines.lose_requests_to(&[Merchant]);
            self.lines.to(Escrow).heal();
            buying.until_says(Question::Deliver.says()).wait();
        }
        buying
    }

    /// Brings her first purchase, a postcard, to where its coins are held and nobody has released the key.
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

    /// Her balance: what can be spent, what is in purchases, what is in exchanges.
    pub fn balance(&self) -> [u64; 3] {
        let balance = &self.done(&["balance"])["balances"][0];
        ["available", "in_purchases", "in_exchanges"].map(|part| units(&balance[part]))
    }

    /// Her purchases.
    pub fn purchases(&self) -> Vec<Value> {
        self.0.purchases().wait()
    }

    /// One word on how her purchase of this number stands.
    pub fn status(&self, number: usize) -> String {
        let purchases = self.purchases();
        let status = purchases[number]["status"].as_str();
        status.expect("a status").to_owned()
    }

    /// The encrypted goods that she has, whole ones.
    pub fn sealed(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir().join("goods")).expect("a folder of goods");
        entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "sealed"))
            .collect()
    }

    /// How much of goods that are on their way she has (bytes).
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

/// An amount in the smallest unit.
pub fn units(amount: &Value) -> u64 {
    amount["units"].as_u64().expect("an amount")
}
