//! Who publishes what is downloaded: asked before the first byte, because the tracker answers then, and may be insisted on.

use peernet_engine::ids::ManifestId;
use peernet_engine::link::Target;

use super::{Node, manifest_of};
use crate::discovery::tracker::TrackerDirectory;
use crate::discovery::{DirectoryError, Plan};
use crate::download::FetchError;
use crate::error::NodeError;
use crate::publication::{Publication, Publisher};

/// Manifests of one file that are asked about; more than one is a sign of liars.
const MANIFESTS_MAX: usize = 8;

/// What is known of who publishes a download.
#[derive(Debug)]
pub(in crate::node) struct Published {
    /// The only manifest that may be used: a link's, or one that the publisher asked for has signed.
    pub(in crate::node) manifest: Option<ManifestId>,
    /// Of which manifest something is known, and what.
    found: Option<(ManifestId, Publication)>,
}

impl Published {
    /// Who publishes this one, if that was asked.
    pub(in crate::node) fn of(&self, manifest: ManifestId) -> Option<Publication> {
        self.found.filter(|(asked, _)| *asked == manifest).map(|(_, publication)| publication)
    }
}

impl Node {
    /// Where a publisher is insisted on, nobody else's manifest will do.
    pub(in crate::node) fn published(
        &self,
        directory: &TrackerDirectory,
        target: &Target,
        plan: &Result<Plan, FetchError>,
        insisted: Option<Publisher>,
    ) -> Result<Published, NodeError> {
        let named = manifest_of(target);
        let planned = plan.iter().flat_map(|plan| &plan.manifests).map(|manifest| manifest.id);
        let candidates: Vec<ManifestId> = match named {
            Some(id) => vec![id],
            None => planned.take(MANIFESTS_MAX).collect(),
        };
        let Some(publisher) = insisted else {
            // It is only shown: a tracker that does not answer now holds nobody up.
            let asked = candidates.first().filter(|_| plan.is_ok());
            let found = asked.and_then(|id| Some((*id, directory.first_publication(*id).ok()??)));
            return Ok(Published { manifest: named, found });
        };
        for id in candidates {
            if let Some(publication) = directory.publication_by(id, publisher).map_err(FetchError::Directory)? {
                return Ok(Published { manifest: Some(id), found: Some((id, publication)) });
            }
        }
        match plan {
            Err(FetchError::Directory(DirectoryError::Unreachable(why))) => Err(NodeError::Unreachable(why.clone())),
            _ => Err(NodeError::NotFound(format!("nobody shares this file as {publisher} has signed it"))),
        }
    }
}
