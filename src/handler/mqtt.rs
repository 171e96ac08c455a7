//! MQTT: the handler in `c->pfn` of both sides, and outgoing packets.

use super::ws;
use crate::abi::*;
use crate::ffi_util::mqtt::{self as message, Opts};
use crate::ffi_util::{bytes, iobuf};
use crate::memory;
use crate::memory::prelude::*;
use crate::net::conn::Client;
use crate::net::connect;
use crate::net::engine::{ConnState, Engine, MqttState, Reason};
use crate::net::event::{call, error, report};
use crate::net::handle::ConnRef;
use crate::net::output;
use crate::net::recv::{is_paused, put_back};
use crate::proto::mqtt::{self, Fault, Fixed};
use crate::sys::random;
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;

/// The protocol handler in `c->pfn`.
///
/// # Safety
/// `c` is the connection the event is for.
pub(crate) unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, _ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a callback open, or by the application for a connection of its own.
    let c = unsafe { ConnRef::new(c) };
    match ev {
        MG_EV_READ => {
            keepalive::heard(c);
            run(c);
        }
        // Another protocol handler may have left packets behind when it was replaced by this one.
        MG_EV_POLL if c.recv_len() > 0 => run(c),
        MG_EV_WRITE => keepalive::said(c),
        _ => {}
    }
    if matches!(ev, MG_EV_POLL | MG_EV_READ | MG_EV_WRITE | MG_EV_CONNECT | MG_EV_TLS_HS) && !c.is_gone() {
        keepalive::watch(c);
    }
}

fn pfn(c: ConnRef) -> Option<usize> {
    c.pfn().map(|f| f as usize)
}

fn version(c: ConnRef) -> u8 {
    if c.flags().is_mqtt5() { 5 } else { 4 }
}

fn is_ours(c: ConnRef) -> bool {
    c.pfn().is_some_and(|f| ptr::fn_addr_eq(f, handler as unsafe extern "C" fn(_, _, _)))
}

/// No packet is partially received, and everything so far was handled and acknowledged.
pub(crate) fn is_between_packets(c: ConnRef) -> bool {
    is_ours(c) && c.recv_len() == 0
}

// ---- packets in

/// Handles received data.
fn run(c: ConnRef) {
    // A packet is being handled further up the stack.
    if c.rec().is_some_and(|rec| rec.dispatching.replace(true)) {
        return;
    }
    Reader { pfn: pfn(c), copy: Vec::new(), refused: false }.packets(c);
    if let Some(rec) = c.rec().filter(|_| !c.is_gone()) {
        rec.dispatching.set(false);
    }
}

/// Removing a packet from `c->recv` moves the data that follows. If there is more than this, most of it is kept outside;
/// otherwise many small packets would take quadratic time.
const FAR: usize = MG_IO_SIZE;
const NEAR: usize = 2048;

struct Reader {
    /// The protocol handler at the beginning: ours, or the application's that calls ours.
    pfn: Option<usize>,
    /// A packet of which two events tell, for the second, because a handler of the first may empty `c->recv`.
    copy: Vec<u8>,
    /// The broker refused the login: the connection closes, but packets received with the refusal are handled.
    refused: bool,
}

impl Reader {
    fn packets(&mut self, c: ConnRef) {
        while !self.is_over(c) {
            // SAFETY: the connection's own data, used for this call only.
            match mqtt::parse(unsafe { bytes::slice(c.recv_info().buf, c.recv_len()) }, version(c)) {
                Ok(Some(packet)) => {
                    if !self.packet(c, packet.end) {
                        return;
                    }
                }
                Ok(None) => match c.rec() {
                    _ if needed(c) > max_size(c) => return too_long(c),
                    Some(rec) if has_aside(rec) => {
                        if !put_back(c, rec, needed(c).saturating_sub(c.recv_len()).max(NEAR)) {
                            return;
                        }
                    }
                    _ => return ws::expect(c, needed(c)),
                },
                Err(mqtt::Malformed) => {
                    c.update(|f| f.set_closing(true));
                    break;
                }
            }
        }
        let Some(rec) = c.rec().filter(|_| !c.is_gone()) else { return };
        if put_back(c, rec, usize::MAX) && c.recv_len() > 0 && !c.flags().is_closing() {
            // For the new protocol handler: no further event may wake the poll.
            c.engine().into_iter().for_each(|e| e.requeue(rec));
        }
    }

    /// No further packet may be handled: the connection is gone or closing, or another protocol handler took over.
    fn is_over(&self, c: ConnRef) -> bool {
        let flags = c.flags();
        c.is_gone()
            || flags.is_draining() && c.engine().is_some_and(|e| !e.compat.get())
            || flags.is_closing() && !self.refused
            || self.is_replaced(c)
    }

    fn is_replaced(&self, c: ConnRef) -> bool {
        pfn(c) != self.pfn
    }

    /// Handles a packet and removes it from the buffer. False if nothing remains to be done.
    fn packet(&mut self, c: ConnRef, len: usize) -> bool {
        let mut m = MaybeUninit::<mg_mqtt_message>::uninit();
        if !hold_back(c, len) {
            error(c, format_args!("OOM"));
            return false;
        }
        let (start, before, arrived) = (c.recv_info().buf, c.recv_len() as u64, arrived(c));
        // SAFETY: the connection's own data; parse fills m whatever it returns.
        let parsed = unsafe { message::parse(start, len, version(c), m.as_mut_ptr()) };
        let m = m.as_mut_ptr();
        // SAFETY: filled by parse.
        if !matches!(parsed, Ok(Some(_))) || !self.take_copy(unsafe { &*m }) {
            error(c, format_args!("OOM"));
            return false;
        }
        view(c, start);
        // Handlers consume from the front.
        let taken = || (before + arrived_since(c, arrived)).saturating_sub(c.recv_len() as u64);
        if !self.act(c, m) || c.is_gone() {
            return false;
        }
        let now = if taken() == 0 { c.recv_info().buf } else { self.copy.as_mut_ptr() };
        if now != start {
            // SAFETY: both are as long as the packet.
            unsafe { rebase(m, start, now, len) };
            view(c, c.recv_info().buf);
        }
        call(c, MG_EV_MQTT_CMD, m.cast());
        if c.is_gone() {
            return false;
        }
        view(c, ptr::null_mut());
        let taken = taken();
        if taken > len as u64 && !self.is_replaced(c) {
            // The handler deleted the following packets too.
            c.rec().into_iter().for_each(|rec| drop(rec.aside.take()));
        }
        // Remove the part of the packet that handlers have not consumed.
        // SAFETY: the connection's own buffer; del clamps to it.
        unsafe { iobuf::del(c.recv(), 0, (len as u64).saturating_sub(taken) as usize) };
        true
    }

    /// Copies a packet that is delivered in two events, followed by a zero because handlers scan past the data. False if out of
    /// memory.
    fn take_copy(&mut self, m: &mg_mqtt_message) -> bool {
        self.copy.clear();
        if !matches!(m.cmd, mqtt::PUBLISH | mqtt::CONNACK) {
            return true;
        }
        if !memory::grow(&mut self.copy, m.dgram.len + 1) {
            return false;
        }
        // SAFETY: the packet is still in the buffer.
        self.copy.extend_from_slice(unsafe { m.dgram.bytes() });
        self.copy.push(0);
        true
    }

    /// Runs before MG_EV_MQTT_CMD. False if a reply could not be queued.
    fn act(&mut self, c: ConnRef, m: *mut mg_mqtt_message) -> bool {
        // SAFETY: m is ours; its packet is in the buffer until a handler is called.
        let (cmd, qos, id, packet) = unsafe { ((*m).cmd, (*m).qos, (*m).id, (*m).dgram.bytes()) };
        match cmd {
            mqtt::CONNECT if c.flags().is_accepted() && mqtt::level(packet) == Some(5) => c.update(|f| f.set_mqtt5(true)),
            mqtt::CONNACK => {
                keepalive::opened(c, packet);
                // SAFETY: as above.
                let ack = unsafe { (*m).ack };
                // An int, as documented: the size matters on big-endian machines.
                let mut code = c_int::from(ack);
                call(c, MG_EV_MQTT_OPEN, (&raw mut code).cast());
                if !c.is_gone() && ack != 0 {
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
            // A refused message is not released.
            mqtt::PUBREC => return version(c) == 5 && mqtt::is_refusal(packet) || reply(c, mqtt::PUBREL, id),
            mqtt::PUBREL => return reply(c, mqtt::PUBCOMP, id),
            _ => {}
        }
        true
    }
}

/// Size of the packet at the start of the buffer; 0 if not known yet.
fn needed(c: ConnRef) -> usize {
    // SAFETY: the connection's own data, used for this call only.
    let data = unsafe { bytes::slice(c.recv_info().buf, c.recv_len()) };
    Fixed::parse(data).ok().flatten().map_or(0, |f| f.end)
}

fn max_size(c: ConnRef) -> usize {
    c.engine().map_or(usize::MAX, |e| e.options.borrow().max_recv_size)
}

/// Handles an announced packet that can never fit in the receive buffer.
fn too_long(c: ConnRef) {
    if let Some(rec) = c.rec().filter(|rec| rec.reason.get() == Reason::None) {
        rec.reason.set(Reason::Limit);
    }
    let text = format_args!("MG_MAX_RECV_SIZE");
    if version(c) == 5 && c.engine().is_some_and(|e| !e.compat.get()) {
        // Version 5 has a reason code for it.
        output::append_bytes(c, &[mqtt::DISCONNECT << 4, 1, mqtt::TOO_LARGE]);
        c.update(|f| f.set_draining(true));
        report(c, text);
    } else {
        error(c, text);
    }
}

/// Adjusts the views of a message from one buffer to another.
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

/// Records the block of `c->recv` that a handler is about to use; NULL afterwards.
fn view(c: ConnRef, block: *mut u8) {
    if let Some(rec) = c.rec() {
        rec.viewed.set(block);
        rec.done_end.set(c.recv_at(rec));
    }
}

fn arrived(c: ConnRef) -> u64 {
    c.rec().map_or(0, |rec| rec.arrived.get())
}

fn arrived_since(c: ConnRef, before: u64) -> u64 {
    arrived(c).wrapping_sub(before)
}

fn has_aside(rec: &ConnState) -> bool {
    let aside = rec.aside.take();
    let has = aside.is_some();
    rec.aside.set(aside);
    has
}

/// Moves most of the data after a packet outside, if there is much of it. False if out of memory.
fn hold_back(c: ConnRef, packet: usize) -> bool {
    let now = c.recv_info();
    let Some(rec) = c.rec().filter(|_| now.len - packet > FAR) else { return true };
    let mut aside = rec.aside.take().unwrap_or_default();
    let keep = packet + NEAR;
    let more = now.len - keep;
    // Data already held back comes after this.
    let fits = memory::grow(&mut aside.bytes, more);
    if fits {
        let old = aside.at;
        // SAFETY: the connection's own buffer; keep lies inside the data, so there is a byte behind it.
        unsafe {
            aside.bytes.splice(..old, now.data()[keep..].iter().copied());
            *now.buf.add(keep) = 0;
            (*c.recv()).len = keep;
        }
        aside.at = 0;
    }
    rec.aside.set(Some(aside));
    fits
}

// ---- keep-alive

/// Client keep-alive: sends pings and detects a dead broker.
mod keepalive {
    use super::{ConnRef, ConnState, Engine, MqttState, error, is_ours, is_paused, mqtt, send_header};

    const TEXT: &str = "MQTT broker is silent";

    fn watched<'a>(c: ConnRef) -> Option<(&'a Engine, &'a ConnState, &'a MqttState)> {
        let (e, rec) = (c.engine()?, c.rec()?);
        (rec.mqtt.keepalive.get() > 0).then_some((e, rec, &rec.mqtt))
    }

    /// The client has sent a CONNECT with this interval.
    pub(super) fn promise(c: ConnRef, seconds: u16) {
        if let Some(rec) = c.rec().filter(|_| is_ours(c) && c.flags().is_client()) {
            rec.mqtt.keepalive.set(u64::from(seconds) * 1000);
        }
    }

    /// The last packet is queued: no more pings.
    pub(super) fn stop(c: ConnRef) {
        c.rec().into_iter().for_each(|rec| rec.mqtt.keepalive.set(0));
    }

    /// The broker accepted the login, and may impose another interval.
    pub(super) fn opened(c: ConnRef, connack: &[u8]) {
        let Some(rec) = c.rec().filter(|_| c.flags().is_client()) else { return };
        rec.mqtt.open.set(true);
        if let Some(seconds) = mqtt::server_keepalive(connack).filter(|_| c.flags().is_mqtt5()) {
            promise(c, seconds);
        }
    }

    pub(super) fn heard(c: ConnRef) {
        if let Some((e, _, m)) = watched(c) {
            m.heard.set(e.now.get());
            m.asked.set(None);
        }
    }

    pub(super) fn said(c: ConnRef) {
        if let Some((e, _, m)) = watched(c) {
            m.said.set(Some(e.now.get()));
        }
    }

    /// A packet was queued that the broker must answer.
    pub(super) fn asked(c: ConnRef) {
        if let Some((e, _, m)) = watched(c).filter(|(_, _, m)| m.open.get()) {
            m.asked.set(m.asked.get().or(Some(e.now.get())));
        }
    }

    /// Performs due actions and schedules the next check.
    ///
    /// Any data from the broker shows that it is alive, but it need not send anything unasked. A ping is sent when nothing was
    /// sent, or received, for three quarters of the interval, so that the broker has had time to respond at one and a half times.
    pub(super) fn watch(c: ConnRef) {
        let Some((e, rec, m)) = watched(c) else { return };
        let (flags, now, time) = (c.flags(), e.now.get(), m.keepalive.get());
        if flags.is_closing() || flags.is_draining() || rec.eof.get() {
            return;
        }
        if flags.is_resolving() || flags.is_connecting() || flags.is_tls_hs() {
            return m.said.set(None);
        }
        let said = m.said.get().unwrap_or_else(|| {
            // CONNECT is sent now, and expects a response.
            m.heard.set(now);
            m.asked.set(Some(now));
            now
        });
        m.said.set(Some(said));
        // SAFETY: the connection's own buffer.
        let ciphertext = unsafe { (*c.rtls()).len };
        if m.ciphertext.replace(ciphertext) != ciphertext || is_paused(e, c) {
            // Part of a long record; or the application has paused reading.
            m.heard.set(now);
        }
        let (heard, asked) = (m.heard.get(), m.asked.get());
        let (early, late) = (time - time / 4, time + time / 2);
        let silent_at = asked.map_or(u64::MAX, |at| (heard + late).max(at + early));
        if now >= silent_at {
            if rec.readable.get() {
                // Data may have arrived while the application did not poll.
                return e.set_alarm(rec, now);
            }
            return error(c, format_args!("{TEXT}"));
        }
        let quiet_at = if asked.is_none() { heard + early } else { u64::MAX };
        let mut ping_at = quiet_at.min(said + early);
        if !m.open.get() {
            ping_at = u64::MAX;
        } else if now >= ping_at {
            if rec.blocked.get() {
                // A ping would not get through either, and a peer that does not read must still show that it is alive.
                m.asked.set(asked.or(Some(now)));
            } else if now >= quiet_at || c.send_len() == 0 {
                send_header(c, mqtt::PINGREQ, 0, 0);
            }
            // Otherwise the queued output is sent now, which serves the same purpose.
            m.said.set(Some(now));
            return watch(c);
        }
        e.set_alarm(rec, ping_at.min(silent_at));
    }
}

// ---- packets out

/// Limit of reply bytes waiting to be sent. A peer that follows the protocol cannot exceed it: there are 65535 packet ids, and
/// two replies of at most six bytes for each.
const REPLIES_MAX: u64 = 1 << 20;

/// True if the peer does not read replies but triggers more of them.
fn is_flooding(c: ConnRef, rec: &ConnState, len: usize) -> bool {
    let queued = rec.mqtt.replies.get() + len as u64;
    rec.mqtt.replies.set(queued);
    if queued < REPLIES_MAX {
        return false;
    }
    // Restart the count when the first of them has been sent.
    let since = rec.mqtt.replies_from.replace(c.queued(rec));
    rec.mqtt.replies.set(0);
    rec.sent.get() < since
}

/// Queues the reply required by the protocol. False on failure.
fn reply(c: ConnRef, cmd: u8, id: u16) -> bool {
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
fn queue(c: ConnRef, append: impl FnOnce() -> Result<bool, Fault>) -> bool {
    match append() {
        Ok(true) => return true,
        Ok(false) => error(c, format_args!("OOM")),
        Err(fault) => error(c, format_args!("{}", fault.text())),
    }
    false
}

/// Appends a packet made of these parts, or nothing.
fn append(c: ConnRef, first: u8, parts: &[&[u8]]) -> Result<bool, Fault> {
    let head = mqtt::header(first >> 4, first & 15, parts.iter().map(|p| p.len()).sum())?;
    Ok(output::append_parts(c, &[&[&head[..]], parts].concat()))
}

/// See `mg_mqtt_send_header`.
pub(crate) fn send_header(c: ConnRef, cmd: u8, flags: u8, len: u32) {
    if cmd == mqtt::PINGREQ {
        keepalive::asked(c);
    }
    queue(c, || Ok(output::append_bytes(c, &mqtt::header(cmd, flags, len as usize)?)));
}

/// A valid quality of service.
fn qos(o: Opts) -> u8 {
    (o.qos() & 3).min(2)
}

/// See `mg_mqtt_login`.
pub(crate) fn login(c: ConnRef, o: Opts) {
    let version = if o.version() == 0 { 4 } else { o.version() };
    c.update(|f| f.set_mqtt5(version == 5));
    if queue(c, || append(c, mqtt::CONNECT << 4, &[&login_body(o, version)?])) {
        keepalive::promise(c, o.keepalive());
    }
}

fn login_body(o: Opts, version: u8) -> Result<Vec<u8>, Fault> {
    let mut random = [0; 19];
    let mut id = o.client_id();
    if id.is_empty() {
        if !random::text(&mut random) {
            return Err(Fault::NoRandomNumbers);
        }
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
fn next_id(c: ConnRef) -> u16 {
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

/// The properties, between the topic or id and the payload.
fn props(c: ConnRef, o: Opts) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    if version(c) == 5 {
        o.put_props(&mut out)?;
    }
    Ok(out)
}

/// See `mg_mqtt_pub`.
pub(crate) fn publish(c: ConnRef, o: Opts) -> u16 {
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
pub(crate) fn subscription(c: ConnRef, cmd: u8, o: Opts) {
    queue(c, || append(c, cmd << 4 | 2, &[&subscription_body(c, cmd, o)?]));
}

fn subscription_body(c: ConnRef, cmd: u8, o: Opts) -> Result<Vec<u8>, Fault> {
    let mut out = next_id(c).to_be_bytes().to_vec();
    out.extend(props(c, o)?);
    mqtt::put_text(&mut out, o.topic())?;
    if cmd == mqtt::SUBSCRIBE {
        out.push(qos(o));
    }
    Ok(out)
}

/// See `mg_mqtt_disconnect`.
pub(crate) fn disconnect(c: ConnRef, o: Opts) {
    queue(c, || {
        let reason: &[u8] = if version(c) == 5 { &[0] } else { &[] };
        append(c, mqtt::DISCONNECT << 4, &[reason, &props(c, o)?])
    });
    keepalive::stop(c);
}

/// See `mg_mqtt_connect`.
///
/// # Safety
/// `client.url` is NULL or a C string.
pub(crate) unsafe fn connect(e: &Engine, client: Client, o: Opts) -> Option<ConnRef> {
    // SAFETY: guaranteed by the caller.
    let c = unsafe { connect::connect(e, Client { pfn: Some(handler), pfn_data: ptr::null_mut(), ..client }) }?;
    login(c, o);
    Some(c)
}
