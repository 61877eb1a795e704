//! What the core's unit tests share: a seeded random source and a clock that is moved by hand.

use super::{Mono, Now, Random};

/// SplitMix64: small, and the same on every machine.
pub struct Seeded(pub u64);

impl Random for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Both clocks at `seconds` after boot; the wall clock is right.
pub fn at(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1_000), wall_ms: 1_790_000_000_000 + seconds as i64 * 1_000 }
}
