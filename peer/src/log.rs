//! The log of a node's background threads: a function that the embedding program provides. The library prints nothing
//! itself.

use std::fmt;
use std::sync::Arc;

/// The severity of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// An event of normal operation, such as a start.
    Info,
    /// A failure that the node works around.
    Warn,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warn => "warning",
        })
    }
}

/// The function that takes messages.
type Sink = dyn Fn(Level, &str) + Send + Sync;

/// Takes messages from any thread; cheap to clone. The function behind it must not block for long.
#[derive(Clone)]
pub struct Log(Arc<Sink>);

impl Log {
    /// Passes messages to this function.
    pub fn new(to: impl Fn(Level, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(to))
    }

    /// Drops all messages.
    pub fn silent() -> Self {
        Self::new(|_, _| {})
    }

    pub(crate) fn info(&self, message: &str) {
        (self.0)(Level::Info, message);
    }

    pub(crate) fn warn(&self, message: &str) {
        (self.0)(Level::Warn, message);
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::silent()
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Mutex;

    #[test]
    fn clones_pass_every_message_with_its_level_to_one_function() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let log = Log::new(move |level, text| hears.lock().unwrap().push(format!("{level}: {text}")));
        std::thread::scope(|scope| {
            for number in 0..4 {
                let log = log.clone();
                scope.spawn(move || {
                    log.info(&format!("started {number}"));
                    log.warn(&format!("failed {number}"));
                });
            }
        });
        let mut heard = std::mem::take(&mut *heard.lock().unwrap());
        heard.sort();
        let lines =
            |word: &'static str, text: &'static str| (0..4).map(move |number| format!("{word}: {text} {number}"));
        assert_eq!(heard, lines("info", "started").chain(lines("warning", "failed")).collect::<Vec<_>>());
        assert!(Level::Info < Level::Warn && format!("{log:?}") == "Log");
    }
}
