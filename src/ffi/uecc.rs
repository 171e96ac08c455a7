//! Keys on the curves P-256 and P-384. Keys and signatures are big-endian: a private key has n bytes (32 or 48), a public key 2n
//! (X, Y), a signature 2n (r, s). The header declares these functions only for applications that set MG_TLS to MG_TLS_BUILTIN,
//! hence the `cfg`; build.rs sets it if the library is built with elliptic curves.

#![cfg(any(cbindgen, feature = "ecc"))]

use crate::abi::*;
use crate::ffi_util::bytes::{slice, slice_mut};
use crate::hash::ecc::Curve;
use crate::memory::prelude::*;
use crate::proto::ec_key;
use crate::sys::random;
use core::ffi::{c_int, c_uint};
use zeroize::Zeroizing;

/// Applications hold the addresses of these.
static NAMES: [(Curve, u8); 2] = [(Curve::P256, 0), (Curve::P384, 0)];

fn name(i: usize) -> MG_UECC_Curve {
    (&raw const NAMES[i]).cast()
}

fn curve(c: MG_UECC_Curve) -> Option<Curve> {
    (0..NAMES.len()).find(|i| name(*i) == c).map(|i| NAMES[i].0)
}

/// Writes a result. Returns 1 if there is one, otherwise 0.
///
/// # Safety
/// `to` is NULL or has room for it.
unsafe fn give(result: Option<&[u8]>, to: *mut u8) -> c_int {
    match result.filter(|_| !to.is_null()) {
        Some(bytes) => {
            // SAFETY: guaranteed by the caller.
            unsafe { slice_mut(to, bytes.len()) }.copy_from_slice(bytes);
            1
        }
        None => 0,
    }
}

/// Returns the curve P-256, for the mg_uecc_* functions. May be called from any thread, like all of them.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub extern "C" fn mg_uecc_secp256r1() -> MG_UECC_Curve {
    name(0)
}

/// Returns the curve P-384, for the mg_uecc_* functions.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub extern "C" fn mg_uecc_secp384r1() -> MG_UECC_Curve {
    name(1)
}

/// Computes the public key (2n bytes: X, Y) of a private key (n bytes, big-endian). Returns 1, or 0 if the key is not valid on
/// the curve.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_uecc_compute_public_key(private_key: *const u8, public_key: *mut u8, curve: MG_UECC_Curve) -> c_int {
    let Some(c) = self::curve(curve) else { return 0 };
    // SAFETY: keys of this curve's sizes, as the caller promises.
    unsafe { give(c.public_key(slice(private_key, c.size())).as_deref(), public_key) }
}

/// Generates a key pair with random numbers from mg_random: a public key of 2n bytes (X, Y), a private key of n bytes. Returns 1,
/// or 0 if mg_random fails.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_uecc_make_key(public_key: *mut u8, private_key: *mut u8, curve: MG_UECC_Curve) -> c_int {
    let Some(c) = self::curve(curve) else { return 0 };
    let mut private = Zeroizing::new(vec![0; c.size()]);
    // Nearly every number is a valid key: if none of these is, the source is not random.
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

/// Returns 1 if a public key (2n bytes: X, Y) is a point on the curve, otherwise 0.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_uecc_valid_public_key(public_key: *const u8, curve: MG_UECC_Curve) -> c_int {
    // SAFETY: a key of this curve's size, as the caller promises.
    self::curve(curve).is_some_and(|c| c.is_public_key(unsafe { slice(public_key, 2 * c.size()) })).into()
}

/// Computes the shared secret of two parties (ECDH): n bytes, the X coordinate. Returns 1, or 0 if a key is not valid on the
/// curve.
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

/// Signs a hash of `hash_size` bytes (ECDSA); only the first n bytes of a longer hash count. The signature has 2n bytes (r, s).
/// Returns 1, or 0 if the key is not valid on the curve or mg_random fails.
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

/// Verifies the ECDSA signature (2n bytes: r, s) of a hash. Returns 1 if it is valid, otherwise 0.
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

/// Returns the size n of a private key in bytes: 32 for P-256, 48 for P-384.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub extern "C" fn mg_uecc_curve_private_key_size(curve: MG_UECC_Curve) -> c_int {
    self::curve(curve).map_or(0, Curve::size) as c_int
}

/// Returns the size 2n of a public key in bytes: 64 for P-256, 96 for P-384.
#[cfg(mg_tls_builtin)]
#[unsafe(no_mangle)]
pub extern "C" fn mg_uecc_curve_public_key_size(curve: MG_UECC_Curve) -> c_int {
    2 * self::curve(curve).map_or(0, Curve::size) as c_int
}

/// Extracts the P-256 private key from the content of a key file: PEM or DER, SEC1 (`EC PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`).
/// Writes 32 bytes to `buf` and returns 32, or returns 0 if the key is of another type or malformed, or if `len` is less than 32.
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
