//! Every observed input and output, run through the exported C functions of the built shared library.

#![allow(unreachable_pub)] // modules of one test program

use libtest_mimic::{Arguments, Trial};

#[path = "vectors/lib.rs"]
mod lib;
#[macro_use]
#[path = "vectors/net.rs"]
mod net;
#[path = "vectors/dash.rs"]
mod dash;
#[path = "vectors/device.rs"]
mod device;
#[path = "vectors/dns.rs"]
mod dns;
#[path = "vectors/engine.rs"]
mod engine;
#[path = "vectors/engine_rules.rs"]
mod engine_rules;
#[path = "vectors/files.rs"]
mod files;
#[path = "vectors/fmt.rs"]
mod fmt;
#[path = "vectors/http.rs"]
mod http;
#[path = "vectors/mdns.rs"]
mod mdns;
#[path = "vectors/mqtt.rs"]
mod mqtt;
#[path = "../fuzz/oracle.rs"]
mod oracle;
#[path = "vectors/reference.rs"]
mod reference;
#[path = "vectors/smuggling.rs"]
mod smuggling;
#[path = "vectors/text.rs"]
mod text;
#[path = "vectors/tls.rs"]
mod tls;
#[path = "vectors/ws.rs"]
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
