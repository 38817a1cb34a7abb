//! A copy of the workspace in which the mistakes are made.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Not copied: build output and history.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

/// New texts of files, by their paths from the workspace's root.
pub type Edits = BTreeMap<String, String>;

/// A locked copy of the workspace's sources inside its `target`, with some files edited. All copies share one build
/// directory, so crates without edits are built once.
#[derive(Debug)]
pub struct TreeCopy {
    tree: PathBuf,
    built: PathBuf,
    _lock: File,
}

impl TreeCopy {
    /// Updates the copy `name` of the workspace at `root`, with `edits`, once nobody else uses it.
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

    /// The command `cargo test` with `args` in the copy.
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

    /// Whether `cargo test` with `args` fails in the copy because a test fails.
    ///
    /// # Errors
    /// When it does not build. The error has the compiler's output.
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

/// Makes `to` equal to `from` with `edits`, whose paths are below `below`. Equal files are not written, so that Cargo
/// sees only the changes.
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
