//! Manifests, file names and the search.

use peernet_engine::ids::ManifestId;
use peernet_tracker::store::{FileMeta, SearchQuery, Store, Write, Written};

use super::support::{NOW, file, later, listing, manifest, on_both, peer, write};

#[test]
fn a_manifest_is_stored_once_and_read_unchanged() {
    on_both(|name, store| {
        let one = manifest(1, 3, "a.bin", NOW);
        let empty = manifest(2, 0, "empty", NOW);
        let batch = [&one, &one, &empty].map(|stored| Write::PutManifest(stored.clone()));
        assert_eq!(write(&*store, &batch), [Written::Done, Written::Unchanged, Written::Done], "{name}");
        assert_eq!(write(&*store, &batch[..1]), [Written::Unchanged], "{name}");
        for stored in [one, empty] {
            assert_eq!(store.manifest(stored.manifest.id()).unwrap(), Some(stored), "{name}");
        }
        assert_eq!(store.manifest(ManifestId([9; 32])).unwrap(), None, "{name}");
    });
}

#[test]
fn all_manifests_of_a_file_are_listed_oldest_first() {
    on_both(|name, store| {
        let stored =
            [manifest(1, 3, "second", later(5)), manifest(1, 2, "first", NOW), manifest(1, 4, "third", later(9))];
        write(&*store, &stored.clone().map(Write::PutManifest));
        write(&*store, &[Write::PutManifest(manifest(2, 1, "other", NOW)), Write::SealV1(listing(1, 3, later(9)))]);
        let found = store.manifests_of(file(1)).unwrap();
        let expected = [&stored[1], &stored[0], &stored[2]].map(|stored| FileMeta {
            file_hash: file(1),
            file_name: stored.file_name.clone(),
            manifest: Some((stored.manifest.id(), stored.manifest.geometry().size().0, 1 << 20)),
            created_at: stored.created_at,
        });
        assert_eq!(found, expected, "{name}");
        let version_1: Vec<_> =
            store.manifests_of(file(3)).unwrap().into_iter().map(|m| (m.file_name, m.manifest)).collect();
        assert_eq!(version_1, [("old.bin".to_owned(), None)], "{name}");
        assert_eq!(store.manifests_of(file(9)).unwrap(), [], "{name}");
    });
}

#[test]
fn a_large_batch_of_large_manifests_is_one_write() {
    on_both(|name, store| {
        let batch: Vec<Write> = (0..=255).map(|n| Write::PutManifest(manifest(n, 250, "large", NOW))).collect();
        assert!(write(&*store, &batch).iter().all(|written| *written == Written::Done), "{name}");
        assert_eq!(store.manifests_of(file(255)).unwrap().len(), 1, "{name}");
    });
}

fn names(store: &dyn Store, words: &[&str]) -> Vec<String> {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let found = store.search(&SearchQuery { words, caller: peer(200), limit: 100, after: None }).unwrap();
    found.into_iter().map(|meta| meta.file_name).collect()
}

#[test]
fn a_search_ignores_case_and_takes_wildcards_literally() {
    on_both(|name, store| {
        let files =
            ["Climate Data 2024.csv", "climate_model.bin", "50% done", "ÜBERSICHT.pdf", r"back\slash", "nul\0byte"];
        for (at, file_name) in files.iter().enumerate() {
            let at = at as u8;
            write(&*store, &[Write::PutManifest(manifest(at, 1, file_name, later(i64::from(at))))]);
        }
        for (words, wanted) in [
            (&["climate"][..], &[files[1], files[0]][..]),
            (&["CLIMATE", "2024"], &[files[0]]),
            (&["climate", "", "2024", "csv"], &[files[0]]),
            (&["climate", "nothing"], &[]),
            (&["%"], &[files[2]]),
            (&["_"], &[files[1]]),
            (&["übersicht"], &[files[3]]),
            (&[r"\"], &[files[4]]),
            (&["nul"], &["nul\u{fffd}byte"]),
            (&["'"], &[]),
        ] {
            assert_eq!(names(&*store, words), wanted, "{name}: {words:?}");
        }
        assert_eq!(names(&*store, &[]).len(), files.len(), "{name}: no words find everything");
    });
}

#[test]
fn a_file_keeps_its_first_name_and_version_1_files_are_found() {
    on_both(|name, store| {
        write(&*store, &[Write::SealV1(listing(1, 1, later(9)))]);
        write(
            &*store,
            &[Write::PutManifest(manifest(1, 2, "renamed", later(1))), Write::SealV1(listing(1, 2, later(9)))],
        );
        let query = SearchQuery { words: vec!["old".into()], caller: peer(200), limit: 10, after: None };
        let found: Vec<_> =
            store.search(&query).unwrap().into_iter().map(|meta| (meta.file_hash, meta.manifest)).collect();
        let id = manifest(1, 2, "renamed", later(1)).manifest.id();
        assert_eq!(found, [(file(2), None), (file(1), Some((id, 2 << 20, 1 << 20)))], "{name}");
        assert_eq!(names(&*store, &["renamed"]), [""; 0], "{name}");
    });
}

#[test]
fn pages_of_a_search_are_newest_first_and_complete() {
    on_both(|name, store| {
        // Three files have the same time; their hashes decide the order.
        let put = |n: u8| Write::PutManifest(manifest(n, 1, &format!("set {n}"), later(i64::from(n / 3))));
        write(&*store, &(0..20).map(put).collect::<Vec<_>>());
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page =
                store.search(&SearchQuery { words: vec!["set".into()], caller: peer(200), limit: 7, after }).unwrap();
            seen.extend(page.iter().map(|meta| meta.file_hash));
            match page.last() {
                Some(last) => after = Some((last.created_at, last.file_hash)),
                None => break,
            }
        }
        assert_eq!(seen, (0..20).rev().map(file).collect::<Vec<_>>(), "{name}");
    });
}
