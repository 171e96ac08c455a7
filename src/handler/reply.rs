//! HTTP replies and chunks written by the library.

use super::connection_close::{CLOSE, KEEP_ALIVE, add_connection_close, has_connection, says_close};
use super::http;
use crate::abi::va_list;
use crate::ffi_util::bytes;
use crate::net::engine::{CloseAfter, ConnState, DrainBegins, Phase, Reason};
use crate::net::event::error;
use crate::net::handle::ConnRef;
use crate::net::output;
use crate::proto::num::decimal;
use crate::sys::log::Line;
use core::ffi::{c_char, c_int};
use core::fmt::Write;

/// The reason phrase of a status code; empty if there is none.
pub(crate) fn phrase(code: c_int) -> &'static str {
    match code {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Payload Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        444 => "Connection Closed Without Response",
        451 => "Unavailable For Legal Reasons",
        499 => "Client Closed Request",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        599 => "Network Connect Timeout Error",
        _ => "",
    }
}

/// True if a reply written now is the last of its connection and must announce the close.
fn is_last(c: ConnRef, rec: &ConnState) -> bool {
    if c.engine().is_none_or(|e| e.compat.get()) {
        return false;
    }
    if c.flags().is_draining() {
        return true;
    }
    let http = http::is_http(c);
    match http::closes(c, rec) {
        CloseAfter::No => false,
        // An immediate response is the last one, whatever follows in the buffer; so is one to a request of which some is not read.
        CloseAfter::Asked => http && (rec.dispatching.get() || rec.http.phase.get() == Phase::Refused || !http::has_more(c, rec)),
        CloseAfter::Http10 => http && !http::has_more(c, rec),
    }
}

/// The Connection header for a head with this status and these headers, unless the application supplies one.
fn connection_line(c: ConnRef, rec: Option<&ConnState>, code: c_int, headers: &[u8]) -> &'static [u8] {
    let Some(rec) = rec.filter(|_| code != 101) else { return b"" };
    let line = if is_last(c, rec) {
        CLOSE
    } else if rec.http.keep_alive.get() && c.engine().is_some_and(|e| !e.compat.get()) {
        // Without the header an HTTP/1.0 client expects the connection to close.
        KEEP_ALIVE
    } else {
        return b"";
    };
    if has_connection(headers) { b"" } else { line }
}

/// Records the head that ends at the current end of `c->send`: `Connection: close` may have to be added to it later.
fn remember(c: ConnRef, rec: Option<&ConnState>, code: c_int, headers: &[u8], start: usize, line: &[u8]) {
    if let Some(rec) = rec {
        let last = line == CLOSE;
        rec.close_announced.set(last || says_close(headers));
        rec.http.kept.set(line == KEEP_ALIVE);
        let at = (!last && code != 101).then(|| (rec.sent.get() + start as u64, c.send_len() - start));
        rec.http.head_at.set(at);
        rec.drain_begins.set(at.map(|_| add_connection_close as DrainBegins));
    }
}

/// The current request is HEAD: its response has no body, only the length.
fn is_head_only(c: ConnRef) -> bool {
    c.rec().is_some_and(|rec| rec.http.head_only.get())
}

/// Removes everything after `start` from `c->send`.
fn cut(c: ConnRef, start: usize) {
    // SAFETY: the connection's own buffer, which becomes shorter.
    unsafe { (*c.send()).len = start.min(c.send_len()) };
}

/// Appends status line, headers and a length to be filled in by [`set_length`]. Returns the position of the length.
fn begin(c: ConnRef, code: c_int, headers: &[u8]) -> Option<usize> {
    let rec = c.rec();
    let line = connection_line(c, rec, code, headers);
    let start = c.send_len();
    let queued = if code == 200 {
        output::append_parts(c, &[b"HTTP/1.1 200 OK\r\n", headers, line, LENGTH])
    } else {
        let mut code_text = [0; 20];
        output::append_parts(
            c,
            &[
                b"HTTP/1.1 ",
                if code < 0 { b"-" } else { b"" },
                decimal(&mut code_text, code.unsigned_abs().into()),
                b" ",
                phrase(code).as_bytes(),
                b"\r\n",
                headers,
                line,
                LENGTH,
            ],
        )
    };
    if !queued {
        error(c, format_args!("OOM"));
        return None;
    }
    remember(c, rec, code, headers, start, line);
    Some(c.send_len() - 15)
}

/// Maximum number of parts of a head.
const MOST_PARTS: usize = 9;

/// Appends a head: status line and header lines as they are in `parts`, and the blank line. `headers` is the part of them that may have a
/// Connection header: what the application supplies. Some(true) if it is the last of its connection.
pub(crate) fn lines(c: ConnRef, code: c_int, parts: &[&[u8]], headers: &[u8]) -> Option<bool> {
    let rec = c.rec();
    let line = connection_line(c, rec, code, headers);
    let start = c.send_len();
    let mut all: [&[u8]; MOST_PARTS + 2] = [b""; MOST_PARTS + 2];
    all[..parts.len()].copy_from_slice(parts);
    [all[MOST_PARTS], all[MOST_PARTS + 1]] = [line, b"\r\n"];
    if !output::append_parts(c, &all) {
        error(c, format_args!("OOM"));
        return None;
    }
    remember(c, rec, code, headers, start, line);
    Some(line == CLOSE)
}

/// End of a head, with ten columns and a blank for the length.
const LENGTH: &[u8] = b"Content-Length:            \r\n\r\n";

/// Writes a body length into its ten columns; the blank takes an eleventh digit.
fn set_length(c: ConnRef, at: usize, len: usize) {
    let mut memory = [0; 20];
    let digits = decimal(&mut memory, len as u64);
    // SAFETY: the connection's own buffer.
    let out = unsafe { bytes::slice_mut(c.send_info().buf, c.send_len()) };
    if let Some(field) = out.get_mut(at..at + digits.len()).filter(|f| f.len() <= 11) {
        field.copy_from_slice(digits);
    }
}

/// The response is complete: the next request may be handled.
pub(crate) fn complete(c: ConnRef) {
    c.update(|f| f.set_resp(false));
    if let Some(rec) = c.rec() {
        rec.http.answered.set(true);
        if !rec.dispatching.get() {
            http::close_when_answered(c, rec);
            http::look_again(c, rec);
            if let Some(e) = c.engine() {
                // A response to HEAD completes without output, and may be the last one.
                e.touch(rec);
            }
        }
    }
}

/// A reply with this body; only the head for a HEAD request.
pub(crate) fn text(c: ConnRef, code: c_int, headers: &[u8], body: &[u8], head_only: bool) {
    let Some(at) = begin(c, code, headers) else { return };
    set_length(c, at, body.len());
    if !head_only && !is_head_only(c) && !output::append_bytes(c, body) {
        return error(c, format_args!("OOM"));
    }
    complete(c);
}

/// A reply without a body.
pub(crate) fn head(c: ConnRef, code: c_int, headers: &[u8]) {
    text(c, code, headers, b"", false);
}

/// The library's one-line response to a refused request. The connection is draining.
pub(crate) fn refusal(c: ConnRef, code: c_int) {
    let Some(at) = begin(c, code, &[]) else { return };
    let text = phrase(code);
    if is_head_only(c) || output::append_parts(c, &[text.as_bytes(), b"\n"]) {
        set_length(c, at, text.len() + 1);
    }
    complete(c);
}

/// Responds to a request that exceeded a limit, and closes the connection.
pub(crate) fn over_limit(c: ConnRef, rec: &ConnState, status: c_int, reason: Reason) {
    rec.reason.set(reason);
    c.update(|f| f.set_draining(true));
    if rec.http.phase.get() != Phase::Body {
        // The method is not known yet.
        rec.http.head_only.set(false);
    }
    if cfg!(feature = "http") {
        refusal(c, status);
    }
    if let Some(e) = c.engine() {
        e.touch(rec);
    }
}

/// See `mg_http_reply`.
///
/// # Safety
/// `body` and `ap` fit each other.
pub(crate) unsafe fn reply(c: ConnRef, code: c_int, headers: &[u8], body: *const c_char, ap: *mut va_list) {
    let Some(at) = begin(c, code, headers) else { return };
    let start = c.send_len();
    // The head has already prepared the connection for output.
    // SAFETY: the connection's own buffer; the rest is the caller's.
    let n = unsafe { crate::fmt::to_iobuf(c.send(), body, ap) };
    if n.is_none() {
        error(c, format_args!("OOM"));
    }
    set_length(c, at, n.unwrap_or(0));
    if is_head_only(c) {
        cut(c, start);
    }
    complete(c);
}

/// See `mgx_http_reply`.
pub(crate) fn reply_bytes(c: ConnRef, code: c_int, headers: &[u8], body: &[u8]) {
    let Some(at) = begin(c, code, headers) else { return };
    set_length(c, at, body.len());
    if is_head_only(c) || output::append_bytes(c, body) {
        complete(c);
    } else {
        error(c, format_args!("OOM"));
    }
}

/// Begins a chunked response. See `mgx_http_begin`.
pub(crate) fn begin_chunked(c: ConnRef, code: c_int, headers: &[u8]) {
    let mut code_text = [0; 20];
    let code_text = decimal(&mut code_text, code.unsigned_abs().into());
    let parts: [&[u8]; 7] =
        [b"HTTP/1.1 ", code_text, b" ", phrase(code).as_bytes(), b"\r\n", headers, b"Transfer-Encoding: chunked\r\n"];
    lines(c, code, &parts, headers);
}

/// Appends one chunk; an empty one ends the response. See `mg_http_write_chunk`.
pub(crate) fn write_chunk(c: ConnRef, data: &[u8]) {
    let mut size = Line::<20>::new();
    let _ = write!(size, "{:x}\r\n", data.len());
    if !is_head_only(c) && !output::append_parts(c, &[size.as_bytes(), data, b"\r\n"]) {
        return error(c, format_args!("OOM"));
    }
    if data.is_empty() {
        complete(c);
    } else {
        http::written(c);
    }
}

/// See `mg_http_printf_chunk`.
///
/// # Safety
/// `fmt` and `ap` fit each other.
pub(crate) unsafe fn printf_chunk(c: ConnRef, fmt: *const c_char, ap: *mut va_list) {
    let start = c.send_len();
    let ok = output::append_bytes(c, b"00000000\r\n");
    // SAFETY: the connection's own buffer; the rest is the caller's.
    let n = if ok { unsafe { crate::fmt::to_iobuf(c.send(), fmt, ap) } } else { None };
    let (Some(n), true) = (n, n.is_some() && output::append_bytes(c, b"\r\n")) else {
        cut(c, start);
        return error(c, format_args!("OOM"));
    };
    // SAFETY: as above.
    let out = unsafe { bytes::slice_mut(c.send_info().buf, c.send_len()) };
    if let Some(field) = out.get_mut(start..start + 8) {
        for (i, digit) in field.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(n >> (28 - 4 * i)) & 15];
        }
    }
    if is_head_only(c) {
        cut(c, start);
    }
    if n == 0 {
        complete(c);
    } else {
        http::written(c);
    }
}

#[cfg(test)]
mod tests {
    use super::phrase;
    use crate::memory::prelude::*;

    #[test]
    fn phrases_belong_to_their_codes() {
        let all: Vec<String> = (0..1000).filter(|c| !phrase(*c).is_empty()).map(|c| format!("{c} {}", phrase(c))).collect();
        let want = "\
            100 Continue
            101 Switching Protocols
            102 Processing
            200 OK
            201 Created
            202 Accepted
            203 Non-authoritative Information
            204 No Content
            205 Reset Content
            206 Partial Content
            207 Multi-Status
            208 Already Reported
            226 IM Used
            300 Multiple Choices
            301 Moved Permanently
            302 Found
            303 See Other
            304 Not Modified
            305 Use Proxy
            307 Temporary Redirect
            308 Permanent Redirect
            400 Bad Request
            401 Unauthorized
            402 Payment Required
            403 Forbidden
            404 Not Found
            405 Method Not Allowed
            406 Not Acceptable
            407 Proxy Authentication Required
            408 Request Timeout
            409 Conflict
            410 Gone
            411 Length Required
            412 Precondition Failed
            413 Payload Too Large
            414 Request-URI Too Long
            415 Unsupported Media Type
            416 Requested Range Not Satisfiable
            417 Expectation Failed
            418 I'm a teapot
            421 Misdirected Request
            422 Unprocessable Entity
            423 Locked
            424 Failed Dependency
            426 Upgrade Required
            428 Precondition Required
            429 Too Many Requests
            431 Request Header Fields Too Large
            444 Connection Closed Without Response
            451 Unavailable For Legal Reasons
            499 Client Closed Request
            500 Internal Server Error
            501 Not Implemented
            502 Bad Gateway
            503 Service Unavailable
            504 Gateway Timeout
            505 HTTP Version Not Supported
            506 Variant Also Negotiates
            507 Insufficient Storage
            508 Loop Detected
            510 Not Extended
            511 Network Authentication Required
            599 Network Connect Timeout Error";
        assert_eq!(all, want.lines().map(str::trim).collect::<Vec<_>>());
    }
}
