//! Share links, and the texts by which a user may name a file.
//!
//! A link is `peernet:?xt=urn:sha256:<file_hash>&xm=<manifest_id>&dn=<name>&xl=<size>&tr=<tracker>&ca=<authority>`. The
//! form follows magnet links. Unknown keys are ignored, so links of later versions work here.

use std::fmt;
use std::str::FromStr;

use crate::ids::{ByteCount, FileHash, ManifestId};

/// The longest link, in bytes.
pub const LINK_LEN_MAX: usize = 8 << 10;
/// The most trackers in a link.
pub const TRACKERS_MAX: usize = 8;

/// The reason that a text does not name a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkError {
    /// Longer than [`LINK_LEN_MAX`].
    TooLong,
    /// Neither a hash nor a link.
    NotALink,
    /// Hexadecimal, but not 64 digits.
    HashLen(usize),
    /// `xt` is missing.
    NoHash,
    /// `xt` is not `urn:sha256:` and 64 hexadecimal digits.
    Hash,
    /// `xm` is not 64 hexadecimal digits.
    Manifest,
    /// `xl` is not a number of bytes.
    Size,
    /// A `tr` is not an http or https address.
    Tracker,
    /// More than [`TRACKERS_MAX`].
    TooManyTrackers,
    /// `ca` is not 64 hexadecimal digits.
    Authority,
    /// A `kind` this version does not know.
    Kind,
    /// A `%` is not followed by two hexadecimal digits, or the bytes are not UTF-8.
    Encoding,
    /// A key that may occur once occurs twice.
    Twice(&'static str),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the link is longer than {LINK_LEN_MAX} bytes"),
            Self::NotALink => f.write_str("neither a file hash (64 hexadecimal digits) nor a link (peernet:?xt=...)"),
            Self::HashLen(len) => write!(f, "expected a file hash of 64 hexadecimal digits, found {len} digits"),
            Self::NoHash => f.write_str("the link names no file: xt=urn:sha256:<hash> is missing; was it quoted?"),
            Self::Hash => f.write_str("xt in the link is not urn:sha256: and 64 hexadecimal digits"),
            Self::Manifest => f.write_str("xm in the link is not 64 hexadecimal digits"),
            Self::Size => f.write_str("xl in the link is not a number of bytes"),
            Self::Tracker => f.write_str("tr in the link is not an http or https address"),
            Self::TooManyTrackers => write!(f, "the link names more than {TRACKERS_MAX} trackers"),
            Self::Authority => f.write_str("ca in the link is not 64 hexadecimal digits"),
            Self::Kind => f.write_str("kind in the link is not known to this version"),
            Self::Encoding => f.write_str("the link is not percent-encoded UTF-8"),
            Self::Twice(key) => write!(f, "the link has {key} twice"),
        }
    }
}

impl std::error::Error for LinkError {}

/// The kind of target that a link names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    #[default]
    File,
    /// The listing of a directory.
    Collection,
}

/// A share link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The file.
    pub file_hash: FileHash,
    /// The file's manifest. With it, a downloader can verify the first byte.
    pub manifest: Option<ManifestId>,
    /// A suggested file name, not sanitised: see [`crate::names`].
    pub name: Option<String>,
    /// The size as a hint; the manifest decides.
    pub size: Option<ByteCount>,
    /// http or https addresses; at most [`TRACKERS_MAX`].
    pub trackers: Vec<String>,
    /// SHA-256 of the certificate of the trackers' authority. A new member of the swarm trusts the authority by it.
    pub authority: Option<[u8; 32]>,
    /// Whether the link names a file or a collection's listing.
    pub kind: Kind,
}

impl Link {
    /// Returns a link to a file that carries its hash only.
    pub fn new(file_hash: FileHash) -> Self {
        Self {
            file_hash,
            manifest: None,
            name: None,
            size: None,
            trackers: Vec::new(),
            authority: None,
            kind: Kind::File,
        }
    }
}

/// A file as a user names it: by a bare hash or a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A bare file hash.
    Hash(FileHash),
    /// A share link, `peernet:?…`.
    Link(Link),
}

impl Target {
    /// Parses a hash or link. White space around it and the case of hexadecimal digits do not matter.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        if strip_scheme(text).is_some() {
            return text.parse().map(Self::Link);
        }
        if let Some(hash) = hash_in_any_case(text) {
            return Ok(Self::Hash(hash));
        }
        let is_hex = text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        Err(if is_hex { LinkError::HashLen(text.len()) } else { LinkError::NotALink })
    }

    /// Returns the hash of the file.
    pub fn file_hash(&self) -> FileHash {
        match self {
            Self::Hash(hash) => *hash,
            Self::Link(link) => link.file_hash,
        }
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        if text.len() > LINK_LEN_MAX {
            return Err(LinkError::TooLong);
        }
        let query = strip_scheme(text).ok_or(LinkError::NotALink)?;
        let mut fields = Fields::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            fields.take(key, value)?;
        }
        fields.finish()
    }
}

/// The values of the keys that were read so far.
#[derive(Default)]
struct Fields {
    xt: Option<String>,
    xm: Option<String>,
    dn: Option<String>,
    xl: Option<String>,
    ca: Option<String>,
    kind: Option<String>,
    trackers: Vec<String>,
}

impl Fields {
    fn take(&mut self, key: &str, value: &str) -> Result<(), LinkError> {
        let (slot, name) = match key {
            "xt" => (&mut self.xt, "xt"),
            "xm" => (&mut self.xm, "xm"),
            "dn" => (&mut self.dn, "dn"),
            "xl" => (&mut self.xl, "xl"),
            "ca" => (&mut self.ca, "ca"),
            "kind" => (&mut self.kind, "kind"),
            "tr" => return self.take_tracker(value),
            _ => return Ok(()),
        };
        match slot.replace(percent_decode(value)?) {
            None => Ok(()),
            Some(_) => Err(LinkError::Twice(name)),
        }
    }

    fn take_tracker(&mut self, value: &str) -> Result<(), LinkError> {
        let tracker = percent_decode(value)?;
        if !is_http(&tracker) {
            return Err(LinkError::Tracker);
        }
        if self.trackers.len() == TRACKERS_MAX {
            return Err(LinkError::TooManyTrackers);
        }
        self.trackers.push(tracker);
        Ok(())
    }

    fn finish(self) -> Result<Link, LinkError> {
        let xt = self.xt.ok_or(LinkError::NoHash)?;
        let hash = xt.strip_prefix("urn:sha256:").and_then(hash_in_any_case).ok_or(LinkError::Hash)?;
        let manifest = match self.xm {
            Some(text) => Some(ManifestId(hash_in_any_case(&text).ok_or(LinkError::Manifest)?.0)),
            None => None,
        };
        let size = match self.xl {
            Some(text) => Some(parse_size(&text).ok_or(LinkError::Size)?),
            None => None,
        };
        let authority = match self.ca {
            Some(text) => Some(hash_in_any_case(&text).ok_or(LinkError::Authority)?.0),
            None => None,
        };
        let kind = match self.kind.as_deref() {
            None | Some("file") => Kind::File,
            Some("collection") => Kind::Collection,
            Some(_) => return Err(LinkError::Kind),
        };
        let name = self.dn.filter(|name| !name.is_empty());
        Ok(Link { file_hash: hash, manifest, name, size, trackers: self.trackers, authority, kind })
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peernet:?xt=urn:sha256:{}", self.file_hash)?;
        if let Some(manifest) = &self.manifest {
            write!(f, "&xm={manifest}")?;
        }
        if let Some(name) = &self.name {
            write!(f, "&dn={}", Encoded(name))?;
        }
        if let Some(size) = &self.size {
            write!(f, "&xl={}", size.0)?;
        }
        for tracker in &self.trackers {
            write!(f, "&tr={}", Encoded(tracker))?;
        }
        if let Some(authority) = self.authority {
            // `FileHash` prints any 32 bytes in hexadecimal.
            write!(f, "&ca={}", FileHash(authority))?;
        }
        match self.kind {
            Kind::File => Ok(()),
            Kind::Collection => f.write_str("&kind=collection"),
        }
    }
}

fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, query) = text.split_at_checked("peernet:?".len())?;
    scheme.eq_ignore_ascii_case("peernet:?").then_some(query)
}

fn hash_in_any_case(text: &str) -> Option<FileHash> {
    text.to_ascii_lowercase().parse().ok()
}

fn parse_size(text: &str) -> Option<ByteCount> {
    // `parse` alone would accept a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(ByteCount)
}

fn is_http(address: &str) -> bool {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| !c.is_control() && !c.is_whitespace()))
}

fn percent_decode(text: &str) -> Result<String, LinkError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let ([high, low], tail) = rest.split_first_chunk::<2>().ok_or(LinkError::Encoding)?;
        let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or(LinkError::Encoding);
        // Two hexadecimal digits make a byte.
        bytes.push((digit(high)? * 16 + digit(low)?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| LinkError::Encoding)
}

/// Prints a text percent-encoded for a query. RFC 3986's unreserved characters stay, and so do `:` and `/`, because
/// addresses are easier to read with them.
struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash() -> String {
        "0123456789abcdef".repeat(4)
    }

    fn full() -> Link {
        Link {
            file_hash: hash().parse().unwrap(),
            manifest: Some(ManifestId([0xab; 32])),
            name: Some("Größe & Maß 100%.txt".to_owned()),
            size: Some(ByteCount(12_345)),
            trackers: vec!["http://127.0.0.1:8080".to_owned(), "https://t.example/a?b=c".to_owned()],
            authority: Some([0xcd; 32]),
            kind: Kind::Collection,
        }
    }

    #[test]
    fn a_link_prints_its_keys_in_this_order() {
        let expected = format!(
            "peernet:?xt=urn:sha256:{}&xm={}&dn=Gr%C3%B6%C3%9Fe%20%26%20Ma%C3%9F%20100%25.txt&xl=12345\
             &tr=http://127.0.0.1:8080&tr=https://t.example/a%3Fb%3Dc&ca={}&kind=collection",
            hash(),
            "ab".repeat(32),
            "cd".repeat(32)
        );
        assert_eq!(full().to_string(), expected);
        assert_eq!(expected.parse(), Ok(full()));
    }

    #[test]
    fn a_target_is_a_hash_or_a_link() {
        let link = Link::new(hash().parse().unwrap());
        for text in [hash(), hash().to_uppercase(), format!("  {}\n", hash())] {
            assert_eq!(Target::parse(&text), Ok(Target::Hash(link.file_hash)), "{text}");
        }
        for text in [
            format!("peernet:?xt=urn:sha256:{}", hash()),
            format!(" PeerNet:?future=1&xt=urn%3Asha256%3A{}&&dn=&alone", hash().to_uppercase()),
        ] {
            assert_eq!(Target::parse(&text), Ok(Target::Link(link.clone())), "{text}");
        }
    }

    #[test]
    fn each_fault_in_a_link_has_its_own_error() {
        let with = |rest: &str| format!("peernet:?xt=urn:sha256:{}{rest}", hash());
        for (text, error) in [
            (String::new(), LinkError::NotALink),
            ("file.txt".to_owned(), LinkError::NotALink),
            ("magnet:?xt=urn:btih:00".to_owned(), LinkError::NotALink),
            (hash()[1..].to_owned(), LinkError::HashLen(63)),
            ("peernet:?".to_owned(), LinkError::NoHash),
            ("peernet:?dn=x".to_owned(), LinkError::NoHash),
            ("peernet:?xt=urn:sha256:12".to_owned(), LinkError::Hash),
            (format!("peernet:?xt={}", hash()), LinkError::Hash),
            (with("&xm=12"), LinkError::Manifest),
            (with("&xl="), LinkError::Size),
            (with("&xl=-1"), LinkError::Size),
            (with("&xl=+1"), LinkError::Size),
            (with("&xl=18446744073709551616"), LinkError::Size),
            (with("&tr=ftp://x"), LinkError::Tracker),
            (with("&tr=http://"), LinkError::Tracker),
            (with("&tr=http://a%0d%0ab"), LinkError::Tracker),
            (with(&"&tr=http://a".repeat(9)), LinkError::TooManyTrackers),
            (with("&ca=12"), LinkError::Authority),
            (with("&kind=swarm"), LinkError::Kind),
            (with("&dn=%"), LinkError::Encoding),
            (with("&dn=%4"), LinkError::Encoding),
            (with("&dn=%+1"), LinkError::Encoding),
            (with("&dn=%ff"), LinkError::Encoding),
            (with("&dn=a&dn=b"), LinkError::Twice("dn")),
            (with(&format!("&dn={}", "a".repeat(LINK_LEN_MAX))), LinkError::TooLong),
        ] {
            assert_eq!(Target::parse(&text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_name_survives_a_link(name in "\\PC{1,60}|.{1,60}", size: u64) {
            let link = Link { name: Some(name), size: Some(ByteCount(size)), ..full() };
            let text = link.to_string();
            prop_assert!(text.is_ascii());
            prop_assert_eq!(text.parse(), Ok(link));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "(peernet:\\?)?(xt=urn:sha256:)?[0-9a-f%&=+é]{0,100}|.{0,100}") {
            if let Ok(Target::Link(link)) = Target::parse(&text) {
                prop_assert_eq!(link.to_string().parse(), Ok(link));
            }
        }
    }
}
