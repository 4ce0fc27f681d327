//! `groups`: named groups of accounts, to share files with.

use peernet_engine::ids::PeerId;
use serde_json::{Value, json};

use crate::cli::command::{Run, command, subcommands};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::shown;
use crate::node::Node;

command! {
    /// List the groups of this account, or show, set or delete one. Files can be shared with a group.
    #[argh(
        subcommand,
        name = "groups",
        example = "peernet groups\npeernet groups set lab 123e4567-e89b-42d3-a456-426614174000\npeernet groups show lab\npeernet groups delete lab"
    )]
    pub(crate) struct Groups [tracker] {} with GroupsAction
}

subcommands! {
    /// An action on a group; without one the command lists the groups.
    pub(crate) enum GroupsAction { Show, Set, Delete }
}

command! {
    /// Show the members of a group.
    #[argh(subcommand, name = "show", example = "peernet groups show lab")]
    pub(crate) struct Show [] {
        /// the group's name
        #[argh(positional)]
        name: String,
    }
}

command! {
    /// Make a group, or replace its members. Files that are shared with the group are then shared with the new members.
    #[argh(subcommand, name = "set", example = "peernet groups set lab 123e4567-e89b-42d3-a456-426614174000")]
    pub(crate) struct Set [] {
        /// the group's name, 1 to 64 bytes
        #[argh(positional)]
        name: String,
        /// the peer ids of the accounts, as `peernet status` shows them to their owners; none for an empty group
        #[argh(positional)]
        members: Vec<String>,
    }
}

command! {
    /// Delete a group. Files that are shared with it are no longer shared with its members.
    #[argh(subcommand, name = "delete", example = "peernet groups delete lab")]
    pub(crate) struct Delete [] {
        /// the group's name
        #[argh(positional)]
        name: String,
    }
}

impl Run for Groups {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = context.asking_node(self.tracker_options())?;
        match &self.action {
            None => list(context, &node),
            Some(GroupsAction::Show(Show { name, .. })) => {
                let members = node.group(name)?;
                Ok(report(context, name, &members))
            }
            Some(GroupsAction::Set(Set { name, members, .. })) => {
                let parse = |id: &String| id.parse().map_err(|error| Failure::usage(format!("{id}: {error}")));
                let members = members.iter().map(parse).collect::<Result<Vec<PeerId>, _>>()?;
                node.set_group(name, &members)?;
                Ok(report(context, name, &members))
            }
            Some(GroupsAction::Delete(Delete { name, .. })) => {
                node.delete_group(name)?;
                let programs = json!({"name": name, "status": "deleted"});
                context.output.result(&format!("deleted the group {}", shown(name)), &programs);
                Ok(Exit::Ok)
            }
        }
    }
}

fn list(context: &Context, node: &Node) -> Result<Exit, Failure> {
    let groups = node.groups()?;
    let row = |group: &crate::discovery::tracker::GroupInfo| format!("{:>5}  {}", group.members, shown(&group.name));
    let people = match groups.is_empty() {
        true => "no groups; `peernet groups set NAME PEER-ID...` makes one".to_owned(),
        false => groups.iter().map(row).collect::<Vec<_>>().join("\n"),
    };
    let programs: Vec<Value> =
        groups.iter().map(|group| json!({"name": group.name, "members": group.members})).collect();
    context.output.result(&people, &json!({"groups": programs}));
    Ok(Exit::Ok)
}

fn report(context: &Context, name: &str, members: &[PeerId]) -> Exit {
    let members: Vec<String> = members.iter().map(ToString::to_string).collect();
    let people = match members.is_empty() {
        true => format!("{} has no members", shown(name)),
        false => format!("{}:\n{}", shown(name), members.join("\n")),
    };
    context.output.result(&people, &json!({"name": name, "members": members}));
    Exit::Ok
}
