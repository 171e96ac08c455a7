//! Arguments from a `va_list`.

use super::{
    engine::{Args, format},
    sink::{self, BufferSink, Callback, IobufSink},
    text::Text,
};
use crate::ffi_util::bytes::nul_at;
use crate::{
    abi::{mg_iobuf, mg_pm_t, va_list},
    ffi_util::bytes,
};
use core::ffi::{c_char, c_int, c_long, c_void};

/// The readers of `variadic.c`.
///
/// cbindgen:ignore
mod c {
    use super::*;
    unsafe extern "C" {
        pub(super) fn mgc_va_int(ap: *mut va_list) -> c_int;
        pub(super) fn mgc_va_long(ap: *mut va_list) -> c_long;
        pub(super) fn mgc_va_i64(ap: *mut va_list) -> i64;
        pub(super) fn mgc_va_double(ap: *mut va_list) -> f64;
        pub(super) fn mgc_va_ptr(ap: *mut va_list) -> *mut c_void;
    }
}

/// The arguments of a C call. The application promises that they match its format.
pub(crate) struct VaArgs(*mut va_list);

impl VaArgs {
    /// # Safety
    /// The arguments of `ap` have the requested types, and the data they point to is readable.
    #[inline]
    pub(crate) unsafe fn new(ap: *mut va_list) -> VaArgs {
        VaArgs(ap)
    }

    pub(crate) fn int(&mut self) -> c_int {
        // SAFETY: see new().
        unsafe { c::mgc_va_int(self.0) }
    }

    pub(crate) fn pointer(&mut self) -> *mut c_void {
        // SAFETY: see new().
        unsafe { c::mgc_va_ptr(self.0) }
    }
}

impl<O: Callback> Args<O> for VaArgs {
    fn int(&mut self) -> c_int {
        self.int()
    }

    fn long(&mut self) -> c_long {
        // SAFETY: see new().
        unsafe { c::mgc_va_long(self.0) }
    }

    fn long_long(&mut self) -> i64 {
        // SAFETY: see new().
        unsafe { c::mgc_va_i64(self.0) }
    }

    fn double(&mut self) -> f64 {
        // SAFETY: see new().
        unsafe { c::mgc_va_double(self.0) }
    }

    fn pointer(&mut self) -> usize {
        self.pointer() as usize
    }

    fn string(&mut self, max: Option<usize>) -> Text<'_> {
        let s: *const c_char = self.pointer().cast();
        if s.is_null() {
            return Text::of(&[]);
        }
        // SAFETY: a C string, or an array of at least max bytes.
        unsafe { Text::new(s.cast(), nul_at(s, max)) }
    }

    fn print(&mut self, out: &mut O) -> usize {
        // SAFETY: the argument is a printer or NULL, and a C function pointer has the size of a data pointer.
        let printer = unsafe { core::mem::transmute::<*mut c_void, mg_pm_t>(self.pointer()) };
        let (f, arg) = out.callback();
        // SAFETY: the printer gets its own arguments. `out` is not touched until it returns.
        printer.map_or(0, |printer| unsafe { printer(f, arg, self.0) })
    }
}

/// Appends formatted text to `io`, followed by a NUL, and returns its length. None if out of memory; `io` then has its previous
/// data. Empty text allocates nothing.
///
/// # Safety
/// `io` is a consistent buffer, `fmt` NULL or a C string, and the arguments of `ap` match it.
pub(crate) unsafe fn to_iobuf(io: *mut mg_iobuf, fmt: *const c_char, ap: *mut va_list) -> Option<usize> {
    // SAFETY: guaranteed by the caller. Printers of the application change io, so its fields are read again after them.
    unsafe {
        let before = (*io).len;
        let lost = sink::lost();
        let mut sink = IobufSink::new(io);
        format(&mut sink, bytes::cstr(fmt), &mut VaArgs::new(ap));
        if sink::lost() != lost {
            if (*io).len > before {
                (*io).len = before;
                *(*io).buf.add(before) = 0;
            }
            return None;
        }
        sink.finish();
        Some((*io).len.saturating_sub(before))
    }
}

/// Formats into `buf` like `mg_vsnprintf`: truncated and NUL-terminated. Returns the full length.
///
/// # Safety
/// `size` bytes at `buf` are writable; `fmt` and `ap` as for [`to_iobuf`].
pub(crate) unsafe fn to_memory(buf: *mut u8, size: usize, fmt: *const c_char, ap: *mut va_list) -> usize {
    // SAFETY: guaranteed by the caller; the sink leaves room for the NUL.
    unsafe {
        let mut sink = BufferSink::new(buf, size.saturating_sub(1), None);
        let count = format(&mut sink, bytes::cstr(fmt), &mut VaArgs::new(ap));
        if size > 0 {
            *buf.add(sink.used()) = 0;
        }
        count
    }
}

/// [`to_memory`] for a Rust buffer.
///
/// # Safety
/// `fmt` and `ap` as for [`to_iobuf`].
pub(crate) unsafe fn to_buffer(buf: &mut [u8], fmt: *const c_char, ap: *mut va_list) -> usize {
    // SAFETY: buf is writable for its length; the rest is passed on.
    unsafe { to_memory(buf.as_mut_ptr(), buf.len(), fmt, ap) }
}
