//! A line that is typed on a terminal and not shown.

use crate::terminal::{print_note, print_prompt};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io;
use std::os::fd::AsFd;
use zeroize::{Zeroize, Zeroizing};

/// The longest line that is read as a secret (bytes).
const SECRET_MAX_BYTES: usize = 1024;

// Keys while a secret is typed.
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const DELETE: u8 = 127;

/// Asks a question on the terminal at standard input, and reads one line, which is not shown. Ctrl-c ends the program.
///
/// # Errors
/// When standard input is no terminal, and the errors of the operating system.
pub fn read_secret(question: &str) -> io::Result<Zeroizing<String>> {
    let line = read_hidden(io::stdin(), || print_prompt(question))?;
    print_note("");
    let Some(line) = line else {
        // The terminal shows again what is typed. So the program can end as at any other ctrl-c.
        kill_process(getpid(), Signal::INT)?;
        return Err(io::ErrorKind::Interrupted.into());
    };
    Ok(line)
}

/// The modes of a terminal. It gets them back when this is dropped.
struct ShownAgain<F: AsFd>(F, Termios);

impl<F: AsFd> Drop for ShownAgain<F> {
    fn drop(&mut self) {
        // A terminal that is gone needs no modes.
        let _gone = tcsetattr(&self.0, OptionalActions::Flush, &self.1);
    }
}

/// Reads one line that is not shown; `None` on ctrl-c. The terminal passes on each key, so that ctrl-c does not end the
/// program while nothing is shown.
fn read_hidden(terminal: impl AsFd, asks: impl FnOnce()) -> io::Result<Option<Zeroizing<String>>> {
    let shown = ShownAgain(&terminal, tcgetattr(&terminal)?);
    let mut hidden = shown.1.clone();
    hidden
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
    asks();
    let mut line = Zeroizing::new(String::with_capacity(SECRET_MAX_BYTES));
    // The bytes of a character that is not complete.
    let mut part = Zeroizing::new(Vec::with_capacity(4));
    loop {
        let mut byte = [0];
        let read = match rustix::io::read(&terminal, &mut byte) {
            Err(Errno::INTR) => continue,
            read => read?,
        };
        let [byte] = byte;
        match byte {
            _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            b'\n' | b'\r' | CTRL_D if !part.is_empty() => return Err(invalid("the line is not UTF-8")),
            b'\n' | b'\r' | CTRL_D => return Ok(Some(line)),
            CTRL_C => return Ok(None),
            BACKSPACE | DELETE => drop(line.pop()),
            CTRL_U => line.zeroize(),
            // An arrow key, for example. As an invisible part of the line it could not be typed again.
            byte if byte.is_ascii_control() => {
                return Err(invalid(
                    "a key that is no character was pressed; repeat the command",
                ));
            }
            byte => part.push(byte),
        }
        if let Ok(text) = std::str::from_utf8(&part) {
            if line.len() + text.len() > SECRET_MAX_BYTES {
                return Err(invalid("the line is too long"));
            }
            line.push_str(text);
            part.zeroize();
        } else if part.len() >= 4 {
            return Err(invalid("the line is not UTF-8"));
        }
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::fs::File;
    use std::io::{Read, Write};
    use std::sync::mpsc::channel;

    /// What is read from a terminal after `keys` were typed, and whether it then shows again what is typed.
    fn typed(keys: &[u8]) -> (io::Result<Option<String>>, bool) {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let terminal = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let (asks, asked) = channel();
        let mut keyboard = File::from(keyboard);
        let read = std::thread::scope(|scope| {
            let reads = scope.spawn(|| read_hidden(&terminal, move || asks.send(()).unwrap()));
            asked.recv().unwrap();
            keyboard.write_all(keys).unwrap();
            reads.join().unwrap()
        });
        let shows = tcgetattr(&terminal)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO);
        // Everything that the terminal has shown comes before this.
        rustix::io::write(&terminal, b"|").unwrap();
        let mut shown = [0];
        keyboard.read_exact(&mut shown).unwrap();
        assert_eq!(&shown, b"|", "nothing that was typed is shown");
        (read.map(|line| line.map(|line| line.to_string())), shows)
    }

    #[test]
    fn a_line_is_read_without_being_shown_and_keys_that_correct_it_work() {
        for (keys, line) in [
            ("correct horse\n", Some("correct horse")),
            ("correct\u{7f}\u{8}k\r", Some("correk")),
            ("wrong\u{15}right\u{4}", Some("right")),
            ("\u{7f}gr\u{fc}\u{df}e\u{7f}\u{7f}n\n", Some("gr\u{fc}n")),
            ("half\u{3}", None),
        ] {
            let (read, shows) = typed(keys.as_bytes());
            assert_eq!(read.unwrap().as_deref(), line);
            assert!(shows);
        }
        let bad_lines = [
            [0xff; 4].as_slice(),
            b"latin-1: pass\xe9\n",
            b"arrow\x1b[A\n",
            &[b'a'; SECRET_MAX_BYTES + 1],
        ];
        for bad in bad_lines {
            let (read, shows) = typed(bad);
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert!(shows);
        }
    }
}
