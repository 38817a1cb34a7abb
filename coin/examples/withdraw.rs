//! A bank issues coins that it cannot recognize later: one coin step by step, then a batch.
//!
//! `cargo run -p farthing-coin --example withdraw`

use std::error::Error;

use farthing_coin::{
    Batch, BootId, Calendar, Coin, Denomination, DenominationSecret, EpochKeys, KeyBook, KeyList,
    MasterSecret, Nonces, RequestId, SecretKey, Seed, Signed, Statement, StatementDigest, blind, recover,
};
use getrandom::SysRng;
use rand_core::UnwrapErr;

/// The value of each coin, in the currency's smallest unit.
const VALUE: u64 = 64;
/// The epoch in which the bank issues.
const EPOCH: u32 = 3;

/// The bank: its signed list of keys, and the secret of the one denomination in it.
struct Bank {
    keys: Signed<KeyList>,
    secret: DenominationSecret,
}

impl Bank {
    /// Makes a bank with one value and one epoch.
    fn new(identity: &SecretKey, master: &MasterSecret) -> Self {
        let secret = DenominationSecret::derive(master, VALUE, EPOCH);
        let list = KeyList {
            bank: identity.public(),
            currency: "FTH".into(),
            calendar: Calendar {
                epoch_ms: 86_400_000,
                spend_epochs: 2,
                redeem_epochs: 2,
            },
            values: vec![VALUE],
            epochs: vec![EpochKeys {
                epoch: EPOCH,
                keys: vec![secret.public()],
            }],
        };
        Self {
            keys: Signed::sign(list, identity),
            secret,
        }
    }
}

/// Withdraws the coin of `slot`. It runs both sides, in the order of their messages.
fn withdraw(
    bank: &Bank,
    wallet: &Seed,
    denomination: &Denomination,
    slot: u32,
) -> Result<Coin, Box<dyn Error>> {
    // Wallet: a counter names the request. The same number always gives the same keys, so a lost file loses no coin.
    let request = wallet.withdraw_id(0);
    let key = wallet.coin_key(&request, slot).public();

    // Bank: fresh nonces, and the first message. The nonces are only in memory.
    let (nonces, commitment) = Nonces::generate(
        &mut UnwrapErr(SysRng),
        &BootId([1; 32]),
        &slot.to_le_bytes(),
        &wallet.client_randomness(&request),
    );

    // Wallet: blinds the coin's key. The bank sees only the challenge.
    let blinders = wallet.blinders(&request, slot, &denomination.id(), &commitment);
    let challenge = blind(denomination, &key, &commitment, &blinders)?;

    // Bank: answers once. The call consumes the nonces, because a second answer would reveal the secret key.
    let response = nonces.respond(&bank.secret, &challenge)?;

    // Wallet: recovers the coin. It derives the blinders again from what the bank stored.
    let derive = |id: &_, first: &_| wallet.blinders(&request, slot, id, first);
    Ok(recover(denomination, &key, &challenge, &response, derive)?)
}

/// The statement that the holder signs to spend a coin for one purpose.
fn authorization(coin: &Coin, purpose: StatementDigest) -> Statement {
    Statement {
        context: "example spend",
        key_id: coin.key_id,
        digest: purpose,
    }
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let mut rng = UnwrapErr(SysRng);
    let identity = SecretKey::generate(&mut rng);
    let bank = Bank::new(&identity, &MasterSecret::from_bytes([7; 32]));
    let wallet = Seed::generate(&mut rng);

    // The wallet takes keys only from a list that the bank has signed.
    let keys = KeyBook::new(bank.keys.clone(), &identity.public())?;
    let denomination = keys.denomination(VALUE, EPOCH).ok_or("the list has the key")?;
    println!("bank {} issues coins of {VALUE}", identity.public());

    // One coin, verified by anyone who has the bank's keys.
    let coin = withdraw(&bank, &wallet, denomination, 0)?;
    coin.verify(denomination)?;
    println!("coin {} is good", coin.public);

    // More coins, each with its holder's authorization, in one multiplication.
    let request: RequestId = wallet.withdraw_id(0);
    let mut batch = Batch::new();
    for slot in 0..4 {
        let coin = withdraw(&bank, &wallet, denomination, slot)?;
        let statement = authorization(&coin, StatementDigest([9; 32]));
        let signature = wallet.coin_key(&request, slot).sign(&statement);
        batch.coin_with_authorization(slot as usize, &coin, denomination, &statement, &signature);
    }
    println!("{} equations in one batch", batch.len());
    batch.verify(&mut rng).map_err(|culprit| format!("{culprit:?}"))?;

    // The key id covers the value, so a coin has no other value.
    let dearer = Denomination {
        value: 2 * VALUE,
        ..denomination.clone()
    };
    println!("as a coin of {}: {:?}", dearer.value, coin.verify(&dearer));
    Ok(())
}
