//! The scene of the demonstration: a bank, an escrow, a merchant and a relay as separate processes, the goods, and a
//! network between wallets, relay and nodes that can lose messages.

use farthing_coin::Seed;
use farthing_kit::{
    error::RunError,
    lines::Lines,
    market::{Layout, Market, Offers, WalletRoute, stores_in},
};
use farthing_protocol::money::Amount;
use farthing_store::entropy::{Entropy, SystemEntropy};
use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Goods that the merchant sells.
#[derive(Debug, Clone)]
pub struct Goods {
    /// The title in the catalogue.
    pub title: String,
    /// The price.
    pub price: Amount,
    /// The file.
    pub file: PathBuf,
}

/// The scene.
#[derive(Debug)]
pub struct Scene {
    market: Market,
    /// The network between wallets and nodes, with the relay between them.
    pub wallet_lines: Arc<Lines>,
    /// The goods of most purchases.
    pub goods: Goods,
    /// Goods that cost one coin of the smallest value.
    pub trifle: Goods,
}

impl Deref for Scene {
    type Target = Market;

    fn deref(&self) -> &Market {
        &self.market
    }
}

impl Scene {
    /// Creates the nodes in `dir`, with their stores in the database `store` if there is one. Starts them, and adds goods and
    /// trifle to the catalogue.
    ///
    /// # Errors
    /// When a node fails.
    pub async fn build(
        program: &Path,
        dir: &Path,
        store: Option<&str>,
        (goods, trifle): (Goods, Goods),
    ) -> Result<Scene, RunError> {
        let layout = Layout {
            route: WalletRoute::Relayed,
            stores: store.map(stores_in).unwrap_or_default(),
            ..Layout::default()
        };
        let market = Market::make(program, dir, layout).await?;
        market.start().await?;
        for item in [&goods, &trifle] {
            market
                .sell(&item.file, &item.title, item.price, Offers::Plain)
                .await?;
        }
        Ok(Scene {
            wallet_lines: Arc::new(market.open_relayed_lines().await?),
            market,
            goods,
            trifle,
        })
    }

    /// Opens the account of a charity, and returns its key (hex).
    ///
    /// # Errors
    /// When the bank refuses.
    pub async fn charity(&self) -> Result<String, RunError> {
        let entropy: &dyn Entropy = &SystemEntropy;
        let key = Seed::generate(&mut entropy.rng())
            .account_key()
            .public()
            .to_string();
        self.open_account(&key, "charity").await?;
        Ok(key)
    }

    /// The balance of the merchant's account.
    ///
    /// # Errors
    /// As [`Market::books`].
    pub async fn credited(&self) -> Result<Amount, RunError> {
        Ok(self.books().await?.balance(&self.merchant_account))
    }
}
