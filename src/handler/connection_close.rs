//! Adds `Connection: close` to a reply head that the library wrote and that is still queued.

use crate::ffi_util::iobuf;
use crate::net::engine::ConnState;
use crate::net::handle::ConnRef;
use crate::proto::http::head;

pub(crate) const CLOSE: &[u8] = b"Connection: close\r\n";
pub(crate) const KEEP_ALIVE: &[u8] = b"Connection: keep-alive\r\n";

/// True if the header lines include a Connection header.
pub(crate) fn has_connection(headers: &[u8]) -> bool {
    const NAME: &[u8] = b"connection:";
    let is_name = |at: usize| headers[at] | 0x20 == b'c' && headers[at..at + NAME.len()].eq_ignore_ascii_case(NAME);
    // The last offset at which the name may begin.
    let Some(last) = headers.len().checked_sub(NAME.len()) else { return false };
    let mut at = 0;
    loop {
        if is_name(at) {
            return true;
        }
        // Header lines are short: not worth a memchr.
        at = head::next_line(&headers[..last], at);
        if at > last {
            return false;
        }
    }
}

/// True if the header lines say that the connection closes.
pub(crate) fn says_close(headers: &[u8]) -> bool {
    let close = |line: &[u8]| line.windows(5).any(|word| word.eq_ignore_ascii_case(b"close"));
    // Most replies have no such header: check all lines at once before each of them.
    has_connection(headers) && headers.split(|b| *b == b'\n').any(|line| has_connection(line) && close(line))
}

/// Adds the header to the last head queued by the library on this connection, if it is still intact and in place: handlers may
/// edit `c->send`.
pub(crate) fn add_connection_close(c: ConnRef, rec: &ConnState) {
    let Some((at, len)) = rec.http.head_at.take() else { return };
    if at < rec.http.mark.get() {
        // The head of an earlier response; the last one was written by the application, or does not exist yet.
        return;
    }
    let Some(ofs) = at.checked_sub(rec.sent.get()).and_then(|n| usize::try_from(n).ok()) else { return };
    if rec.http.kept.take() {
        return replace(c, rec, ofs, len);
    }
    // SAFETY: the connection's own buffer; the slice is gone before it changes.
    let Some(head) = (unsafe { queued_head(c, ofs, len) }) else { return };
    if head.starts_with(b"HTTP/1.1 ")
        && head.ends_with(b"\r\n\r\n")
        && !head.starts_with(b"HTTP/1.1 101")
        && !has_connection(head)
    {
        let end_of_headers = ofs + len - 2;
        // SAFETY: the connection's own buffer.
        let added = unsafe { iobuf::add(c.send(), end_of_headers, CLOSE.as_ptr(), CLOSE.len()) };
        rec.close_announced.set(added > 0);
    }
}

/// # Safety
/// The buffer does not change while the slice is used.
unsafe fn queued_head<'a>(c: ConnRef, ofs: usize, len: usize) -> Option<&'a [u8]> {
    // SAFETY: guaranteed by the caller.
    let queued = unsafe { c.send_info().data() };
    queued.get(ofs..ofs.checked_add(len)?)
}

/// Replaces a keep-alive header, sent for an HTTP/1.0 client, with its opposite.
#[cold]
fn replace(c: ConnRef, rec: &ConnState, ofs: usize, len: usize) {
    // SAFETY: the connection's own buffer; the slice is gone before it changes.
    let at =
        unsafe { queued_head(c, ofs, len) }.and_then(|head| head.windows(KEEP_ALIVE.len()).rposition(|line| line == KEEP_ALIVE));
    if let Some(at) = at {
        // SAFETY: the connection's own buffer. What is put there is shorter than what was taken away.
        unsafe {
            iobuf::del(c.send(), ofs + at, KEEP_ALIVE.len());
            let added = iobuf::add(c.send(), ofs + at, CLOSE.as_ptr(), CLOSE.len());
            rec.close_announced.set(added > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{has_connection, says_close};

    #[test]
    fn a_connection_header_is_found_in_any_case_and_only_as_a_name() {
        assert!(has_connection(b"A: b\r\ncOnnection: keep-alive\r\n"));
        assert!(has_connection(b"Connection:x"));
        assert!(has_connection(b"A: b\r\nConnection:"));
        assert!(!has_connection(b"X-Connection: a\r\nB: Connection: c\r\n"));
        assert!(!has_connection(b""));
        assert!(says_close(b"A: b\r\nConnection: Close\r\n"));
        assert!(!says_close(b"Connection: keep-alive\r\nX: close\r\n"));
    }
}
