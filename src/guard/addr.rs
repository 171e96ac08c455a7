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

/// An address as `mg_print_ip_port` shows it.
pub(crate) struct Addr(pub(crate) mg_addr);

impl core::fmt::Display for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (ip, port) = (self.0.ip(), u16::from_be(self.0.port));
        if !self.0.is_ip6 {
            return write!(f, "{}.{}.{}.{}:{port}", ip[0], ip[1], ip[2], ip[3]);
        }
        f.write_str("[")?;
        for (i, pair) in ip.chunks_exact(2).enumerate() {
            write!(f, "{}{:x}", if i > 0 { ":" } else { "" }, u16::from_be_bytes([pair[0], pair[1]]))?;
        }
        write!(f, "]:{port}")
    }
}
