//! Whether everything is settled at the bank, by the nodes' own books.

use super::{director::Director, stage::Stage};
use farthing_kit::{
    books::{decisions, seen_within},
    error::RunError,
};
use farthing_protocol::money::Amount;
use serde_json::Value;
use std::time::Duration;

/// The time limit of the settlement in the background. The servers' pauses between attempts grow.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(45);

/// The merchant's sales.
///
/// # Errors
/// When the merchant does not answer its operator.
pub async fn sales(stage: &Stage) -> Result<Vec<Value>, RunError> {
    let answer = stage.merchant.admin(&["sales"], &[]).await?;
    Ok(answer
        .get("sales")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default())
}

/// A text in an answer; empty if there is none.
pub fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Waits until everything is settled at the bank. Returns `false` after a time limit.
///
/// # Errors
/// When a node's reply to its operator is not understood.
pub async fn settles(stage: &Stage, director: &Director) -> Result<bool, RunError> {
    let settled = || async {
        // An operator's command on a killed node opens its directory, and the node could not restart in it.
        if director.is_mending() {
            return Ok(false);
        }
        match is_settled(stage).await {
            // The node was killed just now.
            Err(RunError::Process(_)) => Ok(false),
            other => other,
        }
    };
    seen_within(SETTLE_TIMEOUT, settled).await
}

async fn is_settled(stage: &Stage) -> Result<bool, RunError> {
    let decided = decisions(&stage.escrow).await?;
    let sold = sales(stage).await?;
    let over = |sale: &Value| matches!(text(sale, "state"), "credited" | "ended" | "aborted");
    // The merchant learns of a commit on a sealed offer a little later.
    let known = |id: &str| sold.iter().any(|sale| text(sale, "purchase") == id);
    Ok(decided
        .iter()
        .all(|(id, decision)| decision.settled && (decision.outcome != "committed" || known(id)))
        && sold.iter().all(over)
        && stage.books().await?.held == Amount(0))
}
