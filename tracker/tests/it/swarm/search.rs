//! Search by name.

use serde_json::json;

use super::client::{File, on_both, text};

#[test]
fn pages_follow_each_other_and_end() {
    on_both(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let files: Vec<File> = (1..=5).map(|n| File::new(n, 1)).collect();
        files.iter().for_each(|file| source.announce_v1(file));
        let mut found = Vec::new();
        let mut after = String::new();
        for _ in 0..10 {
            let (status, page) = caller.get(&format!("/api/v1/files?name=FILE+bin&limit=2{after}"));
            assert_eq!(status, 200, "{page}");
            found.extend(page["files"].as_array().unwrap().iter().map(|file| text(&file["file_hash"])));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        found.sort();
        assert_eq!(found, files.iter().map(|file| file.hash.clone()).collect::<Vec<_>>());
    });
}

#[test]
fn a_hit_says_how_large_the_file_is_and_how_many_have_it() {
    on_both(|api| {
        let one = api.peer(1);
        let other = api.peer(2);
        let caller = api.peer(3);
        let file = File::new(1, 3);
        one.announce_v2(&file, json!("complete"));
        other.announce_v1(&file);
        let (_, page) = caller.get("/api/v1/files?name=name");
        let hit = &page["files"][0];
        assert_eq!(
            (&hit["file_name"], &hit["size"], &hit["sources"]),
            (&json!("a name.bin"), &json!(3 << 20), &json!(2))
        );
        assert_eq!(hit["manifest_id"], json!(file.manifest().id().to_string()));
        assert_eq!(caller.get("/api/v1/files?name=nothing").1, json!({"files": []}));
    });
}

#[test]
fn bad_queries_are_refused() {
    on_both(|api| {
        let caller = api.peer(1);
        for (query, code) in [
            ("limit=0", "invalid_limit"),
            ("limit=101", "invalid_limit"),
            ("limit=-1", "invalid_limit"),
            ("after=xyz", "invalid_cursor"),
            ("name=a+b+c+d+e+f+g+h+i", "too_many_words"),
            ("name=%zz", "bad_query"),
        ] {
            let (status, answer) = caller.get(&format!("/api/v1/files?{query}"));
            assert_eq!((status, answer["code"].as_str()), (400, Some(code)), "{query}");
        }
        assert_eq!(caller.get("/api/v1/files?name=%25_'%22;--").0, 200, "patterns and quotes are plain text");
    });
}
