//! Connections beyond their client's cap, kept until one of that client ends: version 1 programs open one for every report.
//!
//! They cost an open file and no thread, are not read, and only take places that nobody else wants.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::admission::Link;

/// Those who wait, in the order they came.
#[derive(Default)]
pub(crate) struct WaitingRoom {
    queue: VecDeque<Waiting>,
}

struct Waiting {
    client: IpAddr,
    link: Arc<Link>,
    until: Instant,
}

impl WaitingRoom {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Lets a connection wait until `until`; false where `client` has `per_client_max` waiting already. Everybody waits
    /// equally long, so the queue is in the order of its deadlines.
    pub(crate) fn take_in(&mut self, client: IpAddr, link: &Arc<Link>, until: Instant, per_client_max: usize) -> bool {
        let fits = self.queue.iter().filter(|waiting| waiting.client == client).count() < per_client_max;
        if fits {
            self.queue.push_back(Waiting { client, link: Arc::clone(link), until });
        }
        fits
    }

    pub(crate) fn has(&self, client: IpAddr) -> bool {
        self.queue.iter().any(|waiting| waiting.client == client)
    }

    /// Whose turn it is among a client's.
    pub(crate) fn next_of(&mut self, client: IpAddr) -> Option<Arc<Link>> {
        let at = self.queue.iter().position(|waiting| waiting.client == client)?;
        self.queue.remove(at).map(|waiting| waiting.link)
    }

    /// Who came last and gives way first.
    pub(crate) fn last(&mut self) -> Option<Arc<Link>> {
        self.queue.pop_back().map(|waiting| waiting.link)
    }

    /// Until when the first one waits.
    pub(crate) fn first_until(&self) -> Option<Instant> {
        self.queue.front().map(|waiting| waiting.until)
    }

    pub(crate) fn first(&mut self) -> Option<Arc<Link>> {
        self.queue.pop_front().map(|waiting| waiting.link)
    }
}
