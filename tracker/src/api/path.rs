//! Matching a path against a route's template, and the arguments that come out of it.

use std::str::FromStr;

use super::error::ApiError;
use crate::base::percent::percent_decode;

/// The arguments of a path, percent-decoded, by their names in the template.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PathArgs(Vec<(&'static str, String)>);

impl PathArgs {
    /// The text of an argument. The name must be in the route's template, an invariant of the table.
    pub fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str()).expect("a handler asks for names of its own template")
    }

    /// Parses an argument; 400 with the word `code` and the reason of the parser otherwise.
    pub fn parse<T: FromStr<Err: std::fmt::Display>>(&self, name: &str, code: &'static str) -> Result<T, ApiError> {
        self.text(name).parse().map_err(|error| ApiError::bad_request(code, format!("{name}: {error}")))
    }
}

/// Returns whether a path matches a template such as `/api/v1/files/{file_hash}`. An argument is one non-empty segment.
pub(super) fn is_of(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let fits = template.split('/').all(|wanted| match (argument_of(wanted), segments.next()) {
        (_, None) => false,
        (None, Some(got)) => wanted == got,
        (Some(_), Some(got)) => !got.is_empty(),
    });
    fits && segments.next().is_none()
}

/// Reads the arguments of a path that matches this template; `None` where a percent escape is broken or not UTF-8.
pub(super) fn args_of(template: &'static str, path: &str) -> Option<PathArgs> {
    let mut args = Vec::new();
    for (wanted, got) in template.split('/').zip(path.split('/')) {
        if let Some(name) = argument_of(wanted) {
            args.push((name, percent_decode(got)?));
        }
    }
    Some(PathArgs(args))
}

fn argument_of(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_one_decoded_non_empty_segment() {
        const TEMPLATE: &str = "/files/{hash}/x";
        assert!(is_of(TEMPLATE, "/files/a%2Fb/x"));
        assert_eq!(args_of(TEMPLATE, "/files/a%2Fb/x"), Some(PathArgs(vec![("hash", "a/b".into())])));
        for other in ["/files//x", "/files/a/y", "/files/a", "/files/a/x/", "files/a/x", "", "/"] {
            assert!(!is_of(TEMPLATE, other), "{other}");
        }
        for broken in ["/files/%/x", "/files/%g0/x", "/files/%f/x", "/files/%ff/x"] {
            assert!(is_of(TEMPLATE, broken) && args_of(TEMPLATE, broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn an_argument_is_parsed_with_its_name_in_the_refusal() {
        let args = |path: &str| args_of("/{count}", path).expect("decodes");
        assert_eq!(args("/7").parse::<u8>("count", "invalid_limit"), Ok(7));
        assert_eq!(args("/%37").parse::<u8>("count", "invalid_limit"), Ok(7));
        for (path, why) in [
            ("/256", "number too large to fit in target type"),
            ("/-1", "invalid digit found in string"),
            ("/7%2F", "invalid digit found in string"),
        ] {
            let refused = ApiError::bad_request("invalid_limit", format!("count: {why}"));
            assert_eq!(args(path).parse::<u8>("count", "invalid_limit"), Err(refused), "{path}");
        }
    }

    #[test]
    fn several_arguments_keep_their_places() {
        let args = args_of("/a/{one}/b/{two}", "/a/1/b/2").expect("decodes");
        assert_eq!([args.text("one"), args.text("two")], ["1", "2"]);
    }
}
