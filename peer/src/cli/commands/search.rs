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
