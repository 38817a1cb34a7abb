//! A merchant's directory, and its running node, as every command reaches them.

use crate::admin::{AdminRequest, answer};
use crate::merchant::Settings;
use crate::migrate::migrate;
use crate::shelf::Shelf;
use anyhow::Result;
use farthing_node::{
    card::RoleName,
    home::Home,
    operator::{OperatorError, administer, with_store},
};
use serde_json::Value;
use std::path::Path;

pub(crate) fn open(dir: &Path) -> Result<Home<Settings>> {
    Ok(Home::open(dir, RoleName::Merchant)?)
}

/// Has the running node do what `request` asks, or does it itself when no node runs.
pub(crate) async fn ask(dir: &Path, request: AdminRequest) -> Result<Value, OperatorError> {
    administer(dir, &request, async || {
        let shelf = Shelf::open(dir).map_err(|error| OperatorError::Role(Box::new(error)))?;
        with_store(dir, migrate, |store| answer(store, &shelf, request.clone()))
    })
    .await
}
