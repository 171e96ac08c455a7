//! Every observed input and output, run through the exported C functions of the built shared library.

#![allow(unreachable_pub)] // modules of one test program

use libtest_mimic::{Arguments, Trial};

#[path = "vec/lib.rs"]
mod lib;
#[macro_use]
#[path = "vec/net.rs"]
mod net;
#[path = "vec/dash.rs"]
mod dash;
#[path = "vec/device.rs"]
mod device;
#[path = "vec/dns.rs"]
mod dns;
#[path = "vec/engine.rs"]
mod engine;
#[path = "vec/engine_rules.rs"]
mod engine_rules;
#[path = "vec/files.rs"]
mod files;
#[path = "vec/fmt.rs"]
mod fmt;
#[path = "vec/http.rs"]
mod http;
#[path = "vec/mdns.rs"]
mod mdns;
#[path = "vec/mqtt.rs"]
mod mqtt;
#[path = "../fuzz/oracle.rs"]
mod oracle;
#[path = "vec/reference.rs"]
mod reference;
#[path = "vec/smuggling.rs"]
mod smuggling;
#[path = "vec/text.rs"]
mod text;
#[path = "vec/tls.rs"]
mod tls;
#[path = "vec/ws.rs"]
mod ws;

fn main() {
    let args = Arguments::from_args();
    if !args.list {
        // A child shares its parent's scratch directory.
        if std::env::var_os(engine_rules::CHILD).is_none() {
            files::prepare();
        }
    }
    let mut trials: Vec<Trial> = Vec::new();
    text::trials(&mut trials);
    fmt::trials(&mut trials);
    http::trials(&mut trials);
    engine::trials(&mut trials);
    ws::trials(&mut trials);
    mqtt::trials(&mut trials);
    engine_rules::trials(&mut trials);
    smuggling::trials(&mut trials);
    files::trials(&mut trials);
    dash::trials(&mut trials);
    tls::trials(&mut trials);
    dns::trials(&mut trials);
    mdns::trials(&mut trials);
    device::trials(&mut trials);
    libtest_mimic::run(&args, trials).exit();
}
