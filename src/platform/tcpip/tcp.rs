//! TCP: listeners, connections, and what smoltcp leaves to its user: a backlog that resists floods, the checks of RFC 5961, window probes,
//! and connections that the application has released but that are not closed yet.

use super::errno;
use super::link::Device;
use super::stack::{Entry, Socket, Stack};
use super::wire::{Ip, be16, be32};
use crate::abi::mg_addr;
use crate::platform::common::Io;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ffi::c_int;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{self, CongestionControl, State};
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, IpListenEndpoint};

/// The size of the receive window, and of the send buffer.
const WINDOW: usize = if cfg!(target_os = "none") { 2920 } else { 64 * 1024 };
const SEND: usize = if cfg!(target_os = "none") { 2048 } else { 64 * 1024 };
/// Maximum number of half-open connections of all listeners: a new one replaces the oldest.
const MOST_HALF_OPEN: usize = if cfg!(target_os = "none") { 4 } else { 64 };
const HALF_OPEN_MS: u64 = 10_000;
/// Maximum number of connections in TIME-WAIT.
const MOST_TIME_WAIT: usize = if cfg!(target_os = "none") { 1 } else { 64 };
/// Time limit for a released connection to close.
const ORPHAN_MS: u64 = if cfg!(target_os = "none") { 10_000 } else { 60_000 };
const CONNECT_MS: u64 = 15_000;
const KEEP_ALIVE_MS: u64 = 45_000;
/// How long probes may go unanswered before a connection is closed.
const DEAD_MS: u64 = 4 * KEEP_ALIVE_MS;
/// Interval between probes of a closed window.
const PROBE_MS: u64 = 1_000;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    New,
    Connecting,
    /// In the handshake, with the listener's index and serial.
    HalfOpen(usize, u64),
    /// Waits to be accepted.
    Waiting(usize, u64),
    Open,
    /// Released by the application; kept until this time.
    Orphan(u64),
}

pub(super) struct Tcp {
    handle: Option<SocketHandle>,
    pub(super) ip6: bool,
    pub(super) local: Option<(Ip, u16)>,
    pub(super) remote: Option<(Ip, u16)>,
    phase: Phase,
    born: u64,
    /// The initial sequence numbers of both sides.
    irs: u32,
    iss: u32,
    /// Bytes taken from the receive buffer and added to the send buffer, modulo 2^32.
    taken: u32,
    queued: u32,
    last: State,
    abort: bool,
    pub(super) tos: u8,
    /// The application has bound it; the address may be the wildcard.
    pub(super) is_bound: bool,
    /// The length of the send queue when it last changed, and the time of that change.
    unsent: usize,
    moved: u64,
    /// When a segment last arrived.
    heard: u64,
    probes: Probes,
}

/// The use of smoltcp's keep-alive. It sends a probe at once only if it was off before, so it is normally off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Probes {
    Off,
    /// Checks whether the peer is alive.
    Idle,
    /// Checks whether the peer's window is still closed.
    Window,
}

pub(super) struct Listener {
    pub(super) bound: mg_addr,
    pub(super) port: u16,
    backlog: usize,
    ready: VecDeque<usize>,
}

impl Listener {
    pub(super) fn has_one(&self) -> bool {
        !self.ready.is_empty()
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn ip(ip: Ip) -> IpAddress {
    match ip {
        Ip::V4([a, b, c, d]) => IpAddress::v4(a, b, c, d),
        #[cfg(feature = "tcpip-ipv6")]
        Ip::V6(ip) => IpAddress::Ipv6(ip.into()),
        #[cfg(not(feature = "tcpip-ipv6"))]
        Ip::V6(_) => IpAddress::v4(0, 0, 0, 0),
    }
}

/// Zeroed memory; None when out of memory.
fn buffer(size: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).ok()?;
    bytes.resize(size, 0);
    Some(bytes)
}

impl Tcp {
    /// `port` is for a client; a listener is bound later.
    pub(super) fn new(ip6: bool, port: u16) -> Tcp {
        let any = if ip6 { Ip::V6([0; 16]) } else { Ip::V4([0; 4]) };
        Tcp {
            handle: None,
            ip6,
            local: Some((any, port)),
            remote: None,
            phase: Phase::New,
            born: 0,
            irs: 0,
            iss: 0,
            taken: 0,
            queued: 0,
            last: State::Closed,
            abort: false,
            tos: 0,
            is_bound: false,
            unsent: 0,
            moved: 0,
            heard: 0,
            probes: Probes::Off,
        }
    }

    /// Whether it belongs to the application, and the handshake is complete.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }
}

/// Whether the peer's FIN has arrived.
fn has_fin(state: State) -> bool {
    matches!(state, State::CloseWait | State::LastAck | State::Closing | State::TimeWait)
}

impl Stack {
    fn smol(&mut self, index: usize) -> Option<(&mut Tcp, &mut tcp::Socket<'static>)> {
        let entry = self.entries.get_mut(index)?.as_mut()?;
        let Socket::Tcp(t) = &mut entry.socket else { return None };
        let socket = self.sockets.get_mut::<tcp::Socket>(t.handle?);
        Some((t, socket))
    }

    /// A socket of smoltcp's with its buffers.
    fn new_smol(&mut self) -> Option<SocketHandle> {
        if !self.has_room() {
            return None;
        }
        let (rx, tx) = (buffer(WINDOW)?, buffer(SEND)?);
        let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(rx), tcp::SocketBuffer::new(tx));
        socket.set_nagle_enabled(false);
        socket.set_congestion_control(CongestionControl::Reno);
        Some(self.sockets.add(socket))
    }

    fn remove(&mut self, index: usize) {
        let Some(entry) = self.entries.get_mut(index).and_then(Option::take) else { return };
        if let Socket::Tcp(t) = entry.socket {
            if let Some(handle) = t.handle {
                self.sockets.remove(handle);
            }
            self.set_tos(&t, 0);
        }
    }

    fn set_tos(&mut self, t: &Tcp, tos: u8) {
        let (Some(link), Some(local), Some(remote)) = (self.link.as_mut(), t.local, t.remote) else { return };
        link.tos.retain(|(from, to, _)| (*from, *to) != (local.1, remote.1));
        if tos != 0 {
            link.tos.push((local.1, remote.1, tos));
        }
    }

    pub(super) fn tcp_tos(&mut self, index: usize, tos: u8) {
        let Some(t) = self.tcp(index) else { return };
        t.tos = tos;
        let mut copy = Tcp::new(t.ip6, 0);
        (copy.local, copy.remote) = (t.local, t.remote);
        self.set_tos(&copy, tos);
    }

    pub(super) fn tcp_listen(&mut self, index: usize, bound: mg_addr, backlog: c_int) {
        if let Some(entry) = self.entry(index) {
            let backlog = usize::try_from(backlog).unwrap_or(1).max(1);
            entry.socket = Socket::Listener(Listener { bound, port: u16::from_be(bound.port), backlog, ready: VecDeque::new() });
        }
    }

    pub(super) fn tcp_connect(&mut self, index: usize, to: &mg_addr) -> Io {
        let remote = (Ip::of(to), u16::from_be(to.port));
        let Some(own) = self.own(remote.0) else { return Io::Failed(errno::ENETUNREACH) };
        if !self.link.as_ref().is_some_and(|link| link.has_route(remote.0)) {
            return Io::Failed(errno::EHOSTUNREACH);
        }
        let Some(port) = self.tcp(index).and_then(|t| t.local).map(|(_, port)| port) else { return Io::Failed(errno::EBADF) };
        let Some(handle) = self.new_smol() else { return Io::Failed(errno::ENOBUFS) };
        self.reseed();
        let socket = self.sockets.get_mut::<tcp::Socket>(handle);
        let connected = self.iface.as_mut().is_some_and(|iface| {
            socket.set_timeout(Some(ms(CONNECT_MS)));
            socket.connect(iface.context(), (ip(remote.0), remote.1), (ip(own), port)).is_ok()
        });
        if !connected {
            self.sockets.remove(handle);
            return Io::Failed(errno::EADDRNOTAVAIL);
        }
        let now = self.now;
        if let Some(t) = self.tcp(index) {
            (t.handle, t.local, t.remote) = (Some(handle), Some((own, port)), Some(remote));
            (t.phase, t.born, t.last) = (Phase::Connecting, now, State::SynSent);
            let tos = t.tos;
            self.tcp_tos(index, tos);
        }
        self.egress();
        Io::Wait
    }

    pub(super) fn tcp_accept(&mut self, index: usize) -> Option<usize> {
        loop {
            let Socket::Listener(l) = &mut self.entry(index)?.socket else { return None };
            let next = l.ready.pop_front()?;
            if let Some(t) = self.tcp(next).filter(|t| matches!(t.phase, Phase::Waiting(at, _) if at == index)) {
                t.phase = Phase::Open;
                return Some(next);
            }
        }
    }

    pub(super) fn tcp_recv(&mut self, index: usize, take: impl FnOnce(&mut tcp::Socket) -> usize) -> Io {
        let Some((t, socket)) = self.smol(index) else { return Io::Failed(errno::ENOTCONN) };
        let n = if socket.can_recv() { take(socket) } else { 0 };
        t.taken = t.taken.wrapping_add(n as u32);
        if n > 0 {
            return Io::Done(n);
        }
        let ended =
            has_fin(t.last) || t.last == State::Closed && matches!(socket.recv(|_| (0, ())), Err(tcp::RecvError::Finished));
        let Some(entry) = self.entry(index) else { return Io::Failed(errno::EBADF) };
        match entry.watch.error {
            0 if ended => Io::Done(0),
            0 => {
                entry.watch.told = false;
                Io::Wait
            }
            error => Io::Failed(error),
        }
    }

    pub(super) fn tcp_send(&mut self, index: usize, bytes: &[u8]) -> Io {
        let error = self.entry(index).map_or(errno::EBADF, |entry| entry.watch.error);
        let now = self.now;
        let Some((t, socket)) = self.smol(index) else { return Io::Failed(errno::ENOTCONN) };
        let sent = if t.phase == Phase::Connecting { Ok(0) } else { socket.send_slice(bytes) };
        let Ok(n) = sent else { return Io::Failed(if error == 0 { errno::EPIPE } else { error }) };
        t.queued = t.queued.wrapping_add(n as u32);
        if n > 0 && t.unsent == 0 {
            t.moved = now;
        }
        if n < bytes.len() {
            if let Some(entry) = self.entry(index) {
                entry.watch.wants_write = true;
            }
        }
        if n > 0 || bytes.is_empty() { Io::Done(n) } else { Io::Wait }
    }

    pub(super) fn tcp_has_input(&mut self, index: usize) -> bool {
        let error = self.entry(index).is_some_and(|entry| entry.watch.error != 0);
        error || self.smol(index).is_some_and(|(t, socket)| socket.recv_queue() > 0 || has_fin(t.last) || t.last == State::Closed)
    }

    pub(super) fn tcp_is_gone(&mut self, index: usize) -> bool {
        self.smol(index).is_none_or(|(_, socket)| socket.state() == State::Closed)
    }

    pub(super) fn tcp_unacknowledged(&mut self, index: usize) -> Option<usize> {
        self.smol(index).map(|(_, socket)| socket.send_queue())
    }

    /// Sends what is queued, then a FIN.
    pub(super) fn tcp_shutdown(&mut self, index: usize) {
        if let Some((t, socket)) = self.smol(index) {
            socket.close();
            t.last = socket.state();
        }
        self.egress();
    }

    pub(super) fn tcp_abort_on_close(&mut self, index: usize) {
        if let Some(t) = self.tcp(index) {
            t.abort = true;
        }
    }

    /// The application closes a socket.
    pub(super) fn close(&mut self, index: usize) {
        let Some(entry) = self.entry(index) else { return };
        entry.watch = Default::default();
        match &entry.socket {
            Socket::Udp(_) => self.remove(index),
            Socket::Listener(_) => {
                let of = |entry: &Option<Entry>| match entry {
                    Some(Entry { socket: Socket::Tcp(t), .. }) => match t.phase {
                        Phase::HalfOpen(at, _) | Phase::Waiting(at, _) => at == index,
                        _ => false,
                    },
                    _ => false,
                };
                let theirs: Vec<usize> = (0..self.entries.len()).filter(|&i| of(&self.entries[i])).collect();
                for i in theirs {
                    self.abort(i);
                }
                self.remove(index);
            }
            Socket::Tcp(_) => self.close_tcp(index),
        }
    }

    fn close_tcp(&mut self, index: usize) {
        let now = self.now;
        let Some((t, socket)) = self.smol(index) else { return self.remove(index) };
        match socket.state() {
            State::Closed | State::Listen | State::SynSent => return self.remove(index),
            // As on other systems: unread data must not appear to have been read.
            _ if t.abort || socket.recv_queue() > 0 => return self.abort(index),
            _ => {
                socket.close();
                t.last = socket.state();
                t.phase = Phase::Orphan(now.saturating_add(ORPHAN_MS));
            }
        }
        self.egress();
    }

    /// Closes a connection with a reset.
    fn abort(&mut self, index: usize) {
        let now = self.now;
        let Some((t, socket)) = self.smol(index) else { return self.remove(index) };
        socket.abort();
        t.phase = Phase::Orphan(now.saturating_add(ORPHAN_MS));
        t.last = State::Closed;
        self.egress();
    }

    /// Makes smoltcp send what is due.
    pub(super) fn egress(&mut self) {
        let now = self.instant();
        let (Some(iface), Some(link)) = (self.iface.as_mut(), self.link.as_mut()) else { return };
        let mut device = Device { link, inbox: None };
        // One segment per socket and round; bounded, so a poll ends.
        for _ in 0..64 {
            if iface.poll_egress(now, &mut device, &mut self.sockets) == smoltcp::iface::PollResult::None {
                break;
            }
        }
        if let Some(port) = link.fatal.take() {
            let of = |entry: &&mut Entry| matches!(&entry.socket, Socket::Tcp(t) if t.local.is_some_and(|(_, p)| p == port));
            if let Some(entry) = self.entries.iter_mut().flatten().find(of) {
                entry.watch.error = errno::EIO;
            }
        }
    }

    /// Passes a packet to smoltcp.
    fn feed(&mut self, packet: &mut [u8]) {
        let now = self.instant();
        let (Some(iface), Some(link)) = (self.iface.as_mut(), self.link.as_mut()) else { return };
        iface.poll_ingress_single(now, &mut Device { link, inbox: Some(packet) }, &mut self.sockets);
    }

    /// An ICMP packet, which smoltcp answers.
    pub(super) fn echo_input(&mut self, packet: &mut [u8]) {
        self.feed(packet);
    }

    fn find_tcp(&self, local: (Ip, u16), remote: (Ip, u16)) -> Option<usize> {
        self.entries.iter().position(|entry| match entry {
            Some(Entry { socket: Socket::Tcp(t), .. }) => t.local == Some(local) && t.remote == Some(remote),
            _ => false,
        })
    }

    /// A segment for us with a valid checksum; it begins at `head` in the packet.
    pub(super) fn tcp_input(&mut self, packet: &mut [u8], head: usize, from: Ip, to: Ip) {
        let seg = &packet[head..];
        let offset = usize::from(seg.get(12).copied().unwrap_or(0) >> 4) * 4;
        if offset < 20 || offset > seg.len() || be16(seg, 0) == 0 || be16(seg, 2) == 0 {
            return;
        }
        let (remote, local) = ((from, be16(seg, 0)), (to, be16(seg, 2)));
        let (seq, ack, flags) = (be32(seg, 4), be32(seg, 8), seg[13]);
        let len = seg.len() - offset;
        let mut found = self.find_tcp(local, remote);
        if let (Some(index), true) = (found, flags & (SYN | ACK | RST | FIN) == SYN) {
            // The peer reuses the ports of a closed connection.
            let over = |t: &Tcp| matches!(t.phase, Phase::Orphan(_)) && matches!(t.last, State::TimeWait | State::Closed);
            if self.tcp(index).is_some_and(|t| over(t)) {
                self.remove(index);
                found = None;
            }
        }
        let index = match found {
            Some(index) => {
                match self.check(index, seq, flags, len) {
                    Verdict::Pass => {}
                    Verdict::Drop => return,
                    Verdict::WithoutFin => packet[head + 13] &= !FIN,
                    Verdict::Challenge(beyond) => {
                        // smoltcp answers acknowledgements of unsent data with an ACK, at a limited rate.
                        packet[head + 13] = ACK;
                        packet[head + 8..head + 12].copy_from_slice(&beyond.to_be_bytes());
                    }
                }
                Some(index)
            }
            None if flags & (SYN | ACK | RST | FIN) == SYN => match self.half_open(local, remote, seq) {
                Some(Ok(index)) => Some(index),
                // The backlog is full: the peer retries.
                Some(Err(())) => return,
                None => None,
            },
            None => None,
        };
        self.feed(packet);
        if let Some(index) = index {
            let now = self.now;
            if let Some((t, socket)) = self.smol(index) {
                t.heard = now;
                if t.probes == Probes::Idle {
                    t.probes = Probes::Off;
                    socket.set_keep_alive(None);
                }
                let opened = matches!(t.last, State::SynSent | State::SynReceived)
                    && !matches!(socket.state(), State::SynSent | State::SynReceived | State::Closed | State::Listen);
                if opened {
                    t.iss = ack.wrapping_sub(1);
                    if t.last == State::SynSent {
                        t.irs = seq;
                    }
                }
            }
            self.transition(index, errno::ECONNRESET);
        }
    }

    /// The checks of RFC 5961, and others that smoltcp omits.
    fn check(&mut self, index: usize, seq: u32, flags: u8, len: usize) -> Verdict {
        let Some((t, socket)) = self.smol(index) else { return Verdict::Drop };
        let state = socket.state();
        if matches!(state, State::SynSent | State::Listen | State::Closed) {
            return Verdict::Pass;
        }
        let fin = u32::from(has_fin(state));
        let next = t.irs.wrapping_add(1).wrapping_add(t.taken).wrapping_add(socket.recv_queue() as u32).wrapping_add(fin);
        let room = (socket.recv_capacity() - socket.recv_queue()) as u32;
        let sent_fin = matches!(state, State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing | State::TimeWait);
        let beyond = t.iss.wrapping_add(t.queued).wrapping_add(3 + u32::from(sent_fin));
        if flags & RST != 0 {
            return match seq.wrapping_sub(next) {
                0 => Verdict::Pass,
                n if n < room && state != State::SynReceived => Verdict::Challenge(beyond),
                _ => Verdict::Drop,
            };
        }
        if flags & SYN != 0 {
            return if state == State::SynReceived { Verdict::Drop } else { Verdict::Challenge(beyond) };
        }
        // A FIN counts after the last byte, which must fit into the window.
        let end = seq.wrapping_sub(next).wrapping_add(len as u32) as i32;
        if flags & FIN != 0 && i64::from(end) > i64::from(room) {
            return Verdict::WithoutFin;
        }
        Verdict::Pass
    }

    /// A socket for a handshake with the newest listener on this port. None: no listener.
    fn half_open(&mut self, local: (Ip, u16), remote: (Ip, u16), seq: u32) -> Option<Result<usize, ()>> {
        let listens = |entry: &Entry| match &entry.socket {
            Socket::Listener(l) => {
                let bound = Ip::of(&l.bound);
                l.port == local.1 && l.bound.is_ip6 == local.0.is_v6() && (bound.is_unspecified() || bound == local.0)
            }
            _ => false,
        };
        let found =
            self.entries.iter().enumerate().filter_map(|(i, entry)| Some((i, entry.as_ref().filter(|e| listens(e))?.serial)));
        let (at, serial) = found.max_by_key(|(_, serial)| *serial)?;
        let mut half_open: Vec<(u64, usize)> = Vec::new();
        let mut waiting = 0;
        for (i, entry) in self.entries.iter().enumerate() {
            if let Some(Entry { socket: Socket::Tcp(t), serial, .. }) = entry {
                match t.phase {
                    Phase::HalfOpen(..) => half_open.push((*serial, i)),
                    Phase::Waiting(l, _) if l == at => waiting += 1,
                    _ => {}
                }
            }
        }
        let Some(Entry { socket: Socket::Listener(l), .. }) = &self.entries[at] else { return None };
        if waiting >= l.backlog {
            return Some(Err(()));
        }
        if half_open.len() >= MOST_HALF_OPEN {
            // A flooder does not complete its handshakes; others take only a moment.
            if let Some((_, oldest)) = half_open.iter().min() {
                self.remove(*oldest);
            }
        }
        // A connection that has ended makes room for one that begins.
        let mut handle = self.new_smol();
        while handle.is_none() && self.end_time_wait() {
            handle = self.new_smol();
        }
        let Some(handle) = handle else { return Some(Err(())) };
        self.reseed();
        let socket = self.sockets.get_mut::<tcp::Socket>(handle);
        let endpoint = IpListenEndpoint { addr: Some(ip(local.0)), port: local.1 };
        if socket.listen(endpoint).is_err() {
            self.sockets.remove(handle);
            return Some(Err(()));
        }
        let now = self.now;
        let mut t = Tcp::new(local.0.is_v6(), local.1);
        (t.handle, t.local, t.remote, t.irs) = (Some(handle), Some(local), Some(remote), seq);
        // In SYN-RECEIVED from the start, so a packet that begins no handshake removes it at once.
        (t.phase, t.born, t.last) = (Phase::HalfOpen(at, serial), now, State::SynReceived);
        Some(Ok(self.add(Socket::Tcp(t))))
    }

    /// Updates the state of a connection. `error`: why it is closed, if it is.
    fn transition(&mut self, index: usize, error: c_int) {
        let now = self.now;
        let Some((t, socket)) = self.smol(index) else { return };
        let (before, state) = (t.last, socket.state());
        t.last = state;
        let opened = matches!(state, State::Established | State::CloseWait);
        match t.phase {
            Phase::HalfOpen(at, serial) => {
                if matches!(state, State::Listen | State::Closed) {
                    return self.remove(index);
                }
                if opened {
                    settle(socket);
                    t.phase = Phase::Waiting(at, serial);
                    match self.entry(at) {
                        Some(Entry { socket: Socket::Listener(l), serial: now, .. }) if *now == serial => {
                            l.ready.push_back(index)
                        }
                        _ => self.abort(index),
                    }
                }
            }
            Phase::Connecting if opened => {
                settle(socket);
                t.phase = Phase::Open;
                if let Some(entry) = self.entry(index) {
                    entry.watch.wants_write = true;
                }
            }
            Phase::Connecting if state == State::Closed && before != State::Closed => {
                let remote = t.remote;
                let link = self.link.as_mut();
                let silent = link.is_some_and(|link| remote.is_some_and(|(ip, _)| !link.is_reachable(ip)));
                let why = match error {
                    errno::ECONNRESET => errno::ECONNREFUSED,
                    _ if silent => errno::EHOSTDOWN,
                    _ => error,
                };
                self.fail(index, why);
            }
            Phase::Waiting(..) if state == State::Closed => self.remove(index),
            Phase::Open if state == State::Closed && !matches!(before, State::LastAck | State::TimeWait | State::Closed) => {
                self.fail(index, error);
            }
            Phase::Orphan(until) => {
                if socket.recv_queue() > 0 && state != State::Closed {
                    return self.abort(index);
                }
                // Without an endpoint, even its reset has been sent.
                if state == State::Closed && socket.remote_endpoint().is_none() || now >= until {
                    self.remove(index);
                }
            }
            _ => {}
        }
    }

    fn fail(&mut self, index: usize, error: c_int) {
        if let Some(entry) = self.entry(index) {
            if entry.watch.error == 0 {
                entry.watch.error = error;
            }
        }
    }

    /// Checks all connections for timeouts and stalls, after smoltcp has sent what was due.
    pub(super) fn tcp_scan(&mut self) {
        let mut time_wait = 0;
        for index in 0..self.entries.len() {
            if self.tcp(index).is_none() {
                continue;
            }
            self.transition(index, errno::ETIMEDOUT);
            let now = self.now;
            let Some((t, socket)) = self.smol(index) else { continue };
            if matches!(t.phase, Phase::HalfOpen(..)) && now >= t.born.saturating_add(HALF_OPEN_MS) {
                self.remove(index);
                continue;
            }
            // Nobody has had the memory to accept it, perhaps for want of what it has itself.
            if cfg!(target_os = "none") && matches!(t.phase, Phase::Waiting(..)) && now >= t.born.saturating_add(HALF_OPEN_MS) {
                self.abort(index);
                continue;
            }
            if matches!(t.phase, Phase::Orphan(_)) && t.last == State::TimeWait {
                time_wait += 1;
            }
            let unsent = socket.send_queue();
            if unsent != t.unsent {
                (t.unsent, t.moved) = (unsent, now);
            }
            if unsent == 0 || now < t.moved.saturating_add(PROBE_MS) {
                if t.probes == Probes::Window {
                    t.probes = Probes::Off;
                    socket.set_keep_alive(None);
                }
                let idle = now >= t.heard.max(t.moved).max(t.born).saturating_add(KEEP_ALIVE_MS);
                if t.probes == Probes::Off && t.phase == Phase::Open && idle {
                    t.probes = Probes::Idle;
                    socket.set_keep_alive(Some(ms(KEEP_ALIVE_MS)));
                }
            } else if t.probes != Probes::Window && matches!(t.phase, Phase::Open | Phase::Orphan(_)) {
                // The window update may have been lost.
                t.probes = Probes::Window;
                socket.set_keep_alive(Some(ms(PROBE_MS)));
            }
        }
        // What has ended keeps its buffers: they go first when memory is short.
        let most = if cfg!(target_os = "none") && crate::memory::is_short() { 0 } else { MOST_TIME_WAIT };
        while time_wait > most {
            self.end_time_wait();
            time_wait -= 1;
        }
    }

    /// Removes the oldest connection in TIME-WAIT. False when there is none.
    fn end_time_wait(&mut self) -> bool {
        let of = |entry: &Option<Entry>| match entry {
            Some(Entry { socket: Socket::Tcp(t), serial, .. })
                if matches!(t.phase, Phase::Orphan(_)) && t.last == State::TimeWait =>
            {
                Some(*serial)
            }
            _ => None,
        };
        let oldest = (0..self.entries.len()).filter_map(|i| Some((of(&self.entries[i])?, i))).min();
        if let Some((_, index)) = oldest {
            self.remove(index);
        }
        oldest.is_some()
    }

    /// The address has changed: closes connections that used another one.
    pub(super) fn tcp_moved(&mut self, own: Ip) {
        for index in 0..self.entries.len() {
            let stale = |t: &Tcp| t.local.is_some_and(|(ip, _)| ip.is_v6() == own.is_v6() && ip != own && !ip.is_unspecified());
            if self.tcp(index).is_some_and(|t| stale(t)) {
                self.tcp_gone(index);
            }
        }
    }

    /// Closes a connection whose local address is gone. Nothing can be sent from it any more.
    pub(super) fn tcp_gone(&mut self, index: usize) {
        let Some((t, socket)) = self.smol(index) else { return };
        socket.abort();
        t.last = State::Closed;
        match t.phase {
            Phase::Open | Phase::Connecting => self.fail(index, errno::ECONNRESET),
            _ => self.remove(index),
        }
    }

    /// Whether the socket is readable and writable.
    pub(super) fn tcp_ready(&mut self, index: usize) -> (bool, bool) {
        match self.smol(index) {
            Some((t, socket)) => {
                let end = has_fin(t.last) || t.last == State::Closed;
                let open = t.phase == Phase::Open;
                (open && (socket.recv_queue() > 0 || end), open && (socket.can_send() || end && t.last == State::Closed))
            }
            None => (false, false),
        }
    }
}

/// Sets the timeout of a new connection.
fn settle(socket: &mut tcp::Socket) {
    socket.set_timeout(Some(ms(DEAD_MS)));
}

enum Verdict {
    Pass,
    Drop,
    WithoutFin,
    /// Make smoltcp answer with an ACK, by acknowledging this number, which is beyond all that we have sent.
    Challenge(u32),
}
