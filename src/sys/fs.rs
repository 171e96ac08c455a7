//! Helpers for any `struct mg_fs`.

use super::random;
use crate::abi::*;
use crate::ffi_util::{bytes::slice_mut, heap};
use crate::memory::prelude::*;
use crate::platform::files as fs_posix;
use crate::platform::thread;
use alloc::ffi::CString;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

unsafe extern "C" {
    // By its C name: with copy relocations, the application's copy is the valid one.
    static mut mg_fs_posix: mg_fs;
}

/// A file system that stays in place while this is used.
#[derive(Clone, Copy)]
pub(crate) struct Fs(*mut mg_fs);

impl Fs {
    /// The system's file system, possibly modified by the application.
    pub(crate) fn posix() -> Fs {
        Fs(&raw mut mg_fs_posix)
    }

    /// None for NULL.
    ///
    /// # Safety
    /// `fs` is NULL or points to a file system with correct functions for as long as the result is used.
    pub(crate) unsafe fn new(fs: *mut mg_fs) -> Option<Fs> {
        (!fs.is_null()).then_some(Fs(fs))
    }

    pub(crate) fn as_ptr(self) -> *mut mg_fs {
        self.0
    }

    /// The current table.
    fn table(self) -> mg_fs {
        // SAFETY: see new().
        unsafe { *self.0 }
    }

    /// Flags, size and modification time; None if the file does not exist. Directories of some file systems have no size.
    pub(crate) fn status(self, path: &CStr) -> Option<(c_int, usize, time_t)> {
        let (mut size, mut mtime) = (0, 0);
        // SAFETY: see new(); the results are ours.
        let flags = unsafe { self.table().st?(path.as_ptr(), &mut size, &mut mtime) };
        (flags != 0).then_some((flags, size, mtime))
    }

    pub(crate) fn open(self, path: &CStr, flags: c_int) -> Option<Handle> {
        // SAFETY: see new().
        let fd = unsafe { self.table().op?(path.as_ptr(), flags) };
        (!fd.is_null()).then_some(Handle { fs: self, fd })
    }

    pub(crate) fn remove(self, path: &CStr) -> bool {
        // SAFETY: see new().
        self.table().rm.is_some_and(|f| unsafe { f(path.as_ptr()) })
    }

    fn can_rename(self) -> bool {
        self.table().mv.is_some()
    }

    fn rename(self, from: &CStr, to: &CStr) -> bool {
        // SAFETY: see new().
        self.table().mv.is_some_and(|f| unsafe { f(from.as_ptr(), to.as_ptr()) })
    }

    /// True for the system's file system, whose descriptors can be used.
    fn is_native(self) -> bool {
        // SAFETY: see new().
        unsafe { fs_posix::is_native(self.0) }
    }

    /// Replaces a file with a finished one, atomically if the file system can. On failure the new file is removed and the old one
    /// unchanged.
    fn replace(self, from: &CStr, to: &CStr) -> bool {
        let done = self.rename(from, to) || self.replace_in_steps(from, to);
        if !done {
            self.remove(from);
        }
        done
    }

    /// Replaces a file in file systems that do not rename to an existing name: renames the old file first. An empty directory is
    /// removed.
    fn replace_in_steps(self, from: &CStr, to: &CStr) -> bool {
        match self.status(to) {
            Some((flags, ..)) if flags & MG_FS_DIR != 0 => self.remove(to) && self.rename(from, to),
            // SAFETY: see new().
            Some(_) if !unsafe { fs_posix::renames(self.0) } => {
                let old = temporary(to);
                if !self.rename(to, &old) {
                    return false;
                }
                let done = self.rename(from, to);
                let _ = if done { self.remove(&old) } else { self.rename(&old, to) };
                done
            }
            _ => false,
        }
    }

    /// Calls `f` with each name in a directory.
    pub(crate) fn list(self, dir: &CStr, mut f: impl FnMut(&CStr)) {
        unsafe extern "C" fn name(name: *const c_char, arg: *mut c_void) {
            // SAFETY: list() made arg from a reference to such a reference, and waits for its end.
            let f = unsafe { &mut *arg.cast::<&mut dyn FnMut(&CStr)>() };
            if !name.is_null() {
                // SAFETY: a C string of the file system.
                f(unsafe { CStr::from_ptr(name) });
            }
        }
        let mut f: &mut dyn FnMut(&CStr) = &mut f;
        if let Some(ls) = self.table().ls {
            // SAFETY: see new(); the argument fits the function.
            unsafe { ls(dir.as_ptr(), Some(name), (&raw mut f).cast()) };
        }
    }
}

/// An open file, closed on drop.
pub(crate) struct Handle {
    pub(crate) fs: Fs,
    pub(crate) fd: *mut c_void,
}

impl Handle {
    pub(crate) fn read(&self, buf: &mut [u8]) -> usize {
        // SAFETY: the file is open; buf is writable.
        let n = self.fs.table().rd.map_or(0, |f| unsafe { f(self.fd, buf.as_mut_ptr().cast(), buf.len()) });
        n.min(buf.len())
    }

    pub(crate) fn write(&self, buf: &[u8]) -> usize {
        // SAFETY: the file is open; buf is readable.
        self.fs.table().wr.map_or(0, |f| unsafe { f(self.fd, buf.as_ptr().cast(), buf.len()) })
    }

    pub(crate) fn seek(&self, offset: usize) -> bool {
        // SAFETY: the file is open.
        self.fs.table().sk.is_some_and(|f| unsafe { f(self.fd, offset) } == offset)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(f) = self.fs.table().cl {
            // SAFETY: the file is open and not used again.
            unsafe { f(self.fd) };
        }
    }
}

/// Maximum length of a name.
const NAME_MAX: usize = 255;
const RANDOM: usize = 9;

/// A unique name next to `path`: `NAME..PID-xxxxxxxxx`.
fn temporary(path: &CStr) -> CString {
    let path = path.to_bytes();
    let suffix = [format!("..{}-", thread::process_id()).as_bytes(), &random::name::<RANDOM>()].concat();
    let name = path.len() - memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    let cut = (name + suffix.len()).saturating_sub(NAME_MAX).min(name.saturating_sub(1));
    CString::new([&path[..path.len() - cut], &suffix].concat()).unwrap_or_default()
}

/// The PID in a temporary name, if it may be one of [`temporary`].
fn writer(name: &[u8]) -> Option<u32> {
    let (rest, random) = name.split_at_checked(name.len().checked_sub(RANDOM)?)?;
    let rest = rest.strip_suffix(b"-")?;
    let digits = rest.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (rest, pid) = rest.split_at(rest.len() - digits);
    let own = rest.strip_suffix(b"..").is_some_and(|name| !name.is_empty()) && random.iter().all(u8::is_ascii_alphanumeric);
    core::str::from_utf8(pid).ok().filter(|_| own)?.parse().ok().filter(|pid| *pid > 0)
}

/// True if a name may be that of a file being written.
pub(crate) fn is_temporary(name: &[u8]) -> bool {
    writer(name).is_some()
}

/// Removes leftovers of dead processes in the directory of `path`.
pub(crate) fn sweep(fs: Fs, path: &CStr) {
    if fs.is_native() && fs.can_rename() {
        fs_posix::sweep(path, writer);
    }
}

/// Why a file was not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    Open,
    Write,
}

/// A file that replaces another when it is complete, and is removed otherwise.
pub(crate) struct NewFile {
    fs: Fs,
    /// None when closed.
    file: Option<Handle>,
    path: CString,
    /// Temporary name; None in file systems that cannot rename, where the file has its final name from the start.
    temp: Option<CString>,
}

impl NewFile {
    pub(crate) fn create(fs: Fs, path: &CStr) -> Option<NewFile> {
        let temp = fs.can_rename().then(|| temporary(path));
        let file = match &temp {
            Some(temp) => {
                let file = fs.open(temp, MG_FS_WRITE | MG_FS_EXCL);
                file.inspect(|file| {
                    if fs.is_native() {
                        fs_posix::lock(file.fd);
                    }
                })
            }
            None => {
                fs.remove(path);
                fs.open(path, MG_FS_WRITE)
            }
        };
        Some(NewFile { fs, file: Some(file?), path: path.to_owned(), temp })
    }

    pub(crate) fn write(&self, data: &[u8]) -> bool {
        self.file.as_ref().is_some_and(|f| f.write(data) == data.len())
    }

    /// Moves the file to its final name.
    pub(crate) fn finish(mut self) -> bool {
        let native = self.fs.is_native();
        if native && !self.file.as_ref().is_some_and(|file| fs_posix::complete(file.fd)) {
            return false;
        }
        // Native files stay open, and so locked, until they have their final name; other file systems may not rename open files.
        let file = self.file.take().filter(|_| native);
        let done = match self.temp.take() {
            Some(temp) => self.fs.replace(&temp, &self.path),
            None => true,
        };
        drop(file);
        done && (!native || fs_posix::complete_name(&self.path))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // finish() has taken both.
        if self.file.take().is_some() {
            self.fs.remove(self.temp.as_ref().unwrap_or(&self.path));
        }
    }
}

/// See `mg_file_write`.
pub(crate) fn write(fs: Fs, path: &CStr, data: &[u8]) -> Result<(), Failure> {
    let file = NewFile::create(fs, path).ok_or(Failure::Open)?;
    if file.write(data) && file.finish() { Ok(()) } else { Err(Failure::Write) }
}

/// See `mg_file_read`: a block with a NUL after the content, to be freed by the application.
pub(crate) fn read(fs: Fs, path: &CStr) -> Option<mg_str> {
    let (flags, size, _) = fs.status(path)?;
    if flags & MG_FS_DIR != 0 {
        return None;
    }
    let file = fs.open(path, MG_FS_READ)?;
    let p = heap::calloc(size.checked_add(1)?);
    if p.is_null() {
        return None;
    }
    // SAFETY: the block has size bytes and one more.
    unsafe {
        if file.read(slice_mut(p, size)) != size {
            heap::free(p);
            return None;
        }
    }
    Some(mg_str { buf: p.cast(), len: size })
}

/// See `mg_fs_ls`: the name after `last` (the first one if that is empty) that takes fewer than `room` bytes.
pub(crate) fn next_name(fs: Fs, dir: &CStr, last: &[u8], room: usize) -> Option<CString> {
    let (mut passed, mut next) = (last.is_empty(), None);
    fs.list(dir, |name| {
        let bytes = name.to_bytes();
        if !passed {
            passed = bytes == last;
        } else if next.is_none() && !bytes.is_empty() && bytes.len() < room {
            next = Some(name.to_owned());
        }
    });
    next
}

/// See `mg_fs_open`.
pub(crate) fn open_pair(fs: Fs, path: &CStr, flags: c_int) -> *mut mg_fd {
    let Some(file) = fs.open(path, flags) else { return ptr::null_mut() };
    let pair: *mut mg_fd = heap::new_zeroed();
    if !pair.is_null() {
        let file = core::mem::ManuallyDrop::new(file);
        // SAFETY: just allocated, for an mg_fd.
        unsafe { pair.write(mg_fd { fd: file.fd, fs: file.fs.as_ptr() }) };
    }
    pair
}

/// See `mg_fs_close`.
///
/// # Safety
/// `pair` is NULL or from [`open_pair`], and not used again.
pub(crate) unsafe fn close_pair(pair: *mut mg_fd) {
    // SAFETY: as the caller promises.
    unsafe {
        let Some(&mg_fd { fd, fs }) = pair.as_ref() else { return };
        if let Some(fs) = Fs::new(fs) {
            drop(Handle { fs, fd });
        }
        heap::free(pair.cast());
    }
}

/// The path a C pointer points to; None for NULL.
///
/// # Safety
/// NULL or a C string that does not change during `'a`.
pub(crate) unsafe fn path<'a>(p: *const c_char) -> Option<&'a CStr> {
    // SAFETY: as the caller promises.
    (!p.is_null()).then(|| unsafe { CStr::from_ptr(p) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_parse_back() {
        let own = std::process::id();
        for path in ["f", "d/f", "/f..1-123456789"] {
            let name = temporary(&CString::new(path).unwrap());
            assert!(name.to_bytes().starts_with(path.as_bytes()));
            assert_eq!(writer(name.to_bytes()), Some(own));
        }
        let long = CString::new(format!("{}/{}", "d".repeat(300), "n".repeat(255))).unwrap();
        let name = temporary(&long).into_bytes();
        assert_eq!(name.iter().rposition(|b| *b == b'/'), Some(300));
        assert_eq!(name.len() - 301, NAME_MAX);
        assert_eq!(writer(&name), Some(own));
    }

    #[test]
    fn other_names_are_not_temporary() {
        for name in
            ["", "f", "..1-123456789", "f..-123456789", "f.1-123456789", "f..1-12345678", "f..1-12345678.", "f..0-123456789"]
        {
            assert_eq!(writer(name.as_bytes()), None, "{name}");
        }
        assert_eq!(writer(b"f..99999999999-123456789"), None);
        assert_eq!(writer(b"f..17-abcdefgh9"), Some(17));
    }
}
