//! Evidence: what proves a purchase to anyone, and judging it.

use super::{
    exit::Exit,
    hexed::{from_hex, to_hex},
    purchases::find,
    report::{Report, amount, one_line},
};
use crate::{
    goods::judge,
    rows::{Exhibit, PurchaseRow},
    wallet::Wallet,
};
use anyhow::{Context, Result};
use farthing_coin::Signed;
use farthing_protocol::{
    documents::{Abort, Contract},
    evidence::{Breach, Evidence, SaleEvidence, Verdict, signed_both},
    purchase::Purchase,
};
use serde_json::{Value, json};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The most bytes of documents that are read.
const DOCUMENTS_MAX_BYTES: u64 = 1024 * 1024;

/// Prints the documents of a purchase, or writes them to a file.
pub(super) fn show(wallet: &Wallet, named: &str, output: Option<&Path>) -> Result<Report> {
    let number = find(wallet, named)?;
    let evidence = wallet.evidence(number)?;
    let sealed = wallet.goods_path(&evidence.contract.offer.body);
    let mut json = serde_json::to_value(&evidence)?;
    if let (Some(fields), Some(abort)) = (json.as_object_mut(), abort_of(&wallet.purchase(number)?)) {
        fields.insert("abort".into(), serde_json::to_value(abort)?);
    }
    let json = to_hex(json);
    let pretty = serde_json::to_string_pretty(&json)?;
    let Some(path) = output else {
        return Ok(Report::done(pretty, json));
    };
    write_new(path, &pretty)
        .with_context(|| format!("cannot write {}; it must not exist yet", path.display()))?;
    let text = format!(
        "the documents of purchase {number} are in {0}, its encrypted goods in {1}; with both, anyone can run\n  \
         farthing receipt verify {0} {1}",
        path.display(),
        sealed.display()
    );
    let json = json!({ "number": number, "documents": path, "goods": sealed });
    Ok(Report::done(text, json))
}

/// The abort of a purchase, which next to a receipt convicts the escrow.
fn abort_of(row: &PurchaseRow) -> Option<&Signed<Abort>> {
    if let Purchase::Aborted(_, abort) = &row.purchase {
        return Some(abort);
    }
    row.exhibits.iter().find_map(|exhibit| match exhibit {
        Exhibit::Abort(abort) => Some(abort),
        Exhibit::Receipt(_) | Exhibit::Commit(_) => None,
    })
}

/// Writes a file that only its owner reads: the receipt holds the key that opens the goods.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Judges a purchase from its documents and its encrypted goods.
pub(super) fn verify(documents: &Path, goods: &Path) -> Result<Report> {
    let mut bytes = Vec::new();
    File::open(documents)
        .and_then(|file| file.take(DOCUMENTS_MAX_BYTES).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", documents.display()))?;
    let Documents { evidence, abort } = match read_documents(&bytes) {
        Ok(documents) => documents,
        Err(why) => return Ok(proves_nothing(&format!("{}: {why}", documents.display()))),
    };
    let contract = evidence.contract.clone();
    if let Some(abort) = abort
        && contract.clone().verified().is_ok()
        && abort.body.purchase == contract.terms.purchase_id()
        && signed_both(&contract.terms.escrow, &evidence.receipt, &abort) == Ok(true)
    {
        let reason = "the escrow signed both a receipt and an abort of this purchase";
        return Ok(judged(
            "escrow_broke_contract",
            reason,
            Exit::EscrowBroke,
            &contract,
        ));
    }
    let verdict = judge(evidence, goods).with_context(|| format!("cannot read {}", goods.display()))?;
    Ok(match verdict {
        Ok(verdict) => verdict_report(verdict, &contract),
        Err(why) => proves_nothing(&why.to_string()),
    })
}

/// What a wallet or a merchant has exported.
#[derive(Debug, PartialEq)]
struct Documents {
    evidence: Evidence,
    abort: Option<Signed<Abort>>,
}

fn read_documents(bytes: &[u8]) -> Result<Documents, String> {
    let no_documents = |why| format!("not the documents of a purchase: {why}");
    let value: Value = serde_json::from_slice(bytes).map_err(|why| format!("not JSON: {why}"))?;
    let evidence = if value.get("committed").is_some() {
        from_hex::<SaleEvidence>(&value).map(|sale| Evidence {
            contract: sale.contract,
            receipt: sale.committed.receipt,
        })
    } else {
        from_hex::<Evidence>(&value)
    };
    let abort = value
        .get("abort")
        .map(from_hex)
        .transpose()
        .map_err(no_documents)?;
    Ok(Documents {
        evidence: evidence.map_err(no_documents)?,
        abort,
    })
}

fn proves_nothing(why: &str) -> Report {
    Report {
        text: format!("nothing is proven: {why}"),
        json: json!({ "verdict": "proves_nothing", "reason": why }),
        exit: Exit::ProvesNothing,
    }
}

fn verdict_report(verdict: Verdict, contract: &Contract) -> Report {
    let (word, reason, exit) = match verdict {
        Verdict::Delivered => (
            "delivered",
            "the goods that were delivered are what the merchant described",
            Exit::Done,
        ),
        Verdict::EscrowBrokeContract => (
            "escrow_broke_contract",
            "the escrow signed a receipt whose key is not the one that the offer commits to",
            Exit::EscrowBroke,
        ),
        Verdict::MerchantBrokeContract(breach) => (
            "merchant_broke_contract",
            breach_reason(breach),
            Exit::MerchantBroke,
        ),
    };
    judged(word, reason, exit, contract)
}

fn judged(word: &str, reason: &str, exit: Exit, contract: &Contract) -> Report {
    let (terms, offer) = (&contract.terms, &contract.offer.body);
    let says = match exit {
        Exit::Done => "delivered as described",
        Exit::EscrowBroke => "the escrow broke the contract",
        _ => "the merchant broke the contract",
    };
    let text = format!(
        "{says}: {reason}\n  item      {}\n  price     {} {}\n  purchase  {}\n  merchant  {}\n  escrow    {}\n  bank      {}",
        one_line(&offer.title),
        terms.price,
        one_line(&terms.currency),
        terms.purchase_id(),
        terms.merchant,
        terms.escrow,
        terms.bank
    );
    let json = json!({
        "verdict": word,
        "reason": reason,
        "title": offer.title,
        "price": amount(terms.price),
        "currency": terms.currency,
        "purchase_id": terms.purchase_id().to_string(),
        "merchant": terms.merchant.to_string(),
        "escrow": terms.escrow.to_string(),
        "bank": terms.bank.to_string(),
    });
    Report { text, json, exit }
}

fn breach_reason(breach: Breach) -> &'static str {
    match breach {
        Breach::ContentKey => "the key that was paid for does not open the offer's wrapped key",
        Breach::Undecryptable => "the encrypted goods do not decrypt with the key that was paid for",
        Breach::Size => "the goods have another size than the offer says",
        Breach::Digest => "the goods are other bytes than the offer says",
    }
}

#[cfg(test)]
mod tests;
