//! Coverage: which sources are needed so that every chunk can be fetched, and which source alone holds a chunk.

use super::{Held, Source};
use crate::economy::{Standing, Tier};
use crate::ids::{ChunkIndex, PeerId};

/// Returns true if the sources at `positions` together hold every chunk. A file without chunks is covered.
pub fn covers<S: Source>(chunks: u32, sources: &[S], positions: &[usize]) -> bool {
    first_uncovered(chunks, sources, positions).is_none()
}

/// Appends sources to `positions` until each chunk that an allowed source holds is held by a source in it.
pub fn cover<S: Source>(chunks: u32, sources: &[S], allowed: impl Fn(usize) -> bool, positions: &mut Vec<usize>) {
    while let Some(missing) = first_uncovered(chunks, sources, positions) {
        let holder = (0..sources.len()).find(|i| allowed(*i) && sources[*i].held().contains(missing));
        match holder {
            Some(position) => positions.push(position),
            None => return,
        }
    }
}

fn first_uncovered<S: Source>(chunks: u32, sources: &[S], positions: &[usize]) -> Option<ChunkIndex> {
    let mut union = vec![0u8; chunks.div_ceil(8) as usize];
    for position in positions {
        let Held::Chunks(bitmap) = sources[*position].held() else { return None };
        union.iter_mut().zip(bitmap.as_bytes()).for_each(|(all, byte)| *all |= byte);
    }
    let lacks = |index: &u32| union[*index as usize / 8] & (0x80 >> (index % 8)) == 0;
    (0..chunks).find(lacks).map(ChunkIndex)
}

/// For each source, whether it holds a chunk that no other source holds which the plan may list for `caller`.
pub fn only_holders<S: Source>(caller: PeerId, chunks: u32, sources: &[S], standings: &[Standing]) -> Vec<bool> {
    only_of(chunks, sources, |i| sources[i].peer() != caller && standings[i].tier != Tier::Unlisted)
}

fn only_of<S: Source>(chunks: u32, sources: &[S], listed: impl Fn(usize) -> bool) -> Vec<bool> {
    let complete = (0..sources.len()).filter(|i| listed(*i) && *sources[*i].held() == Held::Complete).count();
    if complete >= 2 {
        return vec![false; sources.len()];
    }
    let full = vec![0xff; chunks.div_ceil(8) as usize];
    // A bitmap's spare bits past the last chunk are zero, so those of a complete source must be too.
    let full: Vec<u8> = mask(full, chunks);
    let bits = |i: usize| match sources[i].held() {
        Held::Complete => full.as_slice(),
        Held::Chunks(bitmap) => bitmap.as_bytes(),
    };
    let mut once = vec![0u8; full.len()];
    let mut twice = vec![0u8; full.len()];
    for i in (0..sources.len()).filter(|i| listed(*i)) {
        for ((once, twice), byte) in once.iter_mut().zip(&mut twice).zip(bits(i)) {
            *twice |= *once & byte;
            *once |= byte;
        }
    }
    let alone = |i: usize| {
        let others = if listed(i) { &twice } else { &once };
        bits(i).iter().zip(others).any(|(byte, others)| byte & !others != 0)
    };
    (0..sources.len()).map(alone).collect()
}

fn mask(mut bytes: Vec<u8>, chunks: u32) -> Vec<u8> {
    if let (Some(last), 1..) = (bytes.last_mut(), chunks % 8) {
        *last &= 0xffu8 << (8 - chunks % 8);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::sources;

    fn check(chunks: u32, spec: &str, expected: &str) {
        let (sources, listed) = sources(spec, chunks);
        let only: String =
            only_of(chunks, &sources, |i| listed[i]).iter().map(|b| if *b { 'o' } else { '.' }).collect();
        assert_eq!(only, expected, "{spec}");
    }

    #[test]
    fn an_only_holder_has_a_chunk_that_no_listed_source_has() {
        check(3, "*", "o");
        check(3, "* *", "..");
        check(3, "* 0", "o.");
        check(3, "* 012", "..");
        check(3, "01 12", "oo");
        check(3, "01 12 02", "...");
        check(3, "* x*", "o.");
        check(3, "x* x*", "oo");
        check(3, "01 x12", "oo");
        check(3, "01 x01", "o.");
        check(9, "0 1 8", "ooo");
    }

    #[test]
    fn a_source_that_a_chunk_needs_is_added() {
        let (sources, _) = sources("0 1 2 12", 3);
        let mut positions = vec![0];
        cover(3, &sources, |i| i != 1, &mut positions);
        assert_eq!(positions, [0, 3]);
        assert!(covers(3, &sources, &positions) && !covers(3, &sources, &[0, 1]));
    }

    #[test]
    fn a_chunk_that_no_allowed_source_holds_stays_missing() {
        let (sources, _) = sources("0 1", 3);
        let mut positions = Vec::new();
        cover(3, &sources, |i| i == 0, &mut positions);
        assert_eq!(positions, [0]);
    }

    #[test]
    fn a_file_without_chunks_is_covered_by_no_source() {
        let (sources, _) = sources("0", 1);
        assert!(covers(0, &sources, &[]) && !covers(1, &sources, &[]));
    }
}
