//! Server-side includes.

use super::reply;
use super::site::{Opened, Site};
use crate::memory;
use crate::memory::prelude::*;
use crate::net::event::error;
use crate::net::handle::ConnRef;
use crate::platform::files::ConfinedRoot;
use crate::proto::path::is_sane;
use crate::proto::ssi::{Piece, pieces};
use crate::proto::webroot;
use crate::sys::fs::Fs;
use crate::sys::log::log_error;
use alloc::ffi::CString;
use core::ffi::CStr;

/// Maximum nesting depth of includes.
const MAX_DEPTH: usize = 5;
/// Maximum number of includes per page: a page that includes itself several times would otherwise never end.
const MAX_INCLUDES: usize = 1000;
/// Maximum size of a page with its includes.
const MAX_SIZE: usize = 16 << 20;

const HEADERS: &[u8] = b"Content-Type: text/html; charset=utf-8\r\n";

/// Responds with the expanded page in `file`. `list` is the `root_dir` of the application.
pub(crate) fn serve(c: ConnRef, site: Site, list: &[u8], path: &[u8], file: Opened, confined: ConfinedRoot<'_>, head_only: bool) {
    let Some(page) = read(file) else {
        if !c.is_closed() {
            reply::text(c, 500, b"", b"Page too large\n", head_only);
        }
        return;
    };
    let mut expansion = Expansion { site, list, out: Vec::new(), includes: 0, omitted: false, failed: false };
    expansion.expand(path, &page, confined, 0);
    if c.is_closed() {
        // The application's file system closed it.
        return;
    }
    if expansion.failed {
        return error(c, format_args!("OOM"));
    }
    if expansion.omitted {
        log_error!("{} page too large, some includes omitted", c.id());
    }
    if !c.is_closed() {
        reply::text(c, 200, HEADERS, &expansion.out, head_only);
    }
}

/// See `mg_http_serve_ssi`. Includes come from the directory of the page, or from `root`.
pub(crate) fn serve_path(c: ConnRef, root: &[u8], path: &CStr) {
    let site = Site::new(Fs::posix());
    match site.open(path, None) {
        Some(file) => {
            let path = path.to_bytes();
            let dir = directory(path);
            let dirs = [if dir.is_empty() { b"." } else { dir }, root];
            serve(c, site, root, path, file, ConfinedRoot(&dirs), false);
        }
        None if c.is_closed() => {}
        None => reply::text(c, 404, b"", b"Not found\n", false),
    }
}

fn read(file: Opened) -> Option<Vec<u8>> {
    let size = usize::try_from(file.size).ok().filter(|n| *n <= MAX_SIZE)?;
    let mut page = memory::zeroed(size)?;
    let mut len = 0;
    while len < size {
        match file.file.read(&mut page[len..]) {
            0 => break,
            n => len += n,
        }
    }
    page.truncate(len);
    Some(page)
}

/// Everything before the last path component, including its slash.
fn directory(path: &[u8]) -> &[u8] {
    &path[..memchr::memrchr(b'/', path).map_or(0, |i| i + 1)]
}

struct Expansion<'a> {
    site: Site,
    list: &'a [u8],
    out: Vec<u8>,
    includes: usize,
    /// A file was left out, since the page has reached a limit.
    omitted: bool,
    /// Memory ran out.
    failed: bool,
}

impl Expansion<'_> {
    fn expand(&mut self, path: &[u8], page: &[u8], confined: ConfinedRoot<'_>, depth: usize) {
        for piece in pieces(page) {
            match piece {
                // An incomplete page is an error: see `serve`.
                Piece::Text(text) => self.failed |= !memory::append(&mut self.out, text),
                Piece::File(name) => self.include(&[directory(path), name].concat(), confined, depth),
                Piece::Virtual(name) => {
                    let slash: &[u8] = if name.starts_with(b"/") { b"" } else { b"/" };
                    if let Ok(m) = webroot::map_plain(self.list, &[slash, name].concat()) {
                        self.include(&m.path, ConfinedRoot(&[m.root]), depth);
                    }
                }
            }
        }
    }

    /// Appends a file; omits it if it cannot be included.
    fn include(&mut self, path: &[u8], confined: ConfinedRoot<'_>, depth: usize) {
        self.includes += 1;
        self.omitted |= self.includes > MAX_INCLUDES;
        if depth >= MAX_DEPTH || self.includes > MAX_INCLUDES || !is_sane(path) {
            return;
        }
        let Some(file) = CString::new(path).ok().and_then(|p| self.site.open(&p, Some(confined))) else { return };
        if file.size > MAX_SIZE.saturating_sub(self.out.len()) as u64 {
            self.omitted = true;
            return;
        }
        match read(file) {
            Some(page) => self.expand(path, &page, confined, depth + 1),
            None => self.failed = true,
        }
    }
}
