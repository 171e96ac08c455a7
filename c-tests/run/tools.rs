//! Runs compilers and programs: with a time limit, in separate directories, and failing if a tool is missing.

use std::{
    env, fs,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

#[path = "linked.rs"]
mod linked;
pub use linked::shared_dir;

/// The Debian packages of missing programs.
const PACKAGES: &[(&str, &str)] = &[
    ("gcc", "gcc"),
    ("g++", "g++"),
    ("clang", "clang"),
    ("clang++", "clang"),
    ("valgrind", "valgrind"),
    ("nm", "binutils"),
    ("readelf", "binutils"),
    ("make", "make"),
    ("pkg-config", "pkg-config"),
    ("cmake", "cmake"),
    ("curl", "curl"),
    ("gzip", "gzip"),
    ("mkfifo", "coreutils"),
    ("dnsmasq", "dnsmasq-base"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
    ("wrk", "wrk"),
    ("nginx", "nginx-light"),
    ("haproxy", "haproxy"),
    ("python3", "python3"),
    ("mosquitto", "mosquitto"),
    ("mosquitto_passwd", "mosquitto"),
    ("mosquitto_pub", "mosquitto-clients"),
    ("mosquitto_sub", "mosquitto-clients"),
    ("node", "nodejs"),
    ("chromium", "chromium"),
    ("openssl", "openssl"),
];

pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Programs find this library, and no other: cargo's own search path, which would come first, ends with directories that may
/// hold an older one. To be called before there are threads.
pub fn link_shared() {
    // SAFETY: there is only this thread.
    unsafe { env::set_var("LD_LIBRARY_PATH", shared_dir()) };
}

/// The library of c-tests/preload, compiled.
pub fn preload(name: &str) -> Result<PathBuf, String> {
    let library = scratch(&format!("preload-{name}")).join(format!("{name}.so"));
    let mut cc = tool("gcc")?;
    cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]);
    cc.arg(root("c-tests/preload").join(format!("{name}.c"))).arg("-o").arg(&library).arg("-ldl");
    succeed(cc, &scratch(&format!("preload-{name}-build")))?;
    Ok(library)
}

/// A fresh directory under the target directory.
pub fn scratch(name: &str) -> PathBuf {
    let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c").join(safe);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    dir
}

/// A command, or which Debian package has it.
pub fn tool(name: &str) -> Result<Command, String> {
    // Debian installs servers outside the PATH of ordinary users.
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).map(|d| d.join(name)).find(|p| p.is_file());
    if let Some(found) = found {
        return Ok(Command::new(found));
    }
    let package = PACKAGES.iter().find(|p| p.0 == name).map_or(name, |p| p.1);
    Err(format!("{name} is missing; install the Debian package {package}"))
}

pub struct Outcome {
    /// The exit code, or 128 + the number of the signal, as in a shell.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn text(&self) -> String {
        format!("exit code {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs a command to its end, which must come in time. Output goes through files in `dir`, so that no pipe can fill up.
pub fn run(mut command: Command, dir: &Path, limit: Duration) -> Result<Outcome, String> {
    let shown = format!("{command:?}");
    let file = |name: &str| fs::File::create(dir.join(name)).map_err(|e| format!("{}: {e}", dir.join(name).display()));
    command.stdin(Stdio::null()).stdout(file("stdout")?).stderr(file("stderr")?).process_group(0);
    let mut child = command.spawn().map_err(|e| format!("{shown}: {e}"))?;
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break Some(status);
        }
        if Instant::now() > end {
            // SAFETY: the group is the child's own, made above, and the child has not been waited for.
            unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
            let _ = child.wait();
            break None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let read = |name: &str| String::from_utf8_lossy(&fs::read(dir.join(name)).unwrap_or_default()).into_owned();
    let code = status.map_or(-1, |s| s.code().unwrap_or_else(|| 128 + s.signal().unwrap_or(0)));
    let outcome = Outcome { code, stdout: read("stdout"), stderr: read("stderr") };
    match status {
        None => Err(format!("{shown}\nstill running after {} s: killed\n{}", limit.as_secs(), outcome.text())),
        Some(_) => Ok(outcome),
    }
}

/// Runs a command that must succeed, such as a compiler.
pub fn succeed(command: Command, dir: &Path) -> Result<Outcome, String> {
    let shown = format!("{command:?}");
    let outcome = run(command, dir, Duration::from_secs(300))?;
    if outcome.code == 0 { Ok(outcome) } else { Err(format!("{shown}\n{}", outcome.text())) }
}
