//! Files that a manager keeps (`mgx_mgr_file_cache`), as those who send them see them. The cache itself is `handler/file_cache.rs`.

use crate::abi::time_t;
use crate::memory;
use crate::memory::prelude::*;
use crate::platform::files::{self, ConfinedRoot, Found};
use crate::proto::date;
use crate::sys::fs::{Fs, Handle};
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
    pub(crate) etag: String,
    /// File systems in memory may not know it.
    pub(crate) modified: Option<i64>,
    /// Etag, Last-Modified and Vary.
    pub(crate) lines: Vec<u8>,
}

impl About {
    #[allow(clippy::useless_conversion)] // time_t is 32 bits wide on some targets
    pub(crate) fn new(size: u64, mtime: time_t, varies: bool) -> About {
        let (etag, modified) = (etag(size, mtime), Some(i64::from(mtime)).filter(|t| *t > 0));
        let mut lines = Vec::with_capacity(128);
        for part in ["Etag: ", &etag, "\r\n"] {
            lines.extend_from_slice(part.as_bytes());
        }
        if let Some(date) = modified.and_then(date::http) {
            memory::append_text(&mut lines, format_args!("Last-Modified: {date}\r\n"));
        }
        if varies {
            lines.extend_from_slice(b"Vary: Accept-Encoding\r\n");
        }
        About { size, etag, modified, lines }
    }
}

/// The ETag of a file.
pub(crate) fn etag(size: u64, mtime: time_t) -> String {
    format!("\"{mtime}.{size}\"")
}

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
