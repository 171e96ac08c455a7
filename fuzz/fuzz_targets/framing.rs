//! Requests as parsed by a server, against httparse; and arbitrary output of applications, in arbitrary pieces.

use crate::oracle::{self, Verdict};
use crate::proto::http::framing::{Body, Framing, Side};
use crate::proto::http::head::{self, Reader};
use crate::proto::http::outgoing::{Outgoing, Progress};

/// Our server's view.
fn ours(input: &[u8]) -> Verdict<'_> {
    let mut headers = Vec::new();
    match head::parse(input, Reader::Server, usize::MAX, |_, name, value| headers.push((name, value))) {
        Ok(Some(head)) => {
            if Framing::new(&head, Side::Server, &input[head.len..]).is_err() {
                return Verdict::Refused;
            }
            let query = head.query.map_or(0, |q| q.len() + 1);
            let start = head.uri.as_ptr() as usize - input.as_ptr() as usize;
            let target = &input[start..start + head.uri.len() + query];
            Verdict::Head { len: head.len, method: head.method, target, headers }
        }
        Ok(None) => Verdict::Incomplete,
        Err(head::Malformed) => Verdict::Refused,
    }
}

fuzz_target!(|input: (u16, &[u8])| {
    let (blank, _) = head::blank_lines(input.1);
    let data = &input.1[blank..];
    let (we, they) = (ours(data), oracle::request(data));
    if we != they {
        assert!(oracle::excuse(data, &we, &they).is_some(), "we {we:?}\nthey {they:?}");
    }
    for side in [Side::Client { head: false }, Side::Client { head: true }] {
        if let Ok(Some(head)) = head::parse(data, Reader::Client, 0, |_, _, _| {}) {
            if let Ok(framing) = Framing::new(&head, side, &data[head.len..]) {
                assert!(framing.stray <= data.len() - head.len);
                assert!(side != Side::Client { head: true } || !head.is_response() || framing.body == Body::Length(0));
            }
        }
    }
    // In two pieces it is the same as at once.
    let cut = usize::from(input.0) % (data.len() + 1);
    let follow = |pieces: [&[u8]; 2]| {
        let (mut out, mut heads) = (Outgoing::new(0), Vec::new());
        for piece in pieces {
            let mut at = 0;
            while let Some(n) = out.request(&piece[at..]) {
                at += n;
            }
        }
        for _ in 0..8 {
            heads.push(out.answers_head());
            out.answered();
        }
        (out.at, heads)
    };
    assert_eq!(follow([data, b""]), follow([&data[..cut], &data[cut..]]));
    let respond = |pieces: [&[u8]; 2]| {
        let mut out = Outgoing::new(0);
        let first = out.response(pieces[0], false, true);
        if first == Progress::More { out.response(pieces[1], false, true) } else { first }
    };
    let whole = respond([data, b""]);
    assert!(whole == respond([&data[..cut], &data[cut..]]));
});
