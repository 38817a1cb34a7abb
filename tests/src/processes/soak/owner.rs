//! What the owner of one wallet does in a soak, with the commands that she has, and her wallet's process is killed now
//! and then.

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

/// What is sold beside the postcard: large enough to be fetched in several pieces.
pub const ALBUM: &str = "An album";

/// What is sold on offers that are sealed.
pub const PRINT: &str = "A print";

/// How long her wallet waits for anyone while processes die (s).
const PATIENCE: &str = "4";

/// How many of a hundred commands are killed.
const KILLED_PERCENT: u8 = 12;

/// When a command is killed at the latest (ms).
const KILLED_BY_MS: u64 = 1_500;

/// The exit code of a command whose purchases were aborted, though she wanted the goods.
const ABORTED: i32 = 11;

/// How often she carries on at the end, at most: once, mostly.
const HOME_TRIES: usize = 20;

/// The owner of a wallet.
#[derive(Debug)]
pub struct Owner<'w> {
    testbed: &'w Testbed,
    tally: &'w Tally,
    // `None` only while it moves into another directory.
    customer: Option<Buyer>,
    draws: Draws,
    begun: u64,
    lives: u64,
}

impl<'w> Owner<'w> {
    /// The owner of this wallet.
    pub fn new(testbed: &'w Testbed, tally: &'w Tally, customer: Buyer, seed: u64) -> Self {
        Owner {
            testbed,
            tally,
            customer: Some(customer),
            draws: Draws(seed),
            begun: 0,
            lives: 1,
        }
    }

    /// She, as a customer.
    pub fn customer(&self) -> &Buyer {
        self.customer.as_ref().expect("she has a wallet")
    }

    /// Her lines to the nodes.
    pub fn lines(&self) -> Arc<Lines> {
        Arc::clone(&self.customer().lines)
    }

    /// Does one thing after the other until it is `over`.
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

    /// Runs a command, kills it now and then, and looks at how it ended.
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

    /// A command may do what it was asked, find somebody silent, or be refused. Anything else must not be.
    fn judges(&self, command: &str, said: Said) -> Said {
        match said.code {
            Some(0) => {}
            Some(SILENT) => self.tally.count("commands that met silence"),
            Some(ABORTED) => self.tally.count("commands whose purchase was aborted"),
            Some(1) => self.tally.refusal(command, &says(&said)),
            _ => panic!("a command ended as it must not: {said:?}"),
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

    /// Begins a purchase, and asks for the coins of some purchase that is under way back.
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

    /// Loses all but her 24 words.
    fn is_restored(&mut self, over: &AtomicBool) {
        self.tally.count("wallets restored from their words");
        self.lives += 1;
        let customer = self.customer.take().expect("she has a wallet");
        fs::remove_dir_all(customer.dir()).expect("a wallet can be lost");
        let name = customer
            .dir()
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let (name, _) = name.split_once('+').unwrap_or((name, ""));
        let dir = customer.dir().with_file_name(format!("{name}+{}", self.lives));
        let customer = self.customer.insert(customer.with_nothing_but_words(&dir));
        let cards = [self.testbed.bank.card(), self.testbed.escrow.card()];
        loop {
            let said = customer.restores(&cards, PATIENCE);
            let complete = said.out.contains("\"banks\"");
            assert!(
                complete || said.code == Some(SILENT) || said.code == Some(1),
                "a restore ended as it must not: {said:?}"
            );
            if complete {
                break;
            }
            self.tally.refusal("restore", &says(&said));
            if over.load(Ordering::SeqCst) {
                // What heals at the end of the soak heals for this as well.
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        customer.knows(self.testbed.merchant.card()).wait();
    }

    /// Carries everything on until it has ended, and fetches what a restore has found.
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

/// The error that a command has said.
fn says(said: &Said) -> String {
    let value: Value = serde_json::from_str(&said.out).unwrap_or_default();
    match value["error"].as_str() {
        Some(error) => error.to_owned(),
        None => format!("the purchase is {}", value["purchase"]["status"]),
    }
}
