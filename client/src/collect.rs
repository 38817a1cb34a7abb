//! Collecting: what was paid for the wallet's requests goes into its account.
//!
//! Each reserve is asked over a connection of its own, so nothing joins two of them but the account. The wallet stores
//! nothing before it asks. The bank's sums say what is left, and the same deposit has the same id.

use crate::{error::WalletError, peer_client::PeerClient, request::Requested, wallet::Wallet};
use farthing_coin::{SecretKey, Signed};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_protocol::{
    deposit::{Deposit, DepositFrom},
    deposited::{DepositOutput, Payee, text_digest},
    money::Amount,
    reserve::ReserveRequest,
    reserve_sums::ReserveSums,
};

/// The numbers of texts that are for collecting. Those of payments stay below.
const TEXT_NUMBERS: u64 = 1 << 63;

/// What the bank has for a request.
#[derive(Debug)]
pub struct Collected {
    /// The request.
    pub requested: Requested,
    /// What was paid into its reserve so far, and what went into the account now. Or why the bank did not say it.
    pub outcome: Result<(Amount, Amount), WalletError>,
}

impl Wallet {
    /// Asks for each request of this wallet what was paid, and moves it into the wallet's account.
    ///
    /// # Errors
    /// When the store fails. A bank that refuses or does not answer is told in the outcome.
    pub async fn collect(&self) -> Result<Vec<Collected>, WalletError> {
        let mut all = Vec::new();
        for requested in self.requested()? {
            let outcome = collect_one(self, &requested).await;
            all.push(Collected { requested, outcome });
        }
        Ok(all)
    }
}

async fn collect_one(wallet: &Wallet, requested: &Requested) -> Result<(Amount, Amount), WalletError> {
    let bank = wallet.party_by_key(RoleName::Bank, &requested.bank)?;
    let seed = wallet.seed_for(&bank.identity);
    let key = seed.reserve_key(requested.number);
    let mut peer = wallet.peer_client(&bank, Lane::Anonymous);
    let sums = ask_sums(&mut peer, &bank, &key).await?;
    let amount = sums.balance();
    if amount == Amount(0) {
        return Ok((sums.credited, amount));
    }
    let account = wallet.account(&bank.identity)?;
    let salt = seed.text_salt(TEXT_NUMBERS.saturating_add(requested.number));
    let deposit = Deposit {
        bank: bank.identity,
        from: DepositFrom::Reserve(key.public()),
        outputs: vec![DepositOutput {
            to: Payee::Account(account),
            amount,
        }],
        text: text_digest(&salt, &sums.debited.to_string()),
    };
    let answer = peer.must(&deposit.clone().authorized(&[key])).await?;
    match deposit.is_answered_by(&answer) {
        true => Ok((sums.credited, amount)),
        false => Err(wrong(&bank)),
    }
}

/// The sums of the reserve of `key`, signed by the bank.
async fn ask_sums(
    peer: &mut PeerClient<'_>,
    bank: &Card,
    key: &SecretKey,
) -> Result<ReserveSums, WalletError> {
    let request = ReserveRequest {
        bank: bank.identity,
        reserve: key.public(),
    };
    let balance = peer.must(&Signed::sign(request, key)).await?;
    let body = &balance.body;
    let is_right = (body.bank, body.reserve) == (bank.identity, key.public());
    match is_right && balance.verify(&bank.identity).is_ok() {
        true => Ok(body.sums),
        false => Err(wrong(bank)),
    }
}

fn wrong(bank: &Card) -> WalletError {
    WalletError::Garbled {
        party: bank.title(),
        why: "its answer does not fit the question, or is not signed; collect again later".into(),
    }
}
