//! HTTP messages: parsing, variables, credentials, multipart.

use crate::{
    abi::{MG_MAX_HTTP_HEADERS, mg_http_message, mg_http_part, mg_str},
    ffi_util::{
        bytes::{cstr, slice, slice_mut},
        http_message,
    },
    proto::{creds, http, multipart, urlcodec},
};
use core::{
    ffi::{c_char, c_int, c_uchar},
    ptr,
};

/// Parses the head of the HTTP request or response at `s` into `*hm`, which is zeroed first. Returns the length of the head,
/// including the blank line; 0 if it is incomplete, -1 if it is malformed. `*hm` is filled only if the result is positive. May be
/// called from any thread.
///
/// Strings in `*hm` point into `s` and are not NUL-terminated. `hm->body.buf` points to the first byte after the head.
/// `hm->body.len` is the Content-Length, whether or not the bytes have arrived, and `hm->message.len` includes it; both are
/// `(size_t) -1` for a response that lasts until the connection closes. `hm->query` is `{NULL, 0}` if the URI has no `?`. In a
/// response `hm->method` is the version, `hm->uri` the status and `hm->proto` the reason phrase.
///
/// Lines may end in CRLF or LF. At most `MG_MAX_HTTP_HEADERS` headers are stored; unused entries are zero. Ambiguous messages are
/// malformed: repeated Content-Length, Transfer-Encoding, Authorization, Cookie or Connection; Content-Length together with
/// Transfer-Encoding or not a plain number; either of them after the last header stored; a stray CR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_parse(s: *const c_char, len: usize, hm: *mut mg_http_message) -> c_int {
    // SAFETY: s covers len bytes, hm is the caller's struct.
    unsafe { http_message::parse(s.cast(), len, MG_MAX_HTTP_HEADERS, hm) }
}

/// Returns the length of the request or response head at `buf`, including the blank line; 0 if it is incomplete, -1 if it
/// contains a byte not allowed in a head. `buf` may be NULL if `buf_len` is 0. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_get_request_len(buf: *const c_uchar, buf_len: usize) -> c_int {
    // SAFETY: buf covers buf_len bytes.
    match http::request_len(unsafe { slice(buf, buf_len) }) {
        Ok(len) => c_int::try_from(len.unwrap_or(0)).unwrap_or(-1),
        Err(http::Malformed) => -1,
    }
}

/// Returns the value of the first header called `name`, ignoring case, or NULL if there is none. The result points into `*hm`;
/// its length may be 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_get_header(hm: *mut mg_http_message, name: *const c_char) -> *mut mg_str {
    require!(hm, ptr::null_mut());
    // SAFETY: hm is a parsed message of the caller, name is a C string.
    unsafe {
        match (*hm).header_index(cstr(name)) {
            Some(i) => (&raw const (*hm).headers()[i].value).cast_mut(),
            None => ptr::null_mut(),
        }
    }
}

/// Returns the status code of a parsed response: the number at the start of `hm->uri`, 0 if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_status(hm: *const mg_http_message) -> c_int {
    require!(hm, 0);
    // SAFETY: hm is a parsed message of the caller.
    http::status(unsafe { (*hm).uri.bytes() })
}

/// Returns the value of the first variable called `name`, ignoring case, in a query string or form such as `a=1&b=2`. The result
/// points into `buf` and is still URL-encoded. `{NULL, 0}` if there is none. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_var(buf: mg_str, name: mg_str) -> mg_str {
    // SAFETY: both cover their bytes.
    unsafe { urlcodec::var(buf.bytes(), name.bytes()).map_or(mg_str::NULL, mg_str::of) }
}

/// Copies the decoded value of a query string or form variable to `dst`, NUL-terminated. Returns its length, which may be 0, or a
/// negative value: -1 if `buf` is empty or `name` is NULL, -2 if `dst` is NULL or `dst_len` is 0, -3 if the value is badly
/// encoded or does not fit with its NUL, -4 if there is no such variable. `dst` is an empty string after -1 and -4, unspecified
/// after -3. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_get_var(buf: *const mg_str, name: *const c_char, dst: *mut c_char, dst_len: usize) -> c_int {
    if dst.is_null() || dst_len == 0 {
        return -2;
    }
    // SAFETY: dst covers dst_len bytes, of which there is one at least; buf and name cover theirs.
    unsafe {
        *dst = 0;
        if buf.is_null() || name.is_null() || (*buf).buf.is_null() || (*buf).len == 0 {
            return -1;
        }
        match urlcodec::var((*buf).bytes(), cstr(name)) {
            None => -4,
            Some(value) => match mg_url_decode(value.as_ptr().cast(), value.len(), dst, dst_len, 1) {
                -1 => -3,
                len => len,
            },
        }
    }
}

/// Decodes `%XX` in the `n` bytes at `s`, and `+` to a space if `form` is not 0, to a NUL-terminated string at `to`. Returns its
/// length, or -1 if a `%` is not followed by two hex digits or if the result and its NUL exceed `to_len` bytes; `to` may then be
/// partly written. `to` may equal `s`. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_decode(s: *const c_char, n: usize, to: *mut c_char, to_len: usize, form: c_int) -> c_int {
    // No more than this is written, and to_len may be larger than the buffer.
    let room = if to.is_null() { 0 } else { to_len.min(n.saturating_add(1)) };
    let (from, dst) = (s as usize, to as usize);
    let overlap = n > 0 && from < dst.saturating_add(room) && dst < from.saturating_add(n);
    // SAFETY: s covers n bytes and to covers room. When they overlap, one slice covers both, so nothing is borrowed twice.
    let len = unsafe {
        if overlap {
            let low = from.min(dst);
            let (src, dst) = (from - low..from - low + n, dst - low..dst - low + room);
            let both = if from < to as usize { s.cast_mut() } else { to };
            urlcodec::decode_within(slice_mut(both.cast(), src.end.max(dst.end)), src, dst, form != 0)
        } else {
            urlcodec::decode(slice(s.cast(), n), slice_mut(to.cast(), room), form != 0)
        }
    };
    len.ok().and_then(|len| c_int::try_from(len).ok()).unwrap_or(-1)
}

/// Percent-encodes the `n` bytes at `s` to a NUL-terminated string at `buf`: letters, digits and `.` `_` `-` `~` stay, other
/// bytes become `%xx`. Returns its length, or 0 if it does not fit in `len` bytes. Each character needs 5 free bytes, so `3 * n +
/// 3` bytes always suffice. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_encode(s: *const c_char, n: usize, buf: *mut c_char, len: usize) -> usize {
    let room = len.min(n.saturating_mul(3).saturating_add(5));
    // SAFETY: s covers n bytes, buf covers len; they are different memory.
    unsafe { urlcodec::encode(slice(s.cast(), n), slice_mut(buf.cast(), room)).unwrap_or(0) }
}

/// Returns the value of parameter `v` in a header value such as `form-data; name="x"`, without quotes. The result points into
/// `s`. `{NULL, 0}` if there is none. The name is case-sensitive and must start a word: `name` does not match in `filename`. May
/// be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_get_header_var(s: mg_str, v: mg_str) -> mg_str {
    // SAFETY: both cover their bytes.
    unsafe { http::parameter(s.bytes(), v.bytes()).map_or(mg_str::NULL, mg_str::of) }
}

/// Copies the credentials of a request to `user` and `pass`, NUL-terminated and truncated to their sizes; empty if there are
/// none. Uses the first of: `Authorization: Basic`; `Authorization: Bearer`, the `access_token` cookie, and the query variable
/// `access_token`, which set only `pass`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_creds(
    hm: *mut mg_http_message,
    user: *mut c_char,
    userlen: usize,
    pass: *mut c_char,
    passlen: usize,
) {
    // SAFETY: hm is a parsed message of the caller; user and pass are different buffers of the given sizes.
    unsafe {
        let Some(hm) = hm.as_ref() else {
            let both = [(user, userlen), (pass, passlen)];
            both.into_iter().filter(|(to, len)| !to.is_null() && *len > 0).for_each(|(to, _)| *to = 0);
            return super::log_null();
        };
        let (user, pass) = (slice_mut(user.cast(), userlen), slice_mut(pass.cast(), passlen));
        creds::creds(hm.header(b"Authorization"), hm.header_lines(b"Cookie"), hm.query.bytes(), user, pass);
    }
}

/// Finds the part of a `multipart/form-data` body whose boundary line is at or after `ofs`. Pass 0 for the first part. Returns
/// the offset to pass for the next part, or 0 if there is no part. Strings in `*part` point into `body`; `name` and `filename`
/// are `{NULL, 0}` if the part has none, and all members are if there is no part. `part` may be NULL. May be called from any
/// thread.
///
/// The boundary is the first line that starts with two dashes and is followed by a part; up to 16 KiB of text before it, and text
/// after the closing boundary, are skipped. A part ends at a line that consists of the boundary and optional blanks; a part
/// without such a line is not returned.
///
/// ```c
/// struct mg_http_part part;
/// size_t ofs = 0;
/// while ((ofs = mg_http_next_multipart(hm->body, ofs, &part)) > 0) { ... }
/// ```
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_next_multipart(body: mg_str, ofs: usize, part: *mut mg_http_part) -> usize {
    // SAFETY: body covers its bytes.
    let found = multipart::next(unsafe { body.bytes() }, ofs);
    if !part.is_null() {
        let text = |s: Option<&[u8]>| s.map_or(mg_str::NULL, mg_str::of);
        let (name, filename, body) = found.as_ref().map_or((None, None, None), |p| (p.name, p.filename, Some(p.body)));
        // SAFETY: part is the caller's struct.
        unsafe { *part = mg_http_part { name: text(name), filename: text(filename), body: text(body) } };
    }
    found.map_or(0, |p| p.next)
}
