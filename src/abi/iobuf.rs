use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_iobuf {
    pub buf: *mut u8,
    pub size: usize,
    pub len: usize,
    pub align: usize,
}
layout!(mg_iobuf, 32, buf @ 0, size @ 8, len @ 16, align @ 24);

