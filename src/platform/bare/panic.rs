//! Panics: after a bug in the library, or without essential memory.

use core::ffi::{CStr, c_char};
use core::fmt::Write;

unsafe extern "C" {
    /// Without an operating system: called with a message if the library detects a bug of its own, or cannot allocate essential memory.
    /// Must not return. The default logs the message and calls C's abort(); applications may define this function, for example to reset
    /// the device.
    fn mgx_panic(message: *const c_char) -> !;
}

/// Truncates messages that do not fit.
struct Text {
    bytes: [u8; 160],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        // The last byte stays NUL.
        let n = s.len().min(self.bytes.len() - 1 - self.len);
        self.bytes[self.len..self.len + n].copy_from_slice(&s.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let mut text = Text { bytes: [0; 160], len: 0 };
    let _ = write!(text, "libmongoose: {info}");
    let message = CStr::from_bytes_until_nul(&text.bytes).unwrap_or(c"libmongoose: bug");
    // SAFETY: a C string.
    unsafe { mgx_panic(message.as_ptr()) }
}
