//! Log output. Does not allocate: the application's own `mg_calloc` may log.

use crate::{
    abi::mg_pfn_t,
    fmt::{
        engine::Out,
        sink::{AnySink, BufferSink},
    },
};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::{Arguments, Write};
use core::sync::atomic::{AtomicI32, AtomicPtr, Ordering::Relaxed};

unsafe extern "C" {
    // By their C names: the application may define the functions, and with copy relocations its copy of the data is the valid
    // one.
    static mg_log_level: AtomicI32;
    fn mg_log(fmt: *const c_char, ...);
    fn mg_log_prefix(level: c_int, file: *const c_char, line: c_int, function: *const c_char);
    /// Writes to C's stdout, which is a macro in some C libraries.
    #[cfg(feature = "std")]
    fn mgc_print(s: *const c_void, len: usize);
    fn putchar(c: c_int) -> c_int;
}

/// Set by mg_log_set_fn; NULL for stdout.
static FUNCTION: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static PARAM: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

pub(crate) fn set_function(f: mg_pfn_t, param: *mut c_void) {
    PARAM.store(param, Relaxed);
    FUNCTION.store(f.map_or(core::ptr::null_mut(), |f| f as *mut c_void), Relaxed);
}

/// Writes through C's stdio, because applications mix logging and printf.
#[cfg(feature = "std")]
fn print(s: &[u8]) {
    // SAFETY: s is readable.
    unsafe { mgc_print(s.as_ptr().cast(), s.len()) };
}

/// Through the one function that a firmware without stdio can define itself.
#[cfg(not(feature = "std"))]
fn print(s: &[u8]) {
    s.iter().for_each(|c| put(*c));
}

/// One character, to C's standard output.
pub(crate) fn put(c: u8) {
    // SAFETY: no conditions.
    unsafe { putchar(c_int::from(c)) };
}

/// Runs `write` with the log as output.
pub(crate) fn output(write: impl FnOnce(&mut AnySink<'_>)) {
    let f = FUNCTION.load(Relaxed);
    if !f.is_null() {
        // SAFETY: set_function() stored this pair, of a function and its argument.
        return write(&mut unsafe { AnySink::new(core::mem::transmute::<*mut c_void, mg_pfn_t>(f), PARAM.load(Relaxed)) });
    }
    let mut memory = [0; 1024];
    // SAFETY: memory outlives the sink.
    let mut sink = unsafe { BufferSink::new(memory.as_mut_ptr(), memory.len(), Some(print)) };
    write(&mut AnySink::Buffer(&mut sink));
    sink.flush();
}

/// Text on the stack, truncated to its size.
pub(crate) struct Line<const N: usize> {
    buf: [u8; N],
    len: usize,
}

impl<const N: usize> Line<N> {
    pub(crate) const fn new() -> Self {
        Line { buf: [0; N], len: 0 }
    }

    /// False when not all of it fits.
    pub(crate) fn push(&mut self, s: &[u8]) -> bool {
        let n = s.len().min(N - self.len);
        self.buf[self.len..self.len + n].copy_from_slice(&s[..n]);
        self.len += n;
        n == s.len()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    pub(crate) fn as_mut_bytes(&mut self) -> &mut [u8] {
        &mut self.buf[..self.len]
    }
}

impl<const N: usize> Write for Line<N> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        if self.push(s.as_bytes()) { Ok(()) } else { Err(core::fmt::Error) }
    }
}

/// Writes the 40-character prefix of a message.
pub(crate) fn prefix(level: c_int, file: &[u8], line: c_int, function: &[u8]) {
    const WIDTH: usize = 40;
    let slash = memchr::memrchr(b'/', file).or_else(|| memchr::memrchr(b'\\', file));
    let mut text = Line::<{ WIDTH - 1 }>::new();
    let now = crate::platform::clock::millis();
    let _ = write!(text, "{now:<6x} {level} ");
    text.push(&file[slash.map_or(0, |i| i + 1)..]);
    let _ = write!(text, ":{line}:");
    text.push(function);
    output(|out| {
        out.bytes(text.as_bytes());
        out.fill(b' ', WIDTH - text.len);
    });
}

/// Dumps `data` in hex and as text, 16 bytes per line, regardless of the log level.
pub(crate) fn hexdump(data: &[u8]) {
    output(|out| dump(out, data));
}

fn dump(out: &mut impl Out, data: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const BYTES: usize = 7;
    const TEXT: usize = BYTES + 16 * 3 + 2;
    const END: usize = TEXT + 16;
    if data.is_empty() {
        // One line without its offset.
        out.fill(b' ', END - BYTES);
        out.bytes(b"\r\n");
    }
    for (i, row) in data.chunks(16).enumerate() {
        let mut line = [b' '; END + 2];
        line[END..].copy_from_slice(b"\r\n");
        for (j, digit) in line[..4].iter_mut().enumerate() {
            *digit = DIGITS[((i * 16) >> (12 - 4 * j)) & 15];
        }
        for (j, &byte) in row.iter().enumerate() {
            line[BYTES + j * 3] = DIGITS[usize::from(byte >> 4)];
            line[BYTES + j * 3 + 1] = DIGITS[usize::from(byte & 15)];
            line[TEXT + j] = if matches!(byte, b' '..=b'~') { byte } else { b'.' };
        }
        out.bytes(&line);
    }
}

pub(crate) fn level() -> c_int {
    // SAFETY: as in enabled.
    unsafe { &mg_log_level }.load(Relaxed)
}

pub(crate) fn set_level(level: c_int) {
    // SAFETY: as in enabled.
    unsafe { &mg_log_level }.store(level, Relaxed);
}

#[inline]
pub(crate) fn enabled(level: c_int) -> bool {
    // SAFETY: defined in variadic.c; applications write it with plain stores.
    level <= unsafe { &mg_log_level }.load(Relaxed)
}

/// Logs a message. Use the macros below.
#[cold]
pub(crate) fn message(level: c_int, file: &CStr, line: u32, args: Arguments<'_>) {
    let mut text = Line::<256>::new();
    let _ = text.write_fmt(args);
    // SAFETY: the arguments match the format.
    unsafe {
        mg_log_prefix(level, file.as_ptr(), line as c_int, c"".as_ptr());
        mg_log(c"%.*s".as_ptr(), text.len as c_int, text.buf.as_ptr());
    }
}

/// Logs a message of any length, through the application's own mg_log if it has one.
pub(crate) fn whole(level: c_int, text: &[u8]) {
    // SAFETY: the arguments match the format.
    unsafe {
        mg_log_prefix(level, c"".as_ptr(), 0, c"".as_ptr());
        mg_log(c"%.*s".as_ptr(), c_int::try_from(text.len()).unwrap_or(c_int::MAX), text.as_ptr());
    }
}

/// External bytes as text in a message.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl core::fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.utf8_chunks().try_for_each(|chunk| {
            f.write_str(chunk.valid())?;
            if chunk.invalid().is_empty() { Ok(()) } else { f.write_char('?') }
        })
    }
}

macro_rules! log_at {
    ($level:expr, $($arg:tt)+) => {
        if $crate::sys::log::enabled($level) {
            const FILE: &core::ffi::CStr = match core::ffi::CStr::from_bytes_with_nul(concat!(file!(), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"",
            };
            $crate::sys::log::message($level, FILE, line!(), format_args!($($arg)+));
        }
    };
}

/// `log_error!("format", ...)`: logs a message with a prefix if the level permits.
macro_rules! log_error { ($($arg:tt)+) => { $crate::sys::log::log_at!($crate::abi::MG_LL_ERROR, $($arg)+) }; }
macro_rules! log_info { ($($arg:tt)+) => { $crate::sys::log::log_at!($crate::abi::MG_LL_INFO, $($arg)+) }; }
pub(crate) use {log_at, log_error, log_info};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_wrap_at_65536() {
        let mut out = Vec::new();
        dump(&mut out, &[0; 65552]);
        assert_eq!(out.len(), 4097 * 75);
        assert!(out[4095 * 75..].starts_with(b"fff0   00 00"));
        assert!(out[4096 * 75..].starts_with(b"0000   00 00"));
    }

    #[test]
    fn long_lines_are_truncated() {
        let mut line = Line::<4>::new();
        let _ = line.write_str("abcde");
        assert_eq!(line.as_bytes(), b"abcd");
        assert_eq!(Bytes(b"a\xffb").to_string(), "a?b");
    }
}
