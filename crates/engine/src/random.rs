//! Seeded pseudo-random numbers for decisions. A seed gives the same sequence on every machine and in every version.
//!
//! The generator is xoshiro256** (David Blackman and Sebastiano Vigna, 2018, public domain, prng.di.unimi.it).
//! SplitMix64 fills its state, as its authors advise. It is not for secrets: keys, passwords and ids come from the
//! operating system, outside this crate.

/// A generator. It is cheap to create, so a decision may use one of its own.
#[derive(Debug, Clone)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// Creates the generator of a seed. Close seeds give unrelated sequences.
    pub fn new(seed: u64) -> Self {
        let mut counter = seed;
        Self { state: std::array::from_fn(|_| split_mix(&mut counter)) }
    }

    /// Returns the next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// Returns a number below `n`, each equally likely (Lemire's multiplication, 2019); 0 for `n` = 0.
    pub fn below(&mut self, n: u64) -> u64 {
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        // The high half is the number; the low half tells whether the draw is fair. A low half of at least `n` always
        // is, so most draws need no division.
        if (product as u64) < n {
            let unfair_below = n.wrapping_neg() % n;
            while (product as u64) < unfair_below {
                product = u128::from(self.next_u64()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }

    /// Puts `items` into random order, each order equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            // The draw is at most `last`, so it fits a usize.
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// One step of SplitMix64 (Guy Steele, Doug Lea and Christine Flood, 2014).
fn split_mix(counter: &mut u64) -> u64 {
    *counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *counter;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_gives_its_published_sequence() {
        let mut counter = 1_234_567;
        let first: [u64; 3] = std::array::from_fn(|_| split_mix(&mut counter));
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn xoshiro_gives_its_published_sequence() {
        let mut rng = Rng { state: [1, 2, 3, 4] };
        let first: [u64; 5] = std::array::from_fn(|_| rng.next_u64());
        assert_eq!(first, [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240, 1_216_172_134_540_287_360]);
    }

    #[test]
    fn numbers_below_a_bound_are_fair() {
        let mut rng = Rng::new(1);
        let mut counts = [0; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
        assert!((0..100).all(|_| rng.below(u64::MAX) < u64::MAX));
    }

    #[test]
    fn only_an_unfair_draw_is_repeated() {
        // A third of all draws is unfair for the last of these, one in 2^63 for the first.
        for n in [7, 1 << 40, (1 << 63) + 1, u64::MAX / 3 * 2] {
            let mut rng = Rng::new(n);
            let mut plain = Rng::new(n);
            for _ in 0..1_000 {
                let fair = std::iter::repeat_with(|| u128::from(plain.next_u64()) * u128::from(n))
                    .find(|product| *product as u64 >= n.wrapping_neg() % n);
                assert_eq!(Some(rng.below(n)), fair.map(|product| (product >> 64) as u64));
            }
        }
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_reaches_every_order() {
        let mut orders = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut items = [1, 2, 3, 4];
            Rng::new(seed).shuffle(&mut items);
            orders.insert(items);
            items.sort_unstable();
            assert_eq!(items, [1, 2, 3, 4]);
        }
        assert_eq!(orders.len(), 24);
    }
}
