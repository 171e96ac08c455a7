//! MQTT: the handler in `c->pfn` of both sides, and outgoing packets.

use super::ws;
use crate::abi::*;
use crate::guard::mqtt::{self as message, Opts};
use crate::guard::{bytes, iobuf};
use crate::net::conn::Client;
use crate::net::connect;
use crate::net::engine::{Engine, Reason, Rec};
use crate::net::event::{call, error, report};
use crate::net::handle::Conn;
use crate::net::output;
use crate::proto::mqtt::{self, Fault, Fixed};
use crate::sys::random;
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;

/// The protocol handler. Its address is what `c->pfn` holds.
///
/// # Safety
/// `c` is the connection the event is for.
pub(crate) unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, _ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a frame open, or by the program for a connection of its own.
    let c = unsafe { Conn::new(c) };
    if ev == MG_EV_READ {
        run(c);
    }
}

fn is_gone(c: Conn) -> bool {
    c.is_closed() || c.engine().is_none_or(Engine::is_dead)
}

fn pfn(c: Conn) -> Option<usize> {
    c.pfn().map(|f| f as usize)
}

fn version(c: Conn) -> u8 {
    if c.flags().is_mqtt5() { 5 } else { 4 }
}

/// Nothing has come of the next packet: what the peer has sent so far was handled and acknowledged.
pub(crate) fn is_between_packets(c: Conn) -> bool {
    let is_ours = c.pfn().is_some_and(|f| ptr::fn_addr_eq(f, handler as unsafe extern "C" fn(_, _, _)));
    is_ours && c.recv_len() == 0
}

// ---- packets in

/// Handles what has been received.
fn run(c: Conn) {
    // While a packet is being handled further up the stack nothing moves.
    if c.rec().is_some_and(|rec| rec.dispatching.replace(true)) {
        return;
    }
    Reader { pfn: pfn(c), rest: Vec::new(), at: 0, refused: false }.packets(c);
    if let Some(rec) = c.rec().filter(|_| !is_gone(c)) {
        rec.dispatching.set(false);
    }
}

/// Taking a packet off `c->recv` moves what lies behind it. When that is more than this, so that many small packets would take
/// time in the square of their number, most of it waits outside.
const FAR: usize = MG_IO_SIZE;
const NEAR: usize = 2048;

struct Reader {
    /// The protocol handler at the beginning: ours, or the program's that calls ours.
    pfn: Option<usize>,
    /// What waits outside, from `at` on.
    rest: Vec<u8>,
    at: usize,
    /// The broker refused us: that closes the connection, but what came with the refusal is handled.
    refused: bool,
}

impl Reader {
    fn packets(&mut self, c: Conn) {
        while !self.is_over(c) {
            let mut m = MaybeUninit::<mg_mqtt_message>::uninit();
            // SAFETY: the connection's own data; parse fills m whatever it returns.
            match unsafe { message::parse(c.recv_info().buf, c.recv_len(), version(c), m.as_mut_ptr()) } {
                Ok(Some(len)) => {
                    self.hold_back(c, len);
                    if !self.packet(c, m.as_mut_ptr(), len) {
                        return;
                    }
                }
                Ok(None) if self.at < self.rest.len() => self.fetch(c, needed(c).saturating_sub(c.recv_len()).max(NEAR)),
                Ok(None) => return expect(c),
                Err(mqtt::Malformed) => {
                    c.update(|f| f.set_closing(true));
                    break;
                }
            }
        }
        if !is_gone(c) {
            self.fetch(c, usize::MAX);
        }
    }

    /// No further packet may be handled: the connection is gone or going, or another protocol handler has taken over.
    fn is_over(&self, c: Conn) -> bool {
        let flags = c.flags();
        is_gone(c)
            || flags.is_draining() && c.engine().is_some_and(|e| !e.compat.get())
            || flags.is_closing() && !self.refused
            || pfn(c) != self.pfn
    }

    fn hold_back(&mut self, c: Conn, packet: usize) {
        let now = c.recv_info();
        if now.len - packet > FAR {
            let keep = packet + NEAR;
            // SAFETY: the connection's own buffer; keep lies inside the data, so there is a byte behind it.
            unsafe {
                // What waits already comes after this.
                self.rest.splice(..self.at, now.data()[keep..].iter().copied());
                self.at = 0;
                *now.buf.add(keep) = 0;
                (*c.recv()).len = keep;
            }
        }
    }

    /// Puts up to `n` bytes of what waits outside behind the received data again.
    fn fetch(&mut self, c: Conn, n: usize) {
        let more = &self.rest[self.at..];
        let more = &more[..more.len().min(n)];
        if more.is_empty() {
            return;
        }
        self.at += more.len();
        // SAFETY: the connection's own buffer, and bytes of ours.
        if unsafe { iobuf::add(c.recv(), c.recv_len(), more.as_ptr(), more.len()) } < more.len() {
            error(c, format_args!("OOM"));
        }
    }

    /// Handles a packet and takes it off the buffer. False when the buffer is not to be touched.
    fn packet(&mut self, c: Conn, m: *mut mg_mqtt_message, len: usize) -> bool {
        let before = c.recv_info();
        if !self.act(c, m) || is_gone(c) {
            return false;
        }
        let now = c.recv_info();
        if now.buf != before.buf {
            if now.len < before.len {
                return false;
            }
            // SAFETY: both are as long as the packet at least.
            unsafe { rebase(m, before.buf, now.buf, len) };
        }
        call(c, MG_EV_MQTT_CMD, m.cast());
        if is_gone(c) {
            return false;
        }
        let intact = c.recv_len() >= before.len;
        // Otherwise nobody knows where the next packet would begin.
        // SAFETY: the connection's own buffer; del clamps to it.
        unsafe { iobuf::del(c.recv(), 0, if intact { len } else { usize::MAX }) };
        intact
    }

    /// What comes before MG_EV_MQTT_CMD. False when a reply could not be queued.
    fn act(&mut self, c: Conn, m: *mut mg_mqtt_message) -> bool {
        // SAFETY: m is ours; its packet is in the buffer until a handler is called.
        let (cmd, qos, id, packet) = unsafe { ((*m).cmd, (*m).qos, (*m).id, (*m).dgram.bytes()) };
        match cmd {
            mqtt::CONNECT if c.flags().is_accepted() && mqtt::level(packet) == Some(5) => c.update(|f| f.set_mqtt5(true)),
            mqtt::CONNACK => {
                // SAFETY: as above.
                unsafe { call(c, MG_EV_MQTT_OPEN, (&raw mut (*m).ack).cast()) };
                // SAFETY: as above.
                if !is_gone(c) && unsafe { (*m).ack } != 0 {
                    self.refused = true;
                    c.update(|f| f.set_closing(true));
                }
            }
            mqtt::PUBLISH => {
                if qos > 0 && !reply(c, if qos == 1 { mqtt::PUBACK } else { mqtt::PUBREC }, id) {
                    return false;
                }
                call(c, MG_EV_MQTT_MSG, m.cast());
            }
            // Of a message that was refused there is nothing to release.
            mqtt::PUBREC => return version(c) == 5 && mqtt::is_refusal(packet) || reply(c, mqtt::PUBREL, id),
            mqtt::PUBREL => return reply(c, mqtt::PUBCOMP, id),
            _ => {}
        }
        true
    }
}

/// Where the packet at the start of the buffer ends; 0 when that is not known yet.
fn needed(c: Conn) -> usize {
    // SAFETY: the connection's own data, used for this call only.
    let data = unsafe { bytes::slice(c.recv_info().buf, c.recv_len()) };
    Fixed::parse(data).ok().flatten().map_or(0, |f| f.end)
}

/// The reason that MQTT 5 has for it.
const PACKET_TOO_LARGE: u8 = 0x95;

/// Makes room for a packet of which only the beginning is there. One that is larger than the receive buffer may become ends the
/// connection.
fn expect(c: Conn) {
    let max = c.engine().map_or(usize::MAX, |e| e.options.borrow().max_recv_size);
    if needed(c) <= max {
        return ws::expect(c, needed(c));
    }
    // It never fits.
    if version(c) < 5 {
        return error(c, format_args!("MG_MAX_RECV_SIZE"));
    }
    if let Some(rec) = c.rec() {
        rec.reason.set(Reason::Limit);
    }
    output::append_bytes(c, &[mqtt::DISCONNECT << 4, 1, PACKET_TOO_LARGE]);
    c.update(|f| f.set_draining(true));
    report(c, format_args!("MG_MAX_RECV_SIZE"));
}

/// Points the views of a message that lie in the old buffer into the new one.
///
/// # Safety
/// `m` is a message; both buffers have `len` bytes.
unsafe fn rebase(m: *mut mg_mqtt_message, old: *mut u8, new: *mut u8, len: usize) {
    // SAFETY: as the caller promises.
    unsafe {
        for view in [&raw mut (*m).topic, &raw mut (*m).data, &raw mut (*m).dgram] {
            let at = ((*view).buf as usize).wrapping_sub(old as usize);
            if at <= len && !(*view).buf.is_null() {
                (*view).buf = new.add(at).cast();
            }
        }
    }
}

// ---- packets out

/// Replies that wait to be sent. A peer that follows the protocol cannot be owed more: there are 65535 packet ids, and two
/// replies of at most six bytes to each.
const REPLIES_MAX: u64 = 1 << 20;

/// Whether the peer takes no replies, but makes us write more of them.
fn is_flooding(c: Conn, rec: &Rec, len: usize) -> bool {
    let queued = rec.mqtt.replies.get() + len as u64;
    rec.mqtt.replies.set(queued);
    if queued < REPLIES_MAX {
        return false;
    }
    // Counted anew when the first of them has been sent.
    let since = rec.mqtt.replies_from.replace(c.queued(rec));
    rec.mqtt.replies.set(0);
    rec.sent.get() < since
}

/// Queues the reply that the protocol demands. False when that failed.
fn reply(c: Conn, cmd: u8, id: u16) -> bool {
    let [high, low] = id.to_be_bytes();
    let packet: &[u8] = match cmd {
        mqtt::PUBREL => &[cmd << 4 | 2, 2, high, low],
        mqtt::PUBACK | mqtt::PUBREC if version(c) == 5 => &[cmd << 4, 4, high, low, 0, 0],
        _ => &[cmd << 4, 2, high, low],
    };
    if c.rec().is_some_and(|rec| is_flooding(c, rec, packet.len())) {
        error(c, format_args!("MQTT peer takes no replies"));
        return false;
    }
    let queued = output::append_bytes(c, packet);
    if !queued {
        error(c, format_args!("OOM"));
    }
    queued
}

/// Queues the output of `append`, or raises MG_EV_ERROR.
fn queue(c: Conn, append: impl FnOnce() -> Result<bool, Fault>) -> bool {
    match append() {
        Ok(true) => return true,
        Ok(false) => error(c, format_args!("OOM")),
        Err(fault) => error(c, format_args!("{}", fault.text())),
    }
    false
}

/// Appends all of a packet made of these parts, or nothing.
fn append(c: Conn, first: u8, parts: &[&[u8]]) -> Result<bool, Fault> {
    let head = mqtt::header(first >> 4, first & 15, parts.iter().map(|p| p.len()).sum())?;
    Ok(output::append_parts(c, &[&[&head[..]], parts].concat()))
}

/// See `mg_mqtt_send_header`.
pub(crate) fn send_header(c: Conn, cmd: u8, flags: u8, len: u32) {
    queue(c, || Ok(output::append_bytes(c, &mqtt::header(cmd, flags, len as usize)?)));
}

/// A quality of service that exists.
fn qos(o: Opts) -> u8 {
    (o.qos() & 3).min(2)
}

/// See `mg_mqtt_login`.
pub(crate) fn login(c: Conn, o: Opts) {
    let version = if o.version() == 0 { 4 } else { o.version() };
    c.update(|f| f.set_mqtt5(version == 5));
    queue(c, || append(c, mqtt::CONNECT << 4, &[&login_body(o, version)?]));
}

fn login_body(o: Opts, version: u8) -> Result<Vec<u8>, Fault> {
    let mut random = [0; 19];
    let mut id = o.client_id();
    if id.is_empty() {
        random::text(&mut random);
        id = &random;
    }
    let has_will = !o.topic().is_empty();
    let mut flags = 0;
    let mut set = |on: bool, bits: u8| flags |= if on { bits } else { 0 };
    set(!o.user().is_empty(), 0x80);
    set(!o.pass().is_empty(), 0x40);
    set(has_will && o.retain(), 0x20);
    set(has_will, if has_will { qos(o) << 3 | 4 } else { 0 });
    set(o.clean(), 2);
    let mut out = b"\0\x04MQTT".to_vec();
    out.extend([version, flags]);
    out.extend(o.keepalive().to_be_bytes());
    if version == 5 {
        o.put_props(&mut out)?;
    }
    mqtt::put_text(&mut out, id)?;
    if has_will {
        if version == 5 {
            o.put_will_props(&mut out)?;
        }
        mqtt::put_text(&mut out, o.topic())?;
        mqtt::put_text(&mut out, o.message())?;
    }
    for text in [o.user(), o.pass()] {
        if !text.is_empty() {
            mqtt::put_text(&mut out, text)?;
        }
    }
    Ok(out)
}

/// The next packet id of the manager.
fn next_id(c: Conn) -> u16 {
    let mgr = c.mgr();
    if mgr.is_null() {
        return 1;
    }
    // SAFETY: the connection's manager.
    unsafe {
        (*mgr).mqtt_id = (*mgr).mqtt_id.wrapping_add(1).max(1);
        (*mgr).mqtt_id
    }
}

/// What stands between the topic or id and the payload.
fn props(c: Conn, o: Opts) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    if version(c) == 5 {
        o.put_props(&mut out)?;
    }
    Ok(out)
}

/// See `mg_mqtt_pub`.
pub(crate) fn publish(c: Conn, o: Opts) -> u16 {
    let (qos, topic) = (qos(o), o.topic());
    let mut id = o.retransmit_id();
    let again = qos > 0 && id != 0;
    if qos > 0 && !again {
        id = next_id(c);
    }
    let first = mqtt::PUBLISH << 4 | u8::from(again) << 3 | qos << 1 | u8::from(o.retain());
    let id_bytes = id.to_be_bytes();
    let queued = queue(c, || {
        let len = u16::try_from(topic.len()).map_err(|_| Fault::LongText)?.to_be_bytes();
        append(c, first, &[&len, topic, if qos > 0 { &id_bytes } else { b"" }, &props(c, o)?, o.message()])
    });
    if queued { id } else { 0 }
}

/// See `mg_mqtt_sub` and `mg_mqtt_unsub`.
pub(crate) fn subscription(c: Conn, cmd: u8, o: Opts) {
    queue(c, || append(c, cmd << 4 | 2, &[&subscription_body(c, cmd, o)?]));
}

fn subscription_body(c: Conn, cmd: u8, o: Opts) -> Result<Vec<u8>, Fault> {
    let mut out = next_id(c).to_be_bytes().to_vec();
    out.extend(props(c, o)?);
    mqtt::put_text(&mut out, o.topic())?;
    if cmd == mqtt::SUBSCRIBE {
        out.push(qos(o));
    }
    Ok(out)
}

/// See `mg_mqtt_disconnect`.
pub(crate) fn disconnect(c: Conn, o: Opts) {
    queue(c, || {
        let reason: &[u8] = if version(c) == 5 { &[0] } else { &[] };
        append(c, mqtt::DISCONNECT << 4, &[reason, &props(c, o)?])
    });
}

/// See `mg_mqtt_connect`.
///
/// # Safety
/// `client.url` is NULL or a C string.
pub(crate) unsafe fn connect(e: &Engine, client: Client, o: Opts) -> Option<Conn> {
    // SAFETY: passed on to the caller.
    let c = unsafe { connect::connect(e, Client { pfn: Some(handler), pfn_data: ptr::null_mut(), ..client }) }?;
    login(c, o);
    Some(c)
}
