//! Writes a plan by hand, because it is what trackers answer most: a [`PlanReply`] as JSON, without making one.

use std::io::Write as _;

use data_encoding::{BASE64, HEXLOWER};
use peernet_engine::ids::{FileHash, PeerId};
#[cfg(doc)]
use peernet_protos::rest::PlanReply;
use peernet_protos::rest::{GRPC, GRPC_TLS, GRPC_V1, TicketBody};

use super::Shown;
use crate::store::policies::Access;
use crate::swarm::sources::Offer;
use crate::swarm::{FileView, Held};

/// What one source takes, mostly.
const SOURCE_BYTES_USUAL: usize = 192;
/// What ten sources take, mostly.
const BYTES_USUAL: usize = 2_560;
/// Scores are rounded to 0.05: these are all there are.
const SCORES: [&str; 21] = [
    "0.0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.35", "0.4", "0.45", "0.5", "0.55", "0.6", "0.65", "0.7",
    "0.75", "0.8", "0.85", "0.9", "0.95", "1.0",
];

/// A plan that is being written.
pub(super) struct Answer {
    out: Vec<u8>,
    /// Whose unchanged sources are only named, and since which version.
    known: Vec<PeerId>,
    since: u64,
}

impl Answer {
    pub(super) fn new(file: FileHash, access: Access, view: &FileView) -> Self {
        let mut answer = Self { out: Vec::with_capacity(BYTES_USUAL), known: Vec::new(), since: 0 };
        answer.raw(br#"{"file_hash":""#);
        answer.hex(&file.0);
        answer.raw(br#"","file_name":"#);
        answer.text(&view.name);
        answer.raw(br#","access":""#);
        answer.raw(access.as_str().as_bytes());
        answer.raw(b"\"");
        answer
    }

    /// Only changes are written: `base` is the plan that they are changes of, `known` whom the asker was told of.
    pub(super) fn delta(&mut self, base: &str, since: u64, gone: Vec<PeerId>, known: Vec<PeerId>) {
        self.raw(br#","base":"#);
        self.text(base);
        self.raw(br#","gone":"#);
        self.peers(gone.into_iter());
        (self.known, self.since) = (known, since);
    }

    pub(super) fn manifests(&mut self, ranked: &[Shown<'_>]) {
        self.raw(br#","manifests":["#);
        for (nth, shown) in ranked.iter().enumerate() {
            self.raw(if nth == 0 { br#"{"manifest_id":""# } else { br#",{"manifest_id":""# });
            self.hex(&shown.id.0);
            let meta = &shown.manifest.meta;
            let sizes = write!(self.out, r#"","size":{},"chunk_size":{}"#, meta.size, meta.chunk_size);
            sizes.expect("writing to memory cannot fail");
            self.sources(shown);
            self.raw(b"}");
        }
        self.raw(b"]");
    }

    fn sources(&mut self, shown: &Shown<'_>) {
        let offers = &shown.manifest.offers;
        let (kept, told): (Vec<usize>, Vec<usize>) =
            shown.places.iter().partition(|place| self.is_known(&offers[**place]));
        self.raw(br#","sources":["#);
        for (nth, place) in told.into_iter().enumerate() {
            self.raw(if nth == 0 { b"" } else { b"," });
            self.raw(&shown.manifest.sources[place]);
        }
        self.raw(b"]");
        if !kept.is_empty() {
            self.raw(br#","kept":"#);
            self.peers(kept.into_iter().map(|place| offers[place].peer.id));
        }
    }

    /// Whether the asker has this source as it is now.
    fn is_known(&self, offer: &Offer) -> bool {
        !offer.v1 && offer.changed_at <= self.since && self.known.contains(&offer.peer.id)
    }

    fn write_source(&mut self, offer: &Offer, score: f64) {
        self.raw(br#"{"peer_id":""#);
        self.peer(offer.peer.id);
        self.raw(br#"","addresses":["#);
        let reach = &offer.contact.reach;
        self.text(&reach.address);
        self.raw(br#"],"transport":""#);
        self.raw(transport(offer.v1, reach.tls).as_bytes());
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
        self.raw(br#","ticket":"#);
        serde_json::to_writer(&mut self.out, &ticket).expect("strings and numbers");
    }

    pub(super) fn finish(mut self, ask_again_s: u64) -> Vec<u8> {
        write!(self.out, r#","ask_again_seconds":{ask_again_s}}}"#).expect("writing to memory cannot fail");
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

    /// A UUID's hyphenated form.
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

    fn text(&mut self, text: &str) {
        serde_json::to_writer(&mut self.out, text).expect("a string");
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

/// One source as JSON.
pub(super) fn source(offer: &Offer, score: f64) -> Box<[u8]> {
    let mut answer = Answer { out: Vec::with_capacity(SOURCE_BYTES_USUAL), known: Vec::new(), since: 0 };
    answer.write_source(offer, score);
    answer.out.into()
}

/// A name of the wire, which needs no escapes.
fn transport(v1: bool, tls: bool) -> &'static str {
    match (v1, tls) {
        (true, _) => GRPC_V1,
        (false, true) => GRPC_TLS,
        (false, false) => GRPC,
    }
}

/// A shown score's digits.
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
