//! C programs under adverse conditions, produced by the preloads of c-tests/preload: transfers of one and of seven bytes,
//! failing system calls, and failing allocations. `make torture` runs all of it, `make test` a part.

use crate::programs::Program;
use crate::tools::{self, Outcome, root};
use libtest_mimic::{Failed, Trial};
use std::{env, path::PathBuf, process::Command, sync::Arc, sync::OnceLock, time::Duration};

/// Programs of each protocol, which `make test` runs with short transfers, too.
const ALWAYS: &[&str] = &["client_connections", "http_replies", "usage_http", "mqtt_client", "ws_echo"];

/// How the names of these trials end.
pub const KINDS: &[&str] = &["::short1", "::short7", "::faults", "::starved"];

pub fn is_asked_for() -> bool {
    env::var_os("MONGOOSE_TORTURE").is_some()
}

fn preload(name: &'static str, built: &'static OnceLock<Result<PathBuf, String>>) -> Result<PathBuf, String> {
    built.get_or_init(|| tools::preload(name)).clone()
}

fn short_io(p: &Program, bytes: usize) -> Result<Outcome, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let mut program = Command::new(p.shared()?);
    program.env("LD_PRELOAD", preload("short_io", &BUILT)?).env("SHORT_IO", bytes.to_string());
    // Hundreds of calls for one.
    p.start(&format!("short{bytes}"), program, p.timeout * 3)
}

/// `stem` with transfers cut, unless its first lines say that it cannot.
pub fn short_trials(all: &mut Vec<Trial>, stem: &str, program: &Arc<Program>, skip: impl Fn(&str) -> bool) {
    if !is_asked_for() && !ALWAYS.contains(&stem) {
        return;
    }
    for bytes in [1, 7] {
        let (p, kind) = (program.clone(), format!("short{bytes}"));
        let body = move || {
            let outcome = short_io(&p, bytes)?;
            if outcome.code == 0 { Ok(()) } else { Err(Failed::from(outcome.text())) }
        };
        all.push(Trial::test(format!("{}::{kind}", program.name), body).with_ignored_flag(skip("short")));
    }
}

/// `victim.c`, while each system call fails in turn.
pub fn fault_trial(all: &mut Vec<Trial>) {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    preloaded(all, "victim", "faults", "faults", &BUILT);
}

/// `starved.c`, while allocations fail in turn: each of them in `make torture`.
pub fn starving_trial(all: &mut Vec<Trial>) {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    preloaded(all, "starved", "starve", "starved", &BUILT);
}

/// A program of c-tests/preload with the preload that is made for it.
fn preloaded(
    all: &mut Vec<Trial>,
    stem: &str,
    library: &'static str,
    kind: &'static str,
    built: &'static OnceLock<Result<PathBuf, String>>,
) {
    let mut p = Program::new(&format!("torture::{stem}"), root("c-tests/preload").join(format!("{stem}.c")));
    p.flags = vec!["-D_GNU_SOURCE".into(), "-ldl".into()];
    p.timeout = Duration::from_secs(if is_asked_for() { 1800 } else { 300 });
    let name = format!("{}::{kind}", p.name);
    let body = move || {
        let mut program = Command::new(p.shared()?);
        program.env("LD_PRELOAD", preload(library, built)?);
        if is_asked_for() {
            program.env("STARVE", "all");
        }
        let outcome = p.start(kind, program, p.timeout)?;
        if is_asked_for() {
            print!("{}", outcome.stdout);
        }
        if outcome.code == 0 { Ok(()) } else { Err(Failed::from(outcome.text())) }
    };
    all.push(Trial::test(name, body));
}
