//! JSON Web Tokens.

use crate::abi::*;
use crate::ffi_util::bytes;
#[cfg(feature = "ecc")]
use crate::hash::ecc::{self, Curve};
use crate::hash::md;
use crate::memory::prelude::*;
use crate::proto::jwt::{self, Token};
use core::ffi::c_char;

/// Writes text and a NUL to a buffer of `len` bytes. 0 if there is no text or it does not fit.
///
/// # Safety
/// `buf` is NULL or has room for `len` bytes.
unsafe fn give(text: Option<Vec<u8>>, buf: *mut c_char, len: usize) -> usize {
    let Some(text) = text.filter(|t| t.len() < len && !buf.is_null()) else { return 0 };
    // SAFETY: the text and its NUL fit.
    let to = unsafe { bytes::slice_mut(buf.cast::<u8>(), text.len() + 1) };
    to[..text.len()].copy_from_slice(&text);
    to[text.len()] = 0;
    text.len()
}

/// # Safety
/// The strings of `opts` are readable for `'a`.
unsafe fn token<'a>(opts: &mg_jwt_opts) -> Token<'a> {
    // SAFETY: guaranteed by the caller.
    unsafe { Token { claims: opts.claims.bytes(), header: opts.header.bytes(), kid: opts.kid.bytes() } }
}

/// Creates a JSON Web Token with the payload `opts->claims`, signed with HMAC-SHA-256 and the key `opts->secret`. Its header
/// contains `alg`, `typ`, `kid` if not empty, and the members in `opts->header`. Writes the token and a NUL to `buf`. Returns its
/// length, or 0 if the claims are empty or `buf` has no room for every part with its padding. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_jwt_sign_hs256(opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: options with readable strings and room for len bytes, as the caller promises.
    unsafe {
        let opts = &*opts;
        let sign = |text: &[u8]| Some(md::hmac_sha256(opts.secret.bytes(), text).to_vec());
        give(jwt::sign("HS256", &token(opts), len, sign), buf, len)
    }
}

/// Verifies the HMAC-SHA-256 signature of a token with the key `opts->secret` and writes its claims and a NUL to `buf`. Returns
/// their length, or 0 if the algorithm differs, the signature is wrong, the token is malformed, or `buf` is too small. Does not
/// check whether the token has expired. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_jwt_verify_hs256(jwt: mg_str, opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: a token, options with a readable key and room for len bytes, as the caller promises.
    unsafe {
        let secret = (*opts).secret.bytes();
        give(jwt::verify("HS256", jwt.bytes(), |text, mac| md::is_hmac_sha256(secret, text, mac)), buf, len)
    }
}

/// Like mg_jwt_sign_hs256, with an ECDSA signature on the curve P-256. `opts->private_key` holds 32 bytes, as written by
/// mg_uecc_parse_private_key. Signatures are deterministic: equal claims yield equal tokens. Returns 0 if the library was built
/// without elliptic curves. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_jwt_sign_es256(opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize {
    #[cfg(feature = "ecc")]
    // SAFETY: options with readable strings and keys and room for len bytes, as the caller promises.
    unsafe {
        let opts = &*opts;
        let key = bytes::slice(opts.private_key, Curve::P256.size());
        let sign = |text: &[u8]| ecc::es256(key, &md::sha256(text));
        give(jwt::sign("ES256", &token(opts), len, sign), buf, len)
    }
    #[cfg(not(feature = "ecc"))]
    {
        let _ = (opts, buf, len);
        no_curves()
    }
}

/// Like mg_jwt_verify_hs256, for ECDSA signatures on the curve P-256. `opts->public_key` holds 64 bytes, X and Y. Returns 0 if
/// the library was built without elliptic curves. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_jwt_verify_es256(jwt: mg_str, opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize {
    #[cfg(feature = "ecc")]
    // SAFETY: a token, options with a readable key and room for len bytes, as the caller promises.
    unsafe {
        let key = bytes::slice((*opts).public_key, 2 * Curve::P256.size());
        let is_good = |text: &[u8], signature: &[u8]| Curve::P256.verify(key, &md::sha256(text), signature);
        give(jwt::verify("ES256", jwt.bytes(), is_good), buf, len)
    }
    #[cfg(not(feature = "ecc"))]
    {
        let _ = (jwt, opts, buf, len);
        no_curves()
    }
}

#[cfg(not(feature = "ecc"))]
fn no_curves() -> usize {
    crate::sys::log::log_error!("this library was built without elliptic curves");
    0
}
