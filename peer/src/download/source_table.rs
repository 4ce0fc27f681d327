//! The sources a download has heard of, numbered for the scheduler. A peer keeps its number for the whole download.

use std::collections::BTreeMap;

use peernet_engine::download::SourceId;
use peernet_engine::ids::PeerId;

use crate::discovery::Source;

/// The most peers remembered: a provider that keeps naming new ones must not fill the memory.
const PEERS_MAX: usize = 256;

/// See the module.
pub(crate) struct SourceTable {
    own: Option<PeerId>,
    by_peer: BTreeMap<PeerId, SourceId>,
    peers: Vec<KnownSource>,
}

/// One source.
pub(crate) struct KnownSource {
    pub(crate) source: Source,
    /// Verified bytes that it has sent.
    pub(crate) bytes: u64,
}

impl SourceTable {
    pub(crate) fn new(own: Option<PeerId>) -> Self {
        Self { own, by_peer: BTreeMap::new(), peers: Vec::new() }
    }

    /// Returns the number of a source, new or known. A known source gets the newly named addresses. `None` for this
    /// node's own account, for a source without an address, and past [`PEERS_MAX`].
    pub(crate) fn meet(&mut self, source: Source) -> Option<SourceId> {
        if Some(source.peer) == self.own || source.candidates.is_empty() {
            return None;
        }
        if let Some(id) = self.by_peer.get(&source.peer) {
            self.peers[id.0 as usize].source = source;
            return Some(*id);
        }
        if self.peers.len() >= PEERS_MAX {
            return None;
        }
        let id = SourceId(self.peers.len() as u64);
        self.by_peer.insert(source.peer, id);
        self.peers.push(KnownSource { source, bytes: 0 });
        Some(id)
    }

    pub(crate) fn get(&self, id: SourceId) -> Option<&KnownSource> {
        self.peers.get(usize::try_from(id.0).ok()?)
    }

    /// Adds verified bytes to the total of a source.
    pub(crate) fn credit(&mut self, id: SourceId, bytes: u32) {
        if let Some(peer) = usize::try_from(id.0).ok().and_then(|position| self.peers.get_mut(position)) {
            peer.bytes += u64::from(bytes);
        }
    }

    pub(crate) fn bytes_by_source(&self) -> Vec<(PeerId, u64)> {
        self.peers.iter().map(|peer| (peer.source.peer, peer.bytes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::candidate::Candidates;

    use super::*;
    use crate::discovery::testing::source;

    #[test]
    fn a_peer_keeps_its_number_and_gets_new_addresses() {
        let mut table = SourceTable::new(Some(source(9).peer));
        assert_eq!(table.meet(source(1)), Some(SourceId(0)));
        assert_eq!(table.meet(source(2)), Some(SourceId(1)));
        let moved = Source { candidates: Candidates::hosts(["elsewhere:1"]), ..source(1) };
        assert_eq!(table.meet(moved.clone()), Some(SourceId(0)));
        assert_eq!(table.get(SourceId(0)).map(|known| &known.source), Some(&moved));
        assert!(table.get(SourceId(2)).is_none());
    }

    #[test]
    fn the_own_account_and_peers_without_an_address_are_not_met() {
        let mut table = SourceTable::new(Some(source(9).peer));
        assert_eq!(table.meet(source(9)), None);
        assert_eq!(table.meet(Source { candidates: Candidates::default(), ..source(1) }), None);
    }

    #[test]
    fn peers_past_the_bound_are_not_remembered() {
        let mut table = SourceTable::new(None);
        let peer = |number: usize| {
            let mut bytes = [0; 16];
            bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
            Source { peer: PeerId::from_random(bytes), ..source(1) }
        };
        assert!((0..PEERS_MAX).all(|number| table.meet(peer(number)).is_some()));
        assert_eq!(table.meet(peer(PEERS_MAX)), None);
        assert_eq!(table.meet(peer(0)), Some(SourceId(0)));
    }

    #[test]
    fn verified_bytes_are_counted_by_peer() {
        let mut table = SourceTable::new(None);
        table.meet(source(1));
        table.meet(source(2));
        table.credit(SourceId(1), 5);
        table.credit(SourceId(1), 7);
        table.credit(SourceId(u64::MAX), 7);
        assert_eq!(table.bytes_by_source(), [(source(1).peer, 0), (source(2).peer, 12)]);
    }
}
