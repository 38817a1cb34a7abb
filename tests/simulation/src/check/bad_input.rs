//! Bad input: a request that no honest party sends is answered, and changes nothing. (`tests/bad_input.rs` shows
//! which refusal each gets.)

use super::super::{
    dice::Dice,
    network::Sent,
    world::{AT_REST_AFTER, World},
};
use farthing_node::network::Lane;
use farthing_protocol::api::EscrowRequest;
use std::time::Duration;

impl World {
    /// Sends changed copies of earlier requests, once nothing is under way. Returns what was found.
    pub async fn send_bad_input(&self, dice: &Dice, times: usize) -> Vec<String> {
        let mut found = Vec::new();
        // The ends of the journals are recorded first: every later record is caused by a request from here.
        tokio::time::sleep(AT_REST_AFTER).await;
        let sent: Vec<Sent> = self.network.sent();
        for _ in 0..times {
            let message = &sent[dice.below(sent.len() as u64) as usize];
            if !self.servers().contains(&message.to) {
                continue;
            }
            let bytes = changed(&message.request, dice);
            if matches!(EscrowRequest::decode(&bytes), Ok(EscrowRequest::Overdue(_))) {
                // Anyone may bring made-up terms and have them aborted: see PROTOCOL.md.
                continue;
            }
            let lane = if dice.percent(10) {
                dice.one_of(&Lane::ALL)
            } else {
                message.lane
            };
            let before = self.syncs();
            let channel = self
                .wire()
                .connect(self.card(message.to), lane)
                .await
                .expect("a connection");
            if let Err(error) = channel.call(bytes, Duration::from_secs(60)).await {
                found.push(format!("bad input: {} gave no answer: {error}", message.to));
            }
            if self.syncs() != before {
                found.push(format!("bad input: {} has written something for it", message.to));
            }
        }
        found
    }

    fn syncs(&self) -> u64 {
        self.disks().iter().map(|disk| disk.syncs()).sum()
    }
}

/// Bytes that differ from these.
fn changed(bytes: &[u8], dice: &Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = dice.below(bytes.len() as u64) as usize;
    match dice.below(4) {
        0 => bytes[at] ^= 1 << dice.below(8),
        1 => bytes.truncate(at),
        2 => bytes.push(dice.any() as u8),
        _ => bytes[at..].iter_mut().for_each(|byte| *byte = dice.any() as u8),
    }
    bytes
}
