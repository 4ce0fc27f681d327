//! `doctor`: checks everything that a tracker on this machine needs.

use argh::{ArgsInfo, FromArgs};

use super::Run;
use crate::admin::doctor::{Verdict, examine};
use crate::boot::app::system_clock;
use crate::boot::config::{Config, ConfigError};
use crate::cli::{EXIT_FAILED, EXIT_NO, EXIT_OK, say};

/// Check configuration, data folder, key, disk, ports, store and clock. Prints one line for each, OK, WARN or FAIL, with
/// what to do. Exit codes: 0 nothing fails, 1 something fails, 3 the store cannot be read.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand, name = "doctor", example = "peernet-tracker doctor\npeernet-tracker doctor --json")]
pub(crate) struct Doctor {
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

impl Run for Doctor {
    fn run(self, config: Config) -> i32 {
        self.report(Ok(&config))
    }
}

impl Doctor {
    /// Prints the report, also for a configuration that was refused.
    pub(crate) fn report(&self, config: Result<&Config, &ConfigError>) -> i32 {
        let report = examine(config, system_clock());
        say(&if self.json { report.to_json().to_string() } else { report.to_string() });
        match report.verdict() {
            _ if !report.store_read => EXIT_FAILED,
            Verdict::Fail => EXIT_NO,
            _ => EXIT_OK,
        }
    }
}
