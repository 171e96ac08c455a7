//! Signatures from a peer, on both curves: the verifier agrees with ring's, also on valid ones.

use core::ffi::{c_int, c_uint, c_void};
use mongoose as _; // it has the functions
use rustls::pki_types::SignatureVerificationAlgorithm;
use sha2::{Digest, Sha256, Sha384};

unsafe extern "C" {
    fn mg_uecc_secp256r1() -> *const c_void;
    fn mg_uecc_secp384r1() -> *const c_void;
    fn mg_uecc_compute_public_key(private: *const u8, public: *mut u8, curve: *const c_void) -> c_int;
    fn mg_uecc_sign(private: *const u8, hash: *const u8, len: c_uint, signature: *mut u8, curve: *const c_void) -> c_int;
    fn mg_uecc_verify(public: *const u8, hash: *const u8, len: c_uint, signature: *const u8, curve: *const c_void) -> c_int;
    fn mg_uecc_valid_public_key(public: *const u8, curve: *const c_void) -> c_int;
}

fn integer(n: &[u8]) -> Vec<u8> {
    let digits = n.iter().position(|b| *b != 0).map_or(&[0][..], |at| &n[at..]);
    let sign: &[u8] = if digits[0] >= 0x80 { &[0] } else { &[] };
    [&[2, (sign.len() + digits.len()) as u8], sign, digits].concat()
}

/// What ring says.
fn theirs(large: bool, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (r, s) = signature.split_at(signature.len() / 2);
    let content = [integer(r), integer(s)].concat();
    let der = [&[0x30, content.len() as u8], &content[..]].concat();
    let key = [&[4], public].concat();
    let algorithm: &dyn SignatureVerificationAlgorithm =
        if large { webpki::ring::ECDSA_P384_SHA384 } else { webpki::ring::ECDSA_P256_SHA256 };
    algorithm.verify_signature(&key, message, &der).is_ok()
}

fuzz_target!(|input: (bool, bool, [u8; 48], [u8; 96], Vec<(u8, u8)>, &[u8])| {
    let (large, stranger, mut key, mut signature, changes, message) = input;
    let n = if large { 48 } else { 32 };
    let hash = if large { Sha384::digest(message).to_vec() } else { Sha256::digest(message).to_vec() };
    let mut public = [0; 96];
    // SAFETY: keys, signatures and hashes of the curve's sizes, or larger.
    let (known, ours) = unsafe {
        let curve = if large { mg_uecc_secp384r1() } else { mg_uecc_secp256r1() };
        let known = mg_uecc_compute_public_key(key.as_ptr(), public.as_mut_ptr(), curve) == 1;
        if stranger || !known {
            public[..48].copy_from_slice(&key);
            public[48..].copy_from_slice(&signature[..48]);
        } else {
            assert_eq!(mg_uecc_sign(key.as_ptr(), hash.as_ptr(), hash.len() as c_uint, signature.as_mut_ptr(), curve), 1);
            assert_eq!(mg_uecc_verify(public.as_ptr(), hash.as_ptr(), hash.len() as c_uint, signature.as_ptr(), curve), 1);
            for (at, to) in &changes {
                signature[usize::from(*at) % (2 * n)] = *to;
            }
        }
        let ours = mg_uecc_verify(public.as_ptr(), hash.as_ptr(), hash.len() as c_uint, signature.as_ptr(), curve) == 1;
        assert!(!ours || mg_uecc_valid_public_key(public.as_ptr(), curve) == 1);
        // A hash of another length is nobody's.
        mg_uecc_verify(public.as_ptr(), message.as_ptr(), message.len() as c_uint, signature.as_ptr(), curve);
        (known, ours)
    };
    assert_eq!(ours, theirs(large, &public[..2 * n], message, &signature[..2 * n]), "{known}");
    key.fill(0);
});
