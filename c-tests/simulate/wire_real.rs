//! Connections of the system, with a clock that moves only when nothing is left to do: what the simulated network promises, on the
//! sockets that programs have.

use crate::ffi::*;
use crate::numbers::Climate;
use core::cell::RefCell;
use core::cmp::Reverse;
use core::ffi::c_int;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

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
    token: u64,
    socket: Option<TcpStream>,
    port: u16,
    refused: bool,
}

#[derive(Default)]
struct World {
    now_us: u64,
    agenda: BinaryHeap<Reverse<(u64, u64, u64)>>,
    count: u64,
    peers: Vec<Peer>,
    listeners: BTreeMap<u64, TcpListener>,
    hook: Option<fn(u64)>,
    /// What peers have done so far.
    moves: u64,
    interrupted: bool,
    was_interrupted: bool,
    open_before: usize,
    /// Polls in a row in which no time passed and no peer moved, and the moves before them.
    idle: (u32, u64),
    faults: Vec<String>,
}

/// As many as in the simulated network.
const SPIN: u32 = 300;

impl World {
    /// Whether the library wants to be called although nothing has happened for long. That costs a millisecond, so that it ends.
    fn spins(&mut self) -> bool {
        let (idle, moves) = self.idle;
        self.idle = if moves == self.moves { (idle + 1, moves) } else { (0, self.moves) };
        let spins = self.idle.0 >= SPIN;
        if self.idle.0 == SPIN {
            self.faults.push(format!("{SPIN} polls in a row with nothing to do"));
        }
        self.now_us += if spins { 1000 } else { 0 };
        spins
    }
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with(|w| f(&mut w.borrow_mut()))
}

/// As in the simulated network.
const BEGINNING_MS: u64 = 1_000_000;

#[unsafe(no_mangle)]
extern "C" fn mg_millis() -> u64 {
    BEGINNING_MS + WORLD.with(|w| w.try_borrow().map_or(0, |w| w.now_us)) / 1000
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

pub(crate) fn begin(_seed: u64, _climate: Climate, hook: fn(u64), _trace: bool) {
    with(|w| *w = World { hook: Some(hook), open_before: open_files(), ..World::default() });
}

pub(crate) fn end() {
    with(|w| *w = World::default());
}

pub(crate) fn interrupt() {
    // Once: hooks are called oftener than something happens.
    with(|w| w.interrupted = !core::mem::replace(&mut w.was_interrupted, true));
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
    false
}

pub(crate) fn trace() -> Vec<String> {
    Vec::new()
}

pub(crate) fn say(_: &str) {}

/// Descriptors, and nothing else that could be counted.
pub(crate) fn left_open() -> (usize, usize, usize) {
    let before = with(|w| {
        w.peers.clear();
        w.listeners.clear();
        w.open_before
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
    with(|w| w.listeners.insert(token, listener));
    port
}

fn add(token: u64, socket: Option<TcpStream>) -> Wire {
    let port = socket.as_ref().and_then(|s| s.local_addr().ok()).map_or(0, |a| a.port());
    if let Some(s) = &socket {
        s.set_nonblocking(true).expect("sockets that do not block");
        s.set_nodelay(true).ok();
    }
    with(|w| {
        w.moves += 1;
        w.peers.push(Peer { token, refused: socket.is_none(), socket, port });
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
        with(|w| {
            let done = match &mut w.peers[self.0].socket {
                Some(s) => f(s),
                None => Err(ErrorKind::NotConnected.into()),
            };
            w.moves += u64::from(done.is_ok());
            done
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
        match self.with(|s| s.read(&mut block[..most])) {
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
        match self.with(|s| s.write(bytes)) {
            Ok(n) => Some(n),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        }
    }

    pub(crate) fn shutdown(self) {
        _ = self.with(|s| s.shutdown(Shutdown::Write));
    }

    pub(crate) fn close(self) {
        with(|w| {
            w.moves += 1;
            w.peers[self.0].socket = None;
        });
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

/// The turn of all peers for whom something is due or has happened. True: one has moved.
fn peers_act() -> bool {
    let before = with(|w| w.moves);
    loop {
        let due = with(|w| match w.agenda.peek() {
            Some(Reverse((at, _, _))) if *at <= w.now_us => w.agenda.pop().map(|Reverse((_, _, token))| token),
            _ => None,
        });
        let (Some(token), Some(hook)) = (due, with(|w| w.hook)) else { break };
        hook(token);
    }
    let (tokens, hook) = with(|w| {
        let mut tokens: Vec<u64> = w.peers.iter().filter(|p| p.socket.is_some()).map(|p| p.token).collect();
        tokens.extend(w.listeners.keys());
        tokens.sort_unstable();
        tokens.dedup();
        (tokens, w.hook)
    });
    tokens.into_iter().for_each(|token| hook.into_iter().for_each(|hook| hook(token)));
    with(|w| w.moves) != before
}

/// Whether the library has something to do. On the way to it things are for some microseconds.
fn has_news(mgr: *mut mg_mgr) -> bool {
    let mut watched = libc::pollfd { fd: unsafe { mgx_mgr_fd(mgr) }, events: libc::POLLIN, revents: 0 };
    for _ in 0..2 {
        if unsafe { libc::poll(&mut watched, 1, 0) } > 0 {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// A poll that sleeps at most so long by this clock.
pub(crate) fn poll(mgr: *mut mg_mgr, ms: c_int) {
    let limit = u64::try_from(ms).map_or(u64::MAX, |ms| now_us() + ms * 1000);
    let mut quiet = 0;
    loop {
        if peers_act() {
            quiet = 0;
        }
        let due = unsafe { mgx_mgr_timeout_ms(mgr) };
        if due == 0 && with(World::spins) {
            break;
        }
        if due == 0 || ms == 0 || has_news(mgr) || with(|w| core::mem::take(&mut w.interrupted)) {
            break;
        }
        // What was sent is there when it is looked for once more.
        quiet += 1;
        if quiet < 3 {
            continue;
        }
        quiet = 0;
        let now = now_us();
        let due = u64::try_from(due).map_or(u64::MAX, |ms| now + ms * 1000);
        let agenda = with(|w| w.agenda.peek().map_or(u64::MAX, |Reverse((at, _, _))| *at));
        let next = due.min(agenda).min(limit);
        if next == u64::MAX {
            with(|w| w.faults.push("a poll that never ends".into()));
            break;
        }
        with(|w| {
            w.now_us = next.max(w.now_us);
            w.idle.0 = 0;
        });
        if next != agenda {
            break;
        }
    }
    unsafe { mg_mgr_poll(mgr, 0) };
}

/// Time that passes while a handler computes.
pub(crate) fn pass(us: u64) {
    let end = now_us() + us;
    loop {
        peers_act();
        let next = with(|w| w.agenda.peek().map_or(u64::MAX, |Reverse((at, _, _))| *at)).min(end);
        with(|w| w.now_us = next.max(w.now_us));
        if next == end {
            return;
        }
    }
}
