//! Seeds over the cores, in child processes, so that a crash or a hang is a finding as any other; and what is made of a finding.

use crate::plan::Plan;
use crate::run::{self, Sums};
use std::io::{IsTerminal, Read, Write};
use std::os::fd::FromRawFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const WORKERS: usize = 64;
const FINDINGS: usize = 64;
/// Real time after which a run hangs.
const HANG: Duration = Duration::from_secs(30);

/// In memory that all processes share.
struct Shared {
    next: AtomicU64,
    end: AtomicU64,
    stop: AtomicBool,
    done: AtomicU64,
    polls: AtomicU64,
    requests: AtomicU64,
    conns: AtomicU64,
    found: AtomicU64,
    findings: [AtomicU64; FINDINGS],
    /// What each worker runs: a seed, plus 1.
    at: [AtomicU64; WORKERS],
}

pub(crate) static STOP: AtomicBool = AtomicBool::new(false);

pub(crate) extern "C" fn interrupted(_: i32) {
    STOP.store(true, SeqCst);
}

fn shared() -> &'static Shared {
    let size = size_of::<Shared>();
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    unsafe {
        let p = libc::mmap(std::ptr::null_mut(), size, prot, flags, -1, 0);
        assert!(p != libc::MAP_FAILED, "no memory");
        &*p.cast()
    }
}

impl Shared {
    fn find(&self, seed: u64) {
        let n = self.found.fetch_add(1, SeqCst) as usize;
        if let Some(place) = self.findings.get(n) {
            place.store(seed, SeqCst);
        }
    }
}

fn worker(shared: &Shared, number: usize) {
    run::warm_up();
    loop {
        let seed = shared.next.fetch_add(1, SeqCst);
        if seed >= shared.end.load(SeqCst) || shared.stop.load(SeqCst) {
            return;
        }
        shared.at[number].store(seed + 1, SeqCst);
        match run::run(&crate::plan(seed), false) {
            Ok(Sums { polls, requests, conns }) => {
                shared.polls.fetch_add(polls, SeqCst);
                shared.requests.fetch_add(requests, SeqCst);
                shared.conns.fetch_add(conns, SeqCst);
            }
            Err(_) => shared.find(seed),
        }
        shared.at[number].store(0, SeqCst);
        shared.done.fetch_add(1, SeqCst);
    }
}

fn fork(child: impl FnOnce()) -> i32 {
    std::io::stdout().flush().ok();
    match unsafe { libc::fork() } {
        0 => {
            child();
            unsafe { libc::_exit(0) }
        }
        pid => pid,
    }
}

/// Grouped by thousands.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Runs `count` seeds from `first` on. True when something was found.
pub(crate) fn all(first: u64, count: u64, jobs: Option<usize>) -> bool {
    let shared = shared();
    shared.next.store(first, SeqCst);
    shared.end.store(first.saturating_add(count), SeqCst);
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let jobs = jobs.unwrap_or(cores).clamp(1, WORKERS);
    unsafe { libc::signal(libc::SIGINT, interrupted as *const () as libc::sighandler_t) };
    let began = Instant::now();
    let start = |number| {
        fork(|| {
            unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
            worker(shared, number);
        })
    };
    let mut pids: Vec<i32> = (0..jobs).map(start).collect();
    let mut seen = vec![(0, Instant::now()); jobs];
    let terminal = std::io::stdout().is_terminal();
    let mut told = Instant::now();
    while pids.iter().any(|pid| *pid > 0) {
        std::thread::sleep(Duration::from_millis(20));
        shared.stop.fetch_or(STOP.load(SeqCst), SeqCst);
        for number in 0..jobs {
            if pids[number] <= 0 {
                continue;
            }
            let at = shared.at[number].load(SeqCst);
            if seen[number].0 != at {
                seen[number] = (at, Instant::now());
            } else if at > 0 && seen[number].1.elapsed() > HANG {
                unsafe { libc::kill(pids[number], libc::SIGKILL) };
            }
            let mut status = 0;
            if unsafe { libc::waitpid(pids[number], &mut status, libc::WNOHANG) } != pids[number] {
                continue;
            }
            let at = shared.at[number].swap(0, SeqCst);
            pids[number] = 0;
            if at > 0 {
                shared.find(at - 1);
                shared.done.fetch_add(1, SeqCst);
                pids[number] = start(number);
            }
        }
        let pause = if terminal { 1 } else { 10 };
        if told.elapsed() >= Duration::from_secs(pause) {
            told = Instant::now();
            progress(shared, count, began, terminal);
        }
    }
    if terminal {
        print!("\r\x1b[K");
    }
    let (done, found) = (shared.done.load(SeqCst), shared.found.load(SeqCst));
    println!(
        "simulate: {} of {} seeds from {first} in {:.1} s, {} a second; {} connections, {} requests, {} polls: {} found",
        grouped(done),
        grouped(count),
        began.elapsed().as_secs_f64(),
        grouped((done as f64 / began.elapsed().as_secs_f64()) as u64),
        grouped(shared.conns.load(SeqCst)),
        grouped(shared.requests.load(SeqCst)),
        grouped(shared.polls.load(SeqCst)),
        if found == 0 { "nothing".to_string() } else { found.to_string() }
    );
    let mut seeds: Vec<u64> = shared.findings.iter().take(found as usize).map(|s| s.load(SeqCst)).collect();
    seeds.sort();
    report(&seeds);
    found > 0
}

fn progress(shared: &Shared, count: u64, began: Instant, terminal: bool) {
    let done = shared.done.load(SeqCst);
    let rate = done as f64 / began.elapsed().as_secs_f64();
    let left = count.saturating_sub(done) as f64 / rate.max(0.001);
    let line = format!(
        "{} of {} seeds, {:.0} a second, {left:.0} s left, {} found",
        grouped(done),
        grouped(count),
        rate,
        shared.found.load(SeqCst)
    );
    if terminal {
        print!("\r\x1b[K{line}")
    } else {
        println!("{line}")
    }
    std::io::stdout().flush().ok();
}

/// The kinds of finding, each once in full.
fn report(seeds: &[u64]) {
    let mut kinds: Vec<(String, Vec<u64>)> = Vec::new();
    for seed in seeds {
        let Some(text) = attempt(&crate::plan(*seed), false) else {
            println!("seed {seed} fails in no second run");
            continue;
        };
        let kind = kind(&text);
        match kinds.iter_mut().find(|k| k.0 == kind) {
            Some(known) => known.1.push(*seed),
            None => kinds.push((kind, vec![*seed])),
        }
    }
    for (kind, seeds) in &kinds {
        println!("seeds {seeds:?}: {kind}");
    }
    for (_, seeds) in kinds.iter().take(3) {
        replay(seeds[0]);
    }
}

/// What a finding says, without its numbers.
fn kind(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    let lists = out.split(['[', ']']).enumerate().map(|(i, part)| if i % 2 == 1 { "[..]" } else { part });
    lists.collect()
}

/// Runs a plan in a process of its own. What it found; None when that is nothing. With `trace`, the trace is printed.
fn attempt(plan: &Rc<Plan>, trace: bool) -> Option<String> {
    let mut ends = [0; 2];
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0, "no pipe");
    let pid = fork(|| {
        let mut out = unsafe { std::fs::File::from_raw_fd(ends[1]) };
        run::warm_up();
        let result = run::run(plan, trace);
        if trace {
            let lines = crate::wire::trace();
            let skipped = lines.len().saturating_sub(400);
            if skipped > 0 {
                println!("  ... {skipped} lines");
            }
            lines[skipped..].iter().for_each(|line| println!("  {line}"));
            std::io::stdout().flush().ok();
        }
        out.write_all(result.err().map_or("+".into(), |e| format!("-{e}")).as_bytes()).ok();
    });
    let mut input = unsafe {
        libc::close(ends[1]);
        std::fs::File::from_raw_fd(ends[0])
    };
    let mut watched = libc::pollfd { fd: ends[0], events: libc::POLLIN, revents: 0 };
    if unsafe { libc::poll(&mut watched, 1, HANG.as_millis() as i32) } == 0 {
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    let mut text = String::new();
    input.read_to_string(&mut text).ok();
    let mut status = 0;
    unsafe { libc::waitpid(pid, &mut status, 0) };
    match text.split_at_checked(1) {
        Some(("+", _)) if status == 0 => None,
        Some(("-", text)) => Some(text.to_string()),
        _ if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL => Some("hangs".into()),
        _ => Some(format!("ends with signal {}", libc::WTERMSIG(status))),
    }
}

/// The smallest plan that still fails in the same way, as far as leaving out single things leads there.
fn shrink(plan: Rc<Plan>, text: &str) -> (Rc<Plan>, String) {
    let (mut plan, mut text) = (plan, text.to_string());
    let wanted = kind(&text);
    let began = Instant::now();
    let mut tries = 0;
    'again: loop {
        for smaller in plan.smaller() {
            if began.elapsed() > Duration::from_secs(20) || STOP.load(SeqCst) {
                break 'again;
            }
            tries += 1;
            let smaller = Rc::new(smaller);
            if let Some(found) = attempt(&smaller, false).filter(|found| kind(found) == wanted) {
                (plan, text) = (smaller, found);
                continue 'again;
            }
        }
        break;
    }
    println!("  made smaller in {tries} tries");
    (plan, text)
}

/// Runs one seed, and shows what it finds. True when that is something.
pub(crate) fn replay(seed: u64) -> bool {
    let plan = crate::plan(seed);
    let Some(text) = attempt(&plan, false) else {
        println!("seed {seed}: nothing found");
        return false;
    };
    println!("seed {seed}: {text}");
    let (plan, text) = shrink(plan, &text);
    println!("  {text}");
    show(&plan);
    _ = attempt(&plan, true);
    println!("seed {seed}: {text}");
    true
}

fn show(plan: &Plan) {
    println!("  {:?}", plan.climate);
    if let Some((from, many)) = plan.famine {
        println!("  {many} allocations fail from number {from} on");
    }
    println!("  {:?}, polls of {} ms, loud {}, acts {:?}", plan.limits, plan.poll_ms, plan.loud, plan.acts);
    for (i, client) in plan.clients.iter().enumerate() {
        println!(
            "  client {i}, {:?}, from {} us, reads of {} each {} us:",
            client.secure, client.start_us, client.read_most, client.read_pause_us
        );
        client.steps.iter().for_each(|step| println!("    {step:?}"));
        for id in client.requests() {
            println!("    {id}: {:?}", plan.requests[id]);
        }
    }
    plan.talks.iter().enumerate().for_each(|(i, talk)| println!("  talk {i}: {talk:#?}"));
}
