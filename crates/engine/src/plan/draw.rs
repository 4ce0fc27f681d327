//! Drawing: a bounded random sample of a manifest's holders, some of each kind and some of the caller's site.
//!
//! The index keeps a manifest's holders sorted by kind, so that a draw takes positions and looks at no other holder.

use std::ops::Range;

use super::Held;
use crate::random::Rng;

/// The number of kinds of holders.
pub const KINDS: usize = 5;
/// Up to this number of holders, all are drawn.
pub const ALL_MAX: usize = 40;
/// Past [`ALL_MAX`]: the number drawn of each kind, best kind first. Two for each slot of a plan where the choice
/// matters.
const DRAWN: [usize; KINDS] = [14, 10, 8, 6, 2];
/// Past [`ALL_MAX`]: the number drawn beside those from the caller's site.
pub const DRAWN_OF_SITE: usize = 10;

/// The kind of a holder, 0 being the best. A trusted account is of a tier that plans name first.
pub fn kind(held: &Held, trusted: bool) -> usize {
    match (held, trusted) {
        (Held::Complete, true) => 0,
        (Held::Complete, false) => 1,
        (Held::Chunks(bitmap), _) if bitmap.is_empty() => 4,
        (Held::Chunks(_), true) => 2,
        (Held::Chunks(_), false) => 3,
    }
}

/// Draws positions of a list of holders that is sorted by kind: kind `k` ends before `ends[k]`. `of_site` are positions
/// that were drawn from the caller's site; they are kept, and no position is drawn twice.
pub fn draw(rng: &mut Rng, ends: [u32; KINDS], of_site: Vec<usize>) -> Vec<usize> {
    let mut drawn = of_site;
    let mut start = 0;
    for (end, count) in ends.into_iter().zip(shares(ends)) {
        let of_kind = distinct(rng, start as usize..end as usize, count);
        drawn.extend(of_kind.into_iter().filter(|at| !drawn.contains(at)).collect::<Vec<_>>());
        start = end;
    }
    drawn
}

/// Draws positions among the `members` holders of the caller's site.
pub fn draw_of_site(rng: &mut Rng, members: usize) -> Vec<usize> {
    distinct(rng, 0..members, DRAWN_OF_SITE)
}

/// The number to draw of each kind. Slots that a small kind leaves free go to the other kinds, best first.
fn shares(ends: [u32; KINDS]) -> [usize; KINDS] {
    let mut start = 0;
    let sizes = ends.map(|end| (end - std::mem::replace(&mut start, end)) as usize);
    let mut shares: [usize; KINDS] = std::array::from_fn(|kind| DRAWN[kind].min(sizes[kind]));
    let mut left = ALL_MAX - shares.iter().sum::<usize>();
    for (share, size) in shares.iter_mut().zip(sizes) {
        let more = left.min(size - *share);
        *share += more;
        left -= more;
    }
    shares
}

/// Up to `count` positions of a range, each once, at random.
fn distinct(rng: &mut Rng, range: Range<usize>, count: usize) -> Vec<usize> {
    if range.len() <= count {
        return range.collect();
    }
    let mut positions = Vec::with_capacity(count);
    while positions.len() < count {
        let position = range.start + usize::try_from(rng.below(range.len() as u64)).unwrap_or(0);
        if !positions.contains(&position) {
            positions.push(position);
        }
    }
    positions
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::random::Rng;

    #[test]
    fn free_slots_of_a_small_kind_go_to_the_best_others() {
        for (ends, expected) in [
            ([100, 200, 300, 400, 500], [14, 10, 8, 6, 2]),
            ([0, 0, 0, 0, 100], [0, 0, 0, 0, 40]),
            ([100, 101, 101, 101, 101], [39, 1, 0, 0, 0]),
            ([1, 3, 60, 61, 62], [1, 2, 35, 1, 1]),
        ] {
            assert_eq!(shares(ends), expected, "{ends:?}");
        }
    }

    proptest! {
        #[test]
        fn a_draw_is_bounded_and_takes_no_position_twice(
            sizes in prop::array::uniform5(0u32..60), site in 0usize..30, seed: u64,
        ) {
            let mut end = 0;
            let ends = sizes.map(|size| { end += size; end });
            prop_assume!(end as usize > ALL_MAX);
            let of_site = draw_of_site(&mut Rng::new(seed), site.min(end as usize));
            let drawn = draw(&mut Rng::new(seed), ends, of_site.clone());
            prop_assert!(drawn.starts_with(&of_site));
            prop_assert!(drawn.len() <= ALL_MAX + DRAWN_OF_SITE && drawn.len() >= ALL_MAX);
            prop_assert!(drawn.iter().all(|position| *position < end as usize));
            prop_assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), drawn.len());
            prop_assert_eq!(&drawn, &draw(&mut Rng::new(seed), ends, of_site));
        }
    }
}
