//! Connections beyond their client's cap, kept until another connection of that client ends.
//!
//! Version 1 programs open a connection for every report, so a burst of them is honest. A waiting connection costs an open file
//! and no thread, is not read, and takes only places that no admitted connection needs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::link::{Client, Link};

/// The waiting connections, in the order of their arrival.
#[derive(Default)]
pub(crate) struct WaitingRoom {
    queue: VecDeque<Waiting>,
}

struct Waiting {
    client: Client,
    link: Arc<Link>,
    until: Instant,
}

impl WaitingRoom {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Lets a connection wait until `until`; false if `per_client_max` connections of its client wait already. All wait equally
    /// long, so the queue is in the order of its deadlines.
    pub(crate) fn push(&mut self, link: &Arc<Link>, until: Instant, per_client_max: usize) -> bool {
        let client = link.client();
        let fits = self.queue.iter().filter(|waiting| waiting.client == client).count() < per_client_max;
        if fits {
            self.queue.push_back(Waiting { client, link: Arc::clone(link), until });
        }
        fits
    }

    pub(crate) fn has(&self, client: Client) -> bool {
        self.queue.iter().any(|waiting| waiting.client == client)
    }

    /// Removes the connection of `client` that has waited longest.
    pub(crate) fn pop_of(&mut self, client: Client) -> Option<Arc<Link>> {
        let at = self.queue.iter().position(|waiting| waiting.client == client)?;
        self.queue.remove(at).map(|waiting| waiting.link)
    }

    /// Removes the connection that came last, which gives way first.
    pub(crate) fn pop_last(&mut self) -> Option<Arc<Link>> {
        self.queue.pop_back().map(|waiting| waiting.link)
    }

    /// Removes the connection that came first.
    pub(crate) fn pop_first(&mut self) -> Option<Arc<Link>> {
        self.queue.pop_front().map(|waiting| waiting.link)
    }

    /// The earliest deadline.
    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        self.queue.front().map(|waiting| waiting.until)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    fn link(remote: &str) -> Arc<Link> {
        let (socket, _) = UnixStream::pair().expect("a pair of sockets");
        Arc::new(Link::new(OwnedFd::from(socket).into(), Some(remote.parse().expect(remote))))
    }

    /// A room with a waiting connection for each address, in this order, with deadlines a second apart.
    fn room(remotes: &[&str]) -> (WaitingRoom, Vec<Arc<Link>>, Instant) {
        let begin = Instant::now();
        let mut room = WaitingRoom::default();
        let links: Vec<_> = remotes.iter().map(|remote| link(remote)).collect();
        for (at, link) in links.iter().enumerate() {
            assert!(room.push(link, begin + Duration::from_secs(at as u64), 100));
        }
        (room, links, begin)
    }

    fn position(links: &[Arc<Link>], found: Option<Arc<Link>>) -> Option<usize> {
        found.and_then(|found| links.iter().position(|link| Arc::ptr_eq(link, &found)))
    }

    #[test]
    fn a_client_has_its_longest_waiting_connection_first() {
        let (mut room, links, _) = room(&["10.0.0.1", "10.0.0.2", "10.0.0.1", "::ffff:10.0.0.2"]);
        assert_eq!(position(&links, room.pop_of(links[2].client())), Some(0));
        assert_eq!(position(&links, room.pop_of(links[2].client())), Some(2));
        assert!(!room.has(links[0].client()) && room.has(links[1].client()));
        assert_eq!(position(&links, room.pop_of(links[0].client())), None);
        assert_eq!(position(&links, room.pop_of(links[1].client())), Some(1));
        assert_eq!((room.len(), position(&links, room.pop_first())), (1, Some(3)));
    }

    #[test]
    fn the_last_gives_way_and_the_first_runs_out() {
        let (mut room, links, begin) = room(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        assert_eq!(room.first_deadline(), Some(begin));
        assert_eq!(position(&links, room.pop_last()), Some(2));
        assert_eq!(position(&links, room.pop_first()), Some(0));
        assert_eq!(room.first_deadline(), Some(begin + Duration::from_secs(1)));
        assert_eq!(position(&links, room.pop_last()), Some(1));
        assert_eq!((room.first_deadline(), room.len()), (None, 0));
        assert!(room.pop_first().is_none() && room.pop_last().is_none());
    }

    #[test]
    fn a_client_waits_with_no_more_than_its_share() {
        let (mut room, links, begin) = room(&["10.0.0.1", "10.0.0.2"]);
        for (remote, share, fits) in [
            ("10.0.0.1", 1, false),
            ("10.0.0.1", 2, true),
            ("10.0.0.1", 2, false),
            ("10.0.0.2", 1, false),
            ("10.0.0.3", 0, false),
            ("10.0.0.3", 1, true),
        ] {
            assert_eq!(room.push(&link(remote), begin, share), fits, "{remote} {share}");
        }
        assert_eq!(room.len(), 4);
        assert!(room.has(links[1].client()));
    }
}
