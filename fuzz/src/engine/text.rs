//! Ids, links and file names, which arrive as text.

use std::ffi::OsStr;
use std::path::Path;

use peernet_engine::ids::{ChunkHash, FileHash, ManifestId, PeerId};
use peernet_engine::link::{LINK_LEN_MAX, Link, TRACKERS_MAX, Target};
use peernet_engine::names::{NAME_LEN_MAX, is_safe, sanitise, sanitise_within};

use crate::{take, texts};

/// A hash or a peer id: the text that is taken is the text that is printed.
pub fn ids(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let same = |printed: String| assert_eq!(printed, text);
    let _ = text.parse::<FileHash>().map(|id| same(id.to_string()));
    let _ = text.parse::<ManifestId>().map(|id| same(id.to_string()));
    let _ = text.parse::<ChunkHash>().map(|id| same(id.to_string()));
    let _ = text.parse::<PeerId>().map(|id| same(id.to_string()));
}

pub(super) fn id_examples() -> Vec<Vec<u8>> {
    texts(&[&"0123456789abcdef".repeat(4), "123e4567-e89b-42d3-a456-426614174000"])
}

/// A share link, or what else a user may name a file by: it prints to a link of the same meaning.
pub fn link(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(target) = Target::parse(text) else { return };
    let printed = match &target {
        Target::Hash(hash) => hash.to_string(),
        Target::Link(link) => link.to_string(),
    };
    assert!(printed.is_ascii() && !printed.contains(|c: char| c.is_ascii_control() || c == ' '), "{printed:?}");
    // Percent-encoding makes a link longer.
    if printed.len() <= LINK_LEN_MAX {
        assert_eq!(Target::parse(&printed), Ok(target.clone()));
    }
    if let Target::Link(Link { trackers, .. }) = target {
        assert!(trackers.len() <= TRACKERS_MAX);
        assert!(trackers.iter().all(|tracker| tracker.starts_with("http://") || tracker.starts_with("https://")));
    }
}

pub(super) fn link_examples() -> Vec<Vec<u8>> {
    let hash = "0123456789abcdef".repeat(4);
    let full = format!(
        "peernet:?xt=urn:sha256:{hash}&xm={hash}&dn=na%20me%C3%A9&xl=123&tr=http://t:1/&tr=https://u%3Fx&kind=collection&y=z"
    );
    texts(&[&hash, &hash.to_uppercase(), &format!("peernet:?xt=urn:sha256:{hash}"), &full])
}

/// A length (one byte) and a name: one safe component comes out, and comes out of itself again.
pub fn names(data: &[u8]) {
    let ([len_max], name) = take::<1>(data);
    let name = String::from_utf8_lossy(name);
    let safe = sanitise(&name, "default");
    is_one_component(&safe, NAME_LEN_MAX);
    assert!(is_safe(&safe), "{safe:?} would be changed again");
    let short = sanitise_within(&name, "default", usize::from(len_max));
    is_one_component(&short, usize::from(len_max).max(32));
    assert_eq!(sanitise_within(&short, "default", usize::from(len_max)), short);
}

fn is_one_component(name: &str, len_max: usize) {
    assert!(!name.is_empty() && name.len() <= len_max, "{name:?}");
    assert!(!name.contains(|c: char| matches!(c, '/' | '\\') || c.is_control()), "{name:?}");
    let path = Path::new("folder").join(name);
    assert_eq!((path.parent(), path.file_name()), (Some(Path::new("folder")), Some(OsStr::new(name))));
}

pub(super) fn name_examples() -> Vec<Vec<u8>> {
    let long_before_the_dot = format!("\u{7f}{}.tar.gz", "é".repeat(200));
    let device_and_spaces = format!("\u{7f}con{}x", " ".repeat(300));
    let dots = format!("\u{7f}{}{}", ".".repeat(300), "x".repeat(20));
    texts(&[
        "\u{20}model.bin",
        "\u{40}../../etc/passwd",
        "\u{40}C:\\x\\y.txt",
        "\u{7f}NUL.txt",
        "\u{7f} . . ",
        "\u{7f}photo\u{202e}gpj.exe",
        &long_before_the_dot,
        &device_and_spaces,
        &dots,
    ])
}
