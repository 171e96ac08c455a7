//! Connections of the system, with a clock that moves only when nothing is left to do: what the simulated network promises, on the
//! sockets that programs have.
//!
//! Time must not pass while something is on its way. The process stays on one processor, whose queue of packets for the loopback
//! interface keeps their order: when a datagram has come through, so has everything that was sent before it ([`World::settle`]). The
//! library's own `epoll_wait` is the one below, which lets peers act and the clock move where the simulated network does.

use crate::ffi::*;
use crate::numbers::Climate;
use core::cell::RefCell;
use core::cmp::Reverse;
use core::ffi::{c_int, c_void};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wire(usize);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read {
    Bytes(usize),
    Nothing,
    End,
    Reset,
}

/// What nobody knows of the system's sockets.
#[derive(Clone, Copy)]
pub(crate) struct Story {
    pub(crate) arrived: u64,
    pub(crate) arrived_before: Option<u64>,
    pub(crate) shut_us: Option<u64>,
    pub(crate) closed_us: Option<u64>,
    pub(crate) rude: bool,
    pub(crate) late_us: Option<u64>,
}

struct Peer {
    socket: Option<TcpStream>,
    port: u16,
    refused: bool,
}

struct World {
    now_us: u64,
    /// For whom something is due, and when.
    agenda: BinaryHeap<Reverse<(u64, u64, u64)>>,
    count: u64,
    peers: Vec<Peer>,
    listeners: BTreeMap<u64, TcpListener>,
    /// The sockets of the peers, by token.
    watched: OwnedFd,
    /// On which the library has sent.
    senders: BTreeSet<c_int>,
    /// To itself: see [`World::settle`].
    probe: (UdpSocket, SocketAddr),
    hook: Option<fn(u64)>,
    interrupted: bool,
    open_before: usize,
    /// Polls in a row in which no time passed and no peer was called.
    idle_polls: u32,
    faults: Vec<String>,
    trace: Option<Vec<String>>,
}

/// As many as in the simulated network.
const SPIN: u32 = 300;
/// Packets that one packet causes one after the other: SYN, SYN and ACK, ACK, and the data that waited for room.
const GENERATIONS: u32 = 4;
/// Only a machine that has come to a stop takes longer.
const LONG: Duration = Duration::from_secs(60);

impl World {
    fn new(hook: Option<fn(u64)>, trace: bool) -> World {
        let open_before = open_files();
        let probe = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let at = probe.local_addr().expect("an address");
        probe.set_read_timeout(Some(LONG)).expect("a limit");
        // SAFETY: a new descriptor.
        let watched = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
        World {
            now_us: 0,
            agenda: BinaryHeap::new(),
            count: 0,
            peers: Vec::new(),
            listeners: BTreeMap::new(),
            watched,
            senders: BTreeSet::new(),
            probe: (probe, at),
            hook,
            interrupted: false,
            open_before,
            idle_polls: 0,
            faults: Vec::new(),
            trace: trace.then(Vec::new),
        }
    }

    fn say(&mut self, text: &str) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9}.{:03} {text}", self.now_us / 1000, self.now_us % 1000));
        }
    }

    /// Returns when everything that was sent has arrived, if there is room for it.
    fn settle(&mut self) {
        loop {
            for _ in 0..GENERATIONS {
                self.probe.0.send_to(b"?", self.probe.1).expect("room for a datagram");
                self.probe.0.recv(&mut [0]).expect("a datagram");
            }
            self.senders.retain(|fd| unsent(*fd) > 0);
            let of_peers = self.peers.iter().filter_map(|p| Some(p.socket.as_ref()?.as_raw_fd()));
            if !of_peers.chain(self.senders.iter().copied()).any(is_sending) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn watch(&self, token: u64, fd: c_int) {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        let done = unsafe { libc::epoll_ctl(self.watched.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
        assert_eq!(done, 0, "a socket to watch");
    }

    /// The peers whose sockets have changed.
    fn changed(&self) -> Vec<u64> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        let n = ready(self.watched.as_raw_fd(), events.as_mut_ptr(), 64);
        events.iter().take(n.max(0) as usize).map(|e| e.u64).collect()
    }
}

/// Bytes that the kernel has not sent yet; 0 if nobody knows.
fn unsent(fd: c_int) -> u32 {
    const SIOCOUTQNSD: libc::Ioctl = 0x894b;
    let mut n: c_int = 0;
    if unsafe { libc::ioctl(fd, SIOCOUTQNSD, &raw mut n) } == 0 { n.unsigned_abs() } else { 0 }
}

/// The words of the kernel's struct tcp_info, which goes on where libc's ends. None if nobody knows, and after a reset.
fn tcp_info(fd: c_int) -> Option<[u32; SND_WND + 1]> {
    /// The state, which is the first byte, after a reset.
    const TCP_CLOSE: u8 = 7;
    let mut info = [0u32; SND_WND + 1];
    let mut len = size_of_val(&info) as libc::socklen_t;
    let known = unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut len) } == 0;
    (known && info[0].to_ne_bytes()[0] != TCP_CLOSE).then_some(info)
}

const UNACKED: usize = 6;
const SND_CWND: usize = 20;
const SND_WND: usize = 57;

/// Whether the kernel goes on sending by itself: many small packets wait until the other side acknowledges those before them, which
/// takes up to 40 ms, or for a tasklet. What waits for room on the other side has nothing before it.
fn is_sending(fd: c_int) -> bool {
    let unsent = unsent(fd);
    unsent > 0 && tcp_info(fd).is_some_and(|info| info[UNACKED] > 0 || info[SND_WND] >= unsent)
}

/// Whether a FIN would have to wait like that.
fn is_full(fd: c_int) -> bool {
    tcp_info(fd).is_some_and(|info| info[UNACKED] >= info[SND_CWND])
}

/// What a poller has to tell, without waiting.
fn ready(epfd: c_int, events: *mut libc::epoll_event, most: c_int) -> c_int {
    unsafe { libc::syscall(libc::SYS_epoll_pwait, epfd, events, most, 0, core::ptr::null::<libc::sigset_t>(), 8) as c_int }
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with(|w| f(w.borrow_mut().as_mut().expect("a world")))
}

/// As in the simulated network.
const BEGINNING_MS: u64 = 1_000_000;

#[unsafe(no_mangle)]
extern "C" fn mg_millis() -> u64 {
    BEGINNING_MS + WORLD.with(|w| w.try_borrow().ok().and_then(|w| Some(w.as_ref()?.now_us)).unwrap_or(0)) / 1000
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

pub(crate) fn begin(_seed: u64, _climate: Climate, hook: fn(u64), trace: bool) {
    stay();
    WORLD.replace(None);
    WORLD.replace(Some(World::new(Some(hook), trace)));
}

/// On one processor.
fn stay() {
    unsafe {
        let mut set: libc::cpu_set_t = core::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

pub(crate) fn end() {
    WORLD.replace(None);
}

pub(crate) fn interrupt() {
    with(|w| w.interrupted = true);
}

pub(crate) fn now_us() -> u64 {
    with(|w| w.now_us)
}

pub(crate) fn faults() -> Vec<String> {
    with(|w| w.faults.clone())
}

pub(crate) fn failed_accepts() -> usize {
    0
}

pub(crate) fn is_traced() -> bool {
    with(|w| w.trace.is_some())
}

pub(crate) fn trace() -> Vec<String> {
    with(|w| w.trace.take().unwrap_or_default())
}

pub(crate) fn say(text: &str) {
    with(|w| w.say(text));
}

/// Descriptors, and nothing else that could be counted.
pub(crate) fn left_open() -> (usize, usize, usize) {
    let before = with(|w| {
        w.peers.clear();
        w.listeners.clear();
        // And the two of this world.
        w.open_before + 2
    });
    (open_files().saturating_sub(before), 0, 0)
}

pub(crate) fn call_in(token: u64, us: u64) {
    with(|w| {
        w.count += 1;
        w.agenda.push(Reverse((w.now_us + us, w.count, token)));
    });
}

pub(crate) fn listen(token: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("sockets that do not block");
    let port = listener.local_addr().expect("an address").port();
    with(|w| {
        w.watch(token, listener.as_raw_fd());
        w.listeners.insert(token, listener);
    });
    port
}

fn add(token: u64, socket: Option<TcpStream>) -> Wire {
    let port = socket.as_ref().and_then(|s| s.local_addr().ok()).map_or(0, |a| a.port());
    if let Some(s) = &socket {
        s.set_nonblocking(true).expect("sockets that do not block");
        s.set_nodelay(true).ok();
    }
    with(|w| {
        socket.iter().for_each(|s| w.watch(token, s.as_raw_fd()));
        w.peers.push(Peer { refused: socket.is_none(), socket, port });
        Wire(w.peers.len() - 1)
    })
}

pub(crate) fn accept(listener: u64, token: u64) -> Option<Wire> {
    let (socket, _) = with(|w| w.listeners.get(&listener)?.accept().ok())?;
    Some(add(token, Some(socket)))
}

/// On this machine that is done at once.
pub(crate) fn connect(token: u64, port: u16) -> Wire {
    add(token, TcpStream::connect(("127.0.0.1", port)).ok())
}

impl Wire {
    fn with<R>(self, f: impl FnOnce(&mut TcpStream) -> std::io::Result<R>) -> std::io::Result<R> {
        with(|w| match &mut w.peers[self.0].socket {
            Some(s) => f(s),
            None => Err(ErrorKind::NotConnected.into()),
        })
    }

    pub(crate) fn is_connected(self) -> bool {
        with(|w| !w.peers[self.0].refused)
    }

    pub(crate) fn is_reset(self) -> bool {
        with(|w| w.peers[self.0].refused)
    }

    pub(crate) fn local_port(self) -> u16 {
        with(|w| w.peers[self.0].port)
    }

    pub(crate) fn other_side(self) -> Option<Story> {
        None
    }

    pub(crate) fn read(self, most: usize, into: &mut Vec<u8>) -> Read {
        let mut block = [0; 65536];
        let most = most.min(block.len());
        let got = self.with(|s| s.read(&mut block[..most]));
        self.say("recv", &got);
        match got {
            Ok(0) => Read::End,
            Ok(n) => {
                into.extend(&block[..n]);
                Read::Bytes(n)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Read::Nothing,
            Err(_) => Read::Reset,
        }
    }

    pub(crate) fn write(self, bytes: &[u8]) -> Option<usize> {
        let done = self.with(|s| s.write(bytes));
        self.say(&format!("send {}", bytes.len()), &done);
        match done {
            Ok(n) => Some(n),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        }
    }

    fn say(self, what: &str, done: &std::io::Result<usize>) {
        if is_traced() {
            let done = done.as_ref().map_err(std::io::Error::raw_os_error);
            say(&format!("peer on port {}: {what} -> {done:?}", self.local_port()));
        }
    }

    pub(crate) fn shutdown(self) {
        let done = self.with(|s| s.shutdown(Shutdown::Write).map(|()| 0));
        self.say("shutdown", &done);
    }

    pub(crate) fn close(self) {
        with(|w| {
            // While the socket can still be asked for what it has not sent.
            w.settle();
            while w.peers[self.0].socket.as_ref().is_some_and(|s| is_full(s.as_raw_fd())) {
                std::thread::sleep(Duration::from_millis(1));
            }
            w.peers[self.0].socket = None;
        });
        self.say("close", &Ok(0));
    }

    pub(crate) fn reset(self) {
        let now = libc::linger { l_onoff: 1, l_linger: 0 };
        let (size, at) = (size_of_val(&now) as u32, (&raw const now).cast());
        _ = self.with(|s| {
            unsafe { libc::setsockopt(s.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, at, size) };
            Ok(())
        });
        self.close();
    }
}

/// Peers act for whom something is due or has happened, until nothing more does.
fn catch_up() {
    loop {
        let (tokens, hook) = with(|w| {
            w.settle();
            let mut tokens = Vec::new();
            while w.agenda.peek().is_some_and(|Reverse((at, ..))| *at <= w.now_us) {
                tokens.extend(w.agenda.pop().map(|Reverse((_, _, token))| token));
            }
            tokens.extend(w.changed());
            (tokens, w.hook)
        });
        if tokens.is_empty() {
            return;
        }
        with(|w| w.idle_polls = 0);
        tokens.into_iter().for_each(|token| hook.into_iter().for_each(|hook| hook(token)));
    }
}

/// Moves the clock to what is due next, or to `limit`. False if it reached `limit`.
fn advance(limit: u64) -> bool {
    with(|w| {
        let next = w.agenda.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        let to = next.min(limit).max(w.now_us);
        if to > w.now_us {
            (w.now_us, w.idle_polls) = (to, 0);
        }
        next <= limit
    })
}

/// The library's, in the place of the system's.
#[unsafe(no_mangle)]
extern "C" fn epoll_wait(epfd: c_int, events: *mut libc::epoll_event, most: c_int, ms: c_int) -> c_int {
    let limit = with(|w| {
        w.idle_polls += 1;
        if w.idle_polls == SPIN {
            w.faults.push(format!("{SPIN} polls in a row with nothing to do"));
        }
        if w.idle_polls >= SPIN {
            // Ends the loop.
            w.now_us += 1000;
        }
        u64::try_from(ms).map_or(u64::MAX, |ms| w.now_us + ms * 1000)
    });
    loop {
        catch_up();
        let n = ready(epfd, events, most);
        let interrupted = with(|w| core::mem::take(&mut w.interrupted));
        if n != 0 || interrupted || ms == 0 {
            return n;
        }
        if limit == u64::MAX && with(|w| w.agenda.is_empty()) {
            with(|w| w.faults.push("a poll that never ends".into()));
            return 0;
        }
        if !advance(limit) {
            return 0;
        }
    }
}

/// The library's. Where the other side is closed already, a reset answers.
#[unsafe(no_mangle)]
extern "C" fn send(fd: c_int, bytes: *const c_void, len: usize, flags: c_int) -> isize {
    let done = unsafe { libc::sendto(fd, bytes, len, flags, core::ptr::null(), 0) };
    // Peers send while the world is theirs.
    WORLD.with(|w| {
        let Ok(mut w) = w.try_borrow_mut() else { return };
        let Some(w) = w.as_mut() else { return };
        w.senders.insert(fd);
        w.settle();
        w.say(&format!("fd {fd}: send {len} -> {done}"));
    });
    done
}

pub(crate) fn poll(mgr: *mut mg_mgr, ms: c_int) {
    unsafe { mg_mgr_poll(mgr, ms) };
}

/// Time that passes while a handler computes.
pub(crate) fn pass(us: u64) {
    let end = now_us() + us;
    loop {
        catch_up();
        if !advance(end) {
            return;
        }
    }
}
