//! Several providers as one.
//!
//! Sources are asked of all providers at once, and their plans are merged in the order of the providers. A provider
//! that fails is passed over as long as another one answers. A provider that is slow is left behind a while after the
//! first answer: its sources come with the next lookup, which a running download makes by itself. Manifests and grants
//! are asked of one provider after the other, until one has it. Reports go to every sink.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Select, after};
use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::manifest::Manifest;

use super::askers::Askers;
use super::plan::merge_sources;
use super::{DiscoveryError, GrantProvider, ManifestProvider, Plan, ReportSink, SourceDiscovery, V1Listing};
use crate::access::GrantToken;
use crate::cancel::Cancel;
use crate::discovery::FetchReport;

/// The time that the other providers still have after the first one has answered.
const PATIENCE: Duration = Duration::from_secs(1);

/// Providers of one download. Those that are added first count first.
#[derive(Default)]
pub(crate) struct Combined {
    sources: Vec<Arc<dyn SourceDiscovery>>,
    manifests: Vec<Arc<dyn ManifestProvider>>,
    grants: Vec<Arc<dyn GrantProvider>>,
    reports: Vec<Arc<dyn ReportSink>>,
    askers: Askers,
    cancel: Cancel,
}

impl Combined {
    /// No providers yet. Waits end with `cancel`.
    pub(crate) fn new(cancel: Cancel) -> Self {
        Self { cancel, ..Self::default() }
    }

    /// Adds a provider that does all four jobs.
    #[must_use]
    pub(crate) fn with<P>(self, provider: Arc<P>) -> Self
    where
        P: SourceDiscovery + ManifestProvider + GrantProvider + ReportSink + 'static,
    {
        let mut all = self.with_sources(Arc::<P>::clone(&provider));
        all.manifests.push(Arc::<P>::clone(&provider) as _);
        all.grants.push(Arc::<P>::clone(&provider) as _);
        all.reports.push(provider);
        all
    }

    /// Adds a provider that knows sources only.
    #[must_use]
    pub(crate) fn with_sources(mut self, provider: Arc<dyn SourceDiscovery>) -> Self {
        self.sources.push(provider);
        self
    }

    /// The answers of all source providers that came in time, in the order of the providers.
    fn ask_sources<T: Send + 'static>(
        &self,
        question: impl Fn(&dyn SourceDiscovery) -> Result<T, DiscoveryError> + Copy + Send + 'static,
    ) -> Vec<Result<T, DiscoveryError>> {
        // One provider needs no thread between.
        if let [only] = &self.sources[..] {
            return vec![question(only.as_ref())];
        }
        let asked = self.sources.iter().map(|provider| {
            let provider = Arc::clone(provider);
            self.askers.ask("discover", move || question(provider.as_ref()))
        });
        let mut answers: Vec<Option<Result<T, DiscoveryError>>> = Vec::new();
        let mut waiting: Vec<(usize, Receiver<Result<T, DiscoveryError>>)> = Vec::new();
        for (position, asked) in asked.enumerate() {
            match asked {
                Ok(answer) => {
                    waiting.push((position, answer));
                    answers.push(None);
                }
                Err(not_asked) => answers.push(Some(Err(DiscoveryError::Unreachable(not_asked.0)))),
            }
        }
        let mut patience = crossbeam_channel::never();
        let mut has_answer = false;
        while !waiting.is_empty() {
            let mut select = Select::new();
            for (_, answer) in &waiting {
                select.recv(answer);
            }
            let late = select.recv(&patience);
            select.recv(self.cancel.channel());
            let ready = select.ready();
            if ready >= late {
                break;
            }
            let (position, answer) = waiting.swap_remove(ready);
            let failed = || DiscoveryError::Unreachable("a provider failed".to_owned());
            let answer = answer.try_recv().unwrap_or_else(|_| Err(failed()));
            if answer.is_ok() && !has_answer {
                has_answer = true;
                patience = after(PATIENCE);
            }
            answers[position] = Some(answer);
        }
        let silent = || Err(DiscoveryError::Unreachable("a provider did not answer in time".to_owned()));
        answers.into_iter().map(|answer| answer.unwrap_or_else(silent)).collect()
    }
}

/// Splits answers from failures. The worst failure is returned where there is no answer at all.
fn answers_of<T>(results: Vec<Result<T, DiscoveryError>>) -> Result<Vec<T>, DiscoveryError> {
    let mut answers = Vec::new();
    let mut worst = DiscoveryError::NotFound;
    for result in results {
        match result {
            Ok(answer) => answers.push(answer),
            Err(error) if severity(&error) > severity(&worst) => worst = error,
            Err(_) => {}
        }
    }
    if answers.is_empty() { Err(worst) } else { Ok(answers) }
}

/// Orders failures by how much they say: that no provider knows a file is only sure when all of them have said so.
fn severity(error: &DiscoveryError) -> u8 {
    match error {
        DiscoveryError::NotFound => 0,
        DiscoveryError::Unreachable(_) => 1,
        DiscoveryError::Refused(_) => 2,
    }
}

impl SourceDiscovery for Combined {
    fn plan(&self, file_hash: FileHash) -> Result<Plan, DiscoveryError> {
        let plans = answers_of(self.ask_sources(move |provider| provider.plan(file_hash)))?;
        let mut plans = plans.into_iter();
        let mut merged = plans.next().unwrap_or_default();
        plans.for_each(|plan| merged.merge(plan));
        Ok(merged)
    }

    fn v1_listing(&self, file_hash: FileHash) -> Result<Option<V1Listing>, DiscoveryError> {
        let listings = answers_of(self.ask_sources(move |provider| provider.v1_listing(file_hash)))?;
        let mut listings = listings.into_iter().flatten();
        let Some(mut merged) = listings.next() else { return Ok(None) };
        for listing in listings {
            // A listing of other chunks is of another file, or a lie: its sources would be of no use.
            if listing.chunk_hashes == merged.chunk_hashes {
                merge_sources(&mut merged.sources, listing.sources);
            }
        }
        Ok(Some(merged))
    }
}

impl ManifestProvider for Combined {
    fn manifest(&self, id: ManifestId) -> Result<Manifest, DiscoveryError> {
        let mut failures = Vec::new();
        for provider in &self.manifests {
            match provider.manifest(id) {
                Ok(manifest) if manifest.id() == id => return Ok(manifest),
                // A wrong manifest is no answer, and another provider may have the right one.
                Ok(_) => failures.push(Err(DiscoveryError::NotFound)),
                Err(error) => failures.push(Err(error)),
            }
        }
        answers_of(failures)?.pop().ok_or(DiscoveryError::NotFound)
    }
}

impl GrantProvider for Combined {
    fn grant(&self, file_hash: FileHash) -> Result<Option<GrantToken>, DiscoveryError> {
        let mut answers = Vec::new();
        for provider in &self.grants {
            match provider.grant(file_hash) {
                Ok(Some(grant)) => return Ok(Some(grant)),
                answer => answers.push(answer),
            }
        }
        if answers.is_empty() {
            return Ok(None);
        }
        answers_of(answers).map(|_| None)
    }
}

impl ReportSink for Combined {
    fn report(&self, reports: Vec<FetchReport>) {
        if let Some((last, others)) = self.reports.split_last() {
            others.iter().for_each(|sink| sink.report(reports.clone()));
            last.report(reports);
        }
    }
}

#[cfg(test)]
mod tests;
