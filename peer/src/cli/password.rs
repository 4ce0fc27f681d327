//! Where a password comes from: option, file, environment, or a prompt that shows nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use peernet_protos::limits::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};

use super::context::variable;
use super::exit::{Exit, Failure};
use super::output::Output;

/// No password's line is longer, by far.
const LINE_BYTES_MAX: u64 = 4_096;

/// What was typed about a password.
pub(super) struct Source<'a> {
    pub(super) option: Option<String>,
    pub(super) file: Option<&'a str>,
    /// The environment variable that may hold it.
    pub(super) variable: &'static str,
    pub(super) prompt: &'static str,
    /// Ask twice.
    pub(super) confirm: bool,
}

impl Source<'_> {
    pub(super) fn read(self, output: &Output) -> Result<String, Failure> {
        let password = match (self.option, self.file) {
            (Some(_), Some(_)) => return Err(Failure::usage("give either --password or --password-file")),
            (Some(password), None) => {
                output.note("a password on the command line shows in the process list; --password-file or the prompt keeps it to yourself");
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
            _ => Err(Failure::usage(format!("a password has at most {PASSWORD_BYTES_MAX} bytes"))),
        }
    }
}

/// The first line of a file that has a secret; `what` says which, for messages.
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
                "no terminal to ask for the password on ({error}): use --password-file or {variable}"
            ))
        })
    };
    let password = ask(&format!("{prompt}: "))?;
    if confirm && ask(&format!("{prompt}, again: "))? != password {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(password)
}
