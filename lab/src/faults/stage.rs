//! A bank, an escrow, a merchant and their customers, with a separate line between any two parties that communicate.
//! Every process waits at every probe point for the director.

use super::matrix::{Route, called};
use farthing_kit::{
    customer::Customer,
    disk::SmallDisk,
    error::RunError,
    line::Line,
    lines::Lines,
    market::{Dialled, Layout, Market, Offers, stores_in},
    points::{Party, Points},
};
use farthing_node::card::RoleName;
use farthing_protocol::money::Amount;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How the goods are sold. They are the same under each title.
#[derive(Debug)]
pub struct ForSale {
    /// The title.
    pub title: &'static str,
    /// The price.
    pub price: Amount,
    /// The kind of its offers.
    offers: Offers,
}

const PLAIN: ForSale = ForSale {
    title: "A postcard",
    price: Amount(350),
    offers: Offers::Plain,
};

const SEALED: ForSale = ForSale {
    title: "A sealed postcard",
    price: Amount(350),
    offers: Offers::Sealed,
};

/// No coins of a withdrawal of [`CASH`] are worth its price.
const ODD: ForSale = ForSale {
    title: "An odd postcard",
    price: Amount(250),
    offers: Offers::Plain,
};

/// The title of the stream, and the price of each of its ticks. Two of them cost more than a merchant leaves unraised.
pub const STREAM: &str = "A postcard in pieces";
const PRICE_PER_TICK: &str = "0.60";

/// The ticks of the stream.
const TICKS: usize = 4;

/// The number of ticks that the customer wants.
pub const WATCHED: &str = "2";

/// The size of a tick (bytes).
const CHUNK_BYTES: usize = GOODS.len().div_ceil(TICKS);

/// The size and the price of a tick.
#[must_use]
pub const fn tick() -> (usize, Amount) {
    (CHUNK_BYTES, Amount(60))
}

/// What the customer buys on this route.
#[must_use]
pub const fn bought_on(route: Route) -> ForSale {
    match route {
        Route::Sealed => SEALED,
        Route::Changed => ODD,
        _ => PLAIN,
    }
}

/// The amount that every customer pays in and withdraws.
pub const CASH: Amount = Amount(500);

/// The amount that is paid back into the account on [`Route::Redeemed`]. No coins of a
/// withdrawal of [`CASH`] are worth it, so a coin is exchanged first.
pub const REDEEMED: Amount = Amount(333);

/// The amount that another person gets on [`Route::Sent`].
pub const SENT: Amount = Amount(100);

/// The goods.
const GOODS: &[u8] = include_bytes!("../../sample/postcard.txt");

/// The parties of a purchase, in their order in a diagram.
pub const PARTIES: [Party; 4] = [
    Party::Wallet,
    Party::Node(RoleName::Merchant),
    Party::Node(RoleName::Escrow),
    Party::Node(RoleName::Bank),
];

/// The nodes, the lines and the disks, on which a director acts.
#[derive(Debug)]
pub struct Stage {
    market: Market,
    /// The lines of all wallets.
    wallet_lines: Arc<Lines>,
    /// The parties' disks that can be filled.
    pub disks: BTreeMap<Party, SmallDisk>,
}

impl Deref for Stage {
    type Target = Market;

    fn deref(&self) -> &Market {
        &self.market
    }
}

impl Stage {
    /// The line from `asker` to the server of this role.
    pub fn line(&self, asker: Party, server: RoleName) -> Option<&Line> {
        let of_wallets = self.wallet_lines.find(asker, server);
        of_wallets.or_else(|| self.market.lines.find(asker, server))
    }

    /// Heals all lines, and makes room on all disks.
    pub fn heal(&self) {
        self.wallet_lines.heal();
        self.market.lines.heal();
        for (party, disk) in &self.disks {
            if let Err(error) = disk.free() {
                tracing::error!(%error, party = called(*party), "a disk cannot be made larger again");
            }
        }
    }

    /// The file with the goods.
    pub fn goods(&self) -> PathBuf {
        self.dir().join("postcard.txt")
    }

    /// Creates a customer with [`CASH`] in their account.
    ///
    /// # Errors
    /// As [`Market::newcomer`].
    pub async fn newcomer(&self, name: &str) -> Result<Customer, RunError> {
        let dir = home(self.dir(), Party::Wallet);
        fs::create_dir_all(&dir).map_err(RunError::io(dir.display()))?;
        let lines = Arc::clone(&self.wallet_lines);
        let customer = self
            .market
            .newcomer(self.program(), &dir.join(name), lines, CASH)
            .await?;
        Ok(customer)
    }
}

/// The parent of a party's directory.
fn home(dir: &Path, party: Party) -> PathBuf {
    dir.join(called(party))
}

/// A stage, and the probe points of its processes.
#[derive(Debug)]
pub struct Theatre {
    /// The stage.
    pub stage: Arc<Stage>,
    /// The reached points. Code that waits for a process must handle them meanwhile, or the process never continues.
    pub points: Points,
}

impl Theatre {
    /// Creates a theatre in `dir`, which must not exist, and starts its nodes. With `disks`, each party has a disk that
    /// can be filled. With `store`, the stores of the nodes are in this database.
    ///
    /// # Errors
    /// When a node fails, or a disk cannot be mounted.
    pub async fn build(
        program: &Path,
        dir: &Path,
        disks: bool,
        store: Option<&str>,
    ) -> Result<Theatre, RunError> {
        fs::create_dir_all(dir).map_err(RunError::io(dir.display()))?;
        let socket = dir.join("points");
        let points = Points::listen(&socket).map_err(RunError::io(socket.display()))?;
        let mounted = if disks { mount_all(dir)? } else { BTreeMap::new() };
        let layout = Layout {
            dialled: Dialled::OverLines,
            disks: RoleName::PARTIES
                .map(|role| (role, home(dir, Party::Node(role))))
                .into(),
            probe: Some(socket),
            stores: store.map(stores_in).unwrap_or_default(),
            ..Layout::default()
        };
        let market = Market::make(program, dir, layout).await?;
        let stage = Stage {
            wallet_lines: Arc::new(market.open_wallet_lines().await?),
            market,
            disks: mounted,
        };
        put_up_for_sale(&stage).await?;
        let mut theatre = Theatre {
            stage: Arc::new(stage),
            points,
        };
        let stage = Arc::clone(&theatre.stage);
        theatre.letting_go(stage.start()).await?;
        Ok(theatre)
    }

    /// Restarts these nodes, so that their unfinished work does not affect the next purchase.
    ///
    /// # Errors
    /// When a node does not start.
    pub async fn start_again(&mut self, roles: &BTreeSet<RoleName>) -> Result<(), RunError> {
        let stage = Arc::clone(&self.stage);
        let restart = async {
            for role in roles {
                stage.node(*role).restart().await?;
            }
            Ok(())
        };
        self.letting_go(restart).await
    }

    /// Does `work`, and lets every process continue at once.
    async fn letting_go<T>(&mut self, work: impl Future<Output = T>) -> T {
        let points = &mut self.points;
        let let_go = async {
            loop {
                points.next().await.go();
            }
        };
        tokio::select! {
            done = work => done,
            () = let_go => unreachable!("it never ends"),
        }
    }
}

/// Adds the goods to the catalogue, under each title.
async fn put_up_for_sale(stage: &Stage) -> Result<(), RunError> {
    let goods = stage.goods();
    fs::write(&goods, GOODS).map_err(RunError::io(goods.display()))?;
    for item in [PLAIN, SEALED, ODD] {
        stage.sell(&goods, item.title, item.price, item.offers).await?;
    }
    stage
        .sell_by_tick(&goods, STREAM, PRICE_PER_TICK, CHUNK_BYTES)
        .await?;
    Ok(())
}

fn mount_all(dir: &Path) -> Result<BTreeMap<Party, SmallDisk>, RunError> {
    let mut disks = BTreeMap::new();
    for party in PARTIES {
        let home = home(dir, party);
        fs::create_dir_all(&home).map_err(RunError::io(home.display()))?;
        let disk = SmallDisk::mount(&home).map_err(RunError::io("a disk that can be filled"))?;
        disks.insert(party, disk);
    }
    Ok(disks)
}
