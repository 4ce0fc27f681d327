//! Bodies for the engine's parsers: names of things, links, file names, bitmaps, manifests, listings and resume
//! journals.

mod collection;
mod journal;
mod manifest;
mod text;

pub use collection::collection;
pub use journal::journal;
pub use manifest::{bitmap, manifest};
pub use text::{ids, link, names};

use crate::Body;

/// The bodies of this file's folder.
pub(crate) const BODIES: &[Body] = &[
    Body { name: "collection", run: collection, examples: collection::examples },
    Body { name: "journal", run: journal, examples: journal::examples },
    Body { name: "bitmap", run: bitmap, examples: manifest::bitmaps },
    Body { name: "manifest", run: manifest, examples: manifest::manifests },
    Body { name: "ids", run: ids, examples: text::id_examples },
    Body { name: "link", run: link, examples: text::link_examples },
    Body { name: "names", run: names, examples: text::name_examples },
];
