//! Many customers that swap, one swap after another each, and what it took.

use crate::mint::{Mint, cpu_us};
use anyhow::{Result, bail};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

/// The pause before and after a run, so that nothing of another one is counted.
const REST: Duration = Duration::from_millis(500);

/// What a run has shown.
pub struct Run {
    /// How long was counted (s).
    pub seconds: f64,
    /// Swaps in that time.
    pub done: u64,
    /// Swaps a second.
    pub per_second: f64,
    /// Swaps that the mint has refused.
    pub failures: u64,
    /// The mint's CPU of each swap (us).
    pub server_cpu_us: f64,
    /// This program's CPU of each swap (us).
    pub client_cpu_us: f64,
    /// The latencies of the counted swaps, sorted (ms).
    latencies: Vec<f64>,
}

impl Run {
    /// The latency within which so many per cent of the swaps were answered (ms).
    pub fn percentile(&self, percent: usize) -> f64 {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// What all customers share.
struct Shared {
    swaps: Mutex<Vec<Vec<u8>>>,
    /// When each swap was answered, how long it took, and whether it was signed.
    answers: Mutex<Vec<(Instant, Duration, bool)>>,
}

/// Lets `under_way` customers swap. It is counted from when as many swaps are completed as are under way.
pub async fn run(mint: &Mint, swaps: Vec<Vec<u8>>, under_way: u64, seconds: u64) -> Result<Run> {
    let shared = Arc::new(Shared {
        swaps: Mutex::new(swaps),
        answers: Mutex::default(),
    });
    sleep(REST).await;
    let before = (mint.cpu_us()?, cpu_us("self")?);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut customers = JoinSet::new();
    for _ in 0..under_way {
        let (shared, http, url) = (
            Arc::clone(&shared),
            mint.http.clone(),
            format!("{}/v1/swap", mint.url),
        );
        customers.spawn(async move {
            while Instant::now() < until {
                let Some(swap) = shared.swaps.lock().expect("no panic").pop() else {
                    bail!("the mint is faster than what is prepared; raise SWAPS_PER_SECOND_MAX");
                };
                let began = Instant::now();
                let request = http
                    .post(&url)
                    .header("content-type", "application/json")
                    .body(swap);
                let answer = request.send().await?;
                let is_signed = answer.status().is_success();
                answer.bytes().await?;
                let ended = Instant::now();
                shared
                    .answers
                    .lock()
                    .expect("no panic")
                    .push((ended, ended - began, is_signed));
            }
            Ok(())
        });
    }
    while let Some(ended) = customers.join_next().await {
        ended??;
    }
    sleep(REST).await;
    let after = (mint.cpu_us()?, cpu_us("self")?);
    let mut answers = std::mem::take(&mut *shared.answers.lock().expect("no panic"));
    answers.sort_by_key(|(ended, ..)| *ended);
    let all = answers.len().max(1) as f64;
    let warm = usize::try_from(under_way)?.min(answers.len());
    let Some((from, ..)) = answers.get(warm.saturating_sub(1)).copied() else {
        bail!("the mint has answered nothing");
    };
    // While customers end one by one, not as many are under way.
    let counted: Vec<_> = answers
        .drain(warm..)
        .filter(|(ended, ..)| *ended <= until)
        .collect();
    let seconds = until.saturating_duration_since(from).as_secs_f64();
    let mut latencies: Vec<f64> = counted
        .iter()
        .map(|(_, took, _)| took.as_secs_f64() * 1e3)
        .collect();
    latencies.sort_by(f64::total_cmp);
    let done = counted.iter().filter(|(.., is_signed)| *is_signed).count() as u64;
    Ok(Run {
        seconds,
        done,
        per_second: done as f64 / seconds,
        failures: counted.len() as u64 - done,
        server_cpu_us: (after.0 - before.0) as f64 / all,
        client_cpu_us: (after.1 - before.1) as f64 / all,
        latencies,
    })
}
