//! `health`: asks the tracker on this machine whether it is up.

use argh::{ArgsInfo, FromArgs};

use super::Run;
use crate::admin::check_health;
use crate::boot::config::Config;
use crate::cli::{EXIT_NO, complain, say};

/// Ask the tracker on this machine whether it is up. Exit codes: 0 up, 1 not up, 2 wrong usage or configuration.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand, name = "health", example = "peernet-tracker health")]
pub(crate) struct Health {}

impl Run for Health {
    fn run(self, config: Config) -> i32 {
        match check_health(&config) {
            Ok(()) => say("UP"),
            Err(why) => complain(EXIT_NO, &why),
        }
    }
}
