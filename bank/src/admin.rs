//! The operator's commands. They do the same over the socket of a running bank and in the directory of a stopped one.

use crate::bank::Bank;
use crate::desk::{Done, Move, move_money, move_money_reads, open_account, open_account_reads};
use crate::evidence::About;
use crate::replies::{
    AccountLine, AccountOpened, AccountsPage, HoldLine, HoldPosition, HoldsPage, IssuingState, KeyLine,
    KeyLines, Moved,
};
use crate::rows::{ACCOUNTS, Direction, HOLDS, ISSUING_STOPPED, PURCHASES};
use crate::statement::{ReportsRequest, StatementRequest};
use farthing_coin::PublicKey;
use farthing_node::admin::reply;
use farthing_protocol::{
    money::{Amount, amount_text},
    refusal::Later,
};
use farthing_store::limits::SCAN_MAX_ROWS;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{ops::Bound, sync::Arc, time::Duration};

/// A command, as a line of JSON: `{"do": "account-open", ...}`. Keys are hex, amounts are written like `20.00`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Command {
    /// Opens an account. The reply is [`AccountOpened`].
    AccountOpen {
        /// The key that owns the account.
        key: PublicKey,
        /// The account's name.
        #[serde(default)]
        name: Option<String>,
    },
    /// Credits an account with money that was paid in. The reply is [`Moved`].
    AccountCredit(Cash),
    /// Debits an account for money that is paid out. The reply is [`Moved`].
    AccountPayout(Cash),
    /// Lists a page of the accounts. The reply is [`AccountsPage`].
    AccountList {
        /// The last key of the previous page.
        #[serde(default)]
        after: Option<PublicKey>,
    },
    /// Lists a page of the open holds, by deadline. The reply is [`HoldsPage`].
    Holds {
        /// The position of the last hold of the previous page.
        #[serde(default)]
        after: Option<HoldPosition>,
    },
    /// Lists the keys that coins are issued under. The reply is [`KeyLines`].
    Keys,
    /// Counts the books twice. The reply is [`AuditReport`](crate::audit::AuditReport).
    Audit,
    /// Lists a page of the movements of accounts. The reply is [`StatementPage`](crate::statement::StatementPage).
    Statement(StatementRequest),
    /// Lists a page of the reports. The reply is [`ReportsPage`](crate::statement::ReportsPage).
    Reports(ReportsRequest),
    /// Audits the movements since a date. The reply is [`ChangesReport`](crate::statement::ChangesReport).
    Changes {
        /// The date (ms since 1970).
        since_ms: u64,
    },
    /// Stops or begins to issue coins. The reply is [`IssuingState`].
    Issuing {
        /// Whether no more coins are issued. Absent to look.
        #[serde(default)]
        stop: Option<bool>,
    },
    /// Exports evidence. The reply is a list of papers: see [`evidence`](crate::evidence).
    Evidence(About),
}

/// One movement of money at the cash desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cash {
    /// The account.
    pub key: PublicKey,
    /// The amount.
    #[serde(with = "amount_text")]
    pub amount: Amount,
    /// The operator's name for this movement. The same name moves money once.
    pub reference: String,
}

/// How long a command that moves money waits for a witness.
pub const WITNESS_WAIT: Duration = Duration::from_secs(15);

/// The most accounts in one page. A page is far shorter than the longest reply of the operator's socket.
pub const ACCOUNTS_PAGE_MAX: usize = SCAN_MAX_ROWS;

/// The most holds in one page. A page is far shorter than the longest reply of the operator's socket.
pub const HOLDS_PAGE_MAX: usize = SCAN_MAX_ROWS;

impl Bank {
    /// Executes `command` and returns its reply as JSON. Each command names the type of its reply.
    ///
    /// # Errors
    /// A message for the operator.
    pub async fn administer(&self, command: Command) -> Result<Value, String> {
        match command {
            Command::AccountOpen { key, name } => reply(&self.open_account(key, name).await?),
            Command::AccountCredit(cash) => reply(&self.move_money(Direction::In, cash).await?),
            Command::AccountPayout(cash) => reply(&self.move_money(Direction::Out, cash).await?),
            Command::AccountList { after } => reply(&self.list_accounts(after.as_ref())?),
            Command::Holds { after } => reply(&self.list_holds(after.as_ref())?),
            Command::Keys => reply(&self.list_keys()),
            Command::Audit => reply(&self.audit().await.map_err(|e| e.to_string())?),
            Command::Statement(request) => reply(&self.statement(&request)?),
            Command::Reports(request) => reply(&self.reports(&request)?),
            Command::Changes { since_ms } => reply(&self.changes(since_ms).await.map_err(|e| e.to_string())?),
            Command::Issuing { stop } => reply(&self.issuing(stop).await?),
            Command::Evidence(about) => reply(&self.evidence(&about)?),
        }
    }

    async fn open_account(&self, key: PublicKey, name: Option<String>) -> Result<AccountOpened, String> {
        // A forgotten account moves no money, so no witness is needed.
        if let Err(why @ Later::Behind) = self.history.standing() {
            return Err(why.to_string());
        }
        let now_ms = self.clock.now_ms();
        let history = Arc::clone(&self.history);
        let opened = self.store.transact(open_account_reads(&key), move |tx| {
            history.mark_decision();
            open_account(tx, key, name.as_deref(), now_ms)
        });
        let done = opened
            .await
            .map_err(|e| e.to_string())?
            .map_err(|e| e.to_string())?;
        Ok(AccountOpened {
            key,
            new: done == Done::Now,
        })
    }

    /// Stops or begins to issue coins. Stopping again keeps the first date.
    async fn issuing(&self, stop: Option<bool>) -> Result<IssuingState, String> {
        let now_ms = self.clock.now_ms();
        let set = self
            .store
            .transact([ISSUING_STOPPED.key(&())], move |tx| {
                let before = ISSUING_STOPPED.get(tx, &())?;
                match (stop, before) {
                    (Some(true), None) => {
                        ISSUING_STOPPED.put(tx, &(), &now_ms)?;
                        Ok(Some(now_ms))
                    }
                    (Some(false), Some(_)) => {
                        ISSUING_STOPPED.delete(tx, &())?;
                        Ok(None)
                    }
                    (_, before) => Ok(before),
                }
            })
            .await;
        let stopped_ms = set.map_err(|e| e.to_string())?;
        Ok(IssuingState { stopped_ms })
    }

    async fn move_money(&self, direction: Direction, cash: Cash) -> Result<Moved, String> {
        let requested = Move {
            direction,
            account: cash.key,
            amount: cash.amount,
            reference: cash.reference,
        };
        let up = self.history.up_within(WITNESS_WAIT).await;
        up.map_err(|why| {
            format!("{why}; no money was moved; `farthing-bank status` shows the bank's standing")
        })?;
        let now_ms = self.clock.now_ms();
        let (reference, history) = (requested.reference.clone(), Arc::clone(&self.history));
        let policy = Arc::clone(&self.policy);
        let moved = self
            .store
            .transact(move_money_reads(&requested), move |tx| {
                history.mark_decision();
                move_money(tx, &requested, &policy, now_ms)
            })
            .await;
        // The store may have stopped after the write. Only the same reference makes a repetition safe.
        let moved = moved.map_err(|e| {
            format!("{e}; the money may have been moved: repeat the command with `--reference {reference}`")
        })?;
        let (movement, done) = moved.map_err(|e| e.to_string())?;
        Ok(Moved {
            key: movement.account,
            amount: movement.amount,
            balance: movement.balance,
            reference,
            new: done == Done::Now,
        })
    }

    fn list_accounts(&self, after: Option<&PublicKey>) -> Result<AccountsPage, String> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = ACCOUNTS
            .scan(&self.store.view(), from, ACCOUNTS_PAGE_MAX)
            .map_err(|e| e.to_string())?;
        let more = rows.len() == ACCOUNTS_PAGE_MAX;
        let line = |(key, account): (PublicKey, crate::rows::Account)| AccountLine {
            key,
            name: account.name,
            balance: account.balance,
            opened_ms: account.opened_ms,
        };
        Ok(AccountsPage {
            accounts: rows.into_iter().map(line).collect(),
            more,
        })
    }

    fn list_holds(&self, after: Option<&HoldPosition>) -> Result<HoldsPage, String> {
        let after = after.map(HoldPosition::row);
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
            holds.push(HoldLine {
                purchase,
                escrow,
                amount: price.unwrap_or_default(),
                deadline_ms,
                overdue: deadline_ms <= now_ms,
                position: HoldPosition {
                    deadline_ms,
                    purchase,
                    escrow,
                },
            });
        }
        Ok(HoldsPage { holds, more })
    }

    fn list_keys(&self) -> KeyLines {
        let (keys, now_ms) = (self.keys(), self.clock.now_ms());
        let list = keys.book().list();
        let denominations = list.epochs.iter().flat_map(|epoch| {
            let values = list.values.iter();
            values.filter_map(|value| keys.book().denomination(*value, epoch.epoch))
        });
        KeyLines {
            bank: list.bank,
            currency: list.currency.clone(),
            calendar: list.calendar,
            values: list.values.clone(),
            digest: keys.book().digest(),
            keys: denominations.map(|key| KeyLine::new(key, now_ms)).collect(),
        }
    }
}
