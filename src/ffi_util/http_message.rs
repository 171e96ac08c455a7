//! `struct mg_http_message`, the parsed message passed to handlers.

use super::bytes;
use crate::memory;
use crate::{
    abi::{MG_MAX_HTTP_HEADERS, mg_http_header, mg_http_message, mg_str},
    proto::http::head::{self, Head, Malformed, Reader},
};
use core::{ffi::c_int, ptr};

/// See `mg_http_parse`.
///
/// # Safety
/// `buf` is NULL or covers `len` bytes, `hm` points at memory for a message. The views in `*hm` are as short-lived as `buf`.
#[inline]
pub(crate) unsafe fn parse(buf: *const u8, len: usize, hm: *mut mg_http_message) -> c_int {
    // SAFETY: passed on to the caller.
    match unsafe { read(bytes::slice(buf, len), Reader::Program, hm) } {
        Ok(Some(head)) => c_int::try_from(head.len).unwrap_or(-1),
        Ok(None) => 0,
        Err(Malformed) => -1,
    }
}

/// Parses the head at the start of `buf` and fills `*hm`, with zeros if there is none.
///
/// # Safety
/// `hm` points at memory for a message. The views in `*hm` are as short-lived as `buf`.
#[inline]
pub(crate) unsafe fn read(buf: &[u8], reader: Reader, hm: *mut mg_http_message) -> Result<Option<Head<'_>>, Malformed> {
    // SAFETY: the parser reports MG_MAX_HTTP_HEADERS headers at most; the caller vouches for the rest. All-zero is a valid message.
    unsafe {
        ptr::write_bytes(hm, 0, 1);
        let headers: *mut mg_http_header = (&raw mut (*hm).headers).cast();
        let fill = |i, name, value| *headers.add(i) = mg_http_header { name: mg_str::of(name), value: mg_str::of(value) };
        // Less than a usual head is the beginning of one.
        let plain = if buf.len() < 16 { None } else { head::parse_plain(buf, reader, MG_MAX_HTTP_HEADERS, fill) };
        let head = match plain {
            Some(head) => head,
            None => {
                ptr::write_bytes(hm, 0, 1);
                let Some(head) = head::parse(buf, reader, MG_MAX_HTTP_HEADERS, fill)? else { return Ok(None) };
                head
            }
        };
        (*hm).method = mg_str::of(head.method);
        (*hm).uri = mg_str::of(head.uri);
        if let Some(query) = head.query {
            (*hm).query = mg_str::of(query);
        }
        (*hm).proto = mg_str::of(head.proto);
        (*hm).head = mg_str::of(&buf[..head.len]);
        (*hm).body = mg_str { len: head.body_len, ..mg_str::of(&buf[head.len..]) };
        (*hm).message = mg_str { len: head.message_len, ..mg_str::of(buf) };
        Ok(Some(head))
    }
}

/// A copy of a message, independent of the buffer it was received in.
pub(crate) struct Copy {
    message: Box<mg_http_message>,
    /// What its views point into.
    _bytes: Vec<u8>,
}

impl Copy {
    /// None when out of memory.
    ///
    /// # Safety
    /// `hm` is a parsed message. Of the bytes from its start on `received` are there, or so many as it has.
    pub(crate) unsafe fn of(hm: *const mg_http_message, received: usize) -> Option<Copy> {
        // SAFETY: as the caller promises.
        unsafe {
            let mut message = Box::new(*hm);
            let (start, len) = (message.head.buf, message.message.len.min(received).max(message.head.len));
            let mut bytes = memory::room(len + 1)?;
            bytes.extend_from_slice(bytes::slice(start.cast(), len));
            // Applications scan past the data with atoi and the like.
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
            Some(Copy { message, _bytes: bytes })
        }
    }

    pub(crate) fn as_ptr(&mut self) -> *mut mg_http_message {
        &raw mut *self.message
    }
}

impl mg_http_message {
    /// The slot of the first header called `name`, ignoring case.
    ///
    /// # Safety
    /// The names cover readable bytes.
    pub(crate) unsafe fn header_index(&self, name: &[u8]) -> Option<usize> {
        let used = self.headers.iter().take_while(|h| h.name.len > 0);
        // SAFETY: passed on to the caller.
        used.enumerate().find(|(_, h)| unsafe { h.name.bytes() }.eq_ignore_ascii_case(name)).map(|(i, _)| i)
    }

    /// The values of all headers called `name`, ignoring case: a list may span several lines.
    ///
    /// # Safety
    /// As [`Self::header`].
    pub(crate) unsafe fn header_lines<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        // SAFETY: passed on to the caller, as in the next line.
        let named =
            self.headers.iter().take_while(|h| h.name.len > 0).filter(|h| unsafe { h.name.bytes() }.eq_ignore_ascii_case(name));
        // SAFETY: as above.
        named.map(|h| unsafe { h.value.bytes() })
    }

    /// Splits a target in absolute form (RFC 9112, 3.2.2): its path becomes the URI, its authority the Host. False if it has no
    /// authority.
    ///
    /// # Safety
    /// As [`Self::header_index`].
    #[inline]
    pub(crate) unsafe fn resolve_target(&mut self) -> bool {
        // SAFETY: passed on to the caller.
        match unsafe { self.uri.bytes() } {
            [] | [b'/', ..] => true,
            // SAFETY: as above.
            _ => unsafe { self.resolve_absolute() },
        }
    }

    #[cold]
    unsafe fn resolve_absolute(&mut self) -> bool {
        // SAFETY: passed on to the caller, here and below.
        let Some((authority, path)) = head::absolute(unsafe { self.uri.bytes() }) else { return true };
        let host = mg_str::of(authority);
        self.uri = mg_str::of(path);
        let mut named = false;
        for header in &mut self.headers {
            if header.name.len == 0 {
                if !named {
                    *header = mg_http_header { name: mg_str::of(b"Host"), value: host };
                }
                break;
            }
            // SAFETY: as above.
            if unsafe { header.name.bytes() }.eq_ignore_ascii_case(b"Host") {
                (named, header.value) = (true, host);
            }
        }
        host.len > 0
    }

    /// The value of the first header called `name`, ignoring case.
    ///
    /// # Safety
    /// As [`Self::header_index`]; nobody writes the value during `'a`.
    pub(crate) unsafe fn header<'a>(&self, name: &[u8]) -> Option<&'a [u8]> {
        // SAFETY: passed on to the caller.
        unsafe { self.header_index(name).map(|i| self.headers[i].value.bytes()) }
    }
}
