//! Planted defects as files: a sentence and a unified diff with the mistake.

use crate::tree::Edits;
use std::{fs, io, ops::Range, path::Path};

/// Advice for a patch that does not fit the code.
pub(crate) const REFRESH: &str = "make the mistake in the code as it is now, put what `git diff -U0` prints (`-U1` where \
                                  its lines are there twice) into the file in place of the old diff, and undo the \
                                  mistake in the code";

/// A mistake as a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The file's name without extension. Tables and cases use it as the name of the mistake.
    pub name: String,
    /// The mistake, in one sentence.
    pub mistake: String,
    /// The changes, by file.
    pub files: Vec<FilePatch>,
}

/// The changes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePatch {
    /// The path of the file, from the workspace's root.
    pub path: String,
    hunks: Vec<Hunk>,
}

/// One hunk: lines that must be in the file exactly once, and their replacement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Hunk {
    before: Vec<String>,
    after: Vec<String>,
}

/// A change of a text: the range of old lines, and the new lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) removed: Range<usize>,
    pub(crate) added: Vec<String>,
}

impl Patch {
    /// Reads every patch of the workspace at `root`, in the order of their names.
    ///
    /// # Errors
    /// When a file cannot be read, or is not a patch. The error names it.
    pub fn read_all(root: &Path) -> io::Result<Vec<Patch>> {
        let mut patches = Vec::new();
        for entry in fs::read_dir(root.join("tests/planted/patches"))? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let patch = Patch::parse(&name, &fs::read_to_string(&path)?);
            patches.push(patch.map_err(|why| io::Error::other(format!("{}: {why}", path.display())))?);
        }
        patches.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(patches)
    }

    /// Parses a patch: its sentence in the first line, then a unified diff. Line numbers are ignored.
    ///
    /// # Errors
    /// When it is not a patch. The error says why.
    pub fn parse(name: &str, text: &str) -> Result<Patch, String> {
        let mut lines = text.lines();
        let mistake = lines.next().unwrap_or_default().to_owned();
        if mistake.is_empty() || mistake.starts_with("---") {
            return Err("its first line has to say in one sentence what the mistake is".into());
        }
        let mut files: Vec<FilePatch> = Vec::new();
        for line in lines {
            if let Some(path) = line.strip_prefix("+++ b/") {
                let (path, hunks) = (path.to_owned(), Vec::new());
                files.push(FilePatch { path, hunks });
            } else if line.starts_with("@@") {
                let file = files.last_mut().ok_or("a hunk stands before `+++ b/FILE`")?;
                file.hunks.push(Hunk::default());
            } else if let Some(hunk) = files.last_mut().and_then(|file| file.hunks.last_mut()) {
                hunk.take(line)?;
            }
        }
        if files.iter().all(|file| file.hunks.is_empty()) {
            return Err("it has no hunk".into());
        }
        let (name, files) = (name.to_owned(), files);
        Ok(Patch { name, mistake, files })
    }
}

impl Patch {
    /// The files of the workspace at `root` with the mistake in them.
    ///
    /// # Errors
    /// When a file cannot be read, or the patch does not apply. The error says what to do.
    pub fn edits(&self, root: &Path) -> io::Result<Edits> {
        let edited = self.files.iter().map(|file| {
            let text = fs::read_to_string(root.join(&file.path))?;
            let edited = file.apply(&self.name, &text).map_err(io::Error::other)?;
            Ok((file.path.clone(), edited))
        });
        edited.collect()
    }
}

impl Hunk {
    fn take(&mut self, line: &str) -> Result<(), String> {
        match line.split_at_checked(1) {
            Some((" ", text)) => {
                self.before.push(text.to_owned());
                self.after.push(text.to_owned());
            }
            Some(("-", text)) if !text.starts_with("-- a/") => self.before.push(text.to_owned()),
            Some(("+", text)) => self.after.push(text.to_owned()),
            Some(("-", _)) => {}
            None => {
                self.before.push(String::new());
                self.after.push(String::new());
            }
            _ => return Err(format!("`{line}` is no line of a diff")),
        }
        Ok(())
    }

    /// The changed lines of `lines`, without the unchanged lines around them.
    fn change(&self, lines: &[&str]) -> Option<Change> {
        let Hunk { before, after } = self;
        let mut places = lines
            .windows(before.len().max(1))
            .enumerate()
            .filter_map(|(place, window)| (window == before).then_some(place));
        let place = places.next()?;
        if places.next().is_some() {
            return None;
        }
        let same = |pair: &(&String, &String)| pair.0 == pair.1;
        let leading = before.iter().zip(after).take_while(same).count();
        let shorter = before.len().min(after.len());
        let trailing = before.iter().rev().zip(after.iter().rev()).take_while(same);
        let trailing = trailing.count().min(shorter.saturating_sub(leading));
        let added = after.iter().skip(leading);
        let added = added.take(after.len().saturating_sub(leading).saturating_sub(trailing));
        Some(Change {
            removed: place.saturating_add(leading)
                ..place.saturating_add(before.len()).saturating_sub(trailing),
            added: added.cloned().collect(),
        })
    }
}

impl FilePatch {
    /// The changes to `lines`, in order.
    ///
    /// # Errors
    /// When the lines of a hunk are not there exactly once. The error says what to do.
    pub(crate) fn changes(&self, name: &str, lines: &[&str]) -> Result<Vec<Change>, String> {
        let changes = self.hunks.iter().map(|hunk| hunk.change(lines));
        let changes: Option<Vec<Change>> = changes.collect();
        changes.ok_or_else(|| {
            format!(
                "the planted defect {name} does not apply to {}: the lines of one of its hunks are not there exactly \
                 once. In tests/planted/patches/{name}.patch: {REFRESH}",
                self.path
            )
        })
    }

    /// `text` with the mistake `name` in it.
    ///
    /// # Errors
    /// When it does not apply. The error says what to do.
    pub fn apply(&self, name: &str, text: &str) -> Result<String, String> {
        let lines: Vec<&str> = text.lines().collect();
        let changes = self.changes(name, &lines)?;
        Ok(changed(&lines, 0..lines.len(), &changes))
    }
}

/// The lines of `range` with `changes` made to them.
pub(crate) fn changed(lines: &[&str], range: Range<usize>, changes: &[Change]) -> String {
    let mut text = String::new();
    let mut push = |lines: &mut dyn Iterator<Item = &str>| {
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
    };
    let mut at = range.start;
    for Change { removed, added } in changes {
        push(&mut lines.get(at..removed.start).unwrap_or_default().iter().copied());
        push(&mut added.iter().map(String::as_str));
        at = removed.end;
    }
    push(&mut lines.get(at..range.end).unwrap_or_default().iter().copied());
    text
}
