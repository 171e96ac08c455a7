//! Event delivery: to the protocol handler first, then to the application's handler.

use super::engine::{Engine, Reason};
use super::handle::ConnRef;
use crate::abi::*;
use crate::platform::sock;
use crate::sys::log::{Bytes, Line, log_error};
use core::ffi::{c_int, c_void};
use core::fmt::Write;

/// Delivers an event; see `mg_call`. If the protocol handler closes the connection, the application's handler gets no further
/// event, except those that a protocol handler derives from MG_EV_CLOSE, such as a response without a length.
#[inline]
pub(crate) fn call(c: ConnRef, ev: c_int, data: *mut c_void) {
    let engine = c.engine();
    let closing_event = c.is_closed();
    if let Some(e) = engine {
        e.enter();
    }
    if let Some(pfn) = c.pfn() {
        // SAFETY: a handler that the application or the library installed for this connection.
        unsafe { invoke(engine, pfn, c, ev, data, c.pfn_data()) };
    }
    if closing_event || !c.is_closed() {
        call_user(c, ev, data);
    }
    if let Some(e) = engine {
        e.exit();
    }
}

/// Delivers an event to the application's handler only.
#[inline]
pub(crate) fn call_user(c: ConnRef, ev: c_int, data: *mut c_void) {
    if let Some(f) = c.handler() {
        // SAFETY: the application's own handler.
        unsafe { invoke(c.engine(), f, c, ev, data, c.handler_data()) };
    }
}

/// Handlers had the argument `fn_data` before this version.
const THREE_ARGUMENTS_SINCE: c_int = 714;

type Handler = unsafe extern "C" fn(*mut mg_connection, c_int, *mut c_void);
type OlderHandler = unsafe extern "C" fn(*mut mg_connection, c_int, *mut c_void, *mut c_void);

/// Calls a handler with the arguments of the API version that the application was written for.
///
/// # Safety
/// A handler of this connection, and data that matches the event.
#[inline]
pub(crate) unsafe fn invoke(engine: Option<&Engine>, f: Handler, c: ConnRef, ev: c_int, data: *mut c_void, arg: *mut c_void) {
    match engine {
        Some(e) if e.written_for.get() < THREE_ARGUMENTS_SINCE => {
            // SAFETY: the application declared that its handlers take four arguments. Those of the library, and of newer parts of
            // the application, take three: in the C calling conventions, where the caller cleans up, they ignore the last.
            unsafe {
                let f = core::mem::transmute::<Handler, OlderHandler>(f);
                f(c.as_ptr(), ev, data, arg);
            }
        }
        // SAFETY: as the caller promises.
        _ => unsafe { f(c.as_ptr(), ev, data) },
    }
}

/// Marks the connection for closing and delivers MG_EV_ERROR; see `mg_error`. `text` ends with a NUL.
pub(crate) fn error_text(c: ConnRef, text: &mut [u8]) {
    if let Some(rec) = c.rec().filter(|rec| rec.reason.get() == Reason::None) {
        rec.reason.set(Reason::Error);
    }
    c.update(|f| f.set_closing(true));
    report_text(c, text);
}

fn report_text(c: ConnRef, text: &mut [u8]) {
    let shown = text.split(|b| *b == 0).next().unwrap_or_default();
    log_error!("{} {} {}", c.id(), c.fd(), Bytes(shown));
    call(c, MG_EV_ERROR, text.as_mut_ptr().cast());
}

/// Marks the connection for closing and delivers MG_EV_ERROR with a message of any length.
pub(crate) fn error(c: ConnRef, message: core::fmt::Arguments) {
    with_text(message, |text| error_text(c, text));
}

/// Marks the connection for closing and delivers MG_EV_ERROR after a failed system call: keeps errno for `mgx_close_errno` and
/// logs its description.
pub(crate) fn os_error(c: ConnRef, errno: c_int, message: core::fmt::Arguments) {
    if let Some(rec) = c.rec() {
        rec.errno.set(errno);
        if rec.reason.get() == Reason::None {
            rec.reason.set(Reason::Error);
        }
    }
    c.update(|f| f.set_closing(true));
    with_text(message, |text| {
        let shown = text.strip_suffix(b"\0").unwrap_or(text);
        log_error!("{} {} {}: {}", c.id(), c.fd(), Bytes(shown), sock::words(errno));
        call(c, MG_EV_ERROR, text.as_mut_ptr().cast());
    });
}

/// Delivers MG_EV_ERROR on a connection that still has output to send before it closes.
pub(crate) fn report(c: ConnRef, message: core::fmt::Arguments) {
    with_text(message, |text| report_text(c, text));
}

/// Formats a message as a C string, without the heap if it is short: the message may be about running out of memory.
fn with_text(message: core::fmt::Arguments, f: impl FnOnce(&mut [u8])) {
    let mut text = Line::<128>::new();
    if text.write_fmt(format_args!("{message}\0")).is_ok() {
        return f(text.as_mut_bytes());
    }
    let mut text = alloc::fmt::format(message).into_bytes();
    text.push(0);
    f(&mut text);
}

/// Delivers MG_EV_READ or MG_EV_WRITE with its byte count.
#[inline]
pub(crate) fn call_count(c: ConnRef, ev: c_int, n: usize) {
    let mut count = n as core::ffi::c_long;
    call(c, ev, (&raw mut count).cast());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_any_length_end_with_a_nul() {
        for len in [0, 1, 126, 127, 128, 129, 200, 1000] {
            let words = "x".repeat(len);
            let mut told = Vec::new();
            with_text(format_args!("{words}"), |text| told = text.to_vec());
            assert_eq!(told, [words.as_bytes(), b"\0"].concat());
        }
    }
}
