//! Where the body of a message ends, and what follows it. The decisions that smuggling depends on are all here: a parsed head in,
//! a [`Framing`] out.

use super::head::{Head, Malformed, UNTIL_CLOSE, is_version};
use super::status;
use super::strict::{self, Coding};

/// Who reads the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    /// `head`: the response answers a HEAD request.
    Client {
        head: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Length(usize),
    Chunked,
    UntilClose,
    /// Transfer codings that nobody here knows.
    UnknownCoding,
    /// No list of codings, or one after which nobody knows where the body ends.
    InvalidCoding,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum CloseAfter {
    #[default]
    No,
    /// The request says `Connection: close`.
    Asked,
    /// HTTP/1.0 without keep-alive: after the last request that is in the buffer.
    Http10,
}

/// What a head says about its body and about what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framing {
    pub(crate) body: Body,
    /// Bytes of a body that should not be there: part of the stream, not of the message.
    pub(crate) stray: usize,
    /// A 1xx response that another one follows.
    pub(crate) interim: bool,
    /// A response whose body only a client can read.
    pub(crate) length_missing: bool,
    /// The client waits for `100 Continue`.
    pub(crate) expects: bool,
    pub(crate) close: CloseAfter,
    /// HTTP/1.0 that asked to be kept alive, and wants to be told.
    pub(crate) keep_alive: bool,
    /// The answer has no body.
    pub(crate) head: bool,
}

impl Framing {
    /// `rest` is what was received behind the head. Malformed: not everybody agrees on what this message is or where its body
    /// ends.
    #[inline]
    pub(crate) fn new(head: &Head<'_>, side: Side, rest: &[u8]) -> Result<Framing, Malformed> {
        if head.is_response() { Framing::response(head, side, rest) } else { Framing::request(head, side) }
    }

    #[inline]
    fn request(head: &Head<'_>, side: Side) -> Result<Framing, Malformed> {
        let fields = &head.fields;
        let http10 = head.proto.eq_ignore_ascii_case(b"HTTP/1.0");
        if fields.coding.is_some() && side == Side::Server && !has_codings(head.proto) {
            return Err(Malformed);
        }
        let close = match side {
            Side::Client { .. } => CloseAfter::No,
            Side::Server if fields.close => CloseAfter::Asked,
            Side::Server if http10 && !fields.keep_alive => CloseAfter::Http10,
            Side::Server => CloseAfter::No,
        };
        Ok(Framing {
            body: fields.coding.map_or(Body::Length(head.body_len), coded),
            stray: 0,
            interim: false,
            length_missing: false,
            expects: fields.expects && !http10,
            close,
            keep_alive: http10 && close == CloseAfter::No,
            head: head.method.eq_ignore_ascii_case(b"HEAD"),
        })
    }

    fn response(head: &Head<'_>, side: Side, rest: &[u8]) -> Result<Framing, Malformed> {
        // Something between a request and a response, sent to a server.
        if side == Side::Server && !is_version(head.method) {
            return Err(Malformed);
        }
        let status = status(head.uri);
        let coding = head.fields.coding;
        let until_close = head.body_len == UNTIL_CLOSE && coding.is_none();
        let mut framing = Framing {
            body: match coding {
                Some(value) => coded(value),
                None if until_close => Body::UntilClose,
                None => Body::Length(head.body_len),
            },
            stray: 0,
            interim: false,
            length_missing: until_close && status >= 200 && status != 304,
            expects: false,
            close: CloseAfter::No,
            keep_alive: false,
            head: false,
        };
        let Side::Client { head: asked_for_head } = side else { return Ok(framing) };
        let is_next = rest.iter().zip(b"HTTP/").all(|(a, b)| a == b);
        if (100..200).contains(&status) && status != 101 {
            framing.interim = true;
            framing.body = Body::Length(0);
        } else if asked_for_head {
            // Servers that send the body all the same get their next response understood.
            framing.stray = head.fields.length.filter(|n| !is_next && *n <= rest.len()).unwrap_or(0);
            framing.body = Body::Length(0);
        } else if matches!(status, 101 | 204 | 304) && (until_close || is_next) {
            // The headers of these may speak of a body that is not there. Some servers, the original among them, send one.
            framing.body = Body::Length(0);
        }
        Ok(framing)
    }
}

fn coded(value: &[u8]) -> Body {
    match strict::coding(value) {
        Coding::Chunked => Body::Chunked,
        Coding::Unknown => Body::UnknownCoding,
        Coding::Invalid => Body::InvalidCoding,
    }
}

/// Transfer codings came with HTTP/1.1.
fn has_codings(proto: &[u8]) -> bool {
    proto.get(5) == Some(&b'1') && proto.get(7) != Some(&b'0')
}
