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

/// Initialises a manager: zero-fills the struct, creates the poller (its descriptor is in `epoll_fd`), sets the default name
/// servers and time-outs, and makes the process ignore SIGPIPE. What the struct held before is forgotten. Set `userdata`,
/// `extraconnsize` and the resolver's fields afterwards. A failure to create the poller is logged; every mg_listen and
/// mg_connect then returns NULL, and mgx_mgr_ok says false. Free it with mg_mgr_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mgr_init(mgr: *mut mg_mgr) {
    super::check_sizes();
    require!(mgr);
    // SAFETY: passed on to the caller.
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

/// Closes every connection, newest first, each with a last MG_EV_POLL and then MG_EV_CLOSE, frees the timers that mg_timer_add
/// made and unlinks the others, and frees what else the manager owns. Output still queued is discarded. Afterwards `conns` and
/// `timers` are NULL, and no handler is called any more. A manager may be freed twice, and a zero-filled one too. It may be
/// freed from a handler.
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

/// One round of the event loop: waits at most `ms` milliseconds (0: not at all; negative: without limit) for something to do,
/// runs the timers, and services every connection, newest first: MG_EV_POLL with the time in milliseconds as
/// `uint64_t *`, then what is due. A timer, a deadline, a signal or mg_wakeup ends the wait early. Where mg_mgr_init has failed, or
/// mg_mgr_free was called, there is only the wait, of one second for a negative `ms`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mgr_poll(mgr: *mut mg_mgr, ms: c_int) {
    // SAFETY: a manager, as the caller promises.
    unsafe { mgr::poll(mgr, ms) }
}

/// Opens a listener on a URL such as `tcp://0.0.0.0:8000`, `http://localhost`, `udp://[::1]:53` or `:8000`. The host is a numeric address,
/// `localhost` or empty (any IPv4 address); port 0 lets the kernel choose, and `c->loc` holds the result. `udp:` makes a
/// datagram listener, `unix:PATH` or `unix:///PATH` one on a Unix socket, whose mode is for the umask and whose file goes when the
/// listener closes; anything else a TCP one. Connections it accepts inherit `fn` and `fn_data`. The handler gets MG_EV_OPEN
/// before this returns. Returns NULL, with the reason in the log and errno, when the URL is malformed or the address is taken.
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

/// Opens a client connection; `fn` gets MG_EV_OPEN and, for a numeric host, MG_EV_RESOLVE before this returns, MG_EV_CONNECT
/// later (at once for UDP). A host name stands for all its addresses: `c->rem` is the first of them at MG_EV_RESOLVE and the one that
/// has answered at MG_EV_CONNECT. `unix:PATH` and `unix:///PATH` connect to a Unix socket. Data queued before the connection is up is sent then. Returns NULL for a NULL or empty URL and
/// when out of memory; any other failure is reported by MG_EV_ERROR, and MG_EV_CLOSE follows in the next poll.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_connect(
    mgr: *mut mg_mgr,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
) -> *mut mg_connection {
    // SAFETY: passed on to the caller.
    unsafe { mg_connect_svc(mgr, url, r#fn, fn_data, None, ptr::null_mut()) }
}

/// As mg_connect, with a protocol handler that gets every event before `fn`.
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

/// Goes on with a client connection whose `c->rem` is complete: creates the socket, delivers MG_EV_RESOLVE and starts
/// connecting. The resolver calls it; applications need it only with a resolver of their own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_connect_resolved(c: *mut mg_connection) {
    // SAFETY: a connection, as the caller promises.
    let c = unsafe { ConnRef::new(c) };
    enter!(c);
    conn::connect_resolved(c);
}

/// Makes a connection of an open stream socket and delivers MG_EV_OPEN. The descriptor is the manager's from then on and is
/// closed with the connection; it need not be non-blocking. Returns NULL when out of memory or when the descriptor cannot be
/// watched; it then stays the caller's.
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

/// Allocates a zeroed connection with the next id and `mgr->extraconnsize` bytes behind it. It is on no list and has no socket;
/// for network stacks of the application's own. NULL when out of memory. Free it with mg_close_conn.
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

/// Closes a connection at once, discarding its output: closes the socket, delivers MG_EV_CLOSE and frees it. Setting
/// `c->is_closing` or `c->is_draining` is the better way. Inside a handler the memory stays readable until the handlers have
/// returned; no further event is delivered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_close_conn(c: *mut mg_connection) {
    if !c.is_null() {
        // SAFETY: a connection, as the caller promises.
        let c = unsafe { ConnRef::new(c) };
        enter!(c);
        close::close(c);
    }
}

/// Opens the socket of a listener for `url` and stores it in `c`. mg_listen does this; returns false, with the reason in the
/// log, when the address is malformed or taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_open_listener(c: *mut mg_connection, url: *const c_char) -> bool {
    // SAFETY: a connection and a C string, as the caller promises.
    unsafe {
        let c = ConnRef::new(c);
        enter!(c, false);
        conn::open_listener(c, url)
    }
}

/// Delivers an event to `c->pfn`, then to `c->fn`; either may be NULL. Applications may send events of their own, from MG_EV_USER
/// on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_call(c: *mut mg_connection, ev: c_int, ev_data: *mut c_void) {
    // SAFETY: a connection, as the caller promises.
    let c = unsafe { ConnRef::new(c) };
    enter!(c);
    event::call(c, ev, ev_data);
}

/// Queues `len` bytes to be sent; nothing is transmitted before the handlers of the current event have returned. Returns false
/// when out of memory. On a UDP connection one datagram is sent to `c->rem` at once, with MG_EV_WRITE inside this call; false
/// then means that it was not sent. `buf` may be NULL when `len` is 0.
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

/// As mg_printf, with the arguments in `*ap`.
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

/// The body of mg_error.
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

/// Prepares the manager for mg_wakeup. Adds a connection of its own to `mgr->conns`. Returns true when that was done, false on
/// failure and when it had been done before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_wakeup_init(mgr: *mut mg_mgr) -> bool {
    // SAFETY: a manager, as the caller promises.
    unsafe { Engine::enter_mgr(mgr) }.is_some_and(|e| wakeup::init(&e))
}

/// Sends a message to the connection with this id, which gets it as MG_EV_WAKEUP with a `struct mg_str *`; ends the current
/// wait of mg_mgr_poll. May be called from any thread and from a signal handler. At most 16376 bytes (more are cut off); `len`
/// 0 is allowed. Messages arrive in order; one for a connection that is gone is dropped. Returns false without a successful
/// mg_wakeup_init, for id 0, and when 64 MiB are waiting.
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

/// Sets the differentiated services code point (6 bits) of what the connection sends from now on. False when the kernel refuses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_dscp(c: *mut mg_connection, dscp: u8) -> bool {
    require!(c, false);
    // SAFETY: a connection, as the caller promises.
    let c = unsafe { ConnRef::new(c) };
    c.update(|f| f.set_dscp(dscp));
    sock::set_tos(c.fd(), c.loc().is_ip6, c_int::from(dscp & 63) << 2)
}

/// Copies a `struct mg_addr` that the application saved at `from` back into `c->rem`: a UDP client answers to the group again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_multicast_restore(c: *mut mg_connection, from: *mut u8) {
    require!(c);
    // SAFETY: a connection and an address of any alignment, as the caller promises.
    unsafe { ConnRef::new(c).set_rem(from.cast::<mg_addr>().read_unaligned()) };
}

/// Joins the IPv4 multicast group `ip` (text) on any interface.
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

/// Stores in `*addr` the local address that the kernel would use towards `*to`. A failure raises MG_EV_ERROR on `c`.
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
