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
}
