//! What a program writes itself: which requests a client has sent, and where a server's response ends. Bytes in, in the order in
//! which they are queued; they may come in any pieces.

use super::chunked::{Scan, Scanner};
use super::framing::{Body, Framing, Side};
use super::head::{self, Reader};
use std::collections::VecDeque;

/// What comes behind a longer head is not followed.
const MAX_HEAD: usize = 64 * 1024;
/// HEAD requests that may wait for their responses.
const MAX_WAITING: usize = 4096;

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Length(usize),
    Chunked(Scanner),
    /// Nobody knows where the next message begins.
    Lost,
}

/// The messages in what is queued on a connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    state: State,
    /// The beginning of a head, when it has left before its end was queued.
    partial: Vec<u8>,
    /// How far the stream of queued bytes was followed.
    pub(crate) at: u64,
    /// The response that is being followed says that the connection ends.
    close: bool,
    requests: u64,
    responses: u64,
    /// The numbers of the HEAD requests that wait for a response.
    heads: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    /// The response ends here. `close`: its head says that the connection ends too.
    Complete {
        close: bool,
    },
}

/// What is to be known of a head.
struct Seen {
    framing: Framing,
    connect: bool,
    authorized: bool,
    close: bool,
    tunnel: bool,
}

impl Outgoing {
    pub(crate) fn new(at: u64) -> Outgoing {
        Outgoing { state: State::Head, partial: Vec::new(), at, close: false, requests: 0, responses: 0, heads: VecDeque::new() }
    }

    /// The next message begins here.
    pub(crate) fn restart(&mut self, at: u64) {
        self.state = State::Head;
        self.partial.clear();
        self.at = at;
    }

    /// Nothing is known any more of what follows.
    pub(crate) fn lose(&mut self) {
        self.state = State::Lost;
    }

    /// Follows a client's requests through `data`, which begins at `self.at` and is about to leave. Some: a request without
    /// Authorization; its head, with the empty line, ends so far into `data`, and what lies behind it has not been looked at.
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
                // The answer to CONNECT is taken off the buffer by the program.
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

    /// Whether the next response answers a HEAD request.
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

    /// Follows a server's response through `data`, which begins at `self.at`. `head`: it answers HEAD. `leaving`: the data will
    /// not be there at the next call.
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
                if seen.tunnel {
                    self.lose();
                }
            } else {
                used += self.body(rest);
            }
            if matches!(self.state, State::Head) {
                progress = Progress::Complete { close: self.close };
            }
        }
        self.at += used as u64;
        progress
    }

    /// Takes a head, or what there is of it, off `data`. `answers`: it is a response, perhaps to HEAD.
    fn head(&mut self, data: &[u8], leaving: bool, answers: Option<bool>) -> (usize, Option<Seen>) {
        let joined;
        let all = if self.partial.is_empty() {
            let (blank, _) = head::blank_lines(data);
            if blank > 0 {
                return (blank, None);
            }
            data
        } else {
            joined = [&self.partial[..], data].concat();
            &joined
        };
        let before = self.partial.len();
        match head::parse(all, Reader::Client, 0, |_, _, _| {}) {
            Ok(None) if all.len() > MAX_HEAD => {}
            Ok(None) if leaving => {
                self.partial.extend(data);
                return (data.len(), None);
            }
            Ok(None) => return (0, None),
            Ok(Some(head)) => {
                let framing = Framing::new(&head, Side::Client { head: answers == Some(true) }, b"");
                if let (Ok(framing), true) = (framing, head.is_response() == answers.is_some()) {
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
                    };
                    let used = head.len - before;
                    self.partial.clear();
                    return (used, Some(seen));
                }
            }
            Err(head::Malformed) => {}
        }
        self.partial.clear();
        self.lose();
        (data.len(), None)
    }

    /// Takes what belongs to a body off `data`. Behind its last byte comes a head.
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
