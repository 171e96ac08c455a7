//! curl as a client.

use crate::server::{Server, client, data_file};
use crate::tools::{scratch, tool};
use libtest_mimic::{Failed, Trial};
use std::{fs, process::Command};

/// Prints for each transfer: status, new connections, bytes of the body, seconds.
const REPORT: &str = "%{http_code} %{num_connects} %{size_download} %{time_total}\n";

fn curl() -> Result<Command, String> {
    let mut curl = tool("curl")?;
    // -q: whatever the user's own settings are.
    curl.args(["-q", "-sS", "--max-time", "30", "--noproxy", "*"]);
    Ok(curl)
}

struct Transfer {
    status: u16,
    connects: u32,
    bytes: u64,
    seconds: f64,
}

fn transfers(report: &str) -> Result<Vec<Transfer>, String> {
    let parse = |line: &str| {
        let mut words = line.split(' ');
        let mut next = || words.next();
        Some(Transfer {
            status: next()?.parse().ok()?,
            connects: next()?.parse().ok()?,
            bytes: next()?.parse().ok()?,
            seconds: next()?.parse().ok()?,
        })
    };
    report.lines().map(|l| parse(l).ok_or(format!("not a report: {report}"))).collect()
}

fn ensure(condition: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(text()) }
}

fn one_connection_for_many_requests(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    let mut curl = curl()?;
    curl.args(["-w", REPORT]);
    let paths =
        ["/hello", "/big?n=100000", "/chunked?n=20", "/hello", "/later?ms=50", "/nowhere", "/download?n=3000000", "/hello"];
    for path in paths {
        curl.args(["-o", "/dev/null"]).arg(server.url(path));
    }
    let report = client(test, curl, 30)?;
    let all = transfers(&report)?;
    ensure(all.len() == paths.len() && all.iter().map(|t| t.connects).sum::<u32>() == 1, || report.clone())?;
    ensure(all.iter().zip(paths).all(|(t, p)| t.status == if p == "/nowhere" { 404 } else { 200 }), || report.clone())?;
    ensure(all[1].bytes == 100000 && all[6].bytes == 3000000, || report.clone())?;
    server.stop()?;
    Ok(())
}

/// Sends a body and compares what comes back.
fn echoed(test: &str, size: usize, options: &[&str]) -> Result<Transfer, Failed> {
    let server = Server::of_tests(test)?;
    let dir = scratch(&format!("clients-{test}"));
    let (file, data) = data_file(&dir, size)?;
    let mut curl = curl()?;
    curl.args(options).args(["-w", REPORT]).arg("--data-binary").arg(format!("@{}", file.display()));
    curl.arg("-o").arg(dir.join("answer")).arg(server.url("/echo"));
    let report = client(test, curl, 30)?;
    let transfer = transfers(&report)?.pop().ok_or("no report")?;
    ensure(transfer.status == 200 && fs::read(dir.join("answer"))? == data, || format!("the body was not echoed: {report}"))?;
    server.stop()?;
    Ok(transfer)
}

fn upload(test: &str) -> Result<(), Failed> {
    echoed(test, 2_500_000, &["-H", "Expect:"]).map(drop)
}

fn chunked_upload(test: &str) -> Result<(), Failed> {
    echoed(test, 2_000_000, &["-H", "Transfer-Encoding: chunked", "-H", "Expect:"]).map(drop)
}

/// Without an interim answer curl would wait ten seconds here; by itself it waits for one.
fn expect_100_continue(test: &str) -> Result<(), Failed> {
    let transfer = echoed(test, 2_000_000, &["-H", "Expect: 100-continue", "--expect100-timeout", "10"])?;
    Ok(ensure(transfer.seconds < 5.0, || format!("{} seconds", transfer.seconds))?)
}

fn expect_100_continue_chunked(test: &str) -> Result<(), Failed> {
    let options = ["-H", "Expect: 100-continue", "--expect100-timeout", "10", "-H", "Transfer-Encoding: chunked"];
    let transfer = echoed(test, 2_000_000, &options)?;
    Ok(ensure(transfer.seconds < 5.0, || format!("{} seconds", transfer.seconds))?)
}

/// The handler takes the body over when it has seen the head; 20 MB are far more than a message may have otherwise.
fn expect_100_continue_when_the_body_is_streamed(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    let (file, _) = data_file(&scratch(&format!("clients-{test}")), 20_000_000)?;
    let mut curl = curl()?;
    curl.args(["-v", "-H", "Expect: 100-continue", "--expect100-timeout", "10", "-w", REPORT, "-o", "/dev/null"]);
    curl.arg("--data-binary").arg(format!("@{}", file.display())).arg(server.url("/upload"));
    let report = client(test, curl, 30)?;
    let transfer = transfers(&report)?.pop().ok_or("no report")?;
    ensure(transfer.status == 200 && transfer.seconds < 5.0, || report)?;
    server.stop()?;
    Ok(())
}

fn head_has_no_body(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    let mut curl = curl()?;
    curl.args(["-I", "-w", REPORT]).arg(server.url("/hello")).arg(server.url("/hello"));
    let text = client(test, curl, 30)?;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
    let (first, second) = text.split_once('\n').and_then(|_| text[head.len()..].split_once('\n')).ok_or("no answer")?;
    ensure(text.starts_with(head) && second.starts_with(head), || text.clone())?;
    let all = transfers(&format!("{first}\n{}", &second[head.len()..]))?;
    ensure(all.len() == 2 && all[0].connects == 1 && all[1].connects == 0, || text.clone())?;
    server.stop()?;
    Ok(())
}

fn http_1_0_is_answered_and_closed(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    let mut curl = curl()?;
    curl.args(["-0", "-i"]).arg(server.url("/hello"));
    let text = client(test, curl, 30)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no head")?;
    ensure(head.contains("\r\nConnection: close\r\n") && body == "hello\n", || text.clone())?;
    let (file, data) = data_file(&scratch(&format!("clients-{test}-data")), 1_000_000)?;
    let answer = file.with_extension("answer");
    let mut curl = self::curl()?;
    curl.arg("-0").arg("--data-binary").arg(format!("@{}", file.display())).arg("-o").arg(&answer).arg(server.url("/echo"));
    client(&format!("{test}-post"), curl, 30)?;
    ensure(fs::read(answer)? == data, || "the echoed body differs".to_string())?;
    server.stop()?;
    Ok(())
}

fn ipv6(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    let mut curl = curl()?;
    // -g: the brackets are no pattern.
    curl.arg("-g").arg(server.url6("/hello")).arg(server.url6("/hello")).arg(server.url("/hello"));
    let text = client(test, curl, 30)?;
    ensure(text == "hello\nhello\nhello\n", || text.clone())?;
    server.stop()?;
    Ok(())
}

/// curl complains when a connection ends before the announced length.
fn draining_ends_the_connection_after_the_answer(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    let mut curl = curl()?;
    curl.args(["-w", REPORT]);
    for _ in 0..3 {
        curl.args(["-o", "/dev/null"]).arg(server.url("/drain"));
    }
    let report = client(test, curl, 30)?;
    ensure(transfers(&report)?.iter().all(|t| t.status == 200 && t.connects == 1 && t.bytes == 8), || report.clone())?;
    server.stop()?;
    Ok(())
}

/// 30 transfers at a time, most of them on connections that have served others before.
fn parallel_transfers(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    let mut curl = curl()?;
    curl.args(["--parallel", "--parallel-max", "30", "--parallel-immediate", "-o", "/dev/null", "-w", REPORT]);
    curl.arg(server.url("/big?n=[1-300]"));
    let report = client(test, curl, 60)?;
    let mut sizes: Vec<u64> = transfers(&report)?.iter().filter(|t| t.status == 200).map(|t| t.bytes).collect();
    sizes.sort_unstable();
    ensure(sizes == (1..=300).collect::<Vec<u64>>(), || report.clone())?;
    server.stop()?;
    Ok(())
}

type Test = fn(&str) -> Result<(), Failed>;

pub(crate) fn trials(all: &mut Vec<Trial>) {
    let list: &[(&'static str, Test)] = &[
        ("one_connection_for_many_requests", one_connection_for_many_requests),
        ("upload", upload),
        ("chunked_upload", chunked_upload),
        ("expect_100_continue", expect_100_continue),
        ("expect_100_continue_chunked", expect_100_continue_chunked),
        ("expect_100_continue_when_the_body_is_streamed", expect_100_continue_when_the_body_is_streamed),
        ("head_has_no_body", head_has_no_body),
        ("http_1_0_is_answered_and_closed", http_1_0_is_answered_and_closed),
        ("ipv6", ipv6),
        ("draining_ends_the_connection_after_the_answer", draining_ends_the_connection_after_the_answer),
        ("parallel_transfers", parallel_transfers),
    ];
    for &(name, test) in list {
        all.push(Trial::test(format!("curl::{name}"), move || test(name)));
    }
}
