//! IPv6: neighbour discovery (RFC 4861), and addresses from router advertisements (RFC 4862).

use super::interface::Event;
use super::link::Link;
use super::netif::Netif;
use super::stack::Stack;
use super::wire::{self, IP6, Ip, PROTO_ICMP6, put16};
use crate::abi::*;
use smoltcp::wire::{IpCidr, Ipv6Address};

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const ECHO: u8 = 128;

const SOURCE_ADDRESS: u8 = 1;
const TARGET_ADDRESS: u8 = 2;
const PREFIX: u8 = 3;
const MTU: u8 = 5;

const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const ALL_ROUTERS: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const NONE: [u8; 16] = [0; 16];

const DOWN: u8 = MG_TCPIP_STATE_DOWN as u8;
const UP: u8 = MG_TCPIP_STATE_UP as u8;
const IP: u8 = MG_TCPIP_STATE_IP as u8;
const READY: u8 = MG_TCPIP_STATE_READY as u8;

#[derive(Default)]
pub(super) struct State {
    state: u8,
}

fn bytes(words: [u64; 2]) -> [u8; 16] {
    let mut ip = NONE;
    ip[..8].copy_from_slice(&words[0].to_ne_bytes());
    ip[8..].copy_from_slice(&words[1].to_ne_bytes());
    ip
}

fn words(ip: [u8; 16]) -> [u64; 2] {
    let half = |at: usize| u64::from_ne_bytes(core::array::from_fn(|i| ip[at + i]));
    [half(0), half(8)]
}

fn local(nif: Netif) -> [u8; 16] {
    bytes(nif.ip6ll_words())
}

fn global(nif: Netif) -> [u8; 16] {
    bytes(nif.ip6_words())
}

fn is_link_local(ip: [u8; 16]) -> bool {
    ip[0] == 0xfe && ip[1] & 0xc0 == 0x80
}

fn is_own(nif: Netif, ip: [u8; 16]) -> bool {
    ip != NONE && (ip == local(nif) || ip == global(nif))
}

fn shares(a: [u8; 16], b: [u8; 16], len: u8) -> bool {
    let len = u32::from(len.min(128));
    let mask = if len == 0 { 0 } else { u128::MAX << (128 - len) };
    (u128::from_be_bytes(a) ^ u128::from_be_bytes(b)) & mask == 0
}

pub(super) fn is_on_link(nif: Netif, ip: [u8; 16]) -> bool {
    is_link_local(ip) || global(nif) != NONE && shares(ip, global(nif), nif.prefix_len())
}

/// The next hop for this address.
pub(super) fn next_hop(nif: Netif, to: [u8; 16]) -> Option<[u8; 16]> {
    let gw = bytes(nif.gw6_words());
    if is_on_link(nif, to) { Some(to) } else { Some(gw).filter(|gw| *gw != NONE) }
}

/// Our source address towards another address.
pub(super) fn source(nif: Netif, to: [u8; 16]) -> [u8; 16] {
    let near = is_link_local(to) || to[0] == 0xff && to[1] & 15 <= 2 || global(nif) == NONE;
    if near { local(nif) } else { global(nif) }
}

pub(super) fn cidrs(nif: Netif) -> impl Iterator<Item = IpCidr> {
    let cidr = |ip: [u8; 16], len| (ip != NONE).then(|| IpCidr::new(Ipv6Address::from(ip).into(), len));
    [cidr(global(nif), nif.prefix_len().min(128)), cidr(local(nif), 64)].into_iter().flatten()
}

/// The solicited-node multicast group of a neighbour.
fn solicited_node(ip: [u8; 16]) -> [u8; 16] {
    let mut group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0];
    group[13..].copy_from_slice(&ip[13..]);
    group
}

/// Our address with this prefix: EUI-64.
fn made_of(prefix: [u8; 8], mac: [u8; 6]) -> [u8; 16] {
    let mut ip = NONE;
    ip[..8].copy_from_slice(&prefix);
    ip[8..].copy_from_slice(&[mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]]);
    ip
}

/// The value of an option; a malformed one ends the list.
fn option(mut options: &[u8], code: u8) -> Option<&[u8]> {
    while let [found, units, ..] = *options {
        let len = usize::from(units) * 8;
        if len == 0 || len > options.len() {
            return None;
        }
        if found == code {
            return Some(&options[2..len]);
        }
        options = &options[len..];
    }
    None
}

fn mac_option(options: &[u8], code: u8) -> Option<[u8; 6]> {
    option(options, code)?.first_chunk().copied()
}

/// Sends a neighbour discovery message.
fn send(link: &mut Link, from: [u8; 16], to: [u8; 16], message: &mut [u8]) {
    let (from, to) = (Ip::V6(from), Ip::V6(to));
    put16(message, 2, 0);
    let sum = wire::upper_checksum(from, to, PROTO_ICMP6, message);
    put16(message, 2, sum);
    if let Some(room) = link.packet(IP6 + message.len()) {
        wire::put_ip(room, from, to, PROTO_ICMP6, 0, 255, message.len());
        room[IP6..].copy_from_slice(message);
        link.send(to, IP6 + message.len(), true);
    }
}

fn with_mac(message: &mut [u8], at: usize, code: u8, mac: [u8; 6]) {
    (message[at], message[at + 1]) = (code, 1);
    message[at + 2..at + 8].copy_from_slice(&mac);
}

/// Sends a neighbour solicitation.
pub(super) fn solicit(link: &mut Link, ip: [u8; 16]) {
    let mut message = [0; 32];
    message[0] = SOLICITATION;
    message[8..24].copy_from_slice(&ip);
    with_mac(&mut message, 24, SOURCE_ADDRESS, link.nif.mac());
    let from = source(link.nif, ip);
    send(link, from, solicited_node(ip), &mut message);
}

/// Advertises one of our addresses.
fn advertise(link: &mut Link, own: [u8; 16], to: [u8; 16], solicited: bool) {
    let mut message = [0; 32];
    message[0] = ADVERTISEMENT;
    message[4] = if solicited { 0x60 } else { 0x20 };
    message[8..24].copy_from_slice(&own);
    with_mac(&mut message, 24, TARGET_ADDRESS, link.nif.mac());
    send(link, own, to, &mut message);
}

impl Stack {
    fn enter6(&mut self, state: u8) {
        self.ip6.state = state;
        if state > UP {
            self.events.push_back(Event::State6(state));
        } else if let Some(nif) = self.nif() {
            nif.set_state6(state);
        }
    }

    pub(super) fn link6_down(&mut self) {
        self.enter6(DOWN);
    }

    pub(super) fn link6_up(&mut self) {
        let Some(nif) = self.nif() else { return };
        if local(nif) == NONE {
            nif.set_ip6ll_words(words(made_of([0xfe, 0x80, 0, 0, 0, 0, 0, 0], nif.mac())));
        }
        nif.set_slaac(nif.slaac() || global(nif) == NONE);
        nif.set_gw6_ready(false);
        self.sync_smoltcp();
        self.enter6(UP);
        self.second6();
    }

    pub(super) fn second6(&mut self) {
        let Some(link) = self.link.as_mut() else { return };
        let nif = link.nif;
        match self.ip6.state {
            UP if nif.slaac() => {
                let mut message = [0; 16];
                message[0] = ROUTER_SOLICITATION;
                with_mac(&mut message, 8, SOURCE_ADDRESS, nif.mac());
                send(link, local(nif), ALL_ROUTERS, &mut message);
            }
            UP => self.enter6_ip(),
            IP => self.ready6(),
            READY if !nif.gw6_ready() => self.ask_gateway6(),
            _ => {}
        }
    }

    fn ask_gateway6(&mut self) {
        let Some(link) = self.link.as_mut() else { return };
        let gw = bytes(link.nif.gw6_words());
        if gw != NONE {
            link.ask(Ip::V6(gw));
        }
    }

    fn enter6_ip(&mut self) {
        self.sync_smoltcp();
        self.enter6(IP);
        self.ask_gateway6();
    }

    fn ready6(&mut self) {
        self.enter6(READY);
        let Some(link) = self.link.as_mut() else { return };
        let nif = link.nif;
        advertise(link, local(nif), ALL_NODES, false);
        if global(nif) != NONE {
            advertise(link, global(nif), ALL_ROUTERS, false);
        }
        nif.set_ip6_changed(false);
    }

    fn gateway6_known(&mut self, mac: [u8; 6]) {
        let Some(nif) = self.nif() else { return };
        let mut mac8 = [0; 8];
        mac8[..6].copy_from_slice(&mac);
        nif.set_gw6mac(mac8);
        nif.set_gw6_ready(true);
        if self.ip6.state == IP {
            self.ready6();
        }
    }

    /// An IPv6 packet from a frame.
    pub(super) fn ip6_input(&mut self, packet: &mut [u8], from_mac: [u8; 6], unicast: bool) {
        let Some(p) = wire::ip6(packet) else { return };
        let (Some(nif), Ip::V6(from), Ip::V6(to)) = (self.nif(), p.from, p.to) else { return };
        if self.ip6.state == DOWN || p.from.is_multicast() || is_own(nif, from) {
            return;
        }
        let for_us = is_own(nif, to);
        let asked = [local(nif), global(nif)].iter().any(|ip| *ip != NONE && solicited_node(*ip) == to);
        if !for_us && !asked && to != ALL_NODES && !self.groups.contains(&p.to) {
            return;
        }
        let intact =
            matches!(p.proto, wire::PROTO_TCP | PROTO_ICMP6) && wire::upper_checksum(p.from, p.to, p.proto, p.payload) == 0;
        // Neighbour discovery has checks of its own.
        let discovers = p.proto == PROTO_ICMP6 && matches!(p.payload.first(), Some(133..=137));
        if for_us && unicast && from != NONE && !discovers {
            self.heard(p.from, from_mac);
        }
        match p.proto {
            wire::PROTO_UDP if from != NONE => self.datagram(&p),
            wire::PROTO_TCP if for_us && intact && from != NONE => {
                let len = p.len;
                let head = len - p.payload.len();
                let (from, to) = (p.from, p.to);
                self.tcp_input(&mut packet[..len], head, from, to);
            }
            PROTO_ICMP6 if intact && p.payload.len() >= 8 => match p.payload[0] {
                ECHO if for_us && from != NONE => {
                    let len = p.len;
                    self.echo_input(&mut packet[..len]);
                }
                // From this link only: no router has forwarded it.
                133..=137 if p.ttl == 255 && p.payload[1] == 0 => self.discovery(from, to, p.payload, from_mac),
                _ => {}
            },
            _ => {}
        }
    }

    fn discovery(&mut self, from: [u8; 16], to: [u8; 16], message: &[u8], from_mac: [u8; 6]) {
        let Some(link) = self.link.as_mut() else { return };
        let nif = link.nif;
        if message[0] == ROUTER_ADVERTISEMENT {
            return self.router(from, message);
        }
        let Some(&target) = message.get(8..).and_then(|rest| rest.first_chunk::<16>()) else { return };
        match message[0] {
            SOLICITATION if is_own(nif, target) => {
                if from == NONE {
                    // Duplicate address detection by another host: defend the address.
                    return advertise(link, target, ALL_NODES, false);
                }
                if is_on_link(nif, from) {
                    link.heard(Ip::V6(from), mac_option(&message[24..], SOURCE_ADDRESS).unwrap_or(from_mac));
                }
                advertise(link, target, from, true);
            }
            // Unsolicited replies are ignored.
            ADVERTISEMENT if link.is_asked(Ip::V6(target)) && to[0] != 0xff => {
                let mac = mac_option(&message[24..], TARGET_ADDRESS).unwrap_or(from_mac);
                link.learn(Ip::V6(target), mac);
                if target == bytes(nif.gw6_words()) {
                    self.gateway6_known(mac);
                }
            }
            _ => {}
        }
    }

    /// A router advertisement: the first one gives us an address.
    fn router(&mut self, from: [u8; 16], message: &[u8]) {
        let Some(nif) = self.nif() else { return };
        if self.ip6.state != UP || !nif.slaac() || !is_link_local(from) || message.len() < 16 {
            return;
        }
        let options = &message[16..];
        let lifetime = wire::be16(message, 6);
        if let Some(mtu) = option(options, MTU).filter(|o| o.len() >= 6).map(|o| wire::be32(o, 2)) {
            if (1280..=u32::from(nif.l2mtu())).contains(&mtu) {
                nif.set_mtu(mtu as u16);
            }
        }
        // Autonomous, valid, and short enough for an interface identifier made from the MAC address.
        let prefix = option(options, PREFIX).filter(|o| o.len() >= 30 && o[0] == 64 && o[1] & 0x40 != 0 && wire::be32(o, 2) != 0);
        let Some(prefix) = prefix.and_then(|o| o[14..].first_chunk::<8>().copied()) else { return };
        if prefix[0] == 0xfe && prefix[1] & 0xc0 == 0x80 {
            return;
        }
        nif.set_ip6_changed(nif.prefix() != prefix);
        nif.set_prefix(prefix);
        nif.set_prefix_len(64);
        let own = made_of(prefix, nif.mac());
        nif.set_ip6_words(words(own));
        nif.set_gw6_words(words(if lifetime > 0 { from } else { NONE }));
        self.sync_smoltcp();
        for index in 0..self.entries.len() {
            // Closes connections over a prefix that is gone.
            let stale = self.tcp(index).and_then(|t| t.local).is_some_and(|(ip, _)| ip.is_v6() && !is_own_ip(nif, ip));
            if stale {
                self.tcp_gone(index);
            }
        }
        match mac_option(options, SOURCE_ADDRESS) {
            Some(mac) => {
                if let Some(link) = self.link.as_mut() {
                    link.learn(Ip::V6(from), mac);
                }
                // Straight to READY.
                self.ip6.state = IP;
                self.gateway6_known(mac);
            }
            None => self.enter6_ip(),
        }
    }
}

fn is_own_ip(nif: Netif, ip: Ip) -> bool {
    matches!(ip, Ip::V6(ip) if is_own(nif, ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_without_an_end_are_none() {
        assert_eq!(option(&[1, 0, 9, 9, 9, 9, 9, 9], 1), None);
        assert_eq!(option(&[1, 2, 9, 9, 9, 9, 9, 9], 1), None);
        assert_eq!(option(&[5, 1, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7], 1), Some(&[2, 3, 4, 5, 6, 7][..]));
        assert_eq!(option(&[1], 1), None);
    }

    #[test]
    fn addresses_are_made_of_the_mac_address() {
        assert_eq!(
            made_of([0xfe, 0x80, 0, 0, 0, 0, 0, 0], [2, 1, 2, 3, 4, 5]),
            [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0xff, 0xfe, 3, 4, 5]
        );
        assert_eq!(bytes(words(ALL_NODES)), ALL_NODES);
        assert!(shares(ALL_NODES, ALL_ROUTERS, 126) && !shares(ALL_NODES, ALL_ROUTERS, 127) && shares(NONE, ALL_NODES, 0));
    }
}
