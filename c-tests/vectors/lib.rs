//! The library under test, loaded at run time so that calls go through its exported symbols, and the vector files.

use libloading::{Library, Symbol};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use std::{path::PathBuf, sync::LazyLock};

#[path = "../run/linked.rs"]
mod linked;

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let path = linked::shared_dir().join("libmongoose.so");
    // SAFETY: our own library; it has no initialisers. mg_log_level is an int.
    unsafe {
        let library = Library::new(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // Nothing is logged but what a test asks for: another one may be recording.
        **library.get::<*mut i32>(b"mg_log_level").unwrap() = 0;
        library
    }
});

/// The exported function `name`; `F` is its C type.
pub fn function<F>(name: &str) -> Symbol<'static, F> {
    // SAFETY: F is the prototype of name in include/mongoose.h.
    unsafe { LIBRARY.get(name.as_bytes()) }.unwrap_or_else(|e| panic!("{name}: {e}"))
}

pub fn load(file: &str) -> Value {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "c-tests/vectors", file].iter().collect();
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

/// One reported result for a list of cases: `check` returns what is wrong with a case, if anything.
pub fn table(
    trials: &mut Vec<Trial>,
    file: &'static str,
    list: &'static str,
    check: impl Fn(&Value) -> Result<(), String> + Send + 'static,
) {
    let Value::Array(all) = load(file)[list].take() else { panic!("{file}: no list {list}") };
    cases(trials, format!("{}::{list}", file.trim_end_matches(".json")), all, check);
}

/// The cases of one kind in a list.
pub fn of_kind(file: &str, list: &str, kind: &str) -> Vec<Value> {
    load(file)[list].as_array().unwrap().iter().filter(|c| c["kind"] == kind).cloned().collect()
}

/// The same for some cases of a list.
pub fn cases(
    trials: &mut Vec<Trial>,
    name: String,
    cases: Vec<Value>,
    check: impl Fn(&Value) -> Result<(), String> + Send + 'static,
) {
    let count = cases.len();
    assert!(count > 0, "{name} is empty");
    // Where the library is not to do what the original does: the case has the right values, why, and the original's; or, where
    // its runner takes them from there, the original's, why, and the right ones as `now`.
    for c in cases.iter().filter(|c| c.get("superseded").is_some() && c.get("now").is_none()) {
        let original = c["original"].as_object().unwrap_or_else(|| panic!("{name}: no original values in {c}"));
        assert!(c["superseded"].as_str().is_some_and(|why| !why.is_empty()), "{name}: no reason in {c}");
        assert!(original.iter().any(|(key, value)| c[key] != *value), "{name}: nothing is superseded in {c}");
    }
    trials.push(Trial::test(format!("{name} ({count} vectors)"), move || {
        let bad: Vec<String> = cases.iter().filter_map(|c| check(c).err().map(|e| format!("{e}\n  in {c}"))).collect();
        if bad.is_empty() {
            return Ok(());
        }
        Err(Failed::from(format!("{} of {count} differ:\n{}", bad.len(), bad[..bad.len().min(10)].join("\n"))))
    }));
}

/// Bytes as the vector files write them: a string (one byte per character) or `{"hex": ".."}`; None for null.
pub fn bytes(v: &Value) -> Option<Vec<u8>> {
    match v {
        Value::String(s) => {
            Some(s.chars().map(|c| u8::try_from(c as u32).unwrap_or_else(|_| panic!("not a byte: {c}"))).collect())
        }
        Value::Object(o) => Some(unhex(o["hex"].as_str().unwrap())),
        _ => None,
    }
}

pub fn unhex(s: &str) -> Vec<u8> {
    (0..s.len()).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap()).collect()
}

/// A multiple of the page size everywhere.
const PAGE: usize = 65536;

/// A copy of `data` that ends where the readable memory ends, so that reading one byte too far is a crash.
pub(crate) struct Guarded {
    map: *mut u8,
    size: usize,
    len: usize,
}

pub(crate) fn guarded(data: &[u8]) -> Guarded {
    let size = data.len().next_multiple_of(PAGE);
    // SAFETY: fresh pages; the last one is taken away, the data goes right in front of it.
    unsafe {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
        let map = libc::mmap(std::ptr::null_mut(), size + PAGE, prot, flags, -1, 0);
        assert_ne!(map, libc::MAP_FAILED);
        let map = map.cast::<u8>();
        assert_eq!(libc::mprotect(map.add(size).cast(), PAGE, libc::PROT_NONE), 0);
        let guarded = Guarded { map, size: size + PAGE, len: data.len() };
        guarded.ptr::<u8>().copy_from_nonoverlapping(data.as_ptr(), data.len());
        guarded
    }
}

/// The same with a NUL behind the data.
pub(crate) fn guarded_cstr(data: &[u8]) -> Guarded {
    guarded(&[data, b"\0"].concat())
}

impl Guarded {
    pub(crate) fn ptr<T>(&self) -> *mut T {
        // SAFETY: the data is inside the map.
        unsafe { self.map.add(self.size - PAGE - self.len).cast() }
    }

    pub(crate) fn str(&self) -> mongoose::abi::mg_str {
        mongoose::abi::mg_str { buf: self.ptr(), len: self.len }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the data, which nobody else writes now.
        unsafe { std::slice::from_raw_parts(self.ptr(), self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: our own map.
        unsafe { libc::munmap(self.map.cast(), self.size) };
    }
}

/// The bytes that a returned `mg_str` covers.
pub(crate) fn view(s: mongoose::abi::mg_str) -> Vec<u8> {
    if s.buf.is_null() {
        assert_eq!(s.len, 0);
        return Vec::new();
    }
    // SAFETY: the library vouches for it: what is tested.
    unsafe { std::slice::from_raw_parts(s.buf.cast::<u8>(), s.len) }.to_vec()
}

pub(crate) fn hex(s: &[u8]) -> String {
    s.iter().map(|b| format!("{b:02x}")).collect()
}

pub(crate) fn usize_of(v: &Value) -> usize {
    v.as_u64().unwrap_or_else(|| panic!("not a size: {v}")) as usize
}

/// Compares one result with what was observed.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{what}: got {got:?}, want {want:?}")) }
}
