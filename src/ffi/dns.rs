//! DNS, mDNS and service discovery.

use crate::abi::*;
use crate::ffi_util::{addr, bytes};
use crate::handler::mdns;
use crate::net::conn;
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use crate::net::resolve;
use crate::proto::dns;
use crate::proto::ip::Ip;
use core::ffi::{c_char, c_uint, c_void};
use core::net::IpAddr;
use core::ptr;

/// Parses a DNS message of at most 512 bytes with at most one question. Stores the id and the requested name in `*dm`; for a
/// response, also the first IPv4 or IPv6 address among the first ten answers, and `name` is then the name of the last answer
/// examined. Does not check the response code or that the answer matches the question. Returns false if the message is malformed;
/// `*dm` may then be partly filled. `buf` may be NULL if `len` is 0. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_dns_parse(buf: *const u8, len: usize, dm: *mut mg_dns_message) -> bool {
    // SAFETY: len bytes and room for a message, as the caller promises. All-zero is a valid message.
    unsafe {
        ptr::write_bytes(dm, 0, 1);
        let Some(found) = dns::message(bytes::slice(buf, len)) else { return false };
        (*dm).txnid = found.id;
        let name = found.name.as_bytes();
        ptr::copy_nonoverlapping(name.as_ptr(), (&raw mut (*dm).name).cast(), name.len());
        (*dm).resolved = found.address.is_some();
        match found.address {
            Some(IpAddr::V4(ip)) => addr::put(Ip::V4(ip.octets()), &mut (*dm).addr),
            Some(IpAddr::V6(ip)) => addr::put(Ip::V6(ip.octets(), 0), &mut (*dm).addr),
            None => {}
        }
        true
    }
}

/// Parses the question (`is_question`) or resource record at offset `ofs` of a DNS message of at most 512 bytes. Returns its size
/// in bytes, so that the next one starts at `ofs` plus this value; 0 if there is none. Compressed names are not expanded. May be
/// called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_dns_parse_rr(buf: *const u8, len: usize, ofs: usize, is_question: bool, rr: *mut mg_dns_rr) -> usize {
    // SAFETY: len bytes and room for a record, as the caller promises. All-zero is a valid record.
    unsafe {
        ptr::write_bytes(rr, 0, 1);
        if len > dns::UDP_MAX {
            return 0;
        }
        let Some(found) = dns::record(bytes::slice(buf, len), ofs, is_question) else { return 0 };
        (*rr).nlen = found.name_len as u16;
        ((*rr).atype, (*rr).aclass) = (found.rtype, found.class);
        (*rr).alen = found.data_len as u16;
        found.len
    }
}

/// Listens for mDNS queries and responses on 224.0.0.251:5353 and joins that group on the default interface. Until it closes, the
/// manager resolves names in `.local` through this listener (`mgr->mdns`). `fn_data` is the host name to answer to, a C string
/// without dots and without `.local`, or NULL if the handler decides; it is not copied. Queries arrive as MG_EV_MDNS_REQ
/// (`struct mg_mdns_req *`), responses of other hosts as MG_EV_MDNS_RESP (`struct mg_mdns_resp *`). There may be several
/// listeners. Returns NULL if the socket cannot be opened.
#[cfg(feature = "mdns")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mdns_listen(mgr: *mut mg_mgr, r#fn: mg_event_handler_t, fn_data: *mut c_void) -> *mut mg_connection {
    // SAFETY: a manager, as the caller promises.
    unsafe { Engine::enter_mgr(mgr) }.and_then(|e| mdns::listen(&e, r#fn, fn_data)).map_or(ptr::null_mut(), ConnRef::as_ptr)
}

/// Sends a query to the local link, through a listener created by mg_mdns_listen: one question for `name`, which must include
/// `.local`, of type `rtype`, an MG_DNS_RTYPE_* value. Responses arrive as MG_EV_MDNS_RESP. Returns false if the name has empty
/// labels or is too long, or if the datagram cannot be sent; the listener stays open.
#[cfg(feature = "mdns")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mdns_query(c: *mut mg_connection, name: *const c_char, rtype: c_uint) -> bool {
    enter!(@raw c, false);
    // SAFETY: a connection and a C string, as the caller promises.
    unsafe { mdns::query(ConnRef::new(c), bytes::cstr(name), rtype) }
}

/// Resolves the host of a URL and stores address and port in `c->rem`; called by mg_connect. Numeric hosts, `localhost` and names
/// in /etc/hosts resolve at once; others are looked up through a DNS server, or `mgr->mdns` for `.local` names, with
/// `c->is_resolving` set meanwhile. Then raises MG_EV_RESOLVE, and connects if the connection has no socket. Raises MG_EV_ERROR
/// and closes the connection on failure. Cancels an earlier lookup of `c`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_resolve(c: *mut mg_connection, url: *const c_char) {
    enter!(@raw c);
    // SAFETY: a connection and a C string, as the caller promises.
    unsafe { resolve::start(ConnRef::new(c), bytes::cstr(url)) }
}

/// Cancels the pending lookup of a connection: neither MG_EV_RESOLVE nor an error will follow. Closing a connection does this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_resolve_cancel(c: *mut mg_connection) {
    enter!(@raw c);
    // SAFETY: a connection, as the caller promises.
    let c = unsafe { ConnRef::new(c) };
    if let Some(e) = c.engine() {
        resolve::cancel(e, c);
    }
    // A connection without a socket stays in this state until the next mg_resolve.
    if conn::has_socket(c) {
        c.update(|f| f.set_resolving(false));
    }
}

/// Opens the connection to a DNS server, `dnsc->c`, unless it is open. `dnsc` is `&mgr->dns4` or `&mgr->dns6`. Lookups call it.
/// Returns false if there is no connection and `dnsc->url` is NULL or has no numeric host.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_dnsc_init(mgr: *mut mg_mgr, dnsc: *mut mg_dns) -> bool {
    // SAFETY: a manager and a server entry, as the caller promises.
    unsafe { Engine::enter_mgr(mgr).is_some_and(|e| resolve::open(&e, dnsc)) }
}
