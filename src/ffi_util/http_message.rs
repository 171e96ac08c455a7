//! `struct mg_http_message`, the parsed message passed to handlers.

use super::bytes;
use crate::memory;
use crate::memory::prelude::*;
use crate::{
    abi::{MG_MAX_HTTP_HEADERS, mg_http_header, mg_http_message, mg_str},
    proto::http::head::{self, Head, Malformed, Reader},
};
use core::{ffi::c_int, mem::MaybeUninit, ptr, slice};

/// See `mgx_http_parse`.
///
/// # Safety
/// `buf` is NULL or covers `len` bytes, `hm` points at memory for a message with `most` headers. The views in `*hm` are as
/// short-lived as `buf`.
#[inline]
pub(crate) unsafe fn parse(buf: *const u8, len: usize, most: usize, hm: *mut mg_http_message) -> c_int {
    // SAFETY: guaranteed by the caller.
    match unsafe { read(bytes::slice(buf, len), Reader::Program, most, hm) } {
        Ok(Some(head)) => c_int::try_from(head.len).unwrap_or(-1),
        Ok(None) => 0,
        Err(Malformed) => -1,
    }
}

/// Parses the head at the start of `buf` and fills `*hm`, with zeros if there is none.
///
/// # Safety
/// `hm` points at memory for a message with `most` headers. The views in `*hm` are as short-lived as `buf`.
#[inline(always)]
pub(crate) unsafe fn read(
    buf: &[u8],
    reader: Reader,
    most: usize,
    hm: *mut mg_http_message,
) -> Result<Option<Head<'_>>, Malformed> {
    // SAFETY: the parser reports `most` headers at most; the caller vouches for the rest. All-zero is a valid message.
    unsafe {
        let headers = clear(hm, most);
        let fill = |i, name, value| *headers.add(i) = mg_http_header { name: mg_str::of(name), value: mg_str::of(value) };
        let head = match head::parse(buf, reader, most, fill) {
            Ok(Some(head)) => head,
            nothing => {
                clear(hm, most);
                return nothing;
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

/// Zeroes a message and returns its slots for headers.
///
/// # Safety
/// As in [`read`].
#[inline]
unsafe fn clear(hm: *mut mg_http_message, most: usize) -> *mut mg_http_header {
    // SAFETY: passed on to the caller.
    unsafe {
        ptr::write_bytes(hm, 0, 1);
        if most <= MG_MAX_HTTP_HEADERS {
            return (&raw mut (*hm).headers).cast();
        }
        let headers = hm.add(1).cast::<mg_http_header>();
        ptr::write_bytes(headers, 0, most);
        (*hm).headers[0].value.len = most;
        headers
    }
}

/// Memory for a message. Applications that are compiled with a larger MG_MAX_HTTP_HEADERS have the headers behind the struct.
pub(crate) struct Room {
    usual: MaybeUninit<mg_http_message>,
    large: Vec<mg_http_header>,
}

impl Room {
    #[inline]
    pub(crate) fn new() -> Room {
        Room { usual: MaybeUninit::uninit(), large: Vec::new() }
    }

    /// Where a message with up to `most` headers has room. None when out of memory.
    #[inline]
    pub(crate) fn at(&mut self, most: usize) -> Option<*mut mg_http_message> {
        if most <= MG_MAX_HTTP_HEADERS { Some(self.usual.as_mut_ptr()) } else { self.at_large(most) }
    }

    #[cold]
    fn at_large(&mut self, most: usize) -> Option<*mut mg_http_message> {
        self.large = memory::room(size_of::<mg_http_message>().div_ceil(size_of::<mg_http_header>()) + most)?;
        let at = self.large.as_mut_ptr();
        at.expose_provenance();
        Some(at.cast())
    }
}

/// A copy of a message, independent of the buffer it was received in.
pub(crate) struct Copy {
    _message: Box<Room>,
    at: *mut mg_http_message,
    /// The bytes that its views point to.
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
            let (start, len) = ((*hm).head.buf, (*hm).message.len.min(received).max((*hm).head.len));
            let mut bytes = memory::room(len + 1)?;
            bytes.extend_from_slice(bytes::slice(start.cast(), len));
            // Applications scan past the data with functions such as atoi.
            bytes.push(0);
            let to = bytes.as_mut_ptr();
            let moved = |s: &mut mg_str| {
                let at = (s.buf as usize).wrapping_sub(start as usize);
                if !s.buf.is_null() && at <= len {
                    s.buf = to.wrapping_add(at).cast();
                }
            };
            let slots = (*hm).headers();
            let mut message = Box::new(Room::new());
            let at = message.at(slots.len())?;
            clear(at, slots.len()).copy_from_nonoverlapping(slots.as_ptr(), slots.len());
            let m = &mut *at;
            (m.method, m.uri, m.query, m.proto) = ((*hm).method, (*hm).uri, (*hm).query, (*hm).proto);
            (m.body, m.head, m.message) = ((*hm).body, (*hm).head, (*hm).message);
            for s in [&mut m.method, &mut m.uri, &mut m.query, &mut m.proto, &mut m.body, &mut m.head, &mut m.message] {
                moved(s);
            }
            for h in m.headers_mut() {
                moved(&mut h.name);
                moved(&mut h.value);
            }
            Some(Copy { _message: message, at, _bytes: bytes })
        }
    }

    pub(crate) fn as_ptr(&mut self) -> *mut mg_http_message {
        self.at
    }
}

impl mg_http_message {
    /// How many slots for headers follow the struct; None if they are in it. Then the first one in it is not in use, and says so.
    #[inline]
    fn following(&self) -> Option<usize> {
        let first = &self.headers[0];
        (first.name.len == 0 && first.value.buf.is_null() && first.value.len > 0).then_some(first.value.len)
    }

    /// All slots for headers, used or not.
    ///
    /// # Safety
    /// The message was filled by [`read`] or is all zero.
    #[inline]
    pub(crate) unsafe fn headers(&self) -> &[mg_http_header] {
        match self.following() {
            None => &self.headers,
            // SAFETY: `read` was given as many slots; the memory is C's or its address was exposed.
            Some(n) => unsafe {
                slice::from_raw_parts(ptr::with_exposed_provenance(ptr::from_ref(self).wrapping_add(1).addr()), n)
            },
        }
    }

    /// The same, to be changed.
    ///
    /// # Safety
    /// As [`Self::headers`].
    unsafe fn headers_mut(&mut self) -> &mut [mg_http_header] {
        match self.following() {
            None => &mut self.headers,
            // SAFETY: as above.
            Some(n) => unsafe {
                slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(ptr::from_mut(self).wrapping_add(1).addr()), n)
            },
        }
    }

    /// The headers in use.
    ///
    /// # Safety
    /// As [`Self::headers`].
    #[inline]
    unsafe fn used(&self) -> impl Iterator<Item = &mg_http_header> {
        // SAFETY: passed on to the caller.
        unsafe { self.headers() }.iter().take_while(|h| h.name.len > 0)
    }

    /// The slot of the first header called `name`, ignoring case.
    ///
    /// # Safety
    /// The names cover readable bytes.
    pub(crate) unsafe fn header_index(&self, name: &[u8]) -> Option<usize> {
        // SAFETY: passed on to the caller.
        unsafe { self.used().position(|h| h.name.bytes().eq_ignore_ascii_case(name)) }
    }

    /// Names and values of all headers.
    ///
    /// # Safety
    /// As [`Self::header`].
    #[inline]
    pub(crate) unsafe fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        // SAFETY: passed on to the caller.
        unsafe { self.used().map(|h| (h.name.bytes(), h.value.bytes())) }
    }

    /// The values of all headers called `name`, ignoring case: a list may span several lines.
    ///
    /// # Safety
    /// As [`Self::header`].
    pub(crate) unsafe fn header_lines<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        // SAFETY: passed on to the caller.
        unsafe { self.fields() }.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Splits a target in absolute form (RFC 9112, 3.2.2): its path becomes the URI, its authority the Host, if that is one
    /// of `most` headers. False if it has no authority.
    ///
    /// # Safety
    /// As [`Self::header_index`].
    #[inline]
    pub(crate) unsafe fn resolve_target(&mut self, most: usize) -> bool {
        // SAFETY: guaranteed by the caller.
        unsafe {
            match self.uri.bytes() {
                [] | [b'/', ..] => true,
                _ => self.resolve_absolute(most),
            }
        }
    }

    #[cold]
    unsafe fn resolve_absolute(&mut self, most: usize) -> bool {
        // SAFETY: guaranteed by the caller, here and below.
        let Some((authority, path)) = head::absolute(unsafe { self.uri.bytes() }) else { return true };
        let host = mg_str::of(authority);
        self.uri = mg_str::of(path);
        let mut named = false;
        // SAFETY: as above.
        for header in unsafe { self.headers_mut() }.iter_mut().take(most) {
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
        // SAFETY: guaranteed by the caller.
        unsafe { self.header_index(name).map(|i| self.headers()[i].value.bytes()) }
    }
}
