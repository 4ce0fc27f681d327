//! Bodies for what reaches a peer: requests and replies of other peers, grants, addresses in listings, version 1's
//! configuration.

use std::sync::OnceLock;
use std::time::Duration;

use peernet::Fingerprint;
use peernet::Publisher;
use peernet::internals::Bundle;
use peernet::internals::TrackerKeys;
use peernet::internals::fuzz::{hear_requests, parse_chunk_response, parse_fetch_reply};
use peernet::internals::parse_version1;
use peernet_engine::access::KnownVisibility;
use peernet_engine::candidate::HostPort;
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::grpc::{ChunkRange, ChunkResponse, FetchReply, FetchRequest};
use peernet_protos::limits::{BLOCK_BYTES_MAX, CHUNKS_MAX};
use peernet_tracker::domain::address::peer_address;
use peernet_tracker::domain::keys::{Keys, Lifetimes, NewGrant};
use protobuf::Message;

use crate::{Body, take, texts};

/// The bodies of this file.
pub(crate) const BODIES: &[Body] = &[
    Body { name: "chunk_response", run: chunk_response, examples: chunk_examples },
    Body { name: "fetch_reply", run: fetch_reply, examples: fetch_examples },
    Body { name: "certificates", run: certificates, examples: certificate_examples },
    Body { name: "fetch_request", run: fetch_request, examples: request_examples },
    Body { name: "grant", run: grant, examples: grant_examples },
    Body { name: "host_port", run: host_port, examples: address_examples },
    Body { name: "version1_config", run: version1_config, examples: version1_examples },
];

/// Reads a reply to `DownloadChunk`: our reader and protobuf's agree.
pub fn chunk_response(data: &[u8]) {
    let Ok(theirs) = ChunkResponse::parse_from_bytes(data) else { return };
    if let Ok(ours) = parse_chunk_response(data) {
        assert_eq!(ours, theirs.chunk_data);
    }
    let canonical = canonical(&theirs);
    assert_eq!(parse_chunk_response(&canonical).expect("a canonical message"), theirs.chunk_data);
}

/// As protobuf prints it, without fields it does not know.
fn canonical<M: Message + Clone>(message: &M) -> Vec<u8> {
    let mut known = message.clone();
    known.mut_special_fields().mut_unknown_fields().clear();
    known.write_to_bytes().expect("to memory")
}

fn chunk_examples() -> Vec<Vec<u8>> {
    vec![b"\x0a\x03abc".to_vec(), b"\x0a\x01a\x0a\x03abc".to_vec(), b"\x10\x07\x0a\x03abc\x15abcd\x19abcdefgh".to_vec()]
}

/// One message of a `Fetch` call: our reader and protobuf's agree.
pub fn fetch_reply(data: &[u8]) {
    let Ok(theirs) = FetchReply::parse_from_bytes(data) else { return };
    if let Ok((ours, payload)) = parse_fetch_reply(data) {
        agrees(&theirs, &format!("{ours:?}"), &payload);
    }
    match parse_fetch_reply(&canonical(&theirs)) {
        Ok((ours, payload)) => agrees(&theirs, &format!("{ours:?}"), &payload),
        Err(error) => assert!(!is_within_bounds(&theirs), "a canonical message: {error}"),
    }
}

/// Returns whether no field is longer than any file's would be.
fn is_within_bounds(reply: &FetchReply) -> bool {
    let bitmap_bytes_max = CHUNKS_MAX as usize / 8;
    let are_bitmaps = [&reply.bitmap, &reply.given].into_iter().all(|bitmap| bitmap.len() <= bitmap_bytes_max);
    are_bitmaps && reply.data.len() <= BLOCK_BYTES_MAX as usize
}

fn agrees(theirs: &FetchReply, ours: &str, payload: &[u8]) {
    let (chunk, reason) = (theirs.chunk_index, theirs.reason.enum_value_or_default());
    let expected = match theirs.kind.value() {
        0 => format!("Block {{ chunk: {chunk}, offset: {}, last: {}, ", theirs.offset, theirs.last),
        1 => {
            let (have, given) = ((!theirs.complete).then_some(&theirs.bitmap), Some(&theirs.given));
            let given = given.filter(|given| !given.is_empty());
            format!("Available {{ have: {have:?}, given: {given:?} }}")
        }
        2 => format!("Refused {{ chunk: {chunk}, reason: {reason:?} }}"),
        _ => "Unknown".to_owned(),
    };
    assert!(ours.starts_with(&expected), "{ours} where {expected} was expected");
    assert!(if theirs.kind.value() == 0 { payload == theirs.data } else { payload.is_empty() });
}

fn fetch_examples() -> Vec<Vec<u8>> {
    vec![
        b"\x10\x07\x18\x80\x02\x20\x01\x7a\x03abc".to_vec(),
        b"\x7a\x03abc\x10\x07".to_vec(),
        b"\x08\x01\x30\x01".to_vec(),
        b"\x08\x01\x3a\x02\xff\xc0".to_vec(),
        b"\x08\x01\x30\x01\x42\x02\xf0\x40".to_vec(),
        b"\x08\x02\x10\x03\x28\x02".to_vec(),
        // A bitmap of one byte more than the largest file's.
        [&b"\x3a\x81\x10"[..], &[0xff; 2_049]].concat(),
    ]
}

/// The messages of a caller's `Fetch` call, one after the other, each with its length before it.
pub fn fetch_request(data: &[u8]) {
    let (mut requests, mut rest) = (Vec::new(), data);
    while let ([len], tail) = take::<1>(rest)
        && !rest.is_empty()
        && requests.len() < 64
    {
        let (message, tail) = tail.split_at(tail.len().min(len.into()));
        requests.extend(FetchRequest::parse_from_bytes(message).ok());
        rest = tail;
    }
    hear_requests(&requests);
}

fn request_examples() -> Vec<Vec<u8>> {
    let ranges = |list: &[(u32, u32)]| -> Vec<ChunkRange> {
        list.iter().map(|(first, count)| ChunkRange { first: *first, count: *count, ..Default::default() }).collect()
    };
    let call = |requests: &[FetchRequest]| -> Vec<u8> {
        let message = |request: &FetchRequest| request.write_to_bytes().expect("to memory");
        requests.iter().map(message).flat_map(|message| [vec![message.len() as u8], message].concat()).collect()
    };
    let first = FetchRequest { file_hash: vec![7; 32], manifest_id: vec![8; 32], ..Default::default() };
    let wanted = FetchRequest { wanted: ranges(&[(0, 16_384), (3, 2)]), ..Default::default() };
    let more = FetchRequest { again: ranges(&[(5, 1), (6, 1)]), complaints: vec![1, 2], ..Default::default() };
    let dropped = FetchRequest { dropped: ranges(&[(1, 3), (100, 9)]), ..Default::default() };
    let grant = FetchRequest { grant: "a.b.c".to_owned(), ..Default::default() };
    vec![call(&[first, more.clone(), dropped.clone()]), call(&[wanted, dropped]), call(&[grant, more])]
}

/// A grant, a key set or a publisher: only the text that the tracker signed is a grant that counts.
pub fn grant(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (keys, good) = keys_and_grant();
    let caller = PeerId([7; 16]);
    let file = FileHash([8; 32]);
    let verified = keys.verify(text);
    let checked = verified.and_then(|grant| grant.check(1_800_000_000, caller, file, KnownVisibility::Restricted));
    assert_eq!(checked.is_ok(), text == good, "{text}");
    if let Ok(read) = TrackerKeys::parse(text) {
        assert!(!read.is_empty() && read.verify(good).is_err());
    }
    if let Ok(publisher) = text.parse::<Publisher>() {
        assert_eq!(publisher.to_string().parse(), Ok(publisher));
    }
}

fn keys_and_grant() -> &'static (TrackerKeys, String) {
    static KEPT: OnceLock<(TrackerKeys, String)> = OnceLock::new();
    KEPT.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let hour = Duration::from_secs(3_600);
        let lifetimes = Lifetimes { account: hour, device: hour, grant: hour };
        let keys = Keys::open(folder.path(), lifetimes).expect("a new key");
        let (peer, file) = (PeerId([7; 16]), FileHash([8; 32]));
        let wish = NewGrant { peer, file, more: vec![FileHash([1; 32])], public: false, id: [3; 16] };
        let grant = keys.issue_grant(UnixMillis(1_800_000_000_000), &wish).text;
        (TrackerKeys::parse(&keys.key_set().to_string()).expect("as the tracker prints it"), grant)
    })
}

fn grant_examples() -> Vec<Vec<u8>> {
    let key = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg","kid":"k"}]}"#;
    let (account, publisher) = ("123e4567-e89b-42d3-a456-426614174000", format!("ed25519:{}", "0f".repeat(32)));
    texts(&[&keys_and_grant().1, key, account, &publisher])
}

/// Reads certificates as a tracker sends them: accepted ones are written again as the same.
pub fn certificates(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(read) = Bundle::parse(text) {
        let written = read.pem();
        // gRPC takes it as a C string.
        assert!(!written.contains('\0'));
        assert_eq!(Bundle::parse(&written).expect("as we write it"), read);
    }
    if let Ok(fingerprint) = text.parse::<Fingerprint>() {
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    }
}

fn certificate_examples() -> Vec<Vec<u8>> {
    vec![
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".to_vec(),
        b"a remark\n-----BEGIN CERTIFICATE-----\nAAEC\nAwQF\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n"
            .to_vec(),
        format!("sha256:{}", "0f".repeat(32)).into_bytes(),
    ]
}

/// An address out of a listing: one spelling, and whatever the tracker lets in can be read here.
pub fn host_port(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = text.parse::<HostPort>();
    assert!(parsed.is_ok() || peer_address(text).is_err(), "{text} passes the tracker and not the peer");
    let Ok(address) = parsed else { return };
    let printed = address.to_string();
    assert_eq!(printed.parse::<HostPort>().expect("what was printed"), address);
    assert!(!printed.contains(['/', '@', '%', ' ', ',']), "{printed}");
}

fn address_examples() -> Vec<Vec<u8>> {
    texts(&[
        "127.0.0.1:50051",
        "[::1]:9",
        "[2001:DB8::1]:65535",
        "My_peer-1.example.org:080",
        "dns:///peer:1",
        "unix:x:1",
    ])
}

/// Version 1's `config.yaml`: values are one line of text, and the same when they are written in double quotes.
pub fn version1_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(config) = parse_version1(text) else { return };
    let line = |key: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!("{key}: \"{value}\"\n")).unwrap_or_default()
    };
    let printed = line("tracker_url", &config.tracker_url) + &line("auth_token", &config.auth_token);
    // A bare value may have quotes and backslashes, which a quoted one may not.
    if !text.contains(['"', '\'', '\\']) {
        assert!(parse_version1(&printed) == Some(config.clone()), "{printed}");
    }
    let _whoever = config.peer_id();
}

fn version1_examples() -> Vec<Vec<u8>> {
    texts(&[
        "auth_token: abc.eyJzdWIiOiIxMjNlNDU2Ny1lODliLTQyZDMtYTQ1Ni00MjY2MTQxNzQwMDAifQ.ghi\ntracker_url: http://t:8080\n",
        "---\n# made by peer\ntracker_url: \"http://t\"\nauth_token: 'a'\nother: 1\n",
        "tracker_url: http://t # home\n",
    ])
}
