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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn a_refused_configuration_is_the_only_finding() {
        let report = examine(Err(&ConfigError("listen: is wrong".to_owned())), NOW);
        assert_eq!(report.to_string(), "FAIL  configuration           listen: is wrong; correct this setting");
        assert_eq!((report.verdict(), report.store_read), (Verdict::Fail, true));
        let checks = json!([{"check": "configuration", "verdict": "FAIL",
            "found": "listen: is wrong; correct this setting"}]);
        assert_eq!(report.to_json(), json!({"verdict": "FAIL", "checks": checks}));
    }

    #[test]
    fn the_worst_finding_is_the_verdict() {
        let of = |checks: Vec<Check>| Report { checks, store_read: true }.verdict();
        assert_eq!(of(Vec::new()), Verdict::Ok);
        assert_eq!(of(vec![Check::ok("a", ""), Check::ok("b", "")]), Verdict::Ok);
        assert_eq!(of(vec![Check::warn("a", ""), Check::ok("b", "")]), Verdict::Warn);
        assert_eq!(of(vec![Check::fail("a", ""), Check::warn("b", "")]), Verdict::Fail);
    }

    #[test]
    fn a_folder_before_the_first_start_is_no_failure() {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().join("data");
        let listen = "127.0.0.1:0".to_owned();
        let report = examine(Ok(&Config { data_dir: data_dir.clone(), listen, ..Config::default() }), NOW);
        let found: Vec<_> = report.checks.iter().map(|check| (check.name, check.verdict)).collect();
        let of_machine = ["disk space", "open files"];
        let expected = [
            ("configuration", Verdict::Ok),
            ("data folder", Verdict::Warn),
            ("signing key", Verdict::Warn),
            ("public port", Verdict::Ok),
            ("operations listener", Verdict::Ok),
            ("store", Verdict::Warn),
            ("clock", Verdict::Ok),
        ];
        let independent: Vec<_> = found.into_iter().filter(|(name, _)| !of_machine.contains(name)).collect();
        assert_eq!(independent, expected);
        assert!(report.store_read && !data_dir.exists(), "the doctor makes nothing");
    }

    #[test]
    fn a_store_that_cannot_be_read_is_reported_with_advice() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("tracker.sqlite"), "no database").expect("writes");
        let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        let report = examine(Ok(&config), NOW);
        let store = report.checks.iter().find(|check| check.name == "store").expect("is checked");
        assert!(!report.store_read && store.verdict == Verdict::Fail);
        assert!(store.found.ends_with("; check the folder's owner and the disk"), "{}", store.found);
    }
}
