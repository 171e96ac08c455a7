//! Tracks messages written by the application: the requests of a client, and where the response of a server ends. Takes the bytes
//! in the order in which they are queued, in pieces of any size.

use super::chunked::{Scan, Scanner};
use super::framing::{Body, Framing, Side};
use super::head::{self, Reader};
use crate::memory;
use crate::memory::prelude::*;
use alloc::collections::VecDeque;

/// Tracking stops after a longer head.
const MAX_HEAD: usize = 64 * 1024;
/// Maximum number of HEAD requests waiting for their responses.
const MAX_WAITING: usize = 4096;

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Length(usize),
    Chunked(Scanner),
    /// The start of the next message is unknown.
    Lost,
}

/// The messages in the queued output of a connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    state: State,
    /// The beginning of a head that was sent before its end was queued.
    partial: Vec<u8>,
    /// Offset in the queued stream up to which it was tracked.
    pub(crate) at: u64,
    /// The response being tracked says that the connection closes.
    close: bool,
    /// The length that a response to HEAD announces.
    unwanted: usize,
    requests: u64,
    responses: u64,
    /// Numbers of the HEAD requests waiting for a response.
    heads: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    /// The response ends here. `close`: its head says that the connection ends too. `unwanted`: so many bytes of a body that HEAD
    /// does not want may follow, from an application that does not look at the method.
    Complete {
        close: bool,
        unwanted: usize,
    },
}

/// The relevant parts of a head.
struct Seen {
    framing: Framing,
    connect: bool,
    authorized: bool,
    close: bool,
    tunnel: bool,
    length: usize,
    chunked: bool,
}

impl Outgoing {
    pub(crate) fn new(at: u64) -> Outgoing {
        Outgoing {
            state: State::Head,
            partial: Vec::new(),
            at,
            close: false,
            unwanted: 0,
            requests: 0,
            responses: 0,
            heads: VecDeque::new(),
        }
    }

    /// The next message begins here.
    pub(crate) fn restart(&mut self, at: u64) {
        self.state = State::Head;
        self.partial.clear();
        self.at = at;
    }

    /// Stops tracking: the position of the next message is unknown.
    pub(crate) fn lose(&mut self) {
        self.state = State::Lost;
    }

    /// Tracks a client's requests in `data`, which begins at `self.at` and is about to be sent. Some(n): a request without
    /// Authorization; its head, including the blank line, ends at `data[n]`, and the rest was not examined.
    pub(crate) fn request(&mut self, data: &[u8]) -> Option<usize> {
        let mut used = 0;
        let mut bare = None;
        while used < data.len() && bare.is_none() {
            let rest = &data[used..];
            if !matches!(self.state, State::Head) {
                used += self.body(rest);
                continue;
            }
            let is_whole = self.partial.is_empty();
            let (n, seen) = self.head(rest, true, None);
            used += n;
            let Some(seen) = seen else { continue };
            if !seen.connect {
                // The application removes the response to CONNECT from the buffer itself.
                self.count(seen.framing.head);
            }
            bare = (is_whole && !seen.authorized && !seen.connect).then_some(used);
        }
        self.at += used as u64;
        bare
    }

    fn count(&mut self, head: bool) {
        if head && self.heads.len() < MAX_WAITING {
            self.heads.push_back(self.requests);
        }
        self.requests += 1;
    }

    /// True if the next response answers a HEAD request.
    pub(crate) fn answers_head(&self) -> bool {
        self.heads.front() == Some(&self.responses)
    }

    /// A final response was received.
    pub(crate) fn answered(&mut self) {
        if self.answers_head() {
            self.heads.pop_front();
        }
        self.responses += 1;
    }

    /// Tracks a server's response in `data`, which begins at `self.at`. `head`: it answers HEAD. `leaving`: the data will not be
    /// there in the next call.
    pub(crate) fn response(&mut self, data: &[u8], head: bool, leaving: bool) -> Progress {
        let mut used = 0;
        let mut progress = Progress::More;
        while used < data.len() && progress == Progress::More {
            let rest = &data[used..];
            if matches!(self.state, State::Head) {
                let (n, seen) = self.head(rest, leaving, Some(head));
                used += n;
                let Some(seen) = seen else {
                    if n == 0 {
                        break;
                    }
                    continue;
                };
                if seen.framing.interim {
                    continue;
                }
                self.close = seen.close;
                self.unwanted = if head { seen.length } else { 0 };
                // Chunks in response to HEAD are not queued; the application's empty chunk completes the response.
                if seen.tunnel || head && seen.chunked {
                    self.lose();
                }
            } else {
                used += self.body(rest);
            }
            if matches!(self.state, State::Head) {
                progress = Progress::Complete { close: self.close, unwanted: self.unwanted };
            }
        }
        self.at += used as u64;
        progress
    }

    /// Consumes a head, or the available part of it. `answers`: it is a response, possibly to HEAD.
    fn head(&mut self, data: &[u8], leaving: bool, answers: Option<bool>) -> (usize, Option<Seen>) {
        self.valid_head(data, leaving, answers).unwrap_or_else(|| {
            self.lose();
            (data.len(), None)
        })
    }

    /// None: it is malformed, too long, or of the other kind of message, or memory has run out.
    fn valid_head(&mut self, data: &[u8], leaving: bool, answers: Option<bool>) -> Option<(usize, Option<Seen>)> {
        let joined;
        let all = if self.partial.is_empty() {
            data
        } else {
            joined = memory::joined(&[&self.partial, data])?;
            &joined
        };
        let before = self.partial.len();
        let (blank, _) = head::blank_lines(all);
        if blank > before {
            self.partial.clear();
            return Some((blank - before, None));
        }
        let Some(head) = head::parse(all, Reader::Client, 0, |_, _, _| {}).ok()? else {
            return if all.len() > MAX_HEAD {
                None
            } else if leaving {
                memory::append(&mut self.partial, data).then_some((data.len(), None))
            } else {
                Some((0, None))
            };
        };
        let framing = Framing::new(&head, Side::Client { head: answers == Some(true) }, b"").ok()?;
        if head.is_response() != answers.is_some() {
            return None;
        }
        self.state = match framing.body {
            Body::Length(0) => State::Head,
            Body::Length(n) => State::Length(n),
            Body::Chunked => State::Chunked(Scanner::new()),
            _ => State::Lost,
        };
        let seen = Seen {
            framing,
            connect: head.method.eq_ignore_ascii_case(b"CONNECT"),
            authorized: head.fields.authorized,
            close: head.fields.close,
            tunnel: head.is_response() && head.uri == b"101",
            length: head.fields.length.unwrap_or(0),
            chunked: head.fields.coding.is_some(),
        };
        let used = head.len - before;
        self.partial.clear();
        Some((used, Some(seen)))
    }

    /// Consumes the bytes of a body. A head follows its last byte.
    fn body(&mut self, data: &[u8]) -> usize {
        match &mut self.state {
            State::Length(left) => {
                let used = data.len().min(*left);
                *left -= used;
                if *left == 0 {
                    self.state = State::Head;
                }
                used
            }
            State::Chunked(scanner) => match scanner.scan(data) {
                Scan::NeedMore => scanner.advance(),
                Scan::Complete { consumed, .. } => {
                    self.state = State::Head;
                    consumed
                }
                Scan::Invalid => {
                    self.lose();
                    data.len()
                }
            },
            State::Head | State::Lost => data.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    const GET: &str = "GET / HTTP/1.1\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\nAuthorization: x\r\nContent-Length: 6\r\n\r\nHEAD /";
    const CHUNKS: &str = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n";

    /// Which responses have no body, when the requests leave in these pieces.
    fn heads(pieces: &[&[u8]]) -> Vec<bool> {
        let mut out = Outgoing::new(7);
        for piece in pieces {
            let mut at = 0;
            while let Some(n) = out.request(&piece[at..]) {
                at += n;
            }
        }
        assert_eq!(out.at, 7 + pieces.iter().map(|p| p.len() as u64).sum::<u64>());
        (0..out.requests)
            .map(|_| {
                let head = out.answers_head();
                out.answered();
                head
            })
            .collect()
    }

    #[test]
    fn methods_are_remembered_however_output_is_split() {
        for (text, want) in [
            ([HEAD, GET, POST, HEAD, CHUNKS, HEAD].concat(), vec![true, false, false, true, false, true]),
            (["\r\n", HEAD, "\r\n", HEAD].concat(), vec![true, true]),
            (["CONNECT a:1 HTTP/1.1\r\n\r\n", HEAD].concat(), vec![true]),
            ([HEAD, "\x16\x03\x01", HEAD].concat(), vec![true]),
            ([HEAD, "HTTP/1.1 200 OK\r\n\r\n", HEAD].concat(), vec![true]),
        ] {
            let bytes = text.as_bytes();
            assert_eq!(heads(&[bytes]), want, "{text:?}");
            assert_eq!(heads(&bytes.chunks(1).collect::<Vec<_>>()), want, "{text:?} byte by byte");
            for cut in 0..bytes.len() {
                assert_eq!(heads(&[&bytes[..cut], &bytes[cut..]]), want, "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn tracking_stops_after_a_long_incomplete_head() {
        for (size, want) in [(MAX_HEAD, vec![true]), (MAX_HEAD + 1, vec![])] {
            let line = "HEAD / HTTP/1.1\r\nA: ";
            let start = line.to_owned() + &"x".repeat(size - line.len());
            assert_eq!(heads(&[start.as_bytes(), b"\r\n\r\n"]), want, "{size}");
        }
    }

    #[test]
    fn tracking_resumes_at_the_next_message() {
        for before in ["HEAD / HT", "\x16\x03\x01", "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"] {
            let mut out = Outgoing::new(0);
            out.request(before.as_bytes());
            out.restart(1000);
            out.request(HEAD.as_bytes());
            assert_eq!(out.at, 1000 + HEAD.len() as u64, "{before:?}");
            assert_eq!(out.heads.len(), 1, "{before:?}");
        }
    }

    #[test]
    fn complete_requests_without_credentials_are_found() {
        let mut out = Outgoing::new(0);
        assert_eq!(out.request([POST, GET].concat().as_bytes()), Some(POST.len() + GET.len()));
        assert_eq!(out.request(&GET.as_bytes()[..5]), None);
        assert_eq!(out.request(&GET.as_bytes()[5..]), None);
        assert_eq!(out.request(GET.as_bytes()), Some(GET.len()));
    }

    #[test]
    fn the_list_of_unanswered_requests_is_bounded() {
        let mut out = Outgoing::new(0);
        for _ in 0..2 * MAX_WAITING {
            while out.request(HEAD.as_bytes()).is_none() {}
        }
        assert_eq!(out.heads.len(), MAX_WAITING);
    }

    #[test]
    fn a_response_completes_with_its_last_byte() {
        for (text, head, close) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", false, true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, false),
            ("HTTP/1.1 200 OK\r\n\r\n", true, false),
            ("HTTP/1.1 204 N\r\n\r\n", false, false),
            ("HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n", false, false),
        ] {
            let bytes = text.as_bytes();
            let unwanted = if head && text.contains("Length") { 5 } else { 0 };
            for leaving in [false, true] {
                for cut in 0..bytes.len() {
                    let mut out = Outgoing::new(0);
                    assert_eq!(out.response(&bytes[..cut], head, leaving), Progress::More, "{text:?} cut at {cut}");
                    let at = out.at as usize;
                    assert_eq!(
                        out.response(&bytes[at..], head, leaving),
                        Progress::Complete { close, unwanted },
                        "{text:?} cut at {cut}"
                    );
                    assert_eq!(out.at as usize, bytes.len());
                }
            }
        }
    }

    #[test]
    fn a_response_without_a_length_does_not_complete() {
        for text in [
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "HTTP/1.1 101 S\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
            "hello\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
        ] {
            for leaving in [false, true] {
                assert_eq!(Outgoing::new(0).response(text.as_bytes(), false, leaving), Progress::More, "{text:?}");
            }
        }
    }
}
