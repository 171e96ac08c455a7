//! The C side of the tests: compiling the header, the C programs of this directory and of examples-c, and `make install`.

#![allow(unreachable_pub)] // A test program has no users.

use libtest_mimic::{Arguments, Trial};

#[path = "run/header.rs"]
mod header;
#[path = "run/install.rs"]
mod install;
#[path = "run/programs.rs"]
mod programs;
#[path = "run/tools.rs"]
mod tools;
#[path = "run/torture.rs"]
mod torture;

fn main() {
    let mut args = Arguments::from_args();
    // The programs wait for timers and peers more than they work.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    args.test_threads.get_or_insert(2 * processors);
    if !args.list {
        tools::link_shared();
        header::generate();
    }
    let mut all: Vec<Trial> = Vec::new();
    header::trials(&mut all);
    programs::tool_trials(&mut all);
    programs::trials(&mut all);
    install::trials(&mut all);
    torture::fault_trial(&mut all);
    torture::starving_trial(&mut all);
    if torture::is_asked_for() {
        all.retain(|t| torture::KINDS.iter().any(|kind| t.name().ends_with(kind)));
        let done = libtest_mimic::run(&args, all);
        println!("torture: {} passed, {} failed", done.num_passed, done.num_failed);
        done.exit();
    }
    libtest_mimic::run(&args, all).exit();
}
