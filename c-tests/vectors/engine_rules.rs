//! Rules of the engine that no vector covers: numbers of polls, sleeping, and actions of handlers.

// Every block calls a C function with what its prototype asks for, or looks at a connection of a manager that is alive.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::net::*;
use libtest_mimic::Trial;
use mongoose::abi::*;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_int, c_void};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub fn trials(trials: &mut Vec<Trial>) {
    let rules: [(&str, fn()); 38] = [
        ("budget: UDP echo", udp_echo),
        ("budget: HTTP request and answer", http_answer),
        ("budget: HTTP answer of 37 KB", http_large_answer),
        ("budget: 261887 bytes sent and echoed", http_echo),
        ("budget: two requests in one segment", two_requests),
        ("budget: a good and a malformed request in one segment", good_then_malformed),
        ("budget: two chunked answers, each over 30 MG_EV_POLL", slow_chunks),
        ("budget: chunked POST and its answer", chunked_post),
        ("budget: refused connect", refused),
        ("budget: timer of 0 ms", timer),
        ("listening on a malformed address", malformed_listen),
        ("a client that gives up gets what is due and MG_EV_CLOSE in one poll", give_up),
        ("MG_EV_POLL comes once per connection and poll", poll_once),
        ("is_full stops reading without spinning", full),
        ("is_full hides the end of the stream without spinning", full_at_end),
        ("a transfer of twice MG_MAX_RECV_SIZE, held back with is_full", transfer),
        ("empty datagrams are ignored", empty_datagrams),
        ("mg_close_conn from every event", close_from_every_event),
        ("mg_close_conn between polls", close_between_polls),
        ("mg_close_conn of a connection that the program made itself", close_own_connection),
        ("is_closing set on another connection", close_another),
        ("mg_mgr_free from every event", free_from_every_event),
        ("mg_mgr_free from MG_EV_CLOSE of a drained connection closes its socket", free_while_draining),
        ("mg_mgr_free twice, and of a zero-filled manager", free_twice),
        ("mg_mgr_free closes what is opened in MG_EV_CLOSE", free_closes_new),
        ("mg_mgr_free closes what clears is_closing", free_closes_stubborn),
        ("is_closing cleared in MG_EV_ERROR", error_cleared),
        ("buffers freed in every event", buffers_freed),
        ("buffers resized in every event", buffers_resized),
        ("handlers replaced during an event", handlers_replaced),
        ("mg_mgr_poll from every event", nested_polls),
        ("mg_wakeup from threads", wakeup_threads),
        ("mg_wakeup: several messages and targets", wakeup_targets),
        ("mg_wakeup ends a poll", wakeup_ends_poll),
        ("output queued on a connection already serviced is sent in the same poll", send_to_earlier),
        ("MG_EV_WRITE that queues more: one send a poll, no sleep", write_more),
        ("output queued between polls: one send a poll", write_more_from_outside),
        ("accept without descriptors does not spin", no_descriptors),
    ];
    for (name, rule) in rules {
        let name = format!("engine: {name}");
        trials.push(Trial::test(name, move || {
            rule();
            Ok(())
        }));
    }
}

fn set_full(c: Conn, on: bool) {
    c.set(|f| f.set_full(on));
}

fn draining(c: Conn) {
    c.set(|f| f.set_draining(true));
}

fn closing(c: Conn) {
    c.set(|f| f.set_closing(true));
}

/// A peer of the program's own.
fn connect(listener: Conn) -> TcpStream {
    let peer = TcpStream::connect(("127.0.0.1", listener.port())).unwrap();
    peer.set_nonblocking(true).unwrap();
    peer
}

/// What has arrived at a peer so far; None at the end of the stream.
fn arrived(mut peer: &TcpStream) -> Option<Vec<u8>> {
    let mut buf = vec![0; 1 << 20];
    match peer.read(&mut buf) {
        Ok(0) => None,
        Ok(n) => Some(buf[..n].to_vec()),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Some(Vec::new()),
        Err(_) => None,
    }
}

// ---- budgets

fn udp_echo() {
    let seen = RefCell::new(Vec::new());
    let m = Manager::new();
    let listener = m.listen("udp://127.0.0.1:0", |c, ev, _| {
        if ev == MG_EV_READ {
            seen.borrow_mut().push("listener READ");
            c.send(&c.take());
        }
    });
    m.connect(&format!("udp://127.0.0.1:{}", listener.port()), |c, ev, _| match ev {
        MG_EV_CONNECT => {
            seen.borrow_mut().push("CONNECT");
            c.send(b"hi");
        }
        MG_EV_WRITE => seen.borrow_mut().push("WRITE"),
        MG_EV_READ => {
            seen.borrow_mut().push("READ");
            assert_eq!(c.take(), b"hi");
        }
        _ => {}
    });
    (0..5).for_each(|_| m.poll(1));
    assert_eq!(*seen.borrow(), ["CONNECT", "WRITE", "listener READ", "READ"]);
}

/// Sends `request` from a client of the same manager; returns the bodies of `answers` answers and how many polls they took.
fn fetch(request: &[u8], answers: usize, ms: c_int, server: impl Fn(Conn, c_int, *mut c_void)) -> (Vec<Vec<u8>>, i32) {
    let (bodies, closed) = (RefCell::new(Vec::new()), Cell::new(false));
    let m = Manager::new();
    let listener = m.http_listen(server);
    m.http_connect(listener.port(), |c, ev, data| match ev {
        MG_EV_CONNECT => assert!(c.send(request)),
        MG_EV_HTTP_MSG => bodies.borrow_mut().push(text(message(data).body)),
        MG_EV_CLOSE => closed.set(true),
        _ => {}
    });
    while bodies.borrow().len() < answers && !closed.get() && m.polls.get() < 1000 {
        m.poll(ms);
    }
    let polls = m.polls.get();
    if !closed.get() {
        // Nothing wakes the connections up any more.
        (0..3).for_each(|_| m.poll(1));
        assert!(timed(&m, 30) >= Duration::from_millis(25));
    }
    drop(m);
    (bodies.take(), polls)
}

fn reply_on_message(c: Conn, ev: c_int, _: *mut c_void) {
    if ev == MG_EV_HTTP_MSG {
        c.reply(200, b"answer");
    }
}

fn echo_on_message(c: Conn, ev: c_int, data: *mut c_void) {
    if ev == MG_EV_HTTP_MSG {
        c.reply(200, &text(message(data).body));
    }
}

fn http_answer() {
    let (bodies, polls) = fetch(b"GET / HTTP/1.1\r\n\r\n", 1, 1, reply_on_message);
    assert_eq!(bodies, [b"answer"]);
    assert!(polls <= 7, "{polls} polls");
}

fn http_large_answer() {
    let page = vec![b'x'; 37_000];
    let (bodies, polls) = fetch(b"GET / HTTP/1.1\r\n\r\n", 1, 1, |c, ev, _| {
        if ev == MG_EV_HTTP_MSG {
            c.reply(200, &page);
        }
    });
    assert!(bodies == [&page[..]]);
    assert!(polls <= 7, "{polls} polls");
}

fn http_echo() {
    let body: Vec<u8> = (0..261_887u32).map(|i| (i * 7 % 251) as u8 + 1).collect();
    let request = [format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    let (bodies, polls) = fetch(&request, 1, 1, echo_on_message);
    assert!(bodies == [body]);
    assert!(polls <= 100, "{polls} polls");
}

fn two_requests() {
    let (bodies, polls) = fetch(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", 2, 1, reply_on_message);
    assert_eq!(bodies, [b"answer", b"answer"]);
    assert!(polls <= 20, "{polls} polls");
}

fn good_then_malformed() {
    let (bodies, polls) = fetch(b"GET /1 HTTP/1.1\r\n\r\nInvalid\r\n\r\n", 2, 1, reply_on_message);
    assert_eq!(bodies, [b"answer"]);
    assert!(polls <= 20, "{polls} polls until the close");
}

fn slow_chunks() {
    let polls_left = Cell::new(0);
    let (bodies, polls) = fetch(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", 2, 1, |c, ev, _| match ev {
        MG_EV_HTTP_MSG => {
            c.print(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            polls_left.set(31);
        }
        MG_EV_POLL if c.flags.is_accepted() && polls_left.get() > 0 => {
            polls_left.set(polls_left.get() - 1);
            c.print_chunk(if polls_left.get() > 0 { b"." } else { b"" });
        }
        _ => {}
    });
    assert_eq!(bodies, [[b'.'; 30], [b'.'; 30]]);
    assert!(polls <= 100, "{polls} polls");
}

fn chunked_post() {
    let request = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let (bodies, polls) = fetch(request, 1, 5, echo_on_message);
    assert_eq!(bodies, [b"abcdefg"]);
    assert!(polls <= 20, "{polls} polls");
}

fn refused() {
    let (_fd, port) = refused_port();
    let error = RefCell::new(String::new());
    let m = Manager::new();
    m.connect(&format!("tcp://127.0.0.1:{port}"), |_, ev, data| {
        if ev == MG_EV_ERROR {
            *error.borrow_mut() = c_text(data);
        }
    });
    (0..200).take_while(|_| error.borrow().is_empty()).for_each(|_| m.poll(10));
    assert_eq!(*error.borrow(), "socket error");
}

fn timer() {
    unsafe extern "C" fn add_one(n: *mut c_void) {
        unsafe { *n.cast::<i32>() += 1 }
    }
    let mut called = 0;
    let m = Manager::new();
    unsafe {
        mg_timer_add(m.raw, 0, MG_TIMER_ONCE as u32, Some(add_one), (&raw mut called).cast());
        m.poll(0);
        assert!((*m.raw).timers.is_null());
    }
    drop(m);
    assert_eq!(called, 1);
}

fn malformed_listen() {
    let m = Manager::new();
    assert!(m.listen("invalid:31:14", |_, _, _| {}).0.is_null());
    assert!(m.conns().is_empty());
}

fn give_up() {
    // Nothing arrived yet; half of the body arrived; a head without length; the head of an answer to HEAD.
    type Case = (&'static str, &'static [u8], Option<&'static [u8]>);
    let cases: [Case; 4] = [
        ("GET", b"", None),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", None),
        ("GET", b"HTTP/1.1 200 OK\r\n\r\n", Some(b"")),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", Some(b"")),
    ];
    for (method, answer, want) in cases {
        for polls in [0, 20] {
            let (body, events) = (RefCell::new(None), RefCell::new(Vec::new()));
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let m = Manager::new();
            let c = m.http_connect(listener.local_addr().unwrap().port(), |c, ev, data| {
                events.borrow_mut().push(ev);
                if ev == MG_EV_CONNECT {
                    assert!(c.send(format!("{method} / HTTP/1.1\r\n\r\n").as_bytes()));
                }
                if ev == MG_EV_HTTP_MSG {
                    *body.borrow_mut() = Some(text(message(data).body));
                }
            });
            let mut peer = listener.accept().unwrap().0;
            if polls > 0 {
                m.until("the request", || events.borrow().contains(&MG_EV_WRITE));
            }
            peer.write_all(answer).unwrap();
            (0..polls).for_each(|_| m.poll(1));
            closing(c);
            m.poll(1);
            let seen = events.borrow().len();
            assert_eq!(events.borrow().last(), Some(&MG_EV_CLOSE));
            assert_eq!(body.borrow().as_deref(), if polls > 0 { want } else { None });
            (0..3).for_each(|_| m.poll(1));
            assert_eq!(events.borrow().len(), seen, "an event after MG_EV_CLOSE");
        }
    }
}

fn poll_once() {
    let (times, pfn_times) = (RefCell::new(BTreeMap::new()), RefCell::new(BTreeMap::new()));
    let note = |times: &RefCell<BTreeMap<usize, u32>>, c: Conn, ev| {
        if ev == MG_EV_POLL {
            *times.borrow_mut().entry(c.0 as usize).or_default() += 1;
        }
    };
    let handler = |c: Conn, ev, _| note(&times, c, ev);
    let m = Manager::new();
    let listener = m.listen("tcp://127.0.0.1:0", handler);
    let http = m.http_listen(handler);
    m.listen("udp://127.0.0.1:0", handler);
    let mut peers = Vec::new();
    for i in 0..30 {
        if i % 3 == 0 {
            peers.push(connect(listener));
            peers.push(connect(http));
            let mut c = m.connect(&format!("tcp://127.0.0.1:{}", listener.port()), handler);
            c.pfn = Some(run_pfn);
            c.pfn_data = m.handler(|c, ev, _| note(&pfn_times, c, ev));
        }
        peers.iter_mut().for_each(|p| p.write_all(b"G").unwrap());
        let before: BTreeSet<usize> = m.conns().iter().map(|c| c.0 as usize).collect();
        times.borrow_mut().clear();
        pfn_times.borrow_mut().clear();
        m.poll(1);
        assert_eq!(times.borrow().keys().copied().collect::<BTreeSet<_>>(), before);
        assert!(times.borrow().values().all(|n| *n == 1));
        assert!(pfn_times.borrow().values().all(|n| *n == 1) && pfn_times.borrow().len() == i / 3 + 1);
    }
    // Nothing is in flight any more: the counts are those of idle connections.
    (0..5).for_each(|_| m.poll(1));
    times.borrow_mut().clear();
    m.poll(1);
    assert!(times.borrow().len() == m.conns().len() && times.borrow().values().all(|n| *n == 1));
}

// ---- is_full

/// Polls once; returns how long it took.
fn timed(m: &Manager, ms: c_int) -> Duration {
    let start = Instant::now();
    m.poll(ms);
    start.elapsed()
}

fn full() {
    let (accepted, read) = (Cell::new(None), RefCell::new(Vec::new()));
    let m = Manager::new();
    let listener = m.listen("tcp://127.0.0.1:0", |c, ev, _| match ev {
        MG_EV_ACCEPT => {
            accepted.set(Some(c));
            set_full(c, true);
        }
        MG_EV_READ => read.borrow_mut().extend(c.take()),
        _ => {}
    });
    let mut peer = connect(listener);
    m.until("accept", || accepted.get().is_some());
    let c = accepted.get().unwrap();
    for _ in 0..2 {
        peer.write_all(b"hello").unwrap();
        m.poll(20);
        let slept = timed(&m, 200);
        assert!(slept >= Duration::from_millis(190), "slept {slept:?}");
        assert!(read.borrow().is_empty());
        set_full(c, false);
        m.poll(1000);
        assert_eq!(read.take(), b"hello");
        set_full(c, true);
    }
    // Writing goes on.
    assert!(c.send(b"out"));
    m.poll(0);
    assert_eq!(arrived(&peer).unwrap(), b"out");
}

fn full_at_end() {
    let (accepted, events) = (Cell::new(None), RefCell::new(Vec::new()));
    let m = Manager::new();
    let listener = m.listen("tcp://127.0.0.1:0", |c, ev, _| match ev {
        MG_EV_ACCEPT => {
            accepted.set(Some(c));
            set_full(c, true);
        }
        MG_EV_READ | MG_EV_CLOSE | MG_EV_ERROR if !c.flags.is_listening() => events.borrow_mut().push(ev),
        _ => {}
    });
    let mut peer = connect(listener);
    m.until("accept", || accepted.get().is_some());
    peer.write_all(b"last words").unwrap();
    drop(peer);
    m.poll(20);
    let slept = timed(&m, 100);
    assert!(slept >= Duration::from_millis(95), "slept {slept:?}");
    assert!(events.borrow().is_empty());
    set_full(accepted.get().unwrap(), false);
    m.poll(1000);
    m.poll(0);
    assert_eq!(*events.borrow(), [MG_EV_READ, MG_EV_CLOSE]);
}

fn transfer() {
    const TOTAL: usize = 2 * MG_MAX_RECV_SIZE;
    let data: Vec<u8> = (0..TOTAL as u64).map(|i| (i * 31 % 251) as u8).collect();
    let (got, waited, stops) = (RefCell::new(Vec::<u8>::new()), Cell::new(0), Cell::new(0));
    let m = Manager::new();
    let listener = m.listen("tcp://127.0.0.1:0", |mut c, ev, _| match ev {
        MG_EV_ACCEPT => assert!(unsafe { mg_iobuf_resize(&mut c.recv, MG_MAX_RECV_SIZE - MG_IO_SIZE) }),
        MG_EV_READ => {
            assert!(c.recv.len <= MG_MAX_RECV_SIZE && c.recv.size <= MG_MAX_RECV_SIZE);
            if c.recv.len == MG_MAX_RECV_SIZE {
                set_full(c, true);
                stops.set(stops.get() + 1);
                waited.set(0);
            }
        }
        MG_EV_POLL if c.flags.is_accepted() => {
            assert!(!c.flags.is_full() || c.recv.len == MG_MAX_RECV_SIZE);
            waited.set(waited.get() + 1);
            let all = got.borrow().len() + c.recv.len == TOTAL;
            if all || c.flags.is_full() && waited.get() > 10 {
                let n = c.recv.len.min(MG_MAX_RECV_SIZE / 3);
                got.borrow_mut().extend(&c.received()[..n]);
                unsafe { mg_iobuf_del(&mut c.recv, 0, n) };
                set_full(c, false);
            }
        }
        MG_EV_ERROR | MG_EV_CLOSE if got.borrow().len() < TOTAL => panic!("closed after {}", got.borrow().len()),
        _ => {}
    });
    m.connect(&format!("tcp://127.0.0.1:{}", listener.port()), |c, ev, _| {
        if ev == MG_EV_CONNECT {
            assert!(c.send(&data));
        }
    });
    m.until("the whole transfer", || got.borrow().len() == TOTAL);
    assert!(*got.borrow() == data);
    assert!(stops.get() >= 2, "never full");
}

fn empty_datagrams() {
    let events = RefCell::new(Vec::new());
    let m = Manager::new();
    let note = |c: Conn, ev, _| {
        if [MG_EV_READ, MG_EV_ERROR, MG_EV_CLOSE].contains(&ev) {
            events.borrow_mut().push((ev, c.take()));
        }
    };
    let listener = m.listen("udp://127.0.0.1:0", note);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = m.connect(&format!("udp://{}", peer.local_addr().unwrap()), note);
    assert!(client.send(b"?"));
    let (_, client_addr) = peer.recv_from(&mut [0; 8]).unwrap();
    for to in [std::net::SocketAddr::from(([127, 0, 0, 1], listener.port())), client_addr] {
        (0..40).for_each(|_| assert_eq!(peer.send_to(b"", to).unwrap(), 0));
        peer.send_to(b"abc", to).unwrap();
        (0..10).for_each(|_| m.poll(1));
        assert_eq!(events.take(), [(MG_EV_READ, b"abc".to_vec())]);
        assert!(timed(&m, 50) >= Duration::from_millis(45));
    }
    assert_eq!(m.conns().len(), 2);
}

// ---- what handlers may do: one exchange with every kind of event, disturbed in every way

/// The events that `exchange` brings about.
const EVENTS: [c_int; 12] = [
    MG_EV_ERROR,
    MG_EV_OPEN,
    MG_EV_POLL,
    MG_EV_RESOLVE,
    MG_EV_CONNECT,
    MG_EV_ACCEPT,
    MG_EV_READ,
    MG_EV_WRITE,
    MG_EV_CLOSE,
    MG_EV_HTTP_HDRS,
    MG_EV_HTTP_MSG,
    MG_EV_WAKEUP,
];

/// HTTP, TCP, UDP, a wrapped socket, a refused client and a wakeup, all in one manager, `act` called on each event. However it
/// disturbs the exchange, each connection gets MG_EV_OPEN first, MG_EV_CLOSE last, and that once. Returns the answers that
/// the HTTP clients got.
fn exchange(act: impl Fn(Conn, c_int)) -> usize {
    let (events, answers, wrong) = (RefCell::new(BTreeMap::<_, Vec<c_int>>::new()), Cell::new(0), RefCell::new(Vec::new()));
    let handler = |c: Conn, ev, data| {
        // On a connection that is closed, only what its own MG_EV_CLOSE brings may come.
        events.borrow_mut().entry(c.id).or_default().push(ev);
        match ev {
            MG_EV_HTTP_MSG => {
                let hm = message(data);
                let (line, body) = (text(hm.uri), text(hm.body));
                if c.flags.is_client() {
                    answers.set(answers.get() + usize::from(line == b"200" && body == b"body"));
                } else if line == b"/echo" {
                    c.reply(200, &body);
                } else {
                    wrong.borrow_mut().push(line);
                }
            }
            MG_EV_CONNECT if c.pfn.is_some() => {
                c.send(b"POST /echo HTTP/1.1\r\nContent-Length: 4\r\n\r\nbo");
                c.print(b"dyPOST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n");
            }
            MG_EV_CONNECT => assert!(c.send(b"ping") || c.flags.is_udp()),
            MG_EV_READ if c.pfn.is_none() && !c.flags.is_client() => _ = c.send(&c.take()),
            _ => {}
        }
        act(c, ev);
    };
    let (_fd, port) = refused_port();
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(b"abc").unwrap();
    let m = Manager::new();
    unsafe { mg_wakeup_init(m.raw) };
    // A listener may be gone as soon as it, or the next one, is open.
    let port_of = |c: Conn| if c.0.is_null() { port } else { c.port() };
    let tcp = port_of(m.listen("tcp://127.0.0.1:0", handler));
    let http = port_of(m.http_listen(handler));
    let listener = m.listen("udp://127.0.0.1:0", handler);
    let udp = port_of(listener);
    if !listener.0.is_null() {
        unsafe { mg_wakeup(m.raw, listener.id, c"wake".as_ptr().cast(), 4) };
    }
    m.wrap(far, handler);
    m.connect(&format!("tcp://127.0.0.1:{port}"), handler);
    for _ in 0..2 {
        m.http_connect(http, handler);
        m.connect(&format!("tcp://127.0.0.1:{tcp}"), handler);
        m.connect(&format!("udp://127.0.0.1:{udp}"), handler);
    }
    (0..25).for_each(|_| m.poll(0));
    m.conns().into_iter().for_each(close_with_reset);
    m.free();
    assert!(m.conns().is_empty());
    drop(m);
    assert_eq!(wrong.take(), Vec::<Vec<u8>>::new(), "request lines");
    for (id, list) in events.take() {
        let count = |ev| list.iter().filter(|e| **e == ev).count();
        let in_order = list[0] == MG_EV_OPEN && list.last() == Some(&MG_EV_CLOSE);
        assert!(in_order && count(MG_EV_OPEN) == 1 && count(MG_EV_CLOSE) == 1, "connection {id}: {list:?}");
    }
    answers.get()
}

/// So that thousands of exchanges do not use up the ports of the machine: a reset leaves none waiting.
fn close_with_reset(c: Conn) {
    let reset = libc::linger { l_onoff: 1, l_linger: 0 };
    let (p, len) = ((&raw const reset).cast(), size_of_val(&reset) as libc::socklen_t);
    unsafe { libc::setsockopt(c.fd as usize as c_int, libc::SOL_SOCKET, libc::SO_LINGER, p, len) };
}

/// Runs the exchange again and again, each time with `act` on another single event: the first of its kind, the second, ...
fn on_each_event(act: impl Fn(Conn)) {
    for event in EVENTS {
        for nth in 0..8 {
            let seen = Cell::new(0);
            exchange(|c, ev| {
                if ev == event && seen.replace(seen.get() + 1) == nth {
                    act(c);
                }
            });
            assert!(seen.get() > 0, "event {event} was not delivered");
            if seen.get() <= nth {
                break;
            }
        }
    }
}

fn close_from_every_event() {
    assert_eq!(exchange(|_, _| {}), 4);
    let newer = |c: Conn| list(c.mgr).into_iter().take_while(|o| *o != c).last();
    let older = |c: Conn| Some(Conn(c.next)).filter(|o| !o.0.is_null() && list(c.mgr).contains(o));
    let close = |c: Option<Conn>| {
        if let Some(c) = c {
            c.close_now()
        }
    };
    // Afterwards the closed connection is still readable and takes calls.
    on_each_event(|c| {
        c.close_now();
        c.close_now();
        c.send(b"late");
        assert!(c.id > 0 && list(c.mgr).iter().all(|o| *o != c));
    });
    on_each_event(|c| close(newer(c)));
    on_each_event(|c| close(older(c)));
    on_each_event(|c| c.others().into_iter().for_each(Conn::close_now));
    on_each_event(|c| list(c.mgr).into_iter().for_each(Conn::close_now));
    // Each MG_EV_CLOSE closes its neighbours.
    for event in EVENTS {
        let begun = Cell::new(false);
        exchange(|c, ev| {
            if ev == event || ev == MG_EV_CLOSE && begun.get() {
                begun.set(true);
                if ev != MG_EV_CLOSE {
                    return c.close_now();
                }
                close(list(c.mgr).first().copied());
                close(list(c.mgr).get(1).copied());
            }
        });
    }
}

fn close_between_polls() {
    let events = RefCell::new(Vec::new());
    let m = Manager::new();
    let listener = m.listen("tcp://127.0.0.1:0", |c, ev, _| {
        if !c.flags.is_listening() && ev != MG_EV_POLL {
            events.borrow_mut().push(ev);
        }
    });
    let mut peer = connect(listener);
    m.until("accept", || m.conns().len() == 2);
    m.conns()[0].close_now();
    assert_eq!(*events.borrow(), [MG_EV_OPEN, MG_EV_ACCEPT, MG_EV_CLOSE]);
    assert_eq!(m.conns(), [listener]);
    m.poll(0);
    assert_eq!(arrived(&peer), None);
    let _ = peer.write_all(b"into the void");
    m.poll(0);
    assert_eq!(events.borrow().len(), 3);
}

fn close_own_connection() {
    let events = RefCell::new(Vec::new());
    let m = Manager::new();
    for at_once in [true, false] {
        let mut c = Conn(unsafe { mg_alloc_conn(m.raw) });
        c.r#fn = Some(run);
        c.fn_data = m.handler(|_, ev, _| events.borrow_mut().push(ev));
        c.next = unsafe { (*m.raw).conns };
        unsafe { (*m.raw).conns = c.0 };
        m.poll(0);
        if at_once {
            c.close_now();
            assert_eq!(events.take(), [MG_EV_POLL, MG_EV_CLOSE]);
        } else {
            closing(c);
            m.poll(0);
            assert_eq!(events.take(), [MG_EV_POLL, MG_EV_POLL, MG_EV_CLOSE]);
        }
        assert!(m.conns().is_empty());
    }
}

/// A connection later in the list closes in the same poll, an earlier one in the next.
fn close_another() {
    for (from, polls) in [(0, 0), (2, 1)] {
        let (closed, order) = (Cell::new(None), Cell::new(false));
        let polls_now = Rc::<Cell<i32>>::default();
        let m = Manager::counting(polls_now.clone());
        let listener = m.listen("tcp://127.0.0.1:0", |c, ev, _| match ev {
            MG_EV_POLL if order.get() && c == list(c.mgr)[from] => {
                order.set(false);
                closing(list(c.mgr)[1]);
            }
            MG_EV_CLOSE => closed.set(Some(polls_now.get())),
            _ => {}
        });
        let _peers = [connect(listener), connect(listener)];
        m.until("accept", || m.conns().len() == 3);
        order.set(true);
        m.poll(0);
        let ordered = m.polls.get();
        assert!(timed(&m, 1000) < Duration::from_millis(900) || polls == 0);
        assert_eq!(closed.get(), Some(ordered + polls));
    }
}

fn free_from_every_event() {
    on_each_event(|c| unsafe {
        let mgr = c.mgr;
        mg_mgr_free(mgr);
        assert!((*mgr).conns.is_null() && c.id > 0);
        mg_mgr_poll(mgr, 0);
        mg_mgr_free(mgr);
    });
}

fn free_while_draining() {
    let m = Manager::new();
    let listener = m.listen("tcp://127.0.0.1:0", |c, ev, _| match ev {
        MG_EV_ACCEPT => draining(c),
        MG_EV_CLOSE if !c.flags.is_listening() => unsafe { mg_mgr_free(c.mgr) },
        _ => {}
    });
    let mut peer = connect(listener);
    let start = Instant::now();
    while !m.conns().is_empty() {
        m.poll(1);
    }
    assert_eq!(arrived(&peer), None);
    // Closed, not only shut down: it answers data with a reset.
    let error = loop {
        match peer.write_all(b"x") {
            Ok(()) => assert!(start.elapsed() < Duration::from_secs(5), "the socket is still open"),
            Err(e) => break e.kind(),
        }
    };
    assert!([ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&error), "{error}");
}

fn free_twice() {
    let m = Manager::new();
    m.listen("tcp://127.0.0.1:0", |_, _, _| {});
    m.free();
    m.poll(0);
    m.free();
    let mut zero: mg_mgr = unsafe { std::mem::zeroed() };
    unsafe {
        mg_mgr_poll(&mut zero, 0);
        mg_mgr_free(&mut zero);
        mg_mgr_free(&mut zero);
    }
    assert!(zero.conns.is_null() && zero.timers.is_null());
}

fn free_closes_new() {
    let (opened, closed) = (Cell::new(0), Cell::new(0));
    let m = Manager::new();
    m.listen("tcp://127.0.0.1:0", |c, ev, _| match ev {
        MG_EV_OPEN => opened.set(opened.get() + 1),
        MG_EV_CLOSE => {
            closed.set(closed.get() + 1);
            if opened.get() < 10 {
                unsafe {
                    mg_listen(c.mgr, c"udp://127.0.0.1:0".as_ptr(), c.r#fn, c.fn_data);
                    mg_connect(c.mgr, c"tcp://127.0.0.1:1".as_ptr(), c.r#fn, c.fn_data);
                }
            }
        }
        _ => {}
    });
    m.free();
    assert!(m.conns().is_empty());
    drop(m);
    assert!(opened.get() >= 10 && opened.get() == closed.get(), "{} opened, {} closed", opened.get(), closed.get());
}

fn free_closes_stubborn() {
    let closed = Cell::new(0);
    let (_fd, port) = refused_port();
    let m = Manager::new();
    let stubborn = |c: Conn, ev, _| {
        c.set(|f| f.set_closing(false));
        closed.set(closed.get() + i32::from(ev == MG_EV_CLOSE));
    };
    m.listen("tcp://127.0.0.1:0", stubborn);
    m.connect(&format!("tcp://127.0.0.1:{port}"), stubborn);
    m.free();
    assert!(m.conns().is_empty());
    assert_eq!(closed.get(), 2);
}

fn error_cleared() {
    let (errors, read) = (Cell::new(0), RefCell::new(Vec::new()));
    let keep = |c: Conn, ev, _| match ev {
        MG_EV_ERROR => {
            errors.set(errors.get() + 1);
            c.set(|f| f.set_closing(false));
        }
        MG_EV_READ => {
            read.borrow_mut().extend(c.take());
            if read.borrow().len() == 1 {
                c.error("never mind");
            }
        }
        _ => {}
    };
    let (_fd, port) = refused_port();
    let m = Manager::new();
    // An error of the program's own: the connection goes on.
    let listener = m.listen("tcp://127.0.0.1:0", keep);
    let mut peer = connect(listener);
    peer.write_all(b"1").unwrap();
    m.until("the error", || errors.get() == 1);
    peer.write_all(b"2").unwrap();
    m.until("more data", || *read.borrow() == b"12");
    // A failed socket: reported once, kept without spinning, closed in the end.
    let c = m.connect(&format!("tcp://127.0.0.1:{port}"), keep);
    m.until("socket error", || errors.get() == 2);
    (0..5).for_each(|_| m.poll(1));
    assert_eq!(errors.get(), 2, "the error is repeated");
    assert!(m.conns().contains(&c));
    assert!(timed(&m, 50) >= Duration::from_millis(45));
    m.free();
    assert!(m.conns().is_empty());
}

fn buffers_freed() {
    let acts: [fn(Conn); 4] = [
        |mut c| unsafe { mg_iobuf_free(&mut c.recv) },
        |mut c| unsafe { mg_iobuf_free(&mut c.send) },
        |mut c| c.recv.len = 0,
        |mut c| c.send.len = 0,
    ];
    for act in acts {
        on_each_event(act);
        exchange(|c, _| act(c));
    }
}

fn buffers_resized() {
    for size in [0, 1, 16, 5000, 16384, 16385, 100_000] {
        for which in 0..3 {
            // Never so small that data is lost: the exchange must not notice.
            let answers = exchange(|mut c, _| unsafe {
                if which != 1 {
                    let n = size.max(c.recv.len);
                    assert!(mg_iobuf_resize(&mut c.recv, n));
                }
                if which != 0 {
                    let n = size.max(c.send.len);
                    assert!(mg_iobuf_resize(&mut c.send, n));
                }
            });
            assert_eq!(answers, 4, "size {size}, buffer {which}");
        }
    }
    // In one kind of event only, so that the buffers move there.
    for event in EVENTS {
        let answers = exchange(|mut c, ev| {
            if ev == event {
                assert!(unsafe { mg_iobuf_resize(&mut c.recv, 100_000) && mg_iobuf_resize(&mut c.send, 100_000) });
            }
        });
        assert_eq!(answers, 4, "event {event}");
    }
    exchange(|mut c, _| unsafe {
        mg_iobuf_resize(&mut c.recv, 1);
        mg_iobuf_resize(&mut c.send, 1);
    });
}

fn handlers_replaced() {
    unsafe extern "C" fn run_nested_poll(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
        unsafe { run(c, ev, data) }
    }
    // The protocol handler's choice of `fn` holds for the same event.
    let seen = RefCell::new(Vec::new());
    let m = Manager::new();
    let [first, second] = ["first", "second"].map(|name| {
        m.handler({
            let seen = &seen;
            move |_, ev, _| seen.borrow_mut().push((name, ev))
        })
    });
    let pfn = m.handler(move |mut c, ev, _| match ev {
        MG_EV_USER => c.fn_data = second,
        MG_EV_POLL => c.r#fn = None,
        _ => {}
    });
    let mut c = m.listen("udp://127.0.0.1:0", |_, _, _| {});
    (c.fn_data, c.pfn_data) = (first, pfn);
    c.pfn = Some(run_pfn);
    unsafe { mg_call(c.0, MG_EV_WAKEUP, NO_DATA) };
    unsafe { mg_call(c.0, MG_EV_USER, NO_DATA) };
    m.poll(0);
    assert_eq!(*seen.borrow(), [("first", MG_EV_WAKEUP), ("second", MG_EV_USER)]);
    drop(m);

    // Without the HTTP handler the rest is raw data; without any handler nobody minds.
    let read = RefCell::new(Vec::new());
    let m = Manager::new();
    let listener = m.http_listen(|mut c, ev, _| match ev {
        MG_EV_HTTP_MSG => {
            c.reply(200, b"");
            c.pfn = None;
        }
        MG_EV_READ if c.pfn.is_none() => read.borrow_mut().extend(c.take()),
        _ => {}
    });
    let mut peer = connect(listener);
    peer.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    m.until("the answer", || !arrived(&peer).unwrap().is_empty());
    read.borrow_mut().clear();
    peer.write_all(b"raw").unwrap();
    m.until("raw data", || *read.borrow() == b"raw");
    drop(m);
    for event in EVENTS {
        exchange(|mut c, ev| {
            if ev == event {
                c.pfn = None;
            }
        });
        exchange(|mut c, ev| {
            if ev == event {
                c.r#fn = Some(run_nested_poll);
            }
        });
    }
}

fn nested_polls() {
    let depth = Cell::new(0);
    for event in EVENTS {
        exchange(|c, ev| {
            if ev == event && depth.get() < 2 {
                depth.set(depth.get() + 1);
                unsafe { mg_mgr_poll(c.mgr, 0) };
                depth.set(depth.get() - 1);
            }
        });
    }
    on_each_event(|c| unsafe { mg_mgr_poll(c.mgr, 0) });
    // Closed by an inner poll.
    on_each_event(|c| {
        list(c.mgr).into_iter().for_each(closing);
        unsafe { mg_mgr_poll(c.mgr, 0) };
    });
}

// ---- mg_wakeup

fn wake(m: &Manager, id: std::ffi::c_ulong, data: &[u8]) -> bool {
    unsafe { mg_wakeup(m.raw, id, data.as_ptr().cast(), data.len()) }
}

fn wakeup_threads() {
    const EACH: usize = 500;
    let got = RefCell::new(vec![Vec::new(); 4]);
    let m = Manager::new();
    assert!(unsafe { mg_wakeup_init(m.raw) });
    let note = |_: Conn, ev, data: *mut c_void| {
        if ev == MG_EV_WAKEUP {
            let message = text(unsafe { *data.cast() });
            got.borrow_mut()[usize::from(message[0])].push(u16::from_ne_bytes([message[1], message[2]]));
        }
    };
    let ids = [m.listen("tcp://127.0.0.1:0", note).id, m.listen("udp://127.0.0.1:0", note).id];
    let mgr = m.raw as usize;
    std::thread::scope(|s| {
        for thread in 0..4u8 {
            s.spawn(move || {
                for n in 0..EACH as u16 {
                    let message = [&[thread][..], &n.to_ne_bytes(), &[0; 200]].concat();
                    let id = ids[usize::from(thread) % 2];
                    assert!(unsafe { mg_wakeup(mgr as *mut mg_mgr, id, message.as_ptr().cast(), message.len()) });
                }
            });
        }
        m.until("all messages", || got.borrow().iter().all(|list| list.len() == EACH));
    });
    (0..3).for_each(|_| m.poll(0));
    let all: Vec<u16> = (0..EACH as u16).collect();
    assert!(got.borrow().iter().all(|list| *list == all), "out of order");
}

fn wakeup_targets() {
    let got = RefCell::new(Vec::new());
    let m = Manager::new();
    assert!(unsafe { mg_wakeup_init(m.raw) });
    let own = m.conns()[0].id;
    let note = |name: &'static str| {
        let got = &got;
        move |_: Conn, ev, data: *mut c_void| {
            if ev == MG_EV_WAKEUP {
                got.borrow_mut().push((name, text(unsafe { *data.cast() })));
            }
        }
    };
    let (a, b) = (m.listen("tcp://127.0.0.1:0", note("a")).id, m.listen("tcp://127.0.0.1:0", note("b")).id);
    let most = MG_IO_SIZE - 8;
    for (id, message) in [
        (a, &b"1"[..]),
        (b, b"2"),
        (own, b"to itself"),
        (own, b""),
        (999, b"to nobody"),
        (a, b""),
        (b, &vec![7; most + 9]),
        (a, b"3"),
    ] {
        assert!(wake(&m, id, message));
    }
    (0..8).for_each(|_| m.poll(0));
    let want: [(&str, &[u8]); 5] = [("a", b"1"), ("b", b"2"), ("a", b""), ("b", &vec![7; most]), ("a", b"3")];
    assert_eq!(got.take().iter().map(|(n, t)| (*n, &t[..])).collect::<Vec<_>>(), want);
    // More targets than are looked up one by one; one of them goes before its message is delivered.
    let ids: Vec<_> = (0..20).map(|_| m.listen("udp://127.0.0.1:0", note("c")).id).collect();
    assert!(ids.iter().all(|id| wake(&m, *id, b"many")));
    m.conns()[0].close_now();
    (0..20).for_each(|_| m.poll(0));
    assert_eq!(got.borrow().len(), 19);
    // The connection of the mechanism itself may be closed like any other.
    m.conns().into_iter().find(|c| c.id == own).unwrap().close_now();
    assert_eq!(unsafe { (*m.raw).pipe.fd }, -1);
    assert!(!wake(&m, a, b"too late"));
    m.poll(0);
    assert_eq!(got.borrow().len(), 19);
}

fn wakeup_ends_poll() {
    let m = Manager::new();
    assert!(unsafe { mg_wakeup_init(m.raw) });
    let (mgr, own) = (m.raw as usize, m.conns()[0].id);
    m.poll(0);
    for _ in 0..3 {
        let slept = std::thread::scope(|s| {
            s.spawn(move || unsafe { mg_wakeup(mgr as *mut mg_mgr, own, NO_DATA, 0) });
            timed(&m, 5000)
        });
        assert!(slept < Duration::from_secs(4), "slept {slept:?}");
    }
    assert!(timed(&m, 50) >= Duration::from_millis(45), "the wakeup is still signalled");
}

// ---- output

fn send_to_earlier() {
    let (read, written) = (Cell::new(0), Cell::new(0));
    let polls = Rc::<Cell<i32>>::default();
    let m = Manager::counting(polls.clone());
    let listener = m.listen("tcp://127.0.0.1:0", |c, ev, _| match ev {
        MG_EV_READ => {
            read.set(polls.get());
            assert!(list(c.mgr)[0].send(&c.take()));
        }
        MG_EV_WRITE => written.set(polls.get()),
        _ => {}
    });
    let mut old = connect(listener);
    m.until("accept", || m.conns().len() == 2);
    let new = connect(listener);
    m.until("accept", || m.conns().len() == 3);
    old.write_all(b"pass it on").unwrap();
    m.until("read", || read.get() > 0);
    assert_eq!((read.get(), written.get()), (m.polls.get(), m.polls.get()));
    assert_eq!(arrived(&new).unwrap(), b"pass it on");
}

/// Output is queued by `first` or in MG_EV_POLL; each MG_EV_WRITE queues more, nine times.
fn writes_one_by_one(first: impl Fn(Conn), in_poll_event: bool) {
    let (writes, start) = (RefCell::new(Vec::new()), Cell::new(in_poll_event));
    let polls = Rc::<Cell<i32>>::default();
    let m = Manager::counting(polls.clone());
    let listener = m.listen("tcp://127.0.0.1:0", |c, ev, _| match ev {
        MG_EV_POLL if c.flags.is_accepted() && start.replace(false) => assert!(c.send(b"0")),
        MG_EV_WRITE => {
            writes.borrow_mut().push(polls.get());
            if writes.borrow().len() < 10 {
                assert!(c.send(b"1"));
            }
        }
        _ => {}
    });
    let peer = connect(listener);
    m.until("accept", || m.conns().len() == 2);
    first(m.conns()[0]);
    let (before, begun) = (m.polls.get(), Instant::now());
    m.poll(0);
    while writes.borrow().len() < 10 {
        m.poll(1000);
    }
    assert!(begun.elapsed() < Duration::from_millis(900), "the poll slept with output queued");
    let want: Vec<i32> = (writes.borrow()[0]..).take(10).collect();
    assert_eq!(*writes.borrow(), want);
    assert!(want[0] <= before + 1);
    assert_eq!(arrived(&peer).unwrap().len(), 10);
}

fn write_more() {
    writes_one_by_one(|_| {}, true);
}

fn write_more_from_outside() {
    writes_one_by_one(|c| assert!(c.send(b"0")), false);
}

// ---- descriptors

/// Set in the environment of a child process that runs one trial.
pub const CHILD: &str = "MONGOOSE_TEST_WITHOUT_DESCRIPTORS";

/// Runs in a process of its own, because the limit holds for all threads.
fn no_descriptors() {
    if std::env::var_os(CHILD).is_none() {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "engine: accept without descriptors does not spin", "--test-threads", "1"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        return assert!(child.status.success(), "{}", String::from_utf8_lossy(&[child.stdout, child.stderr].concat()));
    }
    let accepted = Cell::new(0);
    let m = Manager::new();
    let listener = m.listen("tcp://127.0.0.1:0", |_, ev, _| {
        if ev == MG_EV_ACCEPT {
            accepted.set(accepted.get() + 1);
        }
    });
    let _peers = [connect(listener), connect(listener)];
    let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    let (start, before) = (Instant::now(), m.polls.get());
    while start.elapsed() < Duration::from_millis(500) {
        m.poll(1000);
    }
    let polls = m.polls.get() - before;
    assert!(polls <= 20, "{polls} polls in half a second");
    assert_eq!(accepted.get(), 0);
    hoard.clear();
    m.until("accept", || accepted.get() == 2);
}
