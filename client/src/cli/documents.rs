//! Files of documents that prove something, as `farthing receipt` writes and reads them.

use super::{exit::Exit, report::Report};
use farthing_node::terminal::Shown;
use serde_json::{Value, json};
use std::{fs::File, io::Read, path::Path};

/// Upper bound of the size of a file of documents (bytes).
const DOCUMENTS_MAX_BYTES: u64 = 1024 * 1024;

/// The JSON value of a file; `None` if it is not JSON.
pub(super) fn read_json(path: &Path) -> std::io::Result<Option<Value>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(DOCUMENTS_MAX_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// The sets of documents in a file: one, or a list of them.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

/// The report of a file that proves nothing.
pub(super) fn proves_nothing(why: &str) -> Report {
    Report {
        text: format!("nothing is proven: {}", Shown(why)),
        json: json!({ "verdict": "proves_nothing", "reason": why }),
        exit: Exit::ProvesNothing,
    }
}
