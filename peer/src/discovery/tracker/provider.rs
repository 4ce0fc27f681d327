//! The tracker as a discovery provider of one download.

use std::sync::Arc;

use crossbeam_channel::select;
use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::manifest::Manifest;

use super::{TrackerClient, TrackerError};
use crate::access::GrantToken;
use crate::cancel::Cancel;
use crate::discovery::FetchReport;
use crate::discovery::askers::NotAsked;
use crate::discovery::tracker::reports::ReportQueue;
use crate::discovery::{DiscoveryError, GrantProvider, ManifestProvider, Plan, ReportSink, SourceDiscovery, V1Listing};
use crate::identity::Identity;
use crate::publication::{Publication, Publisher};

/// Asks one tracker for one download. Questions end when the download is cancelled.
pub(crate) struct TrackerProvider {
    client: Arc<TrackerClient>,
    reports: ReportQueue,
    cancel: Cancel,
}

impl TrackerProvider {
    pub(crate) fn new(client: Arc<TrackerClient>, reports: ReportQueue, cancel: Cancel) -> Self {
        Self { client, reports, cancel }
    }

    /// Asks on a thread of its own, which a cancelled download leaves behind. See [`crate::discovery::askers`].
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&TrackerClient) -> Result<T, TrackerError> + Send + 'static,
    ) -> Result<T, TrackerError> {
        let client = Arc::clone(&self.client);
        let asked = self.client.askers().ask("tracker-ask", move || question(&client));
        let busy = |NotAsked(why)| TrackerError::Busy { url: self.client.url().to_owned(), why };
        let answered = asked.map_err(busy)?;
        select! {
            recv(answered) -> result => result.unwrap_or(Err(TrackerError::Cancelled)),
            recv(self.cancel.channel()) -> _ => Err(TrackerError::Cancelled),
        }
    }

    /// Returns the publication of a manifest by this publisher, if there is one.
    pub(crate) fn publication_by(
        &self,
        manifest: ManifestId,
        publisher: Publisher,
    ) -> Result<Option<Publication>, DiscoveryError> {
        Ok(self.ask(move |client| client.publication_by(manifest, publisher))?)
    }

    /// Returns the first publication of a manifest, if there is one.
    pub(crate) fn first_publication(&self, manifest: ManifestId) -> Result<Option<Publication>, DiscoveryError> {
        Ok(self.ask(move |client| client.first_publication(manifest))?)
    }

    /// Gets another certificate for this node.
    pub(crate) fn certificate(&self) -> Result<Identity, TrackerError> {
        self.ask(TrackerClient::certificate)
    }
}

impl SourceDiscovery for TrackerProvider {
    fn plan(&self, file_hash: FileHash) -> Result<Plan, DiscoveryError> {
        Ok(self.ask(move |client| client.plan(file_hash))?)
    }

    fn v1_listing(&self, file_hash: FileHash) -> Result<Option<V1Listing>, DiscoveryError> {
        Ok(self.ask(move |client| client.lookup_v1(file_hash))?)
    }
}

impl ManifestProvider for TrackerProvider {
    fn manifest(&self, id: ManifestId) -> Result<Manifest, DiscoveryError> {
        Ok(self.ask(move |client| client.manifest(id).map(|(manifest, _)| manifest))?)
    }
}

impl GrantProvider for TrackerProvider {
    fn grant(&self, file_hash: FileHash) -> Result<Option<GrantToken>, DiscoveryError> {
        Ok(self.ask(move |client| client.grant(file_hash))?)
    }
}

impl ReportSink for TrackerProvider {
    fn report(&self, reports: Vec<FetchReport>) {
        self.reports.push(reports);
    }
}

impl From<TrackerError> for DiscoveryError {
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
