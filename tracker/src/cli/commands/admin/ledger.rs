//! `admin ledger verify`: audits the token ledger.

use argh::{ArgsInfo, FromArgs};

use crate::admin::verify_ledger;
use crate::boot::config::Config;
use crate::boot::open_store;
use crate::cli::commands::Run;
use crate::cli::{EXIT_FAILED, EXIT_NO, EXIT_OK, complain, say};

/// Audit the token ledger.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand, name = "ledger", example = "peernet-tracker admin ledger verify --json")]
pub(super) struct Ledger {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand)]
enum Command {
    Verify(Verify),
}

/// Recount all balances and check every invariant of the ledger. Exit codes: 0 all invariants hold, 1 one is violated, 2
/// wrong usage, 3 the store cannot be read.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "verify",
    example = "peernet-tracker admin ledger verify\npeernet-tracker admin ledger verify --json"
)]
struct Verify {
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

impl Run for Ledger {
    fn run(self, config: Config) -> i32 {
        let Command::Verify(Verify { json }) = self.command;
        if !json && config.database_url.reveal().is_none() && !config.data_dir.exists() {
            return complain(EXIT_FAILED, &format!("there is no tracker in {}", config.data_dir.display()));
        }
        match open_store(&config).and_then(|store| verify_ledger(&*store)) {
            Ok(report) => {
                say(&if json { report.to_json().to_string() } else { report.to_string() });
                if report.is_sound() { EXIT_OK } else { EXIT_NO }
            }
            Err(error) => complain(EXIT_FAILED, &error),
        }
    }
}
