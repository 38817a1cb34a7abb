//! The operator's commands, the same over the socket of a running bank and in the directory of a stopped one.

use crate::bank::Bank;
use crate::desk::{Done, Move, move_money, move_money_reads, open_account, open_account_reads};
use crate::evidence::About;
use crate::rows::{ACCOUNTS, Account, Direction, HOLDS, PURCHASES};
use farthing_coin::PublicKey;
use farthing_protocol::{documents::PurchaseId, money::Amount, refusal::Later};
use farthing_store::limits::SCAN_MAX_ROWS;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{ops::Bound, sync::Arc, time::Duration};

/// A command, as a line of JSON: `{"do": "account-open", ...}`. Keys are hex, amounts are written like `20.00`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Opens an account.
    AccountOpen {
        /// The key that owns it.
        key: String,
        /// What to call it.
        #[serde(default)]
        name: Option<String>,
    },
    /// Takes money in and credits it.
    AccountCredit(Cash),
    /// Debits money and pays it out.
    AccountPayout(Cash),
    /// A page of the accounts.
    AccountList {
        /// The last key of the page before.
        #[serde(default)]
        after: Option<String>,
    },
    /// A page of the open holds, those first whose deadline is first.
    Holds {
        /// The position of the last one of the page before.
        #[serde(default)]
        after: Option<String>,
    },
    /// The list of keys.
    Keys,
    /// Counts the books twice.
    Audit,
    /// The documents that convict escrows, or clear the bank: see [`evidence`](crate::evidence).
    Evidence(About),
}

/// Money over the cash desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cash {
    /// The account.
    pub key: String,
    /// How much.
    pub amount: String,
    /// The operator's name for this one movement.
    pub reference: String,
}

/// How long a command that moves money waits for a witness.
pub const WITNESS_PATIENCE: Duration = Duration::from_secs(15);

/// The most accounts in one page: what a reply of the operator's socket holds with room to spare.
pub const ACCOUNTS_PAGE_MAX: usize = SCAN_MAX_ROWS;

/// The most holds in one page: what a reply of the operator's socket holds with room to spare.
pub const HOLDS_PAGE_MAX: usize = SCAN_MAX_ROWS;

impl Bank {
    /// Does what `command` asks of the books.
    ///
    /// # Errors
    /// A message for the operator.
    pub async fn administer(&self, command: Command) -> Result<Value, String> {
        match command {
            Command::AccountOpen { key, name } => self.open_account(&key, name).await,
            Command::AccountCredit(cash) => self.move_money(Direction::In, cash).await,
            Command::AccountPayout(cash) => self.move_money(Direction::Out, cash).await,
            Command::AccountList { after } => self.list_accounts(after.as_deref()),
            Command::Holds { after } => self.list_holds(after.as_deref()),
            Command::Keys => Ok(self.list_keys()),
            Command::Audit => {
                let report = self.audit().await.map_err(|e| e.to_string())?;
                serde_json::to_value(report).map_err(|e| e.to_string())
            }
            Command::Evidence(about) => {
                let papers = self.evidence(&about)?;
                serde_json::to_value(papers).map_err(|e| e.to_string())
            }
        }
    }

    async fn open_account(&self, key: &str, name: Option<String>) -> Result<Value, String> {
        let account = parse_key(key)?;
        // An account is nothing that could be paid twice, so it needs no witness.
        if let Err(why @ Later::Behind) = self.history.standing() {
            return Err(why.to_string());
        }
        let now_ms = self.clock.now_ms();
        let history = Arc::clone(&self.history);
        let opened = self.store.transact(open_account_reads(&account), move |tx| {
            history.note();
            open_account(tx, account, name.as_deref(), now_ms)
        });
        let done = opened
            .await
            .map_err(|e| e.to_string())?
            .map_err(|e| e.to_string())?;
        Ok(json!({ "key": account.to_string(), "new": done == Done::Now }))
    }

    async fn move_money(&self, direction: Direction, cash: Cash) -> Result<Value, String> {
        let asked = Move {
            direction,
            account: parse_key(&cash.key)?,
            amount: cash.amount.parse::<Amount>().map_err(|e| e.to_string())?,
            reference: cash.reference,
        };
        let up = self.history.up_within(WITNESS_PATIENCE).await;
        up.map_err(|why| format!("{why}; `farthing-bank status` says how it stands"))?;
        let now_ms = self.clock.now_ms();
        let (reference, history) = (asked.reference.clone(), Arc::clone(&self.history));
        let moved = self
            .store
            .transact(move_money_reads(&asked), move |tx| {
                history.note();
                move_money(tx, &asked, now_ms)
            })
            .await;
        // A store that stopped in the middle may have done it: only the same reference makes asking again safe.
        let moved = moved.map_err(|e| format!("{e}; to ask again, give `--reference {reference}`"))?;
        let (movement, done) = moved.map_err(|e| e.to_string())?;
        Ok(json!({
            "key": movement.account.to_string(),
            "amount": movement.amount.to_string(),
            "balance": movement.balance.to_string(),
            "reference": reference,
            "new": done == Done::Now,
        }))
    }

    fn list_accounts(&self, after: Option<&str>) -> Result<Value, String> {
        let after = after.map(parse_key).transpose()?;
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = ACCOUNTS
            .scan(&self.store.view(), from, ACCOUNTS_PAGE_MAX)
            .map_err(|e| e.to_string())?;
        let more = rows.len() == ACCOUNTS_PAGE_MAX;
        let accounts: Vec<Value> = rows.iter().map(|(key, account)| describe(key, account)).collect();
        Ok(json!({ "accounts": accounts, "more": more }))
    }

    fn list_holds(&self, after: Option<&str>) -> Result<Value, String> {
        let after = after.map(parse_position).transpose()?;
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let (view, now_ms) = (self.store.view(), self.clock.now_ms());
        let rows = HOLDS
            .scan(&view, from, HOLDS_PAGE_MAX)
            .map_err(|e| e.to_string())?;
        let more = rows.len() == HOLDS_PAGE_MAX;
        let mut holds = Vec::new();
        for ((deadline_ms, purchase, escrow), ()) in rows {
            let row = PURCHASES.peek(&view, &(purchase, escrow));
            let row = row.map_err(|e| e.to_string())?;
            let price = row.as_ref().and_then(|row| row.terms()).map(|terms| terms.price);
            holds.push(json!({
                "purchase": purchase.to_string(),
                "escrow": escrow.to_string(),
                "amount": price.unwrap_or_default().to_string(),
                "deadline_ms": deadline_ms,
                "overdue": deadline_ms <= now_ms,
                "position": position(deadline_ms, &purchase, &escrow),
            }));
        }
        Ok(json!({ "holds": holds, "more": more }))
    }

    fn list_keys(&self) -> Value {
        let (keys, now_ms) = (self.keys(), self.clock.now_ms());
        let list = keys.book().list();
        let denominations = list.epochs.iter().flat_map(|epoch| {
            let values = list.values.iter();
            values.filter_map(|value| keys.book().denomination(*value, epoch.epoch))
        });
        let described: Vec<Value> = denominations
            .map(|d| {
                json!({
                    "id": d.id().to_string(),
                    "value": Amount(d.value).to_string(),
                    "epoch": d.epoch,
                    "issue_from_ms": d.issue_from_ms,
                    "issue_until_ms": d.issue_until_ms,
                    "spend_until_ms": d.spend_until_ms,
                    "redeem_until_ms": d.redeem_until_ms,
                    "issuing": (d.issue_from_ms..d.issue_until_ms).contains(&now_ms),
                })
            })
            .collect();
        json!({
            "currency": list.currency,
            "digest": hex::encode(keys.book().digest()),
            "keys": described,
        })
    }
}

fn describe(key: &PublicKey, account: &Account) -> Value {
    json!({
        "key": key.to_string(),
        "name": account.name,
        "balance": account.balance.to_string(),
        "opened_ms": account.opened_ms,
    })
}

/// Where a hold is in the order of all, as text.
fn position(deadline_ms: u64, purchase: &PurchaseId, escrow: &PublicKey) -> String {
    format!("{deadline_ms}.{purchase}.{escrow}")
}

fn parse_position(text: &str) -> Result<(u64, PurchaseId, PublicKey), String> {
    let parse = || {
        let mut parts = text.split('.');
        let deadline_ms = parts.next()?.parse().ok()?;
        let purchase = parts.next()?.parse().ok()?;
        Some((deadline_ms, purchase, parts.next()?.parse().ok()?))
    };
    parse().ok_or_else(|| format!("`{text}` is no position of a hold"))
}

fn parse_key(text: &str) -> Result<PublicKey, String> {
    text.parse()
        .map_err(|e| format!("the account's key is refused: {e}"))
}
