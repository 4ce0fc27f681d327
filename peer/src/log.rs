//! Where the node says what happens in its background threads: a function the program gives. A library prints nothing.

use std::fmt;
use std::sync::Arc;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing: started, announced again.
    Info,
    /// Something does not work as it should, and the node goes on.
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

/// What a program gives to hear them.
type Sink = dyn Fn(Level, &str) + Send + Sync;

/// Takes messages; cheap to clone. Called from any thread, must not block for long.
#[derive(Clone)]
pub struct Log(Arc<Sink>);

impl Log {
    /// To this function.
    pub fn new(to: impl Fn(Level, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(to))
    }

    /// To nowhere.
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
