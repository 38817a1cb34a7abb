//! The scene of the demonstration: a bank, an escrow and a merchant as processes of their own, what they sell, and between
//! the wallets and the nodes a network that can be told to lose things.

use farthing_kit::{
    error::RunError,
    lines::Lines,
    market::{Layout, Market, Offers},
};
use farthing_protocol::money::Amount;
use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What the merchant sells.
#[derive(Debug, Clone)]
pub struct Goods {
    /// What customers see it called.
    pub title: String,
    /// What it costs.
    pub price: Amount,
    /// The file itself.
    pub file: PathBuf,
}

/// The scene.
#[derive(Debug)]
pub struct Scene {
    market: Market,
    /// The network between wallets and nodes.
    pub wallet_lines: Arc<Lines>,
    /// What most customers buy.
    pub goods: Goods,
    /// What costs the smallest coin.
    pub trifle: Goods,
}

impl Deref for Scene {
    type Target = Market;

    fn deref(&self) -> &Market {
        &self.market
    }
}

impl Scene {
    /// Makes the nodes in `dir`, starts them, and puts the goods up for sale.
    ///
    /// # Errors
    /// When a node does not do its part.
    pub async fn build(program: &Path, dir: &Path, goods: Goods, trifle: Goods) -> Result<Scene, RunError> {
        let market = Market::make(program, dir, Layout::default()).await?;
        market.start().await?;
        for item in [&goods, &trifle] {
            market
                .sell(&item.file, &item.title, item.price, Offers::Plain)
                .await?;
        }
        Ok(Scene {
            wallet_lines: Arc::new(market.open_wallet_lines().await?),
            market,
            goods,
            trifle,
        })
    }

    /// What the merchant's account holds.
    ///
    /// # Errors
    /// As [`Market::books`].
    pub async fn credited(&self) -> Result<Amount, RunError> {
        Ok(self.books().await?.balance(&self.merchant_account))
    }
}
