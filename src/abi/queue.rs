use super::*;

/// A ring of messages in the application's memory, for one writing and one reading context, without locks.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_queue {
    /// The memory.
    pub buf: *mut c_char,
    /// Its size in bytes.
    pub size: usize,
    /// Where the reader is.
    pub tail: mg_volatile_size_t,
    /// Where the writer is.
    pub head: mg_volatile_size_t,
}
layout!(mg_queue, 32, buf @ 0, size @ 8, tail @ 16, head @ 24);
