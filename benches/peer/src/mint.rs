//! A mint with a wallet that pays every invoice by itself, and what it takes to make swaps for it.

use anyhow::{Context, Result, bail};
use cashu::{
    Amount, CurrencyUnit, Id, KeySet, KeysResponse, MintQuoteBolt11Request, MintQuoteBolt11Response,
    MintRequest, MintResponse, PreMintSecrets, Proofs, SwapRequest, dhke::construct_proofs,
    nut23::QuoteState, secret::Secret,
};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

/// Any phrase. The mint has no real money.
const PHRASE: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// How long the mint may take to start, and to see a payment.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// Coins of one minting. The mint takes at most 1000.
const COINS_OF_A_MINTING: usize = 500;

/// Clock ticks of `/proc/PID/stat` in a second, on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// A running mint.
pub struct Mint {
    process: Child,
    /// Its address.
    pub url: String,
    pub http: reqwest::Client,
    keys: KeySet,
}

impl Mint {
    /// Makes a new mint in `dir`, and starts it.
    pub async fn start(mintd: &Path, dir: &Path, workers: usize) -> Result<Mint> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let config = dir.join("config.toml");
        std::fs::write(&config, settings(&url, port))?;
        let program = || {
            let mut command = Command::new(mintd);
            command
                .arg("--work-dir")
                .arg(dir)
                .env("CDK_MINTD_MNEMONIC", PHRASE)
                .env("TOKIO_WORKER_THREADS", workers.to_string())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true);
            command
        };
        let made = program()
            .args(["config", "init", "--new-mint", "--file"])
            .arg(&config)
            .status()
            .await;
        if !made.with_context(|| mintd.display().to_string())?.success() {
            bail!(
                "{} config init has failed; run it by hand with {}",
                mintd.display(),
                config.display()
            );
        }
        let process = program().spawn()?;
        let http = reqwest::Client::builder().pool_max_idle_per_host(4096).build()?;
        let until = Instant::now() + PATIENCE;
        let keys = loop {
            match http.get(format!("{url}/v1/keys")).send().await {
                Ok(answer) if answer.status().is_success() => break answer.json::<KeysResponse>().await?,
                _ if Instant::now() > until => bail!("the mint does not answer at {url}"),
                _ => sleep(PAUSE).await,
            }
        };
        let keys = keys
            .keysets
            .into_iter()
            .find(|keys| keys.unit == CurrencyUnit::Sat);
        Ok(Mint {
            process,
            url,
            http,
            keys: keys.context("the mint has no keys for sat")?,
        })
    }

    /// Makes so many swaps of two coins of its own, as the bytes of their requests.
    pub async fn prepare(&self, count: u64) -> Result<Vec<Vec<u8>>> {
        let mut swaps = Vec::new();
        while (swaps.len() as u64) < count {
            let coins = self.mint().await?;
            for pair in coins.chunks_exact(2) {
                let swap = SwapRequest::new(pair.to_vec(), self.secrets(2)?.blinded_messages());
                swaps.push(serde_json::to_vec(&swap)?);
            }
        }
        Ok(swaps)
    }

    /// Fresh coins, each worth one.
    async fn mint(&self) -> Result<Proofs> {
        let quote = MintQuoteBolt11Request {
            amount: Amount::from(COINS_OF_A_MINTING as u64),
            unit: CurrencyUnit::Sat,
            description: None,
            pubkey: None,
        };
        let mut quote: MintQuoteBolt11Response<String> = self.post("mint/quote/bolt11", &quote).await?;
        let until = Instant::now() + PATIENCE;
        while quote.state != QuoteState::Paid {
            if Instant::now() > until {
                bail!("the mint does not see that it was paid");
            }
            sleep(PAUSE).await;
            let url = format!("{}/v1/mint/quote/bolt11/{}", self.url, quote.quote);
            quote = self
                .http
                .get(url)
                .send()
                .await?
                .error_for_status()?
                .json()
                .await?;
        }
        let premint = self.secrets(COINS_OF_A_MINTING)?;
        let request = MintRequest {
            quote: quote.quote,
            outputs: premint.blinded_messages(),
            signature: None,
        };
        let minted: MintResponse = self.post("mint/bolt11", &request).await?;
        Ok(construct_proofs(
            minted.signatures,
            premint.rs(),
            premint.secrets(),
            &self.keys.keys,
        )?)
    }

    /// Secrets of coins worth one each, and their blinded messages.
    fn secrets(&self, count: usize) -> Result<PreMintSecrets> {
        let id: Id = self.keys.id;
        let secrets = (0..count).map(|_| Secret::generate()).collect();
        Ok(PreMintSecrets::from_secrets(
            id,
            vec![Amount::from(1); count],
            secrets,
        )?)
    }

    async fn post<Q: serde::Serialize, A: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        request: &Q,
    ) -> Result<A> {
        let answer = self
            .http
            .post(format!("{}/v1/{path}", self.url))
            .json(request)
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{path}: {status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// The CPU that the mint has used (us).
    pub fn cpu_us(&self) -> Result<u64> {
        cpu_us(&self.process.id().context("the mint has ended")?.to_string())
    }

    /// Stops it.
    pub async fn stop(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }
}

/// The CPU that a process has used (us), `self` for this one.
pub fn cpu_us(process: &str) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name before the last parenthesis may contain anything. Then utime and stime are the 12th and 13th word.
    let (_, rest) = stat.rsplit_once(')').context("no such process")?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.collect::<Result<Vec<_>, _>>()?.iter().sum();
    Ok(ticks * 1_000_000 / TICKS_PER_SECOND)
}

/// The mint's settings: SQLite, which it opens with `synchronous = FULL`, and a wallet that pays by itself.
fn settings(url: &str, port: u16) -> String {
    format!(
        r#"
[info]
url = "{url}/"
listen_host = "127.0.0.1"
listen_port = {port}
mnemonic = "env:CDK_MINTD_MNEMONIC"
[info.logging]
output = "stderr"
console_level = "error"
[database]
engine = "sqlite"
[payment_backend]
backend = "fakewallet"
unit = "sat"
[fake_wallet]
supported_units = ["sat"]
fee_percent = 0.0
reserve_fee_min = 0
min_delay_time = 0
max_delay_time = 0
"#
    )
}
