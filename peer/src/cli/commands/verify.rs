//! `verify`: computes a file's hash and compares it.

use peernet_engine::link::Target;
use serde_json::json;

use crate::cli::command::{Run, command};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::shares::hash;
use crate::cli::signals;

command! {
    /// Compute a file's hash, and compare it with a hash or link if one is given.
    #[argh(
        subcommand,
        name = "verify",
        example = "peernet verify model.bin\npeernet verify model.bin 'peernet:?xt=urn:sha256:...'"
    )]
    pub(crate) struct Verify [] {
        /// the file
        #[argh(positional)]
        file: String,
        /// the expected hash or link
        #[argh(positional)]
        target: Option<String>,
    }
}

impl Run for Verify {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let target =
            self.target.as_deref().map(Target::parse).transpose().map_err(|e| Failure::usage(e.to_string()))?;
        let _watch = signals::watch(&context.cancel, &context.output)?;
        let manifest = hash(context, &self.file)?;
        let file_hash = manifest.file_hash();
        let matches = target.as_ref().map(|target| match target {
            Target::Hash(hash) => *hash == file_hash,
            Target::Link(link) => link.file_hash == file_hash && link.manifest.is_none_or(|id| id == manifest.id()),
        });
        let programs = json!({
            "path": self.file,
            "file_hash": file_hash.to_string(),
            "manifest_id": manifest.id().to_string(),
            "size": manifest.geometry().size().0,
            "matches": matches,
        });
        let verdict = match matches {
            None => "",
            Some(true) => "  right",
            Some(false) => "  WRONG",
        };
        context.output.result(&format!("{file_hash}  {}{verdict}", self.file), &programs);
        Ok(if matches == Some(false) { Exit::Verification } else { Exit::Ok })
    }
}
