//! Random announces and departures against a plain model: the index names exactly the holders that the model has.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkCount, ChunkIndex};
use peernet_engine::random::Rng;
use serde_json::{Value, json};

use super::client::{Api, File, Peer, on_sqlite};

const PEERS: usize = 5;
const FILES: usize = 4;
const CHUNKS: u32 = 11;
const STEPS: usize = 300;

/// The chunks that each peer announced of each file, by the numbers of peer and file.
type Model = BTreeMap<(usize, usize), Value>;

struct Scene {
    peers: Vec<Peer>,
    watcher: Peer,
    files: Vec<File>,
    model: Model,
    rng: Rng,
}

impl Scene {
    fn new(api: &Api, seed: u64) -> Self {
        let files: Vec<File> = (0..FILES).map(|n| File::new(n as u8 + 1, CHUNKS as usize)).collect();
        let peers: Vec<Peer> = (0..PEERS).map(|n| api.peer(n as u8 + 1)).collect();
        for file in &files {
            let path = format!("/api/v1/manifests/{}", file.manifest().id());
            assert_eq!(peers[0].put(&path, &file.manifest_body()).0, 201);
        }
        Self { peers, watcher: api.peer(100), files, model: Model::new(), rng: Rng::new(seed) }
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.rng.below(end as u64)).unwrap()
    }

    /// Some chunks, all of them now and then.
    fn random_chunks(&mut self) -> Value {
        if self.below(4) == 0 {
            return json!("complete");
        }
        let mut bitmap = Bitmap::empty(ChunkCount(CHUNKS));
        for index in 0..CHUNKS {
            if self.below(3) == 0 {
                bitmap.insert(ChunkIndex(index));
            }
        }
        json!({"bitmap": BASE64.encode(bitmap.as_bytes())})
    }

    /// One peer announces some files at once. Its other leases stay.
    fn announce(&mut self) {
        let peer = self.below(PEERS);
        let mut entries = Vec::new();
        for file in 0..FILES {
            if self.below(2) == 0 {
                let have = self.random_chunks();
                let manifest_id = self.files[file].manifest().id().to_string();
                let file_hash = self.files[file].hash.clone();
                entries.push(json!({"file_hash": file_hash, "manifest_id": manifest_id, "have": have}));
                self.model.insert((peer, file), have);
            }
        }
        let body = json!({"address": self.peers[peer].address, "files": entries});
        let (status, answer) = self.peers[peer].post("/api/v1/swarm/announce", &body);
        assert_eq!((status, &answer["status"]), (200, &json!("announced")), "{answer}");
    }

    /// One peer leaves one file or all of them.
    fn leave(&mut self) {
        let peer = self.below(PEERS);
        let file = self.below(FILES + 1);
        let leaves = |(owner, of): &(usize, usize)| *owner == peer && (file == FILES || *of == file);
        let body = if file == FILES { json!({}) } else { json!({"files": [self.files[file].hash]}) };
        let expected = self.model.keys().filter(|key| leaves(key)).count();
        self.model.retain(|key, _| !leaves(key));
        let (status, answer) = self.peers[peer].post("/api/v1/swarm/leave", &body);
        assert_eq!((status, answer), (200, json!({"status": "left", "left": expected})));
    }

    /// The sources that a plan of this file names, by account.
    fn sources(&self, file: usize) -> BTreeMap<String, Value> {
        let (status, plan) = self.watcher.get(&format!("/api/v1/files/{}", self.files[file].hash));
        if status == 404 {
            assert_eq!(plan["code"], "unknown_file");
            return BTreeMap::new();
        }
        assert_eq!(status, 200, "{plan}");
        let manifests = plan["manifests"].as_array().unwrap();
        let sources = manifests.iter().flat_map(|manifest| manifest["sources"].as_array().unwrap());
        sources.map(|source| (source["peer_id"].as_str().unwrap().to_owned(), source["have"].clone())).collect()
    }

    fn compare(&self, step: usize) {
        for file in 0..FILES {
            let holders = self.model.iter().filter(|((_, of), _)| *of == file);
            let expected: BTreeMap<String, Value> =
                holders.map(|((peer, _), have)| (self.peers[*peer].id.clone(), full_is_complete(have))).collect();
            assert_eq!(self.sources(file), expected, "file {file} after step {step}");
        }
    }

    /// Every account sees the number of its own leases.
    fn compare_counts(&self) {
        for (number, peer) in self.peers.iter().enumerate() {
            let expected = self.model.keys().filter(|(owner, _)| *owner == number).count();
            assert_eq!(peer.me()["files_shared"], expected, "peer {number}");
        }
    }
}

/// The tracker calls a source with every chunk complete, however it announced them.
fn full_is_complete(have: &Value) -> Value {
    let Some(text) = have["bitmap"].as_str() else { return have.clone() };
    let bytes = BASE64.decode(text.as_bytes()).unwrap();
    let bitmap = Bitmap::from_bytes(&bytes, ChunkCount(CHUNKS)).unwrap();
    if bitmap.is_full() { json!("complete") } else { have.clone() }
}

#[test]
fn plans_name_exactly_the_holders_of_a_simple_model() {
    for seed in 1..=3 {
        on_sqlite(|api| {
            let mut scene = Scene::new(api, seed);
            for step in 0..STEPS {
                if scene.below(3) == 0 {
                    scene.leave();
                } else {
                    scene.announce();
                }
                // Plans cost more than announces, so not every state is looked at.
                if step % 7 == 0 {
                    scene.compare(step);
                }
            }
            scene.compare(STEPS);
            scene.compare_counts();
        });
    }
}
