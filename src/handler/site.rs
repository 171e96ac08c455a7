//! Sources of served files: the system's file system or one of the application, and path lookup in it.

use crate::abi::*;
use crate::net::engine::Engine;
use crate::net::kept::Page;
use crate::platform::files::{self, ConfinedRoot};
use crate::sys::fs::{Fs, Handle};
use alloc::rc::Rc;
use core::ffi::CStr;

/// Where files come from.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    pub(crate) fs: Fs,
    /// The system's file system, unmodified by the application: links can be examined and descriptors used.
    pub(super) native: bool,
}

/// An open regular file.
pub(crate) struct Opened {
    pub(crate) file: Handle,
    pub(super) descriptor: Option<i32>,
    pub(crate) size: u64,
    pub(super) mtime: time_t,
}

pub(super) enum Found {
    File(Opened),
    Directory,
    Nothing,
}

impl Site {
    pub(crate) fn new(fs: Fs) -> Site {
        // SAFETY: an Fs points at a file system.
        Site { fs, native: unsafe { files::is_native(fs.as_ptr()) } }
    }

    /// Looks up a path. `confined`: directories that symbolic links must not lead out of.
    pub(super) fn find(self, path: &CStr, confined: Option<ConfinedRoot<'_>>) -> Found {
        if self.native {
            return self.native(files::open(path, confined));
        }
        let Some((flags, size, mtime)) = self.fs.status(path) else { return Found::Nothing };
        if flags & MG_FS_DIR != 0 {
            return Found::Directory;
        }
        match self.fs.open(path, MG_FS_READ) {
            Some(file) => Found::File(Opened { file, descriptor: None, size: size as u64, mtime }),
            None => Found::Nothing,
        }
    }

    /// The same, of files that the manager keeps.
    pub(super) fn find_kept(
        self,
        e: Option<&Engine>,
        path: &CStr,
        confined: Option<ConfinedRoot<'_>>,
    ) -> Result<Rc<Page>, Found> {
        match e.filter(|_| self.native).and_then(|e| Some((e.files.borrow().clone()?, e.now.get()))) {
            Some((cache, now)) => cache.find(now, path, confined).map_err(|found| self.native(found)),
            None => Err(self.find(path, confined)),
        }
    }

    /// What has been found in the system's file system.
    fn native(self, found: files::Found) -> Found {
        match found {
            files::Found::File { fd, version } => Found::File(Opened {
                descriptor: files::descriptor(fd),
                file: Handle { fs: self.fs, fd },
                size: version.size(),
                mtime: version.mtime(),
            }),
            files::Found::Directory => Found::Directory,
            files::Found::Nothing => Found::Nothing,
        }
    }

    pub(crate) fn open(self, path: &CStr, confined: Option<ConfinedRoot<'_>>) -> Option<Opened> {
        match self.find(path, confined) {
            Found::File(opened) => Some(opened),
            _ => None,
        }
    }

    /// Opens a file that is seldom there.
    pub(super) fn open_packed(self, path: &CStr, confined: Option<ConfinedRoot<'_>>) -> Option<Opened> {
        // To ask costs half of what it costs to try.
        if self.native && files::is_absent(path) { None } else { self.open(path, confined) }
    }

    /// Modification time of the file at this path.
    pub(super) fn modified(self, path: &CStr, confined: Option<ConfinedRoot<'_>>) -> Option<time_t> {
        if self.native {
            return self.open_packed(path, confined).map(|file| file.mtime);
        }
        self.fs.status(path).filter(|(flags, ..)| flags & MG_FS_DIR == 0).map(|(_, _, mtime)| mtime)
    }

    /// True if a directory is inside the confined root.
    pub(super) fn holds(self, path: &[u8], confined: ConfinedRoot<'_>) -> bool {
        !self.native || confined.holds(path)
    }

    /// Size (None for a directory) and modification time of an entry. None if it is gone, or a link that leads outside.
    pub(super) fn entry(self, path: &CStr, confined: ConfinedRoot<'_>) -> Option<(Option<u64>, time_t)> {
        if self.native {
            let (dir, size, mtime) = files::entry(path.to_bytes(), confined)?;
            return Some(((!dir).then_some(size), mtime));
        }
        let (flags, size, mtime) = self.fs.status(path)?;
        Some(((flags & MG_FS_DIR == 0).then_some(size as u64), mtime))
    }
}
