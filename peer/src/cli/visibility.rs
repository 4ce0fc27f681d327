//! The visibility of a file as it is typed and shown: `--public`, `--private` and `--with`.

use peernet_engine::ids::FileHash;
use peernet_protos::rest::FileAccessRequest;
use serde_json::{Value, json};

use super::exit::Failure;
use super::output::shown;
use crate::access::AccessPolicy;

/// The character before the name of a group.
const GROUP_MARK: char = '@';

/// Reads the three options together; `None` if none of them was typed.
pub(super) fn parse(public: bool, private: bool, with: &[String]) -> Result<Option<AccessPolicy>, Failure> {
    match (public, private, with) {
        (false, false, []) => Ok(None),
        (true, false, []) => Ok(Some(AccessPolicy::Public)),
        (false, true, []) => Ok(Some(AccessPolicy::Private)),
        (false, false, with) => shared_with(with).map(Some),
        _ => Err(Failure::usage("give one of --public, --private and --with; --with alone may be repeated")),
    }
}

fn shared_with(names: &[String]) -> Result<AccessPolicy, Failure> {
    let mut accounts = Vec::new();
    let mut groups = Vec::new();
    for name in names {
        match name.strip_prefix(GROUP_MARK) {
            Some(group) => groups.push(group.to_owned()),
            None => accounts.push(name.parse().map_err(|error| {
                Failure::usage(format!("{name}: {error}; expected a peer id, or {GROUP_MARK} and a group's name"))
            })?),
        }
    }
    Ok(AccessPolicy::Shared { accounts, groups })
}

/// Describes a visibility to people.
pub(super) fn text(policy: &AccessPolicy) -> String {
    match policy {
        AccessPolicy::Public => "public: every member of the swarm may download it".to_owned(),
        AccessPolicy::Private => "private: no other account may download it".to_owned(),
        AccessPolicy::Withdrawn => "withdrawn: no peer may share or download it".to_owned(),
        AccessPolicy::Shared { accounts, groups } => {
            let groups = groups.iter().map(|group| format!("{GROUP_MARK}{}", shown(group)));
            let with: Vec<String> = groups.chain(accounts.iter().map(ToString::to_string)).collect();
            format!("shared with {}", if with.is_empty() { "no account".to_owned() } else { with.join(", ") })
        }
    }
}

/// Describes a visibility to programs.
pub(super) fn json(file_hash: FileHash, policy: &AccessPolicy) -> Value {
    let FileAccessRequest { access, accounts, groups } = policy.into();
    json!({"file_hash": file_hash.to_string(), "access": access, "accounts": accounts, "groups": groups})
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::PeerId;

    use super::*;
    use crate::cli::exit::Exit;

    fn check(public: bool, private: bool, with: &[&str], expected: Result<Option<AccessPolicy>, ()>) {
        let with: Vec<String> = with.iter().map(ToString::to_string).collect();
        let found = parse(public, private, &with).map_err(|failure| assert_eq!(failure.exit, Exit::Usage));
        assert_eq!(found, expected, "{public} {private} {with:?}");
    }

    #[test]
    fn exactly_one_of_the_options_sets_a_visibility() {
        let peer = PeerId::from_random([1; 16]);
        let id = peer.to_string();
        let shared = AccessPolicy::Shared { accounts: vec![peer], groups: vec!["lab".to_owned()] };
        check(false, false, &[], Ok(None));
        check(true, false, &[], Ok(Some(AccessPolicy::Public)));
        check(false, true, &[], Ok(Some(AccessPolicy::Private)));
        check(false, false, &[&id, "@lab"], Ok(Some(shared)));
        check(true, true, &[], Err(()));
        check(true, false, &["@lab"], Err(()));
        check(false, true, &[&id], Err(()));
        check(false, false, &["@lab", "lab"], Err(()));
    }

    #[test]
    fn a_name_without_the_mark_of_a_group_is_explained() {
        let error = parse(false, false, &["lab".to_owned()]).unwrap_err();
        assert!(error.message.contains("expected a peer id, or @ and a group's name"), "{error}");
    }

    #[test]
    fn people_see_with_whom_a_file_is_shared() {
        let peer = PeerId::from_random([1; 16]);
        let shared = |accounts, groups: &[&str]| AccessPolicy::Shared {
            accounts,
            groups: groups.iter().map(ToString::to_string).collect(),
        };
        for (visibility, expected) in [
            (AccessPolicy::Private, "private: no other account may download it".to_owned()),
            (shared(vec![], &[]), "shared with no account".to_owned()),
            (shared(vec![peer], &["lab", "\u{1b}x"]), format!("shared with @lab, @\u{fffd}x, {peer}")),
        ] {
            assert_eq!(text(&visibility), expected);
        }
    }
}
