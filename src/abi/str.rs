use super::*;

/// A view of text or bytes, not necessarily NUL-terminated. It does not own its memory unless the function that made it says so.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_str {
    /// First byte; NULL for the null string.
    pub buf: *mut c_char,
    /// Number of bytes.
    pub len: usize,
}
layout!(mg_str, 16, buf @ 0, len @ 8);
