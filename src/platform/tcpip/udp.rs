//! UDP sockets.

use super::errno;
use super::link::{self, Out};
use super::stack::{Socket, Stack};
use super::wire::{self, Ip};
use crate::abi::mg_addr;
use crate::platform::common::Io;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Maximum number of bytes queued in one socket; further datagrams are dropped.
const MOST_WAITING: usize = if cfg!(target_os = "none") { 4096 } else { 256 * 1024 };

pub(super) struct Datagram {
    pub(super) from: (Ip, u16),
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Udp {
    pub(super) ip6: bool,
    pub(super) port: u16,
    pub(super) bound: Ip,
    pub(super) listens: bool,
    /// Ignores datagrams from others.
    pub(super) remote: Option<(Ip, u16)>,
    pub(super) queue: VecDeque<Datagram>,
    waiting: usize,
    pub(super) tos: u8,
    pub(super) group_ttl: u8,
    /// A neighbour whose address was requested, and the deadline for its reply.
    pub(super) awaits: Option<(Ip, u64)>,
}

/// How long to wait for a neighbour; the same time as a queued datagram.
const AWAIT_MS: u64 = 3_000;

impl Udp {
    pub(super) fn new(ip6: bool, port: u16) -> Udp {
        let bound = if ip6 { Ip::V6([0; 16]) } else { Ip::V4([0; 4]) };
        Udp {
            ip6,
            port,
            bound,
            listens: false,
            remote: None,
            queue: VecDeque::new(),
            waiting: 0,
            tos: 0,
            group_ttl: 64,
            awaits: None,
        }
    }

    pub(super) fn take(&mut self) -> Option<Datagram> {
        let datagram = self.queue.pop_front()?;
        self.waiting -= datagram.bytes.len();
        Some(datagram)
    }
}

impl Stack {
    fn udp(&mut self, index: usize) -> Option<&mut Udp> {
        match &mut self.entry(index)?.socket {
            Socket::Udp(u) => Some(u),
            _ => None,
        }
    }

    pub(super) fn udp_send(&mut self, index: usize, to: &mg_addr, payload: &[u8]) -> Io {
        let (ip, port) = (Ip::of(to), u16::from_be(to.port));
        let Some(from) = self.own(ip) else { return Io::Failed(errno::ENETDOWN) };
        let Some(u) = self.udp(index) else { return Io::Failed(errno::EBADF) };
        if u.ip6 != ip.is_v6() {
            return Io::Failed(errno::EAFNOSUPPORT);
        }
        let (tos, ttl, from_port) = (u.tos, if ip.is_multicast() { u.group_ttl } else { 64 }, u.port);
        let Some(link) = self.link.as_mut() else { return Io::Failed(errno::ENETDOWN) };
        let head = if ip.is_v6() { wire::IP6 } else { wire::IP4 };
        let len = head + wire::UDP + payload.len();
        if len > link::mtu(link.nif) {
            return Io::Failed(errno::EMSGSIZE);
        }
        if !link.has_route(ip) {
            return Io::Failed(errno::EHOSTUNREACH);
        }
        let out = match link.packet(len) {
            None => Out::Busy,
            Some(room) => {
                wire::put_udp(room, from, from_port, ip, port, tos, ttl, payload);
                link.send(ip, len, false)
            }
        };
        match out {
            Out::Done | Out::Held => Io::Done(payload.len()),
            Out::Busy => {
                if let Some(entry) = self.entry(index) {
                    entry.watch.wants_write = true;
                }
                Io::Wait
            }
            Out::NoRoute => Io::Failed(errno::EHOSTUNREACH),
            Out::Failed => Io::Failed(errno::EIO),
        }
    }

    pub(super) fn udp_reach(&mut self, index: usize, to: Ip) -> Io {
        let until = self.now.saturating_add(AWAIT_MS);
        if self.own(to).is_none() {
            return Io::Failed(errno::ENETUNREACH);
        }
        let Some(link) = self.link.as_mut() else { return Io::Failed(errno::ENETDOWN) };
        if !link.has_route(to) {
            return Io::Failed(errno::EHOSTUNREACH);
        }
        if link.is_reachable(to) {
            return Io::Done(0);
        }
        link.seek(to);
        if let Some(u) = self.udp(index) {
            u.awaits = Some((to, until));
        }
        Io::Wait
    }

    /// Checks whether neighbours that sockets wait for have replied.
    pub(super) fn udp_scan(&mut self) {
        for index in 0..self.entries.len() {
            let Some((to, until)) = self.udp(index).and_then(|u| u.awaits) else { continue };
            let now = self.now;
            let Some(link) = self.link.as_mut() else { return };
            let answered = link.is_reachable(to);
            if !answered && now < until {
                link.seek(to);
                continue;
            }
            if let Some(u) = self.udp(index) {
                u.awaits = None;
            }
            if let Some(entry) = self.entry(index) {
                if answered {
                    entry.watch.wants_write = true;
                } else {
                    entry.watch.error = errno::EHOSTDOWN;
                }
            }
        }
    }

    /// A datagram with a valid header and checksum.
    pub(super) fn udp_input(&mut self, from: Ip, to: Ip, ports: (u16, u16), payload: &[u8]) {
        let takes = |u: &Udp| {
            u.port == ports.1
                && u.port != 0
                && u.ip6 == to.is_v6()
                && u.remote.is_none_or(|remote| remote == (from, ports.0))
                && (u.bound.is_unspecified() || u.bound == to)
        };
        let found = self.entries.iter_mut().flatten().filter(|entry| matches!(&entry.socket, Socket::Udp(u) if takes(u)));
        let Some(entry) = found.max_by_key(|entry| entry.serial) else { return };
        let Socket::Udp(u) = &mut entry.socket else { return };
        let mut bytes = Vec::new();
        if u.waiting + payload.len() > MOST_WAITING || u.queue.len() > 255 || bytes.try_reserve_exact(payload.len()).is_err() {
            return;
        }
        bytes.extend_from_slice(payload);
        u.waiting += bytes.len();
        u.queue.push_back(Datagram { from: (from, ports.0), bytes });
    }
}
