//! Tests of making, sharing and rotating an authority, and of what it signs.

use std::os::unix::fs::PermissionsExt as _;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const PEER: PeerId = PeerId([7; 16]);

fn setup(folder: &tempfile::TempDir) -> Setup {
    let names = vec!["tracker.example".to_owned(), "10.0.0.7".to_owned()];
    Setup { folder: folder.path().to_owned(), lifetime: HOUR, names, given: None }
}

fn open(folder: &tempfile::TempDir) -> Authority {
    Authority::open(setup(folder)).expect("an authority")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn csr(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
    let key = KeyPair::generate_for(algorithm).expect("a key");
    let params = CertificateParams::new(["tracker.peernet".to_owned()]).expect("params");
    params.serialize_request(&key).and_then(|request| request.pem()).expect("a request")
}

/// Returns whether a client that trusts `bundle` accepts the certificate for `name` at a time.
fn is_taken(bundle: &str, certificate: &str, name: &str, at: u64) -> bool {
    let mut roots = RootCertStore::empty();
    CertificateDer::pem_slice_iter(bundle.as_bytes()).for_each(|root| roots.add(root.expect("PEM")).expect("a root"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("a verifier");
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    rustls::client::danger::ServerCertVerifier::verify_server_cert(&*verifier, &certificate, &[], &name, &[], at)
        .is_ok()
}

#[test]
fn a_certificate_names_its_account_alone_and_ends_in_time() {
    let folder = folder();
    let authority = open(&folder);
    let issued = authority.issue(NOW, PEER, None, &csr(&PKCS_ECDSA_P256_SHA256)).expect("a certificate");
    let own = peernet_protos::identity::peer_name(&PEER.to_string());
    let other = peernet_protos::identity::peer_name(&PeerId([8; 16]).to_string());
    let taken = |name: &str, at| is_taken(&authority.bundle(), &issued.certificate, name, at);
    assert_eq!(issued.expires_at, NOW.as_secs() + 3_600);
    assert!(taken(&own, NOW.as_secs()) && taken(&own, NOW.as_secs() - 299) && taken(&own, issued.expires_at - 1));
    assert!(!taken(&own, issued.expires_at + 1) && !taken(&own, NOW.as_secs() - 301));
    // What the request asked to be called counts for nothing.
    assert!(!taken(&other, NOW.as_secs()) && !taken("tracker.peernet", NOW.as_secs()));
    let foreign = open(&self::folder());
    assert!(!is_taken(&foreign.bundle(), &issued.certificate, &own, NOW.as_secs()));
}

#[test]
fn a_certificate_of_a_device_names_it_beside_its_account() {
    let folder = folder();
    let authority = open(&folder);
    let device = DeviceId([9; 16]);
    let uri = peernet_protos::identity::device_uri(&device.to_string());
    let csr = csr(&PKCS_ECDSA_P256_SHA256);
    for (device, named) in [(Some(device), true), (None, false)] {
        let issued = authority.issue(NOW, PEER, device, &csr).expect("a certificate");
        let own = peernet_protos::identity::peer_name(&PEER.to_string());
        assert!(is_taken(&authority.bundle(), &issued.certificate, &own, NOW.as_secs()));
        let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM");
        // IA5String within the extension: its bytes as they are.
        assert_eq!(der.windows(uri.len()).any(|bytes| bytes == uri.as_bytes()), named);
    }
}

#[test]
fn only_signing_requests_of_p256_keys_are_accepted() {
    let good = csr(&PKCS_ECDSA_P256_SHA256);
    assert_eq!(check_csr(&good), Ok(()));
    let lines: Vec<&str> = good.lines().collect();
    let torn = lines[..lines.len() - 2].join("\n");
    let mut changed = good.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("still ASCII");
    let long = format!("{}{good}", "x".repeat(5_000));
    for (bad, error) in [
        (csr(&PKCS_ED25519), CsrError::WrongKey),
        (csr(&PKCS_ECDSA_P384_SHA384), CsrError::WrongKey),
        (torn, CsrError::Malformed),
        (changed, CsrError::Malformed),
        (String::new(), CsrError::Malformed),
        ("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n".to_owned(), CsrError::Malformed),
        (long, CsrError::TooLong),
    ] {
        assert_eq!(check_csr(&bad), Err(error), "{bad}");
    }
}

#[test]
fn two_trackers_on_one_folder_share_one_authority() {
    let folder = folder();
    let one = open(&folder);
    let other = open(&folder);
    assert_eq!((one.fingerprint(), one.bundle()), (other.fingerprint(), other.bundle()));
    let path = folder.path().join("authority.pem");
    assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("is ours");
    assert!(matches!(Authority::open(setup(&folder)), Err(AuthorityError::Exposed(_))));
}

#[test]
fn what_is_no_authority_is_refused_and_stays() {
    let folder = folder();
    let path = folder.path().join("authority.pem");
    std::fs::write(&path, "not a key").expect("writes");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("is ours");
    assert!(matches!(Authority::open(setup(&folder)), Err(AuthorityError::Unreadable(..))));
    assert_eq!(std::fs::read_to_string(&path).expect("is there"), "not a key");
}

/// A member that renews its certificate between the steps is never without an authority to trust.
#[test]
fn a_rotation_keeps_every_renewing_peer_trusted() {
    let folder = folder();
    let authority = open(&folder);
    let own = peernet_protos::identity::peer_name(&PEER.to_string());
    let renewed = || authority.issue(NOW, PEER, None, &csr(&PKCS_ECDSA_P256_SHA256)).expect("a certificate");
    let before = (authority.fingerprint(), renewed());
    let mut members = vec![before.1.clone()];
    for (stage, changes_signer) in [(Stage::Announced, false), (Stage::Signing, true), (Stage::Done, false)] {
        let signer = authority.fingerprint();
        assert_eq!(rotate(folder.path()).expect("a step"), stage);
        assert!(authority.refresh().expect("is read"), "{stage:?}");
        assert_eq!(authority.fingerprint() != signer, changes_signer, "{stage:?}");
        let now = renewed();
        // Members that renewed before this step and members that did after it accept each other's certificates.
        let last = members.last().expect("one at least");
        for (trusts, shows) in [(last, &now), (&now, last)] {
            assert!(is_taken(&trusts.authorities, &shows.certificate, &own, NOW.as_secs()), "{stage:?}");
        }
        members.push(now);
    }
    assert_ne!(authority.fingerprint(), before.0);
    let first = &members[0];
    assert!(!is_taken(&authority.bundle(), &first.certificate, &own, NOW.as_secs()), "the old one is forgotten");
    assert_eq!(rotate(folder.path()).expect("another"), Stage::Announced);
}

#[test]
fn unchanged_files_are_not_reloaded_and_broken_ones_are_ignored() {
    let folder = folder();
    let authority = open(&folder);
    let fingerprint = authority.fingerprint();
    let path = folder.path().join("authority.pem");
    assert!(!authority.refresh().expect("is read"));
    std::fs::write(&path, "broken").expect("writes");
    assert!(authority.refresh().is_err() && authority.refresh().is_err());
    assert_eq!(authority.fingerprint(), fingerprint);
}

#[test]
fn names_of_roles_are_nobody_else_s() {
    for (name, good) in [
        ("tracker.example", true),
        ("localhost", true),
        ("my_host-1", true),
        ("10.0.0.7", true),
        ("::1", true),
        ("", false),
        ("a..b", false),
        ("*.example", false),
        ("x y", false),
        ("tracker.peernet", false),
        ("abc.peer.PeerNet", false),
    ] {
        assert_eq!(is_name(name), good, "{name:?}");
    }
}
