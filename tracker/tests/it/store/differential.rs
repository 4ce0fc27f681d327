//! Searches on both stores at once: the answers are the same.

use std::sync::Arc;

use peernet_testkit::postgres::fresh_database;
use peernet_tracker::store::sqlite::SqliteStore;
use peernet_tracker::store::{Durability, SearchQuery, Store, Write};

use super::support::{NOW, account, later, manifest, peer, postgres};

#[test]
fn both_stores_find_the_same_files_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(&folder.path().join("tracker.db")).unwrap();
    sqlite.migrate(NOW).unwrap();
    let stores: [Arc<dyn Store>; 2] = [sqlite, postgres(&fresh_database())];
    let names = ["Alpha beta.bin", "ALPHA.tar", "beta_100%.csv", "gamma", "überall.txt", "a\\b", "", "alpha"];
    for store in &stores {
        store.write(NOW, &[Write::create_account(account(1, None))], Durability::Relaxed).unwrap();
        for (at, name) in names.iter().enumerate() {
            let stored = manifest(at as u8 + 10, 1, name, later(at as i64));
            store.write(NOW, &[Write::PutManifest(stored)], Durability::Relaxed).unwrap();
        }
    }
    for words in ["", "alpha", "ALPHA", "beta alpha", "100%", "_", "\\", "über", "ÜBER", "%", "nothing"] {
        let query = SearchQuery {
            words: words.split_whitespace().map(str::to_owned).collect(),
            caller: peer(1),
            limit: 5,
            after: None,
        };
        let [first, second] = stores.each_ref().map(|store| format!("{:?}", store.search(&query).unwrap()));
        assert_eq!(first, second, "{words:?}");
    }
}
