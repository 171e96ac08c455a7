//! The JSON getters: allocated results end in a NUL, and in text that serde_json accepts they find the same values.

use crate::peer::view;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use mongoose::abi::mg_str;
use serde_json::Value;
use std::ffi::CString;

unsafe extern "C" {
    fn mg_json_get_num(json: mg_str, path: *const c_char, v: *mut f64) -> bool;
    fn mg_json_get_bool(json: mg_str, path: *const c_char, v: *mut bool) -> bool;
    fn mg_json_get_long(json: mg_str, path: *const c_char, dflt: c_long) -> c_long;
    fn mg_json_get_str(json: mg_str, path: *const c_char) -> *mut c_char;
    fn mg_json_get_hex(json: mg_str, path: *const c_char, len: *mut c_int) -> *mut c_char;
    fn mg_json_get_b64(json: mg_str, path: *const c_char, len: *mut c_int) -> *mut c_char;
    fn mg_json_get_tok(json: mg_str, path: *const c_char) -> mg_str;
    fn mg_json_unescape(json: mg_str, path: *const c_char, to: *mut c_char, n: usize) -> usize;
    fn mg_json_next(json: mg_str, ofs: usize, key: *mut mg_str, value: *mut mg_str) -> usize;
    fn mg_free(p: *mut c_void);
}

/// All of them, whatever is there.
fn everything(json: mg_str, path: &CStr, room: usize) {
    // SAFETY: a view, a C string, and room for what is asked for; strings of the library's or NULL.
    unsafe {
        let (mut number, mut truth) = (0.0, false);
        mg_json_get_num(json, path.as_ptr(), &mut number);
        mg_json_get_bool(json, path.as_ptr(), &mut truth);
        mg_json_get_long(json, path.as_ptr(), 7);
        let token = mg_json_get_tok(json, path.as_ptr());
        assert!(token.len <= json.len);
        for f in [mg_json_get_hex, mg_json_get_b64] {
            let mut len = -1;
            let p = f(json, path.as_ptr(), &mut len);
            if !p.is_null() {
                assert!(len >= 0 && *p.add(len as usize) == 0);
                mg_free(p.cast());
            }
        }
        let p = mg_json_get_str(json, path.as_ptr());
        if !p.is_null() {
            assert!(CStr::from_ptr(p).to_bytes().len() <= json.len);
            mg_free(p.cast());
        }
        let mut buf = vec![1; room].into_boxed_slice();
        let n = mg_json_unescape(json, path.as_ptr(), buf.as_mut_ptr(), room);
        assert!(n == 0 || n < room && buf[n] == 0);
    }
}

/// Our getters at `path`, against the value that serde_json has there.
fn compare(json: mg_str, path: &str, value: &Value, depth: usize) {
    let name = CString::new(path).unwrap();
    // SAFETY: as above.
    unsafe {
        match value {
            Value::Number(n) => {
                let (mut ours, theirs) = (0.0, n.as_f64().unwrap());
                assert!(mg_json_get_num(json, name.as_ptr(), &mut ours), "{path}");
                assert!((ours - theirs).abs() <= theirs.abs() * 1e-12, "{path}: {ours} {theirs}");
                if let Some(n) = n.as_i64() {
                    assert_eq!(mg_json_get_long(json, name.as_ptr(), n.wrapping_add(1)), n, "{path}");
                }
            }
            Value::Bool(theirs) => {
                let mut ours = !theirs;
                assert!(mg_json_get_bool(json, name.as_ptr(), &mut ours) && ours == *theirs, "{path}");
            }
            Value::String(theirs) => {
                let p = mg_json_get_str(json, name.as_ptr());
                assert!(!p.is_null(), "{path}");
                let seen = CStr::from_ptr(p).to_bytes();
                assert_eq!(seen, theirs.split('\0').next().unwrap().as_bytes(), "{path}");
                mg_free(p.cast());
            }
            Value::Null => assert_eq!(crate::peer::bytes(mg_json_get_tok(json, name.as_ptr())), b"null"),
            // Text beyond that depth is refused.
            Value::Array(all) if depth < 25 => {
                for (i, v) in all.iter().enumerate().take(20) {
                    compare(json, &format!("{path}[{i}]"), v, depth + 1);
                }
            }
            Value::Object(all) if depth < 25 => {
                for (key, v) in all.iter().filter(|(k, _)| !k.is_empty() && k.bytes().all(|b| b.is_ascii_alphanumeric())) {
                    compare(json, &format!("{path}.{key}"), v, depth + 1);
                }
            }
            _ => {}
        }
    }
}

/// Names that come twice, or with escapes, are found by one reader and not by the other.
fn has_plain_names(value: &Value, data: &[u8]) -> bool {
    fn names(value: &Value) -> usize {
        match value {
            Value::Array(all) => all.iter().map(names).sum(),
            Value::Object(all) => all.len() + all.values().map(names).sum::<usize>(),
            _ => 0,
        }
    }
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(all) => 1 + all.iter().map(depth).max().unwrap_or(0),
            Value::Object(all) => 1 + all.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    let (mut colons, mut in_text, mut escaped) = (0, false, false);
    for b in data {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b':' if !in_text => colons += 1,
            _ => {}
        }
    }
    depth(value) <= 25 && colons == names(value) && (colons == 0 || !data.contains(&b'\\'))
}

fuzz_target!(|input: (u8, &[u8])| {
    let (room, data) = input;
    let json: Box<[u8]> = data.into();
    let text = view(&json);
    for path in [c"$", c"$.a", c"$[0]", c"$.a[1].b", c"$.", c"$[", c"", c"a", c"$[99999999999999999999]"] {
        everything(text, path, room.into());
    }
    let mut ofs = 0;
    loop {
        let (mut key, mut value) = (view(b""), view(b""));
        // SAFETY: a view and two results.
        let next = unsafe { mg_json_next(text, ofs, &mut key, &mut value) };
        if next == 0 {
            break;
        }
        assert!(next > ofs && next <= json.len() && key.len <= json.len() && value.len <= json.len());
        ofs = next;
    }
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        if has_plain_names(&value, data) {
            compare(text, "$", &value, 0);
        }
    }
});
