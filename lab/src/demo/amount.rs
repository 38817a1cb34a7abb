//! Amounts, as programs see them.

use farthing_protocol::money::Amount;
use serde_json::{Value, json};

/// An amount, as programs see it.
pub fn amount(amount: Amount) -> Value {
    json!({ "units": amount.0, "text": amount.to_string() })
}
