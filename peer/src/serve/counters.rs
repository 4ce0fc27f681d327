//! Counters of a server, from its start.

use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot of the counters of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UploadCounters {
    /// Payload bytes handed to gRPC, over all calls.
    pub bytes_sent: u64,
    /// `DownloadChunk` calls answered with a chunk.
    pub chunk_calls: u64,
    /// Blocks sent in `Fetch` calls.
    pub blocks_sent: u64,
    /// `Fetch` calls begun.
    pub streams_begun: u64,
    /// `Fetch` calls being served now.
    pub streams_now: u64,
    /// Calls and chunks refused, for any reason.
    pub refused: u64,
    /// Complaints that a chunk came wrong.
    pub complaints: u64,
    /// Chunks that were read again because of a complaint.
    pub complaints_checked: u64,
    /// Chunks among these that were wrong on the disk.
    pub complaints_upheld: u64,
}

/// Counters that every part of a server adds to.
#[derive(Default)]
pub(super) struct Counters {
    bytes_sent: AtomicU64,
    chunk_calls: AtomicU64,
    blocks_sent: AtomicU64,
    streams_begun: AtomicU64,
    refused: AtomicU64,
}

/// Counts of complaints.
pub(super) struct ComplaintCounts {
    pub(super) received: u64,
    pub(super) checked: u64,
    pub(super) upheld: u64,
}

impl Counters {
    pub(super) fn count_block(&self, len: u32) {
        self.blocks_sent.fetch_add(1, Ordering::Relaxed);
        self.count_bytes(len.into());
    }

    pub(super) fn count_bytes(&self, bytes: u64) {
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn count_chunk_call(&self) {
        self.chunk_calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_stream(&self) {
        self.streams_begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, streams_now: u64, complaints: ComplaintCounts) -> UploadCounters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        UploadCounters {
            bytes_sent: of(&self.bytes_sent),
            chunk_calls: of(&self.chunk_calls),
            blocks_sent: of(&self.blocks_sent),
            streams_begun: of(&self.streams_begun),
            streams_now,
            refused: of(&self.refused),
            complaints: complaints.received,
            complaints_checked: complaints.checked,
            complaints_upheld: complaints.upheld,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_what_all_threads_have_counted() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        counters.count_block(10);
                        counters.count_bytes(1);
                        counters.count_chunk_call();
                    }
                    counters.count_stream();
                    counters.count_refused();
                    counters.count_refused();
                });
            }
        });
        let expected = UploadCounters {
            bytes_sent: 4_400,
            chunk_calls: 400,
            blocks_sent: 400,
            streams_begun: 4,
            streams_now: 2,
            refused: 8,
            complaints: 5,
            complaints_checked: 3,
            complaints_upheld: 1,
        };
        assert_eq!(counters.snapshot(2, ComplaintCounts { received: 5, checked: 3, upheld: 1 }), expected);
    }
}
