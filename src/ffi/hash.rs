//! Digests.

use crate::abi::{mg_md5_ctx, mg_sha1_ctx, mg_sha256_ctx, mg_sha384_ctx};
use crate::ffi_util::bytes::{slice, slice_mut};
use crate::hash::md::{self, U64, U128};

/// A 64-bit count stored as two words, low word first.
fn count(words: [u32; 2]) -> u64 {
    u64::from(words[0]) | u64::from(words[1]) << 32
}

fn words(count: u64) -> [u32; 2] {
    [count as u32, (count >> 32) as u32]
}

/// `bits` plus `len` bytes; wraps like the counters of the digests.
fn longer(bits: u64, len: usize) -> u64 {
    bits.wrapping_add((len as u64).wrapping_mul(8))
}

/// Number of bytes in a block buffer of `block` bytes after `bits` bits.
fn used(bits: u64, block: u64) -> usize {
    (bits / 8 % block) as usize
}

/// Starts an MD5 computation. The context is plain data and may be copied at any time. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_md5_init(c: *mut mg_md5_ctx) {
    // SAFETY: c is the caller's struct.
    unsafe { *c = mg_md5_ctx { buf: md::MD5_INIT, bits: [0; 2], r#in: [0; 64] } }
}

/// Adds `len` bytes to an MD5 computation. May be called repeatedly, with data of any length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_md5_update(c: *mut mg_md5_ctx, data: *const u8, len: usize) {
    // SAFETY: c is an initialised context of the caller, data covers len bytes outside it.
    let (c, data) = unsafe { (&mut *c, slice(data, len)) };
    let bits = count(c.bits);
    md::update::<U64, 64>(&mut c.r#in, used(bits, 64), data, |b| md::md5(&mut c.buf, b));
    c.bits = words(longer(bits, data.len()));
}

/// Stores the MD5 digest, 16 bytes, and zeroes the context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_md5_final(c: *mut mg_md5_ctx, digest: *mut u8) {
    // SAFETY: c is an initialised context of the caller, digest has room for 16 bytes.
    let (c, digest) = unsafe { (&mut *c, slice_mut(digest, 16)) };
    let bits = count(c.bits);
    md::finish::<U64, 64>(&mut c.r#in, used(bits, 64), &bits.to_le_bytes(), |b| md::md5(&mut c.buf, b));
    digest.copy_from_slice(c.buf.map(u32::to_le_bytes).as_flattened());
    *c = mg_md5_ctx { buf: [0; 4], bits: [0; 2], r#in: [0; 64] };
}

/// Starts a SHA-1 computation. The context is plain data and may be copied at any time. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sha1_init(c: *mut mg_sha1_ctx) {
    // SAFETY: c is the caller's struct.
    unsafe { *c = mg_sha1_ctx { state: md::SHA1_INIT, count: [0; 2], buffer: [0; 64] } }
}

/// Adds `len` bytes to a SHA-1 computation. May be called repeatedly, with data of any length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sha1_update(c: *mut mg_sha1_ctx, data: *const u8, len: usize) {
    // SAFETY: c is an initialised context of the caller, data covers len bytes outside it.
    let (c, data) = unsafe { (&mut *c, slice(data, len)) };
    let bits = count(c.count);
    md::update::<U64, 64>(&mut c.buffer, used(bits, 64), data, |b| md::sha1(&mut c.state, b));
    c.count = words(longer(bits, data.len()));
}

/// Stores the SHA-1 digest, 20 bytes, and zeroes the context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sha1_final(digest: *mut u8, c: *mut mg_sha1_ctx) {
    // SAFETY: c is an initialised context of the caller, digest has room for 20 bytes.
    let (c, digest) = unsafe { (&mut *c, slice_mut(digest, 20)) };
    let bits = count(c.count);
    md::finish::<U64, 64>(&mut c.buffer, used(bits, 64), &bits.to_be_bytes(), |b| md::sha1(&mut c.state, b));
    digest.copy_from_slice(c.state.map(u32::to_be_bytes).as_flattened());
    *c = mg_sha1_ctx { state: [0; 5], count: [0; 2], buffer: [0; 64] };
}

/// Starts a SHA-256 computation. The context is plain data and may be copied at any time. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sha256_init(c: *mut mg_sha256_ctx) {
    // SAFETY: c is the caller's struct.
    unsafe { *c = mg_sha256_ctx { state: md::SHA256_INIT, bits: 0, len: 0, buffer: [0; 64] } }
}

/// Adds `len` bytes to a SHA-256 computation. May be called repeatedly, with data of any length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sha256_update(c: *mut mg_sha256_ctx, data: *const u8, len: usize) {
    // SAFETY: c is an initialised context of the caller, data covers len bytes outside it.
    let (c, data) = unsafe { (&mut *c, slice(data, len)) };
    md::update::<U64, 64>(&mut c.buffer, used(c.bits, 64), data, |b| md::compress256(&mut c.state, b));
    c.bits = longer(c.bits, data.len());
    c.len = used(c.bits, 64) as u32;
}

/// Stores the SHA-256 digest, 32 bytes. Initialise the context again before reusing it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sha256_final(digest: *mut u8, c: *mut mg_sha256_ctx) {
    // SAFETY: c is an initialised context of the caller, digest has room for 32 bytes.
    let (c, digest) = unsafe { (&mut *c, slice_mut(digest, 32)) };
    md::finish::<U64, 64>(&mut c.buffer, used(c.bits, 64), &c.bits.to_be_bytes(), |b| md::compress256(&mut c.state, b));
    digest.copy_from_slice(c.state.map(u32::to_be_bytes).as_flattened());
}

/// Starts a SHA-384 computation. The context is plain data and may be copied at any time. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sha384_init(c: *mut mg_sha384_ctx) {
    // SAFETY: c is the caller's struct.
    unsafe { *c = mg_sha384_ctx { state: md::SHA384_INIT, buffer: [0; 128], bitlen: [0; 2], datalen: 0 } }
}

/// Adds `len` bytes to a SHA-384 computation. May be called repeatedly, with data of any length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sha384_update(c: *mut mg_sha384_ctx, data: *const u8, len: usize) {
    // SAFETY: c is an initialised context of the caller, data covers len bytes outside it.
    let (c, data) = unsafe { (&mut *c, slice(data, len)) };
    let old = c.bitlen[0];
    md::update::<U128, 128>(&mut c.buffer, used(old, 128), data, |b| md::compress512(&mut c.state, b));
    c.bitlen[0] = longer(old, data.len());
    c.bitlen[1] = c.bitlen[1].wrapping_add(u64::from(c.bitlen[0] < old));
    c.datalen = used(c.bitlen[0], 128) as u32;
}

/// Stores the SHA-384 digest, 48 bytes. Initialise the context again before reusing it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sha384_final(digest: *mut u8, c: *mut mg_sha384_ctx) {
    // SAFETY: c is an initialised context of the caller, digest has room for 48 bytes.
    let (c, digest) = unsafe { (&mut *c, slice_mut(digest, 48)) };
    let length = [c.bitlen[1].to_be_bytes(), c.bitlen[0].to_be_bytes()];
    let used = used(c.bitlen[0], 128);
    md::finish::<U128, 128>(&mut c.buffer, used, length.as_flattened(), |b| md::compress512(&mut c.state, b));
    digest.copy_from_slice(&c.state.map(u64::to_be_bytes).as_flattened()[..48]);
}

/// Stores the SHA-256 digest, 32 bytes, of `datasz` bytes at `data` in `dst`. `data` is not modified and may be NULL if `datasz`
/// is 0. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sha256(dst: *mut u8, data: *mut u8, datasz: usize) {
    // SAFETY: dst has room for 32 bytes, data covers datasz bytes.
    unsafe { slice_mut(dst, 32).copy_from_slice(&md::sha256(slice(data, datasz))) }
}

/// Stores the SHA-384 digest, 48 bytes, of `datasz` bytes at `data` in `dst`. `data` is not modified and may be NULL if `datasz`
/// is 0. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sha384(dst: *mut u8, data: *mut u8, datasz: usize) {
    // SAFETY: dst has room for 48 bytes, data covers datasz bytes.
    unsafe { slice_mut(dst, 48).copy_from_slice(&md::sha384(slice(data, datasz))) }
}

/// Stores the HMAC-SHA-256 (RFC 2104), 32 bytes, of `datasz` bytes at `data` in `dst`. `key` and `data` are not modified and may
/// be NULL if their size is 0. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_hmac_sha256(dst: *mut u8, key: *mut u8, keysz: usize, data: *mut u8, datasz: usize) {
    // SAFETY: dst has room for 32 bytes, key and data cover keysz and datasz bytes.
    unsafe { slice_mut(dst, 32).copy_from_slice(&md::hmac_sha256(slice(key, keysz), slice(data, datasz))) }
}
