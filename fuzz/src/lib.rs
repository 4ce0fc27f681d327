//! One fuzz body for each parser of input from a stranger, a disk or an operator.
//!
//! A body takes any bytes and asserts a property, not only that nothing panics. Accepted input prints and parses to the
//! same, refused input stays refused, and damaged input claims less. The tests run each body on seeded random inputs
//! and on mutated examples; the targets under `fuzz_targets/` hand the same bodies to libFuzzer.

mod door;
mod engine;
#[cfg(feature = "peer")]
mod peer;
mod tracker;

pub use door::http_head;
pub use engine::{bitmap, collection, ids, journal, link, manifest, names};
#[cfg(feature = "peer")]
pub use peer::{certificates, chunk_response, fetch_reply, fetch_request, grant, host_port, version1_config};
pub use tracker::{address, config, csr, database_address, news, query, rest_body, token};

/// A body, its name and valid inputs to start from.
#[derive(Clone, Copy)]
pub struct Body {
    /// Also the name of its target under `fuzz_targets/`.
    pub name: &'static str,
    /// Panics when a property does not hold.
    pub run: fn(&[u8]),
    /// Inputs that the parser takes; mutations of them reach deeper than noise does.
    pub examples: fn() -> Vec<Vec<u8>>,
}

/// Every body.
pub fn bodies() -> Vec<Body> {
    let mut all = door::BODIES.to_vec();
    all.extend(engine::BODIES);
    all.extend(tracker::BODIES);
    #[cfg(feature = "peer")]
    all.extend(peer::BODIES);
    all
}

/// The first `N` bytes, zeros where there are fewer, and what follows: how a body that wants numbers besides bytes gets
/// them.
fn take<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    match data.split_first_chunk::<N>() {
        Some((head, rest)) => (*head, rest),
        None => {
            let mut head = [0; N];
            head[..data.len()].copy_from_slice(data);
            (head, &[])
        }
    }
}

/// Texts as examples.
fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}
