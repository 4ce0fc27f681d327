//! The block function of SHA-256 with the processor's SHA instructions, for several digests of the same blocks.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_loadu_si128, _mm_set_epi64x, _mm_setzero_si128,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
    _mm_storeu_si128,
};
use std::is_x86_feature_detected;

/// FIPS 180-4, section 4.2.2.
static ROUND_CONSTANTS: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// Tells whether this processor has the instructions that [`compress`] uses.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1")
}

/// Takes `blocks`, whole ones, into each of `states`. Only where [`is_there`].
pub(super) fn compress<const N: usize>(states: [&mut [u32; 8]; N], blocks: &[u8]) {
    debug_assert!(is_there() && blocks.len().is_multiple_of(64));
    // SAFETY: callers hold digests that were made only where the instructions are.
    unsafe { compress_all(states, blocks) }
}

/// The instructions keep the eight words as two registers, `abef` and `cdgh`.
#[derive(Clone, Copy)]
struct State {
    abef: __m128i,
    cdgh: __m128i,
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load(words: &[u32; 8]) -> State {
    // SAFETY: the array is 32 bytes long, and unaligned loads may read it.
    let (dcba, hgfe) = unsafe { (_mm_loadu_si128(words.as_ptr().cast()), _mm_loadu_si128(words[4..].as_ptr().cast())) };
    let cdab = _mm_shuffle_epi32(dcba, 0xb1);
    let efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    State { abef: _mm_alignr_epi8(cdab, efgh, 8), cdgh: _mm_blend_epi16(efgh, cdab, 0xf0) }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store(state: State, words: &mut [u32; 8]) {
    let feba = _mm_shuffle_epi32(state.abef, 0x1b);
    let dchg = _mm_shuffle_epi32(state.cdgh, 0xb1);
    // SAFETY: the array is 32 bytes long, and unaligned stores may write it.
    unsafe {
        _mm_storeu_si128(words.as_mut_ptr().cast(), _mm_blend_epi16(feba, dchg, 0xf0));
        _mm_storeu_si128(words[4..].as_mut_ptr().cast(), _mm_alignr_epi8(dchg, feba, 8));
    }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress_all<const N: usize>(words: [&mut [u32; 8]; N], blocks: &[u8]) {
    let mut words = words;
    let mut states = words.each_ref().map(|words| load(words));
    for block in blocks.chunks_exact(64) {
        let before = states;
        let mut schedule = message(block);
        four_rounds(&mut states, 0, schedule[0]);
        four_rounds(&mut states, 1, schedule[1]);
        four_rounds(&mut states, 2, schedule[2]);
        four_rounds(&mut states, 3, schedule[3]);
        for quad in [4, 8, 12] {
            for step in 0..4 {
                let next = extend(schedule);
                four_rounds(&mut states, quad + step, next);
                schedule = [schedule[1], schedule[2], schedule[3], next];
            }
        }
        for (state, before) in states.iter_mut().zip(before) {
            state.abef = _mm_add_epi32(state.abef, before.abef);
            state.cdgh = _mm_add_epi32(state.cdgh, before.cdgh);
        }
    }
    for (state, words) in states.into_iter().zip(&mut words) {
        store(state, words);
    }
}

/// A block's sixteen words, which are big-endian.
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn message(block: &[u8]) -> [__m128i; 4] {
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [_mm_setzero_si128(); 4];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(16)) {
        // SAFETY: the piece is 16 bytes long, and unaligned loads may read it.
        *word = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }, big_endian);
    }
    words
}

/// The next four words of the message schedule.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn extend(words: [__m128i; 4]) -> __m128i {
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(words[0], words[1]), _mm_alignr_epi8(words[3], words[2], 4));
    _mm_sha256msg2_epu32(sum, words[3])
}

/// Four rounds of every state, interleaved: while one waits for its last result another goes on.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn four_rounds<const N: usize>(states: &mut [State; N], quad: usize, words: __m128i) {
    // SAFETY: there are 16 groups of four constants, and `quad` is below 16.
    let constants = unsafe { _mm_loadu_si128(ROUND_CONSTANTS[4 * quad..][..4].as_ptr().cast()) };
    let first = _mm_add_epi32(words, constants);
    let second = _mm_shuffle_epi32(first, 0x0e);
    for state in states.iter_mut() {
        state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, first);
    }
    for state in states.iter_mut() {
        state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, second);
    }
}
