//! Replaces a server by its successor again and again while requests keep coming (examples-c/rolling-restart.c): none may fail.
//! `DURATION=30` sets the duration in seconds.

use crate::server::{Server, build};
use crate::tools::scratch;
use libtest_mimic::{Failed, Trial};
use std::{
    io::{Read, Write},
    net::TcpStream,
    os::fd::AsRawFd,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    answered: AtomicU64,
    /// Sent again, because the server had closed an idle connection before it saw the request: RFC 9110, 9.2.2.
    again: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
}

/// A connection that ends with a reset, so that its port is free again at once.
struct Connection(TcpStream);

impl Connection {
    fn open(port: u16) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        Ok(Connection(stream))
    }

    /// One exchange. `Ok(None)` when the server had ended the connection before it said anything.
    fn ask(&mut self, close: bool) -> Result<Option<String>, String> {
        let header = if close { "Connection: close\r\n" } else { "" };
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{header}\r\n");
        self.0.write_all(request.as_bytes()).map_err(|e| format!("sending: {e}"))?;
        let mut got = Vec::new();
        loop {
            let mut part = [0; 1000];
            match self.0.read(&mut part).map_err(|e| format!("after {} bytes: {e}", got.len()))? {
                0 if got.is_empty() => return Ok(None),
                0 => return Err(format!("end of stream after {} bytes", got.len())),
                n => got.extend(&part[..n]),
            }
            let text = String::from_utf8_lossy(&got);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("Content-Length: ").nth(1).and_then(|l| l.split_whitespace().next()?.parse().ok());
                if head.starts_with("HTTP/1.1 200 OK\r\n") && length == Some(body.len()) {
                    return Ok(Some(text.into_owned()));
                }
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let now = libc::linger { l_onoff: 1, l_linger: 0 };
        let len = size_of::<libc::linger>() as libc::socklen_t;
        // SAFETY: the option is as long as said.
        unsafe { libc::setsockopt(self.0.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const now).cast(), len) };
    }
}

/// Sends one request after the other: on one connection as long as the server keeps it, or each on its own.
fn client(port: u16, keep_alive: bool, counts: &Counts) {
    let mut kept: Option<Connection> = None;
    while !counts.stop.load(Relaxed) {
        counts.sent.fetch_add(1, Relaxed);
        let reused = kept.is_some();
        let outcome =
            kept.take().map_or_else(|| Connection::open(port).map_err(|e| format!("connecting: {e}")), Ok).and_then(|mut c| {
                let mut answer = c.ask(!keep_alive)?;
                if answer.is_none() && reused {
                    counts.again.fetch_add(1, Relaxed);
                    c = Connection::open(port).map_err(|e| format!("connecting: {e}"))?;
                    answer = c.ask(!keep_alive)?;
                }
                let answer = answer.ok_or("closed without a response")?;
                Ok((c, answer.contains("Connection: close")))
            });
        match outcome {
            Ok((c, last)) => {
                counts.answered.fetch_add(1, Relaxed);
                kept = Some(c).filter(|_| !last);
            }
            Err(e) => {
                if counts.failed.fetch_add(1, Relaxed) < 5 {
                    eprintln!("failed: {e}");
                }
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn restarts() -> Result<(), Failed> {
    const SOURCE: &str = "examples-c/rolling-restart.c";
    let seconds = std::env::var("DURATION").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    build(SOURCE)?;
    scratch("clients-restart-control");
    // Seen from the directories of the servers; the paths of UNIX sockets have to be short.
    let control = "../clients-restart-control/control";
    let start = |n: u32| Server::start(&format!("restart-{}", n % 2), SOURCE, &["http://127.0.0.1:0", control], 1);
    let mut server = start(0)?;
    let port = server.port();
    let counts = Counts::default();
    let mut restarts = 0;
    thread::scope(|s| -> Result<(), String> {
        for n in 0..8 {
            let counts = &counts;
            s.spawn(move || client(port, n % 2 == 0, counts));
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut replace = || -> Result<(), String> {
            while Instant::now() < end {
                thread::sleep(Duration::from_millis(300));
                restarts += 1;
                let next = start(restarts)?;
                if next.port() != port {
                    return Err(format!("port {} instead of {port}", next.port()));
                }
                std::mem::replace(&mut server, next).ended()?;
            }
            Ok(())
        };
        let outcome = replace();
        counts.stop.store(true, Relaxed);
        outcome
    })?;
    server.stop()?;
    let [sent, answered, again, failed] =
        [&counts.sent, &counts.answered, &counts.again, &counts.failed].map(|n| n.load(Relaxed));
    println!(
        "{restarts} restarts in {seconds} s: {sent} requests sent, {answered} answered, {again} of them sent twice, {failed} failed"
    );
    if failed > 0 || answered != sent || answered < 100 || restarts < 2 {
        return Err("requests were lost".into());
    }
    Ok(())
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    all.push(Trial::test("restart::no_request_fails", restarts));
}
