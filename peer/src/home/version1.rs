//! Version 1's configuration, `$HOME/.peernet/config.yaml`. Two keys of it are read, strictly, and only by a node
//! without an account.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use peernet_engine::ids::PeerId;
use serde::Deserialize;

/// The account of a version 1 peer.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Version1Config {
    /// The key `tracker_url`.
    pub tracker_url: Option<String>,
    /// The key `auth_token`. A secret.
    pub auth_token: Option<String>,
}

impl fmt::Debug for Version1Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version1Config").field("tracker_url", &self.tracker_url).finish_non_exhaustive()
    }
}

impl Version1Config {
    /// Returns the account that the token names, if it is a JWT with a peer id as its subject. The signature is not
    /// checked here; the tracker checks it.
    pub fn peer_id(&self) -> Option<PeerId> {
        #[derive(Deserialize)]
        struct Claims {
            sub: String,
        }
        let payload = self.auth_token.as_ref()?.split('.').nth(1)?;
        let bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
        serde_json::from_slice::<Claims>(&bytes).ok()?.sub.parse().ok()
    }
}

/// Reads lines of `key: value`, values bare or in quotes. Other keys and comments are skipped; lists, maps and
/// multi-line values are not, because version 1 never wrote them: such a file gives `None`.
pub fn parse_version1(text: &str) -> Option<Version1Config> {
    let mut config = Version1Config::default();
    for line in text.lines().map(str::trim_end) {
        if line.trim().is_empty() || line.starts_with('#') || line == "---" {
            continue;
        }
        let (key, value) = line.split_once(':')?;
        let value = unquote(value.trim())?;
        match key {
            "tracker_url" if !value.is_empty() => config.tracker_url = Some(value),
            "auth_token" if !value.is_empty() => config.auth_token = Some(value),
            _ => {}
        }
    }
    Some(config)
}

fn unquote(value: &str) -> Option<String> {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            let inner = rest.strip_suffix(quote)?;
            return (!inner.contains([quote, '\\'])).then(|| inner.to_owned());
        }
    }
    let bare = value.split(" #").next().unwrap_or(value).trim();
    (!bare.starts_with(['[', '{', '|', '>', '&', '*', '!'])).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(Option<&str>, Option<&str>)>) {
        let got = parse_version1(text).map(|config| (config.tracker_url, config.auth_token));
        let expected = expected.map(|(url, token)| (url.map(str::to_owned), token.map(str::to_owned)));
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn the_two_keys_are_read_bare_or_quoted_and_nothing_fancy() {
        check(
            "auth_token: abc.def.ghi\ntracker_url: http://t:8080\n",
            Some((Some("http://t:8080"), Some("abc.def.ghi"))),
        );
        check(
            "---\n# made by peer\ntracker_url: \"http://t\"\nauth_token: 'a'\nother: 1\n",
            Some((Some("http://t"), Some("a"))),
        );
        check("tracker_url: http://t # home\n", Some((Some("http://t"), None)));
        check("", Some((None, None)));
        for bad in ["tracker_url: [a]", "tracker_url: |", "no colon", "tracker_url: \"open"] {
            check(bad, None);
        }
    }

    #[test]
    fn the_tokens_subject_is_the_account() {
        let id = "123e4567-e89b-42d3-a456-426614174000";
        let payload = BASE64URL_NOPAD.encode(format!("{{\"sub\":\"{id}\",\"exp\":1}}").as_bytes());
        let config = |token: String| Version1Config { tracker_url: None, auth_token: Some(token) };
        assert_eq!(config(format!("h.{payload}.s")).peer_id().map(|p| p.to_string()), Some(id.to_owned()));
        for bad in ["", "a.b.c", "a"] {
            assert_eq!(config(bad.to_owned()).peer_id(), None, "{bad}");
        }
    }

    #[test]
    fn only_plain_lines_are_read_as_version_1_wrote_them() {
        let url = |expected| Some((Some(expected), None));
        check("tracker_url: a\ntracker_url: b\n", url("b"));
        check("tracker_url:http://t:8080\r\n", url("http://t:8080"));
        check("tracker_url: a#b\n", url("a#b"));
        check("tracker_url: \"a # b\"\n", url("a # b"));
        check("tracker_url: ''\nauth_token: \"\"\n", Some((None, None)));
        check("tracker_url:\n", Some((None, None)));
        // Keys of nested maps are none of ours.
        check("  tracker_url: a\n", Some((None, None)));
        check("\"tracker_url\": a\n", Some((None, None)));
        check("tracker_url : a\n", Some((None, None)));
        check("  # a comment: indented\n", Some((None, None)));
        for bad in [
            "tracker_url: {a: b}",
            "tracker_url: >",
            "tracker_url: &anchor a",
            "tracker_url: *anchor",
            "tracker_url: !tag a",
            "tracker_url: 'it''s'",
            "tracker_url: \"a\\n\"",
            "tracker_url: 'a\" ",
            "- tracker_url",
            "tracker_url: a\n...\n",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn debug_text_hides_the_token() {
        let config = parse_version1("tracker_url: http://t\nauth_token: very-secret\n").unwrap();
        assert_eq!(format!("{config:?}"), "Version1Config { tracker_url: Some(\"http://t\"), .. }");
    }

    #[test]
    fn a_token_without_a_subject_names_no_account() {
        let id = "123e4567-e89b-42d3-a456-426614174000";
        for (claims, expected) in [
            (format!("{{\"sub\":\"{id}\"}}"), true),
            ("{\"sub\":\"alice\"}".to_owned(), false),
            ("{\"sub\":1}".to_owned(), false),
            (format!("{{\"user\":\"{id}\"}}"), false),
            ("not json".to_owned(), false),
        ] {
            let token = format!("h.{}.s", BASE64URL_NOPAD.encode(claims.as_bytes()));
            let config = Version1Config { tracker_url: None, auth_token: Some(token) };
            assert_eq!(config.peer_id().is_some(), expected, "{claims}");
        }
        assert_eq!(Version1Config::default().peer_id(), None);
    }
}
