//! The system's file system: the functions of `mg_fs_posix`, and opening files for clients without leaving a directory.

use crate::abi::*;
use crate::ffi_util::bytes::{cstr, slice, slice_mut};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::ManuallyDrop;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use std::ffi::{CString, OsStr};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

fn as_path(s: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(s))
}

/// The path a C pointer points to; None for NULL.
unsafe fn path<'a>(p: *const c_char) -> Option<&'a Path> {
    // SAFETY: NULL or a C string, as the caller promises.
    (!p.is_null()).then(|| as_path(unsafe { cstr(p) }))
}

// An open file is its descriptor plus one, in a pointer: no memory, and never NULL.

fn handle(file: File) -> *mut c_void {
    ptr::without_provenance_mut(file.into_raw_fd() as usize + 1)
}

/// The descriptor of a handle of this file system.
pub(crate) fn descriptor(fd: *mut c_void) -> Option<RawFd> {
    RawFd::try_from(fd.addr().checked_sub(1)?).ok()
}

fn with_file<T>(fd: *mut c_void, f: impl FnOnce(&mut File) -> T) -> Option<T> {
    let fd = descriptor(fd)?;
    // SAFETY: op opened the descriptor, cl has not closed it yet; it is not closed here.
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
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
            *mtime = meta.mtime() as time_t;
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
        // A file name has no NUL inside.
        if let Ok(name) = CString::new(entry.file_name().as_bytes()) {
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
        // Opening a FIFO does not block until another process opens its other end.
        how.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    } else if flags & MG_FS_EXCL != 0 {
        how.write(true).create_new(true);
    } else {
        how.read(true).append(true).create(true);
    }
    match how.open(path) {
        Ok(file) if flags != MG_FS_READ || has_bytes(&file) => handle(file),
        _ => ptr::null_mut(),
    }
}

/// True if reading returns the content of a file: not for directories, pipes and sockets. Devices read as usual.
fn has_bytes(file: &File) -> bool {
    let Ok(kind) = file.metadata().map(|m| m.file_type()) else { return false };
    if kind.is_char_device() {
        // SAFETY: no pointers; the descriptor is open.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_RDONLY) };
    }
    !kind.is_dir() && !kind.is_fifo() && !kind.is_socket()
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mgc_posix_cl(fd: *mut c_void) {
    if let Some(fd) = descriptor(fd) {
        // SAFETY: op opened the descriptor and nobody uses it any more.
        drop(unsafe { File::from_raw_fd(fd) });
    }
}

/// Repeats `step` on the rest of `len` bytes until it returns 0 or fails. Returns the number of bytes processed.
fn in_steps(len: usize, mut step: impl FnMut(usize) -> std::io::Result<usize>) -> usize {
    let mut done = 0;
    while done < len {
        match step(done) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
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
    unsafe { path(name) }.is_some_and(|p| fs::DirBuilder::new().mode(0o775).create(p).is_ok())
}

/// True if files of `fs` are opened and read by the functions above, so that their descriptors may be used directly. Applications
/// modify copies of the table, and the table itself.
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

/// True if everything written to a file is safely stored. Errors may be reported as late as close.
pub(crate) fn complete(fd: *mut c_void) -> bool {
    // SAFETY: no pointers; the descriptor is open, and its copy is used by nobody else.
    let closed = |file: &mut File| unsafe {
        let copy = libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0);
        copy < 0 || libc::close(copy) == 0 || errno() == libc::EINTR
    };
    with_file(fd, |file| is_synced(file) && closed(file)).unwrap_or(false)
}

/// Syncs a file. Some file systems have nothing to sync.
fn is_synced(file: &File) -> bool {
    if !SYNC.load(Ordering::Relaxed) {
        return true;
    }
    match file.sync_all() {
        Ok(()) => true,
        Err(e) => matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOTSUP | libc::EROFS)),
    }
}

fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The directory of a path.
fn parent(path: &CStr) -> &Path {
    match as_path(path.to_bytes()).parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Syncs the new name of a file, as far as its directory can be opened and its file system supports it.
pub(crate) fn complete_name(path: &CStr) -> bool {
    if !SYNC.load(Ordering::Relaxed) {
        return true;
    }
    let dir = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(parent(path));
    dir.map_or(true, |dir| is_synced(&dir))
}

/// Marks a file as being written, also for processes in other PID namespaces.
pub(crate) fn lock(fd: *mut c_void) {
    // SAFETY: no pointers; the descriptor is open.
    with_file(fd, |file| unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) });
}

/// Removes temporary files in the directory of `path` whose writer is gone. `writer` extracts the PID from a name.
pub(crate) fn sweep(path: &CStr, writer: fn(&[u8]) -> Option<u32>) {
    let dir = parent(path);
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.map_while(Result::ok) {
        let Some(pid) = writer(entry.file_name().as_bytes()) else { continue };
        let path = dir.join(entry.file_name());
        if is_abandoned(&path, pid) {
            // Another process may have removed it first.
            let _ = fs::remove_file(&path);
        }
    }
}

/// True if no process is writing this temporary file. The PID alone does not tell: it may have been reused, as in containers, where a
/// server always has the same one.
fn is_abandoned(path: &Path, pid: u32) -> bool {
    // SAFETY: no pointers; signal 0 only checks for the process.
    let alive = i32::try_from(pid).is_ok_and(|pid| unsafe { libc::kill(pid, 0) } == 0 || errno() != libc::ESRCH);
    let own = pid == std::process::id();
    // SAFETY: no conditions.
    let user = unsafe { libc::geteuid() };
    if alive && !own || !fs::symlink_metadata(path).is_ok_and(|m| m.is_file() && m.uid() == user) {
        return false;
    }
    let Ok(file) = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | OPEN_FLAGS).open(path) else { return false };
    // SAFETY: no pointers; the descriptor is open.
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => true,
        // Not all file systems support locks.
        _ => errno() != libc::EWOULDBLOCK && !own,
    }
}

// ---- for clients: regular files only, and never out of a directory through a symbolic link

/// Result of a path lookup.
pub(crate) enum Found {
    File { fd: *mut c_void, version: Version },
    Directory,
    Nothing,
}

/// A file, and its last change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    size: u64,
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    fn of(meta: &Metadata) -> Version {
        Version {
            size: meta.len(),
            device: meta.dev(),
            inode: meta.ino(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    pub(crate) fn size(self) -> u64 {
        self.size
    }

    pub(crate) fn mtime(self) -> time_t {
        self.modified.0 as time_t
    }

    /// The last change was so long ago that another one now would have another time: some file systems count in steps of two
    /// seconds.
    pub(crate) fn is_settled(self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        i64::try_from(now).is_ok_and(|now| now - self.changed.0 > 3)
    }
}

/// Directories that files requested by clients must be inside of, links resolved. The directories themselves may be reached
/// through links.
#[derive(Clone, Copy)]
pub(crate) struct ConfinedRoot<'a>(pub(crate) &'a [&'a [u8]]);

impl ConfinedRoot<'_> {
    /// True if the path is inside.
    pub(crate) fn holds(self, path: &[u8]) -> bool {
        fs::canonicalize(as_path(path)).is_ok_and(|real| self.holds_real(&real))
    }

    fn holds_real(self, real: &Path) -> bool {
        self.0.iter().any(|root| fs::canonicalize(as_path(root)).is_ok_and(|root| real.starts_with(root)))
    }
}

/// True if clients may use this file name. On Unix no name is an alias of another.
pub(crate) fn is_name_for_clients(_path: &[u8]) -> bool {
    true
}

/// Opens a file for a client. `path` has no `..` component.
pub(crate) fn open(path: &CStr, confined: Option<ConfinedRoot<'_>>) -> Found {
    let file = match confined {
        None => open_plain(path),
        Some(confined) => open_inside(path, confined),
    };
    let Some((file, meta)) = file.and_then(|f| f.metadata().ok().map(|m| (f, m))) else { return Found::Nothing };
    if meta.is_dir() {
        return Found::Directory;
    }
    if !meta.is_file() {
        return Found::Nothing;
    }
    Found::File { version: Version::of(&meta), fd: handle(file) }
}

/// True if there is nothing at this path, not even a link.
pub(crate) fn is_absent(path: &CStr) -> bool {
    fs::symlink_metadata(as_path(path.to_bytes())).is_err_and(|e| e.kind() == ErrorKind::NotFound)
}

/// Reads at `offset`. The position of the file does not change.
pub(crate) fn read_at(fd: *mut c_void, offset: u64, buf: &mut [u8]) -> usize {
    with_file(fd, |file| in_steps(buf.len(), |done| file.read_at(&mut buf[done..], offset + done as u64))).unwrap_or(0)
}

/// False if a descriptor should not stay open, because connections and other files may need it: half of the process's are in use.
#[allow(clippy::unnecessary_cast)] // rlim_t is signed on FreeBSD
pub(crate) fn may_keep(fd: *mut c_void) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the result is ours.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0;
    // The kernel gives out the lowest number that is free.
    known && descriptor(fd).is_some_and(|fd| fd as u64 <= limit.rlim_cur as u64 / 2)
}

const OPEN_FLAGS: c_int = libc::O_NONBLOCK | libc::O_NOCTTY;

fn open_plain(path: &CStr) -> Option<File> {
    OpenOptions::new().read(true).custom_flags(OPEN_FLAGS).open(as_path(path.to_bytes())).ok()
}

/// Paths without links are opened directly. Others are resolved and checked first; then the resolved path is opened.
fn open_inside(path: &CStr, confined: ConfinedRoot<'_>) -> Option<File> {
    match open_without_links(path) {
        Ok(file) => return Some(file),
        Err(libc::ENOENT | libc::ENOTDIR | libc::EACCES | libc::ENAMETOOLONG) => return None,
        Err(_) => {}
    }
    let real = fs::canonicalize(as_path(path.to_bytes())).ok().filter(|real| confined.holds_real(real))?;
    let real = CString::new(real.as_os_str().as_bytes()).ok()?;
    match open_without_links(&real) {
        Ok(file) => Some(file),
        // The kernel lacks openat2, or it is not used.
        Err(libc::ENOSYS | libc::EPERM) => open_plain(&real),
        Err(_) => None,
    }
}

/// Err: errno; ELOOP if the path contains a link.
#[cfg(target_os = "linux")]
fn open_without_links(path: &CStr) -> Result<File, c_int> {
    // SAFETY: all-zero is valid; the struct and the path are readable for the length of the call.
    let fd = unsafe {
        let mut how: libc::open_how = core::mem::zeroed();
        how.flags = (libc::O_RDONLY | libc::O_CLOEXEC | OPEN_FLAGS) as u64;
        how.resolve = libc::RESOLVE_NO_SYMLINKS;
        libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, path.as_ptr(), &raw const how, size_of::<libc::open_how>())
    };
    match RawFd::try_from(fd) {
        // SAFETY: just opened.
        Ok(fd) if fd >= 0 => Ok(unsafe { File::from_raw_fd(fd) }),
        _ => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_without_links(_path: &CStr) -> Result<File, c_int> {
    Err(libc::ENOSYS)
}

/// A directory entry: whether it is a directory, size, modification time. None for a link that leads outside.
pub(crate) fn entry(path: &[u8], confined: ConfinedRoot<'_>) -> Option<(bool, u64, time_t)> {
    let mut meta = fs::symlink_metadata(as_path(path)).ok()?;
    if meta.is_symlink() {
        let real = fs::canonicalize(as_path(path)).ok().filter(|real| confined.holds_real(real))?;
        meta = fs::metadata(real).ok()?;
    }
    Some((meta.is_dir(), meta.len(), meta.mtime() as time_t))
}

/// Truncates a file to `size` bytes.
pub(crate) fn truncate(fd: *mut c_void, size: u64) {
    // Fails only where there is no space either: nothing else to do.
    with_file(fd, |file| file.set_len(size).ok());
}
