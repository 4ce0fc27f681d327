//! Every body on a few thousand inputs: noise, and mutations of input that its parser accepts. Same seed, same inputs.

use std::path::Path;

use peernet_engine::random::Rng;
use peernet_fuzz::{Body, bodies};

/// Inputs of each kind for each body.
const ROUNDS: u64 = 3_000;
/// The longest noise, in bytes.
const NOISE_LEN_MAX: u64 = 600;
/// Bytes that mean something to one parser or another.
const TELLING: &[u8] = b"\0\r\n \t\"'%&+,./0:=?@[]\\{}\x7f\x80\xc3\xff";

fn noise(rng: &mut Rng) -> Vec<u8> {
    let len = rng.below(NOISE_LEN_MAX);
    let is_text = rng.below(2) == 0;
    (0..len).map(|_| if is_text { 0x20 + rng.below(0x5f) as u8 } else { rng.next_u64() as u8 }).collect()
}

fn mutated(rng: &mut Rng, examples: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = examples[rng.below(examples.len() as u64) as usize].clone();
    for _ in 0..=rng.below(3) {
        mutate(rng, &mut bytes, examples);
    }
    bytes
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>, examples: &[Vec<u8>]) {
    let len = bytes.len() as u64;
    let at = rng.below(len) as usize;
    let some = |rng: &mut Rng| TELLING[rng.below(TELLING.len() as u64) as usize];
    match rng.below(8) {
        0 => bytes.truncate(at),
        1 if len > 0 => bytes[at] ^= 1 << rng.below(8),
        2 if len > 0 => bytes[at] = some(rng),
        3 => bytes.insert(at, some(rng)),
        4 if len > 0 => drop(bytes.remove(at)),
        5 => {
            let part = bytes[at..].to_vec();
            bytes.extend(part);
        }
        6 => {
            let other = &examples[rng.below(examples.len() as u64) as usize];
            let from = rng.below(other.len() as u64) as usize;
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        7 => {
            let count = rng.below(300) as usize;
            let byte = some(rng);
            bytes.splice(at..at, std::iter::repeat_n(byte, count));
        }
        _ => {}
    }
}

/// The first input that a body panics on, if there is one.
fn failure(body: &Body) -> Option<String> {
    let examples = (body.examples)();
    let mut rng = Rng::new(body.name.bytes().map(u64::from).sum());
    let mut inputs = examples.clone();
    inputs.push(Vec::new());
    for _ in 0..ROUNDS {
        inputs.push(noise(&mut rng));
        inputs.push(mutated(&mut rng, &examples));
    }
    let fails = |input: &&Vec<u8>| std::panic::catch_unwind(|| (body.run)(input)).is_err();
    inputs.iter().find(fails).map(|input| format!("{} fails on {:?}", body.name, String::from_utf8_lossy(input)))
}

#[test]
fn every_body_holds_on_examples_noise_and_mutations() {
    let failures: Vec<String> = bodies().iter().filter_map(failure).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_body_has_its_target_for_libfuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for body in bodies() {
        let target = std::fs::read_to_string(folder.join(format!("fuzz_targets/{}.rs", body.name))).unwrap();
        assert!(target.contains(&format!("peernet_fuzz::{}(data)", body.name)), "{}", body.name);
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{}.rs\"", body.name)), "{}", body.name);
    }
}
