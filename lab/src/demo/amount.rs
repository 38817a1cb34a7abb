//! Amounts as JSON.

use farthing_protocol::money::Amount;
use serde_json::{Value, json};

/// An amount as JSON.
pub fn amount(amount: Amount) -> Value {
    json!({ "units": amount.0, "text": amount.to_string() })
}
