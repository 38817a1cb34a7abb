//! The commands `sort scan` and `show`.

use super::{
    files::{now_ms, short},
    letter::lines,
};
use crate::{
    address::Address,
    documents::FILE_MAX_BYTES,
    indicium::{Indicium, MAGIC, decode, verify},
    reading::{self, Found},
    sort::{
        rules::{Face, Fault},
        station::Station,
    },
};
use anyhow::{Context, Result};
use clap::Args;
use farthing_node::{
    home::files::read_bounded,
    operator::Report,
    table::{Align, table},
};
use farthing_protocol::money::Amount;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct ScanArgs {
    /// The station's directory.
    pub(super) dir: PathBuf,
    /// The files: PNG, JPEG, PDF, or the bytes of an indicium.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The delivery address that is read on these letters. ` / ` separates its lines. It counts before the text of a PDF file.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "address_file")]
    address: Option<String>,
    /// A file with the delivery address.
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
    /// The value that is read on these letters.
    #[arg(long, value_name = "AMOUNT")]
    value: Option<Amount>,
}

/// An indicium of a file, with what the file says of the letter.
struct Piece {
    path: PathBuf,
    page: usize,
    indicium: Vec<u8>,
    address: Option<Vec<String>>,
}

/// The indicia in a file.
fn pieces(path: &Path) -> Result<Vec<Piece>> {
    let bytes = read_bounded(path, FILE_MAX_BYTES);
    let bytes = bytes.with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.starts_with(&MAGIC) {
        return Ok(vec![Piece {
            path: path.to_owned(),
            page: 1,
            indicium: bytes,
            address: None,
        }]);
    }
    let found = reading::read(&path.display().to_string(), &bytes)?;
    let piece = |found: Found| Piece {
        path: path.to_owned(),
        page: found.page,
        indicium: found.indicium,
        address: found.address,
    };
    Ok(found.into_iter().map(piece).collect())
}

/// What an argument or a file says of the address on the letters.
fn told(args: &ScanArgs) -> Result<Option<Vec<String>>> {
    if let Some(path) = &args.address_file {
        let text = read_bounded(path, 4096).with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(Some(lines(&String::from_utf8_lossy(&text))));
    }
    Ok(args.address.as_deref().map(lines))
}

/// Scans the files.
pub(super) fn execute(station: &Station, args: &ScanArgs) -> Result<Report> {
    let told = told(args)?;
    let mut found = Vec::new();
    for path in &args.files {
        found.extend(pieces(path)?);
    }
    let face = |piece: &Piece| {
        let lines = told.as_ref().or(piece.address.as_ref());
        let address = lines.map(|lines| Address::new(lines)).transpose()?;
        anyhow::Ok(Face {
            address,
            value: args.value,
        })
    };
    let mut letters = Vec::new();
    for piece in &found {
        letters.push((piece.indicium.clone(), face(piece)?));
    }
    let results = station.scan_all(&letters, now_ms())?;
    let refused = results.iter().filter(|result| result.is_err()).count();
    let pairs: Vec<_> = found.iter().zip(&results).collect();
    let rows: Vec<[String; 3]> = pairs.iter().map(|(piece, result)| row(piece, result)).collect();
    let columns = [
        ("FILE", Align::Left),
        ("LETTER", Align::Left),
        ("RESULT", Align::Left),
    ];
    let accepted = results.len().saturating_sub(refused);
    let text = match rows.len() {
        1..=50 => format!(
            "{}\n{accepted} accepted, {refused} refused",
            table(columns, &rows)
        ),
        _ => {
            let bad = |(_, result): &(&[String; 3], &Result<(), Fault>)| result.is_err();
            let rows: Vec<_> = rows
                .iter()
                .zip(&results)
                .filter(bad)
                .map(|(row, _)| row.clone())
                .collect();
            let table = if rows.is_empty() {
                String::new()
            } else {
                format!("{}\n", table(columns, &rows))
            };
            format!("{table}{accepted} accepted, {refused} refused")
        }
    };
    let json: Vec<Value> = pairs
        .iter()
        .map(|(piece, result)| json_of(piece, result))
        .collect();
    let mut report = Report::new(
        text,
        json!({ "accepted": accepted, "refused": refused, "letters": json }),
    );
    report.exit = u8::from(refused > 0);
    Ok(report)
}

fn row(piece: &Piece, result: &Result<(), Fault>) -> [String; 3] {
    let letter = match decode(&piece.indicium) {
        Ok(signed) => format!("{} {}", short(&signed.body.meter), signed.body.sequence),
        Err(_) => String::new(),
    };
    let says = match result {
        Ok(()) => "accepted".to_owned(),
        Err(fault) => fault.to_string(),
    };
    [format!("{}, {}", piece.path.display(), piece.page), letter, says]
}

fn json_of(piece: &Piece, result: &Result<(), Fault>) -> Value {
    let (word, says) = match result {
        Ok(()) => ("accepted", Value::Null),
        Err(fault) => (fault.word(), Value::String(fault.to_string())),
    };
    let fields = decode(&piece.indicium).map(|signed| fields(&signed.body));
    json!({ "file": piece.path, "page": piece.page, "result": word, "reason": says, "indicium": fields.ok() })
}

fn fields(body: &Indicium) -> Value {
    json!({
        "meter": body.meter, "sequence": body.sequence, "class": body.class.name(), "date": body.day.to_string(),
        "value": body.value.to_string(), "ascending": body.ascending.to_string(),
        "descending": body.descending.to_string(), "from": body.from, "to": body.to, "address": body.address,
    })
}

/// Shows the fields of the indicia in files.
pub(super) fn show(files: &[PathBuf]) -> Result<Report> {
    let mut texts = Vec::new();
    let mut all = Vec::new();
    for path in files {
        for piece in pieces(path)? {
            let signed = decode(&piece.indicium).with_context(|| format!("{}", path.display()))?;
            let fields = fields(&signed.body);
            let bytes = piece.indicium.len();
            let is_signed = verify(signed).is_ok();
            let lines = fields.as_object().into_iter().flatten().map(|(name, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("  {name:<10} {value}")
            });
            let says = if is_signed {
                "signed by its meter"
            } else {
                "NOT signed by its meter"
            };
            let lines: Vec<String> = lines.collect();
            texts.push(format!(
                "{}, {bytes} bytes, {says}\n{}",
                path.display(),
                lines.join("\n")
            ));
            all.push(json!({ "file": path, "bytes": bytes, "signed": is_signed, "indicium": fields }));
        }
    }
    Ok(Report::new(texts.join("\n"), json!({ "indicia": all })))
}
