//! Signals, as far as the C runtime supports them: Ctrl-C is SIGINT, Ctrl-Break SIGBREAK. It calls handlers in a separate thread, and each
//! only once.

use core::ffi::c_int;
use core::mem::transmute;
use core::sync::atomic::{AtomicUsize, Ordering};

pub(crate) type Handler = extern "C" fn(c_int);

/// The previous disposition of a signal.
#[derive(Clone, Copy)]
pub(crate) struct Previous(libc::sighandler_t);

/// The engine's handler, the same for all signals; 0 before one is installed.
static HANDLER: AtomicUsize = AtomicUsize::new(0);

extern "C" fn caught(signo: c_int) {
    install(signo);
    let handler = HANDLER.load(Ordering::Acquire);
    if handler != 0 {
        // SAFETY: catch stored a handler there.
        let handler = unsafe { transmute::<usize, Handler>(handler) };
        handler(signo);
    }
}

/// Returns the previous handler.
fn install(signo: c_int) -> libc::sighandler_t {
    // SAFETY: the handler is a function of the right type.
    unsafe { libc::signal(signo, caught as *const () as libc::sighandler_t) }
}

/// Installs a handler. Returns the previous disposition; None if the signal cannot be caught.
pub(crate) fn catch(signo: c_int, handler: Handler) -> Option<Previous> {
    HANDLER.store(handler as *const () as usize, Ordering::Release);
    Some(install(signo)).filter(|before| *before != libc::SIG_ERR as libc::sighandler_t).map(Previous)
}

/// Removes a handler, unless the application has installed another one since.
pub(crate) fn restore(signo: c_int, _handler: Handler, before: &Previous) {
    // SAFETY: the previous handler, and the current one.
    unsafe {
        let now = libc::signal(signo, before.0);
        if now != caught as *const () as libc::sighandler_t {
            libc::signal(signo, now);
        }
    }
}

/// Handlers run in a separate thread, with its own `errno`.
pub(crate) fn keeping_errno(f: impl FnOnce()) {
    f();
}

/// Windows has no SIGPIPE.
pub(crate) fn ignore_broken_pipes() {}
