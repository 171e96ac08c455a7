//! Compiles the C shim for variadic and replaceable functions, fixes the layout settings, and names the shared library.

use std::{env, process::Command};

/// rustc accepts `+export-symbols` on native libraries from this version on; without it a cdylib hides the shim's functions.
const EXPORTS_C_SYMBOLS_SINCE: u32 = 95;

fn main() {
    for (name, default, range) in [("MG_DATA_SIZE", 32, 8..=65536), ("MG_MAX_HTTP_HEADERS", 30, 5..=1024)] {
        println!("cargo:rerun-if-env-changed={name}");
        let value = env::var(name).unwrap_or_else(|_| default.to_string());
        match value.parse::<usize>() {
            Ok(n) if range.contains(&n) && (name != "MG_DATA_SIZE" || n % 8 == 0) => {
                println!("cargo:rustc-env={name}={n}")
            }
            _ => {
                panic!("{name}={value}: want a number from {} to {} (MG_DATA_SIZE: a multiple of 8)", range.start(), range.end())
            }
        }
    }

    // The header declares mg_uecc_* under this condition; the library has them with its elliptic curves.
    if env::var_os("CARGO_FEATURE_ECC").is_some() {
        println!("cargo:rustc-cfg=mg_tls_builtin");
    }

    let shim = "src/fmt/variadic.c";
    println!("cargo:rerun-if-changed={shim}");
    let mut cc = cc::Build::new();
    cc.file(shim).std("c99").warnings(true).extra_warnings(true).flag_if_supported("-fvisibility=hidden").pic(true);
    cc.link_lib_modifier("+whole-archive");
    let minor = rustc_minor();
    if minor >= EXPORTS_C_SYMBOLS_SINCE {
        cc.link_lib_modifier("+export-symbols");
    } else {
        println!(
            "cargo:warning=rustc 1.{minor} cannot export C functions from a shared library (needs 1.{EXPORTS_C_SYMBOLS_SINCE}): \
             libmongoose.so will lack the variadic functions; libmongoose.a is complete"
        );
    }
    cc.compile("mongoose_variadic");

    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libmongoose.so.7");
    }
}

fn rustc_minor() -> u32 {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = Command::new(rustc).arg("--version").output().map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    text.ok().and_then(|t| t.split('.').nth(1)?.parse().ok()).unwrap_or(0)
}
