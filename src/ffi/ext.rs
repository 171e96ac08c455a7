//! The extension API.

use crate::abi::*;
use crate::ffi_util::{bytes, heap};
use crate::handler::{drain, file_cache, limits, ota, reply, ws};
use crate::memory::prelude::*;
use crate::net::engine::{Engine, Options};
use crate::net::handle::ConnRef;
use crate::net::{conn, event, kept, mailbox, no_poll, output};
use crate::proto::ws as frames;
use alloc::rc::Rc;
use core::ffi::{c_char, c_int, c_ulong, c_void};
use core::sync::atomic::Ordering;

/// Settings that are compile-time options in the mg_* API. Zero-initialise: 0 in a member means the library's default.
#[repr(C)]
pub struct mgx_options {
    /// MG_MAX_RECV_SIZE: maximum size of a receive buffer, in bytes.
    pub max_recv_size: usize,
    /// MG_IO_SIZE: size and growth step of buffers; not below 1024.
    pub io_size: usize,
    /// MG_SOCK_LISTEN_BACKLOG_SIZE.
    pub listen_backlog: c_int,
    /// MG_IPV6_V6ONLY.
    pub v6only: bool,
    /// MG_ENABLE_DIRLIST 0: do not list directories without an index page.
    pub no_dirlist: bool,
    /// MG_TLS_SSLKEYLOGFILE: write TLS secrets to the file named by the environment variable SSLKEYLOGFILE.
    pub tls_keylog: bool,
    /// Uploads and mg_file_write do not wait until a finished file is on disk. Applies to the whole process: the last call of
    /// mgx_mgr_options wins. The member takes the place of padding, so that the layout does not change.
    pub no_fsync: bool,
    /// MG_HTTP_INDEX: name of index pages. Copied.
    pub http_index: *const c_char,
}

/// Large enough for any useful head.
const LEAST_IO_SIZE: usize = if cfg!(feature = "std") { 1024 } else { 256 };

/// Sets options that are compile-time switches in the mg_* API. Call it after mg_mgr_init; they apply to connections opened and data
/// read from then on. NULL pointers have no effect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_options(mgr: *mut mg_mgr, opts: *const mgx_options) {
    // SAFETY: a manager and options or NULL, as the caller promises.
    let (Some(e), Some(o)) = (unsafe { (Engine::enter_mgr(mgr), opts.as_ref()) }) else { return };
    let or = |n: usize, default| if n == 0 { default } else { n };
    let defaults = Options::default();
    crate::platform::files::set_sync(!o.no_fsync);
    e.io_size.store(or(o.io_size, IO_SIZE).max(LEAST_IO_SIZE), Ordering::Relaxed);
    *e.options.borrow_mut() = Options {
        max_recv_size: or(o.max_recv_size, defaults.max_recv_size),
        listen_backlog: if o.listen_backlog > 0 { o.listen_backlog } else { defaults.listen_backlog },
        v6only: o.v6only,
        no_dirlist: o.no_dirlist,
        tls_keylog: o.tls_keylog,
        // SAFETY: a C string or NULL, as the caller promises.
        http_index: match unsafe { bytes::cstr(o.http_index) } {
            [] => defaults.http_index,
            name => name.to_vec(),
        },
    };
}

/// Enforces RFC 6455 in the WebSocket servers and clients of a manager: clients must mask frames, lengths must use the shortest
/// encoding, both sides of the handshake are validated in full, and the Host header includes the port. Initially off, because
/// applications written for the mg_* API depend on lenient peers. Text must be valid UTF-8, otherwise the connection closes with
/// code 1007, unless this function was called with false or mgx_mgr_compat with true.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_ws_strict(mgr: *mut mg_mgr, on: bool) {
    // SAFETY: a manager or NULL, as the caller promises.
    if let Some(e) = unsafe { Engine::of(mgr) } {
        e.ws_strict.set(on);
        e.ws_any_text.set(!on);
    }
}

/// Returns true if mg_mgr_init succeeded and mg_mgr_free has not been called since. mg_mgr_init fails if the process or the
/// system is out of descriptors or memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_ok(mgr: *const mg_mgr) -> bool {
    // SAFETY: a manager or NULL, as the caller promises.
    unsafe { Engine::of(mgr.cast_mut()) }.is_some()
}

/// Returns limits for a server exposed to the internet: mgx_mgr_limits(&mgr, mgx_limits_public()). Timeouts: request head 10 s,
/// body 30 s without progress, unread response 60 s, idle connection 60 s. Sizes: request head 16 KiB, WebSocket message 3 MiB.
/// Connections: 10,000, and 1000 per address. Request bodies are limited only by MG_MAX_RECV_SIZE, uploads to files not at all.
/// To change a limit, copy the struct. Set `max_conns_per_ip` to 0 behind a reverse proxy, and `idle_timeout_ms` to 0 for
/// WebSocket and MQTT peers that may be silent.
#[unsafe(no_mangle)]
pub extern "C" fn mgx_limits_public() -> *const mgx_limits {
    &limits::PUBLIC
}

/// Sets limits and timeouts of a manager, effective from the next poll. Initially all are off. The limits are copied. No effect
/// if a pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_limits(mgr: *mut mg_mgr, limits: *const mgx_limits) {
    // SAFETY: a manager and limits or NULL, as the caller promises.
    if let (Some(e), Some(l)) = unsafe { (Engine::enter_mgr(mgr), limits.as_ref()) } {
        limits::set(&e, *l);
    }
}

/// Stores the counters of a manager in `*stats`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_stats(mgr: *const mg_mgr, stats: *mut mgx_stats) {
    // SAFETY: a manager and counters or NULL, as the caller promises.
    unsafe {
        let (Some(e), false) = (Engine::of(mgr.cast_mut()), stats.is_null()) else { return };
        let s = &e.stats;
        *stats = mgx_stats {
            accepted: s.accepted.get(),
            refused: s.refused.get(),
            requests: s.requests.get(),
            bytes_in: s.bytes_in.get(),
            bytes_out: s.bytes_out.get(),
            timeouts: s.timeouts.get(),
            drained: s.drained.get(),
            forced: s.forced.get(),
            resets: s.resets.get(),
            conns: s.conns.get(),
        };
    }
}

/// Turns MG_EV_POLL for a connection on or off. Without MG_EV_POLL an inactive connection adds no cost to a poll. mg_send and
/// similar functions, mgx_conn_drain and mgx_conn_close still take effect at once. Flags set directly from outside its handlers,
/// and data written directly to `c->send`, are noticed within 100 ms or at the end of the current wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_poll_events(c: *mut mg_connection, on: bool) {
    if c.is_null() {
        return;
    }
    // SAFETY: a connection, as the caller promises.
    let c = unsafe { ConnRef::new(c) };
    enter!(c);
    if let (Some(e), false) = (c.engine(), c.is_closed()) {
        no_poll::set(e, c, on);
    }
}

/// Makes a manager keep up to `entries` files that mg_http_serve_dir and mg_http_serve_file have sent lately: the content of those of
/// up to 16 KiB, an open descriptor of larger ones. Initially off; `entries` 0 turns it off again and forgets all. An entry is
/// used for `revalidate_ms` milliseconds without a look at the file system; then the file is opened and checked as without a cache, so
/// that a file that was replaced, removed or moved out of the directory is noticed no later. 0: with each request. Pages with
/// server-side includes, listings and files of other file systems than mg_fs_posix are not kept. A transfer keeps its file, whatever
/// happens to the entry. Each call begins with an empty cache. Returns false if the manager is not initialised.
#[cfg(feature = "files")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_file_cache(mgr: *mut mg_mgr, entries: usize, revalidate_ms: u64) -> bool {
    // SAFETY: a manager or NULL, as the caller promises.
    let Some(e) = (unsafe { Engine::enter_mgr(mgr) }) else { return false };
    let cache = (entries > 0).then(|| Rc::new(file_cache::Cache::new(entries, revalidate_ms)) as Rc<dyn kept::FileCache>);
    e.files.replace(cache);
    true
}

/// Sets SO_REUSEPORT on listeners opened from now on, so that managers in several threads or processes can share a port. Returns
/// false if the manager is not initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_listen_reuseport(mgr: *mut mg_mgr, on: bool) -> bool {
    // SAFETY: a manager or NULL, as the caller promises.
    unsafe { Engine::of(mgr) }.inspect(|e| e.reuseport.set(on)).is_some()
}

/// Returns the socket of a listener, for example to pass it to a successor process; -1 for other connections and NULL. The
/// library keeps ownership.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_listener_fd(c: *const mg_connection) -> c_int {
    // SAFETY: a connection or NULL, as the caller promises.
    let c = if c.is_null() { None } else { Some(unsafe { ConnRef::new(c.cast_mut()) }) };
    c.filter(|c| c.flags().is_listening()).map_or(-1, ConnRef::fd)
}

/// Creates a listener from an open socket, for example from systemd socket activation or a predecessor process. The socket must
/// be bound, and a stream socket must be listening; Unix stream sockets are allowed, and their file is not removed. Only the
/// scheme of `url` is used: `https:`, `wss:` and other TLS schemes set `c->is_tls`; `http:`, `https:`, `ws:` and `wss:` install
/// the HTTP protocol handler, as mg_http_listen does. The manager owns the descriptor on success. Returns NULL on failure; the
/// caller then keeps the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_listen_fd(
    mgr: *mut mg_mgr,
    fd: c_int,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
) -> *mut mg_connection {
    // SAFETY: a manager and a C string, as the caller promises.
    let (Some(e), text) = (unsafe { (Engine::enter_mgr(mgr), bytes::cstr(url)) }) else { return core::ptr::null_mut() };
    let c = conn::listen_fd(&e, fd, crate::proto::url::is_ssl(text), r#fn, fn_data);
    let http = [&b"http"[..], b"https", b"ws", b"wss"].iter().any(|scheme| crate::proto::url::has_scheme(text, scheme));
    if let Some(c) = c.filter(|_| http) {
        crate::handler::http::install(c);
    }
    c.map_or(core::ptr::null_mut(), ConnRef::as_ptr)
}

/// Interrupts the wait of mg_mgr_poll. May be called from any thread and from a signal handler. Returns false if the manager is
/// not initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_wakeup_mgr(mgr: *mut mg_mgr) -> bool {
    // SAFETY: a manager or NULL, as the caller promises.
    !mgr.is_null() && unsafe { drain::wake_mgr(mgr) }
}

/// Queues `len` bytes for sending on the connection with id `conn_id`. The polling thread sends them; data from one thread stays
/// in order. Data for a closed connection is dropped. May be called from any thread and from a signal handler. Returns false if
/// 64 MiB are already waiting or the manager is not initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_send_to(mgr: *mut mg_mgr, conn_id: c_ulong, buf: *const c_void, len: usize) -> bool {
    if mgr.is_null() || len > mailbox::LIMIT {
        return false;
    }
    #[allow(clippy::useless_conversion)] // c_ulong is 32 bits wide on some targets
    // SAFETY: a manager and len bytes, as the caller promises.
    unsafe {
        drain::send_to(mgr, conn_id.into(), 0, bytes::slice(buf.cast(), len))
    }
}

/// Allocates and initialises a manager. Returns NULL if out of memory. Free it with mgx_mgr_delete.
#[unsafe(no_mangle)]
pub extern "C" fn mgx_mgr_new() -> *mut mg_mgr {
    let mgr: *mut mg_mgr = heap::new_zeroed();
    if !mgr.is_null() {
        // SAFETY: room for a manager.
        unsafe { super::net::init(mgr) };
    }
    mgr
}

/// Closes a manager created by mgx_mgr_new, as mg_mgr_free does, and frees its memory. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_delete(mgr: *mut mg_mgr) {
    // SAFETY: a manager of mgx_mgr_new or NULL, as the caller promises.
    unsafe {
        super::net::mg_mgr_free(mgr);
        heap::free(mgr.cast());
    }
}

/// Returns `c->fn_data`. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_user_data(c: *const mg_connection) -> *mut c_void {
    // SAFETY: a connection or NULL, as the caller promises.
    unsafe { c.as_ref() }.map_or(core::ptr::null_mut(), |c| c.fn_data)
}

/// Sets `c->fn_data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_set_user_data(c: *mut mg_connection, data: *mut c_void) {
    if !c.is_null() {
        // SAFETY: a connection, as the caller promises.
        unsafe { (*c).fn_data = data };
    }
}

/// The bit of a flag in the word of bit fields. `dscp` precedes the flags. None if the number is not a flag.
fn flag_bit(flag: c_int) -> Option<u32> {
    (0..=mgx_flag::MGX_IS_WRITABLE as c_int).contains(&flag).then(|| flag as u32 + 6)
}

/// Returns a bit field of a connection. False for NULL and unknown flags.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_flag(c: *const mg_connection, flag: c_int) -> bool {
    // SAFETY: a connection or NULL, as the caller promises.
    let (Some(c), Some(bit)) = (unsafe { c.as_ref() }, flag_bit(flag)) else { return false };
    c.flags.bit(bit)
}

/// Sets a bit field of a connection. Applications may set MGX_IS_DRAINING, MGX_IS_CLOSING, MGX_IS_FULL, MGX_IS_RESP and
/// MGX_IS_HEXDUMPING; for all others it returns false and does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_set_flag(c: *mut mg_connection, flag: c_int, on: bool) -> bool {
    use mgx_flag::*;
    let own = [MGX_IS_DRAINING, MGX_IS_CLOSING, MGX_IS_FULL, MGX_IS_RESP, MGX_IS_HEXDUMPING].iter().any(|f| *f as c_int == flag);
    // SAFETY: a connection or NULL, as the caller promises.
    let (Some(c), Some(bit), true) = (unsafe { c.as_mut() }, flag_bit(flag), own) else { return false };
    c.flags.set_bit(bit, on);
    true
}

/// Returns the number of bytes waiting to be sent. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_send_queue(c: *const mg_connection) -> usize {
    // SAFETY: a connection or NULL, as the caller promises.
    unsafe { c.as_ref() }.map_or(0, |c| c.send.len)
}

/// Returns `c->id`. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_id(c: *const mg_connection) -> c_ulong {
    // SAFETY: a connection or NULL, as the caller promises.
    unsafe { c.as_ref() }.map_or(0, |c| c.id)
}

/// Copies `text` to `buf`, truncated to `len` - 1 bytes and NUL-terminated. Returns the full length.
///
/// # Safety
/// `buf` is NULL or covers `len` bytes.
unsafe fn put_text(text: &str, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: guaranteed by the caller.
    let to = unsafe { bytes::slice_mut(buf.cast(), len) };
    if let Some(room) = to.len().checked_sub(1) {
        let n = text.len().min(room);
        to[..n].copy_from_slice(&text.as_bytes()[..n]);
        to[n] = 0;
    }
    text.len()
}

/// Writes the peer's address to `buf` as `1.2.3.4:80` or `[::1]:80`, truncated to `len` - 1 characters and NUL-terminated.
/// Returns the full length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_remote(c: *const mg_connection, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: a connection or NULL and a buffer, as the caller promises.
    unsafe { c.as_ref().map_or(0, |c| put_text(&address(&c.rem), buf, len)) }
}

/// Writes the local address to `buf` as `1.2.3.4:80` or `[::1]:80`, truncated to `len` - 1 characters and NUL-terminated. Returns
/// the full length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_local(c: *const mg_connection, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: a connection or NULL and a buffer, as the caller promises.
    unsafe { c.as_ref().map_or(0, |c| put_text(&address(&c.loc), buf, len)) }
}

fn address(a: &mg_addr) -> String {
    let port = u16::from_be(a.port);
    if a.is_ip6 {
        core::net::SocketAddrV6::new(a.ip().into(), port, 0, a.scope_id.into()).to_string()
    } else {
        let [a, b, c, d, ..] = a.ip();
        core::net::SocketAddrV4::new([a, b, c, d].into(), port).to_string()
    }
}

/// Like mg_http_reply, but sends a body of `body_len` arbitrary bytes. `headers` are header lines, each terminated by CR LF; NULL
/// for none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_reply(
    c: *mut mg_connection,
    status: c_int,
    headers: *const c_char,
    body: *const c_void,
    body_len: usize,
) {
    enter!(@maybe c);
    if !c.is_null() {
        // SAFETY: a connection, a C string and body_len bytes, as the caller promises.
        unsafe { reply::reply_bytes(ConnRef::new(c), status, bytes::cstr(headers), bytes::slice(body.cast(), body_len)) }
    }
}

/// Queues a WebSocket Close frame with a status code (1000 is a normal close, and replaces codes that RFC 6455 forbids to send) and
/// a reason of at most 123 bytes, NULL for none. The peer's response drains the connection. No effect if a Close frame was queued
/// before, or if the connection is not a WebSocket.
#[cfg(feature = "ws")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_ws_close(c: *mut mg_connection, code: c_int, reason: *const c_char) {
    enter!(@maybe c);
    if !c.is_null() {
        // SAFETY: a connection and a C string or NULL, as the caller promises.
        let (c, reason) = unsafe { (ConnRef::new(c), bytes::cstr(reason)) };
        if c.flags().is_websocket() {
            ws::send_close(c, if frames::is_code(code) { code as u16 } else { 1000 }, reason);
        }
    }
}

/// Like mg_error, with a plain message instead of a format.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_error(c: *mut mg_connection, message: *const c_char) {
    enter!(@maybe c);
    if !c.is_null() {
        // SAFETY: a connection and a C string or NULL, as the caller promises.
        unsafe {
            let mut text = [0; 64];
            let message = bytes::cstr(message);
            let n = message.len().min(63);
            text[..n].copy_from_slice(&message[..n]);
            event::error_text(ConnRef::new(c), &mut text);
        }
    }
}

/// Queues a C string for sending. Returns its length, or 0 if out of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_write(c: *mut mg_connection, text: *const c_char) -> usize {
    enter!(@maybe c, 0);
    if c.is_null() {
        return 0;
    }
    // SAFETY: a connection and a C string or NULL, as the caller promises.
    unsafe {
        let text = bytes::cstr(text);
        if output::send(ConnRef::new(c), text.as_ptr(), text.len()) { text.len() } else { 0 }
    }
}

/// Sets `mg_log_level`.
#[unsafe(no_mangle)]
pub extern "C" fn mgx_log_set(level: c_int) {
    crate::sys::log::set_level(level);
}

/// Returns `mg_log_level`.
#[unsafe(no_mangle)]
pub extern "C" fn mgx_log_get() -> c_int {
    crate::sys::log::level()
}

/// Returns the version of this library.
#[unsafe(no_mangle)]
pub extern "C" fn mgx_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Returns the version of the mg_* API that the library implements: "7.22".
#[unsafe(no_mangle)]
pub extern "C" fn mgx_api_version() -> *const c_char {
    c"7.22".as_ptr()
}

/// Sets the version of the running firmware for the whole process (MG_OTA_FIRMWARE_VERSION). mg_ota_url_check sends it to the server
/// and compares it with the offered version. Initially `1.0.0`, as for NULL and "". The string is copied. Returns false, without
/// effect, if it has more than 63 characters or contains anything but visible ASCII.
#[cfg(feature = "ota")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_ota_set_version(version: *const c_char) -> bool {
    // SAFETY: a C string or NULL, as the caller promises.
    ota::set_version(unsafe { bytes::cstr(version) })
}

/// Sets the trusted CA certificates, in PEM, for updates over https, for the whole process (MG_OTA_TLS_CA). They are copied. An empty
/// string removes them; https is then refused.
#[cfg(feature = "ota")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_ota_set_ca(pem: mg_str) {
    // SAFETY: readable bytes, as the caller promises.
    ota::set_ca(unsafe { pem.bytes() }, super::tls::mg_tls_init);
}

macro_rules! sizes {
    ($name:expr, $($t:ident)*) => {
        match $name {
            $(n if n == stringify!($t).as_bytes() => size_of::<$t>(),)*
            _ => 0,
        }
    };
}

/// Returns the size of a public struct by its name, for example "mg_connection"; 0 if unknown. Lets bindings verify their
/// layouts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_sizeof(struct_name: *const c_char) -> usize {
    // SAFETY: a C string or NULL, as the caller promises.
    sizes!(unsafe { bytes::cstr(struct_name) },
        mg_str mg_iobuf mg_addr mg_queue mg_timer mg_fs mg_fd mg_mem_file mg_md5_ctx mg_sha1_ctx mg_sha256_ctx mg_sha384_ctx mg_dns
        mg_pipe mg_mgr mg_connection mg_http_header mg_http_message mg_http_serve_opts mg_http_part mg_tls_opts mg_ws_message
        mg_mqtt_prop mg_mqtt_opts mg_mqtt_message mg_dns_message mg_dns_header mg_dns_rr mg_dnssd_record mg_mdns_req mg_mdns_resp
        mg_modbus_req mg_jwt_opts mg_rpc_req mg_rpc mg_field mg_dash_user mg_field_set mg_dash_custom_handler mg_dash mg_wifi_data
        mg_wifi_scan_bss_data mgx_options mgx_drain_opts mgx_mgr_drain_opts mgx_drain_status mgx_limits mgx_stats)
}
