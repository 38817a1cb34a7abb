//! The command `webhook`.

use crate::admin::{AdminRequest, WebhookState};
use crate::cli_home::{ask, open};
use crate::webhook::Receiver;
use crate::webhook_secret::{WEBHOOK_SECRET_FILE, WebhookSecret};
use anyhow::Result;
use clap::Subcommand;
use farthing_node::operator::{Directory, Report};
use farthing_node::terminal::Shown;
use farthing_store::entropy::SystemEntropy;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Post every event to a web shop on this machine, from now on. Prints the secret that signs them.
    Set {
        /// The merchant's directory.
        dir: PathBuf,
        /// The URL, such as http://127.0.0.1:8000/farthing.
        url: String,
        /// Draw a new secret.
        #[arg(long)]
        new_secret: bool,
    },
    /// Show the URL, and how many events are delivered.
    Show(Directory),
    /// Post an event again.
    Redeliver {
        /// The merchant's directory.
        dir: PathBuf,
        /// The number of the event.
        number: u64,
    },
    /// Post no more events.
    Remove(Directory),
}

pub(crate) async fn execute(command: WebhookCommand) -> Result<Report> {
    match command {
        WebhookCommand::Set { dir, url, new_secret } => set(&dir, url, new_secret).await,
        WebhookCommand::Show(Directory { dir }) => show(&dir).await,
        WebhookCommand::Redeliver { dir, number } => {
            open(&dir)?;
            let state: WebhookState = ask(&dir, AdminRequest::WebhookRedeliver { number }).await?;
            let text = format!(
                "event {number} is posted again; {} events wait for that",
                state.again
            );
            Ok(Report::new(text, serde_json::to_value(state)?))
        }
        WebhookCommand::Remove(Directory { dir }) => {
            open(&dir)?;
            let state: WebhookState = ask(&dir, AdminRequest::WebhookRemove).await?;
            Ok(Report::new(
                "no event is posted any more",
                serde_json::to_value(state)?,
            ))
        }
    }
}

async fn set(dir: &Path, url: String, new_secret: bool) -> Result<Report> {
    open(dir)?;
    Receiver::parse(&url).map_err(anyhow::Error::msg)?;
    let path = dir.join(WEBHOOK_SECRET_FILE);
    // The secret is there before the node looks for it.
    let secret = match new_secret || !path.exists() {
        true => WebhookSecret::draw(dir, &SystemEntropy)?,
        false => WebhookSecret::load(dir)?,
    };
    let state: WebhookState = ask(dir, AdminRequest::WebhookSet { url: url.clone() }).await?;
    let text = format!(
        "events after number {} are posted to {}; the secret that signs them is in {}:\n{}",
        state.delivered.unwrap_or_default(),
        Shown(&url),
        path.display(),
        secret.to_text().as_str()
    );
    let json = json!({ "webhook": state, "secret": secret.to_text().as_str(), "file": path });
    Ok(Report::new(text, json))
}

async fn show(dir: &Path) -> Result<Report> {
    open(dir)?;
    let state: WebhookState = ask(dir, AdminRequest::WebhookShow).await?;
    let text = match &state.url {
        None => "there is no webhook; set one with `webhook set DIR URL`".to_owned(),
        Some(url) => format!(
            "events are posted to {}: {} of {} are delivered, {} are posted again",
            Shown(url),
            state.delivered.unwrap_or_default(),
            state.events,
            state.again
        ),
    };
    Ok(Report::new(text, serde_json::to_value(state)?))
}
