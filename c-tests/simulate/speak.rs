//! What the program does in conversations: see `talk`.

use crate::codec::Item;
use crate::ffi::*;
use crate::line::{CERT, KEY, Secure};
use crate::plan::Plan;
use crate::program::{self, find, is_over, perform};
use crate::talk::{Framing, Kind, Message, PINGREQ, SUBSCRIBE, Talk};
use crate::talking::Talking;
use core::cell::RefCell;
use core::ffi::{c_int, c_void};
use std::ffi::CString;
use std::rc::Rc;

thread_local! {
    static TALKS: RefCell<Vec<Talking>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn with_all<R>(f: impl FnOnce(&mut Vec<Talking>) -> R) -> R {
    TALKS.with(|all| f(&mut all.borrow_mut()))
}

pub(crate) fn with<R>(t: usize, f: impl FnOnce(&mut Talking) -> R) -> R {
    with_all(|all| f(&mut all[t]))
}

/// The conversation of a connection that was accepted from this port.
pub(crate) fn by_port(plan: &Plan, port: u16) -> Option<usize> {
    with_all(|all| all.iter().position(|t| t.port == port && t.started)).filter(|t| !plan.talks[*t].ours_asks)
}

/// Turns to the peer of conversation `arg`.
pub(crate) unsafe extern "C" fn start(arg: *mut c_void) {
    let t = arg.addr();
    let (plan, mgr) = program::with(|p| (p.plan.clone(), p.mgr));
    if program::with(|p| p.freed) {
        return;
    }
    let talk = &plan.talks[t];
    let port = with(t, |t| t.port);
    let data = core::ptr::without_provenance_mut(t + 1);
    let s = if talk.secure == Secure::No { "" } else { "s" };
    let scheme = match talk.kind {
        Kind::Ws => "ws",
        Kind::Mqtt(_) => "mqtt",
        Kind::Http => "http",
    };
    let url = CString::new(format!("{scheme}{s}://127.0.0.1:{port}/t{t}")).expect("no NUL");
    let f: mg_event_handler_t = Some(program::handler);
    let c = unsafe {
        match talk.kind {
            Kind::Ws => mgx_ws_connect(mgr, url.as_ptr(), f, data, core::ptr::null()),
            Kind::Mqtt(version) => {
                let mut opts: mg_mqtt_opts = core::mem::zeroed();
                (opts.version, opts.keepalive, opts.clean) = (version, talk.keepalive, true);
                with(t, |t| t.says(Item::new(0x10, 0, b"")));
                mg_mqtt_connect(mgr, url.as_ptr(), &opts, f, data)
            }
            Kind::Http => mg_http_connect(mgr, url.as_ptr(), f, data),
        }
    };
    with(t, |t| t.started = true);
    if c.is_null() && !program::with(|p| p.was_drained) && !crate::memory::has_failed() {
        find(format!("talk {t}: no connection"));
    }
}

pub(crate) unsafe fn init_tls(c: *mut mg_connection, is_server: bool) {
    let mut opts: mg_tls_opts = unsafe { core::mem::zeroed() };
    if is_server {
        (opts.cert, opts.key) = (text(CERT.as_bytes()), text(KEY.as_bytes()));
    }
    unsafe { mg_tls_init(c, &opts) };
}

/// What went wrong with the event, if anything did.
fn see(t: usize, ev: c_int, item: &Item) -> bool {
    match with(t, |t| t.sees(ev, item)) {
        Ok(()) => true,
        Err(wrong) => {
            find(wrong);
            false
        }
    }
}

pub(crate) unsafe fn event(c: *mut mg_connection, ev: c_int, data: *mut c_void, id: Id, t: usize) {
    let plan = program::with(|p| p.plan.clone());
    let talk = &plan.talks[t];
    match ev {
        MG_EV_OPEN => with(t, |t| t.conn = Some(id)),
        MG_EV_CONNECT => {
            if talk.secure != Secure::No {
                unsafe { init_tls(c, false) };
            }
            if talk.kind == Kind::Http && !is_over(id) {
                for _ in 0..talk.pipelined {
                    ask(c, t, talk);
                }
            }
        }
        MG_EV_HTTP_MSG if talk.kind == Kind::Http => {
            let (status, number, body) = unsafe { answer(&*data.cast()) };
            if program::with(|p| p.conns[&id].killed) {
                // What the program itself has cut short.
                return;
            }
            // So have mg_mgr_free and an error an answer that ends with its connection: what has come of it is delivered.
            let ends = |n: u16| talk.asks.get(usize::from(n)).is_some_and(|ask| matches!(ask.answer, Framing::Rest(_)));
            let cuts = program::with(|p| p.freed_early) || crate::memory::has_failed();
            if cuts && ends(number) && with(t, |t| t.awaits_more(&body)) {
                return;
            }
            if see(t, ev, &Item::new(status, number, &body)) {
                react(c, id, t, &plan);
                if !is_over(id) {
                    ask(c, t, talk);
                }
            }
        }
        MG_EV_HTTP_MSG => unsafe { mgx_ws_upgrade(c, data.cast(), core::ptr::null()) },
        MG_EV_WS_OPEN => {
            if talk.ours_asks && !see(t, ev, &Item::new(0, 0, b"")) {
                return;
            }
            open(c, id, t, &plan);
        }
        MG_EV_WS_MSG | MG_EV_WS_CTL => {
            let wm = unsafe { &*data.cast::<mg_ws_message>() };
            let item = Item::new(u16::from(wm.flags & 15), 0, unsafe { bytes(&wm.data) });
            if !see(t, ev, &item) {
                return;
            }
            if c_int::from(wm.flags & 15) == WEBSOCKET_OP_PING {
                with(t, |t| t.says(Item { kind: WEBSOCKET_OP_PONG as u16, ..item }));
            } else if ev == MG_EV_WS_MSG {
                react(c, id, t, &plan);
            }
        }
        MG_EV_MQTT_OPEN => {
            if see(t, ev, &Item::new(unsafe { *data.cast::<c_int>() } as u16, 0, b"")) {
                open(c, id, t, &plan);
            }
        }
        MG_EV_MQTT_MSG | MG_EV_MQTT_CMD => {
            let m = unsafe { &*data.cast::<mg_mqtt_message>() };
            let kind = u16::from(m.cmd << 4 | m.qos << 1);
            let payload = if c_int::from(m.cmd) == MQTT_CMD_PUBLISH { unsafe { bytes(&m.data) } } else { b"" };
            if !see(t, ev, &Item::new(kind, m.id, payload)) {
                return;
            }
            let reply = match (ev, kind) {
                (MG_EV_MQTT_MSG, 0x32) => 0x40,
                (MG_EV_MQTT_MSG, 0x34) => 0x50,
                (MG_EV_MQTT_CMD, 0x50) => 0x62,
                (MG_EV_MQTT_CMD, 0x62) => 0x70,
                _ => 0,
            };
            if reply > 0 {
                with(t, |t| t.says(Item::new(reply, m.id, b"")));
            }
            if ev == MG_EV_MQTT_MSG {
                return react(c, id, t, &plan);
            }
            if !talk.ours_asks {
                serve(c, id, t, kind, m.id, &plan);
            }
        }
        _ => {}
    }
}

/// Status, number and body of an answer.
unsafe fn answer(hm: &mg_http_message) -> (u16, u16, Vec<u8>) {
    unsafe {
        let status = std::str::from_utf8(bytes(&hm.uri)).unwrap_or("").parse().unwrap_or(0);
        let number = hm.headers.iter().find(|h| bytes(&h.name) == b"X-Id").map(|h| bytes(&h.value));
        let number = number.and_then(|n| std::str::from_utf8(n).ok()?.parse().ok());
        (status, number.unwrap_or(u16::MAX), bytes(&hm.body).to_vec())
    }
}

/// A broker's part.
fn serve(c: *mut mg_connection, id: Id, t: usize, kind: u16, packet: u16, plan: &Rc<Plan>) {
    let Kind::Mqtt(version) = plan.talks[t].kind else { return };
    let [high, low] = packet.to_be_bytes();
    let send = |cmd: c_int, body: &[u8]| unsafe {
        mg_mqtt_send_header(c, cmd as u8, 0, body.len() as u32);
        mg_send(c, body.as_ptr().cast(), body.len())
    };
    match kind {
        0x10 => {
            send(MQTT_CMD_CONNACK, if version == 5 { b"\0\0\0" } else { b"\0\0" });
            with(t, |t| t.says(Item::new(0x20, 0, b"")));
            open(c, id, t, plan);
        }
        0x82 => {
            send(MQTT_CMD_SUBACK, &[high, low, 0, 0][..if version == 5 { 4 } else { 3 }]);
            with(t, |t| t.says(Item::new(0x90, packet, b"")));
        }
        0xc0 => {
            unsafe { mg_mqtt_pong(c) };
            with(t, |t| t.says(Item::new(0xd0, 0, b"")));
        }
        0xe0 => drain(c, id),
        _ => {}
    }
}

fn drain(c: *mut mg_connection, id: Id) {
    program::mark(id, |c| c.drained = true);
    unsafe { (*c).flags.set_draining(true) };
}

fn open(c: *mut mg_connection, id: Id, t: usize, plan: &Rc<Plan>) {
    with(t, |t| t.is_open = true);
    for m in &plan.talks[t].opening {
        say(c, id, t, &plan.talks[t], m);
    }
    if !plan.talks[t].ticks.is_empty() {
        tick_later(t, plan.talks[t].tick_ms);
    }
}

fn tick_later(t: usize, ms: u64) {
    let mgr = program::with(|p| p.mgr);
    unsafe { mg_timer_add(mgr, ms, MG_TIMER_ONCE as u32, Some(tick), core::ptr::without_provenance_mut(t)) };
}

unsafe extern "C" fn tick(arg: *mut c_void) {
    let t = arg.addr();
    let plan = program::with(|p| p.plan.clone());
    let talk = &plan.talks[t];
    let Some(id) = with(t, |t| t.conn).filter(|id| !is_over(*id)) else { return };
    let c = program::with(|p| p.conns[&id].c);
    let at = with(t, |t| {
        t.ticked += 1;
        t.ticked - 1
    });
    if let Some(m) = talk.ticks.get(at) {
        say(c, id, t, talk, m);
        tick_later(t, talk.tick_ms);
    }
}

/// A message has come.
fn react(c: *mut mg_connection, id: Id, t: usize, plan: &Rc<Plan>) {
    let talk = &plan.talks[t];
    let number = with(t, |t| {
        t.got += 1;
        t.got - 1
    });
    if !talk.reactions.is_empty() {
        let reaction = &talk.reactions[number % talk.reactions.len()];
        for act in &reaction.before {
            perform(act, c, id);
            if is_over(id) {
                return;
            }
        }
        for m in &reaction.says {
            say(c, id, t, talk, m);
        }
        for act in &reaction.after {
            perform(act, c, id);
            if is_over(id) {
                return;
            }
        }
    }
    if talk.bye_at == Some(number) {
        bye(c, id, t, talk);
    }
}

fn bye(c: *mut mg_connection, id: Id, t: usize, talk: &Talk) {
    with(t, |t| t.said_bye = true);
    match talk.kind {
        Kind::Ws => unsafe { mgx_ws_close(c, 1000, core::ptr::null()) },
        Kind::Mqtt(_) if talk.ours_asks => {
            unsafe { mg_mqtt_disconnect(c, core::ptr::null()) };
            with(t, |t| t.says(Item::new(0xe0, 0, b"")));
            drain(c, id);
        }
        _ => drain(c, id),
    }
}

fn say(c: *mut mg_connection, id: Id, t: usize, talk: &Talk, m: &Message) {
    if is_over(id) || with(t, |t| t.said_bye || !t.is_open) {
        return;
    }
    let payload = with(t, |t| t.payload(true, t.said(), m.len));
    let item = unsafe {
        match talk.kind {
            Kind::Ws => match mg_ws_send(c, payload.as_ptr().cast(), payload.len(), c_int::from(m.kind)) {
                0 => return,
                _ => Item::new(u16::from(m.kind), 0, &payload),
            },
            Kind::Mqtt(_) => {
                let mut opts: mg_mqtt_opts = core::mem::zeroed();
                opts.topic = text(b"t");
                match m.kind {
                    PINGREQ => return,
                    SUBSCRIBE => {
                        mg_mqtt_sub(c, &opts);
                        Item::new(0x82, (*(*c).mgr).mqtt_id, b"")
                    }
                    qos => {
                        (opts.qos, opts.message) = (qos, text(&payload));
                        let id = mg_mqtt_pub(c, &opts);
                        Item::new(0x30 | u16::from(qos) << 1, id, &payload)
                    }
                }
            }
            Kind::Http => return,
        }
    };
    with(t, |t| t.says(item));
}

/// The next request, if there is one.
fn ask(c: *mut mg_connection, t: usize, talk: &Talk) {
    let number = with(t, |t| t.asked);
    let Some(ask) = talk.asks.get(number) else { return };
    let method = if ask.head {
        "HEAD"
    } else if ask.body > 0 {
        "POST"
    } else {
        "GET"
    };
    let mut request = format!("{method} /{number} HTTP/1.1\r\nHost: a\r\n").into_bytes();
    if ask.body > 0 && !ask.head {
        request.extend(format!("Content-Length: {}\r\n\r\n", ask.body).bytes());
        request.extend(with(t, |t| t.payload(true, number, ask.body)));
    } else {
        request.extend(b"\r\n");
    }
    if unsafe { mg_send(c, request.as_ptr().cast(), request.len()) } {
        with(t, |t| {
            t.asked += 1;
            t.says(Item::new(0, 0, &request));
        });
    } else {
        unsafe { (*c).flags.set_closing(true) };
        with(t, |t| t.conn).into_iter().for_each(|id| program::mark(id, |c| c.killed = true));
    }
}
