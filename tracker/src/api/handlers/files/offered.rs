//! Choosing the sources of a plan: collects what the choice needs to know, and asks [`peernet_engine::plan`].

use peernet_engine::economy::{Standing, shown_score};
use peernet_engine::ids::PeerId;
use peernet_engine::plan::{self, Choice, Facts, NAMED_MAX, Request};
use peernet_protos::limits::SOURCES_PER_PLAN;

use crate::api::handlers::FileCalls;
use crate::domain::swarm::sources::Offer;

// The wire promises what the engine keeps.
const _: () = assert!(NAMED_MAX == SOURCES_PER_PLAN);

/// The sources of a manifest with their reputation, the same for every caller.
#[derive(Clone, Copy)]
pub(super) struct Ranked<'a> {
    pub(super) offers: &'a [Offer],
    /// Score and tier of each source now.
    pub(super) standings: &'a [Standing],
    /// Returns whether an unlisted source may be named because it alone holds a chunk.
    pub(super) seeks_only_holders: bool,
}

/// A choice, with what the answer says about it.
pub(super) struct Offered {
    /// Positions of the sources that the plan names, best first.
    pub(super) named: Vec<usize>,
    /// The accounts that a ticket lists.
    pub(super) listed: Vec<PeerId>,
    /// The number of sources with at least one chunk, the caller not counted.
    pub(super) holders: usize,
}

/// The orders of a version 1 lookup.
pub(super) struct OfferedV1 {
    /// Positions in the list of sources; chunks use these orders in turn.
    pub(super) orders: Vec<Vec<usize>>,
    /// The score of each source, as clients see it.
    pub(super) scores: Vec<f64>,
}

/// Chooses the sources of a plan and counts those that it names.
pub(super) fn choose(calls: &FileCalls, request: &Request<'_>, ranked: Ranked<'_>) -> Offered {
    let Ranked { offers, standings, seeks_only_holders } = ranked;
    let demotions = calls.reputation.demotions(request.now, request.caller, offers.iter().map(|offer| offer.peer.id));
    let facts = Facts { standings, demotions: &demotions, seeks_only_holders };
    let Choice { order, named } = plan::choose(request, offers, facts, calls.swarm.next_seed());
    named.iter().for_each(|position| offers[*position].peer.note_offered(request.now));
    let holders = offers.iter().filter(|offer| offer.peer.id != request.caller && !offer.held.is_nothing()).count();
    Offered { named, listed: order.iter().map(|position| offers[*position].peer.id).collect(), holders }
}

/// Makes the orders of a version 1 lookup and counts the sources that the first one names.
pub(super) fn choose_v1(calls: &FileCalls, request: &Request<'_>, offers: &[Offer]) -> OfferedV1 {
    let peers: Vec<PeerId> = offers.iter().map(|offer| offer.peer.id).collect();
    let standings = calls.reputation.standings(&peers);
    let demotions = calls.reputation.demotions(request.now, request.caller, peers.into_iter());
    let facts = Facts { standings: &standings, demotions: &demotions, seeks_only_holders: true };
    let orders = plan::choose_v1(request, offers, facts, || calls.swarm.next_seed());
    for position in orders[0].iter().take(NAMED_MAX) {
        offers[*position].peer.note_offered(request.now);
    }
    let scores = standings.iter().map(|standing| shown_score(standing.score)).collect();
    OfferedV1 { orders, scores }
}
