//! Groups reports for one request: one entry for each (peer, file, outcome), with its chunks as runs.

use peernet_engine::cause::Cause;
use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::rest::{FAILED_UPLOAD, FeedbackEntry, SUCCESS_UPLOAD};

use crate::discovery::FetchReport;

/// The largest number of runs that the tracker accepts in one entry.
const RUNS_MAX: usize = 1_024;

/// Reports that wait to be sent. The entries of one peer keep the order of the reports.
#[derive(Default)]
pub(super) struct Batch {
    entries: Vec<Entry>,
}

struct Entry {
    peer: PeerId,
    file_hash: FileHash,
    success: bool,
    runs: Vec<(u32, u32)>,
}

impl Batch {
    /// Adds a report. Failures that are not the source's fault, such as a full local disk, are ignored.
    pub(super) fn add(&mut self, report: FetchReport) {
        if report.result.is_err_and(|cause: Cause| !cause.is_the_remotes_fault()) {
            return;
        }
        let success = report.result.is_ok();
        // Only the newest entry of a peer and file may grow: a failure between two successes stays between them.
        let newest = self.entries.iter_mut().rev().find(|e| e.peer == report.peer && e.file_hash == report.file_hash);
        let added = newest.is_some_and(|entry| entry.success == success && entry.add(report.chunk.0));
        if !added {
            let peer = report.peer;
            let file_hash = report.file_hash;
            let runs = vec![(report.chunk.0, 1)];
            self.entries.push(Entry { peer, file_hash, success, runs });
        }
    }

    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes all entries and returns them in their wire form.
    pub(super) fn take(&mut self) -> Vec<FeedbackEntry> {
        self.entries.drain(..).map(Entry::into_wire).collect()
    }
}

impl Entry {
    /// Adds a chunk. Returns false if the entry has no room for another run. A chunk is listed once, however often it
    /// had this outcome: the tracker refuses a batch if an entry lists a chunk twice.
    fn add(&mut self, chunk: u32) -> bool {
        if self.runs.iter().any(|(first, count)| chunk.checked_sub(*first).is_some_and(|at| at < *count)) {
            return true;
        }
        let has_place = self.runs.len() < RUNS_MAX;
        match self.runs.last_mut() {
            Some((first, count)) if *first + *count == chunk => *count += 1,
            _ if has_place => self.runs.push((chunk, 1)),
            _ => return false,
        }
        true
    }

    fn into_wire(self) -> FeedbackEntry {
        let event_type = if self.success { SUCCESS_UPLOAD } else { FAILED_UPLOAD };
        FeedbackEntry {
            target_peer_id: self.peer.to_string(),
            file_hash: self.file_hash.to_string(),
            chunks: self.runs,
            event_type: event_type.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::ChunkIndex;

    use super::*;

    fn check(reports: &[(u32, Result<(), Cause>)], expected: &[(&str, &[(u32, u32)])]) {
        let mut batch = Batch::default();
        for (chunk, result) in reports {
            let peer = PeerId::from_random([1; 16]);
            let file_hash = FileHash([2; 32]);
            batch.add(FetchReport { peer, file_hash, chunk: ChunkIndex(*chunk), result: *result });
        }
        let got = batch.take();
        let got: Vec<_> = got.iter().map(|e| (e.event_type.as_str(), e.chunks.as_slice())).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn neighbours_form_runs_and_outcomes_keep_their_order() {
        let bad = Err(Cause::BadHash);
        check(&[], &[]);
        check(&[(0, Ok(())), (1, Ok(())), (3, Ok(()))], &[(SUCCESS_UPLOAD, &[(0, 2), (3, 1)])]);
        check(
            &[(0, Ok(())), (1, bad), (2, Ok(()))],
            &[(SUCCESS_UPLOAD, &[(0, 1)]), (FAILED_UPLOAD, &[(1, 1)]), (SUCCESS_UPLOAD, &[(2, 1)])],
        );
        check(&[(0, Err(Cause::LocalDisk))], &[]);
        let gone = Err(Cause::Transport);
        check(&[(4, gone), (4, gone), (2, gone), (3, gone), (3, gone)], &[(FAILED_UPLOAD, &[(4, 1), (2, 2)])]);
    }

    #[test]
    fn an_entry_has_no_more_runs_than_the_tracker_accepts() {
        let mut batch = Batch::default();
        for chunk in (0..RUNS_MAX as u32 * 2 + 2).step_by(2) {
            let peer = PeerId::from_random([1; 16]);
            let file_hash = FileHash([2; 32]);
            batch.add(FetchReport { peer, file_hash, chunk: ChunkIndex(chunk), result: Ok(()) });
        }
        assert_eq!(batch.take().iter().map(|e| e.chunks.len()).collect::<Vec<_>>(), [RUNS_MAX, 1]);
    }
}
