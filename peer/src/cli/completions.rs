//! Completion scripts for shells.

use argh::ArgsInfo;
use argh_complete::Generator;
use argh_complete::{bash::Bash, fish::Fish, nushell::Nushell, zsh::Zsh};
use serde_json::json;

use super::args::{Completions, Peernet};
use super::context::Context;
use super::exit::{Exit, Failure};

pub(super) fn completions(context: &Context, typed: Completions) -> Result<Exit, Failure> {
    let info = Peernet::get_args_info();
    let script = match typed.shell.as_str() {
        "bash" => Bash::generate("peernet", &info),
        "zsh" => Zsh::generate("peernet", &info),
        "fish" => Fish::generate("peernet", &info),
        "nushell" | "nu" => Nushell::generate("peernet", &info),
        other => {
            return Err(Failure::usage(format!("no completions for {other:?}: bash, zsh, fish and nushell have some")));
        }
    };
    context.output.result(&script, &json!({"shell": typed.shell, "script": script}));
    Ok(Exit::Ok)
}
