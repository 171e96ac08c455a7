use super::*;

/// cbindgen:ignore
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_queue {
    pub buf: *mut c_char,
    pub size: usize,
    pub tail: usize,
    pub head: usize,
}
layout!(mg_queue, 32, buf @ 0, size @ 8, tail @ 16, head @ 24);

