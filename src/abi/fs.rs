use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_fs {
    pub st: Option<unsafe extern "C" fn(*const c_char, *mut usize, *mut time_t) -> c_int>,
    pub ls: Option<unsafe extern "C" fn(*const c_char, Option<unsafe extern "C" fn(*const c_char, *mut c_void)>, *mut c_void)>,
    pub op: Option<unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void>,
    pub cl: Option<unsafe extern "C" fn(*mut c_void)>,
    pub rd: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> usize>,
    pub wr: Option<unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> usize>,
    pub sk: Option<unsafe extern "C" fn(*mut c_void, usize) -> usize>,
    pub mv: Option<unsafe extern "C" fn(*const c_char, *const c_char) -> bool>,
    pub rm: Option<unsafe extern "C" fn(*const c_char) -> bool>,
    pub mkd: Option<unsafe extern "C" fn(*const c_char) -> bool>,
}
layout!(mg_fs, 80, st @ 0, ls @ 8, op @ 16, cl @ 24, rd @ 32, wr @ 40, sk @ 48, mv @ 56, rm @ 64, mkd @ 72);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_fd {
    pub fd: *mut c_void,
    pub fs: *mut mg_fs,
}
layout!(mg_fd, 16, fd @ 0, fs @ 8);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mem_file {
    pub path: *const c_char,
    pub data: *const u8,
    pub size: usize,
    pub mtime: time_t,
}
layout!(mg_mem_file, 32, path @ 0, data @ 8, size @ 16, mtime @ 24);

