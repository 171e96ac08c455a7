//! Local name resolution: the text of `/etc/hosts` and `/etc/resolv.conf`, read again when they have changed.

use core::cell::RefCell;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

const HOSTS: &str = "/etc/hosts";
const CONF: &str = "/etc/resolv.conf";
/// Maximum number of bytes read from a file; the rest is ignored.
const SIZE: u64 = 1 << 20;

/// Identifies a version of a file: device, inode, size and time of change. None: the file does not exist.
type Version = Option<(u64, u64, u64, i64, i64)>;

#[derive(Default)]
struct Cached(RefCell<(Version, Rc<[u8]>)>);

impl Cached {
    fn get(&self, path: &str) -> Rc<[u8]> {
        let is_file = fs::metadata(path).ok().filter(|m| m.is_file());
        let now = is_file.map(|m| (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec()));
        let mut kept = self.0.borrow_mut();
        if kept.0 != now {
            let mut text = Vec::new();
            // A file that cannot be read counts as empty.
            let _ = File::open(path).and_then(|file| file.take(SIZE).read_to_end(&mut text));
            *kept = (now, text.into());
        }
        kept.1.clone()
    }
}

#[derive(Default)]
pub(crate) struct Names {
    hosts: Cached,
    conf: Cached,
}

impl Names {
    pub(crate) fn hosts(&self) -> Rc<[u8]> {
        self.hosts.get(HOSTS)
    }

    pub(crate) fn conf(&self) -> Rc<[u8]> {
        self.conf.get(CONF)
    }
}
