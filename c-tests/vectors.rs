//! Every observed input and output, run through the exported C functions of the built shared library.

#![allow(unreachable_pub)] // modules of one test program

use libtest_mimic::{Arguments, Trial};

#[path = "vec/lib.rs"]
mod lib;
#[path = "vec/net.rs"]
mod net;
#[path = "vec/engine.rs"]
mod engine;
#[path = "vec/engine_rules.rs"]
mod engine_rules;
#[path = "vec/fmt.rs"]
mod fmt;
#[path = "vec/http.rs"]
mod http;
#[path = "vec/text.rs"]
mod text;
#[path = "vec/ws.rs"]
mod ws;

fn main() {
    let args = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    text::trials(&mut trials);
    fmt::trials(&mut trials);
    http::trials(&mut trials);
    engine::trials(&mut trials);
    ws::trials(&mut trials);
    engine_rules::trials(&mut trials);
    libtest_mimic::run(&args, trials).exit();
}
