//! The C programs of c-tests and examples-c: each built against the shared and the static library, as C and as C++, and run
//! plain, under valgrind and with sanitizers.
//!
//! The first lines of a program may contain these comments:
//! `C only` (not built as C++), `args: ...` (its arguments), `timeout: N` (seconds, 60 without it), `flags: ...` (compiler
//! flags; several such lines make several variants), `not under: valgrind asan short: why`, `valgrind: ...: why` (more of its
//! options).

use crate::tools::{Outcome, root, run, scratch, shared_dir, succeed, tool};
use crate::torture;
use libtest_mimic::{Failed, Trial};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Where cargo has put libmongoose.a for this run.
pub fn library_dir() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_path_buf()
}

/// Libraries that a program linked to the static library also needs.
pub const STATIC_LIBS: &[&str] = &["-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];
const WARNINGS: &[&str] = &["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
const SANITIZE: &[&str] = &["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];
const VALGRIND: &[&str] = &[
    "--quiet",
    "--leak-check=full",
    // Blocks that only threads' own storage points at count as possibly lost.
    "--errors-for-leak-kinds=definite,indirect",
    "--error-exitcode=99",
];
/// How much longer a program may take under valgrind.
const VALGRIND_FACTOR: u32 = 5;

#[derive(Clone, Copy, PartialEq)]
enum Language {
    C,
    /// C++20, because the programs use designated initialisers.
    Cxx,
}

#[derive(Clone, Copy, PartialEq)]
enum Linkage {
    Shared,
    Static,
}

/// The settings in the comments at the top of a program.
#[derive(Default)]
struct Markers {
    c_only: bool,
    args: Vec<String>,
    timeout: Option<u64>,
    flags: Vec<Vec<String>>,
    not_under: Vec<String>,
    valgrind: Vec<String>,
}

fn words(s: &str) -> Vec<String> {
    s.split_whitespace().map(String::from).collect()
}

impl Markers {
    fn of(source: &str) -> Markers {
        let mut m = Markers::default();
        for line in source.lines().map_while(|l| l.strip_prefix("//")).map(str::trim) {
            if line == "C only" {
                m.c_only = true;
            } else if let Some(rest) = line.strip_prefix("args:") {
                m.args = words(rest);
            } else if let Some(rest) = line.strip_prefix("timeout:") {
                m.timeout = Some(rest.trim().parse().unwrap_or_else(|_| panic!("not a number of seconds: {line}")));
            } else if let Some(rest) = line.strip_prefix("flags:") {
                m.flags.push(words(rest));
            } else if let Some(rest) = line.strip_prefix("not under:") {
                m.not_under = words(rest.split(':').next().unwrap());
            } else if let Some(rest) = line.strip_prefix("valgrind:") {
                m.valgrind = words(rest.split(':').next().unwrap());
            }
        }
        if m.flags.is_empty() {
            m.flags.push(Vec::new());
        }
        m
    }
}

/// One program with one set of flags. Builds shared by several trials are made once, by the first of them.
pub struct Program {
    pub name: String,
    source: PathBuf,
    pub flags: Vec<String>,
    pub args: Vec<String>,
    valgrind: Vec<String>,
    pub timeout: Duration,
    dir: PathBuf,
    object: OnceLock<Result<PathBuf, String>>,
    shared: OnceLock<Result<PathBuf, String>>,
}

impl Program {
    pub fn new(name: &str, source: PathBuf) -> Program {
        Program {
            name: name.to_string(),
            source,
            flags: Vec::new(),
            args: Vec::new(),
            valgrind: Vec::new(),
            timeout: Duration::from_secs(60),
            dir: scratch(&format!("{name}-build")),
            object: OnceLock::new(),
            shared: OnceLock::new(),
        }
    }

    fn compile(&self, language: Language, more: &[&str], output: &str) -> Result<PathBuf, String> {
        let object = self.dir.join(output);
        let (compiler, standard) = if language == Language::C { ("gcc", "-std=gnu11") } else { ("g++", "-std=gnu++20") };
        let mut cc = tool(compiler)?;
        if language == Language::Cxx {
            cc.args(["-x", "c++"]);
        }
        cc.args([standard, "-g", "-O1"]).args(WARNINGS).args(more).args(&self.flags);
        cc.arg("-I").arg(root("include")).arg("-I").arg(root("c-tests")).arg("-I").arg(generated());
        cc.arg("-c").arg(&self.source).arg("-o").arg(&object);
        succeed(cc, &scratch(&format!("{}-{output}", self.name)))?;
        Ok(object)
    }

    fn link(&self, compiler: &str, object: &Path, linkage: Linkage, more: &[&str]) -> Result<PathBuf, String> {
        let binary = object.with_extension(if linkage == Linkage::Shared { "shared" } else { "static" });
        let mut cc = tool(compiler)?;
        cc.args(more).arg(object);
        match linkage {
            Linkage::Shared => {
                let mut rpath = std::ffi::OsString::from("-Wl,-rpath,");
                rpath.push(shared_dir());
                cc.arg("-L").arg(shared_dir()).args(["-lmongoose", "-lpthread"]).arg(rpath);
            }
            Linkage::Static => {
                cc.arg(library_dir().join("libmongoose.a")).args(STATIC_LIBS);
            }
        }
        cc.args(self.flags.iter().filter(|f| f.starts_with("-l")));
        cc.arg("-o").arg(&binary);
        succeed(cc, &scratch(&format!("{}-link-{}", self.name, binary.file_name().unwrap().to_string_lossy())))?;
        self.check_linkage(&binary, linkage)?;
        Ok(binary)
    }

    /// A program meant to be static must not fetch the library at run time, and the other way round.
    fn check_linkage(&self, binary: &Path, linkage: Linkage) -> Result<(), String> {
        let mut readelf = tool("readelf")?;
        readelf.arg("-d").arg(binary);
        let name = format!("{}-readelf-{}", self.name, binary.file_name().unwrap().to_string_lossy());
        let dynamic = succeed(readelf, &scratch(&name))?.stdout;
        let needed = dynamic.lines().any(|l| l.contains("(NEEDED)") && l.contains("libmongoose"));
        if needed == (linkage == Linkage::Shared) || (linkage == Linkage::Shared && !self.uses_library(binary)) {
            return Ok(());
        }
        Err(format!("{}: linked to libmongoose.so: {needed}\n{dynamic}", binary.display()))
    }

    /// Linkers leave out a library that a program does not call.
    fn uses_library(&self, binary: &Path) -> bool {
        let nm = Command::new("nm").arg("-D").arg(binary).output();
        nm.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).lines().any(|l| l.contains(" mg_") || l.contains(" mgx_")))
    }

    fn object(&self) -> Result<&Path, String> {
        self.object.get_or_init(|| self.compile(Language::C, &[], "c.o")).as_deref().map_err(Clone::clone)
    }

    pub fn shared(&self) -> Result<&Path, String> {
        let build = || self.link("gcc", self.object()?, Linkage::Shared, &[]);
        self.shared.get_or_init(build).as_deref().map_err(Clone::clone)
    }

    fn static_binary(&self) -> Result<PathBuf, String> {
        self.link("gcc", self.object()?, Linkage::Static, &[])
    }

    fn cxx(&self) -> Result<PathBuf, String> {
        let object = self.compile(Language::Cxx, &[], "cxx.o")?;
        self.link("g++", &object, Linkage::Shared, &[])
    }

    fn sanitized(&self) -> Result<PathBuf, String> {
        let object = self.compile(Language::C, SANITIZE, "asan.o")?;
        self.link("gcc", &object, Linkage::Static, SANITIZE)
    }

    pub fn start(&self, kind: &str, mut command: Command, limit: Duration) -> Result<Outcome, String> {
        let dir = scratch(&format!("{}-run-{kind}", self.name));
        command.args(&self.args).current_dir(&dir).env("LIBRARY_BUILD", if cfg!(debug_assertions) { "debug" } else { "release" });
        run(command, &dir, limit)
    }

    pub fn run_plain(&self, kind: &str, binary: &Path) -> Result<Outcome, String> {
        self.start(kind, Command::new(binary), self.timeout)
    }

    pub fn run_valgrind(&self) -> Result<Outcome, String> {
        let mut valgrind = tool("valgrind")?;
        valgrind.args(VALGRIND).args(&self.valgrind).arg(self.shared()?);
        self.start("valgrind", valgrind, self.timeout * VALGRIND_FACTOR)
    }

    pub fn run_sanitized(&self) -> Result<Outcome, String> {
        let mut program = Command::new(self.sanitized()?);
        program.env("ASAN_OPTIONS", "detect_leaks=1:detect_stack_use_after_return=1").env("UBSAN_OPTIONS", "print_stacktrace=1");
        self.start("asan", program, self.timeout * 2)
    }
}

/// Where generated headers are.
pub fn generated() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-generated")
}

fn passed(outcome: Result<Outcome, String>) -> Result<(), Failed> {
    let outcome = outcome?;
    if outcome.code == 0 { Ok(()) } else { Err(outcome.text().into()) }
}

/// The C files of a directory, with names for their trials.
fn sources(dir: &str) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(root(dir)) else { return Vec::new() };
    let paths = entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "c"));
    let mut files: Vec<_> = paths.map(|p| (p.file_stem().unwrap().to_string_lossy().into_owned(), p)).collect();
    files.sort();
    files
}

fn variants(prefix: &str, stem: &str, path: &Path) -> (Markers, Vec<Arc<Program>>) {
    let mut markers = Markers::of(&fs::read_to_string(path).unwrap());
    let flags = std::mem::take(&mut markers.flags);
    let program = |flags: Vec<String>| {
        let suffix = if flags.is_empty() { String::new() } else { format!("[{}]", flags.join(" ")) };
        let mut p = Program::new(&format!("{prefix}::{stem}{suffix}"), path.to_path_buf());
        p.flags = flags;
        p.args = markers.args.clone();
        p.valgrind = markers.valgrind.clone();
        p.timeout = Duration::from_secs(markers.timeout.unwrap_or(60));
        Arc::new(p)
    };
    let programs = flags.into_iter().map(program).collect();
    (markers, programs)
}

fn trial(program: &Arc<Program>, kind: &str, body: fn(&Program) -> Result<(), Failed>) -> Trial {
    let p = program.clone();
    Trial::test(format!("{}::{kind}", program.name), move || body(&p))
}

pub fn trials(all: &mut Vec<Trial>) {
    for (stem, path) in sources("c-tests") {
        let (markers, programs) = variants("c", &stem, &path);
        for p in &programs {
            let skip = |kind: &str| markers.not_under.iter().any(|k| k == kind);
            all.push(trial(p, "shared", |p| passed(p.run_plain("shared", p.shared()?))));
            all.push(trial(p, "static", |p| passed(p.run_plain("static", &p.static_binary()?))));
            if !markers.c_only {
                all.push(trial(p, "cxx", |p| passed(p.run_plain("cxx", &p.cxx()?))));
            }
            all.push(trial(p, "valgrind", |p| passed(p.run_valgrind())).with_ignored_flag(skip("valgrind")));
            all.push(trial(p, "asan", |p| passed(p.run_sanitized())).with_ignored_flag(skip("asan")));
            torture::short_trials(all, &stem, p, skip);
        }
    }
    // Those for a library with its own TCP/IP stack belong to `make tcpip-test`.
    let hosted = |path: &PathBuf| !fs::read_to_string(path).unwrap().contains("#define MG_ENABLE_TCPIP 1");
    for (stem, path) in sources("examples-c").into_iter().filter(|(_, path)| hosted(path)) {
        let (markers, programs) = variants("example", &stem, &path);
        for p in &programs {
            all.push(trial(p, "shared", |p| Ok(p.shared().map(drop)?)));
            all.push(trial(p, "static", |p| Ok(p.static_binary().map(drop)?)));
            if !markers.c_only {
                all.push(trial(p, "cxx", |p| Ok(p.cxx().map(drop)?)));
            }
        }
    }
}

/// Programs with a defect each, which the tools must find. Otherwise they are not really on.
pub fn tool_trials(all: &mut Vec<Trial>) {
    const LEAK: &str = "#include <stdlib.h>\nvoid *volatile p;\nint main(void) { p = malloc(10); p = NULL; return 0; }\n";
    const OVERFLOW: &str = "#include <stdlib.h>\nint main(int n, char **v) {\n  (void) v;\n  char *volatile p = (char *) malloc(8);\n  \
                            char c = p[8 + n];\n  free(p);\n  return c == 77;\n}\n";
    const UNDEFINED: &str = "int main(int n, char **v) {\n  (void) v;\n  return 2147483647 + n == 0;\n}\n";
    let planted = |name: &str, source: &str| {
        let path = scratch(&format!("planted-{name}")).join("planted.c");
        fs::write(&path, source).unwrap();
        Arc::new(Program::new(&format!("tools::{name}"), path))
    };
    let found = |outcome: Result<Outcome, String>, sign: &str| -> Result<(), Failed> {
        let outcome = outcome?;
        if outcome.code != 0 && outcome.stderr.contains(sign) {
            Ok(())
        } else {
            Err(format!("not found\n{}", outcome.text()).into())
        }
    };
    for (name, source, sign) in [
        ("valgrind_finds_leak", LEAK, "definitely lost"),
        ("valgrind_finds_overflow", OVERFLOW, "Invalid read"),
        ("asan_finds_leak", LEAK, "LeakSanitizer"),
        ("asan_finds_overflow", OVERFLOW, "AddressSanitizer: heap-buffer-overflow"),
        ("ubsan_finds_overflow", UNDEFINED, "runtime error: signed integer overflow"),
    ] {
        let p = planted(name, source);
        let valgrind = name.starts_with("valgrind");
        all.push(Trial::test(p.name.clone(), move || found(if valgrind { p.run_valgrind() } else { p.run_sanitized() }, sign)));
    }
    let mut endless = planted("time_limit_is_kept", "int main(void) {\n  for (volatile int n = 1; n;) {\n  }\n  return 0;\n}\n");
    Arc::get_mut(&mut endless).unwrap().timeout = Duration::from_secs(1);
    all.push(Trial::test(endless.name.clone(), move || match endless.run_plain("shared", endless.shared()?) {
        Err(e) if e.contains("still running") => Ok(()),
        _ => Err("not stopped".into()),
    }));
}
