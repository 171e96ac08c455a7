//! Requests that two parsers may read differently: none of them leads to a second request, however they arrive, and clients
//! that expect a response get one.

// Every block calls a C function with what its prototype asks for, or looks at a connection of a manager that is alive.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::lib::function;
use crate::net::*;
use crate::oracle::{self, Verdict};
use crate::reference;
use libtest_mimic::{Failed, Trial};
use mongoose::abi::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const LIMIT: usize = 3 << 20;

pub fn trials(trials: &mut Vec<Trial>) {
    for (name, rows) in
        [("heads", heads()), ("lengths", lengths()), ("chunks", chunks()), ("floods", floods()), ("leniency", lenient())]
    {
        let count = rows.len();
        trials.push(Trial::test(format!("smuggling: {name} ({count} rows)"), move || all(&rows)));
    }
    trials.push(Trial::test("smuggling: too large", || all(&large())));
    trials.push(Trial::test("smuggling: mutations", mutations));
    trials.push(Trial::test("smuggling: the reference parser", reference::check));
    trials.push(Trial::test("smuggling: mg_http_parse and httparse", second_opinion));
}

/// A client's expected response to the bytes of a row.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    /// One answer with this status, Connection: close, the end.
    Answer(u16),
    /// The end.
    Silent,
    /// Every request was answered; the connection stays.
    Open,
    /// The same, after so many answers.
    AnswerAfter(usize, u16),
    SilentAfter(usize),
}

struct Row {
    input: Vec<u8>,
    end: End,
    /// The bodies of the messages that are delivered.
    bodies: &'static [&'static str],
}

/// In a row, `@` stands for the start of a request that expects a response.
const START: &str = "POST /first HTTP/1.1\r\nHost: h\r\n";

fn row(text: &str, end: End, bodies: &'static [&'static str]) -> Row {
    Row { input: text.replace('@', START).into_bytes(), end, bodies }
}

/// A request, if the first one is misread.
const NEXT: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

/// Each text followed by a request: refused with `code`; dropped without a response if its Host line is missing.
fn refused(code: u16, texts: &[&str]) -> Vec<Row> {
    let both = |text: &&str| {
        let text = format!("{text}{NEXT}");
        let mute = text.replace('@', "POST /first HTTP/1.1\r\n");
        let old = text.replace('@', "POST /first HTTP/1.0\r\nHost: h\r\n");
        [row(&text, End::Answer(code), &[]), row(&mute, End::Silent, &[]), row(&old, End::Silent, &[])]
    };
    texts.iter().flat_map(both).collect()
}

fn heads() -> Vec<Row> {
    let mut rows = refused(
        400,
        &[
            "@A : b\r\n\r\n",
            "@A\t: b\r\n\r\n",
            "@Content-Length : 5\r\n\r\n",
            "@Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "@no colon\r\n\r\n",
            "@: b\r\n\r\n",
            "@ folded\r\n\r\n",
            "@A: b\r\n folded: c\r\n\r\n",
            "@A: b\r\n\tContent-Length: 5\r\n\r\n",
            "@A: b\rC: d\r\n\r\n",
            "@A: b\r\rContent-Length: 5\r\n\r\n",
            "@A: b\0\r\n\r\n",
            "@A\0: b\r\n\r\n",
            "@A: \u{1}b\r\n\r\n",
            "@\0\r\n\r\n",
            "@A(b): c\r\n\r\n",
            "@A/b: c\r\n\r\n",
            "@\"A\": c\r\n\r\n",
            "@A[]: c\r\n\r\n",
            "@Content-Length\u{b}: 5\r\n\r\n",
            "@\u{e9}: c\r\n\r\n",
            "@Content\u{2010}Length: 5\r\n\r\n",
            "@Content-Length\u{a0}: 5\r\n\r\n",
            "@Authorization: Basic a\r\nAuthorization: Basic a\r\n\r\n",
        ],
    );
    rows.extend([
        // The mistake stands before the Host line, or in the first one.
        row("GET / HTTP/1.1\r\nA: \0\r\nHost: h\r\n\r\n", End::Answer(400), &[]),
        row("GET / HTTP/1.1\r\nA : b\r\nhOST:h\r\n\r\n", End::Answer(400), &[]),
        row("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", End::Answer(400), &[]),
        row("GET / HTTP/1.1\rHost: h\r\n\r\n", End::Answer(400), &[]),
        row("GET / HTTP/1.1\r\nHost : h\r\n\r\n", End::Answer(400), &[]),
        row("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", End::Answer(400), &[]),
        row("GET ?x HTTP/1.1\r\nHost: h\r\n\r\n", End::Answer(400), &[]),
        row("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", End::Answer(400), &[]),
        // These are no request lines of HTTP/1.1.
        row("\r\n \r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", End::Silent, &[]),
        row(&format!("{}@\r\n", "\r\n".repeat(9)), End::Silent, &[]),
        row(&format!("@\r\n{}@\r\n", "\n".repeat(9)), End::SilentAfter(1), &[""]),
        row("\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", End::Silent, &[]),
        row("GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n", End::Answer(400), &[]),
        row("GET http://?a HTTP/1.1\r\nHost: h\r\n\r\n", End::Answer(400), &[]),
        row(" GET / HTTP/1.1\r\nHost: h\r\n\r\n", End::Silent, &[]),
        row("GE\0T / HTTP/1.1\r\nHost: h\r\n\r\n", End::Silent, &[]),
        row("GET /\r\nHost: h\r\n\r\n", End::Silent, &[]),
        row("GET / HTTP/1.1x\r\nHost: h\r\n\r\n", End::Silent, &[]),
        row("GET / HTTP/1.0\r\nA : b\r\nHost: h\r\n\r\n", End::Silent, &[]),
        row("HTTP/1.1 200 HTTP/1.1\r\nA : b\r\nHost: h\r\n\r\n", End::Silent, &[]),
        row("\u{16}\u{3}\u{1}", End::Silent, &[]),
        row("SSH-2.0-x\r\n\r\n", End::Silent, &[]),
        // After a good request: its answer is sent, and the one to the bad request, if there is to be one.
        row(&format!("@\r\nInvalid\r\n\r\n{NEXT}"), End::SilentAfter(1), &[""]),
        row(&format!("@\r\n@A : b\r\n\r\n{NEXT}"), End::AnswerAfter(1, 400), &[""]),
        row(&format!("@\r\n@\r\n@Content-Length: x\r\n\r\n{NEXT}"), End::AnswerAfter(2, 400), &["", ""]),
    ]);
    rows
}

fn lengths() -> Vec<Row> {
    let mut rows = refused(
        400,
        &[
            "@Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "@Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "@Content-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n",
            "@Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            "@Content-Length: 0\r\ncontent-length: 35\r\n\r\n",
            "@Content-Length: 5, 5\r\n\r\nhello",
            "@Content-Length: +5\r\n\r\nhello",
            "@Content-Length: -5\r\n\r\nhello",
            "@Content-Length: -0\r\n\r\n",
            "@Content-Length: 0x5\r\n\r\nhello",
            "@Content-Length: 5 5\r\n\r\nhello",
            "@Content-Length: 5;\r\n\r\nhello",
            "@Content-Length: \"5\"\r\n\r\nhello",
            "@Content-Length: 5.0\r\n\r\nhello",
            "@Content-Length: 1e1\r\n\r\nhello",
            "@Content-Length: \u{661}\r\n\r\nhello",
            "@Content-Length:\r\n\r\n",
            "@Content-Length: \t\r\n\r\n",
            "@Content-Length: 18446744073709551615\r\n\r\n",
            "@Content-Length: 18446744073709551616\r\n\r\n",
            "@Content-Length: 19000000000000000000\r\n\r\n",
            "@Content-Length: 18446744073709551600\r\n\r\n",
            "@Content-Length: 36893488147419103237\r\n\r\nhello",
            "@Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "@Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
    );
    let coded = |code: u16, values: &[&str]| -> Vec<Row> {
        let text = |value: &&str| format!("@Transfer-Encoding: {value}\r\n\r\n5\r\nhello\r\n0\r\n\r\n{NEXT}");
        values.iter().map(|v| row(&text(v), End::Answer(code), &[])).collect()
    };
    rows.extend(coded(501, &["gzip", "identity", "xchunked", "chunkedx", "chunke", "gzip, chunked", "x-chunked"]));
    rows.extend(coded(
        400,
        &[
            ",chunked",
            "chunked,",
            ", chunked",
            "chunked, chunked",
            "chunked, gzip",
            "chunked;a=b",
            "\"chunked\"",
            "",
            "chunked x",
            "=chunked",
        ],
    ));
    rows.extend(coded(400, &["\u{b}chunked", "chunked\0", "\rchunked", "chunked\r"]));
    rows.extend([
        row(&format!("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{NEXT}"), End::Silent, &[]),
        row(&format!("POST / HTTP/0.9\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{NEXT}"), End::Silent, &[]),
        row(&format!("POST / HTTP/2.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{NEXT}"), End::Silent, &[]),
        // What looks like a response is asked for its length.
        row(&format!("HTTP/1.1 200 OK\r\n\r\n{NEXT}"), End::Answer(411), &[]),
        row(&format!("HTTP/1.1 305 X\r\n\r\n{NEXT}"), End::Answer(411), &[]),
    ]);
    rows
}

fn chunks() -> Vec<Row> {
    let body = |text: &str, end: End, bodies: &'static [&'static str]| {
        row(&format!("@Transfer-Encoding: chunked\r\n\r\n{text}"), end, bodies)
    };
    let mut rows: Vec<Row> = [
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5h\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";a\r\nhello\r\n0\r\n\r\n",
        "?\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nA\n\r\n",
        "5\r\nhello\r\n0\r\nA : b\r\n\r\n",
        "5\r\nhello\r\n0\r\nA: b\n\r\n",
        "5\r\nhello\r\n0\r\nA: b\r\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;a\0\r\nhello\r\n0\r\n\r\n",
        "80000000\r\nhello\r\n0\r\n\r\n",
        "100000005\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    ]
    .iter()
    .map(|text| body(&format!("{text}{NEXT}"), End::Answer(400), &[]))
    .collect();
    rows.extend([
        row(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n?\r\n\r\n{NEXT}"), End::Silent, &[]),
        row(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n{NEXT}"), End::Silent, &[]),
        row(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n{NEXT}"), End::Silent, &[]),
        body("5\r\nhello\r\n0\r\n\r\n@\r\n", End::Open, &["hello", ""]),
        body("5;a=\"b;c\"\r\nhello\r\n0;x\r\n\r\n", End::Open, &["hello"]),
        body(
            "005\r\nhello\r\n9\r\n0\r\n\r\nGET \r\n000\r\nContent-Length: 5\r\n\r\n@\r\n",
            End::Open,
            &["hello0\r\n\r\nGET ", ""],
        ),
        body("b\r\n0\r\n\r\n\r\nGET \r\n0\r\n\r\n@\r\n", End::Open, &["0\r\n\r\n\r\nGET ", ""]),
    ]);
    rows
}

fn floods() -> Vec<Row> {
    let many = |n: usize, last: &str| format!("@{}{last}\r\n", (1..n).map(|i| format!("H{i}: v\r\n")).collect::<String>());
    let flood = |last: &str, end: End, bodies| row(&format!("{}{NEXT}", many(30, last)), end, bodies);
    const BODY: &str = "GET /";
    vec![
        flood("Content-Length : 5\r\n", End::Answer(400), &[]),
        flood(" Content-Length: 5\r\n", End::Answer(400), &[]),
        flood("A: b\rContent-Length: 5\r\n", End::Answer(400), &[]),
        flood("A: b\r\nContent-Length: x\r\n", End::Answer(400), &[]),
        flood("Content-Length: 5\r\nContent-Length: 5\r\n", End::Answer(400), &[]),
        flood("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", End::Answer(400), &[]),
        flood("A : b\r\n", End::Answer(400), &[]),
        flood("A\r\n", End::Answer(400), &[]),
        flood("A: b\rc\r\n", End::Answer(400), &[]),
        flood(": b\r\n", End::Answer(400), &[]),
        flood("A(b): c\r\n", End::Answer(400), &[]),
        // What frames the message counts wherever it stands. What looked like the next request is its body.
        flood("Content-Length: 5\r\n", End::AnswerAfter(1, 400), &[BODY]),
        flood("A: b\r\nContent-Length: 5\r\n", End::AnswerAfter(1, 400), &[BODY]),
        flood("transfer-encoding:chunked\r\n", End::Answer(400), &[]),
        flood("Transfer-Encoding: gzip\r\n", End::Answer(501), &[]),
        row(&format!("{}hello@\r\n", many(1000, "Content-Length: 5\r\n")), End::Open, &["hello", ""]),
        row(&format!("{}5\r\nhello\r\n0\r\n\r\n@\r\n", many(40, "Transfer-Encoding: chunked\r\n")), End::Open, &["hello", ""]),
        // More headers than there is room for are no mistake.
        flood("A: b\r\n", End::Open, &["", ""]),
        row(&format!("{}hello@\r\n", many(29, "Content-Length: 5\r\n")), End::Open, &["hello", ""]),
    ]
}

/// Inputs that must still be accepted.
fn lenient() -> Vec<Row> {
    vec![
        row("@\r\n@\r\n", End::Open, &["", ""]),
        row(&format!("{}@\r\n\r\n\n@\r\n", "\r\n\n".repeat(4)), End::Open, &["", ""]),
        row("@Content-Length: 5\r\n\r\nhello\r\n@\r\n\r\n", End::Open, &["hello", ""]),
        row("GET HTTP://other/a?b HTTP/1.1\r\nHost: h\r\n\r\n", End::Open, &[""]),
        row("@Connection: a\r\nConnection: b\r\nCookie: a\r\nCookie: b\r\n\r\n", End::Open, &[""]),
        row("@Content-Length: 5\r\n\r\nhello@\r\n", End::Open, &["hello", ""]),
        row("@Content-Length:\t005 \r\n\r\nhello@\r\n", End::Open, &["hello", ""]),
        row("POST /first HTTP/1.1\nContent-Length: 5\n\nhelloGET /b HTTP/1.1\n\n", End::Open, &["hello", ""]),
        row("GET /\u{43a}\u{438}\u{457}\u{432}.txt HTTP/1.1\r\n\r\n", End::Open, &[""]),
        row("WOHOO  /  HTTP/1.1\r\n\r\n", End::Open, &[""]),
        row("get / http/1.1\r\n\r\n", End::Open, &[""]),
        row("GET / HTTP/1.1\r\nA: \u{ff}\u{7f}\r\nB:\r\nC:\t d\t\r\n\r\n", End::Open, &[""]),
        row(
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            End::Open,
            &["", ""],
        ),
        row("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", End::Open, &[""]),
        row("PUT / HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n", End::Open, &["", ""]),
    ]
}

/// Too much for the receive buffer.
fn large() -> Vec<Row> {
    let long = "x".repeat(LIMIT);
    vec![
        // Refused before its body comes, or when it does not fit.
        row(&format!("@Content-Length: {}\r\n\r\n", LIMIT), End::Answer(413), &[]),
        row(&format!("@Content-Length: {}\r\n\r\n{long}", LIMIT), End::Answer(413), &[]),
        row("@Content-Length: 18446744073709550000\r\nExpect: 100-continue\r\n\r\n", End::Answer(413), &[]),
        row(&format!("@Transfer-Encoding: chunked\r\n\r\n500000\r\n{long}"), End::Answer(413), &[]),
        row(&format!("@A: {long}"), End::Answer(431), &[]),
        row(&format!("GET /{long}"), End::Silent, &[]),
        row(&format!("GET / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{long}", LIMIT), End::Silent, &[]),
    ]
}

// ---- one row

#[derive(Default)]
struct Seen {
    bodies: RefCell<Vec<Vec<u8>>>,
    uris: RefCell<Vec<Vec<u8>>>,
    closed: Cell<usize>,
}

/// A server that answers every request with its path.
struct Stage<'a> {
    m: Manager<'a>,
    port: u16,
    seen: &'a Seen,
}

impl<'a> Stage<'a> {
    fn new(seen: &'a Seen) -> Stage<'a> {
        let m = Manager::new();
        let listener = m.http_listen(move |c, ev, data| match ev {
            MG_EV_HTTP_MSG => {
                let hm = message(data);
                seen.bodies.borrow_mut().push(text(hm.body));
                seen.uris.borrow_mut().push(text(hm.uri));
                c.reply(200, b"ok");
            }
            MG_EV_CLOSE if !c.flags.is_listening() => seen.closed.set(seen.closed.get() + 1),
            _ => {}
        });
        let port = listener.port();
        Stage { m, port, seen }
    }

    /// Sends `pieces` one by one. Returns the response, and whether the connection closed.
    fn talk(&self, pieces: &[&[u8]], done: impl Fn(&Seen, &[u8], bool) -> bool) -> (Vec<u8>, bool) {
        self.seen.bodies.take();
        self.seen.uris.take();
        self.seen.closed.set(0);
        let mut peer = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        peer.set_nodelay(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        let (mut got, mut ended) = (Vec::new(), false);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() && !ended {
                match peer.write(rest) {
                    Ok(n) => rest = &rest[n..],
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
                // Enough to accept the connection and to read the piece.
                (0..2).for_each(|_| self.m.poll(0));
                ended |= receive(&mut peer, &mut got);
            }
        }
        let start = Instant::now();
        while !done(self.seen, &got, ended) && start.elapsed() < Duration::from_secs(2) {
            self.m.poll(0);
            ended |= receive(&mut peer, &mut got);
        }
        (0..3).for_each(|_| self.m.poll(0));
        ended |= receive(&mut peer, &mut got);
        let seen = (self.seen.bodies.borrow().clone(), self.seen.uris.borrow().clone());
        drop(peer);
        self.m.until("the end of the connection", || self.seen.closed.get() == 1);
        assert_eq!((self.seen.bodies.borrow().clone(), self.seen.uris.borrow().clone()), seen, "handled at the end");
        (got, ended)
    }
}

fn receive(peer: &mut TcpStream, to: &mut Vec<u8>) -> bool {
    match peer.read_to_end(to) {
        Ok(_) => true,
        Err(e) => e.kind() != ErrorKind::WouldBlock,
    }
}

fn count(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len()).filter(|w| *w == part).count()
}

fn check(stage: &Stage, row: &Row, pieces: &[&[u8]]) -> Result<(), String> {
    let (good, code, closed) = match row.end {
        End::Answer(code) => (0, Some(code), true),
        End::AnswerAfter(n, code) => (n, Some(code), true),
        End::Silent => (0, None, true),
        End::SilentAfter(n) => (n, None, true),
        End::Open => (row.bodies.len(), None, false),
    };
    let answers = good + usize::from(code.is_some());
    let heads = |got: &[u8]| count(got, b"HTTP/1.1 ");
    let (got, ended) = stage.talk(pieces, |_, got, ended| if closed { ended } else { heads(got) >= answers });
    let bodies = stage.seen.bodies.borrow();
    let wrong = if bodies.iter().map(|b| &b[..]).ne(row.bodies.iter().map(|b| b.as_bytes())) {
        "bodies"
    } else if heads(&got) != answers || count(&got, b"HTTP/1.1 200 OK\r\n") != good {
        "answers"
    } else if code.is_some_and(|code| !is_refusal(&got, code)) {
        "the refusal"
    } else if ended != closed {
        "the end"
    } else {
        return Ok(());
    };
    let got = String::from_utf8_lossy(&got).into_owned();
    let shown = |b: &[u8]| b[..b.len().min(300)].escape_ascii().to_string();
    let bodies: Vec<_> = bodies.iter().map(|b| shown(b)).collect();
    let lens: Vec<_> = pieces.iter().map(|p| p.len()).collect();
    Err(format!(
        "{wrong}\n  in {}\n  sent in {lens:?}\n  want {:?}\n  got {got:?} ended {ended} bodies {bodies:?}",
        shown(&row.input),
        row.end
    ))
}

/// The last answer: short, announces the end, has a body of one line.
fn is_refusal(got: &[u8], code: u16) -> bool {
    let Some(at) = got.windows(9).rposition(|w| w == b"HTTP/1.1 ") else { return false };
    let Ok(answer) = std::str::from_utf8(&got[at..]) else { return false };
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")?.trim_end().parse().ok());
    let line = body.is_empty() && code == 411 || body.len() > 4 && body.find('\n') == Some(body.len() - 1);
    answer.starts_with(&format!("HTTP/1.1 {code} "))
        && answer.len() < 150
        && length == Some(body.len())
        && line
        && (head.to_string() + "\r\n").contains("\r\nConnection: close\r\n")
}

/// Each row at once, byte by byte, and cut in two everywhere.
fn all(rows: &[Row]) -> Result<(), Failed> {
    let seen = Seen::default();
    let stage = Stage::new(&seen);
    let mut bad = Vec::new();
    for row in rows {
        let input = &row.input[..];
        let mut splits: Vec<Vec<&[u8]>> = vec![vec![input]];
        if input.len() < 1000 {
            splits.push(input.chunks(1).collect());
            splits.extend((1..input.len()).map(|n| vec![&input[..n], &input[n..]]));
        }
        bad.extend(splits.iter().find_map(|pieces| check(&stage, row, pieces).err()));
    }
    if bad.is_empty() { Ok(()) } else { Err(format!("{} of {} rows:\n{}", bad.len(), rows.len(), bad.join("\n")).into()) }
}

// ---- random requests

/// Pieces of requests that make trouble when they meet.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "\n\n",
        "\0",
        " ",
        "\t",
        ":",
        ",",
        ";",
        "0",
        "5",
        "10",
        "0x5",
        "+5",
        "-1",
        "\u{a0}",
        "\u{b}",
        "x",
        "Content-Length",
        "Content-Length: 5\r\n",
        "Content-Length: 35\r\n",
        "content-length:0\r\n",
        "Transfer-Encoding",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding:\tChunked\r\n",
        "chunked",
        "identity",
        ", chunked",
        "Host: h\r\n",
        "Connection: close\r\n",
        "A: b\r\n",
        "A : b\r\n",
        " folded\r\n",
        "HTTP/1.1",
        "HTTP/1.0",
        "GET / HTTP/1.1\r\n",
        "POST /p HTTP/1.1\r\n",
        "0\r\n\r\n",
        "5\r\nhello\r\n",
        "5;a=b\r\nhello\r\n",
        "0\r\nA: b\r\n\r\n",
        "5\nhello\n",
        "hello",
        "80000000\r\n",
        "00000005",
    ]);
    prop_oneof![8 => text.prop_map(|t| t.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 1..3)]
}

fn base() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::sample::select(vec![
        "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x\r\n!\r\n0\r\nA: b\r\n\r\n",
        "POST /a HTTP/1.0\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
        "POST /a HTTP/1.1\nContent-Length: 3\n\nabc",
    ]);
    text.prop_map(|t| t.as_bytes().to_vec())
}

#[derive(Clone, Debug)]
enum Change {
    Insert(prop::sample::Index, Vec<u8>),
    Replace(prop::sample::Index, Vec<u8>),
    Delete(prop::sample::Index, usize),
    Set(prop::sample::Index, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        3 => (at(), piece()).prop_map(|(i, p)| Change::Insert(i, p)),
        2 => (at(), piece()).prop_map(|(i, p)| Change::Replace(i, p)),
        1 => (at(), 1usize..8).prop_map(|(i, n)| Change::Delete(i, n)),
        1 => (at(), any::<u8>()).prop_map(|(i, b)| Change::Set(i, b)),
    ]
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (base(), prop::collection::vec(change(), 0..4)).prop_map(|(mut text, changes)| {
        for change in changes {
            match change {
                Change::Insert(i, p) => {
                    let at = i.index(text.len() + 1);
                    text.splice(at..at, p);
                }
                Change::Replace(i, p) => {
                    let at = i.index(text.len() + 1);
                    let end = (at + p.len()).min(text.len());
                    text.splice(at..end, p);
                }
                Change::Delete(i, n) => {
                    let at = i.index(text.len() + 1);
                    text.drain(at..(at + n).min(text.len()));
                }
                Change::Set(i, b) if !text.is_empty() => {
                    let at = i.index(text.len());
                    text[at] = b;
                }
                Change::Set(..) => {}
            }
        }
        text
    })
}

/// The result of mg_http_parse for a request.
fn parsed(input: &[u8]) -> Verdict<'_> {
    let parse = function::<unsafe extern "C" fn(*const c_char, usize, *mut mg_http_message) -> c_int>("mg_http_parse");
    let mut hm = std::mem::MaybeUninit::<mg_http_message>::uninit();
    let (n, hm) = unsafe { (parse(input.as_ptr().cast(), input.len(), hm.as_mut_ptr()), hm.assume_init()) };
    let part = |s: mg_str| {
        let at = s.buf as usize - input.as_ptr() as usize;
        &input[at..at + s.len]
    };
    let target = || {
        let start = hm.uri.buf as usize - input.as_ptr() as usize;
        let query = if hm.query.buf.is_null() { 0 } else { hm.query.len + 1 };
        &input[start..start + hm.uri.len + query]
    };
    match usize::try_from(n) {
        Ok(0) => Verdict::Incomplete,
        Ok(len) => Verdict::Head {
            len,
            method: part(hm.method),
            target: target(),
            headers: hm.headers.iter().take_while(|h| h.name.len > 0).map(|h| (part(h.name), part(h.value))).collect(),
        },
        Err(_) => Verdict::Refused,
    }
}

/// An independent parser reads mutated requests alike, but for what is written down in `oracle.rs`, and for what mg_http_parse has
/// always accepted or refused: names that are no tokens, Cookie and Connection more than once, codings in any version.
fn second_opinion() -> Result<(), Failed> {
    let config = Config { cases: 20_000, failure_persistence: None, ..Config::default() };
    let (accepted, excused) = (Cell::new(0), Cell::new(0));
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let run = TestRunner::new_with_rng(config, rng).run(&mutated(), |input| {
        let start = input.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let input = &input[start..];
        let (ours, theirs) = (parsed(input), oracle::request(input));
        if ours == theirs {
            accepted.set(accepted.get() + usize::from(matches!(ours, Verdict::Head { .. })));
            return Ok(());
        }
        excused.set(excused.get() + 1);
        let own = match (&ours, &theirs) {
            (Verdict::Head { headers, .. }, Verdict::Refused) => {
                headers.iter().any(|(name, _)| !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'))
            }
            (Verdict::Refused, Verdict::Head { headers, .. }) => ["Cookie", "Connection"]
                .iter()
                .any(|once| headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(once.as_bytes())).count() > 1),
            _ => false,
        };
        if own || oracle::excuse(input, &ours, &theirs).is_some() {
            Ok(())
        } else {
            Err(TestCaseError::fail(format!("{}\nours {ours:?}\ntheirs {theirs:?}", input.escape_ascii())))
        }
    });
    run.map_err(|e| Failed::from(e.to_string()))?;
    if accepted.get() > 5000 && excused.get() > 100 {
        Ok(())
    } else {
        Err(format!("accepted by both {}, excused {}", accepted.get(), excused.get()).into())
    }
}

/// Whatever was done to a request: what is handled of it and of the one behind it is what a strict parser reads there, up to the
/// first thing that it does not accept.
fn mutations() -> Result<(), Failed> {
    let seen = Seen::default();
    let stage = Stage::new(&seen);
    let config = Config { cases: 5000, failure_persistence: None, ..Config::default() };
    let (refused, two) = (Cell::new(0), Cell::new(0));
    // The same requests in every run: what fails can be looked at again.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let run = TestRunner::new_with_rng(config, rng).run(&(mutated(), any::<prop::sample::Index>()), |(first, cut)| {
        let input = [&first[..], NEXT.as_bytes()].concat();
        let want = reference::requests(&input);
        let cut = cut.index(input.len() + 1);
        for pieces in [vec![&input[..]], vec![&input[..cut], &input[cut..]]] {
            let quiet = Cell::new(0);
            let (got, _) = stage.talk(&pieces, |_, _, ended| {
                quiet.set(quiet.get() + 1);
                ended || quiet.get() > 5
            });
            let handled: Vec<_> =
                stage.seen.uris.borrow().iter().cloned().zip(stage.seen.bodies.borrow().iter().cloned()).collect();
            refused.set(refused.get() + usize::from(count(&got, b"HTTP/1.1 4") + count(&got, b"HTTP/1.1 5") > 0));
            two.set(two.get() + usize::from(handled.len() > 1));
            if handled.len() > want.len() || handled[..] != want[..handled.len()] {
                return Err(TestCaseError::fail(format!("{}\nhandled {handled:?}\nwant {want:?}", input.escape_ascii())));
            }
        }
        Ok(())
    });
    run.map_err(|e| Failed::from(e.to_string()))?;
    if refused.get() < 500 || two.get() < 500 {
        Err(format!("refused {}, handled {}", refused.get(), two.get()).into())
    } else {
        Ok(())
    }
}
