//! One bound on the bytes of files that a process holds in memory, shared out among the uses of that memory.
//!
//! Every use has a reserved part. It may take more as long as the reserved parts of the other uses stay free. So no use
//! starves another, however long it holds its bytes, and a use that is alone has most of the memory.
//!
//! Invariant: as long as the bound is not lowered, the bytes taken and the reserved parts of all other uses are
//! together within the bound.

/// The purpose for which bytes are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The one small block that each served stream may always have.
    SmallBlocks,
    /// Larger blocks of served streams, and more of them at once.
    Streams,
    /// Whole chunks for version 1's calls.
    Calls,
    /// Chunks of a download that two sources send at once.
    Spills,
    /// Verified bytes on their way to a reader that follows a download.
    Delivery,
    /// Received blocks on their way to the disk.
    Writes,
    /// Chunks of many small files, until the files are written.
    Gathered,
}

const USES: [Use; 7] =
    [Use::SmallBlocks, Use::Streams, Use::Calls, Use::Spills, Use::Delivery, Use::Writes, Use::Gathered];

impl Use {
    /// The divisor of the whole that gives the reserved part. All parts together are less than the whole.
    fn kept_of(self) -> usize {
        match self {
            Self::SmallBlocks => 4,
            Self::Streams | Self::Calls | Self::Spills | Self::Delivery => 8,
            Self::Writes => 16,
            Self::Gathered => 32,
        }
    }
}

/// The bound and the bytes taken, by use.
#[derive(Debug, Clone)]
pub struct Shares {
    total: usize,
    used: [usize; USES.len()],
}

impl Shares {
    /// A bound of `total` bytes, with nothing taken.
    pub fn new(total: usize) -> Self {
        Self { total, used: [0; USES.len()] }
    }

    /// The bound, in bytes.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Changes the bound. Bytes taken beyond a lower bound stay taken until they are given back.
    pub fn set_total(&mut self, total: usize) {
        self.total = total;
    }

    /// Bytes taken, over all uses.
    pub fn used(&self) -> usize {
        self.used.iter().sum()
    }

    /// Bytes reserved for a use. It can always have this many, counting those it holds already.
    pub fn kept(&self, of: Use) -> usize {
        self.total / of.kept_of()
    }

    /// Takes `bytes` and returns true, or takes nothing and returns false.
    pub fn take(&mut self, of: Use, bytes: usize) -> bool {
        let after = |other: Use| self.used[other as usize].saturating_add(if other == of { bytes } else { 0 });
        let claimed = USES.iter().map(|other| after(*other).max(self.kept(*other)));
        let fits = claimed.fold(0, usize::saturating_add) <= self.total;
        if fits {
            self.used[of as usize] += bytes;
        }
        fits
    }

    /// Gives back bytes that were taken.
    pub fn give_back(&mut self, of: Use, bytes: usize) {
        self.used[of as usize] -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOTAL: usize = 64 << 20;

    #[test]
    fn a_lone_use_has_all_but_the_reserved_parts() {
        for of in USES {
            let mut shares = Shares::new(TOTAL);
            let most =
                TOTAL - USES.iter().filter(|other| **other != of).map(|other| shares.kept(*other)).sum::<usize>();
            assert!(shares.take(of, most) && most > shares.kept(of), "{of:?}");
            assert!(!shares.take(of, 1), "{of:?}");
            // Each of the others still gets its reserved part.
            for other in USES.into_iter().filter(|other| *other != of) {
                assert!(shares.take(other, shares.kept(other)) && !shares.take(other, 1), "{of:?} {other:?}");
            }
            assert_eq!(shares.used(), TOTAL);
            shares.give_back(of, most);
            assert!(shares.take(of, most), "{of:?}");
        }
    }

    #[test]
    fn a_lower_bound_holds_once_bytes_were_given_back() {
        let mut shares = Shares::new(TOTAL);
        assert!(shares.take(Use::Streams, TOTAL / 4));
        shares.set_total(TOTAL / 4);
        assert!(!shares.take(Use::Streams, 1) && !shares.take(Use::Calls, 1));
        shares.give_back(Use::Streams, TOTAL / 4);
        assert!(shares.take(Use::Calls, shares.kept(Use::Calls)));
        assert!(!shares.take(Use::Streams, usize::MAX));
    }

    proptest! {
        #[test]
        fn bytes_stay_within_the_bound_and_reserved_parts_are_there(
            total in 0..4_000_usize,
            steps in prop::collection::vec((0..USES.len(), 0..900_usize, any::<bool>()), 0..200),
        ) {
            let mut shares = Shares::new(total);
            let mut taken: Vec<(Use, usize)> = Vec::new();
            for (place, bytes, back) in steps {
                let of = USES[place];
                match back && !taken.is_empty() {
                    true => {
                        let (of, bytes) = taken.swap_remove(place % taken.len());
                        shares.give_back(of, bytes);
                    }
                    false if shares.take(of, bytes) => taken.push((of, bytes)),
                    false => {
                        let has: usize = taken.iter().filter(|(whose, _)| *whose == of).map(|(_, bytes)| bytes).sum();
                        prop_assert!(has + bytes > shares.kept(of), "{:?} is refused its reserved part", of);
                    }
                }
                prop_assert_eq!(shares.used(), taken.iter().map(|(_, bytes)| bytes).sum::<usize>());
                prop_assert!(shares.used() <= total);
            }
        }
    }
}
