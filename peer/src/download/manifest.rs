//! Choosing and obtaining the manifest: which ones are tried, in which order, and from where each is had.
//!
//! The tracker does not decide which manifest of a file is true. A link may name the only one that is believed.
//! Otherwise the manifests of the plan are tried in their order, and version 1's listing last. A false one costs a
//! download of the file, because only the hash of the whole proves it, so their number is bounded.

use std::time::Duration;

use peernet_engine::download::Protocol;
use peernet_engine::ids::{ManifestId, PeerId};
use peernet_engine::manifest::Manifest;

use crate::connect::{Dial, resolve};
use crate::discovery::{DiscoveryError, Plan, Source};
use crate::download::FetchError;
use crate::download::expected::Expected;
use crate::download::run::Context;
use crate::grpc::{Client, Patience};
use peernet_engine::candidate::Transport;

/// The most manifests of one file that are tried. More than one means that some announcer lies.
const MANIFESTS_MAX: usize = 8;
/// The most sources asked for a manifest that no provider has.
const SOURCES_ASKED_MAX: usize = 4;
/// The time that a source has to send a manifest.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The sources of a manifest that this download may call.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Usable {
    /// Best first.
    pub(crate) sources: Vec<Source>,
    /// The number of other peers that this node may not call.
    pub(crate) passed_over: usize,
    /// Whether there are sources, and none may be called because plaintext is not allowed.
    pub(crate) only_plaintext: bool,
}

impl Usable {
    /// Selects the sources that `dial` may call. The download's own account is no source.
    pub(crate) fn of(sources: Vec<Source>, dial: &Dial, own_peer: Option<PeerId>) -> Self {
        let others: Vec<Source> = sources.into_iter().filter(|source| Some(source.peer) != own_peer).collect();
        let count = others.len();
        let has_plaintext = others.iter().any(|source| source.transport == Transport::Plaintext);
        let usable = dial.usable(others);
        Self { passed_over: count - usable.len(), only_plaintext: usable.is_empty() && has_plaintext, sources: usable }
    }

    /// A sentence about the sources that are passed over, for the user.
    pub(crate) fn note(&self) -> Option<String> {
        let count = self.passed_over;
        (count > 0).then(|| format!("{count} sources were skipped: this node may not use their transport"))
    }
}

/// A way to know the chunks of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// By this manifest, which these sources hold.
    Manifest(ManifestId, Usable),
    /// By version 1's listing.
    Version1,
}

/// A choice whose chunks are known.
pub(crate) struct Chosen {
    pub(crate) expected: Expected,
    pub(crate) usable: Usable,
}

/// Returns the choices in the order they are to be tried. `pinned` is the manifest that a link named; no other is tried
/// then.
pub(crate) fn choices(plan: &Plan, pinned: Option<ManifestId>, usable: &dyn Fn(&[Source]) -> Usable) -> Vec<Choice> {
    if let Some(id) = pinned {
        let planned = plan.manifests.iter().find(|manifest| manifest.id == id);
        let sources = planned.map_or(&[][..], |manifest| &manifest.sources);
        return vec![Choice::Manifest(id, usable(sources))];
    }
    let of_plan = plan.manifests.iter().take(MANIFESTS_MAX);
    let mut all: Vec<Choice> = of_plan.map(|planned| Choice::Manifest(planned.id, usable(&planned.sources))).collect();
    if plan.v1_listed {
        all.push(Choice::Version1);
    }
    // The sort is stable: manifests whose sources may be called keep their order, and the others come last.
    all.sort_by_key(|choice| matches!(choice, Choice::Manifest(_, usable) if usable.only_plaintext));
    all
}

impl Choice {
    /// Obtains the manifest, or version 1's listing.
    pub(crate) fn resolve(self, context: &Context<'_>) -> Result<Chosen, FetchError> {
        match self {
            Self::Manifest(id, usable) => {
                let manifest = manifest(context, id, &usable.sources)?;
                let size = manifest.geometry().size().0;
                if let Some(max) = context.job.size_max.filter(|max| size > *max) {
                    return Err(FetchError::TooLarge { size, max });
                }
                let expected = match &context.job.selected {
                    None => Some(Expected::of_manifest(manifest)),
                    Some(selected) => Expected::of_pack(manifest, selected),
                };
                Ok(Chosen { expected: expected.ok_or(FetchError::NoManifest)?, usable })
            }
            Self::Version1 => {
                let listing = context.discovery.v1_listing(context.job.file_hash).map_err(FetchError::Discovery)?;
                let listing = listing.ok_or(FetchError::NoManifest)?;
                let expected = Expected::of_v1(context.job.file_hash, listing.chunk_hashes);
                let usable = context.usable(listing.sources);
                Ok(Chosen { expected: expected.ok_or(FetchError::NoManifest)?, usable })
            }
        }
    }
}

/// Gets the manifest from a provider, otherwise from a source. It is checked to have this id and to be of this file.
fn manifest(context: &Context<'_>, id: ManifestId, sources: &[Source]) -> Result<Manifest, FetchError> {
    let file_hash = context.job.file_hash;
    match context.discovery.manifest(id) {
        Ok(manifest) if manifest.id() == id && manifest.file_hash() == file_hash => return Ok(manifest),
        Err(error @ DiscoveryError::Refused(_)) => return Err(FetchError::Discovery(error)),
        Ok(_) | Err(_) => {}
    }
    let speaks_fetch = |source: &&Source| source.protocol == Protocol::FetchStream;
    for source in sources.iter().filter(speaks_fetch).take(SOURCES_ASKED_MAX) {
        if context.cancel.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        if let Some(manifest) = ask_source(context, id, source) {
            return Ok(manifest);
        }
    }
    Err(FetchError::NoManifest)
}

fn ask_source(context: &Context<'_>, id: ManifestId, source: &Source) -> Option<Manifest> {
    let timeout = context.job.limits.connect_timeout;
    let resolved = |candidate: &peernet_engine::candidate::Candidate| {
        resolve(&candidate.host_port(), timeout, context.cancel).unwrap_or_default()
    };
    let address = source.candidates.iter().flat_map(resolved).next()?;
    let client = Client::new(address, &context.job.dial.security(source).ok()?, timeout);
    let grant = context.grants.current().token.filter(|_| source.transport == Transport::Tls);
    let patience = Patience { timeout: MANIFEST_TIMEOUT, cancel: context.cancel };
    let asked = client.manifest(context.job.file_hash, Some(id), grant.as_deref(), patience);
    asked.ok().map(|(manifest, _)| manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::testing::{manifest_id, plan, source};

    /// A choice in one word: the number of a manifest with the numbers of its usable sources, or `v1`.
    fn word(choice: &Choice) -> String {
        match choice {
            Choice::Version1 => "v1".to_owned(),
            Choice::Manifest(id, usable) => {
                let peers: Vec<String> =
                    (1..9u8).filter(|n| usable.sources.contains(&source(*n))).map(|n| n.to_string()).collect();
                format!("{}:{}", id.0[0], peers.join("+"))
            }
        }
    }

    #[track_caller]
    fn check(plan: &Plan, pinned: Option<u8>, dial: &Dial, expected: &[&str]) {
        let usable = |sources: &[Source]| Usable::of(sources.to_vec(), dial, Some(source(8).peer));
        let choices = choices(plan, pinned.map(manifest_id), &usable);
        assert_eq!(choices.iter().map(word).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn manifests_are_tried_as_planned_and_version_1_last() {
        let dial = Dial::plaintext();
        let mut all = plan("a", &[(1, &[1, 2]), (2, &[3])]);
        check(&plan("a", &[]), None, &dial, &[]);
        check(&all, None, &dial, &["1:1+2", "2:3"]);
        all.v1_listed = true;
        check(&all, None, &dial, &["1:1+2", "2:3", "v1"]);
        all.manifests.clear();
        check(&all, None, &dial, &["v1"]);
    }

    #[test]
    fn a_pinned_manifest_is_the_only_one_tried() {
        let dial = Dial::plaintext();
        let all = Plan { v1_listed: true, ..plan("a", &[(1, &[1]), (2, &[2])]) };
        check(&all, Some(2), &dial, &["2:2"]);
        check(&all, Some(3), &dial, &["3:"]);
    }

    #[test]
    fn the_own_account_is_no_source() {
        check(&plan("a", &[(1, &[8, 1])]), None, &Dial::plaintext(), &["1:1"]);
        check(&plan("a", &[(1, &[8])]), None, &Dial::plaintext(), &["1:"]);
    }

    #[test]
    fn manifests_that_only_plaintext_peers_hold_come_last() {
        // Nothing may be called in plaintext; the manifest without any source is not held back by that.
        check(&plan("a", &[(1, &[1]), (2, &[]), (3, &[3])]), None, &Dial::default(), &["2:", "1:", "3:"]);
    }

    #[test]
    fn the_number_of_manifests_tried_is_bounded() {
        let many: Vec<(u8, &[u8])> = (0..20).map(|n| (n, &[][..])).collect();
        let usable = |_: &[Source]| Usable::default();
        assert_eq!(choices(&plan("a", &many), None, &usable).len(), MANIFESTS_MAX);
    }

    #[test]
    fn passed_over_sources_are_counted_and_explained() {
        let encrypted = |n| Source { transport: Transport::Tls, ..source(n) };
        for (sources, dial, passed_over, only_plaintext) in [
            (vec![], Dial::default(), 0, false),
            (vec![source(1), source(8)], Dial::plaintext(), 0, false),
            (vec![source(1), source(8)], Dial::default(), 1, true),
            (vec![source(1), encrypted(2)], Dial::default(), 2, true),
            (vec![encrypted(2)], Dial::plaintext(), 1, false),
            (vec![source(8)], Dial::default(), 0, false),
        ] {
            let usable = Usable::of(sources.clone(), &dial, Some(source(8).peer));
            assert_eq!((usable.passed_over, usable.only_plaintext), (passed_over, only_plaintext), "{sources:?}");
            assert_eq!(usable.note().is_some(), passed_over > 0);
        }
    }
}
