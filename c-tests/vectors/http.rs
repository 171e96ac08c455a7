use crate::lib::{bytes, function, load, table};
use libtest_mimic::{Failed, Trial};
use mongoose::abi::{MG_MAX_HTTP_HEADERS, mg_http_message, mg_http_part, mg_str};
use serde_json::{Value, json};
use std::ffi::{CString, c_char, c_int, c_uchar};

pub fn trials(trials: &mut Vec<Trial>) {
    table(trials, "http_parse.json", "vectors", parse);
    table(trials, "http_parse.json", "quirks", parse_quirk);
    table(trials, "http_get_header.json", "vectors", get_header);
    table(trials, "http_status.json", "vectors", status);
    table(trials, "http_var.json", "vectors", var);
    table(trials, "url_codec.json", "vectors", url_codec);
    table(trials, "url_codec.json", "vectors", url_decode_in_place);
    table(trials, "http_header_var.json", "vectors", header_var);
    trials.push(Trial::test("http_header_var::quirks", header_var_quirks));
    table(trials, "creds.json", "vectors", creds);
    table(trials, "creds.json", "quirks", creds_quirk);
    table(trials, "http_multipart.json", "vectors", multipart);
    table(trials, "http_multipart.json", "quirks", multipart_quirk);
    trials.push(Trial::test("http_parse: fields are zero after a failure", || {
        for text in ["GET", "GET / HTTP/1.1\r\n", "\0", ""] {
            let (ret, hm) = parsed(&Fenced::new(text.as_bytes()));
            if ret > 0 || !hm.method.buf.is_null() || !hm.headers[0].name.buf.is_null() || hm.message.len != 0 {
                return Err(format!("{text:?}: {ret}").into());
            }
        }
        Ok(())
    }));
}

/// Bytes that end where an unreadable page begins: reading one too many is a crash.
struct Fenced {
    map: *mut u8,
    size: usize,
    len: usize,
}

impl Fenced {
    fn new(data: &[u8]) -> Fenced {
        const PAGE: usize = 4096;
        let len = data.len();
        let size = len.next_multiple_of(PAGE) + PAGE;
        // SAFETY: a fresh mapping of size bytes, the last page of which is closed; data goes in front of that.
        unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let map = libc::mmap(std::ptr::null_mut(), size, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            assert_ne!(map, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(map.byte_add(size - PAGE), PAGE, libc::PROT_NONE), 0);
            let fenced = Fenced { map: map.cast(), size: size - PAGE, len };
            std::ptr::copy_nonoverlapping(data.as_ptr(), fenced.at(0), len);
            fenced
        }
    }

    fn room(len: usize) -> Fenced {
        Fenced::new(&vec![0xee; len])
    }

    fn at<T>(&self, i: usize) -> *mut T {
        // SAFETY: the data is at the end of the mapping.
        unsafe { self.map.add(self.size - self.len + i).cast() }
    }

    fn str(&self) -> mg_str {
        mg_str { buf: self.at(0), len: self.len }
    }

    fn data(&self) -> &[u8] {
        // SAFETY: mapped and initialised.
        unsafe { std::slice::from_raw_parts(self.at(0), self.len) }
    }

    /// The C string in the buffer.
    fn text(&self) -> Option<&[u8]> {
        self.data().split(|&b| b == 0).next().filter(|s| s.len() < self.len)
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        // SAFETY: our own mapping, with its closed page.
        unsafe { libc::munmap(self.map.cast(), self.size + 4096) };
    }
}

/// Fails with both values when they differ.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{what}: {got:?}, expected {want:?}")) }
}

fn field(case: &Value, name: &str) -> Vec<u8> {
    bytes(&case[name]).unwrap_or_else(|| panic!("no bytes {name} in {case}"))
}

fn int(case: &Value, name: &str) -> i64 {
    case[name].as_i64().unwrap_or_else(|| panic!("no number {name} in {case}"))
}

/// A length, where -1 stands for `SIZE_MAX`.
fn size(case: &Value, name: &str) -> usize {
    case[name].as_u64().map_or(usize::MAX, |n| n.try_into().unwrap())
}

/// What a returned string holds; None for a NULL one.
fn content(s: mg_str) -> Option<Vec<u8>> {
    // SAFETY: the library returns views of the test's own buffers.
    (!s.buf.is_null()).then(|| unsafe { std::slice::from_raw_parts(s.buf.cast(), s.len) }.to_vec())
}

fn offset(s: mg_str, of: &Fenced) -> i64 {
    s.buf as i64 - of.at::<u8>(0) as i64
}

fn parsed(input: &Fenced) -> (c_int, Box<mg_http_message>) {
    let parse = function::<unsafe extern "C" fn(*const c_char, usize, *mut mg_http_message) -> c_int>("mg_http_parse");
    let mut hm = Box::<mg_http_message>::new_uninit();
    // SAFETY: input covers its bytes; the function zeroes the message, which is filled with rubbish here, before all else.
    unsafe {
        hm.as_mut_ptr().write_bytes(0xee, 1);
        let ret = parse(input.at(0), input.len, hm.as_mut_ptr());
        (ret, hm.assume_init())
    }
}

fn parse(case: &Value) -> Result<(), String> {
    let request_len = function::<unsafe extern "C" fn(*const c_uchar, usize) -> c_int>("mg_http_get_request_len");
    let input = Fenced::new(&field(case, "in"));
    // SAFETY: input covers its bytes.
    same("request_len", unsafe { request_len(input.at(0), input.len) }.into(), int(case, "request_len"))?;
    let (ret, hm) = parsed(&input);
    same("ret", ret.into(), int(case, "ret"))?;
    if ret <= 0 {
        return Ok(());
    }
    for (what, s) in [("method", hm.method), ("uri", hm.uri), ("query", hm.query), ("proto", hm.proto)] {
        same(what, content(s), bytes(&case[what]))?;
    }
    let want = case["headers"].as_array().unwrap();
    for (header, want) in hm.headers.iter().zip(want) {
        same("header", (content(header.name), content(header.value)), (bytes(&want[0]), bytes(&want[1])))?;
    }
    let unused = |h: &&_| matches!(h, mongoose::abi::mg_http_header { name, value } if name.buf.is_null() && name.len == 0 && value.buf.is_null() && value.len == 0);
    same("unused headers", hm.headers.iter().rev().take_while(unused).count(), MG_MAX_HTTP_HEADERS - want.len())?;
    same("body_off", offset(hm.body, &input), int(case, "body_off"))?;
    same("body_len", hm.body.len, size(case, "body_len"))?;
    same("head", (offset(hm.head, &input), hm.head.len), (0, size(case, "head_len")))?;
    same("message", (offset(hm.message, &input), hm.message.len), (0, size(case, "message_len")))
}

/// A stray CR in the first line is malformed: waiting for more, as the original does, would be forever. A framing header
/// beyond the last one kept is malformed too: ignoring it lets a proxy in front see other messages than we do.
fn parse_quirk(case: &Value) -> Result<(), String> {
    let input = field(case, "in");
    let framing = input.windows(14).any(|w| w == b"Content-Length") && int(case, "ret") > 0;
    if framing || int(case, "ret") == 0 { same("ret", parsed(&Fenced::new(&input)).0, -1) } else { parse(case) }
}

fn get_header(case: &Value) -> Result<(), String> {
    let get = function::<unsafe extern "C" fn(*mut mg_http_message, *const c_char) -> *mut mg_str>("mg_http_get_header");
    let (input, name) = (Fenced::new(&field(case, "in")), CString::new(field(case, "name")).unwrap());
    let (ret, mut hm) = parsed(&input);
    assert!(ret > 0);
    // SAFETY: a parsed message and a C string; the result is NULL or points into the message.
    let value = unsafe { get(&mut *hm, name.as_ptr()).as_ref() };
    same("value", value.and_then(|v| content(*v)), bytes(&case["ret"]))
}

fn status(case: &Value) -> Result<(), String> {
    let status = function::<unsafe extern "C" fn(*const mg_http_message) -> c_int>("mg_http_status");
    let input = Fenced::new(&field(case, "in"));
    let (ret, hm) = parsed(&input);
    same("ret", ret.into(), int(case, "ret"))?;
    // SAFETY: a parsed message.
    same("status", unsafe { status(&*hm) }.into(), int(case, "status"))
}

fn var(case: &Value) -> Result<(), String> {
    type GetVar = unsafe extern "C" fn(*const mg_str, *const c_char, *mut c_char, usize) -> c_int;
    let (var, get_var) =
        (function::<unsafe extern "C" fn(mg_str, mg_str) -> mg_str>("mg_http_var"), function::<GetVar>("mg_http_get_var"));
    const NULL: mg_str = mg_str { buf: std::ptr::null_mut(), len: 0 };
    let (vars, name) = (bytes(&case["buf"]).map(|b| Fenced::new(&b)), bytes(&case["name"]));
    let buf = vars.as_ref().map_or(NULL, Fenced::str);
    if let Some(name) = &name {
        let name = Fenced::new(name);
        // SAFETY: both strings cover their bytes.
        let value = unsafe { var(buf, name.str()) };
        same("var", content(value), bytes(&case["var"]))?;
        same("var_off", vars.as_ref().filter(|_| !value.buf.is_null()).map(|v| offset(value, v)), case["var_off"].as_i64())?;
    }
    let name = name.map(|n| CString::new(n).unwrap());
    let dst = Fenced::room(int(case, "dst_len") as usize);
    // SAFETY: all of them cover their bytes.
    let ret = unsafe { get_var(&buf, name.as_ref().map_or(std::ptr::null(), |n| n.as_ptr()), dst.at(0), dst.len) };
    same("get_var", ret.into(), int(case, "get_var"))?;
    match ret {
        0.. => same("dst", dst.data()[..=ret as usize].to_vec(), [field(case, "dst"), vec![0]].concat()),
        -1 | -4 => same("dst", dst.text(), Some(b"")),
        _ => Ok(()),
    }
}

type UrlDecode = unsafe extern "C" fn(*const c_char, usize, *mut c_char, usize, c_int) -> c_int;

fn url_codec(case: &Value) -> Result<(), String> {
    let decode = function::<UrlDecode>("mg_url_decode");
    let encode = function::<unsafe extern "C" fn(*const c_char, usize, *mut c_char, usize) -> usize>("mg_url_encode");
    let (input, dst) = (Fenced::new(&field(case, "in")), Fenced::room(int(case, "dst_len") as usize));
    let ret = match case["op"].as_str().unwrap() {
        // SAFETY: both buffers cover their bytes.
        "decode" => unsafe { decode(input.at(0), input.len, dst.at(0), dst.len, int(case, "form") as c_int).into() },
        // SAFETY: likewise.
        _ => unsafe { encode(input.at(0), input.len, dst.at(0), dst.len) as i64 },
    };
    same("ret", ret, int(case, "ret"))?;
    if ret > 0 || (ret == 0 && input.len == 0 && dst.len > 0) {
        same("out", dst.data()[..=ret as usize].to_vec(), [field(case, "out"), vec![0]].concat())?;
    }
    Ok(())
}

/// The results are the same when source and destination are one buffer.
fn url_decode_in_place(case: &Value) -> Result<(), String> {
    if case["op"] != "decode" {
        return Ok(());
    }
    let decode = function::<UrlDecode>("mg_url_decode");
    let (input, room) = (field(case, "in"), int(case, "dst_len") as usize);
    let mut buf = input.clone();
    buf.resize(room.max(input.len()), 0xee);
    let buf = Fenced::new(&buf);
    // SAFETY: the buffer has room for the input and for the output.
    let ret = unsafe { decode(buf.at(0), input.len(), buf.at(0), room, int(case, "form") as c_int) };
    same("ret", ret.into(), int(case, "ret"))?;
    if ret < 0 { Ok(()) } else { same("out", buf.data()[..=ret as usize].to_vec(), [field(case, "out"), vec![0]].concat()) }
}

/// The variable and its offset.
fn header_var_of(case: &Value) -> (Option<Vec<u8>>, Option<i64>) {
    let get = function::<unsafe extern "C" fn(mg_str, mg_str) -> mg_str>("mg_http_get_header_var");
    let (s, v) = (Fenced::new(&field(case, "s")), Fenced::new(&field(case, "v")));
    // SAFETY: both strings cover their bytes.
    let value = unsafe { get(s.str(), v.str()) };
    let found = content(value);
    let at = found.is_some().then(|| offset(value, &s));
    (found, at)
}

fn header_var(case: &Value) -> Result<(), String> {
    same("value", header_var_of(case), (bytes(&case["ret"]), case["off"].as_i64()))
}

/// A name is a whole word, and its value may be short: what the original finds inside a longer word is not the value meant.
fn header_var_quirks() -> Result<(), Failed> {
    const OURS: [Option<&str>; 26] = [
        Some("b"),
        Some("\""),
        Some("nm"),
        Some("34"),
        None,
        Some("good1"),
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        Some(""),
        None,
    ];
    let cases = load("http_header_var.json")["quirks"].take();
    for (case, ours) in cases.as_array().unwrap().iter().zip(OURS) {
        let (value, at) = header_var_of(case);
        same("value", value.as_deref(), ours.map(str::as_bytes)).map_err(|e| format!("{e}\n  in {case}"))?;
        let s = field(case, "s");
        assert!(at.is_none_or(|at| s[at as usize..].starts_with(ours.unwrap().as_bytes())));
    }
    Ok(())
}

fn creds_of(case: &Value) -> (Vec<u8>, Vec<u8>) {
    type Creds = unsafe extern "C" fn(*mut mg_http_message, *mut c_char, usize, *mut c_char, usize);
    let creds = function::<Creds>("mg_http_creds");
    let input = Fenced::new(&field(case, "in"));
    let (ret, mut hm) = parsed(&input);
    assert!(ret > 0);
    let (user, pass) = (Fenced::room(int(case, "user_len") as usize), Fenced::room(int(case, "pass_len") as usize));
    // SAFETY: a parsed message and two buffers of these sizes.
    unsafe { creds(&mut *hm, user.at(0), user.len, pass.at(0), pass.len) };
    (user.text().unwrap().to_vec(), pass.text().unwrap().to_vec())
}

fn creds(case: &Value) -> Result<(), String> {
    same("user, pass", creds_of(case), (field(case, "user"), field(case, "pass")))
}

/// The cookie variable follows the rules of `header_var_quirks`.
fn creds_quirk(case: &Value) -> Result<(), String> {
    let pass = match case["note"].as_str().unwrap() {
        "quirk: a one-character value that ends the header is not found" => b"z".to_vec(),
        "quirk: substring match" => Vec::new(),
        _ => field(case, "pass"),
    };
    same("user, pass", creds_of(case), (field(case, "user"), pass))
}

fn multipart(case: &Value) -> Result<(), String> {
    let next = function::<unsafe extern "C" fn(mg_str, usize, *mut mg_http_part) -> usize>("mg_http_next_multipart");
    let body = Fenced::new(&field(case, "body"));
    const NULL: mg_str = mg_str { buf: std::ptr::null_mut(), len: 0 };
    let mut part = mg_http_part { name: body.str(), filename: body.str(), body: body.str() };
    let mut ofs = 0;
    for want in case["parts"].as_array().unwrap() {
        // SAFETY: body covers its bytes; a part may be NULL.
        let (blind, got) = unsafe { (next(body.str(), ofs, std::ptr::null_mut()), next(body.str(), ofs, &mut part)) };
        same("ret", got as i64, int(want, "ret"))?;
        same("ret without a part", blind, got)?;
        for (what, s) in [("name", part.name), ("filename", part.filename), ("body", part.body)] {
            same(what, content(s), bytes(&want[what]))?;
        }
        same("body_off", offset(part.body, &body), int(want, "body_off"))?;
        ofs = got;
    }
    // SAFETY: as above.
    same("last ret", unsafe { next(body.str(), ofs, &mut part) }, 0)?;
    same("last part", content(part.body), content(NULL))
}

/// `name` is not found inside `filename`.
fn multipart_quirk(case: &Value) -> Result<(), String> {
    let mut case = case.clone();
    case["parts"][0]["name"] = json!("second");
    multipart(&case)
}
