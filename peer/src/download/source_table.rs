//! Everyone a download has heard of, numbered for the scheduler: the same peer keeps its number for the whole download.

use std::collections::BTreeMap;

use peernet_engine::download::SourceId;
use peernet_engine::ids::PeerId;

use crate::discovery::Source;

/// Peers remembered; a directory that names ever new ones does not fill our memory.
const PEERS_MAX: usize = 256;

/// See the module.
pub(crate) struct Known {
    own: Option<PeerId>,
    by_peer: BTreeMap<PeerId, SourceId>,
    peers: Vec<KnownPeer>,
}

pub(crate) struct KnownPeer {
    pub(crate) source: Source,
    pub(crate) bytes: u64,
}

impl Known {
    pub(crate) fn new(own: Option<PeerId>) -> Self {
        Self { own, by_peer: BTreeMap::new(), peers: Vec::new() }
    }

    /// Its number, new or known; what is newly said about it replaces what was. `None` for ourselves, and for more than
    /// are remembered.
    pub(crate) fn meet(&mut self, source: Source) -> Option<SourceId> {
        if Some(source.peer) == self.own || source.addresses.is_empty() {
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
        self.peers.push(KnownPeer { source, bytes: 0 });
        Some(id)
    }

    pub(crate) fn get(&self, id: SourceId) -> Option<&KnownPeer> {
        self.peers.get(usize::try_from(id.0).ok()?)
    }

    /// Verified bytes came from it.
    pub(crate) fn credit(&mut self, id: SourceId, bytes: u32) {
        if let Some(peer) = usize::try_from(id.0).ok().and_then(|position| self.peers.get_mut(position)) {
            peer.bytes += u64::from(bytes);
        }
    }

    pub(crate) fn bytes_by_source(&self) -> Vec<(PeerId, u64)> {
        self.peers.iter().map(|peer| (peer.source.peer, peer.bytes)).collect()
    }
}
