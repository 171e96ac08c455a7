//! Strings, numbers, URLs, JSON, base64, digests, buffers, queues, timers.

use crate::lib::*;
use libtest_mimic::Trial;
use mongoose::abi::*;
use serde_json::Value;
use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ushort, c_void};
use std::ptr;

type Checked = Result<(), String>;

fn text(v: &Value) -> Vec<u8> {
    bytes(v).unwrap_or_else(|| panic!("not bytes: {v}"))
}

fn data(v: &Value) -> Vec<u8> {
    unhex(v.as_str().unwrap_or_else(|| panic!("not hex: {v}")))
}

fn bool_of(v: &Value) -> bool {
    v.as_bool().unwrap_or_else(|| panic!("not a bool: {v}"))
}

fn int(v: &Value) -> i64 {
    v.as_i64().unwrap_or_else(|| panic!("not a number: {v}"))
}

fn list(v: &Value) -> &[Value] {
    v.as_array().unwrap_or_else(|| panic!("not a list: {v}"))
}

fn address(text: &[u8]) -> mg_addr {
    let aton = function::<unsafe extern "C" fn(mg_str, *mut mg_addr) -> bool>("mg_aton");
    let mut addr = mg_addr::ZERO;
    // SAFETY: the text is guarded memory.
    assert!(unsafe { aton(guarded(text).str(), &mut addr) });
    addr
}

// ---- strings

fn aton(c: &Value) -> Checked {
    let f = function::<unsafe extern "C" fn(mg_str, *mut mg_addr) -> bool>("mg_aton");
    let mut addr = mg_addr { port: 7, scope_id: 9, ..mg_addr::ZERO };
    // SAFETY: the prototype of mg_aton.
    let ok = unsafe { f(guarded(&text(&c["s"])).str(), &mut addr) };
    same("ok", ok, bool_of(&c["ok"]))?;
    same("port", addr.port, 7)?;
    if ok {
        let is_ip6 = bool_of(&c["ip6"]);
        same("ip6", addr.is_ip6, is_ip6)?;
        same("ip", &*hex(&addr.ip()[..if is_ip6 { 16 } else { 4 }]), c["ip"].as_str().unwrap())?;
        if let Some(scope) = c["scope"].as_u64() {
            same("scope", addr.scope_id.into(), scope)?;
        }
    }
    Ok(())
}

fn compare(c: &Value) -> Checked {
    type Views = unsafe extern "C" fn(mg_str, mg_str) -> c_int;
    let casecmp = function::<unsafe extern "C" fn(*const c_char, *const c_char) -> c_int>("mg_casecmp");
    let (a, b) = (text(&c["a"]), text(&c["b"]));
    // SAFETY: the prototypes of these functions.
    unsafe {
        let of = |name| function::<Views>(name)(guarded(&a).str(), guarded(&b).str());
        same("strcmp", of("mg_strcmp").into(), int(&c["strcmp"]))?;
        same("strcasecmp", of("mg_strcasecmp").into(), int(&c["strcasecmp"]))?;
        same("casecmp", casecmp(guarded_cstr(&a).ptr(), guarded_cstr(&b).ptr()).into(), int(&c["casecmp"]))
    }
}

fn matches(c: &Value) -> Checked {
    let f = function::<unsafe extern "C" fn(mg_str, mg_str, *mut mg_str) -> bool>("mg_match");
    let (s, p) = (guarded(&text(&c["s"])), guarded(&text(&c["p"])));
    let want = bool_of(&c["m"]);
    // One entry for each wildcard, one more unless the pattern ends in a run or nothing matches, and then nothing.
    let wildcards = p.bytes().chunk_by(|a, b| b"*#".contains(a) && b"*#".contains(b)).filter(|r| b"*#?".contains(&r[0])).count();
    let terminated = !want || !matches!(p.bytes().last(), Some(b'*' | b'#'));
    let entries = if want { wildcards + usize::from(terminated) } else { 1 };
    let room = guarded(&vec![0xff; entries * size_of::<mg_str>()]);
    // SAFETY: the prototype of mg_match; caps has that many entries.
    unsafe {
        same("without captures", f(s.str(), p.str(), ptr::null_mut()), want)?;
        same("with captures", f(s.str(), p.str(), room.ptr()), want)?;
        let caps = std::slice::from_raw_parts(room.ptr::<mg_str>(), entries);
        if !want {
            return same("first entry", (caps[0].buf, caps[0].len), (ptr::null_mut(), 0));
        }
        if terminated {
            same("last entry", (caps[wildcards].buf, caps[wildcards].len), (ptr::null_mut(), 0))?;
        }
        match c.get("caps") {
            Some(want) => {
                let got: Vec<Vec<u8>> = caps[..wildcards].iter().map(|&cap| view(cap)).collect();
                same("captures", got, list(want).iter().map(text).collect())
            }
            None => Ok(()),
        }
    }
}

fn span(c: &Value) -> Checked {
    let f = function::<unsafe extern "C" fn(mg_str, *mut mg_str, *mut mg_str, c_char) -> bool>("mg_span");
    let s = guarded(&text(&c["s"]));
    let sep = text(&c["sep"])[0] as c_char;
    let untouched = mg_str { buf: ptr::dangling_mut(), len: 77 };
    let (mut a, mut b) = (untouched, untouched);
    // SAFETY: the prototype of mg_span.
    unsafe {
        same("ok", f(s.str(), &mut a, &mut b, sep), bool_of(&c["ok"]))?;
        same("ok without outputs", f(s.str(), ptr::null_mut(), ptr::null_mut(), sep), bool_of(&c["ok"]))?;
    }
    if !bool_of(&c["ok"]) {
        return same("outputs", (a.buf, a.len, b.buf, b.len), (untouched.buf, 77, untouched.buf, 77));
    }
    same("a", view(a), text(&c["a"]))?;
    same("b", view(b), text(&c["b"]))?;
    same("a_ofs", a.buf as usize - s.ptr::<u8>() as usize, usize_of(&c["a_ofs"]))?;
    same("b_ofs", b.buf as usize - s.ptr::<u8>() as usize, usize_of(&c["b_ofs"]))
}

fn str_to_num(c: &Value) -> Checked {
    let f = function::<unsafe extern "C" fn(mg_str, c_int, *mut c_void, usize) -> bool>("mg_str_to_num");
    let size = usize_of(&c["size"]);
    let room = guarded(&vec![0xa5; size]);
    // SAFETY: the prototype of mg_str_to_num.
    let ok = unsafe { f(guarded(&text(&c["s"])).str(), int(&c["base"]) as c_int, room.ptr(), size) };
    same("ok", ok, bool_of(&c["ok"]))?;
    let want = c["val"].as_str().map(|v| v.parse::<u64>().unwrap().to_le_bytes()[..size].to_vec());
    let mut got = room.bytes().to_vec();
    if ok && cfg!(target_endian = "big") {
        got.reverse();
    }
    same("value", got, want.unwrap_or_else(|| vec![0xa5; size]))
}

fn url(c: &Value) -> Checked {
    let url = guarded_cstr(&text(&c["url"]));
    // SAFETY: the prototypes of these functions.
    unsafe {
        for (part, name) in [("host", "mg_url_host"), ("user", "mg_url_user"), ("pass", "mg_url_pass")] {
            let f = function::<unsafe extern "C" fn(*const c_char) -> mg_str>(name);
            same(part, view(f(url.ptr())), text(&c[part]))?;
        }
        let port = function::<unsafe extern "C" fn(*const c_char) -> c_ushort>("mg_url_port");
        same("port", port(url.ptr()).into(), int(&c["port"]))?;
        let ssl = function::<unsafe extern "C" fn(*const c_char) -> bool>("mg_url_is_ssl");
        same("ssl", ssl(url.ptr()), bool_of(&c["ssl"]))?;
        let uri = function::<unsafe extern "C" fn(*const c_char) -> *const c_char>("mg_url_uri");
        same("uri", CStr::from_ptr(uri(url.ptr())).to_bytes().to_vec(), text(&c["uri"]))
    }
}

// ---- utilities

fn acl(list: &Value, addr: &mut mg_addr) -> i64 {
    let f = function::<unsafe extern "C" fn(mg_str, *mut mg_addr) -> c_int>("mg_check_ip_acl");
    // SAFETY: the prototype of mg_check_ip_acl.
    unsafe { f(guarded(&text(list)).str(), addr) }.into()
}

fn ip_acl(c: &Value) -> Checked {
    same("ret", acl(&c["acl"], &mut address(&text(&c["ip"]))), int(&c["ret"]))
}

fn util_acl(c: &Value) -> Checked {
    let mut addr = mg_addr { is_ip6: bool_of(&c["ip6"]), ..address(&text(&c["ip"])) };
    same("ret", acl(&c["acl"], &mut addr), int(&c["ret"]))
}

fn timegm(c: &Value) -> Checked {
    type Fields = unsafe extern "C" fn(c_uint, c_uint, c_uint, c_uint, c_uint, c_uint) -> u64;
    let f = function::<Fields>("mg_timegm");
    let t: Vec<c_uint> = list(&c["ymdhms"]).iter().map(|v| usize_of(v) as c_uint).collect();
    // SAFETY: the prototype of mg_timegm.
    same("ret", Some(unsafe { f(t[0], t[1], t[2], t[3], t[4], t[5]) }), c["ret"].as_u64())
}

fn path_is_sane(c: &Value) -> Checked {
    let f = function::<unsafe extern "C" fn(mg_str) -> bool>("mg_path_is_sane");
    // SAFETY: the prototype of mg_path_is_sane.
    same("ok", unsafe { f(guarded(&text(&c["path"])).str()) }, bool_of(&c["ok"]))
}

fn byteorder(c: &Value) -> Checked {
    if cfg!(target_endian = "big") {
        return Ok(());
    }
    let number = |v: &Value| u64::from_str_radix(v.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let n = number(&c["in"]);
    // SAFETY: the prototypes of these functions.
    unsafe {
        same("ntohs", function::<unsafe extern "C" fn(u16) -> u16>("mg_ntohs")(n as u16).into(), number(&c["ntohs"]))?;
        same("ntohl", function::<unsafe extern "C" fn(u32) -> u32>("mg_ntohl")(n as u32).into(), number(&c["ntohl"]))?;
        same("ntohll", function::<unsafe extern "C" fn(u64) -> u64>("mg_ntohll")(n), number(&c["ntohll"]))
    }
}

fn memeq(c: &Value) -> Checked {
    let f = function::<unsafe extern "C" fn(*const c_void, *const c_void, usize) -> bool>("mg_memeq");
    let (a, b) = (guarded(&data(&c["a"])), guarded(&data(&c["b"])));
    // SAFETY: the prototype of mg_memeq.
    same("ret", unsafe { f(a.ptr(), b.ptr(), usize_of(&c["n"])) }, bool_of(&c["ret"]))
}

fn crc(c: &Value) -> Checked {
    let crc32 = function::<unsafe extern "C" fn(u32, *const c_char, usize) -> u32>("mg_crc32");
    let crc16 = function::<unsafe extern "C" fn(u16, *const c_char, usize) -> u16>("mg_crc16");
    let input = guarded(&data(&c["data"]));
    let len = input.bytes().len();
    let buf = if len == 0 { ptr::null_mut() } else { input.ptr() };
    // SAFETY: the prototypes of these functions.
    unsafe {
        same("crc32", crc32(usize_of(&c["init32"]) as u32, buf, len).into(), int(&c["crc32"]))?;
        same("crc16", crc16(usize_of(&c["init16"]) as u16, buf, len).into(), int(&c["crc16"]))
    }
}

// ---- base64

type Recode = unsafe extern "C" fn(*const u8, usize, *mut c_char, usize) -> usize;

/// Converts `input` into a guarded buffer of the size given; the result and the buffer.
fn recode(name: &str, input: &[u8], c: &Value) -> (usize, Guarded) {
    let room = guarded(&vec![0xff; usize_of(&c["size"])]);
    // SAFETY: the prototype of all four functions, whose first parameter is one or the other kind of char.
    let n = unsafe { function::<Recode>(name)(guarded(input).ptr(), input.len(), room.ptr(), room.bytes().len()) };
    (n, room)
}

fn encode(name: &str, c: &Value) -> Checked {
    let (n, room) = recode(name, &data(&c["in"]), c);
    same("ret", n, usize_of(&c["ret"]))?;
    let got = CStr::from_bytes_until_nul(room.bytes()).ok().map(|s| s.to_bytes().to_vec());
    same("out", got, bytes(&c["out"]))
}

fn decode(name: &str, c: &Value) -> Checked {
    let (n, room) = recode(name, &text(&c["in"]), c);
    same("ret", n, usize_of(&c["ret"]))?;
    if let Some(out) = c["out"].as_str() {
        same("out", &*hex(&room.bytes()[..n]), out)?;
        same("nul", room.bytes()[n] == 0, bool_of(&c["nul"]))?;
    }
    // Programs decode in place.
    let input = text(&c["in"]);
    if room.bytes().len() >= input.len() {
        // SAFETY: as above; the input fits into the buffer.
        unsafe {
            ptr::copy_nonoverlapping(input.as_ptr(), room.ptr(), input.len());
            same("in place", function::<Recode>(name)(room.ptr(), input.len(), room.ptr(), room.bytes().len()), n)?;
        }
        if let Some(out) = c["out"].as_str() {
            same("out in place", &*hex(&room.bytes()[..n]), out)?;
        }
    }
    Ok(())
}

fn base64_stream(c: &Value) -> Checked {
    let update = function::<unsafe extern "C" fn(u8, *mut c_char, usize) -> usize>("mg_base64_update");
    let finish = function::<unsafe extern "C" fn(*mut c_char, usize) -> usize>("mg_base64_final");
    let input = data(&c["in"]);
    let room = guarded(&vec![0xff; input.len().div_ceil(3) * 4 + 1]);
    let mut len = 0;
    // SAFETY: the prototypes of these functions; the buffer has the documented size.
    unsafe {
        for (&byte, want) in input.iter().zip(list(&c["update_returns"])) {
            len = update(byte, room.ptr(), len);
            same("update", len, usize_of(want))?;
        }
        len = finish(room.ptr(), len);
    }
    same("final", len, usize_of(&c["final_return"]))?;
    let out = CStr::from_bytes_until_nul(room.bytes()).map(|s| s.to_bytes().to_vec());
    same("out", out.ok(), bytes(&c["out"]))
}

// ---- digests

/// What the four kinds of context have in common, for tests.
struct Digest {
    name: &'static str,
    init: &'static str,
    update: &'static str,
    finish: &'static str,
    size: usize,
    context: usize,
    /// MD5 is given the context first, and it and SHA-1 zero the context.
    context_first: bool,
    zeroes: bool,
}

const DIGESTS: [Digest; 4] = [
    Digest {
        name: "md5",
        init: "mg_md5_init",
        update: "mg_md5_update",
        finish: "mg_md5_final",
        size: 16,
        context: size_of::<mg_md5_ctx>(),
        context_first: true,
        zeroes: true,
    },
    Digest {
        name: "sha1",
        init: "mg_sha1_init",
        update: "mg_sha1_update",
        finish: "mg_sha1_final",
        size: 20,
        context: size_of::<mg_sha1_ctx>(),
        context_first: false,
        zeroes: true,
    },
    Digest {
        name: "sha256",
        init: "mg_sha256_init",
        update: "mg_sha256_update",
        finish: "mg_sha256_final",
        size: 32,
        context: size_of::<mg_sha256_ctx>(),
        context_first: false,
        zeroes: false,
    },
    Digest {
        name: "sha384",
        init: "mg_sha384_init",
        update: "mg_sha384_update",
        finish: "mg_sha384_final",
        size: 48,
        context: size_of::<mg_sha384_ctx>(),
        context_first: false,
        zeroes: false,
    },
];

/// Feeds the parts to each digest, moving the context to another place before every step.
fn digests(parts: &[Vec<u8>], c: &Value) -> Checked {
    for d in DIGESTS {
        // SAFETY: the prototypes of these functions; contexts are aligned for u64 and as large as the struct.
        unsafe {
            let mut context = vec![0xaaaa_aaaa_aaaa_aaaau64; d.context / 8 + 1];
            function::<unsafe extern "C" fn(*mut c_void)>(d.init)(context.as_mut_ptr().cast());
            for part in parts {
                context = context.to_vec();
                let f = function::<unsafe extern "C" fn(*mut c_void, *const u8, usize)>(d.update);
                f(context.as_mut_ptr().cast(), guarded(part).ptr(), part.len());
            }
            let out = guarded(&vec![0; d.size]);
            let (ctx, digest) = (context.as_mut_ptr().cast::<c_void>(), out.ptr::<c_void>());
            let (first, second) = if d.context_first { (ctx, digest) } else { (digest, ctx) };
            function::<unsafe extern "C" fn(*mut c_void, *mut c_void)>(d.finish)(first, second);
            same(d.name, &*hex(out.bytes()), c[d.name].as_str().unwrap())?;
            if d.zeroes {
                let left = std::slice::from_raw_parts(ctx.cast::<u8>(), d.context);
                same("context", left.iter().all(|&b| b == 0), true)?;
            }
        }
    }
    Ok(())
}

fn hashes(c: &Value) -> Checked {
    let input = data(&c["data"]);
    for (name, field, size) in [("mg_sha256", "sha256", 32), ("mg_sha384", "sha384", 48)] {
        let out = guarded(&vec![0; size]);
        // SAFETY: the prototype of both functions.
        unsafe { function::<unsafe extern "C" fn(*mut u8, *mut u8, usize)>(name)(out.ptr(), guarded(&input).ptr(), input.len()) };
        same(name, &*hex(out.bytes()), c[field].as_str().unwrap())?;
    }
    digests(&[input], c)
}

fn chunked(c: &Value) -> Checked {
    digests(&list(&c["parts"]).iter().map(data).collect::<Vec<_>>(), c)
}

fn hmac_sha256(c: &Value) -> Checked {
    let f = function::<unsafe extern "C" fn(*mut u8, *mut u8, usize, *mut u8, usize)>("mg_hmac_sha256");
    let (key, input, out) = (guarded(&data(&c["key"])), guarded(&data(&c["data"])), guarded(&[0; 32]));
    // SAFETY: the prototype of mg_hmac_sha256.
    unsafe { f(out.ptr(), key.ptr(), key.bytes().len(), input.ptr(), input.bytes().len()) };
    same("mac", &*hex(out.bytes()), c["mac"].as_str().unwrap())
}

// ---- JSON

fn json_get(c: &Value) -> Checked {
    let f = function::<unsafe extern "C" fn(mg_str, *const c_char, *mut c_int) -> c_int>("mg_json_get");
    let tok = function::<unsafe extern "C" fn(mg_str, *const c_char) -> mg_str>("mg_json_get_tok");
    let (json, path) = (guarded(&text(&c["j"])), guarded_cstr(&text(&c["p"])));
    let mut len = -7;
    // SAFETY: the prototypes of these functions.
    unsafe {
        let ofs = f(json.str(), path.ptr(), &mut len);
        same("ofs, len", (ofs.into(), len.into()), (int(&c["ofs"]), int(&c["len"])))?;
        same("without length", f(json.str(), path.ptr(), ptr::null_mut()), ofs)?;
        let token = tok(json.str(), path.ptr());
        match usize::try_from(ofs) {
            Ok(ofs) => same("token", view(token), json.bytes()[ofs..ofs + len as usize].to_vec()),
            Err(_) => same("no token", (token.buf, token.len), (ptr::null_mut(), 0)),
        }
    }
}

fn json_next(c: &Value) -> Checked {
    let f = function::<unsafe extern "C" fn(mg_str, usize, *mut mg_str, *mut mg_str) -> usize>("mg_json_next");
    let json = guarded(&text(&c["j"]));
    let null = mg_str { buf: ptr::null_mut(), len: 0 };
    let (mut key, mut val, mut ofs) = (null, null, 0);
    let mut got = Vec::new();
    // SAFETY: the prototype of mg_json_next.
    unsafe {
        loop {
            same("without outputs", f(json.str(), ofs, ptr::null_mut(), ptr::null_mut()), {
                ofs = f(json.str(), ofs, &mut key, &mut val);
                ofs
            })
            .or_else(|e| if ofs == 0 { Err(e) } else { Ok(()) })?;
            if ofs == 0 {
                break;
            }
            got.push((ofs, (!key.buf.is_null()).then(|| view(key)), view(val)));
        }
    }
    let want = list(&c["items"]).iter().map(|i| (usize_of(&i[0]), bytes(&i[1]), text(&i[2]))).collect();
    same("items", got, want)
}

type GetStr = unsafe extern "C" fn(mg_str, *const c_char) -> *mut c_char;
type GetBytes = unsafe extern "C" fn(mg_str, *const c_char, *mut c_int) -> *mut c_char;

fn free(p: *mut c_char) {
    // SAFETY: p is NULL or from the library.
    unsafe { function::<unsafe extern "C" fn(*mut c_char)>("mg_free")(p) };
}

fn json_unescape(c: &Value) -> Checked {
    let f = function::<unsafe extern "C" fn(mg_str, *const c_char, *mut c_char, usize) -> usize>("mg_json_unescape");
    let (json, path) = (guarded(&text(&c["j"])), guarded_cstr(&text(&c["p"])));
    let room = guarded(&vec![0xff; usize_of(&c["size"])]);
    // SAFETY: the prototypes of these functions.
    unsafe {
        let n = f(json.str(), path.ptr(), room.ptr(), room.bytes().len());
        same("ret", n, usize_of(&c["ret"]))?;
        if n > 0 {
            same("out", &*hex(&room.bytes()[..n]), c["out"].as_str().unwrap())?;
            same("nul", room.bytes()[n], 0)?;
        }
        let p = function::<GetStr>("mg_json_get_str")(json.str(), path.ptr());
        let got = (!p.is_null()).then(|| hex(CStr::from_ptr(p).to_bytes()));
        free(p);
        same("get_str", got.as_deref(), c["get_str"].as_str())
    }
}

fn json_num(c: &Value) -> Checked {
    let num = function::<unsafe extern "C" fn(mg_str, *const c_char, *mut f64) -> bool>("mg_json_get_num");
    let bool_ = function::<unsafe extern "C" fn(mg_str, *const c_char, *mut bool) -> bool>("mg_json_get_bool");
    let long = function::<unsafe extern "C" fn(mg_str, *const c_char, c_long) -> c_long>("mg_json_get_long");
    let (json, path) = (guarded(&text(&c["j"])), guarded_cstr(&text(&c["p"])));
    let (mut v, mut b) = (0.0, false);
    // SAFETY: the prototypes of these functions.
    unsafe {
        let got = num(json.str(), path.ptr(), &mut v).then_some(v);
        same("without output", num(json.str(), path.ptr(), ptr::null_mut()), got.is_some())?;
        let want = c["num"][0].as_str().map(|h| f64::from_bits(u64::from_str_radix(h, 16).unwrap()));
        let close = |a: f64, b: f64| a == b || (a - b).abs() <= b.abs() * 1e-12;
        if got.is_some() != want.is_some() || !got.zip(want).is_none_or(|(a, b)| close(a, b)) {
            return Err(format!("num: got {got:?}, want {want:?}"));
        }
        let got = bool_(json.str(), path.ptr(), &mut b).then_some(b);
        same("bool", got, c["bool"].as_bool())?;
        if let Some(want) = c["long_default_-42"].as_i64() {
            same("long", long(json.str(), path.ptr(), -42), want as c_long)?;
        }
    }
    Ok(())
}

fn json_hexb64(c: &Value) -> Checked {
    let (json, path) = (guarded(&text(&c["j"])), guarded_cstr(&text(&c["p"])));
    for (name, field) in [("mg_json_get_hex", "hex"), ("mg_json_get_b64", "b64")] {
        let f = function::<GetBytes>(name);
        let mut len = -7;
        // SAFETY: the prototype of both functions.
        unsafe {
            let p = f(json.str(), path.ptr(), &mut len);
            free(f(json.str(), path.ptr(), ptr::null_mut()));
            same(field, i64::from(len), int(&c[&*format!("{field}_len")]))?;
            let got = (!p.is_null()).then(|| {
                let block = std::slice::from_raw_parts(p.cast::<u8>(), len as usize + 1);
                (hex(&block[..len as usize]), block[len as usize])
            });
            free(p);
            same(field, got, c[field].as_str().map(|h| (h.to_owned(), 0)))?;
        }
    }
    Ok(())
}

// ---- buffers

fn iobuf(c: &Value) -> Checked {
    let mut io = mg_iobuf { buf: ptr::dangling_mut(), size: 1, len: 2, align: 3 };
    let free = function::<unsafe extern "C" fn(*mut mg_iobuf)>("mg_iobuf_free");
    let add = function::<unsafe extern "C" fn(*mut mg_iobuf, usize, *const c_void, usize) -> usize>("mg_iobuf_add");
    // SAFETY: the prototypes of these functions; the first step initialises the buffer.
    unsafe {
        for step in list(c) {
            let ofs = || if step["ofs"] == "end" { io.len } else { usize_of(&step["ofs"]) };
            let ret = match step["op"].as_str().unwrap() {
                "init" => {
                    let f = function::<unsafe extern "C" fn(*mut mg_iobuf, usize, usize) -> bool>("mg_iobuf_init");
                    Value::from(f(&mut io, usize_of(&step["size"]), usize_of(&step["align"])))
                }
                "resize" => {
                    let f = function::<unsafe extern "C" fn(*mut mg_iobuf, usize) -> bool>("mg_iobuf_resize");
                    Value::from(f(&mut io, usize_of(&step["size"])))
                }
                "add" => {
                    let (ofs, input) = (ofs(), guarded(&data(&step["in"])));
                    Value::from(add(&mut io, ofs, input.ptr(), input.bytes().len()))
                }
                "reserve" => {
                    let ofs = ofs();
                    Value::from(add(&mut io, ofs, ptr::null(), usize_of(&step["n"])))
                }
                "del" => {
                    let f = function::<unsafe extern "C" fn(*mut mg_iobuf, usize, usize) -> usize>("mg_iobuf_del");
                    let ofs = ofs();
                    Value::from(f(&mut io, ofs, usize_of(&step["n"])))
                }
                "free" => {
                    free(&mut io);
                    Value::Null
                }
                op => panic!("unknown step {op}"),
            };
            let at = |what| format!("{what} after {step}");
            same(&at("ret"), &ret, &step["ret"])?;
            same(&at("buf"), io.buf.is_null(), bool_of(&step["buf_null"]))?;
            same(&at("cap, len"), (io.size, io.len), (usize_of(&step["cap"]), usize_of(&step["len"])))?;
            if !io.buf.is_null() {
                let block = std::slice::from_raw_parts(io.buf, io.size);
                same(&at("data"), &*hex(&block[..io.len]), step["data"].as_str().unwrap())?;
                if step["op"] == "del" {
                    same(&at("zeros"), block[io.len..].iter().all(|&b| b == 0), true)?;
                }
            }
        }
        free(&mut io);
    }
    Ok(())
}

fn queue(c: &Value) -> Checked {
    let init = function::<unsafe extern "C" fn(*mut mg_queue, *mut c_char, usize)>("mg_queue_init");
    let book = function::<unsafe extern "C" fn(*mut mg_queue, *mut *mut c_char, usize) -> usize>("mg_queue_book");
    let next = function::<unsafe extern "C" fn(*mut mg_queue, *mut *mut c_char) -> usize>("mg_queue_next");
    let move_by = |name| function::<unsafe extern "C" fn(*mut mg_queue, usize)>(name);
    let size = usize_of(&c["size"]);
    let room = guarded(&vec![0xff; size]);
    let start = room.ptr::<u8>() as usize;
    let mut q = mg_queue { buf: ptr::null_mut(), size: 0, tail: 1, head: 2 };
    let mut place: *mut c_char = ptr::null_mut();
    // SAFETY: the prototypes of these functions; only booked bytes are written.
    unsafe {
        init(&mut q, room.ptr(), size);
        for step in list(&c["steps"]) {
            let n = || usize_of(&step["n"]);
            let at = |what| format!("{what} after {step}");
            match step["op"].as_str().unwrap() {
                "book" => {
                    same(&at("ret"), book(&mut q, &mut place, n()), usize_of(&step["ret"]))?;
                    same(&at("ofs"), (place as usize).wrapping_sub(start), usize_of(&step["ofs"]))?;
                }
                "add" => {
                    let message = data(&step["data"]);
                    place.cast::<u8>().copy_from_nonoverlapping(message.as_ptr(), message.len());
                    move_by("mg_queue_add")(&mut q, n());
                }
                "next" => {
                    let len = next(&mut q, &mut place);
                    same(&at("ret"), len, usize_of(&step["ret"]))?;
                    if let Some(want) = step["data"].as_str() {
                        same(&at("data"), &*hex(std::slice::from_raw_parts(place.cast(), len)), want)?;
                    }
                }
                "del" => move_by("mg_queue_del")(&mut q, n()),
                op => panic!("unknown step {op}"),
            }
            same(&at("tail, head"), (q.tail, q.head), (usize_of(&step["tail"]), usize_of(&step["head"])))?;
        }
    }
    Ok(())
}

// ---- timers

fn timer_expired(c: &Value) -> Checked {
    let f = function::<unsafe extern "C" fn(*mut u64, u64, u64) -> bool>("mg_timer_expired");
    for call in list(&c["calls"]) {
        let number = |i: usize| call[i].as_u64().unwrap();
        let mut t = number(0);
        // SAFETY: the prototype of mg_timer_expired.
        let ret = unsafe { f(&mut t, c["period"].as_u64().unwrap(), number(1)) };
        same(&format!("return, t of {call}"), (ret, t), (bool_of(&call[2]), number(3)))?;
    }
    Ok(())
}

/// A timer that notes that it was called.
struct Noted {
    timer: mg_timer,
    log: *mut Vec<usize>,
    index: usize,
}

unsafe extern "C" fn note(arg: *mut c_void) {
    // SAFETY: arg is the Noted that the timer was made with; the log is used by nobody else.
    unsafe {
        let noted = arg.cast::<Noted>();
        (*(*noted).log).push((*noted).index);
    }
}

const NO_TIMER: mg_timer =
    mg_timer { period_ms: 7, expire: 7, flags: 7, r#fn: None, arg: ptr::null_mut(), next: ptr::null_mut() };

type Callback = Option<unsafe extern "C" fn(*mut c_void)>;
type TimerInit = unsafe extern "C" fn(*mut *mut mg_timer, *mut mg_timer, u64, c_uint, Callback, *mut c_void);
type TimerFree = unsafe extern "C" fn(*mut *mut mg_timer, *mut mg_timer);
type TimerPoll = unsafe extern "C" fn(*mut *mut mg_timer, u64);
type TimerAdd = unsafe extern "C" fn(*mut mg_mgr, u64, c_uint, Callback, *mut c_void) -> *mut mg_timer;

fn timer_poll(c: &Value) -> Checked {
    let (init, poll) = (function::<TimerInit>("mg_timer_init"), function::<TimerPoll>("mg_timer_poll"));
    let mut calls = Vec::new();
    let log = &raw mut calls;
    let mut head = ptr::null_mut();
    let mut timers: Vec<Noted> = (0..list(&c["timers"]).len()).map(|index| Noted { timer: NO_TIMER, log, index }).collect();
    let first = timers.as_mut_ptr();
    // SAFETY: the prototypes of these functions; timers stay where they are and outlive the list.
    unsafe {
        for (i, t) in list(&c["timers"]).iter().enumerate() {
            let noted = first.add(i);
            init(
                &mut head,
                &raw mut (*noted).timer,
                t["ms"].as_u64().unwrap(),
                usize_of(&t["flags"]) as c_uint,
                Some(note),
                noted.cast(),
            );
        }
        for p in list(&c["polls"]) {
            (*log).clear();
            poll(&mut head, p["now"].as_u64().unwrap());
            same(&format!("fired in {p}"), &*log, &list(&p["fired"]).iter().map(usize_of).collect())?;
            for (i, (expire, flags)) in list(&p["expire"]).iter().zip(list(&p["flags"])).enumerate() {
                let t = &(*first.add(i)).timer;
                same(
                    &format!("expire, flags of {i} in {p}"),
                    (Some(t.expire), Some(t.flags.into())),
                    (expire.as_u64(), flags.as_u64()),
                )?;
            }
        }
    }
    Ok(())
}

/// A manager with timers whose callbacks take timers away.
struct Scene {
    mgr: mg_mgr,
    timers: Vec<*mut mg_timer>,
    /// For each call, which timer it was.
    log: Vec<usize>,
    act: fn(&mut Scene, usize),
}

struct Part(*mut Scene, usize);

unsafe extern "C" fn run_script(arg: *mut c_void) {
    // SAFETY: arg is a Part that lives as long as the scene.
    unsafe {
        let part = &*arg.cast::<Part>();
        let scene = &mut *part.0;
        scene.log.push(part.1);
        (scene.act)(scene, part.1);
    }
}

impl Scene {
    fn drop_timer(&mut self, i: usize) {
        let t = std::mem::replace(&mut self.timers[i], ptr::null_mut());
        if !t.is_null() {
            // SAFETY: a timer from mg_timer_add that was not taken before.
            unsafe { function::<TimerFree>("mg_timer_free")(&raw mut self.mgr.timers, t) };
            free(t.cast());
        }
    }
}

/// Polls four repeating timers, which are called in the order 3, 2, 1, 0, once with callbacks that do `act`.
fn scene(flags: c_int, act: fn(&mut Scene, usize), calls: &[usize], left: usize) -> Result<(), String> {
    // SAFETY: all zero is a valid manager for timers.
    let mgr = unsafe { std::mem::zeroed() };
    let mut scene = Scene { mgr, timers: Vec::new(), log: Vec::new(), act };
    let s = &raw mut scene;
    let parts: Vec<Part> = (0..4).map(|i| Part(s, i)).collect();
    // SAFETY: the prototypes of these functions.
    unsafe {
        for part in &parts {
            let t = function::<TimerAdd>("mg_timer_add")(
                &raw mut (*s).mgr,
                5,
                (MG_TIMER_RUN_NOW | flags) as c_uint,
                Some(run_script),
                ptr::from_ref(part).cast_mut().cast(),
            );
            (*s).timers.push(t);
        }
        function::<TimerPoll>("mg_timer_poll")(&raw mut (*s).mgr.timers, 1000);
        let mut count = 0;
        let mut t = (*s).mgr.timers;
        while !t.is_null() {
            let next = (*t).next;
            free(t.cast());
            (t, count) = (next, count + 1);
        }
        same("calls", &*(*s).log, calls)?;
        same("timers left", count, left)
    }
}

fn callbacks_may_free_timers() -> Result<(), String> {
    const EACH: [usize; 4] = [3, 2, 1, 0];
    for flags in [MG_TIMER_ONCE, MG_TIMER_REPEAT] {
        let left = |n| if flags == MG_TIMER_REPEAT { n } else { 0 };
        scene(flags, |_, _| (), &EACH, left(4))?;
        scene(flags, |s, i| s.drop_timer(i), &EACH, 0)?;
        scene(
            flags,
            |s, i| {
                if i == 3 {
                    s.drop_timer(2)
                }
            },
            &[3, 1, 0],
            left(3),
        )?;
        scene(
            flags,
            |s, i| {
                if i == 1 {
                    s.drop_timer(1);
                    s.drop_timer(0)
                }
            },
            &[3, 2, 1],
            left(2),
        )?;
        scene(
            flags,
            |s, i| {
                if i == 2 {
                    (0..3).for_each(|i| s.drop_timer(i))
                }
            },
            &[3, 2],
            left(1),
        )?;
        // A new timer may get the memory of the one just taken away, and is not called in this poll.
        let again = |s: &mut Scene, i| {
            s.drop_timer(i);
            // SAFETY: the prototype of mg_timer_add.
            unsafe { function::<TimerAdd>("mg_timer_add")(&raw mut s.mgr, 5, MG_TIMER_ONCE as c_uint, None, ptr::null_mut()) };
        };
        scene(flags, again, &EACH, 4)?;
        // Timers unlinked by hand, as with LIST_DELETE: their polling ends here, but no freed memory is looked at.
        let by_hand = |s: &mut Scene, i| {
            if i == 2 {
                s.mgr.timers = ptr::null_mut();
                s.timers.iter().filter(|t| !t.is_null()).for_each(|t| free(t.cast()));
            }
        };
        if flags == MG_TIMER_REPEAT {
            scene(flags, by_hand, &[3, 2], 0)?;
        }
        // A poll inside a poll.
        let inner = |s: &mut Scene, i| {
            if i == 3 {
                s.act = |s, i| {
                    if i == 1 {
                        s.drop_timer(1)
                    }
                };
                // SAFETY: the prototype of mg_timer_poll.
                unsafe { function::<TimerPoll>("mg_timer_poll")(&raw mut s.mgr.timers, 1000) };
            }
        };
        scene(flags, inner, &EACH, left(3))?;
    }
    Ok(())
}

// ---- what has no vectors

fn own_values() -> Result<(), String> {
    // SAFETY: the prototypes of these functions.
    unsafe {
        let random_str = function::<unsafe extern "C" fn(*mut c_char, usize) -> *mut c_char>("mg_random_str");
        for len in 0..70 {
            let room = guarded(&vec![0xff; len]);
            same("mg_random_str", random_str(room.ptr(), len), room.ptr())?;
            if let Some((nul, text)) = room.bytes().split_last() {
                same("text", text.iter().all(u8::is_ascii_alphanumeric) && *nul == 0, true)?;
            }
        }
        let random = function::<unsafe extern "C" fn(*mut c_void, usize) -> bool>("mg_random");
        let (mut a, mut b) = ([0u8; 32], [0u8; 32]);
        same("mg_random", random(a.as_mut_ptr().cast(), 32) && random(b.as_mut_ptr().cast(), 32) && a != b, true)?;
        function::<unsafe extern "C" fn(*mut u8, usize)>("mg_bzero")(a.as_mut_ptr(), 31);
        same("mg_bzero", (&a[..31], a[31]), (&[0; 31][..], a[31]))?;
        function::<unsafe extern "C" fn(*mut u8, usize)>("mg_bzero")(ptr::null_mut(), 0);

        let clock = |name| function::<unsafe extern "C" fn() -> u64>(name)();
        let start = clock("mg_millis");
        function::<unsafe extern "C" fn(c_uint)>("mg_delayms")(2);
        same("mg_delayms", clock("mg_millis") - start > 2, true)?;
        let boot = function::<*mut u64>("mg_boot_timestamp_ms");
        same("boot", **boot, 0)?;
        **boot = 1 << 50;
        same("mg_now", clock("mg_now") >> 50, 1)?;
        **boot = 0;

        let s = function::<unsafe extern "C" fn(*const c_char) -> mg_str>("mg_str_s");
        same("mg_str_s", (s(ptr::null()).buf.is_null(), s(ptr::null()).len, s(c"abc".as_ptr()).len), (true, 0, 3))?;
        let n = function::<unsafe extern "C" fn(*const c_char, usize) -> mg_str>("mg_str_n")(c"abc".as_ptr(), 2);
        same("mg_str_n", view(n), b"ab".to_vec())?;
        let dup = function::<unsafe extern "C" fn(mg_str) -> mg_str>("mg_strdup");
        let copy = dup(n);
        same("mg_strdup", CStr::from_ptr(copy.buf).to_bytes(), b"ab")?;
        free(copy.buf);
        same("mg_strdup of nothing", dup(mg_str { len: 0, ..n }).buf.is_null(), true)?;

        let size = function::<unsafe extern "C" fn(mg_str, *mut usize) -> bool>("mg_to_size_t");
        let mut v = 0;
        same("mg_to_size_t", (size(guarded(b" 42\t").str(), &mut v), v), (true, 42))?;
        same("mg_to_size_t", (size(guarded(b" 4 2").str(), &mut v), v), (false, 42))
    }
}

pub(crate) fn trials(trials: &mut Vec<Trial>) {
    table(trials, "aton.json", "cases", aton);
    table(trials, "compare.json", "cases", compare);
    table(trials, "match.json", "cases", matches);
    table(trials, "span.json", "cases", span);
    table(trials, "str_to_num.json", "cases", str_to_num);
    table(trials, "url.json", "cases", url);
    table(trials, "ip_acl.json", "vectors", ip_acl);
    table(trials, "util.json", "timegm", timegm);
    table(trials, "util.json", "path_is_sane", path_is_sane);
    table(trials, "util.json", "acl", util_acl);
    table(trials, "util.json", "byteorder", byteorder);
    table(trials, "util.json", "memeq", memeq);
    table(trials, "crc.json", "cases", crc);
    table(trials, "base64.json", "encode", |c| encode("mg_base64_encode", c));
    table(trials, "base64.json", "decode", |c| decode("mg_base64_decode", c));
    table(trials, "base64.json", "url_encode", |c| encode("mg_base64url_encode", c));
    table(trials, "base64.json", "url_decode", |c| decode("mg_base64url_decode", c));
    table(trials, "base64.json", "stream", base64_stream);
    table(trials, "hashes.json", "cases", hashes);
    table(trials, "hashes.json", "chunked", chunked);
    table(trials, "hashes.json", "hmac_sha256", hmac_sha256);
    table(trials, "json_get.json", "cases", json_get);
    table(trials, "json_misc.json", "next", json_next);
    table(trials, "json_misc.json", "unescape", json_unescape);
    table(trials, "json_misc.json", "num", json_num);
    table(trials, "json_misc.json", "hexb64", json_hexb64);
    table(trials, "iobuf.json", "cases", iobuf);
    table(trials, "queue.json", "cases", queue);
    table(trials, "timer.json", "expired", timer_expired);
    table(trials, "timer.json", "poll", timer_poll);
    trials.push(Trial::test("timer callbacks may free timers", || callbacks_may_free_timers().map_err(Into::into)));
    trials.push(Trial::test("clock, random numbers, strings", || own_values().map_err(Into::into)));
}
