//! Socket calls, on the simulated world.

use super::world::{self, Place};
use crate::abi::mg_addr;
use crate::platform::common::DATAGRAM;
pub(crate) use crate::platform::common::numbers::*;
pub(crate) use crate::platform::common::{Io, Rest, Scratch};
#[cfg(feature = "tls")]
pub(crate) use crate::platform::unix::sock::read_at;
pub(crate) use crate::platform::unix::sock::{FEW, errno, message, reach, set_errno, sigpipe_kills, words};
use core::ffi::c_int;
use core::mem::MaybeUninit;

pub(crate) struct SockAddr(Place);

impl SockAddr {
    pub(crate) fn new(a: &mg_addr) -> SockAddr {
        SockAddr(Place::of(a))
    }

    /// The world has no Unix sockets.
    pub(crate) fn unix(_path: &[u8]) -> Option<SockAddr> {
        None
    }
}

pub(crate) fn open(_poller: &super::poller::Poller, ip6: bool, udp: bool) -> Result<c_int, c_int> {
    world::with(|w| w.open(ip6, udp))
}

pub(crate) fn open_unix() -> Result<c_int, c_int> {
    Err(libc::EAFNOSUPPORT)
}

pub(crate) fn close(fd: c_int) {
    world::with(|w| w.close(fd));
}

pub(crate) fn set_stream_options(_fd: c_int) {}

pub(crate) fn set_v6only(_fd: c_int, _on: bool) {}

pub(crate) fn set_reuse_addr(_fd: c_int) {}

pub(crate) fn set_tos(_fd: c_int, _ip6: bool, _tos: c_int) -> bool {
    true
}

pub(crate) fn join_group(_fd: c_int, _ip: u32) -> bool {
    true
}

pub(crate) fn set_multicast_ttl(_fd: c_int, _ttl: c_int) {}

pub(crate) fn bind(fd: c_int, s: &SockAddr) -> Result<(), c_int> {
    world::with(|w| w.bind(fd, s.0))
}

pub(crate) fn listen(fd: c_int, _backlog: c_int) -> Result<(), c_int> {
    world::with(|w| w.listen(fd))
}

pub(crate) fn connect(fd: c_int, a: &mg_addr) -> Io {
    connect_to(fd, &SockAddr::new(a))
}

pub(crate) fn connect_to(fd: c_int, s: &SockAddr) -> Io {
    io(world::with(|w| w.connect(fd, s.0)))
}

pub(crate) fn local(fd: c_int) -> Option<mg_addr> {
    world::with(|w| w.local(fd)).map(Place::addr)
}

pub(crate) fn peer(fd: c_int) -> Option<mg_addr> {
    world::with(|w| w.peer(fd)).map(Place::addr)
}

pub(crate) fn accept(fd: c_int) -> Result<(c_int, mg_addr), c_int> {
    world::call();
    world::with(|w| w.accept(fd)).map(|(fd, from)| (fd, from.addr()))
}

/// Some simulated systems report whether data is left after a read.
pub(crate) fn tell_rest(_fd: c_int) -> Rest {
    if world::with(|w| w.climate.tells_rest) { Rest::Told } else { Rest::Unknown }
}

/// Converts the result of a call on the world: EAGAIN is [`Io::Wait`].
fn io(done: Result<usize, c_int>) -> Io {
    match done {
        Ok(n) => Io::Done(n),
        Err(libc::EAGAIN) => Io::Wait,
        Err(e) => Io::Failed(e),
    }
}

/// # Safety
/// As [`recv`].
pub(crate) unsafe fn recv_stream(fd: c_int, buf: *mut u8, len: usize, rest: Rest) -> (Io, bool) {
    // SAFETY: passed on to the caller.
    let got = unsafe { recv(fd, buf, len) };
    let emptied = match rest {
        Rest::Unknown => false,
        Rest::Told => matches!(got, Io::Done(1..)) && world::with(|w| w.is_emptied(fd)),
        Rest::Polled => matches!(got, Io::Done(n) if (FEW..len).contains(&n)),
    };
    (got, emptied)
}

/// # Safety
/// `buf` points at `len` writable bytes.
pub(crate) unsafe fn recv(fd: c_int, buf: *mut u8, len: usize) -> Io {
    world::call();
    io(world::with(|w| {
        w.recv(fd, len, |part, at| {
            // SAFETY: the world returns at most len bytes in total.
            unsafe { core::ptr::copy_nonoverlapping(part.as_ptr(), buf.add(at), part.len()) }
        })
    }))
}

/// # Safety
/// As [`recv`].
pub(crate) unsafe fn recv_from(fd: c_int, buf: *mut u8, len: usize, rest: &mut [MaybeUninit<u8>]) -> (Io, mg_addr) {
    match world::with(|w| w.recv_from(fd)) {
        Ok((bytes, from)) => {
            let (here, more) = bytes.split_at(len.min(bytes.len()));
            let more = &more[..more.len().min(rest.len())];
            // SAFETY: at most the size of each buffer.
            unsafe {
                core::ptr::copy_nonoverlapping(here.as_ptr(), buf, here.len());
                core::ptr::copy_nonoverlapping(more.as_ptr(), rest.as_mut_ptr().cast(), more.len());
            }
            (Io::Done(bytes.len()), from.addr())
        }
        Err(e) => (io(Err(e)), mg_addr::ZERO),
    }
}

/// # Safety
/// `buf` points at `len` readable bytes.
pub(crate) unsafe fn send(fd: c_int, buf: *const u8, len: usize, _more: bool) -> Io {
    // SAFETY: passed on to the caller.
    let bytes = unsafe { crate::ffi_util::bytes::slice(buf, len) };
    world::call();
    io(world::with(|w| w.send(fd, bytes)))
}

pub(crate) fn send_file(fd: c_int, file: c_int, offset: u64, len: usize) -> Io {
    world::call();
    let Some(room) = world::with(|w| w.room(fd)) else { return Io::Failed(libc::EINVAL) };
    // One byte suffices to find out whether the socket is full or broken.
    let mut block = vec![0u8; len.min(room).clamp(1, 1 << 16)];
    let Ok(offset) = offset.try_into() else { return Io::Failed(libc::EOVERFLOW) };
    // SAFETY: a local buffer.
    let n = unsafe { libc::pread(file, block.as_mut_ptr().cast(), block.len(), offset) };
    match usize::try_from(n) {
        Ok(0) => Io::Done(0),
        Ok(n) => io(world::with(|w| w.send(fd, &block[..n]))),
        Err(_) => Io::Failed(errno()),
    }
}

/// # Safety
/// As [`send`].
pub(crate) unsafe fn send_to(fd: c_int, buf: *const u8, len: usize, to: &mg_addr) -> Io {
    // SAFETY: passed on to the caller.
    let bytes = unsafe { crate::ffi_util::bytes::slice(buf, len) };
    io(world::with(|w| w.send_to(fd, bytes, Place::of(to))))
}

pub(crate) fn set_reuse_port(_fd: c_int) -> bool {
    true
}

pub(crate) fn set_abort(fd: c_int) {
    world::with(|w| w.set_abort(fd));
}

pub(crate) fn adopt(fd: c_int) -> bool {
    world::with(|w| w.local(fd)).is_some()
}

pub(crate) fn take_error(fd: c_int) -> c_int {
    world::call();
    world::with(|w| w.take_error(fd))
}

pub(crate) fn listens(fd: c_int) -> Option<bool> {
    world::with(|w| w.listens(fd))
}

pub(crate) fn has_input(fd: c_int) -> bool {
    world::call();
    world::with(|w| w.has_input(fd))
}

pub(crate) fn is_gone(fd: c_int) -> bool {
    world::call();
    world::with(|w| w.is_gone(fd))
}

/// A simulated socket is writable as soon as its peer has read something.
pub(crate) fn unacknowledged(_fd: c_int) -> Option<usize> {
    None
}

pub(crate) fn discard(fd: c_int, _scratch: &mut Scratch) -> Io {
    world::call();
    io(world::with(|w| w.recv(fd, DATAGRAM, |_, _| ())))
}

pub(crate) fn shutdown_write(fd: c_int) {
    world::with(|w| w.shutdown_write(fd));
}

pub(crate) fn local_towards(_to: &mg_addr) -> Result<mg_addr, (&'static str, c_int)> {
    Ok(Place::LOCAL.addr())
}
