//! Modbus, JSON Web Tokens, keys.

// Every block calls a C function with what its prototype asks for, or looks at a connection of a manager that is alive.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::lib::{Guarded, guarded, hex, load, same, table, unhex, usize_of};
use crate::net::*;
use libtest_mimic::Trial;
use mongoose::abi::*;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int};
use std::io::Write;
use std::net::TcpStream;
use std::rc::Rc;

type Checked = Result<(), String>;

pub fn trials(trials: &mut Vec<Trial>) {
    table(trials, "modbus_frames.json", "vectors", modbus);
    table(trials, "jwt.json", "sign_hs256", |c| sign("mg_jwt_sign_hs256", c));
    table(trials, "jwt.json", "verify_hs256", |c| verify("mg_jwt_verify_hs256", c));
    table(trials, "jwt.json", "sign_es256", |c| sign("mg_jwt_sign_es256", c).and_then(|()| key_pair(c)));
    table(trials, "jwt.json", "verify_es256", |c| verify("mg_jwt_verify_es256", c));
    table(trials, "uecc_private_key.json", "vectors", private_key);
    trials.push(Trial::test("jwt.json::algorithms_are_not_mixed_up", || Ok(algorithms_are_not_mixed_up()?)));
}

// ---- Modbus

api! {
    mg_modbus_listen(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut std::ffi::c_void) -> *mut mg_connection;
}

/// What the handler of the vectors does, and sees.
fn answer(req: &mut mg_modbus_req, sent: usize) -> Value {
    let (is_bits, len) = (matches!(req.func, 1 | 2 | 5 | 15), usize::from(req.len));
    let addr = usize::from(req.addr);
    let mut values = Vec::new();
    for i in 0..len {
        unsafe {
            values.push(if is_bits { u16::from(*req.u.bits.add(i)) } else { *req.u.regs.add(i) });
            match req.func {
                1 | 2 => *req.u.bits.add(i) = (addr + i) % 3 == 0,
                3 | 4 => *req.u.regs.add(i) = (addr + 257 * i) as u16,
                _ => {}
            }
        }
    }
    let event = json!({"ev": "MODBUS_REQ", "func": req.func, "addr": req.addr, "len": req.len, "error": req.error,
        "sent_before": sent, "values": values});
    if req.addr >= 0xff00 {
        req.error = req.addr as u8;
    }
    event
}

#[derive(Default)]
struct Seen {
    events: RefCell<Vec<Value>>,
    reads: Cell<usize>,
    sent: RefCell<Vec<u8>>,
    left: Cell<usize>,
    is_closing: Cell<bool>,
}

fn modbus(case: &Value) -> Checked {
    let seen = Rc::new(Seen::default());
    let mgr = Manager::new();
    let s = seen.clone();
    let data = mgr.handler(move |c, ev, data| {
        let so_far = s.sent.borrow().len();
        match ev {
            MG_EV_MODBUS_REQ => {
                let event = answer(unsafe { &mut *data.cast() }, so_far + c.send.len);
                s.events.borrow_mut().push(event);
            }
            MG_EV_ERROR => s.events.borrow_mut().push(json!({"ev": "ERROR", "msg": c_text(data)})),
            MG_EV_READ => {
                s.events.borrow_mut().push(json!({"ev": "READ"}));
                s.reads.set(s.reads.get() + 1);
                s.sent.borrow_mut().extend(bytes_at(c.send.buf, c.send.len));
                s.left.set(c.recv.len);
                s.is_closing.set(c.flags.is_closing());
            }
            _ => {}
        }
    });
    let listener = Conn(unsafe { mg_modbus_listen(mgr.raw, c"tcp://127.0.0.1:0".as_ptr(), Some(run), data) });
    let mut client = TcpStream::connect(("127.0.0.1", listener.port())).unwrap();
    client.set_nodelay(true).unwrap();
    for (i, chunk) in case["chunks"].as_array().unwrap().iter().enumerate() {
        client.write_all(&unhex(chunk.as_str().unwrap())).unwrap();
        mgr.until("MG_EV_READ", || seen.reads.get() > i);
        if seen.is_closing.get() {
            break;
        }
    }
    same("events", Value::Array(seen.events.take()), case["events"].clone())?;
    same("send", hex(&seen.sent.borrow()), case["send"].as_str().unwrap().to_string())?;
    same("recv_left", seen.left.get(), usize_of(&case["recv_left"]))?;
    same("is_closing", u64::from(seen.is_closing.get()), case["is_closing"].as_u64().unwrap())
}

// ---- tokens

fn part(case: &Value, name: &str) -> Guarded {
    guarded(case[name].as_str().unwrap_or_default().as_bytes())
}

fn key(case: &Value, name: &str) -> Guarded {
    guarded(&unhex(case[name].as_str().unwrap_or_default()))
}

struct Opts {
    strings: [Guarded; 4],
    keys: [Guarded; 2],
}

impl Opts {
    fn new(case: &Value) -> Opts {
        Opts {
            strings: ["claims", "header", "kid", "secret"].map(|name| part(case, name)),
            keys: ["private_key", "public_key"].map(|name| key(case, name)),
        }
    }

    fn c(&self) -> mg_jwt_opts {
        let [claims, header, kid, secret] = &self.strings;
        let [private_key, public_key] = &self.keys;
        mg_jwt_opts {
            claims: claims.str(),
            header: header.str(),
            kid: kid.str(),
            secret: secret.str(),
            private_key: private_key.ptr(),
            public_key: public_key.ptr(),
        }
    }
}

/// What a function wrote to a buffer of the case's size: its text, which must end with a NUL.
fn given(case: &Value, want: &str, call: impl FnOnce(*mut c_char, usize) -> usize) -> Checked {
    let size = usize_of(&case["size"]);
    let buf = guarded(&vec![b'x'; size]);
    let n = call(buf.ptr(), size);
    same("ret", n, usize_of(&case["ret"]))?;
    if n == 0 {
        return Ok(());
    }
    same(want, &buf.bytes()[..n], case[want].as_str().unwrap().as_bytes())?;
    same("what follows", buf.bytes()[n], 0)
}

fn sign(name: &str, case: &Value) -> Checked {
    let f = crate::lib::function::<unsafe extern "C" fn(*const mg_jwt_opts, *mut c_char, usize) -> usize>(name);
    let opts = Opts::new(case);
    given(case, "jwt", |buf, size| unsafe { f(&opts.c(), buf, size) })
}

type Verify = unsafe extern "C" fn(mg_str, *const mg_jwt_opts, *mut c_char, usize) -> usize;

fn verify(name: &str, case: &Value) -> Checked {
    let f = crate::lib::function::<Verify>(name);
    // The claims of the case are what comes out.
    let (opts, jwt) = (Opts::new(&json!({"secret": case["secret"], "public_key": case["public_key"]})), part(case, "jwt"));
    given(case, "claims", |buf, size| unsafe { f(jwt.str(), &opts.c(), buf, size) })
}

/// A good token of one algorithm is none of the other, whatever key is there.
fn algorithms_are_not_mixed_up() -> Checked {
    for (list, wrong) in [("sign_hs256", "mg_jwt_verify_es256"), ("sign_es256", "mg_jwt_verify_hs256")] {
        let file = load("jwt.json");
        let signed = file[list].as_array().unwrap().iter().find(|c| c["ret"] != 0).unwrap();
        let key = file["sign_es256"][0]["public_key"].clone();
        verify(wrong, &json!({"jwt": signed["jwt"], "secret": signed["secret"], "public_key": key, "size": 1024, "ret": 0}))?;
    }
    Ok(())
}

// ---- keys

fn key_pair(case: &Value) -> Checked {
    type Compute = unsafe extern "C" fn(*const u8, *mut u8, MG_UECC_Curve) -> c_int;
    let curve = *crate::lib::function::<unsafe extern "C" fn() -> MG_UECC_Curve>("mg_uecc_secp256r1");
    let compute = crate::lib::function::<Compute>("mg_uecc_compute_public_key");
    let (private, public) = (key(case, "private_key"), guarded(&[0; 64]));
    same("ret", unsafe { compute(private.ptr(), public.ptr(), curve()) }, 1)?;
    same("public_key", hex(public.bytes()), case["public_key"].as_str().unwrap().to_string())
}

fn private_key(case: &Value) -> Checked {
    type Decode = unsafe extern "C" fn(*const c_char, usize, *mut c_char, usize) -> usize;
    let decode = crate::lib::function::<Decode>("mg_base64_decode");
    let coded = case["key_base64"].as_str().unwrap();
    let mut key = vec![0u8; coded.len() + 1];
    let n = unsafe { decode(coded.as_ptr().cast(), coded.len(), key.as_mut_ptr().cast(), key.len()) };

    type Parse = unsafe extern "C" fn(mg_str, *mut u8, usize) -> usize;
    let parse = crate::lib::function::<Parse>("mg_uecc_parse_private_key");
    let (key, len) = (guarded(&key[..n]), usize_of(&case["buf_len"]));
    let buf = guarded(&vec![0; len]);
    let n = unsafe { parse(key.str(), buf.ptr(), len) };
    same("ret", n, usize_of(&case["ret"]))?;
    same("without a buffer", unsafe { parse(key.str(), std::ptr::null_mut(), len) }, 0)?;
    if n == 0 {
        return same("untouched", hex(buf.bytes()), "00".repeat(len));
    }
    same("out", hex(&buf.bytes()[..n]), case["out"].as_str().unwrap().to_string())
}
