//! Checks of the store and the clock.

use peernet_engine::time::UnixMillis;

use super::Check;
use crate::base::calendar::utc;
use crate::boot::config::Config;
use crate::boot::{DATABASE_FILE, OWN_CONNECTIONS, open_store};
use crate::store::postgres::address::{Proof, Protection, Tls};
use crate::store::{ConnectionFacts, Facts, SCHEMA_VERSION};

/// The earliest time that a clock may show: 2025-01-01.
const EARLIEST: UnixMillis = UnixMillis(1_735_689_600_000);
/// The harmless difference between the clocks of trackers of one database, in milliseconds.
const SKEW_MS_MAX: i64 = 5_000;

/// Runs the checks. Also returns whether the store could be read.
pub(super) fn examine(config: &Config, now: UnixMillis, running: bool) -> (Vec<Check>, bool) {
    let is_sqlite = config.database_url.reveal().is_none();
    if is_sqlite && !config.data_dir.join(DATABASE_FILE).exists() {
        let store = Check::warn("store", "no SQLite database yet; the first start creates it");
        return (vec![store, clock(now, None)], true);
    }
    let facts = open_store(config).and_then(|store| store.facts());
    match facts {
        Ok(facts) => {
            let mut checks = vec![tables(&facts), clock(now, facts.newest_at)];
            if let Some(found) = facts.connections {
                checks.push(connections(config, found, running));
                checks.extend(protection(config).map(|protection| link(&protection, found.encrypted)));
            }
            (checks, true)
        }
        Err(error) => {
            let advice =
                if is_sqlite { "check the folder's owner and the disk" } else { "check DATABASE_URL and the server" };
            (vec![Check::fail("store", format!("{error}; {advice}")), clock(now, None)], false)
        }
    }
}

fn tables(facts: &Facts) -> Check {
    let name = "store";
    match facts.schema_version {
        None => Check::warn(name, "the database has no tables yet; the first start makes them"),
        Some(SCHEMA_VERSION) => Check::ok(name, format!("it answers, schema version {SCHEMA_VERSION}")),
        Some(older) if older < SCHEMA_VERSION => {
            let next =
                format!("schema version {older}; the next start upgrades it to {SCHEMA_VERSION}: back it up first");
            Check::warn(name, next)
        }
        Some(newer) => Check::fail(name, format!("schema version {newer}: this program is too old for it; upgrade it")),
    }
}

fn clock(now: UnixMillis, newest: Option<UnixMillis>) -> Check {
    let name = "clock";
    let text = utc(now);
    if now < EARLIEST {
        return Check::fail(name, format!("the clock shows {text}: set it, or tokens expire at once; run NTP"));
    }
    match newest {
        Some(newest) if newest.0 - now.0 > SKEW_MS_MAX => Check::warn(
            name,
            format!(
                "{text} is before {}, the newest time in the store: run NTP here and at the other trackers",
                utc(newest)
            ),
        ),
        _ => Check::ok(name, text),
    }
}

fn connections(config: &Config, found: ConnectionFacts, running: bool) -> Check {
    let name = "database connections";
    let needed = (config.database_connections() + OWN_CONNECTIONS) as u64;
    let available = found.max.saturating_sub(found.reserved);
    let text = format!("a tracker opens {needed}, the server takes {available}, {} are open", found.open);
    if needed > available {
        Check::fail(name, format!("{text}: raise max_connections or lower database_connections"))
    } else if !running && found.open + needed > available {
        Check::warn(name, format!("{text}: there is no room for one more tracker; raise max_connections"))
    } else {
        Check::ok(name, text)
    }
}

fn protection(config: &Config) -> Option<Protection> {
    config.database_address().ok().flatten().map(|address| address.protection().clone())
}

/// Checks how the link to the database is protected. `encrypted` comes from the server; behind a pooler it describes another
/// link.
fn link(protection: &Protection, encrypted: bool) -> Check {
    let name = "database link";
    let Protection::Tls(tls) = protection else {
        let why =
            if *protection == Protection::Local { "the server is on this machine" } else { "sslmode=disable says so" };
        return Check::ok(name, format!("plaintext: {why}"));
    };
    match tls {
        Tls { required: false, .. } => Check::warn(
            name,
            format!(
                "{} (prefer): anyone on the path can switch TLS off; set sslmode=verify-full",
                if encrypted { "TLS" } else { "plaintext" }
            ),
        ),
        Tls { proof: Proof::Nothing, .. } => {
            Check::warn(name, "TLS, but any machine could be the server (require); set sslmode=verify-full")
        }
        Tls { proof: Proof::Authority(_), .. } => {
            Check::ok(name, "TLS, with the server's authority proven (verify-ca)")
        }
        Tls { proof: Proof::Name(_), .. } => {
            Check::ok(name, "TLS, with the server's name and authority proven (verify-full)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn tables_of_another_version_are_reported_with_advice() {
        let of = |version| tables(&Facts { schema_version: version, newest_at: None, connections: None });
        assert_eq!(of(Some(SCHEMA_VERSION)).verdict, Verdict::Ok);
        for (version, verdict, words) in [
            (None, Verdict::Warn, "first start"),
            (Some(1), Verdict::Warn, "back it up"),
            (Some(1_000), Verdict::Fail, "upgrade it"),
        ] {
            let check = of(version);
            assert!(check.verdict == verdict && check.found.contains(words), "{check:?}");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_is_noticed() {
        let now = UnixMillis(1_800_000_000_000);
        assert_eq!(clock(now, None).verdict, Verdict::Ok);
        assert_eq!(clock(now, Some(UnixMillis(now.0 + 4_000))).verdict, Verdict::Ok);
        assert_eq!(clock(now, Some(UnixMillis(now.0 + 60_000))).verdict, Verdict::Warn);
        assert_eq!(clock(UnixMillis(0), None).verdict, Verdict::Fail);
    }

    #[test]
    fn a_server_without_room_for_the_tracker_is_reported() {
        let config = Config { database_connections: 10, ..Config::default() };
        let of = |max, open, running| {
            connections(&config, ConnectionFacts { max, reserved: 3, open, encrypted: false }, running).verdict
        };
        assert_eq!(of(100, 5, false), Verdict::Ok);
        assert_eq!(of(100, 90, false), Verdict::Warn);
        assert_eq!(of(100, 90, true), Verdict::Ok);
        assert_eq!(of(10, 1, false), Verdict::Fail);
    }

    #[test]
    fn an_insecure_database_link_is_reported() {
        let of = |url: &str| {
            let config = Config { database_url: crate::boot::config::Secret::new(url), ..Config::default() };
            link(&protection(&config).expect("is PostgreSQL"), true)
        };
        for (url, verdict, words) in [
            ("postgres://localhost/d", Verdict::Ok, "plaintext: the server is on this machine"),
            ("postgres://db/d?sslmode=disable", Verdict::Ok, "plaintext: sslmode=disable says so"),
            ("postgres://db/d?sslmode=prefer", Verdict::Warn, "can switch TLS off"),
            ("postgres://db/d?sslmode=require", Verdict::Warn, "any machine could be the server"),
            ("postgres://db/d?sslmode=verify-ca&sslrootcert=Cargo.toml", Verdict::Ok, "verify-ca"),
            ("postgres://db/d", Verdict::Ok, "verify-full"),
        ] {
            let check = of(url);
            assert!(check.verdict == verdict && check.found.contains(words), "{check:?}");
        }
        assert_eq!(protection(&Config::default()), None);
    }
}
