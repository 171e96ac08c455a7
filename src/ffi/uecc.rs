//! Keys on the curves P-256 and P-384. Keys and signatures are big-endian bytes: a private key has n of them (32 or 48), a public
//! key 2n (X, Y), a signature 2n (r, s). The header declares these functions for applications that set MG_TLS to MG_TLS_BUILTIN,
//! which is why they carry that condition; build.rs fulfils it when the library is built with elliptic curves.

#![cfg(any(cbindgen, feature = "ecc"))]

use crate::abi::*;
use crate::ffi_util::bytes::{slice, slice_mut};
use crate::hash::ecc::Curve;
use crate::proto::ec_key;
use crate::sys::random;
use core::ffi::{c_int, c_uint};
use zeroize::Zeroizing;

/// Applications get the addresses of these.
static NAMES: [(Curve, u8); 2] = [(Curve::P256, 0), (Curve::P384, 0)];

fn name(i: usize) -> MG_UECC_Curve {
    (&raw const NAMES[i]).cast()
}

fn curve(c: MG_UECC_Curve) -> Option<Curve> {
    (0..NAMES.len()).find(|i| name(*i) == c).map(|i| NAMES[i].0)
}

/// Writes a result. 1 when there is one.
///
/// # Safety
/// `to` is NULL or has room for it.
unsafe fn give(result: Option<&[u8]>, to: *mut u8) -> c_int {
    match result.filter(|_| !to.is_null()) {
        Some(bytes) => {
            // SAFETY: passed on to the caller.
            unsafe { slice_mut(to, bytes.len()) }.copy_from_slice(bytes);
            1
        }
        None => 0,
    }
}

/// The curve P-256, for the functions that follow. May be called from any thread, as all of them.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub extern "C" fn mg_uecc_secp256r1() -> MG_UECC_Curve {
    name(0)
}

/// The curve P-384.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub extern "C" fn mg_uecc_secp384r1() -> MG_UECC_Curve {
    name(1)
}

/// Computes the public key of a private one. Returns 1, or 0 when it is no key of this curve.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_uecc_compute_public_key(private_key: *const u8, public_key: *mut u8, curve: MG_UECC_Curve) -> c_int {
    let Some(c) = self::curve(curve) else { return 0 };
    // SAFETY: keys of this curve's sizes, as the caller promises.
    unsafe { give(c.public_key(slice(private_key, c.size())).as_deref(), public_key) }
}

/// Makes a pair of keys with random numbers of mg_random. Returns 1, or 0 when there are none.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_uecc_make_key(public_key: *mut u8, private_key: *mut u8, curve: MG_UECC_Curve) -> c_int {
    let Some(c) = self::curve(curve) else { return 0 };
    let mut private = Zeroizing::new(vec![0; c.size()]);
    // Nearly every number is a key; that none of these is shows that they are not random.
    for _ in 0..64 {
        if !random::fill(&mut private) {
            return 0;
        }
        if let Some(public) = c.public_key(&private) {
            // SAFETY: room for keys of this curve's sizes, as the caller promises.
            return unsafe { give(Some(&public), public_key) & give(Some(&private), private_key) };
        }
    }
    0
}

/// Returns 1 when a public key is a point of the curve, else 0.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_uecc_valid_public_key(public_key: *const u8, curve: MG_UECC_Curve) -> c_int {
    // SAFETY: a key of this curve's size, as the caller promises.
    self::curve(curve).is_some_and(|c| c.is_public_key(unsafe { slice(public_key, 2 * c.size()) })).into()
}

/// Computes the secret that the owners of two keys share (ECDH): n bytes, the X coordinate. Returns 1, or 0 when one of the keys is
/// none of this curve.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_uecc_shared_secret(
    public_key: *const u8,
    private_key: *const u8,
    secret: *mut u8,
    curve: MG_UECC_Curve,
) -> c_int {
    let Some(c) = self::curve(curve) else { return 0 };
    // SAFETY: keys of this curve's sizes and room for the secret, as the caller promises.
    unsafe {
        let shared = c.shared_secret(slice(public_key, 2 * c.size()), slice(private_key, c.size()));
        give(shared.as_ref().map(|s| &s[..]), secret)
    }
}

/// Signs a hash of `hash_size` bytes (ECDSA); of a longer one than n bytes, the first n count. Returns 1, or 0
/// when it is no key of this curve or mg_random has no random numbers.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_uecc_sign(
    private_key: *const u8,
    hash: *const u8,
    hash_size: c_uint,
    signature: *mut u8,
    curve: MG_UECC_Curve,
) -> c_int {
    let mut noise = Zeroizing::new([0; 32]);
    let Some(c) = self::curve(curve).filter(|_| random::fill(&mut noise[..])) else { return 0 };
    // SAFETY: a key of this curve's size, a hash and room for a signature, as the caller promises.
    unsafe { give(c.sign(slice(private_key, c.size()), slice(hash, hash_size as usize), &noise).as_deref(), signature) }
}

/// Checks the signature of a hash. Returns 1 if it is good, else 0.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_uecc_verify(
    public_key: *const u8,
    hash: *const u8,
    hash_size: c_uint,
    signature: *const u8,
    curve: MG_UECC_Curve,
) -> c_int {
    let Some(c) = self::curve(curve) else { return 0 };
    // SAFETY: a key and a signature of this curve's sizes and a hash, as the caller promises.
    unsafe {
        let (key, signature) = (slice(public_key, 2 * c.size()), slice(signature, 2 * c.size()));
        c.verify(key, slice(hash, hash_size as usize), signature).into()
    }
}

/// Bytes of a private key: n.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub extern "C" fn mg_uecc_curve_private_key_size(curve: MG_UECC_Curve) -> c_int {
    self::curve(curve).map_or(0, Curve::size) as c_int
}

/// Bytes of a public key: 2n.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub extern "C" fn mg_uecc_curve_public_key_size(curve: MG_UECC_Curve) -> c_int {
    2 * self::curve(curve).map_or(0, Curve::size) as c_int
}

/// Takes the private key on the curve P-256 out of a file, PEM or DER, SEC1 (`EC PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`). Returns 32
/// and writes 32 bytes, or returns 0: another kind of key, a malformed one, or `len` below 32.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_uecc_parse_private_key(key: mg_str, buf: *mut u8, len: usize) -> usize {
    if len < Curve::P256.size() {
        return 0;
    }
    // SAFETY: a readable string and room for len bytes, as the caller promises.
    unsafe {
        let scalar = ec_key::p256_scalar(key.bytes());
        give(scalar.as_ref().map(|s| &s[..]), buf) as usize * Curve::P256.size()
    }
}
