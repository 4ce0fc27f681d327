//! Orders offers for an asker: gathers what the ranking needs to know, asks it, and counts who was named.

use peernet_engine::economy::{Standing, Tier, shown_score};
use peernet_engine::ids::PeerId;
use peernet_engine::ranking::{Candidate, order};
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::SOURCES_PER_PLAN;

use crate::app::App;
use crate::swarm::Held;
use crate::swarm::sources::{Facts, Offer, candidates, cover, covers, is_useful, only_holders};

/// A version 1 lookup holds this many orders, used chunk by chunk in turn: its clients ask the first peer of each list only,
/// and so spread over all equals.
const ORDERS_V1: u32 = 16;

/// Who asks.
pub(super) struct Asker<'a> {
    pub(super) peer: PeerId,
    /// Its label.
    pub(super) site: Option<&'a str>,
    /// What it holds already, where that is known.
    pub(super) own: Option<&'a Held>,
}

/// What is known of the offers of a manifest, whoever asks.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) chunks: u32,
    pub(super) offers: &'a [Offer],
    /// Scores and tiers now.
    pub(super) standings: &'a [Standing],
    /// Whether who alone holds something may be named for that.
    pub(super) looks_for_only_holders: bool,
}

/// Offers in order.
pub(super) struct Offered {
    /// Places in the list of offers, best first.
    pub(super) order: Vec<usize>,
    /// The peers of `order`: who a ticket lists.
    pub(super) kept: Vec<PeerId>,
    /// How many offers of at least one chunk there were, the asker's own not counted.
    pub(super) holders: usize,
}

/// One order, for a plan.
pub(super) fn order_plan(app: &App, now: UnixMillis, asker: &Asker<'_>, known: Known<'_>) -> Offered {
    let candidates = look_up(app, now, asker, known);
    let order = order(&candidates, asker.peer, app.swarm.next_seed(), now);
    offered(asker.peer, known.offers, order)
}

/// Several orders of the same offers, for version 1; each names someone for every chunk if anyone may be named for it. And each
/// offer's score.
pub(super) fn order_v1(
    app: &App,
    now: UnixMillis,
    asker: PeerId,
    chunks: u32,
    offers: &[Offer],
) -> (Offered, Vec<Vec<usize>>, Vec<f64>) {
    let site = app.swarm.site_of(asker);
    let peers: Vec<PeerId> = offers.iter().map(|offer| offer.peer.id).collect();
    let standings = app.reputation.standings(&peers);
    let known = Known { chunks, offers, standings: &standings, looks_for_only_holders: true };
    let mut candidates = look_up(app, now, &Asker { peer: asker, site: site.as_deref(), own: None }, known);
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
    first.iter().take(SOURCES_PER_PLAN).for_each(|place| offers[*place].peer.note_offered(now));
    let scores = standings.iter().map(|standing| shown_score(standing.score)).collect();
    (offered(asker, offers, first), orders, scores)
}

/// Which of `order` a plan shows: whoever it takes so that all of the file is to be had, if it can be; then who holds
/// something that the asker lacks; then who holds nothing of use yet, but fetches it and will.
pub(super) fn shown(chunks: u32, own: Option<&Held>, offers: &[Offer], order: &[usize]) -> Vec<usize> {
    // Mostly the first of the order are all useful and have all of it between them, and then they come out of the rest as they are.
    let first = &order[..order.len().min(SOURCES_PER_PLAN)];
    if first.iter().all(|place| is_useful(&offers[*place].held, own)) && covers(chunks, offers, first) {
        return first.to_vec();
    }
    let (mut ranked, mut nothing) = (Vec::with_capacity(order.len()), Vec::new());
    for place in order {
        let of = if is_useful(&offers[*place].held, own) { &mut ranked } else { &mut nothing };
        of.push(*place);
    }
    let something = ranked.len();
    ranked.append(&mut nothing);
    let mut shown = Vec::with_capacity(SOURCES_PER_PLAN);
    if !covers(chunks, offers, &ranked[..something.min(SOURCES_PER_PLAN)]) {
        cover(chunks, offers, |place| ranked[..something].contains(&place), &mut shown);
    }
    for place in ranked {
        if shown.len() < SOURCES_PER_PLAN && !shown.contains(&place) {
            shown.push(place);
        }
    }
    shown.truncate(SOURCES_PER_PLAN);
    shown
}

fn look_up(app: &App, now: UnixMillis, asker: &Asker<'_>, known: Known<'_>) -> Vec<Candidate> {
    let Known { chunks, offers, standings, looks_for_only_holders } = known;
    let demotions = app.reputation.demotions(now, asker.peer, offers.iter().map(|offer| offer.peer.id));
    let facts = Facts { standings, demotions: &demotions };
    let only = match looks_for_only_holders {
        true => only_holders(asker.peer, chunks, offers, standings),
        false => Vec::new(),
    };
    candidates(now, asker.site, offers, facts, &only)
}

fn offered(asker: PeerId, offers: &[Offer], order: Vec<usize>) -> Offered {
    let kept: Vec<PeerId> = order.iter().map(|place| offers[*place].peer.id).collect();
    let holders = offers.iter().filter(|offer| offer.peer.id != asker && !offer.held.is_nothing()).count();
    Offered { order, kept, holders }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use peernet_engine::bitmap::Bitmap;
    use peernet_engine::ids::{ChunkCount, ChunkIndex};

    use super::*;
    use crate::swarm::{Contact, Peer};

    const CHUNKS: u32 = 4;

    /// One letter an offer: `*` holds all, a digit that chunk, `-` nothing.
    fn offer(letter: char) -> Offer {
        let mut bitmap = Bitmap::empty(ChunkCount(CHUNKS));
        letter.to_digit(10).into_iter().for_each(|chunk| assert!(bitmap.insert(ChunkIndex(chunk))));
        let held = if letter == '*' { Held::Complete } else { Held::Chunks(Arc::new(bitmap)) };
        let contact = Arc::new(Contact { reach: "a:1".into(), site: None });
        let (peer, expires_at) = (Arc::new(Peer::new(PeerId([0; 16]))), UnixMillis(1));
        Offer { peer, contact, v1: false, held, expires_at, changed_at: 0 }
    }

    fn check(offers: &str, expected: &str) {
        check_for(None, offers, expected);
    }

    fn check_for(own: Option<char>, offers: &str, expected: &str) {
        let own = own.map(|letter| offer(letter).held);
        let letters: Vec<char> = offers.chars().collect();
        let offers: Vec<Offer> = letters.iter().map(|letter| offer(*letter)).collect();
        let order: Vec<usize> = (0..offers.len()).collect();
        let shown: String =
            shown(CHUNKS, own.as_ref(), &offers, &order).into_iter().map(|place| letters[place]).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_plan_shows_who_is_needed_then_who_is_useful_then_who_only_begins() {
        check("", "");
        check("-1*-", "1*--");
        check("0000000000000*-", "0*00000000");
        check("11111111111023-", "0123111111");
        check("------------*", "*---------");
        check("11111111111-", "1111111111");
    }

    #[test]
    fn who_has_what_the_asker_lacks_comes_first() {
        check_for(Some('0'), "00*1", "*100");
        check_for(Some('*'), "0*", "0*");
        check_for(Some('-'), "-0", "0-");
    }
}
