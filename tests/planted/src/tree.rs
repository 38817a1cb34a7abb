//! A copy of the workspace, in which the mistakes are made.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What is not copied: what was built, and the history.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

/// New texts of files, by their paths from the workspace's root.
pub type Edits = BTreeMap<String, String>;

/// A copy of the workspace's sources inside its `target`, with some files edited, and a lock on it. Its crates are built
/// there too, into a directory that stays and all copies share, so that what an edit does not touch is built once.
#[derive(Debug)]
pub struct TreeCopy {
    tree: PathBuf,
    built: PathBuf,
    _lock: File,
}

impl TreeCopy {
    /// Brings the copy called `name` of the workspace at `root` up to date, with `edits`, once nobody else uses it.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn of(root: &Path, name: &str, edits: &Edits) -> io::Result<TreeCopy> {
        let dir = root.join("target/planted");
        fs::create_dir_all(&dir)?;
        let lock = File::create(dir.join("lock"))?;
        lock.lock()?;
        let tree = dir.join(name);
        update(root, &tree, "", edits)?;
        let built = dir.join("built");
        let _lock = lock;
        Ok(TreeCopy { tree, built, _lock })
    }

    /// `cargo test` with `args` in it.
    pub fn cargo_test(&self, args: &[&str]) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .arg("test")
            .arg("--offline")
            .arg("--target-dir")
            .arg(&self.built);
        cargo.args(args).current_dir(&self.tree);
        cargo
    }

    /// Whether `cargo test` with `args` fails in it because a test does.
    ///
    /// # Errors
    /// When it does not build; says what the compiler said.
    pub fn is_found_by(&self, args: &[&str]) -> io::Result<bool> {
        let built = self.cargo_test(&[args, &["--no-run"]].concat()).output()?;
        if !built.status.success() {
            return Err(io::Error::other(format!("it does not build:\n{}", said(&built))));
        }
        Ok(!self.cargo_test(args).output()?.status.success())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Makes `to` what `from` is, where the files have the paths of `edits` below `below`. A file that is the same is not
/// written, so that Cargo sees what has changed.
fn update(from: &Path, to: &Path, below: &str, edits: &Edits) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut kept: BTreeSet<OsString> = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let (source, target) = (entry.path(), to.join(&name));
        if LEFT_OUT.iter().any(|out| name == *out) {
            continue;
        }
        let path = format!("{below}{}", name.to_string_lossy());
        if source.is_dir() {
            update(&source, &target, &format!("{path}/"), edits)?;
        } else if source.is_file() {
            let edited = edits.get(&path).map(|text| Ok(text.clone().into_bytes()));
            let bytes = edited.unwrap_or_else(|| fs::read(&source))?;
            if fs::read(&target).ok().as_ref() != Some(&bytes) {
                fs::write(&target, bytes)?;
            }
        }
        kept.insert(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !kept.contains(&entry.file_name()) {
            match entry.path().is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    }
    Ok(())
}
