//! The caps, and which connections wait or give way, without threads and deadlines.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::{Admission, Entry, TurnedAway};
use crate::DoorLimits;
use crate::link::Link;

fn links(remotes: &[&str]) -> Vec<Arc<Link>> {
    let link = |remote: &&str| {
        let (socket, _) = UnixStream::pair().unwrap();
        Arc::new(Link::new(OwnedFd::from(socket).into(), Some(remote.parse().unwrap())))
    };
    remotes.iter().map(link).collect()
}

fn admission(connections_max: usize, connections_per_address_max: usize, address_wait: Duration) -> Admission {
    let fds_max = Some(100_000);
    let limits =
        DoorLimits { connections_max, connections_per_address_max, address_wait, fds_max, ..DoorLimits::default() };
    Admission::new(&limits)
}

/// The decision about each link, in words: its place, `waits`, or why it was turned away; `>` if a waiting one gave way.
fn admit_all(admission: &Admission, links: &[Arc<Link>]) -> Vec<String> {
    let admitted = links.iter().map(|link| match admission.admit(link) {
        Entry::In { id, gives_way } => format!("{id}{}", if gives_way.is_some() { ">" } else { "" }),
        Entry::Waits => "waits".to_owned(),
        Entry::Not(TurnedAway::Address) => "address".to_owned(),
        Entry::Not(TurnedAway::Full) => "full".to_owned(),
    });
    admitted.collect()
}

#[test]
fn caps_count_per_client_and_in_all() {
    let admission = admission(4, 2, Duration::ZERO);
    let links = links(&["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1", "2001:db8::1", "2001:db8::2", "2001:db8::3"]);
    assert_eq!(admit_all(&admission, &links), ["0", "1", "address", "2", "3", "address"]);
    assert_eq!(admit_all(&admission, &self::links(&["10.0.0.2"])), ["full"]);
    admission.leave(0);
    admission.leave(0);
    assert_eq!(admission.open_count(), 3);
    assert_eq!(admit_all(&admission, &links[2..3]), ["4"]);
    (1..5).for_each(|id| admission.leave(id));
    assert!(admission.lock().per_client.is_empty());
}

#[test]
fn a_waiting_connection_follows_its_client_and_gives_way() {
    let admission = admission(4, 1, Duration::from_secs(60));
    let links = links(&["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2"]);
    assert_eq!(admit_all(&admission, &links), ["0", "waits", "waits", "1"]);
    assert!(admission.is_wanted(&links[0]) && !admission.is_wanted(&links[3]));
    assert_eq!(admit_all(&admission, &self::links(&["10.0.0.1", "10.0.0.3"])), ["address", "2>"]);
    assert_eq!((admission.waiting_count(), admission.open_count()), (1, 3));
    assert!(admission.pass_on(1).is_none(), "no connection of that client waits");
    let next = admission.pass_on(0).unwrap();
    assert!(Arc::ptr_eq(&next, &links[1]), "the one that came first");
    assert!(!admission.is_wanted(&links[0]));
    assert!(admission.pass_on(0).is_none() && admission.pass_on(2).is_none());
    assert_eq!((admission.waiting_count(), admission.open_count()), (0, 0));
    assert!(admission.lock().per_client.is_empty());
}

#[test]
fn a_client_has_at_most_its_share_waiting() {
    let admission = admission(100, 1, Duration::from_secs(60));
    let many = links(&["10.0.0.1"; 18]);
    let other = links(&["10.0.0.2"; 2]);
    let admitted = admit_all(&admission, &many);
    assert_eq!((admitted[0].as_str(), admitted[16].as_str(), admitted[17].as_str()), ("0", "waits", "address"));
    assert_eq!(admit_all(&admission, &other), ["1", "waits"]);
    let mut waiting = admission.end_waiting();
    assert_eq!((waiting.len(), admission.waiting_count()), (17, 0));
    assert!(Arc::ptr_eq(&waiting.pop_first().unwrap(), &many[1]));
    assert_eq!(admit_all(&admission, &other), ["address", "address"], "closed");
}
