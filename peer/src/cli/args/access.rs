//! The commands that say who may have what, with the help that is printed for them.

use argh::{ArgsInfo, FromArgs};

use super::commands::way_of;
use crate::cli::context::Way;

/// Show or say who may have a file or directory of this account.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "access",
    example = "peernet access model.bin\npeernet access model.bin --private\npeernet access 0f343b09...2d4c5f60 --with 123e4567-e89b-42d3-a456-426614174000 --with @lab\npeernet access dataset/ --public",
    note = "Whom a file is not for is not told of it, and peers serve it only to who shows a grant of the tracker. Said again, it\nreplaces what was said before. Peers heed it with their next announce, within a quarter of an hour; leave that was\ngiven before goes on until it ends, 12 hours where the operator says nothing else. Of a directory it is said where it is shared from."
)]
pub(in crate::cli) struct Access {
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// every member of the swarm may have it
    #[argh(switch)]
    pub(in crate::cli) public: bool,
    /// nobody else may have it
    #[argh(switch)]
    pub(in crate::cli) private: bool,
    /// nobody else may have it but this account, or the members of this group of yours; may be repeated
    #[argh(option, arg_name = "peer-id|@group")]
    pub(in crate::cli) with: Vec<String>,
    /// a shared file or directory, its hash or its link
    #[argh(positional)]
    pub(in crate::cli) file: String,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Withdraw files and directories of this account from the swarm: nobody is told of them any more, and nobody may share them.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "withdraw",
    example = "peernet withdraw model.bin\npeernet withdraw 0f343b09...2d4c5f60",
    note = "What others have fetched stays with them. `peernet access FILE --public` (or another of its options) takes it back;\nthen share the file again."
)]
pub(in crate::cli) struct Withdraw {
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// a shared file or directory, its hash or its link
    #[argh(positional)]
    pub(in crate::cli) files: Vec<String>,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// List this account's groups, accounts under one name to share files with; or show, make and delete one.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "groups",
    example = "peernet groups\npeernet groups set lab 123e4567-e89b-42d3-a456-426614174000\npeernet groups show lab\npeernet groups delete lab"
)]
pub(in crate::cli) struct Groups {
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
    #[argh(subcommand)]
    pub(in crate::cli) action: Option<GroupsAction>,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub(in crate::cli) enum GroupsAction {
    Show(ShowGroup),
    Set(SetGroup),
    Delete(DeleteGroup),
}

impl GroupsAction {
    pub(in crate::cli) fn json(&self) -> bool {
        match self {
            Self::Show(action) => action.json,
            Self::Set(action) => action.json,
            Self::Delete(action) => action.json,
        }
    }

    pub(in crate::cli) fn quiet(&self) -> bool {
        match self {
            Self::Show(action) => action.quiet,
            Self::Set(action) => action.quiet,
            Self::Delete(action) => action.quiet,
        }
    }
}

/// Show the members of a group.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "show", example = "peernet groups show lab")]
pub(in crate::cli) struct ShowGroup {
    /// the group's name
    #[argh(positional)]
    pub(in crate::cli) name: String,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Make a group, or replace its members. What is shared with it is shared with the new ones from then on.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "set", example = "peernet groups set lab 123e4567-e89b-42d3-a456-426614174000")]
pub(in crate::cli) struct SetGroup {
    /// the group's name, 1 to 64 bytes
    #[argh(positional)]
    pub(in crate::cli) name: String,
    /// the accounts, as `peernet status` shows them to their owners; none for an empty group
    #[argh(positional)]
    pub(in crate::cli) members: Vec<String>,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Delete a group: what is shared with it no longer is.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "delete", example = "peernet groups delete lab")]
pub(in crate::cli) struct DeleteGroup {
    /// the group's name
    #[argh(positional)]
    pub(in crate::cli) name: String,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

way_of!(Access, Withdraw, Groups);
