//! A customer: her wallet's command line, and her lines to the nodes.

use super::{
    goods::POSTCARD,
    lines::Lines,
    run::{Running, Said, run, until},
};
use farthing_kit::program::{CUSTOMER, ROLE_COMMAND};
use farthing_node::{
    card::{
        Card,
        RoleName::{self, Escrow, Merchant},
    },
    logging::LOG_VARIABLE,
    probe::PROBE_VARIABLE,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// A question on the way of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// She asks the escrow for a hold of her coins.
    Hold,
    /// She asks the merchant for the key, and shows him the hold.
    Deliver,
}

impl Moment {
    /// Who is asked.
    pub fn asked(self) -> RoleName {
        match self {
            Moment::Hold => Escrow,
            Moment::Deliver => Merchant,
        }
    }

    /// What her wallet says when it asks.
    pub fn says(self) -> &'static str {
        match self {
            Moment::Hold => r#"question: "hold""#,
            Moment::Deliver => r#"question: "deliver""#,
        }
    }
}

/// The exit code of a command that is not finished because a party is silent.
pub const SILENT: i32 = 10;

/// A customer.
#[derive(Debug)]
pub struct Customer {
    program: PathBuf,
    dir: PathBuf,
    /// Who is told of every point that her commands reach, if anyone listens there.
    pub probe: Option<PathBuf>,
    /// The key of her account (hex).
    pub account: String,
    /// Her 24 words.
    pub words: String,
    /// Her lines to the nodes.
    pub lines: Arc<Lines>,
}

impl Customer {
    /// Makes her wallet in `dir`; she knows these nodes.
    pub fn new(program: &Path, dir: &Path, lines: Lines, cards: [&Card; 3]) -> Customer {
        let mut customer = Customer {
            program: program.to_owned(),
            dir: dir.to_owned(),
            probe: None,
            account: String::new(),
            words: String::new(),
            lines: Arc::new(lines),
        };
        let made = customer.done(&["init"]);
        customer.words = made["phrase"].as_str().expect("24 words").to_owned();
        for card in cards {
            customer.knows(card);
        }
        let account = customer.done(&["account", "--key"]);
        customer.account = account["account"].as_str().expect("an account").to_owned();
        customer
    }

    /// The same customer with nothing but her words, and room for a new wallet in `dir`.
    pub fn with_nothing_but_words(self, dir: &Path) -> Customer {
        Customer {
            dir: dir.to_owned(),
            ..self
        }
    }

    /// Builds her wallet again from her words and these cards.
    pub fn restores(&self, cards: &[&Card], patience: &str) -> Said {
        let words = self.dir.with_extension("words");
        fs::write(&words, &self.words).expect("the words are written");
        let mut args = vec!["--patience", patience, "restore", "--phrase-file"];
        args.push(words.to_str().expect("a path in UTF-8"));
        let cards: Vec<String> = cards
            .iter()
            .map(|card| self.lines.card(card).to_string())
            .collect();
        args.extend(cards.iter().flat_map(|card| ["--card", card]));
        self.run(&args)
    }

    /// The same customer with nothing but her words and the cards of bank and escrow: a new wallet in `dir`. What the
    /// restore said.
    pub fn restored(self, dir: &Path, cards: [&Card; 2]) -> (Customer, Value) {
        let customer = self.with_nothing_but_words(dir);
        let restored = customer.restores(&cards, "60").done();
        (customer, restored)
    }

    /// Has her wallet know the node of this card.
    pub fn knows(&self, card: &Card) {
        self.done(&["network", "add", &self.lines.card(card).to_string()]);
    }

    /// Her wallet's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_remove(LOG_VARIABLE);
        if let Some(socket) = &self.probe {
            command.env(PROBE_VARIABLE, socket);
        }
        command.args([ROLE_COMMAND, CUSTOMER]);
        command.arg("--wallet").arg(&self.dir).arg("--json").args(args);
        command
    }

    /// Runs a command of her wallet to its end.
    pub fn run(&self, args: &[&str]) -> Said {
        run(self.command(args))
    }

    /// Runs a command of her wallet, which must succeed.
    #[track_caller]
    pub fn done(&self, args: &[&str]) -> Value {
        self.run(args).done()
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
        Running::start(self.command(args))
    }

    /// Starts a command of her wallet, which tells on standard error what it does.
    pub fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        command.env(LOG_VARIABLE, "farthing_client=debug");
        Running::start(command)
    }

    /// Where the goods of her purchase go that is called `name`.
    pub fn goods(&self, name: &str) -> PathBuf {
        let dir = self.dir.with_extension("bought");
        fs::create_dir_all(&dir).expect("a directory");
        dir.join(name)
    }

    /// The arguments that buy `title` into [`goods`](Customer::goods) `name`.
    pub fn buying(&self, title: &str, name: &str) -> Vec<String> {
        let output = self.goods(name).to_str().expect("a path in UTF-8").to_owned();
        ["buy", "studio", title, "-o", &output]
            .map(str::to_owned)
            .to_vec()
    }

    /// Buys `title` into [`goods`](Customer::goods) `name`.
    #[track_caller]
    pub fn buys(&self, title: &str, name: &str) -> Value {
        self.buy(title, name).done()
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
    pub fn starts_buying_up_to(&self, moment: Moment, patience: &str) -> Running {
        self.lines.lose_requests_to(&[Escrow]);
        let mut buying = self.starts_buying(POSTCARD, "goods", patience);
        buying.until_says(Moment::Hold.says());
        if moment == Moment::Deliver {
            self.lines.lose_requests_to(&[Merchant]);
            self.lines.to(Escrow).heal();
            buying.until_says(Moment::Deliver.says());
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
        let balance = self.done(&["balance"]);
        ["available", "in_purchases", "in_exchanges"].map(|part| units(&balance[part]))
    }

    /// Her purchases.
    pub fn purchases(&self) -> Vec<Value> {
        let all = self.done(&["purchases"]);
        all["purchases"].as_array().expect("a list").clone()
    }

    /// One word on how her purchase of this number stands.
    pub fn status(&self, number: usize) -> String {
        let purchases = self.purchases();
        let status = purchases[number]["status"].as_str();
        status.expect("a status").to_owned()
    }

    /// The encrypted goods that she has, whole ones.
    pub fn sealed(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.join("goods")).expect("a folder of goods");
        entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "sealed"))
            .collect()
    }

    /// How much of goods that are on their way she has (bytes).
    pub fn fetched_bytes(&self) -> u64 {
        let entries = fs::read_dir(self.dir.join("goods")).expect("a folder of goods");
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
