//! `access` and `withdraw`: who may have this account's files.

use peernet_engine::ids::FileHash;
use peernet_engine::link::{Kind, Target};
use peernet_protos::rest::FileAccessRequest;
use serde_json::{Value, json};

use super::args::{Access, Withdraw};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::shown;
use super::share::{named, problem};
use crate::control::Request;
use crate::discovery::tracker::Audience;
use crate::node::{IS_DIRECTORY, Node};

/// What stands before the name of a group.
const GROUP_MARK: char = '@';

pub(super) fn access(context: &Context, typed: &Access) -> Result<Exit, Failure> {
    let audience = audience(typed.public, typed.private, &typed.with)?;
    let node = context.builder(typed.way())?.build()?;
    if audience.is_some() {
        whole(&node, &typed.file)?;
    }
    let mut people = Vec::new();
    let mut programs = Vec::new();
    for file_hash in named(&node, &typed.file)? {
        let now = match &audience {
            Some(audience) => {
                set(context, &node, file_hash, audience)?;
                audience.clone()
            }
            None => node.access(file_hash)?,
        };
        people.push(format!("{file_hash}  {}", told(&now)));
        programs.push(audience_json(file_hash, &now));
    }
    context.output.result(&people.join("\n"), &json!({"files": programs}));
    Ok(Exit::Ok)
}

pub(super) fn withdraw(context: &Context, typed: &Withdraw) -> Result<Exit, Failure> {
    if typed.files.is_empty() {
        return Err(Failure::usage("withdraw what? Name files, hashes or links"));
    }
    let node = context.builder(typed.way())?.build()?;
    let mut withdrawn = Vec::new();
    for file in &typed.files {
        whole(&node, file)?;
        for file_hash in named(&node, file)? {
            set(context, &node, file_hash, &Audience::Withdrawn)?;
            withdrawn.push(file_hash.to_string());
        }
    }
    let people: Vec<String> = withdrawn.iter().map(|file_hash| format!("withdrawn: {file_hash}")).collect();
    context.output.result(&people.join("\n"), &json!({"withdrawn": withdrawn}));
    Ok(Exit::Ok)
}

/// A directory that is not shared from here is refused: it is made of two files, and only one of them is in its link.
fn whole(node: &Node, text: &str) -> Result<(), Failure> {
    let Ok(Target::Link(link)) = Target::parse(text) else { return Ok(()) };
    let is_here = || node.shares().iter().any(|share| share.file_hash == link.file_hash);
    match link.kind == Kind::Collection && !is_here() {
        true => Err(Failure::usage(IS_DIRECTORY)),
        false => Ok(()),
    }
}

/// By the daemon where one runs: it serves the file and has to heed this at once.
fn set(context: &Context, node: &Node, file_hash: FileHash, audience: &Audience) -> Result<(), Failure> {
    match context.daemon() {
        Some(daemon) => {
            let request = Request::SetAccess { file_hash: file_hash.to_string(), audience: audience.into() };
            daemon.ask(request, &mut |_| {}).map(drop).map_err(problem)
        }
        None => Ok(node.set_access(file_hash, audience)?),
    }
}

/// What `--public`, `--private` and `--with` say together; `None` where none of them is there.
pub(super) fn audience(public: bool, private: bool, with: &[String]) -> Result<Option<Audience>, Failure> {
    match (public, private, with) {
        (false, false, []) => Ok(None),
        (true, false, []) => Ok(Some(Audience::Public)),
        (false, true, []) => Ok(Some(Audience::Private)),
        (false, false, with) => shared_with(with).map(Some),
        _ => Err(Failure::usage("give one of --public, --private and --with; --with alone may be repeated")),
    }
}

fn shared_with(with: &[String]) -> Result<Audience, Failure> {
    let (mut accounts, mut groups) = (Vec::new(), Vec::new());
    for who in with {
        match who.strip_prefix(GROUP_MARK) {
            Some(group) => groups.push(group.to_owned()),
            None => accounts.push(who.parse().map_err(|error| {
                Failure::usage(format!("{who}: {error}; a peer id is wanted, or {GROUP_MARK} and a group's name"))
            })?),
        }
    }
    Ok(Audience::Shared { accounts, groups })
}

fn told(audience: &Audience) -> String {
    match audience {
        Audience::Public => "public: every member of the swarm may have it".to_owned(),
        Audience::Private => "private: nobody else may have it".to_owned(),
        Audience::Withdrawn => "withdrawn: nobody is told of it any more".to_owned(),
        Audience::Shared { accounts, groups } => {
            let groups = groups.iter().map(|group| format!("{GROUP_MARK}{}", shown(group)));
            let with: Vec<String> = groups.chain(accounts.iter().map(ToString::to_string)).collect();
            format!("shared with {}", if with.is_empty() { "nobody".to_owned() } else { with.join(", ") })
        }
    }
}

fn audience_json(file_hash: FileHash, audience: &Audience) -> Value {
    let FileAccessRequest { access, accounts, groups } = audience.into();
    json!({"file_hash": file_hash.to_string(), "access": access, "accounts": accounts, "groups": groups})
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::PeerId;

    use super::*;

    #[test]
    fn one_of_the_options_says_who_and_two_say_nothing() {
        let peer = PeerId::from_random([1; 16]);
        let with = [peer.to_string(), "@lab".to_owned()];
        let shared = Audience::Shared { accounts: vec![peer], groups: vec!["lab".to_owned()] };
        assert_eq!(audience(false, false, &[]), Ok(None));
        assert_eq!(audience(true, false, &[]), Ok(Some(Audience::Public)));
        assert_eq!(audience(false, true, &[]), Ok(Some(Audience::Private)));
        assert_eq!(audience(false, false, &with), Ok(Some(shared)));
        for (public, private, with) in [(true, true, &[][..]), (true, false, &with), (false, true, &with)] {
            assert!(audience(public, private, with).is_err());
        }
        let error = audience(false, false, &["lab".to_owned()]).unwrap_err();
        assert!(error.exit == Exit::Usage && error.message.contains("@ and a group's name"), "{error:?}");
    }
}
