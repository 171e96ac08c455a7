//! Creating connections: listeners, clients, accepted and wrapped sockets.

use super::attempts::{self, Failure};
use super::engine::{ConnState, Engine, count};
use super::event::{call, error};
use super::handle::ConnRef;
use super::{linger, resolve, send, usage};
use crate::abi::*;
use crate::ffi_util::{addr, bytes::cstr, heap};
use crate::memory;
use crate::memory::prelude::*;
use crate::platform::errno;
use crate::platform::error::Error;
use crate::platform::poller;
use crate::platform::sock::{self, Io, Rest, SockAddr};
use crate::platform::socket_file;
use crate::proto::url::{self, Listening};
use crate::sys::log::{Bytes, log_error};
use core::ffi::{c_char, c_int, c_void};
use core::ptr;

/// See `mg_alloc_conn`: zeroed, with an id, on no list.
///
/// # Safety
/// `mgr` is a manager.
pub(crate) unsafe fn alloc(mgr: *mut mg_mgr) -> *mut mg_connection {
    // SAFETY: the manager is the caller's; the block is zeroed and large enough.
    unsafe {
        let fixed = Engine::of(mgr).map_or(Sizes::USUAL, |e| e.sizes.get()).conn;
        let Some(size) = fixed.checked_add((*mgr).extraconnsize) else { return ptr::null_mut() };
        let c: *mut mg_connection = heap::calloc(size).cast();
        if !c.is_null() {
            let align = Engine::of(mgr).map_or(IO_SIZE, |e| e.io_size());
            (*c).mgr = mgr;
            ((*c).recv.align, (*c).send.align, (*c).rtls.align) = (align, align, align);
            (*mgr).nextid += 1;
            (*c).id = (*mgr).nextid;
        }
        c
    }
}

/// Creates a connection with a record, not yet in the list.
fn new(e: &Engine) -> Option<ConnRef> {
    if e.no_more.get() {
        return None;
    }
    // SAFETY: the engine's manager lives as long as the engine is reachable through it.
    let c = unsafe { alloc(e.mgr) };
    if c.is_null() {
        log_error!("OOM");
        return None;
    }
    // SAFETY: just allocated, freed through defer_free only.
    let c = unsafe { ConnRef::new(c) };
    if attach(e, c).is_none() {
        log_error!("OOM");
        discard(e, c);
        return None;
    }
    Some(c)
}

/// Gives `c` its record. None when out of memory.
pub(crate) fn attach(e: &Engine, c: ConnRef) -> Option<&ConnState> {
    let rec = e.new_rec()?;
    rec.conn.set(c.as_ptr());
    c.set_slot(Some(rec.slot.get() as usize));
    Some(rec)
}

fn link(e: &Engine, c: ConnRef) {
    // SAFETY: the manager is alive.
    unsafe {
        c.set_next((*e.mgr).conns);
        (*e.mgr).conns = c.as_ptr();
    }
    e.conns.set(e.conns.get() + 1);
    if let Some(rec) = c.rec() {
        e.no_poll.linked(c.id64(), rec.slot.get());
    }
}

pub(crate) fn unlink(e: &Engine, c: ConnRef) {
    e.no_poll.unlinked(c.id64());
    for cursor in e.cursors.borrow_mut().iter_mut() {
        if *cursor == c.as_ptr() {
            *cursor = c.next();
        }
    }
    // SAFETY: the list consists of live connections; the cached link belongs to one of them, or was reset when that was removed.
    unsafe {
        let mut at = e.link.get();
        if at.is_null() || *at != c.as_ptr() {
            at = &raw mut (*e.mgr).conns;
            while !(*at).is_null() && *at != c.as_ptr() {
                at = &raw mut (**at).next;
            }
        }
        if *at == c.as_ptr() {
            *at = c.next();
            // A connection that the application linked itself was not counted.
            e.conns.set(e.conns.get().saturating_sub(usize::from(c.rec().is_some())));
        }
        if e.link.get() == &raw mut (*c.as_ptr()).next {
            e.link.set(ptr::null_mut());
        }
    }
}

fn register(e: &Engine, c: ConnRef, rec: &ConnState, fd: c_int, writable: bool) -> bool {
    rec.armed.set(writable);
    registered(c, rec, fd, e.poller.add(fd, rec.token(), writable).map(|()| rec.rest.get()))
}

/// An accepted stream.
fn register_stream(e: &Engine, c: ConnRef, rec: &ConnState, fd: c_int) -> bool {
    let ask = |rest| if rest == Rest::Unknown { sock::tell_rest(fd) } else { rest };
    registered(c, rec, fd, e.poller.add_stream(fd, rec.token()).map(ask))
}

fn registered(c: ConnRef, rec: &ConnState, fd: c_int, done: Result<Rest, Error>) -> bool {
    c.set_fd(fd);
    rec.fd.set(fd);
    rec.registered.set(done.is_ok());
    match done {
        Ok(rest) => rec.rest.set(rest),
        Err(err) => log_error!("{} cannot poll descriptor {fd}: {err}", c.id()),
    }
    rec.registered.get()
}

/// See `mg_listen`.
///
/// # Safety
/// `url` is a C string.
pub(crate) unsafe fn listen(e: &Engine, url: *const c_char, f: mg_event_handler_t, data: *mut c_void) -> Option<ConnRef> {
    let c = new(e)?;
    // SAFETY: the caller's C string.
    let text = unsafe { cstr(url) };
    if let Err(errno) = open(e, c, text) {
        discard(e, c);
        sock::set_errno(errno);
        return None;
    }
    c.update(|f| {
        f.set_listening(true);
        f.set_udp(url::is_udp(text));
        f.set_tls(url::is_ssl(text));
    });
    link(e, c);
    c.set_handler(f);
    c.set_handler_data(data);
    opened(e, c, ptr::null_mut())
}

/// Delivers MG_EV_OPEN inside the creating call. None if the handler closed the connection.
fn opened(e: &Engine, c: ConnRef, data: *mut c_void) -> Option<ConnRef> {
    e.enter();
    call(c, MG_EV_OPEN, data);
    let alive = !c.is_closed();
    e.exit();
    alive.then_some(c)
}

/// Frees a connection that was never in the list.
fn discard(e: &Engine, c: ConnRef) {
    if let Some(rec) = c.rec() {
        e.free_rec(rec);
    }
    // SAFETY: nobody else has a pointer to it.
    unsafe { heap::free(c.as_ptr().cast()) };
}

/// See `mg_open_listener`.
///
/// # Safety
/// `url` is a C string.
pub(crate) unsafe fn open_listener(c: ConnRef, url: *const c_char) -> bool {
    let Some(e) = c.engine() else { return false };
    // SAFETY: the caller's C string.
    open(e, c, unsafe { cstr(url) }).inspect_err(|errno| sock::set_errno(*errno)).is_ok()
}

/// Opens the socket of a listener. Returns errno on failure; the reason is logged.
fn open(e: &Engine, c: ConnRef, text: &[u8]) -> Result<(), c_int> {
    let invalid = |what| {
        log_error!("invalid listening URL {}: {what}", Bytes(text));
        errno::EINVAL
    };
    let failed = |(step, errno)| {
        log_error!("{step} {}: {}", Bytes(text), sock::words(errno));
        errno
    };
    let (fd, file) = match url::listening(text).map_err(invalid)? {
        Listening::Unix(path) => {
            let backlog = e.options.borrow().listen_backlog;
            socket_file::listen(path, backlog).map(|(fd, file)| (fd, Some(Box::new(file)))).map_err(failed)?
        }
        Listening::Inet { host, port } => {
            let mut addr = mg_addr { port: port.to_be(), ..mg_addr::ZERO };
            if !addr::parse_host(host, &mut addr) {
                return Err(invalid("the host is no address of this machine"));
            }
            (open_bound(e, &addr, url::is_udp(text)).map_err(failed)?, None)
        }
    };
    let Some(rec) = c.rec().or_else(|| attach(e, c)) else {
        sock::close(fd);
        return Err(errno::ENOMEM);
    };
    rec.own.set(true);
    rec.socket_file.set(file);
    if !register(e, c, rec, fd, false) {
        sock::close(fd);
        rec.socket_file.take();
        return Err(errno::EMFILE);
    }
    c.set_loc(sock::local(fd).unwrap_or(mg_addr::ZERO));
    Ok(())
}

/// See `mgx_listen_fd`.
pub(crate) fn listen_fd(e: &Engine, fd: c_int, tls: bool, f: mg_event_handler_t, data: *mut c_void) -> Option<ConnRef> {
    let Some(udp) = sock::listens(fd) else {
        log_error!("descriptor {fd} is not a listening socket");
        sock::set_errno(errno::EINVAL);
        return None;
    };
    let loc = sock::local(fd).filter(|_| sock::adopt(fd))?;
    let c = new(e)?;
    let rec = c.rec()?;
    if !udp {
        sock::set_stream_options(fd);
    }
    if !register(e, c, rec, fd, false) {
        discard(e, c);
        return None;
    }
    rec.own.set(true);
    c.set_loc(loc);
    c.update(|f| {
        f.set_listening(true);
        f.set_udp(udp);
        f.set_tls(tls);
    });
    link(e, c);
    c.set_handler(f);
    c.set_handler_data(data);
    opened(e, c, ptr::null_mut())
}

fn open_bound(e: &Engine, addr: &mg_addr, udp: bool) -> Result<c_int, (&'static str, c_int)> {
    let fd = sock::open(&e.poller, addr.is_ip6, udp).map_err(|n| ("socket", n))?;
    sock::set_reuse_addr(fd);
    let options = e.options.borrow();
    if addr.is_ip6 {
        sock::set_v6only(fd, options.v6only);
    }
    if !udp {
        sock::set_stream_options(fd);
    }
    if e.reuseport.get() {
        sock::set_reuse_port(fd);
    }
    let bound = sock::bind(fd, &SockAddr::new(addr)).map_err(|n| ("bind", n));
    let ready =
        bound.and_then(|()| if udp { Ok(()) } else { sock::listen(fd, options.listen_backlog).map_err(|n| ("listen", n)) });
    ready.map(|()| fd).inspect_err(|_| sock::close(fd))
}

/// The poller does not take the socket of a client: nothing would be heard of it.
const UNWATCHED: Failure = Failure(Some("socket()"), errno::EMFILE);

/// Parameters of a client connection.
pub(crate) struct Client {
    pub(crate) url: *const c_char,
    pub(crate) handler: mg_event_handler_t,
    pub(crate) handler_data: *mut c_void,
    pub(crate) pfn: mg_event_handler_t,
    pub(crate) pfn_data: *mut c_void,
}

/// Creates a client connection without a socket, adds it to the list and delivers MG_EV_OPEN. A call must be in progress.
///
/// # Safety
/// `client.url` is a C string.
pub(crate) unsafe fn open_client(e: &Engine, client: &Client, text: &[u8]) -> Option<ConnRef> {
    let c = new(e)?;
    link(e, c);
    c.set_fd(-1);
    c.update(|f| {
        f.set_udp(url::is_udp(text));
        f.set_client(true);
        f.set_tls(url::is_ssl(text));
    });
    c.set_handler(client.handler);
    c.set_handler_data(client.handler_data);
    c.set_pfn(client.pfn);
    c.set_pfn_data(client.pfn_data);
    call(c, MG_EV_OPEN, client.url.cast_mut().cast());
    Some(c)
}

/// See `mg_connect_resolved`.
pub(crate) fn connect_resolved(c: ConnRef) {
    let Some(e) = c.engine() else { return };
    let Some(rec) = c.rec().or_else(|| attach(e, c)) else { return error(c, format_args!("OOM")) };
    e.enter();
    if rec.fd.get() >= 0 {
        // For example a listener on which the application called mg_resolve.
        c.update(|f| f.set_resolving(false));
        call(c, MG_EV_RESOLVE, ptr::null_mut());
        return e.exit();
    }
    let udp = c.flags().is_udp();
    let mut opened = sock::open(&e.poller, c.rem().is_ip6, udp);
    // The system may support only one address family.
    while let Some(next) = opened.is_err().then(|| attempts::instead(rec)).flatten() {
        c.set_rem(next);
        opened = sock::open(&e.poller, next.is_ip6, udp);
    }
    c.update(|f| f.set_resolving(false));
    match opened {
        Err(errno) => Failure(Some("socket()"), errno).report(c),
        Ok(fd) => {
            rec.own.set(true);
            if udp {
                attempts::end(e, rec);
                if !register(e, c, rec, fd, false) {
                    UNWATCHED.report(c);
                    return e.exit();
                }
                c.set_loc(sock::local(fd).unwrap_or(mg_addr::ZERO));
                call(c, MG_EV_RESOLVE, ptr::null_mut());
                if !c.is_closed() {
                    match sock::reach(fd, &c.rem()) {
                        Io::Done(_) => call(c, MG_EV_CONNECT, ptr::null_mut()),
                        Io::Wait => c.update(|f| {
                            f.set_connecting(true);
                            f.set_arplooking(true);
                        }),
                        Io::Failed(errno) => Failure(Some("connect"), errno).report(c),
                    }
                }
            } else {
                sock::set_stream_options(fd);
                rec.rest.set(sock::tell_rest(fd));
                c.set_fd(fd);
                rec.fd.set(fd);
                if !poller::ALWAYS_UP {
                    // Available before the connection is established.
                    c.set_loc(sock::local(fd).unwrap_or(mg_addr::ZERO));
                }
                call(c, MG_EV_RESOLVE, ptr::null_mut());
                if !c.is_closed() {
                    start_connecting(e, c, rec, fd);
                }
            }
        }
    }
    e.exit();
}

/// Connects to a Unix socket.
pub(crate) fn connect_unix(e: &Engine, c: ConnRef, path: &[u8]) {
    let Some(rec) = c.rec().or_else(|| attach(e, c)) else { return error(c, format_args!("OOM")) };
    if rec.fd.get() >= 0 {
        return call(c, MG_EV_RESOLVE, ptr::null_mut());
    }
    c.set_rem(mg_addr::ZERO);
    let Some(addr) = SockAddr::unix(path) else { return Failure(Some("connect"), errno::ENAMETOOLONG).report(c) };
    let fd = match sock::open_unix() {
        Ok(fd) => fd,
        Err(errno) => return Failure(Some("socket()"), errno).report(c),
    };
    rec.own.set(true);
    c.set_fd(fd);
    rec.fd.set(fd);
    call(c, MG_EV_RESOLVE, ptr::null_mut());
    if c.is_closed() {
        return;
    }
    match sock::connect_to(fd, &addr) {
        Io::Done(_) if register(e, c, rec, fd, true) => c.update(|f| f.set_connecting(true)),
        Io::Done(_) => UNWATCHED.report(c),
        // No attempt is in progress: the listener's queue is full.
        Io::Wait => Failure(Some("connect"), errno::EAGAIN).report(c),
        Io::Failed(errno) => Failure(Some("connect"), errno).report(c),
    }
}

pub(crate) fn has_socket(c: ConnRef) -> bool {
    c.rec().is_some_and(|rec| rec.fd.get() >= 0)
}

/// Even an immediate connection is reported in a later poll, because applications fill in `c->data` after mg_connect returns.
fn start_connecting(e: &Engine, c: ConnRef, rec: &ConnState, fd: c_int) {
    match sock::connect(fd, &c.rem()) {
        Io::Failed(errno) => attempts::failed(e, c, rec, Failure(Some("connect"), errno)),
        Io::Done(_) | Io::Wait if register(e, c, rec, fd, true) => {
            c.update(|f| f.set_connecting(true));
            attempts::set_alarm(e, rec);
        }
        Io::Done(_) | Io::Wait => attempts::failed(e, c, rec, UNWATCHED),
    }
}

/// Handles a connecting socket that became ready.
pub(crate) fn finish_connecting(c: ConnRef) {
    let (Some(e), Some(rec)) = (c.engine(), c.rec()) else { return };
    if sock::peer(c.fd()).is_none() {
        return attempts::failed(e, c, rec, Failure(None, sock::take_error(c.fd())));
    }
    resolve::cancel(e, c);
    c.update(|f| {
        f.set_connecting(false);
        f.set_arplooking(false);
    });
    c.set_loc(sock::local(c.fd()).unwrap_or(mg_addr::ZERO));
    call(c, MG_EV_CONNECT, ptr::null_mut());
    if c.is_closed() {
        return;
    }
    check_tls(c);
    if let (true, Some(rec)) = (c.flags().is_secure(), c.rec()) {
        // Clients usually send first.
        send::send_queued(e, c, rec);
    }
}

/// Warns after MG_EV_CONNECT and MG_EV_ACCEPT if the URL requires TLS and mg_tls_init was not called.
fn check_tls(c: ConnRef) {
    let flags = c.flags();
    if !flags.is_tls_hs() && !flags.is_secure() {
        if flags.is_tls() && !flags.is_closing() {
            log_error!("{} the URL requires TLS, but mg_tls_init was not called: continuing IN CLEAR TEXT", c.id());
        }
        c.update(|f| f.set_tls(false));
    }
}

/// Maximum number of connections accepted from a listener per service call.
const ACCEPTS: usize = 256;
/// Delay before a listener accepts again after the process ran out of descriptors.
const ACCEPT_PAUSE_MS: u64 = 100;
/// How often a listener looks whether there is memory again.
const MEMORY_PAUSE_MS: u64 = 10;

/// Services a listener: accepts pending connections, up to a limit.
pub(crate) fn accept(e: &Engine, listener: ConnRef, rec: &ConnState) {
    // The clock may have been set back in the meantime: no pause is longer than this.
    let resting = rec.accept_after.get().saturating_sub(e.now.get());
    if (1..=ACCEPT_PAUSE_MS).contains(&resting) {
        return;
    }
    for _ in 0..ACCEPTS {
        let flags = listener.flags();
        if listener.is_closed() || flags.is_closing() || flags.is_draining() || e.is_dead() {
            return;
        }
        if !memory::recovered() || usage::is_over(e) {
            // Waiting clients may find another server, and are served as soon as another connection closes.
            return pause(e, rec, MEMORY_PAUSE_MS);
        }
        match sock::accept(rec.fd.get()) {
            Ok((fd, rem)) => accepted(e, listener, fd, rem),
            Err(errno::EAGAIN) => return rec.readable.set(false),
            Err(errno @ (errno::EMFILE | errno::ENFILE)) if !e.lingering.borrow().is_empty() => {
                log_error!("{} accept: {}, closing lingering sockets", listener.id(), sock::words(errno));
                linger::stop_lingering(e, 0);
            }
            Err(errno) => {
                log_error!("{} accept: {}", listener.id(), sock::words(errno));
                return pause(e, rec, ACCEPT_PAUSE_MS);
            }
        }
    }
    e.requeue(rec);
}

/// Lets a listener rest.
fn pause(e: &Engine, rec: &ConnState, ms: u64) {
    let at = e.now.get().saturating_add(ms);
    rec.accept_after.set(at);
    e.set_deadline(rec, Some(at));
}

/// Takes everything that waits on a listener.
pub(crate) fn accept_all(e: &Engine, listener: ConnRef) {
    // Not more than the kernel can have queued, which is one more than the backlog, because clients may connect all the time.
    const MOST: usize = 4096;
    let backlog = usize::try_from(e.options.borrow().listen_backlog).unwrap_or(0);
    for _ in 0..=backlog.max(MOST) {
        if listener.is_closed() || e.is_dead() {
            return;
        }
        match sock::accept(listener.fd()) {
            Ok((fd, rem)) => accepted(e, listener, fd, rem),
            Err(_) => return,
        }
    }
}

/// True if mgx_limits allows one more connection from this address.
fn has_room(e: &Engine, rem: &mg_addr) -> bool {
    let limits = e.limits.get();
    let most = |limit: usize, now: usize| limit == 0 || now < limit;
    let from_there = || e.per_ip.borrow().get(&rem.ip()).copied().unwrap_or(0);
    // Peers on a Unix socket have no address to count them by.
    let counted = limits.max_conns_per_ip > 0 && rem.ip() != [0; 16];
    most(limits.max_conns, e.stats.conns.get()) && (!counted || most(limits.max_conns_per_ip, from_there()))
}

fn accepted(e: &Engine, listener: ConnRef, fd: c_int, rem: mg_addr) {
    if !has_room(e, &rem) {
        count(&e.stats.refused, 1);
        return sock::close(fd);
    }
    let Some(c) = new(e) else { return sock::close(fd) };
    let Some(rec) = c.rec() else { return };
    if e.limited.get() && !memory::grow_map(&mut e.per_ip.borrow_mut(), 1) {
        sock::close(fd);
        return discard(e, c);
    }
    rec.own.set(true);
    c.set_rem(rem);
    if !register_stream(e, c, rec, fd) {
        sock::close(fd);
        return discard(e, c);
    }
    let from = listener.flags();
    c.update(|f| {
        f.set_accepted(true);
        f.set_hexdumping(from.is_hexdumping());
        f.set_tls(from.is_tls());
    });
    c.set_pfn(listener.pfn());
    c.set_pfn_data(listener.pfn_data());
    c.set_handler(listener.handler());
    c.set_handler_data(listener.handler_data());
    let bound = listener.loc();
    // A listener bound to one address already determines the local address.
    c.set_loc(if bound.ip() == [0; 16] { sock::local(fd).unwrap_or(bound) } else { bound });
    link(e, c);
    count(&e.stats.accepted, 1);
    e.stats.conns.set(e.stats.conns.get() + 1);
    rec.read_at.set(e.now.get());
    rec.from.set(rem.ip());
    if e.limited.get() {
        *memory::number_of(&mut e.per_ip.borrow_mut(), rem.ip()) += 1;
        e.set_deadline(rec, Some(e.now.get()));
    }
    usage::count(e, c, rec);
    call(c, MG_EV_OPEN, ptr::null_mut());
    if !c.is_closed() {
        call(c, MG_EV_ACCEPT, ptr::null_mut());
    }
    if !c.is_closed() {
        check_tls(c);
    }
}

/// See `mg_wrapfd`.
pub(crate) fn wrap(e: &Engine, fd: c_int, f: mg_event_handler_t, data: *mut c_void) -> Option<ConnRef> {
    let c = new(e)?;
    let rec = c.rec()?;
    if !register(e, c, rec, fd, false) {
        discard(e, c);
        return None;
    }
    c.set_handler(f);
    c.set_handler_data(data);
    link(e, c);
    opened(e, c, ptr::null_mut())
}
