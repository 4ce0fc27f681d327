//! `admin backup` and `admin restore` of the SQLite database.

use std::path::Path;

use argh::{ArgsInfo, FromArgs};

use super::{AdminCommand, system_clock};
use crate::admin;
use crate::boot::config::Config;

/// Copy the SQLite database into a new file of mode 0600, while the tracker may be running. With PostgreSQL use pg_dump.
/// Exit codes: 0 done, 2 wrong usage, 3 it cannot be read or written, or the file exists.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand, name = "backup", example = "peernet-tracker admin backup /backup/tracker-monday.sqlite")]
pub(super) struct Backup {
    /// the file to make
    #[argh(positional)]
    file: String,
}

/// Check a backup and put it in the place of the SQLite database, which is kept beside it. Stop the tracker first.
/// Exit codes: 0 done, 1 a tracker is running, 2 wrong usage, 3 the backup is damaged or cannot be put there.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand, name = "restore", example = "peernet-tracker admin restore /backup/tracker-monday.sqlite")]
pub(super) struct Restore {
    /// the backup
    #[argh(positional)]
    file: String,
}

impl AdminCommand for Backup {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        admin::backup(config, Path::new(&self.file))
    }
}

impl AdminCommand for Restore {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        admin::restore(config, system_clock(), Path::new(&self.file))
    }
}
