//! Matching a path against a route's template, and the arguments that come out of it.

use std::str::FromStr;

use super::error::ApiError;
use crate::percent::percent_decode;

/// What stood in the place of a template's `{name}`s, percent-decoded.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PathArgs(Vec<(&'static str, String)>);

impl PathArgs {
    /// The text of an argument. The name must be in the route's template: an invariant of the table.
    pub fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str()).expect("a handler asks for names of its own template")
    }

    /// An argument as a validated type; 400 `invalid_<name>` with the type's own words otherwise. `code` is that word.
    pub fn parse<T: FromStr<Err: std::fmt::Display>>(&self, name: &str, code: &'static str) -> Result<T, ApiError> {
        self.text(name).parse().map_err(|error| ApiError::bad_request(code, format!("{name}: {error}")))
    }
}

/// How a path relates to a template.
#[derive(Debug, PartialEq, Eq)]
pub enum Match {
    /// Another path.
    No,
    /// This one, but an argument's percent escapes are broken or not UTF-8.
    Broken,
    /// This one.
    Yes(PathArgs),
}

/// Compares a path with a template such as `/api/v1/files/{file_hash}`. An argument is one non-empty segment.
pub fn match_path(template: &'static str, path: &str) -> Match {
    let segments = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    if segments(template) != segments(path) {
        return Match::No;
    }
    let mut args = PathArgs::default();
    let mut broken = false;
    for (wanted, got) in template.split('/').zip(path.split('/')) {
        match wanted.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            None if wanted == got => {}
            None => return Match::No,
            Some(_) if got.is_empty() => return Match::No,
            Some(name) => match percent_decode(got) {
                Some(value) => args.0.push((name, value)),
                None => broken = true,
            },
        }
    }
    if broken { Match::Broken } else { Match::Yes(args) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_one_decoded_non_empty_segment() {
        let matched = |path| match_path("/files/{hash}/x", path);
        assert_eq!(matched("/files/a%2Fb/x"), Match::Yes(PathArgs(vec![("hash", "a/b".into())])));
        for other in ["/files//x", "/files/a/y", "/files/a", "/files/a/x/", "files/a/x", "", "/"] {
            assert_eq!(matched(other), Match::No, "{other}");
        }
        for broken in ["/files/%/x", "/files/%g0/x", "/files/%f/x", "/files/%ff/x"] {
            assert_eq!(matched(broken), Match::Broken, "{broken}");
        }
    }
}
