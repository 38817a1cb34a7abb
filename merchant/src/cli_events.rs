//! The command `events`.

use crate::admin::AdminRequest;
use crate::cli_home::{ask, open};
use crate::events::{EventLine, EventsPage};
use anyhow::Result;
use clap::Args;
use farthing_node::admin::admin_call;
use farthing_node::operator::Report;
use farthing_node::terminal::{Shown, json_line, print_part};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a running node is asked for new events.
const FOLLOW_EVERY: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// The merchant's directory.
    dir: PathBuf,
    /// Only events after this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    since: u64,
    /// Go on with new events until stopped with ctrl-c. Waits for a node that is stopped.
    #[arg(long)]
    follow: bool,
}

/// Prints the events, one on each line, in JSON if `as_json`.
pub(crate) async fn execute(args: EventsArgs, as_json: bool) -> Result<Report> {
    open(&args.dir)?;
    let mut after = args.since;
    loop {
        let page = match args.follow {
            true => running(&args.dir, after).await?,
            false => Some(ask::<EventsPage>(&args.dir, AdminRequest::Events { after }).await?),
        };
        let more = page
            .as_ref()
            .is_some_and(|page| page.more && !page.events.is_empty());
        for event in page.map(|page| page.events).unwrap_or_default() {
            after = event.number;
            let line = match as_json {
                true => json_line(&event),
                false => text(&event),
            };
            if print_part(&format!("{line}\n")).is_err() {
                // Nobody reads on.
                return Ok(Report::said());
            }
        }
        match (more, args.follow) {
            (true, _) => {}
            (false, true) => tokio::time::sleep(FOLLOW_EVERY).await,
            (false, false) => return Ok(Report::said()),
        }
    }
}

/// A page from the running node. `None` if no node runs: a follower must not take the store from a node that starts.
async fn running(dir: &Path, after: u64) -> Result<Option<EventsPage>> {
    let request = serde_json::to_value(AdminRequest::Events { after })?;
    let reply = admin_call(dir, &request).await?;
    Ok(reply.map(serde_json::from_value).transpose()?)
}

fn text(event: &EventLine) -> String {
    let mut text = format!("{}  {}", event.number, event.kind);
    if let Some(purchase) = &event.purchase {
        text.push_str(&format!("  {purchase}"));
    }
    if let Some(sale) = &event.sale {
        text.push_str(&format!(
            "  {} {}  {}",
            sale.amount,
            Shown(&sale.currency),
            Shown(&sale.title)
        ));
    } else if event.purchase.is_some() {
        text.push_str("  forgotten");
    } else if let (Some(item_id), Some(left)) = (&event.item_id, event.left) {
        text.push_str(&format!("  {item_id}  {left} left"));
    }
    text
}
