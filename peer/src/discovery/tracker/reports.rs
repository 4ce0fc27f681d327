//! The reports thread: gathers the outcomes of fetched chunks and sends them to the tracker in batches.
//!
//! A download never waits for it. If the queue is full, reports are dropped.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use peernet_protos::limits::EVENTS_PER_BATCH_MAX;
use peernet_protos::rest::FeedbackEntry;
use peernet_threads::Group;

use super::{TrackerClient, TrackerError};
use crate::discovery::FetchReport;
use crate::discovery::tracker::report_batch::Batch;
use crate::log::Log;

/// Lists of reports that wait for the thread while a batch is being sent: some thousand chunks. If it is full, reports
/// are dropped, because losing feedback is better than delaying a download.
const QUEUE_MAX: usize = 1_024;
/// The time for which a report waits for others.
const GATHER: Duration = Duration::from_millis(500);

enum Message {
    Reports(Vec<FetchReport>),
    /// Sends all gathered reports, then signals.
    Flush(Sender<()>),
}

/// The sending side of the queue; cheap to clone.
#[derive(Clone)]
pub(crate) struct ReportQueue {
    sender: Sender<Message>,
}

impl ReportQueue {
    /// Queues reports, or drops them if the queue is full. Never blocks.
    pub(crate) fn push(&self, reports: Vec<FetchReport>) {
        let _dropped_when_full = self.sender.try_send(Message::Reports(reports));
    }

    /// Waits until all reports pushed before have been sent or given up, at most `timeout`. Returns whether they have.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let (done, wait) = bounded(1);
        self.sender.send_deadline(Message::Flush(done), deadline).is_ok() && wait.recv_deadline(deadline).is_ok()
    }
}

/// Starts the thread "reports". It ends after a last batch when the last queue is dropped.
pub(crate) fn start(client: Arc<TrackerClient>, log: Log, group: &mut Group) -> io::Result<ReportQueue> {
    start_with(move |entries| send(&client, &log, entries), group)
}

fn start_with(send: impl Fn(Vec<FeedbackEntry>) + Send + 'static, group: &mut Group) -> io::Result<ReportQueue> {
    let (sender, inbox) = bounded(QUEUE_MAX);
    group.spawn("reports", move || run(&inbox, &send))?;
    Ok(ReportQueue { sender })
}

fn run(inbox: &Receiver<Message>, send: &impl Fn(Vec<FeedbackEntry>)) {
    let mut batch = Batch::default();
    let mut due: Option<Instant> = None;
    loop {
        let message = match due {
            Some(due) => inbox.recv_deadline(due),
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(Message::Reports(reports)) => {
                for report in reports {
                    batch.add(report);
                    if batch.entries() >= EVENTS_PER_BATCH_MAX {
                        send(batch.take());
                    }
                }
                due = (!batch.is_empty()).then(|| due.unwrap_or_else(|| Instant::now() + GATHER));
            }
            Ok(Message::Flush(done)) => {
                send_if_any(&mut batch, send);
                due = None;
                let _caller_timed_out = done.try_send(());
            }
            Err(RecvTimeoutError::Timeout) => {
                send_if_any(&mut batch, send);
                due = None;
            }
            Err(RecvTimeoutError::Disconnected) => return send_if_any(&mut batch, send),
        }
    }
}

fn send_if_any(batch: &mut Batch, send: &impl Fn(Vec<FeedbackEntry>)) {
    if !batch.is_empty() {
        send(batch.take());
    }
}

fn send(client: &TrackerClient, log: &Log, entries: Vec<FeedbackEntry>) {
    match client.feedback(entries) {
        Ok(_) | Err(TrackerError::Cancelled) => {}
        Err(error) => log.warn(&format!("reports about sources were lost: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::cause::Cause;
    use peernet_engine::ids::{ChunkIndex, FileHash, PeerId};

    use super::*;

    const WAIT: Duration = Duration::from_secs(30);

    fn report(peer: u8, chunk: u32) -> FetchReport {
        let peer = PeerId::from_random([peer; 16]);
        FetchReport { peer, file_hash: FileHash([1; 32]), chunk: ChunkIndex(chunk), result: Ok(()) }
    }

    fn started() -> (ReportQueue, Receiver<Vec<FeedbackEntry>>, Group) {
        let (sent, seen) = bounded(16);
        let mut group = Group::default();
        let queue = start_with(move |entries| sent.send(entries).expect("the test listens"), &mut group).unwrap();
        (queue, seen, group)
    }

    #[test]
    fn a_flush_sends_gathered_reports_as_runs() {
        let (queue, seen, group) = started();
        queue.push(vec![report(1, 0), report(1, 1), report(1, 5)]);
        queue.push(vec![FetchReport { result: Err(Cause::BadHash), ..report(2, 7) }]);
        assert!(queue.flush(WAIT));
        let entries = seen.try_recv().unwrap();
        let runs: Vec<_> = entries.iter().map(|e| (e.event_type.as_str(), e.chunks.clone())).collect();
        assert_eq!(runs, [("SUCCESS_UPLOAD", vec![(0, 2), (5, 1)]), ("FAILED_UPLOAD", vec![(7, 1)])]);
        assert!(queue.flush(WAIT) && seen.is_empty());
        drop(queue);
        group.join(WAIT).unwrap();
    }

    #[test]
    fn reports_are_sent_in_time_and_when_the_queue_is_dropped() {
        let (queue, seen, group) = started();
        queue.push(vec![report(1, 0)]);
        assert_eq!(seen.recv_timeout(WAIT).unwrap().len(), 1);
        queue.push(vec![report(1, 1)]);
        drop(queue);
        group.join(WAIT).unwrap();
        assert_eq!(seen.try_recv().unwrap()[0].chunks, [(1, 1)]);
    }
}
