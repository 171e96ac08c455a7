//! Socket calls. Only this file passes descriptors to the kernel. All sockets are non-blocking and close-on-exec.

pub(crate) use super::error::{errno, set_errno, words};
use crate::abi::{mg_addr, mg_addr_bytes};
pub(crate) use crate::platform::common::{Io, Rest, Scratch};
use core::ffi::c_int;
// Descriptors that are closed when dropped.
use libc::{sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, sockaddr_un, socklen_t};
pub(crate) use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

fn outcome(n: isize) -> Io {
    match usize::try_from(n) {
        Ok(n) => Io::Done(n),
        Err(_) => match errno() {
            libc::EAGAIN | libc::EINPROGRESS => Io::Wait,
            e => Io::Failed(e),
        },
    }
}

fn retry(mut call: impl FnMut() -> isize) -> Io {
    loop {
        match outcome(call()) {
            Io::Failed(libc::EINTR) => continue,
            other => return other,
        }
    }
}

/// A kernel socket address with its length.
pub(crate) struct SockAddr {
    storage: sockaddr_storage,
    len: socklen_t,
}

impl SockAddr {
    fn empty() -> SockAddr {
        // SAFETY: all-zero is a valid sockaddr_storage.
        SockAddr { storage: unsafe { core::mem::zeroed() }, len: size_of::<sockaddr_storage>() as socklen_t }
    }

    pub(crate) fn new(a: &mg_addr) -> SockAddr {
        let mut s = SockAddr::empty();
        let p = &raw mut s.storage;
        // SAFETY: sockaddr_storage has the size and alignment for every family; all bytes are initialised.
        unsafe {
            if a.is_ip6 {
                let p = p.cast::<sockaddr_in6>();
                (*p).sin6_family = libc::AF_INET6 as _;
                (*p).sin6_port = a.port;
                (*p).sin6_addr.s6_addr = a.ip();
                (*p).sin6_scope_id = a.scope_id.into();
                s.len = size_of::<sockaddr_in6>() as socklen_t;
            } else {
                let p = p.cast::<sockaddr_in>();
                (*p).sin_family = libc::AF_INET as _;
                (*p).sin_port = a.port;
                (*p).sin_addr.s_addr = a.addr.ip4;
                s.len = size_of::<sockaddr_in>() as socklen_t;
            }
        }
        s
    }

    /// The address of a Unix socket. None if the path is too long.
    pub(crate) fn unix(path: &[u8]) -> Option<SockAddr> {
        let mut s = SockAddr::empty();
        let p = (&raw mut s.storage).cast::<sockaddr_un>();
        // SAFETY: sockaddr_storage has the size and alignment for every family. The path and the NUL after it, which is already there,
        // fit into sun_path.
        unsafe {
            if path.len() >= (*p).sun_path.len() {
                return None;
            }
            (*p).sun_family = libc::AF_UNIX as _;
            core::ptr::copy_nonoverlapping(path.as_ptr(), (&raw mut (*p).sun_path).cast(), path.len());
        }
        s.len = size_of::<sockaddr_un>() as socklen_t;
        Some(s)
    }

    /// As `struct mg_addr`: zeros for a Unix socket.
    pub(crate) fn to_addr(&self) -> mg_addr {
        let p = &raw const self.storage;
        // SAFETY: the storage is initialised and large enough for every family.
        unsafe {
            match c_int::from((*p).ss_family) {
                libc::AF_INET => {
                    let p = p.cast::<sockaddr_in>();
                    let mut addr = mg_addr_bytes { ip: [0; 16] };
                    addr.ip4 = (*p).sin_addr.s_addr;
                    mg_addr { addr, port: (*p).sin_port, scope_id: 0, is_ip6: false }
                }
                libc::AF_INET6 => {
                    let p = p.cast::<sockaddr_in6>();
                    let addr = mg_addr_bytes { ip: (*p).sin6_addr.s6_addr };
                    mg_addr { addr, port: (*p).sin6_port, scope_id: (*p).sin6_scope_id as u8, is_ip6: true }
                }
                _ => mg_addr::ZERO,
            }
        }
    }

    fn ptr(&self) -> *const sockaddr {
        (&raw const self.storage).cast()
    }
}

fn set(fd: c_int, level: c_int, name: c_int, value: c_int) -> bool {
    let p: *const c_int = &value;
    // SAFETY: p points at a c_int for the length of the call.
    unsafe { libc::setsockopt(fd, level, name, p.cast(), size_of::<c_int>() as socklen_t) == 0 }
}

/// A new socket of the address's family. Err: errno.
pub(crate) fn open(_poller: &super::poller::Poller, ip6: bool, udp: bool) -> Result<c_int, c_int> {
    new(inet(ip6), udp)
}

fn inet(ip6: bool) -> c_int {
    if ip6 { libc::AF_INET6 } else { libc::AF_INET }
}

/// Creates a Unix stream socket. Err: errno.
pub(crate) fn open_unix() -> Result<c_int, c_int> {
    new(libc::AF_UNIX, false)
}

fn new(family: c_int, udp: bool) -> Result<c_int, c_int> {
    let kind = if udp { libc::SOCK_DGRAM } else { libc::SOCK_STREAM };
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, kind | NEW, 0) };
    if fd < 0 { Err(errno()) } else { ready_made(fd) }
}

/// Creates sockets that are non-blocking and close-on-exec from the start.
#[cfg(not(target_vendor = "apple"))]
const NEW: c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
#[cfg(target_vendor = "apple")]
const NEW: c_int = 0;

#[cfg(not(target_vendor = "apple"))]
fn ready_made(fd: c_int) -> Result<c_int, c_int> {
    Ok(fd)
}

/// The system cannot create such sockets: a fork in between may leak the descriptor.
#[cfg(target_vendor = "apple")]
fn ready_made(fd: c_int) -> Result<c_int, c_int> {
    if adopt(fd) {
        return Ok(fd);
    }
    let failed = errno();
    close(fd);
    Err(failed)
}

#[cfg(not(target_vendor = "apple"))]
unsafe fn accept_new(fd: c_int, to: *mut sockaddr, len: *mut socklen_t) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { libc::accept4(fd, to, len, NEW) }
}

#[cfg(target_vendor = "apple")]
unsafe fn accept_new(fd: c_int, to: *mut sockaddr, len: *mut socklen_t) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { libc::accept(fd, to, len) }
}

pub(crate) fn close(fd: c_int) {
    // SAFETY: no pointers. We own the descriptor.
    unsafe { libc::close(fd) };
}

/// Sends small packets at once, and detects dead peers. Accepted sockets inherit both from their listener.
pub(crate) fn set_stream_options(fd: c_int) {
    set(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    set(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
}

pub(crate) fn set_v6only(fd: c_int, on: bool) {
    set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, on.into());
}

pub(crate) fn set_reuse_addr(fd: c_int) {
    set(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1);
}

pub(crate) fn set_tos(fd: c_int, ip6: bool, tos: c_int) -> bool {
    if ip6 { set(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, tos) } else { set(fd, libc::IPPROTO_IP, libc::IP_TOS, tos) }
}

/// Joins the IPv4 multicast group `ip` (network byte order) on any interface.
pub(crate) fn join_group(fd: c_int, ip: u32) -> bool {
    let req = libc::ip_mreq { imr_multiaddr: libc::in_addr { s_addr: ip }, imr_interface: libc::in_addr { s_addr: 0 } };
    let p: *const libc::ip_mreq = &req;
    // SAFETY: p points at a group request for the length of the call.
    unsafe {
        libc::setsockopt(fd, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, p.cast(), size_of::<libc::ip_mreq>() as socklen_t) == 0
    }
}

/// Maximum number of routers that a multicast datagram may pass.
pub(crate) fn set_multicast_ttl(fd: c_int, ttl: c_int) {
    set(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, ttl);
}

pub(crate) fn bind(fd: c_int, s: &SockAddr) -> Result<(), c_int> {
    // SAFETY: ptr covers len bytes.
    if unsafe { libc::bind(fd, s.ptr(), s.len) } == 0 { Ok(()) } else { Err(errno()) }
}

pub(crate) fn listen(fd: c_int, backlog: c_int) -> Result<(), c_int> {
    // SAFETY: no pointers.
    if unsafe { libc::listen(fd, backlog) } == 0 { Ok(()) } else { Err(errno()) }
}

/// `Io::Done` if connected at once.
pub(crate) fn connect(fd: c_int, a: &mg_addr) -> Io {
    connect_to(fd, &SockAddr::new(a))
}

pub(crate) fn connect_to(fd: c_int, s: &SockAddr) -> Io {
    // SAFETY: ptr covers len bytes.
    retry(|| unsafe { libc::connect(fd, s.ptr(), s.len) } as isize)
}

fn name(fd: c_int, get: unsafe extern "C" fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int) -> Option<mg_addr> {
    let mut s = SockAddr::empty();
    // SAFETY: the storage covers len bytes.
    let ok = unsafe { get(fd, (&raw mut s.storage).cast(), &mut s.len) } == 0;
    ok.then(|| s.to_addr())
}

pub(crate) fn local(fd: c_int) -> Option<mg_addr> {
    name(fd, libc::getsockname)
}

pub(crate) fn peer(fd: c_int) -> Option<mg_addr> {
    name(fd, libc::getpeername)
}

/// Accepts a connection. Err: errno, EAGAIN if there is none.
pub(crate) fn accept(fd: c_int) -> Result<(c_int, mg_addr), c_int> {
    let mut s = SockAddr::empty();
    loop {
        // SAFETY: the storage covers len bytes.
        let fd = unsafe { accept_new(fd, (&raw mut s.storage).cast(), &mut s.len) };
        if fd >= 0 {
            return Ok((ready_made(fd)?, s.to_addr()));
        }
        match errno() {
            libc::EINTR => continue,
            // Skip a connection that was reset in the queue.
            libc::ECONNABORTED => continue,
            e => return Err(e),
        }
    }
}

/// Linux: recvmsg reports how many bytes are left. Not in the libc crate.
#[cfg(target_os = "linux")]
const TCP_INQ: c_int = 36;

/// Asks the kernel to report with each read how much is left, for [`recv_stream`]. For sockets that the poller watches edge-triggered.
#[cfg(target_os = "linux")]
pub(crate) fn tell_rest(fd: c_int) -> Rest {
    if set(fd, libc::IPPROTO_TCP, TCP_INQ, 1) { Rest::Told } else { Rest::Unknown }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn tell_rest(_fd: c_int) -> Rest {
    Rest::Unknown
}

/// With [`Rest::Polled`], a read of so few bytes is followed by another one at once: it may come from a system that cuts transfers short,
/// where a poll for each piece would be slow.
#[cfg(target_os = "linux")]
pub(crate) const FEW: usize = 8;

/// Reads from a stream. Also returns whether nothing is left, or will be reported.
///
/// # Safety
/// As [`recv`].
#[cfg(target_os = "linux")]
#[inline]
pub(crate) unsafe fn recv_stream(fd: c_int, buf: *mut u8, len: usize, rest: Rest) -> (Io, bool) {
    if rest == Rest::Told {
        // SAFETY: passed on to the caller.
        return unsafe { recv_told(fd, buf, len) };
    }
    // SAFETY: as above.
    let io = unsafe { recv(fd, buf, len) };
    (io, rest == Rest::Polled && matches!(io, Io::Done(n) if (FEW..len).contains(&n)))
}

/// # Safety
/// As [`recv`].
#[cfg(target_os = "linux")]
unsafe fn recv_told(fd: c_int, buf: *mut u8, len: usize) -> (Io, bool) {
    // One control message: its header and an int.
    let mut control = [0u64; 4];
    let mut part = libc::iovec { iov_base: buf.cast(), iov_len: len };
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    let io = retry(|| {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        // SAFETY: the caller guarantees buf; the other parts of the message are local.
        unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT) }
    });
    if !matches!(io, Io::Done(1..)) {
        return (io, false);
    }
    // SAFETY: the kernel has filled in the message; its control part is aligned for a header.
    let left = unsafe {
        libc::CMSG_FIRSTHDR(&raw const message)
            .as_ref()
            .filter(|head| (head.cmsg_level, head.cmsg_type) == (libc::IPPROTO_TCP, TCP_INQ))
            .map(|head| libc::CMSG_DATA(head).cast::<c_int>().read_unaligned())
    };
    (io, left == Some(0))
}

#[cfg(not(target_os = "linux"))]
pub(crate) unsafe fn recv_stream(fd: c_int, buf: *mut u8, len: usize, _rest: Rest) -> (Io, bool) {
    // SAFETY: passed on to the caller.
    (unsafe { recv(fd, buf, len) }, false)
}

/// # Safety
/// `buf` points at `len` writable bytes.
pub(crate) unsafe fn recv(fd: c_int, buf: *mut u8, len: usize) -> Io {
    // SAFETY: passed on to the caller.
    retry(|| unsafe { libc::recv(fd, buf.cast(), len, libc::MSG_DONTWAIT) })
}

/// Receives one datagram and returns its length: the first `len` bytes go to `buf`, the others to `rest`, as far as there is
/// room.
///
/// # Safety
/// As [`recv`].
pub(crate) unsafe fn recv_from(fd: c_int, buf: *mut u8, len: usize, rest: &mut [core::mem::MaybeUninit<u8>]) -> (Io, mg_addr) {
    let mut s = SockAddr::empty();
    let mut parts = [
        libc::iovec { iov_base: buf.cast(), iov_len: len },
        libc::iovec { iov_base: rest.as_mut_ptr().cast(), iov_len: rest.len() },
    ];
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len() as _;
    message.msg_name = (&raw mut s.storage).cast();
    let io = retry(|| {
        message.msg_namelen = size_of::<sockaddr_storage>() as socklen_t;
        // SAFETY: the caller guarantees buf; the other parts of the message are local.
        unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT | libc::MSG_TRUNC) }
    });
    (io, s.to_addr())
}

/// `more`: more data follows at once, so the last packet may wait for it.
///
/// # Safety
/// `buf` points at `len` readable bytes.
pub(crate) unsafe fn send(fd: c_int, buf: *const u8, len: usize, more: bool) -> Io {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | if more { MSG_MORE } else { 0 };
    // SAFETY: passed on to the caller.
    retry(|| unsafe { libc::send(fd, buf.cast(), len, flags) })
}

#[cfg(target_os = "linux")]
const MSG_MORE: c_int = libc::MSG_MORE;
#[cfg(not(target_os = "linux"))]
const MSG_MORE: c_int = 0;

/// Lets the kernel copy `len` bytes of a file to a socket. The file position does not change.
#[cfg(target_os = "linux")]
pub(crate) fn send_file(fd: c_int, file: c_int, offset: u64, len: usize) -> Io {
    let Ok(mut offset) = i64::try_from(offset) else { return Io::Failed(libc::EOVERFLOW) };
    // SAFETY: offset is a local variable.
    retry(|| unsafe { libc::sendfile64(fd, file, &mut offset, len) })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn send_file(_fd: c_int, _file: c_int, _offset: u64, _len: usize) -> Io {
    Io::Failed(libc::ENOSYS)
}

/// Reads from a file at `offset`. The file position does not change.
#[cfg(feature = "tls")]
pub(crate) fn read_at(file: c_int, offset: u64, buf: &mut [u8]) -> Io {
    #[cfg(not(target_os = "linux"))]
    use libc::pread;
    #[cfg(target_os = "linux")]
    use libc::pread64 as pread;
    let Ok(offset) = offset.try_into() else { return Io::Failed(libc::EOVERFLOW) };
    // SAFETY: the buffer is a valid slice.
    retry(|| unsafe { pread(file, buf.as_mut_ptr().cast(), buf.len(), offset) })
}

/// True if writing to a broken connection terminates the process, for calls without a flag to prevent it.
pub(crate) fn sigpipe_kills() -> bool {
    // SAFETY: all-zero is valid; the call only reads the current setting into it.
    unsafe {
        let mut now: libc::sigaction = core::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, core::ptr::null(), &mut now) != 0 || now.sa_sigaction == libc::SIG_DFL
    }
}

/// # Safety
/// As [`send`].
pub(crate) unsafe fn send_to(fd: c_int, buf: *const u8, len: usize, to: &mg_addr) -> Io {
    let s = SockAddr::new(to);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the caller guarantees buf; ptr covers its length.
    retry(|| unsafe { libc::sendto(fd, buf.cast(), len, flags, s.ptr(), s.len) })
}

pub(crate) fn set_reuse_port(fd: c_int) -> bool {
    set(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)
}

/// Makes close send a reset.
pub(crate) fn set_abort(fd: c_int) {
    let now = libc::linger { l_onoff: 1, l_linger: 0 };
    let p: *const libc::linger = &now;
    // SAFETY: p points at the option for the length of the call.
    unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, p.cast(), size_of::<libc::linger>() as socklen_t) };
}

/// Makes a descriptor non-blocking and close-on-exec. False if it is not valid.
pub(crate) fn adopt(fd: c_int) -> bool {
    // SAFETY: no pointers.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        flags >= 0
            && libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) == 0
            && libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) == 0
    }
}

fn option(fd: c_int, name: c_int) -> Option<c_int> {
    let (mut value, mut len) = (0 as c_int, size_of::<c_int>() as socklen_t);
    // SAFETY: value has the length given.
    let done = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &mut len) } == 0;
    done.then_some(value)
}

/// Returns and clears the pending error of a socket; 0 if there is none.
pub(crate) fn take_error(fd: c_int) -> c_int {
    option(fd, libc::SO_ERROR).unwrap_or_else(errno)
}

#[cfg(target_os = "linux")]
fn family(fd: c_int) -> Option<c_int> {
    option(fd, libc::SO_DOMAIN)
}

#[cfg(not(target_os = "linux"))]
fn family(fd: c_int) -> Option<c_int> {
    let mut s = SockAddr::empty();
    // SAFETY: the storage covers len bytes.
    let known = unsafe { libc::getsockname(fd, (&raw mut s.storage).cast(), &mut s.len) } == 0;
    known.then(|| s.storage.ss_family.into())
}

/// Whether the descriptor can serve as a listener; if so, whether for datagrams.
pub(crate) fn listens(fd: c_int) -> Option<bool> {
    let domain = family(fd)?;
    if !matches!(domain, libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX) {
        return None;
    }
    match option(fd, libc::SO_TYPE)? {
        libc::SOCK_DGRAM if domain != libc::AF_UNIX => Some(true),
        libc::SOCK_STREAM if option(fd, libc::SO_ACCEPTCONN)? != 0 => Some(false),
        _ => None,
    }
}

/// True if a read would return something: data, end of stream, or an error.
pub(crate) fn has_input(fd: c_int) -> bool {
    let mut byte = 0u8;
    // SAFETY: the buffer is one byte.
    retry(|| unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_DONTWAIT | libc::MSG_PEEK) }) != Io::Wait
}

/// True if the kernel knows that the peer of a stream is gone, not just silent.
pub(crate) fn is_gone(fd: c_int) -> bool {
    option(fd, libc::SO_ERROR).is_some_and(|errno| errno != 0) || is_tcp_closed(fd)
}

#[cfg(target_os = "linux")]
fn is_tcp_closed(fd: c_int) -> bool {
    const TCP_CLOSE: u8 = 7;
    // SAFETY: all-zero is valid, and the kernel writes no more than the length given.
    let mut info: libc::tcp_info = unsafe { core::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as socklen_t;
    // SAFETY: as above.
    let known = unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &mut len) } == 0;
    known && info.tcpi_state == TCP_CLOSE
}

#[cfg(not(target_os = "linux"))]
fn is_tcp_closed(_fd: c_int) -> bool {
    false
}

/// The number of bytes that the kernel holds because the peer has not acknowledged them. None if unknown.
#[cfg(target_os = "linux")]
pub(crate) fn unacknowledged(fd: c_int) -> Option<usize> {
    let mut n: c_int = 0;
    // SAFETY: SIOCOUTQ writes an int.
    let known = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut n) } == 0;
    known.then(|| usize::try_from(n).ok()).flatten()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unacknowledged(_fd: c_int) -> Option<usize> {
    None
}

/// Discards the next bytes of a TCP stream without copying them.
pub(crate) fn discard(fd: c_int, scratch: &mut Scratch) -> Io {
    // With MSG_TRUNC the kernel does not write to the buffer (tcp(7)), but memory checkers expect one.
    let mut small = [core::mem::MaybeUninit::uninit(); 512];
    let mut nowhere = scratch.room();
    if nowhere.is_empty() {
        nowhere = &mut small;
    }
    // SAFETY: the buffer has the length given.
    retry(|| unsafe { libc::recv(fd, nowhere.as_mut_ptr().cast(), nowhere.len(), libc::MSG_DONTWAIT | libc::MSG_TRUNC) })
}

pub(crate) fn shutdown_write(fd: c_int) {
    // SAFETY: no pointers.
    unsafe { libc::shutdown(fd, libc::SHUT_WR) };
}

/// The local address the kernel would use to reach `to`. Err: the call that failed, and errno.
pub(crate) fn local_towards(to: &mg_addr) -> Result<mg_addr, (&'static str, c_int)> {
    let fd = new(inet(to.is_ip6), true).map_err(|e| ("socket()", e))?;
    let found = match connect(fd, to) {
        Io::Failed(e) => Err(("connect", e)),
        _ => local(fd).ok_or(("connect", errno())),
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
