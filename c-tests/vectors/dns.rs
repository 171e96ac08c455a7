//! DNS: the parsers, and lookups against a scripted server.

// Every block calls a C function with what its prototype asks for, or looks at a connection of a manager that is alive.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::lib::{function, guarded, hex, same, table, unhex, usize_of};
use crate::net::*;
use libtest_mimic::Trial;
use mongoose::abi::*;
use serde_json::Value;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

pub fn trials(trials: &mut Vec<Trial>) {
    table(trials, "dns_parse.json", "vectors", parse);
    table(trials, "dns_parse_rr.json", "vectors", parse_rr);
    table(trials, "dns_query_bytes.json", "vectors", query);
    table(trials, "dns_flow.json", "vectors", flow);
}

pub fn text<'v>(v: &'v Value, key: &str) -> &'v str {
    v[key].as_str().unwrap_or_else(|| panic!("no {key} in {v}"))
}

fn parse(c: &Value) -> Result<(), String> {
    let f = *function::<unsafe extern "C" fn(*const u8, usize, *mut mg_dns_message) -> bool>("mg_dns_parse");
    let input = guarded(&unhex(text(c, "in")));
    let mut dm: mg_dns_message = unsafe { std::mem::zeroed() };
    unsafe { (&raw mut dm).write_bytes(0xa5, 1) };
    let ret = unsafe { f(input.ptr(), input.bytes().len(), &mut dm) };
    same("ret", u64::from(ret), c["ret"].as_u64().unwrap())?;
    if !ret {
        return Ok(());
    }
    same("txnid", u64::from(dm.txnid), c["txnid"].as_u64().unwrap())?;
    same("resolved", u64::from(dm.resolved), c["resolved"].as_u64().unwrap())?;
    same("name", hex(unsafe { CStr::from_ptr(dm.name.as_ptr()) }.to_bytes()).as_str(), text(c, "name"))?;
    if dm.resolved {
        same("is_ip6", u64::from(dm.addr.is_ip6), c["is_ip6"].as_u64().unwrap())?;
        same("addr", hex(&dm.addr.ip()[..if dm.addr.is_ip6 { 16 } else { 4 }]).as_str(), text(c, "addr"))?;
    }
    Ok(())
}

fn parse_rr(c: &Value) -> Result<(), String> {
    type F = unsafe extern "C" fn(*const u8, usize, usize, bool, *mut mg_dns_rr) -> usize;
    let f = *function::<F>("mg_dns_parse_rr");
    let input = guarded(&unhex(text(c, "in")));
    let mut rr = mg_dns_rr { nlen: 7, atype: 7, aclass: 7, alen: 7 };
    let ret = unsafe { f(input.ptr(), input.bytes().len(), usize_of(&c["ofs"]), c["is_question"] == 1, &mut rr) };
    same("ret", ret, usize_of(&c["ret"]))?;
    for (name, got) in [("nlen", rr.nlen), ("atype", rr.atype), ("aclass", rr.aclass), ("alen", rr.alen)] {
        if let (true, Some(want)) = (ret > 0, c[name].as_u64()) {
            same(name, u64::from(got), want)?;
        }
    }
    Ok(())
}

/// A socket of the test, which can wait for a datagram.
pub fn socket() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

pub fn received(socket: &UdpSocket) -> Option<(Vec<u8>, std::net::SocketAddr)> {
    let mut buf = [0; 2048];
    socket.recv_from(&mut buf).ok().map(|(n, from)| (buf[..n].to_vec(), from))
}

/// The address of a socket of the test.
pub fn loopback(port: u16) -> mg_addr {
    let ip = u32::from_ne_bytes([127, 0, 0, 1]);
    mg_addr { addr: mg_addr_bytes { ip4: ip }, port: port.to_be(), ..mg_addr::ZERO }
}

fn masked(query: &[u8]) -> String {
    format!("0000{}", hex(&query[2..]))
}

fn query(c: &Value) -> Result<(), String> {
    let (server, port) = socket();
    let m = Manager::new();
    if c["api"] == "mg_mdns_query" {
        let f = *function::<unsafe extern "C" fn(*mut mg_connection, *const c_char, c_uint) -> bool>("mg_mdns_query");
        let mut group = m.listen("udp://127.0.0.1:0", |_, _, _| {});
        group.loc = loopback(port);
        let name = CString::new(unhex(text(c, "name"))).unwrap();
        let ret = unsafe { f(group.0, name.as_ptr(), usize_of(&c["rtype"]) as c_uint) };
        same("ret", u64::from(ret), c["ret"].as_u64().unwrap())?;
        return same("query", received(&server).map(|q| hex(&q.0)).as_deref(), c["query"].as_str());
    }
    let url = CString::new(format!("udp://127.0.0.1:{port}")).unwrap();
    unsafe {
        ((*m.raw).dns4.url, (*m.raw).dns6.url) = (url.as_ptr(), url.as_ptr());
        (*m.raw).use_dns6 = c["use_dns6"] == 1;
    }
    m.connect(text(c, "url"), |_, _, _| {});
    m.poll(0);
    same("query", received(&server).map(|q| masked(&q.0)).as_deref(), c["query"].as_str())
}

/// What the handler of a connecting connection has seen, up to MG_EV_RESOLVE.
#[derive(Default)]
pub struct Log(RefCell<Vec<Value>>);

impl Log {
    pub fn add(&self, c: Conn, ev: c_int, data: *mut c_void) {
        let mut list = self.0.borrow_mut();
        if list.last().is_some_and(|v| v["ev"] == "RESOLVE") {
            return;
        }
        let event = match ev {
            MG_EV_OPEN => serde_json::json!({"ev": "OPEN"}),
            MG_EV_ERROR => serde_json::json!({"ev": "ERROR", "msg": c_text(data)}),
            MG_EV_CLOSE => serde_json::json!({"ev": "CLOSE"}),
            MG_EV_RESOLVE => {
                let rem = hex(&c.rem.ip()[..if c.rem.is_ip6 { 16 } else { 4 }]);
                let (is_ip6, port) = (u64::from(c.rem.is_ip6), u16::from_be(c.rem.port));
                serde_json::json!({"ev": "RESOLVE", "rem_is_ip6": is_ip6, "rem": rem, "port": port})
            }
            MG_EV_POLL => return,
            _ => serde_json::json!({"ev": ev}),
        };
        list.push(event);
    }

    /// Polls until the end of what was expected has come, and a little longer.
    pub fn compare(&self, m: &Manager<'_>, want: &Value, mut meanwhile: impl FnMut()) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(20);
        while self.0.borrow().last() != want.as_array().unwrap().last() && Instant::now() < end {
            m.poll(1);
            meanwhile();
        }
        m.poll(1);
        same("events", Value::Array(self.0.borrow().clone()), want.clone())
    }
}

fn flow(c: &Value) -> Result<(), String> {
    let (server, port) = socket();
    let url = CString::new(format!("udp://127.0.0.1:{port}")).unwrap();
    let log = Log::default();
    let m = Manager::new();
    // Where a timeout is expected nothing else happens late.
    let times_out = c["events"].to_string().contains("DNS timeout");
    unsafe {
        ((*m.raw).dns4.url, (*m.raw).dns6.url) = (url.as_ptr(), url.as_ptr());
        (*m.raw).use_dns6 = c["use_dns6"] == 1;
        (*m.raw).dnstimeout = if times_out { 400 } else { 10_000 };
    }
    let mut replies = c["replies"].as_array().unwrap().iter();
    let mut queries = Vec::new();
    m.connect(text(c, "url"), |c, ev, data| log.add(c, ev, data));
    log.compare(&m, &c["events"], || {
        let Some((query, from)) = received(&server) else { return };
        queries.push(Value::String(masked(&query)));
        let Some(reply) = replies.next().and_then(Value::as_str).filter(|r| !r.is_empty()) else { return };
        let wrong = reply.starts_with('!');
        let mut reply = unhex(reply.trim_start_matches('!'));
        reply[..2].copy_from_slice(&if wrong { [!query[0], query[1]] } else { [query[0], query[1]] });
        server.send_to(&reply, from).unwrap();
    })?;
    same("queries", Value::Array(queries), c["queries"].clone())
}
