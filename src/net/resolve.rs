//! Resolves a host name to `c->rem`.
//!
//! A lookup is a query to a DNS server, or to the local link for names in `.local`. It is attached to a connection of the
//! manager, `via`: `mgr->dns4.c` or `dns6.c`, a TCP connection of its own, or the mDNS listener. Results are delivered when that
//! connection is serviced, and its lookups fail when it closes.
//!
//! A forged reply must guess the id and the port of a query. If all queries came from the socket of `mgr->dns4.c`, everyone who
//! was ever asked would know the port. So that connection keeps the behaviour applications know - opened on first use, in the
//! list, reused, NULL after it closed, and closing it fails the lookups - but each query has its own socket, with a random port
//! chosen by the kernel, connected so that the kernel drops datagrams from others. Such a socket is a record without a
//! connection. The connection's own socket is used only if the process is out of descriptors, and for `tcp:` URLs.

use super::attempts::{self, Failure};
use super::conn::{self, Client};
use super::engine::{ConnState, Engine, Reason};
use super::event::error;
use super::handle::ConnRef;
pub(crate) use super::lookup::Question;
use super::lookup::{Lookup, Query, Socket};
use super::output;
use crate::abi::*;
use crate::ffi_util::addr::Addr;
use crate::ffi_util::{addr, bytes, bytes::cstr, iobuf};
use crate::memory;
use crate::memory::prelude::*;
use crate::platform::clock as time;
use crate::platform::errno;
use crate::platform::sock::{self, Io};
use crate::platform::sock::{AsRawFd, FromRawFd, OwnedFd};
use crate::proto::dns::{self, Reply};
use crate::proto::ip::Ip;
use crate::proto::{resolv, url};
use crate::sys::log::{Bytes, log_error};
use crate::sys::random;
use alloc::collections::VecDeque;
use alloc::ffi::CString;
use core::ffi::{CStr, c_int, c_void};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ptr;

pub(crate) const DNS4: &CStr = c"udp://8.8.8.8:53";
pub(crate) const DNS6: &CStr = c"udp://[2001:4860:4860::8888]:53";
const PORT: u16 = 53;

// ---- starting

/// See `mg_resolve`.
pub(crate) fn start(c: ConnRef, text: &[u8]) {
    let Some(e) = c.engine() else { return error(c, format_args!("resolver")) };
    e.enter();
    cancel(e, c);
    if url::is_unix(text) {
        match url::unix_path(text) {
            Ok(path) => conn::connect_unix(e, c, path),
            Err(what) => {
                log_error!("{} invalid URL {}: {what}", c.id(), Bytes(text));
                Failure(Some("connect"), errno::EINVAL).report(c);
            }
        }
        return e.exit();
    }
    let mut rem = c.rem();
    rem.port = url::port_or_default(text).to_be();
    let host = url::host(text);
    let own = own_names(e, host);
    let known = own.is_empty() && addr::parse_host(host, &mut rem);
    c.set_rem(rem);
    if known {
        attempts::prepare(c, [], None);
        conn::connect_resolved(c);
    } else if !own.is_empty() {
        found(c, &own, None);
    } else {
        if cfg!(not(feature = "dns")) {
            error(c, format_args!("{}: this library was built without DNS", Bytes(host)));
            return e.exit();
        }
        c.update(|f| f.set_resolving(true));
        if host.len() > 6 && host.ends_with(b".local") { ask_link(e, c, host) } else { ask_servers(e, c, host) }
    }
    e.exit();
}

/// Addresses of names known to the system.
fn own_names(e: &Engine, host: &[u8]) -> Vec<Ip> {
    let name = host.strip_suffix(b".").unwrap_or(host);
    let tail = &name[name.len() - name.len().min(10)..];
    // SAFETY: the manager is alive.
    let six = unsafe { (*e.mgr).use_dns6 };
    if name.eq_ignore_ascii_case(b"localhost") || tail.eq_ignore_ascii_case(b".localhost") {
        vec![Ip::V4(Ipv4Addr::LOCALHOST.octets()), Ip::V6(Ipv6Addr::LOCALHOST.octets(), 0)]
    } else {
        resolv::hosts(&e.resolver.names.hosts(), name, six, addr::ip)
    }
}

fn ask_link(e: &Engine, c: ConnRef, host: &[u8]) {
    const PATIENCE_MS: u64 = 500;
    // SAFETY: the manager is alive; its mDNS listener is on the list, or was forgotten when it closed.
    let mdns = unsafe { (*e.mgr).mdns };
    if mdns.is_null() {
        return error(c, format_args!("no mDNS listener, see mg_mdns_listen()"));
    }
    // SAFETY: as above.
    let mdns = unsafe { ConnRef::new(mdns) };
    let Some(name) = dns::encode(host) else { return failed(c, host) };
    let expires = time::millis().saturating_add(PATIENCE_MS);
    let serial = insert(e, Lookup { c: c.as_ptr(), via: mdns.as_ptr(), host: host.to_vec(), expires, more: false, query: None });
    wake_at(e, mdns, expires);
    if !output::datagram(mdns, &dns::query(0, 0, &name, dns::A), &mdns.loc()) && take(e, serial).is_some() {
        error(c, format_args!("mDNS send"));
    }
}

fn ask_servers(e: &Engine, c: ConnRef, host: &[u8]) {
    // SAFETY: the manager is alive, and its URLs are the application's.
    let (rtype, is_default) = unsafe {
        let rtype = if (*e.mgr).use_dns6 { dns::AAAA } else { dns::A };
        (rtype, is_default(cstr((*entry(e.mgr, rtype)).url)))
    };
    let names = if is_default { conf(e).candidates(host) } else { vec![host.to_vec()] };
    // Skip search domains that make the name too long.
    let names: VecDeque<Vec<u8>> = names.iter().filter_map(|name| dns::encode(name)).collect();
    if names.is_empty() {
        return failed(c, host);
    }
    let query =
        Query { names, rtype, servers: Vec::new(), asked: 0, most: 1, patience: 0, next: 0, message: Vec::new(), socket: None };
    let host = host.to_vec();
    ask(e, Lookup { c: c.as_ptr(), via: ptr::null_mut(), host, expires: 0, more: false, query: Some(query) });
}

/// Looks up more addresses of a name, for the attempts of `c`.
pub(crate) fn ask_more(e: &Engine, c: ConnRef, question: Question) {
    if cfg!(not(feature = "dns")) {
        return;
    }
    let Question { host, name, rtype } = question;
    let names = VecDeque::from([name]);
    let query =
        Query { names, rtype, servers: Vec::new(), asked: 0, most: 1, patience: 0, next: 0, message: Vec::new(), socket: None };
    ask(e, Lookup { c: c.as_ptr(), via: ptr::null_mut(), host, expires: 0, more: true, query: Some(query) });
}

/// Fails a lookup.
fn give_up(e: &Engine, lookup: &Lookup, text: core::fmt::Arguments) {
    // SAFETY: the waiting connection is alive.
    let c = unsafe { ConnRef::new(lookup.c) };
    if lookup.more { attempts::more(e, c, &[]) } else { error(c, text) }
}

fn failed(c: ConnRef, host: &[u8]) {
    error(c, format_args!("{} DNS lookup failed", Bytes(host)));
}

fn insert(e: &Engine, lookup: Lookup) -> u64 {
    let serial = e.resolver.count.replace(e.resolver.count.get() + 1);
    e.resolver.lookups.borrow_mut().insert(serial, lookup);
    serial
}

fn take(e: &Engine, serial: u64) -> Option<Lookup> {
    if cfg!(not(feature = "dns")) {
        return None;
    }
    e.resolver.lookups.borrow_mut().remove(&serial)
}

// ---- servers

fn is_default(url: &[u8]) -> bool {
    url == DNS4.to_bytes() || url == DNS6.to_bytes()
}

fn conf(e: &Engine) -> resolv::Conf {
    resolv::conf(&e.resolver.names.conf(), addr::ip)
}

/// Selects `mgr->dns4` or `dns6` for addresses of this family. Prefers a server configured by the application over a default one.
///
/// # Safety
/// A live manager, whose URLs are NULL or C strings.
unsafe fn entry(mgr: *mut mg_mgr, rtype: u16) -> *mut mg_dns {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let (mut one, mut other) = (&raw mut (*mgr).dns4, &raw mut (*mgr).dns6);
        if rtype == dns::AAAA {
            (one, other) = (other, one);
        }
        if is_default(cstr((*one).url)) && !is_default(cstr((*other).url)) && !(*other).url.is_null() { other } else { one }
    }
}

/// The address in a server's URL. None if the host is a name or missing.
fn server(text: &[u8]) -> Option<mg_addr> {
    let port = Some(url::port(text)).filter(|port| *port > 0).unwrap_or(PORT);
    let mut a = mg_addr { port: port.to_be(), ..mg_addr::ZERO };
    let host = url::host(text);
    (!host.is_empty() && addr::parse_host(host, &mut a)).then_some(a)
}

/// See `mg_dnsc_init`: opens the connection unless there is one.
///
/// # Safety
/// `entry` points at a server entry whose URL is NULL or a C string.
pub(crate) unsafe fn open(e: &Engine, entry: *mut mg_dns) -> bool {
    // SAFETY: guaranteed by the caller.
    unsafe {
        if (*entry).c.is_null() {
            let text = cstr((*entry).url);
            if server(text).is_none() {
                log_error!("no server address: {}", Bytes(text));
            } else if let Some(c) = connect(e, &CString::from(CStr::from_ptr((*entry).url))) {
                (*entry).c = c.as_ptr();
            }
        }
        !(*entry).c.is_null()
    }
}

fn connect(e: &Engine, url: &CStr) -> Option<ConnRef> {
    let none = ptr::null_mut::<c_void>();
    let client = Client { url: url.as_ptr(), handler: None, handler_data: none, pfn: Some(handler), pfn_data: none };
    e.enter();
    // SAFETY: a C string.
    let c = unsafe { conn::open_client(e, &client, url.to_bytes()) };
    if let Some((c, rem)) = c.filter(|c| !c.is_closed()).zip(server(url.to_bytes())) {
        c.set_rem(rem);
        conn::connect_resolved(c);
    }
    let c = c.filter(|c| !c.is_closed());
    e.exit();
    c
}

/// Chooses the servers to query, and their order and timeouts.
fn plan(e: &Engine, q: &mut Query, url: &[u8], timeout: u64) {
    let conf = conf(e);
    let own = |ip: &Ip| {
        let mut a = mg_addr { port: PORT.to_be(), ..mg_addr::ZERO };
        addr::put(*ip, &mut a);
        a
    };
    q.servers = conf.servers.iter().filter(|_| is_default(url)).map(own).collect();
    let attempts = if q.servers.is_empty() { 1 } else { conf.attempts };
    if q.servers.is_empty() {
        q.servers.extend(server(url));
    }
    q.asked = 0;
    q.most = q.servers.len() * attempts;
    q.patience = (timeout / q.most.max(1) as u64).min(conf.timeout_ms);
}

/// Sends the first query for the current name and type.
fn ask(e: &Engine, mut lookup: Lookup) {
    let mgr = e.mgr;
    let Some(q) = &mut lookup.query else { return };
    // SAFETY: the manager's entries.
    let via = unsafe {
        let entry = entry(mgr, q.rtype);
        if !open(e, entry) {
            return give_up(e, &lookup, format_args!("resolver"));
        }
        let timeout = u64::try_from((*mgr).dnstimeout).unwrap_or(0);
        lookup.expires = time::millis().saturating_add(timeout);
        plan(e, q, cstr((*entry).url), timeout);
        ConnRef::new((*entry).c)
    };
    lookup.via = via.as_ptr();
    if q.servers.is_empty() {
        return give_up(e, &lookup, format_args!("resolver"));
    }
    let sent = via.flags().is_closing() || send(e, via, q);
    wake_at(e, via, lookup.due());
    insert(e, lookup);
    if !sent {
        error(via, format_args!("DNS send"));
    }
}

/// Queries the next server, with a new id and port. False if there is none.
fn send(e: &Engine, via: ConnRef, q: &mut Query) -> bool {
    while q.can_ask_again() {
        q.asked += 1;
        q.next = time::millis().saturating_add(q.patience);
        close_socket(e, q);
        let mut id = [0; 2];
        if !random::fill(&mut id) {
            // A predictable id would let anybody forge a reply.
            return false;
        }
        let Some(name) = q.names.front() else { return false };
        q.message = dns::query(u16::from_be_bytes(id), dns::RECURSION_DESIRED, name, q.rtype);
        if send_to(e, via, q) {
            return true;
        }
    }
    false
}

fn send_to(e: &Engine, via: ConnRef, q: &mut Query) -> bool {
    if !via.flags().is_udp() {
        return dns::framed(&q.message).is_some_and(|bytes| output::append_bytes(via, &bytes));
    }
    let server = q.server();
    // SAFETY: the message is a vector of ours.
    let put = |fd: c_int| unsafe { sock::send_to(fd, q.message.as_ptr(), q.message.len(), &server) };
    let sent = match socket(e, &server) {
        Ok(socket) => {
            let sent = put(socket.fd.as_raw_fd());
            q.socket = Some(socket);
            sent
        }
        Err(errno::EMFILE | errno::ENFILE) => put(via.fd()),
        Err(errno) => Io::Failed(errno),
    };
    matches!(sent, Io::Done(_))
}

/// A socket that receives from `server` only.
fn socket(e: &Engine, server: &mg_addr) -> Result<Socket, c_int> {
    let fd = sock::open(&e.poller, server.is_ip6, true)?;
    // SAFETY: just opened, and nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if let Io::Failed(errno) = sock::connect(fd.as_raw_fd(), server) {
        return Err(errno);
    }
    let Some(rec) = e.new_rec() else { return Err(errno::ENOMEM) };
    if let Err(err) = e.poller.add(fd.as_raw_fd(), rec.token(), false) {
        e.free_rec(rec);
        return Err(err.raw_os_error().unwrap_or(errno::EMFILE));
    }
    Ok(Socket { fd, slot: rec.slot.get() })
}

fn close_socket(e: &Engine, q: &mut Query) {
    if let Some(rec) = q.socket.take().and_then(|socket| e.rec(socket.slot as usize)) {
        e.free_rec(rec);
    }
}

// ---- replies and time

/// Schedules `via` for service at this time.
fn wake_at(e: &Engine, via: ConnRef, at: u64) {
    if let Some(rec) = via.rec() {
        e.set_deadline(rec, Some(rec.deadline.get().map_or(at, |old| old.min(at))));
    }
}

/// Data arrived on the socket of a lookup: schedules the connection it is attached to.
pub(crate) fn ready(e: &Engine, rec: &ConnState) {
    if !rec.attempt_of.get().is_null() {
        return attempts::ready(e, rec);
    }
    if cfg!(not(feature = "dns")) || !e.no_poll.is_used() {
        return;
    }
    let is_its = |l: &&Lookup| {
        let socket = l.query.as_ref().and_then(|q| q.socket.as_ref());
        socket.is_some_and(|socket| socket.slot == rec.slot.get())
    };
    let via = e.resolver.lookups.borrow().values().find(is_its).map(|l| l.via);
    // SAFETY: the connection that a lookup is attached to is alive.
    if let Some(via) = via.map(|via| unsafe { ConnRef::new(via) }) {
        if let Some(rec) = via.rec() {
            e.wake(via, rec);
        }
    }
}

/// Services a connection with lookups: handles replies and timeouts.
pub(crate) fn step(e: &Engine, via: ConnRef) {
    let ours = |l: &Lookup| l.via == via.as_ptr();
    let serials: Vec<u64> = e.resolver.lookups.borrow().iter().rev().filter(|(_, l)| ours(l)).map(|(n, _)| *n).collect();
    for serial in &serials {
        if let Some(reply) = received(e, *serial) {
            answered(e, *serial, reply);
        } else {
            expire(e, *serial);
        }
        if e.is_dead() || via.is_closed() {
            return;
        }
    }
    let due = e.resolver.lookups.borrow().values().filter(|l| ours(l)).map(Lookup::due).min();
    if let Some(rec) = via.rec().filter(|_| !serials.is_empty()) {
        e.set_deadline(rec, due);
    }
}

enum Heard {
    Reply(Reply),
    /// The port is closed.
    Refused,
}

/// Reads and interprets a reply on a lookup's own socket.
fn received(e: &Engine, serial: u64) -> Option<Heard> {
    const DATAGRAMS: usize = 16;
    let lookups = e.resolver.lookups.borrow();
    let lookup = lookups.get(&serial).filter(|l| !is_closing(l.c))?;
    let q = lookup.query.as_ref()?;
    let socket = q.socket.as_ref()?;
    let rec = e.rec(socket.slot as usize)?;
    for _ in 0..DATAGRAMS {
        if !rec.readable.get() {
            return None;
        }
        // One byte more than the largest datagram.
        let mut buf = [0; dns::UDP_MAX + 1];
        // SAFETY: a buffer of ours.
        match unsafe { sock::recv(socket.fd.as_raw_fd(), buf.as_mut_ptr(), buf.len()) } {
            Io::Done(n) if n <= dns::UDP_MAX => {
                if let Some(reply) = dns::reply(&q.message, &buf[..n]) {
                    return Some(Heard::Reply(reply));
                }
            }
            Io::Done(_) => {}
            Io::Wait => rec.readable.set(false),
            Io::Failed(_) => return Some(Heard::Refused),
        }
    }
    e.requeue(rec);
    None
}

fn is_closing(c: *mut mg_connection) -> bool {
    // SAFETY: the waiting connection is alive.
    unsafe { ConnRef::new(c) }.flags().is_closing()
}

fn answered(e: &Engine, serial: u64, heard: Heard) {
    let Some(mut lookup) = take(e, serial) else { return };
    // SAFETY: the waiting connection and the one that the lookup is attached to are alive.
    let (c, via) = unsafe { (ConnRef::new(lookup.c), ConnRef::new(lookup.via)) };
    let Some(q) = &mut lookup.query else { return };
    match heard {
        Heard::Reply(Reply::Addresses(ips)) => {
            // SAFETY: the manager is alive.
            let six_first = unsafe { (*e.mgr).use_dns6 };
            // Otherwise IPv6 comes second: the earlier reply had no IPv4 addresses.
            let other = match q.rtype {
                dns::A => Some(dns::AAAA),
                _ => six_first.then_some(dns::A),
            };
            let name = q.names.pop_front().unwrap_or_default();
            done(e, &mut lookup);
            let ips: Vec<Ip> = ips.into_iter().map(known).collect();
            if lookup.more {
                attempts::more(e, c, &with_port(c, &ips));
            } else {
                found(c, &ips, other.map(|rtype| Question { host: lookup.host, name, rtype }));
            }
        }
        Heard::Reply(Reply::Truncated) if via.flags().is_udp() => over_tcp(e, lookup),
        Heard::Refused | Heard::Reply(Reply::Failed) if send(e, via, q) => {
            insert(e, lookup);
        }
        // Port-unreachable errors can be forged: without another server, wait for the timeout.
        Heard::Refused => {
            insert(e, lookup);
        }
        Heard::Reply(_) if lookup.more => {
            done(e, &mut lookup);
            attempts::more(e, c, &[]);
        }
        Heard::Reply(_) => {
            if q.rtype == dns::A {
                q.rtype = dns::AAAA;
            } else {
                q.names.pop_front();
                // SAFETY: the manager is alive.
                q.rtype = if unsafe { (*e.mgr).use_dns6 } { dns::AAAA } else { dns::A };
            }
            let is_over = q.names.is_empty();
            done(e, &mut lookup);
            if is_over { failed(c, &lookup.host) } else { ask(e, lookup) }
        }
    }
}

fn known(ip: IpAddr) -> Ip {
    match ip {
        IpAddr::V4(ip) => Ip::V4(ip.octets()),
        IpAddr::V6(ip) => Ip::V6(ip.octets(), 0),
    }
}

/// Adds the port in the URL of `c` to the addresses.
fn with_port(c: ConnRef, ips: &[Ip]) -> Vec<mg_addr> {
    let full = |ip: &Ip| {
        let mut a = mg_addr { port: c.rem().port, ..mg_addr::ZERO };
        addr::put(*ip, &mut a);
        a
    };
    ips.iter().map(full).collect()
}

/// Delivers the addresses of the host, and how to query for more.
fn found(c: ConnRef, ips: &[Ip], question: Option<Question>) {
    let all = with_port(c, ips);
    let Some((first, rest)) = all.split_first() else { return };
    c.set_rem(*first);
    attempts::prepare(c, rest.iter().copied(), question);
    conn::connect_resolved(c);
}

/// Repeats a query over TCP, because the reply did not fit in a datagram.
fn over_tcp(e: &Engine, mut lookup: Lookup) {
    let Some(q) = &mut lookup.query else { return };
    close_socket(e, q);
    let text = CString::new(format!("tcp://{}", Addr(q.server()))).unwrap_or_default();
    let Some(via) = connect(e, &text) else { return give_up(e, &lookup, format_args!("resolver")) };
    lookup.via = via.as_ptr();
    q.most = q.asked;
    if send_to(e, via, q) {
        wake_at(e, via, lookup.expires);
        insert(e, lookup);
    } else {
        via.update(|f| f.set_closing(true));
        give_up(e, &lookup, format_args!("resolve OOM"));
    }
}

/// Ends a lookup: closes its socket, and its TCP connection, if any.
fn done(e: &Engine, lookup: &mut Lookup) {
    let Some(q) = &mut lookup.query else { return };
    close_socket(e, q);
    // SAFETY: the manager and the connection that the lookup is attached to are alive.
    unsafe {
        let shared = [(*e.mgr).dns4.c, (*e.mgr).dns6.c, (*e.mgr).mdns];
        if !shared.contains(&lookup.via) {
            ConnRef::new(lookup.via).update(|f| f.set_closing(true));
        }
    }
}

/// Fails a lookup or queries the next server when its timeout has passed.
fn expire(e: &Engine, serial: u64) {
    let now = e.now.get();
    let due = |l: &Lookup| l.due() <= now && !is_closing(l.c);
    if !e.resolver.lookups.borrow().get(&serial).is_some_and(due) {
        return;
    }
    let Some(mut lookup) = take(e, serial) else { return };
    // SAFETY: the connection that the lookup is attached to is alive.
    let via = unsafe { ConnRef::new(lookup.via) };
    let Some(q) = &mut lookup.query else { return give_up(e, &lookup, format_args!("mDNS timeout")) };
    if now < lookup.expires {
        send(e, via, q);
        insert(e, lookup);
        return;
    }
    done(e, &mut lookup);
    give_up(e, &lookup, format_args!("DNS timeout"));
}

/// The protocol handler of connections to DNS servers.
///
/// # Safety
/// `c` is the connection the event is for.
unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, _ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a callback open, or by the application for a connection of its own.
    let c = unsafe { ConnRef::new(c) };
    let Some(e) = c.engine() else { return };
    match ev {
        MG_EV_POLL => step(e, c),
        MG_EV_READ if c.flags().is_udp() => datagram(e, c),
        MG_EV_READ => stream(e, c),
        _ => {}
    }
}

/// Handles a reply to a query that had no socket of its own.
fn datagram(e: &Engine, via: ConnRef) {
    // SAFETY: the connection's own buffer; the copy outlives what handlers do to it.
    let bytes = unsafe {
        let bytes = memory::copy(bytes::slice(via.recv_info().buf, via.recv_len()));
        (*via.recv()).len = 0;
        bytes
    };
    // Treat the packet as lost.
    let Some(bytes) = bytes else { return };
    let from = via.rem();
    let is_from = |server: mg_addr| (server.ip(), server.port, server.is_ip6) == (from.ip(), from.port, from.is_ip6);
    if bytes.len() <= dns::UDP_MAX {
        hear(e, via, &bytes, |q| q.socket.is_none() && is_from(q.server()));
    }
}

fn stream(e: &Engine, via: ConnRef) {
    loop {
        // SAFETY: the connection's own buffer, read before anything is called.
        let Some(bytes) = dns::frame(unsafe { bytes::slice(via.recv_info().buf, via.recv_len()) }).map(memory::copy) else {
            return;
        };
        let Some(bytes) = bytes else { return error(via, format_args!("OOM")) };
        // SAFETY: as above.
        unsafe { iobuf::del(via.recv(), 0, bytes.len() + 2) };
        hear(e, via, &bytes, |_| true);
        if e.is_dead() || via.is_closed() || via.flags().is_closing() {
            return;
        }
    }
}

/// Matches a reply with a lookup of `via`.
fn hear(e: &Engine, via: ConnRef, bytes: &[u8], may_be: impl Fn(&Query) -> bool) {
    let lookups = e.resolver.lookups.borrow();
    let answer = |(serial, l): (&u64, &Lookup)| {
        let q = l.query.as_ref().filter(|q| l.via == via.as_ptr() && !is_closing(l.c) && may_be(q))?;
        Some((*serial, dns::reply(&q.message, bytes)?))
    };
    let answer = lookups.iter().find_map(answer);
    drop(lookups);
    if let Some((serial, reply)) = answer {
        answered(e, serial, Heard::Reply(reply));
    }
}

/// Resolves all lookups of this name with an address announced on the local link.
pub(crate) fn announced(e: &Engine, name: &[u8], ip: Ipv4Addr) {
    loop {
        let waits = |l: &Lookup| l.query.is_none() && dns::same(&l.host, name) && !is_closing(l.c);
        let serial = e.resolver.lookups.borrow().iter().rev().find(|(_, l)| waits(l)).map(|(n, _)| *n);
        let Some(lookup) = serial.and_then(|serial| take(e, serial)) else { return };
        // SAFETY: the waiting connection is alive.
        found(unsafe { ConnRef::new(lookup.c) }, &[Ip::V4(ip.octets())], None);
        if e.is_dead() {
            return;
        }
    }
}

// ---- completion

/// Cancels the lookup of `c`. See `mg_resolve_cancel`.
pub(crate) fn cancel(e: &Engine, c: ConnRef) {
    if let Some(rec) = c.rec() {
        attempts::end(e, rec);
    }
    let of_c = |l: &Lookup| l.c == c.as_ptr();
    loop {
        let serial = e.resolver.lookups.borrow().iter().find(|(_, l)| of_c(l)).map(|(n, _)| *n);
        let Some(mut lookup) = serial.and_then(|serial| take(e, serial)) else { return };
        done(e, &mut lookup);
    }
}

/// The manager's own connection closed: it is reopened when needed.
pub(crate) fn forget(e: &Engine, c: ConnRef) {
    // SAFETY: the manager is alive.
    unsafe {
        for own in [&raw mut (*e.mgr).dns4.c, &raw mut (*e.mgr).dns6.c, &raw mut (*e.mgr).mdns] {
            if *own == c.as_ptr() {
                *own = ptr::null_mut();
            }
        }
    }
}

/// A connection closed: fails the lookups attached to it.
pub(crate) fn closed(e: &Engine, via: ConnRef) {
    loop {
        let serial = e.resolver.lookups.borrow().iter().rev().find(|(_, l)| l.via == via.as_ptr()).map(|(n, _)| *n);
        let Some(mut lookup) = serial.and_then(|serial| take(e, serial)) else { return };
        let text = if lookup.query.is_some() { "DNS error" } else { "mDNS listener error" };
        if let Some(q) = &mut lookup.query {
            close_socket(e, q);
        }
        // SAFETY: the waiting connection is alive.
        let c = unsafe { ConnRef::new(lookup.c) };
        // Report one error only.
        if !e.is_dead() && c.rec().is_none_or(|rec| rec.reason.get() != Reason::Error) {
            give_up(e, &lookup, format_args!("{text}"));
        }
    }
}
