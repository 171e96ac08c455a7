//! The HTTP engine: the handler in `c->pfn` of HTTP listeners' connections and of HTTP clients. It turns what has been received
//! into MG_EV_HTTP_HDRS and MG_EV_HTTP_MSG, one request at a time.

use super::reply;
use crate::abi::*;
use crate::guard::{bytes, http_message, iobuf};
use crate::net::engine::{CloseAfter, Engine, HttpRec, Leave, Phase, Rec, count};
use crate::net::event::{call, error};
use crate::net::handle::Conn;
use crate::net::output;
use crate::proto::{chunked, http};
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
        MG_EV_POLL if c.flags().is_accepted() && !c.flags().is_draining() && c.recv_len() > 0 => run(c, 0, false),
        // What a client got so far of a response is delivered. A request that was cut short is not: it may mean anything.
        MG_EV_CLOSE if c.flags().is_client() && !c.flags().is_draining() => run(c, 0, true),
        _ => {}
    }
}

/// Installs the handler on a listener or a client.
pub(crate) fn install(c: Conn) {
    c.set_pfn(Some(handler));
    quiet(c.engine());
}

/// Tells the poll loop that the handler need not see MG_EV_POLL while nothing is buffered.
pub(crate) fn quiet(e: Option<&Engine>) {
    if let Some(e) = e {
        e.quiet_pfn.set(Some(handler as *const () as usize));
    }
}

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
    let mut ofs = 0;
    while !gone(c, closing) && !c.flags().is_resp() && ofs < c.recv_len() {
        match step(c, rec, ofs, closing) {
            Step::Next(end) => ofs = end,
            Step::Wait => break,
            // The buffer was taken over, or is gone.
            Step::Leave => return,
        }
        if c.flags().is_draining() || c.flags().is_closing() && !closing {
            break;
        }
    }
    if gone(c, closing) {
        return;
    }
    consume(c, rec, ofs);
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
    /// The message was handled; the next one begins here.
    Next(usize),
    Wait,
    Leave,
}

/// Looks at the message that begins at `ofs`.
fn step(c: Conn, rec: &Rec, ofs: usize, closing: bool) -> Step {
    let h = &rec.http;
    // SAFETY: the connection's own data; the slice is not used after anything is called.
    let data = unsafe { &c.recv_info().data()[ofs..] };
    match h.phase.get() {
        // A head that arrives in small pieces is searched once: the blank line takes at most three bytes.
        Phase::Head if h.scanned.get() > 8 => match http::request_len(data.get(h.scanned.get() - 8..).unwrap_or_default()) {
            Ok(Some(_)) => {}
            Ok(None) => {
                h.scanned.set(data.len());
                return Step::Wait;
            }
            Err(_) => return refuse(c),
        },
        Phase::Body if !closing => match h.need.get() {
            Some(need) if data.len() < need => return Step::Wait,
            Some(_) => {}
            // The head is not looked at again before the last chunk is there.
            None => match scan(h, data) {
                chunked::Scan::NeedMore => return Step::Wait,
                chunked::Scan::Complete { .. } | chunked::Scan::Invalid => {}
            },
        },
        _ => {}
    }

    let mut hm = MaybeUninit::<mg_http_message>::uninit();
    // SAFETY: data is readable; parse fills hm whatever it returns.
    let n = unsafe { http_message::parse(data.as_ptr(), data.len(), hm.as_mut_ptr()) };
    // SAFETY: as above.
    let hm = unsafe { hm.assume_init_mut() };
    let head_len = match usize::try_from(n) {
        Ok(0) => {
            h.scanned.set(data.len());
            return Step::Wait;
        }
        Ok(n) => n,
        Err(_) => return refuse(c),
    };
    // SAFETY: the views in hm are those of data.
    let plan = unsafe { Plan::new(c, hm) };
    if plan.unframed {
        return refuse(c);
    }
    if plan.interim {
        // A final response follows; nobody waits for this one.
        h.next_message();
        return Step::Next(ofs + head_len);
    }

    if h.phase.get() == Phase::Head {
        if ofs > 0 && (plan.chunked || hm.body.len > 0) {
            // Whoever takes the body over deletes the head from the start of the buffer.
            consume(c, rec, ofs);
            return Step::Next(0);
        }
        h.phase.set(Phase::Body);
        h.head_len.set(head_len);
        if let Some(left) = announce_head(c, rec, hm, &plan, data.len() > head_len, closing) {
            return left;
        }
        // SAFETY: the connection's own data again: the handler may have moved the buffer. Its length is the same.
        let moved = unsafe { &c.recv_info().data()[ofs..] };
        if moved.as_ptr() != data.as_ptr() {
            // SAFETY: as at the first look.
            unsafe {
                if http_message::parse(moved.as_ptr(), moved.len(), hm) <= 0 {
                    return refuse(c);
                }
                Plan::new(c, hm);
            }
        }
    }
    if plan.bad_coding {
        h.phase.set(Phase::Refused);
        error(c, format_args!("Invalid Transfer-Encoding"));
        return Step::Wait;
    }
    if plan.length_missing && !c.flags().is_client() {
        h.phase.set(Phase::Refused);
        reply::head(c, 411, &[]);
        c.update(|f| f.set_draining(true));
        return Step::Leave;
    }
    finish(c, rec, ofs, hm, &plan, closing)
}

/// What the head says about the body.
struct Plan {
    chunked: bool,
    bad_coding: bool,
    length_missing: bool,
    until_close: bool,
    /// A 1xx response that another one follows.
    interim: bool,
    /// Nobody agrees on where the body ends: Transfer-Encoding in an HTTP/1.0 request, or a length that no body can have.
    unframed: bool,
    expects: bool,
    close: CloseAfter,
}

impl Plan {
    /// # Safety
    /// The views in `hm` are readable. `hm` is corrected where the parser leaves the body open and there can be none.
    unsafe fn new(c: Conn, hm: &mut mg_http_message) -> Plan {
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
            let chunked = coding.is_some_and(|v: &[u8]| v.eq_ignore_ascii_case(b"chunked"));
            let status = if response { http::status(hm.uri.bytes()) } else { 0 };
            let until_close = response && hm.body.len == usize::MAX && coding.is_none();
            let client = c.flags().is_client();
            let bodyless = client && until_close && (status == 304 || status == 101);
            if bodyless {
                hm.body.len = 0;
                hm.message.len = hm.head.len;
            }
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
                chunked,
                bad_coding: coding.is_some() && !chunked,
                length_missing: until_close && status >= 200 && status != 304,
                until_close: until_close && !bodyless,
                interim: client && until_close && (100..200).contains(&status) && status != 101,
                unframed: !response && http10 && coding.is_some()
                    || length.is_some_and(|v| http::content_length(v) != Some(hm.body.len)),
                expects: !response && !http10 && expect.is_some_and(|v: &[u8]| v.eq_ignore_ascii_case(b"100-continue")),
                close,
            }
        }
    }
}

/// Delivers MG_EV_HTTP_HDRS. Some: the handler left nothing to go on with.
fn announce_head(c: Conn, rec: &Rec, hm: &mut mg_http_message, plan: &Plan, body_begun: bool, closing: bool) -> Option<Step> {
    let h = &rec.http;
    let before = c.recv_len();
    let queued = c.queued(rec);
    h.close.set(plan.close);
    h.answered.set(false);
    h.dispatching.set(true);
    call(c, MG_EV_HTTP_HDRS, (hm as *mut mg_http_message).cast());
    h.dispatching.set(false);
    if gone(c, closing) {
        return Some(Step::Leave);
    }
    let untouched = c.queued(rec) == queued && !c.flags().is_draining() && !c.flags().is_closing();
    let incomplete = plan.chunked || hm.body.len > 0;
    if plan.expects && incomplete && !body_begun && untouched {
        // Whoever takes the body wants it to come.
        output::append_bytes(c, b"HTTP/1.1 100 Continue\r\n\r\n");
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
fn finish(c: Conn, rec: &Rec, ofs: usize, hm: &mut mg_http_message, plan: &Plan, closing: bool) -> Step {
    let h = &rec.http;
    // SAFETY: the connection's own data; nothing is called while the slice is in use.
    let data = unsafe { bytes::slice_mut(c.recv_info().buf, c.recv_len()).get_mut(ofs..).unwrap_or_default() };
    let head_len = hm.head.len;
    let end;
    if plan.chunked {
        match scan(h, data) {
            chunked::Scan::NeedMore => {
                h.need.set(None);
                return Step::Wait;
            }
            chunked::Scan::Invalid => {
                h.phase.set(Phase::Refused);
                error(c, format_args!("Invalid chunk"));
                return Step::Wait;
            }
            chunked::Scan::Complete { consumed, .. } => {
                hm.body.len = chunked::compact(&mut data[head_len..head_len + consumed]);
                hm.message.len = head_len + hm.body.len;
                end = ofs + head_len + consumed;
            }
        }
    } else if hm.body.len <= data.len() - head_len {
        end = ofs + hm.message.len;
    } else if closing && c.flags().is_client() {
        // A response without a length ends here, and one that was cut is delivered as far as it came.
        hm.message.len = data.len();
        hm.body.len = data.len() - head_len;
        end = ofs + data.len();
    } else {
        h.need.set(if plan.until_close { Some(usize::MAX) } else { Some(hm.message.len) });
        return Step::Wait;
    }
    deliver(c, rec, hm, end, plan, closing)
}

fn deliver(c: Conn, rec: &Rec, hm: &mut mg_http_message, end: usize, plan: &Plan, closing: bool) -> Step {
    let h = &rec.http;
    let server = c.flags().is_accepted();
    if let Some(e) = c.engine().filter(|_| server) {
        c.update(|f| f.set_resp(true));
        count(&e.stats.requests, 1);
        h.requests.set(h.requests.get() + 1);
    }
    h.next_message();
    h.mark.set(c.queued(rec));
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
    if server && asked && !c.flags().is_resp() && c.queued(rec) > h.mark.get() {
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
        && c.pfn().is_some_and(|f| core::ptr::fn_addr_eq(f, handler as unsafe extern "C" fn(_, _, _)))
        && c.engine().is_some_and(|e| !e.compat.get())
    {
        c.update(|f| f.set_draining(true));
    }
}

/// A malformed message: no answer and no error event, but what was queued for earlier ones is sent.
fn refuse(c: Conn) -> Step {
    c.update(|f| f.set_draining(true));
    // SAFETY: the connection's own buffer.
    unsafe { iobuf::del(c.recv(), 0, usize::MAX) };
    Step::Leave
}
