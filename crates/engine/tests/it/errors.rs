//! The texts of errors. People read them, so each names what failed, with the value; none ends with a full stop.

use std::fmt::Display;
use std::time::Duration;

use expect_test::{Expect, expect};
use peernet_engine::access::{GrantError, UnknownVisibility};
use peernet_engine::assembly::{V1Geometry, v1_list_id};
use peernet_engine::candidate::AddressError;
use peernet_engine::cause::Cause;
use peernet_engine::collection::CollectionError;
use peernet_engine::download::Why;
use peernet_engine::glob::GlobError;
use peernet_engine::ids::{ByteCount, ChunkCount, FileHash, IdError};
use peernet_engine::journal::JournalError;
use peernet_engine::link::LinkError;
use peernet_engine::manifest::{Geometry, ManifestError};
use peernet_engine::serving::RequestError;
use peernet_engine::serving::wanted::{ChunkRange, WantedError};

/// Compares the texts of a family of errors, one in a line, and checks their form.
fn check(errors: &[&dyn Display], expected: Expect) {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    for text in &texts {
        assert!(!text.is_empty() && !text.ends_with('.'), "{text:?} ends with a full stop");
        assert!(!text.contains('\n'), "{text:?} is one line");
    }
    expected.assert_eq(&texts.join("\n"));
}

#[test]
fn ids_and_addresses() {
    check(
        &[&IdError::Hash, &IdError::PeerId, &IdError::DeviceId, &AddressError, &UnknownVisibility],
        expect![[r#"
        not a SHA-256: expected 64 lower-case hexadecimal digits
        not a peer id: expected a UUID such as 123e4567-e89b-42d3-a456-426614174000
        not a device id: expected a UUID such as 123e4567-e89b-42d3-a456-426614174000
        not an address: expected host:port
        expected public, shared, private or withdrawn"#]],
    );
}

#[test]
fn manifests() {
    check(
        &[
            &ManifestError::ChunkSize(3),
            &ManifestError::TooLarge(1 << 50),
            &ManifestError::ChunkCount { expected: 2, got: 1 },
            &V1Geometry::new(ChunkCount(0)).unwrap_err(),
            &V1Geometry::new(ChunkCount(20_000)).unwrap_err(),
        ],
        expect![[r#"
            chunk size 3 is not a power of two from 1 MiB to 16 MiB
            1125899906842624 bytes do not fit 16384 chunks; the limit of a file is 256 GiB
            expected 2 chunk hashes, found 1
            a version 1 file cannot have 0 chunks; expected 1 to 16384
            a version 1 file cannot have 20000 chunks; expected 1 to 16384"#]],
    );
}

#[test]
fn links() {
    check(
        &[
            &LinkError::TooLong,
            &LinkError::NotALink,
            &LinkError::HashLen(63),
            &LinkError::NoHash,
            &LinkError::Hash,
            &LinkError::Manifest,
            &LinkError::Size,
            &LinkError::Tracker,
            &LinkError::TooManyTrackers,
            &LinkError::Authority,
            &LinkError::Kind,
            &LinkError::Encoding,
            &LinkError::Twice("dn"),
        ],
        expect![[r#"
            the link is longer than 8192 bytes
            neither a file hash (64 hexadecimal digits) nor a link (peernet:?xt=...)
            expected a file hash of 64 hexadecimal digits, found 63 digits
            the link names no file: xt=urn:sha256:<hash> is missing; was it quoted?
            xt in the link is not urn:sha256: and 64 hexadecimal digits
            xm in the link is not 64 hexadecimal digits
            xl in the link is not a number of bytes
            tr in the link is not an http or https address
            the link names more than 8 trackers
            ca in the link is not 64 hexadecimal digits
            kind in the link is not known to this version
            the link is not percent-encoded UTF-8
            the link has dn twice"#]],
    );
}

#[test]
fn collections_patterns_and_journals() {
    check(
        &[
            &CollectionError::NotAListing,
            &CollectionError::Version,
            &CollectionError::Trailing,
            &CollectionError::Kind(9),
            &CollectionError::TooLong(70 << 20),
            &CollectionError::TooManyEntries(300_000),
            &CollectionError::Order("a/b".to_owned()),
            &CollectionError::NotAFolder("a".to_owned()),
            &CollectionError::Sum { pack: 3, files: Some(4) },
            &CollectionError::Sum { pack: 3, files: None },
            &GlobError::Empty,
            &GlobError::TooLong,
            &GlobError::TooMany,
            &JournalError::NotAJournal,
            &JournalError::Version,
            &JournalError::OtherFile,
        ],
        expect![[r#"
            not the listing of a collection, or truncated
            the listing was written by a newer version of PeerNet
            the listing has bytes after its last entry
            the listing has an entry of unknown kind 9
            the listing is 73400320 bytes; the limit is 67108864
            the directory has 300000 files and empty folders; the limit is 262144
            "a/b" is listed twice or out of order
            "a" is not a folder, but other entries lie below it
            the pack is 3 bytes, but its files are 4
            the sum of the file sizes does not fit 64 bits
            an empty pattern matches nothing; ** matches everything
            the pattern is longer than 1024 bytes
            more than 256 patterns
            not a resume journal, or its beginning is damaged
            the resume journal was written by a newer version of PeerNet
            the resume journal belongs to another file"#]],
    );
}

#[test]
fn grants_and_requests() {
    check(
        &[
            &GrantError::Malformed,
            &GrantError::UnknownKey,
            &GrantError::Forged,
            &GrantError::Expired,
            &GrantError::OtherAccount,
            &GrantError::OtherFile,
            &GrantError::BeforeRestriction,
            &RequestError::FileHash,
            &RequestError::ManifestId,
            &RequestError::GrantTooLong { max: 4_096 },
            &RequestError::Ranges(WantedError::LongList),
            &WantedError::ManyChunks,
            &WantedError::NoSuchChunks(ChunkRange { first: 7, count: 0 }),
            &WantedError::RangesExhausted,
            &WantedError::ChunksExhausted,
        ],
        expect![[r#"
            the presented text is not a grant
            the grant is signed with a key that is not known here yet; try again
            the grant is not signed by a tracker of this swarm
            the grant has expired
            the grant is for another account
            the grant is for another file
            the grant was issued while the file was public; it no longer is
            file_hash: expected 32 bytes in the first message
            manifest_id: expected 32 bytes or none
            grant: more than 4096 bytes
            at most 1024 ranges fit one message
            one message names more chunks than any file has
            no file has 0 chunks from 7 on
            too many ranges are requested at once
            too many chunks are requested at once"#]],
    );
}

#[test]
fn downloads_that_were_given_up() {
    let waited = Duration::from_secs(60);
    check(
        &[
            &Why::NoSources { waited },
            &Why::Incomplete { missing: 3, waited },
            &Why::NoProgress { waited },
            &Why::BadHashes { sources: 2 },
            &Why::LocalDisk,
            &Cause::Refused,
            &Cause::NotAllowed,
            &Cause::TimedOut,
            &Cause::BadHash,
            &Cause::Transport,
            &Cause::LocalDisk,
        ],
        expect![[r#"
            no source could be reached for 60 s
            3 chunks are held by no reachable source, for 60 s
            no source sent anything for 60 s
            all 2 sources sent data that does not match the manifest
            the local disk failed or is full
            refused
            not allowed
            timed out
            hash mismatch
            connection failed
            local disk failed"#]],
    );
}

#[test]
fn only_faults_of_the_remote_peer_are_reported() {
    for (cause, expected) in [
        (Cause::Refused, true),
        (Cause::TimedOut, true),
        (Cause::BadHash, true),
        (Cause::Transport, true),
        (Cause::NotAllowed, false),
        (Cause::LocalDisk, false),
    ] {
        assert_eq!(cause.is_the_remotes_fault(), expected, "{cause:?}");
    }
}

#[test]
fn constructors_report_the_value_that_is_wrong() {
    assert_eq!(Geometry::new(ByteCount(1), 7).unwrap_err(), ManifestError::ChunkSize(7));
    let huge = ByteCount(u64::MAX);
    assert_eq!(Geometry::for_size(huge).unwrap_err(), ManifestError::TooLarge(u64::MAX));
    assert_ne!(v1_list_id(&FileHash([1; 32]), &[]), v1_list_id(&FileHash([2; 32]), &[]));
}
