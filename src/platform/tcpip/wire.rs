//! Checksums and headers, as bytes.

#![forbid(unsafe_code)]

use crate::abi::{mg_addr, mg_addr_bytes};

pub(super) const ETHER: usize = 14;
pub(super) const TAG: usize = 4;
pub(super) const IP4: usize = 20;
pub(super) const IP6: usize = 40;
pub(super) const UDP: usize = 8;
pub(super) const BROADCAST: [u8; 6] = [255; 6];

pub(super) const TYPE_IP4: u16 = 0x0800;
pub(super) const TYPE_ARP: u16 = 0x0806;
pub(super) const TYPE_VLAN: u16 = 0x8100;
pub(super) const TYPE_IP6: u16 = 0x86dd;

pub(super) const PROTO_ICMP: u8 = 1;
pub(super) const PROTO_TCP: u8 = 6;
pub(super) const PROTO_UDP: u8 = 17;
#[cfg(feature = "tcpip-ipv6")]
pub(super) const PROTO_ICMP6: u8 = 58;

/// Two bytes at `at`; 0 past the end.
pub(super) fn be16(b: &[u8], at: usize) -> u16 {
    b.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]))
}

pub(super) fn be32(b: &[u8], at: usize) -> u32 {
    b.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

pub(super) fn put16(b: &mut [u8], at: usize, v: u16) {
    b[at..at + 2].copy_from_slice(&v.to_be_bytes());
}

/// The sum of the 16-bit words, without the final complement.
fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(2);
    let mut n: u64 = words.by_ref().map(|w| u64::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    if let [last] = words.remainder() {
        n += u64::from(*last) << 8;
    }
    n
}

/// The Internet checksum over both parts; the first must have an even length.
pub(super) fn checksum(parts: [&[u8]; 2]) -> u16 {
    let mut n = sum(parts[0]) + sum(parts[1]);
    while n > 0xffff {
        n = (n & 0xffff) + (n >> 16);
    }
    !(n as u16)
}

/// An address of either kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ip {
    V4([u8; 4]),
    #[cfg_attr(not(feature = "tcpip-ipv6"), allow(dead_code))]
    V6([u8; 16]),
}

impl Ip {
    pub(super) fn of(a: &mg_addr) -> Ip {
        let b = a.ip();
        if a.is_ip6 { Ip::V6(b) } else { Ip::V4([b[0], b[1], b[2], b[3]]) }
    }

    pub(super) fn with_port(self, port: u16) -> mg_addr {
        let mut addr = mg_addr_bytes { ip: [0; 16] };
        match self {
            Ip::V4(ip) => addr.ip4 = u32::from_ne_bytes(ip),
            Ip::V6(ip) => addr.ip = ip,
        }
        mg_addr { addr, port: port.to_be(), scope_id: 0, is_ip6: matches!(self, Ip::V6(_)) }
    }

    pub(super) fn is_v6(self) -> bool {
        matches!(self, Ip::V6(_))
    }

    pub(super) fn is_unspecified(self) -> bool {
        match self {
            Ip::V4(ip) => ip == [0; 4],
            Ip::V6(ip) => ip == [0; 16],
        }
    }

    pub(super) fn is_multicast(self) -> bool {
        match self {
            Ip::V4(ip) => ip[0] & 0xf0 == 0xe0,
            Ip::V6(ip) => ip[0] == 0xff,
        }
    }

    /// The MAC address of a group.
    pub(super) fn group_mac(self) -> [u8; 6] {
        match self {
            Ip::V4(ip) => [1, 0, 0x5e, ip[1] & 0x7f, ip[2], ip[3]],
            Ip::V6(ip) => [0x33, 0x33, ip[12], ip[13], ip[14], ip[15]],
        }
    }
}

/// The pseudo-header, which upper-layer checksums also cover.
fn pseudo(from: Ip, to: Ip, proto: u8, len: usize) -> ([u8; 40], usize) {
    let mut head = [0; 40];
    match (from, to) {
        (Ip::V4(from), Ip::V4(to)) => {
            head[..4].copy_from_slice(&from);
            head[4..8].copy_from_slice(&to);
            head[9] = proto;
            put16(&mut head, 10, len as u16);
            (head, 12)
        }
        (Ip::V6(from), Ip::V6(to)) => {
            head[..16].copy_from_slice(&from);
            head[16..32].copy_from_slice(&to);
            head[32..36].copy_from_slice(&(len as u32).to_be_bytes());
            head[39] = proto;
            (head, 40)
        }
        _ => (head, 0),
    }
}

/// The upper-layer checksum: 0 if the one in the packet is correct.
pub(super) fn upper_checksum(from: Ip, to: Ip, proto: u8, bytes: &[u8]) -> u16 {
    let (head, n) = pseudo(from, to, proto, bytes.len());
    checksum([&head[..n], bytes])
}

/// Writes an IP header for `len` bytes that follow it, and returns its length.
pub(super) fn put_ip(b: &mut [u8], from: Ip, to: Ip, proto: u8, tos: u8, ttl: u8, len: usize) -> usize {
    match (from, to) {
        (Ip::V4(from), Ip::V4(to)) => {
            b[..IP4].fill(0);
            b[0] = 0x45;
            b[1] = tos;
            put16(b, 2, (IP4 + len) as u16);
            // Don't fragment.
            b[6] = 0x40;
            (b[8], b[9]) = (ttl, proto);
            b[12..16].copy_from_slice(&from);
            b[16..20].copy_from_slice(&to);
            let sum = checksum([&b[..IP4], &[]]);
            put16(b, 10, sum);
            IP4
        }
        (Ip::V6(from), Ip::V6(to)) => {
            b[..4].copy_from_slice(&(6 << 28 | u32::from(tos) << 20).to_be_bytes());
            put16(b, 4, len as u16);
            (b[6], b[7]) = (proto, ttl);
            b[8..24].copy_from_slice(&from);
            b[24..40].copy_from_slice(&to);
            IP6
        }
        _ => 0,
    }
}

/// Writes an IP packet with a UDP datagram, which must fit, and returns its length.
#[allow(clippy::too_many_arguments)]
pub(super) fn put_udp(b: &mut [u8], from: Ip, from_port: u16, to: Ip, to_port: u16, tos: u8, ttl: u8, payload: &[u8]) -> usize {
    let len = UDP + payload.len();
    let at = put_ip(b, from, to, PROTO_UDP, tos, ttl, len);
    let u = &mut b[at..at + len];
    put16(u, 0, from_port);
    put16(u, 2, to_port);
    put16(u, 4, len as u16);
    put16(u, 6, 0);
    u[UDP..].copy_from_slice(payload);
    let sum = upper_checksum(from, to, PROTO_UDP, u);
    put16(u, 6, if sum == 0 { 0xffff } else { sum });
    at + len
}

/// An IP packet with a valid header.
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) from: Ip,
    pub(super) to: Ip,
    pub(super) proto: u8,
    #[cfg_attr(not(feature = "tcpip-ipv6"), allow(dead_code))]
    pub(super) ttl: u8,
    pub(super) payload: &'a [u8],
    /// Without the frame's padding.
    pub(super) len: usize,
}

/// Reads an IPv4 packet. None: malformed, or a fragment.
pub(super) fn ip4(b: &[u8]) -> Option<Packet<'_>> {
    let head = usize::from(b.first()? & 15) * 4;
    let len = usize::from(be16(b, 2));
    if b[0] >> 4 != 4 || head < IP4 || len < head || b.len() < len || checksum([&b[..head], &[]]) != 0 {
        return None;
    }
    if be16(b, 6) & 0x3fff != 0 {
        return None;
    }
    let ip = |at: usize| Ip::V4([b[at], b[at + 1], b[at + 2], b[at + 3]]);
    Some(Packet { from: ip(12), to: ip(16), proto: b[9], ttl: b[8], payload: &b[head..len], len })
}

/// Reads an IPv6 packet, past extension headers. None: malformed, or a fragment.
#[cfg(feature = "tcpip-ipv6")]
pub(super) fn ip6(b: &[u8]) -> Option<Packet<'_>> {
    let len = IP6 + usize::from(be16(b, 4));
    if b.first()? >> 4 != 6 || b.len() < len {
        return None;
    }
    let ip = |at: usize| b[at..at + 16].try_into().map(Ip::V6).ok();
    let (mut proto, mut at) = (b[6], IP6);
    // Hop-by-hop, routing, destination options.
    while matches!(proto, 0 | 43 | 60) {
        let next = at + 8 + usize::from(*b[..len].get(at + 1)?) * 8;
        proto = b[at];
        at = next;
        if at > len {
            return None;
        }
    }
    Some(Packet { from: ip(8)?, to: ip(24)?, proto, ttl: b[7], payload: &b[at..len], len })
}

/// An ARP packet for IPv4 over Ethernet.
pub(super) struct Arp {
    pub(super) request: bool,
    pub(super) from_mac: [u8; 6],
    pub(super) from: [u8; 4],
    pub(super) to: [u8; 4],
    pub(super) to_mac: [u8; 6],
}

impl Arp {
    pub(super) const LEN: usize = 28;

    pub(super) fn parse(b: &[u8]) -> Option<Arp> {
        if b.len() < Arp::LEN || b[..6] != [0, 1, 8, 0, 6, 4] || !matches!(be16(b, 6), 1 | 2) {
            return None;
        }
        let mac = |at: usize| [b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5]];
        let ip = |at: usize| [b[at], b[at + 1], b[at + 2], b[at + 3]];
        Some(Arp { request: b[7] == 1, from_mac: mac(8), from: ip(14), to_mac: mac(18), to: ip(24) })
    }

    pub(super) fn put(&self, b: &mut [u8]) {
        b[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
        put16(b, 6, if self.request { 1 } else { 2 });
        b[8..14].copy_from_slice(&self.from_mac);
        b[14..18].copy_from_slice(&self.from);
        b[18..24].copy_from_slice(&self.to_mac);
        b[24..28].copy_from_slice(&self.to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_that_was_written_is_read() {
        for (from, to) in [(Ip::V4([10, 0, 0, 1]), Ip::V4([10, 0, 0, 2])), (Ip::V6([1; 16]), Ip::V6([2; 16]))] {
            let mut b = [0xaa; 100];
            let n = put_udp(&mut b, from, 1000, to, 53, 0, 64, b"hello");
            #[cfg(not(feature = "tcpip-ipv6"))]
            if from.is_v6() {
                continue;
            }
            #[cfg(feature = "tcpip-ipv6")]
            let packet = if from.is_v6() { ip6(&b) } else { ip4(&b) };
            #[cfg(not(feature = "tcpip-ipv6"))]
            let packet = ip4(&b);
            let p = packet.unwrap();
            assert_eq!((p.from, p.to, p.proto, p.len), (from, to, PROTO_UDP, n));
            assert_eq!(upper_checksum(from, to, PROTO_UDP, p.payload), 0);
            assert_eq!(&p.payload[UDP..], b"hello");
        }
    }

    #[test]
    fn malformed_headers_and_fragments_are_none() {
        let mut b = [0; 100];
        let n = put_udp(&mut b, Ip::V4([10, 0, 0, 1]), 1, Ip::V4([10, 0, 0, 2]), 2, 0, 64, b"hello");
        assert!(ip4(&b[..n]).is_some() && ip4(&b[..n - 1]).is_none() && ip4(&[]).is_none());
        let refit = |b: &mut [u8; 100]| {
            put16(b, 10, 0);
            let sum = checksum([&b[..20], &[]]);
            put16(b, 10, sum);
        };
        for (at, value) in [(0, 0x44), (0, 0x65), (6, 0x20), (7, 1), (3, 19)] {
            let mut bad = b;
            bad[at] = value;
            refit(&mut bad);
            assert!(ip4(&bad).is_none(), "{at} {value}");
        }
        b[8] ^= 1;
        assert!(ip4(&b[..n]).is_none());
    }
}
