//! Files: of the system, which the library may send without reading them, and in memory, behind the functions of an mg_fs.

use crate::ffi::*;
use crate::message::body;
use core::cell::RefCell;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Lengths of the files that are served; the name of each is its place here.
pub(crate) const SIZES: [usize; 9] = [0, 1, 200, 5_000, 16_383, 16_384, 16_385, 40_000, 100_000];

/// Whose content is that of no request.
pub(crate) const KEY: usize = 3;

static DIR: OnceLock<PathBuf> = OnceLock::new();

/// Real files, in a directory that is there while this lives.
pub(crate) struct Real;

impl Real {
    pub(crate) fn new() -> Real {
        let dir = std::env::temp_dir().join(format!("simulate-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for files");
        for (i, n) in SIZES.iter().enumerate() {
            std::fs::write(dir.join(i.to_string()), body(KEY, 0, *n)).expect("a file");
        }
        DIR.set(dir).expect("once");
        Real
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        _ = DIR.get().map(std::fs::remove_dir_all);
    }
}

pub(crate) fn path(which: usize, real: bool) -> String {
    match DIR.get().filter(|_| real) {
        Some(dir) => dir.join(which.to_string()).to_str().expect("a path").to_string(),
        None => format!("/served/{which}"),
    }
}

thread_local! {
    static UPLOADS: RefCell<BTreeMap<String, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) };
}

/// What uploads have left, by path.
pub(crate) fn take_uploads() -> BTreeMap<String, Vec<u8>> {
    UPLOADS.with(RefCell::take)
}

pub(crate) fn uploaded(path: &str) -> Option<Vec<u8>> {
    UPLOADS.with(|u| u.borrow().get(path).cloned())
}

/// An open file: one that is served, or that is written.
struct Open {
    path: String,
    which: Option<usize>,
    at: usize,
}

unsafe fn name(path: *const c_char) -> String {
    unsafe { CStr::from_ptr(path) }.to_string_lossy().into_owned()
}

fn served(path: &str) -> Option<usize> {
    path.strip_prefix("/served/")?.parse().ok().filter(|n| *n < SIZES.len())
}

unsafe extern "C" fn st(path: *const c_char, size: *mut usize, mtime: *mut c_long) -> c_int {
    let path = unsafe { name(path) };
    let len = served(&path).map(|n| SIZES[n]).or_else(|| UPLOADS.with(|u| u.borrow().get(&path).map(Vec::len)));
    if path == "/up" || path == "/served" {
        return MG_FS_READ as c_int | MG_FS_WRITE as c_int | MG_FS_DIR as c_int;
    }
    let Some(len) = len else { return 0 };
    unsafe {
        if !size.is_null() {
            *size = len;
        }
        if !mtime.is_null() {
            *mtime = 1_700_000_000;
        }
    }
    MG_FS_READ as c_int | MG_FS_WRITE as c_int
}

unsafe extern "C" fn ls(path: *const c_char, f: Option<unsafe extern "C" fn(*const c_char, *mut c_void)>, arg: *mut c_void) {
    let dir = format!("{}/", unsafe { name(path) });
    let names: Vec<String> = UPLOADS.with(|u| u.borrow().keys().filter_map(|k| k.strip_prefix(&dir)).map(String::from).collect());
    for name in names {
        let name = std::ffi::CString::new(name).expect("no NUL");
        unsafe { f.expect("a function")(name.as_ptr(), arg) };
    }
}

unsafe extern "C" fn op(path: *const c_char, flags: c_int) -> *mut c_void {
    let path = unsafe { name(path) };
    let which = served(&path);
    if flags & MG_FS_WRITE as c_int != 0 && which.is_none() {
        UPLOADS.with(|u| _ = u.borrow_mut().insert(path.clone(), Vec::new()));
    } else if which.is_none() && !UPLOADS.with(|u| u.borrow().contains_key(&path)) {
        return core::ptr::null_mut();
    }
    Box::into_raw(Box::new(Open { path, which, at: 0 })).cast()
}

unsafe extern "C" fn cl(fd: *mut c_void) {
    drop(unsafe { Box::from_raw(fd.cast::<Open>()) });
}

unsafe extern "C" fn rd(fd: *mut c_void, buf: *mut c_void, len: usize) -> usize {
    let open = unsafe { &mut *fd.cast::<Open>() };
    let Some(which) = open.which else { return 0 };
    let n = len.min(SIZES[which].saturating_sub(open.at));
    let bytes = body(KEY, open.at, n);
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), buf.cast(), n) };
    open.at += n;
    n
}

unsafe extern "C" fn wr(fd: *mut c_void, buf: *const c_void, len: usize) -> usize {
    let open = unsafe { &mut *fd.cast::<Open>() };
    let bytes = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
    UPLOADS.with(|u| match u.borrow_mut().get_mut(&open.path) {
        Some(file) => {
            file.truncate(open.at);
            file.extend(bytes);
            open.at += len;
            len
        }
        None => 0,
    })
}

unsafe extern "C" fn sk(fd: *mut c_void, offset: usize) -> usize {
    let open = unsafe { &mut *fd.cast::<Open>() };
    open.at = offset;
    offset
}

unsafe extern "C" fn mv(from: *const c_char, to: *const c_char) -> bool {
    let (from, to) = unsafe { (name(from), name(to)) };
    UPLOADS.with(|u| {
        let mut files = u.borrow_mut();
        let file = files.remove(&from);
        file.map(|file| files.insert(to, file)).is_some()
    })
}

unsafe extern "C" fn rm(path: *const c_char) -> bool {
    let path = unsafe { name(path) };
    UPLOADS.with(|u| u.borrow_mut().remove(&path).is_some())
}

unsafe extern "C" fn mkd(_: *const c_char) -> bool {
    true
}

/// For the library, which does not write to it.
pub(crate) fn in_memory() -> *mut mg_fs {
    struct Shared(mg_fs);
    // SAFETY: functions only.
    unsafe impl Sync for Shared {}
    static FS: Shared = Shared(mg_fs {
        st: Some(st),
        ls: Some(ls),
        op: Some(op),
        cl: Some(cl),
        rd: Some(rd),
        wr: Some(wr),
        sk: Some(sk),
        mv: Some(mv),
        rm: Some(rm),
        mkd: Some(mkd),
    });
    (&raw const FS.0).cast_mut()
}
