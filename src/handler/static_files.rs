//! Serving files and directories. See `mg_http_serve_dir` and `mg_http_serve_file`.

use super::site::{Found, Opened, Site};
use super::{http, reply, ssi};
use crate::abi::*;
use crate::ffi_util::bytes::cstr;
use crate::memory;
use crate::memory::prelude::*;
use crate::net::engine::ConnState;
use crate::net::engine::{End, Stream};
use crate::net::event::error;
use crate::net::handle::ConnRef;
use crate::net::kept::{About, Content, KeptFile, Page, Source};
use crate::net::output;
use crate::net::stream::{self, block};
use crate::platform::files::{self, ConfinedRoot};
use crate::platform::sock;
use crate::proto::num::decimal;
use crate::proto::precondition::{Outcome, Preconditions};
use crate::proto::range::{self, Range};
use crate::proto::webroot::{self, Refusal};
use crate::proto::{accept, glob, listing, mime, urlcodec};
use crate::sys::fs::{self, Fs};
use crate::sys::fs_packed;
use crate::sys::log::{Bytes, Line, log_error};
use alloc::ffi::CString;
use alloc::rc::Rc;
use core::ffi::{CStr, c_int, c_void};
use core::fmt::Write;
use core::ptr;

/// `struct mg_http_serve_opts`, with its defaults.
pub(crate) struct Opts<'a> {
    root: &'a [u8],
    ssi_pattern: Option<&'a [u8]>,
    extra_headers: &'a [u8],
    mime_types: &'a [u8],
    page404: Option<&'a CStr>,
    site: Site,
}

impl<'a> Opts<'a> {
    /// # Safety
    /// NULL, or options whose members are NULL or valid during `'a`.
    pub(crate) unsafe fn new(opts: *const mg_http_serve_opts) -> Opts<'a> {
        // SAFETY: as the caller promises.
        unsafe {
            let null = mg_http_serve_opts {
                root_dir: ptr::null(),
                ssi_pattern: ptr::null(),
                extra_headers: ptr::null(),
                mime_types: ptr::null(),
                page404: ptr::null(),
                fs: ptr::null_mut(),
            };
            let o = opts.as_ref().copied().unwrap_or(null);
            Opts {
                root: cstr(o.root_dir),
                ssi_pattern: (!o.ssi_pattern.is_null()).then(|| cstr(o.ssi_pattern)),
                extra_headers: cstr(o.extra_headers),
                mime_types: cstr(o.mime_types),
                page404: fs::path(o.page404),
                site: Site::new(Fs::new(o.fs).unwrap_or_else(Fs::posix)),
            }
        }
    }

    /// A page with server-side includes.
    fn is_ssi(&self, path: &[u8]) -> bool {
        self.ssi_pattern.is_some_and(|pattern| glob::matches(path, pattern, |_| {}))
    }
}

/// The relevant parts of a request, copied because file systems of the application may change `c->recv`.
pub(crate) struct Request {
    /// URI and query.
    target: Vec<u8>,
    uri_len: usize,
    head_only: bool,
    /// May be answered with a file.
    allowed: bool,
    /// Requests only the file.
    reads: bool,
    gzip: bool,
    range: Option<Range>,
    conditions: Preconditions,
}

impl Request {
    /// None when out of memory.
    ///
    /// # Safety
    /// `hm` is a parsed message whose views are readable.
    pub(crate) unsafe fn new(hm: *const mg_http_message) -> Option<Request> {
        // SAFETY: as the caller promises.
        unsafe {
            let hm = &*hm;
            let method = hm.method.bytes();
            let is = |name: &[u8]| method.eq_ignore_ascii_case(name);
            let head_only = is(b"HEAD");
            let reads = head_only || is(b"GET");
            let (uri, query) = (hm.uri.bytes(), hm.query.bytes());
            let mut req = Request {
                target: memory::joined(&[uri, query])?,
                uri_len: uri.len(),
                head_only,
                allowed: reads || is(b"POST") || is(b"OPTIONS"),
                reads,
                gzip: false,
                range: None,
                conditions: Preconditions::default(),
            };
            let mut has_range = false;
            for (name, value) in hm.fields() {
                let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
                let conditions = &mut req.conditions;
                match name.len() {
                    5 if is(b"Range") && !has_range => (has_range, req.range) = (true, range::parse(value)),
                    8 if is(b"If-Match") => add(&mut conditions.if_match, value)?,
                    8 if is(b"If-Range") => set(&mut conditions.if_range, value)?,
                    13 if is(b"If-None-Match") => add(&mut conditions.if_none_match, value)?,
                    15 if is(b"Accept-Encoding") => req.gzip |= accept::gzip(value),
                    17 if is(b"If-Modified-Since") => set(&mut conditions.if_modified_since, value)?,
                    19 if is(b"If-Unmodified-Since") => set(&mut conditions.if_unmodified_since, value)?,
                    _ => {}
                }
            }
            Some(req)
        }
    }

    fn uri(&self) -> &[u8] {
        &self.target[..self.uri_len]
    }

    fn query(&self) -> &[u8] {
        &self.target[self.uri_len..]
    }
}

/// The value of a header, of which the first line counts. None when out of memory, as in the next one.
fn set(to: &mut Option<Vec<u8>>, value: &[u8]) -> Option<()> {
    if to.is_none() {
        *to = Some(memory::copy(value)?);
    }
    Some(())
}

/// The value of a header that may come in several lines, which mean their list.
fn add(to: &mut Option<Vec<u8>>, value: &[u8]) -> Option<()> {
    let Some(list) = to else { return set(to, value) };
    (memory::append(list, b", ") && memory::append(list, value)).then_some(())
}

/// True if the method applies to files; otherwise sends the response.
fn is_allowed(c: ConnRef, req: &Request, o: &Opts<'_>) -> bool {
    if !req.allowed {
        let head = [b"Allow: GET, HEAD, POST\r\n", o.extra_headers].concat();
        reply::text(c, 405, &head, b"Method not allowed\n", false);
    }
    req.allowed
}

/// See `mg_http_serve_dir`.
///
/// # Safety
/// `hm` is a parsed message, `opts` NULL or valid options.
pub(crate) unsafe fn serve_dir(c: ConnRef, hm: *const mg_http_message, opts: *const mg_http_serve_opts) {
    // SAFETY: guaranteed by the caller.
    let (o, req) = unsafe { (Opts::new(opts), Request::new(hm)) };
    let Some(req) = req else { return error(c, format_args!("OOM")) };
    if !is_allowed(c, &req, &o) {
        return;
    }
    let mapped = match webroot::map(o.root, req.uri()) {
        // SAFETY: an Fs points at a file system.
        Ok(m) if m.root.is_empty() && !unsafe { fs_packed::is_packed(o.site.fs.as_ptr()) } => Err(Refusal::NoMatch),
        other => other,
    };
    let mapped = match mapped {
        Ok(mapped) => mapped,
        Err(Refusal::NoMatch) => return send(c, &req, &o, b"", None, None),
        Err(Refusal::Invalid) => return reply::text(c, 400, b"", b"Invalid path", req.head_only),
        Err(Refusal::TooLong) => return reply::text(c, 400, b"", b"Exceeded path size", req.head_only),
        Err(Refusal::OutOfMemory) => return error(c, format_args!("OOM")),
    };
    let roots = [mapped.root];
    let confined = ConfinedRoot(&roots);
    // Looking for an index page tells whether the directory exists.
    let is_top = req.uri() == b"/";
    let found =
        if is_top { Some(Err(Found::Directory)) } else { with_path([&mapped.path, b""], |p| find(c, &o, p, Some(confined))) };
    let found = match found {
        // Its other reason does not apply: a mapped path contains no NUL.
        None => return error(c, format_args!("OOM")),
        Some(Ok(kept)) => return send_kept(c, &req, &o, &mapped.path, &kept),
        Some(Err(found)) => found,
    };
    if c.is_closed() {
        // The application's file system closed it. The same below.
        return;
    }
    match found {
        Found::File(file) => page(c, &req, &o, &mapped.path, file, confined),
        Found::Nothing => send(c, &req, &o, &mapped.path, None, Some(confined)),
        Found::Directory if req.uri().ends_with(b"/") => directory(c, &req, &o, &mapped.path, confined),
        Found::Directory if o.site.holds(&mapped.path, confined) => redirect(c, &req),
        Found::Directory => send(c, &req, &o, b"", None, None),
    }
}

/// Calls `f` with a path as a C string. None if it contains NUL, or when out of memory.
fn with_path<T>(parts: [&[u8]; 2], f: impl FnOnce(&CStr) -> T) -> Option<T> {
    let [path, suffix] = parts;
    let len = path.len() + suffix.len();
    let mut short = [0; 256];
    let mut long;
    let text = match short.get_mut(..=len) {
        Some(text) => text,
        None => {
            long = memory::zeroed(len + 1)?;
            &mut long[..]
        }
    };
    text[..path.len()].copy_from_slice(path);
    text[path.len()..len].copy_from_slice(suffix);
    CStr::from_bytes_with_nul(text).ok().map(f)
}

fn c_path(path: &[u8]) -> Option<CString> {
    CString::new(path).ok()
}

/// Looks up a path, also among the files that the manager keeps.
fn find(c: ConnRef, o: &Opts<'_>, path: &CStr, confined: Option<ConfinedRoot<'_>>) -> Result<Rc<Page>, Found> {
    if confined.is_some() && o.is_ssi(path.to_bytes()) {
        Err(o.site.find(path, confined))
    } else {
        o.site.find_kept(c.engine(), path, confined)
    }
}

/// Sends an existing file: a page with includes, or plain bytes.
fn page(c: ConnRef, req: &Request, o: &Opts<'_>, path: &[u8], file: Opened, confined: ConfinedRoot<'_>) {
    if o.is_ssi(path) {
        return ssi::serve(c, o.site, o.root, path, file, confined, req.head_only);
    }
    send(c, req, o, path, Some(file), Some(confined));
}

/// Sends the index page of a directory, or its listing.
fn directory(c: ConnRef, req: &Request, o: &Opts<'_>, path: &[u8], confined: ConfinedRoot<'_>) {
    let (index, listed) = c.engine().map_or((b"index.html".to_vec(), true), |e| {
        let options = e.options.borrow();
        (options.http_index.clone(), !options.no_dirlist)
    });
    let below = |name: &[u8]| [path, b"/", name].concat();
    for name in [&index[..], b"index.shtml"] {
        let path = below(name);
        match c_path(&path).map(|p| find(c, o, &p, Some(confined))) {
            Some(Ok(kept)) => return send_kept(c, req, o, &path, &kept),
            Some(Err(Found::File(file))) => return page(c, req, o, &path, file, confined),
            _ => {}
        }
    }
    let (plain, packed) = (below(&index), below(&[&index[..], b".gz"].concat()));
    if c_path(&packed).is_some_and(|p| o.site.open(&p, Some(confined)).is_some()) {
        return send(c, req, o, &plain, None, Some(confined));
    }
    let here: &[u8] = if path.is_empty() && o.site.native { b"/" } else { path };
    if c.is_closed() {
        return;
    }
    let is_dir = |p: &CString| o.site.fs.status(p).is_some_and(|(flags, ..)| flags & MG_FS_DIR != 0);
    match c_path(here).filter(|p| is_dir(p) && o.site.holds(here, confined)) {
        _ if c.is_closed() => {}
        None => send(c, req, o, b"", None, None),
        Some(_) if !listed => reply::text(c, 403, b"", b"Forbidden\n", req.head_only),
        Some(dir) => list(c, req, o, &dir, path, confined),
    }
}

fn redirect(c: ConnRef, req: &Request) {
    let parts = webroot::location(req.uri(), req.query());
    let [slash, path, end, mark, query] = parts;
    let head = [b"HTTP/1.1 301 Moved\r\nLocation: ", slash, path, end, mark, query, b"\r\nContent-Length: 0\r\n"];
    if reply::lines(c, 301, &head, b"").is_some() {
        reply::complete(c);
    }
}

#[inline(never)] // paths are resolved before, and realpath alone takes 2 KiB of stack
fn list(c: ConnRef, req: &Request, o: &Opts<'_>, dir: &CStr, path: &[u8], confined: ConfinedRoot<'_>) {
    // All names in one block, with the start and end of each.
    let (mut text, mut names, mut whole) = (Vec::new(), Vec::new(), true);
    o.site.fs.list(dir, |name| {
        let name = name.to_bytes();
        whole = whole && memory::append(&mut text, name) && memory::grow(&mut names, 1);
        if whole {
            names.push(text.len() - name.len()..text.len());
        }
    });
    if o.site.native {
        // The system returns them unsorted.
        names.sort_unstable_by(|a, b| text[a.clone()].cmp(&text[b.clone()]));
    }
    let page = memory::zeroed(req.uri_len + 1).filter(|_| whole).and_then(|mut uri| {
        let n = urlcodec::decode(req.uri(), &mut uri, false).unwrap_or(0);
        let mut page = listing::Page::new(&uri[..n])?;
        for name in names {
            let name = &text[name];
            let entry = c_path(&[path, b"/", name].concat()).and_then(|p| o.site.entry(&p, confined));
            if let Some((size, mtime)) = entry {
                page.row(name, size, seconds(mtime))?;
            }
        }
        page.finish()
    });
    if c.is_closed() {
        return;
    }
    let Some(page) = page else { return error(c, format_args!("OOM")) };
    let mut length = Line::<40>::new();
    let _ = write!(length, "Content-Length: {:<8}\r\n", page.len());
    let head = [b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n", o.extra_headers, length.as_bytes()];
    if reply::lines(c, 200, &head, o.extra_headers).is_some() && (req.head_only || output::append_bytes(c, &page)) {
        reply::complete(c);
    }
}

/// See `mg_http_serve_file`.
///
/// # Safety
/// `hm` is a parsed message, `opts` NULL or valid options.
pub(crate) unsafe fn serve_file(c: ConnRef, hm: *const mg_http_message, path: Option<&CStr>, opts: *const mg_http_serve_opts) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let Some(req) = Request::new(hm) else { return error(c, format_args!("OOM")) };
        serve_file_to(c, &req, path, opts);
    }
}

/// Like [`serve_file`], for a request examined before the application was called.
///
/// # Safety
/// `opts` is NULL or valid options.
pub(crate) unsafe fn serve_file_to(c: ConnRef, req: &Request, path: Option<&CStr>, opts: *const mg_http_serve_opts) {
    // SAFETY: guaranteed by the caller.
    let o = unsafe { Opts::new(opts) };
    if is_allowed(c, req, &o) {
        let name = path.map_or(&b""[..], CStr::to_bytes);
        match path.map(|p| find(c, &o, p, None)) {
            Some(Ok(kept)) => send_kept(c, req, &o, name, &kept),
            Some(Err(Found::File(file))) => send(c, req, &o, name, Some(file), None),
            _ => send(c, req, &o, name, None, None),
        }
    }
}

#[allow(clippy::useless_conversion)] // time_t is 32 bits wide on some targets
fn seconds(time: time_t) -> i64 {
    time.into()
}

/// Sends `file`, the file at `path`, or its compressed form; if neither exists, the application's error page.
fn send(c: ConnRef, req: &Request, o: &Opts<'_>, path: &[u8], file: Option<Opened>, confined: Option<ConfinedRoot<'_>>) {
    let mut kind = mime::of(path, o.mime_types);
    // Ignore a compressed file that is older than its source.
    let current = |mtime: &time_t| file.as_ref().is_none_or(|file| *mtime >= file.mtime);
    let beside = |p: &CStr| {
        if req.gzip {
            let packed = o.site.open_packed(p, confined).filter(|packed| current(&packed.mtime));
            let there = packed.is_some();
            (packed, there)
        } else {
            (None, o.site.modified(p, confined).filter(current).is_some())
        }
    };
    let beside = if path.is_empty() { None } else { with_path([path, b".gz"], beside) };
    let (packed, varies) = beside.unwrap_or_default();
    let gzip = packed.is_some();
    let file = packed.or(file).or_else(|| {
        let page = o.page404?;
        kind = mime::of(page.to_bytes(), o.mime_types);
        o.site.open(page, None)
    });
    if c.is_closed() {
        return;
    }
    let Some(file) = file else { return reply::text(c, 404, o.extra_headers, b"Not found\n", req.head_only) };

    let about = About::new(file.size, file.mtime, varies);
    answer(c, req, o, kind, &about, gzip, Body::File(Source::Own(file.file), file.descriptor));
}

/// Sends a file that the manager keeps.
fn send_kept(c: ConnRef, req: &Request, o: &Opts<'_>, path: &[u8], page: &Page) {
    let packed = page.packed.as_ref().filter(|_| req.gzip);
    let KeptFile { content, about } = packed.unwrap_or(&page.plain);
    let body = match content {
        Content::Bytes(bytes) => Body::Bytes(bytes),
        Content::File(file) => Body::File(Source::Shared(file.clone()), files::descriptor(file.0)),
    };
    answer(c, req, o, mime::of(path, o.mime_types), about, packed.is_some(), body);
}

/// What is sent, all of it or a part: bytes that the manager keeps, or a file with its descriptor if it is one of the system.
enum Body<'a> {
    Bytes(&'a [u8]),
    File(Source, Option<i32>),
}

fn answer(c: ConnRef, req: &Request, o: &Opts<'_>, kind: &[u8], about: &About, gzip: bool, content: Body<'_>) {
    let (size, etag, modified) = (about.size, about.etag(), about.modified);
    let outcome = req.conditions.evaluate(etag, modified, req.reads);
    if outcome != Outcome::Send {
        let (line, code, length): (&[u8], _, &[u8]) = match outcome {
            Outcome::NotModified => (b"HTTP/1.1 304 Not Modified\r\n", 304, b""),
            _ => (b"HTTP/1.1 412 Precondition Failed\r\n", 412, b"Content-Length: 0\r\n"),
        };
        if reply::lines(c, code, &[line, about.lines(), o.extra_headers, length], o.extra_headers).is_some() {
            reply::complete(c);
        }
        return;
    }
    let range = req.range.filter(|_| req.conditions.allow_range(etag, modified));
    let mut range_line = Line::<100>::new();
    let (line, code, first, len): (&[u8], _, _, _) = match range.map(|r| r.within(size)) {
        None => (b"HTTP/1.1 200 OK\r\nContent-Type: ", 200, 0, size),
        Some(Some((first, last))) => {
            let _ = write!(range_line, "Content-Range: bytes {first}-{last}/{size}\r\n");
            (b"HTTP/1.1 206 Partial Content\r\nContent-Type: ", 206, first, last - first + 1)
        }
        Some(None) => {
            let _ = write!(range_line, "Content-Range: bytes */{size}\r\n");
            (b"HTTP/1.1 416 Requested Range Not Satisfiable\r\nContent-Type: ", 416, 0, 0)
        }
    };
    let encoding: &[u8] = if gzip { b"\r\nContent-Encoding: gzip\r\n" } else { b"\r\n" };
    let mut length = [0; 20];
    let parts = [
        line,
        kind,
        b"\r\n",
        about.lines(),
        b"Content-Length: ",
        decimal(&mut length, len),
        encoding,
        range_line.as_bytes(),
        o.extra_headers,
    ];
    let head = Head { code, parts: &parts, headers: o.extra_headers };
    let len = if req.head_only || c.flags().is_closing() { 0 } else { len };
    body(c, head, content, first, len);
}

/// What [`reply::lines`] needs.
struct Head<'a> {
    code: c_int,
    parts: &'a [&'a [u8]],
    headers: &'a [u8],
}

impl Head<'_> {
    fn queue(&self, c: ConnRef) -> Option<bool> {
        reply::lines(c, self.code, self.parts, self.headers)
    }
}

/// Queues the head and the start of the body; the rest follows as it is sent.
fn body(c: ConnRef, head: Head<'_>, content: Body<'_>, first: u64, len: u64) {
    let (file, descriptor) = match content {
        Body::File(file, descriptor) => (file, descriptor),
        Body::Bytes(bytes) => {
            let Some(last) = head.queue(c) else { return };
            // Small enough for the memory of any machine.
            let bytes = &bytes[first as usize..][..len as usize];
            if output::append_bytes(c, bytes) {
                return reply::complete(c);
            }
            error(c, format_args!("OOM"));
            return c.rec().filter(|_| !c.is_closed()).map_or((), |rec| done(c, rec, End::Cut, last));
        }
    };
    // Small files are read into memory. sendfile is not used for connections that log their traffic, nor for sockets of the
    // application, which may be blocking.
    let flags = c.flags();
    let plain = !flags.is_udp() && !flags.is_hexdumping() && c.rec().is_some_and(|rec| rec.own.get());
    let copied = descriptor.is_some() && plain && len > block(c) as u64 && !sock::sigpipe_kills();
    let stream = if len == 0 { None } else { Some(Stream::new(file, descriptor, copied, first, len)) };
    let mut stream = match stream {
        _ if c.is_closed() => return,
        Some(None) => return reply::text(c, 500, b"", b"Cannot read the file\n", false),
        Some(Some(stream)) => stream,
        None => {
            if head.queue(c).is_some() {
                reply::complete(c);
            }
            return;
        }
    };
    let Some(last) = head.queue(c) else { return };
    let Some(rec) = c.rec() else {
        // A connection that the application created itself is never serviced.
        while stream.fill(c, block(c)).is_some_and(|left| left > 0) {}
        return reply::complete(c);
    };
    let left = if copied { Some(len) } else { stream.fill(c, block(c).saturating_sub(c.send_len())) };
    match left {
        _ if c.is_closed() => {}
        Some(0) => reply::complete(c),
        Some(_) => {
            let pair = stream.begin(c, rec, last, done);
            c.set_pfn(Some(handler));
            c.set_pfn_data(pair.cast());
        }
        None => done(c, rec, End::Cut, last),
    }
}

/// Occupies `c->pfn` while a file is sent, so that no other request is handled.
///
/// # Safety
/// `c` is the connection the event is for.
unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, _ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a callback open, or by the application for a connection of its own.
    let c = unsafe { ConnRef::new(c) };
    if ev == MG_EV_CLOSE {
        if let Some(rec) = c.rec() {
            stream::abandon(c, rec);
        }
        give_back(c);
    }
}

fn give_back(c: ConnRef) {
    if c.pfn().is_some_and(|f| ptr::fn_addr_eq(f, handler as unsafe extern "C" fn(_, _, _))) {
        c.set_pfn(Some(http::handler));
        c.set_pfn_data(ptr::null_mut());
    }
}

/// The file ended: requests are handled again.
fn done(c: ConnRef, rec: &ConnState, end: End, last: bool) {
    give_back(c);
    if end == End::Cut {
        c.update(|f| f.set_resp(false));
        // The announced length cannot be met: only closing the connection tells the client.
        rec.http.head_at.set(None);
    } else {
        reply::complete(c);
    }
    if last || end == End::Cut {
        c.update(|f| f.set_draining(true));
    }
    if end == End::Cut {
        // Last, because it calls the application.
        log_error!("{} {}: file was truncated while being sent", c.id(), Bytes(b"HTTP"));
    }
}
