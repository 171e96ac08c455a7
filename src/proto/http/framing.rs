//! Body framing: where a message ends and what follows it. All decisions relevant to request smuggling are here: takes a parsed
//! head, returns a [`Framing`].

use super::head::{Head, Malformed, UNTIL_CLOSE, is_version};
use super::status;
use super::strict::{self, Coding};

/// The reader of the message.
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
    /// Unknown transfer codings.
    UnknownCoding,
    /// Not a list of codings, or one after which the end of the body is undefined.
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

/// The framing of a message: its body, and what happens to the connection afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framing {
    pub(crate) body: Body,
    /// Bytes of a body that should not be there: part of the stream, not of the message.
    pub(crate) stray: usize,
    /// A 1xx response, followed by another one.
    pub(crate) interim: bool,
    /// A response whose body only a client can read.
    pub(crate) length_missing: bool,
    /// The client waits for `100 Continue`.
    pub(crate) expects: bool,
    pub(crate) close: CloseAfter,
    /// HTTP/1.0 request for keep-alive, which the response must confirm.
    pub(crate) keep_alive: bool,
    /// The response has no body.
    pub(crate) head: bool,
}

impl Framing {
    /// `rest` is what was received after the head. Malformed: parsers disagree about what this message is or where its body ends.
    #[inline(always)]
    pub(crate) fn new(head: &Head<'_>, side: Side, rest: &[u8]) -> Result<Framing, Malformed> {
        if head.is_response() { Framing::response(head, side, rest) } else { Framing::request(head, side) }
    }

    #[inline(always)]
    fn request(head: &Head<'_>, side: Side) -> Result<Framing, Malformed> {
        let fields = &head.fields;
        // The parser has already validated the rest of the version.
        let http10 = head.proto.ends_with(b"/1.0");
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
        // A server accepts a response only if it begins with a valid version.
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
            // Some servers send the body nevertheless: skip it, so that the next response is parsed correctly.
            framing.stray = head.fields.length.filter(|n| !is_next && *n <= rest.len()).unwrap_or(0);
            framing.body = Body::Length(0);
        } else if matches!(status, 101 | 204 | 304) && (until_close || is_next) {
            // Headers of these responses may announce a body that does not exist. Some servers, including the original, do send one.
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

/// Transfer codings were introduced with HTTP/1.1.
fn has_codings(proto: &[u8]) -> bool {
    proto.get(5) == Some(&b'1') && proto.get(7) != Some(&b'0')
}

#[cfg(test)]
mod tests {
    use super::super::head::{Reader, parse};
    use super::*;

    fn framed(text: &str, side: Side) -> Option<Framing> {
        let reader = if side == Side::Server { Reader::Server } else { Reader::Client };
        let head = parse(text.as_bytes(), reader, 1, |_, _, _| {}).ok()?.expect("a whole head");
        Framing::new(&head, side, &text.as_bytes()[head.len..]).ok()
    }

    fn request(lines: &str) -> Option<Framing> {
        framed(&format!("POST / HTTP/1.1\r\n{lines}\r\n"), Side::Server)
    }

    const CLIENT: Side = Side::Client { head: false };

    fn response(status: &str, lines: &str, rest: &str) -> Option<Framing> {
        framed(&format!("HTTP/1.1 {status}\r\n{lines}\r\n{rest}"), CLIENT)
    }

    #[test]
    fn framing_headers_count_at_any_position() {
        let many = "A: b\r\n".repeat(50);
        for front in ["", &many] {
            let body = |lines: &str| request(&format!("{front}{lines}")).map(|f| f.body);
            assert_eq!(body(""), Some(Body::Length(0)));
            assert_eq!(body("Content-Length: 5\r\n"), Some(Body::Length(5)));
            assert_eq!(body("transfer-encoding:\tChunked\r\n"), Some(Body::Chunked));
            assert_eq!(body("Transfer-Encoding: gzip\r\n"), Some(Body::UnknownCoding));
            assert_eq!(body("Transfer-Encoding: chunked, gzip\r\n"), Some(Body::InvalidCoding));
            for bad in [
                "Content-Length: 5\r\nContent-Length: 5\r\n",
                "Content-Length: 5, 5\r\n",
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "Content-Length: 18446744073709551615\r\n",
                "Content-Length : 5\r\n",
                "A(b): c\r\n",
                "A\r\n",
            ] {
                assert_eq!(body(bad), None, "{bad:?}");
            }
        }
        assert_eq!(framed("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Side::Server), None);
        assert_eq!(framed("HTTP/x 200 OK\r\n\r\n", Side::Server), None);
    }

    #[test]
    fn several_connection_lines_form_one_list() {
        let close = |version: &str, lines: &str| {
            let f = framed(&format!("GET / HTTP/{version}\r\n{lines}\r\n"), Side::Server).unwrap();
            (f.close, f.keep_alive)
        };
        assert_eq!(close("1.1", ""), (CloseAfter::No, false));
        assert_eq!(close("1.1", "Connection: a\r\nConnection: b, CLOSE\r\nConnection: c\r\n"), (CloseAfter::Asked, false));
        assert_eq!(close("1.0", "Connection: a\r\n"), (CloseAfter::Http10, false));
        assert_eq!(close("1.0", "Connection: a\r\nConnection: Keep-Alive\r\n"), (CloseAfter::No, true));
        assert_eq!(close("1.0", "Connection: keep-alive, close\r\n"), (CloseAfter::Asked, false));
    }

    #[test]
    fn only_http_1_1_may_expect_a_continue() {
        let expects = |version: &str| {
            let text = format!("PUT / HTTP/{version}\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
            framed(&text, Side::Server).unwrap().expects
        };
        assert!(expects("1.1") && !expects("1.0"));
        assert!(!request("Expect: x\r\n").unwrap().expects);
    }

    #[test]
    fn a_response_may_extend_until_close() {
        let body = |status, lines| response(status, lines, "").map(|f| f.body);
        assert_eq!(body("200 OK", ""), Some(Body::UntilClose));
        assert_eq!(body("200 OK", "Content-Length: 5\r\ncontent-length: 05\r\n"), Some(Body::Length(5)));
        assert_eq!(body("200 OK", "Content-Length: 5, 5 ,5\r\n"), Some(Body::Length(5)));
        assert_eq!(body("200 OK", "Content-Length: 5, 6\r\n"), None);
        assert_eq!(body("200 OK", "Content-Length: 5\r\nContent-Length: 6\r\n"), None);
        assert_eq!(body("200 OK", "Transfer-Encoding: chunked\r\n"), Some(Body::Chunked));
        assert!(response("103 Early Hints", "", "").unwrap().interim);
        assert!(!response("101 Switching", "", "").unwrap().interim);
        let f = response("200 OK", "Content-Length: 5\r\n", "").unwrap();
        assert!(!f.keep_alive && !f.head, "these are about requests");
    }

    #[test]
    fn servers_do_not_read_until_close() {
        for (status, lines, missing) in [
            ("200", "", true),
            ("305", "", true),
            ("304", "", false),
            ("204", "", false),
            ("199", "", false),
            ("200", "Content-Length: 0\r\n", false),
            ("200", "Transfer-Encoding: chunked\r\n", false),
        ] {
            let f = framed(&format!("HTTP/1.1 {status} OK\r\n{lines}\r\n"), Side::Server).unwrap();
            assert_eq!(f.length_missing, missing, "{status} {lines}");
        }
    }

    #[test]
    fn bodiless_responses_ignore_length_headers() {
        for status in ["101 N", "204 N", "304 N"] {
            for lines in ["", "Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n"] {
                assert_eq!(response(status, lines, "").unwrap().body, Body::Length(0), "{status} {lines}");
                assert_eq!(response(status, lines, "HTTP/1.1 200").unwrap().body, Body::Length(0), "{status} {lines}");
            }
            assert_eq!(response(status, "Content-Length: 2\r\n", "hi").unwrap().body, Body::Length(2));
        }
        for (lines, rest, stray) in [
            ("", "", 0),
            ("Content-Length: 2\r\n", "", 0),
            ("Content-Length: 2\r\n", "HTTP/1.1", 0),
            ("Content-Length: 2\r\n", "hiHTTP/", 2),
            ("Content-Length: 2\r\n", "hi", 2),
            ("Content-Length: 2\r\n", "h", 0),
            ("Transfer-Encoding: chunked\r\n", "x", 0),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n{rest}");
            let f = framed(&text, Side::Client { head: true }).unwrap();
            assert_eq!((f.body, f.stray), (Body::Length(0), stray), "{text:?}");
        }
    }
}
