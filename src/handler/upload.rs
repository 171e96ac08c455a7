//! Uploads: request bodies stored as files, at once, in pieces over several requests, or while they arrive. Firmware updates work
//! the same way.

use super::{http, reply};
use crate::abi::*;
use crate::ffi_util::bytes::{self, cstr};
use crate::ffi_util::iobuf;
use crate::memory;
use crate::memory::prelude::*;
use crate::net::engine::{CloseAfter, Phase};
use crate::net::event::{call_count, call_user, error};
use crate::net::handle::ConnRef;
use crate::platform::files::{self, ConfinedRoot};
use crate::proto::http::chunked::{Scan, Scanner};
use crate::proto::{path::is_sane, urlcodec};
use crate::sys::fs::{self, Failure, Fs, NewFile};
use alloc::ffi::CString;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::ptr;

unsafe extern "C" {
    // By their C names: the application may define them.
    fn mg_ota_begin(size: usize) -> bool;
    fn mg_ota_write(buf: *const c_void, len: usize) -> bool;
    fn mg_ota_end() -> bool;
}

// ---- one request for each piece

/// A decoded query parameter.
fn variable(query: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let value = urlcodec::var(query, name)?;
    let mut decoded = memory::zeroed(value.len() + 1)?;
    let n = urlcodec::decode(value, &mut decoded, true).ok()?;
    decoded.truncate(n);
    Some(decoded)
}

/// Parses like strtol with base 0; 0 if there is no number.
fn number(text: Option<Vec<u8>>) -> c_long {
    bytes::number(&CString::new(text.unwrap_or_default()).unwrap_or_default())
}

/// See `mg_http_upload`.
///
/// # Safety
/// `hm` is a parsed message.
pub(crate) unsafe fn upload(c: ConnRef, hm: *const mg_http_message, fs: Fs, dir: &[u8], max_size: usize) -> c_long {
    // SAFETY: as the caller promises. Copies: file systems of the application may change `c->recv`.
    let copies = unsafe { (memory::copy((*hm).query.bytes()), memory::copy((*hm).body.bytes())) };
    let (Some(query), Some(body)) = copies else {
        error(c, format_args!("OOM"));
        return -7;
    };
    let (code, text, result) = match store(&query, &body, fs, dir, max_size) {
        Ok(size) => (200, size.to_string().into_bytes(), size),
        Err((code, text, result)) => (code, text, result),
    };
    if !c.is_closed() {
        reply::text(c, code, b"", &text, false);
    }
    result
}

/// True if a file would be created in `dir`, neither through a symbolic link nor under another name.
fn is_inside(fs: Fs, dir: &[u8], path: &[u8]) -> bool {
    let parent = &path[..memchr::memrchr(b'/', path).unwrap_or(0)];
    // SAFETY: an Fs points at a file system.
    !unsafe { files::is_native(fs.as_ptr()) }
        || files::is_name_for_clients(&path[dir.len()..]) && (parent == dir || ConfinedRoot(&[dir]).holds(parent))
}

type Refused = (c_int, Vec<u8>, c_long);

/// Concatenates parts of a text; empty when out of memory.
fn text(parts: &[&[u8]]) -> Vec<u8> {
    memory::joined(parts).unwrap_or_default()
}

/// Stores one piece. The new size of the file, or status, text and result of the refusal.
fn store(query: &[u8], body: &[u8], fs: Fs, dir: &[u8], max_size: usize) -> Result<c_long, Refused> {
    if body.is_empty() {
        return Ok(0);
    }
    let name = variable(query, b"file").filter(|name| !name.is_empty()).ok_or((400, b"file required".to_vec(), -1))?;
    if name.contains(&0) || !is_sane(&name) || fs::is_temporary(&name) {
        return Err((400, text(&[&name, b": invalid file"]), -2));
    }
    let Ok(offset) = usize::try_from(number(variable(query, b"offset"))) else {
        return Err((400, b"offset required".to_vec(), -3));
    };
    let Some(path) = memory::joined(&[dir, b"/", &name]) else { return Err((500, b"out of memory".to_vec(), -7)) };
    let said = |what: String| text(&[&path, what.as_bytes()]);
    let size = offset.checked_add(body.len()).filter(|n| *n <= max_size && c_long::try_from(*n).is_ok());
    let Some(size) = size else { return Err((400, said(format!(": over max size of {max_size}")), -4)) };
    let not_open = || (400, text(&[b"open(", &path, b")"]), -6);
    let c_path = if path.len() < PATH_MAX { CString::new(&path[..]).ok() } else { None }.ok_or_else(not_open)?;
    let (flags, now, _) = fs.status(&c_path).unwrap_or_default();
    if offset > 0 && now != offset {
        return Err((400, said(": offset mismatch".into()), -5));
    }
    if flags & MG_FS_DIR != 0 || !is_inside(fs, dir, &path) {
        return Err(not_open());
    }
    let stored = if offset == 0 {
        fs::sweep(fs, &c_path);
        fs::write(fs, &c_path, body)
    } else {
        append(fs, &c_path, offset, body)
    };
    match stored {
        Ok(()) => Ok(size as c_long),
        Err(Failure::Open) => Err(not_open()),
        Err(Failure::Write) => Err((500, said(": write error".into()), -7)),
    }
}

fn append(fs: Fs, path: &CStr, offset: usize, body: &[u8]) -> Result<(), Failure> {
    let file = fs.open(path, MG_FS_WRITE).ok_or(Failure::Open)?;
    // SAFETY: an Fs points at a file system.
    let native = unsafe { files::is_native(fs.as_ptr()) };
    if file.write(body) == body.len() && (!native || files::complete(file.fd)) {
        return Ok(());
    }
    if native {
        // The client may retry this piece.
        files::truncate(file.fd, offset as u64);
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

/// The framing of a body. Extracted before the application is called, which may move `c->recv`.
pub(crate) struct Body {
    /// Number of bytes before the body in `c->recv`.
    head: usize,
    chunked: bool,
    /// Announced length.
    len: usize,
}

impl Body {
    /// # Safety
    /// `hm` is a parsed message.
    pub(crate) unsafe fn of(c: ConnRef, hm: *const mg_http_message) -> Body {
        // SAFETY: as the caller promises.
        unsafe {
            let hm = &*hm;
            // Earlier requests in the buffer have been handled.
            let before = (hm.head.buf as usize).wrapping_sub(c.recv_info().buf as usize);
            let before = if before < c.recv_len() { before } else { 0 };
            // The header may come after those stored in the message.
            let named = hm.header(b"Transfer-Encoding").is_some_and(|v| v.eq_ignore_ascii_case(b"chunked"));
            let chunked = named || c.rec().is_some_and(|rec| rec.dispatching.get() && rec.http.chunked.get());
            Body { head: before + hm.head.len, chunked, len: hm.body.len }
        }
    }
}

/// State of an upload while its body is written. The writer may be the application: it may poll meanwhile, so that data arrives,
/// errors occur and the connection closes. All of this waits until it returns.
struct Upload {
    /// None before it is open and after it is finished.
    sink: RefCell<Option<Sink>>,
    rest: RefCell<Rest>,
    /// Number of bytes before the body that are still in `c->recv`.
    head: Cell<usize>,
    /// A function of the application is running.
    busy: Cell<bool>,
    /// The library set `c->is_full`.
    paused: Cell<bool>,
    /// Events that arrived while busy: MG_EV_ERROR, and MG_EV_CLOSE with the content of `c->recv`.
    error: Cell<Option<CString>>,
    closed: Cell<Option<Vec<u8>>>,
    /// `c->fn` of the application, and its completion callback.
    handler: mg_event_handler_t,
    callback: Callback,
}

/// No name of a file is longer.
const PATH_MAX: usize = 4096;

/// Flash memory is written in blocks of this size.
const BLOCK: usize = 512;

/// See `mg_http_start_upload`.
pub(crate) fn start_file(c: ConnRef, body: Body, name: &[u8], dir: &[u8], fs: Fs, callback: Callback) {
    if name.is_empty() || name.contains(&0) || name.ends_with(b"/") || !is_sane(name) || fs::is_temporary(name) {
        return refuse(c, callback, c"bad name");
    }
    // Both may be parts of c->recv.
    let fits = dir.len() + 1 + name.len() < PATH_MAX;
    let (dir, path) = if fits { (dir.to_vec(), CString::new([dir, b"/", name].concat()).ok()) } else { (Vec::new(), None) };
    start(c, body, callback, c"open failed", || {
        let is_dir = |p: &CString| fs.status(p).is_some_and(|(flags, ..)| flags & MG_FS_DIR != 0);
        let path = path.filter(|p| !is_dir(p) && is_inside(fs, &dir, p.to_bytes()))?;
        fs::sweep(fs, &path);
        NewFile::create(fs, &path).map(Sink::File)
    });
}

/// See `mg_http_start_ota`.
pub(crate) fn start_firmware(c: ConnRef, body: Body, callback: Callback) {
    let size = body.len;
    // SAFETY: no conditions.
    start(c, body, callback, c"ota begin failed", || unsafe { mg_ota_begin(size) }.then_some(Sink::Firmware));
}

/// Reports the result to the application, or to the client; NULL means success.
fn tell(c: ConnRef, callback: Callback, message: *const c_char) {
    match callback {
        // SAFETY: the application's function.
        Some(f) => unsafe { f(c.as_ptr(), message) },
        None if c.is_closed() || c.flags().is_client() => {}
        None if message.is_null() => reply::text(c, 200, b"", b"ok\n", false),
        // SAFETY: a C string.
        None => reply::text(c, 500, b"", &[unsafe { cstr(message) }, b"\n"].concat(), false),
    }
}

/// Refuses before anything changed: the connection continues as before, unless the library must respond.
fn refuse(c: ConnRef, callback: Callback, message: &CStr) {
    tell(c, callback, message.as_ptr());
    if callback.is_none() {
        c.update(|f| f.set_draining(true));
    }
}

/// Takes the body over from the HTTP handler, which notices that the buffer has changed. The part that has arrived is taken in
/// the event being delivered, which reaches `c->fn` next.
fn start(c: ConnRef, body: Body, callback: Callback, failure: &CStr, open: impl FnOnce() -> Option<Sink>) {
    let Some(rec) = c.rec().filter(|_| state(c).is_none()) else { return refuse(c, callback, failure) };
    let upload = Rc::new(Upload {
        sink: RefCell::default(),
        rest: RefCell::new(if body.chunked { Rest::Chunks(Scanner::new()) } else { Rest::Bytes(body.len) }),
        head: Cell::new(body.head),
        busy: Cell::default(),
        paused: Cell::default(),
        error: Cell::default(),
        closed: Cell::default(),
        handler: c.handler(),
        callback,
    });
    rec.task.set(Some(Box::new(upload.clone())));
    c.set_handler(Some(handler));
    let Some(sink) = upload.call(c, open) else {
        upload.give_back(c);
        refuse(c, callback, failure);
        return upload.deliver_close(c);
    };
    *upload.sink.borrow_mut() = Some(sink);
    if !c.is_closed() {
        // SAFETY: the connection's own buffer.
        unsafe { iobuf::del(c.recv(), 0, upload.head.take()) };
        c.set_pfn(None);
        c.set_pfn_data(ptr::null_mut());
    }
    upload.catch_up(c);
}

/// Occupies `c->fn` until the body is complete.
///
/// # Safety
/// `c` is the connection the event is for; `ev_data` fits the event.
unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a callback open, or by the application for a connection of its own.
    let c = unsafe { ConnRef::new(c) };
    let Some(upload) = state(c) else { return };
    match ev {
        MG_EV_READ if upload.busy.get() => upload.pause(c),
        MG_EV_READ | MG_EV_POLL => upload.go_on(c),
        MG_EV_ERROR => {
            // SAFETY: MG_EV_ERROR carries a C string; it is copied, because the application may call mg_error again.
            let message = memory::copy(unsafe { cstr(ev_data.cast()) }).unwrap_or_default();
            upload.error.set(Some(CString::new(message).unwrap_or_default()));
            upload.catch_up(c);
        }
        MG_EV_CLOSE => {
            // SAFETY: the connection's own buffer, which goes with this event.
            upload.closed.set(Some(memory::copy(unsafe { c.recv_info().data() }).unwrap_or_default()));
            upload.catch_up(c);
        }
        // The data of these events comes once and is for the application; the same goes for its own events.
        MG_EV_WAKEUP | MG_EV_USER..=DRAIN => {
            if let Some(f) = upload.handler {
                // SAFETY: the application's handler; it may change the terms of the drain.
                unsafe { f(c.as_ptr(), ev, ev_data) };
            }
        }
        _ => {}
    }
}

const DRAIN: c_int = mgx_event::MGX_EV_DRAIN as c_int;

/// The upload of this connection.
fn state(c: ConnRef) -> Option<Rc<Upload>> {
    let rec = c.rec()?;
    let task = rec.task.take();
    let upload = task.as_ref().and_then(|task| task.downcast_ref::<Rc<Upload>>()).cloned();
    rec.task.set(task);
    upload
}

/// True if the cell is not empty; leaves its content in place.
fn is_some<T>(cell: &Cell<Option<T>>) -> bool {
    let value = cell.take();
    let there = value.is_some();
    cell.set(value);
    there
}

impl Upload {
    /// Runs code that may belong to the application.
    fn call<T>(&self, c: ConnRef, f: impl FnOnce() -> T) -> T {
        self.busy.set(true);
        let result = f();
        self.busy.set(false);
        if self.paused.take() && !c.is_closed() {
            c.update(|f| f.set_full(false));
            if let (Some(e), Some(rec)) = (c.engine(), c.rec()) {
                e.requeue(rec);
            }
        }
        result
    }

    /// Stops reading while the application is busy.
    fn pause(&self, c: ConnRef) {
        if !c.flags().is_full() {
            c.update(|f| f.set_full(true));
            self.paused.set(true);
        }
    }

    /// Takes the next part of the received data. None when out of memory.
    fn next(&self, c: ConnRef) -> Option<(Vec<u8>, usize, Scan)> {
        let mut behind = self.closed.take();
        // SAFETY: the connection's own data, copied: what writes it may be the application's.
        let arrived = behind.as_deref().unwrap_or_else(|| unsafe { c.recv_info().data() });
        let head = self.head.take().min(arrived.len());
        let arrived = &arrived[head..];
        let Some(mut data) = memory::room(arrived.len()) else {
            self.closed.set(behind);
            return None;
        };
        let (used, result) = match &mut *self.rest.borrow_mut() {
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
        match &mut behind {
            Some(behind) => drop(behind.drain(..head + used)),
            // SAFETY: the connection's own buffer.
            None => _ = unsafe { iobuf::del(c.recv(), 0, head + used) },
        }
        self.closed.set(behind);
        Some((data, used, result))
    }

    /// Writes the received data.
    fn go_on(&self, c: ConnRef) {
        // While the application is busy it is not there.
        while self.sink.borrow().is_some() {
            if let Some(error) = self.error.take() {
                return self.end(c, Err(&error));
            }
            let Some((data, used, result)) = self.next(c) else { return self.end(c, Err(c"OOM")) };
            let sink = self.sink.take();
            let written = self.call(c, || sink.as_ref().is_some_and(|sink| sink.write(&data)));
            *self.sink.borrow_mut() = sink;
            match result {
                _ if !written => return self.end(c, Err(c"write error")),
                Scan::Invalid => return self.end(c, Err(c"Invalid chunk")),
                Scan::Complete { .. } => return self.end(c, Ok(())),
                // While this was written, more may have arrived, or the connection may have closed.
                Scan::NeedMore if used == 0 && !is_some(&self.error) => break,
                Scan::NeedMore => {}
            }
        }
        if !self.busy.get() && is_some(&self.closed) {
            self.end(c, Err(c"connection closed"));
        }
    }

    /// Handles events that arrived while the application was busy, or arrive now.
    fn catch_up(&self, c: ConnRef) {
        if !self.busy.get() && (is_some(&self.error) || is_some(&self.closed)) {
            self.go_on(c);
        }
    }

    /// Restores the application's handler.
    fn give_back(&self, c: ConnRef) {
        if c.handler().is_some_and(|f| ptr::fn_addr_eq(f, handler as unsafe extern "C" fn(_, _, _))) {
            c.set_handler(self.handler);
            if c.pfn().is_none() {
                c.set_pfn(Some(http::handler));
            }
        }
        if let Some(rec) = c.rec() {
            rec.task.set(None);
        }
    }

    /// Delivers the MG_EV_CLOSE that the application has not had.
    fn deliver_close(&self, c: ConnRef) {
        if self.closed.take().is_some() {
            call_user(c, MG_EV_CLOSE, ptr::null_mut());
        }
    }

    /// Gives the connection back and reports the result. No effect the second time.
    fn end(&self, c: ConnRef, result: Result<(), &CStr>) {
        let Some(sink) = self.sink.take() else { return };
        let result = self.call(c, || match result {
            Ok(()) => sink.finish(),
            Err(_) => {
                sink.abandon();
                result
            }
        });
        self.give_back(c);
        if self.callback.is_some() {
            http::await_answer(c);
        }
        if let (Err(_), Some(rec)) = (result, c.rec()) {
            // The rest of the body must not be taken for a request, even if the callback polls.
            rec.http.phase.set(Phase::Refused);
            rec.http.close.set(CloseAfter::Asked);
        }
        tell(c, self.callback, result.map_or_else(CStr::as_ptr, |()| ptr::null()));
        self.deliver_close(c);
        if c.is_closed() {
            return;
        }
        if result.is_err() {
            c.update(|f| f.set_draining(true));
        }
        let flags = c.flags();
        if c.recv_len() > 0 && !flags.is_resp() && !flags.is_draining() && !flags.is_closing() {
            call_count(c, MG_EV_READ, 0);
        }
    }
}
