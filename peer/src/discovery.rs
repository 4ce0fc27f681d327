//! Where a download learns about its file: who serves it, what its chunks are, and where to report.

mod plan;
pub mod tracker;

pub use plan::{Directory, DirectoryError, Plan, PlannedManifest, Source, V1Listing};
