//! Prepared exchanges: what does not depend on the bank's first message is computed before the clock starts.
//!
//! The customers are real wallets until then. The coins come from withdrawals. During the run nothing is stored, so a
//! wallet does not know the fresh coins. They are worth the same as the old ones, so the audit still agrees.

use crate::{asked::Asked, everyone::Everyone, target::Target};
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use farthing_client::{
    rows::CoinStatus,
    wallet::{SEED_FILE, Wallet},
};
use farthing_coin::{KeyBook, SecretKey, Seed, Signed};
use farthing_node::{
    call::ask,
    card::Card,
    network::{Channel, Lane, Network},
    relayed::{KeyWitness, RelayedNetwork},
    usage::Usage,
};
use farthing_protocol::{
    api::KeysRequest,
    exchange::{Authorized, Exchange, ExchangeBegin},
    issuance::{Issuance, IssuanceAsk},
    issue::IssueState,
    oblivious::EncryptionKey,
};
use farthing_store::{clock::SystemClock, entropy::SystemEntropy};
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

/// The number of exchanges of one customer.
pub(crate) const EXCHANGES_EACH: u64 = 32;

/// Coins of one exchange.
const COINS_EACH: usize = 2;

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// All customers that have exchanges left, by the directory of their wallet.
#[derive(Default)]
pub(crate) struct Customers(Mutex<BTreeMap<PathBuf, Arc<Customer>>>);

/// A customer without a store.
struct Customer {
    network: Arc<dyn Network>,
    bank: Card,
    keys: Arc<KeyBook>,
    /// The seed for the bank.
    seed: Seed,
    ready: Mutex<Vec<Ready>>,
}

/// An exchange whose first request is signed.
struct Ready {
    exchange: Exchange,
    begin: Authorized<ExchangeBegin>,
    signers: Vec<SecretKey>,
}

/// Believes the relay. A wallet keeps the keys that it was told.
struct Believing;

#[async_trait]
impl KeyWitness for Believing {
    async fn remember(&self, _: &Signed<EncryptionKey>) -> Result<bool, String> {
        Ok(true)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Customers {
    /// Prepares the exchanges of `wallets`. Returns the client's CPU time for one (us).
    pub(crate) async fn prepare(&self, target: &Target, wallets: &[Arc<Wallet>]) -> Result<f64> {
        let bank = target.bank.card();
        let channel = Everyone.connect(bank, Lane::Anonymous).await?;
        let signed = ask(channel.as_ref(), KeysRequest, PATIENCE).await?;
        let keys = Arc::new(KeyBook::new(signed, &bank.identity)?);
        let before = Usage::of_this_process().cpu_us;
        let mut count = 0;
        for wallet in wallets {
            let customer = Customer::new(target, wallet, Arc::clone(&keys))?;
            count += lock(&customer.ready).len();
            lock(&self.0).insert(wallet.dir().to_path_buf(), Arc::new(customer));
        }
        let worked_us = Usage::of_this_process().cpu_us.saturating_sub(before);
        Ok(worked_us as f64 / count.max(1) as f64)
    }

    /// Does one exchange of this wallet's customer.
    pub(crate) async fn exchange(&self, wallet: &Wallet, asked: &Asked) -> Result<()> {
        let customer = lock(&self.0).get(wallet.dir()).cloned();
        let customer = customer.context("a customer was not prepared")?;
        let (next, is_last) = {
            let mut ready = lock(&customer.ready);
            (ready.pop(), ready.is_empty())
        };
        if is_last {
            // The connection to the relay ends with the customer.
            lock(&self.0).remove(wallet.dir());
        }
        customer
            .exchange(next.context("a customer has no prepared exchange left")?, asked)
            .await
    }
}

impl Customer {
    fn new(target: &Target, wallet: &Wallet, keys: Arc<KeyBook>) -> Result<Customer> {
        let bank = target.bank.card().clone();
        let phrase = fs::read_to_string(wallet.dir().join(SEED_FILE))?;
        let seed = Seed::from_phrase(phrase.trim())?.for_bank(&bank.identity);
        let coins = wallet.present_coins()?;
        let coins: Vec<_> = coins
            .into_iter()
            .filter(|row| row.status == CoinStatus::Available)
            .collect();
        let mut ready = Vec::new();
        for (number, inputs) in (0u64..).zip(coins.chunks_exact(COINS_EACH)) {
            let exchange = Exchange {
                bank: bank.identity,
                request_id: seed.exchange_id(number),
                inputs: inputs.iter().map(|row| row.coin).collect(),
                outputs: inputs.iter().map(|row| row.coin.key_id).collect(),
                state: IssueState::Beginning,
            };
            let key = |row: &farthing_client::rows::CoinRow| {
                seed.coin_key(&row.origin.request_id(&seed), row.origin.slot.into())
            };
            let signers: Vec<SecretKey> = inputs.iter().map(key).collect();
            let IssuanceAsk::Begin(begin) = exchange.ask(&signers, &seed) else {
                bail!("a new exchange does not begin");
            };
            ready.push(Ready {
                exchange,
                begin,
                signers,
            });
        }
        Ok(Customer {
            network: network(target),
            bank,
            keys,
            seed,
            ready: Mutex::new(ready),
        })
    }

    async fn exchange(&self, ready: Ready, asked: &Asked) -> Result<()> {
        let Ready {
            exchange,
            begin,
            signers,
        } = ready;
        let channel: Arc<dyn Channel> = self.network.connect(&self.bank, Lane::Anonymous).await?;
        asked.questions.fetch_add(1, Ordering::Relaxed);
        let begun = ask(channel.as_ref(), begin, PATIENCE).await?;
        let exchange = exchange.on_begun(&begun, &self.keys, &self.seed)?;
        let IssuanceAsk::Finish(finish) = exchange.ask(&signers, &self.seed) else {
            bail!("an exchange with a session does not finish");
        };
        asked.questions.fetch_add(1, Ordering::Relaxed);
        let issued = ask(channel.as_ref(), finish, PATIENCE).await?;
        let (_, coins) = exchange.on_issued(&issued, &self.keys, &self.seed)?;
        if coins.len() != COINS_EACH {
            bail!("{} coins were issued, and not {COINS_EACH}", coins.len());
        }
        Ok(())
    }
}

/// The network of one customer, who shares nothing with another.
fn network(target: &Target) -> Arc<dyn Network> {
    let direct = Arc::new(Everyone);
    match &target.relay {
        None => direct,
        Some(relay) => Arc::new(RelayedNetwork::new(
            direct,
            relay.card().clone(),
            Arc::new(Believing),
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
        )),
    }
}
