//! A bank, an escrow and a merchant, and their customers, with a line of its own between any two that speak to each
//! other. Every process waits at every point for a director.

use super::matrix::called;
use farthing_kit::{
    customer::Customer,
    disk::SmallDisk,
    error::RunError,
    lines::Lines,
    market::{Dialled, Layout, Market, Offers},
    points::{Party, Points},
    relay::Relay,
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

/// What is for sale.
pub const TITLE: &str = "A postcard";

/// What the same goods are called where their offers are sealed.
pub const SEALED_TITLE: &str = "A sealed postcard";

/// What it costs.
pub const PRICE: Amount = Amount(350);

/// What every customer pays in at the cash desk, and withdraws.
pub const CASH: Amount = Amount(500);

/// What is sold.
const GOODS: &[u8] = include_bytes!("../../sample/postcard.txt");

/// Every party of a purchase, in the order in which a diagram shows them.
pub const PARTIES: [Party; 4] = [
    Party::Wallet,
    Party::Node(RoleName::Merchant),
    Party::Node(RoleName::Escrow),
    Party::Node(RoleName::Bank),
];

/// The nodes, the lines and the disks, which a director acts on.
#[derive(Debug)]
pub struct Stage {
    market: Market,
    /// The lines of all wallets.
    wallet_lines: Arc<Lines>,
    /// The parties' disks, where they can be filled.
    pub disks: BTreeMap<Party, SmallDisk>,
}

impl Deref for Stage {
    type Target = Market;

    fn deref(&self) -> &Market {
        &self.market
    }
}

impl Stage {
    /// The line on which `asker` asks the server of this role.
    pub fn line(&self, asker: Party, server: RoleName) -> Option<&Relay> {
        let of_wallets = self.wallet_lines.find(asker, server);
        of_wallets.or_else(|| self.market.lines.find(asker, server))
    }

    /// Nothing is lost any more, and all disks have room.
    pub fn heal(&self) {
        self.wallet_lines.heal();
        self.market.lines.heal();
        for (party, disk) in &self.disks {
            if let Err(error) = disk.free() {
                tracing::error!(%error, party = called(*party), "a disk cannot be made larger again");
            }
        }
    }

    /// The file that is for sale.
    pub fn goods(&self) -> PathBuf {
        self.dir().join("postcard.txt")
    }

    /// A new customer with an account of [`CASH`].
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

/// Where a party keeps its directory.
fn home(dir: &Path, party: Party) -> PathBuf {
    dir.join(called(party))
}

/// A stage, and what is heard of it.
#[derive(Debug)]
pub struct Theatre {
    /// What is acted on.
    pub stage: Arc<Stage>,
    /// What is heard. Whoever waits for a process must listen meanwhile, or it waits for ever.
    pub points: Points,
}

impl Theatre {
    /// Makes a theatre in `dir`, which must not be there yet, and starts its nodes. With `disks`, each party has a disk
    /// that can be filled.
    ///
    /// # Errors
    /// When a node does not do its part, or a disk cannot be mounted.
    pub async fn build(program: &Path, dir: &Path, disks: bool) -> Result<Theatre, RunError> {
        fs::create_dir_all(dir).map_err(RunError::io(dir.display()))?;
        let socket = dir.join("points");
        let points = Points::listen(&socket).map_err(RunError::io(socket.display()))?;
        let mounted = if disks { mount_all(dir)? } else { BTreeMap::new() };
        let layout = Layout {
            dialled: Dialled::OverLines,
            disks: RoleName::ALL
                .map(|role| (role, home(dir, Party::Node(role))))
                .into(),
            probe: Some(socket),
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

    /// Starts these nodes again, so that nothing that they were still doing shows in the next purchase.
    ///
    /// # Errors
    /// When one does not start.
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

    /// Does `work` while every process goes on at once.
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

/// Puts the goods up for sale, on offers of both kinds.
async fn put_up_for_sale(stage: &Stage) -> Result<(), RunError> {
    let goods = stage.goods();
    fs::write(&goods, GOODS).map_err(RunError::io(goods.display()))?;
    for (title, offers) in [(TITLE, Offers::Plain), (SEALED_TITLE, Offers::Sealed)] {
        stage.sell(&goods, title, PRICE, offers).await?;
    }
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
