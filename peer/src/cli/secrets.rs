//! Passwords and codes from an option, a file, the environment, or a prompt that shows nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use peernet_protos::limits::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};

use super::context::variable;
use super::exit::{Exit, Failure};
use super::output::Output;

/// The longest line of a file with a secret. No password comes near it.
const LINE_BYTES_MAX: u64 = 4_096;

/// The places where a password may come from, in the order in which they are looked at.
pub(super) struct Password<'a> {
    /// The value of `--password`.
    pub(super) option: Option<String>,
    /// The value of `--password-file`.
    pub(super) file: Option<&'a str>,
    /// The environment variable that may hold it.
    pub(super) variable: &'static str,
    /// The question at the terminal, without its colon.
    pub(super) prompt: &'static str,
    /// True if the prompt asks for the secret twice.
    pub(super) confirm: bool,
}

impl Password<'_> {
    /// Reads the password from the first place that has it.
    pub(super) fn read(self, output: &Output) -> Result<String, Failure> {
        let password = match (self.option, self.file) {
            (Some(_), Some(_)) => return Err(Failure::usage("give either --password or --password-file")),
            (Some(password), None) => {
                let text =
                    "other users see the password in the process list; --password-file or the prompt avoids that";
                output.note(text);
                password
            }
            (None, Some(file)) => first_line(file, "the password")?,
            (None, None) => match variable(self.variable) {
                Some(password) => password,
                None => ask(self.prompt, self.confirm, self.variable)?,
            },
        };
        match password.len() {
            PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX => Ok(password),
            0 => Err(Failure::usage("the password is empty")),
            bytes => {
                Err(Failure::usage(format!("the password has {bytes} bytes; the limit is {PASSWORD_BYTES_MAX} bytes")))
            }
        }
    }
}

/// Reads the first line of a file with a secret. `what` names the secret in messages.
pub(super) fn first_line(path: &str, what: &str) -> Result<String, Failure> {
    let failed = |why: String| Failure { exit: Exit::LocalDisk, message: format!("reading {what} from {path}: {why}") };
    let file = File::open(path).map_err(|e| failed(e.to_string()))?;
    let mut line = String::new();
    BufReader::new(file.take(LINE_BYTES_MAX)).read_line(&mut line).map_err(|e| failed(e.to_string()))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn ask(prompt: &str, confirm: bool, variable: &str) -> Result<String, Failure> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt).map_err(|error| {
            Failure::usage(format!(
                "cannot ask for the password, because there is no terminal ({error}): use --password-file or {variable}"
            ))
        })
    };
    let password = ask(&format!("{prompt}: "))?;
    if confirm && ask(&format!("{prompt}, again: "))? != password {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a password that was given by an option, a file with this content, or both.
    fn read(option: Option<&str>, content: Option<&[u8]>) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let file = content.map(|content| {
            std::fs::write(&path, content).unwrap();
            path.to_str().unwrap()
        });
        let option = option.map(str::to_owned);
        let variable = "PEERNET_TEST_NO_SUCH_VARIABLE";
        Password { option, file, variable, prompt: "", confirm: false }.read(&Output::new(false, true))
    }

    #[test]
    fn the_first_line_of_the_file_is_the_password() {
        for content in ["secret", "secret\n", "secret\r\n", "secret\nmore\n"] {
            assert_eq!(read(None, Some(content.as_bytes())).unwrap(), "secret", "{content:?}");
        }
        assert_eq!(read(None, Some(b" se cret \n")).unwrap(), " se cret ", "spaces belong to it");
    }

    #[test]
    fn bad_passwords_and_unreadable_files_are_refused() {
        for (option, content, exit) in [
            (Some("x"), Some(&b"x"[..]), Exit::Usage),
            (Some(""), None, Exit::Usage),
            (None, Some(b"\n"), Exit::Usage),
            (None, Some(b"\xff\n"), Exit::LocalDisk),
        ] {
            assert_eq!(read(option, content).unwrap_err().exit, exit, "{option:?} {content:?}");
        }
        let longest = "x".repeat(PASSWORD_BYTES_MAX);
        assert_eq!(read(Some(&longest), None).unwrap(), longest);
        let failure = read(Some(&format!("{longest}x")), None).unwrap_err();
        assert_eq!(failure.message, "the password has 73 bytes; the limit is 72 bytes");
        assert_eq!(first_line("/absent/file", "the password").unwrap_err().exit, Exit::LocalDisk);
    }
}
