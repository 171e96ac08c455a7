/// A growable buffer. The library zeroes memory when it allocates, vacates or frees it; the content of `buf[len..size]` is
/// otherwise unspecified.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_iobuf {
    /// Memory from mg_calloc; NULL if `size` is 0.
    pub buf: *mut u8,
    /// Capacity in bytes.
    pub size: usize,
    /// Number of bytes in use.
    pub len: usize,
    /// The capacity is rounded up to a multiple of this; 0 disables rounding.
    pub align: usize,
}
layout!(mg_iobuf, 32, buf @ 0, size @ 8, len @ 16, align @ 24);
