//! Sending what is queued, and what is known about output.

use super::engine::{Engine, Reason, Rec, count};
use super::event::call_count;
use super::handle::Conn;
use super::sock::{self, Io};
use super::{ending, poller, tls};
use crate::abi::*;
use crate::guard::addr::Addr;
use crate::sys::log::{hexdump, log_error, log_info};
use core::ptr;

/// Whether this kind of connection, in this state, can send at all. What programs write to a listener stays where it is.
pub(crate) fn can_send(flags: Flags) -> bool {
    !flags.is_connecting() && !flags.is_resolving() && !flags.is_tls_hs() && (!flags.is_listening() || flags.is_udp())
}

/// Tells the program once when more output is queued than it wanted, and again after it fell below half.
pub(crate) fn press(e: &Engine, c: Conn, rec: &Rec) {
    let most = e.limits.get().max_send_queue;
    let mut queued = c.send_len();
    if most == 0 || rec.pressed.get() && queued >= most / 2 {
        return;
    }
    rec.pressed.set(queued > most);
    if queued > most {
        super::event::call(c, mgx_event::MGX_EV_BACKPRESSURE as i32, (&raw mut queued).cast());
    }
}

/// One send, and MG_EV_WRITE for what it took.
pub(crate) fn send_queued(e: &Engine, c: Conn, rec: &Rec) {
    if let Some(look) = e.before_send.get().filter(|_| c.send_len() > 0) {
        look(c, rec);
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
        // A program wrote to every connection on the list.
        // SAFETY: the connection's own buffer.
        return unsafe { e.buffers.return_send(c.send()) };
    }
    // What MG_EV_WRITE queues waits for the next poll.
    rec.dirty.set(false);
    // SAFETY: len bytes at buf are the connection's output.
    let sent = unsafe {
        if flags.is_udp() {
            sock::send_to(rec.fd.get(), out.buf, out.len, &c.rem())
        } else {
            sock::send(rec.fd.get(), out.buf, out.len, flags.is_streaming())
        }
    };
    match sent {
        Io::Done(n) => {
            // A datagram goes whole or not at all.
            let n = if flags.is_udp() { out.len } else { n };
            moved(e, rec, n);
            // SAFETY: n bytes at buf were just sent.
            let shown = flags.is_hexdumping().then(|| unsafe { crate::guard::bytes::slice(out.buf, n) }.to_vec());
            if n < out.len {
                // SAFETY: the rest lies inside the buffer; nobody was called since its length was read.
                unsafe {
                    ptr::copy(out.buf.add(n), out.buf, out.len - n);
                    (*c.send()).len -= n;
                }
                block(e, c, rec);
            } else {
                // SAFETY: all of it was sent.
                unsafe { e.buffers.return_send(c.send()) };
            }
            if let Some(bytes) = shown {
                dump(c, "->", &bytes);
            }
            call_count(c, MG_EV_WRITE, n);
            if !e.is_dead() && !c.is_closed() {
                ending::settle(e, c, rec);
            }
        }
        Io::Wait => block(e, c, rec),
        Io::Failed(_) => {
            rec.reason.set(Reason::Reset);
            c.update(|f| f.set_closing(true));
        }
    }
}

/// The kernel took `n` bytes.
pub(crate) fn moved(e: &Engine, rec: &Rec, n: usize) {
    rec.sent.set(rec.sent.get() + n as u64);
    count(&e.stats.bytes_out, n as u64);
    rec.progress_at.set(e.now.get());
}

/// The kernel takes no more: an event will say when it does.
pub(crate) fn block(e: &Engine, c: Conn, rec: &Rec) {
    if !rec.blocked.replace(true) {
        // From now on it stands still.
        rec.progress_at.set(e.now.get());
    }
    if !rec.armed.replace(true) {
        let token = poller::token(rec.slot.get(), rec.generation.get());
        if let Err(err) = e.poller.borrow().arm_writable(rec.fd.get(), token) {
            log_error!("{} cannot watch descriptor {}: {err}", c.id(), rec.fd.get());
            c.update(|f| f.set_closing(true));
        }
    }
}

pub(crate) fn dump(c: Conn, arrow: &str, data: &[u8]) {
    log_info!("{} {} {arrow} {} {}", c.id(), Addr(c.loc()), Addr(c.rem()), data.len());
    hexdump(data);
}
