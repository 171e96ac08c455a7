/// The 16 bytes of an IP address, in network byte order. IPv4 uses the first four; the others are unspecified.
#[repr(C)]
#[derive(Clone, Copy)]
pub union mg_addr_bytes {
    pub ip: [u8; 16],
    pub ip4: u32,
    pub ip6: [u64; 2],
}

/// An IP address and port.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_addr {
    /// IP address, network byte order.
    pub addr: mg_addr_bytes,
    /// Port, network byte order.
    pub port: u16,
    /// IPv6 scope id; 0 for none.
    pub scope_id: u8,
    /// True for IPv6, false for IPv4.
    pub is_ip6: bool,
}
layout!(mg_addr, 24, addr @ 0, port @ 16, scope_id @ 18, is_ip6 @ 19);

impl mg_addr {
    pub const ZERO: mg_addr = mg_addr { addr: mg_addr_bytes { ip6: [0; 2] }, port: 0, scope_id: 0, is_ip6: false };

    /// All 16 address bytes.
    pub fn ip(&self) -> [u8; 16] {
        // SAFETY: every bit pattern is valid for every member of the union.
        unsafe { self.addr.ip }
    }
}
