//! What of a plan is the same for every asker at a site, made once and used while it holds: who is offered, how they stand, and
//! how each is written.
//!
//! It holds until the file's version changes, and otherwise for a moment: standings move, and where only some of the holders were
//! drawn others must have their turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peernet_engine::economy::{LISTED_MAX, Standing, Tier, shown_score};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;

use super::answer;
use crate::api::ApiError;
use crate::app::App;
use crate::routes::files::known_view;
use crate::routes::files::offered::Known;
use crate::store::MANIFESTS_MAX;
use crate::swarm::sources::{Offer, offers};
use crate::swarm::{FileView, ManifestMeta, ManifestView};

/// How long one is used while nothing changes, in milliseconds.
const HOLDS_MS: i64 = 1_000;
/// The same where only some of the holders were drawn.
const HOLDS_DRAWN_MS: i64 = 200;
/// Files' plans a shard keeps; past it the shard starts afresh.
const FILES_PER_SHARD: usize = 256;
/// Sites of a file that are kept apart.
const SITES_MAX: usize = 4;
const SHARDS: usize = 64;

/// One file as askers of one site may see it.
pub(super) struct Prepared {
    pub(super) view: FileView,
    pub(super) manifests: Vec<PreparedManifest>,
    pub(super) etag: String,
    /// What its plans begin with.
    pub(super) opening: Box<[u8]>,
    site: Option<Arc<str>>,
    made_at: UnixMillis,
    drawn: bool,
}

/// One of its manifests.
pub(super) struct PreparedManifest {
    /// Its place in the view.
    place: usize,
    pub(super) meta: ManifestMeta,
    pub(super) offers: Vec<Offer>,
    standings: Vec<Standing>,
    /// What stands before its sources.
    pub(super) opening: Box<[u8]>,
    /// Each offer as JSON.
    pub(super) sources: Vec<Box<[u8]>>,
    has_unlisted: bool,
    /// Whether there are more holders than offers.
    drawn: bool,
}

impl PreparedManifest {
    /// What the ranking may know.
    pub(super) fn known(&self) -> Known<'_> {
        Known {
            chunks: self.meta.chunks,
            offers: &self.offers,
            standings: &self.standings,
            looks_for_only_holders: !self.drawn && (self.has_unlisted || self.offers.len() > LISTED_MAX),
        }
    }
}

impl Prepared {
    pub(super) fn view_of(&self, manifest: &PreparedManifest) -> &ManifestView {
        &self.view.manifests[manifest.place]
    }

    fn holds(&self, now: UnixMillis, version: u64) -> bool {
        let for_ms = if self.drawn { HOLDS_DRAWN_MS } else { HOLDS_MS };
        self.view.version == version && (0..for_ms).contains(&(now.0 - self.made_at.0))
    }
}

/// Those that were made lately.
pub struct PlanCache {
    shards: [Mutex<Files>; SHARDS],
}

impl Default for PlanCache {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

/// By site, the newest first.
type Files = HashMap<FileHash, Vec<Arc<Prepared>>>;

impl PlanCache {
    /// A file as askers of `site` may see it now; `None` where nobody holds a lease on it.
    pub(super) fn prepared(
        &self,
        app: &App,
        now: UnixMillis,
        file: FileHash,
        site: Option<&Arc<str>>,
    ) -> Result<Option<Arc<Prepared>>, ApiError> {
        let Some((version, _)) = app.swarm.version_of(file) else { return Ok(None) };
        let is_ours = |prepared: &&Arc<Prepared>| prepared.site.as_ref() == site;
        let found = self.shard(file).get(&file).and_then(|sites| sites.iter().find(is_ours)).map(Arc::clone);
        if let Some(prepared) = found.filter(|prepared| prepared.holds(now, version)) {
            return Ok(Some(prepared));
        }
        let Some(prepared) = prepare(app, now, file, site)?.map(Arc::new) else { return Ok(None) };
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

fn prepare(app: &App, now: UnixMillis, file: FileHash, site: Option<&Arc<str>>) -> Result<Option<Prepared>, ApiError> {
    let Some(view) = known_view(app, now, file, site.map(AsRef::as_ref))? else { return Ok(None) };
    let mut places: Vec<usize> = (0..view.manifests.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(view.manifests[*place].useful));
    places.truncate(MANIFESTS_MAX);
    let manifests: Vec<PreparedManifest> =
        places.into_iter().filter_map(|place| prepare_manifest(app, &view, place)).collect();
    let drawn = manifests.iter().any(|manifest| manifest.drawn);
    let (etag, opening) = (app.swarm.etag(view.version), answer::opening(file, &view.name));
    Ok(Some(Prepared { view, manifests, etag, opening, site: site.cloned(), made_at: now, drawn }))
}

fn prepare_manifest(app: &App, view: &FileView, place: usize) -> Option<PreparedManifest> {
    let manifest = &view.manifests[place];
    let meta = manifest.meta.clone()?;
    let offers = offers(view, manifest, &meta);
    let peers: Vec<PeerId> = offers.iter().map(|offer| offer.peer.id).collect();
    let standings = app.reputation.standings(&peers);
    let written =
        offers.iter().zip(&standings).map(|(offer, standing)| answer::source(offer, shown_score(standing.score)));
    let sources = written.collect();
    let has_unlisted = standings.iter().any(|standing| standing.tier == Tier::Unlisted);
    let opening = answer::manifest_opening(manifest.id, &meta);
    Some(PreparedManifest { place, meta, opening, sources, has_unlisted, drawn: manifest.drawn, offers, standings })
}
