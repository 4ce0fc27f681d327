//! `search`: searches the tracker's files by name.

use serde_json::{Value, json};

use crate::cli::command::{Run, command};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{shown, size};
use crate::discovery::tracker::Hit;
use crate::node::Node;

command! {
    /// Search the tracker for files whose name contains every word.
    #[argh(subcommand, name = "search", example = "peernet search llama gguf\npeernet search --limit 100 dataset")]
    pub(crate) struct Search [tracker] {
        /// show at most this many results, up to 100; by default 20
        #[argh(option, arg_name = "number", default = "20")]
        limit: usize,
        /// continue an earlier search, from the value it printed last
        #[argh(option, arg_name = "text")]
        after: Option<String>,
        /// words of the name
        #[argh(positional)]
        words: Vec<String>,
    }
}

impl Run for Search {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = context.asking_node(self.tracker_options())?;
        let hits = node.search(&self.words.join(" "), self.limit, self.after.as_deref())?;
        let mut people: Vec<String> = hits.files.iter().map(row).collect();
        if people.is_empty() {
            people.push("nothing found".to_owned());
        }
        if let Some(next) = &hits.next {
            people.push(format!("more with --after {next}"));
        }
        let files: Vec<_> = hits.files.iter().map(|hit| hit_json(hit, &node)).collect();
        context.output.result(&people.join("\n"), &json!({"files": files, "next": hits.next}));
        Ok(Exit::Ok)
    }
}

fn row(hit: &Hit) -> String {
    let bytes = hit.size.map_or_else(|| "?".to_owned(), size);
    let peers = if hit.sources == 1 { "peer" } else { "peers" };
    format!("{}  {bytes:>10}  {:>3} {peers:<5}  {}", hit.file_hash, hit.sources, shown(&hit.file_name))
}

fn hit_json(hit: &Hit, node: &Node) -> Value {
    json!({
        "file_hash": hit.file_hash.to_string(),
        "name": hit.file_name,
        "size": hit.size,
        "manifest_id": hit.manifest_id.map(|id| id.to_string()),
        "sources": hit.sources,
        "created_at": hit.created_at,
        "link": node.link_to_hit(hit),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_is_one_row_with_its_size_and_its_peers() {
        let file_hash = peernet_engine::ids::FileHash([0xab; 32]);
        for (size, sources, name, expected) in [
            (Some(0), 1, "a.bin", "       0 B    1 peer   a.bin"),
            (Some(10 << 30), 999, "a b", "  10.0 GiB  999 peers  a b"),
            (None, 0, "\u{1b}[1mv1\n", "         ?    0 peers  \u{fffd}[1mv1\u{fffd}"),
            (Some(u64::MAX), 1_000, "", "16384.0 PiB  1000 peers  "),
        ] {
            let hit = Hit { file_hash, file_name: name.to_owned(), size, manifest_id: None, sources, created_at: 0 };
            assert_eq!(row(&hit), format!("{file_hash}  {expected}"));
        }
    }

    #[test]
    fn a_hit_for_programs_has_a_link_only_with_its_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::builder().home(folder.path()).tracker("https://t:1").passing_shares().build().unwrap();
        let file_hash = peernet_engine::ids::FileHash([0xab; 32]);
        let manifest_id = peernet_engine::ids::ManifestId([1; 32]);
        let known = Hit {
            file_hash,
            file_name: "a.bin".to_owned(),
            size: Some(7),
            manifest_id: Some(manifest_id),
            sources: 2,
            created_at: 9,
        };
        let json = hit_json(&known, &node);
        let hash = "ab".repeat(32);
        let expected = json!({
            "file_hash": hash,
            "name": "a.bin",
            "size": 7,
            "manifest_id": "01".repeat(32),
            "sources": 2,
            "created_at": 9,
            "link": node.link_to_hit(&known),
        });
        assert_eq!(json, expected);
        let link: peernet_engine::link::Link = json["link"].as_str().unwrap().parse().unwrap();
        assert_eq!(
            (link.file_hash, link.manifest, link.trackers),
            (file_hash, Some(manifest_id), vec!["https://t:1".to_owned()])
        );
        let old = hit_json(&Hit { size: None, manifest_id: None, ..known }, &node);
        assert_eq!((&old["size"], &old["manifest_id"]), (&Value::Null, &Value::Null));
    }
}
