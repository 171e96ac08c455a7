//! The library under test, loaded at run time so that calls go through its exported symbols, and the vector files.

use libloading::{Library, Symbol};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use std::{path::PathBuf, sync::LazyLock};

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let path = std::env::current_exe().unwrap().with_file_name("libmongoose.so");
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
pub fn table(trials: &mut Vec<Trial>, file: &'static str, list: &'static str, check: impl Fn(&Value) -> Result<(), String> + Send + 'static) {
    let Value::Array(all) = load(file)[list].take() else { panic!("{file}: no list {list}") };
    cases(trials, format!("{}::{list}", file.trim_end_matches(".json")), all, check);
}

/// The same for some cases of a list.
pub fn cases(trials: &mut Vec<Trial>, name: String, cases: Vec<Value>, check: impl Fn(&Value) -> Result<(), String> + Send + 'static) {
    let count = cases.len();
    assert!(count > 0, "{name} is empty");
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
        Value::String(s) => Some(s.chars().map(|c| u8::try_from(c as u32).unwrap_or_else(|_| panic!("not a byte: {c}"))).collect()),
        Value::Object(o) => Some(unhex(o["hex"].as_str().unwrap())),
        _ => None,
    }
}

pub fn unhex(s: &str) -> Vec<u8> {
    (0..s.len()).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap()).collect()
}
