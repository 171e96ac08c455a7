//! There are no signals.

use core::ffi::c_int;

pub(crate) type Handler = extern "C" fn(c_int);

#[derive(Clone, Copy)]
pub(crate) enum Previous {}

pub(crate) fn catch(_signo: c_int, _handler: Handler) -> Option<Previous> {
    None
}

pub(crate) fn restore(_signo: c_int, _handler: Handler, before: &Previous) {
    match *before {}
}

pub(crate) fn keeping_errno(f: impl FnOnce()) {
    f();
}

pub(crate) fn ignore_broken_pipes() {}
