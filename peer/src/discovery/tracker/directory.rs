//! The tracker as a download sees it: who serves a file, what its chunks are, and where to report.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{bounded, select};
use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::manifest::Manifest;

use super::{TrackerClient, TrackerError};
use crate::cancel::Cancel;
use crate::discovery::{Directory, DirectoryError, Plan, V1Listing};
use crate::download::FetchReport;
use crate::grants::Grant;
use crate::identity::Identity;
use crate::publication::{Publication, Publisher};
use crate::reports::ReportQueue;

/// Calls that may be under way at once over one client, those of cancelled downloads included.
const ASKING_MAX: usize = 256;

/// A [`Directory`] over one tracker, for one download.
pub struct TrackerDirectory {
    client: Arc<TrackerClient>,
    reports: ReportQueue,
    cancel: Cancel,
}

impl TrackerDirectory {
    pub(crate) fn new(client: Arc<TrackerClient>, reports: ReportQueue, cancel: Cancel) -> Self {
        Self { client, reports, cancel }
    }

    /// Asks on a thread of its own: an HTTP exchange cannot be interrupted, and a cancelled download must not wait for
    /// a tracker that does not answer. That thread then ends with the call's own time-outs, and touches nothing.
    fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&TrackerClient) -> Result<T, TrackerError> + Send + 'static,
    ) -> Result<T, TrackerError> {
        let not_now = |why: String| TrackerError::Busy { url: self.client.url().to_owned(), why };
        if Arc::strong_count(&self.client) > ASKING_MAX {
            return Err(not_now("too many calls to it are under way here".to_owned()));
        }
        let (answer, answered) = bounded(1);
        let client = Arc::clone(&self.client);
        let asking = thread::Builder::new().name("tracker-ask".to_owned()).spawn(move || {
            let _nobody_waits_any_more = answer.send(ask(&client));
        });
        asking.map_err(|error| not_now(format!("there is no thread to ask it on: {error}")))?;
        select! {
            recv(answered) -> result => result.unwrap_or(Err(TrackerError::Cancelled)),
            recv(self.cancel.channel()) -> _ => Err(TrackerError::Cancelled),
        }
    }

    /// How this publisher has published a manifest, if he has.
    pub(crate) fn publication_by(
        &self,
        manifest: ManifestId,
        publisher: Publisher,
    ) -> Result<Option<Publication>, DirectoryError> {
        Ok(self.ask(move |client| client.publication_by(manifest, publisher))?)
    }

    /// The first who published a manifest, if the tracker says so at once.
    pub(crate) fn first_publication(&self, manifest: ManifestId) -> Result<Option<Publication>, DirectoryError> {
        Ok(self.ask(move |client| client.first_publication(manifest))?)
    }

    /// Another certificate for this node.
    pub(crate) fn certificate(&self) -> Result<Identity, TrackerError> {
        self.ask(TrackerClient::certificate)
    }
}

impl Directory for TrackerDirectory {
    fn plan(&self, file_hash: FileHash) -> Result<Plan, DirectoryError> {
        Ok(self.ask(move |client| client.plan(file_hash))?)
    }

    fn manifest(&self, id: ManifestId) -> Result<Manifest, DirectoryError> {
        Ok(self.ask(move |client| client.manifest(id).map(|(manifest, _)| manifest))?)
    }

    fn v1_listing(&self, file_hash: FileHash) -> Result<Option<V1Listing>, DirectoryError> {
        Ok(self.ask(move |client| client.lookup_v1(file_hash))?)
    }

    fn grant(&self, file_hash: FileHash) -> Result<Option<Grant>, DirectoryError> {
        Ok(self.ask(move |client| client.grant(file_hash))?)
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
