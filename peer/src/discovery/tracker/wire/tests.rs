//! Answers of a tracker that is wrong, old, new or hostile.

use peernet_protos::rest::{LookupV1Chunk, LookupV1Peer};

use super::*;

const PEER: &str = "123e4567-e89b-42d3-a456-426614174000";
const OTHER: &str = "223e4567-e89b-42d3-a456-426614174000";

fn hex(byte: u8) -> String {
    FileHash([byte; 32]).to_string()
}

fn source(peer: &str, transport: &str, have: Have) -> PlanSource {
    PlanSource {
        peer_id: peer.to_owned(),
        addresses: vec!["h:1".to_owned(), "unix:/run/x".to_owned(), "x".repeat(ADDRESS_BYTES_MAX + 1)],
        transport: transport.to_owned(),
        reputation_score: 0.5,
        have,
    }
}

fn reply(sources: Vec<PlanSource>) -> PlanReply {
    let manifest = |chunk_size| PlanManifest {
        manifest_id: hex(2),
        size: 3 << 20,
        chunk_size,
        sources: sources.clone(),
        kept: Vec::new(),
    };
    PlanReply {
        file_hash: hex(1),
        file_name: "f".to_owned(),
        manifests: vec![manifest(1 << 20), manifest(3)],
        ask_again_seconds: 5,
        ..PlanReply::default()
    }
}

#[test]
fn a_bad_source_or_manifest_is_left_out_and_the_rest_is_used() {
    let sources = vec![
        source(PEER, "grpc", Have::Bitmap(BASE64.encode(&[0b1010_0000]))),
        source(OTHER, "grpc-v1", Have::Complete),
        source(PEER, "grpc-tls", Have::Complete),
        source(PEER, "carrier-pigeon", Have::Complete),
        source("no id", "grpc", Have::Complete),
        source(PEER, "grpc", Have::Bitmap("!".to_owned())),
        source(PEER, "grpc", Have::Bitmap(BASE64.encode(&[0xff]))),
    ];
    let plan = plan(FileHash([1; 32]), reply(sources)).unwrap();
    assert_eq!(plan.manifests.len(), 1);
    let kept = &plan.manifests[0].sources;
    use Transport::{Plaintext, Tls};
    let found: Vec<_> = kept.iter().map(|s| (s.transport, s.protocol, s.candidates.len())).collect();
    use Protocol::{FetchStream, Version1};
    assert_eq!(found, [(Plaintext, FetchStream, 1), (Plaintext, Version1, 1), (Tls, FetchStream, 1)]);
    assert!(matches!(&kept[0].has, Has::Chunks(bitmap) if bitmap.len() == 2));
}

#[test]
fn a_plan_about_another_file_is_refused() {
    assert!(plan(FileHash([9; 32]), reply(Vec::new())).is_err());
}

#[test]
fn a_manifest_round_trips_and_must_have_the_requested_id() {
    let geometry = Geometry::new(ByteCount((1 << 20) + 1), 1 << 20).unwrap();
    let original = Manifest::new(FileHash([1; 32]), geometry, vec![ChunkHash([2; 32]), ChunkHash([3; 32])]).unwrap();
    let body = manifest_body(&original, "name");
    assert_eq!(manifest(original.id(), body.clone()).unwrap(), (original.clone(), "name".to_owned()));
    assert!(manifest(ManifestId([0; 32]), body.clone()).is_err());
    for bad in [
        ManifestBody { chunk_hashes: "x".to_owned(), ..body.clone() },
        ManifestBody { size: 1 << 40, ..body.clone() },
        ManifestBody { chunk_size: 0, ..body.clone() },
        ManifestBody { file_hash: hex(0xab).to_uppercase(), ..body },
    ] {
        assert!(manifest(original.id(), bad).is_err());
    }
}

fn v1(chunks: &[(u32, &[&str])]) -> LookupV1Reply {
    let peers = |ids: &[&str]| {
        let peer = |id: &&str| LookupV1Peer { id: (*id).to_owned(), address: "h:1".to_owned(), reputation_score: 0.5 };
        ids.iter().map(peer).collect()
    };
    let chunk = |ids| LookupV1Chunk { chunk_hash: hex(4), peers: peers(ids) };
    LookupV1Reply { chunks: chunks.iter().map(|(index, ids)| (*index, chunk(ids))).collect() }
}

#[test]
fn holders_per_chunk_become_chunks_per_holder() {
    let listing = v1_listing(v1(&[(0, &[OTHER, PEER]), (1, &[PEER, "junk"])])).unwrap().unwrap();
    assert_eq!(listing.chunk_hashes.len(), 2);
    let ids: Vec<_> = listing.sources.iter().map(|s| s.peer.to_string()).collect();
    assert_eq!(ids, [OTHER, PEER]);
    assert!(matches!(&listing.sources[0].has, Has::Chunks(bitmap) if bitmap.len() == 1));
    assert_eq!(listing.sources[1].has, Has::Complete);
}

#[test]
fn version_1_listings_may_be_empty_but_not_have_gaps() {
    assert_eq!(v1_listing(v1(&[])).unwrap(), None);
    assert!(v1_listing(v1(&[(0, &[PEER]), (2, &[PEER])])).is_err());
    assert!(v1_listing(v1(&[(1, &[PEER])])).is_err());
}

#[test]
fn renewing_is_neither_frantic_nor_forgotten() {
    let reply = |renew_in_seconds| SwarmAnnounceReply {
        status: String::new(),
        lease_seconds: 60,
        renew_in_seconds,
        unknown_manifests: Vec::new(),
        withdrawn: Vec::new(),
        restricted: Vec::new(),
    };
    for (seconds, expected) in [(0, RENEW_MIN), (60, Duration::from_secs(60)), (u64::MAX, RENEW_MAX)] {
        assert_eq!(announced(&reply(seconds)).unwrap().renew_in, expected);
    }
}

#[test]
fn an_announce_says_how_each_address_is_spoken_to() {
    let at = |transport, plaintext: Option<&str>| ReachedAt {
        address: "h:1".to_owned(),
        transport,
        plaintext_address: plaintext.map(str::to_owned),
    };
    for (at, transport, plaintext) in [
        (at(Transport::Tls, None), "grpc-tls", None),
        (at(Transport::Tls, Some("h:2")), "grpc-tls", Some("h:2")),
        (at(Transport::Plaintext, None), "grpc", None),
    ] {
        let request = announce(&at, None, &[]);
        assert_eq!((request.transport.as_deref(), request.plaintext_address.as_deref()), (Some(transport), plaintext));
    }
}
