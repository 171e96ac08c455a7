//! Socket files of Unix listeners.

use super::sock::{self, Io, SockAddr};
use core::ffi::c_int;
use std::ffi::OsStr;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{fs, io, process};

/// The file of a listening socket. Removed when the process that created it closes the last descriptor of the socket.
pub(crate) struct SocketFile {
    path: PathBuf,
    file: (u64, u64),
    process: u32,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A child, or another process with a copy of the descriptor, may keep listening.
        if self.process == process::id() && socket_at(&self.path) == Some(self.file) && !is_served(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Device and inode of an existing socket.
fn socket_at(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().filter(|m| m.file_type().is_socket()).map(|m| (m.dev(), m.ino()))
}

/// True if a process appears to be listening there.
fn is_served(path: &Path) -> bool {
    let Some(addr) = SockAddr::unix(path.as_os_str().as_bytes()) else { return false };
    let Ok(fd) = sock::open_unix() else { return true };
    // SAFETY: just opened, and not shared.
    let _fd = unsafe { OwnedFd::from_raw_fd(fd) };
    !matches!(sock::connect_to(fd, &addr), Io::Failed(libc::ECONNREFUSED | libc::ENOENT))
}

/// Opens a listening socket, with permissions set by the umask. Err: the call that failed, and errno.
pub(crate) fn listen(path: &[u8], backlog: c_int) -> Result<(c_int, SocketFile), (&'static str, c_int)> {
    let addr = SockAddr::unix(path).ok_or(("bind", libc::ENAMETOOLONG))?;
    let path = Path::new(OsStr::from_bytes(path));
    let fd = sock::open_unix().map_err(|e| ("socket", e))?;
    let listening = || {
        let bound = match sock::bind(fd, &addr) {
            Err(libc::EADDRINUSE) if remove_stale(path) => sock::bind(fd, &addr),
            other => other,
        };
        bound.map_err(|e| ("bind", e))?;
        let of = |e: io::Error| ("bind", e.raw_os_error().unwrap_or(libc::EIO));
        // The process may change its working directory.
        let path = std::path::absolute(path).map_err(of)?;
        let file = socket_at(&path).ok_or(("bind", libc::ENOENT))?;
        let file = SocketFile { path, file, process: process::id() };
        sock::listen(fd, backlog).map_err(|e| ("listen", e))?;
        Ok((fd, file))
    };
    listening().inspect_err(|_| sock::close(fd))
}

/// Removes the socket file of a process that is gone. False if there is none, or a process is listening.
fn remove_stale(path: &Path) -> bool {
    let Some(before) = socket_at(path) else { return false };
    !is_served(path) && socket_at(path) == Some(before) && fs::remove_file(path).is_ok()
}
