//! Queueing output on a connection. Works on any `struct mg_connection`, even an all-zero one on the application's stack.

use super::event::{call_count, error, os_error};
use super::handle::ConnRef;
use crate::abi::*;
use crate::ffi_util::{bytes, iobuf};
use crate::platform::poller;
use crate::platform::sock::{self, Io};
use core::ffi::c_char;

/// See `mg_send`.
///
/// # Safety
/// `buf` is NULL or covers `len` bytes, which are not those of `c->send`.
pub(crate) unsafe fn send(c: ConnRef, buf: *const u8, len: usize) -> bool {
    // A UDP listener sends to whom it has received from.
    let has_reached = || !c.flags().is_udp() || c.flags().is_listening();
    if !poller::ALWAYS_UP && c.engine().is_some_and(|e| !e.poller.is_up(c.rem().is_ip6, has_reached())) {
        if !c.flags().is_closing() {
            error(c, format_args!("net down"));
        }
        return false;
    }
    if c.flags().is_udp() {
        // SAFETY: guaranteed by the caller.
        return unsafe { send_datagram(c, buf, len) };
    }
    // SAFETY: guaranteed by the caller.
    unsafe { append(c, buf, len) }
}

/// Appends raw bytes to `c->send`; `buf` NULL reserves space without writing it.
///
/// # Safety
/// As [`send`].
pub(crate) unsafe fn append(c: ConnRef, buf: *const u8, len: usize) -> bool {
    if len == 0 {
        return true;
    }
    let io = c.send();
    // Only connections with a record use spare buffers.
    let (Some(rec), Some(e)) = (c.rec(), c.engine()) else {
        // SAFETY: the connection's own buffer; the rest is guaranteed by the caller.
        return unsafe { iobuf::add(io, (*io).len, buf, len) == len };
    };
    // SAFETY: room is made before the copy; buf is the caller's.
    unsafe {
        if !e.buffers.grow(io, len, c.flags().is_secure()) {
            return false;
        }
        if !buf.is_null() {
            bytes::copy(buf, (*io).buf.add((*io).len), len);
        }
        (*io).len += len;
    }
    e.touch(rec);
    true
}

/// Appends all parts, or nothing if out of memory.
pub(crate) fn append_parts(c: ConnRef, parts: &[&[u8]]) -> bool {
    let at = c.send_len();
    // SAFETY: room for all parts is made first, and filled at once.
    unsafe {
        if !append(c, core::ptr::null(), parts.iter().map(|p| p.len()).sum()) {
            return false;
        }
        let mut to = c.send_info().buf.add(at);
        for part in parts {
            bytes::copy(part.as_ptr(), to, part.len());
            to = to.add(part.len());
        }
    }
    true
}

pub(crate) fn append_bytes(c: ConnRef, bytes: &[u8]) -> bool {
    // SAFETY: bytes is a slice of ours.
    unsafe { append(c, bytes.as_ptr(), bytes.len()) }
}

/// Sends a datagram to `c->rem` at once and delivers MG_EV_WRITE.
///
/// # Safety
/// As [`send`].
unsafe fn send_datagram(c: ConnRef, buf: *const u8, len: usize) -> bool {
    if c.is_closed() || !poller::ALWAYS_UP && c.flags().is_arplooking() {
        // c->fd may have been reused for another socket; or the destination is not known yet.
        return false;
    }
    // SAFETY: guaranteed by the caller.
    match unsafe { sock::send_to(c.fd(), buf, len, &c.rem()) } {
        Io::Done(n) if n > 0 => {
            if c.loc().port == 0 {
                // The kernel has just chosen the port.
                c.set_loc(sock::local(c.fd()).unwrap_or(c.loc()));
            }
            call_count(c, MG_EV_WRITE, n);
            true
        }
        Io::Wait => false,
        // Report one error only: handlers may answer it with another datagram.
        Io::Failed(errno) if !c.flags().is_closing() => {
            os_error(c, errno, format_args!("sendto: {errno}"));
            false
        }
        _ => {
            c.update(|f| f.set_closing(true));
            false
        }
    }
}

/// Sends a datagram to `to` at once. Unlike mg_send, does not close the connection if the destination is unreachable.
pub(crate) fn datagram(c: ConnRef, bytes: &[u8], to: &mg_addr) -> bool {
    if c.is_closed() {
        return false;
    }
    // SAFETY: bytes is a slice of ours.
    match unsafe { sock::send_to(c.fd(), bytes.as_ptr(), bytes.len(), to) } {
        Io::Done(n) => {
            call_count(c, MG_EV_WRITE, n);
            true
        }
        _ => false,
    }
}

/// See `mg_vprintf`.
///
/// # Safety
/// `fmt` and `ap` fit each other.
pub(crate) unsafe fn vprintf(c: ConnRef, fmt: *const c_char, ap: *mut va_list) -> usize {
    prepare(c);
    // SAFETY: the connection's own buffer; the rest is the caller's.
    match unsafe { crate::fmt::to_iobuf(c.send(), fmt, ap) } {
        Some(n) => {
            if let (Some(rec), Some(e)) = (c.rec(), c.engine()) {
                e.touch(rec);
            }
            n
        }
        None => {
            error(c, format_args!("OOM"));
            0
        }
    }
}

/// See `mg_printf`: on UDP, each text is a datagram of its own.
///
/// # Safety
/// As [`vprintf`].
pub(crate) unsafe fn print(c: ConnRef, fmt: *const c_char, ap: *mut va_list) -> usize {
    let at = c.send_len();
    // SAFETY: guaranteed by the caller.
    let n = unsafe { vprintf(c, fmt, ap) };
    if let Some(rec) = c.rec().filter(|_| n > 0 && c.flags().is_udp()) {
        let mut datagrams = rec.datagrams.borrow_mut();
        // The application may have removed earlier output.
        datagrams.retain(|begin| *begin < at);
        if at > 0 {
            datagrams.push(at);
        }
    }
    n
}

/// Gives an empty send buffer a spare block, before code that does not know about spares writes to it.
pub(crate) fn prepare(c: ConnRef) {
    if let (Some(_), Some(e)) = (c.rec(), c.engine()) {
        let io = c.send_info();
        if io.buf.is_null() && io.size == 0 {
            // SAFETY: the connection's own buffer. If memory is short, the write reports it.
            unsafe { e.buffers.grow(c.send(), 1, false) };
        }
    }
}
