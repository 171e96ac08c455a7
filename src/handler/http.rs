//! The HTTP engine: the handler in `c->pfn` of HTTP listeners' connections and of HTTP clients. It turns what has been received
//! into MG_EV_HTTP_HDRS and MG_EV_HTTP_MSG, one request at a time.

use super::{limits, reply, ws};
use crate::abi::*;
use crate::guard::{bytes, http_message, iobuf};
use crate::net::engine::{CloseAfter, Engine, HttpRec, Leave, Phase, Reason, Rec, count};
use crate::net::event::{call, error, report};
use crate::net::handle::Conn;
use crate::net::output;
use crate::net::protocol::Protocol;
use crate::proto::{chunked, http, strict};
use core::ffi::{c_int, c_long, c_void};
use core::mem::MaybeUninit;

/// The protocol handler. Its address is what `c->pfn` holds.
///
/// # Safety
/// `c` is the connection the event is for; `ev_data` fits the event.
pub(crate) unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a frame open, or by the program for a connection of its own.
    let c = unsafe { Conn::new(c) };
    match ev {
        MG_EV_READ => {
            // SAFETY: MG_EV_READ carries the number of bytes.
            let n = if ev_data.is_null() { 0 } else { unsafe { *ev_data.cast::<c_long>() } };
            run(c, usize::try_from(n).unwrap_or(0), false);
        }
        MG_EV_POLL if is_waiting(c) => run(c, 0, false),
        MG_EV_WRITE if is_waiting(c) && c.rec().is_some_and(|rec| rec.choked.get() != 0) => run(c, 0, false),
        // What a client got so far of a response is delivered. A request that was cut short is not: it may mean anything.
        MG_EV_CLOSE if c.flags().is_client() && !c.flags().is_draining() => run(c, 0, true),
        _ => {}
    }
}

/// A server connection with something in its buffer.
fn is_waiting(c: Conn) -> bool {
    let flags = c.flags();
    flags.is_accepted() && !flags.is_draining() && c.recv_len() > 0
}

static PROTOCOL: Protocol =
    Protocol { handler, skips_poll: true, answers_in_turn: true, at_limit: Some(at_limit), drain_begins: None };

/// Installs the handler on a listener or a client.
pub(crate) fn install(c: Conn) {
    c.set_pfn(Some(handler));
    introduce(c.engine());
}

/// Tells the poll loop that the handler need not see MG_EV_POLL while nothing is buffered, and whom to ask when a buffer is full.
pub(crate) fn introduce(e: Option<&Engine>) {
    if let Some(e) = e {
        e.protocols.add(&PROTOCOL);
    }
}

/// Whether `c->pfn` is still this handler.
pub(crate) fn is_http(c: Conn) -> bool {
    c.pfn().is_some_and(|f| core::ptr::fn_addr_eq(f, handler as unsafe extern "C" fn(_, _, _)))
}

/// Requests handled before other connections have their turn.
const BATCH: usize = 256;
/// No further request is handled while so many bytes wait to be sent: their sender does not read.
const OUTPUT_MAX: usize = 1 << 20;

fn run(c: Conn, fresh: usize, closing: bool) {
    let Some(rec) = c.rec() else { return };
    let h = &rec.http;
    // While a message is being handled further up the stack it must not be handled again.
    if h.dispatching.get() {
        return;
    }
    if h.phase.get() == Phase::Refused {
        return;
    }
    // What is remembered holds only if the buffer has merely grown.
    if c.recv_len() != h.left.get() + fresh {
        h.next_message();
    }
    let server = c.flags().is_accepted();
    let mut handled = 0;
    rec.choked.set(0);
    while !gone(c, closing) && !c.flags().is_resp() && c.recv_len() > 0 {
        if server && c.send_len() >= OUTPUT_MAX {
            rec.choked.set(handler as *const () as usize);
            break;
        }
        if server && handled == BATCH {
            h.more.set(true);
            c.engine().inspect(|e| e.hold(rec));
            break;
        }
        handled += 1;
        match step(c, rec, closing) {
            // Whoever takes a connection over deletes what it has seen from the start of the buffer.
            Step::Next(end) => consume(c, rec, end),
            Step::Wait => break,
            // The buffer was taken over, or is gone.
            Step::Leave => return,
        }
        if c.flags().is_websocket() && !gone(c, closing) {
            // What follows the request are frames.
            return ws::run(c);
        }
        if c.flags().is_draining() || c.flags().is_closing() && !closing {
            break;
        }
    }
    if gone(c, closing) {
        return;
    }
    h.left.set(c.recv_len());
    close_when_answered(c, rec);
}

/// A handler closed the connection, or freed the manager.
fn gone(c: Conn, closing: bool) -> bool {
    c.is_closed() && !closing || c.engine().is_none_or(Engine::is_dead)
}

/// Takes handled bytes off the buffer.
fn consume(c: Conn, rec: &Rec, n: usize) {
    // SAFETY: the connection's own buffer; del clamps to it.
    unsafe {
        if n > 0 && n == c.recv_len() {
            rec.recv_used.set(0);
            let used = c.recv_info();
            bytes::slice_mut(used.buf, used.len).fill(0);
            (*c.recv()).len = 0;
        } else if n > 0 {
            iobuf::del(c.recv(), 0, n);
        }
    }
}

enum Step {
    /// The message was handled; it ends here.
    Next(usize),
    Wait,
    Leave,
}

/// Refuses a request of more bytes than mgx_limits allows, whoever sent it.
fn over_limit(c: Conn, rec: &Rec, most: usize, bytes: usize, code: c_int) -> bool {
    if most == 0 || bytes <= most || !c.flags().is_accepted() {
        return false;
    }
    rec.http.phase.set(Phase::Refused);
    limits::refuse(c, rec, code, Reason::Limit);
    // SAFETY: the connection's own buffer.
    unsafe { iobuf::del(c.recv(), 0, usize::MAX) };
    true
}

/// Looks at the message at the start of the buffer.
fn step(c: Conn, rec: &Rec, closing: bool) -> Step {
    let h = &rec.http;
    // SAFETY: the connection's own data; the slice is not used after anything is called.
    let data = unsafe { c.recv_info().data() };
    let most = c.engine().map_or_else(mgx_limits::default, |e| e.limits.get());
    let (size, known_head) = (data.len(), h.head_len.get());
    match h.phase.get() {
        // A head that arrives in small pieces is searched once.
        Phase::Head if h.scanned.get() > 0 => match http::request_len_after(data, h.scanned.get()) {
            Ok(Some(_)) => {}
            Ok(None) => {
                h.scanned.set(data.len());
                let refused = over_limit(c, rec, most.max_header_bytes, size, 431);
                return if refused { Step::Leave } else { Step::Wait };
            }
            Err(_) => return malformed(c, rec, data),
        },
        Phase::Spoilt => {
            let end = strict::end_of_head(data, h.scanned.replace(size));
            if end.is_some() {
                return malformed(c, rec, data);
            }
            let refused = over_limit(c, rec, most.max_header_bytes, size, 431);
            return if refused { Step::Leave } else { Step::Wait };
        }
        Phase::Body if !closing => match h.need.get() {
            Some(need) if data.len() < need => {
                let asks_in_vain = h.too_long.get() && is_http(c) && !c.flags().is_full() && c.queued(rec) == h.head_mark.get();
                return if asks_in_vain { fail(c, rec, 413, "MG_MAX_RECV_SIZE") } else { Step::Wait };
            }
            Some(_) => {}
            // The head is not looked at again before the last chunk is there.
            None => match scan(h, data) {
                chunked::Scan::NeedMore => {
                    let refused = over_limit(c, rec, most.max_body_bytes, size.saturating_sub(known_head), 413);
                    return if refused { Step::Leave } else { Step::Wait };
                }
                chunked::Scan::Complete { .. } | chunked::Scan::Invalid => {}
            },
        },
        _ => {}
    }

    let mut hm = MaybeUninit::<mg_http_message>::uninit();
    // SAFETY: data is readable; parse fills hm whatever it returns.
    let parsed = unsafe { http_message::parse(data.as_ptr(), data.len(), hm.as_mut_ptr()) };
    // SAFETY: as above.
    let hm = unsafe { hm.assume_init_mut() };
    let head_len = match usize::try_from(parsed.len) {
        Ok(0) => {
            h.scanned.set(data.len());
            let refused = over_limit(c, rec, most.max_header_bytes, size, 431);
            return if refused { Step::Leave } else { Step::Wait };
        }
        Ok(n) => n,
        Err(_) => return malformed(c, rec, data),
    };
    // SAFETY: the views in hm are those of data.
    let plan = unsafe { Plan::new(c, hm, &data[head_len..], parsed.odd_names) };
    if plan.ambiguous {
        return malformed(c, rec, data);
    }
    if plan.interim {
        // A final response follows; nobody waits for this one.
        h.next_message();
        return Step::Next(head_len);
    }

    if over_limit(c, rec, most.max_header_bytes, head_len, 431) {
        return Step::Leave;
    }
    if h.phase.get() == Phase::Head {
        h.phase.set(Phase::Body);
        h.head_len.set(head_len);
        if let Some(left) = announce_head(c, rec, hm, &plan, data.len() > head_len, closing) {
            return left;
        }
        // SAFETY: the connection's own data again: the handler may have moved the buffer. Its length is the same.
        let moved = unsafe { c.recv_info().data() };
        if moved.as_ptr() != data.as_ptr() {
            // SAFETY: as at the first look.
            unsafe {
                let parsed = http_message::parse(moved.as_ptr(), moved.len(), hm);
                if parsed.len <= 0 {
                    return refuse(c, rec, c.queued(rec), None);
                }
                Plan::new(c, hm, &moved[hm.head.len..], parsed.odd_names);
            }
        }
    }
    // After the handler has had the chance to take the body over.
    if plan.coding.is_none() && over_limit(c, rec, most.max_body_bytes, hm.body.len, 413) {
        return Step::Leave;
    }
    match plan.coding {
        Some(strict::Coding::Unknown) => return fail(c, rec, 501, "Invalid Transfer-Encoding"),
        Some(strict::Coding::Invalid) => return fail(c, rec, 400, "Invalid Transfer-Encoding"),
        Some(strict::Coding::Chunked) | None => {}
    }
    if plan.length_missing && !c.flags().is_client() {
        h.phase.set(Phase::Refused);
        reply::head(c, 411, &[]);
        c.update(|f| f.set_draining(true));
        return Step::Leave;
    }
    finish(c, rec, hm, &plan, closing)
}

/// What the head says about the body.
struct Plan {
    coding: Option<strict::Coding>,
    length_missing: bool,
    until_close: bool,
    /// A 1xx response that another one follows.
    interim: bool,
    /// Not everybody agrees on what this request is or where its body ends: Transfer-Encoding before HTTP/1.1, a length that no
    /// body can have, something that is no header name, a first line that is neither a request's nor a response's.
    ambiguous: bool,
    expects: bool,
    close: CloseAfter,
}

impl Plan {
    /// # Safety
    /// The views in `hm` are readable. `hm` is corrected where there is no body whatever the headers say. `rest` is what was
    /// received behind the head.
    unsafe fn new(c: Conn, hm: &mut mg_http_message, rest: &[u8], odd_names: bool) -> Plan {
        // SAFETY: passed on to the caller.
        unsafe {
            let (method, proto) = (hm.method.bytes(), hm.proto.bytes());
            let response = method.len() > 5 && method[..5].eq_ignore_ascii_case(b"HTTP/");
            let http10 = proto.eq_ignore_ascii_case(b"HTTP/1.0");
            let (mut coding, mut connection, mut expect, mut length) = (None, None, None, None);
            for header in hm.headers.iter().take_while(|h| h.name.len > 0) {
                let slot = match header.name.len {
                    17 if header.name.bytes().eq_ignore_ascii_case(b"Transfer-Encoding") => &mut coding,
                    14 if header.name.bytes().eq_ignore_ascii_case(b"Content-Length") => &mut length,
                    10 if header.name.bytes().eq_ignore_ascii_case(b"Connection") => &mut connection,
                    6 if header.name.bytes().eq_ignore_ascii_case(b"Expect") => &mut expect,
                    _ => continue,
                };
                *slot = slot.or(Some(header.value.bytes()));
            }
            let client = c.flags().is_client();
            let status = if response { http::status(hm.uri.bytes()) } else { 0 };
            let interim = client && (100..200).contains(&status) && status != 101;
            let until_close = response && hm.body.len == usize::MAX && coding.is_none();
            // The headers of these may speak of a body that is not there. Some servers, the original among them, send one.
            let is_next = || rest.iter().zip(b"HTTP/").all(|(a, b)| a == b);
            let bodyless = client && matches!(status, 101 | 204 | 304) && (until_close || is_next());
            if bodyless {
                hm.body.len = 0;
                hm.message.len = hm.head.len;
            }
            let misleading = || {
                odd_names && !has_token_names(hm)
                    || !overflow_is_sound(hm)
                    || !response && coding.is_some() && !has_codings(proto)
            };
            let impossible = || length.is_some_and(|v| http::content_length(v) != Some(hm.body.len));
            // Something between a request and a response, sent to a server.
            let neither = !client && response && !http::is_version(method);
            let ambiguous = neither || !client && misleading() || !bodyless && impossible();
            let has = |token: &[u8]| {
                connection.is_some_and(|v: &[u8]| v.split(|b| *b == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(token)))
            };
            let close = if response || client {
                CloseAfter::No
            } else if has(b"close") {
                CloseAfter::Asked
            } else if http10 && !has(b"keep-alive") {
                CloseAfter::Http10
            } else {
                CloseAfter::No
            };
            Plan {
                coding: if bodyless { None } else { coding.map(strict::coding) },
                length_missing: until_close && status >= 200 && status != 304,
                until_close: until_close && !bodyless,
                interim,
                ambiguous,
                expects: !response && !http10 && expect.is_some_and(|v: &[u8]| v.eq_ignore_ascii_case(b"100-continue")),
                close,
            }
        }
    }
}

/// # Safety
/// The views in `hm` are readable.
#[cold]
unsafe fn has_token_names(hm: &mg_http_message) -> bool {
    // SAFETY: passed on to the caller.
    hm.headers.iter().take_while(|h| h.name.len > 0).all(|h| strict::is_token(unsafe { h.name.bytes() }))
}

/// Transfer codings came with HTTP/1.1.
fn has_codings(proto: &[u8]) -> bool {
    proto.get(5) == Some(&b'1') && proto.get(7) != Some(&b'0')
}

/// Whether the headers that found no slot are well-formed.
///
/// # Safety
/// The views in `hm` are readable.
#[inline]
unsafe fn overflow_is_sound(hm: &mg_http_message) -> bool {
    let last = &hm.headers[MG_MAX_HTTP_HEADERS - 1];
    if last.name.len == 0 {
        return true;
    }
    // SAFETY: passed on to the caller; the last name lies inside the head.
    unsafe {
        let head = hm.head.bytes();
        let rest = &head[last.name.buf as usize - hm.head.buf as usize..];
        strict::are_headers(rest)
    }
}

/// Delivers MG_EV_HTTP_HDRS. Some: the handler left nothing to go on with.
fn announce_head(c: Conn, rec: &Rec, hm: &mut mg_http_message, plan: &Plan, body_begun: bool, closing: bool) -> Option<Step> {
    let h = &rec.http;
    let before = c.recv_len();
    let queued = c.queued(rec);
    h.head_mark.set(queued);
    h.close.set(plan.close);
    h.answered.set(false);
    h.dispatching.set(true);
    call(c, MG_EV_HTTP_HDRS, (hm as *mut mg_http_message).cast());
    h.dispatching.set(false);
    if gone(c, closing) {
        return Some(Step::Leave);
    }
    let untouched = c.queued(rec) == queued && !c.flags().is_draining() && !c.flags().is_closing();
    let incomplete = plan.coding == Some(strict::Coding::Chunked) || hm.body.len > 0;
    if plan.expects && incomplete && !body_begun && untouched && !(c.recv_len() == before && is_too_long(c, hm)) {
        // Whoever takes the body wants it to come.
        output::append_bytes(c, b"HTTP/1.1 100 Continue\r\n\r\n");
        h.head_mark.set(c.queued(rec));
    }
    if c.recv_len() != before {
        // The program reads the body itself from here on.
        c.set_pfn(None);
        h.next_message();
        return Some(Step::Leave);
    }
    c.flags().is_draining().then_some(Step::Leave)
}

fn scan(h: &HttpRec, data: &[u8]) -> chunked::Scan {
    let mut scanner = h.chunks.get();
    let found = scanner.scan(data.get(h.head_len.get()..).unwrap_or_default());
    h.chunks.set(scanner);
    found
}

/// Delivers MG_EV_HTTP_MSG when the whole message is there.
fn finish(c: Conn, rec: &Rec, hm: &mut mg_http_message, plan: &Plan, closing: bool) -> Step {
    let h = &rec.http;
    // SAFETY: the connection's own data; nothing is called while the slice is in use.
    let data = unsafe { bytes::slice_mut(c.recv_info().buf, c.recv_len()) };
    let head_len = hm.head.len;
    let end;
    if plan.coding.is_some() {
        match scan(h, data) {
            chunked::Scan::NeedMore => {
                h.need.set(None);
                return Step::Wait;
            }
            chunked::Scan::Invalid => return fail(c, rec, 400, "Invalid chunk"),
            chunked::Scan::Complete { consumed, .. } => {
                let Some(body) = data.get_mut(head_len..head_len + consumed) else {
                    // A handler has put another head in the place of the one that was scanned.
                    return refuse(c, rec, c.queued(rec), None);
                };
                hm.body.len = chunked::compact(body);
                hm.message.len = head_len + hm.body.len;
                end = head_len + consumed;
            }
        }
    } else if hm.body.len <= data.len() - head_len {
        end = hm.message.len;
    } else if closing && c.flags().is_client() {
        // A response without a length ends here, and one that was cut is delivered as far as it came.
        hm.message.len = data.len();
        hm.body.len = data.len() - head_len;
        end = data.len();
    } else {
        h.need.set(if plan.until_close { Some(usize::MAX) } else { Some(hm.message.len) });
        if !plan.until_close && is_too_long(c, hm) {
            // The program may still take the body over in this MG_EV_READ. After that it is asked no more.
            h.too_long.set(true);
            c.engine().inspect(|e| e.hold(rec));
        }
        return Step::Wait;
    }
    deliver(c, rec, hm, end, plan, closing)
}

fn deliver(c: Conn, rec: &Rec, hm: &mut mg_http_message, end: usize, plan: &Plan, closing: bool) -> Step {
    let h = &rec.http;
    let server = c.flags().is_accepted();
    if let Some(e) = c.engine().filter(|_| server) {
        c.update(|f| f.set_resp(true));
        h.asked_at.set(e.now.get());
        count(&e.stats.requests, 1);
        h.requests.set(h.requests.get() + 1);
    }
    h.next_message();
    h.mark.set(c.queued(rec));
    h.dispatched.set(true);
    h.end.set(end);
    let most = c.engine().map_or(0, |e| e.limits.get().max_requests);
    h.close.set(if server && most > 0 && h.requests.get() >= most { CloseAfter::Asked } else { plan.close });
    h.answered.set(false);
    h.announced.set(false);
    let before = c.recv_len();
    h.dispatching.set(true);
    call(c, MG_EV_HTTP_MSG, (hm as *mut mg_http_message).cast());
    h.dispatching.set(false);
    h.end.set(0);
    if gone(c, closing) {
        return Step::Leave;
    }
    if c.recv_len() != before {
        // Emptied by the handler: nothing left to take off.
        h.left.set(c.recv_len());
        return Step::Leave;
    }
    // The original closes at once here; what has not been answered at all stays, whoever will answer it.
    let asked = h.close.get() == CloseAfter::Asked || is_leaving(c, rec) && h.announced.get();
    let answered = !c.flags().is_resp() && !c.flags().is_websocket() && c.queued(rec) > h.mark.get();
    if server && asked && answered {
        c.update(|f| f.set_draining(true));
    }
    Step::Next(end)
}

/// A drain wants the next answer to be the last.
fn is_leaving(c: Conn, rec: &Rec) -> bool {
    c.flags().is_accepted() && (rec.leave.get() != Leave::No || c.engine().is_some_and(|e| e.lame.get()))
}

/// Whether, and how, the connection ends after the current answer.
pub(crate) fn closes(c: Conn, rec: &Rec) -> CloseAfter {
    if is_leaving(c, rec) { CloseAfter::Asked } else { rec.http.close.get() }
}

/// Drains after the last answer to a client that said, or implied, that it wants no more.
pub(crate) fn close_when_answered(c: Conn, rec: &Rec) {
    let h = &rec.http;
    let flags = c.flags();
    // A client that a drain has not told yet may be about to ask again.
    if (h.close.get() != CloseAfter::No || is_leaving(c, rec) && h.announced.get())
        && h.answered.get()
        && !flags.is_resp()
        && flags.is_accepted()
        && !flags.is_websocket()
        && c.recv_len() == 0
        && is_http(c)
        && c.engine().is_some_and(|e| !e.compat.get())
    {
        c.update(|f| f.set_draining(true));
    }
}

/// A message that cannot be parsed, or not in one way only: no error event, and what was queued for earlier ones is sent.
#[cold]
fn malformed(c: Conn, rec: &Rec, data: &[u8]) -> Step {
    let answer = if c.flags().is_client() { Some(false) } else { strict::expects_answer(data) };
    match answer {
        Some(true) => refuse(c, rec, c.queued(rec), Some(strict::status_of(data, MG_MAX_HTTP_HEADERS))),
        Some(false) => refuse(c, rec, c.queued(rec), None),
        // Where the head ends is all that still matters.
        None => {
            rec.http.phase.set(Phase::Spoilt);
            rec.http.scanned.set(data.len());
            Step::Wait
        }
    }
}

/// A request that was announced with MG_EV_HTTP_HDRS and cannot be received: MG_EV_ERROR, and the end. Whoever expects an answer
/// gets one.
#[cold]
fn fail(c: Conn, rec: &Rec, code: c_int, text: &str) -> Step {
    let h = &rec.http;
    // SAFETY: the connection's own data; the slice is not used after anything is called.
    let data = unsafe { c.recv_info().data() };
    let (head, begun) = match h.phase.get() {
        Phase::Body => (&data[..h.head_len.get()], h.head_mark.get()),
        _ => (data, c.queued(rec)),
    };
    let answer = !c.flags().is_client() && !c.flags().is_closing() && strict::expects_answer_now(head);
    h.phase.set(Phase::Refused);
    if !answer {
        error(c, format_args!("{text}"));
        return Step::Wait;
    }
    report(c, format_args!("{text}"));
    if c.is_closed() || c.flags().is_closing() || c.engine().is_none_or(Engine::is_dead) {
        return Step::Leave;
    }
    refuse(c, rec, begun, Some(code))
}

/// Whether a request can never be in the receive buffer as a whole, and its client expects to be told.
#[cold]
fn is_too_long(c: Conn, hm: &mg_http_message) -> bool {
    let limit = c.engine().map_or(usize::MAX, |e| e.options.borrow().max_recv_size);
    // SAFETY: the message is being handled, so its views are good.
    c.flags().is_accepted()
        && hm.message.len > limit.max(c.recv_info().size)
        && strict::expects_answer_now(unsafe { hm.head.bytes() })
}

/// Ends the connection of a request: no more of its input is looked at. `code` is the answer, if there is to be one; `queued` is
/// what was queued when the request began, in case the program has answered it.
#[cold]
fn refuse(c: Conn, rec: &Rec, queued: u64, code: Option<c_int>) -> Step {
    let h = &rec.http;
    // The answer to an earlier request may still be to come: this one would be taken for it.
    let owes_another = h.dispatched.get() && queued == h.mark.get();
    h.phase.set(Phase::Refused);
    c.update(|f| f.set_draining(true));
    if let Some(code) = code.filter(|_| c.queued(rec) == queued && !owes_another) {
        reply::refusal(c, code);
    }
    // SAFETY: the connection's own buffer.
    unsafe { iobuf::del(c.recv(), 0, usize::MAX) };
    Step::Leave
}

/// What the poll loop asks when the buffer of a connection is full. True: no error is to be raised.
fn at_limit(c: Conn) -> bool {
    let Some(rec) = c.rec().filter(|_| is_http(c) && c.flags().is_accepted()) else { return false };
    let h = &rec.http;
    if h.phase.get() == Phase::Refused || c.recv_len() != h.left.get() {
        return false;
    }
    let code = if h.phase.get() == Phase::Body { 413 } else { 431 };
    fail(c, rec, code, "MG_MAX_RECV_SIZE");
    true
}

#[cfg(test)]
mod tests;
