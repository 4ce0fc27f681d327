//! The publisher of a download. It is asked for before the first byte, and the user may insist on one.

use peernet_engine::ids::ManifestId;
use peernet_engine::link::Target;

use super::{Node, manifest_of};
use crate::discovery::tracker::TrackerProvider;
use crate::discovery::{DiscoveryError, Plan};
use crate::download::FetchError;
use crate::node::NodeError;
use crate::publication::{Publication, Publisher};

/// The most manifests of one file that are asked about. More than one means that some announcer lies.
const MANIFESTS_MAX: usize = 8;

/// The publication of a download, as far as it is known.
#[derive(Debug)]
pub(in crate::node) struct Published {
    /// The only manifest that may be used: a link's, or one that the publisher asked for has signed.
    pub(in crate::node) manifest: Option<ManifestId>,
    /// The manifest that was asked about, and its publication.
    found: Option<(ManifestId, Publication)>,
}

impl Published {
    /// The publication of this manifest, if it was asked about.
    pub(in crate::node) fn of(&self, manifest: ManifestId) -> Option<Publication> {
        self.found.filter(|(asked, _)| *asked == manifest).map(|(_, publication)| publication)
    }
}

impl Node {
    /// Asks for the publication. Where the user insists on a publisher, only its manifest may be used.
    pub(in crate::node) fn published(
        &self,
        tracker: &TrackerProvider,
        target: &Target,
        plan: &Result<Plan, FetchError>,
        required: Option<Publisher>,
    ) -> Result<Published, NodeError> {
        let named = manifest_of(target);
        let planned = plan.iter().flat_map(|plan| &plan.manifests).map(|manifest| manifest.id);
        let candidates: Vec<ManifestId> = match named {
            Some(id) => vec![id],
            None => planned.take(MANIFESTS_MAX).collect(),
        };
        let Some(publisher) = required else {
            // The publication is only shown, so a tracker that does not answer now does not hold up the download.
            let asked = candidates.first().filter(|_| plan.is_ok());
            let found = asked.and_then(|id| Some((*id, tracker.first_publication(*id).ok()??)));
            return Ok(Published { manifest: named, found });
        };
        for id in candidates {
            if let Some(publication) = tracker.publication_by(id, publisher).map_err(FetchError::Discovery)? {
                return Ok(Published { manifest: Some(id), found: Some((id, publication)) });
            }
        }
        match plan {
            Err(FetchError::Discovery(DiscoveryError::Unreachable(why))) => Err(NodeError::Unreachable(why.clone())),
            _ => Err(NodeError::NotFound(format!("no peer shares this file as {publisher} has signed it"))),
        }
    }
}
