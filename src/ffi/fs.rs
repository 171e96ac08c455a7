//! Files: the file systems and what is built on them.

use crate::abi::*;
use crate::ffi_util::bytes::{cstr, slice, slice_mut};
use crate::net::kept::About;
use crate::sys::fs::{self, Fs};
use crate::sys::fs_packed;
use core::ffi::{c_char, c_int, c_void};
use core::ptr;

/// Data defined in `src/fmt/variadic.c`. cbindgen reads `static` items only if they look defined.
#[cfg(cbindgen)]
mod data {
    /// The file system of the operating system. Applications may copy and modify it.
    #[unsafe(no_mangle)]
    pub static mut mg_fs_posix: mg_fs = ();

    /// Read-only file system over `mg_mem_files`.
    #[unsafe(no_mangle)]
    pub static mut mg_fs_packed: mg_fs = ();

    /// Files embedded in the application, for mg_fs_packed. Initially NULL; the application may assign an array.
    #[unsafe(no_mangle)]
    pub static mut mg_mem_files: *const mg_mem_file = ();
}

/// Opens a file with MG_FS_* flags. Returns NULL on failure. Close it with mg_fs_close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_fs_open(fs: *mut mg_fs, path: *const c_char, flags: c_int) -> *mut mg_fd {
    // SAFETY: NULL, or a file system and a C string, as the caller promises.
    match unsafe { (Fs::new(fs), fs::path(path)) } {
        (Some(fs), Some(path)) => fs::open_pair(fs, path, flags),
        _ => ptr::null_mut(),
    }
}

/// Closes a file and frees `fd`. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_fs_close(fd: *mut mg_fd) {
    // SAFETY: NULL or from mg_fs_open, as the caller promises.
    unsafe { fs::close_pair(fd) }
}

/// Iterates over a directory: replaces the name in `buf` with the next one. Start with an empty string. Returns false, with an
/// empty string, at the end. Skips names that do not fit. Each call lists the whole directory, so start again after changing it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_fs_ls(fs: *mut mg_fs, path: *const c_char, buf: *mut c_char, len: usize) -> bool {
    if buf.is_null() || len == 0 {
        return false;
    }
    // SAFETY: NULL, or a file system and a C string; buf covers len bytes and holds a C string, as the caller promises.
    unsafe {
        let last = cstr(buf).to_vec();
        let next = match (Fs::new(fs), fs::path(path)) {
            (Some(fs), Some(path)) => fs::next_name(fs, path, &last, len),
            _ => None,
        };
        let name = next.unwrap_or_default();
        slice_mut(buf.cast::<u8>(), len)[..name.count_bytes() + 1].copy_from_slice(name.as_bytes_with_nul());
        !name.is_empty()
    }
}

/// Reads a file into memory, NUL-terminated. Free `.buf` with mg_free. Returns the null string on failure, for a directory and
/// for a NULL `path`. The result for an empty file is empty but not NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_file_read(fs: *mut mg_fs, path: *const c_char) -> mg_str {
    // SAFETY: NULL, or a file system and a C string, as the caller promises.
    match unsafe { (Fs::new(fs), fs::path(path)) } {
        (Some(fs), Some(path)) => fs::read(fs, path).unwrap_or(mg_str::NULL),
        _ => mg_str::NULL,
    }
}

/// Replaces the content of a file atomically, through a temporary file in the same directory: readers see the old or the new
/// content in full, even after a crash (see `no_fsync` of struct mgx_options). Returns false on failure; the old file is then
/// unchanged. The temporary file is removed in any case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_file_write(fs: *mut mg_fs, path: *const c_char, buf: *const c_void, len: usize) -> bool {
    // SAFETY: NULL, or a file system and a C string; buf covers len bytes, as the caller promises.
    match unsafe { (Fs::new(fs), fs::path(path)) } {
        // SAFETY: as above.
        (Some(fs), Some(path)) => fs::write(fs, path, unsafe { slice(buf.cast(), len) }).is_ok(),
        _ => false,
    }
}

/// Implementation of mg_file_printf.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgc_file_printf(fs: *mut mg_fs, path: *const c_char, fmt: *const c_char, ap: *mut va_list) -> bool {
    let mut text = mg_iobuf { buf: ptr::null_mut(), size: 0, len: 0, align: 0 };
    // SAFETY: the buffer is ours; the rest is the caller's.
    unsafe {
        let formatted = crate::fmt::to_iobuf(&mut text, fmt, ap).is_some();
        let done = formatted && mg_file_write(fs, path, text.buf.cast(), text.len);
        crate::ffi_util::iobuf::free(&mut text);
        done
    }
}

/// Returns the content of a file in `mg_mem_files`, not copied; the null string if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_unpacked(path: *const c_char) -> mg_str {
    // SAFETY: a C string or NULL, as the caller promises.
    fs_packed::unpacked(unsafe { cstr(path) }).map_or(mg_str::NULL, mg_str::of)
}

/// Makes an ETag from size and time of change, with its quotation marks, cut to `len` - 1 characters. Returns `buf`.
#[cfg(feature = "files")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_etag(buf: *mut c_char, len: usize, size: usize, mtime: time_t) -> *mut c_char {
    let about = About::new(size as u64, mtime, false);
    let etag = about.etag();
    // SAFETY: buf covers len bytes, as the caller promises.
    let out = unsafe { slice_mut(buf.cast::<u8>(), len) };
    if let Some(room) = out.len().checked_sub(1) {
        let n = etag.len().min(room);
        out[..n].copy_from_slice(&etag[..n]);
        out[n] = 0;
    }
    buf
}
