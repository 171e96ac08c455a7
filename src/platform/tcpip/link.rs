//! Output: framing, neighbours, the driver. One buffer, `ifp->tx`, holds the frame under construction; while the driver is busy it holds
//! the frame that waits, and nothing else can be sent.

use super::netif::{Netif, Sent};
use super::wire::{self, Arp, BROADCAST, ETHER, IP4, Ip, TAG, TYPE_ARP, TYPE_IP4, TYPE_IP6, TYPE_VLAN, put16};
use alloc::vec::Vec;

/// The outcome of sending a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Out {
    Done,
    /// It is sent once the neighbour has replied.
    Held,
    /// The driver is busy.
    Busy,
    /// There is no route.
    NoRoute,
    Failed,
}

struct Neighbour {
    ip: Ip,
    mac: [u8; 6],
    /// The address is valid until then; 0 while it is unknown.
    good_until: u64,
    /// When it was last requested, and how often without a reply.
    asked: u64,
    tries: u8,
}

struct Held {
    to: Ip,
    packet: Vec<u8>,
    until: u64,
}

/// The maximum number of cached neighbours, and of packets that wait for one.
const MOST: usize = if cfg!(target_os = "none") { 16 } else { 256 };
const MOST_HELD: usize = 8;
/// How long an address stays valid without a sign of life, the age at which one in use is refreshed, the interval between requests, and
/// how long packets wait for a reply.
const GOOD_MS: u64 = 60_000;
const REFRESH_MS: u64 = 45_000;
const ASK_MS: u64 = 1_000;
const HOLD_MS: u64 = 3_000;

pub(super) struct Link {
    pub(super) nif: Netif,
    pub(super) now: u64,
    /// Length of the frame that waits for the driver.
    waiting: usize,
    neighbours: Vec<Neighbour>,
    held: Vec<Held>,
    /// The driver rejected a TCP frame from this port for good.
    pub(super) fatal: Option<u16>,
    /// The DSCP of connections that have one, by port.
    pub(super) tos: Vec<(u16, u16, u8)>,
}

impl Link {
    pub(super) fn new(nif: Netif) -> Link {
        Link { nif, now: 0, waiting: 0, neighbours: Vec::new(), held: Vec::new(), fatal: None, tos: Vec::new() }
    }

    /// The link is down: drops cached neighbours and waiting packets.
    pub(super) fn reset(&mut self) {
        self.waiting = 0;
        self.neighbours.clear();
        self.held.clear();
    }

    /// Length of the layer-2 header.
    pub(super) fn header(&self) -> usize {
        if self.nif.vlan() != 0 { ETHER + TAG } else { ETHER }
    }

    /// Whether the buffer is free.
    pub(super) fn is_free(&mut self) -> bool {
        if self.waiting > 0 && self.nif.driver_tx(self.waiting) != Sent::Busy {
            self.waiting = 0;
        }
        self.waiting == 0
    }

    /// The space for a packet. None if the buffer is in use or too small.
    pub(super) fn packet(&mut self, len: usize) -> Option<&'static mut [u8]> {
        if !self.is_free() {
            return None;
        }
        let at = self.header();
        let frame = self.nif.tx_bytes(at + len);
        (frame.len() == at + len).then(|| &mut frame[at..])
    }

    /// Sends a frame with this many bytes after the header. `keep`: if the driver is busy, the frame waits.
    fn transmit(&mut self, to: [u8; 6], kind: u16, len: usize, keep: bool) -> Sent {
        let at = self.header();
        let whole = (at + len).max(60);
        let frame = self.nif.tx_bytes(whole);
        if frame.is_empty() {
            return Sent::Failed;
        }
        // Do not send old contents of the buffer as padding.
        frame[at + len..].fill(0);
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&self.nif.mac());
        if at > ETHER {
            put16(frame, 12, TYPE_VLAN);
            put16(frame, 14, self.nif.vlan() & 0xfff);
        }
        put16(frame, at - 2, kind);
        let sent = self.nif.driver_tx(whole);
        if sent == Sent::Busy && keep {
            self.waiting = whole;
        }
        sent
    }

    /// Sends the packet in the buffer.
    pub(super) fn send(&mut self, to: Ip, len: usize, keep: bool) -> Out {
        let kind = if to.is_v6() { TYPE_IP6 } else { TYPE_IP4 };
        let hop = match self.next_hop(to) {
            None => return Out::NoRoute,
            Some(Hop::Mac(mac)) => return Self::out(self.transmit(mac, kind, len, keep), keep),
            Some(Hop::Neighbour(ip)) => ip,
        };
        match self.lookup(hop) {
            Some(mac) => {
                let sent = self.transmit(mac, kind, len, keep);
                if sent == Sent::Done {
                    self.refresh(hop);
                }
                Self::out(sent, keep)
            }
            None => {
                self.hold(hop, len);
                self.ask(hop);
                Out::Held
            }
        }
    }

    /// As above, to a known MAC address.
    pub(super) fn send_to_mac(&mut self, mac: [u8; 6], v6: bool, len: usize) -> Out {
        Self::out(self.transmit(mac, if v6 { TYPE_IP6 } else { TYPE_IP4 }, len, true), true)
    }

    /// A frame that the driver truncated counts as lost in transit, unless the caller needs to know.
    fn out(sent: Sent, keep: bool) -> Out {
        match sent {
            Sent::Done => Out::Done,
            Sent::Short if keep => Out::Done,
            Sent::Busy => Out::Busy,
            Sent::Short | Sent::Failed => Out::Failed,
        }
    }

    fn next_hop(&self, to: Ip) -> Option<Hop> {
        if to.is_multicast() {
            return Some(Hop::Mac(to.group_mac()));
        }
        match to {
            Ip::V4(ip) if self.nif.is_broadcast(ip) => Some(Hop::Mac(BROADCAST)),
            Ip::V4(ip) if self.nif.is_on_link(ip) => Some(Hop::Neighbour(to)),
            Ip::V4(_) => (self.nif.gw_word() != 0).then(|| Hop::Neighbour(Ip::V4(self.nif.gw()))),
            #[cfg(feature = "tcpip-ipv6")]
            Ip::V6(ip) => super::ip6::next_hop(self.nif, ip).map(|ip| Hop::Neighbour(Ip::V6(ip))),
            #[cfg(not(feature = "tcpip-ipv6"))]
            Ip::V6(_) => None,
        }
    }

    /// Whether the next hop's MAC address is known.
    pub(super) fn is_reachable(&mut self, to: Ip) -> bool {
        match self.next_hop(to) {
            Some(Hop::Neighbour(ip)) => self.lookup(ip).is_some(),
            hop => hop.is_some(),
        }
    }

    /// Requests the next hop's MAC address.
    pub(super) fn seek(&mut self, to: Ip) {
        if let Some(Hop::Neighbour(ip)) = self.next_hop(to) {
            self.ask(ip);
        }
    }

    /// Whether there is a route.
    pub(super) fn has_route(&self, to: Ip) -> bool {
        self.next_hop(to).is_some()
    }

    fn neighbour(&mut self, ip: Ip) -> Option<&mut Neighbour> {
        self.neighbours.iter_mut().find(|n| n.ip == ip)
    }

    pub(super) fn lookup(&mut self, ip: Ip) -> Option<[u8; 6]> {
        let now = self.now;
        self.neighbour(ip).filter(|n| n.good_until > now).map(|n| n.mac)
    }

    fn entry(&mut self, ip: Ip) -> &mut Neighbour {
        let at = match self.neighbours.iter().position(|n| n.ip == ip) {
            Some(at) => at,
            None => {
                if self.neighbours.len() >= MOST {
                    let gw = Ip::V4(self.nif.gw());
                    let oldest = (0..self.neighbours.len()).filter(|&i| self.neighbours[i].ip != gw);
                    let oldest = oldest.min_by_key(|&i| self.neighbours[i].good_until).unwrap_or(0);
                    self.neighbours.swap_remove(oldest);
                }
                self.neighbours.push(Neighbour { ip, mac: [0; 6], good_until: 0, asked: 0, tries: 0 });
                self.neighbours.len() - 1
            }
        };
        &mut self.neighbours[at]
    }

    /// Requests a neighbour's address, at most once a second.
    pub(super) fn ask(&mut self, ip: Ip) {
        let now = self.now;
        let n = self.entry(ip);
        if n.asked != 0 && now < n.asked.saturating_add(ASK_MS) {
            return;
        }
        n.asked = now.max(1);
        n.tries = n.tries.saturating_add(1);
        self.solicit(ip);
    }

    fn solicit(&mut self, ip: Ip) {
        match ip {
            Ip::V4(ip) => self.arp_request(ip, [0; 6]),
            #[cfg(feature = "tcpip-ipv6")]
            Ip::V6(ip) => super::ip6::solicit(self, ip),
            #[cfg(not(feature = "tcpip-ipv6"))]
            Ip::V6(_) => {}
        }
    }

    /// Requests an address in use again before it expires.
    fn refresh(&mut self, ip: Ip) {
        let now = self.now;
        if self.neighbour(ip).is_some_and(|n| n.good_until < now.saturating_add(GOOD_MS - REFRESH_MS)) {
            self.ask(ip);
        }
    }

    /// Stores the packet in the buffer until its neighbour has replied.
    fn hold(&mut self, to: Ip, len: usize) {
        if self.held.len() >= MOST_HELD {
            self.held.remove(0);
        }
        let at = self.header();
        let frame = self.nif.tx_bytes(at + len);
        let mut packet = Vec::new();
        if packet.try_reserve_exact(len).is_ok() {
            packet.extend_from_slice(&frame[at..]);
            self.held.push(Held { to, packet, until: self.now.saturating_add(HOLD_MS) });
        }
    }

    /// Requests the addresses again that packets wait for, and gives up on expired ones.
    pub(super) fn tick(&mut self) {
        let now = self.now;
        let late: Vec<Ip> = self.held.iter().filter(|h| h.until <= now).map(|h| h.to).collect();
        self.held.retain(|h| h.until > now);
        for ip in late {
            if let Some(n) = self.neighbour(ip) {
                n.tries = 0;
            }
        }
        let waiting: Vec<Ip> = self.held.iter().map(|h| h.to).collect();
        for ip in waiting {
            self.ask(ip);
        }
    }

    /// Whether a reply from there is expected.
    pub(super) fn is_asked(&mut self, ip: Ip) -> bool {
        let now = self.now;
        self.neighbour(ip).is_some_and(|n| n.asked != 0 && now <= n.asked.saturating_add(HOLD_MS))
    }

    /// The neighbour has replied.
    pub(super) fn learn(&mut self, ip: Ip, mac: [u8; 6]) {
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return;
        }
        let good_until = self.now.saturating_add(GOOD_MS);
        let n = self.entry(ip);
        (n.mac, n.good_until, n.asked, n.tries) = (mac, good_until, 0, 0);
        if ip == Ip::V4(self.nif.gw()) && self.nif.gw_word() != 0 {
            let mut gwmac = [0; 8];
            gwmac[..6].copy_from_slice(&mac);
            self.nif.set_gwmac(gwmac);
            self.nif.set_gw_ready(true);
        }
        while let Some(at) = self.held.iter().position(|h| h.to == ip) {
            let held = self.held.remove(at);
            let Some(room) = self.packet(held.packet.len()) else { return };
            room.copy_from_slice(&held.packet);
            self.transmit(mac, if ip.is_v6() { TYPE_IP6 } else { TYPE_IP4 }, held.packet.len(), true);
        }
    }

    /// A frame has arrived from there: a sign of life if its address is the known one. An unknown address is learned, a known one never
    /// replaced.
    pub(super) fn heard(&mut self, ip: Ip, mac: [u8; 6]) {
        let now = self.now;
        match self.neighbour(ip) {
            Some(n) if n.good_until > now => {
                if n.mac == mac {
                    n.good_until = now.saturating_add(GOOD_MS);
                }
            }
            _ => self.learn(ip, mac),
        }
    }

    pub(super) fn arp_request(&mut self, ip: [u8; 4], to_mac: [u8; 6]) {
        self.arp(BROADCAST, &Arp { request: true, from_mac: self.nif.mac(), from: self.nif.ip(), to: ip, to_mac });
    }

    pub(super) fn arp_answer(&mut self, to: &Arp) {
        let answer = Arp { request: false, from_mac: self.nif.mac(), from: self.nif.ip(), to: to.from, to_mac: to.from_mac };
        self.arp(to.from_mac, &answer);
    }

    /// Records a request that the interface sends by itself, so the reply is accepted.
    pub(super) fn ask_gateway(&mut self) {
        let gw = self.nif.gw();
        let now = self.now.max(1);
        self.entry(Ip::V4(gw)).asked = now;
        self.arp_request(gw, [0; 6]);
    }

    fn arp(&mut self, to: [u8; 6], arp: &Arp) {
        if let Some(room) = self.packet(Arp::LEN) {
            arp.put(room);
            self.transmit(to, TYPE_ARP, Arp::LEN, true);
        }
    }

    /// Sends the packet that smoltcp has written to the buffer.
    pub(super) fn send_ip(&mut self, len: usize) {
        let at = self.header();
        let frame = self.nif.tx_bytes(at + len);
        if frame.len() < at + IP4 {
            return;
        }
        let packet = &mut frame[at..];
        let v6 = packet[0] >> 4 == 6;
        let (head, proto, to) = if v6 {
            let mut ip = [0; 16];
            ip.copy_from_slice(&packet[24..40]);
            (wire::IP6, packet[6], Ip::V6(ip))
        } else {
            (IP4, packet[9], Ip::V4([packet[16], packet[17], packet[18], packet[19]]))
        };
        // A connection from before the address changed, or the lease ended.
        if !v6 && packet[12..16] != self.nif.ip() {
            return;
        }
        let ports = (wire::be16(packet, head), wire::be16(packet, head + 2));
        let tcp = proto == wire::PROTO_TCP;
        if let Some((_, _, tos)) = self.tos.iter().find(|(from, to, _)| tcp && (*from, *to) == ports) {
            if v6 {
                packet[0] = 0x60 | tos >> 4;
                packet[1] = packet[1] & 15 | tos << 4;
            } else {
                packet[1] = *tos;
                put16(packet, 10, 0);
                let sum = wire::checksum([&packet[..IP4], &[]]);
                put16(packet, 10, sum);
            }
        }
        if self.send(to, len, true) == Out::Failed && tcp {
            self.fatal = Some(ports.0);
        }
    }
}

enum Hop {
    Mac([u8; 6]),
    Neighbour(Ip),
}

/// smoltcp's device: one packet in, any number out.
pub(super) struct Device<'a> {
    pub(super) link: &'a mut Link,
    pub(super) inbox: Option<&'a mut [u8]>,
}

pub(super) struct Rx<'a>(&'a mut [u8]);
pub(super) struct Tx<'a>(&'a mut Link);

impl smoltcp::phy::RxToken for Rx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl smoltcp::phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        match self.0.packet(len) {
            Some(room) => {
                let r = f(room);
                self.0.send_ip(len);
                r
            }
            // A reply while the driver is busy: treat it as lost in transit.
            None => f(&mut alloc::vec![0; len]),
        }
    }
}

impl smoltcp::phy::Device for Device<'_> {
    type RxToken<'a>
        = Rx<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Tx<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Rx<'_>, Tx<'_>)> {
        self.inbox.take().map(|packet| (Rx(packet), Tx(self.link)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Tx<'_>> {
        self.link.is_free().then_some(Tx(self.link))
    }

    fn capabilities(&self) -> smoltcp::phy::DeviceCapabilities {
        use smoltcp::phy::Checksum;
        let mut caps = smoltcp::phy::DeviceCapabilities::default();
        caps.medium = smoltcp::phy::Medium::Ip;
        caps.max_transmission_unit = mtu(self.link.nif);
        // Input has already been checked.
        caps.checksum.ipv4 = Checksum::Tx;
        caps.checksum.tcp = Checksum::Tx;
        caps.checksum.udp = Checksum::Tx;
        caps.checksum.icmpv4 = Checksum::Tx;
        #[cfg(feature = "tcpip-ipv6")]
        {
            caps.checksum.icmpv6 = Checksum::Tx;
        }
        caps
    }
}

/// The maximum packet size, whatever value the application has set.
pub(super) fn mtu(nif: Netif) -> usize {
    let least = if cfg!(feature = "tcpip-ipv6") { 1280 } else { 128 };
    let most = usize::from(nif.framesize()).saturating_sub(ETHER + TAG);
    usize::from(nif.mtu()).max(least).min(most.max(least))
}
