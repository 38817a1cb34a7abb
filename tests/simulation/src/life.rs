//! A wallet's life: commands and accidents drawn from a seed. At random moments a restore from the words must find
//! everything.
//!
//! The restore runs in a fork of the world, so the life goes on undisturbed. All coins in circulation belong to this
//! customer, in one copy of the wallet or another. So the restored wallet must have the exact amount of the bank's
//! audit. It must also know every purchase for which a merchant was paid.

use super::{
    customer::CustomerMachine,
    dice::Dice,
    foundation::{ITEM, Population},
    front::{Cheat, Honest},
    numbers::RefusesExchanges,
    party::Party,
    shopper::is_surprising,
    shopping::{is_delivery, is_hold_at_bank, picture},
    world::World,
};
use crate::money::spendable;
use async_trait::async_trait;
use farthing_client::{
    error::WalletError,
    rows::{CoinRow, CoinStatus},
    wallet::Wallet,
};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_protocol::{
    api::{BankRequest, encode_reply},
    money::Amount,
    refusal::{Refusal, RequestFault},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// What is paid into the account at first.
const FUNDS: Amount = Amount(100_000);

/// How often, in a hundred commands, a restore is checked: in the first [`YOUTH`] commands, and later. A restore
/// takes longer for an older wallet.
const CHECKED_PERCENT: (u64, u64) = (5, 1);

/// Number of commands with frequent checks.
const YOUTH: usize = 200;

/// A long life prints its progress after each of this many commands.
const TOLD_EVERY: usize = 100;

/// Rounds of `resume` of the restored wallet. What is still open after them is stuck.
const ROUNDS_MAX: usize = 5;

/// A command, or an accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    /// Withdraws, sometimes more than the account has.
    Withdraw,
    Buy,
    /// Buys. A message of the purchase, or of its exchanges, is lost.
    BuyUnheard,
    Cancel,
    Exchange,
    /// Exchanges. The reply is lost.
    ExchangeUnheard,
    Resume,
    /// The bank refuses to begin exchanges, each of other coins.
    RefusedExchanges,
    /// The bank refuses holds.
    RefusedOrder,
    /// A copy of the wallet acts at the same time.
    Copy,
    /// The machine is lost, perhaps in the middle of a command. The wallet is restored from its words.
    Lose,
    Wait,
}

const COMMANDS: [(Command, u64); 12] = [
    (Command::Withdraw, 10),
    (Command::Buy, 18),
    (Command::BuyUnheard, 10),
    (Command::Cancel, 6),
    (Command::Exchange, 10),
    (Command::ExchangeUnheard, 6),
    (Command::Resume, 12),
    (Command::RefusedExchanges, 8),
    (Command::RefusedOrder, 5),
    (Command::Copy, 8),
    (Command::Lose, 3),
    (Command::Wait, 4),
];

/// Commands of a copy, and of a wallet whose machine is lost.
const DONE_BESIDE: [(Command, u64); 5] = [
    (Command::Buy, 3),
    (Command::BuyUnheard, 3),
    (Command::Exchange, 2),
    (Command::ExchangeUnheard, 1),
    (Command::Withdraw, 1),
];

/// A bank that refuses holds without a reason.
struct RefusesHolds;

#[async_trait]
impl Cheat for RefusesHolds {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match BankRequest::decode(&request) {
            Ok(BankRequest::Hold(_)) => {
                let refusal = Refusal::Request(RequestFault::Malformed("not today".into()));
                encode_reply::<()>(&Err(refusal))
            }
            _ => honest.answer(lane, request).await,
        }
    }
}

fn is_issuing(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Bank
        && matches!(
            BankRequest::decode(request),
            Ok(BankRequest::ExchangeFinish(_) | BankRequest::WithdrawFinish(_))
        )
}

fn is_asked_of_the_escrow(card: &Card, _: &[u8]) -> bool {
    card.role == RoleName::Escrow
}

/// The result of a life.
#[derive(Debug, Default)]
pub struct LifeResult {
    /// Broken invariants.
    pub findings: Vec<String>,
    /// How often each command was run.
    pub done: BTreeMap<String, u64>,
    /// How many restores were checked.
    pub checked: u64,
    /// The trace.
    pub told: Vec<String>,
}

struct Life {
    world: Arc<World>,
    dice: Dice,
    customer: CustomerMachine,
    wallet: Wallet,
    names: u64,
    outcome: LifeResult,
}

/// Runs a life of `commands` commands from this seed, up to the first broken invariant. Needs tokio's paused time and
/// a `LocalSet`.
pub async fn life(seed: u64, commands: usize) -> LifeResult {
    let population = Population {
        streams: Default::default(),
        relayed: false,
        escrows: 1,
        prices: vec![Amount(3), Amount(120), Amount(31)],
        goods_bytes: 100,
        sealed: [1].into(),
    };
    let world = World::of(seed, population).await;
    let customer = world.customer("alice", FUNDS).await;
    let wallet = customer.wallet();
    let mut life = Life {
        world,
        dice: Dice::new(seed),
        customer,
        wallet,
        names: 0,
        outcome: LifeResult::default(),
    };
    let (began, mut checking) = (Instant::now(), Duration::ZERO);
    for number in 0..commands {
        let command = life.dice.weighed(&COMMANDS);
        *life.outcome.done.entry(format!("{command:?}")).or_default() += 1;
        life.tell(format!("{number}: {command:?}"));
        Box::pin(life.command(command)).await;
        let (young, old) = CHECKED_PERCENT;
        let percent = if number < YOUTH { young } else { old };
        if life.dice.percent(percent) || number + 1 == commands {
            let check_began = Instant::now();
            Box::pin(life.check_restore()).await;
            checking += check_began.elapsed();
        }
        if (number + 1).is_multiple_of(TOLD_EVERY) {
            println!(
                "seed {seed}: {} commands in {:.0} s, {:.0} s of it for {} restores",
                number + 1,
                began.elapsed().as_secs_f64(),
                checking.as_secs_f64(),
                life.outcome.checked
            );
        }
        if !life.outcome.findings.is_empty() {
            break;
        }
    }
    life.outcome
}

impl Life {
    fn tell(&mut self, what: String) {
        self.outcome.told.push(what);
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("alice-{}", self.names)
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Copy => {
                let name = self.name();
                let copy = self.customer.copy(&self.world, &name);
                let wallet = copy.wallet();
                for _ in 0..=self.dice.below(3) {
                    let command = self.dice.weighed(&DONE_BESIDE);
                    self.tell(format!("  the copy: {command:?}"));
                    let told = Box::pin(do_with(&self.world, &self.dice, &wallet, command)).await;
                    self.hear(told);
                }
            }
            Command::Lose => self.lose().await,
            Command::Wait => sleep(Duration::from_secs(60 * self.dice.below(20))).await,
            other => {
                let told = Box::pin(do_with(&self.world, &self.dice, &self.wallet, other)).await;
                self.hear(told);
            }
        }
    }

    /// The errors that the wallet may report. All parties are honest, so no refusal accuses one.
    fn hear(&mut self, told: Vec<WalletError>) {
        for error in told {
            self.tell(format!("  {error}"));
            if is_surprising(&error) {
                self.outcome.findings.push(format!("surprising: {error}"));
            }
        }
    }

    async fn lose(&mut self) {
        let command = self.dice.weighed(&DONE_BESIDE);
        let some_time = Duration::from_millis(self.dice.below(3_000));
        self.tell(format!("  lost during {command:?}"));
        let doing = Box::pin(do_with(&self.world, &self.dice, &self.wallet, command));
        let _cut_off = timeout(some_time, doing).await;
        self.world.network.unblock();
        let name = self.name();
        let customer = CustomerMachine::with_phrase_of(&self.world, &self.customer, &name);
        let wallet = customer.wallet();
        let restored = wallet.restore(&self.world.parties().bank, self.world.dir()).await;
        if let Err(error) = restored {
            self.outcome
                .findings
                .push(format!("progress: no restore: {error}"));
        }
        self.customer = customer;
        self.wallet = wallet;
        let told = Box::pin(do_with(&self.world, &self.dice, &self.wallet, Command::Resume)).await;
        self.hear(told);
    }

    /// Checks that a restore from the words finds everything, in a fork of the world.
    async fn check_restore(&mut self) {
        self.outcome.checked += 1;
        let fork = self.world.fork().await;
        let customer = CustomerMachine::with_phrase_of(&fork, &self.customer, "restored");
        let wallet = customer.wallet();
        if let Err(error) = wallet.restore(&fork.parties().bank, fork.dir()).await {
            self.outcome
                .findings
                .push(format!("progress: no restore: {error}"));
            return;
        }
        let mut open = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let resumed = wallet.resume().await.expect("the wallet resumes");
            open = resumed.open;
            if open.is_empty() && fork.try_settle().await {
                break;
            }
            sleep(Duration::from_secs(60)).await;
        }
        let findings = &mut self.outcome.findings;
        findings.extend(
            open.iter()
                .map(|(matter, error)| format!("progress: {matter}: {error}")),
        );
        let report = fork.audit().await;
        findings.extend(report.problems.iter().map(|problem| format!("money: {problem}")));
        let balances = wallet.balances().expect("the balances");
        if spendable(&wallet).to_string() != report.outstanding {
            findings.push(format!(
                "money: coins worth {} are out, and a restore finds {balances:?}",
                report.outstanding
            ));
        }
        let purchases = wallet.purchases().expect("the purchases");
        let known: BTreeSet<String> = purchases
            .iter()
            .filter_map(|(_, row)| Some(row.purchase.order()?.purchase().to_string()))
            .collect();
        for purchase in fork.sold().await.difference(&known) {
            findings.push(format!(
                "goods: {purchase} is paid, and a restore does not find it"
            ));
        }
    }
}

/// Runs a command on a wallet. Returns the errors that it reported.
async fn do_with(world: &World, dice: &Dice, wallet: &Wallet, command: Command) -> Vec<WalletError> {
    let bank = world.parties().bank;
    let mut told = Vec::new();
    match command {
        Command::Withdraw => {
            let amount = dice.one_of(&[Amount(7), Amount(250), Amount(1_500), Amount(FUNDS.0 + 1)]);
            told.extend(wallet.withdraw(&bank, amount).await.err());
        }
        Command::Buy => told.extend(buy(world, dice, wallet).await),
        Command::BuyUnheard => {
            match dice.below(4) {
                0 => world.network.block(is_delivery),
                1 => world.network.block(is_hold_at_bank),
                2 => world.network.block(is_issuing),
                _ => world.network.block(is_asked_of_the_escrow),
            }
            told.extend(buy(world, dice, wallet).await);
            world.network.unblock();
        }
        Command::Cancel => {
            let purchases = wallet.purchases().expect("the purchases");
            let open = purchases
                .into_iter()
                .filter(|(_, row)| matches!(row.purchase.status(), "holding" | "held" | "fetching"));
            let open: Vec<u64> = open.map(|(number, _)| number).collect();
            if !open.is_empty() {
                told.extend(wallet.cancel(dice.one_of(&open)).await.err());
            }
        }
        Command::Exchange => told.extend(exchange(wallet, some_coins(dice, wallet)).await),
        Command::ExchangeUnheard => {
            world.network.block(is_issuing);
            told.extend(exchange(wallet, some_coins(dice, wallet)).await);
            world.network.unblock();
        }
        Command::Resume => {
            let resumed = wallet.resume().await.expect("the wallet resumes");
            told.extend(resumed.open.into_iter().map(|(_, error)| error));
        }
        Command::RefusedExchanges => {
            world.cheat(Party::Bank, RefusesExchanges);
            for _ in 0..dice.below(40) {
                told.extend(exchange(wallet, some_coins(dice, wallet)).await);
            }
            world.honest(Party::Bank);
        }
        Command::RefusedOrder => {
            world.cheat(Party::Bank, RefusesHolds);
            told.extend(buy(world, dice, wallet).await);
            world.honest(Party::Bank);
        }
        Command::Copy | Command::Lose | Command::Wait => {
            unreachable!("none of these is done with one wallet")
        }
    }
    told
}

async fn buy(world: &World, dice: &Dice, wallet: &Wallet) -> Option<WalletError> {
    let merchant = dice.below(world.foundation.population.prices.len() as u64) as usize;
    let output = picture(world, dice.any());
    let bought = wallet.buy(&world.parties_of(merchant, 0), ITEM, &output).await;
    bought.err()
}

/// Some of the coins that can be spent.
fn some_coins(dice: &Dice, wallet: &Wallet) -> Vec<CoinRow> {
    let percent = 10 + dice.below(90);
    let mut rows = wallet.present_coins().expect("the coins");
    rows.retain(|row| row.status == CoinStatus::Available && dice.percent(percent));
    // There may be more fresh coins.
    rows.truncate(32);
    rows
}

async fn exchange(wallet: &Wallet, rows: Vec<CoinRow>) -> Vec<WalletError> {
    let (_, failed) = wallet.exchange_despite_refusals(rows).await.expect("the store");
    failed
}
