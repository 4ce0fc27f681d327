//! Assigning chunks to sources: fills the request windows, and rescues stragglers in the endgame.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::download::picker::Order;
use crate::download::source::{Got, Source};
use crate::download::{Download, Output, SourceId};
use crate::ids::ChunkIndex;

/// The interval between two searches for stragglers while a source is idle.
const RESCUE_PAUSE: Duration = Duration::from_millis(250);

type Requests = BTreeMap<SourceId, Vec<ChunkIndex>>;

impl Download {
    /// Assigns chunks to all sources with room, one each in turn, so that a small file is spread over all of them.
    pub(super) fn assign(&mut self, now: Instant) {
        let order = self.order();
        let cap = self.cap(now);
        let mut requests = Requests::new();
        let mut turn = self.with_room(now, cap);
        while !turn.is_empty() {
            turn.retain(|id| self.assign_one(now, *id, order, &mut requests) && self.has_room(now, *id, cap));
        }
        self.rescue(now, cap, &mut requests);
        let got = self.got();
        let limits = &self.limits;
        let repeats = self.with_room(now, cap).into_iter().filter_map(|id| self.sources[&id].repeats_at(got, limits));
        self.repeat_at = repeats.filter(|at| *at > now).min();
        for (source, chunks) in requests {
            let again = self.sources.get(&source).is_some_and(|source| source.repeats_any(&chunks));
            self.outputs.push_back(Output::Request { source, chunks, again });
        }
    }

    /// Returns the order of requests: in order while no other downloader is known. Partial sources are downloaders, and
    /// so are the other callers of our sources.
    fn order(&self) -> Order {
        let partial = |source: &Source| source.has.is_some() && !source.is_complete();
        let crowd = self.sources.values().any(|source| partial(source) || source.given.is_some());
        if crowd { Order::RarestFirst } else { Order::InOrder }
    }

    /// Returns the verified chunks and the length of a chunk.
    fn got(&self) -> Got<'_> {
        Got { verified: self.chunks.verified(), chunk_bytes: self.chunk_bytes }
    }

    /// Returns the most chunks in flight at one source: an even share of all, so that no window crowds out the others.
    fn cap(&self, now: Instant) -> usize {
        let usable = self.sources.values().filter(|source| source.is_usable(now)).count();
        (self.limits.in_flight_max / usable.max(1)).max(self.limits.window_min)
    }

    /// Returns the sources with room, best first by the tracker's order.
    fn with_room(&self, now: Instant, cap: usize) -> Vec<SourceId> {
        let mut ids: Vec<_> = self.sources.keys().copied().filter(|id| self.has_room(now, *id, cap)).collect();
        ids.sort_by_key(|id| (self.sources[id].rank, *id));
        ids
    }

    fn has_room(&self, now: Instant, id: SourceId, cap: usize) -> bool {
        self.sources.get(&id).is_some_and(|source| source.has_room(now, cap))
    }

    /// Assigns one unassigned chunk to `id`. Returns false when there is none for it.
    fn assign_one(&mut self, now: Instant, id: SourceId, order: Order, requests: &mut Requests) -> bool {
        let Some(source) = self.sources.get_mut(&id) else { return false };
        if source.exhausted {
            return false;
        }
        let holds = |chunk| source.holds(chunk);
        let found = match self.limits.read_ahead {
            Some(ahead) => self.chunks.first_within(ahead, holds),
            None => self.chunks.picker().first(order, holds),
        };
        let Some(chunk) = found else {
            source.exhausted = true;
            return false;
        };
        // The picker returns the rarest chunk: if other downloaders get that one, they get all. A reader that follows
        // in order cannot wait until they pass it on.
        let may_wait = self.limits.read_ahead.is_none();
        if may_wait && source.is_in_demand() && self.chunks.picker().rarity(chunk) > 0 {
            source.repeats_since.get_or_insert(now);
            let got = Got { verified: self.chunks.verified(), chunk_bytes: self.chunk_bytes };
            if !source.may_repeat(now, got, &self.limits) {
                return false;
            }
        } else {
            source.repeats_since = None;
        }
        self.may_request_more(id) && self.start(now, id, chunk, requests)
    }

    /// Returns true if the total limit allows one more chunk in flight. Sources that have not delivered yet share half
    /// of that limit, so that many stalled sources leave room for the others.
    fn may_request_more(&self, id: SourceId) -> bool {
        let is_new = |source: &Source| source.chunks == 0;
        let of_new =
            self.sources.values().filter(|source| is_new(source)).map(|source| source.in_flight.len()).sum::<usize>();
        let room_for_new = of_new < (self.limits.in_flight_max / 2).max(1);
        self.total_in_flight() < self.limits.in_flight_max.max(1) && (room_for_new || !is_new(&self.sources[&id]))
    }

    fn start(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex, requests: &mut Requests) -> bool {
        let Some(source) = self.sources.get_mut(&id) else { return false };
        if !self.chunks.assign(chunk, id) {
            return false;
        }
        source.begin_request(now, chunk);
        requests.entry(id).or_default().push(chunk);
        true
    }

    /// Requests chunks of much slower sources from idle ones too (straggler rescue). The fastest source chooses first.
    fn rescue(&mut self, now: Instant, cap: usize, requests: &mut Requests) {
        let mut idle = self.with_room(now, cap.min(self.limits.window_min));
        idle.sort_by(|a, b| self.sources[b].meter.rate(now).total_cmp(&self.sources[a].meter.rate(now)));
        let got = self.got();
        idle.retain(|id| self.sources[id].may_repeat(now, got, &self.limits));
        for id in &idle {
            if let Some(chunk) = self.worst_held(now, *id).filter(|_| self.may_request_more(*id)) {
                self.start(now, *id, chunk, requests);
            }
        }
        let waiting = !idle.is_empty() && self.chunks.in_flight() > 0;
        self.rescue_at = waiting.then_some(now + RESCUE_PAUSE);
    }

    /// Returns the chunk in flight elsewhere that will take longest there, if requesting it from `id` is worth it.
    fn worst_held(&self, now: Instant, id: SourceId) -> Option<ChunkIndex> {
        let rescuer = &self.sources[&id];
        let mine = self.rescuer_secs(now, rescuer);
        let mut worst: Option<(f64, ChunkIndex)> = None;
        for chunk in self.sources.values().flat_map(|source| source.in_flight.iter().map(|requested| requested.chunk)) {
            if !rescuer.holds(chunk) || rescuer.has_requested(chunk) {
                continue;
            }
            let (theirs, factor) = self.secs_held(now, chunk);
            if theirs > mine * f64::from(factor) && worst.is_none_or(|(secs, _)| theirs > secs) {
                worst = Some((theirs, chunk));
            }
        }
        worst.map(|(_, chunk)| chunk)
    }

    /// Returns how long the rescuer would take. A new source, whose rate is not known, is assumed to take
    /// [`Limits::rescue_after`](crate::download::Limits::rescue_after).
    fn rescuer_secs(&self, now: Instant, rescuer: &Source) -> f64 {
        let secs = rescuer.secs_until(now, rescuer.in_flight.len(), self.chunk_bytes);
        if secs.is_finite() { secs } else { self.limits.rescue_after.as_secs_f64() }
    }

    /// Returns how long the quickest holder of the request for `chunk` will still take, and how many times longer than
    /// the rescuer that must be; 0 when no further source may be asked.
    fn secs_held(&self, now: Instant, chunk: ChunkIndex) -> (f64, u32) {
        let holders = self.chunks.holders(chunk);
        if holders.len() >= self.limits.holders_max {
            return (0.0, self.limits.rescue_factor);
        }
        let secs = holders.iter().map(|holder| self.secs_at(now, &self.sources[holder], chunk));
        secs.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::INFINITY, self.limits.rescue_factor))
    }

    fn secs_at(&self, now: Instant, holder: &Source, chunk: ChunkIndex) -> (f64, u32) {
        let place = holder.in_flight.iter().position(|requested| requested.chunk == chunk).unwrap_or(0);
        let asked = holder.in_flight.get(place).map_or(now, |requested| requested.since);
        let age = now.saturating_duration_since(asked);
        if age < self.limits.rescue_after {
            return (0.0, self.limits.rescue_factor);
        }
        let is_late = age >= self.limits.rescue_late_after;
        let factor = if is_late { self.limits.rescue_factor_late } else { self.limits.rescue_factor };
        (holder.secs_until(now, place, self.chunk_bytes), factor)
    }
}
