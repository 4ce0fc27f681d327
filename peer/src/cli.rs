//! The command line, in two layers: `arguments` reads the typed words, and each command in `commands` carries it out.
//!
//! Results go to standard output, everything else to standard error. With `--json` the result is one JSON document.

// argh takes the help texts from doc comments, and they say `<hash>`.
#![allow(rustdoc::invalid_html_tags)]

mod account;
mod arguments;
mod command;
mod commands;
mod config;
mod context;
mod exit;
mod limits;
mod output;
mod progress;
mod secrets;
mod shares;
mod signals;
mod since;
mod stdout;
mod visibility;
mod watch;

use std::process::ExitCode;

use arguments::Parsed;
use command::{OutputOptions as _, Run as _};
use commands::Command;
use context::Context;
use exit::{Exit, Failure};
use output::Output;

pub use config::{CONFIG_KEYS, Config, ENVIRONMENT};
pub use exit::EXIT_CODES;

/// Runs the program with the arguments and the environment of this process.
pub fn main() -> ExitCode {
    let typed: Vec<_> = std::env::args_os().skip(1).collect();
    let exit = match arguments::parse(&typed) {
        Parsed::Command(command) => run(command),
        Parsed::Text(text) => {
            output::print_line(text.trim_end());
            Exit::Ok
        }
        Parsed::Usage { message, json, streams } => {
            Output::new(json, false).beside_a_stream(streams).failure(&Failure { exit: Exit::Usage, message });
            Exit::Usage
        }
    };
    ExitCode::from(exit.code())
}

fn run(command: Command) -> Exit {
    let output = Output::new(command.json(), command.quiet()).beside_a_stream(command.streams());
    let result = Context::new(output.clone()).and_then(|context| command.run(&context));
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(&failure);
            failure.exit
        }
    }
}

#[cfg(test)]
mod tests;
