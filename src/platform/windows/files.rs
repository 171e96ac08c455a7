//! The system's file system: the functions of `mg_fs_posix`, and opening files for clients without leaving a directory. Names are UTF-8.

use super::file_names;
use crate::abi::*;
use crate::ffi_util::bytes::{cstr, slice, slice_mut};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::ManuallyDrop;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use std::ffi::CString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::windows::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::windows::io::{AsRawHandle, FromRawHandle, IntoRawHandle};
use std::path::Path;
use std::time::SystemTime;
use windows_sys::Win32::Foundation::{GENERIC_WRITE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Storage::FileSystem::*;

fn as_path(s: &[u8]) -> Option<&Path> {
    core::str::from_utf8(s).ok().map(Path::new)
}

/// The path a C pointer points to; None for NULL.
unsafe fn path<'a>(p: *const c_char) -> Option<&'a Path> {
    // SAFETY: NULL or a C string, as the caller promises.
    if p.is_null() { None } else { as_path(unsafe { cstr(p) }) }
}

/// Seconds since 1970. The system counts tenths of microseconds since 1601.
fn seconds(time: u64) -> time_t {
    const BETWEEN: i64 = 11_644_473_600;
    (time / 10_000_000) as i64 - BETWEEN
}

fn changed(meta: &Metadata) -> time_t {
    seconds(meta.last_write_time())
}

fn handle(file: File) -> *mut c_void {
    file.into_raw_handle()
}

/// None: the system cannot send from a descriptor.
pub(crate) fn descriptor(_fd: *mut c_void) -> Option<c_int> {
    None
}

fn with_file<T>(fd: *mut c_void, f: impl FnOnce(&mut File) -> T) -> Option<T> {
    if fd.is_null() {
        return None;
    }
    // SAFETY: op opened it, cl has not closed it yet; it is not closed here.
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_handle(fd) });
    Some(f(&mut file))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_posix_st(name: *const c_char, size: *mut usize, mtime: *mut time_t) -> c_int {
    // SAFETY: a C string or NULL, and NULL or writable results.
    unsafe {
        let Some(meta) = path(name).and_then(|p| fs::metadata(p).ok()) else { return 0 };
        if !size.is_null() {
            *size = usize::try_from(meta.len()).unwrap_or(usize::MAX);
        }
        if !mtime.is_null() {
            *mtime = changed(&meta);
        }
        MG_FS_READ | MG_FS_WRITE | if meta.is_dir() { MG_FS_DIR } else { 0 }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_posix_ls(
    name: *const c_char,
    f: Option<unsafe extern "C" fn(*const c_char, *mut c_void)>,
    arg: *mut c_void,
) {
    // SAFETY: a C string or NULL.
    let (Some(path), Some(f)) = (unsafe { path(name) }, f) else { return };
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.map_while(Result::ok) {
        // The functions here cannot open names that are not Unicode.
        if let Some(name) = entry.file_name().into_string().ok().and_then(|name| CString::new(name).ok()) {
            // SAFETY: the application's function and its argument.
            unsafe { f(name.as_ptr(), arg) };
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_posix_op(name: *const c_char, flags: c_int) -> *mut c_void {
    // SAFETY: a C string or NULL.
    let Some(path) = (unsafe { path(name) }) else { return ptr::null_mut() };
    let mut how = OpenOptions::new();
    if flags == MG_FS_READ {
        how.read(true);
    } else if flags & MG_FS_EXCL != 0 {
        how.write(true).create_new(true);
    } else {
        how.read(true).append(true).create(true);
    }
    how.open(path).map_or(ptr::null_mut(), handle)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mgc_posix_cl(fd: *mut c_void) {
    if !fd.is_null() {
        // SAFETY: op opened it, and it is no longer used.
        drop(unsafe { File::from_raw_handle(fd) });
    }
}

/// Repeats `step` on the rest of `len` bytes until it returns 0 or fails. Returns the number of bytes processed.
fn in_steps(len: usize, mut step: impl FnMut(usize) -> std::io::Result<usize>) -> usize {
    let mut done = 0;
    while done < len {
        match step(done) {
            Ok(n @ 1..) => done += n,
            _ => break,
        }
    }
    done
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_posix_rd(fd: *mut c_void, buf: *mut c_void, len: usize) -> usize {
    // SAFETY: buf covers len bytes.
    let buf = unsafe { slice_mut(buf.cast::<u8>(), len) };
    with_file(fd, |file| in_steps(buf.len(), |done| file.read(&mut buf[done..]))).unwrap_or(0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_posix_wr(fd: *mut c_void, buf: *const c_void, len: usize) -> usize {
    // SAFETY: buf covers len bytes.
    let buf = unsafe { slice(buf.cast::<u8>(), len) };
    with_file(fd, |file| in_steps(buf.len(), |done| file.write(&buf[done..]))).unwrap_or(0)
}

#[unsafe(no_mangle)]
extern "C" fn mgc_posix_sk(fd: *mut c_void, offset: usize) -> usize {
    let seek = |file: &mut File| file.seek(SeekFrom::Start(offset as u64)).or_else(|_| file.stream_position());
    with_file(fd, seek).and_then(Result::ok).and_then(|at| usize::try_from(at).ok()).unwrap_or(0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_posix_mv(from: *const c_char, to: *const c_char) -> bool {
    // SAFETY: C strings or NULL.
    matches!(unsafe { (path(from), path(to)) }, (Some(from), Some(to)) if fs::rename(from, to).is_ok())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_posix_rm(name: *const c_char) -> bool {
    // SAFETY: a C string or NULL.
    unsafe { path(name) }.is_some_and(|p| fs::remove_file(p).or_else(|_| fs::remove_dir(p)).is_ok())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_posix_mkd(name: *const c_char) -> bool {
    // SAFETY: a C string or NULL.
    unsafe { path(name) }.is_some_and(|p| fs::create_dir(p).is_ok())
}

/// True if files of `fs` are opened and read by the functions above. Applications modify copies of the table, and the table itself.
///
/// # Safety
/// `fs` points at a file system.
pub(crate) unsafe fn is_native(fs: *const mg_fs) -> bool {
    // SAFETY: as the caller promises.
    let fs = unsafe { *fs };
    let same = |theirs: Option<usize>, ours: *const ()| theirs == Some(ours as usize);
    same(fs.st.map(|f| f as usize), mgc_posix_st as *const ())
        && same(fs.op.map(|f| f as usize), mgc_posix_op as *const ())
        && same(fs.cl.map(|f| f as usize), mgc_posix_cl as *const ())
        && same(fs.rd.map(|f| f as usize), mgc_posix_rd as *const ())
        && same(fs.sk.map(|f| f as usize), mgc_posix_sk as *const ())
}

/// True if `fs` renames with the function above: atomically.
///
/// # Safety
/// As [`is_native`].
pub(crate) unsafe fn renames(fs: *const mg_fs) -> bool {
    // SAFETY: as the caller promises.
    unsafe { (*fs).mv }.map(|f| f as usize) == Some(mgc_posix_mv as *const () as usize)
}

// ---- files that must survive a crash

static SYNC: AtomicBool = AtomicBool::new(true);

/// See `mgx_options.no_fsync`.
pub(crate) fn set_sync(on: bool) {
    SYNC.store(on, Ordering::Relaxed);
}

/// True if everything written to a file is safely stored.
pub(crate) fn complete(fd: *mut c_void) -> bool {
    with_file(fd, |file| !SYNC.load(Ordering::Relaxed) || file.sync_all().is_ok()).unwrap_or(false)
}

/// The system cannot sync a directory; the file system's journal protects the name.
pub(crate) fn complete_name(_path: &CStr) -> bool {
    true
}

/// An open file is being written: see [`sweep`].
pub(crate) fn lock(_fd: *mut c_void) {}

/// Removes temporary files in the directory of `path` that no process has open. `writer` extracts the PID from a name.
pub(crate) fn sweep(path: &CStr, writer: fn(&[u8]) -> Option<u32>) {
    let dir = as_path(path.to_bytes()).and_then(Path::parent).filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.map_while(Result::ok) {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| writer(name.as_bytes()).is_some()) && entry.file_type().is_ok_and(|t| t.is_file()) {
            // Fails while another handle is open.
            let how =
                OpenOptions::new().access_mode(DELETE).share_mode(0).custom_flags(FILE_FLAG_DELETE_ON_CLOSE).open(entry.path());
            drop(how);
        }
    }
}

// ---- for clients: regular files only, and never out of a directory through a symbolic link

/// Result of a path lookup.
pub(crate) enum Found {
    File { fd: *mut c_void, version: Version },
    Directory,
    Nothing,
}

/// A file, and its last change, in tenths of microseconds since 1601.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    size: u64,
    created: u64,
    written: u64,
}

impl Version {
    pub(crate) fn size(self) -> u64 {
        self.size
    }

    pub(crate) fn mtime(self) -> time_t {
        seconds(self.written)
    }

    /// The last change was so long ago that another one now would have another time: some file systems count in steps of two
    /// seconds.
    pub(crate) fn is_settled(self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        time_t::try_from(now).is_ok_and(|now| now - self.mtime() > 3)
    }
}

/// Directories that files requested by clients must be inside of, links resolved. The directories themselves may be reached
/// through links.
#[derive(Clone, Copy)]
pub(crate) struct ConfinedRoot<'a>(pub(crate) &'a [&'a [u8]]);

impl ConfinedRoot<'_> {
    /// True if the path is inside.
    pub(crate) fn holds(self, path: &[u8]) -> bool {
        self.names_plainly(path)
            && as_path(path).and_then(|p| fs::canonicalize(p).ok()).is_some_and(|real| self.holds_real(&real))
    }

    fn holds_real(self, real: &Path) -> bool {
        self.0.iter().filter_map(|root| fs::canonicalize(as_path(root)?).ok()).any(|root| real.starts_with(root))
    }

    /// True if the part of a path below one of the directories is spelled as the directory lists it. Paths below the working
    /// directory do not name it.
    fn names_plainly(self, path: &[u8]) -> bool {
        let below = |root: &[u8]| if root == b"." { Some(path) } else { path.strip_prefix(root) };
        self.0.iter().any(|root| below(root).is_some_and(file_names::are_plain))
    }
}

/// True if clients may use this file name.
pub(crate) fn is_name_for_clients(path: &[u8]) -> bool {
    file_names::are_plain(path)
}

/// Opens a file for a client. `path` has no `..` component.
pub(crate) fn open(path: &CStr, confined: Option<ConfinedRoot<'_>>) -> Found {
    let path = path.to_bytes();
    let file = match confined {
        None => as_path(path).and_then(open_any),
        Some(confined) if confined.names_plainly(path) => open_inside(path, confined),
        Some(_) => None,
    };
    let Some((file, meta)) = file.and_then(|f| f.metadata().ok().map(|m| (f, m))) else { return Found::Nothing };
    if meta.is_dir() {
        return Found::Directory;
    }
    if !meta.is_file() {
        return Found::Nothing;
    }
    Found::File {
        version: Version { size: meta.len(), created: meta.creation_time(), written: meta.last_write_time() },
        fd: handle(file),
    }
}

/// True if there is certainly nothing at this path. To try costs no more here.
pub(crate) fn is_absent(_path: &CStr) -> bool {
    false
}

/// Reads at `offset`.
pub(crate) fn read_at(fd: *mut c_void, offset: u64, buf: &mut [u8]) -> usize {
    with_file(fd, |file| in_steps(buf.len(), |done| file.seek_read(&mut buf[done..], offset + done as u64))).unwrap_or(0)
}

/// An open file is in the way of others here.
pub(crate) fn may_keep(_fd: *mut c_void) -> bool {
    false
}

/// Also opens directories.
fn open_any(path: &Path) -> Option<File> {
    OpenOptions::new().read(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path).ok()
}

fn open_inside(path: &[u8], confined: ConfinedRoot<'_>) -> Option<File> {
    let real = fs::canonicalize(as_path(path)?).ok().filter(|real| confined.holds_real(real))?;
    open_any(&real)
}

/// A directory entry: whether it is a directory, size, modification time. None for a link that leads outside.
pub(crate) fn entry(path: &[u8], confined: ConfinedRoot<'_>) -> Option<(bool, u64, time_t)> {
    let path = as_path(path)?;
    let mut meta = fs::symlink_metadata(path).ok()?;
    if meta.is_symlink() {
        let real = fs::canonicalize(path).ok().filter(|real| confined.holds_real(real))?;
        meta = fs::metadata(real).ok()?;
    }
    Some((meta.is_dir(), meta.len(), changed(&meta)))
}

/// Truncates a file to `size` bytes. The handle may lack the right to, if it was opened for appending, so the file is reopened.
pub(crate) fn truncate(fd: *mut c_void, size: u64) {
    with_file(fd, |file| {
        const SHARE: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
        // SAFETY: the file is open; the result is a handle of its own.
        let again = unsafe { ReOpenFile(file.as_raw_handle(), GENERIC_WRITE, SHARE, 0) };
        if again != INVALID_HANDLE_VALUE {
            // SAFETY: just opened.
            // Fails only where there is no space either: nothing else to do.
            let _ = unsafe { File::from_raw_handle(again) }.set_len(size);
        }
    });
}
