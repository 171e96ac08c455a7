//! Sending a file: in blocks through `c->send`, or from file to socket within the kernel.

use super::engine::{ConnState, Done, End, Engine, Stream};
use super::event::{call_count, error};
use super::handle::ConnRef;
use super::kept::Source;
use super::output;
use super::tls::table as tls;
use super::{ending, send};
use crate::abi::*;
use crate::ffi_util::{bytes, heap};
use crate::memory;
use crate::memory::prelude::*;
use crate::platform::files;
use crate::platform::sock::{self, Io};
use core::ffi::c_void;

/// Fill level of `c->send`.
const BLOCK: usize = IO_SIZE;
/// Blocks per service call, and bytes that the kernel copies per service call, for fairness.
const BLOCKS: usize = 8;
const COPY: u64 = 1 << 20;

/// Number of file bytes read at once.
pub(crate) fn block(c: ConnRef) -> usize {
    c.engine().map_or(BLOCK, |e| e.io_size().min(BLOCK))
}

/// Queued bytes, the rest of the file, and ciphertext not yet accepted by the socket.
pub(crate) fn unsent(c: ConnRef) -> usize {
    let behind = c.rec().map_or(0, |rec| {
        let stream = rec.stream.take();
        let of_file = stream.as_ref().map_or(rec.abandoned.get(), |s| s.left);
        rec.stream.set(stream);
        usize::try_from(of_file).unwrap_or(usize::MAX).saturating_add(tls::unsent(rec))
    });
    c.send_len().saturating_add(behind)
}

impl Stream {
    /// `left` bytes from `at` on. `descriptor`: that of a file of the system, which the kernel may copy if `copied`. None when the
    /// file has no such place.
    pub(crate) fn new(file: Source, descriptor: Option<i32>, copied: bool, at: u64, left: u64) -> Option<Stream> {
        let native = descriptor.is_some();
        if let (false, 1.., Source::Own(file)) = (native, at, &file) {
            usize::try_from(at).ok().filter(|at| file.seek(*at))?;
        }
        let descriptor = descriptor.filter(|_| copied);
        Some(Stream { file, pair: core::ptr::null_mut(), native, descriptor, at, left, last: false, done: None })
    }

    /// Appends up to `max` bytes of the file to `c->send`. Returns the number of bytes left. None if the file ended too early.
    pub(crate) fn fill(&mut self, c: ConnRef, max: usize) -> Option<u64> {
        let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(max);
        if n > 0 {
            let Some(got) = self.read(c, n) else {
                error(c, format_args!("OOM"));
                return None;
            };
            if got == 0 {
                return None;
            }
            self.at += got as u64;
            self.left -= got as u64;
        }
        Some(self.left)
    }

    /// Appends the next `n` bytes, or fewer at the end of the file, to `c->send`. None when out of memory.
    fn read(&self, c: ConnRef, n: usize) -> Option<usize> {
        let file = match &self.file {
            Source::Own(file) if !self.native => file,
            file => return read_native(c, file.parts().0, self.at, n),
        };
        // Not straight into c->send, which an application's own file system might change.
        let mut block = memory::zeroed(n)?;
        let got = file.read(&mut block);
        output::append_bytes(c, &block[..got]).then_some(got)
    }

    /// Leaves the rest to the service call that sends the head, which was queued before, and to later ones. The result is for
    /// `c->pfn_data`.
    pub(crate) fn begin(mut self, c: ConnRef, rec: &ConnState, last: bool, done: Done) -> *mut mg_fd {
        (self.last, self.done) = (last, Some(done));
        self.pair = heap::new_zeroed();
        if !self.pair.is_null() {
            let (fd, fs) = self.file.parts();
            // SAFETY: just allocated, for an mg_fd.
            unsafe { self.pair.write(mg_fd { fd, fs: fs.as_ptr() }) };
        }
        let pair = self.pair;
        rec.stream.set(Some(Box::new(self)));
        c.update(|f| f.set_streaming(true));
        pair
    }
}

/// Appends what a file of the system has at `at`.
fn read_native(c: ConnRef, fd: *mut c_void, at: u64, n: usize) -> Option<usize> {
    let len = c.send_len();
    // SAFETY: the connection's own buffer gets room for n bytes, which nobody changes before they are read.
    unsafe {
        if !output::append(c, core::ptr::null(), n) {
            return None;
        }
        let got = files::read_at(fd, at, bytes::slice_mut(c.send_info().buf.add(len), n));
        (*c.send()).len = len + got;
        Some(got)
    }
}

/// Closes the file without sending the rest.
pub(crate) fn abandon(c: ConnRef, rec: &ConnState) {
    c.update(|f| f.set_streaming(false));
    if let Some(stream) = rec.stream.take() {
        rec.abandoned.set(stream.left);
    }
}

fn finish(c: ConnRef, rec: &ConnState, stream: Box<Stream>, end: End) {
    let (done, last) = (stream.done, stream.last);
    drop(stream);
    c.update(|f| f.set_streaming(false));
    if let Some(done) = done {
        done(c, rec, end, last);
    }
}

/// Sends as much as the socket takes, up to a limit.
pub(crate) fn go_on(e: &Engine, c: ConnRef, rec: &ConnState) {
    for _ in 0..BLOCKS {
        let flags = c.flags();
        if rec.blocked.get() || flags.is_closing() || !send::can_send(flags) {
            return;
        }
        // None: the file is being read, and the application's file system polls.
        let Some(stream) = rec.stream.take() else { return };
        let copied = stream.descriptor.is_some();
        if !copied {
            fill(c, rec, stream);
            send::send_queued(e, c, rec);
        } else if c.send_len() > 0 {
            // Output that the application has queued in the meantime goes first.
            return rec.stream.set(Some(stream));
        } else {
            copy(e, c, rec, stream);
        }
        if e.is_dead() || c.is_closed() {
            return;
        }
        if !c.flags().is_streaming() {
            return next_request(c);
        }
        if copied {
            return;
        }
    }
}

fn fill(c: ConnRef, rec: &ConnState, mut stream: Box<Stream>) {
    let left = stream.fill(c, block(c).saturating_sub(c.send_len()));
    if c.is_closed() {
        // Closed by the application's file system; the record may already be reused.
        return;
    }
    match left {
        Some(0) => finish(c, rec, stream, End::Whole),
        Some(_) => rec.stream.set(Some(stream)),
        None => finish(c, rec, stream, End::Cut),
    }
}

/// Sends the next part, copied by the kernel unless it must be encrypted, and delivers MG_EV_WRITE.
fn copy(e: &Engine, c: ConnRef, rec: &ConnState, mut stream: Box<Stream>) {
    let n = stream.left.min(COPY) as usize;
    let Some(descriptor) = stream.descriptor else { return rec.stream.set(Some(stream)) };
    let sent = if c.flags().is_secure() {
        tls::send_file(e, c, rec, descriptor, stream.at, n)
    } else {
        sock::send_file(rec.fd.get(), descriptor, stream.at, n)
    };
    match sent {
        Io::Done(n @ 1..) => {
            send::moved(e, rec, n);
            stream.at += n as u64;
            stream.left -= n as u64;
            if stream.left == 0 {
                finish(c, rec, stream, End::Whole);
            } else {
                rec.stream.set(Some(stream));
            }
            call_count(c, MG_EV_WRITE, n);
            if !e.is_dead() && !c.is_closed() {
                ending::settle(e, c, rec);
            }
        }
        Io::Done(_) => finish(c, rec, stream, End::Cut),
        Io::Wait => {
            rec.stream.set(Some(stream));
            if !c.flags().is_secure() {
                send::block(e, c, rec);
            }
        }
        Io::Failed(_) => {
            // Some file systems do not support it. If the connection failed, the next send reports it.
            stream.descriptor = None;
            rec.stream.set(Some(stream));
        }
    }
}

/// Handles requests that arrived while the file was being sent.
fn next_request(c: ConnRef) {
    let flags = c.flags();
    if c.recv_len() > 0 && !flags.is_resp() && !flags.is_draining() && !flags.is_closing() {
        call_count(c, MG_EV_READ, 0);
    }
}
