//! Reports about sources, gathered and handed to the provider in batches.

use peernet_engine::cause::Cause;
use peernet_engine::ids::{ChunkIndex, FileHash, PeerId};

use crate::discovery::Discovery;
use crate::discovery::FetchReport;

/// The most reports that are gathered.
const REPORTS_MAX: usize = 256;

/// The reports of one pass.
pub(super) struct Reporting<'env> {
    sink: &'env dyn Discovery,
    file_hash: FileHash,
    reports: Vec<FetchReport>,
}

impl<'env> Reporting<'env> {
    pub(super) fn new(sink: &'env dyn Discovery, file_hash: FileHash) -> Self {
        Self { sink, file_hash, reports: Vec::new() }
    }

    /// Adds a result, unless it is a failure that is not the source's fault.
    pub(super) fn add(&mut self, peer: PeerId, chunk: ChunkIndex, result: Result<(), Cause>) {
        if result.is_err_and(|cause| !cause.is_the_remotes_fault()) {
            return;
        }
        self.reports.push(FetchReport { peer, file_hash: self.file_hash, chunk, result });
        if self.reports.len() >= REPORTS_MAX {
            self.hand_over();
        }
    }

    /// Hands the reports over if they are many, which keeps feedback coming during a long download.
    pub(super) fn hand_over_many(&mut self) {
        if self.reports.len() >= REPORTS_MAX / 4 {
            self.hand_over();
        }
    }

    /// Hands all reports over.
    pub(super) fn hand_over(&mut self) {
        if !self.reports.is_empty() {
            self.sink.report(std::mem::take(&mut self.reports));
        }
    }
}
