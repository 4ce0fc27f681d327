//! Version 2's calls: manifests, announce, plan.

use serde_json::{Value, json};

use super::client::{File, Peer, on_both, on_sqlite, text};

#[test]
fn a_manifest_is_stored_once_and_read_back() {
    on_both(|api| {
        let one = api.peer(1);
        let other = api.peer(2);
        let file = File::new(1, 3);
        let path = format!("/api/v1/manifests/{}", file.manifest().id());
        assert_eq!(one.get(&path).1["code"], "unknown_manifest");
        assert_eq!(one.put(&path, &file.manifest_body()), (201, json!({"status": "stored"})));
        assert_eq!(other.put(&path, &file.manifest_body()), (200, json!({"status": "known"})));
        let (status, answer) = other.get(&path);
        assert_eq!((status, &answer["manifest_id"]), (200, &json!(file.manifest().id().to_string())));
        for field in ["file_hash", "file_name", "size", "chunk_size", "chunk_hashes"] {
            assert_eq!(answer[field], file.manifest_body()[field]);
        }
    });
}

#[test]
fn an_announce_of_an_unknown_manifest_records_nothing() {
    on_both(|api| {
        let peer = api.peer(1);
        let file = File::new(1, 3);
        let id = file.manifest().id().to_string();
        let entry = json!({"file_hash": file.hash, "manifest_id": id, "have": "complete"});
        let (status, answer) = peer.post("/api/v1/swarm/announce", &json!({"address": peer.address, "files": [entry]}));
        assert_eq!((status, &answer["unknown_manifests"]), (200, &json!([id])));
        let lease = answer["lease_seconds"].as_u64().unwrap();
        let renew = answer["renew_in_seconds"].as_u64().unwrap();
        assert!(renew > 0 && renew * 2 < lease);
        assert_eq!(peer.me()["files_shared"], 0);
        let (status, answer) = peer.get(&format!("/api/v1/files/{}", file.hash));
        assert_eq!((status, answer["code"].as_str()), (404, Some("unknown_file")));
    });
}

#[test]
fn a_plan_names_sources_of_both_forms_and_a_ticket() {
    on_both(|api| {
        let old = api.peer(1);
        let new = api.peer(2);
        let partial = api.peer(3);
        let caller = api.peer(4);
        let file = File::new(1, 9);
        new.announce_v2(&file, json!("complete"));
        partial.announce_v2(&file, json!({"bitmap": "gAA="}));
        old.announce_v1(&file);
        let plan = caller.plan(&file);
        assert_eq!((&plan["v1_listed"], plan["manifests"].as_array().unwrap().len()), (&json!(true), 1));
        let manifest = &plan["manifests"][0];
        assert_eq!((&manifest["size"], &manifest["chunk_size"]), (&json!(9 << 20), &json!(1 << 20)));
        let source = |id: &str| {
            let sources = manifest["sources"].as_array().unwrap();
            sources.iter().find(|source| source["peer_id"] == id).cloned().unwrap_or(Value::Null)
        };
        assert_eq!(source(&old.id)["transport"], "grpc-v1");
        assert_eq!(source(&new.id)["transport"], "grpc");
        assert_eq!(source(&new.id)["addresses"], json!([new.address]));
        assert_eq!(
            (&source(&new.id)["have"], &source(&partial.id)["have"]),
            (&json!("complete"), &json!({"bitmap": "gAA="}))
        );
        assert_eq!(source(&new.id)["reputation_score"], 0.5);
        assert_eq!(plan["ticket"]["escrow_mt"], 9_000);
        assert_eq!(caller.plan(&file)["ticket"], plan["ticket"], "used again");
        assert_eq!(caller.balance_mt(), 11_000);
    });
}

#[test]
fn an_announce_is_the_whole_truth_and_leaving_ends_it() {
    on_both(|api| {
        let seeder = api.peer(1);
        let caller = api.peer(2);
        let file = File::new(1, 9);
        seeder.announce_v2(&file, json!("complete"));
        seeder.announce_v2(&file, json!({"bitmap": "gAA="}));
        assert_eq!(caller.plan(&file)["manifests"][0]["sources"][0]["have"], json!({"bitmap": "gAA="}));
        seeder.announce_v2(&file, json!({"bitmap": "AAA="}));
        let sources = caller.plan(&file)["manifests"][0]["sources"].clone();
        assert_eq!(sources[0]["have"], json!({"bitmap": "AAA="}), "a downloader that begins will hold some soon");
        let (status, answer) = seeder.post("/api/v1/swarm/leave", &json!({"files": [file.hash]}));
        assert_eq!((status, answer), (200, json!({"status": "left", "left": 1})));
        let plan = caller.plan(&file);
        assert_eq!((&plan["manifests"][0]["sources"], &plan["ticket"]), (&json!([]), &Value::Null));
    });
}

#[test]
fn an_unspecified_address_becomes_the_one_that_is_seen() {
    on_sqlite(|api| {
        let caller = api.peer(1);
        for (n, stated, listed) in
            [(2, "0.0.0.0:7", "127.0.0.1:7"), (3, "[0::0]:8", "127.0.0.1:8"), (4, "peer.example:9", "peer.example:9")]
        {
            let seeder = api.peer_at(stated);
            let file = File::new(n, 1);
            seeder.announce_v2(&file, json!("complete"));
            assert_eq!(caller.plan(&file)["manifests"][0]["sources"][0]["addresses"], json!([listed]));
        }
    });
}

#[test]
fn a_plan_names_ten_and_the_callers_site_first() {
    on_sqlite(|api| {
        let caller = api.peer(100);
        let file = File::new(1, 1);
        let near = api.peer(50);
        for n in 0..14 {
            api.peer(n).announce_v2(&file, json!("complete"));
        }
        near.put(&format!("/api/v1/manifests/{}", file.manifest().id()), &file.manifest_body());
        let entry =
            json!({"file_hash": file.hash, "manifest_id": file.manifest().id().to_string(), "have": "complete"});
        near.post("/api/v1/swarm/announce", &json!({"address": near.address, "site": "lab", "files": [entry]}));
        let (status, plan) = caller.get(&format!("/api/v1/files/{}?site=lab", file.hash));
        let sources = plan["manifests"][0]["sources"].as_array().unwrap();
        assert_eq!((status, sources.len(), text(&sources[0]["peer_id"])), (200, 10, near.id.clone()));
    });
}

/// The ids of a plan's sources that are listed in full, and of those that are only named.
fn told_and_kept(plan: &Value) -> (Vec<String>, Vec<String>) {
    let manifest = &plan["manifests"][0];
    let told = manifest["sources"].as_array().unwrap().iter().map(|source| text(&source["peer_id"])).collect();
    (told, manifest["kept"].as_array().map_or_else(Vec::new, |kept| kept.iter().map(text).collect()))
}

#[test]
fn a_client_with_a_plan_gets_304_or_the_changes() {
    on_both(|api| {
        let caller = api.peer(1);
        let one = api.peer(2);
        let other = api.peer(3);
        let file = File::new(1, 9);
        one.announce_v2(&file, json!("complete"));
        other.announce_v2(&file, json!({"bitmap": "gAA="}));
        let (status, first, plan) = caller.plan_since(&file, "", "");
        assert_eq!((status, &plan["base"]), (200, &Value::Null));
        assert_eq!(caller.plan_since(&file, "", &first), (304, first.clone(), Value::Null));
        one.announce_v2(&file, json!("complete"));
        assert_eq!(caller.plan_since(&file, "", &first).0, 304, "a renewal changes nothing");

        other.announce_v2(&file, json!({"bitmap": "wAA="}));
        let (status, second, delta) = caller.plan_since(&file, "?delta=1", &first);
        assert_eq!((status, &delta["base"]), (200, &json!(first)));
        assert_eq!(told_and_kept(&delta), (vec![other.id.clone()], vec![one.id.clone()]));
        let (_, _, whole) = caller.plan_since(&file, "", &first);
        assert_eq!((told_and_kept(&whole).0.len(), &whole["base"]), (2, &Value::Null), "no delta was requested");

        assert_eq!(one.leave(), 1);
        let late = api.peer(4);
        late.announce_v2(&file, json!("complete"));
        let (_, _, delta) = caller.plan_since(&file, "?delta=1", &second);
        assert_eq!(delta["gone"], json!([one.id]));
        assert_eq!(told_and_kept(&delta), (vec![late.id.clone()], vec![other.id.clone()]));
        for foreign in ["W/\"00000000-1\"", "\"x\"", "*", "W/\"\""] {
            let (status, _, plan) = caller.plan_since(&file, "?delta=1", foreign);
            assert_eq!((status, &plan["base"]), (200, &Value::Null), "{foreign}");
        }
    });
}

#[test]
fn sources_with_missing_chunks_come_first() {
    on_sqlite(|api| {
        let caller = api.peer(100);
        let file = File::new(1, 2);
        // Chunk 0: eleven; chunk 1: one.
        (0..11).for_each(|n| api.peer(n).announce_v2(&file, json!({"bitmap": "gA=="})));
        let rare = api.peer(50);
        rare.announce_v2(&file, json!({"bitmap": "QA=="}));
        for lacks in ["?lacks=QA", "?lacks=QA&site="] {
            let (_, _, plan) = caller.plan_since(&file, lacks, "");
            assert_eq!(plan["manifests"][0]["sources"][0]["peer_id"], rare.id);
        }
        caller.announce_v2(&file, json!({"bitmap": "gA=="}));
        assert_eq!(caller.plan(&file)["manifests"][0]["sources"][0]["peer_id"], rare.id, "by its own announce");
        assert_eq!(caller.get(&format!("/api/v1/files/{}?delta=2", file.hash)).1["code"], "invalid_delta");
        for bad in ["?lacks=QAA", "?lacks=I", "?lacks=QA%3D%3D", "?lacks=*"] {
            assert_eq!(caller.get(&format!("/api/v1/files/{}{bad}", file.hash)).1["code"], "invalid_lacks", "{bad}");
        }
    });
}

#[test]
fn a_plan_of_a_large_swarm_names_ten_and_everyone_in_time() {
    on_sqlite(|api| {
        let caller = api.peer(200);
        let file = File::new(1, 1);
        let mut waiting: std::collections::BTreeSet<String> = (0..60)
            .map(|n| {
                let peer = api.peer(n);
                peer.announce_v2(&file, json!("complete"));
                peer.id
            })
            .collect();
        let began = std::time::Instant::now();
        while !waiting.is_empty() {
            let (told, _) = told_and_kept(&caller.plan(&file));
            assert_eq!(told.len(), 10);
            told.iter().for_each(|id| {
                waiting.remove(id);
            });
            assert!(began.elapsed() < std::time::Duration::from_secs(20), "never named: {waiting:?}");
        }
    });
}

#[test]
fn a_plan_states_transports_and_version_1_sees_plaintext() {
    on_both(|api| {
        let caller = api.peer(9);
        let file = File::new(7, 2);
        let announced = |number: u8, transport: Option<&str>, plaintext: Option<&str>| {
            let peer = api.peer(number);
            let manifest = file.manifest();
            peer.put(&format!("/api/v1/manifests/{}", manifest.id()), &file.manifest_body());
            let entry = json!({"file_hash": file.hash, "manifest_id": manifest.id().to_string(), "have": "complete"});
            let body = json!({
                "address": peer.address, "transport": transport, "plaintext_address": plaintext, "files": [entry],
            });
            let (status, answer) = peer.post("/api/v1/swarm/announce", &body);
            (peer, status, answer)
        };
        let (plain, status, _) = announced(1, None, None);
        let (tls, ..) = announced(2, Some("grpc-tls"), None);
        let (both, ..) = announced(3, Some("grpc-tls"), Some("10.3.0.1:50052"));
        assert_eq!(status, 200);
        let plan = caller.plan(&file);
        let sources = plan["manifests"][0]["sources"].as_array().unwrap();
        let mut shown: Vec<_> =
            sources.iter().map(|source| (text(&source["peer_id"]), text(&source["transport"]))).collect();
        shown.sort();
        let by = |peer: &Peer, transport: &str| (peer.id.clone(), transport.to_owned());
        let mut expected = vec![by(&plain, "grpc"), by(&tls, "grpc-tls"), by(&both, "grpc-tls")];
        expected.sort();
        assert_eq!(shown, expected);
        let (_, lookup) = caller.get(&format!("/api/v1/files/lookup/{}", file.hash));
        let peers = lookup["chunks"]["0"]["peers"].as_array().unwrap();
        let mut listed: Vec<_> = peers.iter().map(|peer| (text(&peer["id"]), text(&peer["address"]))).collect();
        listed.sort();
        let mut expected =
            vec![(plain.id.clone(), plain.address.clone()), (both.id.clone(), "10.3.0.1:50052".to_owned())];
        expected.sort();
        assert_eq!(listed, expected);
        let (_, status, answer) = announced(4, Some("carrier-pigeon"), None);
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_transport")));
    });
}
