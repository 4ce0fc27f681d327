//! One line per event on standard error: `level target message key=value …`. Never secrets, tokens or bodies.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

/// How much is written; each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something of ours is broken.
    Error,
    /// Something around us is broken, or someone asks for attention.
    Warn,
    /// What an operator wants to know: starts, stops, migrations.
    Info,
    /// Every request.
    Debug,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        })
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            _ => Err("must be error, warn, info or debug".to_owned()),
        }
    }
}

/// The highest level that is written. Process-wide because standard error is.
static LEVEL_MAX: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// Sets how much is written from now on.
pub fn set_level(level: Level) {
    LEVEL_MAX.store(level as u8, Ordering::Relaxed);
}

/// Logs at [`Level::Error`]. Values with spaces or control characters are quoted and escaped.
pub fn error(target: &str, message: &str, fields: &[(&str, &dyn fmt::Display)]) {
    event(Level::Error, target, message, fields);
}

/// Logs at [`Level::Warn`].
pub fn warn(target: &str, message: &str, fields: &[(&str, &dyn fmt::Display)]) {
    event(Level::Warn, target, message, fields);
}

/// Logs at [`Level::Info`].
pub fn info(target: &str, message: &str, fields: &[(&str, &dyn fmt::Display)]) {
    event(Level::Info, target, message, fields);
}

/// Logs at [`Level::Debug`].
pub fn debug(target: &str, message: &str, fields: &[(&str, &dyn fmt::Display)]) {
    event(Level::Debug, target, message, fields);
}

fn event(level: Level, target: &str, message: &str, fields: &[(&str, &dyn fmt::Display)]) {
    if level as u8 <= LEVEL_MAX.load(Ordering::Relaxed) {
        // One write per line, so that lines of several threads do not mix. A closed standard error is not our problem.
        let _closed =
            std::io::Write::write_all(&mut std::io::stderr(), line(level, target, message, fields).as_bytes());
    }
}

fn line(level: Level, target: &str, message: &str, fields: &[(&str, &dyn fmt::Display)]) -> String {
    let mut line = format!("{level:<5} {target} {}", one_line(message));
    for (key, value) in fields {
        let value = value.to_string();
        let plain = !value.is_empty() && value.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '"');
        let shown = if plain { value } else { format!("{value:?}") };
        let _infallible = write!(line, " {key}={shown}");
    }
    line.push('\n');
    line
}

fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_its_values_contain() {
        let text = line(Level::Warn, "door", "a\nb", &[("n", &7), ("who", &"x y\n"), ("none", &"")]);
        assert_eq!(text, "warn  door a\\nb n=7 who=\"x y\\n\" none=\"\"\n");
    }
}
