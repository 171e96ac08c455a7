//! A peer for the library's clients: a Unix socket that sends the target's responses.

use core::ffi::{c_char, c_int};
use core::mem::MaybeUninit;
use mongoose::abi::*;
use std::ffi::CString;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};

#[allow(improper_ctypes)]
unsafe extern "C" {
    fn mg_mgr_init(mgr: *mut mg_mgr);
    fn mg_mgr_poll(mgr: *mut mg_mgr, ms: c_int);
    fn mgx_log_set(level: c_int);
}

/// A manager that lives as long as the process, and the listener that its clients connect to.
pub(crate) struct Peer {
    pub(crate) mgr: *mut mg_mgr,
    listener: UnixListener,
    url: CString,
}

impl Peer {
    pub(crate) fn new() -> Peer {
        let path = std::env::temp_dir().join(format!("fuzz-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mgr = Box::leak(Box::new(MaybeUninit::<mg_mgr>::uninit())).as_mut_ptr();
        // SAFETY: room for a manager, which stays where it is.
        unsafe {
            mgx_log_set(0);
            mg_mgr_init(mgr);
        }
        Peer { mgr, listener, url: CString::new(format!("unix://{}", path.display())).unwrap() }
    }

    pub(crate) fn url(&self) -> *const c_char {
        self.url.as_ptr()
    }

    fn poll(&self) {
        // SAFETY: the manager.
        unsafe { mg_mgr_poll(self.mgr, 0) };
    }

    /// For each connection that the clients open: waits for the request that `answer` is happy with, and sends what it makes of it,
    /// in pieces; then the peer goes away, and the client has to.
    pub(crate) fn serve(&self, mut answer: impl FnMut(&[u8]) -> Option<Vec<Vec<u8>>>) {
        for _ in 0..1000 {
            self.poll();
            match self.listener.accept() {
                Ok((stream, _)) => self.one(stream, &mut answer),
                // SAFETY: the manager.
                Err(_) if unsafe { (*self.mgr).conns.is_null() } => return,
                Err(_) => {}
            }
        }
        panic!("a client did not finish");
    }

    fn one(&self, mut stream: UnixStream, answer: &mut impl FnMut(&[u8]) -> Option<Vec<Vec<u8>>>) {
        stream.set_nonblocking(true).unwrap();
        let (mut request, mut block) = (Vec::new(), [0; 4096]);
        let mut pieces = None;
        for _ in 0..100 {
            self.poll();
            match stream.read(&mut block) {
                Ok(0) => break,
                Ok(n) => request.extend(&block[..n]),
                Err(_) => {}
            }
            pieces = answer(&request);
            if pieces.is_some() {
                break;
            }
        }
        for piece in pieces.unwrap_or_default() {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let sent = stream.write(rest);
                self.poll();
                while matches!(stream.read(&mut block), Ok(1..)) {}
                match sent {
                    Ok(n) => rest = &rest[n..],
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    // A client that ended takes no more.
                    Err(_) => return,
                }
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
        for _ in 0..3 {
            self.poll();
            while matches!(stream.read(&mut block), Ok(1..)) {}
        }
    }
}

/// The bytes of a string that is valid now.
pub(crate) fn bytes(s: mg_str) -> Vec<u8> {
    if s.len == 0 {
        return Vec::new();
    }
    // SAFETY: the caller has it from the library, in the event it belongs to.
    unsafe { core::slice::from_raw_parts(s.buf.cast(), s.len).to_vec() }
}

/// A view of bytes.
pub(crate) fn view(s: &[u8]) -> mg_str {
    mg_str { buf: s.as_ptr() as *mut c_char, len: s.len() }
}
