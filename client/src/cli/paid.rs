//! What the documents of payments and of refunds prove, and the register of a tax office.

use super::{
    args::Verify,
    documents::{items, proves_nothing, read_json},
    exit::Exit,
    payments::output_json,
    report::{Report, amount, count, date},
};
use crate::{
    payment_proof::PaymentProof,
    proof_register::{RegisterError, register},
};
use anyhow::{Context, Result};
use farthing_coin::PublicKey;
use farthing_node::terminal::Shown;
use farthing_protocol::{
    deposited::{Deposited, Payee},
    evidence::Papers,
    ids::{DepositId, PurchaseId},
    refund::Refunded,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};

/// A proof, and what the bank has signed in it.
type Paid<'p> = (&'p PaymentProof, &'p Deposited);

/// What the document of a payment leaves to its reader.
const UNPROVEN: &str = "it does not prove whose these keys are: compare them with the keys that the bank and the payee \
                        publish, or name those with --bank-key and --account-key";

/// The proof of a payment in a document, if it has the form of one.
pub(super) fn proof_in(item: &Value) -> Option<PaymentProof> {
    PaymentProof::deserialize(item).ok()
}

/// What these proofs prove: all of them, or nothing.
pub(super) fn judged(proofs: &[PaymentProof], asked: &Verify) -> Report {
    let says = "the bank has signed that this was paid";
    match checked(proofs, asked) {
        Ok(paid) => report(&paid, asked, "paid", says, Exit::Done),
        Err(why) => proves_nothing(&format!("the document of a payment is refused: {why}")),
    }
}

/// What the bank has signed in each of these proofs, if all of them are valid and about the keys that are asked for.
fn checked<'p>(proofs: &'p [PaymentProof], asked: &Verify) -> Result<Vec<Paid<'p>>, String> {
    let mut paid = Vec::new();
    for proof in proofs {
        let deposited = proof.verify().map_err(|fault| fault.to_string())?;
        if !asked.banks.is_empty() && !asked.banks.contains(&deposited.bank) {
            return Err(format!(
                "it is of the bank {}, which was not named",
                deposited.bank
            ));
        }
        for output in &deposited.outputs {
            let is_named = |key: &PublicKey| output.to == Payee::Account(*key);
            if !asked.accounts.is_empty() && !asked.accounts.iter().any(is_named) {
                return Err("it pays somebody else than the accounts that were named".into());
            }
        }
        paid.push((proof, deposited));
    }
    Ok(paid)
}

/// Accepts the payments of these files, each once: all of them, or none.
pub(super) fn register_all(asked: &Verify, path: &Path) -> Result<Report> {
    let mut proofs = Vec::new();
    for file in &asked.files {
        let json = read_json(file).with_context(|| format!("cannot read {}", file.display()))?;
        let nothing = |why: &str| {
            Ok(proves_nothing(&format!(
                "{}: {why}; nothing was registered",
                file.display()
            )))
        };
        let items = json.as_ref().map(items).unwrap_or_default();
        if items.is_empty() {
            return nothing("not the document of a payment");
        }
        for item in items {
            let Some(proof) = proof_in(item) else {
                return nothing("not the document of a payment; `farthing receipt payment` writes one");
            };
            if let Err(why) = checked(std::slice::from_ref(&proof), asked) {
                return nothing(&why);
            }
            proofs.push(proof);
        }
    }
    let paid = match checked(&proofs, asked) {
        Ok(paid) => paid,
        Err(why) => return Ok(proves_nothing(&why)),
    };
    let ids: Vec<DepositId> = paid.iter().map(|(_, deposited)| deposited.deposit_id()).collect();
    match register(path, &ids) {
        Ok(()) => {
            let says = format!(
                "accepted: {} now in {}",
                count(ids.len() as u64, "payment"),
                path.display()
            );
            Ok(report(&paid, asked, "registered", &says, Exit::Done))
        }
        Err(repeated @ RegisterError::Repeated(_)) => {
            let says = format!("refused: {repeated}; nothing was registered");
            Ok(report(&paid, asked, "registered_before", &says, Exit::Registered))
        }
        Err(other) => Err(other.into()),
    }
}

/// What banks have signed that was refunded of purchases: for each purchase the largest total. A bank that is not that of the
/// purchase's contract, if that is there, refunds nothing.
pub(super) fn refunds_in(papers: &[Papers], asked: &Verify) -> Vec<Refunded> {
    let contracts = || papers.iter().filter_map(|paper| paper.contract.as_ref());
    let mut largest: BTreeMap<(PublicKey, PurchaseId), Refunded> = BTreeMap::new();
    for refunded in papers.iter().flat_map(|paper| &paper.refunds) {
        let body = &refunded.body;
        let mut terms = contracts().map(|contract| &contract.terms);
        let is_of_its_bank = terms
            .find(|terms| terms.purchase_id() == body.purchase)
            .is_none_or(|terms| terms.bank == body.bank);
        let is_asked = asked.banks.is_empty() || asked.banks.contains(&body.bank);
        if is_of_its_bank && is_asked && refunded.verify(&body.bank).is_ok() {
            let known = largest.entry((body.bank, body.purchase)).or_insert(*body);
            known.total = known.total.max(body.total);
        }
    }
    largest.into_values().collect()
}

pub(super) fn refund_text(refunded: &Refunded) -> String {
    format!(
        "\n  refunded  {} of purchase {}, in all\n  bank      {}",
        refunded.total, refunded.purchase, refunded.bank
    )
}

/// What the document of a refund leaves to its reader, if they have not named the bank.
pub(super) fn refunds_unproven(asked: &Verify) -> &'static str {
    match asked.banks.is_empty() {
        true => {
            "\nit does not prove whose the bank's key is: compare it with the one that the bank publishes, or name that with \
                 --bank-key"
        }
        false => "",
    }
}

pub(super) fn refund_json(refunded: &Refunded) -> Value {
    json!({
        "purchase_id": refunded.purchase.to_string(),
        "total": amount(refunded.total),
        "bank": refunded.bank.to_string(),
    })
}

fn report(paid: &[Paid<'_>], asked: &Verify, verdict: &str, reason: &str, exit: Exit) -> Report {
    let lines = paid
        .iter()
        .map(|(proof, deposited)| payment_text(proof, deposited));
    let are_named = !asked.banks.is_empty() && !asked.accounts.is_empty();
    let unproven = (!are_named).then(|| UNPROVEN.to_owned());
    let lines: Vec<String> = std::iter::once(Shown(reason).to_string())
        .chain(lines)
        .chain(unproven)
        .collect();
    let payments: Vec<Value> = paid.iter().map(|(proof, it)| payment_json(proof, it)).collect();
    Report {
        text: lines.join("\n"),
        json: json!({ "verdict": verdict, "reason": reason, "payments": payments }),
        exit,
    }
}

fn payment_text(proof: &PaymentProof, deposited: &Deposited) -> String {
    let outputs = deposited.outputs.iter().map(|output| match output.to {
        Payee::Account(key) => format!("  paid      {} into the account {key}\n", output.amount),
        Payee::Reserve(key) => format!("  paid      {} to the reserve {key}\n", output.amount),
    });
    let text = match proof.text.is_empty() {
        true => "no text".to_owned(),
        false => format!("\"{}\"", Shown(&proof.text)),
    };
    format!(
        "{}  on        {} (UTC)\n  text      {text}\n  deposit   {}\n  bank      {}",
        outputs.collect::<String>(),
        date(deposited.at_ms),
        deposited.deposit_id(),
        deposited.bank,
    )
}

fn payment_json(proof: &PaymentProof, deposited: &Deposited) -> Value {
    json!({
        "deposit_id": deposited.deposit_id().to_string(),
        "bank": deposited.bank.to_string(),
        "at_ms": deposited.at_ms,
        "text": proof.text,
        "outputs": deposited.outputs.iter().map(output_json).collect::<Vec<Value>>(),
    })
}
