use super::*;

/// A string view: pointer and length, not necessarily NUL-terminated. It owns its memory only if the function that returned it
/// says so.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_str {
    /// First byte; NULL in the null string `{NULL, 0}`.
    pub buf: *mut c_char,
    /// Length in bytes.
    pub len: usize,
}
layout!(mg_str, 16, buf @ 0, len @ 8);
