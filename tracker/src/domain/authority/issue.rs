//! Making certificates (RFC 5280): the authority's own, peers', and the tracker's. All keys are P-256, which gRPC's TLS
//! supports.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64;
use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::identity::{CSR_BYTES_MAX, TRACKER_NAME, device_uri, peer_name};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _,
    SanType,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use super::AuthorityError;

/// The lifetime of an authority; it is rotated long before its end.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);
/// The time before now at which a certificate starts to be valid, for machines whose clocks are behind.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// PEM's line length, RFC 7468.
const PEM_LINE: usize = 64;

/// A peer's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate: String,
    /// The end of its validity, in seconds since 1970-01-01 UTC.
    pub expires_at: u64,
    /// The authorities to trust, PEM.
    pub authorities: String,
}

/// The reason why a certificate signing request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CsrError {
    /// The request is longer than any that a peer makes.
    TooLong,
    /// The request is not PKCS #10 in PEM form, or its own key did not sign it.
    Malformed,
    /// The key is not of the curve P-256.
    WrongKey,
}

impl fmt::Display for CsrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "csr is longer than 4 KiB",
            Self::Malformed => "csr is not a PKCS #10 request in PEM form that its own key signed",
            Self::WrongKey => "csr must be of an ECDSA key of the curve P-256",
        })
    }
}

/// Makes a new authority: its certificate and key as one PEM text.
pub(super) fn authority() -> Result<String, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("PeerNet swarm authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    set_life(&mut params, SystemTime::now(), AUTHORITY_LIFETIME);
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", pem(certificate.der()), key.serialize_pem()))
}

/// Checks a request without issuing a certificate.
pub fn check_csr(csr: &str) -> Result<(), CsrError> {
    parse(csr).map(|_| ())
}

fn parse(csr: &str) -> Result<rcgen::PublicKey, CsrError> {
    if csr.len() > CSR_BYTES_MAX {
        return Err(CsrError::TooLong);
    }
    // The parser checks the signature too, which proves that the sender has the key.
    let request = CertificateSigningRequestParams::from_pem(csr).map_err(|_| CsrError::Malformed)?;
    let is_p256 = request.public_key.algorithm() == &PKCS_ECDSA_P256_SHA256 && is_point(&request.public_key);
    if is_p256 { Ok(request.public_key) } else { Err(CsrError::WrongKey) }
}

/// Checks for a point of P-256 in uncompressed form (SEC 1, 2.3.3), which the name of the algorithm alone does not say.
fn is_point(key: &rcgen::PublicKey) -> bool {
    matches!(key.der_bytes(), [4, rest @ ..] if rest.len() == 64)
}

/// The account and device in whose name a certificate is issued.
pub(super) struct Subject {
    pub(super) peer: PeerId,
    pub(super) device: Option<DeviceId>,
}

/// Issues a certificate for a peer's key.
pub(super) fn peer(
    issuer: &Issuer<'static, KeyPair>,
    now: UnixMillis,
    lifetime: Duration,
    subject: Subject,
    csr: &str,
) -> Result<Issued, CsrError> {
    let key = parse(csr)?;
    let id = subject.peer.to_string();
    let mut names = vec![SanType::DnsName(peer_name(&id).try_into().map_err(|_| CsrError::Malformed)?)];
    if let Some(device) = subject.device {
        names.push(SanType::URI(device_uri(&device.to_string()).try_into().map_err(|_| CsrError::Malformed)?));
    }
    let mut params = leaf(&id, names);
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    set_life(&mut params, UNIX_EPOCH + Duration::from_secs(now.as_secs()), lifetime);
    let certificate = params.signed_by(&key, issuer).map_err(|_| CsrError::Malformed)?;
    let expires_at = now.plus(lifetime).as_secs();
    Ok(Issued { certificate: pem(certificate.der()), expires_at, authorities: String::new() })
}

/// Makes the tracker's own certificate, valid under `names` as well, and its key.
pub(super) fn tracker(
    issuer: &Issuer<'static, KeyPair>,
    names: &[String],
    lifetime: Duration,
) -> Result<(CertificateDer<'static>, KeyPair), AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let names = std::iter::once(TRACKER_NAME).chain(names.iter().map(String::as_str));
    let names = names.map(alternative_name).collect::<Result<_, _>>()?;
    let mut params = leaf("PeerNet tracker", names);
    set_life(&mut params, SystemTime::now(), lifetime);
    Ok((params.signed_by(&key, issuer)?.der().clone(), key))
}

fn alternative_name(name: &str) -> Result<SanType, AuthorityError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let name = name.try_into().map_err(|_| AuthorityError::Failed(format!("{name:?} is no host name")))?;
    Ok(SanType::DnsName(name))
}

/// Returns whether a certificate can carry the name: an address, or a host name that is not one of the swarm's roles.
pub fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(inner)
    };
    let is_host = name.len() <= 253 && name.split('.').all(is_label);
    name.parse::<IpAddr>().is_ok() || is_host && !name.to_ascii_lowercase().ends_with(".peernet")
}

fn leaf(name: &str, names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.subject_alt_names = names;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn set_life(params: &mut CertificateParams, begins: SystemTime, lifetime: Duration) {
    params.not_before = OffsetDateTime::from(begins - CLOCK_SKEW);
    params.not_after = OffsetDateTime::from(begins + lifetime);
}

/// Encodes a certificate as PEM (RFC 7468).
pub(super) fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = BASE64.encode(certificate);
    let lines = text.as_bytes().chunks(PEM_LINE).map(|line| format!("{}\n", String::from_utf8_lossy(line)));
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}
