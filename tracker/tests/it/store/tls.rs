//! TLS connections to real PostgreSQL servers, and the effect of each `sslmode`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::thread;

use peernet_testkit::postgres::{Authority, Identity, Network, Postgres};
use peernet_tracker::store::postgres::{PoolLimits, PostgresStore};
use peernet_tracker::store::{Accounts as _, Store as _, StoreError, Write};
use tempfile::TempDir;

use super::support::{account, peer, postgres, write};
use crate::server::{command, output};
use crate::support::start;

/// The name in the servers' certificate.
const NAME: &str = "db.test";
/// Rules that refuse TCP connections without TLS.
const HBA: &str = "hostssl all scram all scram-sha-256\nhostssl all alice all cert\nhostssl all all all trust";
const PASSWORD: &str = "s3cret";

/// A server with TLS only, and the authorities of it and its clients.
struct Secured {
    server: Postgres,
    authority: Authority,
}

static SECURED: LazyLock<Secured> = LazyLock::new(|| {
    let authority = Authority::new();
    let identity = authority.issue(NAME);
    let network = Network { identity: Some(&identity), clients: Some(&authority), hba: HBA };
    let server = Postgres::start_on_network(&network);
    server.execute(&format!("CREATE ROLE scram SUPERUSER LOGIN PASSWORD '{PASSWORD}'"));
    server.execute("CREATE ROLE alice SUPERUSER LOGIN");
    Secured { server, authority }
});

static WITHOUT_TLS: LazyLock<Postgres> =
    LazyLock::new(|| Postgres::start_on_network(&Network { hba: "host all all all trust", ..Network::default() }));

/// Certificate files of an operator.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("root.crt"), SECURED.authority.certificate()).unwrap();
        fs::write(folder.path().join("wrong.crt"), Authority::new().certificate()).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the parameter that names an authority.
    fn root(&self, name: &str) -> String {
        format!("sslrootcert={}", self.path(name).display())
    }

    /// Returns the parameters that name a certificate and its key.
    fn client(&self, name: &str, identity: &Identity, mode: u32) -> String {
        let certificate = self.path(&format!("{name}.crt"));
        let key = self.path(&format!("{name}.key"));
        fs::write(&certificate, &identity.certificate).unwrap();
        fs::write(&key, &identity.key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        format!("sslcert={}&sslkey={}", certificate.display(), key.display())
    }
}

/// Returns the address of a new database, with this name for the server.
fn address(server: &Postgres, host: &str, parameters: &str) -> String {
    format!("postgres://{host}:{}/{}?hostaddr=127.0.0.1&{parameters}", server.port(), server.create_database())
}

/// Like [`address`], at an address that leads here and is not a loopback address. So it counts as another machine.
fn elsewhere(server: &Postgres, parameters: &str) -> String {
    address(server, NAME, &format!("user=postgres&{parameters}")).replace("127.0.0.1", "0.0.0.0")
}

/// Returns the address of a new database on the server with TLS only, for other tests.
pub(super) fn fresh_database() -> String {
    address(&SECURED.server, NAME, "user=postgres&sslmode=require")
}

/// Returns whether the server reports that the connection is encrypted.
fn encrypted(address: &str) -> Result<bool, StoreError> {
    let store = PostgresStore::open(address, PoolLimits { connections: 1 })?;
    Ok(store.facts()?.connections.unwrap().encrypted)
}

/// Checks for each address whether its connection is encrypted, or the words of its error. All addresses run at once, because each
/// refusal takes the seconds for which a caller waits for a connection.
fn check(cases: &[(String, Result<bool, &[&str]>)]) {
    thread::scope(|scope| {
        for (address, expected) in cases {
            scope.spawn(move || match (encrypted(address), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, *expected, "{address}"),
                (Err(error), Err(words)) => {
                    let error = error.to_string();
                    assert!(words.iter().all(|word| error.contains(word)), "{address}: {error}");
                    assert!(!error.contains(PASSWORD), "{error}");
                }
                (found, _) => panic!("{address}: {found:?}"),
            });
        }
    });
}

#[test]
fn each_mode_demands_its_proof() {
    let files = Files::new();
    let right = files.root("root.crt");
    let wrong = files.root("wrong.crt");
    let at = |host: &str, parameters: &str| address(&SECURED.server, host, &format!("user=postgres&{parameters}"));
    let stranger: &[&str] = &["invalid peer certificate", "sslrootcert must have"];
    check(&[
        (at("other.test", "sslmode=require"), Ok(true)),
        (at("other.test", &format!("sslmode=require&{right}")), Ok(true)),
        (at("other.test", &format!("sslmode=require&{wrong}")), Err(stranger)),
        (at("other.test", "sslmode=prefer"), Ok(true)),
        (at("other.test", &format!("sslmode=verify-ca&{right}")), Ok(true)),
        (at("other.test", &format!("sslmode=verify-ca&{wrong}")), Err(stranger)),
        (at(NAME, &format!("sslmode=verify-full&{right}")), Ok(true)),
        (at(NAME, &right), Ok(true)),
        (at(NAME, &format!("sslmode=verify-full&{wrong}")), Err(stranger)),
        (at(NAME, "sslmode=verify-full&sslrootcert=system"), Err(stranger)),
        (at("other.test", &format!("sslmode=verify-full&{right}")), Err(&["other.test", NAME, "subjectAltName"])),
        (at("127.0.0.1", &format!("sslmode=verify-full&{right}")), Err(&["127.0.0.1", "subjectAltName"])),
        (at(NAME, "sslmode=disable"), Err(&["no encryption"])),
        (at(NAME, ""), Err(&["no encryption"])),
    ]);
}

#[test]
fn a_remote_server_must_prove_itself_by_default() {
    let files = Files::new();
    check(&[
        (elsewhere(&SECURED.server, &files.root("root.crt")), Ok(true)),
        (elsewhere(&SECURED.server, ""), Err(&["UnknownIssuer", "sslrootcert=FILE", "sslmode=disable"])),
        (elsewhere(&WITHOUT_TLS, ""), Err(&["does not support TLS", "sslmode=disable"])),
        (elsewhere(&WITHOUT_TLS, "sslmode=disable"), Ok(false)),
    ]);
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_required() {
    let files = Files::new();
    let at = |parameters: &str| address(&WITHOUT_TLS, NAME, &format!("user=postgres&{parameters}"));
    let refused: &[&str] = &["does not support TLS", "switch ssl on", "sslmode=disable"];
    check(&[
        (at("sslmode=require"), Err(refused)),
        (at(&format!("sslmode=verify-full&{}", files.root("root.crt"))), Err(refused)),
        (at("sslmode=prefer"), Ok(false)),
        (at("sslmode=disable"), Ok(false)),
        (at(""), Ok(false)),
    ]);
}

#[test]
fn client_certificates_and_channel_binding_work() {
    let files = Files::new();
    let own = files.client("alice", &SECURED.authority.issue("alice"), 0o600);
    let open = files.client("open", &SECURED.authority.issue("alice"), 0o644);
    let foreign = files.client("foreign", &Authority::new().issue("alice"), 0o600);
    let at = |user: &str, parameters: &str| {
        address(&SECURED.server, &format!("{user}@{NAME}"), &format!("{}&{parameters}", files.root("root.crt")))
    };
    let scram = format!("scram:{PASSWORD}");
    check(&[
        (at("alice", &own), Ok(true)),
        (at("alice", "sslmode=require"), Err(&["certificate"])),
        (at("alice", &open), Err(&["sslkey", "chmod 600"])),
        (at("alice", &foreign), Err(&[])),
        (at(&scram, "channel_binding=require"), Ok(true)),
        (at(&scram, "channel_binding=prefer"), Ok(true)),
        // The server trusts the client without a password, so there is nothing to bind.
        (at("postgres", "channel_binding=require"), Err(&["channel binding"])),
        (at("scram:wrong", ""), Err(&["password authentication failed"])),
    ]);
}

#[test]
fn a_renewed_certificate_applies_to_the_next_connection() {
    let files = Files::new();
    fs::copy(files.path("wrong.crt"), files.path("live.crt")).unwrap();
    let address = address(&SECURED.server, NAME, &format!("user=postgres&{}", files.root("live.crt")));
    let store = PostgresStore::open(&address, PoolLimits { connections: 1 }).unwrap();
    assert!(matches!(store.ping(), Err(StoreError::Unavailable(why)) if why.contains("sslrootcert must have")));
    fs::copy(files.path("root.crt"), files.path("live.crt")).unwrap();
    // The next attempt of the pool may be a moment away.
    assert!((0..20).any(|_| store.ping().is_ok()));
    fs::remove_file(files.path("live.crt")).unwrap();
    store.ping().unwrap();
}

#[test]
fn a_restarted_tls_server_is_used_again() {
    let authority = Authority::new();
    let identity = authority.issue(NAME);
    let mut server = Postgres::start_on_network(&Network { identity: Some(&identity), clients: None, hba: HBA });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("root.crt"), authority.certificate()).unwrap();
    let root = format!("user=postgres&sslrootcert={}", folder.path().join("root.crt").display());
    let store = postgres(&address(&server, NAME, &root));
    write(&*store, &[Write::create_account(account(1, Some("a:1")))]);
    server.stop();
    assert!(matches!(store.account(peer(1)), Err(StoreError::Unavailable(_))));
    server.restart();
    assert!((0..20).any(|_| store.account(peer(1)).is_ok_and(|found| found == Some(account(1, Some("a:1"))))));
}

#[test]
fn a_tracker_runs_on_a_server_with_tls_only() {
    let files = Files::new();
    let url = address(&SECURED.server, NAME, &format!("user=postgres&{}", files.root("root.crt")));
    let folder = tempfile::tempdir().unwrap();
    assert!(start(folder.path(), Some(&url)).stop());
    let (code, text, _) = output(command(folder.path(), Some(&url)).args(["doctor"]));
    assert!(code == 0 && text.contains("OK    database link") && text.contains("verify-full"), "{text}");
    let (code, text, _) = output(command(folder.path(), Some(&url)).args(["admin", "ledger", "verify"]));
    assert_eq!(code, 0, "{text}");
}

/// Starts a tracker that must fail to start.
fn refused(folder: &Path, url: &str) -> (i32, String) {
    // This machine trusts no authority.
    let (code, _, error) = output(command(folder, Some(url)).env("SSL_CERT_FILE", folder.join("none")));
    assert!(!error.contains(PASSWORD), "{error}");
    (code, error)
}

#[test]
fn a_wrong_address_is_a_configuration_error() {
    let files = Files::new();
    let folder = files.folder.path();
    let at = |parameters: &str| format!("postgres://u:{PASSWORD}@{NAME}/d?{parameters}");
    for (parameters, words) in [
        ("sslmode=maybe".to_owned(), vec!["database_url: sslmode must be disable, prefer, require"]),
        (files.root("missing.crt"), vec!["database_url: sslrootcert ", "missing.crt: No such file"]),
        ("sslcrl=/x".to_owned(), vec!["database_url", "sslcrl is not offered"]),
    ] {
        let (code, error) = refused(folder, &at(&parameters));
        assert!(code == 2 && words.iter().all(|word| error.contains(word)), "{code}: {error}");
    }
    fs::write(files.path("empty.crt"), "").unwrap();
    let (code, error) = refused(folder, &at(&files.root("empty.crt")));
    assert!(code == 3 && error.contains("empty.crt: there is no authority's certificate in it"), "{error}");
    let (code, error) = refused(folder, &at(""));
    assert!(code == 3 && error.contains("no list of authorities") && error.contains("sslmode=disable"), "{error}");
}
