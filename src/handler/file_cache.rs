//! Files that were served lately, ready to be sent again. See `mgx_mgr_file_cache`.
//!
//! An entry is used for some time without a look at the file system. Then its file is opened again, as if there were no cache:
//! permissions and links count that are there now, so that an entry never outlives what a client may have. If it is the same
//! version of the same file, the entry stays.

use crate::memory::prelude::*;
use crate::memory::{self, Map};
use crate::net::kept::{About, Content, FileCache, KeptFile, OpenFile, Page};
use crate::platform::files::{self, ConfinedRoot, Found, Version};
use alloc::ffi::CString;
use alloc::rc::Rc;
use core::cell::RefCell;
use core::ffi::{CStr, c_void};

/// The content of files up to this size is kept in memory; others are kept open.
const SMALL: u64 = 16 * 1024;

pub(crate) struct Cache {
    revalidate_ms: u64,
    entries: RefCell<Recent<Entry>>,
}

struct Entry {
    page: Rc<Page>,
    plain: Version,
    packed: Option<Version>,
    checked_at: u64,
    /// A change so soon after another may leave no trace in the times of a file: they count only if they had been old enough.
    settled: bool,
}

impl Cache {
    pub(crate) fn new(entries: usize, revalidate_ms: u64) -> Cache {
        Cache { revalidate_ms, entries: RefCell::new(Recent::new(entries)) }
    }
}

impl FileCache for Cache {
    fn find(&self, now: u64, path: &CStr, confined: Option<ConfinedRoot<'_>>) -> Result<Rc<Page>, Found> {
        // Nothing here calls the application.
        let entries = &mut *self.entries.borrow_mut();
        let slot = entries.find(|key| {
            // What is inside one directory may be outside another. No path contains NUL.
            let mut roots = confined.iter().flat_map(|confined| confined.0);
            roots.all(|root| memory::append(key, root) && memory::append(key, b"\0")) && memory::append(key, path.to_bytes())
        });
        if let Some(entry) = slot.and_then(|slot| entries.get(slot)) {
            // A clock that was turned back is no reason to trust an entry for longer.
            if now.wrapping_sub(entry.checked_at) < self.revalidate_ms {
                return Ok(entry.page.clone());
            }
        }
        let found = files::open(path, confined);
        let Found::File { fd, version, .. } = found else {
            entries.remove(slot);
            return Err(found);
        };
        let beside = packed(path, confined, version);
        let packed = beside.as_ref().map(|(_, version)| *version);
        if let Some(entry) = slot.and_then(|slot| entries.get(slot)) {
            if entry.settled && (entry.plain, entry.packed) == (version, packed) {
                entry.checked_at = now;
                files::mgc_posix_cl(fd);
                return Ok(entry.page.clone());
            }
        }
        entries.remove(slot);
        let settled = version.is_settled() && packed.is_none_or(Version::is_settled);
        let Some(page) = page(fd, version, beside).map(Rc::new) else { return Err(found) };
        entries.add(Entry { page: page.clone(), plain: version, packed, checked_at: now, settled });
        Ok(page)
    }
}

/// The compressed file beside the one at `path`, unless it is older.
fn packed(path: &CStr, confined: Option<ConfinedRoot<'_>>, plain: Version) -> Option<(OpenFile, Version)> {
    let path = CString::new(memory::joined(&[path.to_bytes(), b".gz"])?).ok()?;
    match files::open(&path, confined) {
        Found::File { fd, version, .. } => Some((OpenFile(fd), version)).filter(|_| version.mtime() >= plain.mtime()),
        _ => None,
    }
}

/// What is kept of an open file, which is closed if it is not needed any more. None, and the file stays open: nothing is kept.
fn page(fd: *mut c_void, version: Version, packed: Option<(OpenFile, Version)>) -> Option<Page> {
    let read = |fd, version: Version| if version.size() > SMALL { Some(None) } else { content(fd, version.size()).map(Some) };
    let plain_bytes = read(fd, version)?;
    let packed = match packed {
        Some((file, version)) => Some((read(file.0, version)?, file, version)),
        None => None,
    };
    let scarce = |fd, bytes: &Option<_>| bytes.is_none() && !files::may_keep(fd);
    if scarce(fd, &plain_bytes) || packed.as_ref().is_some_and(|(bytes, file, _)| scarce(file.0, bytes)) {
        return None;
    }
    let varies = packed.is_some();
    let kept = |bytes: Option<Vec<u8>>, file, version: Version| {
        let content = bytes.map_or_else(|| Content::File(Rc::new(file)), Content::Bytes);
        KeptFile { content, about: About::new(version.size(), version.mtime(), varies) }
    };
    Some(Page {
        plain: kept(plain_bytes, OpenFile(fd), version),
        packed: packed.map(|(bytes, file, version)| kept(bytes, file, version)),
    })
}

/// The first `size` bytes of a file. None when there are fewer, or out of memory.
fn content(fd: *mut c_void, size: u64) -> Option<Vec<u8>> {
    let mut bytes = memory::zeroed(usize::try_from(size).ok()?)?;
    let mut len = 0;
    while len < bytes.len() {
        match files::read_at(fd, len as u64, &mut bytes[len..]) {
            0 => return None,
            n => len += n,
        }
    }
    Some(bytes)
}

/// Values by key; the one that was not used for the longest time makes room for a new one.
struct Recent<T> {
    most: usize,
    index: Map<Vec<u8>, usize>,
    slots: Vec<(Vec<u8>, T)>,
    /// When each was used last, counted in uses. Apart from them: it is searched.
    used: Vec<u64>,
    uses: u64,
    /// The key that was looked for last.
    key: Vec<u8>,
}

impl<T> Recent<T> {
    fn new(most: usize) -> Recent<T> {
        Recent { most, index: Map::new(), slots: Vec::new(), used: Vec::new(), uses: 0, key: Vec::new() }
    }

    /// Looks for the key that `write` appends; false: it could not.
    fn find(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<usize> {
        self.key.clear();
        if !write(&mut self.key) {
            self.key.clear();
            return None;
        }
        let slot = *self.index.get(&self.key)?;
        self.uses += 1;
        self.used[slot] = self.uses;
        Some(slot)
    }

    fn get(&mut self, slot: usize) -> Option<&mut T> {
        self.slots.get_mut(slot).map(|(_, value)| value)
    }

    fn remove(&mut self, slot: Option<usize>) {
        let Some(slot) = slot else { return };
        self.used.swap_remove(slot);
        let (key, _) = self.slots.swap_remove(slot);
        self.index.remove(&key);
        if let Some(at) = self.slots.get(slot).and_then(|(moved, _)| self.index.get_mut(moved)) {
            *at = slot;
        }
    }

    /// Adds a value for the key that was not found. Without effect when out of memory.
    fn add(&mut self, value: T) {
        if self.slots.len() >= self.most {
            self.remove((0..self.used.len()).min_by_key(|&slot| self.used[slot]));
        }
        let keys = (memory::copy(&self.key), memory::copy(&self.key));
        let room = memory::grow(&mut self.slots, 1) && memory::grow(&mut self.used, 1) && memory::grow_map(&mut self.index, 1);
        if let ((Some(key), Some(same)), true) = (keys, room && !self.key.is_empty()) {
            self.index.insert(key, self.slots.len());
            self.slots.push((same, value));
            self.uses += 1;
            self.used.push(self.uses);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(recent: &mut Recent<u32>, key: &[u8]) -> Option<u32> {
        let slot = recent.find(|to| memory::append(to, key));
        slot.and_then(|slot| recent.get(slot).copied())
    }

    #[test]
    fn a_key_that_could_not_be_written_is_nobodys() {
        let mut recent = Recent::new(2);
        assert_eq!(recent.find(|to| !memory::append(to, b"a")), None);
        recent.add(1);
        assert_eq!(recent.slots.len(), 0);
        assert_eq!(find(&mut recent, b"a"), None);
        recent.add(2);
        assert_eq!(find(&mut recent, b"a"), Some(2));
    }

    proptest! {
        #[test]
        fn like_a_list_in_the_order_of_use(most in 1..6usize, steps in prop::collection::vec((0..8u8, any::<bool>()), 0..200)) {
            let (mut recent, mut list) = (Recent::new(most), Vec::<(u8, u32)>::new());
            for (n, (key, removes)) in (0..).zip(steps) {
                let slot = recent.find(|to| memory::append(to, &[key]));
                let at = list.iter().position(|(k, _)| *k == key);
                prop_assert_eq!(slot.and_then(|slot| recent.get(slot).copied()), at.map(|at| list[at].1));
                match at {
                    Some(at) if removes => {
                        recent.remove(slot);
                        list.remove(at);
                    }
                    Some(at) => {
                        let used = list.remove(at);
                        list.push(used);
                    }
                    None => {
                        recent.add(n);
                        list.push((key, n));
                        if list.len() > most {
                            list.remove(0);
                        }
                    }
                }
                prop_assert_eq!(recent.slots.len(), list.len());
            }
        }
    }
}
