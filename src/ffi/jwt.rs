//! JSON Web Tokens.

use crate::abi::*;
use crate::ffi_util::bytes;
#[cfg(feature = "ecc")]
use crate::hash::ecc::{self, Curve};
use crate::hash::md;
use crate::proto::jwt::{self, Token};
use core::ffi::c_char;

/// Writes text and a NUL to a buffer of `len` bytes. 0 when there is none, or no room.
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
    // SAFETY: passed on to the caller.
    unsafe { Token { claims: opts.claims.bytes(), header: opts.header.bytes(), kid: opts.kid.bytes() } }
}

/// Makes a token of `opts->claims`, signed with HMAC-SHA-256 and the key `opts->secret`. Its header has the members `alg`, `typ`,
/// `kid` unless that is empty, and those of `opts->header`. Returns the token's length; a NUL follows. 0 on failure: empty claims,
/// or a buffer that has no room for each part with its padding. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_jwt_sign_hs256(opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: options with readable strings and room for len bytes, as the caller promises.
    unsafe {
        let opts = &*opts;
        let sign = |text: &[u8]| Some(md::hmac_sha256(opts.secret.bytes(), text).to_vec());
        give(jwt::sign("HS256", &token(opts), len, sign), buf, len)
    }
}

/// Checks a token's signature with the key `opts->secret` and puts its claims and a NUL into `buf`. Returns their length, 0 on
/// failure: another algorithm, a wrong signature, a malformed token, or a buffer that is too small. Whether the token has expired
/// is for the application to see. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_jwt_verify_hs256(jwt: mg_str, opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: a token, options with a readable key and room for len bytes, as the caller promises.
    unsafe {
        let secret = (*opts).secret.bytes();
        give(jwt::verify("HS256", jwt.bytes(), |text, mac| md::is_hmac_sha256(secret, text, mac)), buf, len)
    }
}

/// As mg_jwt_sign_hs256, with an ECDSA signature on the curve P-256: `opts->private_key` has 32 bytes, as mg_uecc_parse_private_key
/// writes them. Equal claims give equal tokens. 0 when the library is built without elliptic curves.
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

/// As mg_jwt_verify_hs256, for ECDSA signatures on the curve P-256: `opts->public_key` has 64 bytes, X and Y. 0 when the library is
/// built without elliptic curves.
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
    crate::sys::log::log_error!("this library is built without elliptic curves");
    0
}
