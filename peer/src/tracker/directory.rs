//! The tracker as a download sees it: who serves a file, what its chunks are, and where to report.

use std::sync::Arc;

use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::manifest::Manifest;

use super::{TrackerClient, TrackerError};
use crate::fetch::{Directory, DirectoryError, FetchReport, Plan, V1Listing};
use crate::reports::ReportQueue;

/// A [`Directory`] over one tracker.
pub struct TrackerDirectory {
    client: Arc<TrackerClient>,
    reports: ReportQueue,
}

impl TrackerDirectory {
    pub(crate) fn new(client: Arc<TrackerClient>, reports: ReportQueue) -> Self {
        Self { client, reports }
    }
}

impl Directory for TrackerDirectory {
    fn plan(&self, file_hash: FileHash) -> Result<Plan, DirectoryError> {
        self.client.plan(file_hash).map_err(DirectoryError::from)
    }

    fn manifest(&self, id: ManifestId) -> Result<Manifest, DirectoryError> {
        self.client.manifest(id).map(|(manifest, _)| manifest).map_err(DirectoryError::from)
    }

    fn v1_listing(&self, file_hash: FileHash) -> Result<Option<V1Listing>, DirectoryError> {
        self.client.lookup_v1(file_hash).map_err(DirectoryError::from)
    }

    fn report(&self, reports: Vec<FetchReport>) {
        self.reports.push(reports);
    }
}

impl From<TrackerError> for DirectoryError {
    fn from(error: TrackerError) -> Self {
        match error {
            TrackerError::Answered { status: 404, .. } => Self::NotFound,
            TrackerError::Unreachable { .. } | TrackerError::Busy { .. } | TrackerError::Cancelled => {
                Self::Unreachable(error.to_string())
            }
            TrackerError::Answered { status: 500..=599, .. } => Self::Unreachable(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}
