//! The public key that ARM demands of every connected cluster, and why nobody has its private half.
//!
//! `agentPublicKeyCertificate` is a required property: base64 of an RSA-4096 public key (PKCS#1 DER). Microsoft's own agents
//! prove their identity to their private data plane with the other half. arclet does not speak that data plane, so nothing
//! ever uses the private half, and what nobody needs nobody may have: the primes never leave this file and are wiped as
//! soon as their product is known (the sieve's own scratch numbers die on the stack).

use crate::core::Reason;
use base64::Engine;
use crypto_bigint::{U2048, U4096};
use crypto_primes::hazmat::{SetBits, SmallPrimesSieveFactory};
use crypto_primes::{is_prime_with_rng, sieve_and_find};
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroize;

/// Bytes of the modulus.
const MODULUS: usize = U4096::BYTES;
/// INTEGER 65537.
const EXPONENT: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];

/// A new key's public half, base64 of its PKCS#1 DER. Takes seconds on a small device.
pub fn generate() -> Result<String, Reason> {
    let mut random = SystemRandom { failed: false };
    let modulus = modulus(&mut random);
    match modulus {
        Some(modulus) if !random.failed => Ok(base64::prelude::BASE64_STANDARD.encode(pkcs1(&modulus))),
        _ => Err(Reason::new("NoRandomness", "the system gives no randomness for a key")
            .cure("try again when the system has been up for a while")),
    }
}

fn modulus(random: &mut SystemRandom) -> Option<[u8; MODULUS]> {
    let (mut p, mut q) = (prime(random)?, prime(random)?);
    // With the two highest bits of both set, the product has all 4096 bits.
    let product: U4096 = p.widening_mul(&q);
    p.zeroize();
    q.zeroize();
    let mut bytes = [0; MODULUS];
    for (bytes, word) in bytes.rchunks_mut(size_of::<crypto_bigint::Word>()).zip(product.as_words()) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    Some(bytes)
}

fn prime(random: &mut SystemRandom) -> Option<U2048> {
    sieve_and_find(random, SmallPrimesSieveFactory::new(U2048::BITS, SetBits::TwoMsb), is_prime_with_rng)
}

/// `SEQUENCE { INTEGER modulus, INTEGER 65537 }` of a modulus whose highest bit is set.
fn pkcs1(modulus: &[u8; MODULUS]) -> Vec<u8> {
    let mut body = integer_head(MODULUS + 1).to_vec();
    body.push(0);
    body.extend_from_slice(modulus);
    body.extend_from_slice(&EXPONENT);
    let mut der = vec![0x30, 0x82];
    der.extend_from_slice(&(body.len() as u16).to_be_bytes());
    der.extend_from_slice(&body);
    der
}

fn integer_head(length: usize) -> [u8; 4] {
    let [high, low] = (length as u16).to_be_bytes();
    [0x02, 0x82, high, low]
}

/// The system's randomness for crypto-primes; a failure is remembered, since the trait has no word for it.
struct SystemRandom {
    failed: bool,
}

impl RngCore for SystemRandom {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            self.failed = true;
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for SystemRandom {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_a_pkcs1_sequence_of_a_4096_bit_modulus_and_65537() {
        let mut modulus = [0xab; MODULUS];
        modulus[MODULUS - 1] = 0x01;
        let der = pkcs1(&modulus);
        assert_eq!(der[..9], [0x30, 0x82, 0x02, 0x0a, 0x02, 0x82, 0x02, 0x01, 0x00]);
        assert_eq!(der[9..9 + MODULUS], modulus);
        assert_eq!(der[9 + MODULUS..], EXPONENT);
    }

    #[test]
    #[ignore = "a minute without optimisation; run with --profile fast"]
    fn a_generated_key_has_4096_bits_is_odd_and_is_another_each_time() {
        let decode = |text: &str| base64::prelude::BASE64_STANDARD.decode(text).unwrap();
        let (one, two) = (decode(&generate().unwrap()), decode(&generate().unwrap()));
        for der in [&one, &two] {
            assert_eq!(der.len(), 4 + 5 + MODULUS + EXPONENT.len());
            assert!(der[9] & 0x80 != 0, "the highest bit is set");
            assert!(der[8 + MODULUS] & 1 == 1, "a product of odd primes is odd");
        }
        assert_ne!(one, two);
    }
}
