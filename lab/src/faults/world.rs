//! A bank, an escrow, a merchant and their customers, each a process, with a line of its own between any two that speak
//! to each other. Every process waits at every point for the world's director.

use super::{disk::SmallDisk, matrix::called};
use farthing_client::wallet::Wallet;
use farthing_coin::Seed;
use farthing_kit::{
    books::Books,
    error::DemoError,
    nodes::Node,
    points::{Party, Points},
    relay::Relay,
};
use farthing_node::{
    card::{Card, RoleName},
    network_file::NetworkFile,
};
use farthing_protocol::money::Amount;
use farthing_store::entropy::{Entropy, SystemEntropy};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
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

/// Who asks whom on the way of a purchase.
const LINES: [(Party, RoleName); 7] = [
    (Party::Wallet, RoleName::Bank),
    (Party::Wallet, RoleName::Escrow),
    (Party::Wallet, RoleName::Merchant),
    (Party::Node(RoleName::Escrow), RoleName::Bank),
    (Party::Node(RoleName::Merchant), RoleName::Escrow),
    (Party::Node(RoleName::Merchant), RoleName::Bank),
    (Party::Node(RoleName::Bank), RoleName::Escrow),
];

/// Every party of a purchase, in the order in which a diagram shows them.
pub const PARTIES: [Party; 4] = [
    Party::Wallet,
    Party::Node(RoleName::Merchant),
    Party::Node(RoleName::Escrow),
    Party::Node(RoleName::Bank),
];

/// The nodes and the lines, which a director acts on.
#[derive(Debug)]
pub struct Stage {
    /// The program that is wallet and node.
    pub program: PathBuf,
    /// Where all of it is.
    pub dir: PathBuf,
    /// The socket on which every process tells of its points.
    pub socket: PathBuf,
    nodes: BTreeMap<RoleName, Node>,
    lines: BTreeMap<(Party, RoleName), Relay>,
    /// The parties' disks, where they can be filled.
    pub disks: BTreeMap<Party, SmallDisk>,
    /// The key of the merchant's account (hex).
    pub merchant_account: String,
}

impl Stage {
    /// The node of this role.
    ///
    /// # Errors
    /// Never: there is one of each.
    pub fn node(&self, role: RoleName) -> Result<&Node, DemoError> {
        let missing = || DemoError::Broken(format!("there is no {role}"));
        self.nodes.get(&role).ok_or_else(missing)
    }

    /// The line on which `asker` asks the server of this role.
    pub fn line(&self, asker: Party, server: RoleName) -> Option<&Relay> {
        self.lines.get(&(asker, server))
    }

    /// Nothing is lost any more, and all disks have room.
    pub fn heal(&self) {
        self.lines.values().for_each(Relay::heal);
        for (party, disk) in &self.disks {
            if let Err(error) = disk.free() {
                tracing::error!(%error, party = called(*party), "a disk cannot be made larger again");
            }
        }
    }

    /// The card under which `asker` knows the node of this role: its keys, and the address of the line.
    fn card(&self, asker: Party, server: RoleName) -> Result<Card, DemoError> {
        let card = self.node(server)?.card().clone();
        let line = self.line(asker, server).map_or(card.address, Relay::address);
        Ok(Card {
            address: line,
            ..card
        })
    }

    /// The bank's books.
    ///
    /// # Errors
    /// As [`Books::of`].
    pub async fn books(&self) -> Result<Books, DemoError> {
        Books::of(self.node(RoleName::Bank)?).await
    }

    /// The file that is for sale.
    pub fn goods(&self) -> PathBuf {
        self.dir.join("postcard.txt")
    }

    /// Where a party keeps its directory.
    fn home(&self, party: Party) -> PathBuf {
        home(&self.dir, party)
    }

    /// A new customer with an account of [`CASH`]: the wallet's directory, and the account's key (hex).
    ///
    /// # Errors
    /// When her wallet cannot be made, or the bank refuses.
    pub async fn newcomer(&self, name: &str) -> Result<(PathBuf, String), DemoError> {
        let failed = |source| DemoError::Wallet {
            who: name.to_owned(),
            source,
        };
        let dir = self.home(Party::Wallet).join(name);
        let entropy: &dyn Entropy = &SystemEntropy;
        let seed = Seed::generate(&mut entropy.rng());
        Wallet::create(&dir, &seed).map_err(failed)?;
        let mut cards = NetworkFile::load(&dir).map_err(|why| failed(why.into()))?;
        for role in RoleName::ALL {
            let card = self.card(Party::Wallet, role)?;
            cards.add(card).map_err(|why| failed(why.into()))?;
        }
        let identity = self.card(Party::Wallet, RoleName::Bank)?.identity;
        let account = seed.bank_account_key(&identity).public().to_string();
        let bank = self.node(RoleName::Bank)?;
        bank.admin(&["account", "open"], &[&account, "--name", name])
            .await?;
        bank.admin(&["account", "credit"], &[&account, &CASH.to_string()])
            .await?;
        Ok((dir, account))
    }
}

fn home(dir: &Path, party: Party) -> PathBuf {
    dir.join(called(party))
}

/// A world: the stage, and what is heard of it.
#[derive(Debug)]
pub struct World {
    /// What is acted on.
    pub stage: Arc<Stage>,
    /// What is heard. Whoever waits for a process must listen meanwhile, or it waits for ever.
    pub points: Points,
}

impl World {
    /// Makes a world in `dir`, which must not be there yet, and starts its nodes. With `disks`, each party has a disk
    /// that can be filled.
    ///
    /// # Errors
    /// When a node does not do its part, or a disk cannot be mounted.
    pub async fn build(program: &Path, dir: &Path, disks: bool) -> Result<World, DemoError> {
        fs::create_dir_all(dir).map_err(DemoError::io(dir.display()))?;
        let socket = dir.join("points");
        let points = Points::listen(&socket).map_err(DemoError::io(socket.display()))?;
        let mounted = if disks { mount_all(dir)? } else { BTreeMap::new() };
        let mut nodes = BTreeMap::new();
        let mut lines = BTreeMap::new();
        for role in RoleName::ALL {
            let home = home(dir, Party::Node(role)).join("node");
            let node = Node::init(program, role, &home, None).await?;
            nodes.insert(role, node.with_probe(Some(socket.clone())));
        }
        for (asker, server) in LINES {
            if let Some(node) = nodes.get(&server) {
                let line = Relay::start(node.card().address).await;
                lines.insert((asker, server), line.map_err(DemoError::io("a relay"))?);
            }
        }
        let mut stage = Stage {
            program: program.to_owned(),
            dir: dir.to_owned(),
            socket,
            nodes,
            lines,
            disks: mounted,
            merchant_account: String::new(),
        };
        stage.introduce().await?;
        stage.merchant_account = stage.furnish().await?;
        let mut world = World {
            stage: Arc::new(stage),
            points,
        };
        let stage = Arc::clone(&world.stage);
        world.letting_go(start(&stage)).await?;
        Ok(world)
    }

    /// Starts these nodes again, so that nothing that they were still doing shows in the next purchase.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start_again(&mut self, roles: &BTreeSet<RoleName>) -> Result<(), DemoError> {
        let stage = Arc::clone(&self.stage);
        let restart = async {
            for role in roles {
                stage.node(*role)?.restart().await?;
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

/// The bank first: whoever asks a node that is not there yet asks again only after a while.
async fn start(stage: &Stage) -> Result<(), DemoError> {
    for role in [RoleName::Bank, RoleName::Escrow, RoleName::Merchant] {
        stage.node(role)?.start().await?;
    }
    Ok(())
}

impl Stage {
    /// Has every node know those that it asks.
    async fn introduce(&self) -> Result<(), DemoError> {
        for (asker, server) in LINES {
            if let Party::Node(role) = asker {
                let card = self.card(asker, server)?.to_string();
                self.node(role)?.admin(&["network", "add"], &[&card]).await?;
            }
        }
        Ok(())
    }

    /// Puts the goods up for sale and opens the merchant's account, whose key is returned.
    async fn furnish(&self) -> Result<String, DemoError> {
        let (goods, price) = (self.goods(), PRICE.to_string());
        fs::write(&goods, GOODS).map_err(DemoError::io(goods.display()))?;
        let file = goods.to_string_lossy();
        let merchant = self.node(RoleName::Merchant)?;
        let add = [file.as_ref(), "--price", &price, "--title"];
        for item in [&[TITLE][..], &[SEALED_TITLE, "--sealed"]] {
            merchant
                .admin(&["goods", "add"], &[&add[..], item].concat())
                .await?;
        }
        let account = merchant.admin(&["account"], &[]).await?;
        let account = account.get("account").and_then(Value::as_str).unwrap_or_default();
        let bank = self.node(RoleName::Bank)?;
        bank.admin(&["account", "open"], &[account, "--name", "merchant"])
            .await?;
        Ok(account.to_owned())
    }
}

fn mount_all(dir: &Path) -> Result<BTreeMap<Party, SmallDisk>, DemoError> {
    let mut disks = BTreeMap::new();
    for party in PARTIES {
        let home = home(dir, party);
        fs::create_dir_all(&home).map_err(DemoError::io(home.display()))?;
        let disk = SmallDisk::mount(&home).map_err(DemoError::io("a disk that can be filled"))?;
        disks.insert(party, disk);
    }
    Ok(disks)
}
