//! The table of cases.

use crate::lib::unhex;
use crate::script::{Form, Frame, Mode, Script, Stage, echo, frame, run_script};
use libtest_mimic::{Failed, Trial};

const CONTINUE: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// It lives until the test closes it with code 1000, which is answered.
    Good,
    /// It is closed with this code.
    Fault(u16),
    /// The same, but a server as it is goes on.
    Tolerated(u16),
    /// The frames contain a Close frame: the expected bytes have the answer.
    Closed,
    /// MG_EV_ERROR, and no Close frame.
    Dropped,
}

struct Case {
    id: String,
    frames: Vec<Frame>,
    chop: usize,
    /// Before the end.
    want: Vec<Frame>,
    /// In addition, from who goes on.
    tolerant: Vec<Frame>,
    end: End,
}

fn case(id: impl Into<String>, frames: Vec<Frame>, want: Vec<Frame>, end: End) -> Case {
    Case { id: id.into(), frames, chop: 0, want, tolerant: Vec::new(), end }
}

impl Case {
    fn chop(self, chop: usize) -> Case {
        Case { chop, ..self }
    }

    fn tolerant(self, tolerant: Vec<Frame>) -> Case {
        Case { tolerant, ..self }
    }

    fn script(&self, mode: Mode) -> Script {
        let (mut frames, mut want) = (self.frames.clone(), self.want.clone());
        let close = |code: u16| frame(FIN | CLOSE, code.to_be_bytes());
        match self.end {
            End::Tolerated(_) if mode.is_tolerant() => {
                want.extend(self.tolerant.iter().cloned());
                frames.push(close(1000));
                want.push(close(1000));
            }
            End::Fault(code) | End::Tolerated(code) => want.push(close(code)),
            End::Good => {
                frames.push(close(1000));
                want.push(close(1000));
            }
            End::Closed | End::Dropped => {}
        }
        Script { frames, chop: self.chop, want: want.iter().flat_map(Frame::plain).collect() }
    }
}

fn text(payload: impl AsRef<[u8]>) -> Frame {
    frame(FIN | TEXT, payload)
}

fn ping(payload: impl AsRef<[u8]>) -> Frame {
    frame(FIN | PING, payload)
}

fn pong(payload: impl AsRef<[u8]>) -> Frame {
    frame(FIN | PONG, payload)
}

fn more(payload: impl AsRef<[u8]>) -> Frame {
    frame(CONTINUE, payload)
}

fn last(payload: impl AsRef<[u8]>) -> Frame {
    frame(FIN | CONTINUE, payload)
}

fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
    frame(FIN | CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
}

/// A message in pieces of `n` bytes.
fn pieces(op: u8, payload: &[u8], n: usize) -> Vec<Frame> {
    let count = payload.len().div_ceil(n);
    let first = |i| if i == 0 { op } else { CONTINUE } | if i + 1 == count { FIN } else { 0 };
    payload.chunks(n).enumerate().map(|(i, p)| frame(first(i), p)).collect()
}

fn framing(cases: &mut Vec<Case>) {
    for (group, op, byte) in [(1, TEXT, b'*'), (2, BINARY, 0xfe)] {
        for (i, n) in [0, 125, 126, 127, 128, 65535, 65536].into_iter().enumerate() {
            let f = frame(FIN | op, vec![byte; n]);
            cases.push(case(format!("1.{group}.{}", i + 1), vec![f.clone()], vec![f], End::Good));
        }
        let f = frame(FIN | op, vec![byte; 65536]);
        cases.push(case(format!("1.{group}.8"), vec![f.clone()], vec![f], End::Good).chop(997));
    }
    // Lengths in a longer form than needed, and masks where they do not belong or are missing.
    for (id, form) in [("1.3.1", Form::Length16), ("1.3.2", Form::Length64)] {
        let tolerant = vec![text("abc")];
        cases.push(case(id, vec![text("abc").form(form)], vec![], End::Tolerated(1002)).tolerant(tolerant));
    }
    let wrong = text("abc").form(Form::WrongMask);
    cases.push(case("1.4.1", vec![wrong], vec![], End::Tolerated(1002)).tolerant(vec![text("abc")]));
    cases.push(case("1.5.1", vec![text("").form(Form::Announces(1 << 63))], vec![], End::Fault(1002)));
}

fn pings(cases: &mut Vec<Case>) {
    let binary = [0, 255, 254, 253, 252, 251, 0, 255];
    for (id, payload) in [("2.1", &b""[..]), ("2.2", b"Hello, world!"), ("2.3", &binary), ("2.4", &[0xfe; 125])] {
        cases.push(case(id, vec![ping(payload)], vec![pong(payload)], End::Good));
    }
    cases.push(case("2.5", vec![ping([0xfe; 126])], vec![], End::Fault(1002)));
    cases.push(case("2.6", vec![ping([0xfe; 125])], vec![pong([0xfe; 125])], End::Good).chop(1));
    cases.push(case("2.7", vec![pong("")], vec![], End::Good));
    cases.push(case("2.8", vec![pong("unsolicited")], vec![], End::Good));
    cases.push(case("2.9", vec![pong("unsolicited"), ping("ping")], vec![pong("ping")], End::Good));
    let many = |f: fn(String) -> Frame| (0..10).map(|i| f(format!("payload {i}"))).collect::<Vec<_>>();
    cases.push(case("2.10", many(ping), many(pong), End::Good));
    cases.push(case("2.11", many(ping), many(pong), End::Good).chop(1));
}

fn reserved_bits(cases: &mut Vec<Case>) {
    for rsv in 1..8 {
        let bits = rsv << 4;
        let f = |op: u8| frame(FIN | bits | op, "x");
        cases.push(case(format!("3.1 rsv {rsv}"), vec![f(TEXT)], vec![], End::Fault(1002)));
        cases.push(case(format!("3.2 rsv {rsv}"), vec![text("hello"), f(TEXT), ping("")], vec![text("hello")], End::Fault(1002)));
        cases.push(case(format!("3.5 rsv {rsv}"), vec![f(BINARY)], vec![], End::Fault(1002)));
        cases.push(case(format!("3.6 rsv {rsv}"), vec![f(PING)], vec![], End::Fault(1002)));
        cases.push(case(format!("3.7 rsv {rsv}"), vec![f(CLOSE)], vec![], End::Fault(1002)));
        let fragments = vec![frame(TEXT, "a"), frame(FIN | bits, "b")];
        cases.push(case(format!("3.8 rsv {rsv}"), fragments, vec![], End::Fault(1002)));
    }
    let octets = case("3.4", vec![text("hello"), frame(FIN | 0x40 | TEXT, "x"), ping("")], vec![text("hello")], End::Fault(1002));
    cases.push(octets.chop(1));
}

fn opcodes(cases: &mut Vec<Case>) {
    for op in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let group = if op < 8 { 1 } else { 2 };
        cases.push(case(format!("4.{group} op {op}"), vec![frame(FIN | op, "")], vec![], End::Dropped));
        cases.push(case(format!("4.{group} op {op} payload"), vec![frame(FIN | op, "reserved")], vec![], End::Dropped));
    }
}

fn fragments(cases: &mut Vec<Case>) {
    cases.push(case("5.1", vec![frame(PING, "a"), last("b")], vec![], End::Fault(1002)));
    cases.push(case("5.2", vec![frame(PONG, "a"), last("b")], vec![], End::Fault(1002)));
    cases.push(case("5.2 close", vec![frame(CLOSE, [3, 0xe8])], vec![], End::Fault(1002)));
    let both = || vec![frame(TEXT, "fragment1"), last("fragment2")];
    let joined = || vec![text("fragment1fragment2")];
    cases.push(case("5.3", both(), joined(), End::Good));
    cases.push(case("5.4", both(), joined(), End::Good).chop(7));
    cases.push(case("5.5", both(), joined(), End::Good).chop(1));
    let pinged = || vec![frame(TEXT, "fragment1"), ping("ping"), last("fragment2")];
    let answered = || vec![pong("ping"), text("fragment1fragment2")];
    cases.push(case("5.6", pinged(), answered(), End::Good));
    cases.push(case("5.7", pinged(), answered(), End::Good).chop(5));
    cases.push(case("5.8", pinged(), answered(), End::Good).chop(1));
    for (id, chop) in [("5.9", 0), ("5.10", 100), ("5.11", 1)] {
        cases.push(case(id, vec![last("nothing"), text("hello")], vec![], End::Fault(1002)).chop(chop));
    }
    for (id, chop) in [("5.12", 0), ("5.13", 100), ("5.14", 1)] {
        cases.push(case(id, vec![more("nothing"), text("hello")], vec![], End::Fault(1002)).chop(chop));
    }
    let again = vec![frame(TEXT, "fragment1"), last("fragment2"), more("fragment3"), text("hello")];
    cases.push(case("5.15", again, joined(), End::Fault(1002)));
    cases.push(case("5.16", vec![more("a"), frame(TEXT, "b"), last("c")], vec![], End::Fault(1002)));
    cases.push(case("5.17", vec![last("a"), frame(TEXT, "b"), last("c")], vec![], End::Fault(1002)));
    // The original's own peers send it: an empty end of nothing.
    cases.push(case("5.17 empty", vec![last(""), text("a")], vec![], End::Fault(1002)).only_strict());
    cases.push(case("5.18", vec![frame(TEXT, "a"), frame(TEXT, "b")], vec![], End::Fault(1002)));
    cases.push(case("5.18 final", vec![frame(TEXT, "a"), text("b")], vec![], End::Fault(1002)));
    cases.push(case("5.18 binary", vec![frame(BINARY, "a"), frame(FIN | BINARY, "b")], vec![], End::Fault(1002)));
    let five = || {
        let f = |i| format!("fragment{i}");
        vec![frame(TEXT, f(1)), more(f(2)), ping("p1"), more(f(3)), more(f(4)), ping("p2"), last(f(5))]
    };
    let all = || vec![pong("p1"), pong("p2"), text("fragment1fragment2fragment3fragment4fragment5")];
    cases.push(case("5.19", five(), all(), End::Good));
    cases.push(case("5.20", five(), all(), End::Good).chop(1));
}

impl Case {
    /// As they are, both sides go on with what follows.
    fn only_strict(self) -> Case {
        Case { id: format!("{} (strict)", self.id), ..self }
    }

    fn runs_in(&self, mode: Mode) -> bool {
        mode.strict || !self.id.ends_with("(strict)")
    }
}

/// Valid and malformed sequences, by group.
const VALID: &[(&str, &str)] = &[
    ("6.5", "cebae1bdb9cf83cebcceb5"),
    ("6.6", "ceba cebae1bdb9 cebae1bdb9cf83 cebae1bdb9cf83cebc"),
    ("6.7", "00 c280 e0a080 f0908080"),
    ("6.9", "7f dfbf efbfbf f48fbfbf"),
    ("6.11", "ed9fbf ee8080 efbfbd f48fbfbf"),
    ("6.22", "efbfbe efbfbf f09fbfbe f09fbfbf f0afbfbe f0bfbfbf f18fbfbe f29fbfbf f3afbfbe f3bfbfbf f48fbfbe f48fbfbf"),
    ("6.23", "efbfb9 efbfba efbfbb efbfbc efbfbd efbfbe efbfbf"),
];
const MALFORMED: &[(&str, &str)] = &[
    ("6.6", "ce cebae1 cebae1bd cebae1bdb9cf cebae1bdb9cf83ce cebae1bdb9cf83cebcce"),
    ("6.8", "f888808080 fc8480808080"),
    ("6.10", "f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf"),
    ("6.11", "f4908080"),
    ("6.12", "80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf 8081828384858687"),
    ("6.13", "c020c120c220 e020e120e220 f020f120f220 f820f920fa20 fc20fd20"),
    ("6.14", "c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf"),
    ("6.15", "c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf"),
    ("6.16", "fe ff fefeffff"),
    ("6.17", "c0af e080af f08080af f8808080af fc80808080af"),
    ("6.18", "c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf"),
    ("6.19", "c080 e08080 f0808080 f880808080 fc8080808080"),
    ("6.20", "eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf"),
    ("6.21", "eda080edb080 eda080edbfbf edadbfedb080 edadbfedbfbf edae80edb080 edae80edbfbf edafbfedb080 edafbfedbfbf"),
];

fn utf8(cases: &mut Vec<Case>) {
    cases.push(case("6.1.1", vec![text("")], vec![text("")], End::Good));
    cases.push(case("6.1.2", vec![frame(TEXT, ""), more(""), last("")], vec![text("")], End::Good));
    cases.push(case("6.1.3", vec![frame(TEXT, ""), more("middle"), last("")], vec![text("middle")], End::Good));
    let good = "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!".as_bytes();
    cases.push(case("6.2.1", vec![text(good)], vec![text(good)], End::Good));
    cases.push(case("6.2.2", pieces(TEXT, good, 12), vec![text(good)], End::Good));
    cases.push(case("6.2.3", pieces(TEXT, good, 1), vec![text(good)], End::Good));
    cases.push(case(
        "6.2.4",
        pieces(TEXT, &unhex("cebae1bdb9cf83cebcceb5"), 1),
        vec![text(unhex("cebae1bdb9cf83cebcceb5"))],
        End::Good,
    ));
    let bad = unhex("cebae1bdb9cf83cebcceb5eda080656469746564");
    let tolerated = || vec![text(&bad)];
    cases.push(case("6.3.1", vec![text(&bad)], vec![], End::Tolerated(1007)).tolerant(tolerated()));
    cases.push(case("6.3.2", pieces(TEXT, &bad, 1), vec![], End::Tolerated(1007)).tolerant(tolerated()));
    // A text that nothing can mend is refused before its end has come.
    let hopeless = || vec![frame(TEXT, unhex("cebae1bdb9cf83cebcceb5")), more(unhex("f4908080"))];
    cases.push(case("6.4.1 (strict)", hopeless(), vec![], End::Fault(1007)));
    cases.push(case("6.4.2 (strict)", hopeless(), vec![], End::Fault(1007)).chop(1));
    for (list, valid) in [(VALID, true), (MALFORMED, false)] {
        for (group, sequences) in list {
            for sequence in sequences.split(' ') {
                let bytes = unhex(sequence);
                let whole = case(format!("{group} {sequence}"), vec![text(&bytes)], vec![], End::Good);
                let split = case(format!("{group} {sequence} in pieces"), pieces(TEXT, &bytes, 1), vec![], End::Good);
                // Binary messages and control frames carry anything.
                let binary = vec![frame(FIN | BINARY, &bytes), ping(&bytes)];
                let answer = vec![frame(FIN | BINARY, &bytes), pong(&bytes)];
                cases.push(case(format!("{group} {sequence} binary"), binary, answer, End::Good));
                for c in [whole, split] {
                    let echoed = vec![text(&bytes)];
                    cases.push(if valid {
                        Case { want: echoed, ..c }
                    } else {
                        Case { end: End::Tolerated(1007), tolerant: echoed, ..c }
                    });
                }
            }
        }
    }
}

fn closing(cases: &mut Vec<Case>) {
    let ok = || close(1000, "");
    cases.push(case("7.1.1", vec![text("hello"), ok()], vec![text("hello"), ok()], End::Closed));
    cases.push(case("7.1.2", vec![ok(), ok()], vec![ok()], End::Closed));
    cases.push(case("7.1.3", vec![ok(), ping("")], vec![ok()], End::Closed));
    cases.push(case("7.1.4", vec![ok(), text("late")], vec![ok()], End::Closed));
    cases.push(case("7.1.5", vec![frame(TEXT, "a"), ok(), last("b")], vec![ok()], End::Closed));
    let big = || text(vec![b'b'; 256 * 1024]);
    cases.push(case("7.1.6", vec![big(), ok(), ping("")], vec![big(), ok()], End::Closed));
    cases.push(case("7.1.7", vec![text("a"), ok(), text("b"), ping(""), ok()], vec![text("a"), ok()], End::Closed).chop(1000));
    let none = || frame(FIN | CLOSE, "");
    cases.push(case("7.3.1", vec![none()], vec![none()], End::Closed));
    cases.push(case("7.3.2", vec![frame(FIN | CLOSE, "a")], vec![], End::Fault(1002)));
    cases.push(case("7.3.3", vec![ok()], vec![ok()], End::Closed));
    for (id, reason) in [("7.3.4", "Hello World!".to_string()), ("7.3.5", "*".repeat(123))] {
        cases.push(case(id, vec![close(1000, &reason)], vec![close(1000, &reason)], End::Closed));
    }
    cases.push(case("7.3.6", vec![close(1000, [b'*'; 124])], vec![], End::Fault(1002)));
    cases.push(case("7.5.1", vec![close(1000, unhex("cebae1bdb9cf83cebcceb5eda080656469746564"))], vec![], End::Fault(1007)));
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        cases.push(case(format!("7.7 code {code}"), vec![close(code, "")], vec![close(code, "")], End::Closed));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        cases.push(case(format!("7.9 code {code}"), vec![close(code, "")], vec![], End::Fault(1002)));
        cases.push(case(format!("7.13 code {code} reason"), vec![close(code, "x")], vec![], End::Fault(1002)));
    }
}

fn limits(cases: &mut Vec<Case>) {
    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;
    for (group, op) in [(1, TEXT), (2, BINARY)] {
        for n in [64 * KIB, 256 * KIB, MIB, 2 * MIB, 3 * MIB - 14] {
            let f = frame(FIN | op, vec![b'x'; n]);
            cases.push(case(format!("9.{group} {n} bytes"), vec![f.clone()], vec![f], End::Good));
        }
        let message = vec![b'y'; MIB];
        for n in [64, KIB, 16 * KIB, 256 * KIB] {
            let want = vec![frame(FIN | op, &message)];
            let id = format!("9.{} a mebibyte in pieces of {n}", group + 2);
            cases.push(case(id, pieces(op, &message, n), want, End::Good).chop(128 * KIB));
        }
        for chop in [997, 16 * KIB] {
            let f = || vec![frame(FIN | op, vec![b'z'; 256 * KIB])];
            cases.push(case(format!("9.{} in chops of {chop}", group + 4), f(), f(), End::Good).chop(chop));
        }
    }
    for n in [0, 16, 64, 256] {
        let many = || vec![text(vec![b'm'; n]); 2000];
        cases.push(case(format!("9.7 2000 messages of {n}"), many(), many(), End::Good).chop(64 * KIB));
    }
    let crumbs = vec![b'c'; 100_000];
    cases.push(case("9.8 in 100000 pieces", pieces(TEXT, &crumbs, 1), vec![text(&crumbs)], End::Good).chop(128 * KIB));
    // The limit is that of the receive buffer.
    cases.push(case("9.9 above the limit", vec![text(vec![b'x'; 4 * MIB])], vec![], End::Fault(1009)));
    cases.push(case("9.9 announced", vec![text("").form(Form::Announces(3 << 20))], vec![], End::Fault(1009)));
    cases.push(case("9.9 announced 2^62", vec![text("").form(Form::Announces(1 << 62))], vec![], End::Fault(1009)));
    let parts = pieces(TEXT, &vec![b'x'; 4 * MIB], 512 * KIB);
    cases.push(case("9.9 in pieces", parts, vec![], End::Fault(1009)));
    let (f, message) = (pieces(TEXT, &[b'a'; 65536], 1300), text([b'a'; 65536]));
    cases.push(case("10.1.1", f, vec![message], End::Good));
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    type Group = fn(&mut Vec<Case>);
    let groups: &[(&str, Group)] = &[
        ("1 framing", framing),
        ("2 pings", pings),
        ("3 reserved bits", reserved_bits),
        ("4 opcodes", opcodes),
        ("5 fragments", fragments),
        ("6 UTF-8", utf8),
        ("7 closing", closing),
        ("9 limits", limits),
    ];
    for (name, group) in groups {
        for mode in Mode::ALL {
            let mut cases = Vec::new();
            group(&mut cases);
            cases.retain(|c| c.runs_in(mode));
            let name = format!("{name}: {} ({} cases)", mode.name(), cases.len());
            all.push(Trial::test(name, move || run(&cases, mode)));
        }
    }
}

fn run(cases: &[Case], mode: Mode) -> Result<(), Failed> {
    let stage = Stage::new(mode, echo);
    let bad: Vec<String> =
        cases.iter().filter_map(|c| run_script(&stage, &c.script(mode)).err().map(|e| format!("case {}: {e}", c.id))).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(format!("{} of {} cases differ:\n{}", bad.len(), cases.len(), bad[..bad.len().min(10)].join("\n")).into())
}
