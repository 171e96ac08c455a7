//! The read-only file system in memory: the functions of `mg_fs_packed`. Every call reads the application's list again.

use crate::abi::*;
use crate::ffi_util::{
    bytes::{cstr, slice, slice_mut},
    heap,
};
use crate::memory::prelude::*;
use alloc::ffi::CString;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

unsafe extern "C" {
    // By its C name: with copy relocations, the application's copy is the valid one.
    static mut mg_mem_files: *const mg_mem_file;
    // Defined by files of the generator before 7.15; the defaults in src/fmt/replaceable.c find nothing.
    fn mg_unlist(no: usize) -> *const c_char;
    fn mg_unpack(name: *const c_char, size: *mut usize, mtime: *mut time_t) -> *const c_char;
}

/// A file of the older generator.
fn older(name: &CStr) -> Option<mg_mem_file> {
    let mut file = mg_mem_file { path: ptr::null(), data: ptr::null(), size: 0, mtime: 0 };
    // SAFETY: the application's function gets a C string and writable results.
    file.data = unsafe { mg_unpack(name.as_ptr(), &mut file.size, &mut file.mtime) }.cast();
    (!file.data.is_null()).then_some(file)
}

/// Paths of the older generator's files.
fn older_paths() -> impl Iterator<Item = &'static [u8]> {
    // SAFETY: the application's function; its names are constants.
    let names = (0..).map(|i| unsafe { mg_unlist(i) }).take_while(|name| !name.is_null());
    // SAFETY: a C string.
    names.map(|name| unsafe { cstr(name) })
}

/// Paths of all files.
fn paths() -> impl Iterator<Item = &'static [u8]> {
    files().map(|(path, _)| path).chain(older_paths())
}

/// The files in `mg_mem_files`, each with its path.
fn files() -> impl Iterator<Item = (&'static [u8], mg_mem_file)> {
    // SAFETY: a plain pointer.
    let mut at = unsafe { (&raw const mg_mem_files).read() };
    core::iter::from_fn(move || {
        while !at.is_null() {
            // SAFETY: the application's array ends with an entry whose path is NULL, and stays as it is while it is set.
            let (file, path) = unsafe { (*at, cstr((*at).path)) };
            if file.path.is_null() {
                return None;
            }
            at = at.wrapping_add(1);
            if !file.data.is_null() {
                return Some((path, file));
            }
        }
        None
    })
}

fn find(path: &[u8]) -> Option<mg_mem_file> {
    let listed = files().find(|(p, _)| *p == path).map(|(_, file)| file);
    listed.or_else(|| older(&CString::new(path).ok()?))
}

/// The rest of a path below a directory.
fn below<'a>(dir: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(dir)?;
    match rest {
        [b'/', rest @ ..] => Some(rest),
        [_, ..] if dir.is_empty() || dir.ends_with(b"/") => Some(rest),
        _ => None,
    }
}

/// See `mg_unpacked`.
pub(crate) fn unpacked(path: &[u8]) -> Option<&'static [u8]> {
    // SAFETY: the application's own file.
    find(path).map(|f| unsafe { slice(f.data, f.size) })
}

/// True if `fs` opens files with the function below.
///
/// # Safety
/// `fs` points at a file system.
pub(crate) unsafe fn is_packed(fs: *const mg_fs) -> bool {
    // SAFETY: as the caller promises.
    unsafe { (*fs).op }.map(|f| f as usize) == Some(mgc_packed_op as *const () as usize)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_packed_st(path: *const c_char, size: *mut usize, mtime: *mut time_t) -> c_int {
    if path.is_null() {
        return 0;
    }
    // SAFETY: a C string, and NULL or writable results.
    unsafe {
        let path = cstr(path);
        let Some(file) = find(path) else {
            return if paths().any(|p| below(path, p).is_some()) { MG_FS_DIR } else { 0 };
        };
        if !size.is_null() {
            *size = file.size;
        }
        if !mtime.is_null() {
            *mtime = file.mtime;
        }
    }
    MG_FS_READ
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_packed_ls(
    dir: *const c_char,
    f: Option<unsafe extern "C" fn(*const c_char, *mut c_void)>,
    arg: *mut c_void,
) {
    // SAFETY: a C string or NULL.
    let (dir, Some(f)) = (unsafe { cstr(dir) }, f) else { return };
    let mut last = Vec::new();
    for path in paths() {
        let Some(rest) = below(dir, path) else { continue };
        let name = rest.split(|b| *b == b'/').next().unwrap_or_default();
        if last.split_last().is_some_and(|(_, name_before)| name_before == name) {
            continue;
        }
        last.clear();
        last.extend_from_slice(name);
        last.push(0);
        // SAFETY: the application's function and its argument; the name ends with a NUL.
        unsafe { f(last.as_ptr().cast(), arg) };
    }
}

/// An open file.
struct Open {
    data: *const u8,
    size: usize,
    at: usize,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_packed_op(path: *const c_char, flags: c_int) -> *mut c_void {
    if path.is_null() || flags & MG_FS_WRITE != 0 {
        return ptr::null_mut();
    }
    // SAFETY: a C string.
    let Some(file) = find(unsafe { cstr(path) }) else { return ptr::null_mut() };
    let open: *mut Open = heap::new_zeroed();
    if !open.is_null() {
        // SAFETY: just allocated, for an Open.
        unsafe { open.write(Open { data: file.data, size: file.size, at: 0 }) };
    }
    open.cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_packed_cl(fd: *mut c_void) {
    // SAFETY: NULL or from op, and not used again.
    unsafe { heap::free(fd.cast()) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_packed_rd(fd: *mut c_void, buf: *mut c_void, len: usize) -> usize {
    // SAFETY: NULL or from op; buf covers len bytes; the file's data is the application's.
    unsafe {
        let Some(open) = fd.cast::<Open>().as_mut() else { return 0 };
        let rest = slice(open.data, open.size).get(open.at..).unwrap_or_default();
        let n = rest.len().min(len);
        slice_mut(buf.cast(), n).copy_from_slice(&rest[..n]);
        open.at += n;
        n
    }
}

#[unsafe(no_mangle)]
extern "C" fn mgc_packed_wr(_fd: *mut c_void, _buf: *const c_void, _len: usize) -> usize {
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_packed_sk(fd: *mut c_void, offset: usize) -> usize {
    // SAFETY: NULL or from op.
    let Some(open) = (unsafe { fd.cast::<Open>().as_mut() }) else { return 0 };
    open.at = offset.min(open.size);
    open.at
}

#[unsafe(no_mangle)]
extern "C" fn mgc_packed_mv(_from: *const c_char, _to: *const c_char) -> bool {
    false
}

#[unsafe(no_mangle)]
extern "C" fn mgc_packed_rm(_path: *const c_char) -> bool {
    false
}

#[unsafe(no_mangle)]
extern "C" fn mgc_packed_mkd(_path: *const c_char) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn paths_below_a_directory() {
        for (dir, path, rest) in [
            ("/a", "/a/b", Some("b")),
            ("/a/", "/a/b", Some("b")),
            ("/", "/a/b", Some("a/b")),
            ("", "/a/b", Some("a/b")),
            ("", "a/b", Some("a/b")),
            ("/a", "/ab", None),
            ("/a", "/a", None),
            ("/a/", "/a/", None),
        ] {
            assert_eq!(below(dir.as_bytes(), path.as_bytes()), rest.map(str::as_bytes), "{dir} {path}");
        }
    }
}
