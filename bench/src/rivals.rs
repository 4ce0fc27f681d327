//! Other programs that move a file, run in the same minutes on the same cores.

pub(crate) mod bittorrent;
pub(crate) mod nginx;
pub(crate) mod trackers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::measure::Cost;

/// A record of a transfer: wall of the fetching side, CPU and peak memory of both.
pub(crate) fn both_sides(fetch: Cost, source_cpu: Duration, source_rss_kib: u64) -> Value {
    json!({"wall_s": fetch.wall.as_secs_f64(), "cpu_s": (fetch.cpu + source_cpu).as_secs_f64(), "fetch_cpu_s": fetch.cpu.as_secs_f64(),
        "source_cpu_s": source_cpu.as_secs_f64(), "fetch_rss_mib": fetch.peak_rss_kib as f64 / 1024.0,
        "source_rss_mib": source_rss_kib as f64 / 1024.0})
}

/// Returns a program of ours that drives or replaces a rival: bench/rivals/NAME.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rivals").join(name)
}

/// Returns whether a program is on the path.
pub(crate) fn has(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()))
        || Path::new("/usr/sbin").join(program).exists()
}
