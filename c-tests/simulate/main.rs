//! Runs the library in a simulated network, each time another one: `make simulate SEEDS=n`. See docs/reliability.md.

// What the tests call is C.
#![allow(clippy::undocumented_unsafe_blocks)]

mod client;
mod codec;
mod compare;
mod entropy;
mod ffi;
mod files;
mod line;
mod memory;
mod message;
mod numbers;
mod plan;
mod program;
mod run;
mod speak;
mod supervise;
mod talk;
mod talking;
#[cfg_attr(feature = "sim", path = "wire_sim.rs")]
#[cfg_attr(not(feature = "sim"), path = "wire_real.rs")]
mod wire;

use plan::Plan;
use std::rc::Rc;

fn setting(name: &str) -> Option<u64> {
    let arg = std::env::args().skip_while(|a| a != &format!("--{}", name.to_lowercase())).nth(1);
    let text = arg.or_else(|| std::env::var(name).ok()).filter(|t| !t.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: want a number")))
}

fn main() {
    let real_files = files::Real::new();
    let file = |name: &str| std::env::var(name).ok().filter(|t| !t.is_empty());
    let one = setting("SEED");
    if let Some(path) = file("PREDICT") {
        let (first, count) = one.map_or((setting("FIRST").unwrap_or(0), setting("SEEDS").unwrap_or(1000)), |seed| (seed, 1));
        compare::predict(&path, first, count, one.is_some());
        return;
    }
    if let Some(path) = file("COMPARE") {
        let failed = compare::compare(&path, one.is_some());
        drop(real_files);
        std::process::exit(failed.into());
    }
    let failed = match one {
        Some(seed) => supervise::replay(seed),
        None => {
            let first = setting("FIRST").unwrap_or(0);
            supervise::all(first, setting("SEEDS").unwrap_or(2000), setting("JOBS").map(|n| n as usize))
        }
    };
    drop(real_files);
    std::process::exit(failed.into());
}

fn plan(seed: u64) -> Rc<Plan> {
    Rc::new(Plan::new(seed))
}
