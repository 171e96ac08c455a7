//! Closing a connection.

use super::conn::unlink;
use super::engine::{ConnState, Engine, Reason, count};
use super::event::call;
use super::handle::ConnRef;
use super::linger;
use super::resolve;
use super::tls::table as tls;
use super::usage;
use crate::abi::*;
use crate::ffi_util::{heap, iobuf};
use crate::platform::sock::{self, Rest};
use core::cell::Cell;
use core::ptr;

/// Closes a connection: closes its socket (or lets it linger after a completed drain), delivers MG_EV_CLOSE once, and frees the
/// memory when no stack frame of ours uses it. See `mg_close_conn`.
pub(crate) fn close(c: ConnRef) {
    if c.is_closed() {
        return;
    }
    let Some(e) = c.engine() else { return close_foreign(c) };
    resolve::cancel(e, c);
    let Some(rec) = c.rec() else {
        unlink(e, c);
        return close_foreign(c);
    };
    e.enter();
    let lingers = rec.flushed.get()
        && rec.own.get()
        && rec.registered.get()
        && (!rec.eof.get() || c.flags().is_secure() && tls::may_send_more(rec))
        && !e.ending.get()
        && !c.flags().is_udp()
        && !c.flags().is_listening()
        && !c.flags().is_connecting();
    if rec.reason.get() == Reason::None {
        rec.reason.set(if e.ending.get() { Reason::Forced } else { Reason::ClosedByUser });
    }
    if c.flags().is_secure() {
        tls::close_notify_if_flushed(c, rec);
    }
    let fd = rec.fd.replace(-1);
    if lingers {
        // Immediately after the last check for input.
        sock::shutdown_write(fd);
    }
    if fd >= 0 && !lingers {
        if rec.registered.replace(false) && may_stay_registered(rec, c.flags()) {
            e.poller.remove(fd);
        }
        if e.wakeup_conn.get() == c.as_ptr() {
            close_wakeup(e);
        } else {
            // A peer that does not read would never see a FIN after the unread data, and the kernel would keep the data for many
            // minutes. Closing with unsent data is an abort anyway.
            if rec.reason.get() == Reason::FlushTimeout && rec.own.get() {
                sock::set_abort(fd);
            }
            sock::close(fd);
        }
    }
    unlink(e, c);
    resolve::forget(e, c);
    count_close(e, c, rec);
    usage::forget(e, rec);
    c.update(|f| f.set_closed());
    call(c, MG_EV_CLOSE, ptr::null_mut());
    resolve::closed(e, c);
    let viewed = rec.viewed.replace(ptr::null_mut());
    if !viewed.is_null() && viewed == c.recv_info().buf {
        e.keep(viewed);
        c.set_recv_info(mg_iobuf { buf: ptr::null_mut(), size: 0, len: 0, ..c.recv_info() });
    }
    // SAFETY: the buffers are the connection's own, and no handler will see them again. A handler that polls may still be using the
    // received data: that block is freed with the connection.
    unsafe {
        if !rec.dispatching.get() {
            e.buffers.return_recv(c.recv(), e.io_size(), usize::MAX);
        }
        if c.flags().is_secure() {
            tls::drop_state(e, c, rec);
            iobuf::del(c.send(), 0, usize::MAX);
        }
        e.buffers.return_send(c.send());
        iobuf::free(c.rtls());
    }
    c.set_slot(None);
    if lingers && !e.ending.get() {
        linger::linger(e, rec, fd);
    } else {
        if lingers {
            // The handler has freed the manager.
            sock::close(fd);
        }
        e.free_rec(rec);
    }
    e.defer_free(c.as_ptr());
    e.exit();
}

/// Closing removes a descriptor from the poller unless a duplicate exists, which the application may have made of its own, and another
/// process has of a listener that was passed on. A duplicate of an accepted stream would be reported over and over.
fn may_stay_registered(rec: &ConnState, flags: Flags) -> bool {
    !rec.own.get() || flags.is_listening() || rec.rest.get() == Rest::Polled
}

fn count_close(e: &Engine, c: ConnRef, rec: &ConnState) {
    let counter = match rec.reason.get() {
        Reason::Drained => &e.stats.drained,
        Reason::Forced => &e.stats.forced,
        Reason::Reset => &e.stats.resets,
        Reason::FlushTimeout | Reason::ResponseTimeout | Reason::IdleTimeout | Reason::HeaderTimeout | Reason::BodyTimeout => {
            &e.stats.timeouts
        }
        _ => &Cell::new(0),
    };
    if c.flags().is_accepted() {
        count(counter, 1);
        e.stats.conns.set(e.stats.conns.get().saturating_sub(1));
        if e.limited.get() {
            let mut per_ip = e.per_ip.borrow_mut();
            let ip = rec.from.get();
            if let Some(n) = per_ip.get_mut(&ip) {
                *n -= 1;
                if *n == 0 {
                    per_ip.remove(&ip);
                }
            }
        }
    }
}

/// Closes a connection that the application assembled itself, without a socket of ours or a record.
fn close_foreign(c: ConnRef) {
    c.update(|f| f.set_closed());
    call(c, MG_EV_CLOSE, ptr::null_mut());
    // SAFETY: the caller gives up the connection.
    unsafe {
        iobuf::free(c.recv());
        iobuf::free(c.send());
        iobuf::free(&raw mut (*c.as_ptr()).rtls);
        match c.engine() {
            Some(e) => e.defer_free(c.as_ptr()),
            None => heap::free(c.as_ptr().cast()),
        }
    }
}

fn close_wakeup(e: &Engine) {
    e.wakeup_conn.set(ptr::null_mut());
    // SAFETY: the manager is alive. The descriptor itself is closed with the engine, in case a thread is about to write to it.
    unsafe { (*e.mgr).pipe.fd = -1 };
}
