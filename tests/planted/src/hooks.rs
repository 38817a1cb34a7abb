//! All patches at once, each with a switch, so that one build is enough.
//!
//! A function that a patch changes gets a second body. It runs on a thread on which the patch's mistake is switched
//! on:
//!
//! ```text
//! fn price(offer: &Offer) -> Amount {
//!     if farthing_planted::is_planted("PriceDoubled") {
//!         (the body with the patch)
//!     } else {
//!         (the body)
//!     }
//! }
//! ```

use crate::{
    patch::{Change, Patch, REFRESH, changed},
    tree::Edits,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::Range,
    path::Path,
};

/// A function's body in a file, and its second bodies, each with the name of its mistake.
type Bodies = BTreeMap<(usize, usize), Vec<(String, String)>>;

/// The files of the workspace at `root` with all of `patches` and their switches, and the manifests of their crates
/// with the switches.
///
/// # Errors
/// When a patch does not apply, or changes anything except bodies of functions. The error says what to do.
pub fn edits(root: &Path, patches: &[Patch]) -> io::Result<Edits> {
    let files = || patches.iter().flat_map(|patch| &patch.files);
    let paths: BTreeSet<&str> = files().map(|file| file.path.as_str()).collect();
    let crates: BTreeSet<&str> = paths.iter().filter_map(|path| path.split('/').next()).collect();
    let mut edits = Edits::new();
    for path in paths {
        let text = fs::read_to_string(root.join(path))?;
        let text = hooked(path, &text, patches).map_err(io::Error::other)?;
        edits.insert(path.to_owned(), text);
    }
    for in_crate in crates {
        let manifest = format!("{in_crate}/Cargo.toml");
        let text = linked(&fs::read_to_string(root.join(&manifest))?);
        edits.insert(manifest, text);
    }
    Ok(edits)
}

/// A crate's manifest with the switches among its dependencies.
fn linked(manifest: &str) -> String {
    let (head, line) = ("[dependencies]\n", "farthing-planted.workspace = true\n");
    match manifest.contains(line) {
        true => manifest.to_owned(),
        false => manifest.replacen(head, &format!("{head}{line}"), 1),
    }
}

/// `text`, the file `path`, with all of `patches` that change it and their switches.
///
/// # Errors
/// When a patch does not apply, or changes anything except bodies of functions. The error says what to do.
pub fn hooked(path: &str, text: &str, patches: &[Patch]) -> Result<String, String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut bodies = Bodies::new();
    for patch in patches {
        for file in patch.files.iter().filter(|file| file.path == path) {
            let mut by_body: BTreeMap<(usize, usize), Vec<Change>> = BTreeMap::new();
            for change in file.changes(&patch.name, &lines)? {
                let body = body_around(&lines, &change).ok_or_else(|| {
                    format!(
                        "the planted defect {} changes {path} outside the body of a function. In \
                         tests/planted/patches/{}.patch: {REFRESH}",
                        patch.name, patch.name
                    )
                })?;
                by_body.entry((body.start, body.end)).or_default().push(change);
            }
            for ((start, end), changes) in by_body {
                let second = (patch.name.clone(), changed(&lines, start..end, &changes));
                bodies.entry((start, end)).or_default().push(second);
            }
        }
    }
    switched(&lines, &bodies)
}

/// The file with its second bodies.
fn switched(lines: &[&str], bodies: &Bodies) -> Result<String, String> {
    let mut text = String::new();
    let mut at = 0;
    for ((start, end), second) in bodies {
        if *start < at {
            return Err("two planted defects change a function and one inside of it".into());
        }
        text.push_str(&changed(lines, at..*start, &[]));
        for (name, body) in second {
            text.push_str(&format!(
                "if farthing_planted::is_planted(\"{name}\") {{\n{body}}} else "
            ));
        }
        text.push_str(&format!("{{\n{}}}\n", changed(lines, *start..*end, &[])));
        at = *end;
    }
    text.push_str(&changed(lines, at..lines.len(), &[]));
    Ok(text)
}

/// The lines of the body of the innermost function around `change`. rustfmt formats the code, so a function ends at
/// the first brace in the column of its `fn`.
fn body_around(lines: &[&str], change: &Change) -> Option<Range<usize>> {
    let before = lines.get(..change.removed.start)?;
    before.iter().enumerate().rev().find_map(|(place, line)| {
        let indent = is_function(line)?;
        let rest = lines.iter().enumerate().skip(place);
        let opens = |line: &str| line.ends_with('{') && indent_of(line) == indent;
        let (open, _) = rest.clone().find(|(_, line)| opens(line))?;
        let closing = format!("{}}}", " ".repeat(indent));
        let (close, _) = rest.skip(1).find(|(_, line)| **line == closing)?;
        (open < change.removed.start && change.removed.end <= close).then_some(open.saturating_add(1)..close)
    })
}

fn indent_of(line: &str) -> usize {
    line.len().saturating_sub(line.trim_start().len())
}

/// The indent of a line that begins a function.
fn is_function(line: &str) -> Option<usize> {
    let mut words = line.split_whitespace();
    let is_before_fn = |word: &&str| {
        matches!(*word, "const" | "async" | "pub" | "in") || word.starts_with("pub(") || word.ends_with(')')
    };
    let first = words.find(|word| !is_before_fn(word))?;
    (first == "fn").then(|| indent_of(line))
}
