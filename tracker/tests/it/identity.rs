//! The swarm's authority and HTTPS as clients meet them, on a real tracker.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peernet_protos::identity::{TRACKER_NAME, peer_name};
use peernet_testkit::postgres::fresh_database;
use peernet_tracker::admin::{self, rotate_authority};
use peernet_tracker::boot::config::Config;
use peernet_tracker::{StartError, Tracker};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::support::{Client, for_both_stores, for_sqlite, start, start_with, until};

const CERTIFICATE: &str = "/api/v1/peers/certificate";
const AUTHORITY: &str = "/api/v1/authority";
const REVOCATIONS: &str = "/api/v1/revocations";
const PATIENCE: Duration = Duration::from_secs(60);

fn csr() -> String {
    let key = KeyPair::generate().unwrap();
    CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap()
}

fn roots(bundle: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    CertificateDer::pem_slice_iter(bundle.as_bytes()).for_each(|root| roots.add(root.unwrap()).unwrap());
    Arc::new(roots)
}

/// Requests `/health` over TLS as a client that trusts `bundle` and expects `name`. Returns the reply or the error.
fn ask(tracker: &Tracker, bundle: &str, name: &str) -> Result<String, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots(bundle)).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(session, TcpStream::connect(tracker.address()).unwrap());
    let asked = stream.write_all(b"GET /health HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    asked.map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    Ok(answer)
}

/// The same with nothing but TCP.
fn ask_in_plaintext(tracker: &Tracker) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", tracker.address().port())).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn bundle(client: &Client) -> String {
    client.get(AUTHORITY).json()["certificates"].as_str().unwrap().to_owned()
}

/// Returns whether a member accepts a certificate as that of `peer_id`.
fn vouches(certificate: &Value, peer_id: &str) -> bool {
    let text = |name: &str| certificate[name].as_str().unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(roots(text("authorities")), provider);
    let leaf = CertificateDer::from_pem_slice(text("certificate").as_bytes()).unwrap();
    let name = ServerName::try_from(peer_name(peer_id)).unwrap();
    let verifier = verifier.build().unwrap();
    rustls::client::danger::ServerCertVerifier::verify_server_cert(&*verifier, &leaf, &[], &name, &[], UnixTime::now())
        .is_ok()
}

#[test]
fn a_login_with_a_signing_request_gets_a_certificate() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        let made = client.post("/api/v1/peers/register", &json!({"protocol": 2, "password": "s", "csr": csr()})).json();
        let id = made["peer_id"].as_str().unwrap();
        let login = json!({"peer_id": id, "password": "s", "csr": csr()});
        let logged_in = client.post("/api/v1/peers/login", &login).json();
        let own = client.with_token(made["token"].as_str().unwrap());
        let renewed = own.post(CERTIFICATE, &json!({"csr": csr()})).json();
        let (_, other) = client.register("other");
        let others = other.post(CERTIFICATE, &json!({"csr": csr()})).json();
        for certificate in [&made["certificate"], &logged_in["certificate"], &renewed] {
            assert!(vouches(certificate, id), "{certificate}");
            assert_eq!(certificate["authorities"], bundle(&client).as_str());
        }
        assert!(!vouches(&others, id));
        // Version 1 sends none and receives none.
        let version_1 =
            client.post("/api/v1/peers/register", &json!({"address": "10.0.0.1:1", "password": "s"})).json();
        assert_eq!(version_1.get("certificate"), None);
    });
}

#[test]
fn what_is_no_request_is_refused_and_makes_no_account() {
    for_sqlite(|tracker| {
        let client = Client::new(&tracker.url());
        let (_, own) = client.register("s");
        let register = json!({"address": "10.0.0.1:1", "password": "s", "csr": "nonsense"});
        let login = json!({"address": "10.0.0.1:1", "password": "s", "csr": "nonsense"});
        for (client, path, body) in [
            (&client, "/api/v1/peers/register", register),
            (&client, "/api/v1/peers/login", login),
            (&own, CERTIFICATE, json!({"csr": "nonsense"})),
        ] {
            assert_eq!(client.post(path, &body).error(), (422, "invalid_csr".to_owned()), "{path}");
        }
        assert_eq!(client.post(CERTIFICATE, &json!({"csr": csr()})).error().0, 401);
        let login = json!({"address": "10.0.0.1:1", "password": "s"});
        assert_eq!(client.post("/api/v1/peers/login", &login).error().0, 401, "there is no such account");
    });
}

#[test]
fn members_know_the_tracker_by_its_role_at_whatever_address() {
    for_sqlite(|tracker| {
        let bundle = bundle(&Client::new(&tracker.url()));
        for name in [TRACKER_NAME, "localhost", "127.0.0.1"] {
            let answer = ask(tracker, &bundle, name).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(r#"{"status":"UP"}"#), "{name}: {answer}");
        }
        assert!(ask(tracker, &bundle, "elsewhere.example").is_err());
        let foreign = tempfile::tempdir().unwrap();
        let other = start(foreign.path(), None);
        assert!(ask(tracker, &self::bundle(&Client::new(&other.url())), TRACKER_NAME).is_err());
        other.stop();
    });
}

#[test]
fn beyond_loopback_plaintext_needs_the_setting() {
    for (allow_plaintext, expected) in [(false, "https_required"), (true, r#"{"status":"UP"}"#)] {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { listen: "0.0.0.0:0".to_owned(), allow_plaintext, ..Config::default() };
        let tracker = Tracker::builder().config(config).data_dir(folder.path()).bcrypt_cost(4).start().unwrap();
        let answer = ask_in_plaintext(&tracker);
        assert!(answer.contains(expected), "{answer}");
        assert_eq!(tracker.url().starts_with("https://"), !allow_plaintext);
        let bundle = tracker.app().authority.bundle();
        assert!(ask(&tracker, &bundle, TRACKER_NAME).unwrap().contains("UP"));
        assert!(tracker.stop());
    }
}

/// A certificate for `name` and its key, as files; and the certificate, which is its own root.
fn operator_s(folder: &Path, name: &str) -> String {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let chain = folder.join("chain.pem");
    let key = folder.join("key.pem");
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(chain, made.cert.pem()).unwrap();
    made.cert.pem()
}

fn with_operator_s(folder: &Path) -> Config {
    let tls_certificate = folder.join("chain.pem");
    let tls_key = folder.join("key.pem");
    Config { tls_certificate, tls_key, ..Config::default() }
}

#[test]
fn an_operators_certificate_is_reloaded_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let first = operator_s(folder.path(), "tracker.example");
    let tracker = start_with(&folder.path().join("data"), None, with_operator_s(folder.path()));
    let own = tracker.app().authority.bundle();
    assert!(ask(&tracker, &first, "tracker.example").is_ok() && ask(&tracker, &own, TRACKER_NAME).is_ok());
    assert!(ask(&tracker, &own, "localhost").is_err());
    fs::write(folder.path().join("chain.pem"), "broken").unwrap();
    until("the log says so", PATIENCE, || tracker.app().authority.refresh().is_err());
    assert!(ask(&tracker, &first, "tracker.example").is_ok(), "what was there goes on");
    let second = operator_s(folder.path(), "tracker.example");
    until("the new one is shown", PATIENCE, || ask(&tracker, &second, "tracker.example").is_ok());
    assert!(ask(&tracker, &first, "tracker.example").is_err() && ask(&tracker, &own, TRACKER_NAME).is_ok());
    assert!(tracker.stop());
}

#[test]
fn an_unusable_certificate_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    operator_s(folder.path(), "tracker.example");
    let builder = || {
        let config = with_operator_s(folder.path());
        Tracker::builder().config(config).listen("127.0.0.1:0").data_dir(folder.path().join("data")).bcrypt_cost(4)
    };
    let key = folder.path().join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(builder().start(), Err(StartError::Authority(error)) if error.to_string().contains("chmod 600")));
    fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(builder().start(), Err(StartError::Authority(_))), "the key is another certificate's");
    fs::remove_file(&key).unwrap();
    assert!(matches!(builder().start(), Err(StartError::Authority(_))));
}

#[test]
fn a_running_tracker_follows_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path(), None);
    let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
    let client = Client::new(&tracker.url());
    let before = client.get(AUTHORITY).json();
    assert_eq!(admin::show_authority(&config, false, false).unwrap(), before["fingerprint"]);
    rotate_authority(&config).unwrap();
    until("the next one is published", PATIENCE, || bundle(&client) != before["certificates"]);
    assert_eq!(client.get(AUTHORITY).json()["fingerprint"], before["fingerprint"]);
    let published = bundle(&client);
    rotate_authority(&config).unwrap();
    until("it signs", PATIENCE, || client.get(AUTHORITY).json()["fingerprint"] != before["fingerprint"]);
    assert!(ask(&tracker, &published, TRACKER_NAME).is_ok());
    assert!(ask(&tracker, before["certificates"].as_str().unwrap(), TRACKER_NAME).is_err());
    assert!(tracker.stop());
}

#[test]
fn trackers_of_one_database_share_an_authority_by_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let database = fresh_database();
    let at = |name: &str| {
        let config = Config { authority_dir: folder.path().join("authority"), ..Config::default() };
        start_with(&folder.path().join(name), Some(&database), config)
    };
    let one = at("one");
    let other = at("other");
    let bundle = one.app().authority.bundle();
    assert_eq!(bundle, other.app().authority.bundle());
    assert!(ask(&other, &bundle, TRACKER_NAME).is_ok());
    assert_eq!(fs::metadata(folder.path().join("authority")).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(one.stop() && other.stop());
}

#[test]
fn who_is_suspended_is_on_the_list_within_seconds() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        let (_, caller) = client.register("caller");
        let (bad, _) = client.register("bad");
        let empty = caller.get(REVOCATIONS);
        assert_eq!((empty.status, &empty.json()["accounts"]), (200, &json!([])));
        assert!(empty.json()["ask_again_seconds"].as_u64().unwrap() <= 30);
        let app = tracker.app();
        admin::suspend(&*app.store, (app.clock)(), &bad, "lies").unwrap();
        let listed = || caller.get(REVOCATIONS);
        until("it is listed", Duration::from_secs(10), || listed().json()["accounts"] == json!([bad]));
        assert_ne!(listed().header("etag"), empty.header("etag"));
        assert_eq!(client.get(REVOCATIONS).error().0, 401);
    });
}
