//! The command `judge`.

use super::files::{self, bank};
use crate::{
    documents::MeterCertificate,
    judge::{RefillVerdict, judge},
};
use anyhow::{Result, bail};
use clap::Args;
use farthing_coin::{PublicKey, Signed};
use farthing_node::operator::Report;
use farthing_protocol::payment_proof::PaymentProof;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct JudgeArgs {
    /// What proves the payment, from `farthing receipt payment`.
    proof: PathBuf,
    /// The meter's certificate.
    certificate: PathBuf,
    /// The refill, if the office shows one.
    refill: Option<PathBuf>,
    /// The office's key. Documents of another office prove nothing.
    #[arg(long, value_name = "KEY")]
    office: Option<PublicKey>,
    /// The bank: its card or its identity key. Payments at another bank prove nothing.
    #[arg(long, value_parser = bank)]
    bank: Option<PublicKey>,
}

/// Judges whether the office owes a refill.
pub(super) fn execute(args: &JudgeArgs) -> Result<Report> {
    let proof: PaymentProof = files::read(&args.proof)?;
    let certificate: Signed<MeterCertificate> = files::read(&args.certificate)?;
    let refill = args.refill.as_deref().map(files::read).transpose()?;
    let terms = &certificate.body;
    if args.office.is_some_and(|office| office != terms.office) {
        bail!(
            "the certificate is of the office {}, and not of the one you named; it proves nothing",
            terms.office
        );
    }
    if args.bank.is_some_and(|bank| bank != terms.bank) {
        bail!(
            "the certificate names the bank {}, and not the one you named; it proves nothing",
            terms.bank
        );
    }
    let (word, paid, says) = match judge(&proof, &certificate, refill.as_ref())? {
        RefillVerdict::Owed(paid) => ("owed", paid, "and owes a refill until it shows it signed"),
        RefillVerdict::Kept(paid) => ("kept", paid, "and has signed the refill"),
    };
    let text = format!(
        "the office {} was paid {} for meter {}, {says}\nthe bank {} has signed the payment {}",
        terms.office, paid.amount, terms.meter, terms.bank, paid.deposit
    );
    let json = json!({
        "verdict": word, "office": terms.office, "bank": terms.bank, "meter": terms.meter,
        "amount": paid.amount.to_string(), "deposit_id": paid.deposit,
    });
    Ok(Report::new(text, json))
}
