//! Real clients - curl, wrk, Python, Node, mosquitto, chrony, raw sockets - against C programs built with the shared library.
//! Each test starts its own server process.

#![allow(unreachable_pub)] // A test program has no users.

use libtest_mimic::{Arguments, Trial};
use std::env;

#[path = "clients/curl.rs"]
mod curl;
#[path = "clients/device.rs"]
mod device;
#[path = "clients/examples.rs"]
mod examples;
#[path = "clients/files.rs"]
mod files;
#[path = "clients/load.rs"]
mod load;
#[path = "clients/mqtt.rs"]
mod mqtt;
#[path = "clients/names.rs"]
mod names;
#[path = "clients/proxy.rs"]
mod proxy;
#[path = "clients/restart.rs"]
mod restart;
#[path = "clients/scripts.rs"]
mod scripts;
#[path = "clients/server.rs"]
mod server;
#[path = "clients/tls.rs"]
mod tls;
#[path = "clients/tls_verify.rs"]
mod tls_verify;
#[path = "run/tools.rs"]
mod tools;
#[path = "clients/websocket.rs"]
mod websocket;

/// With SHORT_IO=n in the environment the library transfers at most n bytes at a time, in all programs. To be called before there are
/// threads.
fn cut_transfers() -> bool {
    let asked = env::var_os("SHORT_IO").is_some();
    if asked {
        let library = tools::preload("short_io").unwrap_or_else(|e| panic!("{e}"));
        // SAFETY: there is only this thread.
        unsafe {
            env::set_var("LD_PRELOAD", library);
            env::set_var("ASAN_OPTIONS", "verify_asan_link_order=0");
        }
    }
    asked
}

/// Gigabytes and load, for which the debug build takes minutes with as many calls; chunks that a proxy passes on as they arrive; and a
/// bound on memory for blocks that are sent whole.
const NOT_SHORT: &[&str] = &[
    "proxy::heads",
    "tls::wrk_small",
    "tls::wrk_files",
    "load::ten_seconds_on_256_connections",
    "load::large_answers",
    "files::five_hundred_concurrent_downloads",
    "files::ten_gibibytes_with_flat_memory",
    "files::uploads_with_flat_memory",
    "files::huge_response",
    "proxy::flat_memory",
    "scripts::upload_of_a_gibibyte_in_flat_memory",
    "scripts::download_of_a_gibibyte_in_flat_memory",
];

fn main() {
    let args = Arguments::from_args();
    if !args.list {
        tools::link_shared();
    }
    let is_short = !args.list && cut_transfers();
    let mut all: Vec<Trial> = Vec::new();
    // The longest first, so that the others run beside it.
    load::trials(&mut all);
    files::trials(&mut all);
    proxy::trials(&mut all);
    restart::trials(&mut all);
    mqtt::trials(&mut all);
    scripts::trials(&mut all);
    curl::trials(&mut all);
    examples::trials(&mut all);
    device::trials(&mut all);
    tls::trials(&mut all);
    websocket::trials(&mut all);
    tls_verify::trials(&mut all);
    names::trials(&mut all);
    if is_short {
        all.retain(|t| !NOT_SHORT.contains(&t.name()));
        let done = libtest_mimic::run(&args, all);
        println!("short transfers: {} passed, {} failed", done.num_passed, done.num_failed);
        done.exit();
    }
    libtest_mimic::run(&args, all).exit();
}
