//! `farthing-lab demo`: the whole system at work, and then under faults of networks and machines.
//!
//! A bank, an escrow, a merchant and a relay run as separate processes. Customers buy from the merchant. Messages are lost,
//! processes are killed, and a coin is spent twice. Each step reads the nodes' own books. At the end everything is
//! counted to the unit.
//!
//! | what | file |
//! |---|---|
//! | nodes, network and customers | [`scene`], [`shopper`] |
//! | the steps | [`steps`] |
//! | the audit at the end | [`audit`] |
//! | the output | [`report`] |

pub mod amount;
pub mod audit;
pub mod report;
pub mod scene;
pub mod shopper;
pub mod steps;

use crate::session;
use audit::{DemoAudit, Person};
use farthing_kit::error::RunError;
use farthing_node::{card::RoleName, terminal};
use farthing_protocol::{limits::TITLE_MAX_BYTES, money::Amount};
use report::{DemoReport, Reader};
use scene::{Goods, Scene};
use shopper::Shopper;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The goods if no other file is named: an engraving.
const SAMPLE: (&str, &[u8]) = ("farthing.svg", include_bytes!("../../sample/farthing.svg"));

/// Goods that cost one coin of the smallest value.
const TRIFLE: (&str, &[u8]) = ("postcard.txt", include_bytes!("../../sample/postcard.txt"));

/// The price of the goods.
const PRICE: Amount = Amount(350);

/// The price of the trifle: one coin of the smallest value.
const TRIFLE_PRICE: Amount = Amount(1);

/// The cash that alice pays in.
const ALICE_CASH: Amount = Amount(4000);

/// The first withdrawal of alice.
const ALICE_WITHDRAWS: Amount = Amount(2500);

/// The withdrawal of alice whose reply is lost.
const ALICE_WITHDRAWS_AGAIN: Amount = Amount(1000);

/// What alice pays back into the account.
const REDEEMED: Amount = Amount(500);

/// What alice pays dave.
const LUNCH: Amount = Amount(250);

/// What the merchant refunds of alice's first purchase.
const REFUNDED: Amount = Amount(100);

/// What alice gives to the charity.
const DONATED: Amount = Amount(300);

/// The cash that erin pays in and withdraws. No coins of it are worth the price: the largest one is worth more, and all others
/// together are worth less.
const ERIN_CASH: Amount = Amount(800);

/// What grace has. The price of the stream is held at first.
const GRACE_CASH: Amount = Amount(400);

/// What erin gives.
const GIVEN: Amount = Amount(150);

/// The cash that frank pays in, withdraws, and pays for postage.
const FRANK_CASH: Amount = Amount(2000);

/// The merchant's payout.
const PAYOUT: Amount = Amount(1000);

/// The maximum length of a title that is made from a file name (characters). Characters of every script fit.
const TITLE_MAX_CHARS: usize = TITLE_MAX_BYTES / 4;

/// The options of `farthing-lab demo`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DemoOptions {
    /// Show everything: also payments between people, refunds, donations, gifts and postage.
    #[arg(long)]
    pub all: bool,
    /// Keep the stores of bank, escrow and merchant in this PostgreSQL database, in new schemas: postgres://USER@HOST/NAME.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Sell this file instead of the sample.
    #[arg(long, value_name = "FILE")]
    pub goods: Option<PathBuf>,
    /// Keep all files in this new directory: nodes, wallets, logs, goods.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs the demonstration and prints its report. All processes that it started are stopped when it returns, also after
/// an error.
pub fn run(options: &DemoOptions, reader: Reader) -> ExitCode {
    let runtime = match session::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return session::fail(&error),
    };
    let mut report = DemoReport::new(reader);
    let work = async |dir: &Path| in_the_scene(options, dir, &mut report).await;
    let outcome = runtime.block_on(session::in_a_directory(
        "farthing-demo",
        options.keep.as_deref(),
        work,
    ));
    let text = outcome.as_ref().err().map(ToString::to_string);
    match reader {
        Reader::Person => {
            if let Ok(audit) = &outcome {
                report.finish(audit);
            }
            if let Some(dir) = &options.keep {
                report.say(&format!(
                    "Nodes, wallets, logs and goods are kept in {}.",
                    dir.display()
                ));
            }
        }
        Reader::Program => {
            let mut value = report.json(outcome.as_ref().ok(), text.as_deref());
            if let (Some(dir), Some(object)) = (&options.keep, value.as_object_mut()) {
                object.insert("kept".into(), dir.display().to_string().into());
            }
            terminal::print_json(&value);
        }
    }
    match outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => session::fail(&error),
    }
}

async fn in_the_scene(
    options: &DemoOptions,
    dir: &Path,
    report: &mut DemoReport,
) -> Result<DemoAudit, RunError> {
    let program = std::env::current_exe().map_err(RunError::io("this program"))?;
    let goods = goods(options.goods.as_deref(), dir)?;
    let trifle = sample(TRIFLE, "A postcard", TRIFLE_PRICE, dir)?;
    let scene = Scene::build(&program, dir, options.store.as_deref(), (goods, trifle)).await?;
    report.say(&format!(
        "A bank on {}, an escrow on {}, a merchant on {}, and a relay on {}: four processes on this machine.\n\
         Customers reach them through the relay, which sees who asks and not what. Only withdrawals go to the bank directly.\n\
         All lines lose what they are told to.",
        scene.bank.card().address,
        scene.escrow.card().address,
        scene.merchant.card().address,
        scene.node(RoleName::Relay).card().address,
    ));
    let outcome = steps(&scene, options, report).await;
    let ended = scene.kill().await;
    outcome.and_then(|audit| Ok(ended.map(|()| audit)?))
}

async fn steps(scene: &Scene, options: &DemoOptions, report: &mut DemoReport) -> Result<DemoAudit, RunError> {
    let alice = scene.shopper("alice", ALICE_CASH).await?;
    let bob = scene.shopper("bob", PRICE).await?;
    let carol = scene.shopper("carol", TRIFLE_PRICE).await?;
    bob.withdraw(scene, PRICE).await?;
    carol.withdraw(scene, TRIFLE_PRICE).await?;
    steps::ordinary::purchase(scene, &alice, ALICE_WITHDRAWS, report).await?;
    steps::lost::reply_to_hold(scene, &alice, report).await?;
    steps::lost::receipt(scene, &alice, report).await?;
    steps::killed::escrow(scene, &alice, report).await?;
    steps::killed::merchant(scene, &bob, report).await?;
    let twins = steps::twice::spend_twice(scene, carol, report).await?;
    steps::lost::reply_to_withdrawal(scene, &alice, ALICE_WITHDRAWS_AGAIN, report).await?;
    // Change that the purchases have given.
    alice.resume().await?;
    bob.resume().await?;
    let erin = scene.shopper("erin", ERIN_CASH).await?;
    steps::change::change(scene, &erin, ERIN_CASH, report).await?;
    let grace = scene.shopper("grace", GRACE_CASH).await?;
    steps::stream::stream(scene, &grace, GRACE_CASH, report).await?;
    let others = match options.all {
        true => {
            let dave = payments(scene, &alice, &erin, report).await?;
            let frank = scene.shopper("frank", FRANK_CASH).await?;
            steps::postage::postage(scene, &frank, FRANK_CASH, report).await?;
            vec![(dave, Amount(0)), (frank, FRANK_CASH)]
        }
        false => Vec::new(),
    };
    steps::ordinary::payout(scene, PAYOUT, report).await?;
    let mut people = vec![
        Person {
            cash: ALICE_CASH,
            wallets: vec![&alice],
        },
        Person {
            cash: PRICE,
            wallets: vec![&bob],
        },
        Person {
            cash: TRIFLE_PRICE,
            wallets: vec![&twins.first, &twins.second],
        },
        Person {
            cash: ERIN_CASH,
            wallets: vec![&erin],
        },
        Person {
            cash: GRACE_CASH,
            wallets: vec![&grace],
        },
    ];
    people.extend(others.iter().map(|(other, cash)| Person {
        cash: *cash,
        wallets: vec![other],
    }));
    DemoAudit::take(scene, &people).await
}

/// The steps of payments without a purchase, and of refunds. Returns dave, who was paid.
async fn payments(
    scene: &Scene,
    alice: &Shopper,
    erin: &Shopper,
    report: &mut DemoReport,
) -> Result<Shopper, RunError> {
    steps::payments::redeemed(scene, alice, REDEEMED, report).await?;
    let dave = scene.shopper("dave", Amount(0)).await?;
    let dave = steps::payments::to_a_person(scene, alice, dave, LUNCH, report).await?;
    steps::payments::refund(scene, alice, 0, REFUNDED, report).await?;
    let charity = scene.charity().await?;
    steps::payments::donation(scene, alice, &charity, DONATED, report).await?;
    steps::change::gift(scene, erin, &dave, GIVEN, report).await?;
    Ok(dave)
}

/// The named file, or the sample.
fn goods(named: Option<&Path>, dir: &Path) -> Result<Goods, RunError> {
    let Some(path) = named else {
        return sample(SAMPLE, "A farthing", PRICE, dir);
    };
    let cannot = |why: &str| RunError::Goods {
        path: path.to_path_buf(),
        why: why.into(),
    };
    let file = fs::canonicalize(path).map_err(|error| cannot(&error.to_string()))?;
    if !file.is_file() {
        return Err(cannot("it is not a file; pack a folder into an archive first"));
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let title = name
        .chars()
        .filter(|c| !c.is_control())
        .take(TITLE_MAX_CHARS)
        .collect();
    Ok(Goods {
        title,
        price: PRICE,
        file,
    })
}

/// Writes a sample file for the merchant.
fn sample((name, bytes): (&str, &[u8]), title: &str, price: Amount, dir: &Path) -> Result<Goods, RunError> {
    let file = dir.join(name);
    fs::write(&file, bytes).map_err(RunError::io(file.display()))?;
    Ok(Goods {
        title: title.into(),
        price,
        file,
    })
}
