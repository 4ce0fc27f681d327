//! The command line, in two layers: what was typed (`args`) and what it means (one module per group of commands).
//!
//! Results go to standard output, everything else to standard error. `--json` makes the result one JSON document.

mod access;
mod account;
mod args;
mod completions;
mod config;
mod context;
mod daemon;
mod devices;
mod download;
mod exit;
mod groups;
mod limits;
mod metrics;
mod output;
mod password;
mod progress;
mod query;
mod share;
mod signals;
mod since;
mod status;
mod stream;
mod watch;

use std::process::ExitCode;

use args::{Command, Peernet};
use context::Context;
use exit::{Exit, Failure};
use output::Output;

pub use config::{CONFIG_KEYS, Config, ENVIRONMENT};
pub use exit::EXIT_CODES;

/// Runs the program with the process's arguments and environment.
pub fn main() -> ExitCode {
    let typed: Vec<_> = std::env::args_os().skip(1).collect();
    let exit = match args::parse(&typed) {
        args::Parsed::Command(command) => run(command),
        args::Parsed::Text(text) => {
            output::print_line(text.trim_end());
            Exit::Ok
        }
        args::Parsed::Usage { message, json, streams } => {
            Output::new(json, false).beside_a_stream(streams).failure(&Failure { exit: Exit::Usage, message });
            Exit::Usage
        }
    };
    ExitCode::from(exit.code())
}

fn run(Peernet { command }: Peernet) -> Exit {
    let output = Output::new(command.json(), command.quiet()).beside_a_stream(command.streams());
    let result = Context::new(output.clone()).and_then(|context| dispatch(&context, command));
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(&failure);
            failure.exit
        }
    }
}

fn dispatch(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Register(typed) => account::register(context, typed),
        Command::Login(typed) => account::login(context, typed),
        Command::Password(typed) => account::password(context, typed),
        Command::Logout(typed) => devices::logout(context, &typed),
        Command::Devices(typed) => devices::devices(context, typed),
        Command::Share(typed) => share::share(context, typed),
        Command::Unshare(typed) => share::unshare(context, typed),
        Command::Access(typed) => access::access(context, &typed),
        Command::Withdraw(typed) => access::withdraw(context, &typed),
        Command::Groups(typed) => groups::groups(context, &typed),
        Command::Download(typed) => download::download(context, typed),
        Command::List(typed) => query::list(context, typed),
        Command::Search(typed) => query::search(context, typed),
        Command::Status(typed) => status::status(context, typed),
        Command::Verify(typed) => query::verify(context, typed),
        Command::Link(typed) => query::link(context, typed),
        Command::Daemon(typed) => daemon::daemon(context, typed),
        Command::Limit(typed) => limits::limit(context, &typed),
        Command::Completions(typed) => completions::completions(context, typed),
    }
}
