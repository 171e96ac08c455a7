//! The world: a clock, pending events, descriptors, ends of streams, and pollers. Everything that the calls themselves do not determine
//! comes from one random number generator, so the same seed and calls reproduce the same world.
//!
//! As on Linux: data that arrived before a reset can still be read, closing with unread input sends a reset, data for a closed end is
//! answered with a reset, new descriptors are the lowest free ones, readiness is edge-triggered.

use super::numbers::{Climate, Numbers};
use crate::abi::{mg_addr, mg_addr_bytes};
use crate::platform::common::Ready;
use core::cell::RefCell;
use core::cmp::Reverse;
use core::ffi::c_int;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new(0, Climate::CALM));
}

/// Hooks are called outside of this borrow.
pub(super) fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with(|w| f(&mut w.borrow_mut()))
}

/// The first descriptor, above any of the system's.
const FIRST_FD: c_int = 1 << 20;
/// The initial value of `millis`.
const BEGINNING_MS: u64 = 1_000_000;
/// Number of consecutive polls without events or passing time that count as spinning.
const SPIN: u32 = 300;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    ip: [u8; 16],
    ip6: bool,
    port: u16,
}

impl Place {
    pub(super) const LOCAL: Place = Place { ip: [127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], ip6: false, port: 0 };

    pub(super) fn of(a: &mg_addr) -> Place {
        let mut ip = a.ip();
        if !a.is_ip6 {
            // SAFETY: every bit pattern is an address.
            let ip4 = unsafe { a.addr.ip4 };
            ip = [0; 16];
            ip[..4].copy_from_slice(&ip4.to_ne_bytes());
        }
        Place { ip, ip6: a.is_ip6, port: u16::from_be(a.port) }
    }

    pub(super) fn addr(self) -> mg_addr {
        mg_addr { addr: mg_addr_bytes { ip: self.ip }, port: self.port.to_be(), scope_id: 0, is_ip6: self.ip6 }
    }

    fn at(self, port: u16) -> Place {
        let any = self.ip == [0; 16];
        Place { port, ..if any { Place::LOCAL } else { self } }
    }
}

/// The owner of an end of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owner {
    /// The library, by descriptor.
    Fd(c_int),
    /// A peer, by the number passed to the hook.
    Peer(u64),
    /// In the queue of a listener.
    Queue,
    Nobody,
}

#[derive(Debug)]
struct End {
    other: usize,
    owner: Owner,
    local: Place,
    remote: Place,
    connected: bool,
    /// Received data, and data in flight to this end.
    rx: VecDeque<u8>,
    wire: VecDeque<u8>,
    fin: bool,
    /// A reset has arrived; the error that is still to be reported.
    reset: bool,
    error: c_int,
    /// It is shut down for writing.
    shut: bool,
    /// Bytes sent from here that the other end has not read, and their maximum.
    unread: usize,
    room: usize,
    /// A write found the buffer full: an event will report when there is space.
    starved: bool,
    /// When the last segment from here arrives: segments stay in order.
    last_at: u64,
    segment: u64,
    delay_us: u64,
    story: Story,
}

/// The history of an end of a stream.
#[derive(Clone, Copy, Default, Debug)]
pub struct Story {
    /// The number of bytes received, and of those received before this end was closed or shut down.
    pub arrived: u64,
    pub arrived_before: Option<u64>,
    /// When it was shut down, and when it was closed.
    pub shut_us: Option<u64>,
    pub closed_us: Option<u64>,
    /// It was closed with a reset, because of unread input or on request.
    pub rude: bool,
    /// Data that arrived after it was closed was answered with a reset.
    pub late_us: Option<u64>,
}

enum Socket {
    Fresh { udp: bool },
    Listener { queue: VecDeque<usize> },
    Stream(usize),
    Datagram { queue: VecDeque<(Vec<u8>, Place)> },
    Waker { rung: bool },
}

struct Descriptor {
    socket: Socket,
    local: Place,
    abort: bool,
    watch: Option<Watch>,
}

#[derive(Clone, Copy)]
struct Watch {
    poller: usize,
    token: usize,
    writable: bool,
    /// Level-triggered.
    again: bool,
    /// On the poller's list.
    noted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Data { end: usize, n: usize },
    Fin(usize),
    Reset(usize),
    Connected(usize),
    Refused(usize),
    Room(usize),
    Datagram(usize),
    Peer(u64),
}

pub(super) struct World {
    now_us: u64,
    numbers: Numbers,
    pub(super) climate: Climate,
    agenda: BinaryHeap<Reverse<(u64, u64, Event)>>,
    count: u64,
    descriptors: Vec<Option<Descriptor>>,
    ends: Vec<End>,
    pollers: Vec<VecDeque<c_int>>,
    datagrams: BTreeMap<usize, (Vec<u8>, Place, Place)>,
    peer_listeners: BTreeMap<u16, u64>,
    accepted_by_peers: BTreeMap<u64, VecDeque<usize>>,
    next_port: u16,
    /// Peers whose hook is already scheduled for the current time.
    called: Vec<u64>,
    /// Called for a peer that has an event.
    pub(super) hook: Option<fn(u64)>,
    idle_polls: u32,
    /// Violations: a poll that sleeps forever, one that spins.
    pub(super) faults: Vec<String>,
    pub(super) trace: Option<Vec<String>>,
    failed_accepts: usize,
    /// Ends the current sleep, or the next one, without events, as a signal does.
    pub(super) interrupted: bool,
}

macro_rules! note {
    ($w:expr, $($arg:tt)+) => {
        if let Some(trace) = &mut $w.trace {
            trace.push(format!("{:>9}.{:03} {}", $w.now_us / 1000, $w.now_us % 1000, format_args!($($arg)+)));
        }
    };
}

impl World {
    pub(super) fn new(seed: u64, climate: Climate) -> World {
        World {
            now_us: 0,
            numbers: Numbers(seed ^ 0x5eed),
            climate,
            agenda: BinaryHeap::new(),
            count: 0,
            descriptors: Vec::new(),
            ends: Vec::new(),
            pollers: Vec::new(),
            datagrams: BTreeMap::new(),
            peer_listeners: BTreeMap::new(),
            accepted_by_peers: BTreeMap::new(),
            next_port: 40_000,
            called: Vec::new(),
            hook: None,
            idle_polls: 0,
            faults: Vec::new(),
            trace: None,
            failed_accepts: 0,
            interrupted: false,
        }
    }

    pub(super) fn now_us(&self) -> u64 {
        self.now_us
    }

    pub(super) fn say(&mut self, text: &str) {
        note!(self, "{text}");
    }

    fn fault(&mut self, text: String) {
        note!(self, "FAULT {text}");
        if self.faults.len() < 10 {
            self.faults.push(text);
        }
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.agenda.push(Reverse((at.max(self.now_us), self.count, event)));
    }

    pub(super) fn plan_peer(&mut self, token: u64, in_us: u64) {
        self.plan(self.now_us + in_us, Event::Peer(token));
    }

    // ---- descriptors

    fn put(&mut self, socket: Socket, local: Place) -> c_int {
        let made = Descriptor { socket, local, abort: false, watch: None };
        let at = match self.descriptors.iter().position(Option::is_none) {
            Some(at) => {
                self.descriptors[at] = Some(made);
                at
            }
            None => {
                self.descriptors.push(Some(made));
                self.descriptors.len() - 1
            }
        };
        FIRST_FD + at as c_int
    }

    fn get(&mut self, fd: c_int) -> Result<&mut Descriptor, c_int> {
        let at = usize::try_from(fd - FIRST_FD).map_err(|_| libc::EBADF)?;
        self.descriptors.get_mut(at).and_then(Option::as_mut).ok_or(libc::EBADF)
    }

    fn end_of(&mut self, fd: c_int) -> Result<usize, c_int> {
        match self.get(fd)?.socket {
            Socket::Stream(end) => Ok(end),
            _ => Err(libc::ENOTCONN),
        }
    }

    /// Open descriptors.
    pub(super) fn open_descriptors(&self) -> usize {
        self.descriptors.iter().flatten().count()
    }

    pub(super) fn open_pollers(&self) -> usize {
        self.pollers.len()
    }

    pub(super) fn open(&mut self, ip6: bool, udp: bool) -> Result<c_int, c_int> {
        Ok(self.put(Socket::Fresh { udp }, Place { ip: [0; 16], ip6, port: 0 }))
    }

    pub(super) fn open_waker(&mut self) -> c_int {
        self.put(Socket::Waker { rung: false }, Place::LOCAL)
    }

    pub(super) fn wake(&mut self, fd: c_int, on: bool) -> bool {
        let Ok(Descriptor { socket: Socket::Waker { rung }, .. }) = self.get(fd) else { return false };
        *rung = on;
        if on {
            self.touch(fd);
        }
        true
    }

    fn port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }

    pub(super) fn bind(&mut self, fd: c_int, place: Place) -> Result<(), c_int> {
        let port = if place.port == 0 { self.port() } else { place.port };
        let udp = matches!(self.get(fd)?.socket, Socket::Fresh { udp: true });
        if self.listener_at(port, udp).is_some() || !udp && self.peer_listeners.contains_key(&port) {
            return Err(libc::EADDRINUSE);
        }
        let d = self.get(fd)?;
        d.local = Place { port, ..place };
        if udp {
            d.socket = Socket::Datagram { queue: VecDeque::new() };
        }
        Ok(())
    }

    pub(super) fn listen(&mut self, fd: c_int) -> Result<(), c_int> {
        self.get(fd)?.socket = Socket::Listener { queue: VecDeque::new() };
        Ok(())
    }

    fn listener_at(&self, port: u16, udp: bool) -> Option<c_int> {
        let is_it = |d: &Descriptor| {
            d.local.port == port
                && match d.socket {
                    Socket::Listener { .. } => !udp,
                    Socket::Datagram { .. } => udp,
                    _ => false,
                }
        };
        let at = self.descriptors.iter().position(|d| d.as_ref().is_some_and(is_it))?;
        Some(FIRST_FD + at as c_int)
    }

    pub(super) fn listens(&mut self, fd: c_int) -> Option<bool> {
        match self.get(fd).ok()?.socket {
            Socket::Listener { .. } => Some(false),
            Socket::Datagram { .. } => Some(true),
            _ => None,
        }
    }

    pub(super) fn set_abort(&mut self, fd: c_int) {
        if let Ok(d) = self.get(fd) {
            d.abort = true;
        }
    }

    pub(super) fn close(&mut self, fd: c_int) {
        let Ok(abort) = self.get(fd).map(|d| d.abort) else {
            return self.fault(format!("descriptor {fd} is closed, and was not open"));
        };
        let Some(d) = self.descriptors[(fd - FIRST_FD) as usize].take() else { return };
        match d.socket {
            Socket::Stream(end) => self.close_end(end, abort),
            Socket::Listener { queue } => queue.into_iter().for_each(|end| self.close_end(end, true)),
            _ => {}
        }
    }

    // ---- streams

    fn new_end(&mut self, owner: Owner, local: Place, remote: Place) -> usize {
        let segment = self.numbers.between(self.climate.segment);
        let room = self.numbers.between(self.climate.room) as usize;
        let delay_us = self.numbers.between(self.climate.delay_us);
        self.ends.push(End {
            other: usize::MAX,
            owner,
            local,
            remote,
            connected: false,
            rx: VecDeque::new(),
            wire: VecDeque::new(),
            fin: false,
            reset: false,
            error: 0,
            shut: false,
            unread: 0,
            room,
            starved: false,
            last_at: 0,
            segment,
            delay_us,
            story: Story::default(),
        });
        self.ends.len() - 1
    }

    /// The arrival time of a segment that `end` sends now.
    fn arrival(&mut self, end: usize) -> u64 {
        let mut us = self.numbers.below(self.ends[end].delay_us + 1);
        if self.numbers.chance(self.climate.stalls) {
            us += self.numbers.below(self.climate.stall_us + 1);
        }
        let e = &mut self.ends[end];
        e.last_at = e.last_at.max(self.now_us + us);
        e.last_at
    }

    /// Begins to connect. The connecting end exists at once; the other appears in the listener's queue once connected.
    fn start(&mut self, owner: Owner, local: Place, to: Place) -> usize {
        let end = self.new_end(owner, local, to);
        let at = self.arrival(end);
        self.plan(at, Event::Connected(end));
        end
    }

    pub(super) fn connect(&mut self, fd: c_int, to: Place) -> Result<usize, c_int> {
        let port = self.port();
        let d = self.get(fd)?;
        match d.socket {
            Socket::Fresh { udp: true } | Socket::Datagram { .. } => return Err(libc::EOPNOTSUPP),
            Socket::Fresh { .. } => {}
            _ => return Err(libc::EISCONN),
        }
        let local = to.at(port);
        d.local = local;
        let end = self.start(Owner::Fd(fd), local, to);
        self.get(fd)?.socket = Socket::Stream(end);
        note!(self, "fd {fd}: connecting to port {}", to.port);
        Err(libc::EAGAIN)
    }

    fn connected(&mut self, end: usize) {
        let (local, remote) = (self.ends[end].local, self.ends[end].remote);
        if self.ends[end].owner == Owner::Nobody {
            return;
        }
        let listener = self.listener_at(remote.port, false);
        let peer = self.peer_listeners.get(&remote.port).copied();
        let queue_is_full = |w: &mut World, fd| match w.get(fd) {
            Ok(Descriptor { socket: Socket::Listener { queue }, .. }) => queue.len() >= 4096,
            _ => true,
        };
        let at = self.arrival(end);
        if peer.is_none() && listener.is_none_or(|fd| queue_is_full(self, fd)) {
            return self.plan(at, Event::Refused(end));
        }
        let other = self.new_end(Owner::Queue, remote.at(remote.port), local);
        self.ends[other].other = end;
        self.ends[other].connected = true;
        self.ends[end].other = other;
        self.ends[end].connected = true;
        match (listener, peer) {
            (Some(fd), _) => {
                if let Ok(Descriptor { socket: Socket::Listener { queue }, .. }) = self.get(fd) {
                    queue.push_back(other);
                }
                self.touch(fd);
            }
            (None, Some(token)) => {
                self.accepted_by_peers.entry(token).or_default().push_back(other);
                self.plan(self.now_us, Event::Peer(token));
            }
            (None, None) => {}
        }
        self.changed(end);
    }

    pub(super) fn accept(&mut self, fd: c_int) -> Result<(c_int, Place), c_int> {
        let fails = self.climate.accept_fails;
        let Descriptor { socket: Socket::Listener { queue }, .. } = self.get(fd)? else { return Err(libc::EINVAL) };
        if queue.is_empty() {
            return Err(libc::EAGAIN);
        }
        self.idle_polls = 0;
        if self.numbers.chance(fails) {
            let errors = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EPERM];
            let error = errors[self.numbers.below(errors.len() as u64) as usize];
            note!(self, "fd {fd}: accept fails with {error}");
            self.failed_accepts += 1;
            return Err(error);
        }
        let Descriptor { socket: Socket::Listener { queue }, .. } = self.get(fd)? else { return Err(libc::EINVAL) };
        // As on Linux, also returns a connection that was reset in the queue.
        let Some(end) = queue.pop_front() else { return Err(libc::EAGAIN) };
        let (local, remote) = (self.ends[end].local, self.ends[end].remote);
        let new = self.put(Socket::Stream(end), local);
        self.ends[end].owner = Owner::Fd(new);
        note!(self, "fd {fd}: accepted fd {new} from port {}", remote.port);
        Ok((new, remote))
    }

    pub(super) fn local(&mut self, fd: c_int) -> Option<Place> {
        self.get(fd).ok().map(|d| d.local)
    }

    pub(super) fn peer(&mut self, fd: c_int) -> Option<Place> {
        let end = self.end_of(fd).ok()?;
        let e = &self.ends[end];
        (e.connected && !e.reset).then_some(e.remote)
    }

    /// Whether reads and writes of this end may be partial.
    fn cut(&mut self, end: usize, n: usize) -> usize {
        let short = if matches!(self.ends[end].owner, Owner::Fd(_)) { self.climate.short } else { 0 };
        if n > 1 && self.numbers.chance(short) { self.numbers.between((1, n as u64)) as usize } else { n }
    }

    fn recv_end(&mut self, end: usize, len: usize, mut take: impl FnMut(&[u8], usize)) -> Result<usize, c_int> {
        let e = &mut self.ends[end];
        if e.rx.is_empty() || len == 0 {
            if e.fin {
                // As on Linux, also after a reset.
                return Ok(0);
            }
            return match core::mem::take(&mut e.error) {
                0 if e.reset => Ok(0),
                0 => Err(libc::EAGAIN),
                error => Err(error),
            };
        }
        let n = e.rx.len().min(len);
        let n = self.cut(end, n);
        let e = &mut self.ends[end];
        let (a, b) = e.rx.as_slices();
        let a = &a[..a.len().min(n)];
        take(a, 0);
        if a.len() < n {
            take(&b[..n - a.len()], a.len());
        }
        e.rx.drain(..n);
        let other = e.other;
        self.idle_polls = 0;
        let o = &mut self.ends[other];
        o.unread -= n;
        if o.starved && (o.room - o.unread) * 3 >= o.room {
            let at = self.now_us + self.numbers.below(self.ends[end].delay_us + 1);
            self.plan(at, Event::Room(other));
        }
        Ok(n)
    }

    pub(super) fn recv(&mut self, fd: c_int, len: usize, take: impl FnMut(&[u8], usize)) -> Result<usize, c_int> {
        let end = self.end_of(fd)?;
        let got = self.recv_end(end, len, take);
        note!(self, "fd {fd}: recv {len} -> {got:?}");
        got
    }

    /// As Linux' TCP_INQ, which counts the end of the stream as a byte.
    pub(super) fn is_emptied(&mut self, fd: c_int) -> bool {
        self.end_of(fd).is_ok_and(|end| self.ends[end].rx.is_empty() && !self.ends[end].fin)
    }

    fn send_end(&mut self, end: usize, bytes: &[u8]) -> Result<usize, c_int> {
        let e = &mut self.ends[end];
        match core::mem::take(&mut e.error) {
            0 => {}
            error => return Err(error),
        }
        if e.reset || e.shut {
            return Err(libc::EPIPE);
        }
        if !e.connected {
            return Err(libc::EAGAIN);
        }
        let free = e.room - e.unread;
        let refuses = matches!(e.owner, Owner::Fd(_)) && self.numbers.chance(self.climate.refuses);
        if free == 0 || refuses {
            self.ends[end].starved = true;
            if free > 0 {
                let at = self.now_us + 1 + self.numbers.below(self.ends[end].delay_us + 1);
                self.plan(at, Event::Room(end));
            }
            return Err(libc::EAGAIN);
        }
        let n = self.cut(end, free.min(bytes.len()));
        let other = self.ends[end].other;
        self.ends[other].wire.extend(&bytes[..n]);
        self.ends[end].unread += n;
        self.idle_polls = 0;
        let mut left = n;
        while left > 0 {
            let n = (1 + self.numbers.below(self.ends[end].segment) as usize).min(left);
            let at = self.arrival(end);
            self.plan(at, Event::Data { end: other, n });
            left -= n;
        }
        Ok(n)
    }

    pub(super) fn send(&mut self, fd: c_int, bytes: &[u8]) -> Result<usize, c_int> {
        let end = self.end_of(fd)?;
        let done = self.send_end(end, bytes);
        note!(self, "fd {fd}: send {} -> {done:?}", bytes.len());
        done
    }

    /// The number of bytes that a write would accept.
    pub(super) fn room(&mut self, fd: c_int) -> Option<usize> {
        let end = self.end_of(fd).ok()?;
        Some(self.ends[end].room - self.ends[end].unread)
    }

    fn shut_end(&mut self, end: usize) {
        let e = &mut self.ends[end];
        if e.shut || e.reset || !e.connected {
            return;
        }
        e.shut = true;
        e.story.shut_us = Some(self.now_us);
        e.story.arrived_before = e.story.arrived_before.or(Some(e.story.arrived));
        let other = e.other;
        let at = self.arrival(end);
        self.plan(at, Event::Fin(other));
    }

    pub(super) fn shutdown_write(&mut self, fd: c_int) {
        if let Ok(end) = self.end_of(fd) {
            note!(self, "fd {fd}: shutdown");
            self.shut_end(end);
        }
    }

    fn reset_end(&mut self, end: usize) {
        let e = &self.ends[end];
        if e.reset || !e.connected {
            return;
        }
        let other = e.other;
        // It may overtake data sent before it, which is lost then.
        let latest = self.arrival(end);
        let at = self.now_us + self.numbers.below(latest - self.now_us + 1);
        self.plan(at, Event::Reset(other));
    }

    fn close_end(&mut self, end: usize, abort: bool) {
        let unread = !self.ends[end].rx.is_empty();
        let owner = core::mem::replace(&mut self.ends[end].owner, Owner::Nobody);
        note!(
            self,
            "{owner:?}: close{}",
            if abort {
                " with a reset"
            } else if unread {
                " with unread input"
            } else {
                ""
            }
        );
        let is_reset = self.ends[end].reset;
        let story = &mut self.ends[end].story;
        story.closed_us = Some(self.now_us);
        story.arrived_before = story.arrived_before.or(Some(story.arrived));
        story.rude = (abort || unread) && !is_reset;
        if abort || unread {
            self.reset_end(end);
            self.ends[end].reset = true;
        } else {
            self.shut_end(end);
        }
        self.ends[end].rx.clear();
    }

    pub(super) fn take_error(&mut self, fd: c_int) -> c_int {
        match self.end_of(fd) {
            Ok(end) => core::mem::take(&mut self.ends[end].error),
            Err(_) => 0,
        }
    }

    pub(super) fn has_input(&mut self, fd: c_int) -> bool {
        self.end_of(fd).is_ok_and(|end| {
            let e = &self.ends[end];
            !e.rx.is_empty() || e.fin || e.reset
        })
    }

    pub(super) fn is_gone(&mut self, fd: c_int) -> bool {
        self.end_of(fd).is_ok_and(|end| self.ends[end].reset)
    }

    // ---- datagrams

    pub(super) fn send_to(&mut self, fd: c_int, bytes: &[u8], to: Place) -> Result<usize, c_int> {
        let port = self.port();
        let d = self.get(fd)?;
        if let Socket::Fresh { udp: true } = d.socket {
            d.socket = Socket::Datagram { queue: VecDeque::new() };
            d.local = to.at(port);
        }
        let from = d.local.at(d.local.port);
        let delay = self.numbers.between(self.climate.delay_us);
        let at = self.now_us + self.numbers.below(delay + 1);
        let n = self.count as usize;
        self.datagrams.insert(n, (bytes.to_vec(), from, to));
        self.plan(at, Event::Datagram(n));
        self.idle_polls = 0;
        Ok(bytes.len())
    }

    pub(super) fn recv_from(&mut self, fd: c_int) -> Result<(Vec<u8>, Place), c_int> {
        let Descriptor { socket: Socket::Datagram { queue }, .. } = self.get(fd)? else { return Err(libc::EAGAIN) };
        let got = queue.pop_front().ok_or(libc::EAGAIN);
        self.idle_polls = 0;
        got
    }

    // ---- readiness

    pub(super) fn open_poller(&mut self) -> usize {
        self.pollers.push(VecDeque::new());
        self.pollers.len() - 1
    }

    pub(super) fn close_poller(&mut self, id: usize) {
        if let Some(list) = self.pollers.get_mut(id) {
            list.clear();
        }
        if id + 1 == self.pollers.len() {
            self.pollers.pop();
        }
    }

    pub(super) fn watch(&mut self, poller: usize, fd: c_int, token: usize, writable: bool, again: bool) -> bool {
        let Ok(d) = self.get(fd) else { return false };
        let noted = d.watch.is_some_and(|w| w.noted);
        d.watch = Some(Watch { poller, token, writable, again, noted });
        self.touch(fd);
        true
    }

    pub(super) fn unwatch(&mut self, fd: c_int) {
        if let Ok(d) = self.get(fd) {
            d.watch = None;
        }
    }

    /// Records an event of a descriptor.
    fn touch(&mut self, fd: c_int) {
        let Ok(Descriptor { watch: Some(watch), .. }) = self.get(fd) else { return };
        if !watch.noted {
            watch.noted = true;
            let poller = watch.poller;
            self.pollers[poller].push_back(fd);
        }
    }

    fn changed(&mut self, end: usize) {
        match self.ends[end].owner {
            Owner::Fd(fd) => self.touch(fd),
            Owner::Peer(token) if self.called.contains(&token) => {}
            Owner::Peer(token) => {
                self.called.push(token);
                self.plan(self.now_us, Event::Peer(token));
            }
            Owner::Queue | Owner::Nobody => {}
        }
    }

    /// The readiness of a descriptor to report; None if there is none.
    fn state(&mut self, fd: c_int) -> Option<Ready> {
        let (ends, descriptors) = (&self.ends, &self.descriptors);
        let d = descriptors.get((fd - FIRST_FD) as usize)?.as_ref()?;
        let watch = d.watch?;
        let none = Ready { token: watch.token, readable: false, writable: false, hup: false, error: false };
        let ready = match &d.socket {
            Socket::Fresh { .. } => none,
            Socket::Listener { queue } => Ready { readable: !queue.is_empty(), ..none },
            Socket::Datagram { queue } => Ready { readable: !queue.is_empty(), writable: watch.writable, ..none },
            Socket::Waker { rung } => Ready { readable: *rung, ..none },
            Socket::Stream(end) => {
                let e = &ends[*end];
                let room = e.connected && e.room > e.unread || e.reset;
                Ready {
                    readable: !e.rx.is_empty() || e.fin || e.reset,
                    writable: watch.writable && room,
                    hup: e.fin || e.reset,
                    error: e.error != 0,
                    ..none
                }
            }
        };
        (ready.readable || ready.writable || ready.hup || ready.error).then_some(ready)
    }

    pub(super) fn harvest(&mut self, poller: usize, most: usize, mut tell: impl FnMut(Ready)) {
        for _ in 0..most.min(self.pollers[poller].len()) {
            let Some(fd) = self.pollers[poller].pop_front() else { return };
            let mut again = false;
            if let Ok(Descriptor { watch: Some(watch), .. }) = self.get(fd) {
                watch.noted = false;
                again = watch.again;
            }
            if let Some(ready) = self.state(fd) {
                if again {
                    self.touch(fd);
                }
                note!(
                    self,
                    "fd {fd}: event{}{}{}{}",
                    if ready.readable { " in" } else { "" },
                    if ready.writable { " out" } else { "" },
                    if ready.hup { " hup" } else { "" },
                    if ready.error { " error" } else { "" }
                );
                tell(ready);
            }
        }
    }

    /// Whether a poller has events to report. Drops events that no longer apply.
    fn has_news(&mut self, poller: usize) -> bool {
        while let Some(fd) = self.pollers[poller].front().copied() {
            if self.state(fd).is_some() {
                return true;
            }
            self.pollers[poller].pop_front();
            if let Ok(Descriptor { watch: Some(watch), .. }) = self.get(fd) {
                watch.noted = false;
            }
        }
        false
    }

    // ---- events

    fn due(&mut self) -> Option<(u64, u64, Event)> {
        let Reverse((at, _, _)) = self.agenda.peek()?;
        if *at > self.now_us { None } else { self.agenda.pop().map(|Reverse(next)| next) }
    }

    /// Handles the next event that is due. A peer's event is returned to the caller.
    fn step(&mut self) -> Option<Option<u64>> {
        self.deliver();
        let (_, _, event) = self.due()?;
        self.idle_polls = 0;
        if let Event::Peer(token) = event {
            self.called.retain(|t| *t != token);
            return Some(Some(token));
        }
        self.happen(event);
        Some(None)
    }

    /// A network without delays, as a loopback interface is one, delivers before the next call; peers act later.
    fn deliver(&mut self) {
        if self.climate.delay_us.1 > 0 {
            return;
        }
        let mut peers = Vec::new();
        while let Some(next) = self.due() {
            match next.2 {
                Event::Peer(_) => peers.push(Reverse(next)),
                event => self.happen(event),
            }
        }
        self.agenda.extend(peers);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Peer(_) => {}
            Event::Connected(end) => self.connected(end),
            Event::Refused(end) => {
                let e = &mut self.ends[end];
                (e.reset, e.error) = (true, libc::ECONNREFUSED);
                self.changed(end);
            }
            Event::Data { end, n } => self.arrived(end, n),
            Event::Fin(end) => {
                if !self.ends[end].reset {
                    self.ends[end].fin = true;
                    self.changed(end);
                }
            }
            Event::Reset(end) => self.was_reset(end),
            Event::Room(end) => {
                let e = &mut self.ends[end];
                if e.starved && e.room > e.unread {
                    e.starved = false;
                    self.changed(end);
                }
            }
            Event::Datagram(n) => {
                let Some((bytes, from, to)) = self.datagrams.remove(&n) else { return };
                if let Some(fd) = self.listener_at(to.port, true) {
                    if let Ok(Descriptor { socket: Socket::Datagram { queue }, .. }) = self.get(fd) {
                        queue.push_back((bytes, from));
                    }
                    self.touch(fd);
                }
            }
        }
    }

    fn arrived(&mut self, end: usize, n: usize) {
        let e = &mut self.ends[end];
        let n = n.min(e.wire.len());
        if e.reset && e.owner != Owner::Nobody || n == 0 {
            return;
        }
        if e.owner == Owner::Nobody {
            e.wire.drain(..n);
            let first = !core::mem::replace(&mut e.reset, false);
            if first {
                e.story.late_us = Some(self.now_us);
            }
            if first {
                self.reset_end(end);
            }
            self.ends[end].reset = true;
            return;
        }
        let part = e.wire.drain(..n);
        e.rx.extend(part);
        e.story.arrived += n as u64;
        self.changed(end);
    }

    fn was_reset(&mut self, end: usize) {
        let destroys = self.climate.destroys;
        let e = &mut self.ends[end];
        if e.reset {
            return;
        }
        e.reset = true;
        e.error = if e.fin { libc::EPIPE } else { libc::ECONNRESET };
        e.wire.clear();
        e.starved = false;
        if destroys && matches!(e.owner, Owner::Peer(_)) {
            e.rx.clear();
        }
        note!(self, "{:?}: reset by the other side", self.ends[end].owner);
        self.changed(end);
    }

    // ---- peers: the other ends, driven by the program

    pub(super) fn peer_connect(&mut self, token: u64, port: u16) -> usize {
        let local = Place::LOCAL.at(self.port());
        self.start(Owner::Peer(token), local, Place::LOCAL.at(port))
    }

    pub(super) fn peer_listen(&mut self, token: u64, port: u16) {
        self.peer_listeners.insert(port, token);
    }

    pub(super) fn peer_accept(&mut self, listener: u64, token: u64) -> Option<usize> {
        let end = self.accepted_by_peers.get_mut(&listener)?.pop_front()?;
        self.ends[end].owner = Owner::Peer(token);
        self.plan(self.now_us, Event::Peer(token));
        Some(end)
    }

    pub(super) fn is_connected(&self, end: usize) -> bool {
        self.ends[end].connected
    }

    pub(super) fn is_reset(&self, end: usize) -> bool {
        self.ends[end].reset
    }

    pub(super) fn peer_recv(&mut self, end: usize, most: usize, into: &mut Vec<u8>) -> Result<usize, c_int> {
        let got = self.recv_end(end, most, |part, _| into.extend(part));
        note!(self, "{:?}: recv -> {got:?}", self.ends[end].owner);
        got
    }

    pub(super) fn peer_send(&mut self, end: usize, bytes: &[u8]) -> Result<usize, c_int> {
        let done = self.send_end(end, bytes);
        note!(self, "{:?}: send {} -> {done:?}", self.ends[end].owner, bytes.len());
        done
    }

    pub(super) fn peer_shutdown(&mut self, end: usize) {
        note!(self, "{:?}: shutdown", self.ends[end].owner);
        self.shut_end(end);
    }

    pub(super) fn peer_close(&mut self, end: usize, abort: bool) {
        self.close_end(end, abort);
    }

    pub(super) fn port_of(&self, end: usize) -> u16 {
        self.ends[end].local.port
    }

    /// The history of the other side of a connection; None if it does not exist yet.
    pub(super) fn other_story(&self, end: usize) -> Option<Story> {
        self.ends.get(self.ends[end].other).map(|e| e.story)
    }

    /// Ends of streams that still have an owner.
    pub(super) fn held_ends(&self) -> usize {
        self.ends.iter().filter(|e| matches!(e.owner, Owner::Fd(_) | Owner::Queue)).count()
    }

    pub(super) fn failed_accepts(&self) -> usize {
        self.failed_accepts
    }
}

pub(super) fn millis() -> u64 {
    with(|w| BEGINNING_MS + w.now_us / 1000)
}

pub(super) fn reset(seed: u64, climate: Climate, hook: fn(u64), trace: bool) {
    with(|w| {
        *w = World::new(seed, climate);
        w.hook = Some(hook);
        w.trace = trace.then(Vec::new);
    });
}

/// Handles all events that are due.
fn catch_up() {
    loop {
        let (hook, step) = with(|w| (w.hook, w.step()));
        match (step, hook) {
            (None, _) => return,
            (Some(Some(token)), Some(hook)) => hook(token),
            _ => {}
        }
    }
}

/// Advances the clock to the next event, or to `limit`. False if it reached `limit`.
fn advance(limit: u64) -> bool {
    with(|w| {
        let next = w.agenda.peek().map_or(u64::MAX, |Reverse((at, _, _))| *at);
        let to = next.min(limit).max(w.now_us);
        if to > w.now_us {
            w.now_us = to;
            w.idle_polls = 0;
        }
        next <= limit
    })
}

/// Sleeps until `poller` has an event, or until the timeout. Events of other pollers also end the sleep, so they are not handled late.
pub(super) fn wait(poller: usize, us: Option<u64>) {
    let limit = with(|w| {
        w.now_us += w.climate.poll_us;
        w.idle_polls += 1;
        if w.idle_polls == SPIN {
            w.fault(format!("{SPIN} polls in a row with nothing to do"));
        }
        if w.idle_polls >= SPIN {
            // Ends the loop.
            w.now_us += 1000;
        }
        us.map(|us| w.now_us.saturating_add(us))
    });
    loop {
        catch_up();
        let awake = with(|w| {
            let all = (0..w.pollers.len()).filter(|p| w.has_news(*p)).count();
            core::mem::take(&mut w.interrupted) || all > 0 || w.has_news(poller)
        });
        if awake || us == Some(0) {
            return;
        }
        let is_empty = with(|w| w.agenda.is_empty());
        match limit {
            None if is_empty => return with(|w| w.fault("a poll that never ends".into())),
            None => _ = advance(u64::MAX),
            Some(limit) => {
                if !advance(limit) {
                    return;
                }
            }
        }
    }
}

/// Sleeps without being interrupted.
pub(super) fn sleep(us: u64) {
    let limit = with(|w| w.now_us.saturating_add(us));
    loop {
        catch_up();
        if !advance(limit) {
            return;
        }
    }
}

/// Advances the clock as a computing handler does: events that become due meanwhile are handled.
pub(super) fn pass(us: u64) {
    let end = with(|w| w.now_us + us);
    loop {
        catch_up();
        if !advance(end) {
            return;
        }
    }
}

/// The beginning of a socket call, which takes time.
pub(super) fn call() {
    let us = with(|w| {
        w.deliver();
        if w.climate.call_us > 0 { w.numbers.below(w.climate.call_us + 1) } else { 0 }
    });
    if us > 0 {
        pass(us);
    }
}
