//! Requests for certificates.

use std::sync::LazyLock;
use std::time::Duration;

use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;
use peernet_tracker::domain::authority::{Authority, Setup, check_csr};

/// A P-256 key's request.
const EXAMPLE: &str = "-----BEGIN CERTIFICATE REQUEST-----\n\
    MIHJMHECAQAwDzENMAsGA1UEAwwEcGVlcjBZMBMGByqGSM49AgEGCCqGSM49AwEH\n\
    A0IABJEp6ybOANatpE7xhMThVNOhrTWWToKVucjdrS4yyHmEmImFGydcoyeF3SGM\n\
    K9/zh7I2/nSgVZoVqKNO5JgoKnqgADAKBggqhkjOPQQDAgNIADBFAiEAgFt1RlxX\n\
    EMOQhL0is1jOZSHUdZ2qvd19lq9buXp8nmoCIBtG91UBvNA8EDy9amivL6e4qD3L\n\
    Y6kT2vQyuxe6R7he\n\
    -----END CERTIFICATE REQUEST-----\n";

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let (lifetime, names) = (Duration::from_secs(3_600), Vec::new());
    Authority::open(Setup { folder: folder.path().to_owned(), lifetime, names, given: None }).expect("an authority")
});

/// Reads a signing request. The authority signs an accepted request and never a refused one.
pub fn csr(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (now, peer) = (UnixMillis(1_800_000_000_000), PeerId([7; 16]));
    assert_eq!(check_csr(text).err(), AUTHORITY.issue(now, peer, None, text).err());
}

pub(super) fn examples() -> Vec<Vec<u8>> {
    crate::texts(&[EXAMPLE])
}
