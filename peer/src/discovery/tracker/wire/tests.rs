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

#[test]
fn an_account_is_read_and_a_wrong_id_is_named() {
    let reply = |peer_id: &str| MeReply {
        peer_id: peer_id.to_owned(),
        address: Some("h:1".to_owned()),
        reputation_score: 0.65,
        established: true,
        token_balance: 1,
        token_balance_mt: -7,
        escrow_mt: 5,
        files_shared: 3,
        created_at: 9,
    };
    let expected = Me {
        peer_id: PEER.parse().unwrap(),
        address: Some("h:1".to_owned()),
        reputation_score: 0.65,
        established: true,
        balance_mt: -7,
        escrow_mt: 5,
        files_shared: 3,
        created_at: 9,
    };
    assert_eq!(me(reply(PEER)), Ok(expected));
    let what = "peer_id: not a peer id: expected a UUID such as 123e4567-e89b-42d3-a456-426614174000";
    assert_eq!(me(reply("alice")), Err(TrackerError::Malformed(what.to_owned())));
}

#[test]
fn no_more_of_a_plan_is_read_than_a_download_uses() {
    let many = |count: usize| vec![source(PEER, "grpc", Have::Complete); count];
    for (count, expected) in [(0, 0), (SOURCES_PER_PLAN, SOURCES_PER_PLAN), (SOURCES_PER_PLAN + 1, SOURCES_PER_PLAN)] {
        let plan = plan(FileHash([1; 32]), reply(many(count))).unwrap();
        assert_eq!(plan.manifests[0].sources.len(), expected);
    }
    let whole = reply(Vec::new());
    for (count, expected) in [(MANIFESTS_MAX, MANIFESTS_MAX), (MANIFESTS_MAX + 1, MANIFESTS_MAX)] {
        let manifests = vec![whole.manifests[0].clone(); count];
        let plan = plan(FileHash([1; 32]), PlanReply { manifests, ..whole.clone() }).unwrap();
        assert_eq!(plan.manifests.len(), expected);
    }
}

#[test]
fn every_visibility_but_public_needs_a_grant() {
    for (access, restricted) in
        [("", false), ("public", false), ("private", true), ("shared", true), ("withdrawn", true), ("later", true)]
    {
        let reply = PlanReply { access: access.to_owned(), v1_listed: true, ..reply(Vec::new()) };
        let plan = plan(FileHash([1; 32]), reply).unwrap();
        assert_eq!((plan.restricted, plan.v1_listed, plan.file_name.as_str()), (restricted, true, "f"), "{access}");
    }
}

#[test]
fn announced_chunks_are_read_back_the_same() {
    for seed in 0..50 {
        let mut rng = peernet_engine::random::Rng::new(seed);
        let count = ChunkCount(1 + rng.below(70) as u32);
        let mut held = Bitmap::empty(count);
        for chunk in 0..count.0 {
            if rng.below(2) == 0 {
                held.insert(ChunkIndex(chunk));
            }
        }
        let has = Has::Chunks(held);
        let at = ReachedAt { address: "h:1".to_owned(), transport: Transport::Tls, plaintext_address: None };
        let file = AnnouncedFile { file_hash: FileHash([1; 32]), manifest_id: ManifestId([2; 32]), has: has.clone() };
        let request = announce(&at, Some("lab"), &[file]);
        assert_eq!((request.address.as_str(), request.site.as_deref()), ("h:1", Some("lab")));
        let [file] = request.files.as_slice() else { panic!("one file") };
        assert_eq!((&file.file_hash, &file.manifest_id), (&hex(1), &hex(2)));
        let read = planned_source(source(PEER, "grpc-tls", file.have.clone()), count);
        assert_eq!(read.map(|source| source.has), Some(has), "seed {seed}");
    }
}

#[test]
fn a_reply_to_an_announce_is_read_whole_or_refused() {
    let reply = |unknown: &str, withdrawn: &str, restricted: &str| SwarmAnnounceReply {
        status: "ok".to_owned(),
        lease_seconds: 90,
        renew_in_seconds: 30,
        unknown_manifests: vec![unknown.to_owned()],
        withdrawn: vec![withdrawn.to_owned()],
        restricted: vec![restricted.to_owned()],
    };
    let expected = Announced {
        withdrawn: vec![FileHash([2; 32])],
        restricted: vec![FileHash([3; 32])],
        lease: Duration::from_secs(90),
        renew_in: Duration::from_secs(30),
        unknown: vec![ManifestId([1; 32])],
    };
    assert_eq!(announced(&reply(&hex(1), &hex(2), &hex(3))).unwrap(), expected);
    let hash = "not a SHA-256: expected 64 lower-case hexadecimal digits";
    for (reply, what) in [
        (reply("x", &hex(2), &hex(3)), "unknown_manifests"),
        (reply(&hex(1), "", &hex(3)), "withdrawn"),
        (reply(&hex(1), &hex(2), &hex(0xab).to_uppercase()), "restricted"),
    ] {
        assert_eq!(announced(&reply).unwrap_err(), TrackerError::Malformed(format!("{what}: {hash}")));
    }
}

#[test]
fn a_page_of_hits_is_read_whole_or_refused() {
    let file = |file_hash: &str, manifest_id: Option<&str>| SearchFile {
        file_hash: file_hash.to_owned(),
        file_name: "a.bin".to_owned(),
        size: Some(7),
        manifest_id: manifest_id.map(str::to_owned),
        sources: 2,
        created_at: 9,
    };
    let page = |files: Vec<SearchFile>| hits(SearchReply { files, next: Some("n".to_owned()) });
    let hit = |manifest_id| Hit {
        file_hash: FileHash([1; 32]),
        file_name: "a.bin".to_owned(),
        size: Some(7),
        manifest_id,
        sources: 2,
        created_at: 9,
    };
    let expected = Hits { files: vec![hit(Some(ManifestId([2; 32]))), hit(None)], next: Some("n".to_owned()) };
    assert_eq!(page(vec![file(&hex(1), Some(&hex(2))), file(&hex(1), None)]), Ok(expected));
    for (bad, what) in [(file("x", None), "file_hash"), (file(&hex(1), Some("")), "manifest_id")] {
        let text = page(vec![file(&hex(1), None), bad]).unwrap_err().to_string();
        assert!(text.contains(&format!("({what}: not a SHA-256")), "{text}");
    }
}

#[test]
fn a_version_1_listing_is_bounded_in_peers_and_addresses() {
    let peer = |number: u16, address: &str| LookupV1Peer {
        id: format!("123e4567-e89b-42d3-a456-42661417{number:04x}"),
        address: address.to_owned(),
        reputation_score: 0.5,
    };
    let listing = |peers: Vec<LookupV1Peer>| {
        let chunk = LookupV1Chunk { chunk_hash: hex(4), peers };
        v1_listing(LookupV1Reply { chunks: [(0, chunk)].into() }).unwrap().unwrap().sources.len()
    };
    let many = |count: usize| (0..count).map(|number| peer(number as u16, "h:1")).collect::<Vec<_>>();
    assert_eq!(listing(many(V1_SOURCES_MAX)), V1_SOURCES_MAX);
    assert_eq!(listing(many(V1_SOURCES_MAX + 1)), V1_SOURCES_MAX);
    let address = |bytes: usize| format!("{}:1", "h".repeat(bytes - 2));
    assert_eq!(listing(vec![peer(1, &address(ADDRESS_BYTES_MAX)), peer(2, &address(ADDRESS_BYTES_MAX + 1))]), 1);
    let broken = LookupV1Chunk { chunk_hash: "x".to_owned(), peers: Vec::new() };
    let error = v1_listing(LookupV1Reply { chunks: [(0, broken)].into() }).unwrap_err().to_string();
    assert!(error.contains("(chunk_hash: not a SHA-256"), "{error}");
}
