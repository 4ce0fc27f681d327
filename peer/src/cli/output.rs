//! The output of commands: results on standard output, everything else on standard error.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::MultiProgress;
use serde_json::{Value, json};

use super::exit::Failure;
use crate::log::{Level, Log};

/// Prints in the form that the command line asks for. Clones share one terminal.
#[derive(Debug, Clone)]
pub(super) struct Output {
    json: bool,
    quiet: bool,
    /// Whether standard output carries a file's bytes. Results then go to standard error.
    streams: bool,
    /// The progress bars on the terminal. Lines are printed above them.
    drawn: Arc<Mutex<Option<MultiProgress>>>,
}

/// Prints a line. A reader that has gone away, as in `| head`, is no error.
pub(super) fn print_line(text: &str) {
    let _reader_gone = try_print_line(text);
}

/// Prints a line; false if the reader has gone away.
pub(super) fn try_print_line(text: &str) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

fn note_line(text: &str) {
    let _reader_gone = writeln!(io::stderr().lock(), "{text}");
}

impl Output {
    /// Makes the output of a command with these options.
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, streams: false, drawn: Arc::default() }
    }

    /// Sets the progress bars that are on standard error from now on; `None` for none.
    pub(super) fn draw(&self, drawn: Option<MultiProgress>) {
        *self.drawn.lock().unwrap_or_else(PoisonError::into_inner) = drawn;
    }

    /// Prints a line on standard error, above the progress bars.
    fn note_line(&self, text: &str) {
        match &*self.drawn.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(drawn) => drawn.suspend(|| note_line(text)),
            None => note_line(text),
        }
    }

    /// Keeps standard output free for a file's bytes.
    pub(super) fn beside_a_stream(self, streams: bool) -> Self {
        Self { streams, ..self }
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints the result, for people or for programs.
    pub(super) fn result(&self, people: &str, programs: &Value) {
        match (self.json, self.streams) {
            (true, false) => print_line(&programs.to_string()),
            (true, true) => self.note_line(&programs.to_string()),
            (false, false) => print_line(people.trim_end()),
            (false, true) => self.note(people.trim_end()),
        }
    }

    /// Prints something beside the result, for people.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            self.note_line(&format!("peernet: {text}"));
        }
    }

    /// Prints a warning, also with `--quiet`.
    pub(super) fn warn(&self, text: &str) {
        self.note_line(&format!("peernet: warning: {text}"));
    }

    /// Prints progress for programs: one JSON line on standard error.
    pub(super) fn event(&self, event: &Value) {
        if self.json && !self.quiet {
            self.note_line(&event.to_string());
        }
    }

    /// Prints the message of a failed command.
    pub(super) fn failure(&self, failure: &Failure) {
        self.note_line(&format!("peernet: error: {}", failure.message));
        if self.json {
            let code = failure.exit.word();
            let exit_code = failure.exit.code();
            let document = json!({"error": failure.message, "code": code, "exit_code": exit_code}).to_string();
            if self.streams { self.note_line(&document) } else { print_line(&document) }
        }
    }

    /// Returns a log for a node's background threads.
    pub(super) fn log(&self) -> Log {
        let output = self.clone();
        Log::new(move |level, message| match level {
            Level::Info => output.note(message),
            Level::Warn => output.warn(message),
        })
    }
}

/// Formats bytes for people, in binary units.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1_024.0;
    let mut unit = 0;
    while value >= 1_023.95 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Makes text from the network safe for a terminal: replaces control and direction-changing characters.
pub(super) fn shown(text: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if hides(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_binary() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1 << 20, "1.0 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn names_from_the_network_cannot_steer_the_terminal() {
        assert_eq!(shown("a\u{1b}[31mb\u{202e}c\n"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
    }
}
