//! Orders offers for an asker: gathers what the ranking needs to know, asks it, and counts who was named.

use peernet_engine::economy::{Standing, Tier, shown_score};
use peernet_engine::ids::PeerId;
use peernet_engine::ranking::{Candidate, order};
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::SOURCES_PER_PLAN;

use crate::app::App;
use crate::swarm::sources::{Facts, Offer, candidates, cover};

/// A version 1 lookup holds this many orders, used chunk by chunk in turn: its clients ask the first peer of each list only,
/// and so spread over all equals.
const ORDERS_V1: u32 = 16;

/// Offers in order.
pub(super) struct Offered {
    /// Places in the list of offers, best first.
    pub(super) order: Vec<usize>,
    /// The scores to show, by place.
    pub(super) scores: Vec<f64>,
    /// The peers of `order`: who a ticket lists.
    pub(super) kept: Vec<PeerId>,
    /// How many offers there were, the asker's own not counted.
    pub(super) holders: usize,
}

/// One order, for a plan.
pub(super) fn order_plan(
    app: &App,
    now: UnixMillis,
    asker: PeerId,
    site: Option<&str>,
    chunks: u32,
    offers: &[Offer],
) -> Offered {
    let (candidates, scores) = look_up(app, now, asker, site, chunks, offers);
    let order = order(&candidates, asker, app.swarm.next_seed(), now);
    offered(app, now, asker, offers, order, scores)
}

/// Several orders of the same offers, for version 1; each names someone for every chunk if anyone may be named for it.
pub(super) fn order_v1(
    app: &App,
    now: UnixMillis,
    asker: PeerId,
    chunks: u32,
    offers: &[Offer],
) -> (Offered, Vec<Vec<usize>>) {
    let site = app.swarm.site_of(asker);
    let (mut candidates, scores) = look_up(app, now, asker, site.as_deref(), chunks, offers);
    let allowed: Vec<bool> = candidates.iter().map(|c| c.standing.tier != Tier::Unlisted || c.only_holder).collect();
    let orders: Vec<Vec<usize>> = (0..ORDERS_V1.min(chunks.max(1)))
        .map(|_| {
            let mut order = order(&candidates, asker, app.swarm.next_seed(), now);
            // Whoever is first here has been named once more: the next order starts with another of its equals.
            order.first().into_iter().for_each(|first| candidates[*first].offered_today += 1);
            cover(chunks, offers, |place| allowed[place], &mut order);
            order
        })
        .collect();
    let first = orders.first().cloned().unwrap_or_default();
    (offered(app, now, asker, offers, first, scores), orders)
}

fn look_up(
    app: &App,
    now: UnixMillis,
    asker: PeerId,
    site: Option<&str>,
    chunks: u32,
    offers: &[Offer],
) -> (Vec<Candidate>, Vec<f64>) {
    let peers: Vec<PeerId> = offers.iter().map(|offer| offer.peer).collect();
    let standings: Vec<Standing> = app.reputation.standings(&peers);
    let demotions = app.reputation.demotions(asker, &peers);
    let offered_today: Vec<u32> = peers.iter().map(|peer| app.swarm.offered_today(now, *peer)).collect();
    let facts = Facts { standings: &standings, demotions: &demotions, offered_today: &offered_today };
    let scores = standings.iter().map(|standing| shown_score(standing.score)).collect();
    (candidates(asker, site, chunks, offers, facts), scores)
}

fn offered(
    app: &App,
    now: UnixMillis,
    asker: PeerId,
    offers: &[Offer],
    order: Vec<usize>,
    scores: Vec<f64>,
) -> Offered {
    let kept: Vec<PeerId> = order.iter().map(|place| offers[*place].peer).collect();
    kept.iter().take(SOURCES_PER_PLAN).for_each(|peer| app.swarm.note_offered(now, *peer));
    let holders = offers.iter().filter(|offer| offer.peer != asker).count();
    Offered { order, scores, kept, holders }
}
