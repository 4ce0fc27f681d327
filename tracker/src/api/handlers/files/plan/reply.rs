//! Writes a [`PlanReply`] as JSON by hand, without making one: plans are the answer that trackers send most.

use data_encoding::{BASE64, HEXLOWER};
use peernet_engine::access::Visibility;
use peernet_engine::ids::{FileHash, ManifestId, PeerId};
#[cfg(doc)]
use peernet_protos::rest::PlanReply;
use peernet_protos::rest::{GRPC, GRPC_TLS, GRPC_V1, TicketBody};
use serde::Serialize;

use super::{Prepared, Shown};
use crate::domain::swarm::ManifestMeta;
use crate::domain::swarm::sources::Offer;
use peernet_engine::plan::Held;

/// The usual bytes of a piece: one source, or the text before the sources.
const PIECE_BYTES_USUAL: usize = 256;
/// The usual bytes of ten sources.
const BYTES_USUAL: usize = 2_560;
/// The texts of all scores: they are rounded to 0.05.
const SCORES: [&str; 21] = [
    "0.0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.35", "0.4", "0.45", "0.5", "0.55", "0.6", "0.65", "0.7",
    "0.75", "0.8", "0.85", "0.9", "0.95", "1.0",
];

/// A plan that is being written.
pub(super) struct ReplyWriter {
    out: Vec<u8>,
    /// The sources of the caller's earlier plan, and its version. Unchanged ones are only named.
    known: Vec<PeerId>,
    since: u64,
}

impl ReplyWriter {
    pub(super) fn new(prepared: &Prepared, access: Visibility) -> Self {
        let mut answer = Self::with_room(BYTES_USUAL);
        answer.raw(&prepared.opening);
        answer.raw(access.as_str().as_bytes());
        answer.raw(b"\"");
        answer
    }

    fn with_room(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), known: Vec::new(), since: 0 }
    }

    /// Writes only the changes since the plan `base`, which named the sources `known`.
    pub(super) fn delta(&mut self, base: &str, since: u64, gone: Vec<PeerId>, known: Vec<PeerId>) {
        self.raw(br#","base":"#);
        self.json(base);
        self.raw(br#","gone":"#);
        self.peers(gone.into_iter());
        (self.known, self.since) = (known, since);
    }

    pub(super) fn manifests(&mut self, ranked: &[Shown<'_>]) {
        self.raw(br#","manifests":["#);
        for (nth, shown) in ranked.iter().enumerate() {
            self.raw(if nth == 0 { b"" } else { b"," });
            self.raw(&shown.manifest.opening);
            self.sources(shown);
            self.raw(b"}");
        }
        self.raw(b"]");
    }

    fn sources(&mut self, shown: &Shown<'_>) {
        let offers = &shown.manifest.offers;
        let mut kept = Vec::new();
        let mut listed = 0;
        self.raw(br#","sources":["#);
        for position in &shown.offered.named {
            if self.is_known(&offers[*position]) {
                kept.push(offers[*position].peer.id);
                continue;
            }
            self.raw(if listed == 0 { b"" } else { b"," });
            self.raw(&shown.manifest.sources[*position]);
            listed += 1;
        }
        self.raw(b"]");
        if !kept.is_empty() {
            self.raw(br#","kept":"#);
            self.peers(kept.into_iter());
        }
    }

    /// Returns whether the caller's earlier plan has this source in its current state.
    fn is_known(&self, offer: &Offer) -> bool {
        !offer.v1 && offer.changed_at <= self.since && self.known.contains(&offer.peer.id)
    }

    fn write_source(&mut self, offer: &Offer, score: f64) {
        self.raw(br#"{"peer_id":""#);
        self.peer(offer.peer.id);
        self.raw(br#"","addresses":["#);
        let location = &offer.contact.location;
        for (n, candidate) in location.candidates.iter().enumerate() {
            self.raw(if n == 0 { b"" } else { b"," });
            self.json(&**candidate.address());
        }
        self.raw(br#"],"transport":""#);
        self.raw(transport(offer.v1, location.tls).as_bytes());
        self.raw(br#"","reputation_score":"#);
        self.raw(score_text(score).as_bytes());
        match &offer.held {
            Held::Complete => self.raw(br#","have":"complete"}"#),
            Held::Chunks(bitmap) => {
                self.raw(br#","have":{"bitmap":""#);
                self.raw(BASE64.encode(bitmap.as_bytes()).as_bytes());
                self.raw(br#""}}"#);
            }
        }
    }

    pub(super) fn version_1(&mut self, listed: bool) {
        self.raw(if listed { br#","v1_listed":true"# } else { br#","v1_listed":false"# });
    }

    pub(super) fn ticket(&mut self, ticket: Option<&TicketBody>) {
        let Some(TicketBody { id, escrow_mt, expires_at }) = ticket else {
            return self.raw(br#","ticket":null"#);
        };
        self.raw(br#","ticket":{"id":""#);
        // The id is hex digits, which need no escapes.
        self.raw(id.as_bytes());
        self.raw(br#"","escrow_mt":"#);
        self.json(escrow_mt);
        self.raw(br#","expires_at":"#);
        self.json(expires_at);
        self.raw(b"}");
    }

    pub(super) fn finish(mut self, ask_again_s: u64) -> Vec<u8> {
        self.raw(br#","ask_again_seconds":"#);
        self.json(&ask_again_s);
        self.raw(b"}");
        self.out
    }

    fn peers(&mut self, peers: impl Iterator<Item = PeerId>) {
        self.raw(b"[");
        for (nth, peer) in peers.enumerate() {
            self.raw(if nth == 0 { b"\"" } else { b",\"" });
            self.peer(peer);
            self.raw(b"\"");
        }
        self.raw(b"]");
    }

    /// Writes an account id in the hyphenated form of a UUID.
    fn peer(&mut self, peer: PeerId) {
        let mut hex = [0; 32];
        HEXLOWER.encode_mut(&peer.0, &mut hex);
        for (nth, part) in [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].into_iter().enumerate() {
            self.raw(if nth == 0 { b"" } else { b"-" });
            self.raw(part);
        }
    }

    fn hex(&mut self, hash: &[u8; 32]) {
        let mut hex = [0; 64];
        HEXLOWER.encode_mut(hash, &mut hex);
        self.raw(&hex);
    }

    /// Writes a number, or a text with the escapes that it needs.
    fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.out, value).expect("a number or a text");
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

/// The beginning of every plan of a file, up to its visibility.
pub(super) fn opening(file: FileHash, name: &str) -> Box<[u8]> {
    piece(|answer| {
        answer.raw(br#"{"file_hash":""#);
        answer.hex(&file.0);
        answer.raw(br#"","file_name":"#);
        answer.json(name);
        answer.raw(br#","access":""#);
    })
}

/// The text before a manifest's sources.
pub(super) fn manifest_opening(id: ManifestId, meta: &ManifestMeta) -> Box<[u8]> {
    piece(|answer| {
        answer.raw(br#"{"manifest_id":""#);
        answer.hex(&id.0);
        answer.raw(br#"","size":"#);
        answer.json(&meta.size);
        answer.raw(br#","chunk_size":"#);
        answer.json(&meta.chunk_size);
    })
}

/// Renders one source as JSON.
pub(super) fn source(offer: &Offer, score: f64) -> Box<[u8]> {
    piece(|answer| answer.write_source(offer, score))
}

fn piece(write: impl FnOnce(&mut ReplyWriter)) -> Box<[u8]> {
    let mut answer = ReplyWriter::with_room(PIECE_BYTES_USUAL);
    write(&mut answer);
    answer.out.into()
}

/// The wire name of a transport; it needs no escapes.
fn transport(v1: bool, tls: bool) -> &'static str {
    match (v1, tls) {
        (true, _) => GRPC_V1,
        (false, true) => GRPC_TLS,
        (false, false) => GRPC,
    }
}

/// The text of a score.
fn score_text(score: f64) -> &'static str {
    let step = (score * 20.0).round().clamp(0.0, 20.0);
    SCORES[step as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_s_digits_are_its_value() {
        for step in 0..=20u8 {
            let score = f64::from(step) / 20.0;
            assert_eq!(score_text(score).parse::<f64>().ok(), Some(score));
        }
        assert_eq!((score_text(-1.0), score_text(f64::NAN), score_text(9.0)), ("0.0", "0.0", "1.0"));
    }
}
