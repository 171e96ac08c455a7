use super::*;

/// A lock-free ring buffer of messages for one writer and one reader, in memory supplied by the application.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_queue {
    /// Memory of the ring.
    pub buf: *mut c_char,
    /// Size of the ring in bytes.
    pub size: usize,
    /// Read position.
    pub tail: mg_volatile_size_t,
    /// Write position.
    pub head: mg_volatile_size_t,
}
layout!(mg_queue, 32, buf @ 0, size @ 8, tail @ 16, head @ 24);
