//! Drives the targets.
//!
//! - `drive smoke PROGRAM`: runs every target over its seeds.
//! - `drive fuzz PROGRAM ASAN SECONDS EXECUTIONS`: fuzzes all targets, in rounds, until SECONDS have passed or, if EXECUTIONS is not 0,
//!   there were so many. Both programs are built with the feature `libfuzzer`, ASAN with AddressSanitizer.
//! - `drive minimise PROGRAM`: reduces the corpora in fuzz/corpus to the smallest sets with the coverage of the last runs.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

mod seeds;

/// An input that takes longer has found something.
const SECONDS_PER_INPUT: u64 = 10;
/// A smoke that takes longer hangs.
const SMOKE_SECONDS: u64 = 30;
/// Larger inputs are not kept in the repository, nor more of them for one target.
const KEPT_SIZE: usize = 512;
const KEPT: usize = 40;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupt(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

struct Place {
    root: PathBuf,
    work: PathBuf,
    program: PathBuf,
}

impl Place {
    fn targets(&self) -> Vec<String> {
        let out = Command::new(&self.program).env_remove("FUZZ_TARGET").output().expect("the targets are built");
        let names: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(String::from).collect();
        assert!(!names.is_empty(), "{} has no targets", self.program.display());
        let only = std::env::var("TARGETS").unwrap_or_default();
        let only: Vec<&str> = only.split_whitespace().collect();
        if let Some(name) = only.iter().find(|o| !names.iter().any(|n| n == *o)) {
            panic!("there is no target {name}");
        }
        names.into_iter().filter(|n| only.is_empty() || only.contains(&n.as_str())).collect()
    }

    /// Where a target's inputs are while it runs; new ones stay there.
    fn inputs(&self, target: &str) -> PathBuf {
        self.work.join("inputs").join(target)
    }

    fn findings(&self) -> PathBuf {
        self.work.join("findings")
    }

    /// The directory with the seeds of a target in files.
    fn write_seeds(&self, target: &str, fresh: bool) -> PathBuf {
        let dir = self.inputs(target);
        if fresh {
            let _ = fs::remove_dir_all(&dir);
        }
        fs::create_dir_all(&dir).unwrap();
        for (n, seed) in seeds::of(&self.root, target).iter().enumerate() {
            fs::write(dir.join(format!("seed-{n:04}")), seed).unwrap();
        }
        dir
    }

    fn command(&self, program: &Path, target: &str) -> Command {
        let tmp = self.work.join("tmp");
        fs::create_dir_all(&tmp).unwrap();
        let mut command = Command::new(program);
        command.env("FUZZ_TARGET", target).env("TMPDIR", "/tmp").current_dir(tmp).stdin(Stdio::null()).stdout(Stdio::null());
        // Managers live as long as the process.
        command.env("ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1");
        command
    }
}

/// The line with which Rust, AddressSanitizer or libFuzzer begins to tell of a finding.
fn is_finding(line: &str) -> bool {
    ["panicked at", "==ERROR: ", "== ERROR: "].iter().any(|sign| line.contains(sign))
}

/// The lines that the child writes until it ends. `look` is called at least once a second, and says whether to go on.
fn follow(mut child: Child, mut look: impl FnMut(Option<&str>) -> bool) -> (bool, Vec<String>) {
    let (to, from) = mpsc::channel();
    let stderr = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            if to.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    let (mut lines, mut stopping) = (Vec::new(), None::<Instant>);
    loop {
        let line = match from.recv_timeout(Duration::from_millis(500)) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if !look(line.as_deref()) || interrupted() {
            let pid = child.id() as libc::pid_t;
            let since = *stopping.get_or_insert_with(|| {
                // SAFETY: our child, which has not been waited for.
                unsafe { libc::kill(pid, libc::SIGINT) };
                Instant::now()
            });
            if since.elapsed() > Duration::from_secs(5) {
                let _ = child.kill();
            }
        }
        if let Some(line) = line {
            if lines.len() == 4000 {
                lines.drain(..2000);
            }
            lines.push(line);
        }
    }
    let ended_well = child.wait().unwrap().success() || stopping.is_some();
    let found = lines.iter().any(|l| is_finding(l));
    (ended_well && !found, lines)
}

fn smoke(place: &Place) -> bool {
    let (mut passed, mut failed) = (0, Vec::new());
    for target in place.targets() {
        let dir = place.write_seeds(&target, true);
        let inputs = fs::read_dir(&dir).unwrap().count();
        let began = Instant::now();
        let child = place.command(&place.program, &target).arg(&dir).stderr(Stdio::piped()).spawn().unwrap();
        let (good, lines) = follow(child, |_| began.elapsed().as_secs() < SMOKE_SECONDS);
        if interrupted() {
            break;
        }
        let in_time = began.elapsed().as_secs() < SMOKE_SECONDS;
        let verdict = if good && in_time { "ok" } else { "FAILED" };
        println!("{target}: {inputs} inputs, {} ms, {verdict}", began.elapsed().as_millis());
        if good && in_time {
            passed += 1;
        } else {
            lines.iter().rev().take(20).rev().for_each(|l| println!("  {l}"));
            failed.push(target);
        }
    }
    println!("fuzz: {passed} passed, {} failed", failed.len());
    failed.is_empty() && !interrupted()
}

/// What a target gets of the time, how long its inputs may be, and the share of its time, in percent, with AddressSanitizer, which
/// finds more in code with raw pointers, learns from comparisons, and makes safe code a few times slower.
struct Plan {
    weight: u32,
    max_len: u32,
    asan: u32,
}

fn plan(target: &str) -> Plan {
    let (weight, max_len, asan) = match target {
        "server" => (12, 4096, 60),
        "http_client" | "ws_client" | "mqtt_client" => (4, 2048, 60),
        "tls_records" | "tls_handshake" | "tls_options" => (3, 4096, 60),
        "ota" | "modbus" | "mqtt" => (3, 1024, 60),
        "printf" | "iobuf" => (3, 512, 60),
        "ec_key" | "ec_verify" => (1, 1024, 20),
        "http_parse" | "framing" | "http_response" | "multipart" | "json_getters" | "rpc" => (5, 1024, 10),
        "jwt" => (3, 512, 10),
        "der" | "x509" | "pem" => (4, 2048, 10),
        "dns" | "mdns" => (4, 512, 10),
        _ => (3, 512, 10),
    };
    Plan { weight, max_len, asan }
}

/// How long all targets together take until the first has its turn again.
const ROUND: Duration = Duration::from_secs(900);

#[derive(Default)]
struct Row {
    target: String,
    executions: u64,
    coverage: u64,
    inputs: u64,
    /// CPU time: others may use the machine.
    seconds: f64,
    findings: u64,
}

/// The number behind a word in a line of libFuzzer's.
fn number(line: &str, word: &str) -> Option<u64> {
    line[line.find(word)? + word.len()..].trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// CPU time of all processes that ended.
fn cpu_seconds() -> f64 {
    // SAFETY: all zero is valid, and filled in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    [usage.ru_utime, usage.ru_stime].iter().map(|t| t.tv_sec as f64 + t.tv_usec as f64 / 1e6).sum()
}

/// What one process has done so far.
#[derive(Default)]
struct Progress {
    executions: u64,
    rate: u64,
    coverage: u64,
    inputs: u64,
}

impl Progress {
    fn read(&mut self, line: &str) {
        if line.starts_with('#') {
            self.executions = number(line, "#").unwrap_or(self.executions).max(self.executions);
            self.rate = number(line, "exec/s:").unwrap_or(self.rate);
            self.coverage = number(line, "cov:").unwrap_or(self.coverage);
            self.inputs = number(line, "corp:").unwrap_or(self.inputs);
        } else if line.starts_with("stat::number_of_executed_units:") {
            self.executions = number(line, "units:").unwrap_or(self.executions);
        }
    }
}

fn dictionary(place: &Place, target: &str) -> Option<PathBuf> {
    let name = match target {
        "http_client" | "http_response" | "framing" | "server" | "http_parse" | "creds" | "chunked" => "http",
        "json" | "json_getters" | "rpc" | "ota" => "json",
        "pem" | "tls_options" | "ec_key" => "pem",
        "ws" | "ws_client" => "ws",
        "mqtt" | "mqtt_client" => "mqtt",
        "tls_records" => "tls",
        "der" | "x509" => "der",
        other => other,
    };
    Some(place.root.join("fuzz").join(format!("{name}.dict"))).filter(|p| p.exists())
}

struct Run<'a> {
    place: &'a Place,
    began: Instant,
    deadline: Instant,
    /// 0 if only the time ends it.
    goal: u64,
    rows: Vec<Row>,
}

impl Run<'_> {
    fn executions(&self) -> u64 {
        self.rows.iter().map(|r| r.executions).sum()
    }

    fn findings(&self) -> u64 {
        self.rows.iter().map(|r| r.findings).sum()
    }

    fn is_over(&self) -> bool {
        interrupted() || Instant::now() >= self.deadline || self.goal > 0 && self.executions() >= self.goal
    }

    /// One process.
    fn fuzz(&mut self, k: usize, program: &Path, share: Duration) {
        let target = self.rows[k].target.clone();
        let plan = plan(&target);
        let dir = self.place.write_seeds(&target, false);
        let mut command = self.place.command(program, &target);
        command.arg(&dir);
        command.args([
            format!("-timeout={SECONDS_PER_INPUT}"),
            format!("-max_len={}", plan.max_len),
            "-rss_limit_mb=1024".into(),
            "-reload=0".into(),
            "-print_final_stats=1".into(),
            "-print_funcs=0".into(),
            format!("-artifact_prefix={}/{target}-", self.place.findings().display()),
        ]);
        command.args(dictionary(self.place, &target).map(|d| format!("-dict={}", d.display())));
        let (mut now, start, cpu) = (Progress::default(), Instant::now(), cpu_seconds());
        let mut shown = Instant::now();
        let (all, before, findings) = (self.rows.len(), self.executions(), self.findings());
        let interval = Duration::from_millis(if std::io::stderr().is_terminal() { 500 } else { 10_000 });
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (good, lines) = follow(child, |line| {
            line.iter().for_each(|l| now.read(l));
            let done = before + now.executions;
            if shown.elapsed() >= interval {
                shown = Instant::now();
                let rate = done as f64 / self.began.elapsed().as_secs_f64();
                let mut left = self.deadline.saturating_duration_since(shown).as_secs();
                if self.goal > 0 {
                    left = left.min((self.goal.saturating_sub(done) as f64 / rate.max(1.0)) as u64);
                }
                let end = if std::io::stderr().is_terminal() { "\x1b[K\r" } else { "\n" };
                eprint!(
                    "target {} of {all}: {target}, {}/s; in all {done} executions, {rate:.0}/s, {left} s left, {findings} findings{end}",
                    k + 1,
                    now.rate,
                );
            }
            // Reading the seeds counts, too.
            start.elapsed() < share && (self.goal == 0 || done < self.goal)
        });
        let row = &mut self.rows[k];
        row.seconds += cpu_seconds() - cpu;
        row.executions += now.executions;
        row.coverage = row.coverage.max(now.coverage);
        row.inputs = row.inputs.max(now.inputs);
        if !good {
            row.findings += 1;
            eprintln!("{target}: a finding");
            let from = lines.iter().position(|l| is_finding(l)).unwrap_or(0);
            lines[from..].iter().take(25).for_each(|l| eprintln!("  {l}"));
            if let Some(l) = lines.iter().find(|l| l.contains("Test unit written to")) {
                eprintln!("  {l}");
            }
        }
    }

    fn table(&self) -> String {
        let line = |name: &str, executions, seconds: f64, coverage: String, inputs: String, findings| {
            let rate = executions as f64 / seconds.max(0.001);
            format!("{name:<16} {executions:>12} {rate:>9.0} {coverage:>8} {inputs:>7} {seconds:>8.1} {findings}\n")
        };
        let head = format!(
            "{:<16} {:>12} {:>9} {:>8} {:>7} {:>8} findings\n",
            "target", "executions", "per CPU s", "edges", "inputs", "CPU s"
        );
        let rows: String = self
            .rows
            .iter()
            .map(|r| line(&r.target, r.executions, r.seconds, r.coverage.to_string(), r.inputs.to_string(), r.findings))
            .collect();
        let seconds = self.rows.iter().map(|r| r.seconds).sum();
        head + &rows + &line("all", self.executions(), seconds, String::new(), String::new(), self.findings())
    }
}

fn fuzz(place: &Place, asan: &Path, seconds: u64, goal: u64) -> bool {
    fs::create_dir_all(place.findings()).unwrap();
    let began = Instant::now();
    let rows = place.targets().into_iter().map(|target| Row { target, ..Row::default() }).collect();
    let mut run = Run { place, began, deadline: began + Duration::from_secs(seconds), goal, rows };
    let weights: Vec<u32> = run.rows.iter().map(|r| plan(&r.target).weight).collect();
    while !run.is_over() {
        let end = run.deadline.min(Instant::now() + ROUND);
        for k in 0..run.rows.len() {
            if run.is_over() {
                break;
            }
            // What one did not need is left for the others.
            let share = end.saturating_duration_since(Instant::now()) * weights[k] / weights[k..].iter().sum::<u32>();
            let with_asan = share * plan(&run.rows[k].target).asan / 100;
            run.fuzz(k, asan, with_asan);
            run.fuzz(k, &place.program, share - with_asan);
        }
        // For runs of many hours, which may be cut off.
        fs::write(place.work.join("table.txt"), run.table()).unwrap();
    }
    print!("{}", run.table());
    let failed = run.rows.iter().filter(|r| r.findings > 0).count();
    let end = if interrupted() { ", interrupted" } else { "" };
    println!("fuzz: {} passed, {failed} failed, {} s{end}", run.rows.len() - failed, began.elapsed().as_secs());
    failed == 0
}

fn minimise(place: &Place) -> bool {
    fs::create_dir_all(place.root.join("fuzz/corpus")).unwrap();
    for target in place.targets() {
        let from = place.write_seeds(&target, false);
        let to = place.work.join("minimised").join(&target);
        let _ = fs::remove_dir_all(&to);
        fs::create_dir_all(&to).unwrap();
        let child = place
            .command(&place.program, &target)
            .args(["-set_cover_merge=1", "-max_len=512"])
            .args([&to, &from])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (good, lines) = follow(child, |_| true);
        if interrupted() || !good {
            lines.iter().rev().take(5).rev().for_each(|l| eprintln!("  {l}"));
            eprintln!("{target}: not minimised");
            return false;
        }
        // The seeds are made anew from the vectors.
        let path = seeds::corpus(&place.root, &target);
        let _ = fs::remove_file(&path);
        let known = seeds::of(&place.root, &target);
        let mut kept: Vec<Vec<u8>> = fs::read_dir(&to).unwrap().map(|e| fs::read(e.unwrap().path()).unwrap()).collect();
        kept.retain(|i| i.len() <= KEPT_SIZE && !known.contains(i));
        kept.sort_by_key(Vec::len);
        let kept: BTreeSet<String> = kept.iter().take(KEPT).map(|i| seeds::escape(i)).collect();
        if !kept.is_empty() {
            let mut file = fs::File::create(&path).unwrap();
            kept.iter().for_each(|line| writeln!(file, "{line}").unwrap());
        }
        println!("{target}: {} inputs", kept.len());
    }
    true
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf();
    let absolute = |program: &str| fs::canonicalize(program).unwrap_or_else(|e| panic!("{program}: {e}"));
    let place = |program: &str| Place { work: root.join("target/fuzz"), program: absolute(program), root: root.clone() };
    let handler: extern "C" fn(libc::c_int) = interrupt;
    // SAFETY: the handler stores a flag.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
    let good = match args.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["smoke", program] => smoke(&place(program)),
        ["fuzz", program, asan, seconds, executions] => fuzz(
            &place(program),
            &absolute(asan),
            seconds.parse().expect("SECONDS is a number"),
            executions.parse().expect("EXECUTIONS is a number"),
        ),
        ["minimise", program] => minimise(&place(program)),
        _ => panic!("drive smoke PROGRAM | fuzz PROGRAM ASAN SECONDS EXECUTIONS | minimise PROGRAM"),
    };
    ExitCode::from(u8::from(!good))
}
