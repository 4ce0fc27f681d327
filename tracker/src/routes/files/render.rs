//! Writes version 1's lookup answer by hand: a file of 16,384 chunks would cost as many maps and strings otherwise.

use data_encoding::HEXLOWER;
use peernet_engine::ids::{ByteCount, ChunkHash, ChunkIndex, FileHash, PeerId};
use peernet_engine::manifest::Geometry;
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::SOURCES_PER_PLAN;
use peernet_protos::rest::LookupV1Peer;

use super::offered::order_v1;
use crate::api::ApiError;
use crate::app::App;
use crate::swarm::lookup::{Group, Hashes};
use crate::swarm::sources::{Offer, V1_CHUNK_SIZE, covers};

/// How many peers an answer names, all chunks together: bounds it at about 6 MB. Small files name 10 a chunk, the largest 2.
const NAMED_MAX: usize = 32_768;

/// The answer for a file that nobody holds whole.
pub(super) fn empty() -> Vec<u8> {
    br#"{"chunks":{}}"#.to_vec()
}

/// The answer from a group; opens or renews the asker's ticket.
pub(super) fn lookup(
    app: &App,
    now: UnixMillis,
    asker: PeerId,
    file: FileHash,
    group: &Group,
) -> Result<Vec<u8>, ApiError> {
    let (offered, orders, scores) = order_v1(app, now, asker, group.chunks, &group.offers);
    if !covers(group.chunks, &group.offers, &offered.order) {
        return Ok(empty());
    }
    if let Ok(geometry) = Geometry::new(ByteCount(group.size), V1_CHUNK_SIZE) {
        super::ticket(app, asker, file, geometry, offered.kept.clone());
    }
    match &group.hashes {
        Hashes::Listed(hashes) => Ok(chunks(hashes, &group.offers, &scores, &orders)),
        Hashes::Manifest(id) => {
            let known = match app.swarm.catalogue().cached(*id) {
                Some(known) => Some(known),
                None => app.permits.with(|| app.swarm.catalogue().load(app.store.as_ref(), *id))?,
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
        let holders = order.iter().filter(|place| offers[**place].held.contains(ChunkIndex(index))).take(per_chunk);
        let separator = if index == 0 { "" } else { "," };
        out.extend(format!(r#"{separator}"{index}":{{"chunk_hash":""#).bytes());
        push_hex(&mut out, hash);
        out.extend(br#"","peers":["#);
        for (nth, place) in holders.enumerate() {
            out.extend(if nth == 0 { &b""[..] } else { b"," });
            out.extend(&peers[*place]);
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

/// One holder's JSON, written once and copied for each chunk.
fn peer(offer: &Offer, score: f64) -> Vec<u8> {
    let peer = LookupV1Peer {
        id: offer.peer.id.to_string(),
        address: offer.contact.reach.in_plaintext().map_or_else(String::new, ToString::to_string),
        reputation_score: score,
    };
    serde_json::to_vec(&peer).expect("strings and a finite number")
}
