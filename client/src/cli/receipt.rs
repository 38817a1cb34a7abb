//! Commands for evidence.

use super::{
    args::Verify,
    documents::{items, proves_nothing, read_json},
    exit::Exit,
    paid,
    purchases::find,
    report::{Report, amount},
};
use crate::{purchase::goods::judge, wallet::Wallet};
use anyhow::{Context, Result, bail};
use farthing_node::{
    home::files::{Existing, Mode, write_output},
    terminal::{Shown, json_lines},
};
use farthing_protocol::{
    documents::Terms,
    evidence::{self, Breach, Charge, Conviction, Culprit, PAPERS_MAX, Papers, Verdict},
};
use farthing_store::clock::{Clock, SystemClock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// What is said if no bank has denied anything.
const NONE_DENIED: &str = "no bank has denied a coin or a reserve of this wallet";

/// Prints the documents of a purchase, or writes them to a file.
pub(super) fn show(
    wallet: &Wallet,
    named: &str,
    output: Option<&Path>,
    existing: Existing,
) -> Result<Report> {
    let number = find(wallet, named)?;
    let papers = wallet.papers(number)?;
    let sealed = wallet.goods_file(number)?;
    give(&papers, output, existing, |path| {
        let text = format!(
            "the documents of purchase {number} are in {0}, its encrypted goods in {1}; with both, anyone can run\n  \
             farthing receipt verify {0} {1}",
            path.display(),
            sealed.display()
        );
        let json = json!({ "number": number, "documents": path, "goods": sealed });
        Report::done(text, json)
    })
}

/// Prints what proves a payment, or writes it to a file.
pub(super) fn payment(
    wallet: &Wallet,
    number: u64,
    output: Option<&Path>,
    existing: Existing,
) -> Result<Report> {
    let proof = wallet.payment_proof(number)?;
    give(&proof, output, existing, |path| {
        let text = format!(
            "what proves payment {number} is in {0}: the bank's signed statement, and the text with its salt; anyone can run\n  \
             farthing receipt verify {0}",
            path.display()
        );
        Report::done(text, json!({ "number": number, "documents": path }))
    })
}

/// Prints the documents that prove that a bank denies coins, or writes them to a file.
pub(super) fn denied(wallet: &Wallet, output: Option<&Path>, existing: Existing) -> Result<Report> {
    let papers = [wallet.denied_coins()?, wallet.denied_reserves()?].concat();
    if papers.is_empty() {
        if let Some(output) = output {
            bail!("{NONE_DENIED}, so {} was not written", output.display());
        }
        return Ok(Report::done(NONE_DENIED, json!([])));
    }
    give(&papers, output, existing, |path| {
        let text = format!(
            "the denied coins and reserves are in {0}, with the documents that prove them; anyone can run\n  farthing receipt \
             verify {0}\nfor change, add what the merchant exports of the sale (`farthing-merchant evidence`): it has the \
             escrow's commit; a bank is honest if it shows who has what it denies, for example a copy of this wallet",
            path.display()
        );
        Report::done(text, json!({ "documents": path }))
    })
}

/// Prints the documents that prove that servers have signed two encryption keys for one day, or writes them to a file.
pub(super) fn keys(wallet: &Wallet, output: Option<&Path>, existing: Existing) -> Result<Report> {
    let papers = wallet.two_keys_papers()?;
    if papers.is_empty() {
        let none = "no server has told this wallet two encryption keys for one day";
        if let Some(output) = output {
            bail!("{none}, so {} was not written", output.display());
        }
        return Ok(Report::done(none, json!([])));
    }
    give(&papers, output, existing, |path| {
        let text = format!(
            "the encryption keys are in {0}; anyone can run\n  farthing receipt verify {0}",
            path.display()
        );
        Report::done(text, json!({ "documents": path }))
    })
}

/// Prints documents, or writes them to the file `output` and returns what `written` makes of it.
fn give(
    documents: &impl Serialize,
    output: Option<&Path>,
    existing: Existing,
    written: impl FnOnce(&Path) -> Report,
) -> Result<Report> {
    let json = serde_json::to_value(documents)?;
    // The same text for a terminal and for a file.
    let pretty = json_lines(&json);
    let Some(path) = output else {
        return Ok(Report::done(pretty, json));
    };
    // Readable by its owner only: the receipt has the key that opens the goods.
    write_output(path, format!("{pretty}\n").as_bytes(), Mode::Secret, existing)?;
    Ok(written(path))
}

/// Judges documents, and the encrypted goods if they are among the files.
pub(super) fn verify(asked: &Verify) -> Result<Report> {
    let (mut papers, mut proofs, mut goods) = (Vec::new(), Vec::new(), None);
    for path in &asked.files {
        let json = read_json(path).with_context(|| format!("cannot read {}", path.display()))?;
        proofs.extend(json.iter().flat_map(items).filter_map(paid::proof_in));
        match json.as_ref().map(parse_documents) {
            Some(Ok(read)) => papers.extend(read),
            Some(Err(why)) => return Ok(proves_nothing(&format!("{}: {why}", path.display()))),
            // A file that is not JSON is taken for the goods. Another file then fails their digest.
            None => {
                if let Some(other) = goods.replace(path) {
                    let (one, other) = (other.display(), path.display());
                    return Ok(proves_nothing(&format!(
                        "{one} and {other} are not JSON, so neither has documents; give documents, and the encrypted \
                         goods of at most one purchase"
                    )));
                }
            }
        }
    }
    if papers.is_empty() {
        return Ok(proves_nothing("there are no documents: the file is not JSON"));
    }
    if papers.len() > PAPERS_MAX {
        bail!(
            "these are {} sets of documents; at most {PAPERS_MAX} are judged together",
            papers.len()
        );
    }
    let at_ms = asked.at_ms.unwrap_or_else(|| SystemClock.now_ms());
    let convictions = evidence::judge(&papers, at_ms);
    let mut expired = evidence::judge(&papers, 0);
    expired.retain(|conviction| !convictions.contains(conviction));
    let refunds = paid::refunds_in(&papers, asked);
    let delivery = match goods {
        Some(path) => Some(delivered(&papers, path)?),
        None => None,
    };
    let mut report = match (convictions.is_empty(), delivery) {
        (true, Some(delivery)) => delivery,
        (true, None) if !proofs.is_empty() => paid::judged(&proofs, asked),
        (true, None) if !refunds.is_empty() => Report::done(
            "these documents prove a refund, and convict nobody; the delivery was not judged",
            json!({ "verdict": "refunded" }),
        ),
        (true, None) if !expired.is_empty() => proves_nothing(
            "the claim is too old: who is accused need not have kept what would clear it; if it was brought earlier, say \
             when with --at",
        ),
        (true, None) => proves_nothing(
            "these documents convict nobody; with the encrypted goods, what was delivered can be judged",
        ),
        (false, delivery) => convicted(&convictions, delivery, &papers),
    };
    for refunded in &refunds {
        report.text.push_str(&paid::refund_text(refunded));
    }
    if !refunds.is_empty() {
        report.text.push_str(paid::refunds_unproven(asked));
    }
    if let Some(fields) = report.json.as_object_mut() {
        let refunds = refunds.iter().map(paid::refund_json).collect();
        fields.insert("refunds".into(), Value::Array(refunds));
        let convictions = convictions.iter().map(conviction_json).collect();
        fields.insert("convictions".into(), Value::Array(convictions));
        let expired = expired.iter().map(conviction_json).collect();
        fields.insert("expired".into(), Value::Array(expired));
    }
    Ok(report)
}

/// Parses exported documents: one set of papers, or a list of them.
fn parse_documents(value: &Value) -> Result<Vec<Papers>, String> {
    let papers: Result<Vec<Papers>, _> = items(value).iter().map(Papers::deserialize).collect();
    let papers = papers.map_err(|why| format!("not the documents of a purchase: {why}"))?;
    if papers.iter().all(|paper| *paper == Papers::default()) {
        return Err("not the documents of a purchase: there are none in it".into());
    }
    Ok(papers)
}

/// Judges the delivery of the first purchase among `papers`.
fn delivered(papers: &[Papers], goods: &Path) -> Result<Report> {
    let mut contracts = papers
        .iter()
        .filter_map(|paper| Some((paper, paper.contract.as_ref()?)));
    let Some((paper, contract)) = contracts.next() else {
        return Ok(proves_nothing("there is no contract among the documents"));
    };
    let verdict = judge(paper, goods).with_context(|| format!("cannot read {}", goods.display()))?;
    Ok(match verdict {
        Ok(verdict) => verdict_report(verdict, &contract.terms, &contract.offer.body.title),
        Err(why) => proves_nothing(&why.to_string()),
    })
}

/// The result if documents convict somebody, with the verdict on the delivery if there is one.
fn convicted(convictions: &[Conviction], delivery: Option<Report>, papers: &[Papers]) -> Report {
    let of_escrow = |conviction: &&Conviction| matches!(conviction.culprit, Culprit::Escrow(_));
    // Convictions about encryption keys come last.
    let first = convictions.iter().find(of_escrow).or(convictions.first());
    let (word, exit) = match first.map(|conviction| conviction.culprit) {
        Some(Culprit::Escrow(_)) => ("escrow_broke_contract", Exit::EscrowBroke),
        Some(Culprit::Merchant(_)) => ("merchant_broke_contract", Exit::MerchantBroke),
        Some(Culprit::Server(_)) => ("server_broke_protocol", Exit::ServerBroke),
        _ => ("bank_broke_its_word", Exit::BankBroke),
    };
    let mut lines: Vec<String> = convictions.iter().map(conviction_text).collect();
    let contract = papers.iter().find_map(|paper| paper.contract.as_ref());
    let reason = lines.join("; ");
    let delivery_json = match delivery {
        Some(delivery) => {
            lines.push(delivery.text);
            delivery.json
        }
        None => {
            lines.extend(contract.map(|contract| describe(&contract.terms, &contract.offer.body.title)));
            Value::Null
        }
    };
    let json = json!({ "verdict": word, "reason": reason, "delivery": delivery_json });
    Report {
        text: lines.join("\n"),
        json,
        exit,
    }
}

fn conviction_text(conviction: &Conviction) -> String {
    let (role, key) = culprit(conviction);
    let says = match conviction.culprit {
        Culprit::Escrow(_) => "the escrow broke the contract",
        Culprit::Merchant(_) => "the merchant broke the contract",
        Culprit::Bank(_) => "the bank broke its word",
        Culprit::Server(_) => "the server broke the protocol",
    };
    let unless = match conviction.charge.unless() {
        Some(rebuttal) => format!("\n  unless it shows {rebuttal}"),
        None => String::new(),
    };
    let purchase = match conviction.purchase {
        Some(purchase) => format!("\n  purchase  {purchase}"),
        None => String::new(),
    };
    format!(
        "{says}: {}{unless}\n  {role:<8}  {key}{purchase}",
        conviction.charge
    )
}

fn conviction_json(conviction: &Conviction) -> Value {
    let (role, key) = culprit(conviction);
    json!({
        "who": role,
        "key": key,
        "charge": charge_word(&conviction.charge),
        "reason": conviction.charge.to_string(),
        "unless": conviction.charge.unless(),
        "purchase_id": conviction.purchase.map(|purchase| purchase.to_string()),
    })
}

fn culprit(conviction: &Conviction) -> (&'static str, String) {
    match conviction.culprit {
        Culprit::Escrow(key) => ("escrow", key.to_string()),
        Culprit::Bank(key) => ("bank", key.to_string()),
        Culprit::Merchant(key) => ("merchant", key.to_string()),
        Culprit::Server(key) => ("server", key.to_string()),
    }
}

fn charge_word(charge: &Charge) -> &'static str {
    match charge {
        Charge::DecidedTwice => "decided_twice",
        Charge::WrongGoodsKey => "wrong_goods_key",
        Charge::NotAsAgreed => "not_as_agreed",
        Charge::AbortedWithoutCause => "aborted_without_cause",
        Charge::OverdueTooEarly => "overdue_too_early",
        Charge::SealedKeyDenied => "sealed_key_denied",
        Charge::WrongSealedKey { .. } => "wrong_sealed_key",
        Charge::SettledTwice => "settled_twice",
        Charge::CreditDenied => "credit_denied",
        Charge::SpentThoughAborted => "spent_though_aborted",
        Charge::ReleasedThoughCommitted => "released_though_committed",
        Charge::CoinDenied(_) => "coin_denied",
        Charge::ReserveDenied(_) => "reserve_denied",
        Charge::TwoEncryptionKeys { .. } => "two_encryption_keys",
        Charge::CommittedWithoutVoucher => "committed_without_voucher",
        Charge::RaisedNotKept => "raised_not_kept",
        Charge::TickDoesNotOpen { .. } => "tick_does_not_open",
    }
}

fn verdict_report(verdict: Verdict, terms: &Terms, title: &str) -> Report {
    let (says, word, reason, exit) = match verdict {
        Verdict::Delivered => (
            "delivered as described",
            "delivered",
            "the goods that were delivered are what the merchant described",
            Exit::Done,
        ),
        Verdict::EscrowBrokeContract => (
            "the escrow broke the contract",
            "escrow_broke_contract",
            "the escrow signed a goods key that does not open the offer's commitment",
            Exit::EscrowBroke,
        ),
        Verdict::MerchantBrokeContract(breach) => (
            "the merchant broke the contract",
            "merchant_broke_contract",
            breach_reason(breach),
            Exit::MerchantBroke,
        ),
    };
    let text = format!("{says}: {reason}\n{}", describe(terms, title));
    let json = json!({
        "verdict": word,
        "reason": reason,
        "title": title,
        "price": amount(terms.price),
        "currency": terms.currency,
        "purchase_id": terms.purchase_id().to_string(),
        "merchant": terms.merchant.to_string(),
        "escrow": terms.escrow.to_string(),
        "bank": terms.bank.to_string(),
    });
    Report { text, json, exit }
}

/// Describes the purchase.
fn describe(terms: &Terms, title: &str) -> String {
    format!(
        "  item      {}\n  price     {} {}\n  purchase  {}\n  merchant  {}\n  escrow    {}\n  bank      {}",
        Shown(title),
        terms.price,
        Shown(&terms.currency),
        terms.purchase_id(),
        terms.merchant,
        terms.escrow,
        terms.bank
    )
}

fn breach_reason(breach: Breach) -> &'static str {
    match breach {
        Breach::GoodsKey => "the merchant signed a goods key that does not open its offer's commitment",
        Breach::ContentKey => "the key that was paid for does not open the offer's wrapped key",
        Breach::Undecryptable => "the encrypted goods do not decrypt with the key that was paid for",
        Breach::Size => "the goods have another size than the offer says",
        Breach::Digest => "the goods are other bytes than the offer says",
    }
}

#[cfg(test)]
mod tests;
