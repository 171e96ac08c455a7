//! `struct mg_addr` from text.

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
