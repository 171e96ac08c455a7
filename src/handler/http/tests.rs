//! The amount of work per input, in bytes examined rather than time. The connections here have no socket.

use super::*;
use crate::net::{close, conn, mgr};
use crate::proto::meter;

#[derive(Default)]
struct Seen {
    heads: usize,
    messages: usize,
    body: usize,
    /// Answer later: `is_resp` stays.
    later: bool,
    /// Bytes that each answer has.
    answer: usize,
    /// Delete each message after its answer.
    consumes: bool,
    /// Where the stack of the handler was.
    lowest: usize,
    highest: usize,
}

unsafe extern "C" fn note(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    // SAFETY: fn_data is the Seen of the test, HTTP events carry messages.
    unsafe {
        let seen = &mut *(*c).fn_data.cast::<Seen>();
        let here = (&raw const ev) as usize;
        seen.heads += usize::from(ev == MG_EV_HTTP_HDRS);
        if ev == MG_EV_HTTP_MSG {
            (seen.lowest, seen.highest) = (seen.lowest.min(here), seen.highest.max(here));
            seen.messages += 1;
            let hm = &*data.cast::<mg_http_message>();
            seen.body += hm.body.len;
            let c = ConnRef::new(c);
            output::append_bytes(c, &vec![b'.'; seen.answer]);
            c.update(|f| f.set_resp(seen.later));
            if seen.consumes {
                iobuf::del(c.recv(), 0, hm.message.len);
            }
        }
    }
}

/// A server's connection, or a client's.
struct Stage {
    mgr: Box<mg_mgr>,
    c: ConnRef,
    seen: Box<Seen>,
}

impl Stage {
    fn new(server: bool) -> Stage {
        // SAFETY: all-zero is a valid manager for init; the connection is freed by its close.
        unsafe {
            let mut mgr: Box<mg_mgr> = Box::new(core::mem::zeroed());
            mgr::init(&raw mut *mgr);
            let c = ConnRef::new(conn::alloc(&raw mut *mgr));
            let engine = c.engine().unwrap();
            conn::attach(engine, c);
            engine.enter();
            c.update(|f| if server { f.set_accepted(true) } else { f.set_client(true) });
            install(c);
            let mut seen = Box::new(Seen { lowest: usize::MAX, ..Seen::default() });
            c.set_handler(Some(note));
            c.set_handler_data((&raw mut *seen).cast());
            meter::take();
            Stage { mgr, c, seen }
        }
    }

    fn event(&self, ev: c_int, n: usize) {
        let mut n = n as c_long;
        // SAFETY: the connection is alive.
        unsafe { handler(self.c.as_ptr(), ev, (&raw mut n).cast()) };
    }

    /// As the poll loop does: a read, and later a poll.
    fn feed(&self, data: &[u8]) {
        // SAFETY: the connection's own buffer.
        unsafe { iobuf::add(self.c.recv(), self.c.recv_len(), data.as_ptr(), data.len()) };
        self.event(MG_EV_READ, data.len());
        self.event(MG_EV_POLL, 0);
    }

    fn feed_each(&self, data: &[u8], size: usize) {
        data.chunks(size).for_each(|piece| self.feed(piece));
    }

    fn sent(&self) {
        // SAFETY: the connection's own buffer.
        unsafe { iobuf::del(self.c.send(), 0, usize::MAX) };
        self.event(MG_EV_WRITE, 0);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let engine = self.c.engine().unwrap();
        close::close(self.c);
        engine.exit();
        // SAFETY: initialised above.
        unsafe { mgr::free(&raw mut *self.mgr) };
    }
}

const MEGABYTE: usize = 1 << 20;

#[test]
fn a_head_received_byte_by_byte_is_parsed_once() {
    let head = format!("GET /{} HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(MEGABYTE), "b\t".repeat(MEGABYTE));
    let s = Stage::new(true);
    s.feed_each(&head.as_bytes()[..head.len() - 1], 1);
    // Searches resume at the byte where they stopped, or at a tab.
    assert!(meter::take() < head.len() * 3 + 16);
    (0..1000).for_each(|_| s.event(MG_EV_POLL, 0));
    assert!(meter::take() < 5000);
    s.feed(b"\n");
    assert!(meter::take() < head.len() * 5);
    assert_eq!((s.seen.heads, s.seen.messages), (1, 1));
}

#[test]
fn a_malformed_head_is_parsed_once() {
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\nX: \0\r\n{}\r\n", "A: b\r\n".repeat(MEGABYTE / 6));
    let s = Stage::new(true);
    s.feed_each(&head.as_bytes()[..head.len() - 1], 1);
    // Each read and each poll examines the last two bytes again.
    assert!(meter::take() < head.len() * 6);
    s.feed(b"\n");
    assert!(meter::take() < head.len() * 4);
    assert!(s.c.flags().is_draining() && s.c.send_len() > 0);
    assert_eq!((s.seen.heads, s.seen.messages), (0, 0));
}

#[test]
fn a_body_received_byte_by_byte_is_not_parsed() {
    let head = format!("POST / HTTP/1.1\r\nContent-Length: {MEGABYTE}\r\nA: {}\r\n\r\n", "b".repeat(1000));
    let s = Stage::new(true);
    s.feed(head.as_bytes());
    s.feed_each(&vec![0; MEGABYTE], 1);
    assert!(meter::take() < head.len() * 10);
    assert_eq!((s.seen.heads, s.seen.messages, s.seen.body), (1, 1, MEGABYTE));
}

#[test]
fn tiny_chunks_are_parsed_once() {
    for size in [1, 1000, MEGABYTE] {
        let body = "1\r\nx\r\n".repeat(100_000) + "0\r\n\r\n";
        let s = Stage::new(true);
        s.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        s.feed_each(body.as_bytes(), size);
        assert!(meter::take() < body.len() * 2 + 1000, "in pieces of {size}");
        assert_eq!((s.seen.heads, s.seen.messages, s.seen.body), (1, 1, 100_000));
    }
}

#[test]
fn pipelined_requests_are_handled_in_batches_of_bounded_depth() {
    const REQUESTS: usize = 100_000;
    let mut s = Stage::new(true);
    s.seen.answer = 1;
    let request = b"GET / HTTP/1.1\r\n\r\n";
    s.feed(&request.repeat(REQUESTS));
    assert_eq!(s.seen.messages, 2 * BATCH);
    let mut polls = 0;
    while s.c.recv_len() > 0 {
        s.event(MG_EV_POLL, 0);
        polls += 1;
        assert_eq!(s.seen.messages, (BATCH * (polls + 2)).min(REQUESTS));
    }
    assert_eq!((s.seen.heads, s.seen.messages, s.c.send_len()), (REQUESTS, REQUESTS, REQUESTS));
    assert!(meter::take() < REQUESTS * request.len() * 5);
    assert!(s.seen.highest - s.seen.lowest < 1000, "handlers inside handlers");
}

#[test]
fn requests_wait_while_the_client_does_not_read() {
    let mut s = Stage::new(true);
    s.seen.answer = OUTPUT_MAX / 10;
    s.feed(&b"GET / HTTP/1.1\r\n\r\n".repeat(25));
    assert!(s.seen.messages == 10 || s.seen.messages == 11);
    let first = s.seen.messages;
    (0..10).for_each(|_| s.event(MG_EV_POLL, 0));
    assert_eq!(s.seen.messages, first);
    s.sent();
    assert_eq!(s.seen.messages, 2 * first);
    s.sent();
    assert_eq!((s.seen.messages, s.c.recv_len()), (25, 0));
    assert!(!s.c.rec().unwrap().http.write_throttled.get());
}

#[test]
fn requests_after_an_unanswered_one_wait() {
    let mut s = Stage::new(true);
    s.seen.later = true;
    s.feed(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nbad\r\n\r\n");
    (0..10).for_each(|_| s.event(MG_EV_POLL, 0));
    assert_eq!(s.seen.messages, 1);
    s.c.update(|f| f.set_resp(false));
    s.event(MG_EV_POLL, 0);
    assert_eq!(s.seen.messages, 2);
    assert!(!s.c.flags().is_draining());
}

#[test]
fn a_request_that_the_handler_deletes_may_be_the_last() {
    for (text, messages, ends) in [
        ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", 2, false),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 1, true),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n", 1, true),
    ] {
        let mut s = Stage::new(true);
        (s.seen.answer, s.seen.consumes) = (1, true);
        s.feed(text.as_bytes());
        assert_eq!((s.seen.messages, s.c.send_len(), s.c.flags().is_draining()), (messages, messages, ends));
    }
}

/// A reverse proxy clears `is_resp` and answers later. A refusal would be taken for that answer.
#[test]
fn a_refusal_is_not_sent_in_place_of_a_pending_response() {
    let bad = b"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n";
    for answer in [0, 10] {
        let mut s = Stage::new(true);
        s.seen.answer = answer;
        s.feed(b"GET / HTTP/1.1\r\n\r\n");
        s.feed(bad);
        assert!(s.c.flags().is_draining());
        assert_eq!(s.c.send_len() > answer, answer > 0);
    }
}

#[test]
fn responses_to_a_client_are_handled_at_once() {
    let s = Stage::new(false);
    s.feed(&b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n".repeat(10 * BATCH));
    assert_eq!((s.seen.messages, s.c.recv_len()), (10 * BATCH, 0));
}
