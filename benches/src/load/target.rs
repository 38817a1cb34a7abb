//! The nodes under load: fresh ones, or nodes that run already.

use crate::{
    args::{Args, Mode},
    spent,
};
use anyhow::{Context, Result, bail};
use farthing_kit::{
    market::{Layout, Market, Offers, WalletRoute},
    nodes::Node,
};
use farthing_node::admin::admin_call;
use farthing_protocol::{limits::SALES_ASKED_EVERY_MS, money::Amount};
use farthing_store::entropy::{Entropy, SystemEntropy};
use serde_json::{Value, json};
use std::{fs, ops::Deref, path::Path, time::Duration};

/// The default number of coins of a purchase.
const COINS_PER_PURCHASE: u64 = 2;

/// A random name, unique to this run.
pub(crate) fn random_word() -> String {
    let mut random = [0; 6];
    SystemEntropy.fill(&mut random);
    hex::encode(random)
}

/// The nodes under load, and the item for sale.
pub(crate) struct Target {
    market: Market,
    /// The values of the bank's coins, ascending. All prices are multiples of the largest value.
    pub(crate) values: Vec<u64>,
    /// The id of the item for sale (hex). The customers have seen the catalog.
    pub(crate) item: String,
    pub(crate) price: Amount,
    /// The merchant's pause between two questions about sales of sealed offers. Zero if offers are not sealed.
    pub(crate) asks_every: Duration,
    /// The number of coins spent before the run, if requested.
    pub(crate) spent: Option<u64>,
    ours: bool,
}

impl Deref for Target {
    type Target = Market;

    fn deref(&self) -> &Market {
        &self.market
    }
}

impl Target {
    /// Starts or opens the nodes that `args` names, with an item for sale.
    pub(crate) async fn of(args: &Args, dir: &Path) -> Result<Target> {
        let program = std::env::current_exe().context("this program cannot be found")?;
        let market = match &args.nodes {
            Some(nodes) => {
                let mut market = Market::existing(&program, nodes).await?;
                if !args.is_relayed() {
                    market.relay = None;
                } else if market.relay.is_none() {
                    bail!(
                        "there is no relay in {}; make one, or leave --relay out",
                        nodes.join("relay").display()
                    );
                }
                market
            }
            None => started(&program, dir, args).await?,
        };
        let values = values(&market.bank).await?;
        let top = values.last().copied().context("the bank issues no coins")?;
        let coins = args
            .coins
            .filter(|_| matches!(args.mode, Mode::Purchase | Mode::Sealed));
        let price = top.saturating_mul(coins.unwrap_or(COINS_PER_PURCHASE));
        let item = put_up_for_sale(&market, dir, args.goods, Amount(price), args.mode).await?;
        let target = Target {
            market,
            values,
            item,
            price: Amount(price),
            asks_every: match args.mode {
                Mode::Sealed => Duration::from_millis(SALES_ASKED_EVERY_MS),
                Mode::Purchase | Mode::Withdraw | Mode::Exchange => Duration::ZERO,
            },
            spent: args.spent,
            ours: args.nodes.is_none(),
        };
        target.open(&target.merchant_account).await?;
        Ok(target)
    }

    /// Opens an account at the bank.
    async fn open(&self, key: &str) -> Result<()> {
        self.ask_bank(json!({ "do": "account-open", "key": key })).await?;
        Ok(())
    }

    /// Opens an account, and has the cash desk credit it.
    pub(crate) async fn fund(&self, key: &str, amount: Amount) -> Result<()> {
        self.open(key).await?;
        let reference = random_word();
        let cash = json!({ "do": "account-credit", "key": key, "amount": amount.to_string(), "reference": reference });
        self.ask_bank(cash).await?;
        Ok(())
    }

    /// Uses the operator's socket directly: a process for each customer would take longer than the measured work.
    async fn ask_bank(&self, request: Value) -> Result<Value> {
        let answer = admin_call(self.bank.dir(), &request).await?;
        answer.with_context(|| format!("no bank runs in {}", self.bank.dir().display()))
    }

    /// Stops the nodes that this program started.
    pub(crate) async fn end(&self) -> Result<()> {
        if self.ours {
            self.kill().await?;
        }
        Ok(())
    }
}

/// Puts random goods up for sale, and returns the item's id.
async fn put_up_for_sale(
    market: &Market,
    dir: &Path,
    bytes: u64,
    price: Amount,
    mode: Mode,
) -> Result<String> {
    let file = dir.join("goods.bin");
    let mut goods = vec![0; usize::try_from(bytes)?];
    SystemEntropy.fill(&mut goods);
    fs::write(&file, goods).with_context(|| file.display().to_string())?;
    let title = format!("load {}", random_word());
    let offers = match mode {
        Mode::Sealed => Offers::Sealed,
        Mode::Purchase | Mode::Withdraw | Mode::Exchange => Offers::Plain,
    };
    Ok(market.sell(&file, &title, price, offers).await?)
}

async fn started(program: &Path, dir: &Path, args: &Args) -> Result<Market> {
    let layout = Layout {
        route: match args.is_relayed() {
            true => WalletRoute::Relayed,
            false => WalletRoute::Direct,
        },
        ..Layout::default()
    };
    let market = Market::make(program, dir, layout).await?;
    if let Some(coins) = args.spent {
        spent::fill(market.bank.dir(), coins).await?;
    }
    market.start().await?;
    Ok(market)
}

/// The values of the coins that the bank issues, ascending.
async fn values(bank: &Node) -> Result<Vec<u64>> {
    let answer = bank.admin(&["keys"], &[]).await?;
    let keys = answer.get("keys").and_then(Value::as_array);
    let values = keys.context("the bank shows no keys")?.iter().map(|key| {
        let units = key.get("value").and_then(|value| value.get("units"));
        units
            .and_then(Value::as_u64)
            .context("a key of the bank has no value")
    });
    let mut values = values.collect::<Result<Vec<u64>>>()?;
    values.sort_unstable();
    values.dedup();
    Ok(values)
}
