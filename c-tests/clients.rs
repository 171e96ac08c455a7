//! Real clients - curl, wrk, Python, Node, mosquitto, chrony, raw sockets - against C programs built with the shared library.
//! Each test starts its own server process.

#![allow(unreachable_pub)] // A test program has no users.

use libtest_mimic::{Arguments, Trial};

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

fn main() {
    let args = Arguments::from_args();
    if !args.list {
        tools::link_shared();
    }
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
    libtest_mimic::run(&args, all).exit();
}
