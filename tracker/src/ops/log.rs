//! Events as lines on standard error, for people or as JSON. Never secrets, tokens or bodies.
//!
//! While a [`Pump`] runs, a logging thread puts a line into a bounded queue and goes on: a slow reader of standard error costs lines,
//! which are counted, and never a request. A thread that serves a request marks its lines with the request's id ([`within`]).

mod limit;
mod line;
mod queue;

use std::cell::Cell;
use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

use line::Event;
use peernet_door::RequestId;

pub use limit::PerSecond;
pub use queue::{LINES_QUEUED_MAX, LogStats, Pump, stats};

/// The least important events that are written. Each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A part of this program is broken.
    Error,
    /// A part of the surroundings is broken, or needs attention.
    Warn,
    /// Starts, stops, migrations and refused requests.
    Info,
    /// Every request.
    Debug,
}

impl Display for Level {
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

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `time level target message key=value …`, for people.
    Text,
    /// One JSON object, for programs.
    Json,
}

impl Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json".to_owned()),
        }
    }
}

/// A field's value.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A value that can be shown; a string in JSON.
    Text(&'a dyn Display),
    /// A whole number; a number in JSON.
    Count(u64),
    /// Milliseconds with three digits behind the point; a number in JSON.
    Millis(f64),
}

/// The highest level that is written. Process-wide because standard error is.
static LEVEL_MAX: AtomicU8 = AtomicU8::new(Level::Info as u8);
/// The [`Format`], for the same reason.
static FORMAT: AtomicU8 = AtomicU8::new(Format::Text as u8);

thread_local! {
    /// The request that this thread serves.
    static REQUEST: Cell<Option<RequestId>> = const { Cell::new(None) };
}

/// Sets how much is written from now on.
pub fn set_level(level: Level) {
    LEVEL_MAX.store(level as u8, Ordering::Relaxed);
}

/// Sets how lines are written from now on.
pub fn set_format(format: Format) {
    FORMAT.store(format as u8, Ordering::Relaxed);
}

fn format() -> Format {
    if FORMAT.load(Ordering::Relaxed) == Format::Json as u8 { Format::Json } else { Format::Text }
}

/// Returns whether an event of this level is written.
pub fn enabled(level: Level) -> bool {
    level as u8 <= LEVEL_MAX.load(Ordering::Relaxed)
}

/// Runs `work`; what this thread logs meanwhile carries the request's id.
pub fn within<T>(request: RequestId, work: impl FnOnce() -> T) -> T {
    let _restored = Restored(REQUEST.replace(Some(request)));
    work()
}

/// Puts the request before back, also when `work` panics.
struct Restored(Option<RequestId>);

impl Drop for Restored {
    fn drop(&mut self) {
        REQUEST.set(self.0);
    }
}

/// Logs at [`Level::Error`]. Values with spaces or control characters are quoted and escaped.
pub fn error(target: &str, message: &str, fields: &[(&str, &dyn Display)]) {
    texts(Level::Error, target, message, fields);
}

/// Logs at [`Level::Warn`].
pub fn warn(target: &str, message: &str, fields: &[(&str, &dyn Display)]) {
    texts(Level::Warn, target, message, fields);
}

/// Logs at [`Level::Info`].
pub fn info(target: &str, message: &str, fields: &[(&str, &dyn Display)]) {
    texts(Level::Info, target, message, fields);
}

/// Logs at [`Level::Debug`].
pub fn debug(target: &str, message: &str, fields: &[(&str, &dyn Display)]) {
    texts(Level::Debug, target, message, fields);
}

/// Logs an event whose fields have types.
pub fn event(level: Level, target: &str, message: &str, fields: &[(&str, Value<'_>)]) {
    if enabled(level) {
        let event = Event { at: SystemTime::now(), level, target, message, request: REQUEST.get(), fields };
        queue::submit(line::render(&event, format()));
    }
}

fn texts(level: Level, target: &str, message: &str, fields: &[(&str, &dyn Display)]) {
    if enabled(level) {
        let fields: Vec<(&str, Value<'_>)> = fields.iter().map(|(key, value)| (*key, Value::Text(*value))).collect();
        event(level, target, message, &fields);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn every_word_reads_back_and_others_are_refused() {
        for (word, level) in
            [("error", Level::Error), ("warn", Level::Warn), ("info", Level::Info), ("debug", Level::Debug)]
        {
            assert_eq!((word.parse(), level.to_string().as_str()), (Ok(level), word));
        }
        for (word, format) in [("text", Format::Text), ("json", Format::Json)] {
            assert_eq!((word.parse(), format.to_string().as_str()), (Ok(format), word));
        }
        assert_eq!("Info".parse::<Level>(), Err("must be error, warn, info or debug".to_owned()));
        assert_eq!("".parse::<Format>(), Err("must be text or json".to_owned()));
        assert!(Level::Error < Level::Warn && Level::Warn < Level::Info && Level::Info < Level::Debug);
    }

    #[test]
    fn a_thread_s_request_is_restored_after_work_and_panics() {
        let outer = RequestId::fresh();
        let inner = RequestId::fresh();
        within(outer, || {
            within(inner, || assert_eq!(REQUEST.get(), Some(inner)));
            assert_eq!(REQUEST.get(), Some(outer));
            let panicked = catch_unwind(AssertUnwindSafe(|| within(inner, || panic!("for the test"))));
            assert!(panicked.is_err());
            assert_eq!(REQUEST.get(), Some(outer));
        });
        assert_eq!(REQUEST.get(), None);
    }
}
