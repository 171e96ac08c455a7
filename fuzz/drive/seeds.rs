//! Sources of inputs: the test vectors, their certificates, and the corpora of earlier runs.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How a value of a vector stands for bytes. Byte strings are text, or objects with `hex`, or lists of pieces, everywhere.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Hex,
    Base64,
}
use Form::{Base64, Hex, Text};

/// Target, vectors, key of the values, their form, and what the target's other parameters are: bytes in front.
const SOURCES: &[(&str, &str, &str, Form, &[u8])] = &[
    ("acl", "ip_acl", "acl", Text, &[10, 0, 0, 1, 0]),
    ("acl", "util", "acl", Text, &[127, 0, 0, 1, 0]),
    ("addresses", "aton", "s", Text, &[]),
    ("base64", "base64", "in", Text, &[9]),
    ("creds", "http_var", "buf", Text, &[9, 9, 0, 0]),
    ("ec_key", "uecc_private_key", "key_base64", Base64, &[3, 0, 0]),
    ("files", "http_parse", "uri", Text, &[100, 0, 0, 0, 0, 0, 0, 0]),
    ("framing", "http_parse", "in", Text, &[9, 0]),
    ("framing", "http_stream", "segments", Text, &[20, 0]),
    ("http_client", "client_stream", "segments", Text, &[0, 20, 0]),
    ("http_parse", "http_parse", "in", Text, &[]),
    ("http_parse", "creds", "in", Text, &[]),
    ("http_response", "client_stream", "segments", Text, &[]),
    ("json", "json_get", "j", Text, &[]),
    ("json_getters", "json_get", "j", Text, &[9]),
    ("json_getters", "json_misc", "j", Text, &[9]),
    ("mqtt_client", "mqtt_stream", "chunks", Hex, &[0, 3, 0]),
    ("mqtt_client", "mqtt_props", "in", Hex, &[1, 5, 0]),
    ("mqtt_client", "mqtt_parse", "in", Hex, &[1, 1, 0]),
    ("multipart", "http_multipart", "body", Text, &[]),
    ("rpc", "rpc", "frame", Text, &[]),
    ("server", "http_stream", "segments", Text, &[0, 0, 20, 0]),
    ("server", "ws_frames", "segments", Text, &[1, 1, 3, 0]),
    ("server", "upload", "request", Text, &[4, 0, 30, 0]),
    ("server", "serve_dir", "request", Text, &[5, 0, 30, 0]),
    ("server", "dash", "request", Text, &[6, 0, 30, 0]),
    ("str_to_num", "str_to_num", "s", Text, &[8, 0]),
    ("str_to_num", "str_to_num", "s", Text, &[8, 2]),
    ("str_to_num", "str_to_num", "s", Text, &[8, 3]),
    ("url", "url", "url", Text, &[]),
    ("urlcodec", "url_codec", "in", Text, &[9]),
    ("ws", "ws_frames", "segments", Text, &[2, 0, 1, 2, 3, 4]),
    ("ws_client", "ws_frames", "segments", Text, &[1, 1, 3, 0]),
    ("ws_client", "client_stream", "segments", Text, &[0, 1, 30, 0]),
];

/// Two byte strings: the length of the first is at the end.
const PAIRS: &[(&str, &str, &str, &str)] = &[("glob", "match", "p", "s")];

/// A vector for each of so many inputs is enough.
const MOST: usize = 60;

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).filter_map(|d| u8::from_str_radix(core::str::from_utf8(d).ok()?, 16).ok()).collect()
}

fn unbase64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values: Vec<u32> = text.bytes().filter_map(|c| digits.iter().position(|d| *d == c)).map(|n| n as u32).collect();
    let group = |g: &[u32]| {
        let bits = g.iter().fold(0, |n, d| n << 6 | d) << (6 * (4 - g.len()));
        bits.to_be_bytes()[1..g.len()].to_vec()
    };
    values.chunks(4).flat_map(group).collect()
}

fn bytes(value: &Value, form: Form) -> Vec<u8> {
    match (value, form) {
        (Value::String(s), Text) => s.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
        (Value::String(s), Hex) => unhex(s),
        (Value::String(s), Base64) => unbase64(s),
        (Value::Object(o), _) => o.get("hex").and_then(Value::as_str).map(unhex).unwrap_or_default(),
        (Value::Array(all), _) => all.iter().flat_map(|v| bytes(v, form)).collect(),
        _ => Vec::new(),
    }
}

/// Calls back for every object of a document.
fn objects(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(o) => {
            visit(o);
            o.values().for_each(|v| objects(v, visit));
        }
        Value::Array(all) => all.iter().for_each(|v| objects(v, visit)),
        _ => {}
    }
}

fn vectors(root: &Path, name: &str) -> Value {
    let path = root.join("c-tests/vectors").join(format!("{name}.json"));
    let text = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Evenly over all of them.
fn some(all: BTreeSet<Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    let step = all.len().div_ceil(MOST).max(1);
    all.into_iter().step_by(step)
}

fn certificates(root: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(root.join("c-tests/certs")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().filter(|p| p.extension().is_some_and(|e| e == "pem")).map(|p| fs::read(p).unwrap()).collect()
}

/// The inputs that a target starts from.
pub(crate) fn of(root: &Path, target: &str) -> BTreeSet<Vec<u8>> {
    let mut seeds = BTreeSet::from([Vec::new()]);
    for (_, file, key, form, front) in SOURCES.iter().filter(|s| s.0 == target) {
        let mut found = BTreeSet::new();
        objects(&vectors(root, file), &mut |o| {
            found.extend(o.get(*key).map(|v| [front, &bytes(v, *form)[..]].concat()).filter(|v| v.len() < 4096));
        });
        assert!(!found.is_empty(), "{file}.json has no {key}");
        seeds.extend(some(found));
    }
    for (_, file, first, second) in PAIRS.iter().filter(|s| s.0 == target) {
        let mut found = BTreeSet::new();
        objects(&vectors(root, file), &mut |o| {
            if let (Some(a), Some(b)) = (o.get(*first), o.get(*second)) {
                let (a, b) = (bytes(a, Text), bytes(b, Text));
                if a.len() + b.len() < 255 {
                    found.insert([&a[..], &b, &[a.len() as u8]].concat());
                }
            }
        });
        seeds.extend(some(found));
    }
    let der = |pem: &[u8]| {
        let text = String::from_utf8_lossy(pem);
        unbase64(
            &text
                .lines()
                .skip_while(|l| !l.starts_with("-----BEGIN"))
                .skip(1)
                .take_while(|l| !l.starts_with('-'))
                .collect::<String>(),
        )
    };
    match target {
        "der" | "x509" => seeds.extend(certificates(root).iter().map(|c| der(c))),
        "pem" => seeds.extend(certificates(root).iter().map(|c| [&[0, 63], &c[..]].concat())),
        "tls_options" => seeds.extend(certificates(root)),
        _ => {}
    }
    let path = corpus(root, target);
    if let Ok(text) = fs::read_to_string(&path) {
        for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.starts_with("# ")) {
            seeds.insert(unescape(line).unwrap_or_else(|| panic!("{}:{}: a malformed escape", path.display(), n + 1)));
        }
    }
    seeds
}

/// What earlier runs of a target left: one input in a line, bytes that are not printable as `\xNN`.
pub(crate) fn corpus(root: &Path, target: &str) -> PathBuf {
    root.join("fuzz/corpus").join(format!("{target}.txt"))
}

pub(crate) fn escape(bytes: &[u8]) -> String {
    let is_plain = |i: usize, b: u8| (b.is_ascii_graphic() || b == b' ' && i > 0) && b != b'\\' && !(b == b'#' && i == 0);
    bytes
        .iter()
        .enumerate()
        .map(|(i, b)| if is_plain(i, *b) { char::from(*b).to_string() } else { format!("\\x{b:02x}") })
        .collect()
}

fn unescape(line: &str) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), line.as_bytes());
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let digits = more.strip_prefix(b"x").and_then(|d| d.get(..2))?;
        out.push(u8::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &more[3..];
    }
    Some(out)
}
