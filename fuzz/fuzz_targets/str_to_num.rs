//! Numbers in text, against the standard library's parser; invalid text leaves the destination unchanged.

use crate::peer::view;
use core::ffi::{c_int, c_void};
use mongoose::abi::mg_str;

unsafe extern "C" {
    fn mg_str_to_num(s: mg_str, base: c_int, val: *mut c_void, len: usize) -> bool;
}

fn reference(s: &[u8], base: c_int) -> Option<u64> {
    let (digits, radix) = match (base, s) {
        (0, [b'0', b'x', rest @ ..]) => (rest, 16),
        (0, [b'0', b'b', rest @ ..]) => (rest, 2),
        (0, [_]) => return None,
        (0, _) => (s, 10),
        (2 | 10 | 16, _) => (s, base as u32),
        _ => return None,
    };
    let text = core::str::from_utf8(digits).ok().filter(|t| !t.starts_with('+'))?;
    u64::from_str_radix(text, radix).ok()
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let text: Box<[u8]> = input.2.into();
    let base = [0, 2, 10, 16, c_int::from(input.0)][usize::from(input.1 % 5)];
    let number = reference(&text, base);
    for len in [1, 2, 4, 8, usize::from(input.0) % 16] {
        let mut val = 0x5a5a_5a5a_5a5a_5a5a_u64;
        // SAFETY: a view, and an integer of at least len bytes; other lengths are refused.
        let ok = unsafe { mg_str_to_num(view(&text), base, (&raw mut val).cast(), len) };
        let max = if len == 8 { u64::MAX } else { (1 << (8 * len.min(7))) - 1 };
        let expected = number.filter(|n| matches!(len, 1 | 2 | 4 | 8) && *n <= max);
        assert_eq!(ok, expected.is_some());
        assert_eq!(val, expected.map_or(0x5a5a_5a5a_5a5a_5a5a, |n| n | 0x5a5a_5a5a_5a5a_5a5a & !max));
    }
});
