//! Manager, connections, sending.

use crate::abi::*;
use crate::ffi_util::bytes;
use crate::handler::{drain, http};
use crate::net::conn::{self, Client};
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use crate::net::{close, connect, event, mgr, on_signal, output, wakeup};
use crate::platform::sock;
use crate::sys::log::log_error;
use core::ffi::{c_char, c_int, c_ulong, c_void};
use core::ptr;

fn pointer(c: Option<ConnRef>) -> *mut mg_connection {
    c.map_or(ptr::null_mut(), ConnRef::as_ptr)
}

/// Initialises a manager: zero-fills the struct, without freeing anything it held, creates the poller (`epoll_fd`), sets the
/// default name servers and timeouts, and makes the process ignore SIGPIPE. Set `userdata`, `extraconnsize` and the resolver's
/// members afterwards. If the poller cannot be created, the error is logged, mgx_mgr_ok returns false, and every mg_listen and
/// mg_connect returns NULL. Free the manager with mg_mgr_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mgr_init(mgr: *mut mg_mgr) {
    require!(mgr);
    // SAFETY: guaranteed by the caller.
    unsafe { init(mgr) }
}

/// # Safety
/// Room for a manager.
pub(super) unsafe fn init(mgr: *mut mg_mgr) {
    // SAFETY: room for a manager, as the caller promises.
    unsafe {
        mgr::init(mgr);
        if let Some(e) = Engine::of(mgr) {
            drain::install(e);
        }
    }
}

/// Closes all connections, newest first, and frees everything the manager owns. Each connection gets a last MG_EV_POLL, then
/// MG_EV_CLOSE. Discards queued output. Frees the timers created by mg_timer_add and unlinks the others. Afterwards `conns` and
/// `timers` are NULL and no handler is called. Safe to call twice, on a zero-filled manager, and from a handler. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mgr_free(mgr: *mut mg_mgr) {
    if !mgr.is_null() {
        // SAFETY: a manager, as the caller promises.
        unsafe {
            Engine::of(mgr).inspect(|e| on_signal::forget(e));
            mgr::free(mgr)
        }
    }
}

/// Runs one iteration of the event loop: waits for I/O, runs expired timers, and services every connection, newest first. Each
/// connection gets MG_EV_POLL with the time in milliseconds (`uint64_t *`), then the events that are due. Waits at most `ms`
/// milliseconds; 0 does not wait, a negative value sets no limit. A timer, deadline, signal or mg_wakeup ends the wait early. If
/// mg_mgr_init failed or mg_mgr_free was called, it only waits, one second for a negative `ms`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mgr_poll(mgr: *mut mg_mgr, ms: c_int) {
    // SAFETY: a manager, as the caller promises.
    unsafe { mgr::poll(mgr, ms) }
}

/// Opens a listener on a URL such as `tcp://0.0.0.0:8000`, `http://localhost`, `udp://[::1]:53` or `:8000`. The host is a numeric
/// address, `localhost`, or empty for any IPv4 address. Port 0 lets the kernel choose a port, stored in `c->loc`. `udp:` opens a
/// datagram socket; `unix:PATH` or `unix:///PATH` a Unix stream socket, with permissions set by the umask and a file that is
/// removed when the listener closes; any other scheme a TCP socket. Accepted connections inherit `fn` and `fn_data`. The handler
/// gets MG_EV_OPEN before this function returns. Returns NULL and sets errno if the URL is malformed or the address is in use;
/// the reason is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_listen(
    mgr: *mut mg_mgr,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
) -> *mut mg_connection {
    // SAFETY: a manager and a C string, as the caller promises.
    unsafe { pointer(Engine::enter_mgr(mgr).and_then(|e| conn::listen(&e, url, r#fn, fn_data))) }
}

/// Opens a client connection. `fn` gets MG_EV_OPEN and, for a numeric host, MG_EV_RESOLVE before this function returns.
/// MG_EV_CONNECT follows once connected; a UDP connection gets it right after MG_EV_RESOLVE. All addresses of a host name are
/// tried: `c->rem` is the first one in MG_EV_RESOLVE and the connected one in MG_EV_CONNECT. `unix:PATH` and `unix:///PATH`
/// connect to a Unix socket. Data queued before MG_EV_CONNECT is sent once connected. Returns NULL if the URL is NULL or empty,
/// or if out of memory. Other failures raise MG_EV_ERROR, followed by MG_EV_CLOSE in the next poll.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_connect(
    mgr: *mut mg_mgr,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
) -> *mut mg_connection {
    // SAFETY: guaranteed by the caller.
    unsafe { mg_connect_svc(mgr, url, r#fn, fn_data, None, ptr::null_mut()) }
}

/// Like mg_connect, with a protocol handler `pfn` that receives every event before `fn`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_connect_svc(
    mgr: *mut mg_mgr,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
    pfn: mg_event_handler_t,
    pfn_data: *mut c_void,
) -> *mut mg_connection {
    let client = Client { url, handler: r#fn, handler_data: fn_data, pfn, pfn_data };
    // SAFETY: a manager and a C string or NULL, as the caller promises.
    unsafe { pointer(Engine::enter_mgr(mgr).and_then(|e| connect::connect(&e, client))) }
}

/// Continues a client connection after name resolution: creates the socket, raises MG_EV_RESOLVE and connects to `c->rem`. The
/// built-in resolver calls it; only applications with their own resolver need it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_connect_resolved(c: *mut mg_connection) {
    // SAFETY: a connection, as the caller promises.
    let c = unsafe { ConnRef::new(c) };
    enter!(c);
    conn::connect_resolved(c);
}

/// Creates a connection from an open stream socket and raises MG_EV_OPEN. The manager owns the descriptor on success and closes
/// it with the connection; it need not be non-blocking. Returns NULL if out of memory or if the descriptor cannot be polled; the
/// caller then keeps the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_wrapfd(
    mgr: *mut mg_mgr,
    fd: c_int,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
) -> *mut mg_connection {
    // SAFETY: a manager, as the caller promises.
    unsafe { pointer(Engine::enter_mgr(mgr).and_then(|e| conn::wrap(&e, fd, r#fn, fn_data))) }
}

/// Allocates a zero-filled connection with the next id, followed by `mgr->extraconnsize` bytes. It is not linked into the manager
/// and has no socket. For applications with their own network stack. Returns NULL if out of memory. Free it with mg_close_conn.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_alloc_conn(mgr: *mut mg_mgr) -> *mut mg_connection {
    require!(mgr, ptr::null_mut());
    // SAFETY: a manager, as the caller promises.
    unsafe {
        match Engine::of(mgr).map(Engine::entry).transpose() {
            Ok(_entry) => conn::alloc(mgr),
            Err(_) => ptr::null_mut(),
        }
    }
}

/// Closes a connection at once: closes the socket, discards queued output, raises MG_EV_CLOSE and frees the connection. Prefer
/// setting `c->is_closing` or `c->is_draining`. Inside a handler the memory stays readable until the handlers return; no further
/// event is sent. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_close_conn(c: *mut mg_connection) {
    if !c.is_null() {
        // SAFETY: a connection, as the caller promises.
        let c = unsafe { ConnRef::new(c) };
        enter!(c);
        close::close(c);
    }
}

/// Opens the listening socket for `url` and stores it in `c`; called by mg_listen. Returns false if the address is malformed or
/// in use; the reason is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_open_listener(c: *mut mg_connection, url: *const c_char) -> bool {
    // SAFETY: a connection and a C string, as the caller promises.
    unsafe {
        let c = ConnRef::new(c);
        enter!(c, false);
        conn::open_listener(c, url)
    }
}

/// Calls the handlers of a connection with an event: `c->pfn` first, then `c->fn`. Either may be NULL. Applications may send
/// their own events, numbered from MG_EV_USER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_call(c: *mut mg_connection, ev: c_int, ev_data: *mut c_void) {
    // SAFETY: a connection, as the caller promises.
    let c = unsafe { ConnRef::new(c) };
    enter!(c);
    event::call(c, ev, ev_data);
}

/// Queues `len` bytes for sending. The data is sent after the handlers of the current event return. Returns false if out of
/// memory. On a UDP connection, sends one datagram to `c->rem` at once, raising MG_EV_WRITE; false means that it was not sent.
/// `buf` may be NULL if `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_send(c: *mut mg_connection, buf: *const c_void, len: usize) -> bool {
    // SAFETY: a connection and len bytes, as the caller promises.
    unsafe {
        let c = ConnRef::new(c);
        enter!(c, false);
        let sent = output::send(c, buf.cast(), len);
        http::written(c);
        sent
    }
}

/// Like mg_printf, with the arguments in `*ap`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_vprintf(c: *mut mg_connection, fmt: *const c_char, ap: *mut va_list) -> usize {
    // SAFETY: a connection, a format and its arguments, as the caller promises.
    unsafe {
        let c = ConnRef::new(c);
        enter!(c, 0);
        let n = output::print(c, fmt, ap);
        http::written(c);
        n
    }
}

/// Implementation of mg_error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgc_error(c: *mut mg_connection, fmt: *const c_char, ap: *mut va_list) {
    let mut text = [0; 64];
    // SAFETY: a connection, a format and its arguments, as the caller promises.
    unsafe {
        crate::fmt::to_buffer(&mut text, fmt, ap);
        let c = ConnRef::new(c);
        enter!(c);
        event::error_text(c, &mut text);
    }
}

/// Prepares a manager for mg_wakeup. Adds an internal connection to `mgr->conns`. Returns true on success, false on failure or if
/// called before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_wakeup_init(mgr: *mut mg_mgr) -> bool {
    // SAFETY: a manager, as the caller promises.
    unsafe { Engine::enter_mgr(mgr) }.is_some_and(|e| wakeup::init(&e))
}

/// Sends a message to the connection with id `id`, which receives it as MG_EV_WAKEUP with a `struct mg_str *`. Interrupts the
/// wait of mg_mgr_poll. May be called from any thread and from a signal handler. Messages are limited to 16376 bytes, the rest is
/// cut off; `len` may be 0. Messages arrive in order; those for closed connections are dropped. Returns false if mg_wakeup_init
/// was not called or failed, if `id` is 0, or if 64 MiB are already waiting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_wakeup(mgr: *mut mg_mgr, id: c_ulong, buf: *const c_void, len: usize) -> bool {
    require!(mgr, false);
    // SAFETY: a manager and len bytes, as the caller promises.
    unsafe {
        let message = bytes::slice(buf.cast(), len);
        #[allow(clippy::unnecessary_cast)] // c_ulong is 32 bits wide on some targets
        wakeup::wake(mgr, id as u64, message)
    }
}

/// Sets the differentiated services code point (6 bits) of outgoing packets. Returns false if the kernel refuses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_dscp(c: *mut mg_connection, dscp: u8) -> bool {
    require!(c, false);
    // SAFETY: a connection, as the caller promises.
    let c = unsafe { ConnRef::new(c) };
    c.update(|f| f.set_dscp(dscp));
    // A client has no local address until it is connected.
    let ip6 = c.loc().is_ip6 || c.flags().is_client() && c.rem().is_ip6;
    sock::set_tos(c.fd(), ip6, c_int::from(dscp & 63) << 2)
}

/// Copies a `struct mg_addr` saved at `from`, which need not be aligned, back to `c->rem`, so that a UDP connection sends to the
/// multicast group again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_multicast_restore(c: *mut mg_connection, from: *mut u8) {
    require!(c);
    // SAFETY: a connection and an address of any alignment, as the caller promises.
    unsafe { ConnRef::new(c).set_rem(from.cast::<mg_addr>().read_unaligned()) };
}

/// Joins the IPv4 multicast group `ip` (text) on any interface. Failure is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_multicast_add(c: *mut mg_connection, ip: *mut c_char) {
    let mut group = mg_addr::ZERO;
    // SAFETY: a connection and a C string, as the caller promises; the union's bytes are all initialised.
    unsafe {
        let ok = crate::ffi_util::addr::parse(bytes::cstr(ip), &mut group) && !group.is_ip6;
        if !ok || !sock::join_group(ConnRef::new(c).fd(), group.addr.ip4) {
            log_error!("{} cannot join multicast group", (*c).id);
        }
    }
}

/// Stores the local address that the kernel would use to reach `*to` in `*addr`. Raises MG_EV_ERROR on `c` on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_getlocaddr(c: *mut mg_connection, to: *mut mg_addr, addr: *mut mg_addr) {
    // SAFETY: a connection and two addresses, as the caller promises.
    unsafe {
        match sock::local_towards(&*to) {
            Ok(found) => *addr = found,
            Err((step, errno)) => event::os_error(ConnRef::new(c), errno, format_args!("{step}: {errno}")),
        }
    }
}
