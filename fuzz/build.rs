//! Compiles the coverage functions for libFuzzer.

fn main() {
    println!("cargo:rerun-if-changed=coverage.c");
    #[cfg(feature = "libfuzzer")]
    {
        cc::Build::new().file("coverage.c").opt_level(2).compile("coverage");
        for name in ["trace_pc_guard", "trace_pc_guard_init"] {
            println!("cargo:rustc-link-arg-bin=targets=-Wl,--wrap=__sanitizer_cov_{name}");
        }
    }
}
