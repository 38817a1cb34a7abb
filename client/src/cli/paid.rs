//! What the document of a payment proves, and the register of a tax office.

use super::{
    exit::Exit,
    payments::output_json,
    receipt::{items, proves_nothing, read_json},
    report::{Report, count, date},
};
use crate::{
    payment_proof::PaymentProof,
    proof_register::{RegisterError, register},
};
use anyhow::{Context, Result};
use farthing_node::terminal::Shown;
use farthing_protocol::{
    deposited::{Deposited, Payee},
    ids::DepositId,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What the document of a payment leaves to its reader.
const UNPROVEN: &str =
    "it does not prove whose these keys are: compare them with the keys that the bank and the payee publish";

/// The proof of a payment in a document, if it has the form of one.
pub(super) fn proof_in(item: &Value) -> Option<PaymentProof> {
    PaymentProof::deserialize(item).ok()
}

/// What these proofs prove: all of them, or nothing.
pub(super) fn judged(proofs: &[PaymentProof]) -> Report {
    let checked: Result<Vec<_>, _> = proofs
        .iter()
        .map(|proof| proof.verify().map(|it| (proof, it)))
        .collect();
    match checked {
        Ok(paid) => report(
            &paid,
            "paid",
            "the bank has signed that this was paid",
            Exit::Done,
        ),
        Err(why) => proves_nothing(&format!("the document of a payment is not valid: {why}")),
    }
}

/// Accepts the payments of these files, each once: all of them, or none.
pub(super) fn register_all(files: &[PathBuf], path: &Path) -> Result<Report> {
    let mut proofs = Vec::new();
    for file in files {
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
            if let Err(why) = proof.verify() {
                return nothing(&why.to_string());
            }
            proofs.push(proof);
        }
    }
    let paid: Vec<_> = proofs
        .iter()
        .filter_map(|proof| Some((proof, proof.verify().ok()?)))
        .collect();
    let ids: Vec<DepositId> = paid.iter().map(|(_, deposited)| deposited.deposit_id()).collect();
    match register(path, &ids) {
        Ok(()) => {
            let says = format!(
                "accepted: {} now in {}",
                count(ids.len() as u64, "payment"),
                path.display()
            );
            Ok(report(&paid, "registered", &says, Exit::Done))
        }
        Err(repeated @ RegisterError::Repeated(_)) => {
            let says = format!("refused: {repeated}; nothing was registered");
            Ok(report(&paid, "registered_before", &says, Exit::Registered))
        }
        Err(other) => Err(other.into()),
    }
}

fn report(paid: &[(&PaymentProof, &Deposited)], verdict: &str, reason: &str, exit: Exit) -> Report {
    let lines = paid
        .iter()
        .map(|(proof, deposited)| payment_text(proof, deposited));
    let lines: Vec<String> = std::iter::once(Shown(reason).to_string())
        .chain(lines)
        .chain([UNPROVEN.to_owned()])
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
