//! The audit of the demonstration. It compares the bank's books with the cash desk, every wallet with the books, and
//! every purchase with its decision. It reads the nodes' operator commands and the customers' wallets.

use super::{amount::amount, scene::Scene, shopper::Shopper};
use farthing_client::{
    request::Requested,
    rows::{CoinStatus, Delivery, DepositState},
};
use farthing_kit::{
    books::{Books, EscrowDecision, decisions, expected_status, until},
    error::{RunError, must},
};
use farthing_node::{
    card::RoleName,
    table::{Align, table},
};
use farthing_protocol::{
    deposited::Payee,
    money::Amount,
    purchase::{Proof, Purchase},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A person with all copies of their wallet. The copies have the same account and coins.
#[derive(Debug)]
pub struct Person<'w> {
    /// The cash that the person paid in.
    pub cash: Amount,
    /// The wallet and its copies.
    pub wallets: Vec<&'w Shopper>,
}

/// One person's money, by the books and by the wallet.
#[derive(Debug, Clone)]
pub struct PersonLine {
    name: &'static str,
    cash: Amount,
    in_account: Amount,
    coins: Amount,
    spent: Amount,
    sent: Amount,
    /// From others, and refunds.
    received: Amount,
    refunded: Amount,
}

impl PersonLine {
    /// What has left the account, less what the wallet has paid into it, by the bank's books.
    fn withdrawn(&self) -> Option<Amount> {
        let came = self.cash.checked_add(self.received)?;
        came.checked_sub(self.in_account)
    }

    /// The same, by the wallet: coins, spent, and paid to others.
    fn accounted_for(&self) -> Option<Amount> {
        self.coins.checked_add(self.spent)?.checked_add(self.sent)
    }
}

/// An equation that must hold.
#[derive(Debug, Clone)]
struct Equation {
    what: String,
    left: String,
    right: String,
    holds: bool,
}

/// The result of the audit.
#[derive(Debug, Clone)]
pub struct DemoAudit {
    books: Books,
    merchant: Amount,
    people: Vec<PersonLine>,
    checks: Vec<Equation>,
}

impl DemoAudit {
    /// Waits until the escrow's decisions are settled, then counts everything.
    ///
    /// # Errors
    /// [`RunError::Broken`] when a check fails.
    pub async fn take(scene: &Scene, people: &[Person<'_>]) -> Result<DemoAudit, RunError> {
        until("every decision is settled at the bank", || async {
            let decisions = decisions(&scene.escrow).await?;
            Ok(decisions.values().all(|decided| decided.settled))
        })
        .await?;
        let books = scene.books().await?;
        let decisions = decisions(&scene.escrow).await?;
        let merchant = books.balance(&scene.merchant_account);
        let everyone: Vec<&Shopper> = people
            .iter()
            .flat_map(|person| &person.wallets)
            .copied()
            .collect();
        let lines: Vec<PersonLine> = people
            .iter()
            .map(|person| person_line(person, &everyone, &books))
            .collect::<Result<_, _>>()?;
        let mut checks = money_checks(&books, merchant, &lines);
        checks.push(outcomes_check(people, &decisions)?);
        let audit = DemoAudit {
            books,
            merchant,
            people: lines,
            checks,
        };
        audit.must_hold()?;
        Ok(audit)
    }

    fn must_hold(&self) -> Result<(), RunError> {
        let failed: Vec<String> = self
            .checks
            .iter()
            .filter(|check| !check.holds)
            .map(|check| format!("{}: {} is not {}", check.what, check.left, check.right))
            .collect();
        let problems = [failed.as_slice(), self.books.problems.as_slice()].concat();
        must(problems.is_empty(), || {
            format!("the audit does not balance: {}", problems.join("; "))
        })
    }

    /// The text for people.
    pub fn text(&self) -> String {
        let headings = [
            "PAID IN",
            "PAID OUT",
            "IN ACCOUNT",
            "WITHDRAWN",
            "SPENT OR SOLD",
            "SENT",
            "RECEIVED",
            "COINS",
        ];
        let mut rows: Vec<[String; 9]> = Vec::new();
        let nothing = Amount(0);
        for person in &self.people {
            let withdrawn = person.withdrawn().unwrap_or_default();
            let amounts = [
                person.cash,
                nothing,
                person.in_account,
                withdrawn,
                person.spent,
                person.sent,
                person.received,
                person.coins,
            ];
            rows.push(table_row(person.name, amounts));
        }
        let [paid_out, left] = [self.books.paid_out, self.merchant];
        let refunded = refunded(&self.people).unwrap_or_default();
        let sold = sold(&self.books, left, refunded).unwrap_or_default();
        rows.push(table_row(
            "merchant",
            [nothing, paid_out, left, nothing, sold, refunded, nothing, nothing],
        ));
        let mut columns = [("", Align::Left); 9];
        for (column, heading) in columns.iter_mut().skip(1).zip(headings) {
            *column = (heading, Align::Right);
        }
        let check = |check: &Equation| [check.what.clone(), check.left.clone(), check.right.clone()];
        let checks: Vec<[String; 3]> = self.checks.iter().map(check).collect();
        let of_checks = [
            ("CHECK", Align::Left),
            ("IS", Align::Right),
            ("SHOULD BE", Align::Right),
        ];
        format!("{}\n\n{}", table(columns, &rows), table(of_checks, &checks))
    }

    /// The JSON for programs.
    pub fn json(&self) -> Value {
        let people: Vec<Value> = self
            .people
            .iter()
            .map(|person| {
                json!({
                    "name": person.name,
                    "paid_in": amount(person.cash),
                    "in_account": amount(person.in_account),
                    "withdrawn": amount(person.withdrawn().unwrap_or_default()),
                    "spent": amount(person.spent),
                    "sent": amount(person.sent),
                    "received": amount(person.received),
                    "coins": amount(person.coins),
                })
            })
            .collect();
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| {
                json!({ "what": check.what, "left": check.left, "right": check.right, "holds": check.holds })
            })
            .collect();
        json!({
            "paid_in": amount(self.books.paid_in),
            "paid_out": amount(self.books.paid_out),
            "accounts": amount(self.books.accounts),
            "reserves": amount(self.books.reserves),
            "unspent_coins": amount(self.books.outstanding),
            "held_coins": amount(self.books.held),
            "merchant": amount(self.merchant),
            "customers": people,
            "checks": checks,
        })
    }
}

fn table_row(name: &str, amounts: [Amount; 8]) -> [String; 9] {
    let [a, b, c, d, e, f, g, h] = amounts.map(|amount| match amount {
        Amount(0) => "-".to_owned(),
        amount => amount.to_string(),
    });
    [name.to_owned(), a, b, c, d, e, f, g, h]
}

/// What the merchant has sold: the account, the payouts, and what was refunded.
fn sold(books: &Books, merchant: Amount, refunded: Amount) -> Option<Amount> {
    let kept = merchant.checked_add(books.paid_out)?;
    kept.checked_add(refunded)
}

/// What was refunded to all of them.
fn refunded(people: &[PersonLine]) -> Option<Amount> {
    Amount::sum(people.iter().map(|person| person.refunded.0))
}

fn money_checks(books: &Books, merchant: Amount, people: &[PersonLine]) -> Vec<Equation> {
    let check = |what: &str, left: Option<Amount>, right: Option<Amount>| {
        let show = |sum: Option<Amount>| {
            sum.map_or_else(
                || "more than an amount can hold".to_owned(),
                |sum| sum.to_string(),
            )
        };
        Equation {
            what: what.to_owned(),
            left: show(left),
            right: show(right),
            holds: left.is_some() && left == right,
        }
    };
    let sum = |of: fn(&PersonLine) -> Amount| Amount::sum(people.iter().map(|person| of(person).0));
    let mut checks = vec![
        check(
            "paid in less paid out at the cash desk = all accounts + all reserves + all unspent coins",
            books.paid_in.checked_sub(books.paid_out),
            Amount::sum([books.accounts.0, books.reserves.0, books.outstanding.0]),
        ),
        check(
            "unspent coins by the bank's books = coins in all wallets",
            Some(books.outstanding),
            sum(|p| p.coins),
        ),
        check(
            "the merchant's account + payouts + refunds = what the customers spent",
            refunded(people).and_then(|refunded| sold(books, merchant, refunded)),
            sum(|p| p.spent),
        ),
        check(
            "reserves that hold money = none",
            Some(books.reserves),
            Some(Amount(0)),
        ),
        check(
            "coins that are still held = none",
            Some(books.held),
            Some(Amount(0)),
        ),
    ];
    for person in people {
        let what = format!(
            "{}: withdrawn by the bank's books = spent + sent + left by the wallet",
            person.name
        );
        checks.push(check(&what, person.withdrawn(), person.accounted_for()));
    }
    checks
}

/// Computes the line of a person. A coin in several copies of the wallet counts once.
fn person_line(person: &Person<'_>, everyone: &[&Shopper], books: &Books) -> Result<PersonLine, RunError> {
    let first = person
        .wallets
        .first()
        .ok_or_else(|| RunError::Broken("a person has no wallet".into()))?;
    let mut coins: BTreeMap<Vec<u8>, (u64, bool)> = BTreeMap::new();
    let mut spent: BTreeMap<String, u64> = BTreeMap::new();
    let mut refunded: BTreeMap<String, u64> = BTreeMap::new();
    for customer in &person.wallets {
        for row in customer.wallet.coins().map_err(|error| customer.failed(error))? {
            let key = [row.coin.key_id.0, row.coin.public.0].concat();
            let coin = coins.entry(key).or_insert((row.value, true));
            // A coin is used if one copy knows that it is used.
            coin.1 &= row.status.counts();
        }
        for (number, row) in customer
            .wallet
            .purchases()
            .map_err(|error| customer.failed(error))?
        {
            if let Some(paid) = row.purchase.paid() {
                let id = customer.purchase_id(number)?;
                spent.insert(id.clone(), paid.0);
                let change = customer.wallet.change_of_purchase(number);
                let change = change.map_err(|error| customer.failed(error))?;
                refunded.insert(id, change.refunded.0);
            }
        }
    }
    let too_much = || {
        RunError::Broken(format!(
            "the wallet of {} holds more than an amount can hold",
            first.name
        ))
    };
    let (sent, received) = moved(first, everyone)?;
    let refunded = Amount::sum(refunded.into_values()).ok_or_else(too_much)?;
    Ok(PersonLine {
        sent,
        received: received.checked_add(refunded).ok_or_else(too_much)?,
        refunded,
        name: first.name,
        cash: person.cash,
        in_account: books.balance(&first.account()?),
        coins: Amount::sum(
            coins
                .values()
                .filter(|(_, counts)| *counts)
                .map(|(value, _)| *value),
        )
        .ok_or_else(too_much)?,
        spent: Amount::sum(spent.values().copied()).ok_or_else(too_much)?,
    })
}

/// What a customer has paid to others by deposit, and what others have paid to this customer.
///
/// # Errors
/// When a wallet cannot be read.
fn moved(customer: &Shopper, all: &[&Shopper]) -> Result<(Amount, Amount), RunError> {
    let own = payees(customer)?;
    let (mut sent, mut received) = (0, 0);
    for payer in all {
        let is_own = payer.name == customer.name;
        for (_, row) in payer.wallet.payments().map_err(|error| payer.failed(error))? {
            if !matches!(row.state, DepositState::Done(_)) {
                continue;
            }
            for output in &row.deposit.outputs {
                match (is_own, own.contains(&output.to)) {
                    (true, false) => sent += output.amount.0,
                    (false, true) => received += output.amount.0,
                    _ => {}
                }
            }
        }
    }
    Ok((Amount(sent), Amount(received)))
}

/// The account and the reserves of a customer.
fn payees(customer: &Shopper) -> Result<Vec<Payee>, RunError> {
    let failed = |error| customer.failed(error);
    let bank = customer.wallet.party(RoleName::Bank, None).map_err(failed)?;
    let account = customer.wallet.account(&bank.identity).map_err(failed)?;
    let requested = customer.wallet.requested().map_err(failed)?;
    let reserves = requested
        .iter()
        .map(|Requested { reserve, .. }| Payee::Reserve(*reserve));
    // Nobody has accepted a gift here: all were taken back.
    let gifts = customer.wallet.gifts().map_err(failed)?;
    let gifts = gifts
        .iter()
        .map(|gift| Payee::Reserve(customer.wallet.reserve_of(&gift.bank, gift.number)));
    Ok(reserves.chain(gifts).chain([Payee::Account(account)]).collect())
}

/// Checks the purchases with coins: each has one decision, which the wallet knows, and it has the goods if and only if
/// it was paid.
fn outcomes_check(
    people: &[Person<'_>],
    decisions: &BTreeMap<String, EscrowDecision>,
) -> Result<Equation, RunError> {
    let mut decided = BTreeSet::new();
    for customer in people.iter().flat_map(|person| &person.wallets) {
        for (number, row) in customer
            .wallet
            .purchases()
            .map_err(|error| customer.failed(error))?
        {
            let Some(order) = row.purchase.order() else {
                continue;
            };
            let (purchase, status) = (hex::encode(order.purchase().0), row.purchase.status());
            let outcome = expected_status(status, decisions.get(&purchase));
            must(outcome == status, || {
                format!(
                    "purchase {number} of {} is `{status}` in the wallet and `{outcome}` at the escrow",
                    customer.name
                )
            })?;
            // The records of a stream went past. Its step has compared them.
            let is_stream = matches!(row.purchase, Purchase::Committed(_, Proof::Stream(..)));
            let delivered = row.delivery == Delivery::Delivered && (is_stream || row.output.is_file());
            must(delivered == (outcome == "committed"), || {
                format!(
                    "purchase {number} of {} is {outcome}, and delivered: {delivered}",
                    customer.name
                )
            })?;
            decided.insert(purchase);
        }
        must_be_at_rest(customer)?;
    }
    Ok(Equation {
        what: "purchases, goods if and only if paid = decisions of the escrow, one each".into(),
        left: decided.len().to_string(),
        right: decisions.len().to_string(),
        holds: decided.len() == decisions.len(),
    })
}

/// Checks that nothing is under way in a wallet.
fn must_be_at_rest(customer: &Shopper) -> Result<(), RunError> {
    let coins = customer.wallet.coins().map_err(|error| customer.failed(error))?;
    let busy = coins
        .iter()
        .find(|row| row.status.counts() && row.status != CoinStatus::Available);
    must(busy.is_none(), || {
        let word = busy.map_or("", |row| row.status.word());
        format!("a coin of {} is still `{word}`", customer.name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(books: Books, coins: u64) -> Result<(), RunError> {
        let person = PersonLine {
            name: "alice",
            cash: Amount(100),
            in_account: Amount(40),
            coins: Amount(coins),
            spent: Amount(20),
            sent: Amount(0),
            received: Amount(0),
            refunded: Amount(0),
        };
        let merchant = Amount(20);
        let checks = money_checks(&books, merchant, std::slice::from_ref(&person));
        DemoAudit {
            books,
            merchant,
            people: vec![person],
            checks,
        }
        .must_hold()
    }

    fn balanced() -> Books {
        Books {
            paid_in: Amount(100),
            accounts: Amount(60),
            outstanding: Amount(40),
            ..Books::default()
        }
    }

    #[test]
    fn a_difference_of_one_unit_is_found_in_every_sum() {
        audit(balanced(), 40).unwrap();
        let broken = [
            audit(balanced(), 39),
            audit(
                Books {
                    accounts: Amount(61),
                    ..balanced()
                },
                40,
            ),
            audit(
                Books {
                    outstanding: Amount(39),
                    ..balanced()
                },
                40,
            ),
            audit(
                Books {
                    paid_out: Amount(1),
                    ..balanced()
                },
                40,
            ),
            audit(
                Books {
                    reserves: Amount(1),
                    ..balanced()
                },
                40,
            ),
            audit(
                Books {
                    held: Amount(1),
                    ..balanced()
                },
                40,
            ),
            audit(
                Books {
                    problems: vec!["a row is missing".into()],
                    ..balanced()
                },
                40,
            ),
        ];
        for outcome in broken {
            assert_eq!(outcome.unwrap_err().exit_code(), farthing_kit::error::EXIT_BROKEN);
        }
    }
}
