//! Access of the commands to the merchant's directory and its running node.

use crate::admin::{AdminRequest, answer};
use crate::merchant::Settings;
use crate::migrate::migrate;
use crate::shelf::GoodsShelf;
use anyhow::Result;
use farthing_node::{
    card::RoleName,
    home::Home,
    operator::{OperatorError, administer, with_store},
    store::open_stopped,
};
use serde::de::DeserializeOwned;
use std::path::Path;

pub(crate) fn open(dir: &Path) -> Result<Home<Settings>> {
    Ok(Home::open(dir, RoleName::Merchant)?)
}

/// Sends `request` to the running node, or executes it in the directory of a stopped one.
pub(crate) async fn ask<R: DeserializeOwned>(dir: &Path, request: AdminRequest) -> Result<R, OperatorError> {
    let home: Home<Settings> = Home::open(dir, RoleName::Merchant)?;
    administer(dir, &request, async || {
        let shelf = GoodsShelf::open(dir).map_err(|error| OperatorError::Role(Box::new(error)))?;
        with_store(open_stopped(&home, migrate)?, |store| {
            answer(store, &shelf, request.clone())
        })
    })
    .await
}
