/// A growable buffer. Memory between `len` and `size` is zero.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_iobuf {
    /// The memory, from mg_calloc; NULL while `size` is 0.
    pub buf: *mut u8,
    /// Capacity in bytes.
    pub size: usize,
    /// Bytes in use, from the start of `buf`.
    pub len: usize,
    /// The capacity is always a multiple of this; 0 means exact sizes.
    pub align: usize,
}
layout!(mg_iobuf, 32, buf @ 0, size @ 8, len @ 16, align @ 24);
