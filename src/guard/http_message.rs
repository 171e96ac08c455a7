//! `struct mg_http_message`, the view of a parsed message that handlers get.

use super::bytes;
use crate::{
    abi::{MG_MAX_HTTP_HEADERS, mg_http_header, mg_http_message, mg_str},
    proto::http,
};
use core::{ffi::c_int, ptr};

/// What `mg_http_parse` returns, and what else is known of the head.
pub(crate) struct Parsed {
    pub(crate) len: c_int,
    /// Some header name is made of more than letters and hyphens.
    pub(crate) odd_names: bool,
}

/// See `mg_http_parse`.
///
/// # Safety
/// `buf` is NULL or covers `len` bytes, `hm` points at memory for a message. The views in `*hm` are as short-lived as `buf`.
#[inline]
pub(crate) unsafe fn parse(buf: *const u8, len: usize, hm: *mut mg_http_message) -> Parsed {
    let without = |len| Parsed { len, odd_names: false };
    // SAFETY: the parser reports MG_MAX_HTTP_HEADERS headers at most; the caller vouches for the rest. All-zero is a valid message.
    unsafe {
        ptr::write_bytes(hm, 0, 1);
        let buf = bytes::slice(buf, len);
        let headers: *mut mg_http_header = (&raw mut (*hm).headers).cast();
        let fill = |i, name, value| *headers.add(i) = mg_http_header { name: mg_str::of(name), value: mg_str::of(value) };
        let head = match http::parse(buf, MG_MAX_HTTP_HEADERS, fill) {
            Ok(Some(head)) => head,
            Ok(None) => return without(0),
            Err(http::Malformed) => return without(-1),
        };
        let Ok(n) = c_int::try_from(head.len) else { return without(-1) };
        (*hm).method = mg_str::of(head.method);
        (*hm).uri = mg_str::of(head.uri);
        if let Some(query) = head.query {
            (*hm).query = mg_str::of(query);
        }
        (*hm).proto = mg_str::of(head.proto);
        (*hm).head = mg_str::of(&buf[..head.len]);
        (*hm).body = mg_str { len: head.body_len, ..mg_str::of(&buf[head.len..]) };
        (*hm).message = mg_str { len: head.message_len, ..mg_str::of(buf) };
        Parsed { len: n, odd_names: head.odd_names }
    }
}

/// A message that stays as it is, whatever becomes of the buffer that it was received in.
pub(crate) struct Copy {
    message: Box<mg_http_message>,
    /// What its views point into.
    _bytes: Vec<u8>,
}

impl Copy {
    /// # Safety
    /// `hm` is a parsed message. Of the bytes from its start on `received` are there, or so many as it has.
    pub(crate) unsafe fn of(hm: *const mg_http_message, received: usize) -> Copy {
        // SAFETY: as the caller promises.
        unsafe {
            let mut message = Box::new(*hm);
            let (start, len) = (message.head.buf, message.message.len.min(received).max(message.head.len));
            let mut bytes = Vec::with_capacity(len + 1);
            bytes.extend_from_slice(bytes::slice(start.cast(), len));
            // Programs scan past the data with atoi and the like.
            bytes.push(0);
            let to = bytes.as_mut_ptr();
            let moved = |s: &mut mg_str| {
                let at = (s.buf as usize).wrapping_sub(start as usize);
                if !s.buf.is_null() && at <= len {
                    s.buf = to.wrapping_add(at).cast();
                }
            };
            let m = &mut *message;
            for s in [&mut m.method, &mut m.uri, &mut m.query, &mut m.proto, &mut m.body, &mut m.head, &mut m.message] {
                moved(s);
            }
            for h in &mut m.headers {
                moved(&mut h.name);
                moved(&mut h.value);
            }
            Copy { message, _bytes: bytes }
        }
    }

    pub(crate) fn as_ptr(&mut self) -> *mut mg_http_message {
        &raw mut *self.message
    }
}

impl mg_http_message {
    /// The slot of the first header called `name`, in any case.
    ///
    /// # Safety
    /// The names cover readable bytes.
    pub(crate) unsafe fn header_index(&self, name: &[u8]) -> Option<usize> {
        let used = self.headers.iter().take_while(|h| h.name.len > 0);
        // SAFETY: passed on to the caller.
        used.enumerate().find(|(_, h)| unsafe { h.name.bytes() }.eq_ignore_ascii_case(name)).map(|(i, _)| i)
    }

    /// The value of the first header called `name`, in any case.
    ///
    /// # Safety
    /// As [`Self::header_index`]; nobody writes the value during `'a`.
    pub(crate) unsafe fn header<'a>(&self, name: &[u8]) -> Option<&'a [u8]> {
        // SAFETY: passed on to the caller.
        unsafe { self.header_index(name).map(|i| self.headers[i].value.bytes()) }
    }
}
