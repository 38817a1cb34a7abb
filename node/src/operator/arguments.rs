//! Parses the arguments of a program. Every program has the commands `completions` and `man`, made from its definition.

use super::report::{EXIT_USAGE, Report, failed};
use crate::home::files::{Existing, Mode, OutputError, write_output};
use crate::terminal;
use clap::{Command, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;
use serde_json::json;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

// The commands that describe a program to a shell and to `man`. A doc comment here would replace the program's own
// description.
#[derive(Debug, Subcommand)]
enum PageCommand {
    /// Print the completions of this program for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the man page of this program, or write it and the page of each command into a directory.
    Man {
        /// Directory for the pages, for example ~/.local/share/man/man1.
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
        /// Overwrite pages that exist.
        #[arg(long, requires = "output")]
        force: bool,
    },
}

/// An error of `man`.
#[derive(Debug, thiserror::Error)]
enum PageError {
    #[error("cannot make the directory {dir}: {source}", dir = dir.display())]
    Directory { dir: PathBuf, source: io::Error },
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("cannot make the page: {0}")]
    Render(#[from] io::Error),
}

/// Parses the arguments of a program, its name first. Also returns the name of the command.
///
/// # Errors
/// The exit code of a program that ends here: the arguments are not understood, or ask for help, completions or man
/// pages. The output was printed.
pub fn parse<C: Parser>(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<(C, String), ExitCode> {
    let mut command = PageCommand::augment_subcommands(C::command());
    let usage = |error: clap::Error| {
        terminal::print_usage(&error);
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE))
    };
    let matches = command.try_get_matches_from_mut(args).map_err(usage)?;
    if let Ok(pages) = PageCommand::from_arg_matches(&matches) {
        let as_json = matches.try_get_one("json").is_ok_and(|json| json == Some(&true));
        // `command` is built by now, with a `help` for each command. The pages are made from a new one.
        return Err(
            match pages.execute(PageCommand::augment_subcommands(C::command())) {
                Ok(report) => {
                    report.print(as_json);
                    ExitCode::from(report.exit)
                }
                Err(error) => failed(&error.to_string(), as_json),
            },
        );
    }
    let name = matches.subcommand_name().unwrap_or_default().to_owned();
    match C::from_arg_matches(&matches) {
        Ok(cli) => Ok((cli, name)),
        Err(error) => Err(usage(error.format(&mut command))),
    }
}

impl PageCommand {
    /// Executes the command for the program that `command` defines.
    fn execute(self, mut command: Command) -> Result<Report, PageError> {
        match self {
            PageCommand::Completions { shell } => {
                let (name, mut script) = (command.get_name().to_owned(), Vec::new());
                clap_complete::generate(shell, &mut command, name, &mut script);
                let script = text(script)?;
                Ok(Report::new(script.trim_end(), json!({ "completions": script })))
            }
            PageCommand::Man { output, force } => {
                command = command.disable_help_subcommand(true);
                command.build();
                match output {
                    Some(dir) => write(command, &dir, Existing::by_force(force)),
                    None => {
                        let page = page(&Man::new(command))?;
                        Ok(Report::new(page.trim_end(), json!({ "page": page })))
                    }
                }
            }
        }
    }
}

/// Writes the page of a program and of each of its commands into `dir`.
fn write(program: Command, dir: &Path, existing: Existing) -> Result<Report, PageError> {
    std::fs::create_dir_all(dir).map_err(|source| PageError::Directory {
        dir: dir.to_owned(),
        source,
    })?;
    let mut written = Vec::new();
    let mut left = vec![program];
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().cloned());
        let man = Man::new(command);
        let path = dir.join(man.get_filename());
        write_output(&path, page(&man)?.as_bytes(), Mode::Public, existing)?;
        written.push(path);
    }
    let text = format!("{} pages are in {}", written.len(), dir.display());
    Ok(Report::new(text, json!({ "written": written })))
}

fn page(man: &Man) -> io::Result<String> {
    let mut page = Vec::new();
    man.render(&mut page)?;
    text(page)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// A program for tests.
    #[derive(Debug, Parser)]
    #[command(name = "program", version)]
    struct Program {
        /// Print JSON.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: ProgramCommand,
    }

    #[derive(Debug, Subcommand)]
    enum ProgramCommand {
        /// Do something.
        Act,
    }

    fn execute(args: &[&str]) -> Result<Report, PageError> {
        let mut command = PageCommand::augment_subcommands(Program::command());
        let args = std::iter::once("program").chain(args.iter().copied());
        let matches = command.try_get_matches_from_mut(args).unwrap();
        let pages = PageCommand::from_arg_matches(&matches).unwrap();
        pages.execute(PageCommand::augment_subcommands(Program::command()))
    }

    #[test]
    fn the_programs_own_commands_and_description_stay() {
        let (cli, name): (Program, String) = parse(["program", "act", "--json"]).unwrap();
        assert!(cli.json && matches!(cli.command, ProgramCommand::Act));
        assert_eq!(name, "act");
        assert!(parse::<Program>(["program", "other"]).is_err());
        let about = PageCommand::augment_subcommands(Program::command());
        assert_eq!(about.get_about().unwrap().to_string(), "A program for tests");
    }

    #[test]
    fn pages_overwrite_nothing_without_force() {
        let dir = tempfile::tempdir().unwrap();
        let pages = dir.path().join("share/man1");
        let to = pages.to_str().unwrap();
        let written = execute(&["man", "-o", to]).unwrap();
        assert_eq!(written.json["written"].as_array().unwrap().len(), 4);
        let act = std::fs::read_to_string(pages.join("program-act.1")).unwrap();
        assert!(act.contains("Do something"), "{act}");
        let error = execute(&["man", "-o", to]).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        execute(&["man", "-o", to, "--force"]).unwrap();
    }
}
