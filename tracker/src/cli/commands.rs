//! The commands, each with its arguments, its help and what it does.

pub(super) mod admin;
pub(super) mod doctor;
mod health;
mod serve;

use argh::{ArgsInfo, FromArgs};

use super::say;
use crate::boot::config::Config;
pub(super) use doctor::Doctor;

/// A command that works with the configuration.
pub(super) trait Run {
    /// Carries the command out and returns the exit code.
    fn run(self, config: Config) -> i32;
}

/// The commands, in the order of `--help`.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand)]
pub(super) enum Command {
    Serve(serve::Serve),
    Health(health::Health),
    Config(ShowConfig),
    Doctor(Doctor),
    Admin(admin::Admin),
}

impl Default for Command {
    fn default() -> Self {
        Self::Serve(serve::Serve {})
    }
}

/// Print the configuration in force as a commented TOML file, with secrets hidden. Exit codes: 0 printed, 2 wrong usage or
/// configuration.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "config",
    example = "peernet-tracker config\npeernet-tracker config --default > tracker.toml"
)]
pub(super) struct ShowConfig {
    /// print the defaults instead
    #[argh(switch)]
    pub(super) default: bool,
}

impl Run for Command {
    fn run(self, config: Config) -> i32 {
        match self {
            Self::Serve(command) => command.run(config),
            Self::Health(command) => command.run(config),
            Self::Config(_) => say(config.to_toml().trim_end()),
            Self::Doctor(command) => command.run(config),
            Self::Admin(command) => command.run(config),
        }
    }
}

#[cfg(test)]
mod tests;
