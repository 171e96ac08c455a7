//! Signals.

use core::ffi::c_int;
use core::ptr;

pub(crate) type Handler = extern "C" fn(c_int);

/// The previous disposition of a signal.
#[derive(Clone, Copy)]
pub(crate) struct Previous(libc::sigaction);

/// Installs a handler. Returns the previous disposition; None if the signal cannot be caught.
pub(crate) fn catch(signo: c_int, handler: Handler) -> Option<Previous> {
    // SAFETY: plain data, filled before use.
    unsafe {
        let (mut new, mut old): (libc::sigaction, libc::sigaction) = (core::mem::zeroed(), core::mem::zeroed());
        new.sa_sigaction = handler as *const () as usize;
        new.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&mut new.sa_mask);
        (libc::sigaction(signo, &new, &mut old) == 0).then_some(Previous(old))
    }
}

/// Removes a handler, unless the application has installed another one since.
pub(crate) fn restore(signo: c_int, handler: Handler, before: &Previous) {
    // SAFETY: plain data.
    unsafe {
        let mut now: libc::sigaction = core::mem::zeroed();
        if libc::sigaction(signo, ptr::null(), &mut now) == 0 && now.sa_sigaction == handler as *const () as usize {
            libc::sigaction(signo, &before.0, ptr::null_mut());
        }
    }
}

/// Runs `f` in a signal handler, preserving errno.
pub(crate) fn keeping_errno(f: impl FnOnce()) {
    let before = super::error::errno();
    f();
    super::error::set_errno(before);
}

/// Ignores SIGPIPE: writing to a connection that the peer has reset must not terminate the process.
pub(crate) fn ignore_broken_pipes() {
    // SAFETY: no pointers.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
