//! The stop token of a blocking call. A thread can poll it, or wait for it together with other channels.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

/// A flag that is set once and never cleared. Clones are cheap and share the flag.
#[derive(Clone, Debug)]
pub struct Cancel {
    // Dropping the only sender is the signal. Every receiver sees it, however late it looks.
    sender: Arc<Mutex<Option<Sender<Infallible>>>>,
    receiver: Receiver<Infallible>,
}

impl Cancel {
    /// Creates a flag that is not set.
    pub fn new() -> Self {
        let (sender, receiver) = bounded(0);
        Self { sender: Arc::new(Mutex::new(Some(sender))), receiver }
    }

    /// Sets the flag and wakes all waiting threads. Calling it again changes nothing.
    pub fn cancel(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Tells whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.receiver.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Returns a channel for `select!` that disconnects when the flag is set. It never carries a message.
    pub fn channel(&self) -> &Receiver<Infallible> {
        &self.receiver
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_sees_the_cancellation_and_wakes() {
        let cancel = Cancel::new();
        let clone = cancel.clone();
        assert!(!clone.is_cancelled());
        let waiter = std::thread::spawn(move || {
            let woken = clone.channel().recv().is_err();
            woken && clone.is_cancelled()
        });
        cancel.cancel();
        cancel.cancel();
        assert!(waiter.join().unwrap());
    }
}
