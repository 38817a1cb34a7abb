//! Coins spent before the run's first customer, in the bank's store as the bank itself writes them.
//!
//! One account received the money, withdrew all coins and was credited for them, so that the books balance. Keys,
//! signatures and challenges are random bytes of their length: the bank does not verify a spent coin again. The rows
//! of the purchases and the customers' recovery records are left out.

use crate::bars;
use anyhow::{Context, Result};
use farthing_bank::{
    bank::Bank,
    desk::{Move, move_money, move_money_reads, open_account, open_account_reads},
    node::BankNode,
    policy::Policy,
    rows::{Direction, KEY_TOTALS, WITHDRAWN, count_issued, move_coins},
};
use farthing_coin::{
    Challenge, EncodedPoint, EncodedScalar, KeyId, PublicKey, RequestId, Response, SecretKey, Signature,
    StatementDigest,
};
use farthing_protocol::{
    coins::CoinState,
    documents::{CoinUse, EarlierUse, Issued},
    limits::COINS_PER_REQUEST_MAX,
    money::Amount,
};
use farthing_store::{
    Reads, StoreError, Transaction,
    clock::{Clock, SystemClock},
    entropy::{Entropy, SystemEntropy},
};
use std::path::Path;

/// The coins of one transaction: full withdrawals, within the bounds of a transaction.
const TOGETHER: usize = 16 * COINS_PER_REQUEST_MAX;

/// Writes spent coins of the largest value into the store of the bank in `dir`, which must not run.
pub(crate) async fn fill(dir: &Path, coins: u64) -> Result<()> {
    let node = BankNode::open(dir).await?;
    let (owner, key) = pay_in(node.bank(), coins).await?;
    let bar = bars::filling(coins);
    let mut left = usize::try_from(coins)?;
    while left > 0 {
        let count = left.min(TOGETHER);
        let store = node.bank().store();
        let withdrawals = withdrawn(owner, key, count);
        store
            .transact([KEY_TOTALS.key(&key)], move |tx| {
                let mut withdrawals = withdrawals.iter();
                withdrawals.try_for_each(|withdrawal| withdraw_and_spend(tx, owner, withdrawal))
            })
            .await?;
        bar.inc(count as u64);
        left -= count;
    }
    // Closing a large store takes seconds, and blocks.
    tokio::task::spawn_blocking(|| node.close()).await??;
    bar.finish_and_clear();
    Ok(())
}

/// Opens an account that holds the worth of these coins. Returns the id of the key of the coins that every purchase
/// here is paid with.
async fn pay_in(bank: &Bank, coins: u64) -> Result<(PublicKey, KeyId)> {
    let (keys, now_ms) = (bank.keys(), SystemClock.now_ms());
    let book = keys.book();
    let top = book.list().values.last().copied().unwrap_or_default();
    let key = book
        .issuing(top, now_ms)
        .context("the bank issues no coins")?
        .id();
    let entropy: &dyn Entropy = &SystemEntropy;
    let owner = SecretKey::generate(&mut entropy.rng()).public();
    let asked = Move {
        direction: Direction::In,
        account: owner,
        amount: Amount(top.saturating_mul(coins)),
        reference: "coins spent before".into(),
    };
    let reads = Reads::from(open_account_reads(&owner)).and(move_money_reads(&asked));
    let paid_in = bank.store().transact(reads, move |tx| {
        let opened = open_account(tx, owner, None, now_ms)?;
        let moved = move_money(tx, &asked, &Policy::default(), now_ms)?;
        Ok(opened.and(moved))
    });
    paid_in.await??;
    Ok((owner, key))
}

/// A withdrawal, and the purchases that spent its coins.
struct Withdrawal {
    issued: Issued,
    coins: Vec<(KeyId, PublicKey)>,
    spent: Vec<CoinState>,
}

/// Withdrawals of this number of coins.
fn withdrawn(owner: PublicKey, key: KeyId, coins: usize) -> Vec<Withdrawal> {
    let outputs = vec![key; coins];
    let withdrawals = outputs.chunks(COINS_PER_REQUEST_MAX).map(|outputs| {
        let (coins, spent) = outputs.iter().map(|key| spent(*key)).unzip();
        Withdrawal {
            issued: issued(owner, outputs),
            coins,
            spent,
        }
    });
    withdrawals.collect()
}

fn withdraw_and_spend(
    tx: &mut Transaction<'_>,
    owner: PublicKey,
    withdrawal: &Withdrawal,
) -> Result<(), StoreError> {
    let Withdrawal { issued, coins, spent } = withdrawal;
    WITHDRAWN.put(tx, &(owner, issued.request_id), issued)?;
    count_issued(tx, issued)?;
    move_coins(tx, coins, &vec![CoinState::Unseen; coins.len()], spent)
}

fn issued(owner: PublicKey, outputs: &[KeyId]) -> Issued {
    let response = |_: &KeyId| Response {
        z: EncodedScalar(random()),
        b: EncodedScalar(random()),
        y: EncodedScalar(random()),
    };
    Issued {
        request_id: RequestId(random()),
        source: owner.into(),
        outputs: outputs.to_vec(),
        challenges: outputs.iter().map(|_| Challenge(random())).collect(),
        responses: outputs.iter().map(response).collect(),
    }
}

fn spent(key: KeyId) -> ((KeyId, PublicKey), CoinState) {
    let authorization = Signature {
        commitment: EncodedPoint(random()),
        response: EncodedScalar(random()),
    };
    let earlier = EarlierUse {
        operation: CoinUse::Hold,
        digest: StatementDigest(random()),
        authorization,
    };
    ((key, PublicKey(random())), CoinState::Spent(earlier))
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    SystemEntropy.fill(&mut bytes);
    bytes
}
