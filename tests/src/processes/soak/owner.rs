//! The owner of one wallet in a soak. The owner runs random commands of the wallet, and some of the processes are
//! killed.

use super::tally::Tally;
use crate::processes::{
    buyer::{Buyer, SILENT},
    goods::{POSTCARD, PRICE},
    run::Wait,
    testbed::Testbed,
};
use farthing_kit::{faults::Draws, lines::Lines, process::Said};
use serde_json::Value;
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Goods that are large enough to be fetched in several pieces.
pub const ALBUM: &str = "An album";

/// Goods that are sold on sealed offers.
pub const PRINT: &str = "A print";

/// Patience of the wallet while processes are killed (s).
const PATIENCE: &str = "4";

/// Percentage of commands that are killed.
const KILLED_PERCENT: u8 = 12;

/// Longest time from the start of a command to its kill (ms).
const KILLED_BY_MS: u64 = 1_500;

/// The exit code of a command whose purchase was aborted against the customer's wish.
const ABORTED: i32 = 11;

/// Upper bound of the `resume` commands at the end. One is usually enough.
const HOME_TRIES: usize = 20;

/// The owner of a wallet in a soak.
#[derive(Debug)]
pub struct WalletOwner<'w> {
    testbed: &'w Testbed,
    tally: &'w Tally,
    // `None` only while the wallet moves into another directory.
    customer: Option<Buyer>,
    draws: Draws,
    begun: u64,
    lives: u64,
}

impl<'w> WalletOwner<'w> {
    /// Makes the owner of this wallet.
    pub fn new(testbed: &'w Testbed, tally: &'w Tally, customer: Buyer, seed: u64) -> Self {
        WalletOwner {
            testbed,
            tally,
            customer: Some(customer),
            draws: Draws(seed),
            begun: 0,
            lives: 1,
        }
    }

    /// The customer.
    pub fn customer(&self) -> &Buyer {
        self.customer.as_ref().expect("the owner has a wallet")
    }

    /// The lines of the wallet to the nodes.
    pub fn lines(&self) -> Arc<Lines> {
        Arc::clone(&self.customer().lines)
    }

    /// Runs one random command after the other until `over` is set.
    pub fn lives(&mut self, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            match self.draws.below(100) {
                0..60 => drop(self.buys()),
                60..75 => self.cancels(),
                75..82 => drop(self.runs(&["exchange", "--all"], "exchanges")),
                82..90 => drop(self.runs(&["withdraw", "30.00"], "withdrawals")),
                90..98 => drop(self.runs(&["resume"], "resumes")),
                _ => self.is_restored(over),
            }
        }
    }

    /// Runs a command, and checks how it ended. Kills some commands, and returns `None` for them.
    fn runs(&mut self, args: &[&str], what: &'static str) -> Option<Said> {
        self.tally.count(what);
        let args = [&["--patience", PATIENCE], args].concat();
        let mut running = self.customer().start_quietly(&args);
        if self.draws.hits(KILLED_PERCENT) {
            let lives = Duration::from_millis(self.draws.below(KILLED_BY_MS));
            if !running.ends_within(lives).wait() {
                running.kill().wait();
                self.tally.count("kills of wallets");
                return None;
            }
        }
        Some(self.judges(args[2], running.end().wait()))
    }

    /// Checks the end of a command: it may succeed, meet silence, or be refused. Panics at anything else.
    fn judges(&self, command: &str, said: Said) -> Said {
        match said.code {
            Some(0) => {}
            Some(SILENT) => self.tally.count("commands that met silence"),
            Some(ABORTED) => self.tally.count("commands whose purchase was aborted"),
            Some(1) => self.tally.refusal(command, &says(&said)),
            _ => panic!("a command ended in a wrong way: {said:?}"),
        }
        said
    }

    fn buys(&mut self) -> Option<Said> {
        if self.customer().balance()[0] < PRICE {
            self.runs(&["withdraw", "30.00"], "withdrawals");
        }
        let title = match self.draws.below(100) {
            0..20 => ALBUM,
            20..60 => PRINT,
            _ => POSTCARD,
        };
        self.begun += 1;
        let name = format!("goods-{}-{}", self.lives, self.begun);
        let args = self.customer().buying(title, &name);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let said = self.runs(&args, "purchases begun");
        if said.as_ref().is_some_and(|said| said.code == Some(0)) {
            self.tally.count("purchases done at once");
        }
        said
    }

    /// Begins a purchase, and cancels the newest purchase that is under way.
    fn cancels(&mut self) {
        self.buys();
        let under_way = |purchase: &Value| {
            let status = purchase["status"].as_str();
            !matches!(status, Some("committed" | "aborted" | "dropped" | "recovered"))
                && purchase["delivery"] != "on_demand"
        };
        let open = self.customer().purchases().into_iter().rfind(under_way);
        if let Some(purchase) = open {
            self.runs(&["cancel", &purchase["number"].to_string()], "cancels");
        }
    }

    /// Loses the wallet except its 24 words, and restores it.
    fn is_restored(&mut self, over: &AtomicBool) {
        self.tally.count("wallets restored from their words");
        self.lives += 1;
        let customer = self.customer.take().expect("the owner has a wallet");
        fs::remove_dir_all(customer.dir()).expect("a wallet can be lost");
        let name = customer
            .dir()
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let (name, _) = name.split_once('+').unwrap_or((name, ""));
        let dir = customer.dir().with_file_name(format!("{name}+{}", self.lives));
        let customer = self.customer.insert(customer.with_words_only(&dir));
        let cards = [self.testbed.bank.card(), self.testbed.escrow.card()];
        loop {
            let said = customer.restores(&cards, PATIENCE);
            let complete = said.out.contains("\"banks\"");
            assert!(
                complete || said.code == Some(SILENT) || said.code == Some(1),
                "a restore ended in a wrong way: {said:?}"
            );
            if complete {
                break;
            }
            self.tally.refusal("restore", &says(&said));
            if over.load(Ordering::SeqCst) {
                // The end of the soak repairs all faults, so a later try succeeds.
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        customer.knows(self.testbed.merchant.card()).wait();
    }

    /// Resumes until everything has ended, and fetches the goods that a restore has found.
    pub fn comes_home(&mut self) {
        for _ in 0..HOME_TRIES {
            let said = self.judges("resume", self.customer().run(&["resume"]));
            if matches!(said.code, Some(0 | ABORTED)) {
                self.customer().fetches_what_was_restored();
                return;
            }
        }
        let said = self.customer().run(&["resume"]);
        panic!("after {HOME_TRIES} tries something is still under way: {said:?}");
    }
}

/// The error that a command has printed, or the status of its purchase.
fn says(said: &Said) -> String {
    let value: Value = serde_json::from_str(&said.out).unwrap_or_default();
    match value["error"].as_str() {
        Some(error) => error.to_owned(),
        None => format!("the purchase is {}", value["purchase"]["status"]),
    }
}
