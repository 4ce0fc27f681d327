//! `withdraw`: takes files of this account out of the swarm.

use serde_json::json;

use super::access::set;
use crate::access::AccessPolicy;
use crate::cli::command::{Run, command};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::shares::{named, refuse_foreign_directory};

command! {
    /// Withdraw files and directories of this account from the swarm: no peer can find, share or download them any more.
    #[argh(
        subcommand,
        name = "withdraw",
        example = "peernet withdraw model.bin\npeernet withdraw 0f343b09...2d4c5f60",
        note = "Copies that others have downloaded stay with them. To undo it, run `peernet access FILE --public` (or with another\nof its options) and share the file again."
    )]
    pub(crate) struct Withdraw [tracker] {
        /// a shared file or directory, its hash or its link
        #[argh(positional)]
        files: Vec<String>,
    }
}

impl Run for Withdraw {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        if self.files.is_empty() {
            return Err(Failure::usage("no file given; name files, hashes or links"));
        }
        let node = context.builder(self.tracker_options())?.build()?;
        let mut withdrawn = Vec::new();
        for file in &self.files {
            refuse_foreign_directory(&node, file)?;
            for file_hash in named(&node, file)? {
                set(context, &node, file_hash, &AccessPolicy::Withdrawn)?;
                withdrawn.push(file_hash.to_string());
            }
        }
        let people: Vec<String> = withdrawn.iter().map(|file_hash| format!("withdrawn: {file_hash}")).collect();
        context.output.result(&people.join("\n"), &json!({"withdrawn": withdrawn}));
        Ok(Exit::Ok)
    }
}
