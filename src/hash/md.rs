//! Digests: block functions of the RustCrypto crates, driven on state in the public context structs, so that a context is plain
//! data that applications may copy.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::digest::array::{Array, ArraySize};
use sha2::{Digest, Sha256, Sha384};

pub(crate) const MD5_INIT: [u32; 4] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
pub(crate) const SHA1_INIT: [u32; 5] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
/// The first 32 bits of the fractions of the square roots of the first eight primes.
pub(crate) const SHA256_INIT: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
/// The first 64 bits of the fractions of the square roots of the ninth to sixteenth prime.
pub(crate) const SHA384_INIT: [u64; 8] = [
    0xcbbb9d5dc1059ed8,
    0x629a292a367cd507,
    0x9159015a3070dd17,
    0x152fecd8f70e5939,
    0x67332667ffc00b31,
    0x8eb44a8768581511,
    0xdb0c2e0d64f98fa7,
    0x47b5481dbefa4fa4,
];

pub(crate) use md5::block_api::compress as md5;
pub(crate) use sha1::block_api::compress as sha1;
pub(crate) use sha2::block_api::{compress256, compress512};
pub(crate) use sha2::digest::consts::{U64, U128};

/// Feeds `data` to `compress` in blocks of `N` bytes. On entry `block` holds `used` bytes of an incomplete block, on return the
/// remaining ones.
pub(crate) fn update<U, const N: usize>(block: &mut [u8; N], used: usize, mut data: &[u8], mut compress: impl FnMut(&[[u8; N]]))
where
    U: ArraySize<ArrayType<u8> = [u8; N]>,
{
    if used > 0 {
        let head = data.len().min(N - used);
        block[used..used + head].copy_from_slice(&data[..head]);
        if used + head < N {
            return;
        }
        compress(core::slice::from_ref(block));
        data = &data[head..];
    }
    let (blocks, rest) = Array::<u8, U>::slice_as_chunks(data);
    if !blocks.is_empty() {
        compress(Array::cast_slice_to_core(blocks));
    }
    block[..rest.len()].copy_from_slice(rest);
}

/// Feeds the padding: a one bit, zeros, and the length of the message in bits at the end of a block.
pub(crate) fn finish<U, const N: usize>(block: &mut [u8; N], used: usize, length: &[u8], compress: impl FnMut(&[[u8; N]]))
where
    U: ArraySize<ArrayType<u8> = [u8; N]>,
{
    let mut padding = [0; 256];
    padding[0] = 0x80;
    let len = if used + 1 + length.len() <= N { N - used } else { 2 * N - used };
    padding[len - length.len()..len].copy_from_slice(length);
    update::<U, N>(block, used, &padding[..len], compress);
}

/// SHA-1 of the concatenation of several pieces.
pub(crate) fn sha1_of(pieces: &[&[u8]]) -> [u8; 20] {
    pieces.iter().fold(Sha1::new(), |sum, piece| sum.chain_update(piece)).finalize().into()
}

pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// SHA-256 of several pieces, each preceded by its length, so that different pieces cannot collide.
#[cfg(feature = "tls")]
pub(crate) fn sha256_of(pieces: &[&[u8]]) -> [u8; 32] {
    let add = |sum: Sha256, piece: &&[u8]| sum.chain_update((piece.len() as u64).to_be_bytes()).chain_update(piece);
    pieces.iter().fold(Sha256::new(), add).finalize().into()
}

pub(crate) fn sha384(data: &[u8]) -> [u8; 48] {
    Sha384::digest(data).into()
}

pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    // RFC 2104 does not limit key lengths.
    Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(data).finalize().into_bytes().into()).unwrap_or([0; 32])
}

/// HMAC of the concatenation of several pieces, with a key as long as the digest.
#[cfg(feature = "ecc")]
pub(crate) fn hmac_sha256_of(key: &[u8; 32], pieces: &[&[u8]]) -> [u8; 32] {
    pieces.iter().fold(Hmac::<Sha256>::new(&fitted(key)), |mac, piece| mac.chain_update(piece)).finalize().into_bytes().into()
}

#[cfg(feature = "ecc")]
pub(crate) fn hmac_sha384_of(key: &[u8; 48], pieces: &[&[u8]]) -> [u8; 48] {
    pieces.iter().fold(Hmac::<Sha384>::new(&fitted(key)), |mac, piece| mac.chain_update(piece)).finalize().into_bytes().into()
}

/// A key shorter than a block, padded with zeros (RFC 2104).
#[cfg(feature = "ecc")]
fn fitted<U: ArraySize<ArrayType<u8> = [u8; B]>, const N: usize, const B: usize>(key: &[u8; N]) -> Array<u8, U> {
    let mut block = [0; B];
    block[..N].copy_from_slice(key);
    Array(block)
}

/// Verifies `mac` in constant time.
pub(crate) fn is_hmac_sha256(key: &[u8], data: &[u8], mac: &[u8]) -> bool {
    Hmac::<Sha256>::new_from_slice(key).is_ok_and(|sum| sum.chain_update(data).verify_slice(mac).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 500 }))]
        #[test]
        fn split_input_gives_the_same_digest(data in proptest::collection::vec(any::<u8>(), 0..400), cuts in proptest::collection::vec(0usize..400, 0..6)) {
            let (mut small, mut large) = (SHA256_INIT, SHA384_INIT);
            let (mut block, mut wide) = ([0; 64], [0; 128]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(data.len())).chain([0, data.len()]).collect();
            cuts.sort_unstable();
            for w in cuts.windows(2) {
                update::<U64, 64>(&mut block, w[0] % 64, &data[w[0]..w[1]], |b| compress256(&mut small, b));
                update::<U128, 128>(&mut wide, w[0] % 128, &data[w[0]..w[1]], |b| compress512(&mut large, b));
            }
            let bits = data.len() * 8;
            finish::<U64, 64>(&mut block, data.len() % 64, &(bits as u64).to_be_bytes(), |b| compress256(&mut small, b));
            finish::<U128, 128>(&mut wide, data.len() % 128, &(bits as u128).to_be_bytes(), |b| compress512(&mut large, b));
            prop_assert_eq!(small.map(u32::to_be_bytes).concat(), sha256(&data));
            prop_assert_eq!(&large.map(u64::to_be_bytes).concat()[..48], sha384(&data));
        }
    }

    #[test]
    fn a_key_of_one_block_is_used_unhashed() {
        // From an independent implementation (Python's hmac module).
        let mac = hmac_sha256(&[b'k'; 64], b"data");
        assert_eq!(mac[..4], [0x93, 0x24, 0x4b, 0x3]);
    }
}
