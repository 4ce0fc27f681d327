//! The part of a plan that is the same for every caller of a site: sources, their reputations, and their JSON. It is
//! made once and reused.
//!
//! It is reused until the file's version changes, and for a moment at most: reputations change, and where only some
//! holders were drawn others must get their turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peernet_engine::economy::{LISTED_MAX, Standing, Tier, shown_score};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;

use super::reply;
use crate::api::ApiError;
use crate::api::handlers::FileCalls;
use crate::api::handlers::files::known_view;
use crate::api::handlers::files::offered::Ranked;
use crate::domain::swarm::sources::{Offer, offers};
use crate::domain::swarm::{FileView, ManifestMeta, ManifestView};
use crate::store::MANIFESTS_MAX;

/// The time for which a plan is reused while nothing changes, in milliseconds.
const HOLDS_MS: i64 = 1_000;
/// The time for which a plan is reused where only some of the holders were drawn, in milliseconds.
const HOLDS_DRAWN_MS: i64 = 200;
/// The most files in a shard; past it the shard is emptied.
const FILES_PER_SHARD: usize = 256;
/// The most sites per file.
const SITES_MAX: usize = 4;
const SHARDS: usize = 64;

/// One file as callers of one site may see it.
pub(super) struct Prepared {
    pub(super) view: FileView,
    pub(super) manifests: Vec<PreparedManifest>,
    pub(super) etag: String,
    /// The beginning of its plans.
    pub(super) opening: Box<[u8]>,
    site: Option<Arc<str>>,
    made_at: UnixMillis,
    drawn: bool,
}

/// One of its manifests with its sources.
pub(super) struct PreparedManifest {
    /// The position of the manifest in the view.
    index: usize,
    pub(super) meta: ManifestMeta,
    pub(super) offers: Vec<Offer>,
    standings: Vec<Standing>,
    /// The text before its sources.
    pub(super) opening: Box<[u8]>,
    /// Each source as JSON.
    pub(super) sources: Vec<Box<[u8]>>,
    has_unlisted: bool,
    /// Whether there are more holders than sources here.
    drawn: bool,
}

impl PreparedManifest {
    /// The sources with their reputations, for the choice.
    pub(super) fn ranked(&self) -> Ranked<'_> {
        Ranked {
            offers: &self.offers,
            standings: &self.standings,
            seeks_only_holders: !self.drawn && (self.has_unlisted || self.offers.len() > LISTED_MAX),
        }
    }
}

impl Prepared {
    pub(super) fn view_of(&self, manifest: &PreparedManifest) -> &ManifestView {
        &self.view.manifests[manifest.index]
    }

    fn holds(&self, now: UnixMillis, version: u64) -> bool {
        let for_ms = if self.drawn { HOLDS_DRAWN_MS } else { HOLDS_MS };
        self.view.version == version && (0..for_ms).contains(&(now.0 - self.made_at.0))
    }
}

/// The prepared plans of recent lookups.
pub struct PlanCache {
    shards: [Mutex<Files>; SHARDS],
}

impl Default for PlanCache {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

/// The prepared plans of each file by site, newest first.
type Files = HashMap<FileHash, Vec<Arc<Prepared>>>;

impl PlanCache {
    /// Prepares a file for callers of `site`, or reuses it; `None` where no peer holds a lease on it.
    pub(super) fn prepared(
        &self,
        calls: &FileCalls,
        now: UnixMillis,
        file: FileHash,
        site: Option<&Arc<str>>,
    ) -> Result<Option<Arc<Prepared>>, ApiError> {
        let Some((version, _)) = calls.swarm.version_of(file) else { return Ok(None) };
        let is_ours = |prepared: &&Arc<Prepared>| prepared.site.as_ref() == site;
        let found = self.shard(file).get(&file).and_then(|sites| sites.iter().find(is_ours)).map(Arc::clone);
        if let Some(prepared) = found.filter(|prepared| prepared.holds(now, version)) {
            return Ok(Some(prepared));
        }
        let Some(prepared) = prepare(calls, now, file, site)?.map(Arc::new) else { return Ok(None) };
        self.keep(file, &prepared);
        Ok(Some(prepared))
    }

    fn keep(&self, file: FileHash, prepared: &Arc<Prepared>) {
        let mut shard = self.shard(file);
        if shard.len() >= FILES_PER_SHARD && !shard.contains_key(&file) {
            shard.clear();
        }
        let sites = shard.entry(file).or_default();
        sites.retain(|other| other.site != prepared.site);
        sites.truncate(SITES_MAX - 1);
        sites.insert(0, Arc::clone(prepared));
    }

    fn shard(&self, file: FileHash) -> MutexGuard<'_, Files> {
        self.shards[usize::from(file.0[0]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prepare(
    calls: &FileCalls,
    now: UnixMillis,
    file: FileHash,
    site: Option<&Arc<str>>,
) -> Result<Option<Prepared>, ApiError> {
    let Some(view) = known_view(calls, now, file, site.map(AsRef::as_ref))? else { return Ok(None) };
    let mut indexes: Vec<usize> = (0..view.manifests.len()).collect();
    indexes.sort_by_key(|index| std::cmp::Reverse(view.manifests[*index].useful));
    indexes.truncate(MANIFESTS_MAX);
    let manifests: Vec<PreparedManifest> =
        indexes.into_iter().filter_map(|index| prepare_manifest(calls, &view, index)).collect();
    let drawn = manifests.iter().any(|manifest| manifest.drawn);
    let etag = calls.swarm.etag(view.version);
    let opening = reply::opening(file, &view.name);
    Ok(Some(Prepared { view, manifests, etag, opening, site: site.cloned(), made_at: now, drawn }))
}

fn prepare_manifest(calls: &FileCalls, view: &FileView, index: usize) -> Option<PreparedManifest> {
    let manifest = &view.manifests[index];
    let meta = manifest.meta.clone()?;
    let offers = offers(view, manifest, &meta);
    let peers: Vec<PeerId> = offers.iter().map(|offer| offer.peer.id).collect();
    let standings = calls.reputation.standings(&peers);
    let written =
        offers.iter().zip(&standings).map(|(offer, standing)| reply::source(offer, shown_score(standing.score)));
    let sources = written.collect();
    let has_unlisted = standings.iter().any(|standing| standing.tier == Tier::Unlisted);
    let opening = reply::manifest_opening(manifest.id, &meta);
    Some(PreparedManifest { index, meta, opening, sources, has_unlisted, drawn: manifest.drawn, offers, standings })
}
