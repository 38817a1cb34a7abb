//! The vectors of version 2, which this implementation makes itself: what version 2 adds to the story of version 1, with the
//! same parties. `cargo run -p farthing-protocol --example vectors` writes them.

use crate::support::{bank_seed, decode, key};
use farthing_coin::{Document, PublicKey, SecretKey, Signed, Statement};
use farthing_protocol::{
    documents::{Abort, AbortReason, Overdue, PurchaseKeyUse, Terms},
    wire,
};
use farthing_vectors::{Field, file};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Each file's name, and its text.
pub(crate) fn files() -> Vec<(&'static str, String)> {
    let text = |sections: Value| {
        let mut text = serde_json::to_string_pretty(&sections).expect("JSON");
        text.push('\n');
        text
    };
    let story = Story::read();
    vec![("documents", text(json!({ "documents": documents(&story) })))]
}

/// What the story of version 1 has.
struct Story {
    bank: SecretKey,
    escrow: SecretKey,
}

/// A purchase of the story, and the secret of its purchase key.
struct Purchase {
    name: &'static str,
    terms: Terms,
    secret: SecretKey,
}

impl Story {
    fn read() -> Self {
        let file = file("v1", "parties");
        let parties = Field(&file);
        let identity = |party| key(parties.get(party).get("identity_secret"));
        Story {
            bank: identity("bank"),
            escrow: identity("escrow"),
        }
    }

    fn purchase(&self, name: &'static str, order: u64) -> Purchase {
        let file = file("v1", "digests");
        let all = Field(&file).get("terms").items();
        let is_it = |case: &&Field<'_>| case.get("name").text() == format!("story, {name}");
        let case = all.iter().find(is_it).expect("terms of the story");
        let terms: Terms = decode(case.get("encoded")).expect("terms");
        let secret = bank_seed().purchase_key(order);
        assert_eq!(secret.public(), terms.purchase_key, "{name}");
        Purchase { name, terms, secret }
    }

    /// The bank's word that `purchase` is overdue.
    fn overdue(&self, terms: &Terms, late_ms: u64) -> Signed<Overdue> {
        let overdue = Overdue {
            purchase: terms.purchase_id(),
            escrow: terms.escrow,
            deadline_ms: terms.deadline_ms,
            at_ms: terms.deadline_ms + late_ms,
        };
        Signed::sign(overdue, &self.bank)
    }

    fn abort(&self, terms: &Terms, reason: AbortReason) -> Abort {
        Abort {
            purchase: terms.purchase_id(),
            bank: terms.bank,
            reason,
        }
    }
}

impl Purchase {
    fn cancel(&self) -> AbortReason {
        let statement = PurchaseKeyUse::Cancel.statement(&self.secret.public(), &self.terms.purchase_id());
        AbortReason::CancelledBy(self.secret.sign(&statement))
    }
}

fn documents(story: &Story) -> Vec<Value> {
    let purchases = [story.purchase("two steps", 0), story.purchase("cancelled", 2)];
    let mut all = Vec::new();
    for Purchase { name, terms, .. } in &purchases {
        for (late_ms, when) in [(0, "at the deadline"), (86_400_000, "a day later")] {
            let overdue = story.overdue(terms, late_ms);
            all.push(document(&format!("{name}, {when}"), overdue.body, &story.bank));
            let reason = AbortReason::Overdue(Box::new(story.overdue(terms, late_ms)));
            let abort = story.abort(terms, reason);
            all.push(document(
                &format!("{name}, Overdue, {when}"),
                abort,
                &story.escrow,
            ));
        }
    }
    for purchase in &purchases {
        let abort = story.abort(&purchase.terms, purchase.cancel());
        all.push(document(
            &format!("{}, CancelledBy", purchase.name),
            abort,
            &story.escrow,
        ));
    }
    all
}

/// The case of a document that `secret` signs.
fn document<D: Document + Serialize + Clone>(name: &str, body: D, secret: &SecretKey) -> Value {
    let statement = body.statement(&secret.public());
    let mut case = signed(secret, &statement);
    case.insert("kind".into(), json!(D::LABEL));
    case.insert("name".into(), json!(name));
    case.insert("body".into(), said(&body));
    case.insert(
        "encoded".into(),
        json!(hex::encode(wire::encode(&body).expect("short"))),
    );
    Value::Object(case)
}

/// What every signature's case has.
fn signed(secret: &SecretKey, statement: &Statement) -> Map<String, Value> {
    let signature = secret.sign(statement);
    let signer: PublicKey = secret.public();
    let (nonce, e) = crate::documents::nonce_and_challenge(secret, statement, &signature);
    let fields = json!({
        "secret": hex::encode(*secret.to_bytes()),
        "signer": hex::encode(signer.0),
        "digest": hex::encode(statement.digest),
        "nonce": hex::encode(nonce.as_bytes()),
        "e": hex::encode(e.as_bytes()),
        "signature": said(&signature),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// A value as the vectors say it: bytes in hexadecimal, and fields with the names of the documents.
fn said(value: &impl Serialize) -> Value {
    hexadecimal(serde_json::to_value(value).expect("JSON"))
}

fn hexadecimal(value: Value) -> Value {
    match value {
        Value::Array(list) => {
            let bytes: Option<Vec<u8>> = (list.iter())
                .map(|number| number.as_u64().and_then(|number| number.try_into().ok()))
                .collect();
            match bytes {
                // Lists of numbers, such as a key list's values, are shorter than any key, digest or tag.
                Some(bytes) if bytes.len() >= 16 => json!(hex::encode(bytes)),
                _ => list.into_iter().map(hexadecimal).collect(),
            }
        }
        Value::Object(fields) => {
            let rename = |name: String| match name.as_str() {
                "purchase" => "purchase_id".to_owned(),
                "encrypted_bytes" => "encrypted_size".to_owned(),
                "size_bytes" => "size".to_owned(),
                other => other.strip_suffix("_ms").unwrap_or(other).to_owned(),
            };
            let fields = fields.into_iter();
            Value::Object(
                fields
                    .map(|(name, value)| (rename(name), hexadecimal(value)))
                    .collect(),
            )
        }
        other => other,
    }
}
