//! Socket calls. All sockets are non-blocking, and child processes do not inherit them. A call that would block informs the poller: see
//! `source.rs`.

use super::error::number;
pub(crate) use super::error::{set_errno, words};
use super::handle::{of, raw};
use super::source;
use crate::abi::{mg_addr, mg_addr_bytes};
pub(crate) use crate::platform::common::numbers::*;
pub(crate) use crate::platform::common::{Io, Rest, Scratch};
use core::ffi::c_int;
use core::mem::{ManuallyDrop, MaybeUninit};
use socket2::{Domain, MaybeUninitSlice, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::windows::io::{FromRawSocket, IntoRawSocket};
use std::time::Duration;
use windows_sys::Win32::Networking::WinSock as winsock;

/// Releases a new socket from Rust's ownership. Err: the error number.
pub(super) fn number_of(socket: Socket) -> Result<c_int, c_int> {
    socket.set_nonblocking(true).map_err(|e| number(&e))?;
    let raw = socket.into_raw_socket();
    c_int::try_from(raw).map_err(|_| {
        // SAFETY: the socket from above.
        drop(unsafe { Socket::from_raw_socket(raw) });
        winsock::WSAEMFILE
    })
}

fn outcome(result: io::Result<usize>) -> Io {
    match result {
        Ok(n) => Io::Done(n),
        Err(e) => match number(&e) {
            winsock::WSAEWOULDBLOCK | winsock::WSAEINPROGRESS => Io::Wait,
            n => Io::Failed(n),
        },
    }
}

/// The result of reading from a socket that the poller may watch.
fn received(fd: c_int, result: io::Result<usize>) -> Io {
    let io = outcome(result);
    if io == Io::Wait {
        source::read_blocked(fd);
    }
    io
}

/// The result of writing to it.
fn sent(fd: c_int, result: io::Result<usize>) -> Io {
    let io = outcome(result);
    source::wrote(fd, io == Io::Wait);
    io
}

/// A socket address.
pub(crate) struct SockAddr(socket2::SockAddr);

impl SockAddr {
    pub(crate) fn new(a: &mg_addr) -> SockAddr {
        let (ip, port) = (a.ip(), u16::from_be(a.port));
        let addr = if a.is_ip6 {
            SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, a.scope_id.into()))
        } else {
            SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]), port))
        };
        SockAddr(addr.into())
    }

    /// This platform has no Unix sockets.
    pub(crate) fn unix(_path: &[u8]) -> Option<SockAddr> {
        None
    }
}

/// As `struct mg_addr`; zeros if it is not an IP address.
fn to_addr(a: &socket2::SockAddr) -> mg_addr {
    match a.as_socket() {
        Some(SocketAddr::V4(a)) => {
            let mut addr = mg_addr_bytes { ip: [0; 16] };
            addr.ip4 = u32::from_ne_bytes(a.ip().octets());
            mg_addr { addr, port: a.port().to_be(), scope_id: 0, is_ip6: false }
        }
        Some(SocketAddr::V6(a)) => {
            let addr = mg_addr_bytes { ip: a.ip().octets() };
            mg_addr { addr, port: a.port().to_be(), scope_id: a.scope_id() as u8, is_ip6: true }
        }
        None => mg_addr::ZERO,
    }
}

/// A new socket of the address's family. Err: the error number.
pub(crate) fn open(_poller: &super::poller::Poller, ip6: bool, udp: bool) -> Result<c_int, c_int> {
    new(ip6, udp)
}

fn new(ip6: bool, udp: bool) -> Result<c_int, c_int> {
    let family = if ip6 { Domain::IPV6 } else { Domain::IPV4 };
    let (kind, protocol) = if udp { (Type::DGRAM, Protocol::UDP) } else { (Type::STREAM, Protocol::TCP) };
    let fd = Socket::new(family, kind, Some(protocol)).map_err(|e| number(&e)).and_then(number_of)?;
    if udp {
        report_unreachable(fd, false);
    }
    Ok(fd)
}

/// Whether reads from a UDP socket fail after a datagram met a closed port. With several peers, the failure may be another peer's.
fn report_unreachable(fd: c_int, on: bool) {
    let (on, mut written) = (u32::from(on), 0);
    // SAFETY: one number to read and one to write; the call does not continue in the background.
    unsafe {
        let size = size_of_val(&on) as u32;
        let nothing = core::ptr::null_mut();
        winsock::WSAIoctl(
            raw(fd) as _,
            winsock::SIO_UDP_CONNRESET,
            (&raw const on).cast(),
            size,
            nothing,
            0,
            &mut written,
            core::ptr::null_mut(),
            None,
        );
    }
}

pub(crate) fn open_unix() -> Result<c_int, c_int> {
    Err(winsock::WSAEAFNOSUPPORT)
}

pub(crate) fn close(fd: c_int) {
    source::closing(fd);
    drop(ManuallyDrop::into_inner(of(fd)));
}

/// Sends small packets at once, and detects dead peers.
pub(crate) fn set_stream_options(fd: c_int) {
    let socket = of(fd);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_keepalive(true);
}

pub(crate) fn set_v6only(fd: c_int, on: bool) {
    let _ = of(fd).set_only_v6(on);
}

/// Datagram sockets use SO_REUSEADDR as elsewhere. For streams it would let any program take over the port: SO_EXCLUSIVEADDRUSE prevents
/// that, and old connections never block a port.
pub(crate) fn set_reuse_addr(fd: c_int) {
    if is_udp(fd) {
        let _ = of(fd).set_reuse_address(true);
    } else {
        set(fd, winsock::SOL_SOCKET, winsock::SO_EXCLUSIVEADDRUSE, 1);
    }
}

fn set(fd: c_int, level: c_int, name: c_int, value: c_int) -> bool {
    let p: *const c_int = &value;
    // SAFETY: p points at a c_int for the length of the call.
    unsafe { winsock::setsockopt(raw(fd) as _, level, name, p.cast(), size_of::<c_int>() as c_int) == 0 }
}

/// Windows stores the value, and marks packets only if a policy of the machine allows it.
pub(crate) fn set_tos(fd: c_int, ip6: bool, tos: c_int) -> bool {
    if ip6 {
        set(fd, winsock::IPPROTO_IPV6, winsock::IPV6_TCLASS, tos)
    } else {
        set(fd, winsock::IPPROTO_IP, winsock::IP_TOS, tos)
    }
}

/// Joins the IPv4 multicast group `ip` (network byte order) on any interface.
pub(crate) fn join_group(fd: c_int, ip: u32) -> bool {
    of(fd).join_multicast_v4(&Ipv4Addr::from(ip.to_ne_bytes()), &Ipv4Addr::UNSPECIFIED).is_ok()
}

/// Maximum number of routers that a multicast datagram may pass.
pub(crate) fn set_multicast_ttl(fd: c_int, ttl: c_int) {
    let _ = of(fd).set_multicast_ttl_v4(ttl as u32);
}

pub(crate) fn bind(fd: c_int, s: &SockAddr) -> Result<(), c_int> {
    of(fd).bind(&s.0).map_err(|e| number(&e))
}

pub(crate) fn listen(fd: c_int, backlog: c_int) -> Result<(), c_int> {
    of(fd).listen(backlog).map_err(|e| number(&e))
}

/// `Io::Done` if connected at once.
pub(crate) fn connect(fd: c_int, a: &mg_addr) -> Io {
    connect_to(fd, &SockAddr::new(a))
}

pub(crate) fn connect_to(fd: c_int, s: &SockAddr) -> Io {
    let io = outcome(of(fd).connect(&s.0).map(|()| 0));
    if io == Io::Done(0) && is_udp(fd) {
        // Now there is only one peer.
        report_unreachable(fd, true);
    }
    io
}

fn is_udp(fd: c_int) -> bool {
    of(fd).r#type().is_ok_and(|kind| kind == Type::DGRAM)
}

pub(crate) fn local(fd: c_int) -> Option<mg_addr> {
    of(fd).local_addr().ok().map(|a| to_addr(&a))
}

pub(crate) fn peer(fd: c_int) -> Option<mg_addr> {
    of(fd).peer_addr().ok().map(|a| to_addr(&a))
}

/// Accepts a connection. Err: the error number, WSAEWOULDBLOCK if there is none.
pub(crate) fn accept(fd: c_int) -> Result<(c_int, mg_addr), c_int> {
    loop {
        match of(fd).accept() {
            Ok((socket, from)) => {
                let fd = number_of(socket)?;
                set_stream_options(fd);
                return Ok((fd, to_addr(&from)));
            }
            Err(e) => match number(&e) {
                // Skip a connection that was reset in the queue.
                winsock::WSAECONNRESET | winsock::WSAECONNABORTED | winsock::WSAEINTR => continue,
                winsock::WSAEWOULDBLOCK => {
                    source::read_blocked(fd);
                    return Err(winsock::WSAEWOULDBLOCK);
                }
                n => return Err(n),
            },
        }
    }
}

/// The system does not report how much is left.
pub(crate) fn tell_rest(_fd: c_int) -> Rest {
    Rest::Unknown
}

/// Reads from a stream. The system does not report whether more is left.
///
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
    received(fd, of(fd).recv(unsafe { uninit(buf, len) }))
}

/// # Safety
/// As [`recv`].
unsafe fn uninit<'a>(buf: *mut u8, len: usize) -> &'a mut [MaybeUninit<u8>] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: passed on to the caller.
    unsafe { core::slice::from_raw_parts_mut(buf.cast(), len) }
}

/// Receives one datagram and returns its length: the first `len` bytes go to `buf`, the others to `rest`, as far as they fit. If it is
/// longer than both, the exact length is unknown.
///
/// # Safety
/// As [`recv`].
pub(crate) unsafe fn recv_from(fd: c_int, buf: *mut u8, len: usize, rest: &mut [MaybeUninit<u8>]) -> (Io, mg_addr) {
    let room = len + rest.len();
    // SAFETY: passed on to the caller.
    let mut parts = [MaybeUninitSlice::new(unsafe { uninit(buf, len) }), MaybeUninitSlice::new(rest)];
    match of(fd).recv_from_vectored(&mut parts) {
        Ok((_, flags, from)) if flags.is_truncated() => (Io::Done(room + 1), to_addr(&from)),
        Ok((n, _, from)) => (Io::Done(n), to_addr(&from)),
        Err(e) => (received(fd, Err(e)), mg_addr::ZERO),
    }
}

/// # Safety
/// `buf` points at `len` readable bytes.
pub(crate) unsafe fn send(fd: c_int, buf: *const u8, len: usize, _more: bool) -> Io {
    // SAFETY: passed on to the caller.
    sent(fd, of(fd).send(unsafe { crate::ffi_util::bytes::slice(buf, len) }))
}

/// # Safety
/// As [`send`].
pub(crate) unsafe fn send_to(fd: c_int, buf: *const u8, len: usize, to: &mg_addr) -> Io {
    // SAFETY: passed on to the caller.
    sent(fd, of(fd).send_to(unsafe { crate::ffi_util::bytes::slice(buf, len) }, &SockAddr::new(to).0))
}

/// Never called: files have no descriptor here.
pub(crate) fn send_file(_fd: c_int, _file: c_int, _offset: u64, _len: usize) -> Io {
    Io::Failed(winsock::WSAEOPNOTSUPP)
}

/// See [`send_file`].
#[cfg(feature = "tls")]
pub(crate) fn read_at(_file: c_int, _offset: u64, _buf: &mut [u8]) -> Io {
    Io::Failed(winsock::WSAEOPNOTSUPP)
}

/// Windows has no SIGPIPE.
pub(crate) fn sigpipe_kills() -> bool {
    false
}

/// Windows has no such option.
pub(crate) fn set_reuse_port(_fd: c_int) -> bool {
    false
}

/// Makes close send a reset.
pub(crate) fn set_abort(fd: c_int) {
    let _ = of(fd).set_linger(Some(Duration::ZERO));
}

/// Makes a socket non-blocking. False if it is not valid.
pub(crate) fn adopt(fd: c_int) -> bool {
    of(fd).set_nonblocking(true).is_ok()
}

/// Returns and clears the pending error of a socket; 0 if there is none.
pub(crate) fn take_error(fd: c_int) -> c_int {
    of(fd).take_error().unwrap_or_else(Some).map_or(0, |e| number(&e))
}

/// Whether the socket can serve as a listener; if so, whether for datagrams.
pub(crate) fn listens(fd: c_int) -> Option<bool> {
    let socket = of(fd);
    socket.local_addr().ok()?.as_socket()?;
    match socket.r#type().ok()? {
        Type::DGRAM => Some(true),
        Type::STREAM if is_accepting(fd) => Some(false),
        _ => None,
    }
}

fn is_accepting(fd: c_int) -> bool {
    let (mut value, mut len) = (0u32, size_of::<u32>() as c_int);
    // SAFETY: value has the given length.
    let done = unsafe {
        winsock::getsockopt(raw(fd) as _, winsock::SOL_SOCKET, winsock::SO_ACCEPTCONN, (&raw mut value).cast(), &mut len)
    };
    done == 0 && value != 0
}

/// True if a read would return something: data, end of stream, or an error.
pub(crate) fn has_input(fd: c_int) -> bool {
    received(fd, of(fd).peek(&mut [MaybeUninit::uninit()])) != Io::Wait
}

/// True if the system knows that the peer of a stream is gone, not just silent.
pub(crate) fn is_gone(fd: c_int) -> bool {
    take_error(fd) != 0
}

/// The system does not report how many bytes the peer has not acknowledged.
pub(crate) fn unacknowledged(_fd: c_int) -> Option<usize> {
    None
}

/// Discards the next bytes of a TCP stream.
pub(crate) fn discard(fd: c_int, scratch: &mut Scratch) -> Io {
    let mut small = [MaybeUninit::uninit(); 512];
    let mut nowhere = scratch.room();
    if nowhere.is_empty() {
        nowhere = &mut small;
    }
    received(fd, of(fd).recv(nowhere))
}

pub(crate) fn shutdown_write(fd: c_int) {
    let _ = of(fd).shutdown(Shutdown::Write);
}

/// The local address the system would use to reach `to`. Err: the call that failed, and the error number.
pub(crate) fn local_towards(to: &mg_addr) -> Result<mg_addr, (&'static str, c_int)> {
    let fd = new(to.is_ip6, true).map_err(|e| ("socket()", e))?;
    let found = match connect(fd, to) {
        Io::Failed(e) => Err(("connect", e)),
        _ => local(fd).ok_or(("connect", winsock::WSAEINVAL)),
    };
    close(fd);
    found
}

/// Whether datagrams to this address can be sent. The system resolves neighbours by itself.
#[inline]
pub(crate) fn reach(_fd: c_int, _to: &mg_addr) -> Io {
    Io::Done(0)
}

/// The name under which applications know an error, if it is not the name of the system call.
#[inline]
pub(crate) fn message(_errno: c_int) -> Option<&'static str> {
    None
}
