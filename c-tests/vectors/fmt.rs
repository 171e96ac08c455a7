//! Formatting, log, message queue, JSON-RPC.

// Every block calls a C function with what its prototype asks for, on memory of the same test.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::lib::{bytes, function, table, unhex};
use libtest_mimic::Trial;
use serde_json::Value;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::Mutex;

type Snprintf = unsafe extern "C" fn(*mut c_char, usize, *const c_char, ...) -> usize;
type Pfn = unsafe extern "C" fn(c_char, *mut c_void);

#[repr(C)]
#[derive(Clone, Copy)]
struct Str {
    buf: *const u8,
    len: usize,
}

#[repr(C)]
struct Queue {
    buf: *mut u8,
    size: usize,
    tail: usize,
    head: usize,
}

#[repr(C)]
struct RpcReq {
    head: *mut *mut c_void,
    rpc: *mut c_void,
    pfn: Pfn,
    pfn_data: *mut c_void,
    req_data: *mut c_void,
    frame: Str,
}

pub fn trials(trials: &mut Vec<Trial>) {
    table(trials, "printf.json", "cases", |c| {
        let mut buf = [0x55u8; 1024];
        let n = call(c, |fmt, args| snprintf(buf.as_mut_ptr(), buf.len(), fmt, args));
        expect(c, &buf[..n])?;
        if buf[n] == 0 { Ok(()) } else { Err("no NUL".into()) }
    });
    table(trials, "printf.json", "truncation", |c| {
        let mut buf = [0x55u8; 64];
        let size = number(&c["size"]);
        let n = call(c, |fmt, args| snprintf(buf.as_mut_ptr(), size, fmt, args));
        same("length", n, number(&c["ret"]))?;
        if size > 0 {
            let text = CStr::from_bytes_until_nul(&buf[..size]).map_err(|_| "no NUL")?;
            same("text", text.to_bytes(), &bytes(&c["buf"]).unwrap())?;
        }
        same("byte behind", buf[size], 0x55)
    });
    table(trials, "printf.json", "mprintf", |c| {
        let mprintf = *function::<unsafe extern "C" fn(*const c_char, ...) -> *mut c_char>("mg_mprintf");
        let free = *function::<unsafe extern "C" fn(*mut c_void)>("mg_free");
        let s = call(c, |fmt, args| match *args {
            [] => unsafe { mprintf(fmt) },
            [Arg::Word(a)] => unsafe { mprintf(fmt, a) },
            _ => panic!("arguments"),
        });
        let got = (!s.is_null()).then(|| unsafe { CStr::from_ptr(s) }.to_bytes().to_vec());
        unsafe { free(s.cast()) };
        same("text", got, bytes(&c["out"]))
    });
    table(trials, "print_helpers.json", "cases", print_helper);
    table(trials, "hexdump.json", "cases", |c| {
        let data = unhex(c["data"].as_str().unwrap());
        let dump = *function::<unsafe extern "C" fn(*const c_void, usize)>("mg_hexdump");
        expect(c, &logged(|| unsafe { dump(data.as_ptr().cast(), data.len()) }))
    });
    table(trials, "hexdump.json", "prefix", prefix);
    table(trials, "queue.json", "printf", queue);
    table(trials, "rpc.json", "cases", rpc);
}

fn number(v: &Value) -> usize {
    v.as_u64().unwrap() as usize
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{what}: {got:?}, not {want:?}")) }
}

/// Compares with `out` or `out_hex` of the case.
fn expect(c: &Value, got: &[u8]) -> Result<(), String> {
    let want = c.get("out_hex").map_or_else(|| bytes(&c["out"]).unwrap(), |hex| unhex(hex.as_str().unwrap()));
    if got == want { Ok(()) } else { Err(format!("got {:?}", String::from_utf8_lossy(got))) }
}

enum Arg {
    /// Integer or pointer. A C function that takes an int finds it in the low half.
    Word(i64),
    Double(f64),
}

/// Calls `f` with the format and the arguments of a case.
fn call<R>(c: &Value, f: impl FnOnce(*const c_char, &[Arg]) -> R) -> R {
    let fmt = CString::new(bytes(&c["fmt"]).unwrap()).unwrap();
    let mut strings = Vec::new();
    let args: Vec<Arg> = c["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| {
            let text = a[1].as_str();
            match a[0].as_str().unwrap() {
                "i" => Arg::Word(a[1].as_i64().unwrap()),
                "l" => Arg::Word(text.unwrap().parse::<i128>().unwrap() as i64),
                "p" => Arg::Word(i64::from_str_radix(&text.unwrap()[2..], 16).unwrap()),
                "d" => Arg::Double(f64::from_bits(u64::from_str_radix(text.unwrap(), 16).unwrap())),
                "s" => Arg::Word(bytes(&a[1]).map_or(0, |s| {
                    strings.push(CString::new(s).unwrap());
                    strings.last().unwrap().as_ptr() as i64
                })),
                other => panic!("argument type {other}"),
            }
        })
        .collect();
    f(fmt.as_ptr(), &args)
}

fn snprintf(buf: *mut u8, size: usize, fmt: *const c_char, args: &[Arg]) -> usize {
    let (f, buf) = (*function::<Snprintf>("mg_snprintf"), buf.cast());
    use Arg::{Double, Word};
    unsafe {
        match *args {
            [] => f(buf, size, fmt),
            [Double(a)] => f(buf, size, fmt, a),
            [Word(a)] => f(buf, size, fmt, a),
            [Word(a), Word(b)] => f(buf, size, fmt, a, b),
            [Word(a), Word(b), Word(c)] => f(buf, size, fmt, a, b, c),
            [Word(a), Word(b), Word(c), Word(d)] => f(buf, size, fmt, a, b, c, d),
            [Word(a), Word(b), Word(c), Word(d), Word(e)] => f(buf, size, fmt, a, b, c, d, e),
            _ => panic!("arguments"),
        }
    }
}

fn print_helper(c: &Value) -> Result<(), String> {
    let printer = *function::<*const c_void>(c["fn"].as_str().unwrap());
    let fmt = CString::new(format!("%{}", c["conv"].as_str().unwrap())).unwrap();
    let data = c["data"].as_str().map(|hex| [unhex(hex), vec![0]].concat());
    let pointer = data.as_ref().map_or(null(), |d| d.as_ptr());
    let mut buf = [0u8; 1024];
    let (f, to, size, fmt) = (*function::<Snprintf>("mg_snprintf"), buf.as_mut_ptr().cast(), buf.len(), fmt.as_ptr());
    let n = if let Some(ip) = c.get("ip") {
        let mut addr = [0u8; 24];
        let ip = unhex(ip.as_str().unwrap());
        addr[..ip.len()].copy_from_slice(&ip);
        addr[16..18].copy_from_slice(&(number(&c["port"]) as u16).to_be_bytes());
        addr[19] = c["ip6"].as_bool().unwrap().into();
        unsafe { f(to, size, fmt, printer, addr.as_ptr()) }
    } else if let Some(len) = c.get("len") {
        unsafe { f(to, size, fmt, printer, len.as_i64().unwrap() as c_int, pointer) }
    } else {
        unsafe { f(to, size, fmt, printer, pointer) }
    };
    expect(c, &buf[..n])
}

unsafe extern "C" fn push(ch: c_char, to: *mut c_void) {
    unsafe { (*to.cast::<Vec<u8>>()).push(ch as u8) }
}

/// What `write` writes to the log.
fn logged(write: impl FnOnce()) -> Vec<u8> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let set = *function::<unsafe extern "C" fn(Option<Pfn>, *mut c_void)>("mg_log_set_fn");
    let mut out = Vec::new();
    unsafe { set(Some(push), (&raw mut out).cast()) };
    write();
    unsafe { set(None, null_mut()) };
    out
}

fn prefix(c: &Value) -> Result<(), String> {
    let f = *function::<unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char)>("mg_log_prefix");
    let [file, func] = ["file", "func"].map(|key| CString::new(bytes(&c[key]).unwrap()).unwrap());
    let out = logged(|| unsafe { f(number(&c["level"]) as c_int, file.as_ptr(), number(&c["line"]) as c_int, func.as_ptr()) });
    same("length", out.len(), number(&c["total_len"]))?;
    let time = out.iter().position(|&b| b == b' ').unwrap();
    let start = time.max(6) + 1;
    let want = bytes(&c["text_after_time"]).unwrap();
    same("text", out[start..].trim_ascii_end(), want[..want.len().min(39 - start)].trim_ascii_end())?;
    same("last", out[39], b' ')
}

fn queue(c: &Value) -> Result<(), String> {
    let f = *function::<unsafe extern "C" fn(*mut Queue, *const c_char, ...) -> usize>("mg_queue_printf");
    let init = *function::<unsafe extern "C" fn(*mut Queue, *mut u8, usize)>("mg_queue_init");
    let next = *function::<unsafe extern "C" fn(*mut Queue, *mut *const u8) -> usize>("mg_queue_next");
    let mut memory = vec![0u64; number(&c["size"]).div_ceil(8)];
    let mut q = Queue { buf: null_mut(), size: 0, tail: 0, head: 0 };
    unsafe { init(&mut q, memory.as_mut_ptr().cast(), number(&c["size"])) };
    let mut first = None;
    for step in c["steps"].as_array().unwrap() {
        let text = CString::new(bytes(&step["text"]).unwrap()).unwrap();
        let n = unsafe { f(&mut q, c"%s".as_ptr(), text.as_ptr()) };
        same("return, tail, head", [n, q.tail, q.head], ["ret", "tail", "head"].map(|key| number(&step[key])))?;
        if n > 0 {
            first.get_or_insert(text);
        }
    }
    let mut buf = null();
    let n = unsafe { next(&mut q, &mut buf) };
    let message = if n == 0 { &[] } else { unsafe { std::slice::from_raw_parts(buf, n) } };
    same("message", message, first.as_ref().map_or(&[], |s| s.as_bytes()))
}

fn rpc(c: &Value) -> Result<(), String> {
    type Handler = unsafe extern "C" fn(*mut RpcReq);
    type Ok = unsafe extern "C" fn(*mut RpcReq, *const c_char, ...);
    type Err = unsafe extern "C" fn(*mut RpcReq, c_int, *const c_char, ...);
    unsafe extern "C" fn sum(r: *mut RpcReq) {
        let get = *function::<unsafe extern "C" fn(Str, *const c_char, *mut f64) -> bool>("mg_json_get_num");
        let (mut a, mut b) = (0.0, 0.0);
        unsafe {
            get((*r).frame, c"$.params[0]".as_ptr(), &mut a);
            get((*r).frame, c"$.params[1]".as_ptr(), &mut b);
            function::<Ok>("mg_rpc_ok")(r, c"%g".as_ptr(), a + b);
        }
    }
    unsafe extern "C" fn ok_null(r: *mut RpcReq) {
        unsafe { function::<Ok>("mg_rpc_ok")(r, null()) }
    }
    unsafe extern "C" fn err(r: *mut RpcReq) {
        unsafe { function::<Err>("mg_rpc_err")(r, -7, c"\"bad %s\"".as_ptr(), c"thing".as_ptr()) }
    }
    unsafe extern "C" fn err_null(r: *mut RpcReq) {
        unsafe { function::<Err>("mg_rpc_err")(r, 5, null()) }
    }
    unsafe extern "C" fn response(r: *mut RpcReq) {
        unsafe { function::<Err>("mg_rpc_err")(r, 1, c"\"response seen\"".as_ptr()) }
    }
    let add = *function::<unsafe extern "C" fn(*mut *mut c_void, Str, Handler, *mut c_void)>("mg_rpc_add");
    let process = *function::<unsafe extern "C" fn(*mut RpcReq)>("mg_rpc_process");
    let delete = *function::<unsafe extern "C" fn(*mut *mut c_void, Option<Handler>)>("mg_rpc_del");
    let mut head = null_mut();
    for h in c["handlers"].as_array().unwrap() {
        let pattern = h[0].as_str().unwrap();
        let handler: Handler = match h[1].as_str().unwrap() {
            "sum" => sum,
            "null" => ok_null,
            "err" => err,
            "errnull" => err_null,
            "resp" => response,
            "list" => *function::<Handler>("mg_rpc_list"),
            other => panic!("handler {other}"),
        };
        unsafe { add(&mut head, Str { buf: pattern.as_ptr(), len: pattern.len() }, handler, null_mut()) };
    }
    let frame = bytes(&c["frame"]).unwrap();
    let mut out: Vec<u8> = Vec::new();
    let mut r = RpcReq {
        head: &mut head,
        rpc: null_mut(),
        pfn: push,
        pfn_data: (&raw mut out).cast(),
        req_data: null_mut(),
        frame: Str { buf: frame.as_ptr(), len: frame.len() },
    };
    unsafe { process(&mut r) };
    unsafe { delete(r.head, None) };
    same("list", unsafe { *r.head }, null_mut())?;
    expect(c, &out)
}
