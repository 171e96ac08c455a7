//! Parsing and printing of `struct mg_addr`.

use crate::abi::mg_addr;
use crate::memory::prelude::*;
use crate::proto::ip::{self, Ip};
use alloc::ffi::CString;
use core::ffi::CStr;

/// See `mg_aton`. Leaves the port unchanged; on failure only the scope may change.
pub(crate) fn parse(text: &[u8], to: &mut mg_addr) -> bool {
    store(ip(text), to)
}

/// An address as parsed by `mg_aton`.
pub(crate) fn ip(text: &[u8]) -> Option<Ip> {
    zoned(text, false)
}

/// The host of a URL: the zone of an address may be preceded by `%25` (RFC 6874) instead of `%`. Leaves the port unchanged.
pub(crate) fn parse_host(host: &[u8], to: &mut mg_addr) -> bool {
    store(zoned(host, true), to)
}

/// An address whose zone may be the name of an interface.
fn zoned(text: &[u8], in_url: bool) -> Option<Ip> {
    let Some(at) = memchr::memchr(b'%', text) else { return ip::parse(text) };
    let (address, zone) = (&text[..at], &text[at + 1..]);
    let (zone, end) = zone.strip_suffix(b"]").map_or((zone, &b""[..]), |zone| (zone, b"]"));
    let zone = zone.strip_prefix(b"25").filter(|zone| in_url && !zone.is_empty()).unwrap_or(zone);
    if zone.iter().all(u8::is_ascii_digit) {
        return ip::parse(&[address, b"%", zone, end].concat());
    }
    let name = CString::new(zone).ok()?;
    let index = interface(&name);
    (index > 0).then(|| ip::parse(&[address, format!("%{index}").as_bytes(), end].concat()))?
}

/// The number of an interface, or 0.
#[cfg(feature = "std")]
fn interface(name: &CStr) -> u32 {
    #[cfg(unix)]
    use libc::if_nametoindex;
    #[cfg(windows)]
    use windows_sys::Win32::NetworkManagement::IpHelper::if_nametoindex;
    // SAFETY: a C string.
    unsafe { if_nametoindex(name.as_ptr().cast()) }
}

/// There is one, which has no name.
#[cfg(not(feature = "std"))]
fn interface(_name: &CStr) -> u32 {
    0
}

fn store(found: Option<Ip>, to: &mut mg_addr) -> bool {
    match found {
        Some(found) => put(found, to),
        None => to.scope_id = 0,
    }
    found.is_some()
}

/// Stores an address; leaves the port unchanged.
pub(crate) fn put(found: Ip, to: &mut mg_addr) {
    match found {
        Ip::Any => (to.addr.ip6, to.is_ip6) = ([0; 2], false),
        Ip::V4(bytes) => (to.addr.ip4, to.is_ip6) = (u32::from_ne_bytes(bytes), false),
        Ip::V6(bytes, scope) => {
            to.addr.ip = bytes;
            (to.scope_id, to.is_ip6) = (scope, true);
        }
    }
}

/// The IP address in an address.
pub(crate) fn ip_of(addr: &mg_addr) -> Ip {
    let ip = addr.ip();
    if addr.is_ip6 { Ip::V6(ip, addr.scope_id) } else { Ip::V4([ip[0], ip[1], ip[2], ip[3]]) }
}

/// An address as printed by `mg_print_ip_port`.
pub(crate) struct Addr(pub(crate) mg_addr);

impl core::fmt::Display for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{}", ip_of(&self.0), u16::from_be(self.0.port))
    }
}
