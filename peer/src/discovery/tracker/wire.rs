//! Conversion between the tracker's REST bodies and validated types.
//!
//! Nothing the tracker sends is believed unchecked: the other end may be another program, or an attacker.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::download::{Has, Protocol};
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkHash, ChunkIndex, FileHash, ManifestId, PeerId};
use peernet_engine::manifest::{CHUNKS_MAX, Geometry, Manifest};
use peernet_protos::limits::{ADDRESS_BYTES_MAX, SOURCES_PER_PLAN};
use peernet_protos::rest::{
    ACCESS_PUBLIC, GRPC, GRPC_TLS, GRPC_V1, Have, LookupV1Reply, ManifestBody, MeReply, PlanManifest, PlanReply,
    PlanSource, SearchFile, SearchReply, SwarmAnnounceReply, SwarmAnnounceRequest, SwarmFile,
};

use super::{Announced, AnnouncedFile, Hit, Hits, Me, ReachedAt, TrackerError};
use crate::discovery::{Plan, PlannedManifest, Source, V1Listing};
use peernet_engine::candidate::{CANDIDATES_MAX, Candidates, Transport};

/// The most manifests of a plan that are read; the first ones are the most widely held.
const MANIFESTS_MAX: usize = 64;
/// The most distinct peers of a version 1 lookup that are read.
const V1_SOURCES_MAX: usize = 256;
/// The shortest time between renewals, however short the tracker's lease.
const RENEW_MIN: Duration = Duration::from_secs(5);
/// The longest time between renewals, however long the lease: one call an hour costs nothing.
const RENEW_MAX: Duration = Duration::from_secs(3_600);

fn malformed(what: &str, error: impl std::fmt::Display) -> TrackerError {
    TrackerError::Malformed(format!("{what}: {error}"))
}

pub(super) fn me(reply: MeReply) -> Result<Me, TrackerError> {
    Ok(Me {
        peer_id: reply.peer_id.parse().map_err(|e| malformed("peer_id", e))?,
        address: reply.address,
        reputation_score: reply.reputation_score,
        established: reply.established,
        balance_mt: reply.token_balance_mt,
        escrow_mt: reply.escrow_mt,
        files_shared: reply.files_shared,
        created_at: reply.created_at,
    })
}

/// Converts a plan. A bad manifest or source is left out, so that it does not spoil the others.
pub(super) fn plan(asked: FileHash, reply: PlanReply) -> Result<Plan, TrackerError> {
    if reply.file_hash.parse() != Ok(asked) {
        return Err(malformed("plan", "it is about another file"));
    }
    let manifests = reply.manifests.into_iter().take(MANIFESTS_MAX).filter_map(planned_manifest).collect();
    // An older tracker sends no visibility, and has public files only.
    let restricted = !matches!(reply.access.as_str(), "" | ACCESS_PUBLIC);
    Ok(Plan { file_name: reply.file_name, manifests, v1_listed: reply.v1_listed, restricted })
}

fn planned_manifest(manifest: PlanManifest) -> Option<PlannedManifest> {
    let geometry = Geometry::new(ByteCount(manifest.size), manifest.chunk_size).ok()?;
    let count = geometry.chunk_count();
    let sources = manifest.sources.into_iter().take(SOURCES_PER_PLAN);
    Some(PlannedManifest {
        id: manifest.manifest_id.parse().ok()?,
        size: geometry.size(),
        chunk_size: geometry.chunk_size(),
        sources: sources.filter_map(|source| planned_source(source, count)).collect(),
    })
}

fn planned_source(source: PlanSource, count: ChunkCount) -> Option<Source> {
    let (transport, protocol) = match source.transport.as_str() {
        GRPC_TLS => (Transport::Tls, Protocol::FetchStream),
        GRPC => (Transport::Plaintext, Protocol::FetchStream),
        GRPC_V1 => (Transport::Plaintext, Protocol::Version1),
        // A transport of a later version.
        _ => return None,
    };
    let has = match source.have {
        Have::Complete => Has::Complete,
        Have::Bitmap(text) => Has::Chunks(Bitmap::from_bytes(&BASE64.decode(text.as_bytes()).ok()?, count)?),
    };
    let peer = source.peer_id.parse().ok()?;
    Some(Source {
        peer,
        candidates: Candidates::hosts(source.addresses.into_iter().take(CANDIDATES_MAX)),
        transport,
        protocol,
        has,
    })
}

pub(super) fn manifest(asked: ManifestId, body: ManifestBody) -> Result<(Manifest, String), TrackerError> {
    let file_hash = body.file_hash.parse().map_err(|e| malformed("file_hash", e))?;
    let hashes = BASE64.decode(body.chunk_hashes.as_bytes()).map_err(|e| malformed("chunk_hashes", e))?;
    let manifest = Manifest::from_parts(file_hash, ByteCount(body.size), body.chunk_size, &hashes)
        .map_err(|e| malformed("manifest", e))?;
    match manifest.id() == asked {
        true => Ok((manifest, body.file_name)),
        false => Err(malformed("manifest", "its id is not the one asked for")),
    }
}

pub(super) fn manifest_body(manifest: &Manifest, file_name: &str) -> ManifestBody {
    ManifestBody {
        file_hash: manifest.file_hash().to_string(),
        file_name: file_name.to_owned(),
        size: manifest.geometry().size().0,
        chunk_size: manifest.geometry().chunk_size(),
        chunk_hashes: BASE64.encode(&manifest.hash_bytes()),
    }
}

pub(super) fn announce(at: &ReachedAt, site: Option<&str>, files: &[AnnouncedFile]) -> SwarmAnnounceRequest {
    let file = |file: &AnnouncedFile| SwarmFile {
        file_hash: file.file_hash.to_string(),
        manifest_id: file.manifest_id.to_string(),
        have: match &file.has {
            Has::Complete => Have::Complete,
            Has::Chunks(bitmap) => Have::Bitmap(BASE64.encode(bitmap.as_bytes())),
        },
    };
    SwarmAnnounceRequest {
        address: at.address.clone(),
        transport: Some(if at.transport == Transport::Tls { GRPC_TLS } else { GRPC }.to_owned()),
        plaintext_address: at.plaintext_address.clone(),
        site: site.map(str::to_owned),
        files: files.iter().map(file).collect(),
    }
}

pub(super) fn announced(reply: &SwarmAnnounceReply) -> Result<Announced, TrackerError> {
    let unknown: Result<Vec<_>, _> = reply.unknown_manifests.iter().map(|id| id.parse()).collect();
    let files = |hashes: &[String], what| -> Result<Vec<_>, _> {
        hashes.iter().map(|hash| hash.parse().map_err(|e| malformed(what, e))).collect()
    };
    Ok(Announced {
        withdrawn: files(&reply.withdrawn, "withdrawn")?,
        restricted: files(&reply.restricted, "restricted")?,
        lease: Duration::from_secs(reply.lease_seconds),
        renew_in: Duration::from_secs(reply.renew_in_seconds).clamp(RENEW_MIN, RENEW_MAX),
        unknown: unknown.map_err(|e| malformed("unknown_manifests", e))?,
    })
}

pub(super) fn hits(reply: SearchReply) -> Result<Hits, TrackerError> {
    let files: Result<Vec<_>, _> = reply.files.into_iter().map(hit).collect();
    Ok(Hits { files: files?, next: reply.next })
}

fn hit(file: SearchFile) -> Result<Hit, TrackerError> {
    Ok(Hit {
        file_hash: file.file_hash.parse().map_err(|e| malformed("file_hash", e))?,
        file_name: file.file_name,
        size: file.size,
        manifest_id: file.manifest_id.map(|id| id.parse()).transpose().map_err(|e| malformed("manifest_id", e))?,
        sources: file.sources,
        created_at: file.created_at,
    })
}

/// Converts version 1's lookup. It lists holders by chunk; a download needs chunks by holder.
pub(super) fn v1_listing(reply: LookupV1Reply) -> Result<Option<V1Listing>, TrackerError> {
    let count = u32::try_from(reply.chunks.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Ok(None);
    }
    if count > CHUNKS_MAX || reply.chunks.keys().next_back() != Some(&(count - 1)) {
        return Err(malformed("chunks", "expected every number from 0 and at most as many as a manifest has"));
    }
    let mut chunk_hashes = Vec::with_capacity(reply.chunks.len());
    let mut holders = Holders::new(ChunkCount(count));
    for (index, chunk) in reply.chunks {
        chunk_hashes.push(chunk.chunk_hash.parse::<ChunkHash>().map_err(|e| malformed("chunk_hash", e))?);
        for peer in chunk.peers {
            if let Ok(id) = peer.id.parse() {
                holders.add(id, peer.address, ChunkIndex(index));
            }
        }
    }
    Ok(Some(V1Listing { chunk_hashes, sources: holders.into_sources() }))
}

/// Peers and the chunks they hold, in the order they were named: the best first.
struct Holders {
    count: ChunkCount,
    met: Vec<(PeerId, String, Bitmap)>,
    places: BTreeMap<PeerId, usize>,
}

impl Holders {
    fn new(count: ChunkCount) -> Self {
        Self { count, met: Vec::new(), places: BTreeMap::new() }
    }

    fn add(&mut self, peer: PeerId, address: String, chunk: ChunkIndex) {
        let place = match self.places.get(&peer) {
            Some(place) => *place,
            None if self.met.len() >= V1_SOURCES_MAX || address.len() > ADDRESS_BYTES_MAX => return,
            None => {
                self.met.push((peer, address, Bitmap::empty(self.count)));
                self.places.insert(peer, self.met.len() - 1);
                self.met.len() - 1
            }
        };
        self.met[place].2.insert(chunk);
    }

    fn into_sources(self) -> Vec<Source> {
        let source = |(peer, address, bitmap): (PeerId, String, Bitmap)| {
            let has = if bitmap.is_full() { Has::Complete } else { Has::Chunks(bitmap) };
            Source {
                peer,
                candidates: Candidates::hosts([address]),
                transport: Transport::Plaintext,
                protocol: Protocol::Version1,
                has,
            }
        };
        self.met.into_iter().map(source).collect()
    }
}

#[cfg(test)]
mod tests;
