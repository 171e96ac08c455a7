//! Addresses, byte order, checksums, randomness and other small things.

use crate::abi::{mg_addr, mg_addr_bytes, mg_str, mg_volatile_byte};
use crate::ffi_util::bytes::{slice, slice_mut};
use crate::hash::crc;
use crate::proto::ip::{self, BadAcl, Ip};
use crate::proto::{date, path};
use crate::sys::random;
use core::ffi::{c_char, c_int, c_uint, c_void};
use core::hint::black_box;

/// Reads an IP address: nothing at all (0.0.0.0), `localhost` (127.0.0.1), IPv4 `a.b.c.d`, or IPv6, with or without
/// brackets and with or without a scope, `[fe80::1%2]`. Sets the address, and `is_ip6`; an IPv6 address also `scope_id`.
/// The port is left alone. Returns false when `str` is no address.
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

/// Checks an address against a list of networks, such as `-0.0.0.0/0,+192.168.0.0/16`: comma-separated, each with `+` to
/// let it in or `-` to keep it out. Returns 1 when the address may come in, 0 when not: the last network that contains it
/// decides, and no network means no; but an empty list lets everyone in. An IPv4 address mapped into IPv6
/// (`::ffff:192.168.0.1`) counts as that IPv4 address. Returns -1 for any other IPv6 address or an entry without sign, -2 for a
/// malformed network. Where bits behind the network's length are not zero, `-` keeps all of the network out and `+` lets nobody in.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_check_ip_acl(acl: mg_str, remote_ip: *mut mg_addr) -> c_int {
    // SAFETY: acl covers its length, remote_ip is the caller's struct.
    let (list, addr) = unsafe { (acl.bytes(), &*remote_ip) };
    let ip = addr.ip();
    // That is how a client of IPv4 looks to a listener for both.
    let Some(ip) = (if addr.is_ip6 { ip::mapped(ip) } else { ip.first_chunk().copied() }) else { return -1 };
    match ip::acl(list, ip) {
        Ok(allowed) => allowed.into(),
        Err(BadAcl::Sign) => -1,
        Err(BadAcl::Network) => -2,
    }
}

/// Whether a path cannot lead out of the directory it is looked up in: it does not begin with `~`, none of its parts
/// begins with `..`, and there is no NUL inside. Both `/` and `\` separate parts. An empty path, or one that begins with
/// a NUL, is sane.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_path_is_sane(path: mg_str) -> bool {
    // SAFETY: path covers its length.
    path::is_sane(unsafe { path.bytes() })
}

/// Seconds since 1970 of a date and time in UTC; `month` is 1 to 12, `day` 1 to 31. 0 for years before 1970.
#[unsafe(no_mangle)]
pub extern "C" fn mg_timegm(year: c_uint, month: c_uint, day: c_uint, hour: c_uint, min: c_uint, sec: c_uint) -> u64 {
    date::unix_time(year, month, day, hour, min, sec)
}

/// Turns a 16-bit number from network byte order into the machine's, or back.
#[unsafe(no_mangle)]
pub extern "C" fn mg_ntohs(net: u16) -> u16 {
    u16::from_be(net)
}

/// Turns a 32-bit number from network byte order into the machine's, or back.
#[unsafe(no_mangle)]
pub extern "C" fn mg_ntohl(net: u32) -> u32 {
    u32::from_be(net)
}

/// Turns a 64-bit number from network byte order into the machine's, or back.
#[unsafe(no_mangle)]
pub extern "C" fn mg_ntohll(net: u64) -> u64 {
    u64::from_be(net)
}

/// Zeroes `len` bytes at `buf`, which may be NULL. Never optimised away: for secrets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_bzero(buf: *mut mg_volatile_byte, len: usize) {
    // SAFETY: buf is NULL or covers len bytes.
    unsafe { slice_mut(buf, len) }.fill(0);
    // For the compiler, somebody may look at the memory now.
    black_box(buf);
}

/// Compares `n` bytes in a time that does not depend on them: for secrets. 0 bytes are equal.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_memeq(a: *const c_void, b: *const c_void, n: usize) -> bool {
    // SAFETY: a and b cover n bytes.
    let (a, b) = unsafe { (slice(a.cast::<u8>(), n), slice(b.cast::<u8>(), n)) };
    let difference = a.iter().zip(b).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    a.len() == n && b.len() == n && difference == 0
}

/// Fills `buf` with `len - 1` random letters and digits and a NUL; writes nothing when `len` is 0. Returns `buf`; or, when
/// `mg_random` has no random numbers, NULL, with an empty text in `buf`.
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

/// CRC-32 of `len` bytes, as in zlib. `crc` is 0, or the result for the bytes before them. `buf` may be NULL when `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_crc32(crc: u32, buf: *const c_char, len: usize) -> u32 {
    // SAFETY: buf covers len bytes.
    crc::crc32(crc, unsafe { slice(buf.cast(), len) })
}

/// CRC-16/X.25 of `len` bytes. `crc` is 0, or the result for the bytes before them. `buf` may be NULL when `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_crc16(crc: u16, buf: *const c_char, len: usize) -> u16 {
    // SAFETY: buf covers len bytes.
    crc::crc16(crc, unsafe { slice(buf.cast(), len) })
}
