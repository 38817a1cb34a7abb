//! Accounts in a store. It opens accounts, moves money between their owners, and reads it after a restart.
//!
//! `cargo run -p farthing-store --example accounts`

use farthing_store::{Reads, Store, StoreError, StoreOptions, Table};
use std::ops::Bound;
use std::path::Path;

/// Balances, by account number.
const BALANCES: Table<u64, u64> = Table::new(1, "balances");
/// Account numbers, by the name of the owner.
const NUMBERS: Table<String, u64> = Table::new(2, "numbers");

fn open_account(store: &Store, name: &str, number: u64, balance: u64) -> Result<(), StoreError> {
    let name = name.to_owned();
    store.transact_blocking([NUMBERS.key(&name)], move |tx| {
        if NUMBERS.get(tx, &name)?.is_some() {
            return Err(StoreError::Refused(format!("{name} has an account")));
        }
        NUMBERS.put(tx, &name, &number)?;
        BALANCES.put(tx, &number, &balance)
    })
}

/// Moves money. The balances' keys are in other rows, so they are declared in a second stage.
fn pay(store: &Store, from: &str, to: &str, amount: u64) -> Result<(), StoreError> {
    let names = [from.to_owned(), to.to_owned()];
    let reads = {
        let names = names.clone();
        Reads::from(names.each_ref().map(|name| NUMBERS.key(name))).then(move |rows| {
            let mut balances = Vec::new();
            for name in &names {
                balances.extend(rows.get(&NUMBERS, name)?.map(|number| BALANCES.key(&number)));
            }
            Ok(balances)
        })
    };
    store.transact_blocking(reads, move |tx| {
        let mut accounts = Vec::new();
        for name in &names {
            let number = NUMBERS.get(tx, name)?;
            let number = number.ok_or_else(|| StoreError::Refused(format!("{name} has no account")))?;
            accounts.push((number, BALANCES.get(tx, &number)?.unwrap_or_default()));
        }
        let [(payer, has), (payee, gets)] = accounts[..] else {
            return Err(StoreError::Refused("two accounts are needed".into()));
        };
        if payer == payee {
            return Err(StoreError::Refused("payer and payee are the same".into()));
        }
        let left = has.checked_sub(amount);
        let left = left.ok_or_else(|| StoreError::Refused(format!("the balance is {has}")))?;
        BALANCES.put(tx, &payer, &left)?;
        BALANCES.put(tx, &payee, &gets.saturating_add(amount))
    })
}

fn open(dir: &Path) -> Result<Store, StoreError> {
    let (store, report) = Store::open(dir, StoreOptions::default())?;
    println!("opened, {} records replayed", report.replayed);
    Ok(store)
}

pub(crate) fn main() -> Result<(), StoreError> {
    let dir = std::env::temp_dir().join(format!("farthing-accounts-{}", std::process::id()));
    let store = open(&dir)?;
    open_account(&store, "ann", 1, 10)?;
    open_account(&store, "bob", 2, 0)?;
    pay(&store, "ann", "bob", 3)?;
    println!("ann pays bob 100: {:?}", pay(&store, "ann", "bob", 100));
    store.close()?;

    let store = open(&dir)?;
    for (number, balance) in BALANCES.scan(&store.view(), Bound::Unbounded, 10)? {
        println!("account {number} has {balance}");
    }
    store.close()?;
    drop(std::fs::remove_dir_all(&dir));
    Ok(())
}
