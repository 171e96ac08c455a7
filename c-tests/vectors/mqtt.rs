//! MQTT: packets in and out, and the protocol handler.

// Every block calls a C function with what its prototype asks for, or looks at a connection of a manager that is alive.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::lib::{guarded, hex, same, table, unhex, usize_of, view};
use crate::net::*;
use libtest_mimic::Trial;
use mongoose::abi::*;
use serde_json::Value;
use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_long, c_void};
use std::mem::MaybeUninit;
use std::ptr;

pub fn trials(trials: &mut Vec<Trial>) {
    table(trials, "mqtt_parse.json", "vectors", parse);
    table(trials, "mqtt_props.json", "vectors", props);
    table(trials, "mqtt_encode.json", "vectors", encode);
    table(trials, "mqtt_stream.json", "vectors", |c| [false, true].into_iter().try_for_each(|accepted| stream(c, accepted)));
}

fn input(v: &Value) -> Vec<u8> {
    unhex(v.as_str().unwrap())
}

/// A message filled with rubbish, to see what the parser zeroes.
fn dirty() -> MaybeUninit<mg_mqtt_message> {
    let mut m = MaybeUninit::uninit();
    unsafe { ptr::write_bytes(m.as_mut_ptr(), 0xa5, 1) };
    m
}

/// The bytes of a message between `ack` and `props_start`.
fn padding(m: &MaybeUninit<mg_mqtt_message>) -> [u8; 3] {
    unsafe { m.as_ptr().cast::<u8>().add(53).cast::<[u8; 3]>().read() }
}

fn parse(c: &Value) -> Result<(), String> {
    let data = guarded(&input(&c["in"]));
    let mut m = dirty();
    let rc = unsafe { mg_mqtt_parse(data.ptr(), data.bytes().len(), usize_of(&c["version"]) as u8, m.as_mut_ptr()) };
    same("padding", padding(&m), [0; 3])?;
    let m = unsafe { m.assume_init() };
    same("returned", rc as usize, usize_of(&c["rc"]))?;
    same("dgram.buf", m.dgram.buf, data.ptr())?;
    if rc != 0 {
        return Ok(());
    }
    let ofs = |s: mg_str| if s.buf.is_null() { -1 } else { s.buf as i64 - data.ptr::<u8>() as i64 };
    let got = [
        ("cmd", m.cmd.into()),
        ("qos", m.qos.into()),
        ("ack", m.ack.into()),
        ("id", m.id.into()),
        ("dgram_len", m.dgram.len as i64),
        ("props_start", m.props_start as i64),
        ("props_size", m.props_size as i64),
        ("topic_ofs", ofs(m.topic)),
        ("topic_len", m.topic.len as i64),
        ("data_ofs", ofs(m.data)),
        ("data_len", m.data.len as i64),
    ];
    got.into_iter().try_for_each(|(name, value)| same(name, value, c[name].as_i64().unwrap()))
}

/// A string as the property vectors write it.
fn text(s: mg_str) -> Value {
    if s.buf.is_null() { Value::Null } else { hex(&view(s)).into() }
}

fn props(c: &Value) -> Result<(), String> {
    let data = guarded(&input(&c["in"]));
    let mut m = unsafe { dirty().assume_init() };
    same("parsed", unsafe { mg_mqtt_parse(data.ptr(), data.bytes().len(), 5, &mut m) }, 0)?;
    same("props_start", m.props_start, usize_of(&c["props_start"]))?;
    same("props_size", m.props_size, usize_of(&c["props_size"]))?;
    for step in c["steps"].as_array().unwrap() {
        let mut p: mg_mqtt_prop = unsafe { std::mem::zeroed() };
        unsafe { ptr::write_bytes(&mut p, 0xa5, 1) };
        let ret = unsafe { mg_mqtt_next_prop(&mut m, &mut p, usize_of(&step["ofs"])) };
        same("returned", ret, usize_of(&step["ret"]))?;
        if ret != 0 {
            let want = &step["prop"];
            same("id", usize::from(p.id), usize_of(&want["id"]))?;
            same("iv", p.iv as usize, usize_of(&want["iv"]))?;
            same("key", text(p.key), want["key"].clone())?;
            same("val", text(p.val), want["val"].clone())?;
        }
    }
    Ok(())
}

/// The member of the options, zero when it is not given.
fn number(opts: &Value, name: &str) -> usize {
    opts.get(name).map_or(0, usize_of)
}

fn encode(c: &Value) -> Result<(), String> {
    let m = Manager::new();
    let mut conn = Conn(unsafe { mg_alloc_conn(m.raw) });
    let opts = &c["opts"];
    let strings = RefCell::new(Vec::new());
    let string = |v: Option<&Value>| {
        let data = guarded(&v.map(input).unwrap_or_default());
        let s = data.str();
        strings.borrow_mut().push(data);
        s
    };
    let list = |name: &str| -> Vec<mg_mqtt_prop> {
        let all = opts.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let prop = |p: &Value| mg_mqtt_prop {
            id: number(p, "id") as u8,
            iv: number(p, "iv") as u32,
            key: string(p.get("key")),
            val: string(p.get("val")),
        };
        all.iter().map(prop).collect()
    };
    let (mut props, mut will_props) = (list("props"), list("will_props"));
    let o = mg_mqtt_opts {
        user: string(opts.get("user")),
        pass: string(opts.get("pass")),
        client_id: string(opts.get("client_id")),
        topic: string(opts.get("topic")),
        message: string(opts.get("message")),
        qos: number(opts, "qos") as u8,
        version: number(opts, "version") as u8,
        keepalive: number(opts, "keepalive") as u16,
        retransmit_id: number(opts, "retransmit_id") as u16,
        retain: number(opts, "retain") != 0,
        clean: number(opts, "clean") != 0,
        props: props.as_mut_ptr(),
        num_props: props.len(),
        will_props: will_props.as_mut_ptr(),
        num_will_props: will_props.len(),
    };
    let o: *const mg_mqtt_opts = if number(opts, "nullopts") == 1 { ptr::null() } else { &o };
    conn.flags.set_mqtt5(number(opts, "is_mqtt5") != 0);
    unsafe { (*m.raw).mqtt_id = number(opts, "mqtt_id") as u16 };
    let mut ret = None;
    unsafe {
        match c["op"].as_str().unwrap() {
            "login" => mg_mqtt_login(conn.0, o),
            "pub" => ret = Some(usize::from(mg_mqtt_pub(conn.0, o))),
            "sub" => mg_mqtt_sub(conn.0, o),
            "unsub" => mg_mqtt_unsub(conn.0, o),
            "ping" => mg_mqtt_ping(conn.0),
            "pong" => mg_mqtt_pong(conn.0),
            "disconnect" => mg_mqtt_disconnect(conn.0, o),
            "header" => {
                mg_mqtt_send_header(conn.0, number(opts, "cmd") as u8, number(opts, "flags") as u8, number(opts, "len") as u32);
            }
            other => panic!("{other}"),
        }
    }
    let mut got = hex(&bytes_at(conn.send.buf, conn.send.len));
    let want = c["send"].as_str().unwrap();
    if let Some(at) = want.find('X').filter(|at| got.len() >= at + 38) {
        let id = unhex(&got[at..at + 38]);
        if !id.iter().all(u8::is_ascii_alphanumeric) {
            return Err(format!("client id {id:?}"));
        }
        got.replace_range(at..at + 38, &"X".repeat(38));
    }
    let after = (unsafe { (*m.raw).mqtt_id }, conn.flags.is_mqtt5());
    conn.close_now();
    same("queued", got.as_str(), want)?;
    same("returned", ret, c.get("ret").map(usize_of))?;
    same("mqtt_id", usize::from(after.0), usize_of(&c["mqtt_id_after"]))?;
    same("is_mqtt5", usize::from(after.1), usize_of(&c["is_mqtt5_after"]))
}

/// An event as the vectors describe it.
fn seen(c: Conn, ev: c_int, data: *mut c_void) -> Value {
    let mut e = serde_json::json!({"recv_len": c.recv.len});
    let mut set = |name: &str, value: Value| _ = e.as_object_mut().unwrap().insert(name.to_string(), value);
    match ev {
        MG_EV_READ => set("ev", "READ".into()),
        MG_EV_MQTT_OPEN => {
            set("ev", "MQTT_OPEN".into());
            set("ack_as_int", unsafe { *data.cast::<c_int>() }.into());
        }
        MG_EV_MQTT_CMD | MG_EV_MQTT_MSG => {
            let m = unsafe { &*data.cast::<mg_mqtt_message>() };
            set("ev", if ev == MG_EV_MQTT_CMD { "MQTT_CMD" } else { "MQTT_MSG" }.into());
            set("cmd", m.cmd.into());
            set("qos", m.qos.into());
            set("ack", m.ack.into());
            set("id", m.id.into());
            set("dgram_len", m.dgram.len.into());
            assert_eq!(m.dgram.buf.cast(), c.recv.buf, "the packet is at the start of the buffer");
            if i32::from(m.cmd) == MQTT_CMD_PUBLISH {
                set("topic", hex(&view(m.topic)).into());
                set("data", hex(&view(m.data)).into());
                set("props_size", m.props_size.into());
            }
        }
        MG_EV_ERROR => set("ERROR", unsafe { CStr::from_ptr(data.cast()) }.to_str().unwrap().into()),
        other => set("ev", other.into()),
    }
    if ev != MG_EV_READ {
        set("sent_before", c.send.len.into());
    }
    e
}

/// Passes the chunks to the protocol handler of a listener's connections; `accepted` or not, both behave alike.
fn stream(c: &Value, accepted: bool) -> Result<(), String> {
    let events = RefCell::new(Vec::new());
    let m = Manager::new();
    let none = m.handler(|_, _, _| {});
    let listener = Conn(unsafe { mg_mqtt_listen(m.raw, c"mqtt://127.0.0.1:0".as_ptr(), Some(run), none) });
    let mut conn = Conn(unsafe { mg_alloc_conn(m.raw) });
    conn.pfn = listener.pfn;
    conn.r#fn = Some(run);
    conn.fn_data = m.handler(|c, ev, data| {
        if ev != MG_EV_CLOSE {
            events.borrow_mut().push(seen(c, ev, data));
        }
    });
    conn.flags.set_accepted(accepted);
    conn.flags.set_client(!accepted);
    conn.flags.set_mqtt5(usize_of(&c["is_mqtt5"]) != 0);
    for chunk in c["chunks"].as_array().unwrap().iter().map(input) {
        if conn.flags.is_closing() {
            break;
        }
        let mut n = chunk.len() as c_long;
        unsafe {
            mg_iobuf_add(&mut conn.recv, conn.recv.len, chunk.as_ptr().cast(), chunk.len());
            mg_call(conn.0, MG_EV_READ, (&raw mut n).cast());
        }
    }
    let (sent, left) = (hex(&bytes_at(conn.send.buf, conn.send.len)), conn.recv.len);
    let closing = conn.flags.is_closing();
    conn.close_now();
    same("events", Value::Array(events.take()), c["events"].clone())?;
    same("queued", sent.as_str(), c["send"].as_str().unwrap())?;
    same("left", left, usize_of(&c["recv_left"]))?;
    same("is_closing", usize::from(closing), usize_of(&c["is_closing"]))
}
