use super::*;

/// A file system: the functions through which mg_file_*, mg_fs_* and the HTTP file functions access files.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_fs {
    /// Returns MG_FS_* attributes of a file, or 0 if it does not exist. `size` and `mtime` may be NULL.
    pub st: Option<unsafe extern "C" fn(path: *const c_char, size: *mut usize, mtime: *mut time_t) -> c_int>,
    /// Calls `fn` with the name of each directory entry.
    pub ls: Option<
        unsafe extern "C" fn(
            path: *const c_char,
            r#fn: Option<unsafe extern "C" fn(*const c_char, *mut c_void)>,
            arg: *mut c_void,
        ),
    >,
    /// Opens a file with MG_FS_* flags. Returns NULL on failure.
    pub op: Option<unsafe extern "C" fn(path: *const c_char, flags: c_int) -> *mut c_void>,
    /// Closes a file.
    pub cl: Option<unsafe extern "C" fn(fd: *mut c_void)>,
    /// Reads up to `len` bytes. Returns the number of bytes read, 0 at the end of the file or on failure.
    pub rd: Option<unsafe extern "C" fn(fd: *mut c_void, buf: *mut c_void, len: usize) -> usize>,
    /// Writes `len` bytes. Returns the number of bytes written.
    pub wr: Option<unsafe extern "C" fn(fd: *mut c_void, buf: *const c_void, len: usize) -> usize>,
    /// Seeks to an absolute offset and returns it.
    pub sk: Option<unsafe extern "C" fn(fd: *mut c_void, offset: usize) -> usize>,
    /// Renames a file, replacing the target.
    pub mv: Option<unsafe extern "C" fn(from: *const c_char, to: *const c_char) -> bool>,
    /// Removes a file or an empty directory.
    pub rm: Option<unsafe extern "C" fn(path: *const c_char) -> bool>,
    /// Creates a directory.
    pub mkd: Option<unsafe extern "C" fn(path: *const c_char) -> bool>,
}
layout!(mg_fs, 80, st @ 0, ls @ 8, op @ 16, cl @ 24, rd @ 32, wr @ 40, sk @ 48, mv @ 56, rm @ 64, mkd @ 72);

/// An open file.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_fd {
    /// Handle returned by the `op` function of the file system.
    pub fd: *mut c_void,
    /// File system that the file belongs to.
    pub fs: *mut mg_fs,
}
layout!(mg_fd, 16, fd @ 0, fs @ 8);

/// A file embedded in the application. An array of these is terminated by an entry whose `path` is NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mem_file {
    pub path: *const c_char,
    /// File content. The file does not exist if this is NULL.
    pub data: *const u8,
    pub size: usize,
    /// Modification time, in seconds since 1970.
    pub mtime: time_t,
}
layout!(mg_mem_file, 32, path @ 0, data @ 8, size @ 16, mtime @ 24);
