//! File systems, serving files, uploads. The working directory holds the files of serve_dir.json and the directory `up`.

// Every block calls a C function with what its prototype asks for, or looks at a connection of a manager that is alive.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::lib::{bytes, function, load, same, table, usize_of, view};
use crate::net::*;
use libtest_mimic::Trial;
use mongoose::abi::*;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::fs::{self, File, FileTimes};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

api! {
    mg_http_serve_dir(c: *mut mg_connection, hm: *mut mg_http_message, opts: *const mg_http_serve_opts);
    mg_http_serve_file(c: *mut mg_connection, hm: *mut mg_http_message, path: *const c_char, opts: *const mg_http_serve_opts);
    mg_http_upload(c: *mut mg_connection, hm: *mut mg_http_message, fs: *mut mg_fs, dir: *const c_char, max: usize) -> c_long;
    mg_http_start_upload(c: *mut mg_connection, hm: *mut mg_http_message, name: mg_str, dir: mg_str, fs: *mut mg_fs, f: Callback);
    mg_http_start_ota(c: *mut mg_connection, hm: *mut mg_http_message, f: Callback);
    mg_fs_ls(fs: *mut mg_fs, path: *const c_char, buf: *mut c_char, len: usize) -> bool;
    mg_file_read(fs: *mut mg_fs, path: *const c_char) -> mg_str;
    mg_file_write(fs: *mut mg_fs, path: *const c_char, buf: *const c_void, len: usize) -> bool;
    mg_unpacked(path: *const c_char) -> mg_str;
    mg_free(p: *mut c_void);
}

type Callback = Option<unsafe extern "C" fn(*mut mg_connection, *const c_char)>;

/// A scratch directory with the files, which becomes the working directory: `SCRATCH`, if that is set, for programs that run at the
/// same time. To be called before there are threads.
pub fn prepare() {
    let scratch = std::env::var_os("SCRATCH").map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).into(), PathBuf::from);
    let dir = scratch.join("files");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    std::env::set_current_dir(&dir).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let stamp = |path: &Path| File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
    for (name, content) in load("serve_dir.json")["tree"].as_object().unwrap() {
        let path = Path::new(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = match name.as_str() {
            "root/big.bin" => (0..40000).map(|i| (i * 7 % 251) as u8).collect(),
            _ => bytes(content).unwrap(),
        };
        fs::write(path, content).unwrap();
        stamp(path);
    }
    for dir in ["root", "other", "mime"] {
        directories(Path::new(dir)).iter().for_each(|d| stamp(d));
    }
}

fn directories(dir: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir());
    below.flat_map(|d| directories(&d)).chain([dir.to_path_buf()]).collect()
}

pub fn trials(trials: &mut Vec<Trial>) {
    table(trials, "serve_dir.json", "vectors", |c| serve(c, c));
    table(trials, "serve_dir.json", "quirks", |c| serve(c, &better(c)));
    table(trials, "serve_dir.json", "superseded", |c| serve(c, &announced(c)));
    table(trials, "packed_fs.json", "vectors", |c| packed(c, c));
    table(trials, "packed_fs.json", "quirks", |c| packed(c, &better_packed(c)));
    table(trials, "posix_fs.json", "vectors", posix);
    table(trials, "upload.json", "vectors", |c| upload(&better_upload(c)));
    table(trials, "upload.json", "quirks", |c| upload(&better_upload(c)));
}

fn c_string(v: &Value) -> Option<CString> {
    bytes(v).map(|b| CString::new(b).unwrap())
}

fn pointer(s: &Option<CString>) -> *const c_char {
    s.as_ref().map_or(null(), |s| s.as_ptr())
}

fn posix_fs() -> *mut mg_fs {
    *function::<*mut mg_fs>("mg_fs_posix")
}

fn packed_fs() -> *mut mg_fs {
    *function::<*mut mg_fs>("mg_fs_packed")
}

// ---- serving

/// The options of a case, with the strings they point to.
struct Opts {
    strings: [Option<CString>; 5],
    fs: *mut mg_fs,
}

impl Opts {
    fn new(v: &Value, fs: *mut mg_fs) -> Opts {
        let names = ["root_dir", "ssi_pattern", "extra_headers", "mime_types", "page404"];
        Opts { strings: names.map(|n| c_string(&v[n])), fs }
    }

    fn raw(&self) -> mg_http_serve_opts {
        let [root_dir, ssi_pattern, extra_headers, mime_types, page404] = self.strings.each_ref().map(pointer);
        mg_http_serve_opts { root_dir, ssi_pattern, extra_headers, mime_types, page404, fs: self.fs }
    }
}

/// All bytes that a client gets for `request`, and whether the server closed; `want` bytes are waited for.
fn exchange(request: &[u8], want: usize, act: impl Fn(Conn, *mut mg_http_message)) -> (Vec<u8>, bool) {
    let m = Manager::new();
    let listener = m.http_listen(|c, ev, data| {
        if ev == MG_EV_HTTP_MSG {
            act(c, data.cast());
        }
    });
    let mut peer = TcpStream::connect(("127.0.0.1", listener.port())).unwrap();
    peer.set_nonblocking(true).unwrap();
    peer.write_all(request).unwrap();
    let (mut got, mut quiet, start) = (Vec::new(), 0, Instant::now());
    loop {
        m.poll(1);
        let closed = match peer.read_to_end(&mut got) {
            Ok(_) => true,
            Err(e) if e.kind() == ErrorKind::WouldBlock => false,
            Err(e) => panic!("{e}"),
        };
        quiet = if got.len() >= want { quiet + 1 } else { 0 };
        if closed || quiet > 5 || start.elapsed() > Duration::from_secs(3) {
            return (got, closed);
        }
    }
}

fn response(request: &Value, want: &Value, act: impl Fn(Conn, *mut mg_http_message)) -> Result<(), String> {
    let request = bytes(request).unwrap();
    let closes = want["closed"].as_bool().unwrap_or(false);
    if want.get("listing").is_some() {
        let head_only = !want["listing"]["head_only"].is_null();
        let (got, closed) = exchange(&request, if head_only { 60 } else { 1500 }, act);
        assert!(!closed);
        return listing(&got, &want["listing"]);
    }
    let expected = match want.get("body_is_file") {
        Some(file) => [bytes(&want["head"]).unwrap(), fs::read(file.as_str().unwrap()).unwrap()].concat(),
        None => bytes(&want["response"]).unwrap(),
    };
    let (got, closed) = exchange(&request, expected.len(), act);
    if got != expected {
        return Err(format!("got {}\nwant {}", got.escape_ascii(), expected.escape_ascii()));
    }
    same("closed", closed, closes)
}

/// The text between two marks, and what follows.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<(&'a str, &'a str)> {
    text.split_once(from)?.1.split_once(to)
}

fn listing(got: &[u8], want: &Value) -> Result<(), String> {
    let text = String::from_utf8_lossy(got);
    let (head, page) = text.split_once("\r\n\r\n").ok_or("no head")?;
    let (length, _) = between(&text, "Content-Length: ", "\r\n").ok_or("no length")?;
    let masked = format!("{}\r\n\r\n", head.replace(length, "<LEN>"));
    same("head", masked.as_str(), want["head"].as_str().unwrap())?;
    same("padding", length.len(), 8)?;
    if !want["head_only"].is_null() {
        return same("page", page, "");
    }
    if length.trim_end().parse() != Ok(page.len()) {
        return Err(format!("length {length}, but {} bytes", page.len()));
    }
    let tag = |name: &str| between(page, &format!("<{name}>"), &format!("</{name}>")).map(|t| t.0).unwrap_or_default();
    same("title", tag("title"), want["title"].as_str().unwrap())?;
    same("h1", tag("h1"), want["title"].as_str().unwrap())?;
    let row = |line: &str| -> Option<Vec<String>> {
        let (href, rest) = between(line, "<tr><td><a href=\"", "\">")?;
        let (text, rest) = rest.split_once("</a></td><td name=")?;
        let (name2, rest) = rest.split_once('>')?;
        let (text2, rest) = rest.split_once("</td><td name=")?;
        let (name3, rest) = rest.split_once('>')?;
        Some([href, text, name2, text2, name3, rest.strip_suffix("</td></tr>")?].map(String::from).to_vec())
    };
    let mut rows: Vec<Vec<String>> = page.lines().filter_map(row).collect();
    if rows.len() > 1 {
        rows[1..].sort();
    }
    same("rows", json!(rows), want["rows"].clone())
}

/// Files say when they were changed.
fn dated(response: &str, varies: bool) -> String {
    let Some((head, rest)) = response.split_once("\r\nEtag: \"") else { return response.to_string() };
    let ((etag, rest), time) = (rest.split_once("\r\n").unwrap(), rest.split('.').next().unwrap().parse::<u32>().unwrap());
    let date = match time {
        0 => String::new(),
        1_700_000_000 => "Tue, 14 Nov 2023 22:13:20".to_string(),
        1..86400 => format!("Thu, 01 Jan 1970 {:02}:{:02}:{:02}", time / 3600, time / 60 % 60, time % 60),
        _ => panic!("{time}"),
    };
    let vary = if varies { "Vary: Accept-Encoding\r\n" } else { "" };
    // A reply to a pipelined request may follow.
    let date = if date.is_empty() { date } else { format!("Last-Modified: {date} GMT\r\n") };
    format!("{head}\r\nEtag: \"{etag}\r\n{date}{vary}{}", dated(rest, varies))
}

/// What this library answers: `now` of an entry that is superseded, for the reason it gives, and otherwise what the vector says,
/// with the date of change, and with Vary where the tree has a compressed file.
fn today(c: &Value) -> Value {
    let mut c = c.clone();
    if let Some(now) = c.get("now").cloned() {
        assert!(c["superseded"].is_string(), "no reason in {c}");
        c.as_object_mut().unwrap().remove("listing");
        c["response"] = now;
        return c;
    }
    let path = c["request"].as_str().unwrap_or_default().split(' ').nth(1).unwrap_or_default();
    let file = c["serve_file"].as_str().map_or_else(|| format!("root{path}"), String::from);
    let varies = Path::new(&format!("{file}.gz")).is_file();
    for key in ["response", "head"] {
        let Some(old) = bytes(&c[key]) else { continue };
        // One character for each byte.
        let text: String = old.iter().map(|b| char::from(*b)).collect();
        c[key] = dated(&text, varies).into();
    }
    c
}

fn serve(c: &Value, want: &Value) -> Result<(), String> {
    let want = &today(want);
    let opts = match (c.get("serve_file"), c["cfg"].as_str().unwrap()) {
        (Some(_), _) => Opts::new(&c["opts"], null_mut()),
        (None, cfg) => Opts::new(&load("serve_dir.json")["cfgs"][cfg], null_mut()),
    };
    let (path, raw) = (c_string(&c["serve_file"]), opts.raw());
    response(&c["request"], want, |conn, hm| unsafe {
        match &path {
            Some(path) => mg_http_serve_file(conn.0, hm, path.as_ptr(), if c["opts"].is_null() { null() } else { &raw }),
            None => mg_http_serve_dir(conn.0, hm, &raw),
        }
    })
}

const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 10         \r\n\r\nNot found\n";

fn with(c: &Value, response: impl Into<String>) -> Value {
    let mut c = c.clone();
    c.as_object_mut().unwrap().remove("listing");
    c["response"] = response.into().into();
    c
}

/// `Connection: close` is announced (drain.md A).
fn announced(c: &Value) -> Value {
    let text = c["response"].as_str().unwrap();
    // The library's own replies have it in front of the length, files behind their headers.
    let mut c = match text.split_once("Content-Length: 10         ") {
        Some((head, rest)) => with(c, format!("{head}Connection: close\r\nContent-Length: 10         {rest}")),
        None => with(c, text.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)),
    };
    c["closed"] = true.into();
    c
}

/// Where this library answers better than the original.
fn better(c: &Value) -> Value {
    const WHOLE: &str = "0123456789012345678901234567890123456789";
    let request = c["request"].as_str().unwrap();
    let digits = |status: &str, len: usize, range: &str, body: &str| {
        let range = if range.is_empty() { String::new() } else { format!("Content-Range: bytes {range}/40\r\n") };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nEtag: \"1700000000.40\"\r\nContent-Length: {len}\r\n{range}\r\n{body}"
        )
    };
    match (c["note"].as_str().unwrap(), request.lines().nth(1).unwrap_or_default()) {
        ("quirk: prefixes are compared bytewise, without regard to path segments", _)
        | ("quirk: the root URI is taken as an existing directory unconditionally", _) => with(c, NOT_FOUND),
        ("quirk: a body is sent in answer to HEAD", _) if c.get("listing").is_some() => {
            let mut page = c.clone();
            page["listing"]["head_only"] = true.into();
            page
        }
        ("quirk: a body is sent in answer to HEAD", _) => {
            let text = c["response"].as_str().unwrap();
            with(c, &text[..text.find("\r\n\r\n").unwrap() + 4])
        }
        ("quirk: Accept-Encoding is only searched for the text gzip", "Accept-Encoding: gzip;q=0") => {
            match request.split(' ').nth(1).unwrap() {
                "/z.txt" => with(
                    c,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nEtag: \"1700000000.8\"\r\nContent-Length: 8\r\n\r\nplain z\n",
                ),
                "/only.js" => with(c, NOT_FOUND),
                _ => c.clone(),
            }
        }
        // Another name of the same coding.
        ("quirk: Accept-Encoding is only searched for the text gzip", "Accept-Encoding: x-gzip") => c.clone(),
        ("quirk: Range header not understood as the standard requires", range) => match range {
            "Range: bytes=-5" => with(c, digits("206 Partial Content", 5, "35-39", "56789")),
            "Range: bytes=99999999999999999999-1" => with(c, digits("416 Requested Range Not Satisfiable", 0, "*", "")),
            _ => with(c, digits("200 OK", 40, "", WHOLE)),
        },
        ("quirk: Connection: close is not honoured for streamed files", _) => announced(c),
        other => panic!("{other:?}"),
    }
}

// ---- packed_fs.json

/// mg_mem_files is one for the whole process.
static PACKED: Mutex<()> = Mutex::new(());

/// Sets mg_mem_files to the files of packed_fs.json as long as it lives.
struct Files {
    _entries: Vec<mg_mem_file>,
    _memory: Vec<(CString, Vec<u8>)>,
}

impl Files {
    fn new(list: &Value) -> Files {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let memory: Vec<_> = list.iter().map(|f| (c_string(&f[0]).unwrap(), bytes(&f[1]).unwrap())).collect();
        let mut entries: Vec<mg_mem_file> = memory
            .iter()
            .zip(list)
            .map(|((path, data), f)| mg_mem_file {
                path: path.as_ptr(),
                data: data.as_ptr(),
                size: data.len(),
                mtime: f[2].as_i64().unwrap(),
            })
            .collect();
        entries.push(mg_mem_file { path: null(), data: null(), size: 0, mtime: 0 });
        let files = if list.is_empty() { null() } else { entries.as_ptr() };
        unsafe { *function::<*mut *const mg_mem_file>("mg_mem_files").cast() = files };
        Files { _entries: entries, _memory: memory }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        unsafe { *function::<*mut *const mg_mem_file>("mg_mem_files").cast::<*const mg_mem_file>() = null() };
    }
}

unsafe extern "C" fn note(name: *const c_char, list: *mut c_void) {
    unsafe { (*list.cast::<Vec<String>>()).push(CStr::from_ptr(name).to_str().unwrap().into()) }
}

fn names(fs: &mg_fs, dir: &CStr) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    unsafe { fs.ls.unwrap()(dir.as_ptr(), Some(note), (&raw mut names).cast()) };
    names
}

/// What successive calls of mg_fs_ls give.
fn steps(fs: *mut mg_fs, dir: &CStr) -> Vec<String> {
    let (mut names, mut buf) = (Vec::new(), [0u8; 100]);
    while unsafe { mg_fs_ls(fs, dir.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) } {
        names.push(CStr::from_bytes_until_nul(&buf).unwrap().to_str().unwrap().to_string());
        assert!(names.len() < 100);
    }
    assert_eq!(buf[0], 0);
    names
}

fn whole(fs: *mut mg_fs, path: &CStr) -> Value {
    let data = unsafe { mg_file_read(fs, path.as_ptr()) };
    if data.buf.is_null() {
        return Value::Null;
    }
    let text = String::from_utf8(view(data)).unwrap();
    assert_eq!(unsafe { *data.buf.add(data.len) }, 0);
    unsafe { mg_free(data.buf.cast()) };
    text.into()
}

fn packed(c: &Value, want: &Value) -> Result<(), String> {
    let _one = PACKED.lock().unwrap_or_else(|e| e.into_inner());
    let file = load("packed_fs.json");
    let none = c["files"] == "none";
    let _files = Files::new(if none { &Value::Null } else { &file["files"] });
    let (raw, fs) = (packed_fs(), unsafe { *packed_fs() });
    let path = c_string(&c["path"]).unwrap_or_default();
    match c["call"].as_str().unwrap() {
        "st" => {
            let (mut size, mut mtime) = if none { (1, 2) } else { (111, 222) };
            let ret = unsafe { fs.st.unwrap()(path.as_ptr(), &mut size, &mut mtime) };
            same("st", json!([ret, size, mtime]), json!([want["ret"], want["size"], want["mtime"]]))
        }
        "ls" => same("ls", json!(names(&fs, &path)), want["names"].clone()),
        "mg_fs_ls" => same("mg_fs_ls", json!(steps(raw, &path)), want["names"].clone()),
        "op" => {
            let fd = unsafe { fs.op.unwrap()(path.as_ptr(), c["flags"].as_i64().unwrap() as c_int) };
            if !fd.is_null() {
                unsafe { fs.cl.unwrap()(fd) };
            }
            same("op", !fd.is_null(), want["ok"].as_bool().unwrap())
        }
        "unpacked" => {
            let got = unsafe { mg_unpacked(path.as_ptr()) };
            same("unpacked", if got.buf.is_null() { None } else { Some(view(got)) }, bytes(&want["ret"]))
        }
        "mg_file_read" => same("mg_file_read", whole(raw, &path), want["ret"].clone()),
        "mv" => {
            let args = [0, 1].map(|i| c_string(&c["args"][i]).unwrap());
            same("mv", unsafe { fs.mv.unwrap()(args[0].as_ptr(), args[1].as_ptr()) }, want["ret"] != 0)
        }
        "mkd" | "rm" => {
            let (f, arg) = (if c["call"] == "rm" { fs.rm } else { fs.mkd }, c_string(&c["args"][0]).unwrap());
            same("mkd", unsafe { f.unwrap()(arg.as_ptr()) }, want["ret"] != 0)
        }
        "sequence" => {
            let fd = unsafe { fs.op.unwrap()(path.as_ptr(), MG_FS_READ) };
            let result = want["ops"].as_array().unwrap().iter().try_for_each(|op| step(&fs, fd, op, None));
            unsafe { fs.cl.unwrap()(fd) };
            result
        }
        "serve_dir" => {
            let mut want = want.clone();
            if let Some(title) = want.get("listing").map(|l| l["title"].clone()) {
                want["listing"]["h1"] = title;
            }
            if let Some(text) = want["response"].as_str() {
                want["response"] = dated(text, c["request"].as_str().unwrap().contains(" /a.txt ")).into();
            }
            let opts = Opts::new(c, raw);
            response(&c["request"], &want, |conn, hm| unsafe { mg_http_serve_dir(conn.0, hm, &opts.raw()) })
        }
        other => panic!("{other}"),
    }
}

/// One operation on an open file: rd, wr, sk. `data` is what a vector with positional arguments has at its place.
fn step(fs: &mg_fs, fd: *mut c_void, op: &Value, arg: Option<&Value>) -> Result<(), String> {
    let ret = usize_of(&op["ret"]);
    match op["op"].as_str().unwrap() {
        "rd" => {
            let len = usize_of(arg.unwrap_or(&op["len"]));
            let mut buf = vec![0u8; len];
            let n = unsafe { fs.rd.unwrap()(fd, buf.as_mut_ptr().cast(), len) };
            same("rd", n, ret)?;
            same("data", buf[..n].to_vec(), bytes(&op["data"]).unwrap())
        }
        "wr" => {
            let data = bytes(arg.unwrap_or(&op["data"])).unwrap();
            same("wr", unsafe { fs.wr.unwrap()(fd, data.as_ptr().cast(), data.len()) }, ret)
        }
        "sk" => same("sk", unsafe { fs.sk.unwrap()(fd, usize_of(arg.unwrap_or(&op["offset"]))) }, ret),
        other => panic!("{other}"),
    }
}

fn better_packed(c: &Value) -> Value {
    let mut c = c.clone();
    if c["call"] == "serve_dir" {
        return with(
            &c,
            "HTTP/1.1 200 OK\r\nContent-Type: text/markdown; charset=utf-8\r\nEtag: \"0.5\"\r\nContent-Length: 5\r\n\r\n# one",
        );
    }
    c["names"] = match c["path"].as_str().unwrap() {
        "" => json!(["pack", "top.txt", "rel"]),
        "/" => json!(["pack", "top.txt"]),
        "/pack/" => json!(["a.txt", "a.txt.gz", "docs", "empty.bin", "index.html"]),
        "/pack/docs/" => json!(["one.md", "sub", "two.html"]),
        "rel/" => json!(["file.txt"]),
        other => panic!("{other}"),
    };
    c
}

// ---- posix_fs.json

fn posix(c: &Value) -> Result<(), String> {
    static COUNT: Mutex<u32> = Mutex::new(0);
    let dir = {
        let mut count = COUNT.lock().unwrap();
        *count += 1;
        std::env::current_dir().unwrap().join(format!("posix{count}"))
    };
    fs::create_dir(&dir).unwrap();
    let inside = |v: &Value| CString::new(format!("{}/{}", dir.display(), v.as_str().unwrap())).unwrap();
    let (raw, fs) = (posix_fs(), unsafe { *posix_fs() });
    let mut open: BTreeMap<String, *mut c_void> = BTreeMap::new();
    for op in c["ops"].as_array().unwrap() {
        let (args, ret) = (&op["args"], &op["ret"]);
        let truth = |v: bool| if ret.is_boolean() { json!(v) } else { json!(i32::from(v)) };
        let handle = args[0].as_str().and_then(|name| open.get(name).copied());
        let (got, want) = match op["op"].as_str().unwrap() {
            "st" => {
                let (mut size, mut mtime) = (111, 222);
                let flags = unsafe { fs.st.unwrap()(inside(&args[0]).as_ptr(), &mut size, &mut mtime) };
                let any =
                    |got: Value, want: &Value| if want == "any" { (json!("any"), want.clone()) } else { (got, want.clone()) };
                let ((a, b), (c, d)) = (any(size.into(), &op["size"]), any(mtime.into(), &op["mtime"]));
                (json!([flags, a, c]), json!([ret, b, d]))
            }
            "ls" | "mg_fs_ls" => {
                let path = inside(&args[0]);
                let mut got = if op["op"] == "ls" { names(&fs, &path) } else { steps(raw, &path) };
                got.sort();
                (json!(got), op["names_sorted"].clone())
            }
            "op" => {
                let fd = unsafe { fs.op.unwrap()(inside(&args[0]).as_ptr(), args[1].as_i64().unwrap() as c_int) };
                if !fd.is_null() {
                    open.insert(args[2].as_str().unwrap().into(), fd);
                }
                (truth(!fd.is_null()), ret.clone())
            }
            "cl" => {
                unsafe { fs.cl.unwrap()(open.remove(args[0].as_str().unwrap()).unwrap()) };
                continue;
            }
            "rd" | "wr" | "sk" => {
                step(&fs, handle.unwrap(), op, Some(&args[1]))?;
                continue;
            }
            "mv" => (truth(unsafe { fs.mv.unwrap()(inside(&args[0]).as_ptr(), inside(&args[1]).as_ptr()) }), ret.clone()),
            "rm" => (truth(unsafe { fs.rm.unwrap()(inside(&args[0]).as_ptr()) }), ret.clone()),
            "mkd" => (truth(unsafe { fs.mkd.unwrap()(inside(&args[0]).as_ptr()) }), ret.clone()),
            "mg_file_read" => (whole(raw, &inside(&args[0])), ret.clone()),
            "mg_file_write" => {
                let data = bytes(&args[1]).unwrap();
                (truth(unsafe { mg_file_write(raw, inside(&args[0]).as_ptr(), data.as_ptr().cast(), data.len()) }), ret.clone())
            }
            other => panic!("{other}"),
        };
        same(&op.to_string(), got, want)?;
    }
    Ok(())
}

// ---- upload.json

/// The directory `up` is one for all cases.
static UP: Mutex<()> = Mutex::new(());

fn stored(dir: &Path, prefix: &str, to: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap()) {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            stored(&entry.path(), &format!("{name}/"), to);
        } else {
            to.insert(name, String::from_utf8(fs::read(entry.path()).unwrap()).unwrap());
        }
    }
}

fn files_are(want: &Value) -> Result<(), String> {
    let mut files = BTreeMap::new();
    stored(Path::new("up"), "", &mut files);
    same("files", json!(files), want.clone())
}

/// An upload that fails leaves nothing, one of nothing is complete, an older file is replaced, and the connection lives on.
fn better_upload(c: &Value) -> Value {
    let mut c = c.clone();
    if c["kind"] != "mg_http_start_upload" {
        return c;
    }
    let empty = bytes(&c["segments"][0]).unwrap().windows(19).any(|w| w == b"Content-Length: 0\r\n");
    if empty {
        c["callback"] = json!([null]);
        c["segments"] = json!([c["segments"][0]]);
        c["steps"] = json!([{"recv": "HTTP/1.1 200 OK\r\nContent-Length: 4          \r\n\r\ndone", "closed": true}]);
    } else if c["callback"] == json!(["connection closed"]) {
        c["files"] = json!({});
    } else if c["before"] == json!({"f": "old-"}) {
        c["files"] = json!({"f": "new"});
    }
    c
}

thread_local! {
    static SAID: RefCell<Vec<Value>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" fn callback(c: *mut mg_connection, message: *const c_char) {
    let message = if message.is_null() { Value::Null } else { unsafe { CStr::from_ptr(message) }.to_str().unwrap().into() };
    match &message {
        Value::String(text) => Conn(c).reply(400, text.as_bytes()),
        _ => Conn(c).reply(200, b"done"),
    }
    Conn(c).set(|f| f.set_draining(true));
    SAID.with(|said| said.borrow_mut().push(message));
}

fn upload(c: &Value) -> Result<(), String> {
    let _one = UP.lock().unwrap_or_else(|e| e.into_inner());
    let _ = fs::remove_dir_all("up");
    fs::create_dir_all("up/sub").unwrap();
    if c["kind"] == "mg_http_upload" {
        return c["steps"].as_array().unwrap().iter().try_for_each(|s| piece(s, usize_of(&c["max_size"])));
    }
    for (name, content) in c["before"].as_object().unwrap() {
        fs::write(Path::new("up").join(name), bytes(content).unwrap()).unwrap();
    }
    SAID.with(|said| said.borrow_mut().clear());
    streamed(c)?;
    if c["callback"] != "default" {
        same("callback", json!(SAID.with(|said| said.take())), c["callback"].clone())?;
    }
    files_are(&c["files"])
}

fn piece(s: &Value, max_size: usize) -> Result<(), String> {
    let (ret, want) = (Cell::new(0), bytes(&s["recv"]).unwrap());
    let (got, _) = exchange(&bytes(&s["request"]).unwrap(), want.len(), |c, hm| {
        ret.set(unsafe { mg_http_upload(c.0, hm, posix_fs(), c"up".as_ptr(), max_size) });
    });
    same("recv", got.escape_ascii().to_string(), want.escape_ascii().to_string())?;
    same("ret", ret.get(), s["ret"].as_i64().unwrap())?;
    files_are(&s["files"])
}

fn streamed(c: &Value) -> Result<(), String> {
    let ota = c["kind"] == "mg_http_start_ota";
    let f: Callback = if c["callback"] == "default" { None } else { Some(callback) };
    let m = Manager::new();
    let listener = m.http_listen(|c, ev, data| {
        if ev == MG_EV_HTTP_HDRS {
            let name = text(message(data).uri)[1..].to_vec();
            let str = |s: &[u8]| mg_str { buf: s.as_ptr() as *mut c_char, len: s.len() };
            unsafe {
                match ota {
                    true => mg_http_start_ota(c.0, data.cast(), f),
                    false => mg_http_start_upload(c.0, data.cast(), str(&name), str(b"up"), posix_fs(), f),
                }
            }
        }
    });
    let mut peer = TcpStream::connect(("127.0.0.1", listener.port())).unwrap();
    peer.set_nonblocking(true).unwrap();
    for (segment, want) in c["segments"].as_array().unwrap().iter().zip(c["steps"].as_array().unwrap()) {
        match bytes(segment) {
            Some(data) => peer.write_all(&data).unwrap(),
            None => peer.shutdown(Shutdown::Write).unwrap(),
        }
        let (mut got, mut closed, mut quiet, start) = (Vec::new(), false, 0, Instant::now());
        let (recv, closes) = (bytes(&want["recv"]).unwrap(), want["closed"].as_bool().unwrap());
        // A close is announced in the reply.
        let plain = |got: &[u8]| String::from_utf8_lossy(got).replace("Connection: close\r\n", "").into_bytes();
        while quiet < 6 && start.elapsed() < Duration::from_secs(3) {
            m.poll(1);
            closed |= peer.read_to_end(&mut got).is_ok();
            quiet = if plain(&got) == recv && closed == closes { quiet + 1 } else { 0 };
        }
        same("recv", plain(&got).escape_ascii().to_string(), recv.escape_ascii().to_string())?;
        same("closed", closed, closes)?;
        same("announced", plain(&got) != got, closes && !recv.is_empty())?;
    }
    Ok(())
}
