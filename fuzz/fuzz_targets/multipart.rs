//! multipart/form-data: parts lie inside the body and iteration ends.

use mongoose::abi::{mg_http_part, mg_str};

unsafe extern "C" {
    fn mg_http_next_multipart(body: mg_str, ofs: usize, part: *mut mg_http_part) -> usize;
}

fuzz_target!(|data: &[u8]| {
    let body: Box<[u8]> = data.into();
    let text = mg_str { buf: body.as_ptr() as *mut _, len: body.len() };
    let mut part = mg_http_part { name: text, filename: text, body: text };
    let mut ofs = 0;
    loop {
        // SAFETY: body is a block of exactly its length.
        let next = unsafe { mg_http_next_multipart(text, ofs, &mut part) };
        for s in [part.name, part.filename, part.body] {
            let at = (s.buf as usize).wrapping_sub(body.as_ptr() as usize);
            assert!(s.buf.is_null() && s.len == 0 || at <= body.len() && s.len <= body.len() - at);
        }
        if next == 0 {
            assert!(part.body.buf.is_null());
            break;
        }
        assert!(next > ofs && next <= body.len());
        ofs = next;
    }
});
