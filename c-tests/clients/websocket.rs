//! Third-party WebSocket peers, as clients of our server and as servers of our client.

use crate::examples::ensure;
use crate::server::{Server, build, client};
use crate::tools::{root, scratch, tool};
use libtest_mimic::{Failed, Trial};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

/// Packages of other languages are kept in a directory of their own: `make deps` puts them there.
pub(crate) fn peer_package(language: &str, name: &str) -> Result<PathBuf, String> {
    let (dir, install) = match language {
        "python3" => (root("target/peers/python"), "python3 -m pip install --target target/peers/python"),
        _ => (root("target/peers/node/node_modules"), "npm install --prefix target/peers/node"),
    };
    if dir.join(name.trim_end_matches("-mqtt")).is_dir() {
        return Ok(dir);
    }
    Err(format!("the {language} package {name} is missing; install it with `make deps` or `{install} {name}`"))
}

/// A script, with the package it needs.
pub(crate) fn script(name: &str) -> Result<Command, String> {
    let (language, package, variable) =
        if name.ends_with(".py") { ("python3", "websockets", "PYTHONPATH") } else { ("node", "ws", "NODE_PATH") };
    let mut command = tool(language)?;
    command.env(variable, peer_package(language, package)?).env("PYTHONDONTWRITEBYTECODE", "1");
    // A machine's proxy is not for these connections.
    command.env("no_proxy", "127.0.0.1").arg(root("c-tests/scripts").join(name));
    Ok(command)
}

fn their_client(name: &str) -> Result<(), Failed> {
    let test = format!("ws-{name}");
    let server = Server::start(&test, "examples-c/websocket-echo.c", &["http://127.0.0.1:0"], 1)?;
    let mut command = script(name)?;
    command.args(["127.0.0.1", &server.port().to_string()]);
    client(&test, command, 60)?;
    server.stop()?;
    Ok(())
}

fn their_server(name: &str) -> Result<(), Failed> {
    let test = format!("ws-{name}");
    let server = Server::spawn(&test, script(name)?, 1)?;
    let mut command = Command::new(build("c-tests/programs/ws_client.c")?);
    command.arg(format!("ws://127.0.0.1:{}/", server.port()));
    let said = client(&test, command, 60)?;
    let listen = |path: &str| {
        let mut command = Command::new(build("c-tests/programs/ws_listener.c")?);
        command.arg(format!("ws://127.0.0.1:{}{path}", server.port()));
        client(&test, command, 60)
    };
    // Fragments and a ping, which must be answered before the rest comes: a MiB, a MB in fragments, 64 KiB.
    let got = listen("/talk")?;
    let want = "text fragment \u{20ac} and another\nping are you there?\ntext so you are\n\
        binary 1048576 4d0e435\nbinary 1000000 287988b9\ntext 65536 2cb4589a\nclose 1000 \n";
    ensure(got == want, || got)?;
    for code in [1000, 1001, 1011, 3000, 4999] {
        let got = listen(&format!("/close/{code}"))?;
        ensure(got == format!("close {code} because\n"), || got)?;
    }
    server.stop()?;
    // The Close frame comes back, with its reason from those who return it.
    if ["1 4001 \n", "1 4001 good-bye\n"].contains(&said.as_str()) { Ok(()) } else { Err(said.into()) }
}

/// Our client and our server, as two processes.
fn own_client_and_server() -> Result<(), Failed> {
    let server = Server::start("ws-own", "examples-c/websocket-echo.c", &["http://127.0.0.1:0"], 1)?;
    let mut command = Command::new(build("c-tests/programs/ws_client.c")?);
    command.arg(format!("ws://127.0.0.1:{}/websocket", server.port()));
    let said = client("ws-own", command, 60)?;
    server.stop()?;
    if said == "1 4001 good-bye\n" { Ok(()) } else { Err(said.into()) }
}

/// A chat room sends all its members a Close frame at shutdown.
fn goodbye() -> Result<(), Failed> {
    let server = Server::start("ws-goodbye", "examples-c/websocket-broadcast.c", &["http://127.0.0.1:0"], 1)?;
    let all_in = scratch("ws-goodbye-mark").join("mark");
    let mut command = script("ws_goodbye.py")?;
    command.args(["127.0.0.1", &server.port().to_string()]).arg(&all_in);
    let members = thread::spawn(move || client("ws-goodbye", command, 60));
    wait_for(&all_in, || members.is_finished())?;
    server.terminate();
    let said = server.ended()?;
    members.join().map_err(|_| "the members panicked")??;
    if said.ends_with("\n0 did not answer\n") { Ok(()) } else { Err(said.into()) }
}

/// A page in a browser. The browser prints what has become of it, and ends, when the page's script has run to its end.
fn browser() -> Result<(), Failed> {
    let server = Server::start("ws-browser", "c-tests/programs/ws_browser.c", &["http://127.0.0.1:0"], 1)?;
    let home = scratch("ws-browser-home");
    let mut command = tool("chromium")?;
    command.env("HOME", &home).args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
    ]);
    command.arg(format!("--user-data-dir={}", home.display())).args(["--dump-dom", &server.url("/")]);
    let page = client("ws-browser", command, 60)?;
    server.stop()?;
    if page.contains("<pre id=\"result\">all is well</pre>") { Ok(()) } else { Err(page.into()) }
}

fn wait_for(file: &Path, given_up: impl Fn() -> bool) -> Result<(), String> {
    for _ in 0..4000 {
        if fs::exists(file).unwrap_or(false) || given_up() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(format!("{} did not appear", file.display()))
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    for name in ["ws_client.py", "ws_client.js"] {
        all.push(Trial::test(format!("websocket::{name}"), move || their_client(name)));
    }
    for name in ["ws_server.py", "ws_server.js"] {
        all.push(Trial::test(format!("websocket::{name}"), move || their_server(name)));
    }
    all.push(Trial::test("websocket::browser", browser));
    all.push(Trial::test("websocket::own_client_and_server", own_client_and_server));
    all.push(Trial::test("websocket::close_frames_at_shutdown", goodbye));
}
