//! The shared library as shipped: linked by the C compiler from the static one, as `make` does, with debug information.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let built = env::current_exe().unwrap();
    let dir = built.with_file_name("linked");
    fs::create_dir_all(&dir).unwrap();
    let (archive, library) = (built.with_file_name("libmongoose.a"), dir.join("libmongoose.so"));
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    // link.sh moves it into place when it is whole.
    let made = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    let sources = [&archive, &packaging.join("link.sh"), &packaging.join("mongoose.map")];
    if dir.join("libmongoose.so.7").exists() && sources.iter().all(|s| made(&library) > made(s)) {
        return dir;
    }
    let mut link = Command::new(packaging.join("link.sh"));
    link.arg(archive).arg(library).arg("libmongoose.so.7").env("STRIP_FLAG", "");
    let status = link.status().unwrap_or_else(|e| panic!("packaging/link.sh: {e}"));
    assert!(status.success(), "packaging/link.sh: {status}");
    match std::os::unix::fs::symlink("libmongoose.so", dir.join("libmongoose.so.7")) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => panic!("{}: {e}", dir.display()),
        _ => dir,
    }
});

/// Where it is, as libmongoose.so and libmongoose.so.7.
pub fn shared_dir() -> &'static Path {
    &DIR
}
