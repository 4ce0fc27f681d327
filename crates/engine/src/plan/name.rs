//! Naming: which sources of an order the plan shows.

use super::{Held, NAMED_MAX, Source, cover, covers};

/// Picks at most [`NAMED_MAX`] positions of `order`: first the sources without which a chunk could not be fetched, then
/// sources with a chunk that the caller lacks, then sources that hold nothing of use yet but are fetching the file.
pub fn name<S: Source>(chunks: u32, own: Option<&Held>, sources: &[S], order: &[usize]) -> Vec<usize> {
    // The usual case, decided without sorting: the first of the order are all useful and cover the file.
    let first = &order[..order.len().min(NAMED_MAX)];
    if first.iter().all(|position| sources[*position].held().is_useful(own)) && covers(chunks, sources, first) {
        return first.to_vec();
    }
    let mut ranked = Vec::with_capacity(order.len());
    let mut useless = Vec::new();
    for position in order {
        let group = if sources[*position].held().is_useful(own) { &mut ranked } else { &mut useless };
        group.push(*position);
    }
    let useful = ranked.len();
    ranked.append(&mut useless);
    let mut named = Vec::with_capacity(NAMED_MAX);
    if !covers(chunks, sources, &ranked[..useful.min(NAMED_MAX)]) {
        cover(chunks, sources, |position| ranked[..useful].contains(&position), &mut named);
    }
    for position in ranked {
        if named.len() < NAMED_MAX && !named.contains(&position) {
            named.push(position);
        }
    }
    named.truncate(NAMED_MAX);
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{Given, source};

    const CHUNKS: u32 = 4;

    /// One letter per source: `*` holds all chunks, a digit holds that chunk, `-` holds none.
    fn check(own: Option<&str>, spec: &str, expected: &str) {
        let letters: Vec<char> = spec.chars().collect();
        let sources: Vec<Given> = letters.iter().map(|letter| source(1, &letter.to_string(), CHUNKS)).collect();
        let own = own.map(|spec| source(1, spec, CHUNKS).held);
        let order: Vec<usize> = (0..sources.len()).collect();
        let named = name(CHUNKS, own.as_ref(), &sources, &order);
        let named: String = named.into_iter().map(|position| letters[position]).collect();
        assert_eq!(named, expected, "{spec}");
    }

    #[test]
    fn needed_sources_come_first_then_useful_ones_then_beginners() {
        check(None, "", "");
        check(None, "-1*-", "1*--");
        check(None, "0000000000000*-", "0*00000000");
        check(None, "11111111111023-", "0123111111");
        check(None, "------------*", "*---------");
        check(None, "11111111111-", "1111111111");
    }

    #[test]
    fn a_source_with_a_missing_chunk_comes_first() {
        check(Some("0"), "00*1", "*100");
        check(Some("*"), "0*", "0*");
        check(Some("-"), "-0", "0-");
    }
}
