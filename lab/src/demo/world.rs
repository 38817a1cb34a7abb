//! The world of the demonstration: a bank, an escrow and a merchant as processes of their own, customers with their
//! wallets, and between the customers and the nodes a network that can be told to lose things.

use farthing_client::purchase::Parties;
use farthing_kit::{
    books::Books,
    error::DemoError,
    nodes::Node,
    relay::{Counts, Gate, Relay, Way},
};
use farthing_node::{
    card::{Card, RoleName},
    network::{Lane, Network},
    quic::{ClientLimits, QuicNetwork},
};
use farthing_protocol::money::Amount;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How long their handshakes wait.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

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

/// The three relays through which customers reach the nodes.
#[derive(Debug, Clone)]
pub struct Lines {
    bank: Arc<Relay>,
    escrow: Arc<Relay>,
    merchant: Arc<Relay>,
}

impl Lines {
    /// The relay in front of the node of this role.
    pub fn to(&self, role: RoleName) -> &Relay {
        match role {
            RoleName::Bank => &self.bank,
            RoleName::Escrow => &self.escrow,
            RoleName::Merchant => &self.merchant,
        }
    }

    /// From now on these nodes hear the customers, and their answers are lost.
    pub fn lose_answers_of(&self, roles: &[RoleName]) {
        roles
            .iter()
            .for_each(|role| self.to(*role).set_gate(Way::ToClient, Gate::Handshakes));
    }

    /// Nothing more is lost.
    pub fn heal(&self) {
        RoleName::ALL.iter().for_each(|role| self.to(*role).heal());
    }

    /// What has become of the datagrams with these nodes' answers.
    pub fn answers_of(&self, role: RoleName) -> Counts {
        self.to(role).counts(Way::ToClient)
    }

    /// What reaches the nodes through the relays.
    pub fn network(&self) -> Arc<dyn Network> {
        let lines = self.clone();
        let dial = move |card: &Card, _: Lane| lines.to(card.role).address();
        let limits = ClientLimits {
            connect_timeout: CONNECT_TIMEOUT,
            ..ClientLimits::default()
        };
        Arc::new(QuicNetwork::new().with_dialer(dial).with_limits(limits))
    }
}

/// The world.
#[derive(Debug)]
pub struct World {
    /// Where all of it is.
    pub dir: PathBuf,
    /// The bank.
    pub bank: Node,
    /// The escrow.
    pub escrow: Node,
    /// The merchant.
    pub merchant: Node,
    /// The merchant's account at the bank.
    pub merchant_account: String,
    /// The network between customers and nodes.
    pub lines: Lines,
    /// What most customers buy.
    pub goods: Goods,
    /// What costs the smallest coin.
    pub trifle: Goods,
}

impl World {
    /// Makes the nodes in `dir`, acquaints them with each other, starts them, and puts the goods up for sale.
    ///
    /// # Errors
    /// When a node does not do its part.
    pub async fn build(program: &Path, dir: &Path, goods: Goods, trifle: Goods) -> Result<World, DemoError> {
        let init = |role: RoleName| {
            let dir = dir.join(role.as_str());
            async move { Node::init(program, role, &dir, None).await }
        };
        let (bank, escrow, merchant) = tokio::try_join!(
            init(RoleName::Bank),
            init(RoleName::Escrow),
            init(RoleName::Merchant)
        )?;
        tokio::try_join!(
            bank.knows(escrow.card()),
            escrow.knows(bank.card()),
            merchant.knows(bank.card()),
        )?;
        merchant.knows(escrow.card()).await?;
        // The bank first: whoever asks a node that is not there yet asks again only after a while.
        bank.start().await?;
        escrow.start().await?;
        merchant.start().await?;
        let account = merchant.admin(&["account"], &[]).await?;
        let merchant_account = account
            .get("account")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();
        bank.admin(&["account", "open"], &[merchant_account, "--name", "merchant"])
            .await?;
        for item in [&goods, &trifle] {
            let file = item.file.to_str().ok_or_else(|| DemoError::Goods {
                path: item.file.clone(),
                why: "its name is not UTF-8; give it another".into(),
            })?;
            let price = item.price.to_string();
            merchant
                .admin(
                    &["goods", "add"],
                    &[file, "--title", &item.title, "--price", &price],
                )
                .await?;
        }
        let relay = |node: &Node| Relay::start(node.card().address);
        let (to_bank, to_escrow, to_merchant) =
            tokio::try_join!(relay(&bank), relay(&escrow), relay(&merchant))
                .map_err(DemoError::io("a relay"))?;
        Ok(World {
            dir: dir.to_path_buf(),
            lines: Lines {
                bank: Arc::new(to_bank),
                escrow: Arc::new(to_escrow),
                merchant: Arc::new(to_merchant),
            },
            merchant_account: merchant_account.to_owned(),
            bank,
            escrow,
            merchant,
            goods,
            trifle,
        })
    }

    /// Who takes part in every purchase.
    pub fn parties(&self) -> Parties {
        Parties {
            merchant: self.merchant.card().clone(),
            escrow: self.escrow.card().clone(),
            bank: self.bank.card().clone(),
        }
    }

    /// The bank's books.
    ///
    /// # Errors
    /// As [`Books::of`].
    pub async fn books(&self) -> Result<Books, DemoError> {
        Books::of(&self.bank).await
    }

    /// What the merchant's account holds.
    ///
    /// # Errors
    /// As [`Books::of`].
    pub async fn credited(&self) -> Result<Amount, DemoError> {
        Ok(self.books().await?.balance(&self.merchant_account))
    }

    /// Kills all nodes and waits until they are gone.
    ///
    /// # Errors
    /// When the operating system cannot tell what became of one.
    pub async fn end(self) -> Result<(), DemoError> {
        self.merchant.kill().await?;
        self.escrow.kill().await?;
        Ok(self.bank.kill().await?)
    }
}
