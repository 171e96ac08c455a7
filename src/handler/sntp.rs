//! SNTP: the handler in `c->pfn` of mg_sntp_connect. Sends one request and accepts the first response from the server.

use crate::abi::*;
use crate::ffi_util::bytes;
use crate::memory::prelude::*;
use crate::net::conn::Client;
use crate::net::connect;
use crate::net::engine::Engine;
use crate::net::event::call;
use crate::net::handle::ConnRef;
use crate::net::output;
use crate::platform::clock as time;
use crate::proto::sntp::{self, Timestamp};
use crate::sys::log::{log_error, log_info};
use crate::sys::random;
use core::ffi::{c_char, c_int, c_void};
use core::ptr;

/// Timeout of the whole operation, including name resolution.
const TIMEOUT_MS: u64 = 3000;

/// State of a connection, in its record.
#[derive(Clone, Copy)]
struct Query {
    deadline: u64,
    sent: Option<Sent>,
}

#[derive(Clone, Copy)]
struct Sent {
    to: mg_addr,
    /// Transmit timestamp of the request, random: a response cannot be forged without having seen it.
    mark: Timestamp,
    /// Time of sending.
    at: u64,
}

/// See `mg_sntp_connect`.
///
/// # Safety
/// `url` is NULL or a C string.
pub(crate) unsafe fn connect(e: &Engine, url: *const c_char, f: mg_event_handler_t, data: *mut c_void) -> Option<ConnRef> {
    let url = if url.is_null() { c"udp://time.google.com:123".as_ptr() } else { url };
    let client = Client { url, handler: f, handler_data: data, pfn: Some(handler), pfn_data: ptr::null_mut() };
    // SAFETY: guaranteed by the caller.
    unsafe { connect::connect(e, client) }
}

/// The protocol handler.
///
/// # Safety
/// `c` is the connection the event is for.
unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, _ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a callback open, or by the application for a connection of its own.
    let c = unsafe { ConnRef::new(c) };
    match ev {
        MG_EV_OPEN => start(c),
        MG_EV_CONNECT => request(c),
        MG_EV_READ => receive(c),
        MG_EV_POLL if query(c).is_some_and(|q| time::millis() >= q.deadline) => {
            log_info!("{} no response from the SNTP server", c.id());
            c.update(|f| f.set_closing(true));
        }
        _ => {}
    }
}

fn query(c: ConnRef) -> Option<Query> {
    let rec = c.rec()?;
    let task = rec.task.take()?;
    let query = task.downcast_ref::<Query>().copied();
    rec.task.set(Some(task));
    query
}

fn start(c: ConnRef) {
    let deadline = time::millis().saturating_add(TIMEOUT_MS);
    if let (Some(e), Some(rec)) = (c.engine(), c.rec()) {
        rec.task.set(Some(Box::new(Query { deadline, sent: None })));
        // Unlike a deadline, it outlasts the connection's start.
        e.set_alarm(rec, deadline);
    }
}

/// See `mg_sntp_request`.
pub(crate) fn request(c: ConnRef) {
    if c.flags().is_resolving() {
        return log_error!("{} address of the SNTP server is not resolved yet", c.id());
    }
    let at = time::millis();
    let mut mark = sntp::timestamp(at);
    if let (Some(query), Some(rec)) = (query(c), c.rec()) {
        // Random, because the server need not know the local time.
        if !random::fill(&mut mark) {
            return log_error!("{} no random numbers for a request", c.id());
        }
        rec.task.set(Some(Box::new(Query { sent: Some(Sent { to: c.rem(), mark, at }), ..query })));
    }
    let message = sntp::request(mark);
    // SAFETY: a slice of ours.
    unsafe { output::send(c, message.as_ptr(), message.len()) };
}

fn is_same(a: &mg_addr, b: &mg_addr) -> bool {
    let n = if a.is_ip6 { 16 } else { 4 };
    a.is_ip6 == b.is_ip6 && a.port == b.port && a.ip()[..n] == b.ip()[..n]
}

/// Handles a response. Ignores anything else, because anybody can send it.
fn receive(c: ConnRef) {
    let Some(sent) = query(c).and_then(|q| q.sent) else { return };
    // SAFETY: the connection's own data, used before anything is called.
    let message = unsafe { bytes::slice_mut(c.recv_info().buf, c.recv_len()) };
    if !is_same(&c.rem(), &sent.to) || !sntp::answers(message, sent.mark) {
        log_error!("{} not a response to our request", c.id());
        c.set_rem(sent.to);
        // SAFETY: as above.
        unsafe { (*c.recv()).len = 0 };
        return;
    }
    // For applications that parse the message themselves.
    sntp::set_origin(message, sntp::timestamp(sent.at));
    let now = time::millis();
    let found = sntp::parse(message, now).filter(|ms| *ms > 0 && sntp::is_usable(message, TIMEOUT_MS));
    c.update(|f| f.set_closing(true));
    match found {
        Some(ms) => {
            time::set(ms, now);
            let mut ms = ms as u64;
            call(c, MG_EV_SNTP_TIME, (&raw mut ms).cast());
        }
        None => log_error!("{} SNTP server is not synchronised", c.id()),
    }
}

/// See `mg_sntp_parse`.
pub(crate) fn parse(message: &[u8]) -> Option<i64> {
    let now = time::millis();
    let ms = sntp::parse(message, now)?;
    time::set(ms, now);
    Some(ms)
}
