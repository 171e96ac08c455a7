//! Compiles the C shim for variadic and replaceable functions, and names the shared library.

use std::{env, path::PathBuf, process::Command};

/// rustc accepts `+export-symbols` on native libraries from this version on. Before, its own shared library lacks the shim's
/// functions; the one that packaging/link.sh links from the static library has them with every version.
const EXPORTS_C_SYMBOLS_SINCE: u32 = 95;

fn main() {
    // The header declares mg_uecc_* under this condition; the library has them with its elliptic curves.
    if env::var_os("CARGO_FEATURE_ECC").is_some() {
        println!("cargo:rustc-cfg=mg_tls_builtin");
    }

    if has_64_bit_time() {
        println!("cargo:rustc-cfg=mg_time64");
    }

    for file in ["variadic.c", "replaceable.c", "shim.h"] {
        println!("cargo:rerun-if-changed=src/fmt/{file}");
    }
    let for_windows = env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("windows");
    let mut cc = cc::Build::new();
    cc.std("c99").warnings(true).extra_warnings(true);
    if for_windows {
        // Windows has neither position-independent code nor symbol visibility. Stack protectors would need another library of GCC's.
        replaceable_parts(&mut cc);
    } else {
        cc.file("src/fmt/replaceable.c").flag_if_supported("-fvisibility=hidden");
        if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
            // A C library of firmware has no guard for the stack.
            cc.pic(false);
        } else {
            cc.pic(true).flag_if_supported("-fstack-protector-strong");
        }
    }
    if env::var_os("CARGO_FEATURE_STD").is_none() {
        cc.define("MGX_NO_STD", None);
    }
    // Landing pads for indirect calls, and shadow stacks.
    match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => cc.flag_if_supported("-fcf-protection=full"),
        Ok("aarch64") => cc.flag_if_supported("-mbranch-protection=standard"),
        _ => &mut cc,
    };
    for protocol in ["HTTP", "WS", "RPC"] {
        if env::var_os(format!("CARGO_FEATURE_{protocol}")).is_none() {
            cc.define(&format!("MGX_NO_{protocol}"), None);
        }
    }
    cc.file("src/fmt/variadic.c").link_lib_modifier("+whole-archive");
    if rustc_minor() >= EXPORTS_C_SYMBOLS_SINCE {
        cc.link_lib_modifier("+export-symbols");
    }
    cc.compile("mongoose_variadic");

    compile_port();

    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libmongoose.so.7");
        link_soname();
    }
}

/// Adds one object per function that applications may replace. The linker takes the first definition of a name that it finds.
fn replaceable_parts(cc: &mut cc::Build) {
    let file = "src/fmt/replaceable.c";
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let source = std::fs::read_to_string(file).unwrap();
    for part in 1..=source.matches("#if PART(").count() {
        let dir = out.join(format!("part{part}"));
        std::fs::create_dir_all(&dir).unwrap();
        let mut one = cc.clone();
        one.file(file).define("MGX_PART", part.to_string().as_str()).out_dir(dir);
        cc.objects(one.compile_intermediates());
    }
}

/// The functions of include/mongoose_port.h may be in the library: MONGOOSE_PORT names the C file that has them, such as
/// port/bsd_sockets.c. Without it, the program has them.
fn compile_port() {
    println!("cargo:rerun-if-env-changed=MONGOOSE_PORT");
    if env::var_os("CARGO_FEATURE_PORT").is_none() {
        return;
    }
    if let Some(file) = env::var_os("MONGOOSE_PORT").filter(|file| !file.is_empty()) {
        println!("cargo:rerun-if-changed={}", file.to_string_lossy());
        println!("cargo:rerun-if-changed=include/mongoose_port.h");
        let mut cc = cc::Build::new();
        cc.file(file).include("include").std("c99").warnings(true).extra_warnings(true).pic(true).flag("-fvisibility=hidden");
        cc.compile("mongoose_port");
    }
}

/// Whether the C compiler's `time_t` has 64 bits, as on all 64-bit systems, with musl, and on 32-bit ones that have moved or with
/// `CFLAGS="-D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64"`.
fn has_64_bit_time() -> bool {
    if env::var("CARGO_CFG_TARGET_POINTER_WIDTH").as_deref() == Ok("64") {
        return true;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let source = out.join("time.c");
    std::fs::write(&source, "#include <time.h>\ntypedef char has_64_bits[sizeof(time_t) == 8 ? 1 : -1];\n").unwrap();
    println!("cargo:rerun-if-env-changed=CFLAGS");
    let mut compiler = cc::Build::new().get_compiler().to_command();
    compiler.arg("-c").arg(&source).arg("-o").arg(out.join("time.o"));
    compiler.output().is_ok_and(|o| o.status.success())
}

/// Programs that were linked to the library in cargo's directory look for it there under its soname.
fn link_soname() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    // <profile>/build/<package>/out
    let Some(dir) = out.ancestors().nth(3) else { return };
    let link = dir.join("libmongoose.so.7");
    #[cfg(unix)]
    if let Err(e) = std::os::unix::fs::symlink("libmongoose.so", &link) {
        if e.kind() != std::io::ErrorKind::AlreadyExists {
            println!("cargo:warning={}: {e}", link.display());
        }
    }
}

fn rustc_minor() -> u32 {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = Command::new(rustc).arg("--version").output().map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    text.ok().and_then(|t| t.split('.').nth(1)?.parse().ok()).unwrap_or(0)
}
