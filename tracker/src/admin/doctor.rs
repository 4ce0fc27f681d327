//! `doctor`: looks at everything a tracker on this machine needs, and says what to do about what it finds.

mod machine;
mod store;

use std::fmt;

use peernet_engine::time::UnixMillis;
use serde_json::{Value, json};

use crate::boot::config::{Config, ConfigError};

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and will not always.
    Warn,
    /// The tracker does not start or does not work like this.
    Fail,
}

impl Verdict {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found, and what to do about it.
    pub found: String,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into() }
    }

    fn warn(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, found: found.into() }
    }

    fn fail(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, found: found.into() }
    }
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In the order in which things depend on each other.
    pub checks: Vec<Check>,
    /// Whether the store could be read.
    pub store_read: bool,
}

/// Looks. A configuration that was refused is a finding too, and then the only one.
pub fn examine(config: Result<&Config, &ConfigError>, now: UnixMillis) -> Report {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let checks = vec![Check::fail("configuration", format!("{error}; correct it"))];
            return Report { checks, store_read: true };
        }
    };
    let running = super::check_health(config).is_ok();
    let mut checks = vec![
        Check::ok("configuration", "every setting is in range; peernet-tracker config shows it"),
        machine::data_folder(config),
        machine::signing_key(config),
        machine::disk_space(config),
        machine::open_files(config),
        machine::port(config, running),
        machine::operations(config, running),
    ];
    let (of_store, store_read) = store::examine(config, now, running);
    checks.extend(of_store);
    Report { checks, store_read }
}

impl Report {
    /// The worst verdict.
    pub fn verdict(&self) -> Verdict {
        self.checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok)
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let to_json =
            |check: &Check| json!({"check": check.name, "verdict": check.verdict.as_str(), "found": check.found});
        let checks: Vec<Value> = self.checks.iter().map(to_json).collect();
        json!({"verdict": self.verdict().as_str(), "checks": checks})
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, check) in self.checks.iter().enumerate() {
            let line = if at == 0 { "" } else { "\n" };
            write!(f, "{line}{:<4}  {:<22}  {}", check.verdict.as_str(), check.name, check.found)?;
        }
        Ok(())
    }
}
