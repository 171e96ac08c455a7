//! Firmware updates fetched by the device: first a JSON description of the newest image, then the image, if its version differs.
//! One check at a time per process.

use super::{http, upload};
use crate::abi::*;
use crate::ffi_util::bytes::cstr;
use crate::memory::atomic::{AtomicBool, Ordering};
use crate::memory::prelude::*;
use crate::net::conn::Client;
use crate::net::connect;
use crate::net::engine::Engine;
use crate::net::event::error;
use crate::net::handle::ConnRef;
use crate::net::list::list;
use crate::net::output;
use crate::platform::clock as time;
use crate::platform::thread::{Mutex, MutexGuard};
use crate::proto::http::{head::response_length, status};
use crate::proto::{json, url, urlcodec};
use crate::sys::log::log_error;
use alloc::ffi::CString;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

unsafe extern "C" {
    // By its C name: the application may define it.
    fn mg_ota_device_id(buf: *mut c_char, len: usize);
}

/// Fixed values of MG_OTA_FIRMWARE_VERSION (unless the application sets another), MG_OTA_PULL_INTERVAL_SECONDS and
/// MG_OTA_MAX_VERSION_LEN.
const VERSION: &str = "1.0.0";
const INTERVAL_SECONDS: u32 = 60;
const VERSION_SIZE: usize = 64;
const URL_SIZE: usize = 256;
/// MG_ARCH_UNIX.
const ARCH: u32 = 1;

const CONNECT_MS: u64 = 5000;
const IMAGE_MS: u64 = 300_000;

pub(crate) type Callback = Option<unsafe extern "C" fn(*const c_char)>;

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Metadata,
    Connecting,
    Image,
    /// The upload has the connection, also after its end, and calls `done`.
    Writing,
}

#[derive(Clone)]
struct Check {
    callback: Callback,
    /// The address of the manager, and the id of the active connection; 0 before it exists.
    mgr: usize,
    conn: u64,
    phase: Phase,
    deadline: u64,
    url: Vec<u8>,
    /// Bytes that the image must have.
    size: usize,
}

static CHECK: Mutex<Option<Check>> = Mutex::new(None);

/// Starts TLS: mg_tls_init. Applications that fetch no updates over https need not contain it.
pub(crate) type StartTls = unsafe extern "C" fn(*mut mg_connection, *const mg_tls_opts);

/// The running version, unless it is [`VERSION`], and the trusted CA.
struct Settings {
    version: Option<Vec<u8>>,
    trust: Option<(Vec<u8>, StartTls)>,
}

static SETTINGS: Mutex<Settings> = Mutex::new(Settings { version: None, trust: None });

fn settings() -> MutexGuard<'static, Settings> {
    SETTINGS.lock()
}

fn version() -> Vec<u8> {
    settings().version.clone().unwrap_or_else(|| VERSION.into())
}

/// See `mgx_ota_set_version`.
pub(crate) fn set_version(version: &[u8]) -> bool {
    // It becomes part of a request, and is compared with a version of at most this length.
    let good = version.len() < VERSION_SIZE && version.iter().all(u8::is_ascii_graphic);
    if good {
        settings().version = (!version.is_empty()).then(|| version.to_vec());
    }
    good
}

/// See `mgx_ota_set_ca`.
pub(crate) fn set_ca(pem: &[u8], start: StartTls) {
    settings().trust = (!pem.is_empty()).then(|| (pem.to_vec(), start));
}
/// A check is running. Tested in every poll.
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

/// Never held while the application is called.
fn check() -> MutexGuard<'static, Option<Check>> {
    CHECK.lock()
}

/// The check that this connection belongs to.
fn check_of(c: ConnRef) -> Option<Check> {
    check().clone().filter(|check| check.mgr == c.mgr() as usize && check.conn == c.id64())
}

fn tell(callback: Callback, message: Option<&CStr>) {
    match (callback, message) {
        // SAFETY: the application's function; the text lives for the length of the call.
        (Some(f), _) => unsafe { f(message.map_or(ptr::null(), CStr::as_ptr)) },
        (None, Some(text)) => log_error!("OTA: {}", text.to_string_lossy()),
        (None, None) => {}
    }
}

/// Ends the check that this connection belongs to, if any, and closes the connection.
fn end(c: ConnRef, message: Option<&CStr>) {
    let Some(Check { callback, .. }) = check_of(c) else { return };
    *check() = None;
    IS_RUNNING.store(false, Ordering::Relaxed);
    c.update(|f| f.set_closing(true));
    tell(callback, message);
}

fn text(bytes: &[u8]) -> CString {
    CString::new(bytes.split(|b| *b == 0).next().unwrap_or_default()).unwrap_or_default()
}

/// See `mg_ota_url_check`.
pub(crate) fn start(e: &Engine, metadata_url: &[u8], callback: Callback) {
    {
        let mut running = check();
        if running.is_some() {
            drop(running);
            return tell(callback, Some(c"OTA already in progress"));
        }
        let url = metadata_url.to_vec();
        *running = Some(Check { callback, mgr: e.mgr as usize, conn: 0, phase: Phase::Metadata, deadline: 0, url, size: 0 });
        IS_RUNNING.store(true, Ordering::Relaxed);
    }
    e.before_poll.set(Some(poll));
    // The application may free the manager when a failure is reported.
    e.enter();
    if let Err(message) = fetch(e, metadata_url) {
        *check() = None;
        IS_RUNNING.store(false, Ordering::Relaxed);
        tell(callback, Some(message));
    }
    e.exit();
}

/// Connects to the next server of the check, which has no connection now. On error the application has not been told yet.
fn fetch(e: &Engine, url: &[u8]) -> Result<(), &'static CStr> {
    if url::is_ssl(url) && settings().trust.is_none() {
        return Err(c"MG_OTA_TLS_CA is not configured");
    }
    let url = CString::new(url).ok().filter(|u| u.as_bytes().len() < URL_SIZE).ok_or(c"Failed to connect")?;
    http::introduce(Some(e));
    let client = Client {
        url: url.as_ptr(),
        handler: Some(handler),
        handler_data: ptr::null_mut(),
        pfn: Some(http::handler),
        pfn_data: ptr::null_mut(),
    };
    // SAFETY: a C string.
    unsafe { connect::connect(e, client) };
    // If the connection was opened, the check has already ended with it.
    let untouched = check().as_ref().is_some_and(|check| check.conn == 0 && check.mgr == e.mgr as usize);
    if untouched { Err(c"Failed to connect") } else { Ok(()) }
}

/// Occupies `c->fn`.
///
/// # Safety
/// `c` is the connection the event is for; `ev_data` fits the event.
unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a callback open, or by the application for a connection of its own.
    let c = unsafe { ConnRef::new(c) };
    if ev == MG_EV_OPEN {
        return adopt(c);
    }
    let Some(now) = check_of(c) else { return };
    // SAFETY: what these events carry.
    unsafe {
        match (ev, now.phase) {
            (MG_EV_CONNECT, _) => connected(c, &now),
            (MG_EV_HTTP_HDRS, Phase::Image) => image(c, &*ev_data.cast(), &now),
            (MG_EV_HTTP_MSG, Phase::Metadata) => metadata(c, &*ev_data.cast()),
            (MG_EV_ERROR, _) => end(c, Some(&text(cstr(ev_data.cast())))),
            (MG_EV_CLOSE, _) => end(c, Some(c"connection closed")),
            _ => {}
        }
    }
}

/// Records the connection opened by `fetch`.
fn adopt(c: ConnRef) {
    if let Some(check) = check().as_mut().filter(|check| check.conn == 0 && check.mgr == c.mgr() as usize) {
        check.conn = c.id64();
        set_deadline(c, check, CONNECT_MS);
    }
}

fn set_deadline(c: ConnRef, check: &mut Check, ms: u64) {
    check.deadline = time::millis().saturating_add(ms);
    if let (Some(e), Some(rec)) = (c.engine(), c.rec()) {
        e.set_alarm(rec, check.deadline);
    }
}

/// Starts TLS and requires the certificate to match the URL. False if the failure was already handled.
fn secure(c: ConnRef, url: &[u8]) -> bool {
    let trust = settings().trust.clone();
    let Some((mut ca, start)) = trust else {
        end(c, Some(c"MG_OTA_TLS_CA is not configured"));
        return false;
    };
    let mut name = url::host(url).to_vec();
    let view = |s: &mut Vec<u8>| mg_str { buf: s.as_mut_ptr().cast(), len: s.len() };
    let options =
        mg_tls_opts { ca: view(&mut ca), cert: mg_str::NULL, key: mg_str::NULL, name: view(&mut name), skip_verification: false };
    // SAFETY: a connection, and options that live as long as the call.
    unsafe { start(c.as_ptr(), &options) };
    check_of(c).is_some() && !c.is_closed()
}

fn connected(c: ConnRef, now: &Check) {
    if url::is_ssl(&now.url) && !secure(c, &now.url) {
        return;
    }
    let mut uri = url::uri(&now.url).unwrap_or(b"/").to_vec();
    if now.phase == Phase::Metadata {
        let mut id = [0u8; 128];
        // SAFETY: a buffer of its own size, whose last byte stays 0.
        unsafe { mg_ota_device_id(id.as_mut_ptr().cast(), id.len() - 1) };
        if check_of(c).is_none() || c.is_closed() {
            return;
        }
        let id = id.split(|b| *b == 0).next().unwrap_or_default();
        let separator = if uri.contains(&b'?') { '&' } else { '?' };
        uri.extend(format!("{separator}arch={ARCH}&version=").bytes());
        uri.extend(encoded(&version()));
        uri.extend(b"&id=");
        uri.extend(encoded(id));
        uri.extend(format!("&interval={INTERVAL_SECONDS}&boot={MG_OTA_CONFIRMED}").bytes());
    } else if let Some(check) = check().as_mut() {
        check.phase = Phase::Image;
        set_deadline(c, check, IMAGE_MS);
    }
    let port = match url::port(&now.url) {
        443 if url::is_ssl(&now.url) => String::new(),
        80 if !url::is_ssl(&now.url) => String::new(),
        port => format!(":{port}"),
    };
    let parts: [&[u8]; 6] =
        [b"GET ", &uri, b" HTTP/1.1\r\nHost: ", url::host(&now.url), port.as_bytes(), b"\r\nConnection: close\r\n\r\n"];
    if !output::append_parts(c, &parts) {
        end(c, Some(c"Out of memory"));
    }
}

fn encoded(text: &[u8]) -> Vec<u8> {
    let mut coded = vec![0; text.len() * 3 + 8];
    let n = urlcodec::encode(text, &mut coded).unwrap_or(0);
    coded.truncate(n);
    coded
}

struct Metadata {
    version: Vec<u8>,
    url: Vec<u8>,
    size: usize,
}

/// A string of at most `size - 1` bytes.
fn string(body: &[u8], path: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut value = vec![0; size];
    match json::unescape(json::text(body, path)?, &mut value, json::Escapes::Utf8) {
        json::Unescape::Done(n) => value.truncate(n),
        _ => return None,
    }
    Some(value).filter(|v| !v.is_empty())
}

/// # Safety
/// The views in `hm` are readable.
unsafe fn parse(hm: &mg_http_message) -> Option<Metadata> {
    // SAFETY: guaranteed by the caller.
    let (code, body, length) = unsafe { (status(hm.uri.bytes()), hm.body.bytes(), hm.header(b"Content-Length")) };
    // The connection may have closed too early.
    if code != 200 || length.is_some_and(|v| response_length(v) != Some(body.len())) {
        return None;
    }
    let url = string(body, b"$.url", URL_SIZE)?;
    // It becomes part of a request.
    let is_plain = url.iter().all(|b| b.is_ascii_graphic());
    let size = json::integer_at(body, b"$.size").filter(|n| *n >= 1)?.try_into().ok()?;
    Some(Metadata { version: string(body, b"$.version", VERSION_SIZE)?, url, size }).filter(|_| is_plain)
}

/// # Safety
/// The views in `hm` are readable.
unsafe fn metadata(c: ConnRef, hm: &mg_http_message) {
    // SAFETY: guaranteed by the caller.
    let (found, body) = unsafe { (parse(hm), hm.body.bytes()) };
    let Some(found) = found else {
        let message = text(&[b"Bad metadata: ", &body[..body.len().min(99)]].concat());
        let cut = message.as_bytes().len().min(99);
        return end(c, Some(&text(&message.as_bytes()[..cut])));
    };
    if found.version == version() {
        return end(c, Some(c"Same version"));
    }
    let Some(e) = c.engine() else { return };
    if let Some(check) = check().as_mut() {
        (check.conn, check.phase, check.url, check.size) = (0, Phase::Connecting, found.url.clone(), found.size);
    }
    c.update(|f| f.set_closing(true));
    if let Err(message) = fetch(e, &found.url) {
        if let Some(check) = check().as_mut() {
            check.conn = c.id64();
        }
        end(c, Some(message));
    }
}

/// # Safety
/// `hm` is a parsed message.
unsafe fn image(c: ConnRef, hm: &mg_http_message, now: &Check) {
    // SAFETY: guaranteed by the caller.
    let code = unsafe { status(hm.uri.bytes()) };
    if code != 200 || hm.body.len != now.size {
        let message = format!("Bad HTTP response: status {code}, size {} vs {}", hm.body.len, now.size);
        return end(c, Some(&text(message.as_bytes())));
    }
    // SAFETY: guaranteed by the caller.
    let body = unsafe { upload::Body::of(c, hm) };
    if let Some(check) = check().as_mut() {
        check.phase = Phase::Writing;
    }
    upload::start_firmware(c, body, Some(done));
}

/// Called when the image was written, or failed.
///
/// # Safety
/// `c` is the image's connection; `message` is NULL or a C string.
unsafe extern "C" fn done(c: *mut mg_connection, message: *const c_char) {
    // SAFETY: the caller's connection and text, which is copied.
    unsafe {
        let message = if message.is_null() { None } else { Some(text(cstr(message))) };
        end(ConnRef::new(c), message.as_deref());
    }
}

/// See `mg_ota_poll`. False if the application freed the manager during the call.
pub(crate) fn poll(e: &Engine) -> bool {
    if !IS_RUNNING.load(Ordering::Relaxed) {
        return true;
    }
    let Some(now) = check().clone().filter(|check| check.mgr == e.mgr as usize && check.conn != 0) else { return true };
    e.enter();
    match list(e).find(|c| c.id64() == now.conn) {
        Some(c) if time::millis() >= now.deadline => {
            let message = if now.phase == Phase::Metadata { "Metadata timeout" } else { "OTA timeout" };
            error(c, format_args!("{message}"));
            // In case the application has replaced the connection's handler.
            end(c, Some(&text(message.as_bytes())));
        }
        Some(_) => {}
        None if now.phase == Phase::Writing => {}
        // The connection disappeared without an event.
        None => {
            *check() = None;
            IS_RUNNING.store(false, Ordering::Relaxed);
            tell(now.callback, Some(c"connection closed"));
        }
    }
    let alive = !e.is_dead();
    e.exit();
    alive
}
