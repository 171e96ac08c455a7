//! Protocol handler of mDNS listeners: turns queries into MG_EV_MDNS_REQ and answers them; turns responses into MG_EV_MDNS_RESP
//! and resolves `.local` names with them.

use crate::abi::*;
use crate::ffi_util::bytes::{cstr, slice};
use crate::memory;
use crate::memory::prelude::*;
use crate::net::engine::Engine;
use crate::net::event::{call, invoke};
use crate::net::handle::ConnRef;
use crate::net::{conn, output, resolve};
use crate::platform::sock;
use crate::proto::dns;
use crate::proto::mdns::{self, Kind, Question, Response, Service};
use core::ffi::{c_char, c_int, c_uint, c_void};
use core::net::Ipv4Addr;
use core::ptr;

const GROUP: [u8; 4] = [224, 0, 0, 251];

/// See `mg_mdns_listen`.
pub(crate) fn listen(e: &Engine, f: mg_event_handler_t, data: *mut c_void) -> Option<ConnRef> {
    // SAFETY: a C string.
    let c = unsafe { conn::listen(e, c"udp://224.0.0.251:5353".as_ptr(), f, data) }?;
    c.set_pfn(Some(handler));
    // Fails without a network. Other listeners on the machine are still reachable.
    sock::join_group(c.fd(), u32::from_ne_bytes(GROUP));
    sock::set_multicast_ttl(c.fd(), 255);
    // SAFETY: the manager is alive.
    unsafe { (*e.mgr).mdns = c.as_ptr() };
    Some(c)
}

/// See `mg_mdns_query`.
pub(crate) fn query(c: ConnRef, name: &[u8], rtype: c_uint) -> bool {
    let (Some(name), Ok(rtype)) = (dns::encode(name), u16::try_from(rtype)) else { return false };
    output::datagram(c, &dns::query(0, 0, &name, rtype), &c.loc())
}

/// # Safety
/// `c` is the connection the event is for.
unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, _ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a callback open, or by the application for a connection of its own.
    let c = unsafe { ConnRef::new(c) };
    let Some(e) = c.engine() else { return };
    match ev {
        MG_EV_POLL => resolve::step(e, c),
        MG_EV_READ => {
            // A copy, which no handler can modify. The application gets MG_EV_READ with an empty buffer.
            // SAFETY: the connection's own buffer.
            let bytes = memory::copy(unsafe { slice(c.recv_info().buf, c.recv_len()) });
            // SAFETY: as above.
            unsafe { (*c.recv()).len = 0 };
            // The protocol tolerates lost packets.
            let Some(bytes) = bytes else { return };
            e.enter();
            match mdns::kind(&bytes) {
                Some(Kind::Query) => {
                    for question in mdns::questions(&bytes) {
                        if !e.is_dead() && !c.is_closed() {
                            asked(e, c, &bytes, &question);
                        }
                    }
                }
                Some(Kind::Response) => heard(e, c, &bytes),
                None => {}
            }
            e.exit();
        }
        _ => {}
    }
}

// ---- questions

/// The listener's own name.
fn host<'a>(c: ConnRef) -> Option<&'a [u8]> {
    let name: *const c_char = c.handler_data().cast();
    // SAFETY: the application's C string, or NULL.
    (!name.is_null()).then(|| unsafe { cstr(name) })
}

fn asked(e: &Engine, c: ConnRef, bytes: &[u8], question: &Question) {
    let Some(name) = question.to_host(host(c)) else { return };
    let mut rr = c_record(&question.record);
    let is_ptr = question.record.rtype == mdns::PTR;
    let mut req = mg_mdns_req {
        rr: &mut rr,
        r: ptr::null_mut(),
        reqname: mg_str::of(name),
        respname: mg_str::NULL,
        addr: ptr::null_mut(),
        is_listing: is_ptr && name == b"_services._dns-sd._udp",
        is_resp: question.record.rtype == dns::A && host(c).is_some(),
        is_unicast: question.unicast,
    };
    let mut addr = mg_addr::ZERO;
    let mut record = mg_dnssd_record { srvcproto: mg_str::NULL, txt: mg_str::NULL, port: 0 };
    if let Some(f) = c.handler() {
        // Applications point `addr` and `r` at local variables of the handler, which are dead by now but not yet overwritten. So
        // both are read before anything is called, not even a method, and neither pointer is dereferenced again.
        // SAFETY: the application's own handler; then NULL, or what it left behind.
        unsafe {
            invoke(Some(e), f, c, MG_EV_MDNS_REQ, (&raw mut req).cast(), c.handler_data());
            if req.addr as usize != 0 {
                addr = *req.addr;
            }
            if req.r as usize != 0 {
                record = *req.r;
            }
        }
    }
    if !e.is_dead() && !c.is_closed() && req.is_resp && !req.is_listing {
        let own = (!req.addr.is_null() && !addr.is_ip6).then_some(addr);
        respond(c, bytes, question, &req, (!req.r.is_null()).then_some(record), own);
    }
}

fn c_record(r: &dns::Record) -> mg_dns_rr {
    mg_dns_rr { nlen: r.name_len as u16, atype: r.rtype, aclass: r.class, alen: r.data_len as u16 }
}

fn respond(
    c: ConnRef,
    query: &[u8],
    question: &Question,
    req: &mg_mdns_req,
    record: Option<mg_dnssd_record>,
    own: Option<mg_addr>,
) {
    // SAFETY: what the handler pointed at: a name of its own, or ours.
    let host = unsafe { if req.respname.buf.is_null() { host(c).unwrap_or_default() } else { req.respname.bytes() } };
    let nothing = Service { srvcproto: b"", txt: b"", port: 0 };
    // SAFETY: as above.
    let service =
        record.map_or(nothing, |r| unsafe { Service { srvcproto: r.srvcproto.bytes(), txt: r.txt.bytes(), port: r.port } });
    let Some(ip) = own.or_else(|| sock::local_towards(&c.loc()).ok().filter(|a| !a.is_ip6)) else { return };
    let [a, b, c3, d, ..] = ip.ip();
    let id = if question.unicast { dns::header(query, 0) } else { 0 };
    if let Some(answer) = mdns::answer(id, question.record.rtype, host, &service, Ipv4Addr::new(a, b, c3, d)) {
        output::datagram(c, &answer, &if question.unicast { c.rem() } else { c.loc() });
    }
}

// ---- answers

fn heard(e: &Engine, c: ConnRef, bytes: &[u8]) {
    for (name, ip) in mdns::addresses(bytes) {
        resolve::announced(e, name.as_bytes(), ip);
        if e.is_dead() || c.is_closed() {
            return;
        }
    }
    let Some(Response { first, name, srvcproto, ip, port, txt }) = mdns::response(bytes) else { return };
    let mut rr = c_record(&first);
    let mut addr = mg_addr { port: port.unwrap_or(0).to_be(), ..mg_addr::ZERO };
    if let Some(ip) = ip {
        addr.addr.ip4 = u32::from_ne_bytes(ip.octets());
    }
    let view = |s: &Option<Vec<u8>>| s.as_ref().map_or(mg_str::NULL, |s| mg_str::of(s));
    let txt = txt.and_then(|at| bytes.get(at)).map_or(mg_str::NULL, mg_str::of);
    let sd = mg_dnssd_record { srvcproto: view(&srvcproto), txt, port: port.unwrap_or(0) };
    let mut resp = mg_mdns_resp { rr: &mut rr, name: mg_str::of(&name), addr, sd };
    call(c, MG_EV_MDNS_RESP, (&raw mut resp).cast());
}
