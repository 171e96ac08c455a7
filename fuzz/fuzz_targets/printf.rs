//! Formats: one conversion with its argument, and text around it. Short buffers get a prefix of the full text, and the result
//! equals that of C's printf where the two are specified alike.

use arbitrary::Arbitrary;
use core::ffi::{c_char, c_int};
use mongoose as _; // it has the functions
use std::ffi::CString;

unsafe extern "C" {
    fn mg_snprintf(buf: *mut c_char, len: usize, fmt: *const c_char, ...) -> usize;
    fn snprintf(buf: *mut c_char, len: usize, fmt: *const c_char, ...) -> c_int;
}

#[derive(Arbitrary, Debug)]
enum Value {
    Int(u8, c_int),
    Long(u8, i64),
    Double(u8, f64),
    Text(Vec<u8>),
    Char(u8),
    Pointer(usize),
}

#[derive(Arbitrary, Debug)]
struct Conversion {
    before: Vec<u8>,
    left: bool,
    zero: bool,
    plus: bool,
    width: Option<u8>,
    star: bool,
    precision: Option<u8>,
    value: Value,
    after: Vec<u8>,
    room: u8,
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(b % 0x5f + 0x20)).filter(|c| *c != '%').collect()
}

macro_rules! print {
    ($print:ident, $c:ident, $fmt:ident, $buf:expr, $len:expr) => {{
        let (buf, len, fmt) = ($buf, $len, $fmt.as_ptr());
        // SAFETY: a buffer of its length, and the arguments that the format was made for.
        unsafe {
            match &$c.value {
                Value::Int(_, v) => $print(buf, len, fmt, *v),
                Value::Long(_, v) => $print(buf, len, fmt, *v),
                Value::Double(_, v) => $print(buf, len, fmt, *v),
                Value::Text(v) => {
                    let s = CString::new(text(v)).unwrap();
                    match $c.precision.filter(|_| $c.star) {
                        Some(n) => $print(buf, len, fmt, c_int::from(n), s.as_ptr()),
                        None => $print(buf, len, fmt, s.as_ptr()),
                    }
                }
                Value::Char(v) => $print(buf, len, fmt, c_int::from(*v)),
                Value::Pointer(v) => $print(buf, len, fmt, *v),
            }
        }
    }};
}

fuzz_target!(|c: Conversion| {
    let pick = |from: &[&'static str], n: u8| from[usize::from(n) % from.len()];
    let letter = match &c.value {
        Value::Int(n, _) => pick(&["d", "u", "x", "X", "hhd", "hx"], *n),
        Value::Long(n, _) => pick(&["lld", "llu", "llx", "ld"], *n),
        Value::Double(n, _) => pick(&["f", "g"], *n),
        Value::Text(_) => "s",
        Value::Char(_) => "c",
        Value::Pointer(_) => "p",
    };
    let mut spec = String::from("%");
    spec.extend([(c.left, '-'), (c.zero, '0'), (c.plus, '+')].iter().filter(|f| f.0).map(|f| f.1));
    if let Some(n) = c.width {
        spec += &n.to_string();
    }
    match c.precision {
        // A width cannot be an argument.
        Some(_) if c.star && letter == "s" => spec += ".*",
        Some(n) => spec += &format!(".{n}"),
        None => {}
    }
    let fmt = CString::new(format!("{}{spec}{letter}{}", text(&c.before), text(&c.after))).unwrap();
    let mut long = vec![1 as c_char; 4096];
    let n = print!(mg_snprintf, c, fmt, long.as_mut_ptr(), long.len());
    assert!(n < long.len() && long[n] == 0);
    let room = usize::from(c.room);
    let mut short = vec![1 as c_char; room].into_boxed_slice();
    assert_eq!(print!(mg_snprintf, c, fmt, short.as_mut_ptr(), room), n);
    if room > 0 {
        let seen = n.min(room - 1);
        assert!(short[..seen] == long[..seen] && short[seen] == 0);
    }
    // Whole numbers and strings, without what the two are known to differ in.
    let plain = !c.plus
        && !c.zero
        && (c.precision.is_none() || letter == "s" && c.width.is_none())
        && ["d", "u", "x", "lld", "llu", "llx", "s"].contains(&letter);
    if plain {
        let mut theirs = vec![1 as c_char; 4096];
        let m = print!(snprintf, c, fmt, theirs.as_mut_ptr(), theirs.len());
        assert!(m as usize == n && theirs[..n] == long[..n], "{fmt:?} {c:?}");
    }
});
