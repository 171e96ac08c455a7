//! RFC 6455 case by case: each runs over sockets against our server and our client, with default settings and with
//! mgx_mgr_ws_strict, and every byte received is compared. The numbers are those of the public conformance suite for WebSocket
//! implementations on which the cases are modelled.

use libtest_mimic::{Arguments, Trial};

#[path = "ws/cases.rs"]
mod cases;
#[path = "ws/handshakes.rs"]
mod handshakes;
#[allow(dead_code, unreachable_pub)] // shared with the vectors
#[path = "vectors/lib.rs"]
mod lib;
#[allow(dead_code, unreachable_pub)]
#[path = "vectors/net.rs"]
mod net;
#[path = "ws/random.rs"]
mod random;
#[path = "ws/script.rs"]
mod script;

fn main() {
    let args = Arguments::from_args();
    let mut all: Vec<Trial> = Vec::new();
    cases::trials(&mut all);
    handshakes::trials(&mut all);
    random::trials(&mut all);
    libtest_mimic::run(&args, all).exit();
}
