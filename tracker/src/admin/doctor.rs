//! `doctor`: checks everything that a tracker on this machine needs, and says what to do about each problem.

mod machine;
mod store;

use std::fmt;

use peernet_engine::time::UnixMillis;
use serde_json::{Value, json};

use crate::boot::config::{Config, ConfigError};

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The check found no fault.
    Ok,
    /// The check passed, but the tracker may fail later.
    Warn,
    /// The tracker does not start or does not work.
    Fail,
}

impl Verdict {
    /// Returns the printed form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The thing that was checked.
    pub name: &'static str,
    /// The outcome.
    pub verdict: Verdict,
    /// The finding, and what to do about it.
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

/// All checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In the order in which things depend on each other.
    pub checks: Vec<Check>,
    /// Whether the store could be read.
    pub store_read: bool,
}

/// Runs all checks. A configuration that was refused is a finding too, and then the only one.
pub fn examine(config: Result<&Config, &ConfigError>, now: UnixMillis) -> Report {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let checks = vec![Check::fail("configuration", format!("{error}; correct this setting"))];
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
    /// Returns the worst verdict.
    pub fn verdict(&self) -> Verdict {
        self.checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok)
    }

    /// Returns the report for programs.
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
