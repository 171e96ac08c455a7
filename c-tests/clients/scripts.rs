//! The clients of c-tests/scripts: Python and Node, mostly with their standard libraries, sometimes with raw sockets.

use crate::server::{Server, client};
use crate::tools::{root, shared_dir, tool};
use libtest_mimic::{Failed, Trial};
use std::process::Command;

/// Allowed growth of a server's peak memory in streaming tests.
const STREAMING_KIB: u64 = 20 * 1024;
/// Allowed growth after ten thousand connections.
const LEFT_KIB: u64 = 1024;

pub(crate) fn command(script: &str, server: &Server, args: &[&str]) -> Result<Command, String> {
    let mut command = tool(if script.ends_with(".js") { "node" } else { "python3" })?;
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(root("c-tests/scripts").join(script));
    command.arg("127.0.0.1").arg(server.port().to_string()).args(args);
    Ok(command)
}

fn run(test: &str, script: &str, server: &Server, args: &[&str]) -> Result<(), String> {
    client(&format!("{test}-{script}"), command(script, server, args)?, 60).map(drop)
}

/// A script with a server of its own.
fn simple(all: &mut Vec<Trial>, test: &'static str, script: &'static str, args: &'static [&'static str]) {
    let body = move || {
        let server = Server::of_tests(test)?;
        run(test, script, &server, args)?;
        server.stop()?;
        Ok(())
    };
    all.push(Trial::test(format!("scripts::{test}"), body));
}

/// A gibibyte goes through a server that never holds more than a small part of it.
fn flat_memory(test: &str, script: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    run(test, script, &server, &["1"])?;
    let before = server.kib("VmRSS")?;
    run(test, script, &server, &["1024"])?;
    let growth = server.kib("VmHWM")?.saturating_sub(before);
    if growth > STREAMING_KIB {
        return Err(format!("the server's memory grew by {growth} KiB").into());
    }
    server.stop()?;
    Ok(())
}

fn slow_readers_do_not_block_others(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    run(test, "slow_reader.py", &server, &[&server.pid().to_string()])?;
    server.stop()?;
    Ok(())
}

/// 10,000 connections that close immediately leak nothing.
fn port_scan_leaks_nothing(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    run(test, "portscan.py", &server, &["1000"])?;
    let (memory, descriptors) = (server.kib("VmRSS")?, server.descriptors()?);
    run(test, "portscan.py", &server, &["10000"])?;
    let growth = server.kib("VmRSS")?.saturating_sub(memory);
    if growth > LEFT_KIB || server.descriptors()? > descriptors {
        return Err(format!("{growth} KiB more, {} descriptors instead of {descriptors}", server.descriptors()?).into());
    }
    server.stop()?;
    Ok(())
}

fn resets_leak_nothing(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    run(test, "reset.py", &server, &["400"])?;
    let (memory, descriptors) = (server.kib("VmRSS")?, server.descriptors()?);
    run(test, "reset.py", &server, &["4000"])?;
    let growth = server.kib("VmRSS")?.saturating_sub(memory);
    // Some blocks for output are kept for the next large answer.
    if growth > STREAMING_KIB || server.descriptors()? > descriptors {
        return Err(format!("{growth} KiB more, {} descriptors instead of {descriptors}", server.descriptors()?).into());
    }
    server.stop()?;
    Ok(())
}

fn connections_wait_when_descriptors_run_out(test: &str) -> Result<(), Failed> {
    let server = Server::start(test, "c-tests/programs/server.c", &["few-files", "http://127.0.0.1:0"], 1)?;
    run(test, "descriptors.py", &server, &[&server.pid().to_string()])?;
    server.stop()?;
    Ok(())
}

/// The library ignores SIGPIPE, and does not need that to survive: here the program has restored what kills it.
fn broken_pipes_do_not_kill_the_process(test: &str) -> Result<(), Failed> {
    let args = ["default-sigpipe", "http://127.0.0.1:0"];
    let server = Server::start(test, "c-tests/programs/server.c", &args, 1)?;
    run(test, "leave.py", &server, &[])?;
    run(test, "reset.py", &server, &["800"])?;
    server.stop()?;
    Ok(())
}

/// A binding: the library is loaded into Python and is the server there.
fn python_binding(test: &str) -> Result<(), Failed> {
    let mut python = tool("python3")?;
    python.arg("-B").arg(root("c-tests/scripts/binding.py")).arg(shared_dir().join("libmongoose.so"));
    client(test, python, 60)?;
    Ok(())
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    all.push(Trial::test("scripts::slow_readers_do_not_block_others", || slow_readers_do_not_block_others("slow_readers")));
    all.push(Trial::test("scripts::upload_of_a_gibibyte_in_flat_memory", || flat_memory("big_upload", "upload.py")));
    all.push(Trial::test("scripts::download_of_a_gibibyte_in_flat_memory", || flat_memory("big_download", "download.py")));
    all.push(Trial::test("scripts::port_scan_leaks_nothing", || port_scan_leaks_nothing("port_scan")));
    all.push(Trial::test("scripts::resets_leak_nothing", || resets_leak_nothing("resets")));
    all.push(Trial::test("scripts::broken_pipes_do_not_kill_the_process", || {
        broken_pipes_do_not_kill_the_process("broken_pipes")
    }));
    all.push(Trial::test("scripts::connections_wait_when_descriptors_run_out", || {
        connections_wait_when_descriptors_run_out("descriptors")
    }));
    all.push(Trial::test("scripts::python_binding", || python_binding("python_binding")));
    simple(all, "pipelined_requests_are_answered_in_order", "pipeline.py", &[]);
    simple(all, "python_http_client", "httpclient.py", &[]);
    simple(all, "a_thousand_connections_at_once", "thousand.py", &["1000"]);
    simple(all, "clients_that_leave_are_forgotten", "leave.py", &[]);
    simple(all, "node_keep_alive_agent", "agent.js", &[]);
    // Not more: a client that closes first keeps its port busy for a minute, and the machine has 28,000 of them.
    simple(all, "a_connection_for_each_request", "oneshot.js", &["4000", "64"]);
    simple(all, "twenty_browsers_with_six_connections_each", "browsers.js", &["20", "60"]);
}
