//! Validation of wire types: the one place where the fields of a request are parsed and checked.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use data_encoding::BASE64;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::candidate::{Candidate, Candidates};
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkIndex, FileHash, ManifestId, PeerId};
use peernet_engine::lease::{AnnounceForm, lease_until};
use peernet_engine::manifest::Manifest;
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::{CHUNKS_MAX, FILE_NAME_BYTES_MAX, RANGES_PER_REQUEST_MAX};
use peernet_protos::rest::{
    AnnounceChunkRequest, FAILED_UPLOAD, FeedbackEntry, FeedbackRequest, GRPC, GRPC_TLS, Have, ManifestBody,
    SUCCESS_UPLOAD, SwarmAnnounceRequest,
};

use crate::api::ApiError;
use crate::domain::address::peer_address;
use crate::domain::swarm::{Location, V1Chunk};
use peernet_engine::plan::Held;

pub use crate::api::signature::{publication_key, signature};

/// The longest site label, in bytes.
const SITE_BYTES_MAX: usize = 64;

/// The verdict of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The word `SUCCESS_UPLOAD`.
    Success,
    /// The word `FAILED_UPLOAD`.
    Failure,
}

/// A report about some chunks, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The source that it is about.
    pub target: PeerId,
    /// The file.
    pub file_hash: FileHash,
    /// The chunks as they were listed; not empty.
    pub chunks: Vec<ChunkIndex>,
    /// The verdict.
    pub verdict: Verdict,
}

fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str, field: &str, code: &'static str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request(code, format!("{field}: {error}")))
}

/// Parses a file hash in a body.
pub fn file_hash(text: &str) -> Result<FileHash, ApiError> {
    parse(text, "file_hash", "invalid_file_hash")
}

/// Parses a manifest id in a body.
pub fn manifest_id(text: &str) -> Result<ManifestId, ApiError> {
    parse(text, "manifest_id", "invalid_manifest_id")
}

/// Checks one chunk of a version 1 announce. Its name may be a path, of which the last part counts.
pub fn v1_chunk(now: UnixMillis, peer: PeerId, body: &AnnounceChunkRequest) -> Result<V1Chunk, ApiError> {
    let file_hash = file_hash(&body.file_hash)?;
    let total_chunks =
        u32::try_from(body.total_chunks).ok().filter(|n| (1..=CHUNKS_MAX).contains(n)).ok_or_else(|| {
            ApiError::bad_request("invalid_total_chunks", format!("total_chunks must be from 1 to {CHUNKS_MAX}"))
        })?;
    let index = u32::try_from(body.chunk_index).ok().filter(|n| *n < total_chunks).ok_or_else(|| {
        ApiError::bad_request("invalid_chunk_index", "chunk_index must be from 0 to total_chunks - 1")
    })?;
    Ok(V1Chunk {
        peer,
        file_hash,
        total_chunks,
        index,
        chunk_hash: parse(&body.chunk_hash, "chunk_hash", "invalid_chunk_hash")?,
        file_name: file_name(body.file_name.rsplit(['/', '\\']).next().unwrap_or_default())?,
        expires_at: lease_until(now, AnnounceForm::PerChunk),
    })
}

/// Checks a suggested file name: at most 255 bytes, no separator, no control character, not `.` or `..`. It may be
/// empty.
pub fn file_name(text: &str) -> Result<String, ApiError> {
    let invalid = |why: &str| ApiError::bad_request("invalid_file_name", format!("file_name {why}"));
    if text.len() > FILE_NAME_BYTES_MAX {
        return Err(invalid("is longer than 255 bytes"));
    }
    if text.chars().any(|c| c.is_control() || c == '/' || c == '\\') || matches!(text, "." | "..") {
        return Err(invalid("must be a plain name without separators and control characters"));
    }
    Ok(text.to_owned())
}

/// Checks a manifest. The caller compares its id.
pub fn manifest(body: &ManifestBody) -> Result<(Manifest, String), ApiError> {
    let hashes = BASE64.decode(body.chunk_hashes.as_bytes()).map_err(|_| {
        ApiError::unprocessable("invalid_manifest", "chunk_hashes must be padded base64, 32 bytes a chunk")
    })?;
    let manifest = Manifest::from_parts(file_hash(&body.file_hash)?, ByteCount(body.size), body.chunk_size, &hashes)
        .map_err(|error| ApiError::unprocessable("invalid_manifest", error.to_string()))?;
    Ok((manifest, file_name(&body.file_name)?))
}

/// Reads the chunks that an announcer holds of a file of `chunks` chunks.
pub fn held(have: &Have, chunks: u32) -> Result<Held, ApiError> {
    let Have::Bitmap(text) = have else { return Ok(Held::Complete) };
    let invalid = || {
        ApiError::unprocessable("invalid_bitmap", "bitmap must be padded base64 of one bit a chunk, spare bits zero")
    };
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| invalid())?;
    Bitmap::from_bytes(&bytes, ChunkCount(chunks)).map(Held::of).ok_or_else(invalid)
}

/// The wire form of held chunks.
pub fn have(held: &Held) -> Have {
    match held {
        Held::Complete => Have::Complete,
        Held::Chunks(bitmap) => Have::Bitmap(BASE64.encode(bitmap.as_bytes())),
    }
}

/// The address where an announcer listens: its own statement, with the address that it is seen from in place of
/// `0.0.0.0` or `[::]`.
pub fn announced_address(text: &str, seen: Option<IpAddr>) -> Result<String, ApiError> {
    let address = peer_address(text)?;
    // Parsed and not compared as text, because `[0::0]` means the same as `[::]`.
    let port = match address.parse::<SocketAddr>() {
        Ok(literal) if literal.ip().to_canonical().is_unspecified() => literal.port(),
        _ => return Ok(address),
    };
    match seen.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => Ok(format!("{ip}:{port}")),
        Some(IpAddr::V6(ip)) => Ok(format!("[{ip}]:{port}")),
        None => Err(ApiError::bad_request("invalid_address", "address must name a host: this connection shows none")),
    }
}

/// The addresses of an announcer and their transport: 400 `invalid_transport` for an unknown word.
pub fn location(body: &SwarmAnnounceRequest, seen: Option<IpAddr>) -> Result<Location, ApiError> {
    let tls = match body.transport.as_deref() {
        None | Some(GRPC) => false,
        Some(GRPC_TLS) => true,
        Some(_) => {
            let message = format!("transport must be {GRPC_TLS} or {GRPC}");
            return Err(ApiError::bad_request("invalid_transport", message));
        }
    };
    let plaintext = body.plaintext_address.as_deref().map(|text| candidate(text, seen)).transpose()?;
    Ok(Location { candidates: Candidates::new([candidate(&body.address, seen)?]), tls, plaintext })
}

fn candidate(text: &str, seen: Option<IpAddr>) -> Result<Candidate, ApiError> {
    let address = announced_address(text, seen)?;
    Candidate::host(address).map_err(|error| ApiError::bad_request("invalid_address", error.to_string()))
}

/// Checks a site label: 1 to 64 bytes without control characters; an empty one is none.
pub fn site(text: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > SITE_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(ApiError::bad_request("invalid_site", "site must be at most 64 bytes without control characters"));
    }
    Ok(Some(text.to_owned()))
}

/// Checks a version 1 report.
pub fn report(body: &FeedbackRequest) -> Result<Report, ApiError> {
    let index = u32::try_from(body.chunk_index).ok().filter(|n| *n < CHUNKS_MAX).ok_or_else(|| {
        ApiError::bad_request("invalid_chunk_index", format!("chunk_index must be from 0 to {}", CHUNKS_MAX - 1))
    })?;
    Ok(Report {
        target: target(&body.target_peer_id)?,
        file_hash: file_hash(&body.file_hash)?,
        chunks: vec![ChunkIndex(index)],
        verdict: verdict(&body.event_type)?,
    })
}

/// Checks one entry of a batch of reports.
pub fn report_entry(entry: &FeedbackEntry) -> Result<Report, ApiError> {
    Ok(Report {
        target: target(&entry.target_peer_id)?,
        file_hash: file_hash(&entry.file_hash)?,
        chunks: runs(&entry.chunks)?,
        verdict: verdict(&entry.event_type)?,
    })
}

fn runs(runs: &[(u32, u32)]) -> Result<Vec<ChunkIndex>, ApiError> {
    let invalid = || {
        let what = format!(
            "chunks must be 1 to {RANGES_PER_REQUEST_MAX} runs [first, count], each chunk once, all below {CHUNKS_MAX}"
        );
        ApiError::unprocessable("invalid_chunks", what)
    };
    if runs.is_empty() || runs.len() > RANGES_PER_REQUEST_MAX {
        return Err(invalid());
    }
    let mut seen = Bitmap::empty(ChunkCount(CHUNKS_MAX));
    for (first, count) in runs {
        let end = first.checked_add(*count).filter(|end| *count > 0 && *end <= CHUNKS_MAX).ok_or_else(invalid)?;
        if !(*first..end).all(|index| seen.insert(ChunkIndex(index))) {
            return Err(invalid());
        }
    }
    Ok(seen.iter().collect())
}

fn target(text: &str) -> Result<PeerId, ApiError> {
    parse(text, "target_peer_id", "invalid_peer_id")
}

fn verdict(text: &str) -> Result<Verdict, ApiError> {
    match text {
        SUCCESS_UPLOAD => Ok(Verdict::Success),
        FAILED_UPLOAD => Ok(Verdict::Failure),
        _ => Err(ApiError::bad_request("invalid_event_type", "event_type must be SUCCESS_UPLOAD or FAILED_UPLOAD")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const PEER: PeerId = PeerId([1; 16]);

    fn hash() -> String {
        FileHash([7; 32]).to_string()
    }

    fn code<T>(result: Result<T, ApiError>) -> Option<&'static str> {
        result.err().map(|error| error.code)
    }

    fn chunk() -> AnnounceChunkRequest {
        AnnounceChunkRequest {
            file_hash: hash(),
            file_name: "f".to_owned(),
            total_chunks: 2,
            chunk_index: 1,
            chunk_hash: hash(),
        }
    }

    #[test]
    fn a_chunk_of_version_1_keeps_the_last_part_of_its_path() {
        for (name, kept) in [("f", "f"), ("/a/b", "b"), ("c:\\a\\b.bin", "b.bin"), ("", "")] {
            let checked = v1_chunk(NOW, PEER, &AnnounceChunkRequest { file_name: name.to_owned(), ..chunk() });
            let checked = checked.expect("is right");
            assert_eq!((checked.file_name.as_str(), checked.total_chunks, checked.index), (kept, 2, 1), "{name}");
        }
    }

    #[test]
    fn each_wrong_field_of_a_chunk_has_its_code() {
        let many = i64::from(CHUNKS_MAX) + 1;
        for (body, expected) in [
            (AnnounceChunkRequest { file_hash: "7".to_owned(), ..chunk() }, "invalid_file_hash"),
            (AnnounceChunkRequest { chunk_hash: "7".to_owned(), ..chunk() }, "invalid_chunk_hash"),
            (AnnounceChunkRequest { total_chunks: 0, ..chunk() }, "invalid_total_chunks"),
            (AnnounceChunkRequest { total_chunks: many, ..chunk() }, "invalid_total_chunks"),
            (AnnounceChunkRequest { chunk_index: 2, ..chunk() }, "invalid_chunk_index"),
            (AnnounceChunkRequest { chunk_index: -1, ..chunk() }, "invalid_chunk_index"),
            (AnnounceChunkRequest { file_name: "a/..".to_owned(), ..chunk() }, "invalid_file_name"),
        ] {
            assert_eq!(code(v1_chunk(NOW, PEER, &body)), Some(expected), "{body:?}");
        }
    }

    #[test]
    fn a_file_name_is_plain_and_bounded() {
        let longest = "x".repeat(FILE_NAME_BYTES_MAX);
        for good in ["", "a", "a b", "ä.bin", "...", longest.as_str()] {
            assert_eq!(file_name(good).ok().as_deref(), Some(good));
        }
        let too_long = format!("{longest}x");
        for bad in [".", "..", "a/b", "a\\b", "a\nb", "a\0", too_long.as_str()] {
            assert_eq!(code(file_name(bad)), Some("invalid_file_name"), "{bad:?}");
        }
    }

    #[test]
    fn held_chunks_are_read_as_they_are_written() {
        let mut some = Bitmap::empty(ChunkCount(9));
        some.insert(ChunkIndex(8));
        for held_chunks in [Held::Complete, Held::of(some)] {
            assert_eq!(held(&have(&held_chunks), 9).ok(), Some(held_chunks));
        }
        for bad in ["AA", "AAA", "AAAA", "AAE=", "!!!="] {
            assert_eq!(code(held(&Have::Bitmap(bad.to_owned()), 9)), Some("invalid_bitmap"), "{bad}");
        }
    }

    #[test]
    fn an_unspecified_address_becomes_the_one_that_is_seen() {
        let v4: IpAddr = "10.0.0.7".parse().expect("an address");
        let v6: IpAddr = "fd00::7".parse().expect("an address");
        let mapped: IpAddr = "::ffff:10.0.0.7".parse().expect("an address");
        for (stated, seen, expected) in [
            ("0.0.0.0:5", Some(v4), Some("10.0.0.7:5")),
            ("[::]:5", Some(v6), Some("[fd00::7]:5")),
            ("[0::0]:5", Some(mapped), Some("10.0.0.7:5")),
            ("0.0.0.0:5", None, None),
            ("Peer.example:5", Some(v4), Some("peer.example:5")),
            ("192.0.2.1:5", None, Some("192.0.2.1:5")),
            ("unix:/socket", Some(v4), None),
        ] {
            assert_eq!(announced_address(stated, seen).ok().as_deref(), expected, "{stated} from {seen:?}");
        }
    }

    #[test]
    fn a_location_has_the_transport_and_both_addresses() {
        let body = |transport: Option<&str>, plaintext: Option<&str>| SwarmAnnounceRequest {
            address: "a:1".to_owned(),
            transport: transport.map(str::to_owned),
            plaintext_address: plaintext.map(str::to_owned),
            ..SwarmAnnounceRequest::default()
        };
        let plain = location(&body(None, None), None).expect("is right");
        assert_eq!(plain, Location::plain("a:1"));
        assert_eq!(location(&body(Some(GRPC), None), None).ok(), Some(plain.clone()));
        let both = location(&body(Some(GRPC_TLS), Some("a:2")), None).expect("is right");
        assert!(both.tls && both.candidates == plain.candidates);
        assert_eq!(both.in_plaintext().map(|candidate| &**candidate.address()), Some("a:2"));
        assert_eq!(code(location(&body(Some("quic"), None), None)), Some("invalid_transport"));
        assert_eq!(code(location(&body(None, Some("a")), None)), Some("invalid_address"));
    }

    #[test]
    fn a_site_label_is_short_and_printable() {
        assert_eq!(site(None).ok(), Some(None));
        assert_eq!(site(Some("")).ok(), Some(None));
        assert_eq!(site(Some("lab 1")).ok(), Some(Some("lab 1".to_owned())));
        let too_long = "x".repeat(SITE_BYTES_MAX + 1);
        for bad in ["a\nb", too_long.as_str()] {
            assert_eq!(code(site(Some(bad))), Some("invalid_site"), "{bad:?}");
        }
    }

    #[test]
    fn runs_name_each_chunk_once_and_below_the_bound() {
        assert_eq!(runs(&[(1, 2), (7, 1)]).ok(), Some([1, 2, 7].map(ChunkIndex).to_vec()));
        let bad: [&[(u32, u32)]; 6] =
            [&[], &[(0, 0)], &[(0, 2), (1, 1)], &[(CHUNKS_MAX, 1)], &[(u32::MAX, 2)], &[(0, CHUNKS_MAX + 1)]];
        for bad in bad {
            assert_eq!(code(runs(bad)), Some("invalid_chunks"), "{bad:?}");
        }
        let too_many: Vec<(u32, u32)> = (0..=RANGES_PER_REQUEST_MAX as u32).map(|n| (2 * n, 1)).collect();
        assert_eq!(code(runs(&too_many)), Some("invalid_chunks"));
    }

    #[test]
    fn a_report_has_one_of_two_verdicts() {
        let body = |event: &str| FeedbackRequest {
            target_peer_id: PEER.to_string(),
            file_hash: hash(),
            chunk_index: 3,
            event_type: event.to_owned(),
        };
        for (event, expected) in [(SUCCESS_UPLOAD, Verdict::Success), (FAILED_UPLOAD, Verdict::Failure)] {
            let checked = report(&body(event)).expect("is right");
            assert_eq!((checked.target, checked.verdict), (PEER, expected));
            assert_eq!(checked.chunks, [ChunkIndex(3)]);
        }
        assert_eq!(code(report(&body("success"))), Some("invalid_event_type"));
    }

    #[test]
    fn a_chunk_is_taken_at_its_bounds_and_no_further() {
        let max = i64::from(CHUNKS_MAX);
        let text = format!("total_chunks must be from 1 to {CHUNKS_MAX}");
        for (total_chunks, chunk_index, refusal) in [
            (1, 0, None),
            (max, max - 1, None),
            (max + 1, 0, Some(text.as_str())),
            (0, 0, Some(text.as_str())),
            (-1, 0, Some(text.as_str())),
            (i64::MAX, 0, Some(text.as_str())),
            (1, 1, Some("chunk_index must be from 0 to total_chunks - 1")),
            (max, max, Some("chunk_index must be from 0 to total_chunks - 1")),
            (1, -1, Some("chunk_index must be from 0 to total_chunks - 1")),
            (1, i64::from(u32::MAX) + 1, Some("chunk_index must be from 0 to total_chunks - 1")),
        ] {
            let body = AnnounceChunkRequest { total_chunks, chunk_index, ..chunk() };
            let found = v1_chunk(NOW, PEER, &body).map(|chunk| (i64::from(chunk.total_chunks), i64::from(chunk.index)));
            let found = found.map_err(|error| error.message);
            assert_eq!(found, refusal.map_or(Ok((total_chunks, chunk_index)), |why| Err(why.to_owned())));
        }
    }

    #[test]
    fn a_report_s_index_is_below_the_most_chunks() {
        let body = |chunk_index| FeedbackRequest {
            target_peer_id: PEER.to_string(),
            file_hash: hash(),
            chunk_index,
            event_type: SUCCESS_UPLOAD.to_owned(),
        };
        let max = i64::from(CHUNKS_MAX);
        for index in [0, max - 1] {
            assert_eq!(report(&body(index)).map(|report| i64::from(report.chunks[0].0)), Ok(index));
        }
        for index in [-1, max, i64::MAX] {
            let error = report(&body(index)).expect_err("is out of range");
            let text = format!("chunk_index must be from 0 to {}", max - 1);
            assert_eq!((error.status, error.code, error.message), (400, "invalid_chunk_index", text), "{index}");
        }
    }

    #[test]
    fn each_wrong_field_of_an_entry_has_its_code() {
        let entry = || FeedbackEntry {
            target_peer_id: PEER.to_string(),
            file_hash: hash(),
            chunks: vec![(0, 1)],
            event_type: FAILED_UPLOAD.to_owned(),
        };
        assert_eq!(report_entry(&entry()).map(|report| report.verdict), Ok(Verdict::Failure));
        for (entry, expected) in [
            (FeedbackEntry { target_peer_id: "x".to_owned(), ..entry() }, "invalid_peer_id"),
            (FeedbackEntry { file_hash: String::new(), ..entry() }, "invalid_file_hash"),
            (FeedbackEntry { chunks: Vec::new(), ..entry() }, "invalid_chunks"),
            (FeedbackEntry { event_type: String::new(), ..entry() }, "invalid_event_type"),
        ] {
            assert_eq!(code(report_entry(&entry)), Some(expected), "{entry:?}");
        }
        assert_eq!(runs(&[(0, CHUNKS_MAX)]).map(|chunks| chunks.len()), Ok(CHUNKS_MAX as usize), "all chunks at once");
    }

    #[test]
    fn a_manifest_s_hashes_fit_its_size() {
        let body = |size, chunk_hashes: &str| ManifestBody {
            file_hash: hash(),
            file_name: "f".to_owned(),
            size,
            chunk_size: 1 << 20,
            chunk_hashes: chunk_hashes.to_owned(),
        };
        let hashes = |count: usize| BASE64.encode(&vec![7; 32 * count]);
        for (size, count) in [(0, 0), (1, 1), (1 << 20, 1), ((1 << 20) + 1, 2)] {
            let (read, name) = manifest(&body(size, &hashes(count))).expect("fits");
            assert_eq!((read.chunk_hashes().len(), name.as_str()), (count, "f"), "{size}");
        }
        for (size, text) in
            [(1, hashes(0)), (1, hashes(2)), (1 << 20, hashes(2)), (1, "!".to_owned()), (1, "AA".to_owned())]
        {
            let error = manifest(&body(size, &text)).expect_err("does not fit");
            assert_eq!((error.status, error.code), (422, "invalid_manifest"), "{size} {text}");
        }
    }

    #[test]
    fn a_site_label_is_taken_up_to_its_bound() {
        let longest = "x".repeat(SITE_BYTES_MAX);
        assert_eq!(site(Some(&longest)), Ok(Some(longest)));
        let two_bytes_each = "é".repeat(SITE_BYTES_MAX / 2 + 1);
        let text = "site must be at most 64 bytes without control characters".to_owned();
        assert_eq!(site(Some(&two_bytes_each)).map_err(|error| error.message), Err(text), "bytes count");
    }
}
