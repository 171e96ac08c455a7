//! Reading from the socket into `c->recv`, and MG_EV_READ.

use super::engine::{ConnState, Engine, Reason, count};
use super::event::{call_count, error};
use super::handle::ConnRef;
use super::view;
use super::{ending, send, usage};
use crate::abi::*;
use crate::ffi_util::{addr::Addr, iobuf};
use crate::memory;
use crate::platform::sock::{self, Io};
use crate::sys::log::log_error;

/// Maximum number of reads per connection and service call, so that a fast sender does not starve the others.
pub(crate) const READS: usize = 16;

/// No further message of a peer is handled or read while this many bytes wait to be sent to it.
pub(crate) const OUTPUT_MAX: usize = 1 << 20;

/// Maximum size of pipelined requests buffered behind the one being answered; the rest stays with the peer.
const PIPELINE: usize = 64 * 1024;

/// Makes room for the next read. False if there is none: an error was raised, or the protocol handler dealt with it.
pub(crate) fn make_room(e: &Engine, c: ConnRef, rec: &ConnState) -> bool {
    if !view::unshare(e, c, rec) {
        error(c, format_args!("OOM"));
        return false;
    }
    if !put_back(c, rec, usize::MAX) {
        return false;
    }
    let (io, max, step) = (c.recv(), e.options.borrow().max_recv_size, e.io_size());
    let now = c.recv_info();
    if now.len >= max {
        if !c.protocol(e).and_then(|p| p.at_limit).is_some_and(|handled| handled(c)) {
            error(c, format_args!("MG_MAX_RECV_SIZE"));
        }
        return false;
    }
    if now.size > now.len {
        return true;
    }
    // SAFETY: the connection's own buffer.
    let ok = unsafe {
        if now.buf.is_null() {
            rec.recv_used.set(0);
            let usual = max.min(rec.message_size.get() as usize);
            !usage::is_full(e) && if usual > step { e.buffers.grow(io, usual, false) } else { e.buffers.lend_recv(io, step) }
        } else {
            !usage::is_full(e) && now.size.checked_add(step).is_some_and(|n| iobuf::resize(io, n))
        }
    };
    usage::count(e, c, rec);
    if !ok {
        error(c, format_args!("OOM"));
    }
    ok
}

/// Takes back an empty receive buffer, unless a handler is looking at it.
pub(crate) fn return_empty(e: &Engine, c: ConnRef, rec: &ConnState) {
    if c.recv_len() == 0 && (c.recv_info().buf != rec.viewed.get() || rec.viewed.get().is_null()) {
        // SAFETY: the connection's own buffer, empty.
        unsafe { e.buffers.return_recv(c.recv(), e.io_size(), rec.recv_used.get()) };
    }
}

/// Moves up to `n` bytes from `aside` back to the received data. False if that failed and an error was raised.
pub(crate) fn put_back(c: ConnRef, rec: &ConnState, n: usize) -> bool {
    let Some(mut aside) = rec.aside.take() else { return true };
    let more = &aside.bytes[aside.at..];
    let more = &more[..more.len().min(n)];
    // SAFETY: the connection's own buffer, and bytes of ours.
    let added = unsafe { iobuf::add(c.recv(), c.recv_len(), more.as_ptr(), more.len()) };
    if added < more.len() {
        error(c, format_args!("OOM"));
        return false;
    }
    rec.arrived.set(rec.arrived.get() + added as u64);
    aside.at += added;
    if aside.at < aside.bytes.len() {
        rec.aside.set(Some(aside));
    }
    true
}

/// Whether nothing may be read for now.
#[inline]
pub(crate) fn is_paused(e: &Engine, c: ConnRef) -> bool {
    c.flags().may_be_paused() && is_paused_by_flags(e, c)
        || c.send_len() >= OUTPUT_MAX && is_write_throttled(e, c)
        || e.callback_depth() > 1 && is_piled_up_behind_handler(e, c)
}

fn is_paused_by_flags(e: &Engine, c: ConnRef) -> bool {
    let flags = c.flags();
    flags.is_full() || flags.is_draining() && !e.compat.get() || flags.is_resp() && is_piled_up(e, c)
}

/// True if enough data waits behind the request being answered.
fn is_piled_up(e: &Engine, c: ConnRef) -> bool {
    c.recv_len() >= PIPELINE.min(e.options.borrow().max_recv_size)
        && (c.flags().is_streaming() || c.protocol(e).is_some_and(|p| p.answers_in_turn))
}

/// Messages wait until their sender reads the queued responses. Without any, reading continues in order to detect end of stream.
fn is_write_throttled(e: &Engine, c: ConnRef) -> bool {
    c.recv_len() > 0 && c.flags().is_accepted() && c.protocol(e).is_some_and(|p| p.throttles_input)
}

/// True in a poll nested in a handler that is using the buffer, if as much has arrived as may wait for the handler.
#[cold]
fn is_piled_up_behind_handler(e: &Engine, c: ConnRef) -> bool {
    let Some(rec) = c.rec().filter(|rec| rec.dispatching.get()) else { return false };
    let most = e.options.borrow().max_recv_size;
    // The handler may be waiting for the body of this head. Input after a complete request is bounded anyway.
    let limit = if c.protocol(e).is_some_and(|p| p.answers_in_turn) { most } else { PIPELINE.min(most) };
    c.recv_len() + rec.aside_len() >= limit
}

pub(crate) fn read(e: &Engine, c: ConnRef, rec: &ConnState) {
    let udp = c.flags().is_udp();
    let most = e.options.borrow().max_recv_size;
    for _ in 0..READS {
        // After a handler's upgrade to TLS the rest belongs to the TLS driver.
        if is_paused(e, c) || c.flags().is_closing() || rec.eof.get() || c.flags().is_secure() {
            break;
        }
        // A full buffer is an error only when more arrives.
        let is_at_limit = c.recv_len() >= most;
        if !udp && is_at_limit && !sock::has_input(rec.fd.get()) {
            rec.readable.set(false);
            break;
        }
        if rec.batch_pending.take() || !(udp && is_at_limit || make_room(e, c, rec)) {
            break;
        }
        let buf = c.recv_info();
        let room = buf.size - buf.len;
        let (got, emptied) = if udp {
            (read_datagram(e, c, rec, most), false)
        } else {
            // SAFETY: room bytes after the data belong to the buffer.
            unsafe { sock::recv_stream(rec.fd.get(), buf.buf.add(buf.len), room, rec.rest.get()) }
        };
        match got {
            Io::Done(0) if udp => continue,
            // The end is for later.
            Io::Done(0) if rec.untold.get() => break,
            Io::Done(0) => {
                rec.eof.set(true);
                rec.readable.set(false);
                rec.drain_since.set(rec.drain_since.get().or(Some(e.now.get())));
                c.update(|f| f.set_half_closed());
            }
            Io::Done(n) => {
                // The end of the stream does not count as a remaining byte.
                rec.readable.set(!emptied || rec.hup.get());
                received(e, c, rec, n);
            }
            Io::Wait => rec.readable.set(false),
            Io::Failed(errno) => {
                rec.readable.set(false);
                rec.errno.set(errno);
                rec.reason.set(Reason::Reset);
                c.update(|f| f.set_closing(true));
            }
        }
        if e.is_dead() || c.is_closed() || !rec.readable.get() {
            break;
        }
        if udp && c.send_len() > 0 {
            // Printed output belongs to this sender, not to the next one.
            break;
        }
    }
    if e.is_dead() || c.is_closed() {
        return;
    }
    if rec.readable.get() {
        e.requeue(rec);
    }
    return_empty(e, c, rec);
}

/// Appends one datagram to the received data, whole or not at all. `Io::Done(0)`: nothing to report.
fn read_datagram(e: &Engine, c: ConnRef, rec: &ConnState, most: usize) -> Io {
    let buf = c.recv_info();
    let room = buf.size - buf.len;
    // Receives what does not fit the buffer. Taken out of the cell, because the application's log function may poll.
    let mut scratch = e.scratch.take();
    let rest = scratch.room();
    // SAFETY: room bytes after the data belong to the buffer.
    let (got, from) = unsafe { sock::recv_from(rec.fd.get(), buf.buf.add(buf.len), room, rest) };
    let Io::Done(n @ 1..) = got else {
        e.scratch.replace(scratch);
        return got;
    };
    let len = buf.len.saturating_add(n);
    // SAFETY: the connection's own buffer, with room for everything after it has grown; the kernel wrote the overflow to `rest`.
    let fits = len <= most
        && (n <= room
            || n - room <= rest.len()
                && unsafe {
                    // The whole capacity is in use.
                    (*c.recv()).len = buf.size;
                    let grown = iobuf::resize(c.recv(), len);
                    (*c.recv()).len = buf.len;
                    if grown {
                        core::ptr::copy_nonoverlapping(rest.as_ptr().cast(), c.recv_info().buf.add(buf.size), n - room);
                    }
                    grown
                });
    e.scratch.replace(scratch);
    if !fits {
        log_error!("{} dropped a datagram of {n} bytes from {}: too large", c.id(), Addr(from));
        return Io::Done(0);
    }
    c.set_rem(from);
    got
}

/// A handler that polls in MG_EV_READ is told of more data in a nested event. So deep, the events end, or a peer that sends in small
/// pieces could overflow the stack: the innermost handler finds more data in the buffer, and is called once more after it returns.
const DEEPEST: u8 = 32;

/// Updates the state after `n` bytes were appended to the receive buffer.
pub(crate) fn received(e: &Engine, c: ConnRef, rec: &ConnState, n: usize) {
    let io = c.recv();
    // SAFETY: the connection's own buffer; the bytes lie inside its capacity.
    unsafe {
        let old = (*io).len;
        if old == 0 {
            rec.head_began.set(e.now.get());
        }
        rec.read_at.set(e.now.get());
        count(&e.stats.bytes_in, n as u64);
        (*io).len += n;
        rec.arrived.set(rec.arrived.get().wrapping_add(n as u64));
        rec.recv_used.set(rec.recv_used.get().max((*io).len));
        if (*io).len < (*io).size {
            // Handlers scan past the data with atoi, strtol, strstr.
            *(*io).buf.add((*io).len) = 0;
            rec.recv_used.set(rec.recv_used.get().max((*io).len + 1).min((*io).size));
        }
        if c.flags().is_hexdumping() {
            // A copy: the log function may move the buffer.
            if let Some(bytes) = memory::copy(&(*io).data()[old..]) {
                send::dump(c, "<-", &bytes);
            }
        }
    }
    if rec.reading.get() == DEEPEST {
        return rec.untold.set(true);
    }
    rec.reading.set(rec.reading.get() + 1);
    let mut n = n;
    loop {
        let told = rec.arrived.get();
        call_count(c, MG_EV_READ, n);
        if e.is_dead() {
            return;
        }
        if c.is_closed() || !rec.untold.take() {
            break;
        }
        n = rec.arrived.get().wrapping_sub(told) as usize;
    }
    if !c.is_closed() {
        rec.reading.set(rec.reading.get() - 1);
    }
    ending::settle(e, c, rec);
}
