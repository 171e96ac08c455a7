//! Handshakes between a listener and a client of one manager, with the options of the vectors.

// Every block calls a C function with what its prototype asks for, or looks at a connection of a manager that is alive.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::lib::load;
use crate::net::*;
use libtest_mimic::{Failed, Trial};
use mongoose::abi::*;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::rc::Rc;
use std::sync::Arc;

api! {
    mg_tls_init(c: *mut mg_connection, opts: *const mg_tls_opts);
    mg_base64_decode(src: *const c_char, len: usize, dst: *mut c_char, dst_len: usize) -> usize;
}

pub fn trials(trials: &mut Vec<Trial>) {
    let mut all = load("tls_matrix.json");
    let Value::Array(vectors) = all["vectors"].take() else { panic!("no vectors") };
    assert!(!vectors.is_empty());
    let files: Arc<HashMap<String, Vec<u8>>> =
        Arc::new(all["pki"].as_object().unwrap().iter().map(|(name, entry)| (name.clone(), contents(entry))).collect());
    for vector in vectors {
        let files = files.clone();
        trials
            .push(Trial::test(format!("tls_matrix: {}", vector["name"].as_str().unwrap()), move || run_script(&vector, &files)));
    }
}

fn contents(entry: &Value) -> Vec<u8> {
    if let Some(pem) = entry["pem"].as_str() {
        return pem.into();
    }
    let text = entry["base64"].as_str().unwrap();
    let mut data = vec![0u8; text.len()];
    let n = unsafe { mg_base64_decode(text.as_ptr().cast(), text.len(), data.as_mut_ptr().cast(), data.len()) };
    assert!(n > 0);
    data.truncate(n);
    data
}

/// Calls mg_tls_init with memory that is overwritten and freed as soon as it returns.
fn init(c: Conn, options: &Value, files: &HashMap<String, Vec<u8>>) {
    let part = |name: &str| {
        let v = &options[name];
        match (v["file"].as_str(), v["text"].as_str().or(v.as_str())) {
            (Some(file), _) => files[file].clone(),
            (None, text) => text.unwrap_or_default().into(),
        }
    };
    let mut parts = ["ca", "cert", "key", "name"].map(part);
    let [ca, cert, key, name] = parts.each_mut().map(|p| mg_str { buf: p.as_mut_ptr().cast(), len: p.len() });
    let options = mg_tls_opts { ca, cert, key, name, skip_verification: false };
    unsafe { mg_tls_init(c.0, &options) };
    parts.iter_mut().for_each(|p| p.fill(b'#'));
}

type Events = Rc<RefCell<Vec<String>>>;

/// Notes the events that the vectors list.
fn note(events: &Events, ev: c_int, data: *mut c_void) {
    let name = match ev {
        MG_EV_CONNECT => "CONNECT",
        MG_EV_ACCEPT => "ACCEPT",
        MG_EV_TLS_HS => "TLS_HS",
        MG_EV_READ => "READ",
        MG_EV_CLOSE => "CLOSE",
        MG_EV_ERROR => return events.borrow_mut().push(format!("ERROR:{}", c_text(data))),
        _ => return,
    };
    events.borrow_mut().push(name.into());
}

fn run_script(vector: &Value, files: &Arc<HashMap<String, Vec<u8>>>) -> Result<(), Failed> {
    let sides: [Events; 2] = Default::default();
    let [client, server] = sides.clone();
    let manager = Manager::new();
    let (options, pki) = (vector["server"].clone(), files.clone());
    let listener = manager.listen("tcps://127.0.0.1:0", move |c, ev, data| {
        if c.flags.is_listening() {
            return;
        }
        note(&server, ev, data);
        match ev {
            MG_EV_ACCEPT => init(c, &options, &pki),
            MG_EV_READ => {
                assert_eq!(c.take(), b"ping");
                c.send(b"pong");
            }
            _ => {}
        }
    });
    let early = vector["init"] == "early";
    let (options, pki) = (vector["client"].clone(), files.clone());
    let url = format!("{}://127.0.0.1:{}", vector["client_url"].as_str().unwrap(), listener.port());
    let c = manager.connect(&url, move |c, ev, data| {
        note(&client, ev, data);
        match ev {
            MG_EV_CONNECT if !early => {
                init(c, &options, &pki);
                c.send(b"ping");
            }
            MG_EV_READ => {
                assert_eq!(c.take(), b"pong");
                c.set(|f| f.set_draining(true));
            }
            _ => {}
        }
    });
    if early {
        init(c, &vector["client"], files);
        c.send(b"ping");
    }
    manager.until("both ends to close", || sides.iter().all(|s| s.borrow().iter().any(|e| e == "CLOSE")));
    let seen = sides.map(|s| s.borrow().clone());
    judge(vector, &seen).map_err(|text| format!("{text}\nclient {:?}, server {:?}\n{vector}", seen[0], seen[1]).into())
}

/// Whether this is what one of the two backends did whose result counts, or differs from it as it may.
fn judge(vector: &Value, seen: &[Vec<String>; 2]) -> Result<(), String> {
    let counted = || ["openssl", "builtin"].iter().map(|b| &vector[b]).filter(|b| !b.is_null());
    let ok = counted().next().unwrap()["ok"] == 1;
    let is_error = |e: &&String| e.starts_with("ERROR");
    let errors: Vec<&String> = seen.iter().flatten().filter(is_error).collect();
    if ok {
        let right = [["CONNECT", "TLS_HS", "READ", "CLOSE"], ["ACCEPT", "TLS_HS", "READ", "CLOSE"]];
        return if *seen == right { Ok(()) } else { Err("the connection should have worked".into()) };
    }
    // One end says what is wrong; how the other one learns of it is free, and so is when, as far as the backends differ.
    let calm = |list: &[String]| list.iter().filter(|e| !is_error(e)).cloned().collect::<Vec<_>>();
    let like = |backend: &Value| {
        ["client", "server"].iter().zip(seen).all(|(side, seen)| {
            let listed: Vec<String> = backend[side].as_array().unwrap().iter().map(|e| e.as_str().unwrap().into()).collect();
            calm(&listed) == calm(seen)
        })
    };
    if !counted().any(like) {
        return Err("unexpected events".into());
    }
    let told = errors.iter().any(|e| e.len() > "ERROR:".len() && *e != "ERROR:socket error");
    let once = seen.iter().all(|side| side.iter().filter(is_error).count() <= 1);
    if told && once { Ok(()) } else { Err("the error should have been reported once".into()) }
}
