//! Sources that wait for a free connection: the limit on connections is ours, and the scheduler must neither count on
//! them nor blame them meanwhile.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use peernet_engine::download::{Input, SourceId};

use crate::download::event_loop::{Owner, Verdict};

/// How often a download that has no connection at all says that this is its own doing.
const HELD_BACK_EVERY: Duration = Duration::from_secs(1);

/// See the module. At most as many as the download knows.
#[derive(Default)]
pub(crate) struct Waiting {
    /// The scheduler has not been told of these yet.
    turned_away: Vec<SourceId>,
    sources: BTreeSet<SourceId>,
    told: Option<Instant>,
}

impl Waiting {
    /// There was no connection for this one.
    pub(crate) fn turned_away(&mut self, source: SourceId) {
        self.turned_away.push(source);
    }

    /// The scheduler wants nothing of it.
    pub(crate) fn forget(&mut self, source: SourceId) {
        self.turned_away.retain(|waiting| *waiting != source);
        self.sources.remove(&source);
    }

    /// What to tell the user.
    pub(crate) fn note(&self) -> Option<String> {
        let count = self.sources.len();
        (count > 0).then(|| format!("{count} sources wait for a connection: the limit on connections is reached"))
    }
}

impl<'scope, 'env, 'a, 'c: 'env> Owner<'scope, 'env, 'a, 'c> {
    /// Takes those back that got no connection, and lets others try where there is one.
    pub(crate) fn connect_waiting(&mut self) -> Verdict {
        let mut verdict = None;
        while let Some(source) = self.waiting.turned_away.pop() {
            self.waiting.sources.insert(source);
            verdict = verdict.or(self.feed(Input::SourceGone { source }));
        }
        let Some(first) = self.waiting.sources.first().copied() else { return verdict };
        if self.context.job.throttle.connections().has_room() {
            self.waiting.sources.remove(&first);
            verdict = verdict.or(self.add_again(first));
        } else if self.links.is_empty() && self.waiting.told.is_none_or(|told| told.elapsed() >= HELD_BACK_EVERY) {
            self.waiting.told = Some(Instant::now());
            verdict = verdict.or(self.feed(Input::HeldBack { source: first }));
        }
        verdict
    }

    fn add_again(&mut self, source: SourceId) -> Verdict {
        let known = self.context.known.get(source)?;
        let (v1, has) = (known.source.v1, known.source.has.clone());
        let rank = u32::try_from(source.0).unwrap_or(u32::MAX);
        let added = self.feed(Input::SourceAdded { source, rank, v1 });
        added.or_else(|| self.feed(Input::SourceHas { source, has }))
    }
}
