//! `completions`: prints completion scripts for shells.

use argh::ArgsInfo;
use argh_complete::Generator;
use argh_complete::{bash::Bash, fish::Fish, nushell::Nushell, zsh::Zsh};
use serde_json::json;

use crate::cli::arguments::Peernet;
use crate::cli::command::{Run, command};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};

command! {
    /// Print the completions for a shell: bash, zsh, fish or nushell.
    #[argh(
        subcommand,
        name = "completions",
        example = "peernet completions bash > ~/.local/share/bash-completion/completions/peernet"
    )]
    pub(crate) struct Completions [] {
        /// bash, zsh, fish or nushell
        #[argh(positional)]
        shell: String,
    }
}

impl Run for Completions {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let info = Peernet::get_args_info();
        let script = match self.shell.as_str() {
            "bash" => Bash::generate("peernet", &info),
            "zsh" => Zsh::generate("peernet", &info),
            "fish" => Fish::generate("peernet", &info),
            "nushell" | "nu" => Nushell::generate("peernet", &info),
            other => {
                return Err(Failure::usage(format!(
                    "there are no completions for {other:?}; expected bash, zsh, fish or nushell"
                )));
            }
        };
        context.output.result(&script, &json!({"shell": self.shell, "script": script}));
        Ok(Exit::Ok)
    }
}
