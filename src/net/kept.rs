//! Files that a manager keeps (`mgx_mgr_file_cache`), as those who send them see them. The cache itself is `handler/file_cache.rs`.

use crate::abi::time_t;
use crate::memory::prelude::*;
use crate::platform::files::{self, ConfinedRoot, Found};
use crate::proto::date;
use crate::proto::num::decimal;
use crate::sys::fs::{Fs, Handle};
use crate::sys::log::Line;
use alloc::rc::Rc;
use core::ffi::{CStr, c_void};

/// An open file of the system, closed with its last user.
pub(crate) struct OpenFile(pub(crate) *mut c_void);

impl Drop for OpenFile {
    fn drop(&mut self) {
        files::mgc_posix_cl(self.0);
    }
}

/// A file that is being sent: opened for that, or shared with the cache and other connections.
pub(crate) enum Source {
    Own(Handle),
    Shared(Rc<OpenFile>),
}

impl Source {
    /// For an `mg_fd`.
    pub(super) fn parts(&self) -> (*mut c_void, Fs) {
        match self {
            Source::Own(file) => (file.fd, file.fs),
            Source::Shared(file) => (file.0, Fs::posix()),
        }
    }
}

pub(crate) enum Content {
    Bytes(Vec<u8>),
    File(Rc<OpenFile>),
}

pub(crate) struct KeptFile {
    pub(crate) content: Content,
    pub(crate) about: About,
}

/// What a head says of a file, whatever is sent of it.
pub(crate) struct About {
    pub(crate) size: u64,
    /// File systems in memory may not know it.
    pub(crate) modified: Option<i64>,
    /// Etag, Last-Modified and Vary.
    lines: Line<128>,
    tag_end: usize,
}

impl About {
    #[allow(clippy::useless_conversion)] // time_t is 32 bits wide on some targets
    pub(crate) fn new(size: u64, mtime: time_t, varies: bool) -> About {
        let mtime = i64::from(mtime);
        let mut lines = Line::new();
        lines.push(TAG);
        lines.push(if mtime < 0 { b"\"-" } else { b"\"" });
        lines.push(decimal(&mut [0; 20], mtime.unsigned_abs()));
        lines.push(b".");
        lines.push(decimal(&mut [0; 20], size));
        lines.push(b"\"");
        let tag_end = lines.as_bytes().len();
        lines.push(b"\r\n");
        let modified = Some(mtime).filter(|t| *t > 0);
        if let Some(date) = modified.and_then(date::http) {
            lines.push(b"Last-Modified: ");
            lines.push(&date);
            lines.push(b"\r\n");
        }
        if varies {
            lines.push(b"Vary: Accept-Encoding\r\n");
        }
        About { size, modified, lines, tag_end }
    }

    pub(crate) fn etag(&self) -> &[u8] {
        &self.lines.as_bytes()[TAG.len()..self.tag_end]
    }

    pub(crate) fn lines(&self) -> &[u8] {
        self.lines.as_bytes()
    }
}

const TAG: &[u8] = b"Etag: ";

/// A file, and the compressed one beside it.
pub(crate) struct Page {
    pub(crate) plain: KeptFile,
    pub(crate) packed: Option<KeptFile>,
}

/// A trait, so that programs without a cache do not contain it.
pub(crate) trait FileCache {
    /// The file at `path`, which is one of the system's. Err: it cannot be kept; what has been found instead.
    fn find(&self, now: u64, path: &CStr, confined: Option<ConfinedRoot<'_>>) -> Result<Rc<Page>, Found>;
}
