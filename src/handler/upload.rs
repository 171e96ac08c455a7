//! Uploads: request bodies that become files, all at once, in pieces of several requests, or as they arrive. Firmware updates
//! arrive in the same way.

use super::{http, reply};
use crate::abi::*;
use crate::guard::bytes::cstr;
use crate::guard::iobuf;
use crate::net::event::{call_count, call_user};
use crate::net::handle::Conn;
use crate::proto::http::chunked::{Scan, Scanner};
use crate::proto::{path::is_sane, urlcodec};
use crate::sys::fs::{self, Failure, Fs, NewFile};
use crate::sys::fs_posix::{self, Fence};
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::ptr;
use std::ffi::CString;

unsafe extern "C" {
    // By their C names: a program may define them itself.
    fn mg_ota_begin(size: usize) -> bool;
    fn mg_ota_write(buf: *const c_void, len: usize) -> bool;
    fn mg_ota_end() -> bool;
}

// ---- one request for each piece

/// A value of the query, decoded.
fn variable(query: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let value = urlcodec::var(query, name)?;
    let mut decoded = vec![0; value.len() + 1];
    let n = urlcodec::decode(value, &mut decoded, true).ok()?;
    decoded.truncate(n);
    Some(decoded)
}

/// As strtol with base 0 reads it; 0 when there is no number.
fn number(text: Option<Vec<u8>>) -> c_long {
    let text = CString::new(text.unwrap_or_default()).unwrap_or_default();
    // SAFETY: a C string.
    unsafe { libc::strtol(text.as_ptr(), ptr::null_mut(), 0) }
}

/// See `mg_http_upload`.
///
/// # Safety
/// `hm` is a parsed message.
pub(crate) unsafe fn upload(c: Conn, hm: *const mg_http_message, fs: Fs, dir: &[u8], max_size: usize) -> c_long {
    // SAFETY: as the caller promises. The body is copied: file systems of the program may change `c->recv`.
    let (query, body) = unsafe { ((*hm).query.bytes(), (*hm).body.bytes().to_vec()) };
    let (code, text, result) = match store(query, &body, fs, dir, max_size) {
        Ok(size) => (200, size.to_string().into_bytes(), size),
        Err((code, text, result)) => (code, text, result),
    };
    reply::text(c, code, b"", &text, false);
    result
}

/// Whether a file is to be in `dir`, not where a symbolic link in its name leads.
fn is_inside(fs: Fs, dir: &[u8], path: &[u8]) -> bool {
    let parent = &path[..memchr::memrchr(b'/', path).unwrap_or(0)];
    // SAFETY: an Fs points at a file system.
    !unsafe { fs_posix::is_native(fs.as_ptr()) } || parent == dir || Fence(&[dir]).holds(parent)
}

type Refused = (c_int, Vec<u8>, c_long);

/// Stores one piece. The new size of the file, or status, text and result of the refusal.
fn store(query: &[u8], body: &[u8], fs: Fs, dir: &[u8], max_size: usize) -> Result<c_long, Refused> {
    if body.is_empty() {
        return Ok(0);
    }
    let name = variable(query, b"file").filter(|name| !name.is_empty()).ok_or((400, b"file required".to_vec(), -1))?;
    if name.contains(&0) || !is_sane(&name) {
        return Err((400, [&name, &b": invalid file"[..]].concat(), -2));
    }
    let Ok(offset) = usize::try_from(number(variable(query, b"offset"))) else {
        return Err((400, b"offset required".to_vec(), -3));
    };
    let path = [dir, b"/", &name].concat();
    let said = |text: String| [&path, text.as_bytes()].concat();
    let size = offset.checked_add(body.len()).filter(|n| *n <= max_size && c_long::try_from(*n).is_ok());
    let Some(size) = size else { return Err((400, said(format!(": over max size of {max_size}")), -4)) };
    let not_open = || (400, [b"open(", &path[..], b")"].concat(), -6);
    let c_path = CString::new(&path[..]).map_err(|_| not_open())?;
    let (flags, now, _) = fs.status(&c_path).unwrap_or_default();
    if offset > 0 && now != offset {
        return Err((400, said(": offset mismatch".into()), -5));
    }
    if flags & MG_FS_DIR != 0 || !is_inside(fs, dir, &path) {
        return Err(not_open());
    }
    let stored = if offset == 0 { fs::write(fs, &c_path, body) } else { append(fs, &c_path, offset, body) };
    match stored {
        Ok(()) => Ok(size as c_long),
        Err(Failure::Open) => Err(not_open()),
        Err(Failure::Write) => Err((500, said(": write error".into()), -7)),
    }
}

fn append(fs: Fs, path: &CStr, offset: usize, body: &[u8]) -> Result<(), Failure> {
    let file = fs.open(path, MG_FS_WRITE).ok_or(Failure::Open)?;
    if file.write(body) == body.len() {
        return Ok(());
    }
    // SAFETY: an Fs points at a file system.
    if unsafe { fs_posix::is_native(fs.as_ptr()) } {
        // The client may try this piece again.
        fs_posix::truncate(file.fd, offset as u64);
    }
    Err(Failure::Write)
}

// ---- one request, written as it arrives

pub(crate) type Callback = Option<unsafe extern "C" fn(*mut mg_connection, *const c_char)>;

enum Sink {
    File(NewFile),
    Firmware,
}

impl Sink {
    fn write(&self, data: &[u8]) -> bool {
        match self {
            _ if data.is_empty() => true,
            Sink::File(file) => file.write(data),
            // SAFETY: data is readable.
            Sink::Firmware => unsafe { mg_ota_write(data.as_ptr().cast(), data.len()) },
        }
    }

    fn finish(self) -> Result<(), &'static CStr> {
        match self {
            Sink::File(file) => file.finish().then_some(()).ok_or(c"write error"),
            // SAFETY: no conditions.
            Sink::Firmware => unsafe { mg_ota_end() }.then_some(()).ok_or(c"OTA finalize failed"),
        }
    }

    fn abandon(self) {
        match self {
            Sink::File(file) => drop(file),
            // SAFETY: no conditions. The update has failed, whatever this says.
            Sink::Firmware => _ = unsafe { mg_ota_end() },
        }
    }
}

enum Rest {
    Bytes(usize),
    Chunks(Scanner),
}

/// What the record of a connection keeps while its body is written.
struct Upload {
    sink: Sink,
    rest: Rest,
    /// `c->fn` of the program, and what it wants to be called at the end.
    handler: mg_event_handler_t,
    callback: Callback,
}

/// Flash memory is written in blocks of this size.
const BLOCK: usize = 512;

/// See `mg_http_start_upload`.
///
/// # Safety
/// `hm` is a parsed message.
pub(crate) unsafe fn start_file(c: Conn, hm: *const mg_http_message, name: &[u8], dir: &[u8], fs: Fs, callback: Callback) {
    if name.is_empty() || name.contains(&0) || name.ends_with(b"/") || !is_sane(name) {
        return refuse(c, callback, c"bad name");
    }
    let path = CString::new([dir, b"/", name].concat()).ok();
    let path = path.filter(|p| fs.status(p).is_none_or(|(flags, ..)| flags & MG_FS_DIR == 0) && is_inside(fs, dir, p.to_bytes()));
    match path.and_then(|p| NewFile::create(fs, &p)) {
        // SAFETY: passed on to the caller.
        Some(file) => unsafe { install(c, hm, Sink::File(file), callback, c"open failed") },
        None => refuse(c, callback, c"open failed"),
    }
}

/// See `mg_http_start_ota`.
///
/// # Safety
/// `hm` is a parsed message.
pub(crate) unsafe fn start_firmware(c: Conn, hm: *const mg_http_message, callback: Callback) {
    // SAFETY: passed on to the caller.
    unsafe {
        if mg_ota_begin((*hm).body.len) {
            install(c, hm, Sink::Firmware, callback, c"ota begin failed");
        } else {
            refuse(c, callback, c"ota begin failed");
        }
    }
}

/// Tells the program, or the client, how it ended; NULL for well.
fn tell(c: Conn, callback: Callback, message: *const c_char) {
    match callback {
        // SAFETY: the program's function.
        Some(f) => unsafe { f(c.as_ptr(), message) },
        None if c.is_closed() || c.flags().is_client() => {}
        None if message.is_null() => reply::text(c, 200, b"", b"ok\n", false),
        // SAFETY: a C string.
        None => reply::text(c, 500, b"", &[unsafe { cstr(message) }, b"\n"].concat(), false),
    }
}

/// Nothing has changed yet: the connection goes on as it was, unless nobody but us answers.
fn refuse(c: Conn, callback: Callback, message: &CStr) {
    tell(c, callback, message.as_ptr());
    if callback.is_none() {
        c.update(|f| f.set_draining(true));
    }
}

/// Takes the body away from the HTTP handler, which sees that the buffer has changed. What has arrived of it is taken in the event
/// that is being delivered: it reaches `c->fn` next.
///
/// # Safety
/// `hm` is a parsed message.
unsafe fn install(c: Conn, hm: *const mg_http_message, sink: Sink, callback: Callback, failure: &CStr) {
    let Some(rec) = c.rec() else {
        sink.abandon();
        return refuse(c, callback, failure);
    };
    // SAFETY: as the caller promises; the connection's own buffer.
    unsafe {
        let hm = &*hm;
        // The header may stand behind those that the program sees.
        let named = hm.header(b"Transfer-Encoding").is_some_and(|v| v.eq_ignore_ascii_case(b"chunked"));
        let chunked = named || rec.http.dispatching.get() && rec.http.chunked.get();
        let rest = if chunked { Rest::Chunks(Scanner::new()) } else { Rest::Bytes(hm.body.len) };
        // Requests in front of this one have been handled.
        let before = (hm.head.buf as usize).wrapping_sub(c.recv_info().buf as usize);
        let before = if before <= c.recv_len() { before } else { 0 };
        iobuf::del(c.recv(), 0, before + hm.head.len);
        rec.task.set(Some(Box::new(Upload { sink, rest, handler: c.handler(), callback })));
    }
    c.set_handler(Some(handler));
    c.set_pfn(None);
    c.set_pfn_data(ptr::null_mut());
}

/// Sits in `c->fn` until the body is complete.
///
/// # Safety
/// `c` is the connection the event is for; `ev_data` fits the event.
unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a frame open, or by the program for a connection of its own.
    let c = unsafe { Conn::new(c) };
    match ev {
        MG_EV_READ | MG_EV_POLL => take(c),
        MG_EV_ERROR => {
            // SAFETY: MG_EV_ERROR carries a C string; it is copied, because the program may call mg_error again.
            let message = unsafe { cstr(ev_data.cast()) }.to_vec();
            end(c, Err(&CString::new(message).unwrap_or_default()));
        }
        MG_EV_CLOSE => {
            take(c);
            end(c, Err(c"connection closed"));
            // The program's handler has its place again.
            if c.handler().is_some_and(|f| !ptr::fn_addr_eq(f, handler as unsafe extern "C" fn(_, _, _))) {
                call_user(c, ev, ev_data);
            }
        }
        DRAIN => {
            let Some((upload, rec)) = state(c).zip(c.rec()) else { return };
            let own = upload.handler;
            rec.task.set(Some(upload));
            if let Some(f) = own {
                // SAFETY: the program's handler; it may change the terms of the drain.
                unsafe { f(c.as_ptr(), ev, ev_data) };
            }
        }
        _ => {}
    }
}

const DRAIN: c_int = mgx_event::MGX_EV_DRAIN as c_int;

/// The state of the upload, out of the record.
fn state(c: Conn) -> Option<Box<Upload>> {
    let task = c.rec()?.task.take()?;
    task.downcast::<Upload>().ok()
}

/// Writes what has arrived.
fn take(c: Conn) {
    let Some(mut upload) = state(c) else { return };
    // SAFETY: the connection's own data, copied: what writes it may be the program's.
    let arrived = unsafe { c.recv_info().data() };
    let mut data = Vec::new();
    let (used, result) = match &mut upload.rest {
        Rest::Bytes(left) => {
            let n = arrived.len().min(*left);
            let n = if n < *left { n - n % BLOCK } else { n };
            data.extend_from_slice(&arrived[..n]);
            *left -= n;
            (n, if *left == 0 { Scan::Complete { consumed: n, decoded: n } } else { Scan::NeedMore })
        }
        Rest::Chunks(scanner) => {
            let result = scanner.scan_with(arrived, |part| data.extend_from_slice(part));
            (scanner.advance(), result)
        }
    };
    // SAFETY: the connection's own buffer.
    unsafe { iobuf::del(c.recv(), 0, used) };
    let written = upload.sink.write(&data);
    if c.is_closed() && c.rec().is_none() {
        return upload.sink.abandon();
    }
    if let Some(rec) = c.rec() {
        rec.task.set(Some(upload));
    }
    match result {
        _ if !written => end(c, Err(c"write error")),
        Scan::Invalid => end(c, Err(c"Invalid chunk")),
        Scan::Complete { .. } => end(c, Ok(())),
        Scan::NeedMore => {}
    }
}

/// Gives the connection back and tells how it went. Does nothing the second time.
fn end(c: Conn, result: Result<(), &CStr>) {
    let Some(upload) = state(c) else { return };
    let Upload { sink, handler: own, callback, .. } = *upload;
    let result = match result {
        Ok(()) => sink.finish(),
        Err(_) => {
            sink.abandon();
            result
        }
    };
    if c.handler().is_some_and(|f| ptr::fn_addr_eq(f, handler as unsafe extern "C" fn(_, _, _))) {
        c.set_handler(own);
        if c.pfn().is_none() {
            c.set_pfn(Some(http::handler));
        }
    }
    tell(c, callback, result.map_or_else(CStr::as_ptr, |()| ptr::null()));
    if c.is_closed() {
        return;
    }
    if result.is_err() {
        // The rest of the body is no request.
        c.update(|f| f.set_draining(true));
    }
    let flags = c.flags();
    if c.recv_len() > 0 && !flags.is_resp() && !flags.is_draining() && !flags.is_closing() {
        call_count(c, MG_EV_READ, 0);
    }
}
