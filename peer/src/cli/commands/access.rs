//! `access`: shows or sets the visibility of a file.

use peernet_engine::ids::FileHash;
use serde_json::json;

use crate::access::AccessPolicy;
use crate::cli::command::{Run, command};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::shares::{named, refuse_foreign_directory};
use crate::cli::visibility;
use crate::daemon::control::Request;
use crate::node::Node;

command! {
    /// Show or set the access policy of a file or directory of this account.
    #[argh(
        subcommand,
        name = "access",
        example = "peernet access model.bin\npeernet access model.bin --private\npeernet access 0f343b09...2d4c5f60 --with 123e4567-e89b-42d3-a456-426614174000 --with @lab\npeernet access dataset/ --public",
        note = "Accounts that may not download a file cannot find it either, and peers serve it only to callers that present a\ngrant of the tracker. A new setting replaces the one before. Peers learn of it with their next announce, within two\nminutes. Grants issued before stay good until they expire, by default after 12 hours. The access of a\ndirectory is set where it is shared from."
    )]
    pub(crate) struct Access [tracker, visibility] {
        /// a shared file or directory, its hash or its link
        #[argh(positional)]
        file: String,
    }
}

impl Run for Access {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let new = self.policy()?;
        let node = context.builder(self.tracker_options())?.build()?;
        if new.is_some() {
            refuse_foreign_directory(&node, &self.file)?;
        }
        let mut people = Vec::new();
        let mut programs = Vec::new();
        for file_hash in named(&node, &self.file)? {
            let now = match &new {
                Some(new) => {
                    set(context, &node, file_hash, new)?;
                    new.clone()
                }
                None => node.access(file_hash)?,
            };
            people.push(format!("{file_hash}  {}", visibility::text(&now)));
            programs.push(visibility::json(file_hash, &now));
        }
        context.output.result(&people.join("\n"), &json!({"files": programs}));
        Ok(Exit::Ok)
    }
}

/// Sets the visibility of a file. A running daemon does it: it serves the file, so it has to obey at once.
pub(super) fn set(context: &Context, node: &Node, file_hash: FileHash, policy: &AccessPolicy) -> Result<(), Failure> {
    match context.daemon() {
        Some(daemon) => {
            let request = Request::SetAccess { file_hash: file_hash.to_string(), audience: policy.into() };
            daemon.ask(request, &mut |_| {})?;
            Ok(())
        }
        None => Ok(node.set_access(file_hash, policy)?),
    }
}
