//! Withdraws, buys one item and verifies the receipt, with the wallet library alone.
//!
//! ```text
//! cargo run -p farthing-client --example buy -- WALLET BANK MERCHANT ESCROW AMOUNT TITLE
//! ```
//!
//! WALLET is the wallet's directory, BANK, MERCHANT and ESCROW are cards, AMOUNT is what to withdraw, TITLE is the item.
//! A wallet that does not exist is made. The bank must have an account for the key that the program prints.

use farthing_client::{
    purchase::{Parties, Wanted, goods::judge},
    wallet::{Env, SEED_FILE, Wallet},
};
use farthing_coin::Seed;
use farthing_node::card::Card;
use farthing_protocol::{evidence::Verdict, money::Amount};
use farthing_store::entropy::{Entropy, SystemEntropy};
use std::{
    error::Error,
    path::{Path, PathBuf},
};

/// What to buy, and with whom.
pub struct Shopping {
    /// Directory of the wallet.
    pub wallet: PathBuf,
    /// The cards of bank, merchant and escrow.
    pub parties: Parties,
    /// How much to withdraw first.
    pub amount: Amount,
    /// Title of the item.
    pub title: String,
}

/// Opens the wallet in `dir`. If there is none, makes one and prints its words.
///
/// # Errors
/// When the wallet cannot be made or opened.
pub fn open(dir: &Path) -> Result<Wallet, Box<dyn Error>> {
    if !dir.join(SEED_FILE).exists() {
        let entropy: &dyn Entropy = &SystemEntropy;
        let seed = Seed::generate(&mut entropy.rng());
        Wallet::create(dir, &seed)?;
        println!("a new wallet; its words are: {}", seed.to_phrase().as_str());
    }
    Ok(Wallet::open(dir, Env::system())?)
}

/// Runs the whole purchase. Returns the file of the goods.
///
/// # Errors
/// When a step fails. No money is lost: the next run carries on what was interrupted.
pub async fn run(shopping: &Shopping) -> Result<PathBuf, Box<dyn Error>> {
    let wallet = open(&shopping.wallet)?;
    let Parties {
        bank,
        merchant,
        escrow,
    } = &shopping.parties;

    // The wallet uses only parties whose cards it has.
    let mut cards = wallet.network_file()?;
    for card in [bank, merchant, escrow] {
        cards.add(card.clone())?;
    }
    println!("the account's key is {}", wallet.account(&bank.identity)?);

    // An earlier run may have been interrupted.
    for (task, error) in wallet.resume().await?.open {
        println!("{task}: {error}");
    }

    wallet.withdraw(bank, shopping.amount).await?;
    for balance in wallet.balances()? {
        let currency = balance.currency.unwrap_or_default();
        println!("the wallet can spend {} {currency}", balance.available);
    }

    let wanted = Wanted {
        item: &shopping.title,
        at_most: Some(shopping.amount),
    };
    let output = shopping.wallet.join("bought");
    let number = wallet.buy(&shopping.parties, wanted, &output).await?;
    let file = wallet.purchase(number)?.output;
    println!("purchase {number}: the goods are in {}", file.display());

    // Anyone can verify this from two files: the documents, and the encrypted goods.
    let verdict = judge(&wallet.papers(number)?, &wallet.goods_file(number)?)??;
    if verdict != Verdict::Delivered {
        return Err(format!("the receipt says: {verdict:?}").into());
    }
    println!("the receipt proves that the goods are as described");
    wallet.close()?;
    Ok(file)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [wallet, bank, merchant, escrow, amount, title] = args.as_slice() else {
        return Err("the arguments are: WALLET BANK MERCHANT ESCROW AMOUNT TITLE".into());
    };
    let shopping = Shopping {
        wallet: wallet.into(),
        parties: Parties {
            bank: bank.parse::<Card>()?,
            merchant: merchant.parse::<Card>()?,
            escrow: escrow.parse::<Card>()?,
        },
        amount: amount.parse()?,
        title: title.clone(),
    };
    run(&shopping).await.map(drop)
}
