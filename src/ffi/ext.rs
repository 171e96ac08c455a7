//! The extension API.

use crate::abi::*;
use crate::ffi_util::{bytes, heap};
use crate::handler::{drain, limits, ota, reply, ws};
use crate::net::engine::{Engine, Options};
use crate::net::handle::ConnRef;
use crate::net::{conn, event, mailbox, no_poll, output};
use crate::proto::ws as frames;
use core::ffi::{c_char, c_int, c_ulong, c_void};
use core::sync::atomic::Ordering;

/// Settings that are compile-time switches in the mg_* API. Zero-initialise: 0 in a member means the library's default.
#[repr(C)]
pub struct mgx_options {
    /// MG_MAX_RECV_SIZE: most bytes of a receive buffer.
    pub max_recv_size: usize,
    /// MG_IO_SIZE: size and growth step of buffers; not below 1024.
    pub io_size: usize,
    /// MG_SOCK_LISTEN_BACKLOG_SIZE.
    pub listen_backlog: c_int,
    /// MG_IPV6_V6ONLY.
    pub v6only: bool,
    /// MG_ENABLE_DIRLIST 0: directories without an index page are not listed.
    pub no_dirlist: bool,
    /// MG_TLS_SSLKEYLOGFILE: write TLS secrets to the file that the environment variable SSLKEYLOGFILE names.
    pub tls_keylog: bool,
    /// Uploads and mg_file_write do not wait until a finished file is on the disk. Files belong to no manager: the last call of
    /// mgx_mgr_options counts for the whole process. Here, where there was no member, so that the rest stays where it was.
    pub no_fsync: bool,
    /// MG_HTTP_INDEX: the name of index pages. Copied.
    pub http_index: *const c_char,
}

/// A head that is of any use fits.
const LEAST_IO_SIZE: usize = 1024;

/// Sets what is otherwise decided when the library is built. Call it after mg_mgr_init; it holds for what is opened or read from
/// then on. NULL pointers have no effect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_options(mgr: *mut mg_mgr, opts: *const mgx_options) {
    // SAFETY: a manager and options or NULL, as the caller promises.
    let (Some(e), Some(o)) = (unsafe { (Engine::enter_mgr(mgr), opts.as_ref()) }) else { return };
    let or = |n: usize, default| if n == 0 { default } else { n };
    let defaults = Options::default();
    crate::platform::files::set_sync(!o.no_fsync);
    e.io_size.store(or(o.io_size, MG_IO_SIZE).max(LEAST_IO_SIZE), Ordering::Relaxed);
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

/// Makes WebSocket servers and clients of this manager follow RFC 6455 to the letter, from now on: clients must mask their
/// frames, lengths must be in their shortest form, both sides of the handshake are checked in full, and the Host header names the
/// port. Off at the start, because applications written for the mg_* API live with peers that are not so exact. Text must be
/// UTF-8 unless this was called with false (or mgx_mgr_compat with true): whoever sends other text is disconnected with code
/// 1007.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_ws_strict(mgr: *mut mg_mgr, on: bool) {
    // SAFETY: a manager or NULL, as the caller promises.
    if let Some(e) = unsafe { Engine::of(mgr) } {
        e.ws_strict.set(on);
        e.ws_any_text.set(!on);
    }
}

/// Whether mg_mgr_init succeeded, and mg_mgr_free was not called since. It fails when the process or the system has no descriptors
/// or memory left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_ok(mgr: *const mg_mgr) -> bool {
    // SAFETY: a manager or NULL, as the caller promises.
    unsafe { Engine::of(mgr.cast_mut()) }.is_some()
}

/// Limits for a server that strangers can reach: mgx_mgr_limits(&mgr, mgx_limits_public()). Nobody occupies it with slow heads
/// (10 s) or bodies (30 s without progress), with answers that are not read (60 s), with idle connections (60 s), with many (10,000;
/// 1000 from one address), or with large heads (16 KiB) and WebSocket messages (3 MiB). Bodies may be as long as MG_MAX_RECV_SIZE
/// allows, and uploads to files longer. To differ, copy the struct and change members; behind a reverse proxy, which is one address,
/// set max_conns_per_ip to 0, and for WebSocket or MQTT peers that may be silent, idle_timeout_ms.
#[unsafe(no_mangle)]
pub extern "C" fn mgx_limits_public() -> *const mgx_limits {
    &limits::PUBLIC
}

/// Sets limits and time-outs, all off until then; they hold from the next poll on. Copied. NULL pointers have no effect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_limits(mgr: *mut mg_mgr, limits: *const mgx_limits) {
    // SAFETY: a manager and limits or NULL, as the caller promises.
    if let (Some(e), Some(l)) = unsafe { (Engine::enter_mgr(mgr), limits.as_ref()) } {
        limits::set(&e, *l);
    }
}

/// Fills `*stats` with the manager's counters.
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

/// Switches MG_EV_POLL of one connection off, or on again. Without it, a connection costs a poll nothing while nothing happens on
/// it, so that a poll costs what is ready and not what is open. Output queued by mg_send and the like, mgx_conn_drain and
/// mgx_conn_close take effect at once as ever; flags of such a connection that are written directly from elsewhere, and output
/// written straight into c->send, are noticed within 100 ms or at the end of the current wait.
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

/// Sets SO_REUSEPORT on listeners opened from now on: several managers, in threads or processes of their own, share one port.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_listen_reuseport(mgr: *mut mg_mgr, on: bool) -> bool {
    // SAFETY: a manager or NULL, as the caller promises.
    unsafe { Engine::of(mgr) }.inspect(|e| e.reuseport.set(on)).is_some()
}

/// The socket of a listener, to hand it to a successor process; -1 for anything else. It stays the library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_listener_fd(c: *const mg_connection) -> c_int {
    // SAFETY: a connection or NULL, as the caller promises.
    let c = if c.is_null() { None } else { Some(unsafe { ConnRef::new(c.cast_mut()) }) };
    c.filter(|c| c.flags().is_listening()).map_or(-1, ConnRef::fd)
}

/// Adopts a socket that is bound, and listening if it is a stream: from systemd socket activation or from a predecessor process.
/// It may be a Unix stream socket, whose file is left alone. It is the manager's from then on. `url` tells the scheme only (`http:`, `https:`); to serve HTTP, set the handler as
/// mg_http_listen would: with a URL of scheme `http:`, `https:`, `ws:` or `wss:` this is done here. NULL when `fd` is no such
/// socket; it then stays the caller's.
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

/// Ends the wait of mg_mgr_poll. From any thread or signal handler. False for a manager that is not initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_wakeup_mgr(mgr: *mut mg_mgr) -> bool {
    // SAFETY: a manager or NULL, as the caller promises.
    !mgr.is_null() && unsafe { drain::wake_mgr(mgr) }
}

/// Queues output on the connection with this id, from any thread or signal handler; it is sent by the polling thread. Output of
/// one thread stays in order. False when 64 MiB wait already, or the manager is not initialised. Output for a connection that is
/// gone is dropped.
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

/// A manager on the heap, initialised. NULL when out of memory. Free it with mgx_mgr_delete.
#[unsafe(no_mangle)]
pub extern "C" fn mgx_mgr_new() -> *mut mg_mgr {
    let mgr: *mut mg_mgr = heap::new_zeroed();
    if !mgr.is_null() {
        // SAFETY: room for a manager.
        unsafe { super::net::init(mgr) };
    }
    mgr
}

/// mg_mgr_free for a manager of mgx_mgr_new, and frees its memory. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_delete(mgr: *mut mg_mgr) {
    // SAFETY: a manager of mgx_mgr_new or NULL, as the caller promises.
    unsafe {
        super::net::mg_mgr_free(mgr);
        heap::free(mgr.cast());
    }
}

/// c->fn_data; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_user_data(c: *const mg_connection) -> *mut c_void {
    // SAFETY: a connection or NULL, as the caller promises.
    unsafe { c.as_ref() }.map_or(core::ptr::null_mut(), |c| c.fn_data)
}

/// Sets c->fn_data.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_set_user_data(c: *mut mg_connection, data: *mut c_void) {
    if !c.is_null() {
        // SAFETY: a connection, as the caller promises.
        unsafe { (*c).fn_data = data };
    }
}

/// The bit of a flag in the word of bit fields; dscp comes before the flags. None for a number that is no flag.
fn flag_bit(flag: c_int) -> Option<u32> {
    (0..=mgx_flag::MGX_IS_WRITABLE as c_int).contains(&flag).then(|| flag as u32 + 6)
}

/// One of the bit fields. False for NULL and for unknown flags.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_flag(c: *const mg_connection, flag: c_int) -> bool {
    // SAFETY: a connection or NULL, as the caller promises.
    let (Some(c), Some(bit)) = (unsafe { c.as_ref() }, flag_bit(flag)) else { return false };
    c.flags.bit(bit)
}

/// Sets one of the bit fields that applications may set: MGX_IS_DRAINING, MGX_IS_CLOSING, MGX_IS_FULL, MGX_IS_RESP,
/// MGX_IS_HEXDUMPING. False, without effect, for the others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_set_flag(c: *mut mg_connection, flag: c_int, on: bool) -> bool {
    use mgx_flag::*;
    let own = [MGX_IS_DRAINING, MGX_IS_CLOSING, MGX_IS_FULL, MGX_IS_RESP, MGX_IS_HEXDUMPING].iter().any(|f| *f as c_int == flag);
    // SAFETY: a connection or NULL, as the caller promises.
    let (Some(c), Some(bit), true) = (unsafe { c.as_mut() }, flag_bit(flag), own) else { return false };
    c.flags.set_bit(bit, on);
    true
}

/// Bytes waiting to be sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_send_queue(c: *const mg_connection) -> usize {
    // SAFETY: a connection or NULL, as the caller promises.
    unsafe { c.as_ref() }.map_or(0, |c| c.send.len)
}

/// c->id; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_id(c: *const mg_connection) -> c_ulong {
    // SAFETY: a connection or NULL, as the caller promises.
    unsafe { c.as_ref() }.map_or(0, |c| c.id)
}

/// Writes `text` into `buf`, cut to its size and NUL-terminated. Returns the full length.
///
/// # Safety
/// `buf` is NULL or covers `len` bytes.
unsafe fn put_text(text: &str, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: passed on to the caller.
    let to = unsafe { bytes::slice_mut(buf.cast(), len) };
    if let Some(room) = to.len().checked_sub(1) {
        let n = text.len().min(room);
        to[..n].copy_from_slice(&text.as_bytes()[..n]);
        to[n] = 0;
    }
    text.len()
}

/// Writes the peer's address, as `1.2.3.4:80` or `[::1]:80`, into `buf`, cut to `len` - 1 characters and NUL-terminated. Returns
/// the full length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_remote(c: *const mg_connection, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: a connection or NULL and a buffer, as the caller promises.
    unsafe { c.as_ref().map_or(0, |c| put_text(&address(&c.rem), buf, len)) }
}

/// The same for the local address.
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

/// As mg_http_reply, with a body of `body_len` bytes of any kind. `headers` NULL: none.
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

/// Queues a WebSocket Close frame with a status code (1000 for a normal end, and for a code that RFC 6455 lets nobody send) and a
/// reason of at most 123 bytes, NULL for none. The peer's answer drains the connection. Does nothing when a Close frame was queued
/// before, and to what is no WebSocket.
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

/// As mg_error, with a message that is no format.
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

/// Queues a C string. Returns its length, or 0 when out of memory.
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

/// Sets mg_log_level.
#[unsafe(no_mangle)]
pub extern "C" fn mgx_log_set(level: c_int) {
    crate::sys::log::set_level(level);
}

/// mg_log_level.
#[unsafe(no_mangle)]
pub extern "C" fn mgx_log_get() -> c_int {
    crate::sys::log::level()
}

/// This library's own version.
#[unsafe(no_mangle)]
pub extern "C" fn mgx_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The version of the mg_* API that the library offers: "7.22".
#[unsafe(no_mangle)]
pub extern "C" fn mgx_api_version() -> *const c_char {
    c"7.22".as_ptr()
}

/// Sets the version of the firmware that is running, which mg_ota_url_check tells the server and compares with what it offers:
/// MG_OTA_FIRMWARE_VERSION, `1.0.0` at the start and for NULL and "". Copied. False, without effect, for more than 63 characters, or
/// others than visible ones of ASCII. It counts for the whole process.
#[cfg(feature = "ota")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_ota_set_version(version: *const c_char) -> bool {
    // SAFETY: a C string or NULL, as the caller promises.
    ota::set_version(unsafe { bytes::cstr(version) })
}

/// Sets the certificates, in PEM, one of which must have issued that of the server, for updates by https: MG_OTA_TLS_CA. Copied;
/// an empty string takes them away, and https is refused again. It counts for the whole process.
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

/// The size of a public struct, by its name ("mg_connection"); 0 when unknown. A binding checks its own layouts with it.
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
