//! Writes version 1's lookup answer by hand: with maps and strings, a file of 16,384 chunks would need as many of each.

use data_encoding::HEXLOWER;
use peernet_engine::ids::{ByteCount, ChunkHash, ChunkIndex, FileHash, PeerId};
use peernet_engine::manifest::Geometry;
use peernet_engine::plan::{Request, covers};
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::SOURCES_PER_PLAN;
use peernet_protos::rest::LookupV1Peer;
use peernet_threads::Blocking;

use super::offered::{OfferedV1, choose_v1};
use crate::api::ApiError;
use crate::api::handlers::FileCalls;
use crate::domain::swarm::lookup::{Group, Hashes};
use crate::domain::swarm::sources::{Offer, V1_CHUNK_SIZE};

/// The most peers that an answer names, all chunks together. It bounds the answer at about 6 MB: small files name 10
/// per chunk, the largest 2.
const NAMED_MAX: usize = 32_768;

/// The answer for a file that no group of peers holds completely.
pub(super) fn empty() -> Vec<u8> {
    br#"{"chunks":{}}"#.to_vec()
}

/// Renders the answer from a group, and opens or renews the caller's ticket.
pub(super) fn lookup(
    calls: &FileCalls,
    now: UnixMillis,
    caller: PeerId,
    file: FileHash,
    group: &Group,
) -> Result<Vec<u8>, ApiError> {
    let site = calls.swarm.site_of(caller);
    let request = Request { caller, site: site.as_deref(), own: None, chunks: group.chunks, now };
    let OfferedV1 { orders, scores } = choose_v1(calls, &request, &group.offers);
    if !covers(group.chunks, &group.offers, &orders[0]) {
        return Ok(empty());
    }
    if let Ok(geometry) = Geometry::new(ByteCount(group.size), V1_CHUNK_SIZE) {
        let listed = orders[0].iter().map(|position| group.offers[*position].peer.id).collect();
        super::ticket(calls, caller, file, geometry, listed);
    }
    match &group.hashes {
        Hashes::Listed(hashes) => Ok(chunks(hashes, &group.offers, &scores, &orders)),
        Hashes::Manifest(id) => {
            let known = match calls.swarm.catalogue().cached(*id) {
                Some(known) => Some(known),
                None => calls.database.read(&Blocking::declare(), |store| calls.swarm.catalogue().load(store, *id))?,
            };
            Ok(known.map_or_else(empty, |known| chunks(known.manifest.chunk_hashes(), &group.offers, &scores, &orders)))
        }
    }
}

fn chunks(hashes: &[ChunkHash], offers: &[Offer], scores: &[f64], orders: &[Vec<usize>]) -> Vec<u8> {
    let per_chunk = (NAMED_MAX / hashes.len().max(1)).clamp(2, SOURCES_PER_PLAN);
    let peers: Vec<Vec<u8>> = offers.iter().zip(scores).map(|(offer, score)| peer(offer, *score)).collect();
    let mut out = Vec::with_capacity(16 + hashes.len() * (100 + per_chunk.min(offers.len()) * 120));
    out.extend(br#"{"chunks":{"#);
    for (index, hash) in (0u32..).zip(hashes) {
        let order = &orders[index as usize % orders.len()];
        let holders =
            order.iter().filter(|position| offers[**position].held.contains(ChunkIndex(index))).take(per_chunk);
        let separator = if index == 0 { "" } else { "," };
        out.extend(format!(r#"{separator}"{index}":{{"chunk_hash":""#).bytes());
        push_hex(&mut out, hash);
        out.extend(br#"","peers":["#);
        for (nth, position) in holders.enumerate() {
            out.extend(if nth == 0 { &b""[..] } else { b"," });
            out.extend(&peers[*position]);
        }
        out.extend(b"]}");
    }
    out.extend(b"}}");
    out
}

fn push_hex(out: &mut Vec<u8>, hash: &ChunkHash) {
    let mut hex = [0; 64];
    HEXLOWER.encode_mut(hash.as_bytes(), &mut hex);
    out.extend(hex);
}

/// Renders one holder as JSON; it is copied for each chunk.
fn peer(offer: &Offer, score: f64) -> Vec<u8> {
    let peer = LookupV1Peer {
        id: offer.peer.id.to_string(),
        address: offer
            .contact
            .location
            .in_plaintext()
            .map_or_else(String::new, |candidate| candidate.address().to_string()),
        reputation_score: score,
    };
    serde_json::to_vec(&peer).expect("strings and a finite number")
}
