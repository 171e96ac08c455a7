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
    let mut link = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/link.sh"));
    link.arg(built.with_file_name("libmongoose.a")).arg(dir.join("libmongoose.so")).arg("libmongoose.so.7").env("STRIP_FLAG", "");
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
