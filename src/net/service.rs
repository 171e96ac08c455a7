//! Services one connection in a poll: delivers MG_EV_POLL, does what is due - accept, finish connecting, read, write - and
//! decides whether the connection closes.

use super::drain::{self, DrainAction};
use super::engine::{ConnState, Engine, Reason};
use super::event::{call, call_count, call_user, error, invoke};
use super::handle::ConnRef;
use super::stream;
use super::tls::table as tls;
use super::{attempts, close, conn, ending, progress, recv, send, usage};
use crate::abi::*;
use crate::memory;
use crate::platform::sock;
use core::ffi::{c_int, c_void};
use core::ptr;

/// # Safety
/// `c` is on the list of `e`'s manager and a call is in progress.
#[inline]
pub(crate) fn service(e: &Engine, c: ConnRef) {
    let before = c.flags();
    let resp_before = before.is_resp();
    poll_event(e, c);
    if c.is_closed() {
        return;
    }
    let after = c.flags();
    let answered = resp_before && !after.is_resp();
    // The common case, without touching the record.
    if !answered && !before.is_busy() && !after.is_busy() && c.send_len() == 0 {
        return;
    }
    match c.rec() {
        Some(rec) => service_busy(e, c, rec, answered),
        // A connection that the application linked itself has no socket of the library.
        None if after.is_closing() || after.is_draining() && c.send_len() == 0 => close::close(c),
        None => {}
    }
}

/// Delivers MG_EV_POLL, skipping a protocol handler that ignores it.
#[inline]
fn poll_event(e: &Engine, c: ConnRef) {
    let mut now = e.now.get();
    let data: *mut c_void = (&raw mut now).cast();
    if let Some(pfn) = c.pfn() {
        if c.recv_len() > 0 || !e.protocols.find(pfn).is_some_and(|p| p.skips_poll) {
            // SAFETY: a handler that the application or the library installed for this connection.
            unsafe { invoke(Some(e), pfn, c, MG_EV_POLL, data, c.pfn_data()) };
            if c.is_closed() {
                return;
            }
        }
    }
    // The function in `c->fn` that receives a body may have been installed during this event, with no more data to come.
    if !c.flags().is_no_poll() || c.rec().is_some_and(ConnState::has_task) {
        call_user(c, MG_EV_POLL, data);
    }
}

fn service_busy(e: &Engine, c: ConnRef, rec: &ConnState, answered: bool) {
    e.current.set(c.as_ptr());
    let helped = memory::helped();
    io(e, c, rec, answered);
    if memory::helped() != helped {
        shed(e, c);
    }
    if !e.is_dead() && !c.is_closed() {
        c.update(|f| f.clear_ready());
        usage::count(e, c, rec);
        conclude(e, c, rec);
    }
    if !e.is_dead() {
        e.current.set(ptr::null_mut());
    }
}

/// Servicing this connection has taken from the reserve. Closes the connection, which returns the memory, if the reserve is running
/// low, or if it uses TLS, whose further needs are unknown.
#[cold]
fn shed(e: &Engine, c: ConnRef) {
    let alive = !e.is_dead() && !c.is_closed() && !c.flags().is_closing() && !c.flags().is_listening();
    if alive && c.as_ptr() != e.wakeup_conn.get() && (memory::is_low() || c.flags().is_secure()) {
        error(c, format_args!("OOM"));
    }
}

fn io(e: &Engine, c: ConnRef, rec: &ConnState, answered: bool) {
    if answered && (e.compat.get() || !c.flags().is_draining()) {
        call_count(c, MG_EV_READ, 0);
    }
    ending::settle(e, c, rec);
    let flags = c.flags();
    if c.is_closed() || flags.is_resolving() && rec.fd.get() < 0 || flags.is_closing() {
        return;
    }
    if flags.is_listening() && !flags.is_udp() {
        if rec.readable.get() {
            conn::accept(e, c, rec);
        }
    } else if flags.is_connecting() {
        if flags.is_readable() || flags.is_writable() {
            rec.blocked.set(false);
            conn::finish_connecting(c);
            if !e.is_dead() && !c.is_closed() && rec.readable.get() {
                // The server sent first; no further event reports that.
                e.requeue(rec);
            }
        } else {
            attempts::step(e, c, rec);
        }
    } else {
        if c.as_ptr() == e.wakeup_conn.get() {
            rec.readable.set(false);
            super::wakeup::deliver(e);
        } else if flags.is_secure() {
            tls::service(e, c, rec);
        } else if rec.readable.get() {
            recv::read(e, c, rec);
        }
        if !e.is_dead() && !c.is_closed() {
            flush(e, c, rec);
        }
    }
}

/// Sends queued data and continues a file.
pub(crate) fn flush(e: &Engine, c: ConnRef, rec: &ConnState) {
    if e.limited.get() && !c.is_closed() {
        send::press(e, c, rec);
        if e.is_dead() {
            return;
        }
    }
    send::send_queued(e, c, rec);
    if !e.is_dead() && !c.is_closed() && c.flags().is_streaming() {
        stream::go_on(e, c, rec);
    }
}

/// Ends a service call: closes the connection, or schedules the next check.
fn conclude(e: &Engine, c: ConnRef, rec: &ConnState) {
    let flags = c.flags();
    if flags.is_closing() {
        return close::close(c);
    }
    if flags.is_draining() && (flags.is_listening() || flags.is_udp() && c.send_len() == 0) {
        rec.reason.set(Reason::Drained);
        return close::close(c);
    }
    if !flags.is_draining() && !rec.eof.get() {
        // A drain may have been cancelled.
        rec.drain_since.set(None);
        return;
    }
    ending::settle(e, c, rec);
    let mut action = drain::next_action(ending::drain_inputs(e, c, rec));
    if rec.eof.get() && matches!(action, DrainAction::Wait(_)) && !rec.eof_told.replace(true) {
        if sock::is_gone(rec.fd.get()) {
            rec.reason.set(Reason::Reset);
            return close::close(c);
        }
        call(c, mgx_event::MGX_EV_EOF as c_int, ptr::null_mut());
        if e.is_dead() || c.is_closed() {
            return;
        }
        ending::settle(e, c, rec);
        flush(e, c, rec);
        if e.is_dead() || c.is_closed() {
            return;
        }
        if c.flags().is_closing() {
            return close::close(c);
        }
        action = drain::next_action(ending::drain_inputs(e, c, rec));
    }
    if action == DrainAction::Close(Reason::Drained) && rec.last_look.take() && ending::take_back(e, c, rec) {
        return;
    }
    if let DrainAction::Close(reason @ (Reason::Drained | Reason::PeerClosed)) = action {
        if flags.is_secure() && !tls::send_close_notify(e, c, rec) {
            // Nothing can follow close_notify: no further request is handled while it waits. A client still gets the end of a response.
            if rec.reason.get() == Reason::None {
                rec.reason.set(reason);
            }
            c.update(|f| f.set_draining(f.is_draining() || f.is_accepted()));
            action = drain::next_action(ending::drain_inputs(e, c, rec));
        }
    }
    match action {
        DrainAction::Live => {}
        DrainAction::Wait(at) => e.set_deadline(rec, Some(progress::look_at(e, rec, at, rec.drain_timeouts().flush_ms))),
        DrainAction::Close(reason) => {
            rec.flushed.set(matches!(reason, Reason::Drained | Reason::PeerClosed));
            // Keep the limit or timeout that caused the drain as the reason.
            if rec.reason.get() == Reason::None || !rec.flushed.get() {
                rec.reason.set(reason);
            }
            close::close(c);
        }
    }
}

/// True if the connection has work to do without an event, so that the poll must not sleep.
pub(crate) fn is_due(e: &Engine, c: ConnRef) -> bool {
    let flags = c.flags();
    if flags.is_closing() {
        return true;
    }
    if c.send_len() == 0 && !flags.is_draining() && !flags.is_half_closed() && !flags.is_streaming() {
        return false;
    }
    let Some(rec) = c.rec() else { return false };
    let ends = || flags.is_listening() || matches!(drain::next_action(ending::drain_inputs(e, c, rec)), DrainAction::Close(_));
    if (flags.is_draining() || rec.eof.get()) && ends() {
        return true;
    }
    (c.send_len() > 0 || flags.is_streaming()) && !rec.blocked.get() && send::can_send(flags)
}
