//! Tracker URLs, and the escaping of their parts.

use std::net::IpAddr;

use super::TrackerError;

/// The longest tracker URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// The most trackers of one swarm in a list.
const TRACKERS_MAX: usize = 8;

/// Checks that a URL has a known scheme and a host, and removes slashes at its end, which version 1's users may have
/// typed.
pub(crate) fn normal_url(url: &str) -> Result<String, TrackerError> {
    let bad = || TrackerError::BadUrl(url.to_owned());
    let trimmed = url.trim().trim_end_matches('/');
    let uri: ureq::http::Uri = trimmed.parse().map_err(|_| bad())?;
    let good = trimmed.len() <= URL_BYTES_MAX
        && matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty())
        // A password in a URL would end up in logs and process lists.
        && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
        && uri.query().is_none();
    if good { Ok(trimmed.to_owned()) } else { Err(bad()) }
}

/// Returns true if requests to this host stay on this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<ureq::http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    number.map_or(host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
}

/// Parses a list of trackers of one swarm with commas between them. Each is checked by [`normal_url`]; at least one,
/// each once.
pub(crate) fn normal_urls(urls: &str) -> Result<Vec<String>, TrackerError> {
    let mut normal: Vec<String> = Vec::new();
    for url in urls.split(',') {
        let url = normal_url(url)?;
        if !normal.contains(&url) {
            normal.push(url);
        }
    }
    if normal.len() > TRACKERS_MAX { Err(TrackerError::BadUrl(urls.to_owned())) } else { Ok(normal) }
}

/// Splits a list of trackers with commas between them.
pub(super) fn each_url(urls: &str) -> Vec<String> {
    urls.split(',').map(str::to_owned).collect()
}

/// Escapes everything but RFC 3986's unreserved characters.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracker_url_is_http_with_a_host_and_nothing_secret() {
        for (url, expected) in [
            ("http://t:8080", Some("http://t:8080")),
            (" https://t.example/ ", Some("https://t.example")),
            ("http://t/under/path//", Some("http://t/under/path")),
            ("http://[::1]:8080/", Some("http://[::1]:8080")),
            ("t:8080", None),
            ("ftp://t", None),
            ("http://", None),
            ("http://user:pass@t", None),
            ("http://t?x=1", None),
            ("", None),
        ] {
            assert_eq!(normal_url(url).ok().as_deref(), expected, "{url:?}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback_whatever_a_name_looks_like() {
        for url in
            ["http://127.0.0.1:1", "http://127.9.9.9", "http://localhost:1/x", "http://LOCALHOST", "http://[::1]:1"]
        {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["http://127.0.0.1.example", "http://localhost.example", "http://10.0.0.1", "http://t", "nonsense"] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn lists_of_trackers_share_a_swarm_if_they_overlap() {
        let urls = |text| normal_urls(text).map(|urls| urls.join(","));
        assert_eq!(urls("http://a:1/, http://b:2,http://a:1").as_deref(), Ok("http://a:1,http://b:2"));
        for bad in ["", ",", "http://a:1,", "http://a:1 http://b:2"] {
            assert!(urls(bad).is_err(), "{bad}");
        }
        let nine: Vec<String> = (0..9).map(|n| format!("http://t{n}")).collect();
        assert!(urls(&nine.join(",")).is_err());
    }

    #[test]
    fn everything_reserved_is_escaped() {
        assert_eq!(percent_encoded("a b&c=ü/~"), "a%20b%26c%3D%C3%BC%2F~");
    }

    #[test]
    fn urls_are_taken_up_to_their_bound_and_lists_up_to_theirs() {
        let url = |bytes: usize| format!("https://t/{}", "x".repeat(bytes - 10));
        assert_eq!([2_048, 2_049].map(|bytes| normal_url(&url(bytes)).is_ok()), [true, false]);
        assert!(normal_url(&format!("{}////", url(2_048))).is_ok(), "slashes at the end do not count");
        let list = |count: usize| (0..count).map(|number| format!("https://t{number}")).collect::<Vec<_>>();
        assert_eq!(normal_urls(&list(TRACKERS_MAX).join(",")), Ok(list(TRACKERS_MAX)));
        let nine = list(TRACKERS_MAX + 1).join(",");
        assert_eq!(normal_urls(&nine), Err(TrackerError::BadUrl(nine.clone())));
        let same = vec!["https://t"; 20].join("/,");
        assert_eq!(
            normal_urls(&same),
            Ok(vec!["https://t".to_owned()]),
            "one tracker is one, however often it is named"
        );
        assert_eq!(each_url("https://a,https://b"), ["https://a", "https://b"]);
    }

    #[test]
    fn a_refused_url_is_named_as_it_was_typed() {
        for url in ["", "/", "t", "mailto:t", "https://", "https://a b", "https://u@t", "HTTPS//t"] {
            assert_eq!(normal_url(url), Err(TrackerError::BadUrl(url.to_owned())));
        }
        let expected = "\"t:8080\" is not a tracker URL; expected one like https://tracker.example:8080";
        assert_eq!(normal_url("t:8080").unwrap_err().to_string(), expected);
    }

    #[test]
    fn escaped_text_has_no_reserved_letter_and_decodes_to_itself() {
        for seed in 0..200 {
            let mut rng = peernet_engine::random::Rng::new(seed);
            let text: String = (0..20).filter_map(|_| char::from_u32(rng.below(0x3000) as u32)).collect();
            let escaped = percent_encoded(&text);
            assert!(escaped.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)), "{escaped}");
            let mut decoded = Vec::new();
            let mut rest = escaped.as_bytes();
            while let Some((first, after)) = rest.split_first() {
                let is_escape = *first == b'%';
                let digits = std::str::from_utf8(if is_escape { &after[..2] } else { &[] }).unwrap();
                decoded.push(if is_escape { u8::from_str_radix(digits, 16).unwrap() } else { *first });
                rest = if is_escape { &after[2..] } else { after };
            }
            assert_eq!(String::from_utf8(decoded).as_deref(), Ok(text.as_str()), "{escaped}");
        }
    }
}
