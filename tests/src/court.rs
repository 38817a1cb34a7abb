//! A court: shows the judge every subset of the documents that a run leaves with its parties.
//!
//! A conviction must not depend on which documents an accuser leaves out. So every subset of a run's documents is
//! judged, and two things must hold:
//!
//! - No subset convicts an honest party, once that party adds its own documents.
//! - No subset of its own documents clears a guilty party, once an accuser shows all documents.

use farthing_protocol::{
    denial::{CoinDenial, DenialCause},
    documents::CoinUse,
    evidence::{Conviction, Culprit, Papers, ShownUse, judge},
};
use serde_json::{Map, Value, json};

/// Up to this many documents, every subset is judged. Of more, each one, each pair, and the rest without them.
const ALL_CHOICES_MAX: usize = 12;

/// One document: a field of [`Papers`].
#[derive(Clone, Debug, PartialEq)]
struct Document {
    field: String,
    value: Value,
}

/// Each document of these papers, once.
fn documents(papers: &[Papers]) -> Vec<Document> {
    let mut all = Vec::new();
    let mut add = |field: &str, value: Value| {
        let document = Document {
            field: field.to_owned(),
            value,
        };
        if !all.contains(&document) {
            all.push(document);
        }
    };
    for paper in papers {
        let Value::Object(fields) = serde_json::to_value(paper).expect("papers") else {
            panic!("papers are an object");
        };
        for (field, value) in fields {
            match value {
                // A list holds several documents of one kind. Each is a document of its own.
                Value::Array(list) if list.iter().any(Value::is_object) => {
                    list.into_iter().for_each(|one| add(&field, json!([one])));
                }
                value => add(&field, value),
            }
        }
    }
    all
}

/// The documents as the fewest papers. It proves nothing which documents are in one paper. One exception: the
/// escrow's key, which is not secret, is in each.
fn papers<'a>(documents: impl IntoIterator<Item = &'a Document>) -> Vec<Papers> {
    let mut sheets: Vec<Map<String, Value>> = vec![Map::new()];
    let mut escrows: Vec<Value> = Vec::new();
    for document in documents {
        if document.field == "escrow" {
            escrows.push(document.value.clone());
            continue;
        }
        let free = sheets
            .iter_mut()
            .find(|sheet| !sheet.contains_key(&document.field));
        let value = document.value.clone();
        match free {
            Some(sheet) => drop(sheet.insert(document.field.clone(), value)),
            None => sheets.push(Map::from_iter([(document.field.clone(), value)])),
        }
    }
    for (sheet, escrow) in sheets.iter_mut().zip(escrows.iter().cycle()) {
        sheet.insert("escrow".into(), escrow.clone());
    }
    let read = |sheet| serde_json::from_value(Value::Object(sheet)).expect("papers");
    sheets.into_iter().map(read).collect()
}

/// Subsets of `count` documents, as one flag for each document.
fn choices(count: usize) -> Vec<Vec<bool>> {
    if count <= ALL_CHOICES_MAX {
        let all = 0..1_usize << count;
        return all
            .map(|bits| (0..count).map(|i| bits >> i & 1 == 1).collect())
            .collect();
    }
    let mut some = Vec::new();
    for first in 0..count {
        for second in first..count {
            let pair: Vec<bool> = (0..count).map(|i| i == first || i == second).collect();
            some.push(pair.iter().map(|chosen| !chosen).collect());
            some.push(pair);
        }
    }
    some
}

/// The kinds of documents: each field of [`Papers`], and each kind of denial and use that a judge tells apart.
pub const KINDS: [&str; 37] = [
    "contract",
    "terms",
    "escrow",
    "hold",
    "bank_hold",
    "receipt",
    "free_receipt",
    "commit",
    "purchase_point",
    "abort",
    "sealing_secret",
    "settled",
    "keys",
    "coins",
    "denials",
    "uses",
    "encryption_keys",
    "deposits",
    "refunds",
    "balances",
    "debits",
    "opened",
    "voucher",
    "raised",
    "tick",
    "denial: held",
    "denial: spent, with the commit",
    "denial: spent, without",
    "denial: exchanged, with what was given",
    "denial: expired",
    "denial: deposited, with what was credited",
    "denial: of a reserve",
    "use: exchange",
    "use: purchase",
    "use: what was given",
    "use: deposit",
    "use: what was credited",
];

/// The [`KINDS`] that occur in these papers.
pub fn kinds(papers: &Papers) -> Vec<&'static str> {
    // A new field needs its kind here and above.
    let Papers {
        contract,
        terms,
        escrow,
        hold,
        bank_hold,
        receipt,
        free_receipt,
        commit,
        purchase_point,
        // Only a file of version 1 has it.
        purchase_secret: _,
        abort,
        sealing_secret,
        settled,
        keys,
        coins,
        denials,
        uses,
        encryption_keys,
        deposits,
        refunds,
        balances,
        debits,
        opened,
        voucher,
        raised,
        tick,
    } = papers;
    let fields = [
        contract.is_some(),
        terms.is_some(),
        escrow.is_some(),
        hold.is_some(),
        bank_hold.is_some(),
        receipt.is_some(),
        free_receipt.is_some(),
        commit.is_some(),
        purchase_point.is_some(),
        abort.is_some(),
        sealing_secret.is_some(),
        settled.is_some(),
        keys.is_some(),
        !coins.is_empty(),
        !denials.is_empty(),
        !uses.is_empty(),
        !encryption_keys.is_empty(),
        !deposits.is_empty(),
        !refunds.is_empty(),
        !balances.is_empty(),
        !debits.is_empty(),
        opened.is_some(),
        voucher.is_some(),
        raised.is_some(),
        tick.is_some(),
    ];
    let fields = KINDS.into_iter().zip(fields);
    let fields = fields.filter_map(|(kind, occurs)| occurs.then_some(kind));
    let denied = denials.iter().filter_map(|denial| match &denial.body.cause {
        DenialCause::Coin { what, .. } => denial_kind(what),
        DenialCause::Reserve(_) => Some("denial: of a reserve"),
        _ => None,
    });
    fields.chain(denied).chain(use_kinds(uses)).collect()
}

/// The kinds of the uses of coins.
fn use_kinds(uses: &[ShownUse]) -> impl Iterator<Item = &'static str> {
    let used = uses.iter().map(|shown| match shown.used.operation {
        CoinUse::Hold => "use: purchase",
        CoinUse::ExchangeBegin | CoinUse::Exchange => "use: exchange",
        CoinUse::Deposit => "use: deposit",
    });
    let given = uses.iter().filter_map(|shown| shown.issued.as_ref());
    let given = given.map(|_| "use: what was given");
    let credited = uses.iter().filter_map(|shown| shown.deposited.as_ref());
    let credited = credited.map(|_| "use: what was credited");
    used.chain(given).chain(credited)
}

fn denial_kind(what: &CoinDenial) -> Option<&'static str> {
    match what {
        CoinDenial::Held(_) => Some("denial: held"),
        CoinDenial::Spent { proof: Some(_), .. } => Some("denial: spent, with the commit"),
        CoinDenial::Spent { proof: None, .. } => Some("denial: spent, without"),
        CoinDenial::Exchanged { issued: Some(_), .. } => Some("denial: exchanged, with what was given"),
        CoinDenial::Expired { .. } => Some("denial: expired"),
        CoinDenial::Deposited {
            deposited: Some(_), ..
        } => Some("denial: deposited, with what was credited"),
        // A bank that shows nothing steals. The end of a key applies to a hold only.
        CoinDenial::Exchanged { issued: None, .. }
        | CoinDenial::Deposited { deposited: None, .. }
        | CoinDenial::EndsTooSoon => None,
    }
}

/// A party of a run and its documents.
#[derive(Debug)]
pub struct Witness {
    /// Its name in a failure message.
    pub name: &'static str,
    /// The party for the judge, if it has a key by which it can be convicted. A customer has none.
    pub accused: Option<Culprit>,
    /// Its documents.
    pub papers: Vec<Papers>,
}

/// Judges every subset of the documents of `witnesses`, and returns how many were judged. The `guilty` have cheated.
/// Each is convicted by all documents of the witness named beside it.
///
/// # Panics
/// When an honest party is convicted, or a guilty one is cleared.
pub fn judge_every_choice(witnesses: &[Witness], guilty: &[(Culprit, &str)]) -> usize {
    let mut judged = 0;
    for accused in witnesses.iter().filter_map(|witness| witness.accused) {
        if !guilty.iter().any(|(culprit, _)| *culprit == accused) {
            judged += nothing_convicts(witnesses, accused);
        }
    }
    for (culprit, accuser) in guilty {
        judged += nothing_clears(witnesses, *culprit, accuser);
    }
    judged
}

fn is_convicted(judgement: &[Conviction], culprit: Culprit) -> bool {
    judgement.iter().any(|conviction| conviction.culprit == culprit)
}

/// The documents of the accused, and the further documents of the others.
fn split(witnesses: &[Witness], accused: Culprit) -> (Vec<Document>, Vec<Document>) {
    let is_own = |witness: &&Witness| witness.accused == Some(accused);
    let own: Vec<Papers> = (witnesses.iter().filter(is_own))
        .flat_map(|witness| witness.papers.clone())
        .collect();
    let others: Vec<Papers> = (witnesses.iter().filter(|witness| !is_own(witness)))
        .flat_map(|witness| witness.papers.clone())
        .collect();
    let own = documents(&own);
    let mut others = documents(&others);
    others.retain(|document| !own.contains(document));
    (own, others)
}

fn nothing_convicts(witnesses: &[Witness], accused: Culprit) -> usize {
    let (own, others) = split(witnesses, accused);
    let choices = choices(others.len());
    for choice in &choices {
        let shown = others
            .iter()
            .zip(choice)
            .filter_map(|(d, chosen)| chosen.then_some(d));
        let shown: Vec<&Document> = shown.collect();
        let judgement = judge(&papers(shown.iter().copied().chain(&own)), 0);
        let fields: Vec<&str> = shown.iter().map(|document| document.field.as_str()).collect();
        assert!(
            !is_convicted(&judgement, accused),
            "{accused:?} is honest, shows all that it has, and is convicted by {fields:?}: {judgement:?}"
        );
    }
    choices.len()
}

fn nothing_clears(witnesses: &[Witness], culprit: Culprit, accuser: &str) -> usize {
    let accuser = witnesses.iter().find(|witness| witness.name == accuser);
    let against = documents(&accuser.expect("the accuser is a witness").papers);
    let (own, _) = split(witnesses, culprit);
    let own: Vec<Document> = own
        .into_iter()
        .filter(|document| !against.contains(document))
        .collect();
    let choices = choices(own.len());
    for choice in &choices {
        let shown = own
            .iter()
            .zip(choice)
            .filter_map(|(d, chosen)| chosen.then_some(d));
        let shown: Vec<&Document> = shown.collect();
        let judgement = judge(&papers(against.iter().chain(shown.iter().copied())), 0);
        let fields: Vec<&str> = shown.iter().map(|document| document.field.as_str()).collect();
        assert!(
            is_convicted(&judgement, culprit),
            "{culprit:?} is guilty, and is cleared by {fields:?}: {judgement:?}"
        );
    }
    choices.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few_documents_every_choice_is_made_and_of_many_each_pair_and_its_complement() {
        assert_eq!(choices(0), [Vec::<bool>::new()]);
        assert_eq!(choices(3).len(), 8);
        let many = choices(13);
        assert_eq!(many.len(), 13 * 14);
        assert!(many.contains(&(0..13).map(|i| i == 2 || i == 7).collect()));
        assert!(many.contains(&(0..13).map(|i| i != 2 && i != 7).collect()));
    }
}
