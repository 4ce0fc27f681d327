//! Stop as a dropped sender: cannot be missed, needs no message, wakes every waiter at once.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

/// Nothing is ever sent on the channel; only its end means something.
enum Never {}

/// Keeps everything running while it lives; dropping it is the stop.
#[must_use = "dropping the stopper stops everything that holds its signal"]
pub struct Stopper {
    _keeps_open: Sender<Never>,
}

/// What threads watch; clone one for each.
#[derive(Clone)]
pub struct StopSignal {
    receiver: Receiver<Never>,
}

/// A stopper and the signal that ends with it.
pub fn stop_pair() -> (Stopper, StopSignal) {
    // A capacity of one holds nothing: no value of the message type exists.
    let (sender, receiver) = bounded(1);
    (Stopper { _keeps_open: sender }, StopSignal { receiver })
}

impl StopSignal {
    /// Whether the stopper is gone.
    pub fn is_stopped(&self) -> bool {
        matches!(self.receiver.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Waits for the stop, at most `timeout`; true when it came. This is how a thread pauses: never by sleeping.
    pub fn wait(&self, timeout: Duration) -> bool {
        matches!(self.receiver.recv_timeout(timeout), Err(RecvTimeoutError::Disconnected))
    }

    /// Calls `ready` with an operation for `crossbeam_channel::Select`: add [`StopSignal::add_to`]'s index to a select loop.
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
