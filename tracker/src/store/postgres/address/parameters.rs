//! Separation of the TLS parameters from a connection address. The postgres crate's parser knows fewer of them than libpq, and refuses the
//! others.
//!
//! Errors quote only names from the lists below, never text of the address: a typing error can make a part of the password look like a
//! parameter.

use crate::base::percent::percent_decode;

/// Parameters that are passed on to the postgres crate unchanged.
const PASSED_ON: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];
/// Parameters of libpq or other drivers that this program refuses. Ignoring one could mean less protection than the address demands.
const NOT_OFFERED: &[&str] = &[
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "keepalives_count",
    "krbsrvname",
    "max_protocol_version",
    "min_protocol_version",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "service",
    "ssl",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkeylogfile",
    "sslpassword",
    "sslsni",
];
const NO_VALUE: &str = "it is neither postgres://USER:PASSWORD@HOST/DATABASE nor a list of key=value";

/// The TLS parameters of an address, uninterpreted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) mode: Option<String>,
    pub(super) root: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

/// Returns the address without its TLS parameters, and the parameters.
pub(super) fn split(address: &str) -> Result<(String, Parameters), String> {
    let mut found = Parameters::default();
    let scheme = ["postgres://", "postgresql://"].into_iter().find(|scheme| address.starts_with(scheme));
    let rest = match scheme {
        Some(scheme) => split_url(address, scheme.len(), &mut found)?,
        None => split_pairs(address, &mut found)?,
    };
    Ok((rest, found))
}

impl Parameters {
    /// Takes a TLS parameter. Returns false for a parameter that is passed on.
    fn take(&mut self, name: &str, value: impl FnOnce() -> Result<String, String>) -> Result<bool, String> {
        let slot = match name {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.root,
            "sslcert" => &mut self.certificate,
            "sslkey" => &mut self.key,
            "sslnegotiation" if value()? == "postgres" => return Ok(true),
            "sslnegotiation" => return Err("sslnegotiation: only postgres is offered".to_owned()),
            name if PASSED_ON.contains(&name) => return Ok(false),
            name if NOT_OFFERED.contains(&name) => {
                return Err(format!(
                    "{name} is not offered: leave it out (of TLS: sslmode, sslrootcert, sslcert, sslkey)"
                ));
            }
            _ => {
                return Err(format!(
                    "an option is none of sslmode, sslrootcert, sslcert, sslkey, {}",
                    PASSED_ON.join(", ")
                ));
            }
        };
        match slot.replace(value()?) {
            None => Ok(true),
            Some(_) => Err(format!("{name} appears twice")),
        }
    }
}

fn split_url(address: &str, scheme: usize, found: &mut Parameters) -> Result<String, String> {
    let server = scheme + credentials(&address[scheme..]);
    let Some(question) = address[server..].find('?') else { return Ok(address.to_owned()) };
    let (base, query) = address.split_at(server + question);
    let mut kept = Vec::new();
    for pair in query[1..].split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("a parameter has no value")?;
        if !found.take(name, || percent_decode(value).ok_or_else(|| format!("{name}: broken percent escape")))? {
            // The crate would take everything before an `@` for user and password.
            kept.push(pair.replace('@', "%40"));
        }
    }
    let glue = if kept.is_empty() { "" } else { "?" };
    Ok(format!("{base}{glue}{}", kept.join("&")))
}

/// Returns the length of user and password in an address without its scheme. The crate's rule: they end at the first `@`, unless that is
/// in the query.
fn credentials(rest: &str) -> usize {
    let Some(at) = rest.find('@') else { return 0 };
    let head = &rest[..at];
    let in_query = matches!((head.find('/'), head.find('?')), (Some(path), Some(query)) if path < query);
    if in_query { 0 } else { at }
}

fn split_pairs(address: &str, found: &mut Parameters) -> Result<String, String> {
    let mut kept = Vec::new();
    let mut left = address.trim_start();
    while !left.is_empty() {
        let (name, value, rest) = pair(left).ok_or(NO_VALUE)?;
        if !found.take(name, || Ok(value))? {
            kept.push(&left[..left.len() - rest.len()]);
        }
        left = rest.trim_start();
    }
    Ok(kept.join(" "))
}

/// Returns the first `name = value` of a text, and the rest.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_at(text.find(|c: char| c.is_whitespace() || c == '=')?);
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let (value, rest) = match rest.strip_prefix('\'') {
        Some(rest) => {
            let (value, rest) = unescaped(rest, |c| c == '\'');
            (value, rest.strip_prefix('\'')?)
        }
        None => Some(unescaped(rest, char::is_whitespace)).filter(|(value, _)| !value.is_empty())?,
    };
    (!name.is_empty()).then_some((name, value, rest))
}

/// Returns a value up to its end, and the rest. A backslash escapes the next character.
fn unescaped(text: &str, ends: impl Fn(char) -> bool) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c if ends(c) => return (value, &text[at..]),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, rest: &str, [mode, root, certificate, key]: [&str; 4]) {
        let (left, found) = split(address).unwrap_or_else(|why| panic!("{address}: {why}"));
        let found = [found.mode, found.root, found.certificate, found.key].map(Option::unwrap_or_default);
        assert_eq!((left.as_str(), found), (rest, [mode, root, certificate, key].map(str::to_owned)), "{address}");
        assert!(rest.parse::<postgres::Config>().is_ok(), "{rest}");
    }

    #[test]
    fn both_forms_lose_their_tls_parameters() {
        let all = ["verify-full", "/a b", "/c", "/k"];
        check(
            "postgres://u:p@h:1/d?sslmode=verify-full&sslrootcert=%2Fa%20b&user=x&sslcert=/c&sslkey=/k",
            "postgres://u:p@h:1/d?user=x",
            all,
        );
        check(
            r"host=h sslmode = verify-full password='a \' sslmode=x' sslrootcert='/a b' user=\ x sslcert=/c sslkey=/\k",
            r"host=h password='a \' sslmode=x' user=\ x",
            all,
        );
        for same in ["postgresql://h", "postgres://h/d?host=/x&hostaddr=10.0.0.1", "host=h", "postgres:///d"] {
            check(same, same, [""; 4]);
        }
        check("postgres://h/d?sslmode=disable", "postgres://h/d", ["disable", "", "", ""]);
        check("postgres://h?sslnegotiation=postgres&", "postgres://h", [""; 4]);
    }

    #[test]
    fn signs_in_user_password_and_query_do_not_mislead() {
        let require = ["require", "", "", ""];
        check("postgres://u:a?b@h/d?sslmode=require", "postgres://u:a?b@h/d", require);
        check("postgres://u:a/b@h/d?sslmode=require", "postgres://u:a/b@h/d", require);
        check("postgres://u:a?sslmode=x@h/d?sslmode=require", "postgres://u:a?sslmode=x@h/d", require);
        check("postgres://h/d?sslrootcert=/a@b&user=c@d", "postgres://h/d?user=c%40d", ["", "/a@b", "", ""]);
    }

    #[test]
    fn unknown_parameters_are_refused_without_quoting_them() {
        for (address, expected) in [
            ("postgres://h/d?sslcrl=/s3cret", "sslcrl is not offered"),
            ("postgres://h/d?ssl=true", "ssl is not offered"),
            ("postgres://h/d?sslnegotiation=direct", "only postgres"),
            ("postgres://h/d?sslmode=require&sslmode=disable", "twice"),
            ("postgres://h/d?sslmode", "no value"),
            ("postgres://h/d?sslrootcert=%2", "broken percent escape"),
            ("postgres://h/d?sslrootcert=%+1", "broken percent escape"),
            ("postgres://h/d?%73slmode=disable", "none of sslmode"),
            ("postgres://h/d?s3cret=1", "none of sslmode"),
            ("host=h password=a s3cret=b", "none of sslmode"),
            ("host=h password=a s3cret", "neither"),
            ("host=h password='s3cret", "neither"),
            ("host=h password=s3cret sslmode=", "neither"),
            ("=s3cret", "neither"),
            ("s3cret", "neither"),
        ] {
            let why = split(address).expect_err(address);
            assert!(why.contains(expected) && !why.contains("s3cret"), "{address}: {why}");
        }
    }
}
