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
