//! Plan selection: which holders of a file a lookup names, and in which order.
//!
//! The tracker calls this in two steps, and decides nothing about sources elsewhere:
//!
//! 1. [`draw`] picks a bounded number of a manifest's holders, so that a plan costs the same for 10 holders and for
//!    100,000.
//! 2. [`choose`] orders the drawn sources for one caller ([`rank`]) and names at most [`NAMED_MAX`] of them ([`name`]).
//!    [`choose_v1`] does the same for version 1's lookup, which names sources per chunk.
//!
//! Guarantees, each with a test: a plan never names its caller. It names an unlisted account only where that account
//! alone holds a chunk. Every fifth slot goes to a newcomer while there is one. If the sources hold every chunk, so do
//! the named ones, as far as [`NAMED_MAX`] allows. The same seed gives the same plan.

pub mod cover;
pub mod draw;
pub mod held;
pub mod name;
pub mod rank;

#[cfg(test)]
mod tests;

use crate::economy::{Standing, Tier};
use crate::ids::PeerId;
use crate::time::UnixMillis;
pub use cover::{cover, covers, only_holders};
pub use held::Held;
pub use rank::{RankInput, order};

/// The most sources that a plan names per manifest.
pub const NAMED_MAX: usize = 10;

/// The orders of one version 1 lookup. Chunks use them in turn: version 1 clients ask the first peer of each chunk's
/// list only, so different orders spread the load over equal sources.
const ORDERS_V1: u32 = 16;

/// A holder of the file that a plan may name.
pub trait Source {
    /// The holder's account.
    fn peer(&self) -> PeerId;
    /// The chunks that it holds.
    fn held(&self) -> &Held;
    /// The site label that it announced with.
    fn site(&self) -> Option<&str>;
    /// Returns the end of the source's lease.
    fn lease_until(&self) -> UnixMillis;
    /// Returns the number of plans that have named the source on the day of `now`.
    fn offered_today(&self, now: UnixMillis) -> u32;
    /// Returns the number of plans that have named the source in the last seconds before `now`.
    fn load(&self, now: UnixMillis) -> u32;
}

/// A lookup by one caller of one manifest.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The account that asks.
    pub caller: PeerId,
    /// The caller's site label.
    pub site: Option<&'a str>,
    /// The chunks that the caller holds, where that is known.
    pub own: Option<&'a Held>,
    /// The number of chunks of the file.
    pub chunks: u32,
    /// The time of the lookup.
    pub now: UnixMillis,
}

/// Facts about the sources that the index does not have. Both lists are in the order of the sources.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Score and tier of each source.
    pub standings: &'a [Standing],
    /// Until when the caller wants each source last; empty where it complained about none.
    pub demotions: &'a [UnixMillis],
    /// Whether an unlisted source may be named because it alone holds a chunk. Off where only some holders were drawn:
    /// a holder that was not drawn may hold that chunk too.
    pub seeks_only_holders: bool,
}

/// The outcome of a choice: positions in the list of sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// All sources that may be named, best first; a ticket lists these.
    pub order: Vec<usize>,
    /// The sources that the plan names, best first; at most [`NAMED_MAX`].
    pub named: Vec<usize>,
}

/// Orders the sources for one caller and picks those that the plan names.
pub fn choose<S: Source>(request: &Request<'_>, sources: &[S], facts: Facts<'_>, seed: u64) -> Choice {
    let inputs = rank_inputs(request, sources, facts);
    let order = order(&inputs, request.caller, seed, request.now);
    let named = name::name(request.chunks, request.own, sources, &order);
    Choice { order, named }
}

/// Makes the orders of a version 1 lookup, at least one. Each covers every chunk that a source which may be named
/// holds.
pub fn choose_v1<S: Source>(
    request: &Request<'_>,
    sources: &[S],
    facts: Facts<'_>,
    mut next_seed: impl FnMut() -> u64,
) -> Vec<Vec<usize>> {
    let mut inputs = rank_inputs(request, sources, facts);
    let allowed: Vec<bool> =
        inputs.iter().map(|input| input.standing.tier != Tier::Unlisted || input.only_holder).collect();
    let orders = 0..ORDERS_V1.min(request.chunks.max(1));
    orders
        .map(|_| {
            let mut order = order(&inputs, request.caller, next_seed(), request.now);
            // Counts the first source as named once more, so that the next order starts with another of its equals.
            order.first().into_iter().for_each(|first| inputs[*first].offered_today += 1);
            cover(request.chunks, sources, |position| allowed[position], &mut order);
            order
        })
        .collect()
}

/// Collects the facts that the ranking reads about each source.
fn rank_inputs<S: Source>(request: &Request<'_>, sources: &[S], facts: Facts<'_>) -> Vec<RankInput> {
    let only = match facts.seeks_only_holders {
        true => only_holders(request.caller, request.chunks, sources, facts.standings),
        false => Vec::new(),
    };
    let each = sources.iter().enumerate();
    each.map(|(position, source)| RankInput {
        peer: source.peer(),
        standing: facts.standings[position],
        lease_until: source.lease_until(),
        demoted_until: facts.demotions.get(position).copied().unwrap_or_default(),
        offered_today: source.offered_today(request.now),
        load: source.load(request.now),
        same_site: request.site.is_some() && source.site() == request.site,
        only_holder: only.get(position) == Some(&true),
    })
    .collect()
}
