//! Input: checks that a frame is for us and well-formed, and dispatches it. No other file sees malformed frames.

use super::dhcp;
use super::netif::Netif;
use super::stack::Stack;
use super::wire::{self, Arp, ETHER, Ip, Packet, TAG, be16};

/// A frame that is for us.
pub(super) struct Frame {
    pub(super) kind: u16,
    /// The position of the packet.
    begin: usize,
    end: usize,
    from_mac: [u8; 6],
    /// To our own address, not to a group or broadcast.
    unicast: bool,
}

/// Checks the header, and the FCS if there is one.
pub(super) fn check(nif: Netif, frame: &[u8]) -> Option<Frame> {
    let mut end = frame.len();
    if nif.fcs_check() {
        end = end.checked_sub(4)?;
        let sum = crate::hash::crc::crc32(0, &frame[..end]).to_le_bytes();
        if frame[end..] != sum {
            return None;
        }
    }
    if end < ETHER {
        return None;
    }
    let to = &frame[..6];
    let own = nif.mac();
    if nif.mac_check() && to != own && to != wire::BROADCAST {
        return None;
    }
    let mut begin = ETHER;
    let mut kind = be16(frame, 12);
    let vlan = nif.vlan() & 0xfff;
    if vlan != 0 {
        if kind != wire::TYPE_VLAN || end < ETHER + TAG || be16(frame, 14) & 0xfff != vlan {
            return None;
        }
        kind = be16(frame, 16);
        begin += TAG;
    }
    let from_mac = [frame[6], frame[7], frame[8], frame[9], frame[10], frame[11]];
    Some(Frame { kind, begin, end, from_mac, unicast: to == own })
}

impl Stack {
    pub(super) fn frame(&mut self, frame: &mut [u8], at: &Frame) {
        let packet = &mut frame[at.begin..at.end];
        match at.kind {
            wire::TYPE_ARP => self.arp_input(packet),
            wire::TYPE_IP4 => self.ip4_input(packet, at),
            #[cfg(feature = "tcpip-ipv6")]
            wire::TYPE_IP6 => self.ip6_input(packet, at.from_mac, at.unicast),
            _ => {}
        }
    }

    fn arp_input(&mut self, packet: &[u8]) {
        let Some(arp) = Arp::parse(packet) else { return };
        let Some(link) = self.link.as_mut() else { return };
        let nif = link.nif;
        let (own, from) = (nif.ip(), Ip::V4(arp.from));
        if own == [0; 4] || arp.to != own || arp.from == own || arp.from_mac[0] & 1 != 0 {
            return;
        }
        if arp.request {
            // A neighbour that asks will send more. Its address never replaces a known one.
            if arp.from != [0; 4] && nif.is_on_link(arp.from) {
                link.heard(from, arp.from_mac);
            }
            return link.arp_answer(&arp);
        }
        // Unsolicited replies are ignored.
        if link.is_asked(from) {
            link.learn(from, arp.from_mac);
            if arp.from == nif.gw() {
                self.gateway_known();
            }
        }
    }

    fn ip4_input(&mut self, packet: &mut [u8], at: &Frame) {
        let Some(p) = wire::ip4(packet) else { return };
        let (Some(nif), Ip::V4(from), Ip::V4(to)) = (self.nif(), p.from, p.to) else { return };
        let own = nif.ip();
        let broadcast = nif.is_broadcast(to);
        if p.from.is_multicast() || nif.is_broadcast(from) || from[0] == 127 || from == own && own != [0; 4] {
            return;
        }
        let for_us = own != [0; 4] && to == own;
        if p.proto == wire::PROTO_UDP && self.dhcp_input(&p, broadcast) {
            return;
        }
        if !for_us && !broadcast && !self.groups.contains(&p.to) || from[0] == 0 {
            return;
        }
        if for_us && at.unicast {
            self.heard(p.from, at.from_mac);
        }
        match p.proto {
            wire::PROTO_UDP => self.datagram(&p),
            wire::PROTO_TCP if for_us && wire::upper_checksum(p.from, p.to, p.proto, p.payload) == 0 => {
                let (from, to, len) = (p.from, p.to, p.len);
                let head = len - p.payload.len();
                self.tcp_input(&mut packet[..len], head, from, to);
            }
            wire::PROTO_ICMP if for_us && p.payload.len() >= 8 && p.payload[0] == 8 && wire::checksum([p.payload, &[]]) == 0 => {
                let len = p.len;
                self.echo_input(&mut packet[..len]);
            }
            _ => {}
        }
    }

    /// A sign of life of a neighbour, or of the gateway.
    pub(super) fn heard(&mut self, from: Ip, mac: [u8; 6]) {
        let Some(link) = self.link.as_mut() else { return };
        let nif = link.nif;
        match from {
            Ip::V4(ip) if nif.is_on_link(ip) => link.heard(from, mac),
            Ip::V4(_) => {
                let gw = Ip::V4(nif.gw());
                if nif.gw_word() != 0 && link.lookup(gw) == Some(mac) {
                    link.heard(gw, mac);
                }
            }
            #[cfg(feature = "tcpip-ipv6")]
            Ip::V6(ip) if super::ip6::is_on_link(nif, ip) => link.heard(from, mac),
            Ip::V6(_) => {}
        }
    }

    /// A UDP datagram for one of our sockets, or for none.
    pub(super) fn datagram(&mut self, p: &Packet) {
        if let Some((ports, payload)) = udp(p) {
            self.udp_input(p.from, p.to, ports, payload);
        }
    }

    /// Handles messages for the DHCP client or server. True if this was one.
    fn dhcp_input(&mut self, p: &Packet, broadcast: bool) -> bool {
        let Some(nif) = self.nif() else { return false };
        let port = be16(p.payload, 2);
        let client = port == dhcp::CLIENT_PORT && self.dhcp.phase != dhcp::Phase::Off;
        let server = port == dhcp::SERVER_PORT && nif.dhcp_server() && (broadcast || p.to == nif.own());
        if !client && !server {
            return false;
        }
        if let Some((_, payload)) = udp(p) {
            if client { self.dhcp_answer(payload) } else { self.dhcp_serve(payload) }
        }
        true
    }
}

/// The ports and the payload of a valid datagram.
fn udp<'a>(p: &Packet<'a>) -> Option<((u16, u16), &'a [u8])> {
    let len = usize::from(be16(p.payload, 4));
    if len < wire::UDP || len > p.payload.len() {
        return None;
    }
    let bytes = &p.payload[..len];
    // IPv4 allows datagrams without a checksum.
    let unchecked = be16(bytes, 6) == 0 && !p.from.is_v6();
    if !unchecked && wire::upper_checksum(p.from, p.to, wire::PROTO_UDP, bytes) != 0 {
        return None;
    }
    Some(((be16(bytes, 0), be16(bytes, 2)), &bytes[wire::UDP..]))
}
