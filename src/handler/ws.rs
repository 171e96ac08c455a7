//! WebSocket: the handler in `c->pfn` of both sides after mg_ws_upgrade or mg_ws_connect, the two handshakes, and outgoing
//! frames.
//!
//! `c->recv` starts with the received part of a fragmented message: the first byte of its first frame, then the payloads. Its
//! size is in `c->pfn_data`. Handled frames are removed once per call, however many there were.

use super::reply;
use crate::abi::*;
use crate::ffi_util::http_message::{self, Room};
use crate::ffi_util::{bytes, iobuf};
use crate::memory::prelude::*;
use crate::net::conn::Client;
use crate::net::connect;
use crate::net::engine::{ConnState, Engine, Reason};
use crate::net::event::{call, error, report};
use crate::net::handle::ConnRef;
use crate::net::output;
use crate::net::protocol::Protocol;
use crate::net::record::Reset;
use crate::net::view::dispatch;
use crate::proto::http::head::{self, BLANK_LINES, Reader, blank_lines};
use crate::proto::ws::{self, Header, Rules};
use crate::proto::{creds, http, url};
use crate::sys::{log::log_error, random};
use core::ffi::{c_char, c_int, c_void};
use core::ops::Range;
use core::ptr;

/// The protocol handler in `c->pfn`.
///
/// # Safety
/// `c` is the connection the event is for.
pub(crate) unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, _ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a callback open, or by the application for a connection of its own.
    let c = unsafe { ConnRef::new(c) };
    match ev {
        MG_EV_READ => run(c),
        MG_EV_POLL if c.recv_len() > 0 => run(c),
        MG_EV_WRITE => late_pong(c),
        MG_EV_CLOSE => cut_short(c),
        _ => {}
    }
}

fn is_ours(c: ConnRef) -> bool {
    c.pfn().is_some_and(|f| ptr::fn_addr_eq(f, handler as unsafe extern "C" fn(_, _, _)))
}

/// Registers the protocol, which does not need MG_EV_POLL while nothing is buffered.
fn introduce(e: &Engine) {
    static PROTOCOL: Protocol =
        Protocol { handler, skips_poll: true, answers_in_turn: false, throttles_input: false, at_limit: None, before_send: None };
    e.protocols.add(&PROTOCOL);
}

/// Turns the connection into a WebSocket.
fn set_websocket(c: ConnRef) {
    c.update(|f| f.set_websocket(true));
    if let Some(rec) = c.rec() {
        // Without a Close frame browsers report 1006.
        rec.drain_begins.set(Some(|c, _| {
            if c.flags().is_websocket() {
                send_close(c, 1000, b"");
            }
        }));
    }
}

fn is_strict(c: ConnRef) -> bool {
    c.engine().is_some_and(|e| e.ws_strict.get())
}

/// No further frame may be handled: the connection is gone or closing, or another protocol handler took over.
fn is_over(c: ConnRef) -> bool {
    let flags = c.flags();
    c.is_gone() || flags.is_draining() && c.engine().is_some_and(|e| !e.compat.get()) || flags.is_closing() || !is_ours(c)
}

/// Handles received data.
pub(crate) fn run(c: ConnRef) {
    let Some(rec) = c.rec() else { return };
    // A frame, or the upgrade request, is being handled further up the stack.
    if rec.dispatching.get() || is_over(c) {
        return;
    }
    if rec.ws.failed.get() {
        // SAFETY: the connection's own buffer.
        return unsafe { (*c.recv()).len = 0 };
    }
    if !c.flags().is_websocket() && !open(c, rec) {
        return;
    }
    while frames(c, rec) {}
}

/// Runs `f`, which calls the application about the bytes that end at `end` in the buffer. False if the buffer changed: the
/// connection is gone, or the handler removed data; then the rest of those bytes is removed too.
fn calling(c: ConnRef, rec: &ConnState, end: usize, f: impl FnOnce()) -> bool {
    let before = c.recv_at(rec);
    dispatch(c, rec, 0, f);
    if c.is_gone() {
        return false;
    }
    let taken = c.recv_at(rec).wrapping_sub(before) as i64;
    if taken <= 0 {
        return true;
    }
    // SAFETY: the connection's own buffer; del clamps to it.
    unsafe { iobuf::del(c.recv(), 0, end.saturating_sub(taken as usize)) };
    if is_ours(c) {
        c.set_pfn_data(ptr::null_mut());
    }
    false
}

/// The received bytes. Callers drop the slice before calling anything that could touch the buffer.
fn received<'a>(c: ConnRef) -> &'a mut [u8] {
    // SAFETY: the connection's own data, used as said above.
    unsafe { bytes::slice_mut(c.recv_info().buf, c.recv_len()) }
}

// ---- frames in

/// Position of the reader in `c->recv`: `kept` bytes of a fragmented message, then handled bytes up to `at`.
struct Place {
    kept: usize,
    at: usize,
}

enum Step {
    Next,
    Wait,
    /// The buffer is not to be touched.
    Stop,
}

/// Handles the frames in the buffer. True if a handler removed data and there is more.
fn frames(c: ConnRef, rec: &ConnState) -> bool {
    let kept = Some(c.pfn_data() as usize).filter(|n| *n <= c.recv_len()).unwrap_or(0);
    let mut place = Place { kept, at: kept };
    while !is_over(c) {
        match frame(c, rec, &mut place) {
            Step::Next => {}
            Step::Wait => break,
            Step::Stop => return !is_over(c) && c.recv_len() > 0 && !rec.ws.failed.get(),
        }
    }
    if c.is_gone() {
        return false;
    }
    // SAFETY: the connection's own buffer; del clamps to it.
    unsafe {
        if place.kept == 0 && place.at == c.recv_len() {
            (*c.recv()).len = 0;
        } else {
            iobuf::del(c.recv(), place.kept, place.at - place.kept);
        }
    }
    false
}

/// Examines the frame that begins at `place.at`.
fn frame(c: ConnRef, rec: &ConnState, place: &mut Place) -> Step {
    let Some(h) = received(c).get(place.at..).and_then(Header::parse) else { return Step::Wait };
    let any_text = c.engine().is_some_and(|e| e.ws_any_text.get() || e.compat.get());
    let rules = Rules { from_server: c.flags().is_client(), strict: is_strict(c), any_text };
    if let Some(fault) = rules.fault(&h, place.kept > 0) {
        return fail(c, rec, ws::PROTOCOL_ERROR, fault);
    }
    let max = c.engine().map_or(0, |e| e.options.borrow().max_recv_size);
    let Some(payload) = usize::try_from(h.payload).ok().filter(|n| *n <= room(c, place, &h, max)) else {
        rec.reason.set(Reason::Limit);
        let step = fail(c, rec, ws::TOO_BIG, "message too long");
        report(c, format_args!("MG_MAX_RECV_SIZE"));
        return step;
    };
    let start = place.at + h.len;
    let open = received(c).first().filter(|_| place.kept > 0).copied();
    let Some(data) = received(c).get_mut(start..).and_then(|rest| rest.get_mut(..payload)) else {
        expect(c, (place.kept + h.len + payload).min(max));
        return Step::Wait;
    };
    rec.message_size.set((h.len + payload).min(PROMISED) as u32);
    if let Some(mask) = h.mask {
        ws::apply_mask(data, mask);
    }
    if rules.checks_text() && !is_text(rec, &h, open, data) {
        return fail(c, rec, ws::BAD_DATA, "text is not UTF-8");
    }
    place.at = start + payload;
    act(c, rec, place, &h, start..start + payload)
}

/// Maximum payload size of a frame: with the kept bytes it must fit in the receive buffer and within the application's limit for
/// messages.
fn room(c: ConnRef, place: &Place, h: &Header, max: usize) -> usize {
    let room = max.saturating_sub(place.kept + h.len);
    match c.engine().map_or(0, |e| e.limits.get().max_ws_message) {
        limit if limit > 0 && c.flags().is_accepted() && h.opcode() < ws::CLOSE => {
            room.min(limit.saturating_sub(place.kept.saturating_sub(1)))
        }
        _ => room,
    }
}

/// Maximum size of a buffer for a message of which nothing has arrived.
const PROMISED: usize = 128 * 1024;

/// Makes room for an incomplete frame, one piece at a time: the peer may never send what it announced.
pub(super) fn expect(c: ConnRef, size: usize) {
    let now = c.recv_info();
    let size = size.min(2 * now.len + 65536);
    if let (Some(e), true) = (c.engine(), size > now.size) {
        // SAFETY: the connection's own buffer. When memory is short, the next read will find out.
        unsafe { e.buffers.grow(c.recv(), size - now.len, c.flags().is_secure()) };
    }
}

/// True if the text is valid UTF-8 so far. `open` is the first byte of the fragmented message that this frame may continue.
fn is_text(rec: &ConnState, h: &Header, open: Option<u8>, data: &[u8]) -> bool {
    let mut text = match (h.opcode(), open.map(|first| first & 15)) {
        (ws::TEXT, _) => ws::Utf8::default(),
        (ws::CONTINUE, Some(ws::TEXT)) => rec.ws.text.get(),
        _ => return true,
    };
    let good = text.feed(data) && (!h.is_final() || text.is_whole());
    rec.ws.text.set(text);
    good
}

/// Handles a complete frame, its payload unmasked.
fn act(c: ConnRef, rec: &ConnState, place: &mut Place, h: &Header, payload: Range<usize>) -> Step {
    let intact = match h.opcode() {
        ws::TEXT | ws::BINARY if h.is_final() => deliver(c, rec, place, MG_EV_WS_MSG, h.first, payload),
        ws::TEXT | ws::BINARY => {
            received(c)[0] = h.first;
            place.kept = 1;
            keep(c, place, payload);
            true
        }
        ws::CONTINUE => add(c, rec, place, h, payload),
        ws::PING => {
            pong(c, rec, &received(c)[payload.clone()]);
            deliver(c, rec, place, MG_EV_WS_CTL, h.first, payload)
        }
        ws::PONG => deliver(c, rec, place, MG_EV_WS_CTL, h.first, payload),
        ws::CLOSE => return close(c, rec, place, h, payload),
        op => unknown(c, rec, place, op),
    };
    if intact { Step::Next } else { Step::Stop }
}

/// Reports an unknown opcode, which ends the connection without a Close frame unless the application tolerates it. What the
/// application has sent before is delivered first, regardless of how the frames arrived.
fn unknown(c: ConnRef, rec: &ConnState, place: &Place, op: u8) -> bool {
    let intact = calling(c, rec, place.at, || error(c, format_args!("unknown WS op {op}")));
    let compat = c.engine().is_none_or(|e| e.compat.get());
    if !c.is_gone() && is_ours(c) && c.flags().is_closing() && c.send_len() > 0 && !compat {
        rec.ws.failed.set(true);
        rec.ws.close_sent.set(true);
        c.update(|f| {
            f.set_closing(false);
            f.set_draining(true);
        });
    }
    intact
}

fn deliver(c: ConnRef, rec: &ConnState, place: &Place, ev: c_int, first: u8, payload: Range<usize>) -> bool {
    let mut message = mg_ws_message { data: mg_str::of(&received(c)[payload]), flags: first };
    calling(c, rec, place.at, || call(c, ev, (&raw mut message).cast()))
}

/// Maximum number of Pongs waiting to be sent.
const PONGS: usize = 256;

/// Answers a Ping. If too many Pongs wait because the peer does not read them, only the last Ping is answered, as RFC 6455
/// (5.5.3) allows: Pings must not exhaust memory.
fn pong(c: ConnRef, rec: &ConnState, payload: &[u8]) {
    let w = &rec.ws;
    if rec.sent.get() >= w.pongs_end.get() {
        w.pongs.set(0);
    }
    if w.pongs.get() >= PONGS {
        return w.late_pong.set(Some(payload.into()));
    }
    w.late_pong.set(None);
    w.pongs.set(w.pongs.get() + 1);
    send(c, ws::PONG, payload);
    w.pongs_end.set(c.queued(rec));
}

/// Answers the most recent Ping once the earlier Pongs were sent.
fn late_pong(c: ConnRef) {
    let Some(rec) = c.rec().filter(|rec| rec.ws.pongs.get() >= PONGS) else { return };
    if rec.sent.get() < rec.ws.pongs_end.get() {
        return;
    }
    if let Some(payload) = rec.ws.late_pong.take().filter(|_| !is_over(c) && !rec.ws.close_sent.get()) {
        pong(c, rec, &payload);
    }
}

/// Moves a payload down to the kept bytes. Its header leaves room for their first byte.
fn keep(c: ConnRef, place: &mut Place, payload: Range<usize>) {
    let end = place.kept + payload.len();
    received(c).copy_within(payload, place.kept);
    place.kept = end;
    c.set_pfn_data(end as *mut c_void);
}

/// Adds a fragment to the message.
fn add(c: ConnRef, rec: &ConnState, place: &mut Place, h: &Header, payload: Range<usize>) -> bool {
    if !deliver(c, rec, place, MG_EV_WS_CTL, h.first, payload.clone()) {
        return false;
    }
    if place.kept == 0 || is_over(c) {
        return true;
    }
    keep(c, place, payload);
    if !h.is_final() {
        return true;
    }
    let (first, whole) = (received(c)[0], 1..place.kept);
    place.kept = 0;
    c.set_pfn_data(ptr::null_mut());
    deliver(c, rec, place, MG_EV_WS_MSG, first, whole)
}

/// Handles the peer's Close frame, the last frame examined: answers it unless it is an answer.
fn close(c: ConnRef, rec: &ConnState, place: &Place, h: &Header, payload: Range<usize>) -> Step {
    let (mut copy, len) = ([0; 125], payload.len());
    copy[..len].copy_from_slice(&received(c)[payload.clone()]);
    if let Some(code) = ws::close_fault(&copy[..len]) {
        return fail(c, rec, code, "malformed Close frame");
    }
    let intact = deliver(c, rec, place, MG_EV_WS_CTL, h.first, payload);
    if c.is_gone() {
        return Step::Stop;
    }
    if !rec.ws.close_sent.get() {
        send(c, ws::CLOSE, &copy[..len]);
    }
    c.update(|f| f.set_draining(true));
    if intact { Step::Next } else { Step::Stop }
}

/// Handles a protocol violation by the peer.
fn fail(c: ConnRef, rec: &ConnState, code: u16, why: &str) -> Step {
    log_error!("{} WebSocket: {why}, closing with {code}", c.id());
    rec.ws.failed.set(true);
    send_close(c, code, b"");
    c.update(|f| f.set_draining(true));
    Step::Stop
}

// ---- frames out

/// Queues a Close frame, unless one was queued before. `reason` is truncated to fit.
pub(crate) fn send_close(c: ConnRef, code: u16, reason: &[u8]) {
    if !c.rec().is_some_and(|rec| rec.ws.close_sent.get()) {
        send(c, ws::CLOSE, &[&code.to_be_bytes(), ws::clip(reason)].concat());
    }
}

/// The mask for a frame of this connection; no mask on a server. None if there are no random numbers: then the connection closes,
/// because a predictable mask is useless.
fn new_mask(c: ConnRef) -> Option<Option<[u8; 4]>> {
    if !c.flags().is_client() {
        return Some(None);
    }
    let mut mask = [0; 4];
    if random::fill(&mut mask) {
        return Some(Some(mask));
    }
    log_error!("{} no random numbers for a WebSocket mask", c.id());
    // No MG_EV_ERROR: handlers do not expect events inside mg_ws_send.
    c.update(|f| f.set_closing(true));
    None
}

/// Completes a frame at byte `at` of `c->send` by masking it.
fn finish(c: ConnRef, op: u8, mask: Option<[u8; 4]>, payload_at: usize) {
    if let Some(mask) = mask {
        // SAFETY: the connection's own data, used for this call only.
        let queued = unsafe { bytes::slice_mut(c.send_info().buf, c.send_len()) };
        ws::apply_mask(queued.get_mut(payload_at..).unwrap_or_default(), mask);
    }
    if let Some(rec) = c.rec().filter(|_| op & 15 == ws::CLOSE) {
        rec.ws.close_sent.set(true);
    }
}

/// Queues a frame. Returns its length, 0 if out of memory or random numbers. See `mg_ws_send`.
pub(crate) fn send(c: ConnRef, op: u8, payload: &[u8]) -> usize {
    let Some(mask) = new_mask(c) else { return 0 };
    let head = ws::Head::new(op | ws::FIN, payload.len(), mask);
    let at = c.send_len() + head.bytes().len();
    if !output::append_parts(c, &[head.bytes(), payload]) {
        return 0;
    }
    finish(c, op, mask, at);
    head.bytes().len() + payload.len()
}

/// Removes data that cannot become a frame.
fn unwrapped(c: ConnRef, len: usize) -> usize {
    // SAFETY: the connection's own buffer.
    unsafe {
        let len = (*c.send()).len.saturating_sub(len);
        (*c.send()).len = len;
        len
    }
}

/// Queues a frame from another thread; dropped if the connection is not a WebSocket. A client's frame follows its handshake.
pub(crate) fn send_from_outside(c: ConnRef, head: u8, payload: &[u8]) {
    if c.flags().is_websocket() || is_ours(c) {
        send(c, head & !ws::FIN, payload);
    }
}

/// Turns the last `len` bytes of `c->send` into a frame. See `mg_ws_wrap`.
pub(crate) fn wrap(c: ConnRef, len: usize, op: u8) -> usize {
    let Some(mask) = new_mask(c) else { return unwrapped(c, len) };
    let head = ws::Head::new(op | ws::FIN, len, mask);
    let Some(at) = c.send_len().checked_sub(len) else { return c.send_len() };
    // SAFETY: NULL makes room only, which is filled below.
    if unsafe { output::append(c, ptr::null(), head.bytes().len()) } {
        // SAFETY: the connection's own data, used for these two calls only.
        let queued = unsafe { bytes::slice_mut(c.send_info().buf, c.send_len()) };
        queued.copy_within(at..at + len, at + head.bytes().len());
        queued[at..at + head.bytes().len()].copy_from_slice(head.bytes());
        finish(c, op, mask, at + head.bytes().len());
    }
    c.send_len()
}

/// See `mg_ws_vprintf`.
///
/// # Safety
/// `fmt` and `ap` fit each other.
pub(crate) unsafe fn vprintf(c: ConnRef, op: u8, fmt: *const c_char, ap: *mut va_list) -> usize {
    let before = c.send_len();
    // SAFETY: guaranteed by the caller.
    let n = unsafe { output::vprintf(c, fmt, ap) };
    // Nothing was printed if memory ran out.
    if c.send_len() == before + n && !(n == 0 && c.flags().is_closing()) {
        wrap(c, n, op);
    }
    n
}

// ---- handshakes

/// True if a header with these lines contains this token.
fn has_token<'a>(mut lines: impl Iterator<Item = &'a [u8]>, token: &[u8]) -> bool {
    lines.any(|v| v.split(|b| *b == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(token)))
}

/// Status and headers to refuse an upgrade.
///
/// # Safety
/// The views in `hm` are readable.
unsafe fn refusal(hm: &mg_http_message, strict: bool) -> Option<(c_int, &'static [u8])> {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let Some(key) = hm.header(b"Sec-WebSocket-Key") else { return Some((426, b"")) };
        if !strict {
            return None;
        }
        if hm.header(b"Sec-WebSocket-Version") != Some(b"13") {
            return Some((426, b"Sec-WebSocket-Version: 13\r\n"));
        }
        let good = hm.method.bytes() == b"GET"
            && hm.proto.bytes() == b"HTTP/1.1"
            && has_token(hm.header_lines(b"Upgrade"), b"websocket")
            && has_token(hm.header_lines(b"Connection"), b"upgrade")
            && ws::is_key(key);
        if good { None } else { Some((400, b"")) }
    }
}

/// See `mg_ws_upgrade`.
///
/// # Safety
/// `hm` is a message with readable views.
pub(crate) unsafe fn upgrade(c: ConnRef, hm: *mut mg_http_message, add_headers: impl FnOnce(ConnRef) -> bool) {
    // SAFETY: the caller's message.
    let (refused, key) = unsafe { (refusal(&*hm, is_strict(c)), (*hm).header(b"Sec-WebSocket-Key").unwrap_or_default()) };
    if let Some((code, headers)) = refused {
        reply::reply_bytes(c, code, headers, b"WS upgrade expected\n");
        return c.update(|f| f.set_draining(true));
    }
    if let Some(rec) = c.rec() {
        rec.ws.reset();
    }
    c.engine().into_iter().for_each(introduce);
    c.set_pfn(Some(handler));
    c.set_pfn_data(ptr::null_mut());
    const HEAD: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    let mut ok = output::append_parts(c, &[HEAD, &ws::accept(key), b"\r\n"]);
    let extra = c.send_len();
    ok = ok && add_headers(c);
    const PROTOCOL: &[u8] = b"Sec-WebSocket-Protocol: ";
    // SAFETY: the connection's own data, and views of the caller's message.
    let (chosen, offered) =
        unsafe { (c.send_info().data().get(extra..).unwrap_or_default(), (*hm).header(b"Sec-WebSocket-Protocol")) };
    let is_chosen = has_line(chosen, &PROTOCOL[..23]);
    // Clients expect one of the protocols they offered, not the list.
    if let Some(first) = offered.and_then(|list| list.split(|b| *b == b',').next()).filter(|_| !is_chosen) {
        ok = ok && output::append_parts(c, &[PROTOCOL, first.trim_ascii(), b"\r\n"]);
    }
    if !(ok && output::append_bytes(c, b"\r\n")) {
        return error(c, format_args!("OOM"));
    }
    set_websocket(c);
    c.update(|f| f.set_resp(false));
    call(c, MG_EV_WS_OPEN, hm.cast());
}

/// See `mg_ws_connect`.
///
/// # Safety
/// `client.url` is NULL or a C string.
pub(crate) unsafe fn connect(e: &Engine, client: Client, add_headers: impl FnOnce(ConnRef) -> bool) -> Option<ConnRef> {
    let mut random = [0; 16];
    if !random::fill(&mut random) {
        log_error!("no random numbers for a WebSocket key");
        return None;
    }
    introduce(e);
    // SAFETY: guaranteed by the caller, as in the next block.
    let text = unsafe { bytes::cstr(client.url) };
    // SAFETY: as above.
    let c = unsafe { connect::connect(e, Client { pfn: Some(handler), pfn_data: ptr::null_mut(), ..client }) }?;
    let key = ws::key(random);
    if let Some(rec) = c.rec() {
        rec.ws.accept.set(ws::accept(&key));
    }
    // The path of a Unix socket is not sent to the server.
    let (uri, host) = match url::is_unix(text) {
        true => (&b"/"[..], &b"localhost"[..]),
        false => (url::uri(text).unwrap_or(b"/"), url::host(text)),
    };
    let mut port = Vec::new();
    if is_strict(c) && !url::is_unix(text) {
        port = format!(":{}", url::port_or_default(text)).into_bytes();
    }
    let parts: [&[u8]; 8] = [
        b"GET ",
        uri,
        b" HTTP/1.1\r\nUpgrade: websocket\r\nHost: ",
        host,
        &port,
        b"\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
        &key,
        b"\r\n",
    ];
    let mut ok = output::append_parts(c, &parts);
    let extra = c.send_len();
    ok = ok && add_headers(c);
    // SAFETY: the connection's own data, for this expression only.
    let is_authorized = has_line(unsafe { c.send_info().data() }.get(extra..).unwrap_or_default(), b"Authorization:");
    if let Some(line) = creds::authorization(text).filter(|_| !is_authorized) {
        ok = ok && output::append_bytes(c, &line);
    }
    if !(ok && output::append_bytes(c, b"\r\n")) {
        error(c, format_args!("OOM"));
    }
    Some(c)
}

/// True if one of these header lines begins with `name`.
fn has_line(lines: &[u8], name: &[u8]) -> bool {
    lines.split(|b| *b == b'\n').any(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

/// True if the response answers this client's request. Servers that send 101 with a nonsensical value are tolerated; a response to
/// another client's request is not. The header may come after those stored in the message.
fn is_answer(head: &[u8], expected: &[u8], strict: bool) -> bool {
    let (mut any, mut value) = (false, None);
    let parsed = head::parse(head, Reader::Client, usize::MAX, |_, name, v| {
        any = true;
        if value.is_none() && name.eq_ignore_ascii_case(b"Sec-WebSocket-Accept") {
            value = Some(v);
        }
    });
    match value.filter(|_| parsed.is_ok()) {
        Some(value) => value == expected || !strict && !ws::is_accept(value),
        None => !strict && !any,
    }
}

/// Reports a connection that closed before the response was complete, unless the application closed it or was told of an error.
fn cut_short(c: ConnRef) {
    let Some(rec) = c.rec() else { return };
    let by_peer = matches!(rec.reason.get(), Reason::PeerClosed | Reason::Reset);
    if !by_peer || rec.ws.failed.get() || c.flags().is_websocket() || !c.flags().is_client() || !is_ours(c) {
        return;
    }
    let data: &[u8] = received(c);
    if data.is_empty() || data == b"\r" {
        return;
    }
    let is_response = data.iter().zip(b"HTTP/").all(|(a, b)| a.eq_ignore_ascii_case(b));
    error(c, format_args!("{}", if is_response { "Truncated response" } else { "ws handshake error" }));
}

/// Removes `len` bytes before the response from the buffer: empty lines or the head of an interim response.
fn skip(c: ConnRef, rec: &ConnState, len: usize) {
    rec.http.scanned.set(0);
    // SAFETY: the connection's own buffer; del clamps to it.
    unsafe { iobuf::del(c.recv(), 0, len) };
}

/// The client's side of the handshake: true when frames may follow in the buffer.
fn open(c: ConnRef, rec: &ConnState) -> bool {
    loop {
        if let Some(opened) = response(c, rec) {
            return opened;
        }
    }
}

/// Processes the response in the buffer. None if it was an interim one.
fn response(c: ConnRef, rec: &ConnState) -> Option<bool> {
    let (blank, lines) = blank_lines(received(c));
    if lines > 0 && rec.http.blank.get() + lines <= BLANK_LINES {
        rec.http.blank.set(rec.http.blank.get() + lines);
        skip(c, rec, blank);
    }
    let data: &[u8] = received(c);
    // Search a head that arrives in small segments only once.
    let from = rec.http.scanned.get().min(data.len()).saturating_sub(8);
    let head_len = match http::request_len(&data[from..]) {
        Ok(Some(n)) => from + n,
        Ok(None) => {
            rec.http.scanned.set(data.len());
            return Some(false);
        }
        Err(http::Malformed) => {
            error(c, format_args!("not http"));
            if !c.is_gone() {
                // SAFETY: the connection's own buffer.
                unsafe { (*c.recv()).len = 0 };
            }
            return Some(false);
        }
    };
    let most = c.sizes().headers;
    let mut message = Room::new();
    let Some(hm) = message.at(most) else {
        error(c, format_args!("OOM"));
        return Some(false);
    };
    // SAFETY: data is readable. The views in hm are those of data.
    let head = unsafe { http_message::read(data, Reader::Client, most, hm) };
    let status = head.ok().flatten().filter(head::Head::is_response).map(|head| http::status(head.uri));
    if status.is_some_and(|status| (100..200).contains(&status) && status != 101) {
        skip(c, rec, head_len);
        return None;
    }
    if status != Some(101) || !is_answer(&data[..head_len], &rec.ws.accept.get(), is_strict(c)) {
        rec.ws.failed.set(true);
        match status.filter(|status| *status != 101) {
            Some(status) => error(c, format_args!("ws handshake error: {status}")),
            None => error(c, format_args!("ws handshake error")),
        }
        return Some(false);
    }
    set_websocket(c);
    if calling(c, rec, head_len, || call(c, MG_EV_WS_OPEN, hm.cast())) {
        // SAFETY: the connection's own buffer; del clamps to it.
        unsafe { iobuf::del(c.recv(), 0, head_len) };
    }
    Some(!c.is_gone())
}
