//! The curves P-256 and P-384: ECDSA and ECDH on the constant-time code of the RustCrypto crates. Keys and signatures are
//! big-endian bytes: a private key has `size` bytes, a public key (x, y) and a signature (r, s) twice as many.

use super::md;
use crate::memory::prelude::*;
use zeroize::{Zeroize, Zeroizing};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Curve {
    P256,
    P384,
}

/// The same code for both curves: their crates have the same shape.
macro_rules! curve {
    ($name:ident, $package:ident, $curve:ident, $uint:ident, $size:literal, $hmac:path) => {
        mod $name {
            use super::{Zeroize, Zeroizing};
            use crate::memory::prelude::*;
            use ecdsa::hazmat::SignPrimitive;
            use $package::ecdsa::signature::hazmat::PrehashVerifier;
            use $package::ecdsa::{Signature, VerifyingKey};
            use $package::elliptic_curve::PrimeField;
            use $package::elliptic_curve::ops::Reduce;
            use $package::elliptic_curve::sec1::ToEncodedPoint;
            use $package::{FieldBytes, NonZeroScalar, PublicKey, Scalar, SecretKey, ecdh};

            pub(super) const SIZE: usize = $size;

            /// Rejects a key of the wrong size, 0, and values not below the order of the curve.
            pub(super) fn private(key: &[u8]) -> Option<SecretKey> {
                if key.len() == SIZE { SecretKey::from_slice(key).ok() } else { None }
            }

            fn public(key: &[u8]) -> Option<PublicKey> {
                if key.len() != 2 * SIZE {
                    return None;
                }
                let mut point = [4; 2 * SIZE + 1]; // 4: uncompressed
                point[1..].copy_from_slice(key);
                PublicKey::from_sec1_bytes(&point).ok()
            }

            pub(super) fn public_key(key: &[u8]) -> Option<Vec<u8>> {
                Some(private(key)?.public_key().to_encoded_point(false).as_bytes()[1..].to_vec())
            }

            pub(super) fn is_public_key(key: &[u8]) -> bool {
                public(key).is_some()
            }

            pub(super) fn shared_secret(other: &[u8], key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
                let (other, key) = (public(other)?, private(key)?);
                let secret = ecdh::diffie_hellman(key.to_nonzero_scalar(), other.as_affine());
                Some(Zeroizing::new(secret.raw_secret_bytes().to_vec()))
            }

            /// A short hash is padded with leading zeros.
            pub(super) fn padded(hash: &[u8]) -> Vec<u8> {
                [&vec![0; SIZE.saturating_sub(hash.len())], hash].concat()
            }

            /// The nonces of RFC 6979, 3.2 (with `noise`: 3.6), for a key below the order of the curve.
            pub(super) struct Nonces {
                key: [u8; SIZE],
                value: [u8; SIZE],
                first: bool,
            }

            impl Nonces {
                pub(super) fn new(private: &[u8], hash: &FieldBytes, noise: &[u8]) -> Nonces {
                    let mut nonces = Nonces { key: [0; SIZE], value: [1; SIZE], first: true };
                    // bits2octets: reduce modulo the order.
                    let reduced = <Scalar as Reduce<$package::elliptic_curve::bigint::$uint>>::reduce_bytes(hash).to_repr();
                    for step in [0, 1] {
                        nonces.stir(&[&[step], private, &reduced, noise]);
                    }
                    nonces
                }

                fn stir(&mut self, pieces: &[&[u8]]) {
                    let pieces = [&[&self.value[..]], pieces].concat();
                    self.key = $hmac(&self.key, &pieces);
                    self.value = $hmac(&self.key, &[&self.value]);
                }

                /// The next number from 1 to the order, exclusive.
                pub(super) fn next(&mut self) -> Zeroizing<FieldBytes> {
                    loop {
                        if !core::mem::take(&mut self.first) {
                            self.stir(&[&[0]]);
                        }
                        self.value = $hmac(&self.key, &[&self.value]);
                        let bytes = Zeroizing::new(FieldBytes::from(self.value));
                        if bool::from(NonZeroScalar::from_repr(*bytes).is_some()) {
                            return bytes;
                        }
                    }
                }
            }

            impl Drop for Nonces {
                fn drop(&mut self) {
                    self.key.zeroize();
                    self.value.zeroize();
                }
            }

            /// `turn` modifies each nonce before use.
            pub(super) fn sign(key: &[u8], hash: &[u8], noise: &[u8], turn: impl Fn(&mut FieldBytes)) -> Option<Vec<u8>> {
                let scalar = Zeroizing::new(*private(key)?.to_nonzero_scalar());
                let hash = ecdsa::hazmat::bits2field::<$package::$curve>(&padded(hash)).ok()?;
                let mut nonces = Nonces::new(key, &hash, noise);
                loop {
                    let mut bytes = nonces.next();
                    turn(&mut bytes);
                    let nonce = Option::<NonZeroScalar>::from(NonZeroScalar::from_repr(*bytes)).map(|n| Zeroizing::new(*n));
                    if let Some((signature, _)) = nonce.and_then(|nonce| scalar.try_sign_prehashed(*nonce, &hash).ok()) {
                        return Some(signature.to_bytes().to_vec());
                    }
                }
            }

            pub(super) fn verify(key: &[u8], hash: &[u8], signature: &[u8]) -> bool {
                let (Some(key), Ok(signature)) = (public(key), Signature::from_slice(signature)) else { return false };
                VerifyingKey::from(key).verify_prehash(&padded(hash), &signature).is_ok()
            }
        }
    };
}

curve!(secp256r1, p256, NistP256, U256, 32, super::md::hmac_sha256_of);
curve!(secp384r1, p384, NistP384, U384, 48, super::md::hmac_sha384_of);

macro_rules! on {
    ($curve:expr, $what:ident$(($($arg:expr),*))?) => {
        match $curve {
            Curve::P256 => secp256r1::$what$(($($arg),*))?,
            Curve::P384 => secp384r1::$what$(($($arg),*))?,
        }
    };
}

impl Curve {
    /// Size of a private key in bytes.
    pub(crate) fn size(self) -> usize {
        on!(self, SIZE)
    }

    pub(crate) fn public_key(self, private: &[u8]) -> Option<Vec<u8>> {
        on!(self, public_key(private))
    }

    pub(crate) fn is_public_key(self, public: &[u8]) -> bool {
        on!(self, is_public_key(public))
    }

    /// The x coordinate of the shared ECDH point.
    pub(crate) fn shared_secret(self, public: &[u8], private: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        on!(self, shared_secret(public, private))
    }

    /// ECDSA. The nonce comes from key, hash and random numbers (RFC 6979, 3.6).
    pub(crate) fn sign(self, private: &[u8], hash: &[u8], noise: &[u8; 32]) -> Option<Vec<u8>> {
        on!(self, sign(private, hash, noise, |_| ()))
    }

    pub(crate) fn verify(self, public: &[u8], hash: &[u8], signature: &[u8]) -> bool {
        on!(self, verify(public, hash, signature))
    }
}

/// The signature of an ES256 token. Its nonce is that of RFC 6979 with its bytes reversed, as in the original, so that equal
/// tokens are equal whichever library signed them. Two signatures of one hash with related nonces would reveal the key: never
/// sign the same hash with both nonces.
pub(crate) fn es256(private: &[u8], hash: &[u8; 32]) -> Option<Vec<u8>> {
    secp256r1::sign(private, hash, &[], |nonce| nonce.reverse())
}

/// The scalar of a P-256 key in DER: `ECPrivateKey` of RFC 5915 ("SEC1"), or the same in a PKCS#8 `PrivateKeyInfo`. An included
/// public key must match.
pub(crate) fn p256_scalar(der: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    use p256::SecretKey;
    use p256::pkcs8::DecodePrivateKey;
    let key = SecretKey::from_sec1_der(der).ok().or_else(|| SecretKey::from_pkcs8_der(der).ok())?;
    Some(Zeroizing::new(key.to_bytes().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(s: &str) -> Vec<u8> {
        (0..s.len()).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap()).collect()
    }

    /// The keys and signatures of RFC 6979, A.2.5 and A.2.6, for the message "sample" with the hash that belongs to each curve.
    #[test]
    fn rfc_6979_signatures() {
        let p256 = (
            "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
            "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        );
        let p384 = (
            "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
            "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13\
             8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
            "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46\
             99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
        );
        let hashes = [super::super::md::sha256(b"sample").to_vec(), super::super::md::sha384(b"sample").to_vec()];
        for ((curve, (private, public, signature)), hash) in [(Curve::P256, p256), (Curve::P384, p384)].into_iter().zip(hashes) {
            let (private, public, signature) = (unhex(private), unhex(public), unhex(signature));
            assert_eq!(curve.public_key(&private).unwrap(), public, "{curve:?}");
            let plain = match curve {
                Curve::P256 => secp256r1::sign(&private, &hash, &[], |_| ()),
                Curve::P384 => secp384r1::sign(&private, &hash, &[], |_| ()),
            };
            assert_eq!(plain.unwrap(), signature, "{curve:?}");
            let noisy = curve.sign(&private, &hash, &[1; 32]).unwrap();
            assert!(noisy != signature && curve.verify(&public, &hash, &noisy));
            assert!(curve.verify(&public, &hash, &signature));
            assert!(!curve.verify(&public, &hash[1..], &signature));
            for i in 0..signature.len() {
                let mut other = signature.clone();
                other[i] ^= 1;
                assert!(!curve.verify(&public, &hash, &other));
            }
        }
    }

    #[test]
    fn both_sides_derive_the_same_secret() {
        for curve in [Curve::P256, Curve::P384] {
            let n = curve.size();
            let (a, b) = (vec![7; n], vec![9; n]);
            let (pa, pb) = (curve.public_key(&a).unwrap(), curve.public_key(&b).unwrap());
            assert_eq!(*curve.shared_secret(&pb, &a).unwrap(), *curve.shared_secret(&pa, &b).unwrap());
            assert_eq!(curve.shared_secret(&pb, &a).unwrap().len(), n);
        }
    }

    #[test]
    fn invalid_keys_are_refused() {
        for curve in [Curve::P256, Curve::P384] {
            let n = curve.size();
            for bad in [vec![0; n], vec![0xff; n], vec![1; n - 1], vec![1; n + 1], vec![]] {
                assert_eq!(curve.public_key(&bad), None);
                assert_eq!(curve.sign(&bad, b"hash", &[1; 32]), None);
            }
            let mut off = curve.public_key(&vec![7; n]).unwrap();
            off[2 * n - 1] ^= 1;
            for bad in [off, vec![0; 2 * n], vec![0xff; 2 * n], vec![1; n], vec![]] {
                assert!(!curve.is_public_key(&bad) && curve.shared_secret(&bad, &vec![7; n]).is_none());
                assert!(!curve.verify(&bad, b"hash", &vec![1; 2 * n]));
            }
            let public = curve.public_key(&vec![7; n]).unwrap();
            for bad in [vec![0; 2 * n], vec![0xff; 2 * n], vec![1; 2 * n - 1], vec![]] {
                assert!(!curve.verify(&public, b"hash", &bad));
            }
        }
    }

    #[test]
    fn hashes_shorter_than_the_curve() {
        for curve in [Curve::P256, Curve::P384] {
            let key = vec![7; curve.size()];
            for hash in [&b""[..], b"h", b"a hash"] {
                let signature = curve.sign(&key, hash, &[1; 32]).unwrap();
                assert!(curve.verify(&curve.public_key(&key).unwrap(), hash, &signature));
                assert_eq!(curve.sign(&key, &padded(hash, curve.size()), &[1; 32]).unwrap(), signature);
            }
        }
    }

    fn padded(hash: &[u8], n: usize) -> Vec<u8> {
        [&vec![0; n - hash.len()], hash].concat()
    }
}
