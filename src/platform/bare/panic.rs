//! The end after a bug of the library, or of memory that it cannot do without.

use core::ffi::{CStr, c_char};
use core::fmt::Write;

unsafe extern "C" {
    /// Without an operating system: called with a message when the library finds a bug of its own, or no memory for what it cannot
    /// do without. Must not return. The library's own writes the message to the log and calls C's abort(); a program may define it
    /// itself, to reset the device.
    fn mgx_panic(message: *const c_char) -> !;
}

/// The message that does not fit is cut.
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
