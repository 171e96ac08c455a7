//! `struct mg_addr` from text and as text.

use crate::abi::mg_addr;
use crate::proto::ip::{self, Ip};

/// See `mg_aton`. The port is never touched; on failure nothing but the scope changes.
pub(crate) fn parse(text: &[u8], to: &mut mg_addr) -> bool {
    let found = ip::parse(text);
    match found {
        Some(found) => put(found, to),
        None => to.scope_id = 0,
    }
    found.is_some()
}

/// Stores an address; the port stays.
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

/// The numbers of an address.
pub(crate) fn ip(addr: &mg_addr) -> Ip {
    let ip = addr.ip();
    if addr.is_ip6 { Ip::V6(ip, addr.scope_id) } else { Ip::V4([ip[0], ip[1], ip[2], ip[3]]) }
}

/// An address as `mg_print_ip_port` shows it.
pub(crate) struct Addr(pub(crate) mg_addr);

impl core::fmt::Display for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{}", ip(&self.0), u16::from_be(self.0.port))
    }
}
