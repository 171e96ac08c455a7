//! The HTTP protocol handler in `c->pfn` of HTTP clients and of the connections of HTTP listeners. Turns received data into
//! MG_EV_HTTP_HDRS and MG_EV_HTTP_MSG, one request at a time.

use super::{reply, ws};
use crate::abi::*;
use crate::ffi_util::http_message::{self, Room};
use crate::ffi_util::{bytes, iobuf};
use crate::memory::prelude::*;
use crate::net::engine::{CloseAfter, ConnState, DrainState, Engine, HttpState, Phase, Reason, count};
use crate::net::event::{call, error, report};
use crate::net::handle::ConnRef;
use crate::net::protocol::Protocol;
use crate::net::recv::OUTPUT_MAX;
use crate::net::view::dispatch;
use crate::net::{output, send};
use crate::proto::http::framing::{Body, Framing, Side};
use crate::proto::http::head::{self, BLANK_LINES, Malformed, Reader, blank_lines};
use crate::proto::http::outgoing::{Outgoing, Progress};
use crate::proto::http::{self, chunked, strict};
use core::ffi::{c_int, c_long, c_void};

/// The protocol handler in `c->pfn`.
///
/// # Safety
/// `c` is the connection the event is for; `ev_data` fits the event.
pub(crate) unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a callback open, or by the application for a connection of its own.
    let c = unsafe { ConnRef::new(c) };
    match ev {
        MG_EV_READ => {
            // SAFETY: MG_EV_READ carries the number of bytes.
            let n = if ev_data.is_null() { 0 } else { unsafe { *ev_data.cast::<c_long>() } };
            run(c, usize::try_from(n).unwrap_or(0), false);
        }
        MG_EV_POLL if is_waiting(c) => run(c, 0, false),
        MG_EV_WRITE if is_waiting(c) && c.rec().is_some_and(|rec| rec.http.write_throttled.get()) => run(c, 0, false),
        // A client gets the part of a response received so far. A truncated request is not delivered: its meaning is unknown.
        MG_EV_CLOSE if c.flags().is_client() && !c.flags().is_draining() => run(c, 0, true),
        _ => {}
    }
}

/// A server connection with data in its buffer.
fn is_waiting(c: ConnRef) -> bool {
    let flags = c.flags();
    flags.is_accepted() && !flags.is_draining() && c.recv_len() > 0
}

static PROTOCOL: Protocol = Protocol {
    handler,
    skips_poll: true,
    answers_in_turn: true,
    throttles_input: true,
    at_limit: Some(at_limit),
    before_send: Some(before_send),
};

/// Installs the handler on a listener or client.
pub(crate) fn install(c: ConnRef) {
    c.set_pfn(Some(handler));
    introduce(c.engine());
}

/// Registers the protocol, which does not need MG_EV_POLL while nothing is buffered, and handles full buffers.
pub(crate) fn introduce(e: Option<&Engine>) {
    if let Some(e) = e {
        e.protocols.add(&PROTOCOL);
    }
}

/// True if `c->pfn` is still this handler.
pub(crate) fn is_http(c: ConnRef) -> bool {
    cfg!(feature = "http") && c.pfn().is_some_and(|f| core::ptr::fn_addr_eq(f, handler as unsafe extern "C" fn(_, _, _)))
}

/// Maximum number of requests handled before other connections are serviced.
const BATCH: usize = 256;

/// Handles received data.
fn run(c: ConnRef, fresh: usize, closing: bool) {
    let (Some(e), Some(rec)) = (c.engine(), c.rec()) else { return };
    // Applications may call the handler themselves.
    e.enter();
    messages(e, c, rec, fresh, closing);
    e.exit();
}

fn messages(e: &Engine, c: ConnRef, rec: &ConnState, fresh: usize, closing: bool) {
    let h = &rec.http;
    // A message that is being handled further up the stack must not be handled again.
    if rec.dispatching.get() || h.phase.get() == Phase::Refused {
        return;
    }
    if !has_merely_grown(c, rec, fresh) {
        h.next_message();
    }
    let server = c.flags().is_accepted();
    let mut handled = 0;
    h.write_throttled.set(false);
    while !gone(e, c, closing) && !c.flags().is_resp() && c.recv_len() > 0 {
        if server && c.send_len() >= OUTPUT_MAX {
            h.write_throttled.set(true);
            break;
        }
        if server && handled == BATCH {
            rec.batch_pending.set(true);
            e.requeue(rec);
            break;
        }
        if skip_blank_lines(c, rec) {
            continue;
        }
        handled += 1;
        match step(e, c, rec, closing) {
            // Code that takes over a connection deletes what it has consumed from the start of the buffer.
            Step::Next(end) => consume(c, rec, end),
            Step::Wait => break,
            // The buffer was taken over or freed.
            Step::Stop => return,
        }
        if cfg!(feature = "ws") && c.flags().is_websocket() && !gone(e, c, closing) {
            // What follows the request are frames.
            return ws::run(c);
        }
        if c.flags().is_draining() || c.flags().is_closing() && !closing {
            break;
        }
    }
    if gone(e, c, closing) {
        return;
    }
    note_left(c, rec);
    if closing && c.recv_len() > 0 {
        return truncated(c, rec);
    }
    close_when_answered(c, rec);
}

/// True if the data left in the buffer is still at its start. Applications may add data themselves.
fn has_merely_grown(c: ConnRef, rec: &ConnState, fresh: usize) -> bool {
    let h = &rec.http;
    let moved = c.recv_at(rec).wrapping_sub(h.left_at.get()) as i64;
    moved == 0 || moved < 0 && c.recv_len() == h.left.get() + fresh
}

fn note_left(c: ConnRef, rec: &ConnState) {
    rec.http.left.set(c.recv_len());
    rec.http.left_at.set(c.recv_at(rec));
}

/// Removes an empty line before a message.
fn skip_blank_lines(c: ConnRef, rec: &ConnState) -> bool {
    let h = &rec.http;
    // SAFETY: the connection's own data; the slice is not used after anything is called.
    let data = unsafe { c.recv_info().data() };
    if h.phase.get() != Phase::Head || !matches!(data, [b'\r' | b'\n', ..]) {
        return false;
    }
    let (len, lines) = blank_lines(data);
    // If there are too many, leave the first one: it makes the head malformed.
    if lines == 0 || h.blank.get() + lines > BLANK_LINES {
        return false;
    }
    h.blank.set(h.blank.get() + lines);
    h.scanned.set(0);
    consume(c, rec, len);
    true
}

/// Reports a client connection that ended in the middle of a response, unless the application closed it or was told of an error.
fn truncated(c: ConnRef, rec: &ConnState) {
    let h = &rec.http;
    let by_peer = matches!(rec.reason.get(), Reason::PeerClosed | Reason::Reset);
    // SAFETY: the connection's own data; the slice is not used after anything is called.
    let data = unsafe { c.recv_info().data() };
    if !by_peer || h.phase.get() == Phase::Refused || data == b"\r" {
        return;
    }
    let is_response = data.iter().zip(b"HTTP/").all(|(a, b)| a.eq_ignore_ascii_case(b));
    h.phase.set(Phase::Refused);
    error(c, format_args!("{} response", if is_response { "Truncated" } else { "Invalid" }));
}

/// True if the received data may become a message: its first line is valid so far.
fn may_be_message(data: &[u8]) -> bool {
    const LONGEST: usize = 8192;
    if data.iter().zip(b"HTTP/").all(|(a, b)| a.eq_ignore_ascii_case(b)) {
        return true;
    }
    let start = &data[..data.len().min(LONGEST)];
    let Some(end) = memchr::memchr(b'\n', start) else { return start.len() < LONGEST };
    let line = start[..end].trim_ascii_end();
    head::is_version(line.rsplit(|b| *b == b' ').next().unwrap_or_default())
}

/// True if a handler closed the connection or freed the manager.
#[inline]
fn gone(e: &Engine, c: ConnRef, closing: bool) -> bool {
    e.is_dead() || c.is_closed() && !closing
}

/// True if another message may follow the one being handled; empty lines do not count.
pub(crate) fn has_more(c: ConnRef, rec: &ConnState) -> bool {
    // SAFETY: the connection's own data; the slice is not used after anything is called.
    let rest = unsafe { c.recv_info().data() }.get(rec.http.end.get()..).unwrap_or_default();
    rest.iter().any(|b| !matches!(b, b'\r' | b'\n'))
}

/// Removes handled bytes from the buffer.
fn consume(c: ConnRef, rec: &ConnState, n: usize) {
    // SAFETY: the connection's own buffer; del clamps to it.
    unsafe {
        if n > 0 && n == c.recv_len() {
            // The data is zeroed when the block returns to the spares.
            rec.recv_used.set(rec.recv_used.get().max(n));
            *c.recv_info().buf = 0;
            (*c.recv()).len = 0;
        } else if n > 0 {
            iobuf::take_front(c.recv(), n);
        }
    }
}

enum Step {
    /// The message was handled; it ends here.
    Next(usize),
    Wait,
    Stop,
}

/// Refuses a request larger than mgx_limits allows.
#[inline]
fn over_limit(c: ConnRef, rec: &ConnState, most: usize, bytes: usize, code: c_int) -> bool {
    most != 0 && bytes > most && c.flags().is_accepted() && refuse_size(c, rec, code)
}

#[cold]
fn refuse_size(c: ConnRef, rec: &ConnState, code: c_int) -> bool {
    reply::over_limit(c, rec, code, Reason::Limit);
    rec.http.phase.set(Phase::Refused);
    // SAFETY: the connection's own buffer.
    unsafe { iobuf::del(c.recv(), 0, usize::MAX) };
    true
}

/// Examines the message at the start of the buffer.
fn step(e: &Engine, c: ConnRef, rec: &ConnState, closing: bool) -> Step {
    let h = &rec.http;
    // SAFETY: the connection's own data; the slice is not used after anything is called.
    let data = unsafe { c.recv_info().data() };
    let most = e.limits.get();
    let (size, known_head) = (data.len(), h.head_len.get());
    match h.phase.get() {
        // Search a head that arrives in small segments only once.
        Phase::Head if h.scanned.get() > 0 => match http::request_len_after(data, h.scanned.get()) {
            Ok(Some(_)) => {}
            Ok(None) if c.flags().is_client() && !may_be_message(data) => return malformed(c, rec, data),
            Ok(None) => {
                h.scanned.set(data.len());
                let refused = over_limit(c, rec, most.max_header_bytes, size, 431);
                return if refused { Step::Stop } else { Step::Wait };
            }
            Err(_) => return malformed(c, rec, data),
        },
        Phase::Malformed => {
            let end = strict::end_of_head(data, h.scanned.replace(size));
            if end.is_some() {
                return malformed(c, rec, data);
            }
            let refused = over_limit(c, rec, most.max_header_bytes, size, 431);
            return if refused { Step::Stop } else { Step::Wait };
        }
        Phase::Body if !closing => match h.need.get() {
            Some(need) if data.len() < need => {
                let asks_in_vain = h.too_long.get() && is_http(c) && !c.flags().is_full() && c.queued(rec) == h.head_mark.get();
                return if asks_in_vain { fail(c, rec, 413, "MG_MAX_RECV_SIZE") } else { Step::Wait };
            }
            Some(_) => {}
            // Do not parse the head again before the last chunk has arrived.
            None => match scan(h, data) {
                chunked::Scan::NeedMore => {
                    let refused = over_limit(c, rec, most.max_body_bytes, size.saturating_sub(known_head), 413);
                    return if refused { Step::Stop } else { Step::Wait };
                }
                chunked::Scan::Complete { .. } | chunked::Scan::Invalid => {}
            },
        },
        _ => {}
    }

    let mut message = Room::new();
    let Some(hm) = message.at(e.sizes.get().headers) else {
        error(c, format_args!("OOM"));
        return Step::Stop;
    };
    let mut announced = false;
    let (framing, hm) = loop {
        // SAFETY: the connection's own data; hm is used before the buffer changes.
        let data = unsafe { c.recv_info().data() };
        // SAFETY: as above.
        let (framing, hm) = match unsafe { read(e, c, rec, data, hm) } {
            // SAFETY: filled, and nobody else's.
            Ok(Some(framing)) => (framing, unsafe { &mut *hm }),
            _ if announced => return refuse(c, rec, c.queued(rec), None),
            Ok(None) => {
                if c.flags().is_client() && !may_be_message(data) {
                    return malformed(c, rec, data);
                }
                h.scanned.set(data.len());
                let refused = over_limit(c, rec, most.max_header_bytes, size, 431);
                return if refused { Step::Stop } else { Step::Wait };
            }
            Err(Malformed) => return malformed(c, rec, data),
        };
        if announced {
            break (framing, hm);
        }
        let head_len = hm.head.len;
        if framing.interim {
            // A final response follows; skip this one.
            h.next_message();
            return Step::Next(head_len);
        }
        if over_limit(c, rec, most.max_header_bytes, head_len, 431) {
            return Step::Stop;
        }
        if h.phase.get() == Phase::Head {
            h.phase.set(Phase::Body);
            h.head_len.set(head_len);
            if let Some(left) = announce_head(e, c, rec, hm, &framing, data.len() > head_len, closing) {
                return left;
            }
            // The handler may have moved the buffer, or changed it in place.
            if !core::ptr::eq(c.recv_info().buf, data.as_ptr()) {
                announced = true;
                continue;
            }
        }
        break (framing, hm);
    };
    // Checked after the handler had the chance to take over the body.
    if framing.body != Body::Chunked && over_limit(c, rec, most.max_body_bytes, hm.body.len, 413) {
        return Step::Stop;
    }
    match framing.body {
        Body::UnknownCoding => return fail(c, rec, 501, "Invalid Transfer-Encoding"),
        Body::InvalidCoding => return fail(c, rec, 400, "Invalid Transfer-Encoding"),
        _ => {}
    }
    if framing.length_missing && !c.flags().is_client() {
        h.phase.set(Phase::Refused);
        reply::head(c, 411, &[]);
        c.update(|f| f.set_draining(true));
        return Step::Stop;
    }
    finish(e, c, rec, hm, &framing, closing)
}

/// Parses the head at the start of `data` and determines its body.
///
/// # Safety
/// `hm` has room for a message of this manager. The views in it are as short-lived as the bytes of `data`.
#[inline(always)]
unsafe fn read(
    e: &Engine,
    c: ConnRef,
    rec: &ConnState,
    data: &[u8],
    hm: *mut mg_http_message,
) -> Result<Option<Framing>, Malformed> {
    let most = e.sizes.get().headers;
    let client = c.flags().is_client();
    let (reader, side) =
        if client { (Reader::Client, Side::Client { head: answers_head(rec) }) } else { (Reader::Server, Side::Server) };
    // SAFETY: guaranteed by the caller.
    let Some(head) = (unsafe { http_message::read(data, reader, most, hm) })? else { return Ok(None) };
    let framing = Framing::new(&head, side, &data[head.len..])?;
    // SAFETY: filled above, with views of `data`.
    let hm = unsafe { &mut *hm };
    if let Body::Length(n) = framing.body {
        (hm.body.len, hm.message.len) = (n, head.len + n);
    }
    // SAFETY: as above.
    if !head.is_response() && !unsafe { hm.resolve_target(most) } {
        return Err(Malformed);
    }
    Ok(Some(framing))
}

/// Delivers MG_EV_HTTP_HDRS. Some: the handler left nothing to continue with.
fn announce_head(
    e: &Engine,
    c: ConnRef,
    rec: &ConnState,
    hm: &mut mg_http_message,
    framing: &Framing,
    body_begun: bool,
    closing: bool,
) -> Option<Step> {
    let h = &rec.http;
    let before = c.recv_at(rec);
    let queued = c.queued(rec);
    h.head_mark.set(queued);
    h.close.set(framing.close);
    h.head_only.set(framing.head);
    h.keep_alive.set(framing.keep_alive);
    h.chunked.set(framing.body == Body::Chunked);
    h.answered.set(false);
    dispatch(c, rec, 0, || call(c, MG_EV_HTTP_HDRS, (hm as *mut mg_http_message).cast()));
    if gone(e, c, closing) {
        return Some(Step::Stop);
    }
    let untouched = c.queued(rec) == queued && !c.flags().is_draining() && !c.flags().is_closing();
    let incomplete = framing.body == Body::Chunked || hm.body.len > 0;
    if framing.expects && incomplete && !body_begun && untouched && !(c.recv_at(rec) == before && is_too_long(c, hm)) {
        // The application still accepts the body.
        output::append_bytes(c, b"HTTP/1.1 100 Continue\r\n\r\n");
        h.head_mark.set(c.queued(rec));
    }
    if c.recv_at(rec) != before {
        // From here on the application reads the body itself.
        c.set_pfn(None);
        h.next_message();
        return Some(Step::Stop);
    }
    c.flags().is_draining().then_some(Step::Stop)
}

fn scan(h: &HttpState, data: &[u8]) -> chunked::Scan {
    let mut scanner = h.chunks.get();
    let found = scanner.scan(data.get(h.head_len.get()..).unwrap_or_default());
    h.chunks.set(scanner);
    found
}

/// Delivers MG_EV_HTTP_CHUNK for applications written for versions before 7.14: the whole body at once and, if the application
/// consumes it, an empty chunk. True if no MG_EV_HTTP_MSG follows.
#[cold]
fn chunks_of_older_versions(c: ConnRef, rec: &ConnState, hm: &mut mg_http_message) -> bool {
    if hm.body.len == 0 {
        return false;
    }
    let before = c.recv_at(rec);
    rec.http.chunk_deleted.set(false);
    // The header has `chunk` as another name of `message`.
    let whole = (hm.body, core::mem::replace(&mut hm.message, hm.body));
    call(c, MGX_EV_HTTP_CHUNK, (&raw mut *hm).cast());
    if c.is_closed() || c.recv_at(rec) != before {
        return true;
    }
    let consumed = rec.http.chunk_deleted.take();
    if consumed {
        let nothing = mg_str { buf: whole.0.buf, len: 0 };
        (hm.body, hm.message) = (nothing, nothing);
        call(c, MGX_EV_HTTP_CHUNK, (&raw mut *hm).cast());
    } else {
        (hm.body, hm.message) = whole;
    }
    consumed
}

/// Delivers MG_EV_HTTP_MSG when the message is complete.
fn finish(e: &Engine, c: ConnRef, rec: &ConnState, hm: &mut mg_http_message, framing: &Framing, closing: bool) -> Step {
    let h = &rec.http;
    // SAFETY: the connection's own data; nothing is called while the slice is in use.
    let data = unsafe { bytes::slice_mut(c.recv_info().buf, c.recv_len()) };
    let head_len = hm.head.len;
    let end;
    if framing.body == Body::Chunked {
        match scan(h, data) {
            chunked::Scan::NeedMore => return Step::Wait,
            chunked::Scan::Invalid => return fail(c, rec, 400, "Invalid chunk"),
            chunked::Scan::Complete { consumed, .. } => {
                let Some(body) = data.get_mut(head_len..head_len + consumed) else {
                    // A handler has replaced the scanned head.
                    return refuse(c, rec, c.queued(rec), None);
                };
                hm.body.len = chunked::compact(body);
                hm.message.len = head_len + hm.body.len;
                end = head_len + consumed;
            }
        }
    } else if hm.body.len <= data.len() - head_len {
        end = hm.message.len + framing.stray;
    } else if closing && c.flags().is_client() && framing.body == Body::UntilClose {
        hm.message.len = data.len();
        hm.body.len = data.len() - head_len;
        end = data.len();
    } else {
        let until_close = framing.body == Body::UntilClose;
        h.need.set(Some(if until_close { usize::MAX } else { hm.message.len }));
        if !until_close && is_too_long(c, hm) {
            // The application may still take over the body in this MG_EV_READ, but not later.
            h.too_long.set(true);
            c.engine().inspect(|e| e.requeue(rec));
        }
        return Step::Wait;
    }
    deliver(e, c, rec, hm, end, framing, closing)
}

fn deliver(
    e: &Engine,
    c: ConnRef,
    rec: &ConnState,
    hm: &mut mg_http_message,
    end: usize,
    framing: &Framing,
    closing: bool,
) -> Step {
    let h = &rec.http;
    let server = c.flags().is_accepted();
    h.next_message();
    if server {
        count(&e.stats.requests, 1);
        h.requests.set(h.requests.get() + 1);
        expect_answer(e, c, rec);
    } else {
        h.mark.set(c.queued(rec));
        with_outgoing(rec, |out| out.answered());
        h.dispatched.set(true);
    }
    h.end.set(end);
    let most = e.limits.get().max_requests;
    h.close.set(if server && most > 0 && h.requests.get() >= most { CloseAfter::Asked } else { framing.close });
    h.answered.set(false);
    rec.close_announced.set(false);
    let before = c.recv_at(rec);
    dispatch(c, rec, end, || {
        if !(e.written_for.get() < 714 && chunks_of_older_versions(c, rec, hm)) {
            call(c, MG_EV_HTTP_MSG, (hm as *mut mg_http_message).cast());
        }
    });
    if gone(e, c, closing) {
        return Step::Stop;
    }
    h.end.set(0);
    let consumed = c.recv_at(rec) != before;
    if consumed && !is_http(c) {
        // Input that has arrived since belongs to the current protocol handler.
        return Step::Stop;
    }
    follow_answer(c, rec, false);
    // The original closes here even without a response; a connection without one stays open.
    let asked = h.close.get() == CloseAfter::Asked || is_leaving(c, rec) && rec.close_announced.get();
    let answered = !c.flags().is_resp() && !c.flags().is_websocket() && c.queued(rec) > h.mark.get();
    if server && asked && answered {
        c.update(|f| f.set_draining(true));
    }
    Step::Next(if consumed { 0 } else { end })
}

/// The application, which did not see MG_EV_HTTP_MSG of this request, answers it now or later; the next request waits for the response.
pub(crate) fn await_answer(c: ConnRef) {
    let (Some(e), Some(rec)) = (c.engine(), c.rec()) else { return };
    if !c.flags().is_accepted() || c.is_closed() || !is_http(c) || e.compat.get() {
        return;
    }
    expect_answer(e, c, rec);
    rec.http.answered.set(false);
    rec.close_announced.set(false);
}

fn expect_answer(e: &Engine, c: ConnRef, rec: &ConnState) {
    let h = &rec.http;
    c.update(|f| f.set_resp(true));
    h.asked_at.set(e.now.get());
    h.mark.set(c.queued(rec));
    with_outgoing(rec, |out| out.restart(h.mark.get()));
    h.dispatched.set(true);
}

/// A drain requires the next response to be the last.
fn is_leaving(c: ConnRef, rec: &ConnState) -> bool {
    c.flags().is_accepted() && (rec.drain_state.get() != DrainState::No || c.engine().is_some_and(|e| e.lame.get()))
}

/// Whether and how the connection closes after the current response.
pub(crate) fn closes(c: ConnRef, rec: &ConnState) -> CloseAfter {
    if is_leaving(c, rec) { CloseAfter::Asked } else { rec.http.close.get() }
}

/// Drains after the last response to a client that explicitly or implicitly requested a close.
pub(crate) fn close_when_answered(c: ConnRef, rec: &ConnState) {
    let h = &rec.http;
    let flags = c.flags();
    // A client that does not know of the drain yet may be about to send another request.
    if (h.close.get() != CloseAfter::No || is_leaving(c, rec) && rec.close_announced.get())
        && h.answered.get()
        && !flags.is_resp()
        && flags.is_accepted()
        && !flags.is_websocket()
        // Input after the last request is dropped only if the response announced the close.
        && (c.recv_len() == 0 || rec.close_announced.get())
        && is_http(c)
        && c.engine().is_some_and(|e| !e.compat.get())
    {
        c.update(|f| f.set_draining(true));
    }
}

/// Handles a message that is malformed or ambiguous. A client gets MG_EV_ERROR. On a server there is no error event, and output
/// queued for earlier requests is sent.
#[cold]
fn malformed(c: ConnRef, rec: &ConnState, data: &[u8]) -> Step {
    if c.flags().is_client() {
        rec.http.phase.set(Phase::Refused);
        error(c, format_args!("Invalid response"));
        return Step::Wait;
    }
    let answer = strict::expects_answer(data);
    rec.http.head_only.set(data.starts_with(b"HEAD "));
    match answer {
        Some(true) => refuse(c, rec, c.queued(rec), Some(400)),
        Some(false) => refuse(c, rec, c.queued(rec), None),
        // Only the end of the head still matters.
        None => {
            rec.http.phase.set(Phase::Malformed);
            rec.http.scanned.set(data.len());
            Step::Wait
        }
    }
}

/// Handles a request announced with MG_EV_HTTP_HDRS that cannot be received: MG_EV_ERROR, an error response if the peer expects
/// one, and close.
#[cold]
fn fail(c: ConnRef, rec: &ConnState, code: c_int, text: &str) -> Step {
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
    if c.is_gone() || c.flags().is_closing() {
        return Step::Stop;
    }
    refuse(c, rec, begun, Some(code))
}

/// True if a request can never fit in the receive buffer and its client expects a response.
#[cold]
fn is_too_long(c: ConnRef, hm: &mg_http_message) -> bool {
    let limit = c.engine().map_or(usize::MAX, |e| e.options.borrow().max_recv_size);
    // SAFETY: the message is being handled, so its views are good.
    c.flags().is_accepted()
        && hm.message.len > limit.max(c.recv_info().size)
        && strict::expects_answer_now(unsafe { hm.head.bytes() })
}

/// Refuses a request and closes its connection; further input is ignored. `code` is the response, if any; `queued` is what was
/// queued when the request began, in case the application has responded.
#[cold]
fn refuse(c: ConnRef, rec: &ConnState, queued: u64, code: Option<c_int>) -> Step {
    let h = &rec.http;
    // While the response to an earlier request is pending, the client would take this one for it.
    let owes_another = h.dispatched.get() && queued == h.mark.get();
    h.phase.set(Phase::Refused);
    c.update(|f| f.set_draining(true));
    if let Some(code) = code.filter(|_| c.queued(rec) == queued && !owes_another) {
        reply::refusal(c, code);
    }
    // SAFETY: the connection's own buffer.
    unsafe { iobuf::del(c.recv(), 0, usize::MAX) };
    Step::Stop
}

/// Called by the engine when the receive buffer is full. True if no error is to be raised.
fn at_limit(c: ConnRef) -> bool {
    let Some(rec) = c.rec().filter(|_| is_http(c) && c.flags().is_accepted()) else { return false };
    let h = &rec.http;
    if rec.dispatching.get() {
        return true;
    }
    if h.phase.get() == Phase::Refused || c.recv_at(rec) != h.left_at.get() {
        return false;
    }
    let code = if h.phase.get() == Phase::Body { 413 } else { 431 };
    fail(c, rec, code, "MG_MAX_RECV_SIZE");
    true
}

// ---- what the application writes

fn with_outgoing<R>(rec: &ConnState, f: impl FnOnce(&mut Outgoing) -> R) -> Option<R> {
    let cell = &rec.http.outgoing;
    let mut out = cell.take()?;
    let result = f(&mut out);
    cell.set(Some(out));
    Some(result)
}

/// The response being received answers a HEAD request.
fn answers_head(rec: &ConnState) -> bool {
    with_outgoing(rec, |out| out.answers_head()) == Some(true)
}

/// The tracker of the application's output, created if missing to start at `at`, with the queued data that it has not seen.
fn followed<R>(c: ConnRef, rec: &ConnState, at: u64, f: impl FnOnce(&mut Outgoing, &[u8]) -> R) -> R {
    let mut out = rec.http.outgoing.take().unwrap_or_else(|| Box::new(Outgoing::new(at)));
    let from = out.at.checked_sub(rec.sent.get()).and_then(|n| usize::try_from(n).ok());
    // SAFETY: the connection's own data, which `f` only looks at.
    let queued = unsafe { c.send_info().data() };
    let fresh = from.and_then(|from| queued.get(from..));
    if fresh.is_none() {
        // Some output was sent unseen, or removed from the buffer.
        out.lose();
        out.at = c.queued(rec);
    }
    let result = f(&mut out, fresh.unwrap_or_default());
    rec.http.outgoing.set(Some(out));
    result
}

/// Called before output is sent.
fn before_send(c: ConnRef, rec: &ConnState) {
    let flags = c.flags();
    if !send::can_send(flags) {
        return;
    }
    if flags.is_client() && is_http(c) {
        follow_requests(c, rec);
    } else if flags.is_resp() {
        follow_answer(c, rec, true);
    }
}

/// Records the requests that a client sends, and adds the credentials of its URL to those that have none.
fn follow_requests(c: ConnRef, rec: &ConnState) {
    while let Some(end) = followed(c, rec, rec.sent.get(), |out, fresh| out.request(fresh).map(|_| out.at)) {
        let line = rec.http.authorization.take();
        if let (Some(line), Some(ofs)) = (&line, end.checked_sub(rec.sent.get() + 1)) {
            // SAFETY: the connection's own data, for this expression only.
            let cr = unsafe { c.send_info().data() }.get((ofs as usize).wrapping_sub(1)) == Some(&b'\r');
            let at = ofs as usize - usize::from(cr);
            // SAFETY: the connection's own buffer; the place lies inside its data.
            let added = unsafe { iobuf::add(c.send(), at, line.as_ptr(), line.len()) };
            with_outgoing(rec, |out| out.at += added as u64);
        }
        rec.http.authorization.set(line);
    }
}

/// Detects that the application itself has written a complete response, so that the next request may be handled. If the end is
/// not announced, the application signals it. `leaving`: the queued data is about to be sent.
pub(crate) fn follow_answer(c: ConnRef, rec: &ConnState, leaving: bool) {
    let h = &rec.http;
    let flags = c.flags();
    if !flags.is_resp() || !flags.is_accepted() || !h.dispatched.get() || c.queued(rec) == h.mark.get() || !is_http(c) {
        return;
    }
    if c.engine().is_none_or(|e| e.compat.get()) {
        return;
    }
    let progress = followed(c, rec, h.mark.get(), |out, fresh| out.response(fresh, h.head_only.get(), leaving));
    if let Progress::Complete { close, unwanted } = progress {
        h.unwanted.set(unwanted);
        drop_unwanted(c, rec);
        rec.close_announced.set(rec.close_announced.get() || close);
        if h.close.get() == CloseAfter::Http10 {
            // A response that the application writes to such a client decides itself whether the connection stays open.
            c.update(|f| f.set_resp(false));
        } else {
            reply::complete(c);
        }
        look_again(c, rec);
    }
}

/// A response was completed outside its handler: waiting requests are handled in the next poll, which no other event may trigger.
pub(crate) fn look_again(c: ConnRef, rec: &ConnState) {
    if !rec.dispatching.get() && c.recv_len() > 0 {
        c.engine().inspect(|e| e.requeue(rec));
    }
}

/// Called when the application queued data with mg_send or mg_printf.
#[inline]
pub(crate) fn written(c: ConnRef) {
    if !c.flags().is_accepted() {
        return;
    }
    let Some(rec) = c.rec() else { return };
    if c.flags().is_resp() {
        follow_answer(c, rec, false);
    } else if rec.http.unwanted.get() > 0 {
        drop_unwanted(c, rec);
    }
}

/// Removes from the queue the body that an application prints after the head of a response to HEAD.
fn drop_unwanted(c: ConnRef, rec: &ConnState) {
    let h = &rec.http;
    let end = with_outgoing(rec, |out| out.at).filter(|_| is_http(c));
    let Some(at) = end.and_then(|end| usize::try_from(end.saturating_sub(rec.sent.get())).ok()) else { return };
    // SAFETY: the connection's own buffer.
    let dropped = unsafe { iobuf::del(c.send(), at, h.unwanted.get()) };
    h.unwanted.set(h.unwanted.get() - dropped);
}

#[cfg(test)]
mod tests;
