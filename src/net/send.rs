//! Sending queued data, and the state of a connection's output.

use super::ending;
use super::engine::{ConnState, Engine, Reason, count};
use super::event::{call_count, os_error};
use super::handle::ConnRef;
use super::progress;
use super::tls::table as tls;
use crate::abi::*;
use crate::ffi_util::{addr::Addr, bytes};
use crate::memory;
use crate::platform::sock::{self, Io, Rest};
use crate::sys::log::{hexdump, log_error, log_info};

/// True if a connection of this kind and state can send. Data that applications write to a listener stays where it is.
pub(crate) fn can_send(flags: Flags) -> bool {
    !flags.is_connecting() && !flags.is_resolving() && !flags.is_tls_hs() && (!flags.is_listening() || flags.is_udp())
}

/// Delivers MGX_EV_BACKPRESSURE once when the queue exceeds its limit, and again after it fell below half.
pub(crate) fn press(e: &Engine, c: ConnRef, rec: &ConnState) {
    let most = e.limits.get().max_send_queue;
    let mut queued = c.send_len();
    if most == 0 || rec.backpressure_reported.get() && queued >= most / 2 {
        return;
    }
    rec.backpressure_reported.set(queued > most);
    if queued > most {
        super::event::call(c, mgx_event::MGX_EV_BACKPRESSURE as i32, (&raw mut queued).cast());
    }
}

/// How often a partially successful send is retried per service call, for fairness.
const OFFERS: usize = 16;

/// Sends until everything is sent or the socket blocks. A short write does not mean that the socket is full, and no event would
/// follow. Returns the number of bytes sent, and why it stopped: `Io::Done` after all, or after `most` calls.
///
/// # Safety
/// `buf` points at `len` readable bytes, at least one.
pub(crate) unsafe fn offer(rec: &ConnState, buf: *const u8, len: usize, more: bool, most: usize) -> (usize, Io) {
    let mut total = 0;
    for _ in 0..most {
        // SAFETY: the rest of the bytes.
        match unsafe { sock::send(rec.fd.get(), buf.add(total), len - total, more) } {
            Io::Done(n @ 1..) => total += n,
            Io::Done(0) => return (total, Io::Wait),
            other => return (total, other),
        }
        if total == len {
            break;
        }
    }
    (total, Io::Done(total))
}

/// Sends queued data and delivers MG_EV_WRITE.
pub(crate) fn send_queued(e: &Engine, c: ConnRef, rec: &ConnState) {
    if c.send_len() > 0 {
        if let Some(look) = c.protocol(e).and_then(|p| p.before_send) {
            look(c, rec);
        }
    }
    let flags = c.flags();
    if flags.is_secure() {
        return tls::send_queued(e, c, rec);
    }
    let out = c.send_info();
    if out.len == 0 || rec.blocked.get() || flags.is_closed() || flags.is_closing() || !can_send(flags) {
        return;
    }
    if c.as_ptr() == e.wakeup_conn.get() {
        // An application wrote to every connection on the list.
        // SAFETY: the connection's own buffer.
        return unsafe { e.buffers.return_send(c.send()) };
    }
    // Output queued in MG_EV_WRITE waits for the next poll.
    rec.flush_pending.set(false);
    if flags.is_udp() {
        return send_datagrams(e, c, rec);
    }
    // SAFETY: len bytes at buf are the connection's output.
    let (n, end) = unsafe { offer(rec, out.buf, out.len, flags.is_streaming(), OFFERS) };
    if end == Io::Wait {
        block(e, c, rec);
    }
    if n > 0 {
        sent(e, c, rec, n);
        if e.is_dead() || c.is_closed() {
            return;
        }
    }
    match end {
        Io::Done(_) | Io::Wait => {}
        Io::Failed(errno) => {
            rec.errno.set(errno);
            rec.reason.set(Reason::Reset);
            c.update(|f| f.set_closing(true));
        }
    }
}

/// Removes the first `n` bytes of `c->send`, which were sent, and delivers MG_EV_WRITE.
fn sent(e: &Engine, c: ConnRef, rec: &ConnState, n: usize) {
    moved(e, rec, n);
    // SAFETY: n bytes at buf were just sent.
    let shown = c.flags().is_hexdumping().then(|| memory::copy(unsafe { bytes::slice(c.send_info().buf, n) })).flatten();
    drop_front(e, c, n);
    if let Some(bytes) = shown {
        dump(c, "->", &bytes);
    }
    call_count(c, MG_EV_WRITE, n);
    if !e.is_dead() && !c.is_closed() {
        ending::settle(e, c, rec);
    }
}

fn drop_front(e: &Engine, c: ConnRef, n: usize) {
    let out = c.send_info();
    // SAFETY: the rest lies inside the buffer; nothing was called since its length was read.
    unsafe {
        if n < out.len {
            bytes::copy(out.buf.add(n), out.buf, out.len - n);
            (*c.send()).len -= n;
        } else {
            e.buffers.return_send(c.send());
        }
    }
}

/// Sends printed datagrams, each whole or not at all.
fn send_datagrams(e: &Engine, c: ConnRef, rec: &ConnState) {
    let texts = rec.datagrams.borrow().len();
    for _ in 0..=texts {
        let (out, flags) = (c.send_info(), c.flags());
        if out.len == 0 || flags.is_closed() || flags.is_closing() {
            return;
        }
        // The next datagram begins here, unless the application has removed it.
        let n = rec.datagrams.borrow().first().copied().unwrap_or(usize::MAX).min(out.len);
        // SAFETY: n bytes at buf are output of the connection.
        match unsafe { sock::send_to(rec.fd.get(), out.buf, n, &c.rem()) } {
            Io::Done(_) => {
                next_datagram(rec, n);
                sent(e, c, rec, n);
            }
            Io::Wait => return block(e, c, rec),
            Io::Failed(errno) => {
                next_datagram(rec, n);
                drop_front(e, c, n);
                return os_error(c, errno, format_args!("sendto: {errno}"));
            }
        }
        if e.is_dead() {
            return;
        }
    }
}

fn next_datagram(rec: &ConnState, n: usize) {
    rec.datagrams.borrow_mut().retain_mut(|at| {
        *at = at.saturating_sub(n);
        *at > 0
    });
}

/// Updates the state after the kernel accepted `n` bytes.
pub(crate) fn moved(e: &Engine, rec: &ConnState, n: usize) {
    rec.sent.set(rec.sent.get() + n as u64);
    count(&e.stats.bytes_out, n as u64);
    rec.progress_at.set(e.now.get());
}

/// The socket is blocked: waits for an event.
pub(crate) fn block(e: &Engine, c: ConnRef, rec: &ConnState) {
    if !rec.blocked.replace(true) {
        progress::blocked(e, rec);
    }
    if !rec.armed.get() {
        watch_both_ways(e, c, rec);
    }
}

/// Watches the socket for input and output, edge-triggered. The poller also reports what is true already. False on error: the connection
/// is closing.
pub(crate) fn watch_both_ways(e: &Engine, c: ConnRef, rec: &ConnState) -> bool {
    let fd = rec.fd.get();
    rec.armed.set(true);
    if rec.rest.get() == Rest::Polled {
        rec.rest.set(sock::tell_rest(fd));
    }
    let done = e.poller.arm_writable(fd, rec.token());
    if let Err(err) = &done {
        log_error!("{} cannot poll descriptor {fd}: {err}", c.id());
        c.update(|f| f.set_closing(true));
    }
    done.is_ok()
}

pub(crate) fn dump(c: ConnRef, arrow: &str, data: &[u8]) {
    log_info!("{} {} {arrow} {} {}", c.id(), Addr(c.loc()), Addr(c.rem()), data.len());
    hexdump(data);
}
