//! Request targets: origin form (`/path?query`) and absolute form (`http://host/path?query`), nothing else.

/// Splits a target into path and query. `None` for every other form, and for fragments, which clients never send. Runs of
/// leading slashes become one.
pub(crate) fn split(target: &str) -> Option<(String, String)> {
    if target.contains('#') {
        return None;
    }
    let local = if target.starts_with('/') { target } else { after_authority(target)? };
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    let mut collapsed = String::with_capacity(path.len() + 1);
    collapsed.push('/');
    collapsed.push_str(path.trim_start_matches('/'));
    Some((collapsed, query.to_owned()))
}

/// The part after `http://authority` in an absolute form.
fn after_authority(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    (end > 0).then(|| &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn targets_are_split_into_path_and_query() {
        let check = |target: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(path, query)| (path.to_owned(), query.to_owned()));
            assert_eq!(split(target), expected, "{target}");
        };
        check("/", Some(("/", "")));
        check("/a/b?c=d&e", Some(("/a/b", "c=d&e")));
        check("/a?b?c", Some(("/a", "b?c")));
        check("//api/v1", Some(("/api/v1", "")));
        check("///", Some(("/", "")));
        check("/a//b", Some(("/a//b", "")));
        check("http://host/a?b", Some(("/a", "b")));
        check("HTTP://host:80", Some(("/", "")));
        check("https://host?q=/x", Some(("/", "q=/x")));
        for refused in ["", "*", "a", "host:80", "?q", "http://", "http:///a", "ftp://host/a", "/a#b", "http:/a"] {
            check(refused, None);
        }
    }
}
