//! Only the files of the application's own `mg_fs` exist; `mg_fs_posix` finds nothing.

use crate::abi::*;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

#[unsafe(no_mangle)]
extern "C" fn mgc_posix_st(_name: *const c_char, _size: *mut usize, _mtime: *mut time_t) -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn mgc_posix_ls(
    _name: *const c_char,
    _f: Option<unsafe extern "C" fn(*const c_char, *mut c_void)>,
    _arg: *mut c_void,
) {
}

#[unsafe(no_mangle)]
extern "C" fn mgc_posix_op(_name: *const c_char, _flags: c_int) -> *mut c_void {
    ptr::null_mut()
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mgc_posix_cl(_fd: *mut c_void) {}

#[unsafe(no_mangle)]
extern "C" fn mgc_posix_rd(_fd: *mut c_void, _buf: *mut c_void, _len: usize) -> usize {
    0
}

#[unsafe(no_mangle)]
extern "C" fn mgc_posix_wr(_fd: *mut c_void, _buf: *const c_void, _len: usize) -> usize {
    0
}

#[unsafe(no_mangle)]
extern "C" fn mgc_posix_sk(_fd: *mut c_void, _offset: usize) -> usize {
    0
}

#[unsafe(no_mangle)]
extern "C" fn mgc_posix_mv(_from: *const c_char, _to: *const c_char) -> bool {
    false
}

#[unsafe(no_mangle)]
extern "C" fn mgc_posix_rm(_name: *const c_char) -> bool {
    false
}

#[unsafe(no_mangle)]
extern "C" fn mgc_posix_mkd(_name: *const c_char) -> bool {
    false
}

/// False: no file system has descriptors.
///
/// # Safety
/// As on other platforms.
pub(crate) unsafe fn is_native(_fs: *const mg_fs) -> bool {
    false
}

/// Whether a rename replaces an existing file: unknown for the application's file system.
///
/// # Safety
/// As on other platforms.
pub(crate) unsafe fn renames(_fs: *const mg_fs) -> bool {
    false
}

// The rest is only called for native file systems.

pub(crate) fn descriptor(_fd: *mut c_void) -> Option<c_int> {
    None
}

pub(crate) fn set_sync(_on: bool) {}

pub(crate) fn complete(_fd: *mut c_void) -> bool {
    true
}

pub(crate) fn complete_name(_path: &CStr) -> bool {
    true
}

pub(crate) fn lock(_fd: *mut c_void) {}

pub(crate) fn sweep(_path: &CStr, _writer: fn(&[u8]) -> Option<u32>) {}

pub(crate) enum Found {
    #[allow(dead_code)] // as on other platforms
    File {
        fd: *mut c_void,
        version: Version,
    },
    #[allow(dead_code)]
    Directory,
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version;

impl Version {
    pub(crate) fn size(self) -> u64 {
        0
    }

    pub(crate) fn mtime(self) -> time_t {
        0
    }

    pub(crate) fn is_settled(self) -> bool {
        false
    }
}

pub(crate) fn is_absent(_path: &CStr) -> bool {
    false
}

pub(crate) fn read_at(_fd: *mut c_void, _offset: u64, _buf: &mut [u8]) -> usize {
    0
}

pub(crate) fn may_keep(_fd: *mut c_void) -> bool {
    false
}

#[derive(Clone, Copy)]
pub(crate) struct ConfinedRoot<'a>(#[allow(dead_code)] pub(crate) &'a [&'a [u8]]);

impl ConfinedRoot<'_> {
    pub(crate) fn holds(self, _path: &[u8]) -> bool {
        true
    }
}

pub(crate) fn is_name_for_clients(_path: &[u8]) -> bool {
    true
}

pub(crate) fn open(_path: &CStr, _confined: Option<ConfinedRoot<'_>>) -> Found {
    Found::Nothing
}

pub(crate) fn entry(_path: &[u8], _confined: ConfinedRoot<'_>) -> Option<(bool, u64, time_t)> {
    None
}

pub(crate) fn truncate(_fd: *mut c_void, _size: u64) {}
