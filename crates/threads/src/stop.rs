//! Stop by a dropped sender. It cannot be missed, needs no message and wakes every waiting thread at once.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

/// The channel's message type, which has no values: only the end of the channel means something.
enum Never {}

/// Keeps threads running while it lives. Dropping it stops them.
#[must_use = "dropping the stopper stops everything that holds its signal"]
pub struct Stopper {
    _keeps_open: Sender<Never>,
}

/// The signal that threads watch. Clone one for each thread.
#[derive(Clone)]
pub struct StopSignal {
    receiver: Receiver<Never>,
}

/// Makes a stopper and its signal.
pub fn stop_pair() -> (Stopper, StopSignal) {
    // A capacity of one holds nothing: no value of the message type exists.
    let (sender, receiver) = bounded(1);
    (Stopper { _keeps_open: sender }, StopSignal { receiver })
}

impl StopSignal {
    /// Returns whether the stopper was dropped.
    pub fn is_stopped(&self) -> bool {
        matches!(self.receiver.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Waits for the stop, at most `timeout`; true if it came. Threads pause with this and never by sleeping.
    pub fn wait(&self, timeout: Duration) -> bool {
        matches!(self.receiver.recv_timeout(timeout), Err(RecvTimeoutError::Disconnected))
    }

    /// Adds the stop to a `crossbeam_channel::Select`. Returns the index of the operation that becomes ready.
    pub fn add_to<'a>(&'a self, select: &mut crossbeam_channel::Select<'a>) -> usize {
        select.recv(&self.receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_wakes_when_the_stopper_is_dropped() {
        let (stopper, signal) = stop_pair();
        assert!(!signal.is_stopped() && !signal.wait(Duration::ZERO));
        let waiter = std::thread::spawn({
            let signal = signal.clone();
            move || signal.wait(Duration::from_secs(30))
        });
        drop(stopper);
        assert!(waiter.join().expect("the waiter does not panic"));
        assert!(signal.is_stopped());
    }

    #[test]
    fn every_clone_of_a_signal_sees_the_stop() {
        let (stopper, signal) = stop_pair();
        let clones: Vec<StopSignal> = (0..10).map(|_| signal.clone()).collect();
        assert!(clones.iter().all(|signal| !signal.is_stopped()));
        drop(stopper);
        assert!(clones.iter().all(StopSignal::is_stopped));
        assert!(clones.iter().all(|signal| signal.wait(Duration::ZERO)), "a stop is not used up");
    }

    #[test]
    fn a_stop_wakes_a_select_with_other_channels() {
        let (stopper, signal) = stop_pair();
        let (work_sender, work) = bounded::<u32>(1);
        let ready = |signal: &StopSignal| {
            let mut select = crossbeam_channel::Select::new();
            let stop = signal.add_to(&mut select);
            let job = select.recv(&work);
            let ready = select.ready_timeout(Duration::from_secs(30)).ok();
            (ready == Some(stop), ready == Some(job))
        };
        work_sender.send(7).expect("the queue has a place");
        assert_eq!(ready(&signal), (false, true));
        assert_eq!(work.recv(), Ok(7));
        drop(stopper);
        assert_eq!(ready(&signal), (true, false));
    }

    #[test]
    fn a_signal_outlives_its_stopper() {
        let signal = stop_pair().1;
        assert!(signal.is_stopped() && signal.wait(Duration::from_secs(30)));
    }
}
