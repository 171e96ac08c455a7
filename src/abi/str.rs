use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_str {
    pub buf: *mut c_char,
    pub len: usize,
}
layout!(mg_str, 16, buf @ 0, len @ 8);

