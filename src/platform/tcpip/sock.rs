//! Socket calls. A socket is a number: its stack's number in the upper bits, its index in the lower.

use super::errno;
pub(crate) use super::error::{set_errno, words};
use super::poller::Poller;
use super::stack::{self, Socket, Stack};
use super::tcp::Tcp;
use super::udp::Udp;
use super::wire::Ip;
use crate::abi::mg_addr;
pub(crate) use crate::platform::common::numbers::*;
pub(crate) use crate::platform::common::{Io, Rest};
use alloc::vec::Vec;
use core::ffi::c_int;
use core::mem::MaybeUninit;

/// As on other platforms.
pub(crate) struct SockAddr(mg_addr);

impl SockAddr {
    pub(crate) fn new(a: &mg_addr) -> SockAddr {
        SockAddr(*a)
    }

    /// This platform has no Unix sockets.
    pub(crate) fn unix(_path: &[u8]) -> Option<SockAddr> {
        None
    }
}

/// Runs `f` on the stack of a socket; an error if the stack is in use, or gone.
fn io(fd: c_int, f: impl FnOnce(&mut Stack, usize) -> Io) -> Io {
    match stack::with(fd, f) {
        Ok(io) => io,
        Err(errno::EAGAIN) => Io::Wait,
        Err(errno) => Io::Failed(errno),
    }
}

fn udp<R>(fd: c_int, f: impl FnOnce(&mut Udp) -> R) -> Option<R> {
    stack::with(fd, |stack, index| match &mut stack.entry(index)?.socket {
        Socket::Udp(u) => Some(f(u)),
        _ => None,
    })
    .ok()?
}

/// A new socket of the address's family. Err: errno.
pub(crate) fn open(poller: &Poller, ip6: bool, udp: bool) -> Result<c_int, c_int> {
    if ip6 && !cfg!(feature = "tcpip-ipv6") {
        return Err(errno::EAFNOSUPPORT);
    }
    let mut stack = poller.stack().try_borrow_mut().map_err(|_| errno::EAGAIN)?;
    if !stack.has_room() {
        return Err(errno::ENOMEM);
    }
    let port = stack.ephemeral(udp);
    let socket = if udp { Socket::Udp(Udp::new(ip6, port)) } else { Socket::Tcp(Tcp::new(ip6, port)) };
    let index = stack.add(socket);
    Ok(stack.fd(index))
}

pub(crate) fn open_unix() -> Result<c_int, c_int> {
    Err(errno::EAFNOSUPPORT)
}

pub(crate) fn close(fd: c_int) {
    let _ = stack::with(fd, |stack, index| stack.close(index));
}

/// Always on: no delay, and keep-alive probes.
pub(crate) fn set_stream_options(_fd: c_int) {}

/// Always on: IPv4 and IPv6 sockets are separate here.
pub(crate) fn set_v6only(_fd: c_int, _on: bool) {}

/// Always on: a later listener may use the port of another.
pub(crate) fn set_reuse_addr(_fd: c_int) {}

pub(crate) fn set_reuse_port(_fd: c_int) -> bool {
    true
}

pub(crate) fn set_tos(fd: c_int, _ip6: bool, tos: c_int) -> bool {
    let set = stack::with(fd, |stack, index| match stack.entry(index).map(|entry| &mut entry.socket) {
        Some(Socket::Udp(u)) => u.tos = tos as u8,
        Some(Socket::Tcp(_)) => stack.tcp_tos(index, tos as u8),
        _ => {}
    });
    let _ = set;
    true
}

/// Joins the IPv4 group `ip` (network byte order).
pub(crate) fn join_group(fd: c_int, ip: u32) -> bool {
    let group = Ip::V4(ip.to_ne_bytes());
    let joined = stack::with(fd, |stack, _| {
        if !stack.groups.contains(&group) {
            stack.groups.push(group);
        }
        if let Some(nif) = stack.nif() {
            nif.set_update_hash(true);
        }
    });
    group.is_multicast() && joined.is_ok()
}

pub(crate) fn set_multicast_ttl(fd: c_int, ttl: c_int) {
    udp(fd, |u| u.group_ttl = ttl as u8);
}

/// Binding to a group joins it. Any address is accepted, even one that is not ours yet.
pub(crate) fn bind(fd: c_int, s: &SockAddr) -> Result<(), c_int> {
    let (ip, port) = (Ip::of(&s.0), u16::from_be(s.0.port));
    stack::with(fd, |stack, index| {
        if ip.is_multicast() && !stack.groups.contains(&ip) {
            stack.groups.push(ip);
        }
        match stack.entry(index).map(|entry| &mut entry.socket) {
            Some(Socket::Udp(u)) => (u.bound, u.port, u.listens) = (ip, port, true),
            Some(Socket::Tcp(t)) => (t.local, t.is_bound) = (Some((ip, port)), true),
            _ => return Err(errno::EINVAL),
        }
        Ok(())
    })?
}

pub(crate) fn listen(fd: c_int, backlog: c_int) -> Result<(), c_int> {
    stack::with(fd, |stack, index| {
        let bound = stack.local(index).ok_or(errno::EINVAL)?;
        stack.tcp_listen(index, bound, backlog);
        Ok(())
    })?
}

/// `Io::Done` if connected at once, as UDP is.
pub(crate) fn connect(fd: c_int, a: &mg_addr) -> Io {
    io(fd, |stack, index| {
        if let Some(Socket::Udp(u)) = stack.entry(index).map(|entry| &mut entry.socket) {
            u.remote = Some((Ip::of(a), u16::from_be(a.port)));
            return Io::Done(0);
        }
        stack.tcp_connect(index, a)
    })
}

/// Whether datagrams to this address can be sent. `Io::Wait`: the neighbour's address was requested; the socket becomes writable when it
/// replies, and fails otherwise.
pub(crate) fn reach(fd: c_int, to: &mg_addr) -> Io {
    io(fd, |stack, index| stack.udp_reach(index, Ip::of(to)))
}

pub(crate) fn connect_to(fd: c_int, s: &SockAddr) -> Io {
    connect(fd, &s.0)
}

pub(crate) fn local(fd: c_int) -> Option<mg_addr> {
    stack::with(fd, |stack, index| stack.local(index)).ok()?
}

pub(crate) fn peer(fd: c_int) -> Option<mg_addr> {
    if let Some(awaits) = udp(fd, |u| u.awaits.is_some()) {
        return (!awaits).then_some(mg_addr::ZERO);
    }
    let found = stack::with(fd, |stack, index| {
        let t = stack.tcp(index).filter(|t| t.is_open())?;
        t.remote.map(|(ip, port)| ip.with_port(port))
    });
    found.ok()?
}

/// Accepts a connection. Err: errno, EAGAIN if there is none.
pub(crate) fn accept(fd: c_int) -> Result<(c_int, mg_addr), c_int> {
    stack::with(fd, |stack, index| {
        let Some(next) = stack.tcp_accept(index) else {
            if let Some(entry) = stack.entry(index) {
                entry.watch.told = false;
            }
            return Err(errno::EAGAIN);
        };
        let remote = stack.tcp(next).and_then(|t| t.remote).ok_or(errno::EAGAIN)?;
        Ok((stack.fd(next), remote.0.with_port(remote.1)))
    })?
}

/// Only a read that finds nothing shows that nothing is left.
pub(crate) fn tell_rest(_fd: c_int) -> Rest {
    Rest::Unknown
}

/// # Safety
/// As [`recv`].
pub(crate) unsafe fn recv_stream(fd: c_int, buf: *mut u8, len: usize, _rest: Rest) -> (Io, bool) {
    // SAFETY: passed on to the caller.
    (unsafe { recv(fd, buf, len) }, false)
}

/// # Safety
/// `buf` points at `len` writable bytes.
pub(crate) unsafe fn recv(fd: c_int, buf: *mut u8, len: usize) -> Io {
    if udp(fd, |_| ()).is_some() {
        // SAFETY: passed on to the caller.
        return unsafe { recv_from(fd, buf, len, &mut []) }.0;
    }
    io(fd, |stack, index| {
        stack.tcp_recv(index, |socket| {
            let taken = socket.recv(|bytes| {
                let n = bytes.len().min(len);
                // SAFETY: the caller's len bytes.
                unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), buf, n) };
                (n, n)
            });
            taken.unwrap_or(0)
        })
    })
}

/// No received datagram is longer.
const DATAGRAM: usize = 2048;

/// Scratch memory of a manager.
#[derive(Default)]
pub(crate) struct Scratch(Vec<u8>);

impl Scratch {
    /// `DATAGRAM` bytes; empty when out of memory.
    pub(crate) fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        if self.0.capacity() < DATAGRAM && self.0.try_reserve_exact(DATAGRAM).is_err() {
            return &mut [];
        }
        self.0.spare_capacity_mut()
    }
}

/// Receives one datagram and returns its length: the first `len` bytes go to `buf`, the others to `rest`, as far as they fit.
///
/// # Safety
/// As [`recv`].
pub(crate) unsafe fn recv_from(fd: c_int, buf: *mut u8, len: usize, rest: &mut [MaybeUninit<u8>]) -> (Io, mg_addr) {
    let mut from = mg_addr::ZERO;
    let done = io(fd, |stack, index| {
        let Some(entry) = stack.entry(index) else { return Io::Failed(errno::EBADF) };
        let Socket::Udp(u) = &mut entry.socket else { return Io::Failed(errno::EINVAL) };
        let Some(datagram) = u.take() else {
            entry.watch.told = false;
            return Io::Wait;
        };
        from = datagram.from.0.with_port(datagram.from.1);
        let (first, more) = datagram.bytes.split_at(datagram.bytes.len().min(len));
        // SAFETY: the caller's len bytes.
        unsafe { core::ptr::copy_nonoverlapping(first.as_ptr(), buf, first.len()) };
        for (to, byte) in rest.iter_mut().zip(more) {
            to.write(*byte);
        }
        Io::Done(datagram.bytes.len())
    });
    (done, from)
}

/// # Safety
/// `buf` points at `len` readable bytes.
pub(crate) unsafe fn send(fd: c_int, buf: *const u8, len: usize, _more: bool) -> Io {
    // SAFETY: passed on to the caller.
    let bytes = unsafe { crate::ffi_util::bytes::slice(buf, len) };
    io(fd, |stack, index| stack.tcp_send(index, bytes))
}

/// Files are sent through the buffers.
pub(crate) fn send_file(_fd: c_int, _file: c_int, _offset: u64, _len: usize) -> Io {
    Io::Failed(errno::ENOSYS)
}

/// Never called: files have no descriptor here.
#[cfg(feature = "tls")]
pub(crate) fn read_at(_file: c_int, _offset: u64, _buf: &mut [u8]) -> Io {
    Io::Failed(errno::ENOSYS)
}

/// Writing to a broken connection raises no signal. True disables [`send_file`].
pub(crate) fn sigpipe_kills() -> bool {
    true
}

/// # Safety
/// As [`send`].
pub(crate) unsafe fn send_to(fd: c_int, buf: *const u8, len: usize, to: &mg_addr) -> Io {
    // SAFETY: passed on to the caller.
    let bytes = unsafe { crate::ffi_util::bytes::slice(buf, len) };
    io(fd, |stack, index| stack.udp_send(index, to, bytes))
}

/// Makes close send a reset.
pub(crate) fn set_abort(fd: c_int) {
    let _ = stack::with(fd, |stack, index| stack.tcp_abort_on_close(index));
}

/// Applications cannot open sockets here.
pub(crate) fn adopt(_fd: c_int) -> bool {
    false
}

/// The error of a failed socket; 0 if there is none.
pub(crate) fn take_error(fd: c_int) -> c_int {
    stack::with(fd, |stack, index| stack.entry(index).map_or(errno::EBADF, |entry| entry.watch.error)).unwrap_or(0)
}

pub(crate) fn listens(_fd: c_int) -> Option<bool> {
    None
}

/// True if a read would return something: data, end of stream, or an error.
pub(crate) fn has_input(fd: c_int) -> bool {
    match udp(fd, |u| !u.queue.is_empty()) {
        Some(has) => has,
        None => stack::with(fd, |stack, index| stack.tcp_has_input(index)).unwrap_or(false),
    }
}

/// True if the peer of a stream is gone, not just silent.
pub(crate) fn is_gone(fd: c_int) -> bool {
    stack::with(fd, |stack, index| stack.tcp_is_gone(index)).unwrap_or(false)
}

/// The number of bytes that the stack holds because the peer has not acknowledged them.
pub(crate) fn unacknowledged(fd: c_int) -> Option<usize> {
    stack::with(fd, |stack, index| stack.tcp_unacknowledged(index)).ok()?
}

/// Discards the next bytes of a stream.
pub(crate) fn discard(fd: c_int, _scratch: &mut Scratch) -> Io {
    io(fd, |stack, index| stack.tcp_recv(index, |socket| socket.recv(|bytes| (bytes.len(), bytes.len())).unwrap_or(0)))
}

pub(crate) fn shutdown_write(fd: c_int) {
    let _ = stack::with(fd, |stack, index| stack.tcp_shutdown(index));
}

/// The address of the interface. Err: the call that failed and errno.
pub(crate) fn local_towards(to: &mg_addr) -> Result<mg_addr, (&'static str, c_int)> {
    stack::any(|stack| stack.own(Ip::of(to))).flatten().map(|ip| ip.with_port(0)).ok_or(("connect", errno::ENETUNREACH))
}

/// The name under which applications know an error.
pub(crate) fn message(errno: c_int) -> Option<&'static str> {
    Some(match errno {
        errno::ECONNREFUSED => "connection refused",
        errno::ECONNRESET => "peer RST",
        errno::ETIMEDOUT => "Connection timeout",
        errno::EHOSTDOWN => "ARP timeout",
        errno::EHOSTUNREACH => "No gateway, can't connect",
        errno::EIO => "tx err",
        _ => return None,
    })
}
