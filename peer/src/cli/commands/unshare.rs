//! `unshare`: stops sharing files.

use serde_json::json;

use crate::cli::command::{Run, command};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::shares::named;
use crate::daemon::control::Request;

command! {
    /// Stop sharing files and directories. They stay where they are.
    #[argh(
        subcommand,
        name = "unshare",
        example = "peernet unshare model.bin\npeernet unshare 0f343b0931126a20f133d67c2b018a3b1a4b9c1e0d6d6c1c9a1b9b7e2d4c5f60"
    )]
    pub(crate) struct Unshare [tracker] {
        /// a shared file or directory, its hash or its link
        #[argh(positional)]
        files: Vec<String>,
    }
}

impl Run for Unshare {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        if self.files.is_empty() {
            return Err(Failure::usage("no share given; name files, hashes or links"));
        }
        // The folder has the list of shares, which a daemon keeps up to date. Only the daemon can stop serving one.
        let node = context.builder(self.tracker_options())?.build()?;
        let mut removed = Vec::new();
        for file in &self.files {
            for file_hash in named(&node, file)? {
                match context.daemon() {
                    Some(daemon) => {
                        let request = Request::Unshare { file_hash: file_hash.to_string() };
                        daemon.ask(request, &mut |_| {})?;
                    }
                    None => node.unshare(file_hash)?,
                }
                removed.push(file_hash.to_string());
            }
        }
        let people: Vec<String> = removed.iter().map(|file_hash| format!("no longer shared: {file_hash}")).collect();
        context.output.result(&people.join("\n"), &json!({"unshared": removed}));
        Ok(Exit::Ok)
    }
}
