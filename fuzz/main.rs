//! All fuzz targets in one program; FUZZ_TARGET selects one. With the feature `libfuzzer` it is a fuzzer that accepts
//! libFuzzer's options; without it, it runs the given files, or those in the given directories. Without FUZZ_TARGET it lists
//! the targets.

#![cfg_attr(feature = "libfuzzer", no_main)]
#![allow(clashing_extern_declarations)] // the targets declare what they call, each with the types that suit it

extern crate alloc;

use std::sync::LazyLock;

// No exported function leads straight to what many targets look at, so the sources are compiled in.
#[allow(unused)]
#[path = "../src/hash/mod.rs"]
mod hash;
#[allow(unused, unexpected_cfgs)]
#[path = "../src/memory/mod.rs"]
mod memory;
#[allow(unused)]
#[path = "../src/proto/mod.rs"]
mod proto;
#[allow(unused, unexpected_cfgs)]
#[path = "../src/tls/mod.rs"]
mod tls;

/// Of the machine, what the sources need: a log that nothing is written to, and numbers.
mod sys {
    pub(crate) mod log {
        macro_rules! log_info { ($($arg:tt)+) => { let _ = format_args!($($arg)+); }; }
        pub(crate) use log_info;
    }

    /// The same numbers every time, so that a finding can be seen again.
    pub(crate) mod random {
        pub(crate) fn fill(buf: &mut [u8]) -> bool {
            buf.iter_mut().zip(1..).for_each(|(b, n): (_, u32)| *b = (n.wrapping_mul(0x9e37_79b9) >> 13) as u8);
            true
        }
    }
}

mod oracle;
mod peer;

/// A target: a function of bytes, or of values that are made of bytes.
macro_rules! fuzz_target {
    (|$data:ident: &[u8]| $body:block) => {
        pub(crate) fn run($data: &[u8]) {
            $body
        }
    };
    (|$input:ident: $type:ty| $body:block) => {
        pub(crate) fn run(data: &[u8]) {
            let source = arbitrary::Unstructured::new(data);
            let Ok(input) = <$type as arbitrary::Arbitrary>::arbitrary_take_rest(source) else { return };
            let $input: $type = input;
            $body
        }
    };
}

mod certificates;

type Target = fn(&[u8]);

macro_rules! targets {
    ($($name:ident)*; $($inner:ident $module:ident),*) => {
        const TARGETS: &[(&str, Target)] =
            &[$((stringify!($name), fuzz_targets::$name::run),)* $((stringify!($inner), certificates::$module::run),)*];
    };
}

mod fuzz_targets {
    pub(crate) mod acl;
    pub(crate) mod addresses;
    pub(crate) mod base64;
    pub(crate) mod chunked;
    pub(crate) mod creds;
    pub(crate) mod dns;
    pub(crate) mod ec_key;
    pub(crate) mod ec_verify;
    pub(crate) mod files;
    pub(crate) mod framing;
    pub(crate) mod glob;
    pub(crate) mod http_client;
    pub(crate) mod http_parse;
    pub(crate) mod http_response;
    pub(crate) mod iobuf;
    pub(crate) mod json;
    pub(crate) mod json_getters;
    pub(crate) mod jwt;
    pub(crate) mod mdns;
    pub(crate) mod modbus;
    pub(crate) mod mqtt;
    pub(crate) mod mqtt_client;
    pub(crate) mod multipart;
    pub(crate) mod ota;
    pub(crate) mod printf;
    pub(crate) mod rpc;
    pub(crate) mod server;
    pub(crate) mod sntp;
    pub(crate) mod ssi;
    pub(crate) mod str_to_num;
    pub(crate) mod tls_handshake;
    pub(crate) mod tls_options;
    pub(crate) mod tls_records;
    pub(crate) mod url;
    pub(crate) mod urlcodec;
    pub(crate) mod ws;
    pub(crate) mod ws_client;
}

targets! {
    acl addresses base64 chunked creds dns ec_key ec_verify files framing glob http_client http_parse http_response
    iobuf json json_getters jwt mdns modbus mqtt mqtt_client multipart ota printf rpc server sntp ssi str_to_num
    tls_handshake tls_options tls_records url urlcodec ws ws_client;
    der of_der, pem of_pem, x509 of_x509
}

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|t| t.0 == name) {
        Some(target) => target.1,
        None => {
            let mut names: Vec<&str> = TARGETS.iter().map(|t| t.0).collect();
            names.sort_unstable();
            println!("{}", names.join("\n"));
            std::process::exit(i32::from(!name.is_empty()));
        }
    }
});

#[cfg(feature = "libfuzzer")]
libfuzzer_sys::fuzz_target!(init: { LazyLock::force(&TARGET); }, |data: &[u8]| TARGET(data));

#[cfg(not(feature = "libfuzzer"))]
fn main() {
    let target = *TARGET;
    for path in std::env::args_os().skip(1).map(std::path::PathBuf::from) {
        let read = |path: &std::path::Path| std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let inputs = match std::fs::read_dir(&path) {
            Ok(entries) => entries.map(|e| e.unwrap().path()).collect(),
            Err(_) => vec![path],
        };
        for input in inputs {
            // What a crash leaves behind on the screen.
            eprintln!("{}", input.display());
            target(&read(&input));
        }
    }
}
