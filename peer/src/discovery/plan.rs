//! A provider's knowledge of a file: its manifests and their sources.

use peernet_engine::candidate::Candidates;
use peernet_engine::download::{Has, Protocol};
use peernet_engine::ids::{ByteCount, ChunkHash, ManifestId, PeerId};

use peernet_engine::candidate::Transport;

/// A peer that says it holds a file, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The account of the source.
    pub peer: PeerId,
    /// The addresses of the source, best first. A source without one is passed over.
    pub candidates: Candidates,
    /// Whether its addresses expect mutual TLS or plaintext.
    pub transport: Transport,
    /// The calls it understands.
    pub protocol: Protocol,
    /// The chunks that it announced.
    pub has: Has,
}

impl Source {
    /// The best address as text; empty where there is none.
    pub(crate) fn first_address(&self) -> &str {
        self.candidates.first().map_or("", |candidate| candidate.address())
    }
}

/// One manifest of a plan, with its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedManifest {
    /// The id of the manifest.
    pub id: ManifestId,
    /// Bytes of the file, if the manifest is true.
    pub size: ByteCount,
    /// Bytes of a chunk.
    pub chunk_size: u32,
    /// The peers that announced this manifest, best first.
    pub sources: Vec<Source>,
}

/// The manifests and sources of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The suggested name of the file; not sanitised.
    pub file_name: String,
    /// The manifests, the most widely held first.
    pub manifests: Vec<PlannedManifest>,
    /// Whether version 1's listing has the file.
    pub v1_listed: bool,
    /// Whether the file is not public. Its sources then serve only callers that present a grant.
    pub restricted: bool,
}

impl Plan {
    /// Adds another provider's plan. The contents of this plan stay, and come first: its name, the order of its
    /// manifests, and for a peer that both name its own addresses.
    pub(crate) fn merge(&mut self, other: Plan) {
        if self.file_name.is_empty() {
            self.file_name = other.file_name;
        }
        self.v1_listed |= other.v1_listed;
        self.restricted |= other.restricted;
        for manifest in other.manifests {
            match self.manifests.iter_mut().find(|known| known.id == manifest.id) {
                Some(known) => merge_sources(&mut known.sources, manifest.sources),
                None => self.manifests.push(manifest),
            }
        }
    }
}

/// Version 1's view of a file: chunks of 1 MiB of which only the hashes are known. The size of the file is known when
/// its last chunk has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1Listing {
    /// The hash of every chunk, in order; at least one.
    pub chunk_hashes: Vec<ChunkHash>,
    /// The peers that hold chunks of it, best first.
    pub sources: Vec<Source>,
}

/// Appends the sources of peers that are not known yet.
pub(crate) fn merge_sources(known: &mut Vec<Source>, more: Vec<Source>) {
    for source in more {
        if known.iter().all(|known| known.peer != source.peer) {
            known.push(source);
        }
    }
}

/// The sources in a plan that hold the file under this manifest.
pub(crate) fn sources_under(plan: Plan, id: ManifestId) -> Vec<Source> {
    plan.manifests.into_iter().filter(|planned| planned.id == id).flat_map(|planned| planned.sources).collect()
}

#[cfg(test)]
pub(crate) mod testing {
    use peernet_engine::ids::FileHash;

    use super::*;

    /// A complete source with one address, in plaintext.
    pub(crate) fn source(number: u8) -> Source {
        Source {
            peer: PeerId::from_random([number; 16]),
            candidates: Candidates::hosts([format!("h{number}:1")]),
            transport: Transport::Plaintext,
            protocol: Protocol::FetchStream,
            has: Has::Complete,
        }
    }

    /// A manifest id made of one number.
    pub(crate) fn manifest_id(number: u8) -> ManifestId {
        ManifestId([number; 32])
    }

    /// A plan named `name` whose manifests, by number, have these sources.
    pub(crate) fn plan(name: &str, manifests: &[(u8, &[u8])]) -> Plan {
        let planned = |(id, sources): &(u8, &[u8])| PlannedManifest {
            id: manifest_id(*id),
            size: ByteCount(1),
            chunk_size: 1 << 20,
            sources: sources.iter().copied().map(source).collect(),
        };
        Plan { file_name: name.to_owned(), manifests: manifests.iter().map(planned).collect(), ..Plan::default() }
    }

    /// The file that all of these plans are about.
    pub(crate) const FILE: FileHash = FileHash([9; 32]);
}

#[cfg(test)]
mod tests {
    use super::testing::{manifest_id, plan, source};
    use super::*;

    /// The manifests of a plan with the peers of each, by number.
    fn shown(plan: &Plan) -> Vec<(u8, Vec<u8>)> {
        let number = |peer: PeerId| (1..=20).find(|number| PeerId::from_random([*number; 16]) == peer).unwrap();
        let sources = |manifest: &PlannedManifest| manifest.sources.iter().map(|it| number(it.peer)).collect();
        plan.manifests.iter().map(|manifest| (manifest.id.0[0], sources(manifest))).collect()
    }

    #[test]
    fn a_merged_plan_begins_with_what_was_known() {
        for (one, other, expected) in [
            (&[(1, &[1, 2][..])][..], &[(1, &[2, 3][..])][..], &[(1, &[1, 2, 3][..])][..]),
            (&[(1, &[1])], &[(2, &[1])], &[(1, &[1]), (2, &[1])]),
            (&[], &[(2, &[4, 3])], &[(2, &[4, 3])]),
            (&[(3, &[])], &[(1, &[1]), (3, &[5])], &[(3, &[5]), (1, &[1])]),
            (&[(1, &[1])], &[(1, &[2, 2])], &[(1, &[1, 2])]),
        ] {
            let mut merged = plan("", one);
            merged.merge(plan("", other));
            let expected: Vec<(u8, Vec<u8>)> = expected.iter().map(|(id, peers)| (*id, peers.to_vec())).collect();
            assert_eq!(shown(&merged), expected, "{one:?} {other:?}");
            let once = merged.clone();
            merged.merge(plan("", other));
            assert_eq!(merged, once, "the same again changes nothing");
        }
    }

    #[test]
    fn the_first_name_counts_and_every_warning() {
        for (one, other, expected) in [("a", "b", "a"), ("", "b", "b"), ("a", "", "a"), ("", "", "")] {
            let mut merged = plan(one, &[]);
            merged.merge(plan(other, &[]));
            assert_eq!(merged.file_name, expected);
        }
        for flags in [[false, false], [false, true], [true, false], [true, true]] {
            let of = |flag: bool| Plan { v1_listed: flag, restricted: flag, ..Plan::default() };
            let mut merged = of(flags[0]);
            merged.merge(of(flags[1]));
            assert_eq!([merged.v1_listed, merged.restricted], [flags[0] || flags[1]; 2], "{flags:?}");
        }
    }

    #[test]
    fn a_known_peer_keeps_its_own_addresses() {
        let mut known = vec![source(1)];
        let moved = Source { candidates: Candidates::hosts(["elsewhere:1"]), has: Has::Complete, ..source(1) };
        merge_sources(&mut known, vec![moved, source(2)]);
        assert_eq!(known.iter().map(Source::first_address).collect::<Vec<_>>(), ["h1:1", "h2:1"]);
        let nowhere = Source { candidates: Candidates::hosts(Vec::<String>::new()), ..source(3) };
        assert_eq!(nowhere.first_address(), "");
    }

    #[test]
    fn sources_are_found_by_the_manifest_that_they_hold() {
        let plan = || plan("", &[(1, &[1, 2]), (2, &[3]), (1, &[4])]);
        for (id, expected) in [(1, &["h1:1", "h2:1", "h4:1"][..]), (2, &["h3:1"]), (3, &[])] {
            let found = sources_under(plan(), manifest_id(id));
            assert_eq!(found.iter().map(Source::first_address).collect::<Vec<_>>(), expected, "{id}");
        }
    }
}
