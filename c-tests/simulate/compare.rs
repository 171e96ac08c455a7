//! The same plans with real sockets: the simulated network writes down what will happen, and the system's sockets must agree.
//! Compared are, for each peer, the events of its connection in their order and with their times (without MG_EV_POLL, and without
//! MG_EV_READ where the peer sends more than fits the buffers), why it ended, what the peer read and how it saw the end.

use crate::plan::Plan;
use crate::run;
use crate::supervise::{STOP, grouped, interrupted};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// What a run came to: its record, and what it found.
fn run(seed: u64, trace: bool) -> String {
    let found = run::run(&Rc::new(Plan::predictable(seed)), trace).err();
    if trace {
        crate::wire::trace().iter().for_each(|line| println!("  {line}"));
        crate::wire::end();
    }
    let mut text = run::take_record();
    if let Some(found) = found {
        _ = writeln!(text, "found: {found}");
    }
    text
}

pub(crate) fn predict(path: &str, first: u64, count: u64, trace: bool) {
    run::warm_up();
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("a file for predictions"));
    for seed in first..first + count {
        write!(out, "seed {seed}\n{}", run(seed, trace)).expect("room for predictions");
    }
}

/// True when something differs.
pub(crate) fn compare(path: &str, trace: bool) -> bool {
    let text = std::fs::read_to_string(path).expect("predictions");
    unsafe { libc::signal(libc::SIGINT, interrupted as *const () as libc::sighandler_t) };
    run::warm_up();
    let began = Instant::now();
    let all: Vec<(u64, &str)> = text
        .split("seed ")
        .skip(1)
        .filter_map(|part| part.split_once('\n'))
        .filter_map(|(seed, text)| Some((seed.parse().ok()?, text)))
        .collect();
    let terminal = std::io::stdout().is_terminal();
    let (mut done, mut lines, mut differ) = (0u32, 0u64, Vec::new());
    let mut told = Instant::now();
    for (seed, want) in &all {
        if STOP.load(SeqCst) {
            break;
        }
        let got = run(*seed, trace);
        done += 1;
        lines += want.lines().count() as u64;
        if got != *want {
            differ.push(*seed);
            if differ.len() <= 5 {
                show(*seed, want, &got);
            }
        }
        if told.elapsed() > Duration::from_secs(if terminal { 1 } else { 10 }) {
            told = Instant::now();
            let left = began.elapsed().as_secs_f64() / f64::from(done) * (all.len() as f64 - f64::from(done));
            println!("{done} of {} seeds, {left:.0} s left, {} differ", all.len(), differ.len());
            std::io::stdout().flush().ok();
        }
    }
    println!(
        "simulate-real: {} of {} seeds in {:.1} s, {} lines of events compared: {}",
        grouped(u64::from(done)),
        grouped(all.len() as u64),
        began.elapsed().as_secs_f64(),
        grouped(lines),
        if differ.is_empty() { "nothing differs".to_string() } else { format!("{} differ: {differ:?}", differ.len()) }
    );
    !differ.is_empty()
}

fn show(seed: u64, want: &str, got: &str) {
    println!("seed {seed} differs:");
    let (want, got): (Vec<_>, Vec<_>) = (want.lines().collect(), got.lines().collect());
    let same = want.iter().zip(&got).take_while(|(a, b)| a == b).count();
    want[same.saturating_sub(6)..same].iter().for_each(|line| println!("    {line}"));
    want[same..].iter().take(4).for_each(|line| println!("  simulated: {line}"));
    got[same..].iter().take(4).for_each(|line| println!("  real:      {line}"));
}
