//! A customer of the demonstration. The wallet runs in this process, so that its script can act at exact moments of its
//! work.

use super::scene::{Goods, Scene};
use farthing_client::peer_client::RetryPolicy;
use farthing_client::{
    coins::Balance,
    error::WalletError,
    rows::Delivery,
    wallet::{Env, Wallet},
};
use farthing_coin::Seed;
use farthing_kit::{
    books::{EscrowDecision, decisions},
    error::{RunError, must},
    lines::Lines,
    nodes::Node,
    points::Party,
    script::Script,
};
use farthing_node::{
    card::{Card, RoleName},
    network::{Lane, Network},
    network_file::NetworkFile,
    quic::QuicNetwork,
    transport::ClientLimits,
};
use farthing_protocol::money::Amount;
use farthing_store::{
    StoreOptions,
    clock::SystemClock,
    entropy::{Entropy, SystemEntropy},
};
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The retry policy of the demonstration's wallets: long enough for a busy machine, and short enough for a person who
/// watches.
pub const RETRY_POLICY: RetryPolicy = RetryPolicy {
    attempt: Duration::from_millis(500),
    total: Duration::from_millis(1000),
};

/// The time limit of their handshakes.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How often a wallet without an answer is resumed, when no messages are lost any more.
const CARRY_ON_MAX: usize = 20;

/// The size of a comparison buffer (bytes).
const READ_BYTES: usize = 64 * 1024;

/// A customer, and the wallet.
#[derive(Debug)]
pub struct Shopper {
    /// The customer's name.
    pub name: &'static str,
    /// The wallet.
    pub wallet: Wallet,
    /// The script that observes the wallet.
    pub script: Arc<Script>,
}

/// The network over these lines.
fn network(lines: &Arc<Lines>) -> Arc<dyn Network> {
    let lines = Arc::clone(lines);
    let dial = move |card: &Card, _: Lane| lines.card(Party::Wallet, card).address;
    let limits = ClientLimits {
        connect_timeout: CONNECT_TIMEOUT,
        ..ClientLimits::default()
    };
    Arc::new(QuicNetwork::new().with_dialer(dial).with_limits(limits))
}

/// Adds the customer's name to a wallet error.
pub fn of(name: &'static str) -> impl Fn(WalletError) -> RunError {
    move |source| RunError::Wallet {
        who: name.into(),
        source,
    }
}

impl Shopper {
    /// Opens the wallet in `dir`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(name: &'static str, dir: PathBuf, lines: &Arc<Lines>) -> Result<Shopper, RunError> {
        let script = Arc::new(Script::default());
        let env = Env {
            key: None,
            route: Default::default(),
            network: network(lines),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            observer: script.clone(),
            retry: RETRY_POLICY,
            store: StoreOptions::default(),
        };
        let wallet = Wallet::open(&dir, env).map_err(of(name))?;
        Ok(Shopper { name, wallet, script })
    }

    /// The key of the customer's account (hex).
    ///
    /// # Errors
    /// When the wallet cannot be read.
    pub fn account(&self) -> Result<String, RunError> {
        let bank = self.wallet.party(RoleName::Bank, None).map_err(of(self.name))?;
        let account = self.wallet.account(&bank.identity).map_err(of(self.name))?;
        Ok(account.to_string())
    }

    /// Adds this customer's name to `error`.
    pub fn failed(&self, error: WalletError) -> RunError {
        of(self.name)(error)
    }

    /// The worth of the wallet, including coins that are in use.
    ///
    /// # Errors
    /// When the wallet cannot be read.
    pub fn worth(&self) -> Result<Amount, RunError> {
        let balances = self.wallet.balances().map_err(of(self.name))?;
        // The scene has one bank.
        Ok(balances.first().map_or(Amount(0), Balance::total))
    }

    /// Withdraws `amount`.
    ///
    /// # Errors
    /// When the bank refuses or does not answer.
    pub async fn withdraw(&self, scene: &Scene, amount: Amount) -> Result<(), RunError> {
        let before = self.worth()?;
        match self.wallet.withdraw(scene.bank.card(), amount).await {
            Err(error) if error.is_silence() => self.resume().await?,
            outcome => outcome.map_err(of(self.name))?,
        }
        let gained = self.worth()?.checked_sub(before);
        must(gained == Some(amount), || {
            format!("{} withdrew {amount} and has {gained:?} more", self.name)
        })
    }

    /// Gets an offer for `goods`. No coins are used yet.
    ///
    /// # Errors
    /// When the merchant does not answer.
    pub async fn begin(&self, scene: &Scene, goods: &Goods) -> Result<u64, RunError> {
        let file = goods.file.file_name().unwrap_or_default().to_string_lossy();
        let number = self.wallet.purchases().map_err(of(self.name))?.len();
        let output = self.wallet.dir().join(format!("bought-{number}-{file}"));
        let mut tries = 0;
        loop {
            tries += 1;
            match self
                .wallet
                .begin_purchase(&scene.parties(), goods.title.as_str(), &output)
                .await
            {
                Err(error) if error.is_silence() && tries < CARRY_ON_MAX => {}
                outcome => return outcome.map_err(of(self.name)),
            }
        }
    }

    /// Drives a purchase until it has ended.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn carry_on(&self, number: u64) -> Result<(), RunError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.wallet.drive_purchase(number).await {
                Err(error) if error.is_silence() && tries < CARRY_ON_MAX => {}
                outcome => return outcome.map_err(of(self.name)),
            }
        }
    }

    /// Cancels a purchase and drives it until it has ended.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn cancel(&self, number: u64) -> Result<(), RunError> {
        match self.wallet.cancel(number).await {
            Err(error) if error.is_silence() => self.carry_on(number).await,
            outcome => outcome.map_err(of(self.name)),
        }
    }

    /// Resumes everything that is under way.
    ///
    /// # Errors
    /// When something does not end.
    pub async fn resume(&self) -> Result<(), RunError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let resumed = self.wallet.resume().await.map_err(of(self.name))?;
            match resumed.open.into_iter().next() {
                None => return Ok(()),
                Some((_, error)) if error.is_silence() && tries < CARRY_ON_MAX => {}
                Some((_, error)) => return Err(of(self.name)(error)),
            }
        }
    }

    /// Drives a purchase into the planned loss, until the wallet's call times out.
    ///
    /// # Errors
    /// When the wallet does anything except wait. Then nothing was lost, or something is broken.
    pub async fn run_into_silence(&self, number: u64) -> Result<(), RunError> {
        match self.wallet.drive_purchase(number).await {
            Err(error) if error.is_silence() => Ok(()),
            Err(error) => Err(of(self.name)(error)),
            Ok(()) => {
                let status = self.status(number)?;
                Err(RunError::Broken(format!(
                    "purchase {number} of {} reached `{status}` although its messages were lost",
                    self.name
                )))
            }
        }
    }

    /// The status of a purchase.
    ///
    /// # Errors
    /// When the purchase does not exist.
    pub fn status(&self, number: u64) -> Result<&'static str, RunError> {
        Ok(self
            .wallet
            .purchase(number)
            .map_err(of(self.name))?
            .purchase
            .status())
    }

    /// The id of a purchase (hex).
    ///
    /// # Errors
    /// When the purchase does not exist, or has no coins yet.
    pub fn purchase_id(&self, number: u64) -> Result<String, RunError> {
        let row = self.wallet.purchase(number).map_err(of(self.name))?;
        let order = row.purchase.order();
        let order = order.ok_or_else(|| RunError::Broken(format!("purchase {number} has no coins")))?;
        Ok(hex::encode(order.purchase().0))
    }

    /// Checks that a purchase was committed and that the customer's file equals the goods.
    ///
    /// # Errors
    /// [`RunError::Broken`] when they are not.
    pub fn must_have(&self, number: u64, goods: &Goods) -> Result<(), RunError> {
        let row = self.wallet.purchase(number).map_err(of(self.name))?;
        let status = row.purchase.status();
        must(
            status == "committed" && row.delivery == Delivery::Delivered,
            || {
                format!(
                    "purchase {number} of {} ended as `{status}`, {:?}",
                    self.name, row.delivery
                )
            },
        )?;
        let same = same_bytes(&row.output, &goods.file).map_err(RunError::io(row.output.display()))?;
        must(same, || {
            format!("{} is not what the merchant sold", row.output.display())
        })
    }
}

/// Whether two files are equal.
fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let open = |path: &Path| File::open(path).map(|file| BufReader::with_capacity(READ_BYTES, file));
    let (mut one, mut other) = (open(one)?, open(other)?);
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let count = left.len().min(right.len());
        if count == 0 {
            return Ok(left.len() == right.len());
        }
        if left.get(..count) != right.get(..count) {
            return Ok(false);
        }
        one.consume(count);
        other.consume(count);
    }
}

impl Scene {
    /// The escrow's decision on a purchase of this customer.
    ///
    /// # Errors
    /// When the escrow does not answer its operator.
    pub async fn decision(&self, of: &Shopper, number: u64) -> Result<Option<EscrowDecision>, RunError> {
        Ok(decisions(&self.escrow).await?.remove(&of.purchase_id(number)?))
    }

    /// Creates a customer with an account at the bank, which the cash desk credits with `cash`, if it is more than 0.
    ///
    /// # Errors
    /// When the wallet cannot be created, or the bank refuses.
    pub async fn shopper(&self, name: &'static str, cash: Amount) -> Result<Shopper, RunError> {
        let dir = self.dir().join(name);
        let entropy: &dyn Entropy = &SystemEntropy;
        let seed = Seed::generate(&mut entropy.rng());
        Wallet::create(&dir, &seed).map_err(of(name))?;
        let mut cards = NetworkFile::load(&dir).map_err(|why| of(name)(why.into()))?;
        for card in self
            .cards()
            .into_iter()
            .chain(self.relay.as_ref().map(Node::card))
        {
            cards.add(card.clone()).map_err(|why| of(name)(why.into()))?;
        }
        let shopper = Shopper::open(name, dir, &self.wallet_lines)?;
        let account = shopper.account()?;
        self.open_account(&account, name).await?;
        if cash > Amount(0) {
            self.pay_in(&account, cash).await?;
        }
        Ok(shopper)
    }
}
