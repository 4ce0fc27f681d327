//! Certificates as the tracker sends them, PEM (RFC 7468), and the fingerprints by which people tell authorities apart.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest, Sha256};

use super::IdentityError;

/// The most certificates in one text. A swarm has up to three authorities, during a rotation.
const CERTIFICATES_MAX: usize = 16;
/// The longest text, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Characters in a line of PEM, RFC 7468.
const LINE_CHARS: usize = 64;

/// One or more certificates, in order. Everything else in the text has been dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle(Vec<CertificateDer<'static>>);

impl Bundle {
    /// Reads PEM with at least one certificate. Only the encoding is checked.
    pub fn parse(pem: &str) -> Result<Self, IdentityError> {
        if pem.len() > TEXT_BYTES_MAX {
            return Err(IdentityError::Malformed("the certificates are too long"));
        }
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let found = found.map_err(|_| IdentityError::Malformed("the certificates are not in PEM form"))?;
        match found.len() {
            0 => Err(IdentityError::Malformed("there is no certificate")),
            1..=CERTIFICATES_MAX => Ok(Self(found)),
            _ => Err(IdentityError::Malformed("there are too many certificates")),
        }
    }

    /// Returns all certificates as text.
    pub fn pem(&self) -> String {
        self.0.iter().map(pem).collect()
    }

    /// Returns the fingerprint of the first certificate, which is that of the authority that signs.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.first().map(Fingerprint::of).expect("there is one at least")
    }

    /// Returns the fingerprint of each certificate.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.0.iter().map(Fingerprint::of).collect()
    }

    /// Returns only the certificate with this fingerprint, if there is one.
    pub fn only(&self, fingerprint: Fingerprint) -> Option<Self> {
        let it = self.0.iter().find(|certificate| Fingerprint::of(certificate) == fingerprint);
        it.map(|certificate| Self(vec![certificate.clone()]))
    }

    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}

fn pem(certificate: &CertificateDer<'static>) -> String {
    let text = BASE64.encode(certificate);
    let lines = text.as_bytes().chunks(LINE_CHARS).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}

/// The SHA-256 of a certificate (DER).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Makes a fingerprint from its bytes, as links carry them.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate.as_ref()).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads hex of either case, with or without `sha256:` in front and colons between, as other programs print it.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let text = text.trim();
        let hex = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("SHA256:")).unwrap_or(text);
        let digits: String = hex.chars().filter(|c| *c != ':').collect();
        let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| FingerprintError)?;
        bytes.try_into().map(Self).map_err(|_| FingerprintError)
    }
}

/// The error for a text that is not a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FingerprintError;

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fingerprint is the SHA-256 of a certificate: 64 hexadecimal digits")
    }
}

impl std::error::Error for FingerprintError {}

#[cfg(test)]
mod tests {
    use super::super::testing::Authority;
    use super::*;

    #[test]
    fn certificates_are_read_written_and_told_apart() {
        let one = Authority::new();
        let other = Authority::new();
        let both = Bundle::parse(&format!("a remark\n{}{}", one.pem(), other.pem())).unwrap();
        assert_eq!(Bundle::parse(&both.pem()).unwrap(), both);
        let [first, second] = both.fingerprints()[..] else { panic!("two") };
        assert!(first == both.fingerprint() && first != second);
        assert_eq!(both.only(second).unwrap().fingerprint(), second);
        assert_eq!(both.only(Fingerprint([0; 32])), None);
    }

    #[test]
    fn text_without_certificates_is_refused() {
        let one = Authority::new().pem();
        let broken = one.replacen("MII", "M\0I", 1);
        for bad in ["", "none", "-----BEGIN CERTIFICATE-----", broken.as_str(), &one.repeat(CERTIFICATES_MAX + 1)] {
            assert!(Bundle::parse(bad).is_err(), "{bad:.60}");
        }
        assert!(Bundle::parse(&" ".repeat(TEXT_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_fingerprint_is_read_as_programs_print_it() {
        let hex = "0f".repeat(32);
        let colons = vec!["0F"; 32].join(":");
        for text in [hex.clone(), format!("sha256:{hex}"), hex.to_uppercase(), colons] {
            assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), hex, "{text}");
        }
        for bad in ["", "sha256:", "0f", "md5:0f", &"0g".repeat(32), &"0f".repeat(33)] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_cut_off_anywhere_gives_its_whole_certificates_only() {
        let one = Authority::new().pem();
        let both = Bundle::parse(&format!("{one}{}", Authority::new().pem())).unwrap();
        let text = both.pem();
        let first = Bundle::parse(&one).unwrap();
        let first_end = first.pem().trim_end().len();
        let whole = text.trim_end().len();
        for cut in 0..text.len() {
            match Bundle::parse(&text[..cut]) {
                Ok(found) if cut >= whole => assert_eq!(found, both, "{cut}"),
                Ok(found) => assert!(found == first && cut >= first_end, "{cut}"),
                Err(error) => assert!(matches!(error, IdentityError::Malformed(_)) && cut < whole, "{cut}"),
            }
        }
    }

    #[test]
    fn what_is_wrong_with_certificates_is_said() {
        let one = Authority::new().pem();
        let at_bound = format!("{one}{}", " ".repeat(TEXT_BYTES_MAX - one.len()));
        for (text, expected) in [
            (String::new(), "there is no certificate"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned(), "there is no certificate"),
            (one.replacen("MII", "M-I", 1), "the certificates are not in PEM form"),
            (one.repeat(CERTIFICATES_MAX + 1), "there are too many certificates"),
            (format!("{at_bound} "), "the certificates are too long"),
        ] {
            assert_eq!(Bundle::parse(&text).unwrap_err().to_string(), expected, "{text:.40}");
        }
        assert_eq!(Bundle::parse(&at_bound).map(|it| it.0.len()), Ok(1));
        assert_eq!(Bundle::parse(&one.repeat(CERTIFICATES_MAX)).map(|it| it.0.len()), Ok(CERTIFICATES_MAX));
    }

    #[test]
    fn every_flipped_byte_gives_another_fingerprint() {
        let authority = Bundle::parse(&Authority::new().pem()).unwrap();
        let der = authority.certificates()[0].to_vec();
        for place in 0..der.len() {
            let mut bent = der.clone();
            bent[place] ^= 1;
            assert_ne!(Fingerprint::of(&CertificateDer::from(bent)), authority.fingerprint(), "{place}");
        }
    }

    #[test]
    fn a_fingerprint_has_exactly_its_digits() {
        let hex = Fingerprint::new([0x0f; 32]).to_string();
        assert_eq!((hex.len(), hex.parse()), (64, Ok(Fingerprint::new([0x0f; 32]))));
        for cut in 0..hex.len() {
            assert_eq!(hex[..cut].parse::<Fingerprint>(), Err(FingerprintError), "{cut}");
            let mut bent = hex.clone();
            bent.replace_range(cut..=cut, "\u{e9}");
            assert_eq!(bent.parse::<Fingerprint>(), Err(FingerprintError), "{cut}");
        }
        for text in [format!(" {hex}\n"), format!("SHA256:{hex}"), format!(":{hex}:")] {
            assert_eq!(text.parse::<Fingerprint>().map(|it| it.to_string()), Ok(hex.clone()), "{text:?}");
        }
        assert_eq!(
            FingerprintError.to_string(),
            "a fingerprint is the SHA-256 of a certificate: 64 hexadecimal digits"
        );
    }
}
