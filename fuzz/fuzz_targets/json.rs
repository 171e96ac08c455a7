//! JSON lookup: values lie inside the text.

use core::ffi::{c_char, c_int};
use mongoose::abi::mg_str;

unsafe extern "C" {
    fn mg_json_get(json: mg_str, path: *const c_char, toklen: *mut c_int) -> c_int;
}

fuzz_target!(|data: &[u8]| {
    let json: Box<[u8]> = data.into();
    let text = mg_str { buf: json.as_ptr() as *mut c_char, len: json.len() };
    for path in [c"$", c"$.a", c"$.a.b[1]", c"$[0]", c"$[1][0].a"] {
        let mut len = 0;
        // SAFETY: json is a block of exactly its length, path a C string.
        let at = unsafe { mg_json_get(text, path.as_ptr(), &mut len) };
        assert!(at < 0 || len >= 0 && at as usize + len as usize <= json.len());
    }
});
