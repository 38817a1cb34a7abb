//! Counts words for each sentence, and the relative words, of each document, so that the prose stays plain.
//!
//! `cargo run -p farthing-tests --example prose` prints a line for each document of the project. With files as
//! arguments it counts these, and with `--long N` it also prints each sentence of more than N words. It fails if the
//! mean or the longest sentence of a document is above its bound.
//!
//! Code blocks, headings and link targets do not count. A list item ends a sentence, and so does a cell of a table. A
//! cell of fewer than ten words does not count. A span of inline code is one word.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Words that open a relative clause or refer back. Many of them make a text hard to read.
const RELATIVE: [&str; 15] = [
    "which", "that", "who", "whom", "whose", "where", "whereby", "wherein", "whoever", "whatever", "what",
    "such", "those", "thereof", "therein",
];

/// Upper bound of the mean number of words of a document's sentences.
const MEAN: f64 = 18.0;

/// Upper bound of the number of words of a sentence.
const LONGEST: usize = 30;

/// Least number of words of a table's cell that counts.
const CELL: usize = 10;

/// The counts of one document.
struct Count {
    /// Sentences, each as its words.
    sentences: Vec<Vec<String>>,
}

impl Count {
    /// Counts the prose of a Markdown text.
    fn of(text: &str) -> Self {
        let sentences = paragraphs(text)
            .iter()
            .flat_map(|paragraph| sentences(paragraph))
            .collect();
        Count { sentences }
    }

    fn words(&self) -> usize {
        self.sentences.iter().map(Vec::len).sum()
    }

    /// Mean number of words of a sentence.
    fn mean(&self) -> f64 {
        self.words() as f64 / self.sentences.len().max(1) as f64
    }

    /// Number of words of the longest sentence.
    fn longest(&self) -> usize {
        self.sentences.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Percentage of relative words.
    fn relative(&self) -> f64 {
        let relative = self
            .sentences
            .iter()
            .flatten()
            .filter(|word| is_relative(word))
            .count();
        100.0 * relative as f64 / self.words().max(1) as f64
    }
}

fn is_relative(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    RELATIVE.contains(&word.as_str())
}

/// The paragraphs, list items and long cells of a Markdown text, without code blocks and headings.
fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs = Vec::new();
    let mut current = String::new();
    let mut code = false;
    for line in text.lines() {
        let line = line.trim().trim_start_matches("> ");
        let fence = line.starts_with("```");
        if fence {
            code = !code;
        }
        if !code && line.starts_with('|') {
            let cells = line.split('|').map(str::trim);
            paragraphs.extend(
                cells
                    .filter(|cell| cell.split_whitespace().count() >= CELL)
                    .map(str::to_owned),
            );
        }
        let apart = fence || code || line.is_empty() || line.starts_with('#') || line.starts_with('|');
        let item = list_item(line);
        if apart || item.is_some() {
            paragraphs.push(std::mem::take(&mut current));
        }
        if !apart {
            current.push(' ');
            current.push_str(item.unwrap_or(line));
        }
    }
    paragraphs.push(current);
    paragraphs.retain(|paragraph| !paragraph.trim().is_empty());
    paragraphs
}

/// The text of a list item: after a dash, a star or a number.
fn list_item(line: &str) -> Option<&str> {
    if let Some(text) = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")) {
        return Some(text);
    }
    let (number, text) = line.split_once(". ")?;
    (!number.is_empty() && number.chars().all(|c| c.is_ascii_digit())).then_some(text)
}

/// The sentences of a paragraph, each as its words.
fn sentences(paragraph: &str) -> Vec<Vec<String>> {
    let text = without_code_and_links(paragraph);
    let mut sentences = Vec::new();
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        if word.chars().any(char::is_alphanumeric) {
            words.push(word.to_owned());
        }
        let end = word.trim_end_matches(['"', ')', '*', '_', '”', '\'']);
        if end.ends_with(['.', '!', '?']) && !matches!(end, "e.g." | "i.e." | "cf." | "Sec." | "Eq.") {
            sentences.push(std::mem::take(&mut words));
        }
    }
    sentences.push(words);
    sentences.retain(|words| !words.is_empty());
    sentences
}

/// The text with each span of code as one word, and each link without its target.
fn without_code_and_links(paragraph: &str) -> String {
    let mut text = String::new();
    for (at, part) in paragraph.split('`').enumerate() {
        text.push_str(if at % 2 == 1 { "code" } else { part });
    }
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("](") {
        let (before, after) = rest.split_at(at);
        plain.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain.replace('[', "")
}

/// The documents of the project at `root`.
fn documents(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [
        ".",
        "docs",
        "coin",
        "protocol",
        "store",
        "node",
        "bank",
        "escrow",
        "merchant",
        "client",
        "model",
        "lab",
        "vectors",
        "fuzz",
        "benches",
        "tests",
        "tests/kit",
        "tests/planted",
    ] {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
            continue;
        };
        found.extend(
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
        );
    }
    found.sort();
    found
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut long = usize::MAX;
    let mut files = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--long" => long = args.next().and_then(|n| n.parse().ok()).unwrap_or(30),
            file => files.push(PathBuf::from(file)),
        }
    }
    if files.is_empty() {
        files = documents(&root);
    }
    let mut plain = true;
    println!(
        "{:>6} {:>9} {:>5} {:>8} {:>9}  document",
        "words", "sentences", "mean", "longest", "relative"
    );
    for file in &files {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return ExitCode::from(2);
            }
        };
        let count = Count::of(&text);
        println!(
            "{:>6} {:>9} {:>5.1} {:>8} {:>8.1}%  {}",
            count.words(),
            count.sentences.len(),
            count.mean(),
            count.longest(),
            count.relative(),
            file.strip_prefix(&root).unwrap_or(file).display(),
        );
        plain &= count.mean() <= MEAN && count.longest() <= LONGEST;
        for sentence in count.sentences.iter().filter(|sentence| sentence.len() > long) {
            println!("       {:>3}  {}", sentence.len(), sentence.join(" "));
        }
    }
    if plain {
        ExitCode::SUCCESS
    } else {
        eprintln!(
            "a document has more than {MEAN} words a sentence, or a sentence of more than {LONGEST} words"
        );
        ExitCode::FAILURE
    }
}
