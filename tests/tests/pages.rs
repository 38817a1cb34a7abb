//! Every program describes itself to shells and to `man`.

use std::io::Write;
use std::process::{Command, Stdio};

/// The name of a program, the words under which the tested executable is the program, and some of its commands.
type Program = (&'static str, &'static [&'static str], &'static [&'static str]);

const PROGRAMS: [Program; 6] = [
    ("farthing", &["role", "customer"], &["withdraw", "buy", "network"]),
    ("farthing-bank", &["role", "bank"], &["init", "serve", "audit"]),
    (
        "farthing-escrow",
        &["role", "escrow"],
        &["init", "serve", "purchases"],
    ),
    (
        "farthing-merchant",
        &["role", "merchant"],
        &["init", "goods", "sales"],
    ),
    (
        "farthing-postage",
        &["role", "postage"],
        &["office", "meter", "print", "sort", "audit"],
    ),
    ("farthing-lab", &[], &["demo", "faults", "atomicity"]),
];

/// A shell, and arguments with which it checks the syntax of a script on its standard input.
const SHELLS: [(&str, Option<&str>); 5] = [
    ("bash", Some("-n")),
    ("zsh", Some("-n")),
    ("fish", Some("--no-execute")),
    ("elvish", None),
    ("powershell", None),
];

/// Runs a program and returns its output.
fn output(words: &[&str], args: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_farthing-tested"));
    let output = program.args(words).args(args).output().unwrap();
    assert!(output.status.success(), "{words:?} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Checks the syntax of a script, if the shell is on this machine.
fn check_syntax(shell: &str, flag: &str, script: &str) {
    let spawned = Command::new(shell).arg(flag).stdin(Stdio::piped()).spawn();
    let Ok(mut checking) = spawned else {
        println!("no {shell} here: the syntax of its completions was not checked");
        return;
    };
    checking
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(checking.wait().unwrap().success(), "{shell}: {script}");
}

#[test]
fn every_program_prints_completions_for_every_shell() {
    for (name, words, commands) in PROGRAMS {
        for (shell, flag) in SHELLS {
            let script = output(words, &["completions", shell]);
            assert!(script.contains(name), "{name} {shell}: {script}");
            for command in commands {
                assert!(
                    script.contains(command),
                    "{name} {shell}: no {command} in {script}"
                );
            }
            // The printer would have put this in the place of a character that a script needs.
            assert!(!script.contains(char::REPLACEMENT_CHARACTER), "{name} {shell}");
            if let Some(flag) = flag {
                check_syntax(shell, flag, &script);
            }
        }
    }
}

#[test]
fn every_program_prints_a_man_page_with_its_commands() {
    for (name, words, commands) in PROGRAMS {
        let page = output(words, &["man"]);
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        for command in commands {
            let listed = format!("{name}-{command}(1)").replace('-', "\\-");
            assert!(page.contains(&listed), "{name}: no {command} in {page}");
        }
        assert!(!page.contains(char::REPLACEMENT_CHARACTER), "{name}");
    }
}
