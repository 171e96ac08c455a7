//! Addresses, byte order, checksums, randomness and other utilities.

use crate::abi::{mg_addr, mg_addr_bytes, mg_str, mg_volatile_byte};
use crate::ffi_util::bytes::{slice, slice_mut};
use crate::hash::crc;
use crate::proto::ip::{self, BadAcl, Ip};
use crate::proto::{date, path};
use crate::sys::random;
use core::ffi::{c_char, c_int, c_uint, c_void};
use core::hint::black_box;

/// Parses an IP address: IPv4 `a.b.c.d`, IPv6 with or without brackets and scope (`[fe80::1%2]`), `localhost` (127.0.0.1), or an
/// empty string (0.0.0.0). Sets the address and `is_ip6`, for IPv6 also `scope_id`; leaves the port unchanged. Returns false if
/// `str` is not an address. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_aton(str: mg_str, addr: *mut mg_addr) -> bool {
    // SAFETY: str covers its length, addr is the caller's struct.
    let (ip, addr) = unsafe { (ip::parse(str.bytes()), &mut *addr) };
    match ip {
        Some(Ip::Any) => (addr.addr, addr.is_ip6) = (mg_addr::ZERO.addr, false),
        Some(Ip::V4(ip)) => {
            // The four bytes in memory order, which is network order; the other twelve stay.
            addr.addr.ip4 = u32::from_ne_bytes(ip);
            addr.is_ip6 = false;
        }
        Some(Ip::V6(ip, scope)) => {
            (addr.addr, addr.scope_id, addr.is_ip6) = (mg_addr_bytes { ip }, scope, true);
        }
        None => addr.scope_id = 0,
    }
    ip.is_some()
}

/// Checks an address against an access list such as `-0.0.0.0/0,+192.168.0.0/16`: comma-separated IPv4 networks, each with `+`
/// (allow) or `-` (deny). Returns 1 if access is allowed, 0 if denied: the last matching network decides, no match denies, and an
/// empty list allows everything. IPv4-mapped IPv6 addresses (`::ffff:192.168.0.1`) count as IPv4. Returns -1 for other IPv6
/// addresses and for entries without a sign, -2 for malformed networks. If bits beyond the prefix length are set, `-` denies the
/// whole network and `+` allows nothing. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_check_ip_acl(acl: mg_str, remote_ip: *mut mg_addr) -> c_int {
    // SAFETY: acl covers its length, remote_ip is the caller's struct.
    let (list, addr) = unsafe { (acl.bytes(), &*remote_ip) };
    let ip = addr.ip();
    // An IPv4 client of a dual-stack listener has such an address.
    let Some(ip) = (if addr.is_ip6 { ip::mapped(ip) } else { ip.first_chunk().copied() }) else { return -1 };
    match ip::acl(list, ip) {
        Ok(allowed) => allowed.into(),
        Err(BadAcl::Sign) => -1,
        Err(BadAcl::Network) => -2,
    }
}

/// Returns true if a path cannot leave the directory it is relative to: it does not begin with `~`, no component begins with
/// `..`, and it contains no NUL. Both `/` and `\` separate components. A path that is empty or begins with a NUL is sane. May be
/// called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_path_is_sane(path: mg_str) -> bool {
    // SAFETY: path covers its length.
    path::is_sane(unsafe { path.bytes() })
}

/// Converts a UTC date and time to seconds since 1970. `month` is 1 to 12, `day` 1 to 31. Returns 0 for years before 1970. May be
/// called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mg_timegm(year: c_uint, month: c_uint, day: c_uint, hour: c_uint, min: c_uint, sec: c_uint) -> u64 {
    date::unix_time(year, month, day, hour, min, sec)
}

/// Converts a 16-bit integer between network and host byte order. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mg_ntohs(net: u16) -> u16 {
    u16::from_be(net)
}

/// Converts a 32-bit integer between network and host byte order. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mg_ntohl(net: u32) -> u32 {
    u32::from_be(net)
}

/// Converts a 64-bit integer between network and host byte order. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mg_ntohll(net: u64) -> u64 {
    u64::from_be(net)
}

/// Zeroes `len` bytes at `buf`, which may be NULL. For secrets: the compiler never optimises it away. May be called from any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_bzero(buf: *mut mg_volatile_byte, len: usize) {
    // SAFETY: buf is NULL or covers len bytes.
    unsafe { slice_mut(buf, len) }.fill(0);
    // Keeps the compiler from removing the stores.
    black_box(buf);
}

/// Compares `n` bytes in constant time. For secrets. Returns true if they are equal or `n` is 0. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_memeq(a: *const c_void, b: *const c_void, n: usize) -> bool {
    // SAFETY: a and b cover n bytes.
    let (a, b) = unsafe { (slice(a.cast::<u8>(), n), slice(b.cast::<u8>(), n)) };
    let difference = a.iter().zip(b).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    a.len() == n && b.len() == n && difference == 0
}

/// Fills `buf` with `len - 1` random letters and digits and a NUL. Writes nothing if `len` is 0. Returns `buf`; if mg_random
/// fails, returns NULL and makes `buf` an empty string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_random_str(buf: *mut c_char, len: usize) -> *mut c_char {
    // SAFETY: buf covers len bytes.
    if let Some((nul, text)) = unsafe { slice_mut(buf.cast(), len) }.split_last_mut() {
        *nul = 0;
        if !random::text(text) {
            return core::ptr::null_mut();
        }
    }
    buf
}

/// Computes the CRC-32 (as zlib does) of `len` bytes. `crc` is 0, or the result for the preceding bytes. `buf` may be NULL if
/// `len` is 0. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_crc32(crc: u32, buf: *const c_char, len: usize) -> u32 {
    // SAFETY: buf covers len bytes.
    crc::crc32(crc, unsafe { slice(buf.cast(), len) })
}

/// Computes the CRC-16/X.25 of `len` bytes. `crc` is 0, or the result for the preceding bytes. `buf` may be NULL if `len` is 0.
/// May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_crc16(crc: u16, buf: *const c_char, len: usize) -> u16 {
    // SAFETY: buf covers len bytes.
    crc::crc16(crc, unsafe { slice(buf.cast(), len) })
}
