//! `link`: prints the share link of a file or directory.

use std::fs;
use std::path::Path;

use peernet_engine::link::Target;
use serde_json::json;

use crate::cli::command::{Run, command};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::progress::Meter;
use crate::cli::shares::hash;
use crate::cli::signals;
use crate::shares::ShareState;

command! {
    /// Print the link of a file or directory: a shared one, one that the tracker knows by its hash, or any on this machine.
    #[argh(subcommand, name = "link", example = "peernet link model.bin\npeernet link 0f343b09...2d4c5f60")]
    pub(crate) struct Link [tracker] {
        /// a file, a directory or a hash
        #[argh(positional)]
        file: String,
    }
}

impl Run for Link {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = context.builder(self.tracker_options())?.build()?;
        let path = Path::new(&self.file);
        let target = Target::parse(&self.file);
        let known = match &target {
            Ok(target) => node.shares().into_iter().find(|share| share.file_hash == target.file_hash()),
            Err(_) => {
                let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                node.shares().into_iter().find(|share| share.path == real && share.state == ShareState::Ready)
            }
        };
        let link = match (known, target) {
            (Some(share), _) => node.link(&share),
            (None, Ok(target)) if !path.exists() => node.link_of(target.file_hash())?,
            (None, _) if path.is_dir() => {
                let _watch = signals::watch(&context.cancel, &context.output)?;
                let mut meter = Meter::new(&context.output, format!("hashing {}", self.file));
                node.link_for_directory(path, &mut |progress| meter.hashing(progress), &context.cancel)?
            }
            (None, _) => {
                let _watch = signals::watch(&context.cancel, &context.output)?;
                node.link_for(&hash(context, &self.file)?, path)
            }
        };
        context.output.result(&link, &json!({"link": link}));
        Ok(Exit::Ok)
    }
}
