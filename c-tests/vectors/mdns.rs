//! mDNS: datagrams on a listener, and lookups of names in `.local`. The listener is on the loopback address, with the protocol
//! handler of mg_mdns_listen and a socket of the test in place of the group.

// Every block calls a C function with what its prototype asks for, or looks at a connection of a manager that is alive.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::dns::{Log, loopback, received, socket, text};
use crate::lib::{function, hex, same, table, unhex, usize_of};
use crate::net::*;
use libtest_mimic::Trial;
use mongoose::abi::*;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_int, c_void};
use std::ptr::null_mut;

pub fn trials(trials: &mut Vec<Trial>) {
    table(trials, "mdns.json", "vectors", datagram);
    table(trials, "mdns_resolve.json", "vectors", resolve);
}

type Pfn = unsafe extern "C" fn(*mut mg_connection, c_int, *mut c_void);

/// The protocol handler of mDNS listeners.
fn mdns_handler() -> mg_event_handler_t {
    let listen =
        *function::<unsafe extern "C" fn(*mut mg_mgr, mg_event_handler_t, *mut c_void) -> *mut mg_connection>("mg_mdns_listen");
    let m = Manager::new();
    let c = unsafe { listen(m.raw, None, null_mut()) };
    assert!(!c.is_null() && unsafe { (*m.raw).mdns } == c);
    let pfn: Option<Pfn> = Conn(c).pfn;
    m.conns()[0].close_now();
    assert!(unsafe { (*m.raw).mdns }.is_null());
    pfn
}

/// What a case asks of the handler, and what the handler saw.
struct Script {
    setup: Value,
    events: RefCell<Vec<Value>>,
    reads: Cell<u32>,
    addr: mg_addr,
    srvcproto: Vec<u8>,
    txt: Vec<u8>,
    respname: Vec<u8>,
    record: RefCell<mg_dnssd_record>,
}

thread_local! {
    static SCRIPT: RefCell<Option<std::rc::Rc<Script>>> = const { RefCell::new(None) };
}

fn view(s: &[u8]) -> mg_str {
    mg_str { buf: s.as_ptr() as *mut _, len: s.len() }
}

fn shown(s: mg_str) -> Value {
    if s.buf.is_null() { Value::Null } else { hex(&crate::net::text(s)).into() }
}

/// `c->fn_data` is the server's name, so the closures of Manager cannot be used.
unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    let s = SCRIPT.with_borrow(|s| s.clone().unwrap());
    match ev {
        MG_EV_READ => {
            assert_eq!(Conn(c).recv.len, 0);
            s.reads.set(s.reads.get() + 1);
        }
        MG_EV_MDNS_REQ => {
            let req = unsafe { &mut *data.cast::<mg_mdns_req>() };
            let rr = unsafe { *req.rr };
            let mut event = json!({"ev": "MDNS_REQ", "atype": rr.atype, "aclass": rr.aclass, "nlen": rr.nlen});
            event["reqname"] = shown(req.reqname);
            for (name, on) in [("is_listing", req.is_listing), ("is_resp", req.is_resp), ("is_unicast", req.is_unicast)] {
                event[name] = u8::from(on).into();
            }
            s.events.borrow_mut().push(event);
            if s.setup.get("resp").is_some_and(|on| *on == 1) {
                req.is_resp = true;
                req.r = s.record.as_ptr();
                if !s.respname.is_empty() {
                    req.respname = view(&s.respname);
                }
            }
            if s.setup.get("addr").is_some() {
                req.addr = &raw const s.addr as *mut mg_addr;
            }
        }
        MG_EV_MDNS_RESP => {
            let resp = unsafe { &*data.cast::<mg_mdns_resp>() };
            let rr = unsafe { *resp.rr };
            s.events.borrow_mut().push(json!({
                "ev": "MDNS_RESP", "atype": rr.atype, "aclass": rr.aclass, "alen": rr.alen, "name": shown(resp.name),
                "ip4": hex(&resp.addr.ip()[..4]), "addr_port": u16::from_be(resp.addr.port), "sd_port": resp.sd.port,
                "srvcproto": shown(resp.sd.srvcproto), "txt": shown(resp.sd.txt),
            }));
        }
        _ => {}
    }
}

fn datagram(c: &Value) -> Result<(), String> {
    let (sender, port) = socket();
    let (group, group_port) = socket();
    let setup = c["setup"].clone();
    let field = |name: &str| setup.get(name).and_then(Value::as_str).unwrap_or_default().as_bytes().to_vec();
    let mut addr = mg_addr::ZERO;
    addr.addr.ip4 = u32::from_ne_bytes(unhex(setup["addr"].as_str().unwrap_or("00000000")).try_into().unwrap());
    let (srvcproto, txt) = (field("srvcproto"), unhex(setup["txt"].as_str().unwrap_or_default()));
    let record = RefCell::new(mg_dnssd_record {
        srvcproto: view(&srvcproto),
        txt: view(&txt),
        port: setup.get("port").map_or(0, usize_of) as u16,
    });
    let fn_data = setup.get("fn_data").map(|name| CString::new(name.as_str().unwrap()).unwrap());
    let respname = field("respname");
    let script = Script { setup, events: RefCell::default(), reads: Cell::default(), addr, srvcproto, txt, respname, record };
    let s = std::rc::Rc::new(script);
    SCRIPT.set(Some(s.clone()));
    let m = Manager::new();
    let data = fn_data.as_ref().map_or(null_mut(), |s| s.as_ptr() as *mut c_void);
    let mut listener = Conn(unsafe { mg_listen(m.raw, c"udp://127.0.0.1:0".as_ptr(), Some(handler), data) });
    let to = listener.port();
    listener.pfn = mdns_handler();
    listener.loc = loopback(group_port);
    let input = unhex(text(c, "in"));
    sender.send_to(&input, ("127.0.0.1", to)).unwrap();
    if input.is_empty() {
        m.poll(10);
    } else {
        m.until("the datagram", || s.reads.get() == 1);
    }
    let unicast = s.events.borrow().first().is_some_and(|e| e["is_unicast"] == 1);
    same("events", Value::Array(s.events.take()), c["events"].clone())?;
    let (here, there) = if unicast { (&sender, &group) } else { (&group, &sender) };
    let response = received(here).map(|r| hex(&r.0));
    same("elsewhere", received(there), None)?;
    let _ = (&s.srvcproto, &s.txt, port);
    match c["response"].as_str() {
        Some("any") if response.is_some() => Ok(()),
        want => same("response", response.as_deref(), want),
    }
}

fn resolve(c: &Value) -> Result<(), String> {
    let (group, port) = socket();
    let log = Log::default();
    let m = Manager::new();
    let mut listener = m.listen("udp://127.0.0.1:0", |_, _, _| {});
    let to = listener.port();
    listener.pfn = mdns_handler();
    listener.loc = loopback(port);
    unsafe { (*m.raw).mdns = listener.0 };
    m.connect(text(c, "url"), |c, ev, data| log.add(c, ev, data));
    same("query", received(&group).map(|q| hex(&q.0)).as_deref(), c["query"].as_str())?;
    for step in c["datagrams"].as_array().unwrap() {
        match step.as_str().unwrap() {
            "close" => listener.set(|f| f.set_closing(true)),
            "" => {}
            datagram => drop(group.send_to(&unhex(datagram), ("127.0.0.1", to)).unwrap()),
        }
        m.poll(10);
    }
    log.compare(&m, &c["events"], || {})
}
