use super::*;

/// A file system: where mg_file_*, mg_fs_* and the HTTP file functions read and write.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_fs {
    /// Status: MG_FS_* bits, 0 if there is no such file. `size` and `mtime` may be NULL.
    pub st: Option<unsafe extern "C" fn(path: *const c_char, size: *mut usize, mtime: *mut time_t) -> c_int>,
    /// Calls `fn` for each name in a directory.
    pub ls: Option<
        unsafe extern "C" fn(
            path: *const c_char,
            r#fn: Option<unsafe extern "C" fn(*const c_char, *mut c_void)>,
            arg: *mut c_void,
        ),
    >,
    /// Opens a file with MG_FS_* flags; NULL on failure.
    pub op: Option<unsafe extern "C" fn(path: *const c_char, flags: c_int) -> *mut c_void>,
    /// Closes it.
    pub cl: Option<unsafe extern "C" fn(fd: *mut c_void)>,
    /// Reads; returns the number of bytes, 0 at the end or on failure.
    pub rd: Option<unsafe extern "C" fn(fd: *mut c_void, buf: *mut c_void, len: usize) -> usize>,
    /// Writes; returns the number of bytes.
    pub wr: Option<unsafe extern "C" fn(fd: *mut c_void, buf: *const c_void, len: usize) -> usize>,
    /// Moves to an absolute position and returns it.
    pub sk: Option<unsafe extern "C" fn(fd: *mut c_void, offset: usize) -> usize>,
    /// Renames, replacing the target.
    pub mv: Option<unsafe extern "C" fn(from: *const c_char, to: *const c_char) -> bool>,
    /// Removes a file or an empty directory.
    pub rm: Option<unsafe extern "C" fn(path: *const c_char) -> bool>,
    /// Makes a directory.
    pub mkd: Option<unsafe extern "C" fn(path: *const c_char) -> bool>,
}
layout!(mg_fs, 80, st @ 0, ls @ 8, op @ 16, cl @ 24, rd @ 32, wr @ 40, sk @ 48, mv @ 56, rm @ 64, mkd @ 72);

/// An open file.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_fd {
    /// What the file system's `op` returned.
    pub fd: *mut c_void,
    /// The file system it belongs to.
    pub fs: *mut mg_fs,
}
layout!(mg_fd, 16, fd @ 0, fs @ 8);

/// A file compiled into the application. An array of these ends with an entry whose `path` is NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mem_file {
    pub path: *const c_char,
    /// Content; an entry with NULL here counts as absent.
    pub data: *const u8,
    pub size: usize,
    /// Time of last change, seconds since 1970.
    pub mtime: time_t,
}
layout!(mg_mem_file, 32, path @ 0, data @ 8, size @ 16, mtime @ 24);
