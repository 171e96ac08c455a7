//! Dashboards: variables, lists and files of the application over HTTP, and change notifications over WebSocket.

mod fields;
mod sockets;
mod users;

use super::{reply, static_files, upload, ws};
use crate::abi::*;
use crate::ffi_util::bytes::cstr;
use crate::ffi_util::http_message;
use crate::memory;
use crate::memory::prelude::*;
use crate::net::engine::Engine;
use crate::net::event::error;
use crate::net::handle::ConnRef;
use crate::proto::{glob, path::is_sane, urlcodec};
use crate::sys::fs::Fs;
use alloc::ffi::CString;
use core::ffi::{c_char, c_int, c_void};
use core::ptr;
pub(crate) use fields::dir_read;
use fields::{Set, quoted};
use mg_dash_op::*;
use users::{Claim, User};

unsafe extern "C" {
    // By its C name: with copy relocations, the application's copy is the valid one.
    static mut mg_fs_packed: mg_fs;
}

/// Headers of JSON responses.
const JSON: &[u8] = b"Content-Type: application/json\r\nCache-Control: no-cache\r\n";
/// In the first byte of `c->data`: the response was sent when the head of the request arrived.
const ANSWERED: c_char = b'A' as c_char;

/// See `mg_dash_ev_handler`.
///
/// # Safety
/// `c` is the connection the event is for, `c->fn_data` a dashboard, `ev_data` fits the event.
pub(crate) unsafe fn handle(c: ConnRef, ev: c_int, ev_data: *mut c_void) {
    let dash: *mut mg_dash = c.handler_data().cast();
    if dash.is_null() {
        return;
    }
    // SAFETY: guaranteed by the caller.
    unsafe {
        match ev {
            MG_EV_HTTP_HDRS if !is_answered(c) => {
                let answered = head(c, dash, ev_data.cast());
                if answered {
                    set_answered(c, true);
                }
            }
            MG_EV_HTTP_MSG if is_answered(c) => {
                set_answered(c, false);
                reply::complete(c);
            }
            MG_EV_HTTP_MSG => message(c, dash, ev_data.cast()),
            MG_EV_CLOSE if c.flags().is_listening() => sockets::end_all(c, dash),
            MG_EV_CLOSE => sockets::close(c),
            _ => {}
        }
    }
}

fn is_answered(c: ConnRef) -> bool {
    // SAFETY: a connection, see ConnRef::new.
    unsafe { (*c.as_ptr()).data[0] == ANSWERED }
}

fn set_answered(c: ConnRef, on: bool) {
    // SAFETY: as above.
    unsafe { (*c.as_ptr()).data[0] = if on { ANSWERED } else { 0 } };
}

/// The relevant parts of a request, copied because callbacks of the application may change `c->recv`.
struct Request {
    method: Vec<u8>,
    uri: Vec<u8>,
    body: Vec<u8>,
    /// Cross-site request that relies on credentials stored by the browser.
    foreign: bool,
}

impl Request {
    /// None when out of memory.
    ///
    /// # Safety
    /// `hm` is a parsed message; its body is complete if that is wanted.
    unsafe fn new(hm: *const mg_http_message, with_body: bool) -> Option<Request> {
        // SAFETY: as the caller promises.
        unsafe {
            let hm = &*hm;
            let cross = hm.header(b"Sec-Fetch-Site") == Some(b"cross-site");
            Some(Request {
                method: memory::copy(hm.method.bytes())?,
                uri: memory::copy(hm.uri.bytes())?,
                body: memory::copy(if with_body { hm.body.bytes() } else { b"" })?,
                foreign: cross
                    && hm.header(b"Authorization").is_none()
                    && urlcodec::var(hm.query.bytes(), b"access_token").is_none(),
            })
        }
    }

    fn is(&self, pattern: &[u8]) -> bool {
        glob::matches(&self.uri, pattern, |_| {})
    }

    /// Text matched by the wildcards.
    fn parts(&self, pattern: &[u8]) -> Option<Vec<&[u8]>> {
        let mut parts = Vec::new();
        glob::matches(&self.uri, pattern, |r| parts.push(&self.uri[r])).then_some(parts)
    }

    /// Set and file name.
    fn file(&self) -> Option<(&[u8], &[u8])> {
        let parts = self.parts(b"/fs/*/*")?;
        Some((parts.first()?, parts.get(1)?))
    }

    /// True if the request may change something, or disclose more than a page that other sites may embed.
    fn is_sensitive(&self) -> bool {
        self.is(b"/api/set")
            || self.is(b"/api/del/#")
            || self.is(b"/api/add/#")
            || self.is(b"/api/ota")
            || self.is(b"/api/websocket")
            || self.is(b"/api/logout")
            || (self.is(b"/api/get/#") || self.is(b"/fs/#")) && self.method != b"GET"
    }
}

fn json(c: ConnRef, code: c_int, body: &[u8]) {
    reply::text(c, code, JSON, body, false);
}

const FORBIDDEN: &[u8] = b"Not Authorised\n";

/// Handles a request whose head has arrived. True if the response was sent.
///
/// # Safety
/// As [`handle`].
unsafe fn head(c: ConnRef, dash: *mut mg_dash, hm: *mut mg_http_message) -> bool {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // Extract everything needed from the message before calling the application.
        let (req, claim, body) = (Request::new(hm, false), Claim::of(hm), upload::Body::of(c, hm));
        let Some(req) = req else {
            error(c, format_args!("OOM"));
            return true;
        };
        if req.foreign && req.is_sensitive() {
            json(c, 403, FORBIDDEN);
            return true;
        }
        if req.is(b"/api/hi") || req.is(b"/api/logout") {
            return false;
        }
        sockets::end_expired(c, dash);
        let user = users::find(c, dash, claim);
        if c.is_gone() {
            return false;
        }
        match user {
            None if req.is(b"/api/#") => json(c, 403, FORBIDDEN),
            Some(user) if req.is(b"/api/login") => login(c, &user),
            Some(_) if req.is(b"/api/ota") => {
                upload::start_firmware(c, body, Some(ota_done));
                return false;
            }
            user if req.method == b"POST" || req.method == b"PUT" => {
                let Some((set, name)) = req.file() else { return false };
                let file = File::find(c, dash, user.as_ref(), set, name, Some(MG_DASH_WRITE));
                if c.is_gone() {
                    return false;
                }
                match file {
                    Err((code, text)) => json(c, code, text),
                    Ok(f) => {
                        upload::start_file(c, body, &f.name, &f.dir, f.fs, Some(upload_done));
                        return false;
                    }
                }
            }
            _ => return false,
        }
        true
    }
}

fn secure(c: ConnRef) -> &'static [u8] {
    if c.flags().is_tls() { b"Secure; " } else { b"" }
}

fn login(c: ConnRef, user: &User) {
    let cookie = [
        b"Set-Cookie: access_token=",
        &user.token()[..],
        b"; Path=/; ",
        secure(c),
        b"HttpOnly; SameSite=Lax; Max-Age=86400\r\n",
        JSON,
    ];
    let mut body = b"{\"user\":".to_vec();
    quoted(&mut body, &user.name());
    body.extend(format!(",\"level\":{}}}\n", user.level()).as_bytes());
    reply::text(c, 200, &cookie.concat(), &body, false);
}

/// A file that the user may access.
struct File {
    name: Vec<u8>,
    dir: Vec<u8>,
    fs: Fs,
}

impl File {
    /// Asks the application about a file; `op` None reads it. Returns status and text of a refusal.
    ///
    /// # Safety
    /// As [`handle`].
    unsafe fn find(
        c: ConnRef,
        dash: *mut mg_dash,
        user: Option<&User>,
        set: &[u8],
        name: &[u8],
        op: Option<mg_dash_op>,
    ) -> Result<File, (c_int, &'static [u8])> {
        // SAFETY: guaranteed by the caller.
        let (set, fs) = unsafe { (fields::find(dash, set), Fs::new((*dash).upload_fs).unwrap_or_else(Fs::posix)) };
        let set = set.filter(|s| s.is_files()).ok_or((404, &b"Not Found\n"[..]))?;
        let user = user.ok_or((403, FORBIDDEN))?;
        let mut decoded = memory::zeroed(name.len() + 1).ok_or((500, &b"Out of memory\n"[..]))?;
        let n = urlcodec::decode(name, &mut decoded, false).unwrap_or(0);
        decoded.truncate(n);
        if n == 0 || decoded.contains(&0) || !is_sane(&decoded) {
            return Err((400, b"Bad file name\n"));
        }
        // Reading the set may overwrite the name.
        if op.is_none() && !set.is_visible(user) || c.is_gone() {
            return Err((403, FORBIDDEN));
        }
        if !set.set_name(&decoded) {
            return Err((400, b"Bad file name\n"));
        }
        if op.is_some_and(|op| !set.call(op, user)) || c.is_gone() {
            return Err((403, FORBIDDEN));
        }
        let dir = set.dir(user.as_ptr()).ok_or((500, &b"Upload dir error\n"[..]))?;
        Ok(File { name: decoded, dir, fs })
    }

    fn path(&self) -> CString {
        CString::new([&self.dir, &b"/"[..], &self.name].concat()).unwrap_or_default()
    }
}

/// Responds to a file upload and notifies all clients.
unsafe extern "C" fn upload_done(c: *mut mg_connection, message: *const c_char) {
    // SAFETY: called by the upload with its connection and NULL or a C string.
    unsafe {
        let c = ConnRef::new(c);
        end(c, message);
        let dash: *mut mg_dash = c.handler_data().cast();
        if message.is_null() && !dash.is_null() {
            file_sizes(c, dash);
        }
    }
}

/// # Safety
/// As [`handle`].
unsafe fn file_sizes(c: ConnRef, dash: *mut mg_dash) {
    // SAFETY: guaranteed by the caller.
    let mut sets = unsafe { fields::sets(dash) };
    while let Some(set) = if c.is_gone() { None } else { sets.next() } {
        if set.is_files() && set.is_array() {
            send_size(c, set);
        }
    }
}

/// Responds to a firmware update.
unsafe extern "C" fn ota_done(c: *mut mg_connection, message: *const c_char) {
    // SAFETY: as above.
    unsafe { end(ConnRef::new(c), message) }
}

/// # Safety
/// `message` is NULL or a C string.
unsafe fn end(c: ConnRef, message: *const c_char) {
    if c.is_closed() {
        return;
    }
    if message.is_null() {
        reply::text(c, 200, b"", b"ok\n", false);
    } else {
        // SAFETY: as the caller promises.
        reply::text(c, 500, b"", &[unsafe { cstr(message) }, b"\n"].concat(), false);
    }
    c.update(|f| f.set_draining(true));
}

/// Notifies all clients of the size of an array.
fn send_size(c: ConnRef, set: Set) {
    if let Some(e) = c.engine() {
        set.with_index(-1, || sockets::send_change(e, set));
    }
}

/// Handles a complete request.
///
/// # Safety
/// As [`handle`].
unsafe fn message(c: ConnRef, dash: *mut mg_dash, hm: *mut mg_http_message) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let claim = Claim::of(hm);
        let copies = (Request::new(hm, true), static_files::Request::new(hm), http_message::Copy::of(hm, usize::MAX));
        // Copies, for use after the application was called.
        let (Some(req), Some(asked), Some(mut copy)) = copies else { return error(c, format_args!("OOM")) };
        let hm = copy.as_ptr();
        if req.is(b"/api/hi") {
            return json(c, 200, b"hi\n");
        }
        sockets::end_expired(c, dash);
        let user = users::find(c, dash, claim);
        if c.is_gone() {
            return;
        }
        if req.is(b"/api/logout") {
            return logout(c, user.as_ref());
        }
        match (user, req.file()) {
            (user, Some((set, name))) => file(c, dash, &asked, user.as_ref(), &req, set, name),
            (None, _) if req.is(b"/api/#") => json(c, 403, FORBIDDEN),
            (Some(user), _) if req.is(b"/api/websocket") => {
                ws::upgrade(c, hm, |_| true);
                if c.flags().is_websocket() {
                    sockets::open(c, user, dash);
                }
            }
            (Some(user), _) => match api(c, dash, &user, &req) {
                // A callback may have closed the connection.
                _ if c.is_gone() => {}
                Some((code, body)) => json(c, code, &body),
                None => other(c, dash, hm, &asked, &req),
            },
            (None, _) => other(c, dash, hm, &asked, &req),
        }
    }
}

fn logout(c: ConnRef, user: Option<&User>) {
    if let Some(user) = user {
        sockets::end_session(c, user, b"{\"method\":\"logout\"}");
    }
    if c.is_gone() {
        return;
    }
    let cookie =
        [b"Set-Cookie: access_token=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 UTC; ", secure(c), b"HttpOnly; Max-Age=0; \r\n"];
    reply::text(c, 401, &cookie.concat(), b"Unauthorized\n", false);
}

/// # Safety
/// As [`handle`].
unsafe fn file(
    c: ConnRef,
    dash: *mut mg_dash,
    asked: &static_files::Request,
    user: Option<&User>,
    req: &Request,
    set: &[u8],
    name: &[u8],
) {
    let delete = req.method == b"DELETE";
    // SAFETY: guaranteed by the caller.
    unsafe {
        let file = File::find(c, dash, user, set, name, delete.then_some(MG_DASH_DELETE));
        if c.is_gone() {
            return;
        }
        match file {
            Err((404, _)) => json(c, 404, b"Not Found"),
            Err((code, text)) => json(c, code, text),
            Ok(file) if delete => {
                file.fs.remove(&file.path());
                if c.is_gone() {
                    return;
                }
                if let Some(set) = fields::find(dash, set) {
                    send_size(c, set);
                }
                if !c.is_gone() {
                    reply::text(c, 200, b"", b"true", false);
                }
            }
            Ok(file) => {
                let opts = mg_http_serve_opts { fs: file.fs.as_ptr(), ..NO_OPTS };
                static_files::serve_file_to(c, asked, Some(&file.path()), &opts);
            }
        }
    }
}

const NO_OPTS: mg_http_serve_opts = mg_http_serve_opts {
    root_dir: ptr::null(),
    ssi_pattern: ptr::null(),
    extra_headers: ptr::null(),
    mime_types: ptr::null(),
    page404: ptr::null(),
    fs: ptr::null_mut(),
};

type Answer = (c_int, Vec<u8>);

fn line(text: impl ToString) -> Vec<u8> {
    (text.to_string() + "\n").into_bytes()
}

/// An index in a URI.
fn number(text: &[u8]) -> Option<c_int> {
    core::str::from_utf8(text).ok()?.parse().ok().filter(|n| *n >= 0)
}

fn is_below_zero(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or_default();
    digits.iter().all(u8::is_ascii_digit) && digits.iter().any(|&c| c != b'0')
}

/// The API's response to a request; None if the request is not for the API.
///
/// # Safety
/// As [`handle`].
unsafe fn api(c: ConnRef, dash: *mut mg_dash, user: &User, req: &Request) -> Option<Answer> {
    // SAFETY: guaranteed by the caller.
    let set = |parts: &[&[u8]]| parts.first().and_then(|name| unsafe { fields::find(dash, name) });
    if let Some(p) = req.parts(b"/api/del/*/*/*").or_else(|| req.parts(b"/api/del/*/*")) {
        return Some(delete(c, user, set(&p), p.get(1)?, p.get(2).unwrap_or(&p[1])));
    }
    if let Some(p) = req.parts(b"/api/add/*") {
        return Some(add(c, user, set(&p), &req.body));
    }
    if let Some(p) = req.parts(b"/api/get/*/*").filter(|_| req.method == b"POST") {
        return Some(change(c, user, set(&p), p.get(1)?, &req.body));
    }
    let ranged = req.parts(b"/api/get/*/*/*").or_else(|| req.parts(b"/api/get/*/*"));
    if let Some(p) = ranged.or_else(|| req.parts(b"/api/get/*")) {
        if p.iter().skip(1).any(|index| is_below_zero(index)) && set(&p).is_some_and(Set::is_array) {
            return Some((404, line("null")));
        }
        let text = set(&p).and_then(|set| match (p.get(1), p.get(2).or(p.get(1))) {
            (Some(from), Some(to)) if set.is_array() => set.elements(user, number(from)?, number(to)?),
            _ => set.value(user),
        });
        let text = memory::joined(&[text.as_deref().unwrap_or(b"null"), b"\n"]);
        return Some(text.map_or((500, b"null\n".to_vec()), |text| (200, text)));
    }
    if req.is(b"/api/get") {
        // SAFETY: guaranteed by the caller.
        return Some((200, unsafe { everything(c, dash, user) }));
    }
    if req.is(b"/api/set") {
        // SAFETY: guaranteed by the caller.
        return Some((200, line(unsafe { assign(c, dash, user, &req.body) })));
    }
    None
}

/// # Safety
/// As [`handle`].
unsafe fn everything(c: ConnRef, dash: *mut mg_dash, user: &User) -> Vec<u8> {
    let mut out = b"{".to_vec();
    // SAFETY: guaranteed by the caller.
    for set in unsafe { fields::sets(dash) } {
        let value = set.value(user);
        if c.is_gone() {
            break;
        }
        let Some(value) = value else { continue };
        if out.len() > 1 {
            out.push(b',');
        }
        quoted(&mut out, &set.name());
        out.push(b':');
        if !memory::append(&mut out, &value) {
            out.extend(b"null");
        }
    }
    out.extend(b"}\n");
    out
}

/// Changes variables in any sets. Returns the number accepted.
///
/// # Safety
/// As [`handle`].
unsafe fn assign(c: ConnRef, dash: *mut mg_dash, user: &User, body: &[u8]) -> usize {
    let mut total = 0;
    // SAFETY: guaranteed by the caller.
    for set in unsafe { fields::sets(dash) } {
        let path = [b"$.", &set.name()[..]].concat();
        let Some(object) = crate::proto::json::token(body, &path).filter(|o| o.first() == Some(&b'{')) else { continue };
        let allowed = set.call(MG_DASH_WRITE, user);
        if c.is_gone() {
            break;
        }
        if !allowed {
            continue;
        }
        let count = set.store(object);
        if count > 0 {
            set.call(MG_DASH_WRITE, user);
            if !c.is_gone() {
                c.engine().inspect(|e| sockets::send_change(e, set));
            }
        }
        total += count;
        if c.is_gone() {
            break;
        }
    }
    total
}

fn delete(c: ConnRef, user: &User, set: Option<Set>, from: &[u8], to: &[u8]) -> Answer {
    let Some(set) = set.filter(|s| s.is_array()) else { return (404, line("null")) };
    let (Some(from), Some(to), true) = (number(from), number(to), set.has_fn()) else { return (403, line("false")) };
    let count = (from..=to).take_while(|i| !c.is_gone() && set.with_index(*i, || set.call(MG_DASH_DELETE, user))).count();
    if count == 0 || c.is_gone() {
        return (403, line("false"));
    }
    send_size(c, set);
    (200, line(count))
}

fn add(c: ConnRef, user: &User, set: Option<Set>, body: &[u8]) -> Answer {
    let Some(set) = set.filter(|s| s.is_array() && s.has_fn()) else { return (404, line("null")) };
    if set.store(body) == 0 || !set.call(MG_DASH_ADD, user) || c.is_gone() {
        return (403, line("false"));
    }
    send_size(c, set);
    (200, line("true"))
}

/// Changes an element of an array.
fn change(c: ConnRef, user: &User, set: Option<Set>, index: &[u8], body: &[u8]) -> Answer {
    let missing = || (404, line("null"));
    let Some(set) = set.filter(|s| s.is_array() && s.has_fn()) else { return missing() };
    let Some(i) = number(index) else { return missing() };
    set.with_index(i, || {
        if set.read_element(user, i) != Some(true) || c.is_gone() {
            return missing();
        }
        let count = set.store(body);
        if count == 0 || !set.call(MG_DASH_WRITE, user) || c.is_gone() {
            return (403, line("false"));
        }
        if let Some(e) = c.engine() {
            set.with_index(i, || sockets::send_change(e, set));
        }
        (200, line(count))
    })
}

/// The page itself, and URIs handled by the application.
///
/// # Safety
/// As [`handle`].
unsafe fn other(c: ConnRef, dash: *mut mg_dash, hm: *mut mg_http_message, asked: &static_files::Request, req: &Request) {
    // SAFETY: guaranteed by the caller. Nothing of the list is used after a handler was called.
    unsafe {
        if req.is(b"/") {
            let opts = mg_http_serve_opts { fs: &raw mut mg_fs_packed, ..NO_OPTS };
            return static_files::serve_file_to(c, asked, Some(c"/dashboard.html"), &opts);
        }
        let mut next = (*dash).custom_handlers;
        while let Some(custom) = next.as_ref() {
            if req.is(custom.uri_pattern.bytes()) {
                if let Some(f) = custom.handler {
                    f(c.as_ptr(), MG_EV_HTTP_MSG, hm.cast());
                }
                return;
            }
            next = custom.next;
        }
    }
    json(c, 404, b"Not Found");
}

/// See `mg_dash_send_change`.
///
/// # Safety
/// `mgr` is a manager, `set` a set of the application, or NULL.
pub(crate) unsafe fn send_change(mgr: *mut mg_mgr, set: *mut mg_field_set) {
    // SAFETY: as the caller promises.
    unsafe {
        if let (Some(e), Some(set)) = (Engine::enter_mgr(mgr), Set::new(set)) {
            sockets::send_change(&e, set);
        }
    }
}
