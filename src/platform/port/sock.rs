//! The calls on sockets.

use super::c::{self, mgx_port_addr};
use super::errno::{self, check};
pub(crate) use super::error::{set_errno, words};
use super::poller::{self, Poller, look, rearm};
use crate::abi::mg_addr;
pub(crate) use crate::platform::common::numbers::*;
pub(crate) use crate::platform::common::{Io, Rest, Scratch};
use core::ffi::c_int;
use core::mem::MaybeUninit;

/// As other platforms have it.
pub(crate) struct SockAddr(mgx_port_addr);

impl SockAddr {
    pub(crate) fn new(a: &mg_addr) -> SockAddr {
        SockAddr(mgx_port_addr::new(a))
    }

    /// There are no Unix sockets.
    pub(crate) fn unix(_path: &[u8]) -> Option<SockAddr> {
        None
    }
}

/// What a transfer came to. When it has to wait, the socket is asked about that.
fn io(fd: c_int, want: u8, result: c_int) -> Io {
    match check(result) {
        Ok(n) => Io::Done(n as usize),
        Err(errno::EAGAIN) => {
            rearm(fd, want);
            Io::Wait
        }
        Err(errno) => Io::Failed(errno),
    }
}

/// What one call may transfer: its result is an int.
fn most(len: usize) -> usize {
    len.min(c_int::MAX as usize)
}

/// A new socket of the address's family. Err: errno.
pub(crate) fn open(_poller: &Poller, ip6: bool, udp: bool) -> Result<c_int, c_int> {
    new(ip6, udp)
}

fn new(ip6: bool, udp: bool) -> Result<c_int, c_int> {
    match check(c::mgx_port_open(ip6.into(), udp.into())) {
        Err(errno::EOPNOTSUPP) => Err(errno::EAFNOSUPPORT),
        other => other,
    }
}

pub(crate) fn open_unix() -> Result<c_int, c_int> {
    Err(errno::EAFNOSUPPORT)
}

pub(crate) fn close(fd: c_int) {
    // Before another thread gets the number.
    poller::forget(fd);
    c::mgx_port_close(fd);
}

fn set(fd: c_int, option: c_int, value: c_int) -> bool {
    c::mgx_port_set(fd, option, value) >= 0
}

pub(crate) fn set_stream_options(fd: c_int) {
    set(fd, c::MGX_PORT_STREAM, 1);
}

pub(crate) fn set_v6only(fd: c_int, on: bool) {
    set(fd, c::MGX_PORT_V6ONLY, on.into());
}

pub(crate) fn set_reuse_addr(fd: c_int) {
    set(fd, c::MGX_PORT_REUSE_ADDR, 1);
}

pub(crate) fn set_reuse_port(fd: c_int) -> bool {
    set(fd, c::MGX_PORT_REUSE_PORT, 1)
}

pub(crate) fn set_tos(fd: c_int, _ip6: bool, tos: c_int) -> bool {
    set(fd, c::MGX_PORT_TOS, tos)
}

/// Joins the IPv4 multicast group `ip` (network byte order) on any interface.
pub(crate) fn join_group(fd: c_int, ip: u32) -> bool {
    set(fd, c::MGX_PORT_JOIN, ip as c_int)
}

/// Maximum number of routers that a multicast datagram may pass.
pub(crate) fn set_multicast_ttl(fd: c_int, ttl: c_int) {
    set(fd, c::MGX_PORT_MULTICAST_TTL, ttl);
}

pub(crate) fn set_abort(fd: c_int) {
    set(fd, c::MGX_PORT_ABORT, 1);
}

pub(crate) fn bind(fd: c_int, s: &SockAddr) -> Result<(), c_int> {
    check(c::mgx_port_bind(fd, &s.0)).map(drop)
}

pub(crate) fn listen(fd: c_int, backlog: c_int) -> Result<(), c_int> {
    check(c::mgx_port_listen(fd, backlog)).map(drop)
}

/// `Io::Done` if connected at once.
pub(crate) fn connect(fd: c_int, a: &mg_addr) -> Io {
    connect_to(fd, &SockAddr::new(a))
}

pub(crate) fn connect_to(fd: c_int, s: &SockAddr) -> Io {
    io(fd, c::MGX_PORT_WRITE, c::mgx_port_connect(fd, &s.0))
}

fn name(fd: c_int, get: extern "C" fn(c_int, &mut mgx_port_addr) -> c_int) -> Option<mg_addr> {
    let mut addr = mgx_port_addr::default();
    check(get(fd, &mut addr)).ok().map(|_| addr.to_addr())
}

pub(crate) fn local(fd: c_int) -> Option<mg_addr> {
    name(fd, c::mgx_port_local)
}

pub(crate) fn peer(fd: c_int) -> Option<mg_addr> {
    name(fd, c::mgx_port_peer)
}

/// Accepts a connection. Err: errno, EAGAIN if there is none.
pub(crate) fn accept(fd: c_int) -> Result<(c_int, mg_addr), c_int> {
    let mut from = mgx_port_addr::default();
    match check(c::mgx_port_accept(fd, &mut from)) {
        Ok(new) => Ok((new, from.to_addr())),
        Err(errno) => {
            if errno == errno::EAGAIN {
                rearm(fd, c::MGX_PORT_READ);
            }
            Err(errno)
        }
    }
}

/// Only a read that finds nothing says that nothing is left.
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
    // SAFETY: passed on to the caller.
    io(fd, c::MGX_PORT_READ, unsafe { c::mgx_port_recv(fd, buf.cast(), most(len)) })
}

/// Receives one datagram and returns its length: the first `len` bytes go to `buf`, the others to `rest`. One that may have been cut
/// off has a length for which there is no room.
///
/// # Safety
/// As [`recv`].
pub(crate) unsafe fn recv_from(fd: c_int, buf: *mut u8, len: usize, rest: &mut [MaybeUninit<u8>]) -> (Io, mg_addr) {
    let mut from = mgx_port_addr::default();
    // In one piece, into the larger of the two.
    let (to, room) = if rest.len() > len { (rest.as_mut_ptr().cast(), rest.len()) } else { (buf, len) };
    // SAFETY: room bytes at `to`, by the slice or by the caller.
    let got = io(fd, c::MGX_PORT_READ, unsafe { c::mgx_port_recv_from(fd, to.cast(), most(room), &mut from) });
    let got = match got {
        Io::Done(n) if n >= room => Io::Done(len.saturating_add(rest.len()).saturating_add(1)),
        Io::Done(n) if to != buf => {
            // SAFETY: n bytes are at `to`, which is `rest`; buf has len bytes, and is no part of it.
            unsafe { core::ptr::copy_nonoverlapping(to, buf, n.min(len)) };
            rest.copy_within(n.min(len)..n, 0);
            Io::Done(n)
        }
        other => other,
    };
    (got, from.to_addr())
}

/// `more`: more data follows at once, so the last packet may wait for it.
///
/// # Safety
/// `buf` points at `len` readable bytes.
pub(crate) unsafe fn send(fd: c_int, buf: *const u8, len: usize, more: bool) -> Io {
    if len == 0 {
        return Io::Done(0);
    }
    // SAFETY: passed on to the caller.
    let taken = unsafe { c::mgx_port_send(fd, buf.cast(), most(len), more.into()) };
    io(fd, c::MGX_PORT_WRITE, if taken == 0 { c::MGX_PORT_AGAIN } else { taken })
}

/// # Safety
/// As [`send`].
pub(crate) unsafe fn send_to(fd: c_int, buf: *const u8, len: usize, to: &mg_addr) -> Io {
    let to = mgx_port_addr::new(to);
    // SAFETY: the caller vouches for buf.
    io(fd, c::MGX_PORT_WRITE, unsafe { c::mgx_port_send_to(fd, buf.cast(), most(len), &to) })
}

/// Files go through the buffers.
pub(crate) fn send_file(_fd: c_int, _file: c_int, _offset: u64, _len: usize) -> Io {
    Io::Failed(errno::ENOSYS)
}

/// As [`send_file`].
#[cfg(feature = "tls")]
pub(crate) fn read_at(_file: c_int, _offset: u64, _buf: &mut [u8]) -> Io {
    Io::Failed(errno::ENOSYS)
}

/// Writing to a broken connection raises no signal. True keeps files off [`send_file`].
pub(crate) fn sigpipe_kills() -> bool {
    true
}

/// Sockets that others have opened cannot be made non-blocking.
pub(crate) fn adopt(_fd: c_int) -> bool {
    false
}

pub(crate) fn listens(_fd: c_int) -> Option<bool> {
    None
}

/// Why a socket has failed, once; 0 when it has not.
pub(crate) fn take_error(fd: c_int) -> c_int {
    match c::mgx_port_error(fd) {
        0.. => 0,
        error => errno::of(error),
    }
}

/// Whether a read would find something: data, the end of the stream, or an error.
pub(crate) fn has_input(fd: c_int) -> bool {
    let has = look(fd, c::MGX_PORT_READ) != 0;
    if !has {
        rearm(fd, c::MGX_PORT_READ);
    }
    has
}

/// Whether the other end of a stream is gone, and not merely silent.
pub(crate) fn is_gone(fd: c_int) -> bool {
    look(fd, 0) & (c::MGX_PORT_FAIL | c::MGX_PORT_GONE) != 0
}

/// How many bytes the stack still holds because the peer has not acknowledged them. None if it does not say.
pub(crate) fn unacknowledged(fd: c_int) -> Option<usize> {
    usize::try_from(c::mgx_port_unsent(fd)).ok()
}

/// Forgets the next bytes of a stream.
pub(crate) fn discard(fd: c_int, scratch: &mut Scratch) -> Io {
    let mut small = [MaybeUninit::uninit(); 512];
    let mut nowhere = scratch.room();
    if nowhere.is_empty() {
        nowhere = &mut small;
    }
    // SAFETY: the buffer has the length given.
    unsafe { recv(fd, nowhere.as_mut_ptr().cast(), nowhere.len()) }
}

pub(crate) fn shutdown_write(fd: c_int) {
    c::mgx_port_shutdown(fd);
}

/// The local address that would be used to reach `to`. Err: the call that failed, and errno.
pub(crate) fn local_towards(to: &mg_addr) -> Result<mg_addr, (&'static str, c_int)> {
    let fd = new(to.is_ip6, true).map_err(|e| ("socket()", e))?;
    let found = match connect(fd, to) {
        Io::Failed(e) => Err(("connect", e)),
        _ => local(fd).ok_or(("connect", errno::ENOTCONN)),
    };
    close(fd);
    found
}

/// Whether datagrams for this address can leave. The stack sees to that by itself.
#[inline]
pub(crate) fn reach(_fd: c_int, _to: &mg_addr) -> Io {
    Io::Done(0)
}

/// What applications know an error by, where that is not the name of a system call.
#[inline]
pub(crate) fn message(_errno: c_int) -> Option<&'static str> {
    None
}
