//! `groups`: accounts under one name, to share files with.

use peernet_engine::ids::PeerId;
use serde_json::{Value, json};

use super::args::{DeleteGroup, Groups, GroupsAction, SetGroup, ShowGroup};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::shown;
use crate::node::Node;

pub(super) fn groups(context: &Context, typed: &Groups) -> Result<Exit, Failure> {
    let node = context.asking_node(typed.way())?;
    match &typed.action {
        None => list(context, &node),
        Some(GroupsAction::Show(ShowGroup { name, .. })) => {
            let members = node.group(name)?;
            Ok(tell(context, name, &members))
        }
        Some(GroupsAction::Set(SetGroup { name, members, .. })) => {
            let parse = |id: &String| id.parse().map_err(|error| Failure::usage(format!("{id}: {error}")));
            let members = members.iter().map(parse).collect::<Result<Vec<PeerId>, _>>()?;
            node.set_group(name, &members)?;
            Ok(tell(context, name, &members))
        }
        Some(GroupsAction::Delete(DeleteGroup { name, .. })) => {
            node.delete_group(name)?;
            let programs = json!({"name": name, "status": "deleted"});
            context.output.result(&format!("deleted the group {}", shown(name)), &programs);
            Ok(Exit::Ok)
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

fn tell(context: &Context, name: &str, members: &[PeerId]) -> Exit {
    let members: Vec<String> = members.iter().map(ToString::to_string).collect();
    let people = match members.is_empty() {
        true => format!("{} has no members", shown(name)),
        false => format!("{}:\n{}", shown(name), members.join("\n")),
    };
    context.output.result(&people, &json!({"name": name, "members": members}));
    Exit::Ok
}
