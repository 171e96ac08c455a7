//! `make install`, and programs built against the installed files.

use crate::{
    programs::library_dir,
    tools::{root, run, scratch, succeed, tool},
};
use libtest_mimic::{Failed, Trial};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Needs the header, the library, and the right version of both.
const PROGRAM: &str = "#include \"mongoose.h\"
int main(void) {
  struct mg_iobuf io = {0, 0, 0, 64};
  size_t n = mg_iobuf_add(&io, 0, MG_VERSION, 4);
  mg_iobuf_free(&io);
  return n == 4 ? 0 : 1;
}
";
const CMAKE_PROJECT: &str = "cmake_minimum_required(VERSION 3.13)
project(user C)
find_package(mongoose 7.20 REQUIRED)
foreach(kind mongoose static)
  add_executable(with_${kind} main.c)
  target_link_libraries(with_${kind} mongoose::${kind})
endforeach()
";

fn make(target: &str, dir: &Path, settings: &[String]) -> Result<(), String> {
    let mut make = tool("make")?;
    make.arg("-C").arg(root("")).arg(target).arg(format!("BUILD_DIR={}", library_dir().display())).args(settings);
    // Settings of a make that runs this test are not for this one.
    for name in ["MAKEFLAGS", "MFLAGS"] {
        make.env_remove(name);
    }
    succeed(make, dir).map(drop)
}

fn installed(name: &str) -> Result<(PathBuf, PathBuf), String> {
    let dir = scratch(name);
    let prefix = dir.join("prefix");
    make("install-files", &dir, &[format!("PREFIX={}", prefix.display())])?;
    fs::write(dir.join("main.c"), PROGRAM).map_err(|e| e.to_string())?;
    Ok((dir, prefix))
}

/// The shared library is loaded from where it was installed.
fn works(program: &Path, dir: &Path, libraries: &Path) -> Result<(), String> {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", libraries);
    let outcome = run(command, dir, Duration::from_secs(60))?;
    if outcome.code == 0 { Ok(()) } else { Err(format!("{}: {}", program.display(), outcome.text())) }
}

fn pkg_config() -> Result<(), Failed> {
    let (dir, prefix) = installed("install-pkg-config")?;
    // Against the shared library, against the static one though both are there, and without any shared library at all.
    for (name, package, options) in
        [("shared", "mongoose", &[][..]), ("archive", "mongoose-static", &[]), ("static", "mongoose", &["--static"])]
    {
        let mut pkg_config = tool("pkg-config")?;
        pkg_config.args(options).args(["--cflags", "--libs"]).arg(format!("{package} >= 7.22"));
        pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        let flags = succeed(pkg_config, &dir)?.stdout;
        let program = dir.join(name);
        let mut cc = tool("gcc")?;
        cc.arg(dir.join("main.c")).arg("-o").arg(&program).args(flags.split_whitespace());
        if name == "static" {
            cc.arg("-static");
        }
        succeed(cc, &dir)?;
        works(&program, &dir, &prefix.join("lib"))?;
        let mut readelf = tool("readelf")?;
        readelf.arg("-d").arg(&program);
        let needs = succeed(readelf, &dir)?.stdout.contains("libmongoose.so.7");
        if needs != (name == "shared") {
            return Err(format!("{name}: needs libmongoose.so.7: {needs}").into());
        }
    }
    Ok(())
}

fn cmake() -> Result<(), Failed> {
    let (dir, prefix) = installed("install-cmake")?;
    fs::write(dir.join("CMakeLists.txt"), CMAKE_PROJECT)?;
    let mut configure = tool("cmake")?;
    configure.arg("-S").arg(&dir).arg("-B").arg(dir.join("build")).arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    configure.arg("-DCMAKE_C_COMPILER=gcc");
    succeed(configure, &dir)?;
    let mut build = tool("cmake")?;
    build.arg("--build").arg(dir.join("build"));
    succeed(build, &dir)?;
    for kind in ["mongoose", "static"] {
        works(&dir.join("build").join(format!("with_{kind}")), &dir, &prefix.join("lib"))?;
    }
    Ok(())
}

fn tree(dir: &Path, base: &Path, found: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            tree(&path, base, found);
        } else {
            found.push(path.strip_prefix(base).unwrap().display().to_string());
        }
    }
}

fn staged() -> Result<(), Failed> {
    let dir = scratch("install-staged");
    let stage = dir.join("stage");
    let settings =
        [format!("DESTDIR={}", stage.display()), "PREFIX=/usr".to_string(), "LIBDIR=/usr/lib/x86_64-linux-gnu".to_string()];
    make("install-files", &dir, &settings)?;
    let mut files = Vec::new();
    tree(&stage, &stage, &mut files);
    let lib = "usr/lib/x86_64-linux-gnu";
    let mut wanted = vec!["usr/include/mongoose.h".to_string(), "usr/include/mongoose_ext.h".to_string()];
    for file in [
        "cmake/mongoose/mongoose-config-version.cmake",
        "cmake/mongoose/mongoose-config.cmake",
        "cmake/unofficial-mongoose/unofficial-mongoose-config.cmake",
        "libmongoose.a",
        "libmongoose.so",
        "libmongoose.so.7",
        "libmongoose.so.7.22.0",
        "pkgconfig/mongoose-static.pc",
        "pkgconfig/mongoose.pc",
    ] {
        wanted.push(format!("{lib}/{file}"));
    }
    if files != wanted {
        return Err(format!("installed: {files:#?}").into());
    }
    let pc = fs::read_to_string(stage.join(lib).join("pkgconfig/mongoose.pc"))?;
    let config = fs::read_to_string(stage.join(lib).join("cmake/mongoose/mongoose-config.cmake"))?;
    if pc.contains("stage") || !pc.contains(&format!("libdir=/{lib}\n")) || config.contains("stage") || config.contains('@') {
        return Err(format!("{pc}\n{config}").into());
    }
    make("uninstall", &dir, &settings)?;
    let mut left = Vec::new();
    tree(&stage, &stage, &mut left);
    if left.is_empty() { Ok(()) } else { Err(format!("uninstall leaves {left:?}").into()) }
}

/// Static programs contain only the code they call: no TLS without mg_tls_init.
fn static_size() -> Result<(), Failed> {
    let dir = scratch("install-static-size");
    for (example, wanted) in [("http-server", false), ("https-server", true)] {
        let mut cc = tool("gcc")?;
        cc.arg("-I").arg(root("include")).arg(root(&format!("examples-c/{example}.c"))).arg(library_dir().join("libmongoose.a"));
        cc.args(["-Wl,--gc-sections", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-o"]).arg(dir.join(example));
        succeed(cc, &dir)?;
        let mut nm = tool("nm")?;
        nm.arg(dir.join(example));
        let symbols = succeed(nm, &dir)?.stdout;
        let found = symbols.lines().filter(|l| l.contains("ring_core")).count();
        if (found > 0) != wanted || !symbols.contains("mg_http_listen") {
            return Err(format!("{example}: contains {found} TLS functions").into());
        }
    }
    Ok(())
}

/// Another project's library of the same name is not overwritten, nor removed; beside it there is room for ours under another
/// name, which -lmongoose finds all the same.
fn foreign_library_is_kept() -> Result<(), Failed> {
    let dir = scratch("install-foreign");
    let prefix = dir.join("prefix");
    let lib = prefix.join("lib");
    fs::create_dir_all(&lib)?;
    let theirs = lib.join("libmongoose.so");
    fs::write(&theirs, "a graph partitioner")?;
    let setting = format!("PREFIX={}", prefix.display());
    for target in ["install-files", "uninstall"] {
        match make(target, &dir, std::slice::from_ref(&setting)) {
            Err(e) if e.contains("other software") && e.contains("FORCE=1") => {}
            other => return Err(format!("{target}: {other:?}").into()),
        }
    }
    let renamed = [setting.clone(), "LIBNAME=mongoose-rs".to_string()];
    make("install-files", &dir, &renamed)?;
    fs::write(dir.join("main.c"), PROGRAM)?;
    for package in ["mongoose", "mongoose-rs", "mongoose-static"] {
        let mut pkg_config = tool("pkg-config")?;
        pkg_config.args(["--cflags", "--libs", package]).env("PKG_CONFIG_PATH", lib.join("pkgconfig"));
        let flags = succeed(pkg_config, &dir)?.stdout;
        let mut cc = tool("gcc")?;
        cc.arg(dir.join("main.c")).arg("-o").arg(dir.join("main")).args(flags.split_whitespace());
        succeed(cc, &dir)?;
        works(&dir.join("main"), &dir, &lib)?;
    }
    make("uninstall", &dir, &renamed)?;
    let mut left = Vec::new();
    tree(&prefix, &prefix, &mut left);
    if left != ["lib/libmongoose.so"] || fs::read_to_string(&theirs)? != "a graph partitioner" {
        return Err(format!("left: {left:?}").into());
    }
    make("install-files", &dir, &[setting, "FORCE=1".to_string()])?;
    if fs::metadata(&theirs)?.len() > 100_000 { Ok(()) } else { Err("FORCE=1 did not install the library".into()) }
}

/// What installation leaves in the libraries: no bitcode, no debug information, no path of the machine that built them, a version
/// for each symbol of the API, and nothing else to see.
fn libraries_contain_no_paths() -> Result<(), Failed> {
    let (dir, prefix) = installed("install-clean")?;
    let mut readelf = tool("readelf")?;
    readelf.args(["-SW"]).arg(prefix.join("lib/libmongoose.a"));
    let sections = succeed(readelf, &dir)?.stdout;
    for section in [".llvmbc", ".debug_info"] {
        if sections.contains(section) {
            return Err(format!("libmongoose.a contains {section}").into());
        }
    }
    let mut nm = tool("nm")?;
    nm.args(["-D", "--defined-only"]).arg(prefix.join("lib/libmongoose.so"));
    let names = succeed(nm, &dir)?.stdout;
    let is_ours = |l: &str| l.ends_with(" MONGOOSE_7") || (l.contains(" mg") && l.ends_with("@@MONGOOSE_7"));
    let others: Vec<&str> = names.lines().filter(|l| !is_ours(l)).collect();
    if !others.is_empty() || !names.contains(" mg_printf@@") {
        return Err(format!("{others:?}").into());
    }
    Ok(())
}

/// `ldconfig` runs only where the loader searches, and an installation does not fail with it: another one may run at the same time.
fn loader_cache() -> Result<(), Failed> {
    let dir = scratch("install-cache");
    let lib = dir.join("lib");
    fs::create_dir_all(&lib)?;
    fs::write(lib.join("libmongoose.so.7"), "")?;
    let fake = dir.join("ldconfig");
    fs::write(
        &fake,
        "#!/bin/sh
case \"$*\" in
  -p) [ ! -e registered ] || echo \"libmongoose.so.7 (libc6,x86-64) => $LINKED/libmongoose.so.7\" ;;
  '-N -X -v') echo \"$SEARCHED: (from /etc/ld.so.conf:1)\" ;;
  '') echo \"$RESULT\" >> ran; [ \"$RESULT\" = 1 ] || touch registered; exit \"$RESULT\" ;;
esac
",
    )?;
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755))?;
    let id = dir.join("id");
    fs::write(&id, "#!/bin/sh\necho 0\n")?;
    fs::set_permissions(&id, fs::Permissions::from_mode(0o755))?;
    // The loader's name of the directory is a link to the one that is installed to.
    let linked = dir.join("linked");
    std::os::unix::fs::symlink(&lib, &linked)?;
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default());
    let elsewhere = dir.join("elsewhere");
    for (searches, result, runs, says) in [
        (&elsewhere, "0", false, Some("The loader does not search ")),
        (&linked, "1", true, Some("Run ldconfig as root, ")),
        (&linked, "0", true, None),
    ] {
        let _ = fs::remove_file(dir.join("ran"));
        let mut loader = Command::new(root("packaging/loader.sh"));
        loader.arg(&lib).arg(&lib).arg(dir.join("include")).arg("libmongoose.so.7");
        loader.current_dir(&dir).env("PATH", &path).env("SEARCHED", searches).env("LINKED", &linked).env("RESULT", result);
        let said = succeed(loader, &dir)?.stdout;
        if dir.join("ran").exists() != runs
            || says.map_or(said.contains("ldconfig") || said.contains("loader"), |s| !said.contains(s))
        {
            return Err(format!("the loader searches {}, ldconfig exits with {result}: {said}", searches.display()).into());
        }
    }
    Ok(())
}

pub fn trials(all: &mut Vec<Trial>) {
    all.push(Trial::test("install::static_program_without_tls", static_size));
    all.push(Trial::test("install::program_built_through_pkg_config", pkg_config));
    all.push(Trial::test("install::program_built_through_cmake", cmake));
    all.push(Trial::test("install::foreign_library_is_kept", foreign_library_is_kept));
    all.push(Trial::test("install::libraries_are_clean", libraries_contain_no_paths));
    all.push(Trial::test("install::loader_cache", loader_cache));
    all.push(Trial::test("install::staged_and_uninstalled", staged));
}
