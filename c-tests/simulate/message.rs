//! What goes over the connections: requests, and a reader of answers that believes nothing.

use crate::plan::{Act, Answer, Body, Method, Request};

/// Byte `at` of a body.
fn byte(key: usize, at: usize) -> u8 {
    b'a' + ((key.wrapping_mul(31) + at + at / 251) % 26) as u8
}

pub(crate) fn body(key: usize, from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| byte(key, at)).collect()
}

/// The key of an answer's body: not that of the request's.
pub(crate) fn answer_key(id: usize) -> usize {
    id + 7
}

/// Of what the client must read.
fn key(id: usize, q: &Request) -> usize {
    if matches!(q.answer, Answer::File { .. }) { crate::files::KEY } else { answer_key(id) }
}

pub(crate) fn request(id: usize, q: &Request) -> Vec<u8> {
    let method = q.method.name();
    let version = if q.old { "1.0" } else { "1.1" };
    let mut out = format!("{method} /{id} HTTP/{version}\r\nHost: a\r\n").into_bytes();
    if q.last {
        out.extend(b"Connection: close\r\n");
    }
    if q.expects && q.body.len() > 0 {
        out.extend(b"Expect: 100-continue\r\n");
    }
    match &q.body {
        Body::None => out.extend(b"\r\n"),
        Body::Length(n) => {
            out.extend(format!("Content-Length: {n}\r\n\r\n").bytes());
            out.extend(body(id, 0, *n));
        }
        Body::Chunks(parts) => {
            out.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            let mut at = 0;
            for n in parts {
                out.extend(format!("{n:x}\r\n").bytes());
                out.extend(body(id, at, *n));
                out.extend(b"\r\n");
                at += n;
            }
            out.extend(b"0\r\n\r\n");
        }
    }
    out
}

/// The program drains the connection while it handles the head of this request, and polls: an earlier answer that is sent then is
/// the last, as far as anybody can know. But the socket may not take all of it, and the program may then answer still.
fn answers_too_late(request: &Request) -> bool {
    let mut acts = request.at_head.iter().skip_while(|act| !matches!(act, Act::Drain));
    request.upload && acts.any(|act| matches!(act, Act::Poll { .. }))
}

/// What was read of answers.
#[derive(Default)]
pub(crate) struct Reader {
    buf: Vec<u8>,
    at: usize,
    state: State,
    /// The requests whose answers are whole, in order.
    pub(crate) done: Vec<usize>,
    /// An answer has said that it is the last.
    pub(crate) last: bool,
    /// The library has refused something: status.
    pub(crate) refused: Option<u32>,
}

#[derive(Default)]
enum State {
    #[default]
    Head,
    Length {
        id: usize,
        got: usize,
        left: usize,
    },
    Chunk {
        id: usize,
        got: usize,
        left: usize,
    },
    /// CR LF behind a chunk, then the size of the next.
    Size {
        id: usize,
        got: usize,
        first: bool,
    },
    /// A refusal's text.
    Text {
        left: usize,
    },
}

fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).position(|w| w == what)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

impl Reader {
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        if self.at > 0 {
            self.buf.drain(..self.at);
            self.at = 0;
        }
        &mut self.buf
    }

    /// Goes on with what has arrived. `next` is the request whose answer must be next, from those that were begun.
    pub(crate) fn go_on(&mut self, requests: &[Request], mut next: impl FnMut(usize) -> Option<usize>) -> Result<(), String> {
        loop {
            let rest = &self.buf[self.at..];
            match &mut self.state {
                State::Head => {
                    if rest.is_empty() {
                        return Ok(());
                    }
                    // What it is must still be right.
                    let mut is_tried = || next(self.done.len()).is_some_and(|id| answers_too_late(&requests[id]));
                    if self.last && !is_tried() {
                        return Err(format!(
                            "bytes behind the last answer: {:?}",
                            String::from_utf8_lossy(&rest[..rest.len().min(60)])
                        ));
                    }
                    let Some(end) = find(rest, b"\r\n\r\n") else {
                        if rest.len() > 4000 {
                            return Err("a head without an end".into());
                        }
                        return Ok(());
                    };
                    let head = std::str::from_utf8(&rest[..end]).map_err(|_| "a head that is no text".to_string())?;
                    let status = head.strip_prefix("HTTP/1.1 ").and_then(|s| s.get(..3)?.parse::<u32>().ok());
                    let status = status.ok_or_else(|| format!("no head: {head:?}"))?;
                    if status == 100 {
                        self.at += end + 4;
                        continue;
                    }
                    self.last = header(head, "Connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
                    let length =
                        header(head, "Content-Length").map(|v| v.parse::<usize>().map_err(|e| e.to_string())).transpose()?;
                    let Some(id) = header(head, "X-Id") else {
                        if self.refused.is_some() {
                            return Err(format!("a second refusal: {head:?}"));
                        }
                        self.refused = Some(status);
                        if !self.last {
                            return Err(format!("a refusal that does not say that it is the last: {head:?}"));
                        }
                        self.at += end + 4;
                        self.state = State::Text { left: length.unwrap_or(0) };
                        continue;
                    };
                    let id: usize = id.parse().map_err(|_| "X-Id".to_string())?;
                    if next(self.done.len()) != Some(id) {
                        return Err(format!("the answer to {id} in place of that to {:?}", next(self.done.len())));
                    }
                    let q = &requests[id];
                    let chunked = header(head, "Transfer-Encoding").is_some();
                    if chunked == length.is_some() {
                        return Err(format!("no length, or two: {head:?}"));
                    }
                    self.at += end + 4;
                    if q.method == Method::Head {
                        self.done.push(id);
                    } else if chunked {
                        self.state = State::Size { id, got: 0, first: true };
                    } else {
                        let left = length.unwrap_or(0);
                        if left != q.answer.len() {
                            return Err(format!("the answer to {id} says {left} bytes, and should {}", q.answer.len()));
                        }
                        self.state = State::Length { id, got: 0, left };
                    }
                }
                State::Text { left } => {
                    let n = rest.len().min(*left);
                    self.at += n;
                    *left -= n;
                    if *left > 0 {
                        return Ok(());
                    }
                    self.state = State::Head;
                }
                State::Length { id, got, left } | State::Chunk { id, got, left } => {
                    let n = rest.len().min(*left);
                    let key = key(*id, &requests[*id]);
                    if let Some(bad) = rest[..n].iter().enumerate().position(|(i, b)| *b != byte(key, *got + i)) {
                        return Err(format!("the answer to {id} is wrong at byte {}", *got + bad));
                    }
                    self.at += n;
                    (*got, *left) = (*got + n, *left - n);
                    if *left > 0 {
                        return Ok(());
                    }
                    let (id, got) = (*id, *got);
                    self.state = if matches!(self.state, State::Chunk { .. }) {
                        State::Size { id, got, first: false }
                    } else {
                        self.done.push(id);
                        State::Head
                    };
                }
                State::Size { id, got, first } => {
                    let skip = if *first { 0 } else { 2 };
                    let Some(end) = rest.get(skip..).and_then(|r| find(r, b"\r\n")) else { return Ok(()) };
                    let text = std::str::from_utf8(&rest[skip..skip + end]).unwrap_or("");
                    let n = usize::from_str_radix(text, 16).map_err(|_| format!("no size of a chunk: {text:?}"))?;
                    let (id, got) = (*id, *got);
                    if n > 0 {
                        self.at += skip + end + 2;
                        self.state = State::Chunk { id, got, left: n };
                        continue;
                    }
                    if rest.len() < skip + end + 4 {
                        return Ok(());
                    }
                    if got != requests[id].answer.len() {
                        return Err(format!("the answer to {id} has {got} bytes, and should have {}", requests[id].answer.len()));
                    }
                    self.at += skip + end + 4;
                    self.done.push(id);
                    self.state = State::Head;
                }
            }
        }
    }
}

/// The head that the program writes itself.
pub(crate) fn own_head(id: usize, answer: &Answer) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nX-Id: {id}\r\nContent-Length: {}\r\n\r\n", answer.len()).into_bytes()
}
