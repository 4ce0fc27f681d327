//! The index against a plain model: random announces, renewals, departures, withdrawals and expiries from a seed.

use std::collections::BTreeMap;

use peernet_engine::random::Rng;

use super::*;

const PEERS: u8 = 5;
const FILES: u8 = 3;
/// The length of a lease, in minutes.
const LEASE: i64 = 5;
/// The time for which a departed holder counts, in minutes.
const GRACE: i64 = 10;

type Key = (u8, u8);

/// A record of the model: the chunks, and the minute at which it ends.
#[derive(Debug, Clone, PartialEq)]
struct Record {
    held: Held,
    ends: i64,
}

/// The leases and departed holders by file and peer, as maps.
#[derive(Default)]
struct Model {
    minute: i64,
    leases: BTreeMap<Key, Record>,
    departed: BTreeMap<Key, Record>,
}

impl Model {
    /// Ends the leases that `ending` selects, and remembers them as departed. Returns their number.
    fn end(&mut self, ending: impl Fn(&Key, &Record) -> bool) -> usize {
        let ended: Vec<(Key, Record)> = self.leases.extract_if(.., |key, record| ending(key, record)).collect();
        let count = ended.len();
        let ends = self.minute + GRACE;
        self.departed.extend(ended.into_iter().map(|(key, record)| (key, Record { ends, ..record })));
        count
    }

    fn expire(&mut self) -> usize {
        let minute = self.minute;
        self.departed.retain(|_, record| record.ends > minute);
        self.end(|_, record| record.ends <= minute)
    }

    fn holds(&self, key: Key, index: u32) -> bool {
        let contains = |record: &Record| record.ends > self.minute && record.held.contains(ChunkIndex(index));
        [&self.leases, &self.departed].iter().any(|records| records.get(&key).is_some_and(contains))
    }
}

fn random_held(rng: &mut Rng) -> Held {
    match rng.below(3) {
        0 => Held::Complete,
        1 => some(&[]),
        _ => some(&[rng.below(9) as u32, rng.below(9) as u32]),
    }
}

/// Does one random act to both, and compares what the act returns.
fn act(rng: &mut Rng, swarm: &Swarm, model: &mut Model) {
    let now = at(model.minute);
    let one_file = rng.below(u64::from(FILES)) as u8;
    let one_peer = rng.below(u64::from(PEERS)) as u8;
    match rng.below(10) {
        0..=4 => {
            let held = random_held(rng);
            swarm.announce(now, lease(one_peer, one_file, held.clone()), None).expect("there is room");
            model.leases.insert((one_file, one_peer), Record { held, ends: model.minute + LEASE });
        }
        5 => {
            let left = swarm.leave(now, peer(one_peer), None);
            assert_eq!(left, model.end(|(_, peer), _| *peer == one_peer) as u64);
        }
        6 => {
            let left = swarm.leave(now, peer(one_peer), Some(&[file(one_file), file(FILES)]));
            assert_eq!(left, model.end(|key, _| *key == (one_file, one_peer)) as u64);
        }
        7 => {
            let by = model.minute - rng.below(LEASE as u64) as i64;
            let left = swarm.leave_before(now, peer(one_peer), None, Some(at(by)));
            assert_eq!(left, model.end(|(_, peer), record| *peer == one_peer && record.ends <= by + LEASE) as u64);
        }
        8 => {
            let withdrawn = swarm.withdraw(now, file(one_file));
            assert_eq!(withdrawn, model.end(|(file, _), _| *file == one_file));
        }
        _ => {
            model.minute += rng.below(4) as i64;
            assert_eq!(swarm.expire(at(model.minute)), model.expire());
        }
    }
}

/// Compares every answer of the index with the model.
fn compare(swarm: &Swarm, model: &Model) {
    let now = at(model.minute);
    for file_number in 0..FILES {
        let of_file = |(key, record): (&Key, &Record)| (key.0 == file_number).then(|| (key.1, record.clone()));
        let leased: BTreeMap<u8, Record> = model.leases.iter().filter_map(of_file).collect();
        let live: BTreeMap<u8, Record> =
            leased.iter().filter(|(_, record)| record.ends > model.minute).map(|(n, r)| (*n, r.clone())).collect();
        let view = swarm.view(now, file(file_number), None).unwrap_or_default();
        let holders = view.manifests.iter().flat_map(|manifest| &manifest.holders);
        let shown = holders.map(|h| (h.peer.id.0[0], Record { held: h.held.clone(), ends: minute(h.expires_at) }));
        assert_eq!(shown.collect::<BTreeMap<_, _>>(), live);
        let useful: usize = view.manifests.iter().map(|manifest| manifest.useful).sum();
        assert_eq!(useful, leased.values().filter(|record| !record.held.is_nothing()).count());
        assert_eq!(swarm.sources_of(file(file_number)), leased.len() as u64);
        let peers: Vec<PeerId> = (0..PEERS).map(peer).collect();
        let still: Vec<bool> = (0..PEERS).map(|n| live.contains_key(&n)).collect();
        assert_eq!(swarm.still_hold(now, file(file_number), &peers), still);
        for (peer_number, index) in (0..PEERS).flat_map(|n| (0..10).map(move |index| (n, index))) {
            let expected = index < 9 && model.holds((file_number, peer_number), index);
            let found = swarm.holds(now, peer(peer_number), file(file_number), ChunkIndex(index));
            assert_eq!(found, expected, "chunk {index} of file {file_number} at peer {peer_number}");
        }
    }
    for peer_number in 0..PEERS {
        let files = model.leases.keys().filter(|(_, peer)| *peer == peer_number).count();
        assert_eq!(swarm.files_of(peer(peer_number)), files as u64);
    }
    assert_eq!(swarm.usage().0, model.leases.len() + model.departed.len());
}

fn minute(at: UnixMillis) -> i64 {
    (at.0 - NOW.0) / MINUTE
}

#[test]
fn the_index_answers_as_a_model_of_plain_maps() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let swarm = Swarm::new(Limits::default());
        let mut model = Model::default();
        for _ in 0..120 {
            act(&mut rng, &swarm, &mut model);
            compare(&swarm, &model);
        }
        for minutes in [LEASE, GRACE] {
            model.minute += minutes;
            assert_eq!(swarm.expire(at(model.minute)), model.expire());
        }
        assert_empty(&swarm);
    }
}

/// Runs `change` and returns by how much the version of file 1 grew.
fn growth(swarm: &Swarm, change: impl FnOnce()) -> u64 {
    let version = || swarm.version_of(file(1)).map_or(0, |(version, _)| version);
    let before = version();
    change();
    version() - before
}

#[test]
fn a_version_grows_with_what_a_plan_shows() {
    let swarm = Swarm::new(Limits::default());
    let announce = |minute, lease: Lease| swarm.announce(at(minute), lease, None).expect("there is room");
    let moved = Lease { location: Arc::new(Location::plain("b:1")), ..lease(1, 1, Held::Complete) };
    let labelled = Lease { site: Some("lab".into()), ..moved.clone() };
    let meta = lease(1, 1, Held::Complete).meta.expect("has sizes");
    assert_eq!(growth(&swarm, || announce(0, lease(1, 1, some(&[1])))), 1, "the first announce");
    assert_eq!(growth(&swarm, || announce(1, lease(1, 1, some(&[1])))), 0, "a renewal");
    assert_eq!(growth(&swarm, || announce(1, lease(1, 1, Held::Complete))), 1, "more chunks");
    assert_eq!(growth(&swarm, || announce(1, moved)), 1, "another address");
    assert_eq!(growth(&swarm, || announce(1, labelled.clone())), 1, "another site");
    assert_eq!(growth(&swarm, || announce(2, labelled)), 0, "a renewal again");
    assert_eq!(growth(&swarm, || swarm.note_access_changed(file(1))), 1, "another visibility");
    let other = ManifestId([9; 32]);
    assert_eq!(growth(&swarm, || swarm.note_manifest(file(1), other, &meta, "g")), 1, "another manifest");
    assert_eq!(growth(&swarm, || swarm.note_manifest(file(1), other, &meta, "g")), 0, "a known manifest");
    assert_eq!(growth(&swarm, || assert_eq!(swarm.leave(at(2), peer(2), None), 0)), 0, "another peer leaves");
    assert_eq!(growth(&swarm, || assert_eq!(swarm.leave(at(2), peer(1), None), 1)), 1, "the holder leaves");
    assert_eq!(&*swarm.view(at(2), file(1), None).expect("is remembered").name, "f", "the first name stays");
}

#[test]
fn an_etag_holds_only_within_its_process() {
    let swarm = Swarm::new(Limits::default());
    let other = Swarm { epoch: swarm.epoch.wrapping_add(1), ..Swarm::new(Limits::default()) };
    for version in [0, 1, 0xff, u64::MAX] {
        let etag = swarm.etag(version);
        assert_eq!(swarm.version_in(&etag), Some(version), "{etag}");
        assert_eq!(other.version_in(&etag), None, "{etag}");
    }
    let epoch = swarm.epoch;
    for bad in ["", "*", "W/\"\"", "W/\"-1\"", "\"1-1\""] {
        assert_eq!(swarm.version_in(bad), None, "{bad}");
    }
    for bad in [format!("W/\"{epoch:08x}\""), format!("W/\"{epoch:08x}-\""), format!("\"{epoch:08x}-1\"")] {
        assert_eq!(swarm.version_in(&bad), None, "{bad}");
    }
}

#[test]
fn only_the_latest_departed_holders_of_a_file_count() {
    let swarm = Swarm::new(Limits::default());
    let count = u8::try_from(DEPARTED_MAX).expect("fits") + 1;
    for n in 0..count {
        let now = UnixMillis(NOW.0 + i64::from(n));
        swarm.announce(now, lease(n, 1, Held::Complete), None).expect("there is room");
        assert_eq!(swarm.leave(now, peer(n), None), 1);
    }
    let counts: Vec<bool> = (0..count).map(|n| swarm.holds(at(1), peer(n), file(1), ChunkIndex(0))).collect();
    assert!(!counts[0], "the oldest is forgotten");
    assert!(counts[1..].iter().all(|counts| *counts), "{counts:?}");
    assert_eq!(swarm.usage().0, DEPARTED_MAX);
}
